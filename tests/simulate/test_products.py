"""Small products and exp against numpy, and their derivatives."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from idealab.simulate import products as module
from idealab.simulate.products import exponential, product, products


@pytest.mark.parametrize("shape", [(1, 1), (7, 3), (64, 16), (200, 5), (9, 40)])
def test_products_equal_numpy(shape):
    rng = np.random.default_rng(0)
    x, w, s = rng.standard_normal(shape), rng.standard_normal((2, 3, shape[1])), rng.standard_normal((2, 3, shape[0]))
    forward, backward = products(x)
    np.testing.assert_allclose(forward(jnp.asarray(w)), w @ x.T, rtol=1e-13, atol=1e-13)
    np.testing.assert_allclose(backward(jnp.asarray(s)), s @ x, rtol=1e-13, atol=1e-13)


@pytest.mark.parametrize("shapes", [((1, 1), (1, 1)), ((5, 3), (3, 4)), ((3, 200), (200, 2))])
def test_a_product_equals_numpy(shapes):
    a, b = (np.random.default_rng(0).standard_normal(shape) for shape in shapes)
    np.testing.assert_allclose(product(a, b), a @ b, rtol=1e-13, atol=1e-13)


@pytest.mark.parametrize(("dtype", "bound"), [(np.float64, 700.0), (np.float32, 86.0)])
def test_exp_is_right_to_two_units_in_the_last_place(dtype, bound):
    x = np.concatenate([np.linspace(-bound, bound, 20_001), np.linspace(-1, 1, 20_001)]).astype(dtype)
    exact = np.exp(x.astype(np.longdouble))
    off = np.abs(np.asarray(jax.jit(exponential)(x)).astype(np.longdouble) / exact - 1)
    assert off.max() <= 2 * np.finfo(dtype).eps


def test_exp_far_out():
    far = np.asarray(exponential(jnp.array([-1e9, -np.inf, 0.0, 1e9, np.inf, np.nan])))
    assert 0 < far[0] == far[1] < 1e-300
    assert far[2] == 1
    assert 1e300 < far[3] == far[4] < np.inf
    assert np.isnan(far[5])


def test_exp_is_its_own_derivative():
    x = jnp.linspace(-3.0, 3.0, 7)
    np.testing.assert_allclose(jax.vmap(jax.grad(jax.grad(exponential)))(x), np.exp(x), rtol=1e-14)
    np.testing.assert_allclose(jax.jacfwd(exponential)(x), np.diag(np.exp(x)), rtol=1e-14)


def test_other_devices_get_the_plain_product(monkeypatch):
    x, w = np.arange(6.0).reshape(3, 2), jnp.array([1.0, -1.0])
    monkeypatch.setattr(module.jax, "default_backend", lambda: "gpu")
    forward, backward = products(x)
    np.testing.assert_array_equal(forward(w), x @ np.asarray(w))
    np.testing.assert_array_equal(backward(jnp.ones(3)), np.ones(3) @ x)
    assert float(exponential(jnp.asarray(1e9))) == np.inf
