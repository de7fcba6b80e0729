"""The e-process: its closed form against quadrature, its guarantee under the null, and its invariances."""

import math

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from scipy.integrate import quad
from scipy.special import stdtr
from scipy.stats import skew as scipy_skew

from idealab.judge.evidence import (
    EFFECT_SCALES,
    LOOKS,
    band_evidence,
    log_evidence_majority,
    log_evidence_positive,
    log_thresholds,
    skewness,
)

finite = st.floats(-50, 50, allow_nan=False)


def _summary(sample):
    return float(np.mean(sample)), float(np.sum((sample - np.mean(sample)) ** 2)), len(sample)


def test_noiseless_seeds_give_the_known_ceiling():
    # In the limit SS -> 0: E+ = mean over g of 2 (1 + n g)^((n-1)/2) T_n(n sqrt g). It is why four seeds are the least.
    ceilings = [math.exp(log_evidence_positive(1.0, 0.0, n)) for n in (2, 3, 4)]
    limit = [
        np.mean(2 * (1 + n * EFFECT_SCALES) ** ((n - 1) / 2) * stdtr(n, n * np.sqrt(EFFECT_SCALES))) for n in (2, 3, 4)
    ]
    assert ceilings == pytest.approx(limit, rel=1e-12)
    assert ceilings[1] < 20 / 0.05 < ceilings[2]  # three seeds can not show that one of ten cells is absent, four can


def test_agrees_with_integrating_the_t_likelihood_over_the_prior():
    # For a fixed normal prior on the effect the Bayes factor of the t statistic is an integral over noncentral t
    # densities; the two halves of the line must add up to twice the two-sided closed form.
    from scipy.stats import nct, norm, t as student

    sample = np.array([0.3, 1.1, 0.2, 0.9, 0.7])
    mean, squares, n = _summary(sample)
    statistic = mean / math.sqrt(squares / (n - 1) / n)
    both = [log_evidence_positive(sign * mean, squares, n) for sign in (1, -1)]
    ours = (math.exp(both[0]) + math.exp(both[1])) / 2
    scales = np.sqrt(EFFECT_SCALES)
    integrals = [
        quad(
            lambda d, s=s: nct.pdf(statistic, n - 1, d * math.sqrt(n)) * norm.pdf(d, scale=s),
            -12 * s,
            12 * s,
            points=[0, 1],
        )[0]
        for s in scales[:2]
    ]
    closed = [
        math.exp(
            -0.5 * math.log(q) + n / 2 * (math.log1p(n * mean**2 / squares) - math.log1p(n * mean**2 / squares / q))
        )
        for q in 1 + n * EFFECT_SCALES[:2]
    ]
    assert np.array(integrals) / student.pdf(statistic, n - 1) == pytest.approx(closed, rel=1e-5)
    every = [
        -0.5 * math.log(q) + n / 2 * (math.log1p(n * mean**2 / squares) - math.log1p(n * mean**2 / squares / q))
        for q in 1 + n * EFFECT_SCALES
    ]
    assert ours == pytest.approx(np.mean(np.exp(every)), rel=1e-12)


@pytest.mark.parametrize("shift", [0.0, -0.5])
def test_rarely_crosses_its_threshold_when_there_is_nothing(shift):
    # Ville: the chance of ever reaching 20 is at most 5 %, over all looks together.
    draws = np.random.default_rng(1).normal(shift, 1, (1500, LOOKS[-1]))
    crossed = [any(log_evidence_positive(*_summary(row[:n])) >= math.log(20) for n in LOOKS) for row in draws]
    assert np.mean(crossed) <= 0.05


def test_finds_an_effect_that_is_there():
    draws = np.random.default_rng(2).normal(1, 1, (200, 32))
    crossed = [
        any(log_evidence_positive(*_summary(row[:n])) >= math.log(20) for n in LOOKS if n <= 32) for row in draws
    ]
    assert np.mean(crossed) >= 0.95


@settings(max_examples=60, deadline=None)
@given(st.lists(finite, min_size=4, max_size=20), st.floats(1e-3, 1e3))
def test_scale_of_the_seeds_does_not_matter(values, factor):
    sample = np.array(values)
    if np.ptp(sample) < 1e-6:
        return
    mean, squares, n = _summary(sample)
    scaled = log_evidence_positive(mean * factor, squares * factor**2, n)
    assert scaled == pytest.approx(log_evidence_positive(mean, squares, n), rel=1e-6, abs=1e-6)


@settings(max_examples=60, deadline=None)
@given(st.lists(finite, min_size=4, max_size=20))
def test_reflection_swaps_the_edges_of_the_band(values):
    sample = np.array(values)
    below, above, beyond_up, beyond_down = band_evidence(sample)
    mirrored = band_evidence(-sample)
    assert mirrored == pytest.approx((above, below, beyond_down, beyond_up), rel=1e-9, abs=1e-9)


@settings(max_examples=60, deadline=None)
@given(st.lists(finite, min_size=4, max_size=20), st.integers(0, 1000))
def test_order_of_the_seeds_does_not_matter_at_a_look(values, seed):
    shuffled = np.random.default_rng(seed).permutation(values)
    assert band_evidence(shuffled) == pytest.approx(band_evidence(np.array(values)), rel=1e-7, abs=1e-7)


def test_majority_evidence_is_the_integral_of_the_coin_over_its_prior():
    for hits, n in ((7, 7), (11, 12), (0, 5)):
        integral = quad(lambda p, hits=hits, n=n: 2 * 2**n * p**hits * (1 - p) ** (n - hits), 0.5, 1)[0]
        assert math.exp(log_evidence_majority(hits, n)) == pytest.approx(integral, rel=1e-9)


def test_skewness_is_the_bias_corrected_one():
    sample = np.random.default_rng(3).lognormal(size=20)
    assert skewness(sample) == pytest.approx(float(scipy_skew(sample, bias=False)), rel=1e-12)
    assert skewness(np.full(8, 0.3)) == 0


def test_all_four_statements_at_once_agree_with_one_at_a_time():
    for sample in (np.array([0.3, 1.1, 0.2, 0.9]), np.full(5, 1.0), np.full(4, 0.0), np.array([1e6, 0.0, 0.0, -3.0])):
        mean, squares, n = _summary(sample)
        edges = (1 - mean, mean + 1, mean - 1, -1 - mean)
        one_by_one = [log_evidence_positive(edge, squares, n) for edge in edges]
        assert band_evidence(sample) == pytest.approx(one_by_one, rel=1e-12)


def test_evidence_stays_a_number_however_far_off_the_mean_is():
    assert log_evidence_positive(-1.0, 1.0, 1000) == -math.inf
    assert log_evidence_positive(0.0, 0.0, 8) == 0.0
    assert log_evidence_positive(0.0, 1.0, 8) == pytest.approx(math.log(np.mean((1 + 8 * EFFECT_SCALES) ** -0.5)))


def _needed(seeds, skew, present=20.0, absent=40.0):
    return np.exp(log_thresholds(seeds, present, absent, skew))


def test_what_is_needed_falls_with_the_number_of_seeds():
    assert _needed(8, 0.0) == pytest.approx([40, 40, 1280, 1280])
    assert _needed(16, 0.0) == pytest.approx([20, 20, 640, 640])
    assert _needed(64, 0.0) == pytest.approx([5, 5, 160, 160])
    assert _needed(256, 0.0) == pytest.approx([4, 4, 40, 40])


def test_only_a_tail_on_the_dangerous_side_raises_what_is_needed():
    # A tail towards large deviations can feign "below the upper edge" and "below the lower edge", and nothing else.
    plain, right, left = (_needed(32, skew) for skew in (0.0, 1.0, -1.0))
    assert right / plain == pytest.approx([math.e**2, 1, 1, math.e**6])
    assert left / plain == pytest.approx([1, math.e**2, math.e**6, 1])


@settings(max_examples=60, deadline=None)
@given(st.integers(4, 64), st.floats(-8, 8))
def test_seeds_without_noise_always_give_enough(seeds, skew):
    most = math.exp(log_evidence_positive(1.0, 0.0, seeds))
    assert np.all(_needed(seeds, skew, absent=2000.0) <= most)  # fifty cells
