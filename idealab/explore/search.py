"""The search along a knob in one experiment: the existing pipeline at one value after another."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from idealab.compute.devices import machine_of
from idealab.compute.run import Progress
from idealab.errors import UsageError
from idealab.experiment import Condition, Experiment, Setting, show_setting
from idealab.explore.finding import Finding, Point
from idealab.idea import Idea
from idealab.judge.bracket import is_narrow, ladder, middle, outward, width
from idealab.ledger.records import VERIFICATION, digest
from idealab.ledger.store import Ledger
from idealab.verification import Cost, SignatureResult
from idealab.verify import verify

Span = tuple[float, float]


def values_of(experiment: Experiment, knob: str) -> list[Any]:
    """The values of a setting in the order of the sweep."""
    return list(dict.fromkeys(c.settings[knob] for c in experiment.conditions if knob in c.settings))


class _Unjudged(Ledger):
    """A ledger that keeps what was observed but no verdicts: those of a search are none on the idea."""

    def put(self, document: Mapping[str, Any]) -> str:
        return digest(document) if document["schema"] == VERIFICATION else super().put(document)


class _Relay(Progress):
    """Tells the watcher of a search about the runs that it is made of, as if they were one."""

    def __init__(self, watcher: Progress) -> None:
        self.watcher, self.said = watcher, set[str]()
        self.before = self.blocks = 0

    def planned(self, steps: int) -> None:
        self.watcher.planned(self.before + steps)

    def step(self, words: str) -> None:
        self.blocks += 1
        self.watcher.step(words)

    def warn(self, words: str) -> None:
        if words not in self.said:
            self.watcher.warn(words)
        self.said.add(words)


@dataclass
class Pipeline:
    """The existing pipeline, run on one condition at a time, always in the same way.

    Parameters
    ----------
    settings
        Settings to hold at a value, wherever there are such.
    seeds
        Cap of seeds at one value.
    ledger
        Where observations are kept; None keeps nothing.
    """

    idea: Idea
    settings: Mapping[str, Setting]
    seeds: int
    master_seed: int
    ledger: Ledger | None
    watcher: Progress
    device: str | None = None
    precision: str | None = None
    costs: list[Cost] = field(default_factory=list[Cost])

    def __post_init__(self) -> None:
        self._relay = _Relay(self.watcher)
        self._ledger = None if self.ledger is None else _Unjudged(self.ledger.path)

    def held(self, condition: Condition) -> Condition:
        """The condition with the settings that are to be held."""
        known = condition.settings
        here = {name: value for name, value in self.settings.items() if name in known}
        if not here:
            return condition
        typed = {name: float(v) if type(v) is int and type(known[name]) is float else v for name, v in here.items()}
        return condition.but(condition.label if condition.data is not None else "", **typed)

    def judge(
        self, experiment: Experiment, condition: Condition, names: Sequence[str]
    ) -> Mapping[str, SignatureResult]:
        """What each signature comes to in one condition."""
        self.watcher.stage(f"{experiment.name}: {condition}")
        self._relay.before = self._relay.blocks
        found = verify(
            self.idea,
            experiments=(replace(experiment, conditions=(condition,), toggles={}),),
            select=names,
            settings={name: value for name, value in self.settings.items() if name in condition.settings},
            seeds=self.seeds,
            master_seed=self.master_seed,
            ledger=self._ledger,
            record=self._ledger is not None,
            mutants=False,  # they would say what the experiment can tell apart, not where the theory holds
            device=self.device,
            precision=self.precision,
            progress=self._relay,
        )
        self.costs.append(found.cost)
        return {signature.name: signature for signature in found.signatures}

    def cost(self, seconds: float) -> Cost:
        """What all runs took."""
        return Cost(
            seconds=seconds,
            seeds=sum(cost.seeds for cost in self.costs),
            gradient_evaluations=sum(cost.gradient_evaluations for cost in self.costs),
            reused_seeds=sum(cost.reused_seeds for cost in self.costs),
        )


class Search:
    """The search in one experiment: one run at a value of the knob judges all signatures there."""

    def __init__(
        self,
        pipeline: Pipeline,
        experiment: Experiment,
        knob: str,
        span: Span | None,
        steps: int,
        names: tuple[str, ...],
    ) -> None:
        self.pipeline, self.experiment, self.knob, self.steps, self.names = pipeline, experiment, knob, steps, names
        self.values = values_of(experiment, knob)
        kind = round if isinstance(self.values[0], int) else float
        self.span = None if span is None else (kind(span[0]), kind(span[1]))
        first, last = self.span or (self.values[0], self.values[-1])
        self.outward = 1 if last > first else -1
        ends = sorted(self.span or (-math.inf, math.inf))
        self.declared = [value for value in self.values if ends[0] <= value <= ends[1]]
        self.points: dict[float, Mapping[str, Point]] = {}
        self.edge = ""

    @property
    def obstacle(self) -> str:
        """Why the search cannot begin; empty if it can."""
        if self.span is None:
            return ""
        if self.span[0] == self.span[1]:
            return f"{self.knob} is a whole number in {self.experiment.name}, and the span holds only {self.span[0]}"
        return self._forbidden(self.span[0])

    @property
    def surprise(self) -> str:
        """What the direction of the span takes for granted against the sweep; empty if they agree."""
        if self.span is None or (self.values[-1] - self.values[0]) * self.outward >= 0:
            return ""
        first, last = map(show_setting, self.span)
        return (
            f"{self.knob}={first}..{last} runs against the sweep of {self.experiment.name}: "
            f"{first} is taken for the most favourable value"
        )

    def run(self) -> None:
        """Outward until every signature that holds at first was seen absent, then closer to where that begins.

        Every declared value is tried on the way, whatever was seen before it: what fails may hold again.
        """
        if self.surprise:
            self.pipeline.watcher.warn(self.surprise)
        self._walk()
        first, second, *_ = self.values if self.span is None else ladder(*self.span)
        step = abs(second - first)
        while len(self.points) < self.steps:
            gaps = [gap for finding in self.findings() for gap in finding.gaps if not is_narrow(*gap, step)]
            if not gaps:
                return
            self._try(middle(*max(gaps, key=lambda gap: width(*gap, step))))

    def findings(self, fresh: int = 0) -> list[Finding]:
        """One for each signature; ``fresh`` is a master seed at which the narrowed claim may be verified."""
        return [self._finding(name, fresh) for name in self.names]

    def _finding(self, name: str, fresh: int) -> Finding:
        signature = self.pipeline.idea.signatures[name]
        return Finding(
            signature=name,
            experiment=self.experiment.name,
            level=self.experiment.level,
            primary=signature.primary,
            knob=self.knob,
            outward=self.outward,
            condition=str(self.pipeline.held(self.experiment.conditions[0])),
            points=tuple(self.points[value][name] for value in sorted(self.points, key=lambda v: v * self.outward)),
            edge=self.edge,
            fresh=fresh,
        )

    def _rungs(self) -> Iterator[float]:
        """Every declared value, each in place of the nearest one that a span or factors of two would have added."""
        if self.span is None:
            yield from self.values
            yield from outward(*self.values[-2:])
            return
        rungs = list(ladder(*self.span))
        replaced = {min(rungs, key=lambda rung: abs(rung - value)) for value in self.declared} - {*self.span}
        yield from sorted({*rungs} - replaced | {*self.declared}, key=lambda value: value * self.outward)

    def _walk(self) -> None:
        """Outward through all declared values, and others while they are wanted; no further than is allowed."""
        allowed: float | None = None
        for value in self._rungs():
            if value not in self.declared and not self._wanted():
                if self.points.keys() >= {*self.declared}:
                    return
                continue
            self.edge = "" if allowed is None else self._forbidden(value)
            if self.edge and allowed is not None:
                if self._lasting() and (furthest := self._last_allowed(allowed, value)) not in self.points:
                    self._try(furthest)
                return
            self._try(value)
            allowed = value

    def _wanted(self) -> bool:
        """Whether one more value outward may be tried that nobody declared."""
        return not self.points or (len(self.points) < max(2, self.steps // 2) and self._lasting())

    def _lasting(self) -> bool:
        """Whether a signature is left that held at first and was not yet absent."""
        return any(finding.last and not finding.first for finding in self.findings())

    def _at(self, value: float) -> Condition:
        """The most favourable condition at another value of the knob."""
        first = self.pipeline.held(self.experiment.conditions[0])
        return first.but(f"{self.knob}={show_setting(value)}", **{self.knob: value})

    def _forbidden(self, value: float) -> str:
        """Why the knob may not be set to this value; empty if it may. The range of another setting may say so."""
        with machine_of(self.pipeline.device, self.pipeline.precision).computing():
            try:
                replace(self.experiment, conditions=(self._at(value),), toggles={}).check(self.experiment.ranges)
            except UsageError as error:
                return str(error)
        return ""

    def _last_allowed(self, allowed: float, forbidden: float) -> float:
        """About the last value that may be set, on the way from one that may to one that may not."""
        for _ in range(12):  # towards zero no ratio would do
            if abs(forbidden - allowed) <= (1 if isinstance(allowed, int) else 0.01 * abs(allowed)):
                break
            between = middle(allowed, forbidden)
            allowed, forbidden = (allowed, between) if self._forbidden(between) else (between, forbidden)
        return allowed

    def _try(self, value: float) -> None:
        judged = self.pipeline.judge(self.experiment, self._at(value), self.names)
        self.points[value] = {name: _point(value, judged[name]) for name in self.names}


def _point(value: float, result: SignatureResult) -> Point:
    verdict = result.verdict if result.verdict in ("present", "absent") else "undecided"
    cell = result.weakest
    return Point(value, verdict, cell.deviation, result.seeds, cell.checkpoint, cell.note)
