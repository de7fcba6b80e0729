"""Judging again: from recorded observations and the idea that is installed here, if it is the one that was declared."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, cast

from idealab import registry
from idealab.assessment import Assessment, Question, questions_of, rules_of
from idealab.declaration import declaration_of
from idealab.errors import IdealabError, LedgerError
from idealab.experiment import Experiment, Setting
from idealab.idea import Idea, Signature
from idealab.judge.cells import Rules
from idealab.ledger.compare import numbers_of, same
from idealab.ledger.difference import differences
from idealab.ledger.records import DECLARATION, digest
from idealab.ledger.store import Ledger
from idealab.mutants import Design, designs_of
from idealab.outcome import outcome_of
from idealab.request import tasks_of
from idealab.retries import REPEATED
from idealab.run import Task, batch_of
from idealab.verification import Verification

EPSILON = {"float64": 2.0**-52, "float32": 2.0**-23}
"""Distance from one to the next number, by precision."""

_FORM = (KeyError, TypeError, ValueError, AttributeError, IndexError)  # what a record of another form comes to


class NotJudged(Exception):
    """Why something recorded cannot be judged here, in words; only its hashes can be checked."""


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

    ``versions`` says in words which versions of packages differ; everything else is the same.
    """

    declaration: str
    theory: Idea
    signatures: tuple[Signature, ...]
    experiments: tuple[Experiment, ...]
    rules: Mapping[str, Rules]
    designs: list[Design]
    versions: tuple[str, ...]

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
    seen: dict[str, Verification] = {}
    found: list[Rechecked] = []
    for sha in records:
        record = ledger.get(sha)
        step(record["idea"])
        try:
            if not record["parents"]:
                raise NotJudged("it names no declaration")
            declaration = record["parents"][0]
            if declaration not in cases:
                cases[declaration] = _case_or_reason(ledger, declaration)
            case = cases[declaration]
            if isinstance(case, str):
                raise NotJudged(case)
            # The same observations come to the same; of a run that is repeated only the first is judged.
            key = digest(_given(record))
            again = seen.get(key) or judged_again(ledger, record, case)
            seen[key] = again
        except NotJudged as error:
            found.append(Rechecked(sha, record["idea"], "not judged", (str(error),)))
            continue
        lines = disagreements(record, again)
        words = (*lines, *(f"declared with other versions: {line}" for line in case.versions if lines))
        found.append(Rechecked(sha, record["idea"], "differs" if lines else "agrees", words))
    return found


def _case_or_reason(ledger: Ledger, declaration: str) -> Case | str:
    try:
        return case_of(ledger, declaration)
    except NotJudged as error:
        return str(error)


def _given(record: Mapping[str, Any]) -> dict[str, Any]:
    """What a verdict depends on, in a record."""
    result = record["result"]
    mutants = result.get("mutants") is None
    return {"parents": record["parents"], "mutants": mutants, "rest": [result.get("gates"), result.get("cut_short")]}


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
    except _FORM as error:
        words = f"{type(error).__name__}: {error}"
        raise NotJudged(f"its declaration fits nothing that is installed here ({words})") from error
    found = list(differences(content, now))
    changed = [str(line) for line in found if not line.where.startswith("versions.")]
    if changed:
        more = f"; and {len(changed) - 1} more" if len(changed) > 1 else ""
        raise NotJudged(f"the idea that is installed here declares other things: {changed[0]}{more}")
    return Case(sha, theory, signatures, experiments, rules, designs_of(questions), tuple(map(str, found)))


def _as_declared(installed: Sequence[Experiment], declared: Sequence[Mapping[str, Any]]) -> Iterator[Experiment]:
    """The experiments that were declared, with the settings and caps that they had."""
    known = {experiment.name: experiment for experiment in installed}
    for wanted in declared:
        if wanted["name"] not in known:
            raise NotJudged(f"there is no experiment {wanted['name']!r} of it here")
        experiment = known[wanted["name"]]
        changes = dict(_held(experiment, [condition["settings"] for condition in wanted["conditions"]]))
        yield replace(experiment.with_settings(changes), max_seeds=wanted["max_seeds"])


def _held(experiment: Experiment, declared: Sequence[Mapping[str, Any]]) -> Iterator[tuple[str, Setting]]:
    """The knobs that were held at one value throughout, which they do not have here."""
    for name in dict.fromkeys(name for condition in experiment.conditions for name in condition.settings):
        here = [c.settings[name] for c in experiment.conditions if name in c.settings]
        there = [settings[name] for settings in declared if name in settings]
        if there and all(value == there[0] for value in there) and any(value != there[0] for value in here):
            yield name, type(here[0])(there[0])  # JSON makes an integer of 1.0


def judged_again(ledger: Ledger, record: Mapping[str, Any], case: Case) -> Verification:
    """Judge a verification again from the batches that it names.

    What rests on the ledger's past and not on observations, that the same claim had failed before, is taken from the
    record.

    Raises
    ------
    NotJudged
        If observations are missing or damaged, or do not fit the declaration.
    """
    tasks, questions = case.questions()
    try:
        result = cast("Mapping[str, Any]", record["result"])
        environment, seconds = dict(result["environment"]), float(result["cost"]["seconds"])
        batches = [ledger.get(sha) for sha in record["parents"][1:]]
        epsilon = EPSILON[environment["precision"]]
        past = [gate for gate in result["gates"] if gate.startswith(REPEATED)]
        given_up = ["cut short"] if result["cut_short"] else []
        designs = [] if result["mutants"] is None else case.designs
    except LedgerError as error:
        raise NotJudged(str(error)) from error
    except _FORM as error:
        raise NotJudged(f"its result is not of the form that this version knows ({error!r})") from error
    _observed(tasks, batches)
    assessment = Assessment(case.theory, questions, case.rules, epsilon)
    try:
        return outcome_of(assessment, case.declaration, environment, seconds, designs, past, given_up)
    except (IdealabError, *_FORM) as error:
        raise NotJudged(f"its observations do not fit the declaration: {error}") from error


def _observed(tasks: Sequence[Task], batches: Sequence[Mapping[str, Any]]) -> None:
    """Hand the batches of one run to the tasks that they were observed for, in the order of their seeds.

    Raises
    ------
    NotJudged
        If they are of several runs, belong to no task, or leave seeds out.
    """
    known = {(task.experiment.name, task.label): task for task in tasks}
    if len({(batch["master_seed"], batch["precision"]) for batch in batches}) > 1:
        raise NotJudged("its observations are of several master seeds or precisions")
    for batch in sorted(batches, key=lambda batch: batch["first_seed"]):
        task = known.get((batch["experiment"], batch["condition"]))
        if task is None:
            raise NotJudged(f"{batch['condition']!r} in {batch['experiment']!r} was not declared")
        if batch["first_seed"] != task.seeds:
            raise NotJudged(f"seeds of {batch['condition']!r} in {batch['experiment']!r} are missing or there twice")
        task.batches.append(batch_of(batch, reused=True))


def disagreements(record: Mapping[str, Any], again: Verification) -> list[str]:
    """What a record says that judging again does not, a line each; numbers are held together by tolerance."""
    said, found = record["result"], again.to_dict()
    lines = [
        f"{name}: recorded {said.get(name)!r}, judged again {found[name]!r}"
        for name in ("verdict", "scope")
        if said.get(name) != found[name]
    ]
    try:
        before, after = numbers_of(said), numbers_of(found)
    except _FORM as error:
        return [*lines, f"its result is not of the form that this version knows ({error!r})"]
    for key in dict.fromkeys((*before, *after)):
        one, other = before.get(key), after.get(key)
        if one is None or other is None:
            lines.append(f"{key}: {'not recorded' if one is None else 'recorded, and not judged again'}")
        elif words := same(one, other):
            lines.append(f"{key}: {words}")
    return lines
