"""The stiff solver shows the order it declares and matches scipy's Radau on a stiff problem."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.integrate import solve_ivp

from idealab.simulate.rosenbrock import solve


def field(t, y):
    return -2.0 * t * y**2


def solve_one_step(size):
    """y' = -2 t y^2 from y(1) = 1/2, whose solution is 1/(1 + t^2): nonlinear, and t appears explicitly."""
    return solve(
        field, lambda t, y: jnp.diag(-4.0 * t * y), lambda t, y: -2.0 * y**2,
        1.0, jnp.array([0.5]), jnp.array([1.0 + size]), rtol=0.0, atol=jnp.inf, max_steps=1, first_step=size,
    )  # fmt: skip


def test_one_step_has_a_local_error_of_order_six():
    sizes = np.array([0.4, 0.2, 0.1])
    error = [abs(float(solve_one_step(h).values[0, 0]) - 1.0 / (1.0 + (1.0 + h) ** 2)) for h in sizes]
    slopes = np.diff(np.log(error)) / np.diff(np.log(sizes))
    # Order 5 means a local error of h^6; the next term bends the slope by a multiple of h.
    assert slopes[-1] == pytest.approx(6.0, abs=0.5)


def stiff(t, y):
    """Gradient field with rates from 1 to 1e6, driven in time."""
    rates = jnp.array([1.0, 1e3, 1e6])
    return -rates * (y - jnp.cos(t)) - jnp.sum(y) ** 3


def test_agrees_with_radau_on_a_stiff_problem():
    times = jnp.array([0.1, 1.0, 5.0])
    run = lambda rtol: solve(
        stiff, jax.jacfwd(stiff, 1), jax.jacfwd(stiff, 0),
        0.0, jnp.array([2.0, 0.0, 1.0]), times, rtol=rtol, atol=rtol, max_steps=5000, first_step=1e-8,
    )  # fmt: skip
    found = jax.jit(run)(1e-9)
    radau = solve_ivp(
        lambda t, y: np.asarray(stiff(t, y)), (0.0, 5.0), [2.0, 0.0, 1.0],
        method="Radau", t_eval=np.asarray(times), rtol=1e-9, atol=1e-11,
    )  # fmt: skip
    assert found.succeeded
    # An explicit method would need 1e6 * 5 / 3 steps.
    assert found.steps < 1000
    np.testing.assert_allclose(found.values, radau.y.T, atol=1e-7)


def turning(t, y):
    """Rates of 1e5 and 1e3, one that grows, and a slow turn: neither symmetric nor of one sign."""
    matrix = jnp.array([[-1e5, 1e4, 0.0], [0.0, -1e3, 2e3], [3.0, -2.0, 0.5]])
    return matrix @ y + jnp.sin(t) * y[::-1] ** 2


def test_agrees_with_radau_where_the_jacobian_is_not_symmetric():
    times = jnp.array([0.1, 1.0, 3.0])
    found = solve(
        turning, jax.jacfwd(turning, 1), jax.jacfwd(turning, 0), 0.0, jnp.array([1.0, 0.0, 1.0]), times,
        rtol=1e-9, atol=1e-9, max_steps=5000, first_step=1e-8, symmetric=False,
    )  # fmt: skip
    radau = solve_ivp(
        lambda t, y: np.asarray(turning(t, y)), (0.0, 3.0), [1.0, 0.0, 1.0],
        method="Radau", t_eval=np.asarray(times), rtol=1e-9, atol=1e-12,
    )  # fmt: skip
    assert found.succeeded
    np.testing.assert_allclose(found.values, radau.y.T, atol=1e-7)


def test_giving_up_is_a_value():
    growing = lambda t, y: y**2  # blows up at t = 1
    times = jnp.array([0.5, 2.0])
    found = solve(
        growing, lambda t, y: jnp.diag(2.0 * y), lambda t, y: jnp.zeros_like(y),
        0.0, jnp.array([1.0]), times, rtol=1e-8, atol=1e-8, max_steps=200,
    )  # fmt: skip
    assert not found.succeeded
    assert found.steps == 200
    assert float(found.values[0, 0]) == pytest.approx(2.0, rel=1e-6)
    assert jnp.isnan(found.values[1, 0])
