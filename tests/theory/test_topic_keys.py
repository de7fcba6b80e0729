"""The theory of several last tokens, against enumeration and other means; and where prompts are long."""

from __future__ import annotations

import math

import numpy as np
import pytest
import sympy as sp
from idealab.experiments.topic_inertia import change as seen, domains
from idealab.theory import topic_inertia
from idealab.theory.topic_inertia import change, keys

SIGNATURES = topic_inertia.idea.signatures
ODDS, LAST = np.array([1.3, 2.2]), np.array([0.7, 0.3])


def predicted(name, **known):
    prediction = SIGNATURES[name].prediction
    return np.asarray(prediction.to_numpy()(**{argument: known[argument] for argument in prediction.arguments}))


def chance(length, p_a, p_b, r):
    return float(predicted("change", T=float(length), p_a=p_a, p_b=p_b, r=r, m=np.arange(length + 1.0)))


# --- The tail of the binomial distribution ----------------------------------------------------------------------------


def test_the_tail_is_shown_for_all_arguments():
    step = change.exact["tail"]
    assert step.how == "residual reduces to 0"
    assert {change.cut, change.total, change.v} <= step.equation.free_symbols


@pytest.mark.parametrize("wrong", [lambda e: e.subs(change.cut, change.cut + 1), lambda e: 2 * e, lambda e: e + 1])
def test_a_wrong_tail_is_noticed(wrong):
    equation = change.exact["tail"].equation
    assert any(part != 0 for part in change._telescoping(sp.Eq(equation.lhs, wrong(equation.rhs))))


# --- Where prompts are long -------------------------------------------------------------------------------------------

LENGTH = sp.lambdify((change.p_a, change.p_b, change.r), change.length)


def drawn_corners(number):
    """Chances and odds all over the phase r p_a > p_b, from near the boundary to far from it, from rare to frequent."""
    draw = np.random.default_rng(5)
    for _ in range(number):
        r, rho = math.exp(draw.uniform(-3, 3)), math.exp(draw.choice([draw.uniform(0.05, 1), draw.uniform(1, 6)]))
        votes = draw.choice([draw.uniform(0.05, 1), 10 ** draw.uniform(-2, 0)])
        p_a = votes * rho / (r + rho)
        yield p_a, votes - p_a, r


def test_the_experiments_know_the_same_length():
    for p_a, p_b, r in drawn_corners(50):
        assert domains.long_from(p_a, p_b, r) == pytest.approx(float(LENGTH(p_a, p_b, r)), rel=1e-9)
    assert domains.long_from(0.2, 0.4, 2.0) == math.inf


def test_from_that_length_on_longer_prompts_change_less_often():
    for p_a, p_b, r in drawn_corners(120):
        length = math.ceil(domains.long_from(p_a, p_b, r))
        if length <= 600:
            chances = [chance(T, p_a, p_b, r) for T in (length, 4 * length, 16 * length)]
            assert chances[0] > chances[1] > chances[2] or chances[1] < 1e-250, (p_a, p_b, r)


def test_before_it_the_chance_may_rise():
    """The corner that refuted the idea when the length was not said: b must first occur."""
    corner = 0.002, 0.01, 20.0
    assert domains.long_from(*corner) > 512
    assert chance(32, *corner) < chance(128, *corner)


def test_the_logarithm_holds_within_its_tolerance_where_settings_are_allowed():
    signature = SIGNATURES["log_change"]
    tolerance = sp.lambdify((change.p_a, change.p_b, change.r, change.T), signature.criterion.formulas["atol"])
    looked = 0
    for p_a, p_b, r in drawn_corners(150):
        if domains.long_from(p_a, p_b, r) > 100 or p_a + p_b > 0.98:
            continue
        for T in (100, 400):
            if domains.gap_of_sums(p_a, p_b, r, T) < 1 and (exact := chance(T, p_a, p_b, r)) > 1e-250:
                off = float(predicted("log_change", T=float(T), p_a=p_a, p_b=p_b, r=r)) - math.log(exact)
                assert abs(off) < tolerance(p_a, p_b, r, T), (p_a, p_b, r, T)
                looked += 1
    assert looked > 60


BY_NAME = {experiment.name: experiment for experiment in seen.experiments}


@pytest.mark.parametrize(
    ("name", "changes", "words"),
    [
        (
            "inertia",
            {"p_a": 0.002, "p_b": 0.01, "share": 0.9524},
            "p_a=0.002 and odds of 20.1.*: no p_b makes prompts of 32 tokens long; raise p_a",
        ),
        (
            "inertia",
            {"p_b": 0.5},
            r"p_b=0.5 is outside .* .phase boundary: p_b = r p_a = 0.424364. only there are prompts of 32 tokens long",
        ),
        (
            "log_change",
            {"p_b": 0.3 * (1 + 5**0.5) / 2},
            r"is outside .* .phase boundary: p_b = r p_a = 0.485572. only there",
        ),
        (
            "log_change",
            {"share": 0.6},
            "odds of 1.50042 are too near a small fraction, .* for T=400: .* take other odds or",
        ),
        ("change", {"p_a": 0.9}, "p_a=0.9 is outside 0 < p_a < .* a chance"),
        ("change", {"share": 1.0}, "share=1.0 is outside 0 < share < 1"),
        ("by_dilution", {"lean": 0.3}, "no p_0 makes prompts of 64 tokens long"),
        ("by_dilution", {"p_0": 0.99}, "p_0=0.99 is outside"),
    ],
)
def test_a_setting_beyond_is_refused_with_what_to_do(name, changes, words):
    from idealab.errors import UsageError

    changed = BY_NAME[name.replace("_", " ")].with_settings(changes)
    with pytest.raises(UsageError, match=words):
        changed.check(changed.ranges)


def test_what_is_declared_lies_inside():
    for experiment in seen.experiments:
        experiment.check(experiment.ranges)


# --- Several keys -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("length", [1, 4, 30])
def test_the_chance_is_the_mean_over_the_last_token(length):
    found = predicted(
        "change_by_keys", T=float(length), p_a=0.3, p_b=0.25, odds=ODDS, last=LAST, m=np.arange(length + 1.0)
    )
    assert float(found) == pytest.approx(LAST @ [chance(length, 0.3, 0.25, r) for r in ODDS], rel=1e-12)


def test_the_slowest_key_is_all_in_the_end():
    known = {"p_a": 0.3, "p_b": 0.2, "last": LAST, "odds": ODDS, "r": 2**0.5, "w_1": 0.7}
    exact = math.log(0.7 * chance(2000, 0.3, 0.2, 2**0.5) + 0.3 * chance(2000, 0.3, 0.2, 2.2))
    assert float(predicted("slowest_key", T=2000.0, **known)) == pytest.approx(exact, abs=0.02)


@pytest.mark.parametrize(("p_b", "expected"), [(0.2, 0.0), (0.35, 0.7), (0.55, 1.0)])
def test_the_chance_climbs_key_by_key(p_b, expected):
    known = {"p_a": 0.2, "p_b": p_b, "odds": ODDS, "last": LAST}
    assert float(predicted("steps_by_keys", T=1.0, **known)) == expected
    bound = sp.lambdify(
        (change.p_a, change.p_b, change.T, keys.odds, keys.last, keys.K),
        SIGNATURES["steps_by_keys"].criterion.formulas["atol"],
    )
    for T in (50, 400):
        exact = LAST @ [chance(T, 0.2, p_b, r) for r in ODDS]
        assert abs(exact - expected) <= bound(0.2, p_b, T, ODDS, LAST, 2)


def test_drawn_prompts_scatter_the_odds_as_roots_of_their_mean_score_do():
    draw, rho, q, number = np.random.default_rng(0), 3.0, 0.7, 4000
    r = float(predicted("odds_by_keys", q=np.array([q]), sigma=np.array([(rho + 1 / rho) / 2]))[0])
    share = lambda more, z: np.where(more, rho * z / (rho * z + 1), z / (z + rho))
    found = []
    for _ in range(400):
        more, label = draw.random(number) < 0.5, draw.random(number) < q
        z = r
        for _ in range(8):  # Newton in ln z
            s = share(more, z)
            z *= math.exp((label.mean() - s.mean()) / (s * (1 - s)).mean())
        found.append(math.log(z / r))
    expected = float(predicted("sampled_odds", N=float(number), odds=np.array([r]), last=np.array([1.0]), rho=rho))
    assert np.std(found) == pytest.approx(expected, rel=0.1)
    assert keys.components["sampled_rate"].equation.rhs == -sp.Rational(1, 2)
