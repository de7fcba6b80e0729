"""What a criterion is, and the two that hold at every point: equality within a tolerance, and identity to rounding."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from numbers import Real
from typing import TYPE_CHECKING, Any, Literal, Protocol

import numpy as np

from idealab.errors import DeclarationError
from idealab.judge.cells import OFF_SCALE, Cell
from idealab.judge.evidence import Floats

if TYPE_CHECKING:
    import sympy as sp  # pyright: ignore[reportMissingTypeStubs]

Formulas = Mapping[str, "float | sp.Expr"]


@dataclass(frozen=True)
class Curve:
    """What was measured and predicted along one axis: points k, seeds s, and for a vector its components last.

    Parameters
    ----------
    along
        Name of the axis: the argument of the checkpoints (``log_t``) or a knob.
    labels, axis
        What each point is called, and where it lies; ``log_`` in the name says that these are logarithms.
    measured, predicted
        Shape (k, s, ...). ``predicted`` may be a rival's.
    own
        The theory's own prediction, around which the tolerance lies; the same shape.
    formulas
        Values of the criterion's formulas, each of the same shape.
    lost
        Where a seed gave no finite number, so that nothing can be held against the theory; the same shape.
    epsilon
        Machine epsilon of the run: 2^-52 in float64, 2^-23 in float32.
    """

    along: str
    labels: tuple[str, ...]
    axis: Floats
    measured: Floats
    predicted: Floats
    own: Floats
    formulas: Mapping[str, Floats]
    lost: np.ndarray[Any, np.dtype[np.bool_]]
    epsilon: float = 2.0**-52

    @property
    def log_axis(self) -> Floats:
        """Logarithm of where the points lie, shape (k,).

        Raises
        ------
        DeclarationError
            If a point has none.
        """
        if self.along.startswith("log_"):
            return self.axis
        if not (self.axis > 0).all():
            values = ", ".join(f"{value:g}" for value in self.axis)
            raise DeclarationError(
                f"a power law along {self.along!r} takes logarithms of its values, got {values}; they must be above "
                "zero: leave the others out"
            )
        return np.log(self.axis)


class Criterion(Protocol):
    """What the pipeline asks of a criterion: formulas to declare, hash and compile, and cells for the judge."""

    @property
    def formulas(self) -> Formulas:
        """The numbers or expressions that decide agreement, by name."""
        ...

    @property
    def along(self) -> str:
        """The axis along which points make one curve; empty where points stand for themselves."""
        ...

    @property
    def points(self) -> int:
        """Fewest points that a curve must have."""
        ...

    @property
    def log_axis(self) -> bool:
        """Whether the logarithm of the axis is taken."""
        ...

    def count(self, points: int) -> int:
        """How many cells at most a curve of so many points has."""
        ...

    def cells(self, curve: Curve) -> list[Cell]:
        """What is to be decided about a curve."""
        ...


def not_negative(what: str, **values: Any) -> None:
    """Raise `DeclarationError` if a value is negative or not finite, or neither a number nor an expression."""
    for name, value in values.items():
        number = _number(what, name, value)
        if number is not None and not 0 <= number < float("inf"):
            raise DeclarationError(f"{what}: a tolerance must be finite and not negative, got {name}={value!r}")


def above_zero(what: str, advice: str = "state the finite-size bias you allow for", **values: Any) -> None:
    """Raise `DeclarationError` if no value is above zero, as far as they are numbers."""
    not_negative(what, **values)
    if all(_number(what, name, value) == 0 for name, value in values.items()):
        given = " and ".join(f"{name}=0" for name in values)
        raise DeclarationError(f"{what} needs a tolerance above zero, got {given}: {advice}")


def finite(what: str, **values: Any) -> None:
    """Raise `DeclarationError` if a value that is a number is not finite."""
    for name, value in values.items():
        number = _number(what, name, value)
        if number is not None and not abs(number) < float("inf"):
            raise DeclarationError(f"{what}: {name}={value!r} must be a finite number, or an expression for one")


def _number(what: str, name: str, value: Any) -> float | None:
    """The value as a number; None for an expression, which has none before its symbols do."""
    if isinstance(value, Real):
        return float(value)
    if not hasattr(value, "free_symbols"):
        raise DeclarationError(f"{what}: {name}={value!r} must be a number, or a Sympy expression of one")
    return float(value) if value.is_number and value.is_extended_real is not False else None


def plain(what: str, **values: Any) -> None:
    """Raise `DeclarationError` if a value is no number, where an expression will not do."""
    for name, value in values.items():
        if not isinstance(value, Real):
            raise DeclarationError(f"{what}: {name}={value!r} must be a number")


def one_of(what: str, name: str, value: Any, allowed: tuple[str, ...]) -> None:
    """Raise `DeclarationError` if a choice is none of those there are."""
    if value not in allowed:
        raise DeclarationError(f"{what}: {name}={value!r} must be {' or '.join(map(repr, allowed))}")


def axis_named(what: str, along: Any) -> None:
    """Raise `DeclarationError` if the axis of a criterion has no name."""
    if not isinstance(along, str) or not along:
        raise DeclarationError(
            f"{what}: along={along!r} must name the axis: the argument of the checkpoints ('log_t'), or a knob"
        )


def unit_deviations(measured: Floats, predicted: Floats, tolerances: Floats, lost: Any) -> Floats:
    """``(measured - predicted)/tolerance``; what is infinitely far off stays on this side of what was lost."""
    edge = OFF_SCALE * (1 - 1e-6)
    with np.errstate(all="ignore"):
        deviations = np.clip((measured - predicted) / tolerances, -edge, edge)
    defined = np.isfinite(predicted) & np.isfinite(tolerances) & (tolerances > 0)
    return np.where(lost, OFF_SCALE, np.where(defined, deviations, np.nan))


def _flat(values: Any, seeds: int) -> Floats:
    """Shape (k, s, ...) to (s, all the rest)."""
    return np.moveaxis(values, 1, 0).reshape(seeds, values.shape[0] * math.prod(values.shape[2:]))


def _worst(curve: Curve, tolerances: Floats, points: Iterable[int]) -> tuple[Floats, Floats, Floats, Floats]:
    """Predicted, measured, tolerance and deviation of each seed's worst component over the points; shapes (s,)."""
    chosen, seeds = list(points), curve.measured.shape[1]
    parts = [_flat(part[chosen], seeds) for part in (curve.predicted, curve.measured, tolerances, curve.lost)]
    deviations = unit_deviations(parts[1], parts[0], parts[2], parts[3])
    if deviations.shape[1] == 1:
        return parts[0][:, 0], parts[1][:, 0], parts[2][:, 0], deviations[:, 0]
    # NaN must win, so that an undefined prediction is never hidden.
    sizes = np.abs(deviations)
    worst = np.argmax(np.where(np.isnan(sizes), np.inf, sizes), axis=1)[:, None]
    predicted, measured, tolerances, sizes = (
        np.take_along_axis(part, worst, axis=1)[:, 0] for part in (*parts[:3], sizes)
    )
    return predicted, measured, tolerances, sizes


@dataclass(frozen=True)
class Equals:
    """The measured value equals the predicted one, within a tolerance, in every cell.

    The unit deviation of a seed is ``x = (y - f) / (atol + rtol |f|)`` with y measured and f predicted; the theory
    holds in a cell when ``|E x| <= 1`` over seeds. This is an equivalence test (Schuirmann 1987): a theory is an
    approximation, and a point null would refute every one of them with enough seeds. For a vector, ``|x|`` of the worst
    component counts. A curve is present when every cell is (intersection-union, Berger 1982: no correction needed).

    Seeds to decide a cell: ``((1.645 + z) rho/(1 - |E x|))^2 + 1.5`` with rho the standard deviation of x and z the
    normal quantile of the power (`idealab.judge.planning.seeds_for`). Seeds to see with the pooled amplitude that the
    theory is off by a constant: `idealab.judge.planning.seeds_to_see`.

    Parameters
    ----------
    rtol, atol
        Relative and absolute tolerance: numbers, or Sympy expressions over the prediction's symbols where the
        finite-size bias that they allow for depends on the instance. ``atol`` is in the units of the observable, and
        has to be above zero where the prediction can be zero.
    estimand
        What over seeds has to agree. The median is for observables that single seeds throw far off; it takes at least
        eight seeds.
    pooled
        Relative tolerance of one more cell for each curve, the amplitude over all its points: ``sum_k w_k y/f``
        against one. Its weights are ``1/(CV^2 + median CV^2/2)`` from the first four seeds, none above 0.4. It sees a
        constant error that no point alone sees.

    Raises
    ------
    DeclarationError
        If no tolerance is above zero, or one is no size; and once there are seeds, if the prediction is zero where the
        tolerance is only relative, or a pooled amplitude is asked of vectors.
    """

    rtol: float | sp.Expr = 0.0
    atol: float | sp.Expr = 0.0
    estimand: Literal["mean", "median"] = "mean"
    pooled: float = 0.0
    along: str = field(default="", init=False)
    points: int = field(default=1, init=False)
    log_axis: bool = field(default=False, init=False)

    def __post_init__(self) -> None:
        above_zero("Equals", rtol=self.rtol, atol=self.atol)
        plain("Equals", pooled=self.pooled)
        not_negative("Equals", pooled=self.pooled)
        one_of("Equals", "estimand", self.estimand, ("mean", "median"))

    @property
    def formulas(self) -> Formulas:
        """The relative and the absolute tolerance, and that of the pooled amplitude if there is one."""
        return {"rtol": self.rtol, "atol": self.atol} | ({"pooled": self.pooled} if self.pooled else {})

    def count(self, points: int) -> int:
        """One cell for each point, and one for the amplitude."""
        return points + (self.pooled > 0 and points > 1)

    def cells(self, curve: Curve) -> list[Cell]:
        """One cell for each point, and one for the amplitude."""
        tolerances = curve.formulas["atol"] + curve.formulas["rtol"] * np.abs(curve.own)
        if np.any(tolerances[np.isfinite(tolerances)] < 0):
            where = ", ".join(filter(None, curve.labels)) or "a condition"
            raise DeclarationError(
                f"Equals: the tolerance {self} is negative at {where}; give an expression that is positive there"
            )
        _not_nothing("Equals", curve, (tolerances == 0) & (curve.own == 0), "give atol as well")
        points = range(len(curve.labels))
        cells = [Cell(*_worst(curve, tolerances, [k]), curve.labels[k], self.estimand) for k in points]
        return [*cells, self._amplitude(curve)] if self.pooled and len(points) > 1 else cells

    def _amplitude(self, curve: Curve) -> Cell:
        scalar("Equals with a pooled amplitude", curve)
        _not_nothing("Equals with a pooled amplitude", curve, curve.own == 0, "leave pooled out")
        with np.errstate(all="ignore"):
            ratios = curve.measured / curve.predicted
            variance = np.var(ratios[:, :4], axis=1, ddof=1) if ratios.shape[1] > 1 else np.ones(len(ratios))
            # Four seeds know a variance badly: without the median's share, chance would choose among equal points.
            variance = variance + np.median(variance) / 2
            weights = capped(1 / np.maximum(variance, 1e-18 * np.max(variance) + 1e-300), 0.4)
            amplitude = np.sum(weights[:, None] * ratios, axis=0)
        own = np.ones_like(amplitude)
        undefined = ~np.isfinite(curve.predicted).all(axis=0) | (curve.predicted == 0).any(axis=0)
        own[undefined] = np.nan
        tolerances = curve.formulas["pooled"][0] * np.ones_like(amplitude)
        deviations = unit_deviations(amplitude, own, tolerances, curve.lost.any(axis=0))
        return Cell(own, amplitude, tolerances, deviations, "amplitude", self.estimand)

    def __str__(self) -> str:
        parts = [f"{value} {kind}" for value, kind in ((self.rtol, "relative"), (self.atol, "absolute")) if value != 0]
        pooled = f", pooled amplitude within {self.pooled}" if self.pooled else ""
        return ("median " if self.estimand == "median" else "") + "equals within " + " plus ".join(parts) + pooled


def capped(weights: Floats, cap: float) -> Floats:
    """Weights in these proportions that sum to one; none above the cap, or an equal share if that is larger."""
    weights = np.where(np.isfinite(weights), weights, 0.0)
    weights = weights / np.sum(weights) if np.sum(weights) > 0 else np.full(len(weights), 1 / len(weights))
    cap = max(cap, 1 / len(weights))
    for _ in range(len(weights)):
        above = weights > cap * (1 + 1e-12)
        if not above.any():
            break
        free = ~above & (weights < cap)
        excess = np.sum(weights[above] - cap)
        weights = np.where(above, cap, weights)
        share = weights * free
        weights = weights + excess * (share / np.sum(share) if np.sum(share) > 0 else free / max(np.sum(free), 1))
    return weights


@dataclass(frozen=True)
class Identity:
    """An identity that holds at every point and in every seed, to rounding.

    One cell for a curve: the largest ``|y - f|`` over its points and components, in units of
    ``ulps * eps * max(|f|, scale)`` with eps the machine epsilon of the run (Higham 2002, section 2.2). A single seed
    beyond the bound refutes it, also one that was run after others had decided. Eight within it are needed to call it
    present: seven would show with evidence of 32 to 1 that most seeds are (`log_evidence_majority`), and eight is the
    first look after that. That none in a hundred violates it takes many more. Seeds to decide: eight.

    Parameters
    ----------
    ulps
        The bound, in units of machine epsilon: about the number of operations that round.
    scale
        Size of the terms that cancel, where that is larger than ``|f|``, in the units of the observable: a number or
        an expression. Without one, zero equals nothing but zero.

    Raises
    ------
    DeclarationError
        If ``ulps`` is not above zero, or ``scale`` is negative; and once there are seeds, if the prediction is zero, no
        scale is given, and the measured value is not zero too.
    """

    ulps: float
    scale: float | sp.Expr = 0.0
    along: str = field(default="", init=False)
    points: int = field(default=1, init=False)
    log_axis: bool = field(default=False, init=False)

    def __post_init__(self) -> None:
        plain("Identity", ulps=self.ulps)
        above_zero("Identity", "count the operations that round", ulps=self.ulps)
        not_negative("Identity", scale=self.scale)

    @property
    def formulas(self) -> Formulas:
        """The bound and the scale."""
        return {"ulps": self.ulps, "scale": self.scale}

    def count(self, points: int) -> int:
        """One cell: every step of every seed."""
        return 1

    def cells(self, curve: Curve) -> list[Cell]:
        """One cell: every step of every seed."""
        scale = np.maximum(np.abs(curve.own), curve.formulas["scale"])
        tolerances = curve.formulas["ulps"] * curve.epsilon * scale
        # Zero equals zero to any number of digits.
        tolerances = np.where((tolerances == 0) & (curve.measured == curve.predicted), 1e-300, tolerances)
        _not_nothing("Identity", curve, (tolerances == 0) & (curve.own == 0), "give the scale of the terms that cancel")
        label = "every step" if len(curve.labels) > 1 else "".join(curve.labels)
        return [Cell(*_worst(curve, tolerances, range(len(curve.labels))), label, "every")]

    def __str__(self) -> str:
        scale = f" of {self.scale}" if self.scale != 0 else ""
        return f"equals in every seed within {self.ulps:g} times machine epsilon{scale}"


def scalar(what: str, curve: Curve) -> None:
    """Raise `DeclarationError` if more than one number was reported at a point."""
    if curve.measured.ndim != 2:
        raise DeclarationError(
            f"{what} takes one number at a point, but one of shape {curve.measured.shape[2:]} was reported; report one "
            "number, or claim it with Equals"
        )


def constant(what: str, curve: Curve) -> None:
    """Raise `DeclarationError` if what the theory predicts, one number for a curve, is not one along it."""
    with np.errstate(all="ignore"):
        varies = np.ptp(curve.own, axis=0) > 1e-9 * np.max(np.abs(curve.own), axis=0)
    if varies.any():
        seed = int(np.argmax(varies))
        raise DeclarationError(
            f"{what} predicts one number for the whole curve, but it goes from {curve.own[0, seed]:.6g} to "
            f"{curve.own[-1, seed]:.6g} along {curve.along!r}; predict the exponent, not the values"
        )


def _not_nothing(what: str, curve: Curve, nothing: np.ndarray[Any, np.dtype[np.bool_]], advice: str) -> None:
    """Raise `DeclarationError` where a prediction of zero leaves nothing to measure a deviation by."""
    found = (nothing & ~curve.lost).any(axis=tuple(range(1, nothing.ndim)))
    if found.any():
        where = curve.labels[int(np.argmax(found))]
        raise DeclarationError(
            f"{what}: the prediction is zero{f' at {where}' if where else ''}, and nothing is within a tolerance that "
            f"is relative to it; {advice}"
        )
