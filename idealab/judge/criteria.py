"""The shapes a signature may predict, each with its decision rule. An idea uses these and has no judge of its own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol

from idealab.errors import DeclarationError

if TYPE_CHECKING:
    import sympy as sp  # pyright: ignore[reportMissingTypeStubs]


class Criterion(Protocol):
    """What the pipeline asks of a criterion: formulas to declare, hash and compile, and the band that they make."""

    @property
    def estimand(self) -> Literal["mean", "median"]:
        """What over seeds has to lie within the band."""
        ...

    @property
    def formulas(self) -> Mapping[str, float | sp.Expr]:
        """The numbers or expressions that set the tolerance, by name."""
        ...

    def band(self, predicted: Any, formulas: Mapping[str, Any]) -> Any:
        """The tolerance around predicted values, from the values of the formulas; arrays of any one library."""
        ...


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

    @property
    def formulas(self) -> Mapping[str, float | sp.Expr]:
        """The relative and the absolute tolerance."""
        return {"rtol": self.rtol, "atol": self.atol}

    def band(self, predicted: Any, formulas: Mapping[str, Any]) -> Any:
        """``atol + rtol |f|``, in the units of the observable."""
        return formulas["atol"] + formulas["rtol"] * abs(predicted)

    def __str__(self) -> str:
        parts = [f"{value} {kind}" for value, kind in ((self.rtol, "relative"), (self.atol, "absolute")) if value != 0]
        return ("median " if self.estimand == "median" else "") + "equals within " + " plus ".join(parts)
