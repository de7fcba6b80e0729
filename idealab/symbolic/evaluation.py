"""What a compiled prediction calls when it runs: arrays laid out by index, reductions, branches with safe slopes.

The printer writes a small Python function over these; :func:`load` turns its text into a jitted function of keywords.
"""

# JAX is annotated in part only.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false, reportUnknownLambdaType=false

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache, partial
from typing import Any, cast

import jax
import jax.numpy as jnp
import jax.scipy.special as jss
from jax import Array
from jax.custom_derivatives import SymbolicZero
from jax.typing import ArrayLike

from idealab.errors import UnknownNameError, UsageError
from idealab.symbolic import special
from idealab.symbolic.printer import Code


@lru_cache(maxsize=1024)
def load(code: Code) -> Callable[..., Array]:
    """Turn printed code into a function of keyword arguments, jitted.

    The text that is executed was written by our own printer from a Sympy tree, name by name from a fixed list, as
    ``sympy.lambdify`` does; nothing that a user typed as text reaches it.

    Raises
    ------
    UsageError, UnknownNameError
        By the returned function, if a keyword is missing, unknown or complex, or if shapes contradict the indices.
    """
    namespace: dict[str, Any] = {"jnp": jnp, "jss": jss, "special": special}
    namespace |= {f.__name__: f for f in (length, view, index, total, product, peak, piecewise, finish, expand)}
    exec(compile(code.source, "<prediction>", "exec"), namespace)
    body = namespace["prediction"]

    @jax.jit
    def evaluate(values: Mapping[str, ArrayLike]) -> Array:
        # One floating type for all: that of the arrays, or the default where only Python numbers are given.
        dtype = jnp.result_type(float, *values.values())
        if not jnp.issubdtype(dtype, jnp.floating):
            raise UsageError(f"the arguments have type {dtype}, but a prediction takes real numbers")
        return body(dtype, *(jnp.asarray(values[name]).astype(dtype) for name in code.arguments))

    def prediction(**values: ArrayLike) -> Array:
        if values.keys() != set(code.arguments):
            _refuse(code, tuple(values))
        return evaluate({name: jnp.asarray(v) if isinstance(v, (list, tuple)) else v for name, v in values.items()})

    return prediction


def _refuse(code: Code, given: tuple[str, ...]) -> None:
    for name in given:
        if f"log_{name}" in code.arguments:
            raise UsageError(f"{name!r} is passed as its natural logarithm: give log_{name} in place of {name}")
        if name not in code.arguments:
            raise UnknownNameError("argument of this prediction", name, code.arguments)
    missing = [name for name in code.arguments if name not in given]
    raise UsageError(f"missing {', '.join(missing)}: this prediction takes {', '.join(code.arguments)} by keyword")


def expand(value: Array, rank: int) -> Array:
    """Put the axes of a plain symbol's value in front of the ``rank`` index axes."""
    return value.reshape(value.shape + (1,) * rank) if value.ndim else value


def length(name: str, *axes: tuple[str, Array, int]) -> int:
    """Length that an index runs over, which every array with that index must share."""
    for label, array, axis in axes:
        if axis >= array.ndim:
            raise UsageError(
                f"{label} has shape {array.shape}, but its index on axis {axis} is used; give it that axis"
            )
    found = {array.shape[axis] for _, array, axis in axes}
    if len(found) > 1 or (name.isdigit() and found != {int(name)}):
        shapes = ", ".join(f"{label} has shape {array.shape}" for label, array, _ in axes)
        raise UsageError(f"the length {name} does not hold for all: {shapes}; give arrays that agree")
    return found.pop()


def view(name: str, array: Array, places: tuple[tuple[int | None, int, int | None], ...], rank: int) -> Array:
    """Lay an array out on the index axes.

    Parameters
    ----------
    name, array
        The argument.
    places
        For each axis of the array (index axis, first, end): which index runs along it and over which range, with end
        None for all of it; or (None, i, i + 1) for the single entry i.
    rank
        Number of index axes.
    """
    if array.ndim != len(places):
        raise UsageError(
            f"{name} has shape {array.shape}, but carries {len(places)} indices; index every axis or jax.vmap"
        )
    for axis, (_, _, end) in enumerate(places):
        if end is not None and end > array.shape[axis]:
            raise UsageError(
                f"{name} has shape {array.shape}, but entry {end - 1} of axis {axis} is used (the first is 0)"
            )
    array = array[tuple(first if k is None else slice(first, end) for k, first, end in places)]
    axes = [k for k, _, _ in places if k is not None]
    order = sorted(range(len(axes)), key=axes.__getitem__)
    shape = [1] * rank
    for i in order:
        shape[axes[i]] = array.shape[i]
    return array.transpose(order).reshape(shape)


def index(first: int, end: int, axis: int, rank: int, dtype: Any) -> Array:
    """Values of an index, first to end - 1, along its axis."""
    return jnp.arange(first, end, dtype=dtype).reshape([-1 if k == axis else 1 for k in range(rank)])


def _along(value: ArrayLike, axis: int) -> tuple[Array, bool]:
    """Return the value with at least the index axes, and whether it varies along one of them, counted from the end."""
    value = jnp.asarray(value)
    varies = value.ndim >= -axis and value.shape[axis] != 1
    return value, varies


def total(value: ArrayLike, axis: int, count: int) -> Array:
    """Sum over an index of ``count`` values; an axis is kept, of length one."""
    value, varies = _along(value, axis)
    return jnp.sum(value, axis=axis, keepdims=True) if varies else value * float(count)


def product(value: ArrayLike, axis: int, count: int) -> Array:
    """Product over an index of ``count`` values; an axis is kept, of length one."""
    value, varies = _along(value, axis)
    return jnp.prod(value, axis=axis, keepdims=True) if varies else value**count


def peak(value: ArrayLike, axis: int, count: int) -> Array:
    """Greatest value over an index; an axis is kept, of length one."""
    value, varies = _along(value, axis)
    return jnp.max(value, axis=axis, keepdims=True) if varies else value


def finish(value: ArrayLike, dtype: Any, free: int, rank: int) -> Array:
    """Drop the axes that sums have used up, and leave those of the free indices last."""
    value = jnp.asarray(value).astype(dtype)
    if rank > free and value.ndim:
        value = jnp.squeeze(value, axis=tuple(range(free - rank, 0)))
    return value


def piecewise(conditions: tuple[Any, ...], branches: tuple[Callable[..., ArrayLike], ...], *variables: Array) -> Array:
    """First branch whose condition holds, or the last one.

    Where a branch is not taken neither its value nor any of its derivatives enter: x log x is safe beside x = 0.

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
        masks.append(jnp.logical_and(open_still, condition))
        open_still = jnp.logical_and(open_still, jnp.logical_not(condition))
    masks.append(open_still)
    result: Any = 0.0
    for mask, branch in zip(masks, branches, strict=True):
        value = _guarded(_in_full(branch), mask, *variables) if variables else branch()
        result = jnp.where(mask, value, result)
    return result


def _in_full(branch: Callable[..., ArrayLike]) -> Callable[..., Array]:
    """Return the branch with the type and shape of all its variables, which a constant would not have."""
    return lambda *xs: jnp.broadcast_to(
        jnp.asarray(branch(*xs)).astype(jnp.result_type(*xs)), jnp.broadcast_shapes(*(x.shape for x in xs))
    )


@partial(jax.custom_jvp, nondiff_argnums=(0,))
def _guarded(f: Callable[..., Array], mask: Array, *xs: Array) -> Array:
    """Elementwise ``f(*xs)`` where ``mask`` holds, 0 elsewhere, in value and in derivatives of every order.

    A plain ``where`` would let an infinite slope of the branch not taken meet a zero and make NaN in reverse mode.
    """
    return jnp.where(mask, f(*xs), 0)


def _guarded_jvp(f: Callable[..., Array], primals: tuple[Any, ...], tangents: tuple[Any, ...]) -> tuple[Array, Any]:
    mask, *xs = primals
    value = _guarded(f, mask, *xs)
    slope = jnp.zeros_like(value)
    for k, tangent in enumerate(tangents[1:]):
        # What is not varied is passed over: an infinite slope must not meet its zero.
        if isinstance(tangent, SymbolicZero):
            continue
        slope = slope + _guarded(partial(_partial_derivative, f, k), mask, *xs) * tangent
    return value, slope


def _partial_derivative(f: Callable[..., Array], k: int, *xs: Array) -> Array:
    along = lambda x: f(*xs[:k], x, *xs[k + 1 :])
    return cast(Array, jax.jvp(along, (xs[k],), (jnp.ones_like(xs[k]),))[1])


_guarded.defjvp(_guarded_jvp, symbolic_zeros=True)
