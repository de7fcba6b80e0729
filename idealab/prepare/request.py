"""What is asked for, checked and declared: the part of the pipeline that comes before the first run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

from idealab import registry
from idealab.assess.assessment import Assessment, Question, questions_of, rules_of
from idealab.compute.devices import Machine, machine_of
from idealab.compute.run import Progress, Runner, Task
from idealab.compute.source import refuse_answers
from idealab.errors import NothingMatchedError, UnknownNameError, UsageError
from idealab.experiment import LEVELS, Experiment, Setting
from idealab.idea import Idea, Signature
from idealab.judge.cells import Rules
from idealab.ledger.records import DECLARATION, digest
from idealab.ledger.store import Ledger
from idealab.prepare.declaration import declaration_of
from idealab.prepare.lock import hold

DEFAULT_LEVELS = ("idealized", "real data")
QUICK_LEVELS = ("idealized",)
QUICK_SEEDS = 32
HANDED_IN = "experiments that were handed in"
"""What is said of a run on experiments of somebody's own: nobody can tell afterwards what they leave out."""


@dataclass(frozen=True)
class Request:
    """Which idea, which of its experiments and signatures, under which settings; see `idealab.verify.verify`."""

    idea: str | Idea
    experiments: Sequence[Experiment] | None = None
    seeds: int | None = None
    select: Sequence[str] = ()
    levels: Sequence[str] = ()
    settings: Mapping[str, Setting] | None = None
    quick: bool = False
    master_seed: int = 0
    ledger: Ledger | str | Path | None = None
    record: bool = True
    device: str | None = None
    precision: str | None = None
    declared: str | None = None


@dataclass(frozen=True)
class Inquiry:
    """A request that can be carried out, with its declaration in the ledger: nothing has been simulated yet."""

    theory: Idea
    tasks: Sequence[Task]
    questions: Sequence[Question]
    content: Mapping[str, Any]
    declaration: str
    store: Ledger | None
    runner: Runner
    assessment: Assessment
    narrowed: tuple[str, ...] = ()


def inquire(request: Request, watcher: Progress) -> Inquiry:
    """Derive, check, and declare.

    Raises
    ------
    UsageError
        If the request cannot be carried out; `UnknownNameError`, `NothingMatchedError` and
        `DeclarationChangedError` say so more precisely.
    LedgerError
        If evidence cannot be written.
    """
    machine, theory, chosen, signatures, tasks, questions, narrowed = check(request, watcher)
    rules = rules_of(questions)

    content = declaration_of(theory, chosen, signatures, rules)
    declared = {"schema": DECLARATION, "idea": theory.name, "content": content}
    if request.declared is not None:
        hold(request.declared, declared, Ledger.at(request.ledger))
    store = Ledger.at(request.ledger) if request.record else None
    if store is not None:
        store.ensure_writable()
    declaration = store.put(declared) if store is not None else digest(declared)
    runner = Runner(theory.name, store, declaration, request.master_seed, machine, watcher)
    watcher.declared(declaration, _summary(signatures, tasks, rules, runner))
    assessment = Assessment(theory, questions, rules, machine.epsilon)
    return Inquiry(theory, tasks, questions, content, declaration, store, runner, assessment, narrowed)


class Checked(NamedTuple):
    """What a request asks for; it can be carried out."""

    machine: Machine
    theory: Idea
    experiments: tuple[Experiment, ...]
    signatures: Sequence[Signature]
    tasks: Sequence[Task]
    questions: Sequence[Question]
    narrowed: tuple[str, ...]


def check(request: Request, watcher: Progress) -> Checked:
    """Derive and check, and write nothing.

    Raises
    ------
    UsageError
        If the request cannot be carried out; `UnknownNameError` and `NothingMatchedError` say so more precisely.
    """
    _check_numbers(request.seeds, request.master_seed)
    select, levels = (
        (names,) if isinstance(names, str) else tuple(dict.fromkeys(names))
        for names in (request.select, request.levels)
    )
    machine = machine_of(request.device, request.precision)
    watcher.stage("deriving")
    theory = registry.load(request.idea) if isinstance(request.idea, str) else request.idea
    given = request.experiments
    chosen = registry.load_experiments(theory.name) if given is None else tuple(given)
    registry.pair(theory, chosen)
    for experiment in chosen:
        refuse_answers(experiment)
    signatures = [theory.signatures[name] for name in select] if select else list(theory.signatures.values())
    if not levels and given is None:
        levels = QUICK_LEVELS if request.quick else DEFAULT_LEVELS
    whole, wanted = chosen, at_levels(chosen, levels)
    measured = {signature.observable for signature in signatures}
    chosen = _narrow(wanted, measured, request.settings or {}, request.seeds, request.quick, machine)
    narrowed = (*narrowed_of(theory, whole, signatures, chosen), *([] if given is None else [HANDED_IN]))
    tasks = tasks_of(theory, chosen, signatures)
    questions = questions_of(theory, signatures, tasks)
    if not questions:
        raise NothingMatchedError("no experiment that was asked for measures a signature that was asked for")
    return Checked(machine, theory, chosen, signatures, tasks, questions, narrowed)


def narrowed_of(
    theory: Idea, installed: Sequence[Experiment], signatures: Sequence[Signature], experiments: Sequence[Experiment]
) -> Iterator[str]:
    """In words, what is left out of what an idea has by default: a verdict on less must not pass for one on all.

    Told from what is declared alone, so that whoever judges a record again finds the same.

    Parameters
    ----------
    installed
        The experiments of the idea as they are.
    signatures, experiments
        Those that are asked for, with the settings and caps that they have then.
    """
    if len(signatures) < len(theory.signatures):
        yield f"only {', '.join(signature.name for signature in signatures)}"
    known, chosen = {experiment.name: experiment for experiment in installed}, {e.name for e in experiments}
    missing = [e for e in installed if e.level in DEFAULT_LEVELS and e.name not in chosen]
    levels = list(dict.fromkeys(experiment.level for experiment in experiments))
    if missing and not {experiment.level for experiment in missing} & {*levels}:
        yield f"only {', '.join(levels)}"
    elif missing:
        yield f"without {', '.join(experiment.name for experiment in missing)}"
    there = [(known[experiment.name], experiment) for experiment in experiments if experiment.name in known]
    settings = {n: v for whole, less in there for n, v in held(whole, [c.settings for c in less.conditions])}
    yield from (f"{name}={value}" for name, value in settings.items())
    caps = sorted({less.max_seeds for whole, less in there if less.max_seeds < whole.max_seeds})
    if caps:
        yield f"at most {' or '.join(map(str, caps))} seeds"


def held(experiment: Experiment, declared: Sequence[Mapping[str, Any]]) -> Iterator[tuple[str, Setting]]:
    """The knobs that were held at one value in all ``declared`` conditions, which they do not have here."""
    for name in dict.fromkeys(name for condition in experiment.conditions for name in condition.settings):
        here = [c.settings[name] for c in experiment.conditions if name in c.settings]
        there = [settings[name] for settings in declared if name in settings]
        if there and all(value == there[0] for value in there) and any(value != there[0] for value in here):
            yield name, type(here[0])(there[0])  # JSON makes an integer of 1.0


def _check_numbers(seeds: int | None, master_seed: int) -> None:
    for name, value in (("seeds", seeds), ("master_seed", master_seed)):
        if value is not None and (isinstance(value, bool) or not isinstance(value, int)):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise UsageError(f"{name}={value!r} must be a whole number")
    if seeds is not None and seeds < 4:
        raise UsageError(f"seeds={seeds} is too few: fewer than 4 seeds cannot decide a cell; give 4 or more")
    if not 0 <= master_seed < 2**32:
        raise UsageError(f"master_seed={master_seed} must be a whole number from 0 to 2^32 - 1")


def at_levels(experiments: Sequence[Experiment], levels: Sequence[str]) -> list[Experiment]:
    """The experiments at these levels, all of them without any.

    Raises
    ------
    UnknownNameError
        If a level does not exist.
    NothingMatchedError
        If no experiment is left.
    """
    for level in levels:
        if level not in LEVELS:
            raise UnknownNameError("level", level, LEVELS)
    wanted = [experiment for experiment in experiments if not levels or experiment.level in levels]
    if not wanted:
        there = ", ".join(dict.fromkeys(e.level for e in experiments)) or "none"
        raise NothingMatchedError(f"no experiment at level {' or '.join(levels)}; there are experiments at: {there}")
    return wanted


def _narrow(
    wanted: Sequence[Experiment],
    measured: Set[str],
    settings: Mapping[str, Setting],
    seeds: int | None,
    quick: bool,
    machine: Machine,
) -> tuple[Experiment, ...]:
    """The experiments that were asked for, with the settings and caps that were asked for.

    Settings are checked where something that is asked for is ``measured``: the others do not run.
    """
    if quick:
        wanted = [replace(e, max_seeds=min(QUICK_SEEDS, e.max_seeds)) for e in wanted]
    known = {name: value for e in wanted for c in e.conditions for name, value in c.settings.items()}
    knobs = {name for e in wanted for name in e.ranges}
    free = {name: value for name, value in known.items() if isinstance(value, float) or name in knobs}
    for name in settings:
        if name in known and name not in free:
            raise UsageError(f"{name} is how the experiment is built, not a knob; knobs: {', '.join(sorted(free))}")
    changes = {name: _like(name, free, value) for name, value in settings.items()}
    changed = [e.with_settings(changes) for e in wanted]
    with machine.computing():  # a bound that is computed must not depend on the caller's precision
        for before, after in zip(wanted, changed, strict=True):
            if after.conditions != before.conditions and not measured.isdisjoint(after.observables):
                after.check(after.ranges)  # all of them: one setting may move the bound of another
    if seeds is None:
        return tuple(changed)
    most = min(seeds, QUICK_SEEDS) if quick else seeds
    return tuple(replace(e, max_seeds=most) for e in changed)


def _like(name: str, known: Mapping[str, Setting], value: Setting) -> Setting:
    """A setting's new value, in the type of the value that it replaces."""
    if name not in known:
        raise UnknownNameError("setting", name, sorted(known))
    kind = type(known[name])
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if type(value) is not kind:
        raise UsageError(f"{name}={value!r} must be a {kind.__name__}, like {known[name]!r}")
    return value


def tasks_of(idea: Idea, experiments: Sequence[Experiment], signatures: Sequence[Signature]) -> list[Task]:
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
    cap = f"{caps[0]}" if len(caps) == 1 else f"{caps[0]} or {caps[-1]}"
    counts = {"signature": len(signatures), "condition": sweep, "control": len(tasks) - sweep}
    there = ", ".join(f"{count} {noun}{'s' * (count != 1)}" for noun, count in counts.items())
    return f"{there} · seeds 4 to {cap}, stops when decided · {runner.machine}, {runner.precision}"
