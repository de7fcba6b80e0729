"""From seeds to the decision on a cell, on data whose truth is known."""

import math

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from idealab.errors import DeclarationError
from idealab.judge.cells import OFF_SCALE, Rules, judge_cells as judge, unit_cell

RULES = Rules(max_seeds=64, cells=20)


def judge_cells(cells, rules, estimand="mean"):
    return judge([unit_cell(np.asarray(cell, dtype=float), estimand) for cell in cells], rules)


def _seeds(mean, spread, n=64, seed=0):
    return np.random.default_rng(seed).normal(mean, spread, n)


def test_looks_end_at_the_cap_even_where_it_is_no_usual_look():
    assert Rules(max_seeds=30, cells=1).looks == (4, 5, 6, 8, 10, 12, 16, 20, 24, 30)
    assert Rules(max_seeds=4, cells=1).looks == (4,)


@pytest.mark.parametrize(("bad", "words"), [({"max_seeds": 3}, "too few"), ({"alpha": 0.0}, "between 0 and 1")])
def test_rules_that_decide_nothing_are_refused(bad, words):
    with pytest.raises(DeclarationError, match=words):
        Rules(**{"max_seeds": 8, "cells": 1, **bad})


def test_a_theory_that_is_right_is_present_with_few_seeds():
    (decision,) = judge_cells([_seeds(0.1, 0.1)], RULES)
    assert (decision.verdict, decision.seeds) == ("present", 4)
    assert decision.evidence_log10 > math.log10(20)


def test_a_theory_that_is_off_by_twice_the_tolerance_is_absent():
    (decision,) = judge_cells([_seeds(2.0, 0.5)], RULES)
    assert decision.verdict == "absent"
    assert decision.absent_log10 > math.log10(RULES.absent_threshold)


def test_a_deviation_of_exactly_the_tolerance_is_seldom_called():
    verdicts = [judge_cells([_seeds(1.0, 0.5, seed=s)], RULES)[0].verdict for s in range(300)]
    # Nominal 5 %; three binomial standard errors at 300 repetitions are 3.8 %.
    assert verdicts.count("present") <= 300 * 0.088
    assert verdicts.count("absent") <= 300 * 0.005 + 2


def test_more_noise_takes_more_seeds():
    quick, slow = (judge_cells([_seeds(0.0, spread)], RULES)[0].seeds for spread in (0.05, 1.5))
    assert quick < slow


def test_three_seeds_decide_nothing():
    (decision,) = judge_cells([_seeds(0.0, 0.01, n=3)], RULES)
    assert decision.verdict == "undecided"


def test_the_median_ignores_a_few_seeds_that_are_thrown_far_off():
    seeds = _seeds(0.1, 0.1)
    seeds[[3, 9, 20]] = 40.0, 300.0, OFF_SCALE
    (mean,), (median,) = judge_cells([seeds], RULES), judge_cells([seeds], RULES, "median")
    assert mean.verdict != "present"
    assert (median.verdict, median.seeds) == ("present", 16)
    assert judge_cells([_seeds(1.5, 0.3)], RULES, "median")[0].verdict == "absent"


def test_a_median_at_the_edge_of_the_band_is_seldom_called_present():
    draws = [np.random.default_rng(s).lognormal(0, 2, 64) for s in range(300)]  # median one, mean 7
    verdicts = [judge_cells([draw], RULES, "median")[0].verdict for draw in draws]
    assert verdicts.count("present") <= 300 * 0.088


def test_strong_skew_forbids_present_where_symmetric_seeds_would_get_it():
    draw = np.random.default_rng(5).lognormal(0, 1.5, 64)
    skewed = 0.9 * draw / draw.mean()
    (symmetric,) = judge_cells([_seeds(0.0, 0.5)], RULES)
    assert symmetric.verdict == "present"
    assert judge_cells([skewed], RULES)[0].verdict != "present"


def test_measurements_that_are_not_finite_count_against_the_cell_and_are_counted():
    seeds = _seeds(0.0, 0.3)
    seeds[2] = OFF_SCALE
    (decision,) = judge_cells([seeds], RULES)
    assert decision.verdict != "present"
    assert decision.note == "1 of 64 seeds did not give a finite number"
    (lost,) = judge_cells([np.full(8, OFF_SCALE)], RULES)
    assert lost.verdict == "absent"


def test_a_prediction_that_is_not_finite_is_a_refutation():
    seeds = _seeds(0.0, 0.1)
    seeds[2] = np.nan
    (decision,) = judge_cells([seeds], RULES)
    assert decision.verdict == "absent"
    assert "prediction is not a finite number" in decision.note


@pytest.mark.parametrize("nothing", [np.nan, OFF_SCALE])
def test_seeds_that_are_lost_after_the_decision_leave_it_and_are_told(nothing):
    seeds = _seeds(0.0, 0.1)
    seeds[40] = nothing
    (decision,) = judge_cells([seeds], RULES)
    assert (decision.verdict, decision.seeds) == ("present", 4)
    assert decision.note == "1 of the 60 seeds after the decision gave no finite number"


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.floats(-3, 3), st.floats(0.01, 2))
def test_the_first_decision_wins_whatever_comes_after(seed, mean, spread):
    seeds = _seeds(mean, spread, seed=seed)
    (full,) = judge_cells([seeds], RULES)
    if full.verdict == "undecided":
        return
    (early,) = judge_cells([seeds[: full.seeds]], RULES)
    assert early == full


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.floats(-3, 3), st.floats(0.01, 2))
def test_a_theory_and_its_mirror_image_fare_alike(seed, mean, spread):
    seeds = _seeds(mean, spread, seed=seed)
    (one,), (other,) = judge_cells([seeds], RULES), judge_cells([-seeds], RULES)
    assert (one.verdict, one.seeds) == (other.verdict, other.seeds)


def test_evidence_from_before_a_seed_was_lost_does_not_outlive_it():
    # Evidence 39.3 at eight seeds is short of 40 there, and would pass what is needed at twelve.
    before = np.tile([0.55, -0.5, 0.6, -0.45], 2)
    sound, lost = np.append(before, before[:4]), np.append(before, [0.1, OFF_SCALE, 0.1, 0.0])
    assert judge_cells([before], RULES)[0].verdict == "undecided"
    assert judge_cells([sound], RULES)[0].verdict == "present"
    (decision,) = judge_cells([lost], RULES)
    assert decision.verdict == "undecided"
    assert decision.evidence_log10 > math.log10(20 * 16 / 12), "more than is needed at twelve, from before"
    assert decision.note == "1 of 12 seeds did not give a finite number"


def test_seeds_past_the_cap_are_not_looked_at():
    six = np.array([0.9, -0.8, 0.7, -0.9, 0.8, -0.7])
    (decision,) = judge_cells([np.append(six, [math.nan, OFF_SCALE])], Rules(max_seeds=6, cells=1))
    assert decision == judge_cells([six], Rules(max_seeds=6, cells=1))[0]
    assert (decision.verdict, decision.seeds) == ("undecided", 6)
