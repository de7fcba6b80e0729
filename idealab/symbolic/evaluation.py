"""A compiled prediction: printed code as a jitted function of keywords, whose branches have safe slopes."""

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

from idealab.errors import UsageError
from idealab.symbolic import special
from idealab.symbolic.blind import refuse_while_observing
from idealab.symbolic.numeric import Helpers, refuse_arguments
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
    namespace: dict[str, Any] = {"jnp": jnp, "jss": jss, "special": special, **Helpers(jnp, guard=_safe).names()}
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
        refuse_while_observing()
        if values.keys() != set(code.arguments):
            refuse_arguments(code, tuple(values))
        return evaluate({name: jnp.asarray(v) if isinstance(v, (list, tuple)) else v for name, v in values.items()})

    return prediction


def _safe(branch: Callable[..., ArrayLike], mask: Array, *variables: Array) -> Array:
    """Evaluate a branch of a piecewise formula.

    Where it is not taken neither its value nor any of its derivatives enter: x log x is safe beside x = 0.
    """
    return _guarded(_in_full(branch), mask, *variables)


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
