"""One matrix at a time: the same numbers, and nothing dealt out to the threads in which programs run."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from idealab.compute.programs import _deals_out
from idealab.simulate import linear_algebra

CASES = {
    "cholesky": (jnp.linalg.cholesky, "square"),
    "cho_solve": (lambda factor, right: jax.scipy.linalg.cho_solve((factor, True), right), "square vector"),
    "lu_solve": (lambda matrix, pivots, right: jax.scipy.linalg.lu_solve((matrix, pivots), right), "lu"),
    "lu_factor": (lambda matrix: jax.scipy.linalg.lu_factor(matrix), "square"),
    "pinv": (jnp.linalg.pinv, "wide"),
    "qr": (lambda matrix: tuple(jnp.linalg.qr(matrix)), "wide"),
    "singular_values": (lambda matrix: jnp.linalg.svd(matrix, compute_uv=False), "wide"),
    "svd": (lambda matrix: tuple(jnp.linalg.svd(matrix, full_matrices=False)), "wide"),
    "full_svd": (lambda matrix: tuple(jnp.linalg.svd(matrix)), "wide"),
}


def arguments(kind):
    wide = jax.random.normal(jax.random.key(0), (3, 4, 5))
    square, vector = wide @ wide.mT + jnp.eye(4), wide[:, :, 0]
    return {
        "wide": (wide,),
        "square": (square,),
        "square vector": (jnp.linalg.cholesky(square), vector),
        "lu": (*jax.scipy.linalg.lu_factor(square), vector),
    }[kind]


@pytest.mark.parametrize("name", CASES)
def test_side_by_side_it_is_what_jax_gives_one_after_the_other(name):
    plain, kind = CASES[name]
    given = arguments(kind)
    compile_ = lambda function: jax.jit(jax.vmap(function)).lower(*given).compile()
    ours = compile_(getattr(linear_algebra, name))
    expected = [plain(*(argument[i] for argument in given)) for i in range(3)]
    jax.tree.map(
        lambda got, *rows: np.testing.assert_allclose(got, np.stack(rows), rtol=1e-12, atol=1e-14),
        ours(*given),
        *expected,
    )
    assert not _deals_out(ours)
    assert _deals_out(compile_(plain)), "or else this test sees nothing"


def test_every_one_of_them_is_tested():
    ours = {
        name
        for name, value in vars(linear_algebra).items()
        if callable(value) and value.__module__ == linear_algebra.__name__
    }
    assert ours - {"one_at_a_time"} == set(CASES)
