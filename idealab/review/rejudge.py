"""Judging again: from recorded observations and the idea that is installed here, if it is the one that was declared.

The whole result is built again by the code that wrote it, and compared field by field with what is recorded.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, cast

from idealab import registry
from idealab.assess.assessment import Assessment, Question, questions_of, rules_of
from idealab.assess.mutants import Design, designs_of, unkilled
from idealab.assess.outcome import NO_MUTANTS, outcome_of
from idealab.compute.run import Task, batch_of
from idealab.errors import IdealabError, LedgerError
from idealab.experiment import Experiment
from idealab.idea import Idea, Signature
from idealab.judge.cells import Rules
from idealab.ledger.agreement import departures
from idealab.ledger.difference import differences
from idealab.ledger.records import DECLARATION, digest, is_sha256
from idealab.ledger.store import Ledger
from idealab.prepare.budget import given_up
from idealab.prepare.declaration import declaration_of
from idealab.prepare.request import HANDED_IN, held, narrowed_of, tasks_of
from idealab.review.retries import FORM, REPEATED, gate
from idealab.verification import Verification

EPSILON = {"float64": 2.0**-52, "float32": 2.0**-23}
"""Distance from one to the next number, by precision."""

UNVERIFIED = (
    "created",
    "cost.seconds",
    "cost.reused_seeds",
    "environment.devices",
    "environment.cores",
    "earlier",
)
"""What a verification says of itself that follows from nothing that is recorded besides."""


class NotJudged(Exception):
    """Why something recorded cannot be judged here, in words; only its hashes can be checked."""


class Contradicted(Exception):
    """Why a verification cannot rest on the observations that it names, whatever idea is installed: in words."""


@dataclass(frozen=True)
class Rechecked:
    """What became of a verification that was judged again; ``words`` say what differs, or why it was not judged."""

    record: str
    idea: str
    state: Literal["agrees", "differs", "not judged"]
    words: tuple[str, ...] = ()


@dataclass(frozen=True)
class Case:
    """An idea as it was declared, put together from what is installed here.

    ``versions`` says in words which versions of packages differ; everything else is the same. ``narrowed`` says what
    was left out of what the idea has.
    """

    declaration: str
    theory: Idea
    signatures: tuple[Signature, ...]
    experiments: tuple[Experiment, ...]
    rules: Mapping[str, Rules]
    designs: list[Design]
    versions: tuple[str, ...]
    narrowed: tuple[str, ...]

    def questions(self) -> tuple[list[Task], list[Question]]:
        """Tasks without observations yet, and what is asked of them."""
        tasks = tasks_of(self.theory, self.experiments, self.signatures)
        return tasks, questions_of(self.theory, self.signatures, tasks)


def recheck(ledger: Ledger, records: Iterable[str], step: Callable[[str], None] = lambda idea: None) -> list[Rechecked]:
    """Judge verifications again, as far as the ideas that are installed here are those that were declared.

    Parameters
    ----------
    records
        Full names of verifications.
    step
        Called with the name of the idea before each.
    """
    cases: dict[str, Case | str] = {}
    outcomes: dict[str, Verification] = {}
    found: list[Rechecked] = []
    for sha in records:
        record = ledger.get(sha)
        step(record["idea"])
        declaration = record["parents"][0]
        try:
            if declaration not in cases:
                cases[declaration] = _case_or_reason(ledger, declaration)
            case = cases[declaration]
            if isinstance(case, str):
                raise NotJudged(case)
            try:
                lines = judged_again(ledger, sha, record, case, outcomes)
            except Contradicted as error:
                lines = [str(error)]
        except NotJudged as error:
            found.append(Rechecked(sha, record["idea"], "not judged", (str(error),)))
            continue
        words = (*lines, *(f"declared with other versions: {line}" for line in case.versions if lines))
        found.append(Rechecked(sha, record["idea"], "differs" if lines else "agrees", words))
    return found


def _case_or_reason(ledger: Ledger, declaration: str) -> Case | str:
    try:
        return case_of(ledger, declaration)
    except NotJudged as error:
        return str(error)


def case_of(ledger: Ledger, sha: str) -> Case:
    """Put together what a declaration declares.

    Nothing in the declaration is evaluated: names, settings and caps are read from it, the idea and its experiments are
    those that are installed, and what comes out must be declared by the very same document, apart from versions.

    Raises
    ------
    NotJudged
        If the idea is not installed, does not load, or declares other things now.
    """
    try:
        record = ledger.get(sha)
        if record["schema"] != DECLARATION:
            raise NotJudged(f"{sha[:12]} is no declaration")
        content, idea = record["content"], record["idea"]
        theory, installed = registry.load(idea), registry.load_experiments(idea)
        registry.pair(theory, installed)
        experiments = tuple(_as_declared(installed, content["experiments"]))
        signatures = tuple(theory.signatures[signature["name"]] for signature in content["signatures"])
        tasks = tasks_of(theory, experiments, signatures)
        questions = questions_of(theory, signatures, tasks)
        rules = rules_of(questions)
        now = declaration_of(theory, experiments, signatures, rules)
    except IdealabError as error:
        raise NotJudged(f"the idea that is installed here cannot be used: {error}") from error
    except FORM as error:
        words = f"{type(error).__name__}: {error}"
        raise NotJudged(f"its declaration fits nothing that is installed here ({words})") from error
    found = list(differences(content, now))
    changed = [str(line) for line in found if not line.where.startswith("versions.")]
    if changed:
        more = f"; and {len(changed) - 1} more" if len(changed) > 1 else ""
        raise NotJudged(f"the idea that is installed here declares other things: {changed[0]}{more}")
    narrowed = tuple(narrowed_of(theory, installed, signatures, experiments))
    return Case(sha, theory, signatures, experiments, rules, designs_of(questions), tuple(map(str, found)), narrowed)


def _as_declared(installed: Sequence[Experiment], declared: Sequence[Mapping[str, Any]]) -> Iterator[Experiment]:
    """The experiments that were declared, with the settings and caps that they had."""
    known = {experiment.name: experiment for experiment in installed}
    for wanted in declared:
        if wanted["name"] not in known:
            raise NotJudged(f"there is no experiment {wanted['name']!r} of it here")
        experiment = known[wanted["name"]]
        changes = dict(held(experiment, [condition["settings"] for condition in wanted["conditions"]]))
        yield replace(experiment.with_settings(changes), max_seeds=wanted["max_seeds"])


def judged_again(
    ledger: Ledger, sha: str, record: Mapping[str, Any], case: Case, outcomes: dict[str, Verification]
) -> list[str]:
    """Build the result of a verification again from its declaration and the batches that it names, and compare.

    What cannot be built again (`UNVERIFIED`) is left out. Whether the same claim had failed before is looked up in this
    ledger, among the verifications that are older; where the record says so and they are not here, it is taken at its
    word, which only lowers its verdict.

    Parameters
    ----------
    outcomes
        What observations have come to, since a run that is repeated comes to the same; it is added to.

    Returns
    -------
    list of str
        What the record says otherwise, a line each.

    Raises
    ------
    NotJudged
        If observations are missing or damaged.
    Contradicted
        If they are not what was declared, or not of one run.
    """
    said = cast("Mapping[str, Any]", record["result"])
    environment, cost, cut_short = said["environment"], said["cost"], bool(said.get("cut_short"))
    try:
        batches = [ledger.get(parent) for parent in record["parents"][1:]]
        past = [line for line in said["gates"] if line.startswith(REPEATED)]
        content = ledger.get(case.declaration)["content"]
        past = past or gate(ledger, record["idea"], content, environment["master_seed"], sha)
    except LedgerError as error:
        raise NotJudged(str(error)) from error
    with_mutants = said.get("mutants") is not None
    key = digest({"rests on": [record["parents"], environment, past, with_mutants]})
    if key not in outcomes:
        outcomes[key] = _outcome(case, environment, batches, past, with_mutants)
    found = outcomes[key].to_dict()
    unfinished, found["cut_short"] = found["cut_short"], cut_short
    found["earlier"] = said.get("earlier", found["earlier"])
    found["narrowed"] = _narrowed(said.get("narrowed", ()), case, with_mutants)
    found["cost"]["seconds"] = cost["seconds"]
    found["cost"]["reused_seeds"] = min(cost.get("reused_seeds", 0), found["cost"]["seeds"])
    lines = [*departures(said, found), *_elsewhere(environment, batches)]
    lines += _contradicted(ledger, case.declaration, said.get("earlier", ()))
    if unfinished != cut_short:
        more = "seeds are missing that the judge would have asked for" if unfinished else "the judge asks for no more"
        lines.append(f"cut_short: recorded {cut_short}, but {more}")
    return lines


def _narrowed(said: Sequence[str], case: Case, with_mutants: bool) -> Sequence[str]:
    """What a run left out; that experiments were handed in is as it was told, which passes for all in no case."""
    handed = (HANDED_IN,) if HANDED_IN in said else ()
    return (*case.narrowed, *handed, *(() if with_mutants else (NO_MUTANTS,)))


def _outcome(
    case: Case,
    environment: Mapping[str, Any],
    batches: Sequence[Mapping[str, Any]],
    past: Sequence[str],
    with_mutants: bool,
) -> Verification:
    """What the batches of one run come to; it was cut short if the judge would have asked for more."""
    tasks, questions = case.questions()
    designs = case.designs if with_mutants else []
    try:
        _observed(tasks, batches)
        assessment = Assessment(case.theory, questions, case.rules, EPSILON[environment["precision"]])
        alive = unkilled(assessment, designs)
        left = given_up(assessment, [*assessment.undecided(), *alive], alive)
        return outcome_of(assessment, case.declaration, environment, 0.0, designs, past, left)
    except (IdealabError, *FORM) as error:
        raise Contradicted(f"its observations do not fit the declaration: {error}") from error


def _elsewhere(environment: Mapping[str, Any], batches: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Where the environment that a verification names is not that of its batches."""
    there = {
        name: value
        for batch in batches
        for name, value in (
            *batch["environment"].items(),
            ("precision", batch["precision"]),
            ("master_seed", batch["master_seed"]),
        )
        if environment.get(name) != value
    }
    for name, value in there.items():
        yield f"environment, {name}: recorded {environment.get(name)!r}, observed under {value!r}"
    if batches:
        known = {"precision", "master_seed", "devices", "cores", *batches[0]["environment"]}
        for name in sorted(environment.keys() - known):
            yield f"environment, {name}: recorded {environment[name]!r}, and the batches do not say so"


def _contradicted(ledger: Ledger, declaration: str, earlier: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    """Runs that a verification names as earlier and that are here, where they say something else."""
    for one in earlier:
        if not is_sha256(one["record"]):
            if one["finished"] or one["verdict"] or one["record"]:
                yield f"earlier: a run with master seed {one['master_seed']} is told of, and no record of it"
            continue
        try:
            there = ledger.get(one["record"])
        except LedgerError:
            continue
        result = there.get("result", {})
        said = there["parents"][:1], result.get("environment", {}).get("master_seed"), result.get("verdict")
        if said != ([declaration], one["master_seed"], one["verdict"]):
            yield f"earlier: {one['record'][:12]} is not the run that is told of"


def _observed(tasks: Sequence[Task], batches: Sequence[Mapping[str, Any]]) -> None:
    """Hand the batches of one run to the tasks that they were observed for, in the order of their seeds.

    Raises
    ------
    Contradicted
        If they are of several runs, belong to no task, or leave seeds out.
    """
    known = {(task.experiment.name, task.label): task for task in tasks}
    if len({(batch["master_seed"], batch["precision"]) for batch in batches}) > 1:
        raise Contradicted("its observations are of several master seeds or precisions")
    for batch in sorted(batches, key=lambda batch: batch["first_seed"]):
        task = known.get((batch["experiment"], batch["condition"]))
        if task is None:
            raise Contradicted(f"{batch['condition']!r} in {batch['experiment']!r} was not declared")
        if batch["first_seed"] != task.seeds:
            raise Contradicted(f"seeds of {batch['condition']!r} in {batch['experiment']!r} are missing or there twice")
        task.batches.append(batch_of(batch, reused=True))
