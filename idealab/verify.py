"""The whole pipeline: derive, declare, simulate, judge, record."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from idealab import registry
from idealab.assessment import Assessment, questions_of, rules_of
from idealab.declaration import declaration_of
from idealab.errors import NothingMatchedError, UnknownNameError, UsageError
from idealab.experiment import LEVELS, Experiment, Setting
from idealab.idea import Idea, Signature
from idealab.judge.cells import Rules
from idealab.ledger.records import DECLARATION, VERIFICATION, digest
from idealab.ledger.store import Ledger
from idealab.outcome import outcome_of
from idealab.run import Progress, Runner, Silence, Task, precise, use_compilation_cache
from idealab.verification import Verification

DEFAULT_LEVELS = ("idealized", "real data")
QUICK_LEVELS = ("idealized",)
QUICK_SEEDS = 16


def verify(
    idea: str | Idea,
    *,
    experiments: Sequence[Experiment] | None = None,
    seeds: int | None = None,
    budget: float | None = None,
    select: Sequence[str] = (),
    levels: Sequence[str] = (),
    settings: Mapping[str, Setting] | None = None,
    quick: bool = False,
    master_seed: int = 0,
    ledger: Ledger | str | Path | None = None,
    record: bool = True,
    progress: Progress | None = None,
) -> Verification:
    """Derive, declare, simulate and judge an idea, and record the verdict.

    Parameters
    ----------
    idea
        Its name, or an `Idea` of one's own (then ``experiments`` are needed).
    experiments
        Experiments to run instead of those that are registered under the idea's name.
    seeds
        Cap of seeds in a cell, at least 4; by default what each experiment declares.
    budget
        Seconds after which no new seeds are started; what is undecided then stays so.
    select
        Names of the signatures to judge; all by default.
    levels
        Levels of experiment to run; idealized and real data by default.
    settings
        Knobs to hold at a value, in every condition of a sweep that has them.
    quick
        At most 16 seeds in a cell, and idealized experiments only unless levels are named.
    master_seed
        Where all randomness comes from.
    ledger
        Where evidence is kept: a `Ledger` or a directory; ``.idealab`` by default.
    record
        False leaves no trace, and goes on from nothing.

    Returns
    -------
    Verification
        The verdict with all that it rests on.

    Raises
    ------
    UsageError
        If the request cannot be carried out; `UnknownNameError` and `NothingMatchedError` say so more precisely.
    LedgerError
        If evidence cannot be written.
    """
    started, watcher = time.monotonic(), progress or Silence()
    _check_numbers(seeds, budget, master_seed)
    select, levels = ((names,) if isinstance(names, str) else tuple(dict.fromkeys(names)) for names in (select, levels))
    watcher.stage("deriving")
    theory = registry.load(idea) if isinstance(idea, str) else idea
    chosen = registry.load_experiments(theory.name) if experiments is None else tuple(experiments)
    registry.pair(theory, chosen)
    signatures = [theory.signatures[name] for name in select] if select else list(theory.signatures.values())
    if not levels and experiments is None:
        levels = QUICK_LEVELS if quick else DEFAULT_LEVELS
    chosen = _narrow(chosen, levels, settings or {}, seeds, quick)
    tasks = _tasks(theory, chosen, signatures)
    questions = questions_of(theory, signatures, tasks)
    if not questions:
        raise NothingMatchedError("no experiment that was asked for measures a signature that was asked for")
    rules = rules_of(questions)

    use_compilation_cache()
    store = (
        (ledger if isinstance(ledger, Ledger) else Ledger(ledger) if ledger else Ledger.default()) if record else None
    )
    if store is not None:
        store.ensure_writable()
    content = declaration_of(theory, chosen, signatures, rules)
    declared = {"schema": DECLARATION, "idea": theory.name, "content": content}
    declaration = store.put(declared) if store is not None else digest(declared)
    runner = Runner(theory.name, store, declaration, master_seed, watcher)
    watcher.declared(declaration, _summary(signatures, tasks, rules, runner))

    assessment = Assessment(theory, questions, rules)
    watcher.stage("simulating")
    _simulate(runner, tasks, assessment, watcher, None if budget is None else started + budget)
    watcher.stage("judging")
    environment = runner.environment | {"precision": runner.precision, "master_seed": master_seed}
    outcome = outcome_of(assessment, declaration, environment, time.monotonic() - started)
    return outcome if store is None else _recorded(outcome, store, tasks, watcher)


def _simulate(
    runner: Runner, tasks: Sequence[Task], assessment: Assessment, watcher: Progress, deadline: float | None
) -> None:
    """Rounds of one block for every task that is still open: one each, then until decided."""
    for task in tasks:
        runner.find(task)
    steps, pending = 0, list(tasks)
    while pending:
        steps += len(pending)
        watcher.planned(steps)
        if runner.extend(pending, deadline):
            watcher.warn("the budget is spent; what is undecided stays so")
            return
        pending = assessment.undecided()


def _recorded(outcome: Verification, store: Ledger, tasks: Sequence[Task], watcher: Progress) -> Verification:
    parents = [outcome.declaration, *(batch.record for task in tasks for batch in task.batches if batch.record)]
    document = {
        "schema": VERIFICATION,
        "parents": parents,
        "idea": outcome.idea,
        "created": datetime.now(UTC).isoformat(timespec="microseconds"),
        "result": outcome.to_dict(),
    }
    recorded = outcome.with_record(store.put(document))
    for warning in store.warnings:
        watcher.warn(warning)
    return recorded


def _check_numbers(seeds: int | None, budget: float | None, master_seed: int) -> None:
    for name, value in (("seeds", seeds), ("master_seed", master_seed)):
        if value is not None and (isinstance(value, bool) or not isinstance(value, int)):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise UsageError(f"{name}={value!r} must be a whole number")
    if seeds is not None and seeds < 4:
        raise UsageError(f"seeds={seeds} is too few: fewer than 4 seeds cannot decide a cell; give 4 or more")
    if budget is not None and not 0 < budget < math.inf:
        raise UsageError(f"budget={budget!r} must be a positive number of seconds")
    if not 0 <= master_seed < 2**32:
        raise UsageError(f"master_seed={master_seed} must be a whole number from 0 to 2^32 - 1")


def _narrow(
    experiments: Sequence[Experiment],
    levels: Sequence[str],
    settings: Mapping[str, Setting],
    seeds: int | None,
    quick: bool,
) -> tuple[Experiment, ...]:
    """The experiments that were asked for, with the settings and caps that were asked for."""
    for level in levels:
        if level not in LEVELS:
            raise UnknownNameError("level", level, LEVELS)
    wanted = [e for e in experiments if not levels or e.level in levels]
    if quick:
        wanted = [replace(e, max_seeds=min(QUICK_SEEDS, e.max_seeds)) for e in wanted]
    if not wanted:
        there = ", ".join(dict.fromkeys(e.level for e in experiments)) or "none"
        raise NothingMatchedError(f"no experiment at level {' or '.join(levels)}; there are experiments at: {there}")
    known = {name: value for e in wanted for c in e.conditions for name, value in c.settings.items()}
    knobs = {name for e in wanted for name in e.ranges}
    for name in settings:
        if name in known and not isinstance(known[name], float) and name not in knobs:
            there = ", ".join(sorted(knobs | {name for name, value in known.items() if isinstance(value, float)}))
            raise UsageError(f"{name} is how the experiment is built, not a knob; knobs: {there}")
    changes = {name: _like(name, known, value) for name, value in settings.items()}
    changed = [e.with_settings(changes) for e in wanted]
    with precise():  # a bound that is computed must not depend on the caller's precision
        for before, after in zip(wanted, changed, strict=True):
            if after.conditions != before.conditions:
                after.check(after.ranges)  # all of them: one setting may move the bound of another
    return tuple(replace(e, max_seeds=seeds) if seeds is not None else e for e in changed)


def _like(name: str, known: Mapping[str, Setting], value: Setting) -> Setting:
    """A setting's new value, in the type of the value that it replaces."""
    if name not in known:
        raise UnknownNameError("setting", name, known)
    kind = type(known[name])
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if type(value) is not kind:
        raise UsageError(f"{name}={value!r} must be a {kind.__name__}, like {known[name]!r}")
    return value


def _tasks(idea: Idea, experiments: Sequence[Experiment], signatures: Sequence[Signature]) -> list[Task]:
    """Controls and the most favourable conditions first, so that what decides most is known first."""
    names = {signature.name for signature in signatures}
    measured = {signature.observable for signature in signatures}
    controls = [
        Task(experiment, run, assumption, refinement)
        for experiment in experiments
        for assumption, condition in experiment.toggles.items()
        if names & set(idea.assumptions[assumption].signatures)
        for refinement, run in experiment.refined(condition).items()
    ]
    wanted = [experiment for experiment in experiments if measured & set(experiment.observables)]
    ranked = sorted(
        (
            (rank, experiment, condition)
            for experiment in wanted
            for rank, condition in enumerate(experiment.conditions)
        ),
        key=lambda point: point[0],
    )
    sweep = [
        Task(experiment, run, refinement=refinement)
        for _, experiment, condition in ranked
        for refinement, run in experiment.refined(condition).items()
    ]
    return [*controls, *sweep]


def _summary(signatures: Sequence[Signature], tasks: Sequence[Task], rules: Mapping[str, Rules], runner: Runner) -> str:
    caps = sorted({rule.max_seeds for rule in rules.values()})
    sweep = sum(not task.assumption for task in tasks)
    where = (
        f"{runner.environment['cores']} CPU cores"
        if runner.environment["platform"] == "cpu"
        else (f"{runner.environment['devices']} {runner.environment['device']}")
    )
    cap = f"{caps[0]}" if len(caps) == 1 else f"{caps[0]} or {caps[-1]}"
    return (
        f"{len(signatures)} signatures, {sweep} conditions, {len(tasks) - sweep} controls · "
        f"seeds 4 to {cap}, stops when decided · {where}, {runner.precision}"
    )
