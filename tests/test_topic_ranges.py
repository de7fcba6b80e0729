"""Every setting that is accepted on prompts and memory is one in which the signatures hold; every other is refused."""

from __future__ import annotations

import math
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from idealab.experiments.topic_inertia import change, domains, experiments, keys, memory

from idealab import Named, load, verify
from idealab.errors import UsageError

OTHERS = ("components by keys",)
HERE = {e.name: e for part in (change, keys, memory) for e in part.experiments if e.name not in OTHERS}

# Just inside the ends of what is accepted, and two knobs at once.
INSIDE = [
    ("change", {"share": 0.9999, "p_a": 0.58}),
    ("change", {"share": 1e-4, "p_b": 1e-6}),
    ("inertia", {"p_b": 0.22}),
    ("inertia", {"p_b": 0.0005, "p_a": 0.7}),
    ("inertia", {"share": 0.94}),
    ("boundary", {"p_a": 0.143}),
    ("boundary", {"p_a": 0.323}),
    ("by closeness", {"p_a": 0.24}),
    ("by closeness", {"share": 0.97}),
    ("by dilution", {"lean": 0.54}),
    ("by dilution", {"share": 0.95}),
    ("by odds", {"p_a": 0.97, "p_b": 0.0001}),
    ("by odds", {"p_b": 0.225}),
    ("prompts", {"share": 0.99, "p_a": 0.65}),
    ("prompts", {"p_b": 0.68}),
    ("change by keys", {"p_a": 0.97, "p_b": 1e-6}),
    ("slowest key", {"p_a": 0.3, "p_b": 0.307}),
    ("slowest key", {"p_a": 0.9, "p_b": 0.01}),
    ("attention, any memory", {"slope": 1.45, "spread": 1.45}),
    ("exact Bayes", {"spread": 1.09}),
    ("leaky counter", {"slope": 0.24}),
    ("leaky counter", {"slope": 0.89, "spread": 1.95}),
    ("leaky plateau", {"slope": 0.041, "spread": 0.3}),
    ("leaky plateau", {"slope": 0.209, "spread": 0.64}),
    ("bounded counter", {"ceiling": 2.6, "spread": 0.9, "hazard": 0.02}),
    ("switched prompts", {"spread": 0.21}),
    ("switched prompts", {"spread": 1.29}),
    ("two topics", {"last_score": -3.5}),
]
REFUSED = [
    ("slowest key", {"p_a": 0.3, "p_b": 0.38}, r"p_b=0.38 is outside .*boundary: p_b = r p_a = 0.364963.* 400 tokens"),
    ("boundary", {"p_a": 0.35}, "p_a=0.35 is outside .*both sides of its boundary r p_a"),
    ("boundary", {"p_a": 0.283}, "p_b=0.4 is too near the phase boundary, r p_a = 0.4003"),
    ("steps by keys", {"p_a": 0.22}, r"p_b=0.28 is too near the phase boundary of a key .0.2676"),
    ("change", {"share": 0.5}, "share=0.5: at odds of one equal counts tie"),
    ("prompts", {"share": 0.5}, "share=0.5: at odds of one equal counts tie"),
    ("inertia", {"p_a": 0.061, "p_b": 0.0005, "share": 0.403}, "cannot be told that the chance falls from 32 tokens"),
    ("by dilution", {"lean": 0.303, "share": 0.843}, "cannot be told that the chance rises from p_0=0.5 to 0.7"),
    ("leaky counter", {"slope": 0.1}, "slope=0.1 is outside .*a memory that fades more slowly still gains"),
    ("leaky plateau", {"slope": 0.3}, "slope=0.3 is outside .*tokens that weigh must be many"),
    ("bounded counter", {"ceiling": 6.0}, "ceiling=6.0 is outside .* too few of 5000 prompts"),
    ("two topics", {"shift": 0.3}, "shift=0.3 is outside .* turn near one of their ends"),
]


@cache
def bare():
    """The idea without rivals and controls, which would ask for seeds of their own."""
    idea = load("topic_inertia")
    signatures = (replace(signature, rivals=Named()) for signature in idea.signatures.values())
    return replace(idea, signatures=Named(*signatures), assumptions=Named())


@pytest.mark.slow
@pytest.mark.parametrize(("name", "settings"), INSIDE, ids=str)
def test_signatures_hold_just_inside(name, settings):
    ran = (replace(HERE[name], toggles={}),)
    found = verify(
        bare(), experiments=ran, settings=settings, master_seed=215, levels=["idealized"], record=False, mutants=False
    )
    cells = [cell for signature in found.signatures for cell in signature.cells]
    assert cells
    for cell in cells:
        assert math.isfinite(cell.measured), cell
        assert cell.verdict == "present", cell


@pytest.mark.parametrize(("name", "settings", "words"), REFUSED, ids=str)
def test_what_lies_beyond_is_refused_in_one_line(name, settings, words):
    ran = (replace(HERE[name], toggles={}),)
    with pytest.raises(UsageError, match=words) as refused:
        verify(bare(), experiments=ran, settings=settings, levels=["idealized"], record=False)
    assert "\n" not in str(refused.value)


def test_what_is_not_asked_for_refuses_nothing():
    """The sweep of `boundary` does not matter to who asks for another signature."""
    ran = (HERE["boundary"], HERE["change"])
    run = {"experiments": ran, "settings": {"p_a": 0.35}, "record": False, "mutants": False, "master_seed": 215}
    with pytest.raises(UsageError, match=r"experiment 'boundary': p_a=0\.35 is outside"):
        verify(bare(), **run)
    assert verify(bare(), select=["change"], **run).signatures[0].verdict == "present"


def _ends(name):
    """Each knob of an experiment, and values just beyond the ends of its ranges, which may depend on the condition."""
    experiment = HERE[name]
    for knob, allowed in experiment.ranges.items():
        for condition in experiment.conditions:
            if knob in condition.settings:
                bound = allowed(condition) if callable(allowed) else allowed
                yield knob, condition, bound


@pytest.mark.parametrize("name", HERE)
def test_every_knob_has_ends_and_none_lies_beyond_them(name):
    experiment = HERE[name]
    floats = {k for c in experiment.conditions for k, value in c.settings.items() if isinstance(value, float)}
    assert floats <= {*experiment.ranges}
    experiment.check(experiment.ranges)
    for knob, condition, bound in _ends(name):
        for value in (bound.low, bound.high, bound.low - 1e-6, bound.high + 1e-6, math.nan, math.inf, -math.inf):
            with pytest.raises(UsageError, match=f"{knob}="):
                replace(experiment, conditions=(condition.but("beyond", **{knob: float(value)}),)).check((knob,))


def test_what_a_control_takes_away_is_no_knob():
    for name, setting in (
        ("attention, order", "slope"),
        ("exact Bayes", "slope"),
        ("switched prompts", "slope"),
        ("two topics", "slope"),
        ("prompts", "kept"),
    ):
        assert any(setting in condition.settings for condition in HERE[name].toggles.values()) or name == "exact Bayes"
        assert not any(setting in condition.settings for condition in HERE[name].conditions)


def test_a_name_stands_for_one_kind_of_thing():
    kinds = {}
    for experiment in experiments:
        for condition in experiment.conditions:
            for name, value in condition.settings.items():
                kinds.setdefault(name, set()).add(type(value))
    assert {name for name, found in kinds.items() if len(found) > 1} == set()


@pytest.mark.parametrize("share", [0.02, 0.5, 0.62, 0.999])
def test_the_odds_are_those_that_descent_learns(share):
    import jax

    with jax.enable_x64(True):
        scores = np.asarray(change.trained_scores(jax.random.key(3), share))
    assert domains.learned_odds(share) == pytest.approx(math.exp(scores[change.A] - scores[change.B]), rel=1e-9)


def test_first_terms_that_differ_by_more_than_they_leave_out_decide():
    """From T to T', by counting all prompts, all over the phase."""
    from scipy.stats import binom

    def chance(length, p_a, p_b, r):
        k = np.arange(length + 1)
        least = np.floor(r * k)
        some = least < length - k
        logs = binom.logpmf(k, length, p_a) + binom.logsf(least, np.maximum(length - k, 0), p_b / (1 - p_a))
        return float(np.exp(logs[some]).sum())

    draw, looked, short = np.random.default_rng(11), 0, 0
    while looked < 300:
        r, rho, votes = math.exp(draw.uniform(-4, 4)), math.exp(draw.uniform(0.05, 6)), draw.uniform(0.05, 0.98)
        p_a = votes * rho / (r + rho)
        p_b, length = votes - p_a, math.ceil(domains.long_from(p_a, votes - p_a, r))
        if length > 60:
            continue
        looked += 1
        chances = [chance(n, p_a, p_b, r) for n in (length, 2 * length, 4 * length)]
        logs = [domains.log_chance(p_a, p_b, r, n) for n in (length, 2 * length, 4 * length)]
        for i, j in ((0, 1), (1, 2), (0, 2)):
            falls = chances[j] < chances[i]
            short += not falls
            assert falls or not domains.surely_less(logs[j], logs[i]), (r, p_a, p_b, length)
    assert short > 5  # T > L alone does not do
