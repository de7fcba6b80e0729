"""Where along a knob an idea stops holding: a search with few seeds, which proposes a narrower claim and proves none.

A search looks for the edge, so what it sees there is chosen by what it saw: it is exploratory. The claim that it
proposes must be verified on seeds that the search never drew. These are any seeds of `idealab.verify.verify`: all
randomness comes from the experiment's name and the master seed, and a search draws from a master seed of its own
(`search_seed`). Whoever has verified already, and now narrows the claim, verifies it at the next master seed.
"""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from numbers import Real
from pathlib import Path

from idealab import registry
from idealab.assess.comparison import checkpoints_of
from idealab.compute.run import Progress, Silence
from idealab.errors import NothingMatchedError, UnknownNameError, UsageError
from idealab.experiment import Experiment, Setting, show_setting
from idealab.explore.finding import Scope
from idealab.explore.search import Pipeline, Search, Span, values_of
from idealab.idea import Idea, Named
from idealab.ledger.store import Ledger
from idealab.prepare.request import DEFAULT_LEVELS, at_levels


def search_seed(master_seed: int) -> int:
    """The master seed from which a search draws: one that nobody would give to a verification by chance."""
    return int.from_bytes(hashlib.sha256(f"find_scope {master_seed}".encode()).digest()[:4], "big")


def find_scope(
    idea: str | Idea,
    knob: str,
    *,
    span: Span | None = None,
    experiments: Sequence[Experiment] | None = None,
    select: Sequence[str] = (),
    levels: Sequence[str] = (),
    settings: Mapping[str, Setting] | None = None,
    seeds: int = 16,
    steps: int = 20,
    master_seed: int = 0,
    ledger: Ledger | str | Path | None = None,
    record: bool = True,
    device: str | None = None,
    precision: str | None = None,
    progress: Progress | None = None,
) -> Scope:
    """Bracket the value of a knob where each signature stops holding.

    In every experiment that has the knob, its most favourable condition (the first of the sweep) is run at one value
    of the knob after another, all else as it is: outward through all values of the sweep, so that what fails and holds
    again is seen; on by factors of two as far as the ranges allow, until each signature was seen absent; then by
    bisection, until the value that is first absent differs from the one that is present by a factor of
    `idealab.judge.bracket.RESOLUTION` at most.

    Parameters
    ----------
    idea
        Its name, or an `Idea` of one's own (then ``experiments`` are needed).
    knob
        A setting that is a number.
    span
        From the most favourable value to the last one to look at; the first may be the larger one. All values of the
        sweep in between are tried. By default from the sweep's first value in the direction in which the sweep goes.
    experiments, select, levels, settings, master_seed, ledger, progress
        As for `idealab.verify.verify`.
    seeds
        Cap of seeds at one value.
    steps
        Cap of values tried in each experiment, at most half of them on the way outward; but the sweep's own values are
        all tried, however many they are.
    record
        False leaves no trace. Otherwise the ledger keeps what was observed, so that a search goes on where it was
        interrupted, but no verdict: a search is none on the idea.
    device, precision
        As for `idealab.verify.verify`.

    Returns
    -------
    Scope
        A finding for every signature in every experiment that has the knob.

    Raises
    ------
    UsageError
        If the request cannot be carried out; `UnknownNameError` and `NothingMatchedError` say so more precisely.
    LedgerError
        If evidence cannot be written.
    """
    started, watcher = time.monotonic(), progress or Silence()
    select, levels = ((names,) if isinstance(names, str) else tuple(dict.fromkeys(names)) for names in (select, levels))
    settings = dict(settings or {})
    _check(knob, span, settings, steps, master_seed)
    watcher.stage("deriving")
    theory = registry.load(idea) if isinstance(idea, str) else idea
    chosen = registry.load_experiments(theory.name) if experiments is None else tuple(experiments)
    registry.pair(theory, tuple(chosen))
    chosen = at_levels(chosen, levels or (DEFAULT_LEVELS if experiments is None else ()))
    _check_settings(chosen, knob, settings)
    store = Ledger.at(ledger) if record else None
    pipeline = Pipeline(_bare(theory), settings, seeds, search_seed(master_seed), store, watcher, device, precision)
    searches, left_out = _searches(pipeline, chosen, knob, span, steps, select)
    findings = [finding for search in searches for finding in search.findings((master_seed + 1) % 2**32)]
    return Scope(
        idea=theory.name,
        knob=knob,
        findings=tuple(findings),
        left_out=tuple(left_out),
        tried=sum(len(search.points) for search in searches),
        master_seed=master_seed,
        search_seed=pipeline.master_seed,
        cost=pipeline.cost(time.monotonic() - started),
    )


def _check(knob: str, span: Span | None, settings: Mapping[str, Setting], steps: int, master_seed: int) -> None:
    if span is not None and not (len(span) == 2 and all(map(_is_finite, span)) and span[0] != span[1]):
        shown = "..".join(map(show_setting, span))
        raise UsageError(f"{knob}={shown} must be two different finite numbers, the most favourable value first")
    if knob in settings:
        raise UsageError(f"{knob} cannot be held at {settings[knob]!r} and searched; leave one of the two out")
    for name, value, least in (("steps", steps, 2), ("master_seed", master_seed, 0)):
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value < 2**32:  # pyright: ignore[reportUnnecessaryIsInstance]
            raise UsageError(f"{name}={value!r} must be a whole number from {least} to 2^32 - 1")


def _is_finite(value: object) -> bool:
    return isinstance(value, Real) and math.isfinite(value)


def _check_settings(experiments: Sequence[Experiment], knob: str, settings: Mapping[str, Setting]) -> None:
    """Refuse a knob, or a setting to be held, that no experiment has, and a knob that is no number."""
    known = {name: value for e in reversed(experiments) for name, value in e.conditions[0].settings.items()}
    knobs = [name for name in known if any(_is_knob(e, name) for e in experiments)]
    for name, value in settings.items():
        if name not in known:
            raise UnknownNameError("setting", name, known)
        if type(value) is not type(known[name]) and (type(value), type(known[name])) != (int, float):
            raise UsageError(f"{name}={value!r} must be a {type(known[name]).__name__}, like {known[name]!r}")
    if knob not in known:
        raise UnknownNameError("knob", knob, knobs)
    if knob not in knobs:
        what = "no number" if isinstance(known[knob], (str, bool)) else "how the experiment is built, not a knob"
        raise UsageError(f"{knob}={known[knob]!r} is {what}; knobs: {', '.join(knobs) or 'none'}")


def _is_knob(experiment: Experiment, name: str) -> bool:
    """Whether a setting can be searched along: a float, or a whole number that is varied or has a declared range."""
    values = values_of(experiment, name)
    if not values or any(isinstance(value, (str, bool)) for value in values):
        return False
    return isinstance(values[0], float) or name in experiment.ranges or len(values) > 1


def _bare(idea: Idea) -> Idea:
    """The idea without rivals and controls, which would ask for seeds that say nothing about where it holds."""
    signatures = (replace(signature, rivals=Named()) for signature in idea.signatures.values())
    return replace(idea, signatures=Named(*signatures), assumptions=Named())


def _searches(
    pipeline: Pipeline,
    experiments: Sequence[Experiment],
    knob: str,
    span: Span | None,
    steps: int,
    names: Sequence[str],
) -> tuple[list[Search], list[str]]:
    """Search every experiment that can be searched, and say why others cannot."""
    left_out: list[str] = []
    planned: list[Search] = []
    signatures = [pipeline.idea.signatures[name] for name in names or pipeline.idea.signatures]
    for experiment in experiments:
        measured = [signature for signature in signatures if signature.observable in experiment.observables]
        if not measured or knob not in experiment.conditions[0].settings:
            continue
        # A claim along the knob, such as a trend, is not one about a single value of it.
        asked = [s for s in measured if s.criterion.along in ("", checkpoints_of(s, experiment)[0])]
        left_out += [f"{s.name} in {experiment.name}: it is claimed along a sweep" for s in measured if s not in asked]
        if problem := _unsearchable(experiment, knob, span):
            left_out.append(problem)
            continue
        search = Search(pipeline, experiment, knob, span, steps, tuple(s.name for s in asked))
        if search.obstacle:
            left_out.append(search.obstacle)
        elif asked:
            planned.append(search)
    if not planned and left_out:
        more = f" ({len(left_out) - 1} more cannot be searched either)" if len(left_out) > 1 else ""
        raise UsageError(left_out[0] + more)
    if not planned:
        raise NothingMatchedError(f"no experiment that has {knob} measures a signature that was asked for")
    for search in planned:
        search.run()
    asides = [_aside(search.experiment, knob, pipeline.settings) for search in planned]
    return planned, left_out + [words for words in asides if words]


def _aside(experiment: Experiment, knob: str, settings: Collection[str]) -> str:
    """Which conditions along the knob are not run as declared, as the knob alone moves; empty if there are none."""
    if len(values_of(experiment, knob)) == 1:
        return ""
    held = {knob, *settings}
    first, *rest = experiment.conditions
    names = dict.fromkeys(name for condition in experiment.conditions for name in condition.settings)
    differ = [n for n in names if n not in held and any(c.settings.get(n) != first.settings.get(n) for c in rest)]
    differ += ["data"] if any(condition.data is not first.data for condition in rest) else []
    if not differ:
        return ""
    return f"conditions of {experiment.name} that differ from {first} in more than the knob (in {', '.join(differ)})"


def _unsearchable(experiment: Experiment, knob: str, span: Span | None) -> str:
    """Why the knob cannot be searched in this experiment, with the way out; empty if it can."""
    values = values_of(experiment, knob)
    if not _is_knob(experiment, knob):
        return f"in {experiment.name} {knob}={values[0]!r} is how the experiment is built, not a knob"
    if experiment.refinement is not None and experiment.refinement[0] == knob:
        return f"{experiment.name} refines {knob} until it makes no difference; search another knob"
    if span is not None:
        return ""
    first, last = values[0], values[-1] if values[-1] != values[0] else 10 * values[0] or 1
    way_out = f"say how far to look, such as --find-scope {knob}={show_setting(first)}..{show_setting(last)}"
    if len(values) == 1:
        return f"the sweep of {experiment.name} has one value of {knob}, {show_setting(first)}; {way_out}"
    if values not in (sorted(values), sorted(values, reverse=True)):
        shown = ", ".join(map(show_setting, values))
        return f"{knob} goes up and down along the sweep of {experiment.name} ({shown}); {way_out}"
    return ""
