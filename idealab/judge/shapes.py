"""Shapes that a signature may predict along an axis: a power law, a trend, a rate of approach, a threshold."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

import numpy as np

from idealab.errors import DeclarationError
from idealab.judge.approach import ApproachCell
from idealab.judge.cells import OFF_SCALE, Cell
from idealab.judge.criteria import Curve, Formulas, above_zero, not_negative, scalar, unit_deviations
from idealab.judge.evidence import Floats

if TYPE_CHECKING:
    import sympy as sp  # pyright: ignore[reportMissingTypeStubs]


@dataclass(frozen=True)
class Slope:
    """A power law: the log-log slope along an axis equals the predicted exponent.

    One least-squares slope of ``ln |y|`` against the logarithm of the axis for each seed, then the cell rule with an
    absolute band. Two more cells stop a slowly bending curve from passing: the slope over the last half of the axis,
    and the *bend*, that slope less the one over the first half. Over 1, 2, 3, 4 decades the best power law differs from
    a logarithm by only 3, 7, 12, 16 % of its value, so a band that wide in y cannot tell the two apart; the bend can.

    Seeds to decide: as for `Equals`, with rho the standard deviation of a seed's slope over the band.

    Parameters
    ----------
    along
        The axis: the argument of the checkpoints (``log_t``), or a knob of the sweep.
    atol
        Band around the exponent; a number or an expression.
    """

    along: str
    atol: float | sp.Expr = 0.05
    estimand: Literal["mean", "median"] = "mean"
    points: int = field(default=4, init=False)

    def __post_init__(self) -> None:
        above_zero("Slope", atol=self.atol)

    @property
    def formulas(self) -> Formulas:
        """The band."""
        return {"atol": self.atol}

    def count(self, points: int) -> int:
        """The slope, that of the last half, and the bend."""
        return 3

    def cells(self, curve: Curve) -> list[Cell]:
        """The slope, that of the last half, and the bend."""
        scalar("Slope", curve)
        order = np.argsort(curve.log_axis)
        at = curve.log_axis[order]
        with np.errstate(all="ignore"):
            logs = np.log(np.abs(curve.measured[order]))
        late = at >= (at[0] + at[-1]) / 2
        late[-2:], late[:2] = True, False  # two points at least make a slope
        first, last = _slope(at[~late], logs[~late]), _slope(at[late], logs[late])
        exponent, band = np.mean(curve.predicted, axis=0), np.mean(curve.formulas["atol"], axis=0)
        lost = curve.lost.any(axis=0) | ~np.isfinite(logs).all(axis=0)
        looked = (
            ("slope", exponent, _slope(at, logs)),
            ("last half", exponent, last),
            ("bend", 0 * band, last - first),
        )
        return [
            Cell(predicted, measured, band, unit_deviations(measured, predicted, band, lost), label, self.estimand)
            for label, predicted, measured in looked
        ]

    def __str__(self) -> str:
        return f"log-log slope along {self.along} within {self.atol}"


def _slope(at: Floats, values: Floats) -> Floats:
    centred = at - np.mean(at)
    return centred @ values / np.sum(centred**2)


@dataclass(frozen=True)
class Trend:
    """Monotone along an axis: every step goes the predicted way, up (+1) or down (-1).

    One cell for each pair of neighbouring points: the relative change ``2 (y_2 - y_1)/(|y_1| + |y_2|)`` of each seed,
    in the order of the axis, times the predicted sign, has an expectation above ``least``; the trend is present when
    every step is (intersection-union, Berger 1982).

    Seeds to decide a step: ``((1.645 + z) s/(m - least))^2 + 1.5`` for changes of mean m and standard deviation s.

    Parameters
    ----------
    along
        The axis: the argument of the checkpoints, or a knob of the sweep.
    least
        Relative change that counts as one; zero asks only for the direction.
    """

    along: str
    least: float = 0.0
    points: int = field(default=2, init=False)

    def __post_init__(self) -> None:
        not_negative("Trend", least=self.least)

    @property
    def formulas(self) -> Formulas:
        """The least change."""
        return {"least": self.least}

    def count(self, points: int) -> int:
        """One cell for each step."""
        return points - 1

    def cells(self, curve: Curve) -> list[Cell]:
        """One cell for each step."""
        scalar("Trend", curve)
        order = np.argsort(curve.axis)
        y, lost, labels = curve.measured[order], curve.lost[order], [curve.labels[int(k)] for k in order]
        with np.errstate(all="ignore"):
            sign = np.sign(np.mean(curve.predicted, axis=0))
            sign = np.where(sign == 0, np.nan, sign)  # neither up nor down is no trend
        cells: list[Cell] = []
        for k in range(len(y) - 1):
            size = np.abs(y[k]) + np.abs(y[k + 1])
            with np.errstate(all="ignore"):
                change = np.where(size > 0, 2 * (y[k + 1] - y[k]) / size, 0.0)
            least = sign * curve.formulas["least"][0]
            # Below the upper edge of the band is where the change exceeds the least one.
            deviations = np.where(lost[k] | lost[k + 1], OFF_SCALE, 1 - sign * (change - least))
            label = f"{labels[k]} to {labels[k + 1]}"
            cells.append(Cell(least, change, np.ones_like(change), deviations, label, one_sided=True))
        return cells

    def __str__(self) -> str:
        least = f" by more than {self.least:g} relative" if self.least else ""
        return f"monotone along {self.along}{least}"


@dataclass(frozen=True)
class Rate:
    """Rate of approach: what is left of the discrepancy to an ideal shrinks like a power of the axis.

    The *signed* discrepancies ``D_N``, means over seeds of ``y - ideal``, are fitted by ``c N^q`` with weighted least
    squares, and q has a profile interval; the fit must beat c = 0 first, or the rate is not resolvable. Never regress
    ``ln |D_N|`` on ``ln N``: seed noise alone gives a slope of -1/2. See `idealab.judge.approach.ApproachCell`.

    Seeds to decide: those seen, times ``(half-width of the interval/(band - |q - predicted|))^2``.

    Parameters
    ----------
    along
        The axis N: a knob of the sweep, or the argument of the checkpoints.
    ideal
        The limit that is approached: a number, or an expression over the prediction's symbols.
    atol
        Band around the exponent that the signature predicts (negative, where the discrepancy shrinks).
    """

    along: str
    ideal: float | sp.Expr
    atol: float | sp.Expr = 0.1
    points: int = field(default=3, init=False)

    def __post_init__(self) -> None:
        above_zero("Rate", atol=self.atol)

    @property
    def formulas(self) -> Formulas:
        """The limit and the band."""
        return {"ideal": self.ideal, "atol": self.atol}

    def count(self, points: int) -> int:
        """One cell: the exponent."""
        return 1

    def cells(self, curve: Curve) -> list[Cell]:
        """One cell: the exponent."""
        scalar("Rate", curve)
        exponent, band = np.mean(curve.predicted, axis=0), np.mean(curve.formulas["atol"], axis=0)
        discrepancies = np.where(curve.lost, np.nan, curve.measured - curve.formulas["ideal"])
        return [ApproachCell.of(curve.log_axis, discrepancies, exponent, band)]

    def __str__(self) -> str:
        return f"rate of approach along {self.along} within {self.atol}"


@dataclass(frozen=True)
class Threshold:
    """A qualitative change at a predicted value of a knob, bracketed from cells on both sides.

    An order parameter y lies above ``level`` on one side of the predicted value and below it on the other. One cell for
    each point of the axis that is further from the predicted value than ``rtol``: the expectation of
    ``(y - level)/(|y| + |level|)`` has the predicted sign there. The last point on one side and the first on the other
    bracket the change. Seeds to decide a point: as for `Trend`.

    Parameters
    ----------
    along
        The knob.
    level
        Value of y that separates the two phases; a number or an expression.
    above
        On which side of the predicted value of the knob y lies above the level.
    rtol
        How near to the predicted value of the knob a point is too near to tell, relative to it.
    """

    along: str
    level: float | sp.Expr
    above: Literal["below", "beyond"] = "beyond"
    rtol: float = 0.0
    points: int = field(default=2, init=False)

    def __post_init__(self) -> None:
        not_negative("Threshold", rtol=self.rtol)
        if self.above not in ("below", "beyond"):
            raise DeclarationError(f"Threshold: above={self.above!r} must be 'below' or 'beyond' the predicted value")

    @property
    def formulas(self) -> Formulas:
        """The level and the resolution."""
        return {"level": self.level, "rtol": self.rtol}

    def count(self, points: int) -> int:
        """One cell for each point that is not too near, from the low end of the axis up."""
        return points

    def cells(self, curve: Curve) -> list[Cell]:
        """One cell for each point that is not too near, from the low end of the axis up."""
        scalar("Threshold", curve)
        cells: list[Cell] = []
        sides: list[bool] = []
        for k in np.argsort(curve.axis):
            knob, change, own = curve.axis[k], curve.predicted[k], curve.own[k]
            if (np.abs(knob - own) <= curve.formulas["rtol"][k] * np.abs(own)).any():
                continue
            up = (knob > change) == (self.above == "beyond")
            sign = np.where(np.isfinite(change), np.where(up, 1.0, -1.0), np.nan)
            level, y = curve.formulas["level"][k], curve.measured[k]
            size = np.abs(y) + np.abs(level)
            with np.errstate(all="ignore"):
                clear = np.where(size > 0, (y - level) / size, 0.0)
            deviations = np.where(curve.lost[k], OFF_SCALE, 1 - sign * clear)
            cells.append(Cell(level, y, np.ones_like(y), deviations, curve.labels[int(k)], one_sided=True))
            sides.append(bool(np.mean(knob > own) > 0.5))
        if len(set(sides)) < 2:
            raise DeclarationError(
                f"Threshold along {self.along}: the points {', '.join(curve.labels)} do not lie on both sides of the "
                "predicted value, further from it than rtol; add some on the other side"
            )
        return cells

    def __str__(self) -> str:
        return f"changes at a value of {self.along}"
