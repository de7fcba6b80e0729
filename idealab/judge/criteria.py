"""The shapes a signature may predict, each with its decision rule. An idea uses these and has no judge of its own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from idealab.errors import DeclarationError

if TYPE_CHECKING:
    import sympy as sp  # pyright: ignore[reportMissingTypeStubs]


@dataclass(frozen=True)
class Equals:
    """The measured value equals the predicted one, within a tolerance, in every cell.

    The unit deviation of a seed is ``x = (y - f) / (atol + rtol |f|)`` with y measured and f predicted; the theory
    holds in a cell when ``|E x| <= 1`` over seeds. This is an equivalence test: a theory is an approximation, and a
    point null would refute every one of them with enough seeds. For a vector, ``|x|`` of the worst component counts.

    Parameters
    ----------
    rtol, atol
        Relative and absolute tolerance: numbers, or Sympy expressions over the prediction's symbols where the
        finite-size bias that they allow for depends on the instance. ``atol`` is in the units of the observable.
    estimand
        What over seeds has to agree. The median is for observables that single seeds throw far off; it takes at least
        seven seeds.
    """

    rtol: float | sp.Expr = 0.0
    atol: float | sp.Expr = 0.0
    estimand: Literal["mean", "median"] = "mean"

    def __post_init__(self) -> None:
        for name, value in (("rtol", self.rtol), ("atol", self.atol)):
            if isinstance(value, (int, float)) and not 0 <= value < float("inf"):
                raise DeclarationError(f"a tolerance must be finite and not negative, got {name}={value!r}")
        if self.estimand not in ("mean", "median"):
            raise DeclarationError(f"estimand={self.estimand!r} must be 'mean' or 'median'")
        if self.rtol == 0 and self.atol == 0:
            raise DeclarationError(
                "Equals needs a tolerance above zero, got rtol=0 and atol=0: state the finite-size bias you allow for"
            )

    def __str__(self) -> str:
        parts = [f"{value} {kind}" for value, kind in ((self.rtol, "relative"), (self.atol, "absolute")) if value != 0]
        return ("median " if self.estimand == "median" else "") + "equals within " + " plus ".join(parts)
