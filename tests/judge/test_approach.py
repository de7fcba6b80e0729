"""The rate of approach: found where there is one, and never where there is only noise."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.optimize import minimize

from idealab.errors import DeclarationError
from idealab.judge.approach import ApproachCell, fitted_exponent, point_weights
from idealab.judge.cells import OFF_SCALE, Rules, judge_cells
from idealab.judge.evidence import log_evidence_positive
from idealab.judge.shapes import Rate
from tests.judge.specimens import curve, judge

SIZES = 2.0 ** np.arange(3, 9)
LOGS = np.log(SIZES)
IDEAL = 3.0


def _noise(seeds, correlated, rng, falls=-0.5):
    """Normal noise of size N^falls; the points of one seed share the given part of its variance."""
    own, shared = rng.normal(size=(len(SIZES), seeds)), rng.normal(size=seeds)
    return ((SIZES / SIZES[0]) ** falls)[:, None] * (np.sqrt(1 - correlated) * own + np.sqrt(correlated) * shared)


def _approach(amplitude, exponent, seeds=64, seed=0, correlated=0.0, falls=-0.5):
    shrinking = amplitude * (SIZES / SIZES[0]) ** exponent
    return IDEAL + shrinking[:, None] + _noise(seeds, correlated, np.random.default_rng(seed), falls)


def _judge(y, exponent, band=0.1, **rules):
    (decision,) = judge(Rate("N", ideal=IDEAL, atol=band), curve(y, exponent, axis=SIZES), **rules)
    return decision


@pytest.mark.parametrize("correlated", [0.0, 0.5, 0.95])
@pytest.mark.parametrize("falls", [0.0, -0.5])
def test_noise_alone_confirms_no_exponent(correlated, falls):
    # A regression of ln|mean| on ln N finds -1/2 within 0.1 in a quarter of such draws, where the noise falls like it.
    draws = [_approach(0.0, 0.0, 64, seed, correlated, falls) for seed in range(30)]
    decisions = [_judge(y, -0.5) for y in draws]
    assert {decision.verdict for decision in decisions} == {"undecided"}
    assert sum("rate not resolvable" in decision.note for decision in decisions) >= 28


def test_the_forbidden_rule_confirms_noise():
    means = [np.mean(_approach(0.0, 0.0, 16, seed) - IDEAL, axis=1) for seed in range(400)]
    slopes = np.polyfit(LOGS, np.log(np.abs(means)).T, 1)[0]
    assert np.mean(np.abs(slopes + 0.5) <= 0.1) > 0.2


@pytest.mark.parametrize("correlated", [0.0, 0.5])
@pytest.mark.parametrize("amplitude", [50.0, -50.0])
@pytest.mark.parametrize("exponent", [-0.5, -1.0, -2.0])
def test_a_power_is_found_whichever_the_sign_and_no_other(exponent, amplitude, correlated):
    y = _approach(amplitude, exponent, 96, 1, correlated)
    assert _judge(y, exponent, max_seeds=96).verdict == "present"
    for wrong in (-0.2, 0.2):
        decision = _judge(y, exponent + wrong, max_seeds=96)
        assert decision.verdict == "absent"
        assert decision.note == ""


@pytest.mark.parametrize(("side", "correlated"), [(-0.1, 0.0), (0.1, 0.0), (-0.1, 0.95)])
def test_an_exponent_on_the_edge_of_the_band_is_seldom_present(side, correlated):
    found = [_judge(_approach(10.0, -1 + side, 48, seed, correlated), -1.0).verdict for seed in range(40)]
    # Nominal 5 %; three binomial standard errors at 40 draws are 10.3 %.
    assert found.count("present") <= 40 * 0.153
    assert found.count("absent") <= 1


@pytest.mark.parametrize("skew", [1.0, -1.0])
def test_skewed_seeds_are_held_to_the_same_edge(skew):
    def draw(seed):
        rng = np.random.default_rng(seed)
        return 20 * SIZES[:, None] ** -0.9 * (1 + skew * 0.4 * (rng.exponential(size=(len(SIZES), 48)) - 1)) + IDEAL

    found = [_judge(draw(seed), -1.0).verdict for seed in range(40)]
    assert found.count("present") <= 40 * 0.153


def test_a_weak_discrepancy_takes_seeds_to_be_resolved():
    y = _approach(0.3, -0.5, 1024)
    few, many = _judge(y[:, :16], -0.5), _judge(y, -0.5, max_seeds=1024, band=0.5)
    assert "rate not resolvable: the discrepancy to the ideal is not told from zero" in few.note
    assert many.verdict == "present"


def test_an_undecided_rate_that_is_resolved_says_nothing_of_the_kind():
    decision = _judge(_approach(10.0, -0.9, 32), -1.0)
    assert (decision.verdict, decision.note) == ("undecided", "")


def test_lost_seeds_and_an_ideal_that_is_no_number():
    y = _approach(10.0, -1.0)
    y[2, 5] = np.inf
    decision = _judge(y, -1.0)
    assert decision.verdict == "undecided"
    assert decision.note == "1 of 64 seeds did not give a finite number"
    made = curve(_approach(10.0, -1.0), -1.0, axis=SIZES)
    (decision,) = judge(Rate("N", ideal=0.0), replace(made, formulas={"ideal": np.full(made.measured.shape, np.nan)}))
    assert decision.lost


def test_the_decision_after_some_seeds_does_not_know_of_later_ones():
    y = _approach(10.0, -1.0)
    early = _judge(y, -1.0)
    assert early.seeds < 32
    assert _judge(y[:, : early.seeds], -1.0).seeds == early.seeds
    assert _judge(y[:, : early.seeds], -1.0).evidence_log10 == pytest.approx(early.evidence_log10)


def test_scale_and_units_of_the_axis_make_no_difference():
    y = _approach(10.0, -1.0)
    one, other = _judge(y, -1.0), _judge(IDEAL + 1e-9 * (y - IDEAL), -1.0)
    assert (one.seeds, one.evidence_log10) == pytest.approx((other.seeds, other.evidence_log10))
    (scaled,) = judge(Rate("N", ideal=IDEAL), curve(y, -1.0, axis=1e6 * SIZES))
    assert scaled.evidence_log10 == pytest.approx(one.evidence_log10)


def test_each_seed_may_predict_an_exponent_of_its_own():
    rng = np.random.default_rng(0)
    own = rng.choice([-0.5, -1.0], 64)
    y = IDEAL + 20 * (SIZES[:, None] / SIZES[0]) ** own + _noise(64, 0.0, rng)
    assert _judge(y, np.broadcast_to(own, y.shape)).verdict == "present"
    assert _judge(y, np.broadcast_to(own - 0.25, y.shape)).verdict == "absent"


def test_values_in_place_of_an_exponent_and_an_axis_with_zero_are_refused():
    y = _approach(10.0, -1.0, 4)
    with pytest.raises(DeclarationError, match="Rate predicts one number for the whole curve, but it goes from"):
        _judge(y, 1 / SIZES)
    with pytest.raises(
        DeclarationError, match=r"along 'N' takes logarithms of its values, got 0, .*; they must be above"
    ):
        judge(Rate("N", ideal=IDEAL), curve(y, -1.0, axis=SIZES - SIZES[0]))


# --- The parts --------------------------------------------------------------------------------------------------------


def test_the_fit_is_the_one_that_least_squares_finds():
    rng = np.random.default_rng(3)
    for exponent in (-2.0, -0.3, 0.7):
        means = -2 * SIZES**exponent * (1 + 0.02 * rng.normal(size=len(SIZES)))
        weights = 1 / (0.02 * means) ** 2

        def loss(x, means=means, weights=weights):
            return np.sum(weights * (means - x[0] * SIZES ** x[1]) ** 2)

        oracle = minimize(loss, [-2.0, exponent], method="Nelder-Mead", options={"xatol": 1e-9, "fatol": 1e-9})
        assert fitted_exponent(LOGS, means, weights) == pytest.approx(oracle.x[1], abs=1e-5)


def test_the_fit_of_an_exact_power_is_exact():
    for exponent in (-3.25, -1.0, 0.5):
        assert fitted_exponent(LOGS, 7 * SIZES**exponent, np.ones(len(SIZES))) == pytest.approx(exponent, abs=1e-6)
    assert fitted_exponent(1e5 * LOGS, np.ones(len(SIZES)), np.ones(len(SIZES))) == pytest.approx(0, abs=1e-6)


def test_the_weights_follow_the_spread_along_the_axis():
    weights = point_weights(LOGS, _noise(64, 0.0, np.random.default_rng(0), falls=-1.0))
    assert np.max(weights) == 1
    np.testing.assert_allclose(np.diff(np.log(weights)), np.log(weights[1] / weights[0]), rtol=1e-9)
    assert 1 < np.polyfit(LOGS, np.log(weights), 1)[0] < 3, "two, from four seeds"
    assert point_weights(LOGS, np.empty((6, 0))).tolist() == [1.0] * 6
    np.testing.assert_allclose(point_weights(LOGS, 5 / SIZES[:, None]), (SIZES / SIZES[-1]) ** 2)
    assert np.isfinite(point_weights(LOGS, np.zeros((6, 8)))).all()


def test_the_contrast_vanishes_on_the_power_it_is_made_for_and_changes_sign_there():
    exponent, band, seeds = -1.0, 0.1, 8
    for true, found in ((-1.0, (1, 1)), (-0.8, (-1, 1)), (-1.2, (1, -1))):
        exact = np.repeat((SIZES**true)[:, None], seeds, axis=1) * (1 + 1e-3 * np.arange(seeds))
        cell = ApproachCell.of(LOGS, exact, np.full(seeds, exponent), np.full(seeds, band), np.zeros(seeds, bool))
        below, above, *_ = cell.evidence(seeds)
        assert (np.sign(below), np.sign(above)) == found
        np.testing.assert_allclose(cell.measured, true, atol=1e-6)


def test_a_statement_has_half_of_the_better_sign_and_the_weaker_of_its_two_pieces():
    y = _approach(3.0, -1.0, 12)
    n, d = 12, y - IDEAL
    w = point_weights(LOGS, d)
    cell = ApproachCell.of(LOGS, d, np.full(n, -1.0), np.full(n, 0.1), np.zeros(n, bool))

    def pieces(exponent):
        v = SIZES**exponent
        # Orthogonal to the power law by projection: what is left of its derivative after regression on itself.
        left = LOGS * v - v * np.sum(w * LOGS * v**2) / np.sum(w * v**2)
        return (w * v) @ d, (w * left) @ d

    def log_evidence(x):
        return log_evidence_positive(np.mean(x), np.sum((x - np.mean(x)) ** 2), len(x))

    size, upper, lower = pieces(-1.0)[0], pieces(-0.9)[1], pieces(-1.1)[1]
    claims = (-upper, lower, upper, -lower)
    oracle = [max(min(log_evidence(s * size), log_evidence(s * z)) for s in (1, -1)) - np.log(2) for z in claims]
    assert cell.evidence(n) == pytest.approx(oracle)


def test_what_is_reported_scatters_as_the_fit_does():
    y = _approach(20.0, -1.0, 200)
    made = curve(y, -1.0, axis=SIZES)
    formulas = {"ideal": np.full(y.shape, IDEAL), "atol": np.full(y.shape, 0.1)}
    (cell,) = Rate("N", ideal=IDEAL).cells(replace(made, formulas=formulas))
    weights = point_weights(LOGS, y - IDEAL)
    refits = [
        fitted_exponent(LOGS, np.mean(_approach(20.0, -1.0, 200, seed) - IDEAL, axis=1), weights) for seed in range(100)
    ]
    assert np.std(cell.measured) / 200**0.5 == pytest.approx(np.std(refits), rel=0.3)
    assert np.mean(cell.measured) == pytest.approx(fitted_exponent(LOGS, np.mean(y - IDEAL, axis=1), weights))
    assert np.max(np.abs(cell.deviations)) < OFF_SCALE


def test_without_chance_one_run_gives_the_exponent():
    y = IDEAL + 4 / SIZES[:, None]
    made = curve(y, -1.0, axis=SIZES, formulas={"ideal": IDEAL, "atol": 0.1})
    (cell,) = Rate("N", ideal=IDEAL).cells(made)
    np.testing.assert_allclose(cell.measured, -1.0, atol=1e-6)
    assert judge_cells([cell], Rules(8, 1))[0].verdict == "undecided", "one seed decides nothing"
