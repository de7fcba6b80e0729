"""Special functions that JAX lacks: the principal branch of Lambert's W, plain and of an exponential.

Both solve their equation by the same third-order iteration, a fixed number of times, so that they trace, vectorise and
run in whatever floating type they are given. Derivatives are closed forms, themselves differentiable.
"""

# JAX is annotated in part only.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false, reportUnknownLambdaType=false

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.scipy.special import gammasgn
from jax.typing import ArrayLike

_STEPS = 3  # the first guess is within 8 %; three steps reach the last bit of float64 (two do not everywhere)
_TERMS = 18  # enough for the last bit of float64 where the series is used
_SERIES_RADIUS = 0.2  # in p = sqrt(2 (e x + 1)); beyond it the iteration loses less than the series
_INVERSE_E = (0.36787944117144233, -1.2428753672788363e-17)  # 1/e as an unevaluated sum of two doubles


def _branch_point_coefficients(terms: int) -> tuple[float, ...]:
    """Coefficients mu of W = sum_k mu_k p^k with p = sqrt(2 (e x + 1)) (Corless et al. 1996, eqs. 4.22 to 4.24)."""
    mu, alpha = [-1.0, 1.0], [2.0, -1.0]
    for k in range(2, terms):
        alpha.append(sum(mu[j] * mu[k + 1 - j] for j in range(2, k)))
        mu.append((k - 1) / (k + 1) * (mu[k - 2] / 2 + alpha[k - 2] / 4) - alpha[k] / 2 - mu[k - 1] / (k + 1))
    return tuple(mu)


_COEFFICIENTS = _branch_point_coefficients(_TERMS)


def _inexact(x: ArrayLike) -> Array:
    x = jnp.asarray(x)
    return x if jnp.issubdtype(x.dtype, jnp.floating) else x.astype(jnp.result_type(float))


def _guess(log1p_x: Array) -> Array:
    """First guess from log(1 + x), for x > -0.27 (Winitzki 2003, eq. 4, in its simplest form)."""
    return log1p_x * (1 - jnp.log1p(log1p_x) / (2 + log1p_x))


def _improve(w: Array, residual: Array) -> Array:
    """One step for residual = log(x/w) - w (Fritsch, Shafer and Crowley 1973), written so that it cannot overflow."""
    ratio = residual / (1 + w)
    scale = 1 + w + 2 * residual / 3
    return w * (1 + ratio * (scale - ratio / 2) / (scale - ratio))


@jax.custom_jvp
@jax.jit
def lambertw(x: ArrayLike) -> Array:
    """Principal branch of Lambert's W: the w >= -1 with w exp(w) = x.

    Parameters
    ----------
    x
        Any shape, real. NaN comes back below -1/e; the floating number nearest to -1/e counts as -1/e.

    Returns
    -------
    Array
        The shape and floating type of ``x``.

    Notes
    -----
    Near the branch point the distance to -1/e is formed with a two-part constant and W summed as a series in its square
    root; elsewhere a fixed number of iterations. The derivative is W/(x (1 + W)) = exp(-W)/(1 + W), whose relative
    error grows like eps/p as x nears the branch point, where it is infinite.
    """
    x = _inexact(x)
    kind = np.dtype(x.dtype)
    high = np.asarray(_INVERSE_E[0], kind)
    low = np.asarray((_INVERSE_E[0] - float(high)) + _INVERSE_E[1], kind)
    # The barrier keeps the compiler from adding the two parts of the constant before x meets the first.
    distance = jax.lax.optimization_barrier(x + high) + low
    p = jnp.sqrt(jnp.maximum(2 * np.e * distance, 0))
    near = p < _SERIES_RADIUS
    p_near = jnp.where(near, p, 0)
    series = jnp.polyval(jnp.asarray(_COEFFICIENTS[::-1], kind), p_near)
    # Zero, infinity and the series' region leave the iteration's domain: put 1 there, and their values back below.
    regular = ~near & (x != 0) & (x < jnp.inf)
    safe = jnp.where(regular, x, 1)
    w = jnp.where(safe < -0.25, -1 + p * (1 - p / 3 + 11 * p**2 / 72), _guess(jnp.log1p(jnp.maximum(safe, -0.25))))
    for _ in range(_STEPS):
        w = _improve(w, jnp.log(safe / w) - w)
    w = jnp.where(regular, w, jnp.where(near, series, x))
    return jnp.where(distance < -jnp.finfo(kind).eps / 8, jnp.nan, w)


@lambertw.defjvp
def _lambertw_jvp(primals: tuple[Array], tangents: tuple[Array]) -> tuple[Array, Array]:
    x = _inexact(primals[0])
    w = lambertw(x)
    # Both forms are W'(x): the first has no zero over zero at x = 0, the second no rounded exponent at large x.
    slope = jnp.where(x < 1, jnp.exp(-w) / (1 + w), w / (1 + w) / jnp.where(x < 1, 1, x))
    return w, slope * tangents[0]


@jax.custom_jvp
@jax.jit
def lambertw_exp(x: ArrayLike) -> Array:
    """W(exp(x)), the w > 0 with w + log(w) = x, also where exp(x) overflows.

    Parameters
    ----------
    x
        Any shape, any real value: 1e6 and 1e300 are as good as 1. Below log of the smallest number the result is zero.

    Returns
    -------
    Array
        The shape and floating type of ``x``.

    Notes
    -----
    The derivative is W/(1 + W).
    """
    x = _inexact(x)
    large = (x > 0) & (x < jnp.inf)
    safe = jnp.where(large, x, 1)
    w = _guess(jnp.logaddexp(safe, 0))
    for _ in range(_STEPS):
        w = _improve(w, (safe - w) - jnp.log(w))
    # For x <= 0 the logarithm of w would lose digits, and exp(x) cannot overflow.
    return jnp.where(large, w, jnp.where(x > 0, x, lambertw(jnp.exp(jnp.minimum(x, 0)))))


@lambertw_exp.defjvp
def _lambertw_exp_jvp(primals: tuple[Array], tangents: tuple[Array]) -> tuple[Array, Array]:
    w = lambertw_exp(primals[0])
    return w, w / (1 + w) * tangents[0]


def gamma_sign(x: ArrayLike) -> Array:
    """Sign of the gamma function; 1 at its poles, so that the reciprocal of a pole is 0 and not NaN."""
    x = _inexact(x)
    return jnp.where((x <= 0) & (jnp.floor(x) == x), 1, gammasgn(x))
