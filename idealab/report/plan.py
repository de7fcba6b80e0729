"""Draws a plan: what each condition will take, and the whole."""

from __future__ import annotations

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
        Column("80 % interval", tuple(Text(f"{c.low} to {_seeds(c.high, c.cap)}") for c in conditions), right=True),
        Column("more computing", tuple(Text(number.duration(c.seconds)) for c in conditions), right=True),
        Column("gradients", tuple(Text(f"{c.gradient_evaluations:.1e}") for c in conditions), right=True),
    ]
    yield from rows(fit(columns, width, spare=("gradients", "80 % interval", "there")))
    yield Text()
    low, planned, high = found.seconds
    seeds, gradients = found.seeds, found.gradient_evaluations
    words = (
        f"About {number.duration(planned)} more ({number.duration(low)} to {number.duration(high)}), after a pilot of "
        f"{number.duration(found.pilot_seconds)}: {seeds[1]} seeds ({seeds[0]} to {seeds[2]}) and "
        f"{gradients[1]:.2g} gradient evaluations ({gradients[0]:.2g} to {gradients[2]:.2g}). What is decided early "
        "stops early; the pilot's seeds are the first of the run."
    )
    yield from paragraph(words, min(width, _PROSE))
    for condition in conditions:
        if condition.seeds > condition.cap:
            yield from paragraph(
                f"{condition.experiment}, {condition.condition}: the declared cap of {condition.cap} is likely too "
                f"low; {condition.suggested_cap} would do (--seeds)",
                min(width, _PROSE),
                first="note: ",
            )
    within = "the declared caps" if found.budget is None else f"a budget of {number.duration(found.budget)}"
    for reach in found.reach:
        yield from paragraph(
            f"{reach.signature} in {reach.experiment}: {within} would decide {reach.times_tolerance:.2g} times the "
            "declared tolerance",
            min(width, _PROSE),
            first="note: ",
        )
    if found.budget is not None and not found.reach:
        yield Text(f"{within} is enough for the declared tolerances")


def _seeds(count: int, cap: int) -> str:
    return f"{count}" if count <= cap else f"{count} > {cap}"
