"""A small slice of benchmarks/calibration.py: how often the judge is wrong on seeds whose truth is known."""

import importlib.util
import math
import sys
from pathlib import Path

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.stats import t as student, ttest_1samp

from idealab.judge import cells
from idealab.judge.evidence import LOOKS, log_evidence_positive

_PATH = Path(__file__).parents[2] / "benchmarks" / "known_truths.py"
_SPEC = importlib.util.spec_from_file_location("known_truths", _PATH)
assert _SPEC is not None
assert _SPEC.loader is not None
truth = sys.modules["known_truths"] = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(truth)

CELLS = 300


def _present(shape, rho=0.1, repetitions=CELLS):
    """Share of cells exactly at the tolerance that are called present by 64 seeds."""
    found = truth.judge_case(truth.CellCase(shape, 1, rho, 1, 1.0), repetitions, seed=1)
    return found.present[truth.CAPS.index(64)]


def _bound(goal, count=CELLS):
    """The goal and three binomial standard errors."""
    return goal + 3 * math.sqrt(goal * (1 - goal) / count)


@pytest.mark.parametrize("n", [4, 8, 32])
def test_evidence_is_worth_one_on_average_where_there_is_nothing(n):
    # With the mean at the edge t is Student's, and the e-value is a ratio of densities of t: its expectation is one.
    def weighted(t):
        return math.exp(log_evidence_positive(t / math.sqrt(n * (n - 1)), 1.0, n)) * student.pdf(t, n - 1)

    pieces = [quad(weighted, a, b, limit=200)[0] for a, b in ((-np.inf, 0), (0, 5), (5, 50), (50, np.inf))]
    assert sum(pieces) == pytest.approx(1, rel=1e-6)


@pytest.mark.parametrize("shape", ["normal", "uniform", "Student t, 3 df"])
def test_symmetric_seeds_at_the_tolerance_are_seldom_called_present(shape):
    assert _present(shape, repetitions=150) <= 0.05


def test_skewed_seeds_at_the_tolerance_are_seldom_called_present():
    assert 0.02 <= _present("exponential, skew 2") <= _bound(0.065)


def test_without_its_guard_the_judge_would_be_fooled_by_skewed_seeds(monkeypatch):
    nominal = lambda seeds, present, absent, skew: (*(math.log(present),) * 2, *(math.log(absent),) * 2)
    monkeypatch.setattr(cells, "log_thresholds", nominal)
    assert _present("exponential, skew 2") > _bound(0.065)


def test_skewness_is_part_of_the_guard_and_not_only_the_number_of_seeds(monkeypatch):
    monkeypatch.setattr(cells, "skewness", lambda _: 0.0)
    assert _present("exponential, skew 2") > _bound(0.065)


def test_a_tail_into_the_band_does_not_help_to_be_present():
    found = truth.judge_case(truth.CellCase("exponential, skew 2", -1, 0.1, 1, 1.0), 200, seed=2)
    assert found.present[-1] <= 0.02


@pytest.mark.parametrize(("size", "deviation"), [(1, 1.0), (8, 1.0), (8, 0.5)])
def test_normal_seeds_within_the_tolerance_are_hardly_ever_absent(size, deviation):
    found = truth.judge_case(truth.CellCase("normal", 1, 1.0, size, deviation), 240, seed=3)
    assert found.absent <= _bound(0.005 / size, 240)


def test_ideas_with_known_truth_get_the_right_verdict_with_fewer_seeds_than_a_fixed_design():
    known = {one.name: one for one in truth.truths()}
    wanted = ("exact", "one signature 2 off", "broken from cell 6 by 2", "exact, exponential")
    found = {name: truth.judge_truth(known[name], 0.5, 64, 8, seed=4) for name in wanted}
    assert {name: one.right for name, one in found.items()} == dict.fromkeys(wanted, 1.0)
    fixed = truth.fixed_design("present", 0.5, 1e-3)
    assert all(one.seeds <= 0.6 * fixed for one in found.values())


def test_the_fixed_design_has_the_power_it_claims():
    # Two one-sided t-tests by scipy, on draws: the closed form must miss as often, and one seed fewer misses more.
    rng, missed, rho = np.random.default_rng(5), 0.1, 1.0
    n = truth.fixed_design("present", rho, missed)
    draws = 0.5 + rho * rng.standard_normal((4000, n))
    below = ttest_1samp(draws, 1.0, axis=1, alternative="less").pvalue <= 0.05
    above = ttest_1samp(draws, -1.0, axis=1, alternative="greater").pvalue <= 0.05
    assert np.mean(~(below & above)) == pytest.approx(missed, abs=0.02)
    assert n == pytest.approx(((1.645 + 1.282) * rho / 0.5) ** 2 + 1.5, abs=1.0)  # the planning formula


def test_caps_tell_of_smaller_ones():
    # The benchmark reads smaller caps off one run; that needs every cap of its table to be a look.
    assert set(truth.CAPS) <= set(LOOKS)
