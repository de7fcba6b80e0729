"""What a plan says against what then happens, by simulation; and against the exact power of two one-sided tests."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.special import chdtri
from scipy.stats import nct, norm, t as student

from idealab.judge.approach import ApproachCell
from idealab.judge.cells import OFF_SCALE, RefinedCell, Rules, judge_cells, unit_cell
from idealab.judge.criteria import Equals
from idealab.judge.evidence import LOOKS
from idealab.judge.planning import (
    INFLATION,
    PILOT,
    fixed_design,
    next_cap,
    seeds_for,
    seeds_planned,
    seeds_to_decide,
    seeds_to_see,
    spread_of,
)
from tests.judge.specimens import curve, judge


def _draw(mean, spread, n, seed=0):
    return np.random.default_rng(seed).normal(mean, spread, n)


# --- Before a run -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("spread", [0.5, 1.0, 3.0])
@pytest.mark.parametrize("distance", [0.5, 0.8])
@pytest.mark.parametrize("power", [0.8, 0.9])
def test_an_equivalence_test_with_so_many_seeds_has_that_power(spread, distance, power):
    n = seeds_for(spread, distance, power)
    x = np.random.default_rng(1).normal(distance, spread, (3000, n)) if n < 1000 else None
    # Near one edge two one-sided tests are one: noncentral t.
    exact = 1 - nct.cdf(student.ppf(0.95, n - 1), n - 1, (1 - distance) / spread * math.sqrt(n))
    assert exact == pytest.approx(power, abs=0.03)
    if x is not None:
        half = student.ppf(0.95, n - 1) * np.std(x, axis=1, ddof=1) / math.sqrt(n)
        found = np.mean(np.abs(np.mean(x, axis=1)) + half < 1)
        assert found == pytest.approx(power, abs=0.035)


def test_seeds_for_is_the_formula_and_has_its_limits():
    z = norm.ppf(0.95) + norm.ppf(0.9)
    assert seeds_for(2.0, 0.3) == math.ceil((z * 2 / 0.7) ** 2 + 1.5)
    assert seeds_for(2.0, -0.3) == seeds_for(2.0, 1.7) == seeds_for(2.0, 0.3)
    assert seeds_for(0.0) == 4
    assert seeds_for(1.0, 1.0) == seeds_for(math.inf) == seeds_for(math.nan) == 10**6


@pytest.mark.parametrize("spread", [0.3, 0.5, 1.0])
def test_the_cap_that_follows_from_the_plan_decides_most_cells(spread):
    cap = next_cap(seeds_for(spread))
    cells = [unit_cell(_draw(0.5, spread, cap, seed)) for seed in range(100)]
    found = [decision.verdict for decision in judge_cells(cells, Rules(cap, 20))]
    # Nine in ten, less three standard errors.
    assert found.count("present") >= 81
    assert found.count("absent") == 0


def test_a_cap_is_a_number_of_seeds_that_is_looked_at():
    assert [next_cap(n) for n in (4, 5, 36, 100)] == [16, 16, 64, 160]
    assert all(next_cap(n) in LOOKS for n in range(4, 160))
    assert next_cap(1000) == 1508


@pytest.mark.parametrize("spread", [0.7, 1.0, 2.0])
def test_four_seeds_give_an_interval_that_holds_the_truth_four_times_in_five(spread):
    plans = [seeds_planned(unit_cell(_draw(0.5, spread, PILOT, seed))) for seed in range(600)]
    truth = seeds_for(spread)
    assert np.mean([low <= truth <= high for _, low, high in plans]) == pytest.approx(0.8, abs=0.06)
    assert np.mean([planned >= truth for planned, _, _ in plans]) == pytest.approx(0.8, abs=0.06)
    assert all(low <= planned <= high for planned, low, high in plans)


def test_the_inflation_is_a_quantile_of_chi_squared():
    assert math.sqrt(3 / chdtri(3, 0.8)) == pytest.approx(INFLATION, abs=0.005)


@pytest.mark.parametrize("one_sided", [False, True])
def test_what_is_refuted_among_many_cells_takes_about_as_many_seeds_as_planned(one_sided):
    cells = [unit_cell(_draw(2.0, 1.0, 256, seed), one_sided=one_sided) for seed in range(60)]
    decisions = judge_cells(cells, Rules(256, 20))
    assert {decision.verdict for decision in decisions} == {"absent"}
    taken = np.median([decision.seeds for decision in decisions])
    assert 0.5 <= np.median([fixed_design(cell, 20) for cell in cells]) / taken <= 1.5
    assert fixed_design(cells[0], 200) > fixed_design(cells[0], 20) > fixed_design(cells[0])


def test_a_pilot_far_outside_plans_for_the_distance_that_it_sees():
    assert seeds_planned(unit_cell(_draw(9.0, 2.0, 4)))[0] < seeds_planned(unit_cell(_draw(0.0, 2.0, 4)))[0]
    by_chance = unit_cell(np.array([4.0, -2.5, 3.0, 2.5]))
    assert np.mean(by_chance.deviations) > 1.5
    assert seeds_planned(by_chance)[0] == seeds_for(math.sqrt(3 / chdtri(3, 0.8)) * spread_of(by_chance), 0.5)


def test_a_one_sided_claim_plans_with_the_distance_from_its_only_edge():
    steep, gentle = (unit_cell(1 - change + _draw(0, 0.2, 4), one_sided=True) for change in (1.2, 0.1))
    assert seeds_planned(steep)[0] == 4
    assert seeds_planned(gentle)[0] > 10
    on_the_edge = unit_cell(np.array([0.7, 1.3, 0.9, 1.1]), one_sided=True)
    assert seeds_planned(on_the_edge)[0] < 200, "a pilot that lies on the edge by chance does not plan for ever"


def test_a_median_plans_for_more_seeds_than_a_mean():
    x = _draw(0.3, 0.8, 400)
    mean, median = fixed_design(unit_cell(x)), fixed_design(unit_cell(x, "median"))
    assert median / mean == pytest.approx(math.pi / 2, rel=0.25)
    assert seeds_planned(unit_cell(np.zeros(4), "median")) == (8, 8, 8)


def test_what_takes_a_number_of_seeds_that_is_known():
    assert seeds_planned(unit_cell(np.array([0.5, 0.1]), "every")) == (8, 8, 8)
    assert fixed_design(unit_cell(np.array([0.5, 0.1]), "every")) == 7
    refined = RefinedCell(np.zeros(3), np.zeros(3), np.ones(3), np.zeros(3))
    assert seeds_planned(refined) == (1, 1, 1)
    assert fixed_design(refined) == 1


def test_seeds_that_were_lost_do_not_widen_the_plan():
    x = _draw(0.2, 0.5, 8)
    assert spread_of(unit_cell(np.append(x, OFF_SCALE))) == spread_of(unit_cell(x))
    assert spread_of(unit_cell(np.full(4, OFF_SCALE))) == 0.0


@pytest.mark.parametrize("error", [0.03, -0.03, 0.05])
def test_seeds_to_see_a_constant_error(error):
    seen = []
    for seed in range(30):
        y = (1 + 0.05 * np.random.default_rng(seed).normal(size=(8, 128))) / (1 + error)
        amplitude = judge(Equals(rtol=0.1, pooled=0.01), curve(y, 1.0), max_seeds=128, cells=9)[-1]
        assert amplitude.verdict == "absent"
        seen.append(amplitude.seeds)
    planned = seeds_to_see(error, 0.05 / math.sqrt(8), 0.01, threshold=2 * 9 / 0.05)
    assert 0.5 <= np.median(seen) / planned <= 2.0
    assert seeds_to_see(0.01, 0.1, 0.02) == math.inf, "an error within the tolerance is none"


# --- After one that stopped undecided ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("mean", "spread", "start"),
    [(0.0, 0.5, 8), (0.6, 0.5, 8), (0.0, 1.0, 8), (0.3, 1.0, 16), (1.5, 0.5, 8), (2.0, 2.0, 24)],
)
def test_an_undecided_cell_is_decided_after_about_so_many_seeds(mean, spread, start):
    ratios = []
    for seed in range(40):
        x = _draw(mean, spread, 1024, seed)
        if judge_cells([unit_cell(x[:start])], Rules(start, 20))[0].verdict != "undecided":
            continue
        foretold = seeds_to_decide(unit_cell(x[:start]), 20)
        assert foretold is None or foretold > start
        ratios.append((foretold or math.inf) / judge_cells([unit_cell(x)], Rules(1024, 20))[0].seeds)
    assert len(ratios) >= 15
    assert 0.5 <= np.median(ratios) <= 2.0


def test_what_is_foretold_is_when_seeds_like_these_are_decided():
    # Eight seeds, repeated: their mean stays, and so does their unbiased standard deviation, to 1 %.
    x = _draw(0.2, 1.0, 8, seed=3)
    again = np.mean(x) + np.resize(x - np.mean(x), 1024) * math.sqrt(8 / 7)
    (decision,) = judge_cells([unit_cell(again)], Rules(1024, 20))
    foretold = seeds_to_decide(unit_cell(x), 20)
    assert abs(LOOKS.index(foretold) - LOOKS.index(decision.seeds)) <= 1


def test_a_median_and_a_claim_about_every_seed_are_foretold_too():
    assert seeds_to_decide(unit_cell(np.array([0.1, 0.2, -0.1, 0.0]), "median"), 20) == 8
    assert seeds_to_decide(unit_cell(np.array([0.1, 0.2, -0.1, 0.0]), "every"), 20) == 8
    assert seeds_to_decide(unit_cell(np.array([1.5, 1.7, 2.0, 1.2]), "median"), 20) == 16


def test_a_rate_is_foretold_from_its_own_evidence():
    sizes, band = 2.0 ** np.arange(3, 9), 0.2
    rng = np.random.default_rng(0)
    noise = rng.normal(size=(6, 1024))

    def cell(n):
        discrepancies = 3 * (sizes[:, None] / 8) ** -0.5 + noise[:, :n]
        return ApproachCell.of(np.log(sizes), discrepancies, np.full(n, -0.5), np.full(n, band), np.zeros(n, bool))

    (early,) = judge_cells([cell(8)], Rules(8, 20))
    (late,) = judge_cells([cell(1024)], Rules(1024, 20))
    assert (early.verdict, late.verdict) == ("undecided", "present")
    assert 1 / 3 <= (seeds_to_decide(cell(8), 20) or math.inf) / late.seeds <= 3


def test_where_no_number_of_seeds_would_do_there_is_none():
    assert seeds_to_decide(unit_cell(np.array([0.9, 1.1, 0.9, 1.1])), 20) is None, "on the edge"
    x = np.append(_draw(0.0, 0.3, 7), OFF_SCALE)
    assert seeds_to_decide(unit_cell(x), 20) is None, "a seed that is lost is not mended by more"
    assert seeds_to_decide(unit_cell(x, "median"), 20) is not None
    assert seeds_to_decide(unit_cell(np.array([0.1])), 20) is None, "one seed shows no spread"
    refined = RefinedCell(np.zeros(3), np.zeros(3), np.ones(3), np.zeros(3))
    assert seeds_to_decide(refined, 20) is None
    assert seeds_to_decide(unit_cell(_draw(0.2, 0.2, 4), one_sided=True), 20) is not None


def test_how_far_beyond_the_edge_does_not_make_a_cell_dear():
    # A control that breaks everything, by ten thousand tolerances more or less.
    broken = unit_cell(np.array([9e3, 2e4, 500.0, 7e4]))
    assert fixed_design(broken, cells=20) == 4
    assert seeds_planned(broken, cells=20) == (4, 4, 4)
