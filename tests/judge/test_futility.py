"""When a cell is given up: not while it may still be decided, and never where it would have been."""

import math

import numpy as np
import pytest

from idealab.judge.cells import Rules, judge_cells, unit_cell
from idealab.judge.futility import UNLIKELY, chance_of_decision

RULES = Rules(max_seeds=256, cells=8)


def _seeds(mean, spread, n=256, seed=0):
    return np.random.default_rng(seed).normal(mean, spread, n)


def _chance(deviations):
    return chance_of_decision(deviations, RULES.max_seeds, 1 / RULES.alpha, RULES.absent_threshold)


@pytest.mark.parametrize("mean", [0.0, 0.5, 2.0, -2.0])
def test_what_will_be_decided_has_a_chance(mean):
    assert _chance(_seeds(mean, 1.0, 16)) > 0.9


def test_the_edge_has_none():
    at_edge = _seeds(0.0, 1.0, 64)
    at_edge += 1.0 - at_edge.mean()
    assert _chance(at_edge) < 0.1
    assert _chance(np.full(16, 1.0)) == 1.0, "seeds that do not vary are decided by their value"


def test_the_chance_is_about_right():
    rng, decided, said = np.random.default_rng(3), [], []
    for _ in range(150):
        mean = rng.uniform(0.4, 1.0)
        seeds = rng.normal(mean, 2.0, 256)
        said.append(_chance(seeds[:32]))
        found = judge_cells([unit_cell(seeds)], RULES)[0]
        decided.append(found.verdict != "undecided" and found.seeds > 32)
    # 150 draws know a mean of about a half to 4 %; the formula leaves out earlier looks, which add a little.
    assert np.mean(said) == pytest.approx(np.mean(decided), abs=0.15)


def test_a_cell_at_the_edge_is_given_up_early_and_no_decided_one_is():
    given_up = 0
    for seed in range(60):
        (edge,) = judge_cells([unit_cell(_seeds(1.0, 1.0, seed=seed))], RULES)
        given_up += edge.given_up
        assert edge.verdict == "undecided" or not edge.given_up
        (inside,) = judge_cells([unit_cell(_seeds(0.2, 1.0, seed=seed))], RULES)
        assert (inside.verdict, inside.given_up) == ("present", False)
    assert given_up > 30


def test_a_cell_that_is_given_up_was_unlikely_to_be_decided():
    wrong, tried = 0, 0
    for seed in range(120):
        seeds = _seeds(0.9, 1.0, seed=seed)
        (decision,) = judge_cells([unit_cell(seeds)], RULES)
        if decision.given_up:
            tried += 1
            # The evidence at the cap itself, which the judge did not wait for.
            t = abs(1 - np.mean(seeds)) / np.std(seeds, ddof=1) * math.sqrt(256)
            wrong += t > 4
    assert tried > 10
    assert wrong <= max(3, 3 * UNLIKELY * tried)


@pytest.mark.parametrize("estimand", ["median", "every"])
def test_only_means_are_given_up(estimand):
    (decision,) = judge_cells([unit_cell(np.tile([0.5, 1.5, 0.9, 1.1], 16), estimand)], RULES)
    assert not decision.given_up
