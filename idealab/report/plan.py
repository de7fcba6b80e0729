"""Draws a plan: what each condition will take, and the whole."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

from rich.text import Text

from idealab.report import number
from idealab.report.table import Column, fit, paragraph, rows

if TYPE_CHECKING:
    from idealab.prepare.plan import Plan

_UNKNOWN = 10**6
"""Seeds from which on a plan says that it does not know, as after a pilot that is all over the place."""


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
        Column("80 % interval", tuple(Text(_interval(c.low, c.high)) for c in conditions), right=True),
        Column("more time", tuple(Text(number.duration(c.seconds)) for c in conditions), right=True),
        Column("gradients", tuple(Text(_many(c.gradient_evaluations)) for c in conditions), right=True),
    ]
    yield from rows(fit(columns, width, spare=("gradients", "there")))
    yield Text()
    yield from paragraph(_whole(found), width)
    for words in _notes(found):
        yield from paragraph(words, width, first="note: ")


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
        beyond = [c for c in found.conditions if c.experiment == experiment and c.seeds > c.cap]
        unknown = [c for c in beyond if c.seeds >= _UNKNOWN]
        if unknown:
            where = ", ".join(c.condition for c in unknown)
            yield f"{experiment}: the seeds of the pilot differ too much to tell how many it takes for {where}"
        if low := [c for c in beyond if c.seeds < _UNKNOWN]:
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


def _interval(low: int, high: int) -> str:
    return " to ".join("?" if count >= _UNKNOWN else f"{count}" for count in (low, high))


def _seeds(count: int, cap: int) -> str:
    if count >= _UNKNOWN:
        return f"? > {cap}"
    return f"{count}" if count <= cap else f"{count} > {cap}"
