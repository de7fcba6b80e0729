"""The second idea through the whole pipeline: the true theory is supported, theories that are nearly true are not."""

from dataclasses import replace

import pytest
import sympy as sp
from idealab.experiments.topic_inertia import experiments

from idealab import Named, load, verify

BY_NAME = {experiment.name: experiment for experiment in experiments}


def test_training_is_supported():
    """D1 to D4: one edge and the edges of two trees in log time, a component by descent."""
    chosen = ("odds_growth", "edge_clock", "component_odds", "odds_rate")
    ran = tuple(
        replace(BY_NAME[name], toggles={}, block=4, conditions=BY_NAME[name].conditions[:1])
        for name in ("single edge", "edges", "component")
    )
    found = verify("topic_inertia", experiments=ran, select=chosen, master_seed=5, record=False, mutants=False)
    assert found.verdict == "supported", (found.gates, found.remarks)
    assert {(signature.name, signature.experiment) for signature in found.signatures} == {
        ("odds_growth", "single edge"),
        ("edge_clock", "edges"),
        ("component_odds", "component"),
        ("odds_rate", "component"),
    }


@pytest.mark.slow
def test_change_of_topic_is_supported_with_every_control_as_it_must_be():
    """The half of the idea that compiles in seconds."""
    chosen = ("component_odds", "change", "log_change", "inertia", "boundary", "by_closeness", "by_odds")
    found = verify("topic_inertia", levels=["idealized"], select=chosen, master_seed=3, record=False)
    assert found.verdict == "supported", (found.gates, found.remarks)
    assert {signature.verdict for signature in found.signatures} == {"present"}
    assert {c.assumption for c in found.controls} >= {"right_phase", "generic_odds", "full_memory", "order"}
    assert all(control.ok for control in found.controls)
    assert found.mutants is not None
    assert found.mutants.resolvable_score >= 0.95
    assert not any(mutant.gates for mutant in found.mutants.mutants)


@pytest.mark.slow
def test_several_keys_are_supported():
    """D4 to D8 where one W serves several last tokens, and what drawn prompts tell of the odds."""
    chosen = ("change_by_keys", "slowest_key", "steps_by_keys", "odds_by_keys", "flip")
    names = ("change by keys", "slowest key", "steps by keys", "components by keys", "second topic")
    ran = tuple(replace(BY_NAME[name], block=4) for name in names)
    found = verify("topic_inertia", experiments=ran, select=chosen, master_seed=5, record=False, mutants=False)
    assert found.verdict == "supported", (found.gates, found.remarks)


def _without(name, step):
    """The idea with one signature alone, which predicts what another step of its derivation says."""
    idea = load("topic_inertia")
    signature = idea.signatures[name]
    wrong = signature.derivation.derive(
        "wrong", "a wrong theory", lambda known: sp.Eq(sp.Symbol("wrong"), step(known[signature.step].rhs))
    )
    alone = replace(signature, derivation=wrong, step="wrong", rivals=Named())
    return replace(idea, signatures=Named(alone), assumptions=Named())


@pytest.mark.parametrize(
    ("name", "experiment", "wrong"),
    [
        ("odds_growth", "single edge", lambda formula: formula * (1 + sp.Rational(1, 1000))),
        ("edge_clock", "edges", lambda formula: formula + sp.Rational(1, 10**6)),
        ("component_odds", "component", lambda formula: formula * sp.Rational(101, 100)),
        pytest.param("change", "change", lambda formula: formula * (1 + sp.Rational(1, 10**6)), marks=pytest.mark.slow),
    ],
)
def test_a_theory_that_is_nearly_true_is_refuted(name, experiment, wrong):
    only = replace(BY_NAME[experiment], toggles={}, block=4)
    assert verify(_without(name, wrong), experiments=(only,), record=False).verdict == "refuted"
