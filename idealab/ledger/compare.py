"""Two records side by side: what was declared, where it ran, what came out, and whether within the tolerance.

Numbers are compared by tolerance, never by hash: the same seeds on other devices differ by rounding, and other seeds by
chance.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, cast

from idealab.errors import LedgerError, UsageError
from idealab.ledger.difference import Difference, differences
from idealab.ledger.records import BATCH, DECLARATION
from idealab.ledger.store import Ledger

_ROUNDING = 1e-9  # relative; formulas of well-posed theories lose six digits of sixteen at most
_DEVICES = 1e-6  # relative; what the same seeds differ by on other devices, with room


class Number(NamedTuple):
    """What one cell came to."""

    predicted: float
    measured: float
    standard_error: float
    tolerance: float
    deviation: float
    verdict: str
    seeds: int

    @property
    def words(self) -> str:
        """In one line."""
        return f"{self.verdict}, {self.deviation:.3g} tolerances off, {self.seeds} seeds"


_NUMBERS = ("predicted", "measured", "standard_error", "tolerance", "deviation")


@dataclass(frozen=True)
class Comparison:
    """What differs between two records of one kind.

    Attributes
    ----------
    declaration, environment, conclusion
        The fields in which they differ.
    cells
        How many cells both have.
    apart
        Where these do not agree (`close`): the cell, and what each says of it.
    largest
        The largest difference, in tolerances, between cells that are present in both; of two batches relative to the
        largest number; NaN without any.
    alone
        Cells that only one of them has, with the letter ``A`` or ``B``.
    """

    kind: str
    declaration: tuple[Difference, ...]
    environment: tuple[Difference, ...]
    conclusion: tuple[Difference, ...]
    cells: int = 0
    apart: tuple[tuple[str, str, str], ...] = ()
    largest: float = math.nan
    alone: tuple[tuple[str, str], ...] = ()

    @property
    def agree(self) -> bool:
        """Whether nothing that both were asked came out differently."""
        return not self.apart and not [d for d in self.conclusion if d.where == "verdict"]

    def to_dict(self) -> dict[str, Any]:
        """The document that ``ledger compare --json`` prints."""
        fields = {name: [d._asdict() for d in getattr(self, name)] for name in ("declaration", "environment")}
        return {
            "kind": self.kind,
            "agree": self.agree,
            **fields,
            "conclusion": [difference._asdict() for difference in self.conclusion],
            "cells": self.cells,
            "largest": self.largest,
            "apart": [{"where": where, "a": one, "b": other} for where, one, other in self.apart],
            "alone": [{"where": where, "in": letter} for where, letter in self.alone],
        }


def compare(ledger: Ledger, one: str, other: str) -> Comparison:
    """Compare two verifications, two declarations or two batches, by their full names.

    Raises
    ------
    UsageError
        If they are of different kinds.
    LedgerError
        If one is damaged, or its result is not of the form that this version knows.
    """
    records = ledger.get(one), ledger.get(other)
    kinds = [record["schema"] for record in records]
    if kinds[0] != kinds[1]:
        names = [kind.split("/")[1] for kind in kinds]
        raise UsageError(f"{one[:12]} is a {names[0]} and {other[:12]} a {names[1]}; give two of one kind")
    if kinds[0] == DECLARATION:
        return Comparison("declaration", _declared(*records), (), ())
    declared = tuple(_declared(*(_parent(ledger, record) for record in records)))
    if kinds[0] == BATCH:
        return _batches(declared, *records)
    try:
        return _verifications(declared, *(record["result"] for record in records))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise LedgerError(
            f"{one[:12]} or {other[:12]} does not say its result as this version does ({error!r}); "
            f"compare them with the version that wrote them"
        ) from error


def _parent(ledger: Ledger, record: Mapping[str, Any]) -> Mapping[str, Any]:
    """The declaration that a record rests on; its name alone, where it is not there."""
    try:
        return ledger.get(record["parents"][0])
    except LedgerError:
        return {"idea": record["idea"], "content": {"sha256": record["parents"][0]}}


def _declared(one: Mapping[str, Any], other: Mapping[str, Any]) -> tuple[Difference, ...]:
    found = _differ(one, other, ("idea", "content"))
    return tuple(line._replace(where=line.where.removeprefix("content.")) for line in found)


def _differ(one: Mapping[str, Any], other: Mapping[str, Any], names: Sequence[str]) -> tuple[Difference, ...]:
    """The differences in the fields of these names."""
    return tuple(differences({name: one.get(name) for name in names}, {name: other.get(name) for name in names}))


def _verifications(declared: tuple[Difference, ...], one: Mapping[str, Any], other: Mapping[str, Any]) -> Comparison:
    before, after = numbers_of(one), numbers_of(other)
    both = [where for where in before if where in after]
    standing = [(before[w], after[w]) for w in both if before[w].verdict == after[w].verdict == "present"]
    return Comparison(
        "verification",
        declared,
        tuple(differences(one["environment"], other["environment"])),
        tuple(differences(_concluded(one), _concluded(other))),
        len(both),
        tuple((w, before[w].words, after[w].words) for w in both if close(before[w], after[w])),
        max((d for pair in standing if not math.isnan(d := distance(*pair))), default=math.nan),
        (*((w, "A") for w in before if w not in after), *((w, "B") for w in after if w not in before)),
    )


_IDEA = ("verdict", "scope", "evidence_log10", "gates", "cut_short", "statement", "remarks", "hints")
_SIGNATURE = (
    "statement",
    "level",
    "primary",
    "formula",
    "known",
    "criterion",
    "tolerance",
    "reason",
    "verdict",
    "scope",
)
_FURTHER = ("refuted_as_stated", "recurs", "rivals_standing")
_CONTROL = ("statement", "condition", "expected", "seen", "ok")


def _concluded(result: Mapping[str, Any]) -> dict[str, Any]:
    """What was claimed and found, without the numbers that chance gives to every run."""
    mutants: Mapping[str, Any] = result.get("mutants") or {}
    return {
        **{name: result.get(name) for name in _IDEA},
        "signatures": [
            {
                "name": f"{one['name']} in {one['experiment']}",
                **{name: one.get(name) for name in (*_SIGNATURE, *_FURTHER)},
            }
            for one in result["signatures"]
        ],
        "controls": [
            {"name": f"without {one['assumption']}", **{name: one.get(name) for name in _CONTROL}}
            for one in result["controls"]
        ],
        "mutants": {name: mutants.get(name) for name in ("total", "killed", "unresolvable", "unseen")},
    }


def numbers_of(result: Mapping[str, Any]) -> dict[str, Number]:
    """What every cell of a verification came to, by its place in words; those of the controls too."""
    found: dict[str, Number] = {}
    asked = [(signature, "") for signature in result["signatures"]]
    for control in result["controls"]:
        rival = [control["rival"]] if control["rival"] is not None else []
        asked += [(signature, f"without {control['assumption']}: ") for signature in (*control["signatures"], *rival)]
    for signature, before in asked:
        for cell in signature["cells"]:
            parts = (f"{before}{signature['name']} in {signature['experiment']}", cell["condition"], cell["checkpoint"])
            numbers = {
                name: float(cell[name])
                for name in ("predicted", "measured", "standard_error", "tolerance", "deviation")
            }
            where = ", ".join(filter(None, parts))
            if where in found:
                raise ValueError(f"{where!r} is there twice")
            found[where] = Number(**numbers, verdict=str(cell["verdict"]), seeds=int(cell["seeds"]))
    return found


def distance(one: Number, other: Number) -> float:
    """How far apart two cells are, in tolerances; of the first, where they were declared differently.

    What is compared is how far each is from its own prediction: other seeds have other predictions.
    """
    if _near(one.tolerance, other.tolerance, 0.0) or math.isnan(other.tolerance):
        return abs(one.deviation - other.deviation)
    off = [number.measured - number.predicted for number in (one, other)]
    return abs(off[0] - off[1]) / one.tolerance if one.tolerance else math.nan


def close(one: Number, other: Number) -> str:
    """In words, why two cells do not agree; empty if they do.

    They do not where one is present and the other absent, or where they lie further apart than the tolerance and than
    three standard errors. Where the theory is absent in both, by how much is no matter.
    """
    if {one.verdict, other.verdict} == {"present", "absent"}:
        return f"{one.verdict} and {other.verdict}"
    if one.verdict == other.verdict == "absent":
        return ""
    apart, chance = distance(one, other), math.hypot(one.standard_error, other.standard_error)
    by_chance = 3 * chance / one.tolerance if one.tolerance and not math.isnan(chance) else 0.0
    return f"{apart:.3g} tolerances apart" if apart > max(1.0, by_chance) else ""


def _near(one: float, other: float, room: float) -> bool:
    if math.isnan(one) or math.isnan(other):
        return math.isnan(one) and math.isnan(other)
    if math.isinf(one) or math.isinf(other):
        return one == other
    return abs(one - other) <= max(0.0 if math.isnan(room) else room, _ROUNDING * max(abs(one), abs(other)))


def _batches(declared: tuple[Difference, ...], one: Mapping[str, Any], other: Mapping[str, Any]) -> Comparison:
    said = _differ(one, other, ("experiment", "condition", "master_seed", "first_seed", "seeds"))
    there = _differ(one, other, ("environment", "precision"))
    before, after = (dict(_arrays(record["observation"])) for record in (one, other))
    gaps = {where: _gap(before[where], after[where]) for where in before if where in after}
    apart = tuple((w, f"{g:.3g} apart", "relative to the largest") for w, g in gaps.items() if not g <= _DEVICES)
    alone = [(w, "A") for w in before if w not in after] + [(w, "B") for w in after if w not in before]
    return Comparison("batch", declared, there, said, len(gaps), apart, max(gaps.values(), default=0.0), tuple(alone))


def largest_difference(one: Mapping[str, Any], other: Mapping[str, Any]) -> float:
    """By how much the numbers of two observations differ at most, relative to the largest of their array."""
    before, after = dict(_arrays(one)), dict(_arrays(other))
    return max((_gap(before[where], after[where]) for where in before if where in after), default=math.inf)


def _gap(one: Sequence[float], other: Sequence[float]) -> float:
    """The largest difference between two arrays, relative to their largest number; infinite where one has none."""
    if len(one) != len(other):
        return math.inf
    size = max((abs(x) for x in (*one, *other) if math.isfinite(x)), default=0.0) or 1.0
    return max((_apart(a, b) / size for a, b in zip(one, other, strict=True)), default=0.0)


def _apart(one: float, other: float) -> float:
    if math.isfinite(one) and math.isfinite(other):
        return abs(one - other)
    return 0.0 if one == other or (math.isnan(one) and math.isnan(other)) else math.inf


def _arrays(observation: Mapping[str, Any]) -> Iterator[tuple[str, list[float]]]:
    for part in ("parameters", "observables"):
        for name, values in observation[part].items():
            yield f"{part}.{name}", list(_flat(values))


def _flat(values: Any) -> Iterator[float]:
    if isinstance(values, list):
        for value in cast("list[Any]", values):
            yield from _flat(value)
    else:
        yield float(values)
