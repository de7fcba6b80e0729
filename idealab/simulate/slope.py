"""The exponent with which something decays, read off where it can be read."""

from __future__ import annotations

import jax.numpy as jnp
from jax import Array


def decay_slope(log_times: Array, distance: Array, low: float, high: float) -> Array:
    """Log-log slope of a decaying distance while it lies between two levels.

    Late enough to be straight, early enough to stand clear of rounding: where the window lies in time is left to the
    data, so that a rate can be measured without knowing it.

    Parameters
    ----------
    log_times
        ln t, shape (t,).
    distance
        A positive quantity that decays like a power of t, shape (t,).
    low, high
        The levels, low < high.

    Returns
    -------
    Array
        The least-squares slope of ln distance against ln t, shape (); NaN where fewer than three points fall in
        between.
    """
    inside = ((distance > low) & (distance < high)).astype(distance.dtype)
    count = jnp.sum(inside)
    centred = inside * (log_times - jnp.sum(inside * log_times) / jnp.maximum(count, 1.0))
    logs = jnp.log(jnp.where(inside > 0, distance, 1.0))
    return jnp.where(count >= 3, jnp.sum(centred * logs) / jnp.sum(centred**2), jnp.nan)
