"""The decay slope against a power law, and where it refuses."""

import jax.numpy as jnp
import numpy as np
import pytest

from idealab.simulate import decay_slope

LOG_TIMES = jnp.linspace(0, 60, 121)


@pytest.mark.parametrize("rate", [0.3, 1.7])
def test_finds_the_exponent_of_a_power_law_under_a_faster_term_and_a_floor(rate):
    distance = jnp.exp(-rate * LOG_TIMES) + jnp.exp(-3 * rate * LOG_TIMES) + 1e-14
    # Within the window the faster term is below (1e-3)^2 and the floor below 1e-8 of the slow one.
    assert float(decay_slope(LOG_TIMES, distance, 1e-6, 1e-3)) == pytest.approx(-rate, rel=1e-5)


def test_gives_no_number_where_the_window_holds_too_few_points():
    assert np.isnan(decay_slope(LOG_TIMES, jnp.full(121, 0.5), 1e-6, 1e-3))
