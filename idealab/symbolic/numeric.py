"""What a compiled prediction calls when it runs, over NumPy or JAX, and its evaluation by NumPy, without compiling.

The printer writes a small Python function over the names of :class:`Helpers`. Hundreds of mutants of a formula are seen
a few times each, so that JAX would spend nearly all of its time compiling: :func:`load` runs the same text with NumPy.
"""

# SciPy is annotated in part only.
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from types import SimpleNamespace
from typing import Any, NoReturn

import numpy as np
import scipy.special
from numpy.typing import ArrayLike, NDArray

from idealab.errors import UnknownNameError, UsageError
from idealab.symbolic.blind import refuse_while_observing
from idealab.symbolic.printer import Code

Array = Any  # of NumPy or of JAX
Floats = NDArray[np.float64]


def _unguarded(branch: Callable[..., Array], mask: Array, *variables: Array) -> Array:
    return branch(*variables)


@dataclass(frozen=True)
class Helpers:
    """Arrays laid out by index, reductions and branches.

    Parameters
    ----------
    module
        ``numpy`` or ``jax.numpy``.
    ranks
        Number of indices of each array, if arrays too may carry axes in front of these; without it they may not.
    guard
        ``guard(branch, mask, *variables)`` evaluates an elementwise branch that counts where ``mask`` holds.
    """

    module: Any
    ranks: Mapping[str, int] = field(default_factory=dict[str, int])
    guard: Callable[..., Array] = _unguarded

    def names(self) -> dict[str, Callable[..., Any]]:
        """Everything that printed code may call."""
        calls = (self.length, self.view, self.index, self.total, self.product, self.peak, self.piecewise, self.finish)
        return {call.__name__: call for call in (*calls, self.expand)}

    def _front(self, name: str, array: Array) -> int:
        """Number of axes in front of those of the indices."""
        return max(array.ndim - self.ranks[name], 0) if name in self.ranks else 0

    def expand(self, value: Array, rank: int) -> Array:
        """Put the axes of a plain symbol's value in front of the ``rank`` index axes."""
        return value.reshape(value.shape + (1,) * rank) if value.ndim else value

    def length(self, name: str, *axes: tuple[str, Array, int]) -> int:
        """Length that an index runs over, which every array with that index must share."""
        found: set[int] = set()
        for label, array, axis in axes:
            if axis >= array.ndim:
                raise UsageError(
                    f"{label} has shape {array.shape}, but its index on axis {axis} is used; give it that axis"
                )
            found.add(array.shape[self._front(label, array) + axis])
        if len(found) > 1 or (name.isdigit() and found != {int(name)}):
            shapes = ", ".join(f"{label} has shape {array.shape}" for label, array, _ in axes)
            raise UsageError(f"the length {name} does not hold for all: {shapes}; give arrays that agree")
        return found.pop()

    def view(self, name: str, array: Array, places: tuple[tuple[int | None, int, int | None], ...], rank: int) -> Array:
        """Lay an array out on the index axes.

        Parameters
        ----------
        name, array
            The argument.
        places
            For each axis of the array (index axis, first, end): which index runs along it and over which range, with
            end None for all of it; or (None, i, i + 1) for the single entry i.
        rank
            Number of index axes.
        """
        front = self._front(name, array)
        if array.ndim - front != len(places):
            raise UsageError(
                f"{name} has shape {array.shape}, but carries {len(places)} indices; index every axis or jax.vmap"
            )
        for axis, (_, _, end) in enumerate(places):
            if end is not None and end > array.shape[front + axis]:
                raise UsageError(
                    f"{name} has shape {array.shape}, but entry {end - 1} of axis {axis} is used (the first is 0)"
                )
        array = array[(..., *(first if k is None else slice(first, end) for k, first, end in places))]
        axes = [k for k, _, _ in places if k is not None]
        order = sorted(range(len(axes)), key=axes.__getitem__)
        shape = [1] * rank
        for i in order:
            shape[axes[i]] = array.shape[front + i]
        return array.transpose(*range(front), *(front + i for i in order)).reshape(*array.shape[:front], *shape)

    def index(self, first: int, end: int, axis: int, rank: int, dtype: Any) -> Array:
        """Values of an index, first to end - 1, along its axis."""
        return self.module.arange(first, end, dtype=dtype).reshape([-1 if k == axis else 1 for k in range(rank)])

    def _along(self, value: ArrayLike, axis: int) -> tuple[Array, bool]:
        """Return the value as an array, and whether it varies along an index axis, counted from the end."""
        array = self.module.asarray(value)
        return array, array.ndim >= -axis and array.shape[axis] != 1

    def total(self, value: ArrayLike, axis: int, count: int) -> Array:
        """Sum over an index of ``count`` values; an axis is kept, of length one."""
        array, varies = self._along(value, axis)
        return array.sum(axis=axis, keepdims=True) if varies else array * float(count)

    def product(self, value: ArrayLike, axis: int, count: int) -> Array:
        """Product over an index of ``count`` values; an axis is kept, of length one."""
        array, varies = self._along(value, axis)
        return array.prod(axis=axis, keepdims=True) if varies else array**count

    def peak(self, value: ArrayLike, axis: int, count: int) -> Array:
        """Greatest value over an index; an axis is kept, of length one."""
        array, varies = self._along(value, axis)
        return array.max(axis=axis, keepdims=True) if varies else array

    def finish(self, value: ArrayLike, dtype: Any, free: int, rank: int) -> Array:
        """Drop the axes that sums have used up, and leave those of the free indices last."""
        array = self.module.asarray(value).astype(dtype)
        return array.squeeze(axis=tuple(range(free - rank, 0))) if rank > free and array.ndim else array

    def piecewise(
        self, conditions: tuple[Any, ...], branches: tuple[Callable[..., ArrayLike], ...], *variables: Array
    ) -> Array:
        """First branch whose condition holds, or the last one.

        Parameters
        ----------
        conditions
            One fewer than branches; broadcastable booleans.
        branches
            Elementwise functions of ``variables``.
        variables
            Everything that a branch depends on.
        """
        open_still: Any = True
        masks: list[Any] = []
        for condition in conditions:
            masks.append(self.module.logical_and(open_still, condition))
            open_still = self.module.logical_and(open_still, self.module.logical_not(condition))
        masks.append(open_still)
        result: Any = 0.0
        for mask, branch in zip(masks, branches, strict=True):
            value = self.guard(branch, mask, *variables) if variables else branch()
            result = self.module.where(mask, value, result)
        return result


def refuse_arguments(code: Code, given: tuple[str, ...]) -> NoReturn:
    """Say what is wrong with these keywords.

    Raises
    ------
    UsageError, UnknownNameError
        Always.
    """
    for name in given:
        if f"log_{name}" in code.arguments:
            raise UsageError(f"{name!r} is passed as its natural logarithm: give log_{name} in place of {name}")
        if name not in code.arguments:
            raise UnknownNameError("argument of this prediction", name, code.arguments)
    missing = [name for name in code.arguments if name not in given]
    raise UsageError(f"missing {', '.join(missing)}: this prediction takes {', '.join(code.arguments)} by keyword")


# --- NumPy ------------------------------------------------------------------------------------------------------------


@lru_cache(maxsize=4096)
def load(code: Code, ranks: tuple[tuple[str, int], ...]) -> Callable[..., Floats]:
    """Turn printed code into a function of keyword arguments, evaluated by NumPy and SciPy in float64.

    As :func:`idealab.symbolic.evaluation.load`, but for axes in front of those of the indices, which arrays too may
    have: all values broadcast along these, as over seeds. Without warnings; outside of its domain a formula is NaN.

    Parameters
    ----------
    ranks
        Names of the arrays, each with its number of indices.

    Raises
    ------
    UsageError, UnknownNameError
        By the returned function, if a keyword is missing, unknown or complex, or if shapes contradict the indices.
    """
    namespace: dict[str, Any] = {"jnp": np, "jss": scipy.special, "special": _SPECIAL}
    namespace["float"] = np.float64  # a length that divides by zero is infinite then, and no exception
    namespace |= Helpers(np, dict(ranks)).names()
    exec(compile(code.source, "<prediction>", "exec"), namespace)
    body = namespace["prediction"]

    def prediction(**values: ArrayLike) -> Floats:
        refuse_while_observing()
        if values.keys() != set(code.arguments):
            refuse_arguments(code, tuple(values))
        with np.errstate(all="ignore"):
            return body(np.float64, *(_real(values[name]) for name in code.arguments))

    return prediction


def _real(value: ArrayLike) -> Floats:
    array = np.asarray(value)
    if array.dtype.kind not in "fiub":
        raise UsageError(f"the arguments have type {array.dtype}, but a prediction takes real numbers")
    return array.astype(np.float64, copy=False)


_BRANCH_POINT = -0.36787944117144233  # the double nearest to -1/e, which counts as -1/e


def _lambertw(x: ArrayLike) -> Floats:
    """Principal branch of Lambert's W; NaN below -1/e."""
    x = np.asarray(x)
    w = scipy.special.lambertw(np.where(x > _BRANCH_POINT, x, np.nan)).real
    return np.where(x == _BRANCH_POINT, -1.0, w)


def _gamma_sign(x: ArrayLike) -> Floats:
    """Sign of the gamma function; 1 at its poles, so that the reciprocal of a pole is 0 and not NaN."""
    x = np.asarray(x)
    return np.where((x <= 0) & (np.floor(x) == x), 1.0, scipy.special.gammasgn(x))


_SPECIAL = SimpleNamespace(lambertw=_lambertw, lambertw_exp=scipy.special.wrightomega, gamma_sign=_gamma_sign)
