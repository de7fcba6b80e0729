"""The fast loops against slow and obvious ones, and the losses against extended precision."""

import itertools

import flax.linen as nn
import jax
import jax.numpy as jnp
import mpmath
import numpy as np
import optax
import pytest

from idealab.errors import UsageError
from idealab.simulate import (
    EXPONENTIAL,
    LOGISTIC,
    SQUARED,
    descend,
    descend_with,
    log_spaced,
    margin_gradient,
    polynomial,
    random_separable,
)

MONOTONE = [LOGISTIC, EXPONENTIAL, polynomial(1.5)]
X = random_separable(jax.random.key(0), 10, 3)


def slow_descent(loss, x, learning_rate, times, weights=None, decay=0.0):
    """One sample at a time, in numpy, with the loss's derivative by its textbook formula."""
    derivative = {
        "logistic": lambda u: -1.0 / (1.0 + np.exp(u)),
        "exponential": lambda u: -np.exp(-u),
        "polynomial(1.5)": lambda u: -1.5 * u**-2.5 if u >= 1 else -1.5,
        "squared": lambda u: u - 1.0,
    }[loss.name]
    x = np.asarray(x)
    weights = np.ones(len(x)) if weights is None else weights
    w, recorded = np.zeros(x.shape[1]), {}
    for step in range(times[-1] + 1):
        recorded[step] = w
        gradient = sum(c * derivative(row @ w) * row for c, row in zip(weights, x, strict=True)) + decay * w
        w = w - learning_rate * gradient
    return np.array([recorded[t] for t in times])


@pytest.mark.parametrize("loss", [*MONOTONE, SQUARED], ids=lambda loss: loss.name)
def test_descend_equals_the_obvious_loop(loss):
    times = (0, 1, 7, 100)
    fast = descend(margin_gradient(loss, X), jnp.zeros(3), 0.02, times)
    # A hundred steps, each rounded differently in the last bit.
    np.testing.assert_allclose(fast, slow_descent(loss, X, 0.02, times), atol=1e-12)


def test_sample_weights_and_weight_decay():
    weights = np.linspace(0.5, 2.0, len(X))
    gradient = margin_gradient(LOGISTIC, X, weights, weight_decay=0.3)
    fast = descend(gradient, jnp.zeros(3), 0.05, (50,))
    np.testing.assert_allclose(fast, slow_descent(LOGISTIC, X, 0.05, (50,), weights, 0.3), atol=1e-12)


@pytest.mark.parametrize("loss", [*MONOTONE, SQUARED], ids=lambda loss: loss.name)
def test_gradient_is_that_of_the_summed_loss(loss):
    w = jnp.array([0.3, -0.2, 0.5])
    total = lambda w: jnp.sum(loss.value(X @ w)) + 0.5 * 0.1 * w @ w
    np.testing.assert_allclose(margin_gradient(loss, X, weight_decay=0.1)(w), jax.grad(total)(w), rtol=1e-12)
    many = jnp.stack([w, 2 * w])
    np.testing.assert_allclose(margin_gradient(loss, X)(many)[1], margin_gradient(loss, X)(2 * w), rtol=1e-13)


@pytest.mark.parametrize("loss", [*MONOTONE, SQUARED], ids=lambda loss: loss.name)
def test_weight_and_steepness_are_derivatives(loss):
    u = jnp.linspace(-3.0, 5.0, 23)
    np.testing.assert_allclose(loss.weight(u), -jax.vmap(jax.grad(loss.value))(u), rtol=1e-12)
    if loss is not SQUARED:
        np.testing.assert_allclose(loss.steepness(u), -jax.vmap(jax.grad(loss.log_weight))(u), atol=1e-12)


@pytest.mark.parametrize("u", [-700.0, -1.0, 0.0, 0.7, 19.9, 20.1, 40.0, 800.0, 1e6])
def test_logarithms_hold_where_the_plain_forms_underflow(u):
    with mpmath.workdps(60):
        # At u = 1e6 the loss is 1e-434294, which mpmath's exponent holds; the series of log(1 + z) stands in for it.
        z = mpmath.exp(-mpmath.mpf(u))
        value = mpmath.log(1 + z) if u < 100 else z * (1 - z / 2)
        exact = {
            "logistic": (mpmath.log(value), -mpmath.log(1 + mpmath.exp(mpmath.mpf(u)))),
            "exponential": (-mpmath.mpf(u), -mpmath.mpf(u)),
            "polynomial(1.5)": (
                (-1.5 * mpmath.log(u), mpmath.log(1.5) - 2.5 * mpmath.log(u))
                if u >= 1
                else (mpmath.log(1 + 1.5 * (1 - mpmath.mpf(u))), mpmath.log(1.5))
            ),
        }
    for loss in MONOTONE:
        log_value, log_weight = (float(part) for part in exact[loss.name])
        assert float(loss.log_value(jnp.asarray(u))) == pytest.approx(log_value, rel=1e-14, abs=1e-15)
        assert float(loss.log_weight(jnp.asarray(u))) == pytest.approx(log_weight, rel=1e-14, abs=1e-15)


def test_polynomial_tail_is_convex_and_joins_smoothly():
    loss = polynomial(2.0)
    u = jnp.linspace(-2.0, 4.0, 601)
    value = loss.value(u)
    assert jnp.all(jnp.diff(value, 2) > -1e-12)
    assert float(loss.weight(jnp.asarray(1.0 - 1e-9))) == pytest.approx(float(loss.weight(jnp.asarray(1.0))), rel=1e-8)
    assert float(loss.value(jnp.asarray(2.0))) == 0.25
    with pytest.raises(UsageError, match=r"b=0: expected a positive exponent"):
        polynomial(0)


def test_log_spaced():
    assert log_spaced(1, 1000, 1) == (1, 10, 100, 1000)
    assert log_spaced(10, 10, 5) == (10,)
    times = log_spaced(1, 10**7, 9)
    assert times[0] == 1
    assert times[-1] == 10**7
    assert all(b > a for a, b in itertools.pairwise(times))
    with pytest.raises(UsageError, match=r"start=0, stop=10, per_decade=1: expected 1 <= start"):
        log_spaced(0, 10, 1)


@pytest.mark.parametrize("times", [(), (3, 3), (5, 2), (-1, 4), (1.5,)])
def test_times_must_increase(times):
    with pytest.raises(UsageError, match=r"times=.*expected strictly increasing whole numbers"):
        descend(lambda w: w, jnp.zeros(2), 0.1, times)


def test_descend_maps_over_starts_and_rates():
    run = lambda w0, rate: descend(margin_gradient(LOGISTIC, X), w0, rate, (3, 30))
    starts, rates = jax.random.normal(jax.random.key(1), (4, 3)), jnp.array([0.01, 0.02, 0.03, 0.04])
    together = jax.jit(jax.vmap(run))(starts, rates)
    assert together.shape == (4, 2, 3)
    np.testing.assert_allclose(together[2], run(starts[2], rates[2]), atol=1e-13)


def test_descend_with_sgd_equals_descend():
    times = (0, 5, 60)
    loss = lambda w: jnp.sum(LOGISTIC.value(X @ w))
    general = descend_with(optax.sgd(0.05), loss, jnp.zeros(3), times)
    explicit = descend(margin_gradient(LOGISTIC, X), jnp.zeros(3), 0.05, times)
    np.testing.assert_allclose(general, explicit, atol=1e-13)


def test_descend_with_adam_trains_a_network():
    net = nn.Dense(1, param_dtype=jnp.float64)
    inputs, labels = X * jnp.sign(X[:, :1]), jnp.sign(X[:, :1])
    params = net.init(jax.random.key(2), inputs)
    loss = lambda params: jnp.sum(LOGISTIC.value(labels * net.apply(params, inputs)))
    optimizer = optax.adam(0.1)
    recorded = descend_with(optimizer, loss, params, (0, 1, 40))
    assert jax.tree.structure(recorded) == jax.tree.structure(params)
    assert recorded["params"]["kernel"].shape == (3, 3, 1)
    by_hand, state = params, optimizer.init(params)
    for _ in range(40):
        updates, state = optimizer.update(jax.grad(loss)(by_hand), state)
        by_hand = optax.apply_updates(by_hand, updates)
    last = jax.tree.map(lambda leaf: leaf[-1], recorded)
    # Adam divides by the root of a running mean square, which magnifies rounding near zero gradients.
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-9), last, by_hand)
    assert loss(last) < 0.5 * loss(params)


def test_compensated_sums_follow_steps_below_the_last_place_of_w():
    """In the plane, at t = 10^6 a step is 2e-7 and w is 4: in float32 that is less than half an ulp."""
    x, times = jnp.array([[1.0, 0.2], [1.0, -0.2]]), (10**4, 10**6)
    follow = lambda dtype, **how: descend(
        margin_gradient(LOGISTIC, x.astype(dtype)), jnp.zeros(2, dtype), jnp.asarray(0.1, dtype), times, **how
    )
    exact = follow(jnp.float64)
    np.testing.assert_allclose(follow(jnp.float32, compensated=True), exact, rtol=3e-7, atol=1e-8)
    assert np.abs(follow(jnp.float32) - exact)[-1].max() > 1e-4
    np.testing.assert_allclose(follow(jnp.float64, compensated=True), exact, rtol=1e-11, atol=1e-12)
