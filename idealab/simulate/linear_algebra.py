"""Factorisations of one matrix at a time, so that seeds side by side do not lock up a CPU.

LAPACK gains nothing from several small matrices at once, and jaxlib (0.10) deals them out to the pool of threads in
which programs run that are side by side: they may wait for one another for ever. Elsewhere `jax.vmap` is left alone.
"""

from __future__ import annotations

# JAX annotates its functions only in part.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false, reportUnknownLambdaType=false
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

_scipy = jax.scipy.linalg


def one_at_a_time(function: Callable[..., Any]) -> Callable[..., Any]:
    """On a CPU, let a function of arrays, without defaults, take one after the other also under `jax.vmap`."""
    single = jax.custom_batching.sequential_vmap(function)
    return lambda *arguments: jax.lax.platform_dependent(*arguments, cpu=single, default=function)


cholesky = one_at_a_time(lambda matrix: jnp.linalg.cholesky(matrix, symmetrize_input=False))
cho_solve = one_at_a_time(lambda factor, right: _scipy.cho_solve((factor, True), right))
lu_factor = one_at_a_time(lambda matrix: _scipy.lu_factor(matrix))
lu_solve = one_at_a_time(lambda factor, pivots, right: _scipy.lu_solve((factor, pivots), right))
pinv = one_at_a_time(lambda matrix: jnp.linalg.pinv(matrix))
qr = one_at_a_time(lambda matrix: tuple(jnp.linalg.qr(matrix)))
singular_values = one_at_a_time(lambda matrix: jnp.linalg.svd(matrix, compute_uv=False))
svd = one_at_a_time(lambda matrix: tuple(jnp.linalg.svd(matrix, full_matrices=False)))
full_svd = one_at_a_time(lambda matrix: tuple(jnp.linalg.svd(matrix, full_matrices=True)))
