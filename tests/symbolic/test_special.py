import jax
import jax.numpy as jnp
import mpmath as mp
import numpy as np
import pytest

from idealab.symbolic.special import gamma_sign, lambertw, lambertw_exp

# Units in the last place of the result. Measured worst cases over 10,000 points: 2.8 (W below zero), 1.3 elsewhere.
ULPS = 6
BRANCH = -float(mp.exp(-1))  # the double nearest to -1/e, 1.2e-17 below it


def exact_lambertw(x):
    return mp.lambertw(x).real


def exact_lambertw_exp(x):
    if x < 300:
        return mp.lambertw(mp.exp(x)).real
    w = x - mp.log(x)
    for _ in range(10):  # Newton on w + log(w) = x
        w = w * (1 + x - mp.log(w)) / (1 + w)
    return w


def spread(low, high, sign=1, start=0.0, count=120):
    """Points whose distance from ``start`` runs over the decades from 10^low to 10^high."""
    return start + sign * 10 ** np.random.default_rng(0).uniform(low, high, count)


RANGES = {
    "large": (lambertw, exact_lambertw, spread(0, 300)),
    "ordinary": (lambertw, exact_lambertw, spread(-5, 3)),
    "tiny": (lambertw, exact_lambertw, spread(-300, -5)),
    "negative": (lambertw, exact_lambertw, spread(-300, -0.45, sign=-1)),
    "toward the branch point": (lambertw, exact_lambertw, spread(-2, -0.5, start=BRANCH)),
    "at the branch point": (lambertw, exact_lambertw, spread(-16, -2, start=BRANCH)),
    "exponential": (lambertw_exp, exact_lambertw_exp, spread(-5, 3)),
    "huge exponential": (lambertw_exp, exact_lambertw_exp, spread(3, 300)),
    "small exponential": (lambertw_exp, exact_lambertw_exp, spread(-5, 2.8, sign=-1)),
}


def relative_errors(found, exact):
    smallest = np.finfo(found.dtype).tiny  # below it digits go one by one
    return [
        float(abs(mp.mpf(float(f)) - e) / abs(e)) for f, e in zip(found, exact, strict=True) if abs(e) > 4 * smallest
    ]


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("name", RANGES)
def test_values_to_the_last_bits_against_fifty_digits(name, dtype):
    function, reference, points = RANGES[name]
    points = points[np.abs(points) < np.finfo(dtype).max].astype(dtype)
    points = points[points > np.asarray(BRANCH, dtype)] if "branch" in name else points
    found = np.asarray(jax.jit(function)(points))
    assert found.dtype == dtype
    with mp.workdps(50):
        errors = relative_errors(found, [reference(mp.mpf(float(x))) for x in points])
    assert len(errors) > 12
    assert max(errors) < ULPS * np.finfo(dtype).eps


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("name", [name for name in RANGES if "branch" not in name])
def test_derivatives_against_fifty_digits(name, dtype):
    function, reference, points = RANGES[name]
    # x (1 + W) must not overflow, where the compiler joins two divisions into one
    points = points[(np.abs(points) < np.finfo(dtype).max / 1e3) & (points > -0.3 if function is lambertw else True)]
    points = points.astype(dtype)
    found = np.asarray(jax.jit(jax.vmap(jax.grad(function)))(points))
    with mp.workdps(50):
        values = [reference(mp.mpf(float(x))) for x in points]
        if function is lambertw:  # independent of the form in the code: W = x exp(-W), differentiated by mpmath
            exact = [1 / mp.diff(lambda w: w * mp.exp(w), w) for w in values]
        else:
            exact = [1 / mp.diff(lambda w: w + mp.log(w), w, h=w * mp.mpf("1e-18")) for w in values]
        errors = relative_errors(found, exact)
    # exp(-W)/(1 + W) near the branch point magnifies the rounding of W by W/(1 + W), up to 1.6 at x = -0.3
    assert max(errors) < 3 * ULPS * np.finfo(dtype).eps


def test_derivative_near_the_branch_point_loses_only_what_its_distance_costs():
    points = spread(-12, -2, start=BRANCH)
    found = np.asarray(jax.vmap(jax.grad(lambertw))(points))
    with mp.workdps(50):
        exact = [mp.exp(-w) / (1 + w) for w in (exact_lambertw(mp.mpf(float(x))) for x in points)]
        distance = [1 + exact_lambertw(mp.mpf(float(x))) for x in points]
    errors = relative_errors(found, exact)
    assert all(e * float(d) < ULPS * np.finfo(float).eps for e, d in zip(errors, distance, strict=True))


def test_second_derivative():
    with mp.workdps(50):
        exact = float(mp.diff(exact_lambertw, 1.5, 2)), float(mp.diff(exact_lambertw_exp, 1.5, 2))
    found = jax.grad(jax.grad(lambertw))(1.5), jax.grad(jax.grad(lambertw_exp))(1.5)
    np.testing.assert_allclose(found, exact, rtol=1e-14)


def test_special_points():
    x = jnp.asarray([BRANCH, BRANCH - 1e-15, -1.0, 0.0, jnp.inf, -jnp.inf, jnp.nan])
    np.testing.assert_array_equal(lambertw(x), [-1, jnp.nan, jnp.nan, 0, jnp.inf, jnp.nan, jnp.nan])
    assert lambertw(jnp.float32(BRANCH)) == -1
    np.testing.assert_array_equal(
        lambertw_exp(jnp.asarray([jnp.inf, -jnp.inf, jnp.nan, -1e6])), [jnp.inf, 0, jnp.nan, 0]
    )
    assert jax.grad(lambertw)(0.0) == 1
    assert jax.grad(lambertw_exp)(1e300) == 1


def test_integers_become_floats():
    assert lambertw(1).dtype == jnp.float64
    assert lambertw_exp(jnp.arange(3)).dtype == jnp.float64


def test_the_two_agree_where_both_exist():
    x = jnp.linspace(-30, 30, 61)
    # exp(x) is rounded by up to |x| eps relative to the exact argument
    np.testing.assert_allclose(lambertw(jnp.exp(x)), lambertw_exp(x), rtol=1e-14)


def test_gamma_sign_is_one_at_the_poles():
    np.testing.assert_array_equal(gamma_sign(jnp.asarray([2.5, -0.5, -1.5, -2.5, 0.0, -1.0])), [1, -1, 1, -1, 1, 1])
