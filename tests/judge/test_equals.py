"""Equality within a tolerance: vectors, medians, the pooled amplitude; and identity to rounding."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from scipy.optimize import brentq

from idealab.errors import DeclarationError
from idealab.judge.criteria import Equals, Identity, capped
from tests.judge.specimens import curve, judge, verdicts

EPSILON = 2.0**-52
RNG = np.random.default_rng(7)


def _noise(points, seeds, spread, seed=0):
    return 1 + spread * np.random.default_rng(seed).normal(size=(points, seeds))


# --- Equals -----------------------------------------------------------------------------------------------------------


def test_a_vector_is_as_good_as_its_worst_component():
    right = np.ones((2, 32, 3)) * _noise(2, 32, 0.02)[..., None]
    wrong = right * np.array([1.0, 1.0, 1.2])
    assert verdicts(Equals(rtol=0.1), curve(right, 1.0)) == ["present", "present"]
    assert verdicts(Equals(rtol=0.1), curve(wrong, 1.0)) == ["absent", "absent"]


def test_an_undefined_component_is_never_hidden_behind_a_worse_one():
    made = curve(np.full((1, 4, 2), 9.0), 1.0)
    made.predicted[0, 2, 1] = np.nan
    (decision,) = judge(Equals(rtol=0.1), made)
    assert decision.lost


def test_the_tolerance_lies_around_the_theory_and_not_around_its_rival():
    made = curve(np.full((1, 8), 10.0), 20.0, own=10.0)
    (cell,) = Equals(rtol=0.1).cells(replace(made, formulas={"rtol": np.full((1, 8), 0.1), "atol": np.zeros((1, 8))}))
    np.testing.assert_allclose(cell.deviations, -10)


def test_a_median_forgives_seeds_that_are_thrown_far_off_and_a_mean_does_not():
    y = _noise(3, 64, 0.05)
    y[:, ::9] = 40.0
    assert set(verdicts(Equals(rtol=0.1, estimand="median"), curve(y, 1.0))) == {"present"}
    assert "present" not in verdicts(Equals(rtol=0.1), curve(y, 1.0))
    assert set(verdicts(Equals(rtol=0.1, estimand="median"), curve(y + 0.2, 1.0))) == {"absent"}


def test_a_prediction_of_zero_needs_an_absolute_tolerance():
    zero = curve(np.zeros((2, 4)), [1.0, 0.0], axis=[1.0, 2.0])
    with pytest.raises(DeclarationError, match=r"Equals: the prediction is zero at N=2, and nothing .*; give atol"):
        judge(Equals(rtol=0.1), zero)
    assert len(verdicts(Equals(rtol=0.1, atol=0.1), zero)) == 2
    lost = replace(zero, lost=np.ones((2, 4), bool))
    assert set(verdicts(Equals(rtol=0.1), lost)) == {"absent"}, "where nothing was measured, nothing is compared"


# --- The pooled amplitude ---------------------------------------------------------------------------------------------

TIGHT = Equals(rtol=0.1, pooled=0.01)


@pytest.mark.parametrize("error", [0.03, -0.03])
def test_the_amplitude_sees_a_small_constant_error_that_no_cell_sees(error):
    y = _noise(8, 256, 0.05) / (1 + error)
    *cells, amplitude = judge(TIGHT, curve(y, 1.0), max_seeds=256)
    assert {decision.verdict for decision in cells} == {"present"}
    assert amplitude.verdict == "absent"


def test_the_amplitude_of_a_theory_that_is_right_is_present():
    found = [verdicts(TIGHT, curve(_noise(8, 128, 0.05, seed), 1.0), max_seeds=128) for seed in range(10)]
    assert all(set(cells) == {"present"} for cells in found)


def test_an_amplitude_exactly_at_its_tolerance_is_seldom_present():
    found = [verdicts(TIGHT, curve(1.01 * _noise(8, 128, 0.05, seed), 1.0), max_seeds=128)[-1] for seed in range(100)]
    # Nominal 5 %; three binomial standard errors at 100 draws are 6.5 %.
    assert found.count("present") <= 11
    assert found.count("absent") <= 1


def test_the_noisiest_points_count_least():
    spreads = np.array([0.01, 0.01, 0.01, 0.3])
    y = 1 + spreads[:, None] * np.random.default_rng(0).normal(size=(4, 64))
    y[3] += 0.1
    amplitude = Equals(rtol=0.5, pooled=0.02).cells(
        replace(
            curve(y, 1.0), formulas={n: np.full((4, 64), v) for n, v in (("rtol", 0.5), ("atol", 0), ("pooled", 0.02))}
        )
    )[-1]
    weights = np.linalg.lstsq(y.T, amplitude.measured, rcond=None)[0]
    assert np.sum(weights) == pytest.approx(1)
    assert np.max(weights) <= 0.4 + 1e-9
    assert weights[3] < 0.01


def test_capped_weights_solve_their_equation():
    # Water-filling: w = min(cap, c p) with the c at which they sum to one.
    for _ in range(50):
        p = RNG.lognormal(0, 2, RNG.integers(3, 12))
        level = brentq(lambda c, p=p: np.sum(np.minimum(0.4, c * p)) - 1, 0, 1e9 / np.min(p), xtol=1e-14, rtol=1e-14)
        np.testing.assert_allclose(capped(p, 0.4), np.minimum(0.4, level * p), rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(capped(np.array([1.0, 1e9]), 0.4), [0.5, 0.5])
    np.testing.assert_allclose(capped(np.array([np.inf, np.inf, np.inf]), 0.4), 1 / 3)
    np.testing.assert_allclose(capped(np.array([0.0, 0.0, 1.0]), 0.4), [0.3, 0.3, 0.4])


def test_points_without_noise_have_an_amplitude_too():
    assert verdicts(TIGHT, curve(np.full((4, 8), 1.005), 1.0))[-1] == "present"
    assert verdicts(TIGHT, curve(np.full((4, 8), 1.05), 1.0))[-1] == "absent"
    y = np.full((4, 32), 1.0)
    y[2] += 0.1 * np.random.default_rng(0).normal(size=32)
    assert verdicts(TIGHT, curve(y, 1.0))[-1] == "present"


def test_an_amplitude_takes_numbers_and_a_prediction_that_is_not_zero():
    with pytest.raises(DeclarationError, match=r"pooled amplitude: the prediction is zero at N=8, .*; leave"):
        judge(Equals(atol=0.1, pooled=0.02), curve(np.zeros((2, 4)), [0.0, 1.0]))
    with pytest.raises(
        DeclarationError, match=r"pooled amplitude takes one number at a point, but one of shape \(3,\)"
    ):
        judge(TIGHT, curve(np.ones((2, 4, 3)), 1.0))
    rival = judge(TIGHT, curve(np.ones((2, 4)), [0.0, 1.0], own=1.0))
    assert rival[-1].lost


def test_one_point_has_no_amplitude_of_its_own():
    assert (TIGHT.count(1), TIGHT.count(8)) == (1, 9)
    assert len(judge(TIGHT, curve(np.ones((1, 8)), 1.0))) == 1


# --- Identity ---------------------------------------------------------------------------------------------------------


def test_seven_seeds_within_the_bound_are_present_and_six_are_not():
    assert verdicts(Identity(ulps=4), curve(np.full((3, 6), 1.0), 1.0)) == ["undecided"]
    (decision,) = judge(Identity(ulps=4), curve(np.full((3, 8), 1.0), 1.0))
    assert (decision.verdict, decision.seeds) == ("present", 8)
    assert verdicts(Identity(ulps=4), curve(np.full((3, 7), 1.0), 1.0), max_seeds=7) == ["present"]


def test_one_seed_at_one_step_refutes():
    y = np.full((50, 8), 3.0)
    y[31, 2] *= 1 + 5 * EPSILON
    assert verdicts(Identity(ulps=4), curve(y, 3.0, axis=np.arange(50))) == ["absent"]
    assert verdicts(Identity(ulps=6), curve(y, 3.0, axis=np.arange(50))) == ["present"]


def test_the_unit_is_the_machine_epsilon_of_the_run():
    y = np.full((2, 8), 1 + 2.0**-23)
    assert verdicts(Identity(ulps=4), curve(y, 1.0)) == ["absent"]
    assert verdicts(Identity(ulps=4), curve(y, 1.0, epsilon=2.0**-23)) == ["present"]


def test_terms_that_cancel_give_the_scale():
    left = curve(np.full((2, 8), 100 * EPSILON), 0.0)
    with pytest.raises(
        DeclarationError, match=r"Identity: the prediction is zero at N=8.*; give the scale of the terms"
    ):
        judge(Identity(ulps=4), left)
    assert verdicts(Identity(ulps=4, scale=50.0), left) == ["present"]
    assert verdicts(Identity(ulps=4, scale=10.0), left) == ["absent"]
    assert verdicts(Identity(ulps=4), curve(np.zeros((2, 8)), 0.0)) == ["present"], "zero equals zero"


def test_an_identity_of_vectors_holds_in_every_component():
    y = np.full((2, 8, 3), 1.0)
    y[1, 5, 2] = 1.001
    (cell,) = Identity(ulps=4).cells(
        replace(curve(y, 1.0), formulas={"ulps": np.full(y.shape, 4.0), "scale": np.zeros(y.shape)})
    )
    assert np.flatnonzero(cell.deviations > 1).tolist() == [5]
    assert cell.measured[5] == 1.001
    assert math.isclose(cell.tolerances[5], 4 * EPSILON)
    assert cell.label == "every step"
