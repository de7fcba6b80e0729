"""Draws a plan: what each condition will take, and the whole."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

from rich.text import Text

from idealab.report import number
from idealab.report.table import Column, fit, paragraph, rows

if TYPE_CHECKING:
    from idealab.plan import Plan

_PROSE = 100


def plan(found: Plan, width: int) -> Iterator[Text]:
    """Draw a plan for a terminal."""
    yield Text.assemble((found.idea, "bold"), f"   what a verdict will cost, declared {found.declaration[:8]}")
    yield Text()
    conditions = found.conditions
    columns = [
        Column("experiment", tuple(Text(c.experiment) for c in conditions)),
        Column("condition", tuple(Text(c.condition) for c in conditions)),
        Column("there", tuple(Text(str(c.done)) for c in conditions), right=True),
        Column("seeds", tuple(Text(_seeds(c.seeds, c.cap)) for c in conditions), right=True),
        Column("80 % interval", tuple(Text(f"{c.low} to {c.high}") for c in conditions), right=True),
        Column("more time", tuple(Text(number.duration(c.seconds)) for c in conditions), right=True),
        Column("gradients", tuple(Text(_many(c.gradient_evaluations)) for c in conditions), right=True),
    ]
    yield from rows(fit(columns, width, spare=("gradients", "there", "80 % interval")))
    yield Text()
    yield from paragraph(_whole(found), min(width, _PROSE))
    for words in _notes(found):
        yield from paragraph(words, min(width, _PROSE), first="note: ")


def _whole(found: Plan) -> str:
    there = sum(condition.done for condition in found.conditions)
    if found.seeds[1] <= there:
        return f"Nothing is left to run: {number.count(there, 'seed')} are there, and all that can be decided is."
    low, planned, high = map(number.duration, found.seconds)
    seeds, gradients = found.seeds, [_many(value) for value in found.gradient_evaluations]
    return (
        f"About {planned} more ({low} to {high}), after a pilot of {number.duration(found.pilot_seconds)}: "
        f"{seeds[1]} seeds ({seeds[0]} to {seeds[2]}) and {gradients[1]} gradient evaluations ({gradients[0]} to "
        f"{gradients[2]}). What is decided early stops early; the pilot's seeds are the first of the run."
    )


def _notes(found: Plan) -> Iterator[str]:
    """Where the caps are too low, and what tolerance they or the budget reach."""
    for experiment in dict.fromkeys(condition.experiment for condition in found.conditions):
        low = [c for c in found.conditions if c.experiment == experiment and c.seeds > c.cap]
        if low:
            yield (
                f"{experiment}: the declared cap of {low[0].cap} is likely too low for "
                f"{', '.join(c.condition for c in low)}; {max(c.suggested_cap for c in low)} would do (--seeds)"
            )
    # Time may be left over where the caps end the run.
    spent = found.budget is not None and found.seconds[1] > found.budget - found.pilot_seconds
    within = f"a budget of {number.duration(found.budget or 0)}" if spent else "the declared caps"
    for reach in found.reach:
        factor = f"{reach.times_tolerance:.2g} times the declared tolerance"
        what = factor if math.isfinite(reach.times_tolerance) else "nothing"
        yield f"{reach.signature} in {reach.experiment}: {within} would decide {what}"
    if found.budget is not None and not spent:
        yield f"a budget of {number.duration(found.budget)} is enough for these seeds"


def _many(count: float) -> str:
    return f"{count:.0f}" if count < 1e6 else f"{count:.1e}"


def _seeds(count: int, cap: int) -> str:
    return f"{count}" if count <= cap else f"{count} > {cap}"
