"""Log time against direct descent, against extended precision, and against solutions known in closed form."""

import math

import jax
import jax.numpy as jnp
import mpmath
import numpy as np
import pytest

from idealab.errors import UsageError
from idealab.simulate import (
    EXPONENTIAL,
    LOGISTIC,
    SQUARED,
    breast_cancer,
    descend,
    hard_margin,
    log_time_flow,
    margin_gradient,
    planted,
    polynomial,
    random_separable,
)

PLANTED, SOLUTION = planted(
    jax.random.key(0), support=4, others=20, dimension=6, margin=0.3, rates=[0.5, 1.5, 3.0], theta=1.6
)
RANDOM = random_separable(jax.random.key(1), 24, 6)
RATE = 4.0  # half of the largest stable learning rate, in units of 1/sigma_1^2


def learning_rate(x):
    return RATE / jnp.linalg.norm(x, 2) ** 2


def largest_difference(x, loss, horizon, sample_weights=None, w0=None):
    rate = learning_rate(x)
    start = jnp.zeros(x.shape[1]) if w0 is None else w0
    direct = descend(margin_gradient(loss, x, sample_weights), start, rate, (horizon,))[-1]
    log_times = jnp.log(jnp.array([1e4, horizon]))
    flow = log_time_flow(x, rate, log_times, loss=loss, w0=w0, sample_weights=sample_weights)
    assert flow.succeeded
    return float(jnp.max(jnp.abs(flow.weights[-1] - direct)))


@pytest.mark.parametrize("x", [PLANTED, RANDOM], ids=["planted", "random"])
@pytest.mark.parametrize("loss", [LOGISTIC, EXPONENTIAL], ids=lambda loss: loss.name)
def test_equals_direct_descent(x, loss):
    # The solver is allowed 1e-10 a step, and its errors decay; seen 3e-11. A wrong expansion gives 2e-9 and more.
    assert largest_difference(x, loss, 10**5) < 1e-9


def test_equals_direct_descent_with_weights_start_and_power_tail():
    weights = jnp.linspace(0.3, 1.7, len(RANDOM))
    start = jax.random.normal(jax.random.key(3), (6,))
    assert largest_difference(RANDOM, LOGISTIC, 10**5, weights, start) < 1e-9
    # A power tail leaves the solver's local errors undamped for longer.
    assert largest_difference(RANDOM, polynomial(2.0), 10**5) < 1e-8


@pytest.mark.slow
@pytest.mark.parametrize("x", [PLANTED, RANDOM], ids=["planted", "random"])
def test_equals_direct_descent_at_ten_million(x):
    assert largest_difference(x, LOGISTIC, 10**7) < 1e-9


def test_correction_for_discrete_steps_is_needed_and_right():
    # Starting ten times earlier magnifies what the expansion neglects: 3e-9 as it stands, 1e-7 with either of the two
    # cubic coefficients off by a quarter, 6e-7 without both, 2e-4 for plain gradient flow.
    rate = learning_rate(RANDOM)
    times = jnp.log(jnp.array([1e4]))
    early = log_time_flow(RANDOM, rate, times, start_time=100, rtol=1e-12, atol=1e-12).weights
    late = log_time_flow(RANDOM, rate, times, start_time=1000, rtol=1e-12, atol=1e-12).weights
    assert jnp.max(jnp.abs(early - late)) < 2e-8


def test_against_extended_precision():
    """Two samples, 10^4 steps in 40 digits: no rounding, no solver, no expansion."""
    x, rate, steps = [(1.0, 0.5), (-0.25, 1.0)], 1.5, 10_000
    with mpmath.workdps(40):
        w = [mpmath.mpf(0), mpmath.mpf(0)]
        for _ in range(steps):
            push = [rate / (1 + mpmath.exp(a * w[0] + b * w[1])) for a, b in x]
            w = [w[i] + sum(g * row[i] for g, row in zip(push, x, strict=True)) for i in range(2)]
        exact = [float(part) for part in w]
    flow = log_time_flow(jnp.array(x), rate, jnp.array([math.log(steps)]))
    np.testing.assert_allclose(flow.weights[-1], exact, atol=1e-10)


def test_orthogonal_support_vectors_in_closed_form_at_e_to_the_million():
    # Exponential loss, x = (1, 0) and (0, 3): each coordinate alone, exp(3 w) = 9 eta t + O(ln t), and t = 10^434294.
    x, rate, s = jnp.array([[1.0, 0.0], [0.0, 3.0]]), 0.1, jnp.array([1e2, 1e4, 1e6])
    flow = log_time_flow(x, rate, s, loss=EXPONENTIAL)
    assert flow.succeeded
    expected = jnp.stack([s + math.log(rate), (s + math.log(9 * rate)) / 3], axis=1)
    # Rounding of s itself: 1e6 times 2^-52, a few times over.
    np.testing.assert_allclose(flow.weights, expected, atol=2e-9)


def test_learned_weights_become_the_planted_dual():
    flow = log_time_flow(PLANTED, learning_rate(PLANTED), jnp.array([1e3]))
    q = jax.nn.softmax(-PLANTED @ flow.weights[-1])
    np.testing.assert_allclose(q, SOLUTION.margin**2 * SOLUTION.dual, atol=1e-11)


def test_breast_cancer_with_rates_up_to_four_million():
    x = jnp.asarray(breast_cancer())
    solution, flow = hard_margin(x), log_time_flow(x, learning_rate(x), jnp.array([20.0, 1e3]))
    assert flow.succeeded
    q = jax.nn.softmax(-x @ flow.weights[-1])
    # u is near 1e3, summed from terms near |x||w| = 1e7 that cancel: rounding leaves 1e-9 in u, and so in q.
    np.testing.assert_allclose(q, solution.margin**2 * solution.dual, atol=1e-9)


def test_its_error_is_estimated():
    times = jnp.log(jnp.array([2e3, 1e5]))
    flow = log_time_flow(RANDOM, learning_rate(RANDOM), times, estimate_error=True)
    direct = descend(margin_gradient(LOGISTIC, RANDOM), jnp.zeros(6), learning_rate(RANDOM), (2000, 10**5))
    error = jnp.max(jnp.abs(flow.weights - direct), axis=1)
    assert (error < flow.error).all()
    assert (flow.error < 1e-7).all()


def test_jit_and_vmap_change_nothing():
    keys = jax.random.split(jax.random.key(7), 3)
    data = jax.vmap(lambda key: random_separable(key, 24, 6))(keys)
    run = lambda x: log_time_flow(x, learning_rate(x), jnp.array([20.0, 1e3]))
    together = jax.jit(jax.vmap(run))(data)
    assert together.weights.shape == (3, 2, 6)
    assert jnp.all(together.succeeded)
    # Not bitwise: batched sums round differently, and then the step sizes differ.
    np.testing.assert_allclose(together.weights[1], jax.jit(run)(data[1]).weights, rtol=1e-10, atol=1e-8)


def test_giving_up_and_impossible_times_are_values():
    rate = learning_rate(RANDOM)
    short = log_time_flow(RANDOM, rate, jnp.array([10.0, 1e4]), max_steps=120)
    assert not short.succeeded
    assert jnp.all(jnp.isfinite(short.weights[0]))
    assert jnp.all(jnp.isnan(short.weights[1]))
    early = log_time_flow(RANDOM, rate, jnp.array([1.0, 10.0]), max_steps=120)
    np.testing.assert_array_equal(jnp.isnan(early.weights[:, 0]), [True, False])
    assert not early.succeeded


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"start_time": 0}, r"start_time=0: expected a whole number"),
        ({"loss": SQUARED}, r"loss=SQUARED: .*use descend"),
    ],
)
def test_misuse(change, message):
    with pytest.raises(UsageError, match=message):
        log_time_flow(RANDOM, 0.1, jnp.array([10.0]), **change)
