"""A stiff solver for flows: Rodas5P with error control, small enough to compile in half a second.

A Rosenbrock method replaces the Newton iteration of an implicit Runge-Kutta method by one factorisation and eight
solves a step. On the flows of this package it takes a quarter of the steps of diffrax's Kvaerno5 at equal accuracy,
and compiles and runs several times faster, because the Jacobian is given as a formula and is symmetric.
A Jacobian that is not, or that has positive eigenvalues, is factorised by LU in place of Cholesky.
"""

from __future__ import annotations

# JAX annotates its functions only in part.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false, reportUnknownLambdaType=false
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import ArrayLike

from idealab.simulate.linear_algebra import cho_solve, cholesky, lu_factor, lu_solve

# Rodas5P: order 5 with an embedded order 4, 8 stages, stiffly accurate, L-stable. Steinebach (2023), "Construction of
# Rosenbrock-Wanner method Rodas5P and numerical benchmarks within the Julia Differential Equations package", BIT 63:27.
# In the form that needs no product with the Jacobian: stage increments k_i solve (1/(h gamma) - J) k_i = right side.
_GAMMA = 0.21193756319429014
_A = (
    (),
    (3.0,),
    (2.849394379747939, 0.45842242204463923),
    (-6.954028509809101, 2.489845061869568, -10.358996098473584),
    (2.8029986275628964, 0.5072464736228206, -0.3988312541770524, -0.04721187230404641),
    (-7.502846399306121, 2.561846144803919, -11.627539656261098, -0.18268767659942256, 0.030198172008377946),
    (-7.502846399306121, 2.561846144803919, -11.627539656261098, -0.18268767659942256, 0.030198172008377946, 1.0),
    (-7.502846399306121, 2.561846144803919, -11.627539656261098, -0.18268767659942256, 0.030198172008377946, 1.0, 1.0),
)
_C = (
    (),
    (-14.155112264123755,),
    (-17.97296035885952, -2.859693295451294),
    (147.12150275711716, -1.41221402718213, 71.68940251302358),
    (165.43517024871676, -0.4592823456491126, 42.90938336958603, -5.961986721573306),
    (24.854864614690072, -3.0009227002832186, 47.4931110020768, 5.5814197821558125, -0.6610691825249471),
    (
        *(30.91273214028599, -3.1208243349937974, 77.79954646070892, 34.28646028294783, -19.097331116725623),
        -28.087943162872662,
    ),
    (
        *(37.80277123390563, -3.2571969029072276, 112.26918849496327, 66.9347231244047, -40.06618937091002),
        *(-54.66780262877968, -9.48861652309627),
    ),
)
_NODES = (0.0, 0.6358126895828704, 0.4095798393397535, 0.9769306725060716, 0.4288403609558664, 1.0, 1.0, 1.0)
_TIME_WEIGHTS = (
    _GAMMA,
    -0.42387512638858027,
    -0.3384627126235924,
    1.8046452872882734,
    2.325825639765069,
    0.0,
    0.0,
    0.0,
)

Field = Callable[[Array, Array], Array]


class Solution(NamedTuple):
    """Values at the saved times; what could not be reached is NaN.

    Attributes
    ----------
    values
        Shape (t, d).
    steps
        Steps tried, accepted or not, shape ().
    succeeded
        Whether every saved time was reached, shape ().
    """

    values: Array
    steps: Array
    succeeded: Array


class _Problem(NamedTuple):
    field: Field
    jacobian: Field
    time_derivative: Field
    symmetric: bool


class _State(NamedTuple):
    time: Array
    value: Array
    size: Array  # of the next step
    steps: Array


def solve(
    field: Field,
    jacobian: Field,
    time_derivative: Field,
    start: ArrayLike,
    value: Array,
    times: Array,
    *,
    rtol: ArrayLike,
    atol: ArrayLike,
    max_steps: int,
    first_step: ArrayLike = 1e-2,
    symmetric: bool = True,
) -> Solution:
    """Integrate dy/dt = field(t, y) and return y at ``times``.

    Parameters
    ----------
    field
        Maps a time, shape (), and a value, shape (d,), to the slope, shape (d,).
    jacobian
        d field / d y, shape (d, d). A small error costs steps.
    time_derivative
        Partial d field / d t at fixed y, shape (d,).
    start, value
        Initial time and value, shape (d,).
    times
        Increasing saved times from ``start`` on, shape (t,). A time out of order gives NaN.
    rtol, atol
        A step is accepted when the root mean square of error / (atol + rtol |y|) is at most one. An rtol below a
        hundred times the rounding of the type counts as that much.
    max_steps
        Steps after which the solver gives up: a value, ``succeeded`` False, not an exception.
    first_step
        Size of the first step tried.
    symmetric
        Whether the Jacobian is symmetric with no positive eigenvalues worth a step, as for descent on a convex
        function. Only its lower triangle is read then, and a step that leaves 1/(h gamma) - J indefinite is rejected.
    """

    def advance(state: _State, target: Array) -> tuple[_State, Array]:
        unfinished = lambda s: (s.time < target) & (s.steps < max_steps)
        state = jax.lax.while_loop(unfinished, lambda s: _step(problem, s, target, tol), state)
        return state, jnp.where(state.time == target, state.value, jnp.nan)

    dtype = value.dtype
    least = 100 * jnp.finfo(dtype).eps  # below it the error estimate is rounding, and no step is accepted
    problem, tol = _Problem(field, jacobian, time_derivative, symmetric), (jnp.maximum(rtol, least), atol)
    first = _State(jnp.asarray(start, dtype), value, jnp.asarray(first_step, dtype), jnp.zeros((), int))
    end, values = jax.lax.scan(advance, first, jnp.asarray(times, dtype))
    return Solution(values, end.steps, jnp.all(jnp.isfinite(values)))


def _step(problem: _Problem, state: _State, target: Array, tolerances: tuple[ArrayLike, ArrayLike]) -> _State:
    """Try one step, cut so that it ends on ``target`` at the latest."""
    rtol, atol = tolerances
    last = state.size >= target - state.time
    size = jnp.minimum(state.size, target - state.time)
    value, error = _attempt(problem, state.time, state.value, size)
    scale = atol + rtol * jnp.maximum(jnp.abs(state.value), jnp.abs(value))
    ratio = jnp.sqrt(jnp.mean((error / scale) ** 2))
    # An overflow or a failed factorisation (the step is far too long) shows as NaN and is rejected like any other.
    ratio = jnp.where(jnp.isfinite(ratio), ratio, jnp.inf)
    accepted = ratio <= 1.0
    proposal = size * jnp.clip(0.9 * ratio**-0.2, 0.2, 6.0)
    # A step that was cut short to meet a saved time must not shorten those after it.
    proposal = jnp.where(accepted & last, jnp.maximum(proposal, state.size), proposal)
    time = jnp.where(last, target, state.time + size)
    return _State(
        jnp.where(accepted, time, state.time),
        jnp.where(accepted, value, state.value),
        proposal,
        state.steps + 1,
    )


def _attempt(problem: _Problem, time: Array, value: Array, size: Array) -> tuple[Array, Array]:
    """Take one Rodas5P step; returns the new value and its error estimate."""
    d = value.shape[0]
    a, c = (jnp.asarray(_lower_triangle(rows), value.dtype) for rows in (_A, _C))
    nodes, time_weights = (jnp.asarray(row, value.dtype) for row in (_NODES, _TIME_WEIGHTS))
    matrix = jnp.eye(d, dtype=value.dtype) / (size * _GAMMA) - problem.jacobian(time, value)
    if problem.symmetric:
        factor = cholesky(matrix)
        solved = lambda right: cho_solve(factor, right)
    else:
        factor, pivots = lu_factor(matrix)
        solved = lambda right: lu_solve(factor, pivots, right)
    slope = problem.time_derivative(time, value)

    # A loop over stages rather than eight copies: the compiler sees the field once.
    def stage(i: Array, k: Array) -> Array:
        right = (
            problem.field(time + nodes[i] * size, value + a[i] @ k) + (c[i] @ k) / size + time_weights[i] * size * slope
        )
        return k.at[i].set(solved(right))

    k = jax.lax.fori_loop(0, 8, stage, jnp.zeros((8, d), value.dtype))
    return value + a[7] @ k + k[7], k[7]


def _lower_triangle(rows: tuple[tuple[float, ...], ...]) -> np.ndarray:
    return np.array([row + (0.0,) * (len(rows) - len(row)) for row in rows])
