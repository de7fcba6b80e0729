"""Evidence over runs and machines: what a ledger holds of one declaration, judged together where that is honest.

Seeds of one declaration under other master seeds are fresh draws from the same distribution, wherever they were
simulated: together they are one longer sequence that was stopped when somebody saw fit. That is allowed, since the
evidence is an e-process and is held against the full threshold (`idealab.judge.cells.judge_at_once`), as long as
nothing is left out by what it says. So every run that the ledger holds is taken, also one that was given up, and nobody
chooses. What a ledger never saw cannot be taken: bundles should come whole.

Not put together: other declarations; another precision; the same draws on another machine, which are the same evidence
again, and are compared instead.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from idealab.assess.assessment import Assessment, Question
from idealab.assess.outcome import outcome_of
from idealab.compute.run import Batch, Task, batch_of
from idealab.errors import LedgerError, UsageError
from idealab.judge.cells import Decision, judge_at_once
from idealab.ledger.compare import largest_difference
from idealab.ledger.difference import differences
from idealab.ledger.records import BATCH, DECLARATION, digest
from idealab.ledger.store import Ledger
from idealab.review.rejudge import EPSILON, Case, NotJudged, case_of
from idealab.review.retries import FORM, REPEATED, failed_elsewhere
from idealab.symbolic.prediction import Prediction
from idealab.verification import Cost, Verification

_MACHINE = {"machine", "platform", "device"}
"""What of an environment is no version."""


@dataclass(frozen=True)
class Run:
    """What was observed under one master seed on one kind of machine: by experiment and condition, without gaps."""

    master_seed: int
    precision: str
    environment: Mapping[str, Any]
    batches: Mapping[tuple[str, str], Sequence[Mapping[str, Any]]]

    @property
    def seeds(self) -> int:
        """Seeds over all conditions."""
        return sum(batch["seeds"] for batches in self.batches.values() for batch in batches)

    def __str__(self) -> str:
        where = [str(self.environment[name]) for name in ("device", "machine") if name in self.environment]
        return f"master seed {self.master_seed} on {', '.join(where) or 'an unnamed machine'}, {self.seeds} seeds"


@dataclass(frozen=True)
class Accumulated:
    """The verdict over several runs, which ``runs`` it rests on, and what was ``left_out`` and why.

    ``versions`` says in words which versions differ: those that were declared from those that judge here, and those of
    one run from those of another. That is no reason to leave a run out: what observes it is declared by its source.
    """

    verification: Verification
    runs: tuple[Run, ...]
    left_out: tuple[str, ...]
    versions: tuple[str, ...] = ()


def declaration_for(ledger: Ledger, records: Iterable[str]) -> str:
    """The one declaration that these records are or rest on.

    Raises
    ------
    UsageError
        If there are several: what was declared differently is not the same claim, and may not be put together.
    """
    found: dict[str, None] = {}
    for sha in records:
        record = ledger.get(sha)
        found[sha if record["schema"] == DECLARATION else record["parents"][0]] = None
    first, *others = found
    for other in others:
        try:
            lines = [str(line) for line in differences(ledger.get(first)["content"], ledger.get(other)["content"])]
            words = "; ".join(lines[:3]) + (f"; and {len(lines) - 3} more" if len(lines) > 3 else "")
        except LedgerError as error:
            words = str(error)
        raise UsageError(f"{first[:12]} and {other[:12]} may not be combined, they were declared differently: {words}")
    return first


def accumulate(ledger: Ledger, declaration: str) -> Accumulated:
    """Judge all runs of a declaration together.

    Raises
    ------
    UsageError
        If there are not two runs that may be put together, or the idea that was declared is not the one installed here.
    LedgerError
        If what a run observed is not what was declared.
    """
    try:
        case = case_of(ledger, declaration)
    except NotJudged as error:
        raise UsageError(f"the runs of {declaration[:12]} cannot be judged here: {error}") from error
    try:
        return _accumulated(ledger, declaration, case)
    except FORM as error:
        raise LedgerError(
            f"the observations of {declaration[:12]} do not fit it ({type(error).__name__}: {error}); "
            "`idealab ledger check` says which"
        ) from error


def _accumulated(ledger: Ledger, declaration: str, case: Case) -> Accumulated:
    left_out: list[str] = []
    runs = _independent(list(_runs(ledger, declaration, left_out)), left_out)
    if len(runs) < 2:
        there = f"there is only {runs[0]}" if runs else "there is none"
        also = f" ({'; '.join(left_out)})" if left_out else ""
        raise UsageError(f"two runs on different master seeds are needed; of {declaration[:12]} {there}{also}")
    questions = list(_questions(case, runs))
    assessment = _Together(case.theory, questions, case.rules, EPSILON[runs[0].precision])
    content = ledger.get(declaration)["content"]
    failed = failed_elsewhere(ledger, case.theory.name, content, {run.master_seed for run in runs})
    gates = [f"{REPEATED}, under another declaration: {'; '.join(failed[-3:])}"] if failed else []
    batches = [batch for run in runs for several in run.batches.values() for batch in several]
    seconds = sum(float(batch["seconds"]) for batch in batches)
    environment = {
        "precision": runs[0].precision,
        "master_seeds": [run.master_seed for run in runs],
        "machines": len({digest(dict(run.environment)) for run in runs}),
    }
    outcome = outcome_of(assessment, declaration, environment, seconds, case.designs, gates)
    evaluations = sum(batch_of(batch, reused=True).gradient_evaluations for batch in batches)
    cost = Cost(seconds, sum(run.seeds for run in runs), evaluations, sum(run.seeds for run in runs))
    return Accumulated(replace(outcome, cost=cost), tuple(runs), tuple(left_out), tuple(_versions(case, runs)))


class _Together(Assessment):
    """An assessment of several runs, each of which was stopped for itself."""

    def decisions(self, question: Question, rival: Prediction | None = None) -> list[Decision]:
        cells = [place.cell for place in self.places(question, rival)]
        return judge_at_once(cells, self.rules[question.family])


def _runs(ledger: Ledger, declaration: str, left_out: list[str]) -> Iterator[Run]:
    """Every run that the ledger holds, finished or not, in the order of master seeds."""
    found: dict[tuple[int, str, str], dict[str, dict[str, Any]]] = {}
    for sha in ledger.find(schema=BATCH, parent=declaration, certain=True):
        try:
            batch = ledger.get(sha)
        except LedgerError as error:
            left_out.append(str(error))
            continue
        key = batch["master_seed"], batch["precision"], digest(batch["environment"])
        found.setdefault(key, {})[sha] = batch
    for (seed, precision, _), batches in sorted(found.items(), key=lambda item: item[0]):
        tasks: dict[tuple[str, str], dict[str, Mapping[str, Any]]] = {}
        for sha, batch in sorted(batches.items(), key=lambda item: (item[1]["first_seed"], -item[1]["seeds"])):
            before = tasks.setdefault((batch["experiment"], batch["condition"]), {})
            if words := _unfit(batch, before):
                left_out.append(f"block {sha[:12]}, master seed {seed}, {words}")
            elif batch["first_seed"] == _reached(before):
                before[sha] = batch
        environment = next(iter(batches.values()))["environment"]
        yield Run(seed, precision, environment, {task: [*kept.values()] for task, kept in tasks.items()})


def _reached(before: Mapping[str, Mapping[str, Any]]) -> int:
    return max((batch["first_seed"] + batch["seeds"] for batch in before.values()), default=0)


def _unfit(batch: Mapping[str, Any], before: Mapping[str, Mapping[str, Any]]) -> str:
    """Why a block of seeds cannot follow those before it, in words; none, if it can, or says only what they say."""
    first, end, reached = batch["first_seed"], batch["first_seed"] + batch["seeds"], _reached(before)
    here = f"seeds {first} to {end - 1} of {batch['condition']!r}"
    if first > reached:
        return f"{here}: others before them are missing"
    twice = [(sha, one) for sha, one in before.items() if one["first_seed"] < end]
    overlaps = [(sha, _between(one, first, end), _between(batch, *_span(one))) for sha, one in twice if first < reached]
    unlike = [(sha, largest_difference(*pair)) for sha, *pair in overlaps if digest(pair[0]) != digest(pair[1])]
    if unlike:
        sha, apart = max(unlike, key=lambda item: item[1])
        return f"{here}: block {sha[:12]} has some of them too and says otherwise, by {apart:.1g} of the largest number"
    return f"{here}: another block has those before {reached}, and blocks are not cut" if first < reached < end else ""


def _span(batch: Mapping[str, Any]) -> tuple[int, int]:
    return batch["first_seed"], batch["first_seed"] + batch["seeds"]


def _between(batch: Mapping[str, Any], first: int, end: int) -> dict[str, Any]:
    """What a block observed for the seeds from ``first`` up to ``end``, as far as it has them."""
    used = slice(max(first - batch["first_seed"], 0), max(end - batch["first_seed"], 0))
    return {part: {name: v[used] for name, v in arrays.items()} for part, arrays in batch["observation"].items()}


def _versions(case: Case, runs: Sequence[Run]) -> Iterator[str]:
    """Which versions differ between declaration and judge, and between runs; nothing, where all are the same."""
    if case.versions:
        yield f"declared with others than those that judge here: {'; '.join(case.versions)}"
    for name in dict.fromkeys(name for run in runs for name in run.environment):
        values = {run.master_seed: str(run.environment.get(name, "unknown")) for run in runs}
        if name not in _MACHINE and len({*values.values()}) > 1:
            yield f"{name}: {'; '.join(f'{value} for master seed {seed}' for seed, value in values.items())}"


def _independent(runs: Sequence[Run], left_out: list[str]) -> list[Run]:
    """The runs that drew for themselves, in one precision; chosen by nothing that was observed."""
    precision = "float64" if any(run.precision == "float64" for run in runs) else "float32"
    kept: dict[int, Run] = {}
    for run in sorted(runs, key=lambda run: -run.seeds):
        if run.precision != precision:
            left_out.append(f"{run}: in {run.precision}, which is another experiment than {precision}")
        elif run.master_seed in kept:
            apart = max((largest_difference(*pair) for pair in _pairs(kept[run.master_seed], run)), default=0.0)
            left_out.append(
                f"{run}: the same draws as of {kept[run.master_seed]}, so the same evidence again; they differ by "
                f"{apart:.1g} of the largest number at most"
            )
        elif copied := next((one for one in kept.values() if _copied(one, run)), None):
            left_out.append(
                f"{run}: what was observed is that of {copied}, but for rounding: a copy, and no fresh draws"
            )
        else:
            kept[run.master_seed] = run
    return [kept[seed] for seed in sorted(kept)]


def _pairs(one: Run, other: Run) -> Iterator[tuple[Mapping[str, Any], Mapping[str, Any]]]:
    """The observations of the same seeds in two runs."""
    for place, batches in one.batches.items():
        there = {(batch["first_seed"], batch["seeds"]): batch for batch in other.batches.get(place, ())}
        for batch in batches:
            if same := there.get((batch["first_seed"], batch["seeds"])):
                yield batch["observation"], same["observation"]


def _copied(one: Run, run: Run) -> bool:
    """Whether half of the seeds of a run, or more, observed what one of another master seed did, but for rounding.

    In whatever order; seeds that are like others of their own run, as without chance, tell nothing.
    """
    rows, known = Counter(_rows(run)), {*_rows(one)}
    telling = [row for row, often in rows.items() if often == 1]
    return bool(telling) and 2 * sum(row in known for row in telling) >= len(telling)


def _rows(run: Run) -> Iterator[str]:
    """What each seed observed in each condition, to nine digits, as a hash."""
    for place, batches in run.batches.items():
        for batch in batches:
            seen = batch["observation"]["observables"]
            for seed in range(batch["seeds"]):
                yield digest({"place": list(place), "row": [_rounded(seen[name][seed]) for name in sorted(seen)]})


def _rounded(value: Any) -> Any:
    if isinstance(value, (list, tuple)):
        return [_rounded(item) for item in value]  # pyright: ignore[reportUnknownVariableType]
    return f"{value:.9g}" if isinstance(value, (int, float)) else value


def _questions(case: Case, runs: Sequence[Run]) -> Iterator[Question]:
    """What is asked, with the seeds of all runs.

    Where conditions make one curve together, seed by seed, each run gives as many seeds as its poorest condition has:
    else seeds of one run would be paired with those of another.
    """
    kept: dict[tuple[str, str, tuple[int, ...]], Task] = {}
    for question in case.questions()[1]:
        argument, _ = question.experiment.checkpoints.get(question.signature.observable, ("", ()))
        along = question.signature.criterion.along
        whole = bool(along) and along != argument
        tasks: list[Task] = []
        for task in question.tasks:
            group = question.tasks if whole else [task]
            most = tuple(min(_seeds(run, one) for one in group) for run in runs)
            key = task.experiment.name, task.label, most
            if key not in kept:
                batches = [b for run, m in zip(runs, most, strict=True) for b in _first(run, task, m)]
                kept[key] = replace(task, batches=batches, stored={})
            tasks.append(kept[key])
        yield replace(question, tasks=tuple(tasks))


def _seeds(run: Run, task: Task) -> int:
    return sum(batch["seeds"] for batch in run.batches.get((task.experiment.name, task.label), ()))


def _first(run: Run, task: Task, seeds: int) -> Iterator[Batch]:
    """The batches of a task in one run, up to so many seeds."""
    for document in run.batches.get((task.experiment.name, task.label), ()):
        if seeds <= 0:
            return
        batch = batch_of(document, reused=True)
        used = min(seeds, batch.seeds)
        parts = ({name: v[:used] for name, v in part.items()} for part in (batch.parameters, batch.observables))
        parameters, observables = parts
        yield replace(batch, seeds=used, parameters=parameters, observables=observables)
        seeds -= used
