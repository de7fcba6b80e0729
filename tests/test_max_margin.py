"""The first idea through the whole pipeline: the true theory is supported, theories that are nearly true are not."""

from dataclasses import replace

import pytest
import sympy as sp
from idealab.experiments.max_margin import descent, experiments, planted_data

from idealab import Named, load, verify

pytestmark = pytest.mark.slow


def _times(factor, signature):
    """The same signature with its prediction multiplied by a constant."""
    step = signature.step or signature.derivation.steps[-1].name
    wrong = signature.derivation.derive(
        "wrong", "a wrong constant", lambda known: sp.Eq(sp.Symbol("wrong"), factor * known[step].rhs)
    )
    return replace(signature, derivation=wrong, step="wrong", rivals=Named())


@pytest.mark.parametrize("quick", [True, False])
def test_max_margin_is_supported_with_every_control_as_it_must_be(quick):
    found = verify("max_margin", quick=quick, master_seed=3, record=False)
    assert found.verdict == "supported", (found.gates, found.remarks)
    assert {signature.verdict for signature in found.signatures} == {"present"}
    assert {control.assumption for control in found.controls} == set(load("max_margin").assumptions)
    assert all(control.ok for control in found.controls)
    assert found.mutants is not None
    assert found.mutants.resolvable_score >= 0.95
    assert not any(mutant.gates for mutant in found.mutants.mutants)
    killed, asked = found.mutants.having("killed"), {s.name for s in found.signatures if s.primary}
    assert {mutant.signature for mutant in killed} >= asked


@pytest.mark.parametrize("name", ["loss_clock", "projection", "support_shape", "support_residual", "relative_gap"])
def test_one_percent_off_is_refuted(name):
    idea = load("max_margin")
    wrong = replace(idea, signatures=Named(_times(sp.Rational(101, 100), idea.signatures[name])), assumptions=Named())
    found = verify(wrong, experiments=(replace(planted_data, toggles={}),), record=False)
    assert found.verdict == "refuted"


def test_the_flow_and_true_steps_tell_the_same_story():
    # The same planted data (streams differ by name, so both get one), at the one time that both record.
    alike = [
        replace(experiment, name="same", conditions=experiment.conditions[:1], toggles={})
        for experiment in (planted_data, descent)
    ]
    flow, steps = (
        verify("max_margin", experiments=(e,), select="projection", record=False).signatures[0].cells for e in alike
    )
    at = {cell.checkpoint: cell.measured for cell in flow}["t=1e6"]
    assert {cell.checkpoint: cell.measured for cell in steps}["t=1e6"] == pytest.approx(at, abs=1e-9)


def test_real_data_are_declared():
    names = {str(condition) for e in experiments if e.level == "real data" for condition in e.conditions}
    assert len([name for name in names if name.startswith("digits")]) >= 3
    assert "benign against malignant" in names
