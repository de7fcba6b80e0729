"""The hard-margin separator: where gradient descent on separable data is said to go.

The problem is solved in its bounded form, the point of the convex hull of the samples nearest to the origin,

    minimise |v|^2 / 2  subject to  v = sum p_n x_n,  p >= 0,  sum p_n = 1,

which has a solution whether or not the data are separable: |v| is the margin, and zero says "not separable".
Mehrotra's interior point finds the support, an active-set polish then solves for it to rounding error.
"""

from __future__ import annotations

# JAX annotates its functions only in part.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false, reportUnknownLambdaType=false
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from idealab.simulate.linear_algebra import cho_solve, cholesky, singular_values, svd

_INTERIOR_STEPS = 80  # generic data take 12 to 25; the bound only stops data that are not separable
_POLISH_ROUNDS = 6


class HardMargin(NamedTuple):
    """The minimum-norm separator with its certificate.

    With labels folded into ``x``, ``separator`` = argmin |w| subject to x_n . w >= 1 for every sample.

    Attributes
    ----------
    separator
        w_hat, shape (d,).
    margin
        gamma = 1/|w_hat|, shape ().
    dual
        alpha >= 0, shape (n,), zero off the support; sum alpha_n x_n = w_hat and sum alpha_n = 1/gamma^2. Where the
        support vectors are dependent (never for data in general position) alpha is not unique, and this is one of them.
    theta
        Smallest x_n . w_hat off the support, shape (); inf where every sample is a support vector.
    residual
        Largest violation of the optimality conditions, each in units where gamma drops out, shape ().
    converged
        Whether ``residual`` certifies the answer, shape (). Where it is False (data that are not separable, or a
        solver that gave up) every field but ``residual`` is NaN.
    """

    separator: Array
    margin: Array
    dual: Array
    theta: Array
    residual: Array
    converged: Array


def hard_margin(x: Array) -> HardMargin:
    """Find the hard-margin separator of samples whose labels are folded in.

    Parameters
    ----------
    x
        Samples times labels, shape (n, d). No intercept is added: give a constant feature if one is wanted.

    Returns
    -------
    HardMargin
        Relative accuracy near rounding error on generic data. Pure; jits and vmaps.

    Notes
    -----
    Optimality (Karush-Kuhn-Tucker): x w >= 1, alpha >= 0, x^T alpha = w, alpha_n (x_n . w - 1) = 0.
    """
    scale = jnp.sqrt(jnp.max(jnp.sum(x * x, axis=1)))
    unit = x / jnp.where(scale > 0, scale, 1.0)
    weights, separator, support = _interior_point(unit)
    separator, dual, support = _polish(unit, weights, separator, support)
    separator, dual = separator / scale, dual / scale**2
    return certify(x, separator, dual, support)


def certify(x: Array, separator: Array, dual: Array, support: Array) -> HardMargin:
    """Check a claimed solution against the optimality conditions and state how well it meets them.

    Parameters
    ----------
    x
        Samples times labels, shape (n, d).
    separator, dual
        The claimed w_hat, shape (d,), and alpha, shape (n,).
    support
        Which samples are support vectors, shape (n,), bool.
    """
    margin = 1.0 / jnp.linalg.norm(separator)
    u = x @ separator
    p = margin**2 * dual
    # sum p = 1 follows from these three.
    primal = jnp.where(support, jnp.abs(u - 1.0), 1.0 - u)
    sign = jnp.where(support, -p, jnp.abs(p))
    stationary = margin * jnp.abs(dual @ x - separator)
    residual = jnp.maximum(jnp.max(jnp.concatenate([primal, sign, stationary])), 0.0)
    # A tenth of the digits must be right: anything worse came from a support that was never identified.
    converged = residual < 10.0 * jnp.finfo(x.dtype).eps ** 0.5
    keep = lambda value: jnp.where(converged, value, jnp.nan)
    theta = jnp.min(jnp.where(support, jnp.inf, u))
    return HardMargin(keep(separator), keep(margin), keep(dual), keep(theta), residual, converged)


def spectrum(x: Array, solution: HardMargin) -> Array:
    """Rates lambda_i at which the support vectors' losses equalise, largest first.

    They are the eigenvalues of G diag(alpha) on the support, G the Gram matrix, apart from the eigenvalue 1 that
    belongs to w_hat and from null eigenvalues of dependent support vectors. In log time, ln q - ln p decays like
    t^-lambda along the i-th eigenvector.

    Parameters
    ----------
    x
        Samples times labels, shape (n, d).
    solution
        From :func:`hard_margin`.

    Returns
    -------
    Array
        Shape (d - 1,), padded with zeros where the support vectors span fewer directions.
    """
    size = min(x.shape[0], x.shape[1] + 1)
    alpha, index = jax.lax.top_k(solution.dual, size)
    rows = jnp.sqrt(alpha)[:, None] * x[index]
    # G diag(alpha) has the spectrum of rows @ rows.T, whose unit eigenvector sqrt(p) is taken out through w_hat.
    direction = solution.separator * solution.margin
    rows = rows - jnp.outer(rows @ direction, direction)
    rates = singular_values(rows) ** 2
    floor = (size * jnp.finfo(x.dtype).eps) ** 2 * jnp.maximum(rates[0], 1.0)
    rates = jnp.where(rates > floor, rates, 0.0)[: x.shape[1] - 1]
    return jnp.pad(rates, (0, x.shape[1] - 1 - rates.shape[0]))


def slowest_rate(rates: Array, theta: Array) -> Array:
    """Exponent kappa = min(1, lambda_min, theta - 1) of the slowest correction, which decays like t^-kappa.

    Parameters
    ----------
    rates
        From :func:`spectrum`; zeros are padding and are left out.
    theta
        Smallest x_n . w_hat off the support.
    """
    lambda_min = jnp.min(jnp.where(rates > 0, rates, jnp.inf), initial=jnp.inf)
    return jnp.minimum(1.0, jnp.minimum(lambda_min, theta - 1.0))


class _Interior(NamedTuple):
    weights: Array  # p, (n,)
    point: Array  # v, (d,)
    slack: Array  # s = x v - level, (n,)
    level: Array  # the multiplier of sum p = 1; |v|^2 at the solution
    step: Array


def _interior_point(x: Array) -> tuple[Array, Array, Array]:
    """Mehrotra's predictor-corrector; returns p, v/|v|^2 and which samples look like support vectors."""
    n = x.shape[0]
    weights = jnp.full((n,), 1.0 / n, x.dtype)
    point = weights @ x
    u = x @ point
    level = jnp.min(u) - 0.1
    start = _Interior(weights, point, u - level, level, jnp.zeros((), int))

    # Enough to tell the support from the rest; below this the slacks would drown in rounding error.
    tolerance = jnp.finfo(x.dtype).eps ** 0.6

    def unfinished(state: _Interior) -> Array:
        gap = state.weights @ state.slack
        return (gap > tolerance * state.point @ state.point) & (state.step < _INTERIOR_STEPS)

    end = jax.lax.while_loop(unfinished, lambda state: _interior_step(x, state), start)
    squared = end.point @ end.point
    return end.weights, end.point / squared, end.weights * squared > end.slack


def _interior_step(x: Array, state: _Interior) -> _Interior:
    p, v, s, level, step = state
    ratio = p / s
    weighted = ratio @ x
    factor = cholesky(jnp.eye(x.shape[1], dtype=x.dtype) + (x * ratio[:, None]).T @ x)
    pull = cho_solve(factor, weighted)
    curvature = jnp.sum(ratio) - weighted @ pull

    def newton(target: Array) -> tuple[Array, Array, Array, Array]:
        """Solve for the step whose products p s become ``target`` to first order."""
        c = target / s - p
        free = c @ x + (p @ x - v)
        forced = cho_solve(factor, free)
        d_level = (weighted @ forced - jnp.sum(c) + (1.0 - jnp.sum(p))) / curvature
        d_v = forced + pull * d_level
        d_s = x @ d_v - d_level
        return c - ratio * d_s, d_v, d_s, d_level

    def room(value: Array, change: Array) -> Array:
        return jnp.min(jnp.where(change < 0, -value / change, jnp.inf))

    gap = p @ s / p.shape[0]
    d_p, _, d_s, _ = newton(jnp.zeros_like(p))
    length = jnp.minimum(1.0, jnp.minimum(room(p, d_p), room(s, d_s)))
    centering = ((p + length * d_p) @ (s + length * d_s) / p.shape[0] / gap) ** 3
    d_p, d_v, d_s, d_level = newton(centering * gap - d_p * d_s)
    length = jnp.minimum(1.0, 0.995 * jnp.minimum(room(p, d_p), room(s, d_s)))
    v, level = v + length * d_v, level + length * d_level
    moved = _Interior(p + length * d_p, v, s + length * d_s, level, step + 1)
    # Rounding may break a factorisation at the very end: then stop where we are and let the polish finish.
    sound = jnp.all(jnp.isfinite(d_p)) & jnp.all(jnp.isfinite(d_s))
    stopped = state._replace(step=jnp.asarray(_INTERIOR_STEPS))
    return jax.tree.map(lambda new, old: jnp.where(sound, new, old), moved, stopped)


def _polish(x: Array, weights: Array, separator: Array, support: Array) -> tuple[Array, Array, Array]:
    """Solve the optimality conditions on the support, changing it until it is right (w, alpha, support)."""
    size = min(x.shape[0], x.shape[1] + 1)
    tolerance = 100.0 * jnp.finfo(x.dtype).eps ** 0.75

    def body(state: tuple[Array, ...]) -> tuple[Array, ...]:
        support, dual, separator, _, turn = state
        separator, dual = _solve_on(x, support, dual, size)
        p = dual / (separator @ separator)
        wrong = support & (p < 0)
        missing = ~support & (x @ separator < 1.0 - tolerance)
        return (support & ~wrong) | missing, dual, separator, jnp.any(wrong | missing), turn + 1

    unfinished = lambda state: state[3] & (state[4] < _POLISH_ROUNDS)
    dual = weights * (separator @ separator)
    start = (support, dual, separator, jnp.asarray(True), jnp.zeros((), int))
    support, dual, separator, _, _ = jax.lax.while_loop(unfinished, body, start)
    return separator, dual, support


def _solve_on(x: Array, support: Array, dual: Array, size: int) -> tuple[Array, Array]:
    """Minimum-norm w with x_n . w = 1 on the support, and the dual nearest to ``dual`` that makes it."""
    score, index = jax.lax.top_k(jnp.where(support, 1.0 + dual / jnp.max(dual), 0.0), size)
    inside = score > 0
    rows = jnp.where(inside[:, None], x[index], 0.0)
    left, values, right = svd(rows)
    inverse = jnp.where(values > values[0] * size * jnp.finfo(x.dtype).eps, 1.0 / values, 0.0)
    solve = lambda b: right.T @ (inverse * (left.T @ b))  # rows w = b, least squares and least norm
    transposed = lambda b: left @ (inverse * (right @ b))  # rows^T alpha = b, the same

    ones = inside.astype(x.dtype)
    separator = solve(ones)
    separator = separator + solve(ones - inside * (rows @ separator))
    alpha = dual[index] * ones
    alpha = alpha + transposed(separator - alpha @ rows)
    return separator, jnp.zeros_like(dual).at[index].set(alpha * ones)
