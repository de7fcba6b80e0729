"""Prompts of one of two topics: tokens that are independent, given the topic."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax import Array

VOCABULARY = 8


def topics(key: Array, spread: Array | float = 0.7, size: int = VOCABULARY) -> Array:
    """The chances of the tokens under two topics, shape (2, k).

    Their logarithms differ by a random direction of standard deviation ``spread``: exact Bayes then loses about
    ``spread^2/8`` of the logarithm of its chance of error with each token.
    """
    tilt = jax.random.normal(key, (size,))
    tilt = (tilt - jnp.mean(tilt)) / jnp.std(tilt)
    return jax.nn.softmax(jnp.stack([tilt, -tilt]) * spread / 2)


def draw(key: Array, chances: Array, prompts: int, length: int) -> Array:
    """Prompts of independent tokens with these chances (k,), shape (b, t)."""
    # One random number a token: jax.random.categorical takes k, and their logarithms, which is forty times as long.
    bounds = jnp.cumsum(chances)[:-1]
    return jnp.searchsorted(bounds, jax.random.uniform(key, (prompts, length)), side="right", method="compare_all")
