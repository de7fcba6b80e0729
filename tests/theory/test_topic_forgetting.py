"""The chance of a change under any memory, against enumeration; and the plateau of a memory with a ceiling."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from idealab.theory.topic_inertia import forgetting as theory

SIGNATURES = {signature.name: signature for signature in theory.signatures}
P = np.array([0.5, 0.2, 0.3])
# By the last token; no sum of these is zero.
S = np.array([[0.61, -0.83, 0.17], [0.45, -0.37, -0.29], [0.71, -0.53, -0.31]])


def enumerated(recall: list[float], length: int) -> float:
    """The chance that the sum is negative, over every prompt; recall of ages 1, 2, ..."""
    total = 0.0
    for prompt in itertools.product(range(3), repeat=length):
        *before, last = prompt
        ages = reversed(range(1, length))
        score = S[last, last] + sum(recall[age - 1] * S[last, token] for age, token in zip(ages, before, strict=True))
        total += math.prod(P[list(prompt)]) * (score < 0)
    return total


def predicted(recall: list[float], ages: list[float], reach: float) -> float:
    """What the signature says."""
    evaluate = SIGNATURES["remembered_change"].prediction.to_numpy()
    arguments = {"recall": np.array(recall), "ages": np.array(ages), "p": P, "last": P, "s": S, "own": np.diagonal(S)}
    frequencies = (2 * np.arange(96) + 1) * np.pi / reach
    return float(evaluate(**arguments, reach=np.array(reach), u=frequencies))


@pytest.mark.parametrize("slope", [0.0, 0.3])
def test_the_chance_of_a_change_is_that_of_every_prompt_counted(slope):
    recall = [math.exp(-slope * age) for age in range(1, 8)]
    # 96 terms of a series whose terms decay like 1/k, for a sum of 8 tokens that has few values.
    assert predicted(recall, [1.0] * 7, 8.0) == pytest.approx(enumerated(recall, 8), abs=4e-3)


def test_ages_of_one_weight_may_be_put_together_and_more_reach_changes_nothing():
    apart = predicted([1.0] * 11, [1.0] * 11, 12.0)
    assert predicted([1.0], [11.0], 12.0) == pytest.approx(apart, abs=1e-12)
    assert predicted([1.0, 0.3], [11.0, 0.0], 12.0) == pytest.approx(apart, abs=1e-12)
    assert predicted([1.0], [11.0], 15.0) == pytest.approx(apart, abs=3e-3)


def test_it_is_known_as_well_as_it_can_be():
    known = {name: signature.known for name, signature in SIGNATURES.items()}
    assert known["remembered_change"] == known["permutation"] == known["falling"] == "derived"
    # Siegmund's correction for steps, and the position paper's claim, are not ours.
    assert known["bounded_plateau"] == known["flat"] == "cited"
    assert theory.bounded.how_known("by_depth") == "derived"


def test_the_order_matters_as_soon_as_there_is_a_bias():
    swapped = theory.order["swapped"].equation.rhs
    at = dict(zip((theory.h_1, theory.h_2, theory.h_3), (0.3, 0.9, 0.2), strict=True))
    at |= dict(zip((theory.v_1, theory.v_2, theory.v_3), (1.0, -2.0, 0.5), strict=True))
    assert abs(float(swapped.subs(at | {theory.slope: 0.3}))) > 0.1
    assert abs(float(swapped.subs(at | {theory.slope: 0}))) < 1e-12


def test_the_plateau_of_a_memory_with_a_ceiling():
    """A walk with small steps below a ceiling of 4: how often it is negative, and how deep it is."""
    draw = np.random.default_rng(0)
    sigma, ceiling, walks = 0.3, 4.0, 8000
    step = lambda sign: sign * sigma**2 / 2 + sigma * draw.normal(size=walks)
    total, negative = np.zeros(walks), []
    for t in range(1200):
        total = np.minimum(total + step(1), ceiling)
        negative.append(np.mean(total < 0) if t >= 600 else np.nan)
    depth, up = np.zeros(walks), np.ones(walks, bool)
    while up.any():
        taken = step(-1)
        total, depth = np.minimum(total + taken, ceiling), depth - up * taken
        up &= total >= 0
    evaluate = SIGNATURES["bounded_plateau"].prediction.to_numpy()
    plateau = float(evaluate(sigma=sigma, depth=float(np.mean(depth))))
    # Standard errors of 0.04 and 0.02; what the theory leaves out is sigma/6.
    assert math.log(np.nanmean(negative)) == pytest.approx(plateau, abs=0.15)
    assert plateau == pytest.approx(-float(np.mean(depth)) - 1.5 + 0.5826 * sigma, abs=1e-5)


def test_the_directions():
    """Whatever the topics are: the bound falls, and the mean score is positive."""
    falling, beyond = (float(SIGNATURES[name].prediction.to_numpy()()) for name in ("falling", "beyond_filter"))
    draw = np.random.default_rng(0)
    for _ in range(100):
        p, q = draw.dirichlet(np.ones(5), 2)
        assert np.sign(np.log(np.sum(np.sqrt(p * q)))) == falling
        assert np.sign(np.sum(p * np.log(p / q))) == beyond
