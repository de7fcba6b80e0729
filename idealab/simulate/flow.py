"""Gradient descent on a margin loss to any horizon, t = 10^100 or e^(10^6), by integrating in s = ln t.

On separable data descent slows down like ln t. This is `idealab.simulate.follow` for the push
F = eta sum_n exp(s + ln(-ell'(u_n))) x_n, with all that it needs written out.
"""

from __future__ import annotations

# JAX annotates its functions only in part.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false, reportUnknownLambdaType=false
import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

from idealab.errors import UsageError
from idealab.simulate.descent import LOGISTIC, MarginLoss, descend, margin_gradient
from idealab.simulate.horizon import Trajectory, integrate, starting_times


def log_time_flow(
    x: ArrayLike,
    learning_rate: ArrayLike,
    log_times: ArrayLike,
    *,
    loss: MarginLoss = LOGISTIC,
    w0: ArrayLike | None = None,
    start_time: int = 1000,
    sample_weights: ArrayLike | None = None,
    rtol: ArrayLike = 1e-10,
    atol: ArrayLike = 1e-10,
    max_steps: int = 20_000,
    estimate_error: bool = False,
) -> Trajectory:
    """Follow w <- w - learning_rate grad sum_n c_n ell(x_n . w): true steps first, then log time.

    Parameters
    ----------
    x
        Samples times labels, shape (n, d).
    learning_rate
        Step size eta of the summed loss. It must be stable (for the logistic loss eta < 8/sigma_1(x)^2 is enough): the
        expansion assumes it.
    log_times
        s = ln t, increasing, shape (t,), each at least ln(start_time). Earlier or unordered ones give NaN.
    loss
        A monotone loss: logistic, exponential, polynomial.
    w0
        Start, shape (d,); zero when not given.
    start_time
        Number of true steps before the solver takes over. What the expansion leaves out falls like start_time^-3.
    sample_weights
        c, shape (n,); all one when not given.
    rtol, atol
        Local error allowed a step, relative and absolute in w; relative at least 1e-5 in float32.
    max_steps
        Solver steps after which it gives up.
    estimate_error
        Whether to run a companion for `Trajectory.error`, at about half the cost of the flow.

    Returns
    -------
    Trajectory
        A failure is a value: ``succeeded`` False and NaN weights. Pure; jits and vmaps over every array argument.
        Rounding leaves an absolute error of about 1e-14 s in the margins u.

    Raises
    ------
    UsageError
        If ``start_time`` is not a positive whole number, or the loss has no logarithmic form.
    """
    if loss.name == "squared":
        raise UsageError("loss=SQUARED: its derivative changes sign, so it has no logarithm; use descend instead")
    starts = starting_times(start_time, estimate_error)
    x = jnp.asarray(x)
    w = jnp.zeros(x.shape[1], x.dtype) if w0 is None else jnp.asarray(w0, x.dtype)
    true = descend(margin_gradient(loss, x, sample_weights), w, learning_rate, starts[::-1])
    rate = jnp.asarray(learning_rate) * (1.0 if sample_weights is None else jnp.asarray(sample_weights))
    begin = [(math.log(start), w) for start, w in zip(starts, true[::-1], strict=True)]
    flow, times = _Flow(x.T, loss, rate), jnp.asarray(log_times)
    return integrate(flow.field, flow.jacobian, begin, times, rtol, atol, max_steps, symmetric=True)


class _Flow(NamedTuple):
    """What `idealab.simulate.horizon.corrected` makes of the push, written out, with samples on the lane axis.

    One product with the samples gives the Jacobian and its change along the path, where differentiation takes two: on
    digits (357, 65) a third of the time.
    """

    xt: Array  # (d, n)
    loss: MarginLoss
    rate: Array  # eta c, () or (n,)

    def _coefficients(self, s: Array, w: Array) -> tuple[Array, Array, Array]:
        """For each sample, the push along x_n and its first two derivatives in u, shape (n,) each."""
        u = w @ self.xt
        push = self.rate * jnp.exp(s + self.loss.log_weight(u))
        steepness, change = jax.jvp(self.loss.steepness, (u,), (jnp.ones_like(u),))
        return push, -push * steepness, push * (steepness**2 - change)

    def field(self, s: Array, w: Array) -> Array:
        push, first, second = self._coefficients(s, w)
        step = jnp.exp(-s)
        f = push @ self.xt.T
        along = f @ self.xt
        ff = (first * along) @ self.xt.T  # F'F
        correction = -0.5 * first * along + step * (second * along**2 / 12.0 + first * (ff @ self.xt) / 3.0)
        return f + step * (correction @ self.xt.T)

    def jacobian(self, s: Array, w: Array) -> Array:
        """Up to the terms in e^-2s, which the step control absorbs."""
        push, first, second = self._coefficients(s, w)
        half = 0.5 * jnp.exp(-s)
        along = (push @ self.xt.T) @ self.xt
        matrix = (self.xt * (first - half * second * along)) @ self.xt.T
        return matrix - half * matrix @ matrix
