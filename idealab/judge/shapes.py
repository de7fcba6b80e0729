"""Shapes that a signature may predict along an axis: a power law, a trend, a rate of approach, a threshold."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

import numpy as np

from idealab.errors import DeclarationError
from idealab.judge.approach import PILOT, ApproachCell
from idealab.judge.cells import OFF_SCALE, Cell
from idealab.judge.criteria import (
    Curve,
    Formulas,
    above_zero,
    axis_named,
    constant,
    finite,
    not_negative,
    one_of,
    plain,
    scalar,
    unit_deviations,
)
from idealab.judge.evidence import Floats

if TYPE_CHECKING:
    import sympy as sp  # pyright: ignore[reportMissingTypeStubs]


@dataclass(frozen=True)
class Slope:
    """A power law: the log-log slope along an axis equals the predicted exponent.

    One least-squares slope of ``ln |y|`` against the logarithm of the axis for each seed, then the cell rule with an
    absolute band. Two more cells stop a slowly bending curve from passing: the slope over the last half of the axis,
    and the *bend*, that slope less the one over the first half, which is zero. A value of zero is no power law, and as
    far off as numbers reach.

    Over 1, 2, 3, 4 decades from t = 10 on the best power law differs from ``ln t`` by only 3, 7, 12, 16 % of its value
    (from t = 100 on by 1, 3, 5, 7 %), so a tolerance that wide in y cannot tell the two apart. The bend can: at eight
    points it is -0.12 to -0.15 from t = 10 on, but only -0.04 to -0.07 from t = 100 on and -0.02 to -0.04 from
    t = 1000 on. Where the band is wider than the bend of the logarithm that has the predicted slope, the decision says
    so.

    Seeds to decide: as for `Equals`, with rho the standard deviation of a seed's slope over the band. The bend is what
    takes most: with independent noise at evenly spaced points its standard deviation is four times that of the slope
    (that of the last half 2.8 times), and so it takes up to sixteen times the seeds.

    Parameters
    ----------
    along
        The axis: the argument of the checkpoints (``log_t``), or a knob of the sweep with values above zero.
    atol
        Band around the exponent, a pure number; or an expression, of which the mean over the points counts.
    estimand
        What over seeds has to agree, as in `Equals`.

    Raises
    ------
    DeclarationError
        If the band is not above zero; and once there are seeds, if the axis has no logarithm, the predicted exponent
        varies along it, or vectors were reported.
    """

    along: str
    atol: float | sp.Expr = 0.05
    estimand: Literal["mean", "median"] = "mean"
    points: int = field(default=4, init=False)
    log_axis: bool = field(default=True, init=False)

    def __post_init__(self) -> None:
        axis_named("Slope", self.along)
        above_zero("Slope", atol=self.atol)
        one_of("Slope", "estimand", self.estimand, ("mean", "median"))

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
        constant("Slope", curve)
        order = np.argsort(curve.log_axis)
        at, measured = curve.log_axis[order], curve.measured[order]
        late, lost = _last_half(at), curve.lost.any(axis=0)
        with np.errstate(all="ignore"):
            logs = np.log(np.maximum(np.abs(measured), 1e-300))
            first, last, slope = (_slope(at[part], logs[part]) for part in (~late, late, late | ~late))
            bend = last - first
        exponent, band = np.mean(curve.predicted, axis=0), np.mean(curve.formulas["atol"], axis=0)
        straight = np.where(np.isfinite(exponent), 0.0, np.nan)
        looked = (
            ("slope", exponent, slope, ""),
            ("last half", exponent, last, ""),
            ("bend", straight, bend, _resolution(at, exponent, band)),
        )
        return [
            Cell(f, y, band, unit_deviations(y, f, band, lost), label, self.estimand, remark=remark)
            for label, f, y, remark in looked
        ]

    def __str__(self) -> str:
        return ("median " if self.estimand == "median" else "") + f"log-log slope along {self.along} within {self.atol}"


def _slope(at: Floats, values: Floats) -> Floats:
    centred = at - np.mean(at)
    return centred @ values / np.sum(centred**2)


def _last_half(at: Floats) -> np.ndarray[tuple[int, ...], np.dtype[np.bool_]]:
    """Which points of a sorted axis lie in its last half; two different ones at least in each."""
    values = np.unique(at)
    return at >= np.clip((at[0] + at[-1]) / 2, values[2], values[-2])


def _resolution(at: Floats, exponent: Floats, band: Floats) -> str:
    """Words where the band is wider than the bend of ``ln(t/t_0)`` (or of its reciprocal) with the predicted slope."""
    steepness = float(np.abs(np.mean(exponent))) if len(exponent) else 0.0
    if not 0 < steepness < np.inf:
        return ""
    late, span = _last_half(at), at[-1] - at[0]
    # The slope falls as t_0 moves away from the first point.
    near, far = 1e-9 * span, 1e9 * span
    for _ in range(80):
        middle = (near * far) ** 0.5
        near, far = (middle, far) if _slope(at, np.log(at - at[0] + middle)) > steepness else (near, middle)
    logs = np.log(at - at[0] + near)
    bend = abs(float(_slope(at[late], logs[late]) - _slope(at[~late], logs[~late])))
    if bend > float(np.mean(band)):
        return ""
    return f"a logarithm of this slope bends by only {bend:.2g} over this axis, which is within the band"


@dataclass(frozen=True)
class Trend:
    """Monotone along an axis: every step goes the predicted way, up (a positive prediction) or down (a negative one).

    One cell for each pair of neighbouring points: the relative change ``2 (y_2 - y_1)/(|y_1| + |y_2|)`` of each seed,
    in the order of the axis, times the predicted sign, has an expectation above ``least``; the trend is present when
    every step is (intersection-union, Berger 1982). A truth that is flat is neither present nor absent.

    Seeds to decide a step: ``((1.645 + z) s/(m - least))^2 + 1.5`` for changes of mean m and standard deviation s
    (`idealab.judge.planning.seeds_planned`, which takes m from the pilot).

    Parameters
    ----------
    along
        The axis: the argument of the checkpoints, or a knob of the sweep.
    least
        Relative change that counts as one, below two; zero asks only for the direction.

    Raises
    ------
    DeclarationError
        If ``least`` is negative or cannot be reached; and once there are seeds, if two points lie at one value, the
        prediction is zero or its sign varies along the axis, or vectors were reported.
    """

    along: str
    least: float = 0.0
    points: int = field(default=2, init=False)
    log_axis: bool = field(default=False, init=False)

    def __post_init__(self) -> None:
        axis_named("Trend", self.along)
        plain("Trend", least=self.least)
        not_negative("Trend", least=self.least)
        if self.least >= 2:
            raise DeclarationError(
                f"Trend: least={self.least!r} is never reached; a relative change is below two, by which y_1 = 0 "
                "differs from any y_2"
            )

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
        self._check(curve, order, labels)
        cells: list[Cell] = []
        for k in range(len(y) - 1):
            size = np.abs(y[k]) + np.abs(y[k + 1])
            with np.errstate(all="ignore"):
                direction = np.mean(curve.predicted[order[k : k + 2]], axis=0)
                # Neither up nor down is no trend.
                sign = np.where(np.isfinite(direction) & (direction != 0), np.sign(direction), np.nan)
                change = np.where(size > 0, 2 * (y[k + 1] - y[k]) / size, 0.0)
            least = sign * self.least
            # Below the upper edge of the band is where the change exceeds the least one.
            deviations = np.where(lost[k] | lost[k + 1], OFF_SCALE, 1 - sign * (change - least))
            label = f"{labels[k]} to {labels[k + 1]}"
            cells.append(Cell(least, change, np.ones_like(change), deviations, label, one_sided=True))
        return cells

    def _check(self, curve: Curve, order: np.ndarray[tuple[int, ...], np.dtype[np.intp]], labels: list[str]) -> None:
        same = np.flatnonzero(np.diff(curve.axis[order]) == 0)
        if len(same):
            raise DeclarationError(
                f"Trend along {self.along!r}: {labels[same[0]]} and {labels[same[0] + 1]} lie at one value, so there "
                "is no order between them; leave one out"
            )
        if (curve.own == 0).any():
            raise DeclarationError(
                f"Trend along {self.along!r}: the prediction is 0, which is neither up nor down; predict +1 or -1, or "
                "claim that nothing changes with Equals and an absolute tolerance"
            )
        signs = np.sign(curve.own)
        if ((signs > 0).any(axis=0) & (signs < 0).any(axis=0)).any():
            raise DeclarationError(
                f"Trend along {self.along!r}: the prediction is positive at some points and negative at others; "
                "predict one direction, +1 for up or -1 for down, over a part of the axis where there is one"
            )

    def __str__(self) -> str:
        least = f" by more than {self.least:g} relative" if self.least else ""
        return f"monotone along {self.along}{least}"


@dataclass(frozen=True)
class Rate:
    """Rate of approach: what is left of the discrepancy to an ideal shrinks like a power of the axis.

    The *signed* discrepancies ``D_N``, means over seeds of ``y - ideal``, follow ``c N^q``; both edges of the band
    around the predicted q are tested by contrasts over the points of each seed, once the sign of c has been shown, or
    the rate is not resolvable. Never regress ``ln |D_N|`` on ``ln N``: seed noise alone gives a slope of -1/2. Of a
    discrepancy that is a sum of powers it is the effective exponent, over these points. See
    `idealab.judge.approach.ApproachCell`.

    Seeds to decide: as for `Equals`, with rho the standard deviation of a seed's influence on the fitted exponent, over
    the band.

    Parameters
    ----------
    along
        The axis N: a knob of the sweep with values above zero, or the argument of the checkpoints.
    ideal
        The limit that is approached, in the units of the observable: a number, or an expression over the prediction's
        symbols.
    atol
        Band around the exponent that the signature predicts (negative, where the discrepancy shrinks), a pure number;
        or an expression, of which the mean over the points counts.

    Raises
    ------
    DeclarationError
        If the band is not above zero or the ideal not finite; and once there are seeds, if the axis has no logarithm,
        the predicted exponent varies along it, or vectors were reported.
    """

    along: str
    ideal: float | sp.Expr
    atol: float | sp.Expr = 0.1
    points: int = field(default=3, init=False)
    log_axis: bool = field(default=True, init=False)

    def __post_init__(self) -> None:
        axis_named("Rate", self.along)
        finite("Rate", ideal=self.ideal)
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
        constant("Rate", curve)
        exponent, band = np.mean(curve.predicted, axis=0), np.mean(curve.formulas["atol"], axis=0)
        ideal = curve.formulas["ideal"]
        with np.errstate(all="ignore"):
            discrepancies = np.where(curve.lost, np.nan, curve.measured - ideal)
        exponent = np.where(np.isfinite(ideal).all(axis=0), exponent, np.nan)
        lost = np.asarray(curve.lost.any(axis=0))
        cell: Cell = ApproachCell.of(curve.log_axis, discrepancies, exponent, band, lost)
        return [cell]

    def __str__(self) -> str:
        return f"rate of approach to {self.ideal} along {self.along} within {self.atol}"


@dataclass(frozen=True)
class Threshold:
    """A qualitative change at a predicted value of a knob, bracketed from cells on both sides.

    An order parameter y lies above ``level`` on one side of the predicted value and below it on the other. One cell for
    each point of the axis that is further from the predicted value than ``rtol``: the expectation of
    ``(y - level)/(|y| + |level|)`` has the predicted sign there. The last point on one side and the first on the other
    bracket the change; a theory, a rival or a mutant that predicts any value between those two fares alike.

    Seeds to decide a point: ``((1.645 + z) s/m)^2 + 1.5`` for that number's mean m and standard deviation s
    (`idealab.judge.planning.seeds_planned`).

    Parameters
    ----------
    along
        The knob, or the argument of the checkpoints. The prediction is of its value: of a logarithm for ``log_t``.
    level
        Value of y that separates the two phases, in its units; a number or an expression.
    above
        On which side of the predicted value of the knob y lies above the level.
    rtol
        How near to the predicted value of the knob a point is too near to tell, relative to it. The theory's own
        prediction, from the first four seeds, decides, for its rivals too.

    Raises
    ------
    DeclarationError
        If the level is not finite or ``rtol`` negative; and once there are seeds, if all points lie on one side of the
        predicted value, or vectors were reported.
    """

    along: str
    level: float | sp.Expr
    above: Literal["below", "beyond"] = "beyond"
    rtol: float = 0.0
    points: int = field(default=2, init=False)
    log_axis: bool = field(default=False, init=False)

    def __post_init__(self) -> None:
        axis_named("Threshold", self.along)
        finite("Threshold", level=self.level)
        plain("Threshold", rtol=self.rtol)
        not_negative("Threshold", rtol=self.rtol)
        one_of("Threshold", "above", self.above, ("below", "beyond"))

    @property
    def formulas(self) -> Formulas:
        """The level and the resolution."""
        return {"level": self.level, "rtol": self.rtol}

    def count(self, points: int) -> int:
        """One cell for each point that is not too near."""
        return points

    def cells(self, curve: Curve) -> list[Cell]:
        """One cell for each point that is not too near, from the low end of the axis up."""
        scalar("Threshold", curve)
        return [self._cell(curve, k) for k in self._clear(curve)]

    def _clear(self, curve: Curve) -> list[int]:
        """The points that are far enough from the predicted value, from the low end of the axis up."""
        # The first seeds only: cells must not come and go while seeds are added.
        own = curve.own[:, :PILOT]
        away = curve.axis[:, None] - own
        near = (np.abs(away) <= self.rtol * np.abs(own)).any(axis=1)
        far = [int(k) for k in np.argsort(curve.axis) if k not in np.flatnonzero(near)]
        known = np.isfinite(own).any()
        if known and not ((away[far] > 0).any() and (away[far] < 0).any()):
            raise DeclarationError(
                f"Threshold along {self.along!r}: the points {', '.join(curve.labels)} do not lie on both sides of the "
                f"predicted value, {np.nanmedian(own):.6g}, further from it than rtol={self.rtol}; add some on the "
                "other side, or predict another value"
            )
        return far if known else [int(k) for k in np.argsort(curve.axis)]

    def _cell(self, curve: Curve, k: int) -> Cell:
        level, y, change = curve.formulas["level"][k], curve.measured[k], curve.predicted[k]
        up = (curve.axis[k] > change) == (self.above == "beyond")
        sign = np.where(np.isfinite(change), np.where(up, 1.0, -1.0), np.nan)
        size = np.abs(y) + np.abs(level)
        with np.errstate(all="ignore"):
            clear = np.where(size > 0, (y - level) / size, 0.0)
        # Below the upper edge of the band is where y lies on the predicted side of the level.
        deviations = np.where(curve.lost[k], OFF_SCALE, 1 - sign * clear)
        return Cell(level, y, np.ones_like(y), deviations, curve.labels[k], one_sided=True)

    def __str__(self) -> str:
        return f"crosses {self.level} at a value of {self.along}"
