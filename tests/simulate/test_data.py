"""Planted data carry their certificate; the loaders give what they say."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from idealab.errors import UsageError
from idealab.simulate import breast_cancer, digits, hard_margin, planted, random_separable, spectrum, subsample

KEY = jax.random.key(0)
solve = jax.jit(hard_margin)


@pytest.mark.parametrize(
    ("support", "others", "dimension", "rates"),
    [
        (1, 23, 6, []),
        (4, 20, 6, [0.5, 3.0, 1.5]),
        (7, 17, 6, [0.3, 0.5, 1.0, 2.0, 4.0]),
    ],
)
def test_planted_constants_are_those_asked_for(support, others, dimension, rates):
    sizes = {"support": support, "others": others, "dimension": dimension}
    x, solution = jax.jit(partial(planted, **sizes, margin=0.3, rates=rates, theta=1.6))(KEY)
    assert x.shape == (support + others, dimension)
    assert solution.converged
    assert solution.residual < 1e-14
    assert solution.margin == pytest.approx(0.3, rel=1e-14)
    assert solution.theta == pytest.approx(1.6, rel=1e-13)
    found = jax.jit(spectrum)(x, solution)
    np.testing.assert_allclose(found[: len(rates)], sorted(rates, reverse=True), rtol=1e-12)
    assert jnp.all(found[len(rates) :] == 0)
    # The solver, which has not seen the construction, must agree with it.
    solved = solve(x)
    np.testing.assert_allclose(solved.separator, solution.separator, atol=1e-12)
    if support <= dimension:  # else alpha is not unique
        np.testing.assert_allclose(solved.dual, solution.dual, atol=1e-11)


def test_planted_weights_may_be_given():
    p = jnp.array([0.5, 0.3, 0.2])
    _, solution = planted(KEY, support=3, others=2, dimension=4, margin=2.0, rates=[1.0, 2.0], weights=p)
    np.testing.assert_allclose(solution.dual * 2.0**2, [0.5, 0.3, 0.2, 0.0, 0.0], rtol=1e-14)


def test_dependent_support_vectors_are_planted_with_largest_entropy():
    # Entropy is largest over sum alpha_n x_n = w_hat where ln p lies in the span of the support vectors' columns.
    x, solution = planted(KEY, support=4, others=0, dimension=3, margin=0.5, rates=[0.5, 2.0])
    assert solution.theta == jnp.inf
    free = np.linalg.svd(x.T)[2][-1]
    assert np.max(np.abs(free @ x)) < 1e-14
    assert abs(free @ np.log(solution.dual)) < 1e-13


def test_drawn_weights_keep_away_from_zero():
    sizes = {"support": 4, "others": 0, "dimension": 4, "rates": jnp.ones(3)}
    draw = jax.jit(jax.vmap(lambda key: planted(key, **sizes, margin=1.0)[1].dual))
    p = draw(jax.random.split(KEY, 500))
    assert jnp.min(p) >= 1 / 16
    assert jnp.max(p) > 0.5
    assert jnp.std(p) > 0.1


def test_planted_is_pure_and_maps_over_keys():
    sizes = {"support": 3, "others": 4, "dimension": 5}
    draw = lambda key, margin: planted(key, **sizes, margin=margin, rates=[0.5, 2.0], theta=1.5)
    x, solution = jax.jit(jax.vmap(draw))(jax.random.split(KEY, 3), jnp.array([0.1, 1.0, 10.0]))
    assert x.shape == (3, 7, 5)
    assert jnp.all(solution.converged)
    np.testing.assert_allclose(solution.margin, [0.1, 1.0, 10.0], rtol=1e-13)
    alone, _ = draw(jax.random.split(KEY, 3)[1], 1.0)
    np.testing.assert_allclose(x[1], alone, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"support": 8}, r"support=8: expected 1 to dimension \+ 1 = 7"),
        ({"others": -1}, r"others=-1: expected 0 or more"),
        ({"rates": [1.0]}, r"rates\.shape=\(1,\): expected \(3,\)"),
    ],
)
def test_planted_refuses_what_cannot_be(change, message):
    arguments = {"support": 4, "others": 2, "dimension": 6, "margin": 1.0, "rates": [1.0, 2.0, 3.0], "theta": 1.5}
    with pytest.raises(UsageError, match=message):
        planted(KEY, **(arguments | change))


def test_random_data_are_separable():
    draw = jax.jit(lambda key: random_separable(key, 24, 6))
    assert all(solve(draw(key)).converged for key in jax.random.split(KEY, 20))


def test_subsample_draws_without_replacement():
    rows = jnp.arange(12.0)[:, None] * jnp.ones(3)
    drawn = jax.jit(jax.vmap(lambda key: subsample(key, rows, 8)))(jax.random.split(KEY, 4))
    assert drawn.shape == (4, 8, 3)
    assert all(len(set(np.asarray(one[:, 0]))) == 8 for one in drawn)
    assert len({tuple(np.asarray(one[:, 0])) for one in drawn}) == 4
    with pytest.raises(UsageError, match=r"size=13: expected 1 to 12"):
        subsample(KEY, rows, 13)


def test_digits():
    x = digits(3, 8)
    assert x.shape == (357, 65)
    signs = x[:, -1]
    assert set(signs) == {-1.0, 1.0}
    assert np.all(x * signs[:, None] >= 0)
    assert np.max(np.abs(x)) == 1.0
    np.testing.assert_array_equal(-np.sort(-x[:, -1]), np.sort(-digits(8, 3)[:, -1])[::-1])
    assert not x.flags.writeable
    with pytest.raises(UsageError, match=r"positive=3, negative=3: expected two different digits"):
        digits(3, 3)


def test_breast_cancer():
    x = breast_cancer()
    features = x * x[:, -1:]
    assert x.shape == (569, 31)
    assert np.sum(x[:, -1] > 0) == 357
    np.testing.assert_allclose(features[:, :-1].mean(axis=0), 0.0, atol=1e-13)
    np.testing.assert_allclose(features[:, :-1].std(axis=0), 1.0, rtol=1e-13)


def test_tables_are_those_of_scikit_learn():
    from sklearn.datasets import load_breast_cancer, load_digits

    pixels, target = load_digits(return_X_y=True)
    x = digits(0, 1)
    np.testing.assert_array_equal(x[:, :-1] * 16 * x[:, -1:], pixels[target < 2])
    np.testing.assert_array_equal(x[:, -1] > 0, target[target < 2] == 0)
    features, benign = load_breast_cancer(return_X_y=True)
    expected = (features - features.mean(axis=0)) / features.std(axis=0)
    np.testing.assert_array_equal(breast_cancer()[:, -1] > 0, benign == 1)
    np.testing.assert_array_equal(breast_cancer()[:, :-1] * breast_cancer()[:, -1:], expected)
