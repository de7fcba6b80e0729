"""Any step that gets smaller and smaller, followed to any horizon, t = 10^100 or e^(10^6), by integrating in s = ln t.

Where gradients vanish, w moves like ln t or like a power of t, so nothing is lost by taking steps that grow with t,
except that the problem is stiff. What is needed of an idea is its step w <- w + a(w) times e^s, F(s, w) = e^s a(w),
written so that it neither underflows nor overflows: e^s goes into the exponent, where it meets what vanishes.

Discrete steps are followed, not the flow that they approximate. The flow of

    f = a - (1/2) a'a + (1/12) a''(a, a) + (1/3) a'a'a + O(|a|^4)

passes through every iterate (Hairer, Lubich & Wanner, Geometric Numerical Integration, IX.1). In log time
dw/ds = e^s f, and with F', F'' the derivatives in w at fixed s this reads

    dw/ds = F - (1/2) e^-s F'F + e^-2s [(1/12) F''(F, F) + (1/3) F'F'F].
"""

from __future__ import annotations

# JAX annotates its functions only in part.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false, reportUnknownLambdaType=false
import math
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.core import Tracer
from jax.flatten_util import ravel_pytree
from jax.typing import ArrayLike

from idealab.errors import UsageError
from idealab.simulate.rosenbrock import Field, solve

Push = Callable[[Array, Any], Any]

_COARSER = 30.0  # times the tolerance: twice the steps of order 5, so that the companion costs half as much again
_SAFETY = 3.0  # as the difference may pass through zero where the error does not
_ROUNDING = 8.0  # units in the last place of s and w; seen: a quarter of one, where exponents of size s cancel


class Trajectory(NamedTuple):
    """Weights at saved times.

    Attributes
    ----------
    log_times
        s = ln t, shape (t,).
    weights
        w with a leading axis t, shape (t, d) where w is a vector; NaN from where the solver gave up.
    steps
        Solver steps, the companion's too, shape ().
    succeeded
        Whether every time was reached, shape ().
    companion
        Weights from a cruder run, moved away by rounding errors: as ``weights``, or None if no error was asked for.
    """

    log_times: Array
    weights: Any
    steps: Array
    succeeded: Array
    companion: Any = None

    @property
    def error(self) -> Array:
        """Estimated largest error in w at each saved time, shape (t,); see `error_in`."""
        return jnp.max(self.error_in(lambda w: ravel_pytree(w)[0]), axis=1)

    def error_in(self, observable: Callable[[Any], Array]) -> Array:
        """Estimated error of any function of w at each saved time: how far the companion is from the path.

        The companion starts from half the number of true steps and is allowed 30 times the local error, so what the
        expansion leaves out is 4 to 8 times as large there, and what the solver leaves about 30 times. It is moved
        three times as far away, and by 8 units in the last place of s and w for rounding. An estimate, not a bound: in
        one case of a hundred the two runs cross, and it is too small.

        An experiment reports it as a parameter, one number a seed, such as ``flow_error=jnp.max(flow.error)``. In
        ``Equals(atol=bias + flow_error)`` the tolerance then makes room for it. Under ``Equals(atol=Max(bias -
        flow_error, 0))`` what is called present is so for the exact path too; where the error is larger than what the
        theory allows, the cell is called absent, and its note says that no tolerance is left.

        Parameters
        ----------
        observable
            Maps w to an array.

        Returns
        -------
        Array
            Shape (t, ...): NaN where either run gave up.

        Raises
        ------
        UsageError
            If the flow was followed without ``estimate_error``.
        """
        if self.companion is None:
            raise UsageError("this trajectory knows no error: follow it with estimate_error=True")
        seen, apart = jax.vmap(observable)(self.weights), jax.vmap(observable)(self.companion)
        return jnp.abs(apart - seen)


def follow(
    push: Push,
    w0: Any,
    log_times: ArrayLike,
    *,
    jacobian: Field | None = None,
    discrete: bool = True,
    start_time: int = 1000,
    symmetric: bool = False,
    estimate_error: bool = False,
    rtol: ArrayLike = 1e-10,
    atol: ArrayLike = 1e-10,
    max_steps: int = 20_000,
) -> Trajectory:
    """Follow w <- w + step(w), or dw/dt = step(w), from t = 0 to any horizon.

    Parameters
    ----------
    push
        ``push(s, w)`` is e^s step(w), shaped like w, for s = ln t: finite wherever the path goes, however small the
        step is there. For descent on a loss whose logarithm is known, see `descent_push`. Where w comes to rest because
        terms cancel, e^s magnifies their rounding: past s = 36 or so there is nothing to follow, and the solver gives
        up. A weight that itself vanishes, like t^(-1/2), is followed by its logarithm.
    w0
        Start at t = 0: any pytree of floating arrays.
    log_times
        s = ln t, increasing, shape (t,); for discrete steps each at least ln(start_time). Others give NaN.
    jacobian
        ``jacobian(s, w)``, the derivative of ``push`` in w, shape (d, d), in the order of
        ``jax.flatten_util.ravel_pytree``; by automatic differentiation when not given.
    discrete
        False for the continuous flow dw/dt = step(w).
    start_time
        Number of true steps before the solver takes over. What the expansion leaves out falls like start_time^-3.
        Of no account for the continuous flow.
    symmetric
        Whether the Jacobian is symmetric and, but for small terms, has no positive eigenvalues, as for descent on a
        convex function: it saves a little time.
    estimate_error
        Whether to run a companion for `Trajectory.error`, at about half the cost of the flow.
    rtol, atol
        Local error allowed a step, relative and absolute in w. In float32 use 1e-5 for both; w is then known to about
        1e-6 s, and s itself to 1e-7 s, so that past s = 10^4 a shape of order one is no longer seen.
    max_steps
        Solver steps after which it gives up.

    Returns
    -------
    Trajectory
        A failure is a value: ``succeeded`` False and NaN weights. Pure; jits and vmaps. The Jacobian is dense: the
        cost of a step grows with d^3.

    Raises
    ------
    UsageError
        If ``start_time`` is not a positive whole number (2 or more with ``estimate_error``), or ``push`` does not
        return the shape of w.
    """
    w, unravel = _flat(w0)
    flat = _flattened(push, w0, unravel)
    derivative = jax.jacfwd(flat, 1) if jacobian is None else lambda s, w: jacobian(s, unravel(w))
    times = jnp.asarray(log_times)
    if discrete:
        # e^0 step(w) is the step itself.
        advance = lambda _, w: w + flat(jnp.zeros((), w.dtype), w)
        starts = starting_times(start_time, estimate_error)
        first = jax.lax.fori_loop(0, starts[-1], advance, w)
        last = jax.lax.fori_loop(starts[-1], starts[0], advance, first) if estimate_error else first
        begin = [(math.log(starts[0]), last), (math.log(starts[-1]), first)][: len(starts)]
        field, matrix = corrected(flat, derivative)
        path = integrate(field, matrix, begin, times, rtol, atol, max_steps, symmetric=symmetric)
    else:
        # On the clock ln(1 + t) the flow starts at t = 0; late it is ln t.
        clock = jnp.logaddexp(times, 0.0)
        begin = [(0.0, w)] * (1 + estimate_error)
        path = integrate(flat, derivative, begin, clock, rtol, atol, max_steps, symmetric=symmetric)
    back = jax.vmap(unravel)
    companion = None if path.companion is None else back(path.companion)
    return path._replace(log_times=times, weights=back(path.weights), companion=companion)


def descent_push(log_loss: Callable[[Any], Array], learning_rate: ArrayLike) -> Push:
    """The step of gradient descent on a loss that vanishes, by automatic differentiation of its logarithm.

    As grad L = L grad ln L, the push is -eta exp(s + ln L) grad ln L, in which nothing underflows.

    Parameters
    ----------
    log_loss
        ln L(w) as a scalar, accurate where L itself would underflow: sums by ``logsumexp``, and ln(1 + e^-u) as in
        ``LOGISTIC.log_value``.
    learning_rate
        Step size eta; 1 for gradient flow.

    Returns
    -------
    Push
        For `follow`.
    """

    def push(s: Array, w: Any) -> Any:
        value, slope = jax.value_and_grad(log_loss)(w)
        size = learning_rate * jnp.exp(s + value)
        return jax.tree.map(lambda part: -size * part, slope)

    return push


def starting_times(start_time: int, estimate_error: bool) -> tuple[int, ...]:
    """Numbers of true steps of the flow and, if there is one, of its companion.

    Raises
    ------
    UsageError
        If there is no such number.
    """
    least = 2 if estimate_error else 1
    if not (math.isfinite(start_time) and start_time >= least and int(start_time) == start_time):
        raise UsageError(
            f"start_time={start_time!r}: expected a whole number of descent steps, {least} or more"
            + (" with estimate_error" if estimate_error else "")
        )
    return (int(start_time), int(start_time) // 2)[:least]


def corrected(push: Field, jacobian: Field) -> tuple[Field, Field]:
    """The field whose flow passes through the discrete steps, and its Jacobian up to the terms in e^-2s."""

    def field(s: Array, w: Array) -> Array:
        step = jnp.exp(-s)
        f = push(s, w)
        along = lambda w, v: jax.jvp(lambda w: push(s, w), (w,), (v,))[1]
        first, second = jax.jvp(lambda w: along(w, f), (w,), (f,))  # F'F and F''(F, F)
        return f + step * (-0.5 * first + step * (second / 12.0 + along(w, first) / 3.0))

    def matrix(s: Array, w: Array) -> Array:
        # Left to the step control, F''F would take up to three times the steps; what is left out here, none.
        now, change = jax.jvp(lambda w: jacobian(s, w), (w,), (push(s, w),))
        return now - 0.5 * jnp.exp(-s) * (change + now @ now)

    return field, matrix


def integrate(
    field: Field,
    jacobian: Field,
    begin: list[tuple[float, Array]],
    clock: Array,
    rtol: ArrayLike,
    atol: ArrayLike,
    max_steps: int,
    *,
    symmetric: bool,
) -> Trajectory:
    """Follow a field that is proportional to e^s, from (s, w); a second pair starts the companion.

    Raises
    ------
    UsageError
        If the times are not a list, or a tolerance that is known here is negative.
    """
    if clock.ndim != 1:
        raise UsageError(f"log_times has shape {clock.shape}; expected (t,), the times one after the other")
    for name, value in (("rtol", rtol), ("atol", atol)):
        if not isinstance(value, Tracer) and np.any(np.asarray(value) < 0):
            raise UsageError(f"{name}={value!r}: expected zero or more")
    # At fixed w the field is proportional to t, so in s it is its own derivative.
    to = partial(solve, field, jacobian, field, times=clock, max_steps=max_steps, symmetric=symmetric)
    if len(begin) == 1:
        flow = to(*begin[0], rtol=rtol, atol=atol)
        return Trajectory(clock, flow.values, flow.steps, flow.succeeded)
    dtype = begin[0][1].dtype
    starts, factors = jnp.array([s for s, _ in begin], dtype), jnp.array([1.0, _COARSER], dtype)
    # One after the other, in a program that is compiled once.
    run = lambda start, w, factor: to(start, w, rtol=rtol * factor, atol=atol * factor)
    both = jax.lax.map(lambda one: run(*one), (starts, jnp.stack([w for _, w in begin]), factors))
    flow, crude = (jax.tree.map(lambda part, i=i: part[i], both) for i in range(2))
    apart = crude.values - flow.values
    size = jnp.abs(clock).astype(apart.dtype) + jnp.max(jnp.abs(flow.values), axis=1)
    rounding = _ROUNDING * jnp.finfo(apart.dtype).eps * size[:, None]
    companion = flow.values + _SAFETY * apart + jnp.where(apart < 0, -rounding, rounding)
    return Trajectory(clock, flow.values, flow.steps + crude.steps, flow.succeeded & crude.succeeded, companion)


def _flat(w0: Any) -> tuple[Array, Callable[[Array], Any]]:
    """w as a vector, and the way back."""
    w, unravel = ravel_pytree(jax.tree.map(jnp.asarray, w0))
    if w.size == 0 or not jnp.issubdtype(w.dtype, jnp.floating):
        raise UsageError(f"w0 has {w.size} entries of type {w.dtype}: expected one floating-point number at least")
    return w, unravel


def _flattened(push: Push, w0: Any, unravel: Callable[[Array], Any]) -> Field:
    """The push from vector to vector."""
    shapes = lambda tree: jax.tree.map(jnp.shape, tree)
    returned = jax.eval_shape(push, jnp.zeros(()), jax.tree.map(jnp.asarray, w0))
    if shapes(returned) != shapes(w0):
        raise UsageError(f"push(s, w) returns shape {shapes(returned)}, but w has {shapes(w0)}: they must be alike")
    return lambda s, w: ravel_pytree(push(s, unravel(w)))[0]
