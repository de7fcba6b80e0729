"""The hard-margin solver against two independent oracles, and its certificate."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.optimize import nnls
from sklearn.svm import SVC

from idealab.simulate import breast_cancer, digits, hard_margin, planted, random_separable, slowest_rate, spectrum

solve = jax.jit(hard_margin)


def least_distance(x):
    """Lawson & Hanson (1974), chapter 23: min |w| subject to x w >= 1, as a non-negative least-squares problem."""
    n, d = x.shape
    target = np.zeros(d + 1)
    target[-1] = 1.0
    stacked = np.vstack([np.asarray(x).T, np.ones(n)])
    residual = stacked @ nnls(stacked, target, maxiter=10_000)[0] - target
    return -residual[:d] / residual[d]


def support_vector_machine(x):
    """sklearn fits labelled data, so append the mirror images; the intercept is then zero by symmetry."""
    machine = SVC(kernel="linear", C=1e10, tol=1e-9)
    machine.fit(np.vstack([x, -x]), np.repeat([1, -1], len(x)))
    return machine.coef_[0]


DATA = {
    "small": lambda: random_separable(jax.random.key(0), 24, 6),
    "wide": lambda: random_separable(jax.random.key(1), 20, 60),
    "large": lambda: random_separable(jax.random.key(2), 400, 70),
    "digits 3 against 8": lambda: jnp.asarray(digits(3, 8)),
    "digits 4 against 9": lambda: jnp.asarray(digits(4, 9)),
}


@pytest.mark.parametrize("name", DATA)
def test_agrees_with_both_oracles(name):
    x = DATA[name]()
    found = solve(x)
    assert found.converged
    # Rounding: a few hundred multiply-adds of numbers near one.
    assert found.residual < 1e-13
    scale = jnp.linalg.norm(found.separator)
    # NNLS solves normal equations of condition near 1/gamma; 1e-11 leaves four digits for that.
    assert jnp.linalg.norm(found.separator - least_distance(x)) < 1e-11 * scale
    # libsvm stops at a KKT violation of its own; seen 1e-6.
    assert jnp.linalg.norm(found.separator - support_vector_machine(np.asarray(x))) < 1e-5 * scale


def test_certificate_means_what_it_says():
    x = DATA["small"]()
    found = solve(x)
    u = x @ found.separator
    support = found.dual > 0
    assert found.margin == pytest.approx(float(1.0 / jnp.linalg.norm(found.separator)), rel=1e-14)
    assert jnp.all(u > 1.0 - 1e-13)
    np.testing.assert_allclose(u[support], 1.0, atol=1e-13)
    np.testing.assert_allclose(found.dual @ x, found.separator, atol=1e-12)
    assert found.margin**2 * jnp.sum(found.dual) == pytest.approx(1.0, abs=1e-13)
    assert found.theta == jnp.min(u[~support])


def test_breast_cancer_is_barely_separable():
    x = breast_cancer()
    found = solve(x)
    assert found.converged
    # gamma = 0.0014 with samples of norm up to 20 costs four digits, in ours and in NNLS.
    assert found.residual < 1e-11
    assert found.margin == pytest.approx(0.00139252, rel=1e-5)
    assert jnp.linalg.norm(found.separator - least_distance(x)) * found.margin < 1e-8


def test_data_that_are_not_separable_are_a_value():
    x = jax.random.normal(jax.random.key(0), (24, 6))
    found = solve(x)
    assert not found.converged
    assert jnp.isnan(found.margin)
    assert jnp.all(jnp.isnan(found.separator))
    assert not solve(jnp.zeros((24, 6))).converged


def test_a_batch_may_mix_separable_and_not():
    good = jax.vmap(lambda key: random_separable(key, 24, 6))(jax.random.split(jax.random.key(3), 3))
    bad = jax.random.normal(jax.random.key(0), (1, 24, 6))
    found = jax.jit(jax.vmap(hard_margin))(jnp.concatenate([good, bad]))
    np.testing.assert_array_equal(found.converged, [True, True, True, False])
    for x, separator in zip(good, found.separator, strict=False):
        np.testing.assert_allclose(separator, solve(x).separator, rtol=1e-11)


def test_scale_and_rotation():
    x = DATA["small"]()
    rotation = jnp.linalg.qr(jax.random.normal(jax.random.key(5), (6, 6)))[0]
    turned = solve(1e-3 * x @ rotation)
    np.testing.assert_allclose(turned.separator, 1e3 * solve(x).separator @ rotation, rtol=1e-10)
    np.testing.assert_allclose(turned.theta, solve(x).theta, rtol=1e-11)


def test_float32_still_certifies():
    x = DATA["small"]().astype(jnp.float32)
    found = hard_margin(x)
    assert found.converged
    assert found.separator.dtype == jnp.float32
    assert found.margin == pytest.approx(float(solve(DATA["small"]()).margin), rel=1e-4)


def test_spectrum_is_that_of_the_gram_matrix():
    x = DATA["small"]()
    found = solve(x)
    support = np.flatnonzero(found.dual > 0)
    gram = x[support] @ x[support].T
    eigenvalues = np.sort(np.linalg.eigvals(gram * found.dual[support]).real)[::-1]
    one = np.argmin(np.abs(eigenvalues - 1.0))
    assert eigenvalues[one] == pytest.approx(1.0, abs=1e-11)
    expected = np.delete(eigenvalues, one)[: x.shape[1] - 1]
    rates = jax.jit(spectrum)(x, found)
    assert rates.shape == (x.shape[1] - 1,)
    np.testing.assert_allclose(rates[: len(expected)], expected, rtol=1e-9)
    assert jnp.all(rates[len(expected) :] == 0)


def test_dependent_support_vectors_leave_the_separator_exact():
    # Seven support vectors in six dimensions: alpha has one free direction.
    rates = jnp.array([0.3, 0.5, 1.0, 2.0, 4.0])
    x, truth = planted(jax.random.key(3), support=7, others=17, dimension=6, margin=0.3, rates=rates, theta=1.6)
    found = solve(x)
    assert found.residual < 1e-13
    np.testing.assert_allclose(found.separator, truth.separator, atol=1e-12)
    assert jnp.sum(found.dual > 0) == 7


@pytest.mark.parametrize(("theta", "expected"), [(1.4, 0.4), (1.7, 0.6), (9.0, 0.6)])
def test_slowest_rate(theta, expected):
    assert slowest_rate(jnp.array([3.0, 0.6, 0.0]), jnp.asarray(theta)) == pytest.approx(expected)


def test_slowest_rate_is_at_most_one():
    assert slowest_rate(jnp.array([3.0]), jnp.asarray(jnp.inf)) == 1.0
    assert slowest_rate(jnp.zeros(0), jnp.asarray(jnp.inf)) == 1.0
