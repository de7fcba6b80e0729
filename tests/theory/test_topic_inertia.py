"""The theory of topic_inertia: its formulas against integration, enumeration and root finding by other means."""

from __future__ import annotations

import math
from itertools import product

import numpy as np
import pytest
import sympy as sp
from idealab.theory import topic_inertia
from idealab.theory.topic_inertia import change, keys, training
from scipy.integrate import solve_ivp
from scipy.optimize import brentq, minimize
from scipy.stats import binom, multinomial

IDEA = topic_inertia.idea
SIGNATURES = IDEA.signatures
RIVALS = {a.rival.name: a.rival for a in IDEA.assumptions.values() if a.rival is not None}
GOLDEN = (1 + 5**0.5) / 2


def value(signature, **known):
    found = signature.prediction.to_numpy()(**{name: known[name] for name in signature.prediction.arguments})
    return found if np.ndim(found) else float(found)


def predicted(name, **known):
    return value(SIGNATURES.get(name) or RIVALS[name], **known)


def chance(length, p_a, p_b, r):
    return predicted("change", T=float(length), p_a=p_a, p_b=p_b, r=r, m=np.arange(length + 1.0))


def test_nothing_primary_rests_on_a_citation_and_most_is_derived():
    parts = training, change, keys
    known = {signature.name: signature.known for part in parts for signature in part.signatures}
    assert {name for name, how in known.items() if how == "checked"} == {"edge_clock", "change", "change_by_keys"}
    assert set(known.values()) == {"derived", "checked"}


# --- Training ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("rho", "c"), [(0.4, 0.3), (3.0, 0.05)])
def test_one_edge_grows_as_its_flow_does(rho, c):
    flow = solve_ivp(lambda _, d: c / (1 + rho * np.exp(d)), (0, 500), [0.0], rtol=1e-11, atol=1e-12)
    assert predicted("odds_growth", c=c, rho=rho, log_t=math.log(500)) == pytest.approx(
        math.exp(flow.y[0, -1]), rel=1e-8
    )


def test_weight_decay_stops_the_odds_where_the_forces_balance():
    c, rho, decay, eta = 0.4, 0.5, 1e-3, 0.1
    stop = brentq(lambda d: c / (1 + rho * math.exp(d)) - eta * decay * d, 0, 30)
    assert predicted("saturated_odds", c=c, rho=rho, weight_decay=decay, eta=eta) == pytest.approx(
        math.exp(stop), rel=1e-2
    )


def test_a_chain_of_priorities():
    ranks = np.arange(1.0, 6)
    expected = ((5 + 1) / 2 - ranks) / 4
    np.testing.assert_allclose(predicted("priority", rank=ranks, n_1=5.0), expected)
    assert predicted("norm_growth", n_1=5.0, n_2=2.0, length=2.0) == pytest.approx(math.sqrt(10 + 0.5) / 4)
    assert predicted("head_gap", n_1=5.0, n_2=2.0) == 1.5
    np.testing.assert_allclose(predicted("flip", n_1=2.0, n_2=3.0, more=np.array([0.0, 2.0])), [-0.5, 0.5])


def nuclear(z):
    """Sum of singular values of scores (x, x - 1, y) and (x', y', x' - 1): each key's gap is one."""
    return np.linalg.svd(np.array([[z[0], z[0] - 1, z[1]], [z[2], z[3], z[2] - 1]]), compute_uv=False).sum()


def test_two_matrices_of_least_norm_make_both_keys_rank_alike():
    found = minimize(nuclear, [0.5, 0.1, 0.4, -0.1], method="Nelder-Mead", options={"xatol": 1e-7, "maxiter": 4000})
    # Scores 2/3, -1/3, -1/3 under both keys; the minimum is at a corner, which such a search nears slowly.
    assert nuclear([2 / 3, -1 / 3, 2 / 3, -1 / 3]) <= found.fun < 1.001 * nuclear([2 / 3, -1 / 3, 2 / 3, -1 / 3])
    assert found.x[0] - found.x[1] == pytest.approx(float(training.sharing["shared_gap"].equation.rhs), abs=0.01)
    assert predicted("transfer") == 0.5


def test_what_keys_do_not_share_goes_as_fast_as_the_norm_rises_beside_its_corner():
    beside = nuclear([2 / 3, -1 / 3 + 1e-6, 2 / 3, -1 / 3 + 1e-6])
    slope = (beside - nuclear([2 / 3, -1 / 3, 2 / 3, -1 / 3])) / 1e-6
    assert predicted("sharing_rate") == pytest.approx(-slope, abs=1e-5)
    assert RIVALS["sharing_rate"].known == "cited"


def test_directions_are_those_of_the_rate_all_over_the_phase():
    """Each against differences of the rate, at points all over r p_a > p_b."""
    rate = sp.lambdify((change.p_a, change.p_b, change.r), change.deviations["rate"].equation.rhs)
    draw = np.random.default_rng(0)
    for _ in range(200):
        r, p_0, lean = np.exp(draw.uniform(-1.5, 1.5)), *draw.uniform(0.02, 0.98, 2)
        p_a, p_b, h = lean * (1 - p_0), (1 - lean) * (1 - p_0), 1e-6
        if r * p_a < 1.05 * p_b:
            continue
        here, mixed = rate(p_a, p_b, r), (1 - p_0 - h) / (1 - p_0)
        assert np.sign(-here) == predicted("inertia")
        assert np.sign(here - rate(p_a, p_b + h, r)) == predicted("by_closeness")
        assert np.sign(here - rate(p_a * mixed, p_b * mixed, r)) == predicted("by_dilution")
        assert np.sign(here - rate(p_a, p_b, r + h)) == predicted("by_odds")


@pytest.mark.parametrize(("q", "rho"), list(product((0.5, 0.6, 0.93), (1.0, 2.0, 7.0))))
def test_odds_inside_a_component_balance_the_shares(q, rho):
    share = lambda r: (rho * r / (rho * r + 1) + r / (r + rho)) / 2
    sigma = (rho + 1 / rho) / 2
    found = predicted("component_odds", q=q, sigma=sigma)
    assert share(found) == pytest.approx(q, rel=1e-12)
    assert rho > 1 or found == pytest.approx(q / (1 - q))
    # What the tolerance takes for granted: how steeply the share rises with ln r.
    steepness = (share(found * 1.0001) - share(found / 1.0001)) / (2 * math.log(1.0001))
    assert steepness >= q * (1 - q) / sigma**2 * (1 - 1e-6)


# --- Change of topic --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("r", [1.0, GOLDEN, 2.0, 0.7, 4.3])
@pytest.mark.parametrize("length", [1, 2, 3, 7, 12])
def test_the_chance_of_a_change_by_enumeration(length, r):
    p_a, p_b = 0.3, 0.25
    law = multinomial(length, [p_a, p_b, 1 - p_a - p_b])
    pairs = [(k, l) for k, l in product(range(length + 1), repeat=2) if k + l <= length]
    counted = sum(law.pmf([k, l, length - k - l]) for k, l in pairs if l > r * k)
    assert chance(length, p_a, p_b, r) == pytest.approx(counted, rel=1e-12)


def test_with_the_label_in_the_prompt_the_chance_rises_and_then_falls():
    lengths = [2**power for power in range(1, 10)]
    present = [predicted("change", T=float(T), p_a=0.1, p_b=0.1, r=1.4, m=np.arange(1.0, T + 1)) for T in lengths]
    largest = int(np.argmax(present))
    assert 0 < largest < len(lengths) - 1
    assert np.all(np.diff(present[: largest + 1]) > 0)
    assert np.all(np.diff(present[largest:]) < 0)


def test_prompts_of_ten_thousand_tokens():
    known = {"p_a": 0.3, "p_b": 0.4, "r": GOLDEN}
    exact = math.log(chance(10_000, **known))
    assert predicted("log_change", T=10_000.0, **known) == pytest.approx(exact, abs=0.02)
    assert exact < -30


@pytest.mark.parametrize("r", [2**0.5, GOLDEN, 0.8])
def test_at_the_phase_boundary_half_of_all_prompts_change_however_long(r):
    p_a = 0.25
    at = predicted("boundary", r=r, p_a=p_a)
    assert at == pytest.approx(r * p_a)
    assert [chance(T, p_a, at, r) for T in (400, 10_000)] == pytest.approx([0.5, 0.5], abs=0.02)
    assert chance(10_000, p_a, 0.85 * at, r) < 1e-4
    assert chance(10_000, p_a, 1.15 * at, r) > 1 - 1e-4


def rate(p_a, p_b, r):
    return float(change.deviations["rate"].equation.rhs.subs({change.p_a: p_a, change.p_b: p_b, change.r: r}))


def test_the_rate_in_its_known_cases():
    p_a, p_b = 0.35, 0.2
    p_0 = 1 - p_a - p_b
    assert rate(p_a, p_b, 1) == pytest.approx(-math.log(p_0 + 2 * math.sqrt(p_a * p_b)))
    assert rate(p_a, p_b, 1e9) == pytest.approx(-math.log(1 - p_a), rel=1e-6)
    r = GOLDEN
    power = p_b ** (r / (1 + r)) * (r * p_a) ** (1 / (1 + r))
    assert rate(p_a, p_b, r) == pytest.approx(-math.log(p_0 + (1 + 1 / r) * power))
    assert rate(p_a, r * p_a, r) == pytest.approx(0, abs=1e-12)


def test_odds_of_one_have_a_prefactor_of_their_own():
    known, T = {"p_a": 0.3, "p_b": 0.15, "r": 1.0}, 3000
    exact = math.log(chance(T, **known))
    assert predicted("lattice_change", T=float(T), **known) == pytest.approx(exact, abs=0.02)
    assert predicted("log_change", T=float(T), **known) - exact > 0.1


@pytest.mark.parametrize(
    ("name", "low", "high"),
    [
        ("by_closeness", {"p_b": 0.2}, {"p_b": 0.25}),
        ("by_dilution", {}, {"p_a": 0.15, "p_b": 0.1}),
        ("by_odds", {"r": 1.5}, {"r": 1.9}),
    ],
)
def test_what_more_ambiguous_means_decides_what_the_chance_does(name, low, high):
    base = {"p_a": 0.3, "p_b": 0.2, "r": GOLDEN}
    up = chance(300, **(base | high)) > chance(300, **(base | low))
    assert predicted(name) == (1 if up else -1)


def test_a_token_that_outvotes_nothing_needs_no_odds():
    """Without a in the prompt any b is enough: the share of such prompts, by another formula."""
    p_a, p_b, T = 0.3, 0.25, 9
    none = float(binom.pmf(0, T, p_a) * (1 - (1 - p_b / (1 - p_a)) ** T))
    alone = predicted("change", T=float(T), p_a=p_a, p_b=p_b, r=1e6, m=np.arange(T + 1.0))
    assert alone == pytest.approx(none, rel=1e-12)
