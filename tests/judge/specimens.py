"""Curves whose truth is known: six specimens, one for each criterion, which can be right or so many tolerances off."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from idealab.judge.cells import Decision, Rules, judge_cells
from idealab.judge.criteria import Curve, Equals, Identity
from idealab.judge.shapes import Rate, Slope, Threshold, Trend

POINTS = 2.0 ** np.arange(3, 11)


def curve(measured: Any, predicted: Any, axis: Any = None, along: str = "N", **changes: Any) -> Curve:
    """A curve of shape (k, s, ...); what is predicted is a number, or has shape (k,), (k, s) or (k, s, ...)."""
    measured = np.asarray(measured, float)
    axis = POINTS[: len(measured)] if axis is None else np.asarray(axis, float)

    def full(value: Any) -> Any:
        value = np.asarray(value, float)
        if value.ndim == 1:
            value = value.reshape(-1, *[1] * (measured.ndim - 1))
        return np.broadcast_to(value, measured.shape).copy()

    fields = {
        "labels": tuple(f"{along}={value:g}" for value in axis),
        "own": full(predicted),
        "lost": ~np.isfinite(measured),
        "formulas": {},
    } | changes
    fields["formulas"] = {name: full(value) for name, value in fields["formulas"].items()}
    fields["own"] = full(fields["own"])
    return Curve(along=along, axis=axis, measured=measured, predicted=full(predicted), **fields)


def judge(criterion: Any, made: Curve, max_seeds: int = 64, cells: int = 20) -> list[Decision]:
    """What is decided about each cell of a curve, as within ``cells`` in all."""
    return judge_cells(criterion.cells(replace(made, formulas=_formulas(criterion, made))), Rules(max_seeds, cells))


def _formulas(criterion: Any, made: Curve) -> dict[str, Any]:
    return {name: np.full(made.measured.shape, float(value)) for name, value in criterion.formulas.items()} | dict(
        made.formulas
    )


def verdicts(criterion: Any, made: Curve, **rules: int) -> list[str]:
    """The verdicts on each cell of a curve."""
    return [decision.verdict for decision in judge(criterion, made, **rules)]


@dataclass(frozen=True)
class Specimen:
    """A criterion, and curves for it in which the theory is off by so many tolerances."""

    criterion: Any
    predicted: float
    draw: Callable[[np.random.Generator, float, int], Any]

    def curve(self, off: float = 0.0, seeds: int = 64, seed: int = 0, **changes: Any) -> Curve:
        """A new draw of a curve."""
        return curve(self.draw(np.random.default_rng(seed), off, seeds), self.predicted, **changes)


def _normal(rng: np.random.Generator, seeds: int) -> Any:
    return rng.normal(size=(len(POINTS), seeds))


def _at(values: Any) -> Any:
    return np.asarray(values)[:, None]


SPECIMENS = {
    "Equals": Specimen(
        Equals(rtol=0.1), 2.0, lambda rng, off, seeds: 2 * (1 + 0.1 * off) * (1 + 0.05 * _normal(rng, seeds))
    ),
    "Slope": Specimen(
        Slope("N", atol=0.1),
        -0.5,
        lambda rng, off, seeds: _at(3 * POINTS ** (-0.5 + 0.1 * off)) * np.exp(0.03 * _normal(rng, seeds)),
    ),
    # Every step of the truth is a relative change of 0.3; off by two is the other way.
    "Trend": Specimen(
        Trend("N"),
        1.0,
        lambda rng, off, seeds: _at(np.exp(0.3 * (1 - off) * np.arange(len(POINTS)))) + 0.02 * _normal(rng, seeds),
    ),
    "Rate": Specimen(
        Rate("N", ideal=3.0, atol=0.1),
        -1.0,
        lambda rng, off, seeds: 3 - _at(80 * POINTS ** (-1 + 0.1 * off)) + _at(POINTS**-0.5) * _normal(rng, seeds),
    ),
    "Identity": Specimen(
        Identity(ulps=8),
        2.0,
        lambda rng, off, seeds: 2 + 2 * 8 * 2.0**-52 * (off + 0.9 * rng.uniform(-1, 1, (len(POINTS), seeds))),
    ),
    # The change is predicted at 90, between the fourth point and the fifth; off by one it lies a factor of two further.
    "Threshold": Specimen(
        Threshold("N", level=1.0),
        90.0,
        lambda rng, off, seeds: 1 + 0.5 * _at(np.sign(POINTS - 90 * 2**off)) + 0.1 * _normal(rng, seeds),
    ),
}
