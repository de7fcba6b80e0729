"""What a search for the scope found: where along a knob each signature holds, and the claim that this suggests."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from idealab.experiment import show_setting
from idealab.judge.cells import CellVerdict
from idealab.verification import Cost

Status = Literal["holds everywhere looked", "breaks", "never held", "undecided"]


@dataclass(frozen=True)
class Point:
    """What one signature came to at one value of the knob.

    ``deviation``, in tolerances, ``checkpoint`` and ``note`` are those of the cell that is furthest from present.
    """

    value: float
    verdict: CellVerdict
    deviation: float
    seeds: int
    checkpoint: str = ""
    note: str = ""


@dataclass(frozen=True)
class Finding:
    """Where along the knob one signature holds in one experiment.

    Parameters
    ----------
    outward
        1 if the knob grows away from its most favourable value, -1 if it falls.
    condition
        The condition that was run at other values of the knob.
    points
        What was seen, the most favourable value first.
    edge
        Why no value further out may be set; empty if the search ended for another reason.
    fresh
        A master seed at which the narrowed claim may be verified.
    """

    signature: str
    experiment: str
    level: str
    primary: bool
    knob: str
    outward: int
    condition: str
    points: tuple[Point, ...]
    edge: str = ""
    fresh: int = 1

    @property
    def status(self) -> Status:
        """What can be said: a bracket takes presence at the most favourable value, and absence further out."""
        verdicts = [point.verdict for point in self.points]
        if all(verdict == "present" for verdict in verdicts):
            return "holds everywhere looked"
        if verdicts[0] == "present" and "absent" in verdicts:
            return "breaks"
        return "never held" if verdicts[0] == "absent" and "present" not in verdicts else "undecided"

    @property
    def last(self) -> Point | None:
        """The last of the leading values at which it is present."""
        leading = next((k for k, point in enumerate(self.points) if point.verdict != "present"), len(self.points))
        return self.points[leading - 1] if leading else None

    @property
    def first(self) -> Point | None:
        """The first value at which it is absent."""
        return next((point for point in self.points if point.verdict == "absent"), None)

    @property
    def between(self) -> tuple[Point, ...]:
        """What was seen from the last present to the first absent value, both included; all else lies undecided."""
        if self.status != "breaks" or self.last is None or self.first is None:
            return ()
        return self.points[self.points.index(self.last) : self.points.index(self.first) + 1]

    @property
    def gaps(self) -> tuple[tuple[float, float], ...]:
        """Where one more value could narrow the bracket: next to its ends."""
        values = [point.value for point in self.between]
        return ((values[0], values[1]), (values[-2], values[-1])) if values else ()

    @property
    def recurs(self) -> tuple[Point, ...]:
        """Where it is present again beyond the first absent value."""
        beyond = self.points[self.points.index(self.first) :] if self.first is not None else ()
        return tuple(point for point in beyond if point.verdict == "present")

    @property
    def scope(self) -> str:
        """The scope in which it was seen to hold: ``a <= 3``; empty if it was not at the most favourable value."""
        if self.last is None:
            return ""
        return f"{self.knob} {'<=' if self.outward > 0 else '>='} {show_setting(self.last.value)}"

    @property
    def words(self) -> str:
        """What was found, and the claim that it suggests, in words that follow the signature's name."""
        return _WORDS[self.status](self)

    @property
    def proposal(self) -> str:
        """What was found, and the claim that it suggests, as a sentence."""
        return f"{self.signature} {self.words}"

    def to_dict(self) -> dict[str, Any]:
        """One finding of the document that ``verify --find-scope --json`` prints."""
        return {
            **{
                name: getattr(self, name)
                for name in ("signature", "experiment", "level", "primary", "condition", "outward")
            },
            "status": self.status,
            "last_present": None if self.last is None else self.last.value,
            "first_absent": None if self.first is None else self.first.value,
            "recurs": tuple(point.value for point in self.recurs),
            "edge": self.edge,
            "proposal": self.proposal,
            "points": tuple(dataclasses.asdict(point) for point in self.points),
        }


@dataclass(frozen=True)
class Scope:
    """What a search along one knob found; it is exploratory, and proves nothing.

    ``left_out`` says in words what could not be searched, ``tried`` counts the values of the knob at which something
    was run. All randomness comes from ``search_seed``, which follows from ``master_seed``.
    """

    idea: str
    knob: str
    findings: tuple[Finding, ...]
    left_out: tuple[str, ...]
    tried: int
    master_seed: int
    search_seed: int
    cost: Cost

    @property
    def together(self) -> dict[str, Finding]:
        """By experiment, the primary signature that narrows the scope of the idea most, where there are several."""
        experiments = dict.fromkeys(finding.experiment for finding in self.findings)
        return {name: first for name in experiments if (first := _narrowest(self._primary(name))) is not None}

    def _primary(self, experiment: str) -> list[Finding]:
        return [finding for finding in self.findings if finding.primary and finding.experiment == experiment]

    @property
    def found(self) -> bool:
        """Whether anything was bracketed, or holds everywhere."""
        return any(finding.status in ("breaks", "holds everywhere looked") for finding in self.findings)

    def to_dict(self) -> dict[str, Any]:
        """The document that ``verify --find-scope --json`` prints."""
        fields = {name: getattr(self, name) for name in ("idea", "knob", "left_out", "tried")}
        seeds = {"master_seed": self.master_seed, "search_seed": self.search_seed}
        findings = tuple(finding.to_dict() for finding in self.findings)
        together = {name: finding.scope for name, finding in self.together.items()}
        return {**fields, "findings": findings, "together": together, **seeds, "cost": dataclasses.asdict(self.cost)}

    def __str__(self) -> str:
        return "\n".join(f"{finding.experiment}: {finding.proposal}" for finding in self.findings)


def _narrowest(findings: Sequence[Finding]) -> Finding | None:
    """The signature that stops holding first; None if fewer than two hold at all, or none was seen to stop."""
    lasting = [finding for finding in findings if finding.last is not None]
    stopping = [finding for finding in lasting if finding.status != "holds everywhere looked"]
    if len(lasting) < len(findings) or len(findings) < 2 or not stopping:
        return None
    return min(stopping, key=lambda finding: finding.outward * (finding.last.value if finding.last else 0.0))


def _listed(points: Sequence[Point]) -> str:
    values = [show_setting(point.value) for point in points]
    return ", ".join(values if len(values) <= 5 else [*values[:3], "…", values[-1]])


def _breaks(finding: Finding) -> str:
    start, last, first = finding.points[0], finding.between[0], finding.between[-1]
    knob, at, way = finding.knob, show_setting(last.value), "up" if finding.outward > 0 else "down"
    where = f"at {knob}={at}" if last is start else f"for {knob} from {show_setting(start.value)} {way} to {at}"
    if finding.recurs:
        absent = [point for point in finding.points if point.verdict == "absent"]
        where += f", fails at {_listed(absent)} and holds again at {_listed(finding.recurs)}: there is no single edge"
    beside = f" ({'; '.join(_beside(finding))})" if _beside(finding) else ""
    crashed = f"; at {knob}={show_setting(first.value)}, {first.note}" if first.note else ""
    crashed += ", which may be the simulation's fault" if crashed else ""
    claim = "the first stretch alone" if finding.recurs else "it"
    return (
        f'holds {where}{beside}{crashed}; to claim {claim}: scope "{finding.scope}", '
        f"conditions {way} to {knob}={at}, and verify on fresh seeds (--master-seed {finding.fresh})"
    )


def _beside(finding: Finding) -> list[str]:
    """What was seen further out, but for what is said of a signature that holds again past an absent value."""
    undecided = [point for point in finding.points if point.verdict == "undecided"]
    inside = [point for point in finding.between[1:] if point.verdict == "present"]
    seen = [] if finding.recurs else [f"absent from {show_setting(finding.between[-1].value)}"]
    seen += [f"undecided at {_listed(undecided)}, where more seeds may decide"] if undecided else []
    return seen + ([f"present at {_listed(inside)}"] if inside else [])


def _holds(finding: Finding) -> str:
    first, last = finding.points[0], finding.points[-1]
    edge = f", the edge of what may be set: {finding.edge}" if finding.edge else ""
    where = f"from {finding.knob}={show_setting(first.value)} to {show_setting(last.value)}"
    return f"holds everywhere looked, {where}{edge}"


def _never(finding: Finding) -> str:
    first = finding.points[0]
    note = f" ({first.note})" if first.note else ""
    where = f"at {finding.knob}={show_setting(first.value)}, the most favourable value"
    return f"never held: it is absent {where}{note}; there is no scope to propose"


def _undecided(finding: Finding) -> str:
    knob, first = finding.knob, finding.points[0]
    seen = {verdict: [point for point in finding.points if point.verdict == verdict] for verdict in _VERDICTS}
    found = "; ".join(f"{verdict} at {_listed(points)}" for verdict, points in seen.items() if points)
    if first.verdict == "absent":
        way_out = f"begin where it holds: --find-scope {knob}={_listed(seen['present'][:1])}..{_listed([first])}"
    elif note := seen["undecided"][0].note:
        way_out = note
    else:
        way_out = f"more seeds may decide it: --seeds {4 * max(point.seeds for point in finding.points)}"
    return f"was not bracketed for {knob}: {found}; {way_out}"


_VERDICTS: tuple[CellVerdict, ...] = ("present", "undecided", "absent")
_WORDS = {"breaks": _breaks, "holds everywhere looked": _holds, "never held": _never, "undecided": _undecided}
