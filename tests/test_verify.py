"""The whole pipeline on the toy, whose truth is known; and a run that is cut short anywhere ends as if it were not."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import replace
from pathlib import Path

import jax
import pytest
import sympy as sp

from idealab import registry
from idealab.compute.run import Silence
from idealab.errors import DeclarationError, NothingMatchedError, UnknownNameError, UsageError
from idealab.idea import Assumption, Named, Rival
from idealab.judge.shapes import Slope
from idealab.ledger.records import BATCH, DECLARATION
from idealab.ledger.store import Ledger
from idealab.prepare.request import Request, inquire

ROOT = Path(__file__).parents[1]
KNOB = (1.0, 2.0, 3.0, 4.0, 5.0)


# --- Verdicts ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("master_seed", [0, 1, 2, 3, 2**32 - 1])
@pytest.mark.parametrize(
    ("defect", "verdict"), [("", "supported"), ("off", "refuted"), ("breaks", "partial"), ("undefined", "refuted")]
)
def test_the_verdict_is_the_truth_whatever_the_master_seed(toy, defect, verdict, master_seed):
    found = toy.verify(experiments=(toy.experiment(defect, knob=KNOB),), master_seed=master_seed, record=False)
    assert (found.verdict, found.gates) == (verdict, ())
    if defect == "off":
        assert found.remarks == ("absent: height; still standing: curve",)
    if defect == "breaks":
        assert found.scope == "height in bench: present up to a=3, absent from a=4"
    if defect == "":
        assert [control.seen for control in found.controls] == ["breaks", "does_not_matter"]
        assert found.controls[0].rival.verdict == "present"
        assert found.evidence_log10 > math.log10(5)


def test_a_prediction_that_is_no_number_refutes(toy):
    found = toy.verify("undefined", record=False)
    assert {cell.note for cell in found.signatures[0].cells} == {"4 of 4 seeds did not give a finite number"}
    assert found.signatures[0].verdict == "absent"


def test_seeds_that_diverge_now_and_then_are_never_overlooked(toy):
    found = [toy.verify("diverges", master_seed=seed, record=False, seeds=24) for seed in range(4)]
    lost_in = [
        [cell for signature in one.signatures for cell in signature.cells if "did not give a finite" in cell.note]
        for one in found
    ]
    lost = [cell for cells in lost_in for cell in cells]
    assert len(lost) >= 8, "one seed in twenty diverges, and ten to twenty seeds are needed here"
    assert {cell.verdict for cell in lost} == {"undecided"}
    assert all(math.isnan(cell.measured) for cell in lost), "a mean over lost seeds is none"
    assert {one.verdict for one, cells in zip(found, lost_in, strict=True) if cells} == {"inconclusive"}


def test_seeds_that_are_all_alike_are_called_out(toy):
    found = toy.verify("frozen", record=False)
    assert found.verdict == "inconclusive"
    for signature in found.signatures:
        assert signature.verdict == "inconclusive"
        assert all("the seed does not reach the experiment" in cell.note for cell in signature.cells)
    assert found.cost.seeds == 4 * 4, "more seeds would say nothing"


def test_a_control_that_changes_nothing_is_a_gate(toy):
    dull = toy.experiment(toggles={"constant_force": toy.sweep})
    found = toy.verify(experiments=(dull,), record=False)
    assert found.gates == ("control constant_force: should break, did not matter",)
    assert found.verdict == "inconclusive"


def test_a_rival_that_cannot_be_told_apart_is_a_gate(toy):
    # At t = 1 the parabola and the line are one.
    made = toy.experiment(conditions=(toy.sweep.but(t=1.0, noise=0.01),), toggles={}, max_seeds=16)
    found = toy.verify(experiments=(made,), select=("height",), record=False)
    assert found.gates == ("supported, not discriminating: the data do not refute the rival 'linear' of height",)
    assert (found.verdict, found.cost.seeds) == ("inconclusive", 4), "all is decided, and no seed could change it"


def test_a_rival_that_is_near_gets_the_seeds_it_needs(toy):
    height = toy.idea().signatures["height"]
    near = Rival("a seventh more", "", toy.idea(1.13).signatures["height"].prediction)
    signatures = Named(replace(height, rivals=Named(near)))
    idea = replace(toy.idea(), signatures=signatures, assumptions=Named())
    made = toy.experiment("", toggles={}, conditions=(toy.sweep.but(noise=0.015),))
    found = toy.verify(theory=idea, experiments=(made,), record=False)
    assert (found.verdict, found.gates) == ("supported", ())
    assert found.cost.seeds > found.signatures[0].seeds == 4


def test_a_constant_that_is_wrong_refutes(toy):
    assert toy.verify(theory=toy.idea(1.2), record=False).verdict == "refuted"


# --- What is declared and recorded ------------------------------------------------------------------------------------


def test_the_declaration_is_in_the_ledger_before_anything_is_observed(toy):
    seen, path = [], toy.ledger  # toy itself, in what observe calls, would be refused: it holds the theory

    def spy(condition):
        ledger = Ledger(path)
        seen.append((ledger.find(schema=DECLARATION), ledger.find(schema=BATCH)))

    toy.traced.append(spy)
    watcher = toy.watcher()
    found = toy.verify(experiments=(toy.experiment(observe=toy.observer()),), progress=watcher)
    assert seen == [([found.declaration], [])]
    assert [said[0] for said in watcher.said][:3] == ["stage", "declared", "stage"]
    assert watcher.all("declared") == [found.declaration]
    assert watcher.all("stage") == ["deriving", "looking for wrong theories", "simulating", "judging"]
    assert watcher.all("planned")[-1] == len(watcher.all("step"))


def test_the_record_holds_the_verdict_and_names_what_it_rests_on(toy):
    found = toy.verify("breaks", experiments=(toy.experiment("breaks", knob=KNOB),))
    ledger = Ledger(toy.ledger)
    record = ledger.get(found.record)
    assert record["result"] == _as_json(found.to_dict() | {"record": None}), "no NaN among it"
    declaration, *batches = record["parents"]
    assert (declaration, ledger.get(declaration)["schema"]) == (found.declaration, DECLARATION)
    assert sum(ledger.get(batch)["seeds"] for batch in batches) == found.cost.seeds
    assert sorted(batches) == sorted(ledger.find(schema=BATCH))
    assert record["result"]["signatures"][0]["cells"][3]["verdict"] == "absent"
    assert not ledger.health().damaged


def _as_json(value):
    """As the ledger gives it back: lists for tuples, keys in order, whole numbers as integers."""
    if isinstance(value, dict):
        return {key: _as_json(value[key]) for key in sorted(value)}
    if isinstance(value, (list, tuple)):
        return [_as_json(item) for item in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def test_numbers_that_are_not_finite_go_through_the_ledger(toy):
    found = toy.verify("undefined")
    result = Ledger(toy.ledger).get(found.record)["result"]
    assert math.isnan(result["signatures"][0]["cells"][0]["predicted"])
    assert math.isnan(result["signatures"][0]["cells"][0]["predicted"])


def test_without_a_record_there_is_no_trace(toy, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    found = toy.verify(record=False)
    assert found.record is None
    assert len(found.declaration) == 64
    assert list(tmp_path.iterdir()) == []
    assert found.declaration == toy.verify().declaration, "what is declared does not depend on it"


@pytest.mark.parametrize("wide", [True, False])
def test_the_users_configuration_of_jax_is_left_alone(toy, wide):
    jax.config.update("jax_enable_x64", wide)
    try:
        before = {name: value for name, value in jax.config.values.items()}
        found = toy.verify(record=False)
        assert dict(jax.config.values) == before
    finally:
        jax.config.update("jax_enable_x64", True)
    assert found.environment["precision"] == "float64"
    assert toy.told(found) == toy.told(toy.verify(record=False))


# --- What is asked for ------------------------------------------------------------------------------------------------


def test_a_budget_ends_a_run_and_leaves_it_to_be_gone_on_with(toy):
    watcher = toy.watcher()
    found = toy.verify(budget=1e-9, progress=watcher)
    assert (found.verdict, found.cost.seeds) == ("inconclusive", 0)
    assert watcher.all("warn") == ["the budget is spent; what is undecided stays so"]
    assert toy.verify(budget=3600.0).verdict == "supported"
    again = toy.verify(budget=1e-9)
    assert (again.verdict, again.cost.reused_seeds) == ("supported", again.cost.seeds), "what is stored is free"


@pytest.mark.parametrize("seeds", [4, 6, 9])
def test_no_cell_is_judged_on_more_seeds_than_the_cap(toy, seeds):
    found = toy.verify("diverges", seeds=seeds, record=False)
    used = {cell.seeds for signature in found.signatures for cell in signature.cells}
    assert max(used) <= seeds
    assert found.cost.seeds <= 4 * (seeds + 3)


def test_quick_caps_the_seeds_and_leaves_real_data_out(toy):
    real = toy.experiment(name="measured", level="real data")
    found = toy.verify(experiments=(toy.experiment(), real), quick=True, record=False)
    assert {signature.experiment for signature in found.signatures} == {"bench", "measured"}  # own experiments all run
    assert max(cell.seeds for signature in found.signatures for cell in signature.cells) <= 32


def test_selected_signatures_alone_are_judged(toy):
    found = toy.verify(select=("curve",), record=False)
    assert [signature.name for signature in found.signatures] == ["curve"]
    assert [control.assumption for control in found.controls] == ["peaked_noise"]
    assert [signature.name for signature in found.controls[0].signatures] == ["curve"]


def test_levels_choose_experiments_and_network_is_asked_for(toy):
    levels = ("idealized", "real data", "network")
    made = tuple(toy.experiment(name=level, level=level, toggles={}) for level in levels)
    found = toy.verify(experiments=made, levels=("real data",), record=False)
    assert {signature.level for signature in found.signatures} == {"real data"}
    every = toy.verify(experiments=made, record=False)
    assert {signature.level for signature in every.signatures} == set(levels)
    with pytest.raises(UnknownNameError, match="no level named 'ideal'; did you mean 'idealized'"):
        toy.verify(experiments=made, levels=("ideal",))
    with pytest.raises(
        NothingMatchedError, match="no experiment at level network; there are experiments at: idealized"
    ):
        toy.verify(experiments=made[:1], levels=("network",))


def test_settings_hold_in_every_condition(toy):
    found = toy.verify(settings={"noise": 0.001, "t": 3}, record=False)
    assert all("noise=0.001" in cell.condition and "t=3" in cell.condition for cell in found.signatures[0].cells)
    assert found.signatures[0].cells[0].predicted == pytest.approx(9 + 1.5, abs=0.5)
    assert len(toy.verify(settings={"a": 2.5}, record=False).signatures[0].cells) == 1


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"select": ("hight",)}, UnknownNameError, "no signature named 'hight'; did you mean 'height'"),
        ({"settings": {"nose": 1.0}}, UnknownNameError, "no setting named 'nose'; did you mean 'noise'"),
        ({"settings": {"t": 12.0}}, UsageError, r"t=12\.0 is outside 0 < t < 10: there is a wall at t = 10"),
        ({"settings": {"t": float("nan")}}, UsageError, "t=nan is outside 0 < t < 10"),
        ({"settings": {"t": "late"}}, UsageError, r"t='late' must be a float, like 2\.0"),
        ({"settings": {"t": True}}, UsageError, "t=True must be a float"),
        ({"seeds": 3}, UsageError, "seeds=3 is too few: .* give 4 or more"),
        ({"seeds": 0}, UsageError, "seeds=0 is too few"),
        ({"seeds": -4}, UsageError, "seeds=-4 is too few"),
        ({"seeds": 8.0}, UsageError, r"seeds=8\.0 must be a whole number"),
        ({"seeds": True}, UsageError, "seeds=True must be a whole number"),
        ({"budget": 0}, UsageError, "budget=0 must be a positive number of seconds"),
        ({"budget": -1.0}, UsageError, r"budget=-1\.0 must be a positive"),
        ({"budget": float("nan")}, UsageError, "budget=nan must be a positive"),
        ({"master_seed": -1}, UsageError, "master_seed=-1 must be a whole number from 0"),
        ({"master_seed": 2**32}, UsageError, "master_seed=4294967296 must be a whole number from 0"),
        ({"master_seed": 0.5}, UsageError, r"master_seed=0\.5 must be a whole number"),
        ({"experiments": ()}, NothingMatchedError, "no experiment"),
    ],
)
def test_a_request_that_cannot_be_carried_out_is_refused_before_it_leaves_a_trace(toy, options, error, words):
    with pytest.raises(error, match=words) as caught:
        toy.verify(**options)
    assert "\n" not in str(caught.value)
    assert not toy.ledger.exists()


def test_a_request_that_leaves_nothing_to_judge_is_refused(toy):
    blind = toy.experiment(observables=("energies",), toggles={})
    with pytest.raises(
        NothingMatchedError, match="no experiment that was asked for measures a signature that was asked"
    ):
        toy.verify(experiments=(blind,), select=("height",))


def test_an_unknown_idea_suggests_the_nearest():
    from idealab.verify import verify

    with pytest.raises(UnknownNameError, match="no idea named 'max_margn'; did you mean 'max_margin'"):
        verify("max_margn", record=False)


@pytest.mark.parametrize(
    ("observer", "words"),
    [
        ({"lost": "b"}, "a prediction needs 'b', but 'bench' under 'a=1' reports only .*; report it as a parameter"),
        ({"lost": "height"}, "'bench' under 'a=1' does not report 'height', only curve, energies"),
        ({"points": 2}, r"reports 'curve' with shape \(2,\) a seed, but declares 3 checkpoints"),
    ],
)
def test_an_experiment_that_forgets_something_is_told(toy, observer, words):
    forgetful = toy.experiment(observe=toy.observer(**observer), toggles={})
    with pytest.raises(DeclarationError, match=words):
        toy.verify(experiments=(forgetful,), record=False)


def test_a_toggle_that_is_no_assumption_is_refused(toy):
    with pytest.raises(DeclarationError, match="takes away 'constant_force', which 'toy' does not assume"):
        toy.verify(theory=replace(toy.idea(), assumptions=Named()))


def test_an_assumption_without_an_experiment_is_no_control(toy):
    more = Assumption("level_ground", "", "breaks", ("height",))
    idea = replace(toy.idea(), assumptions=Named(*toy.idea().assumptions.values(), more))
    found = toy.verify(theory=idea, record=False)
    assert "level_ground" not in [control.assumption for control in found.controls]


def test_a_verification_says_itself(toy):
    found = toy.verify(experiments=(toy.experiment("breaks", knob=KNOB),), record=False)
    assert str(found).startswith("toy: partial, height in bench: present up to a=3, absent from a=4, evidence 10^")
    assert set(found.to_dict()) == {field.name for field in dataclasses.fields(found)} | {"mutants"}


def test_the_record_keeps_what_each_seed_and_each_point_of_a_curve_showed(toy):
    theory = toy.idea()
    fall = replace(
        theory.signatures["height"], derivation=_rises(toy), step=None, criterion=Slope("a", atol=0.2), rivals=Named()
    )
    theory = replace(theory, signatures=Named(fall, theory.signatures["curve"]), assumptions=Named())
    bench = toy.experiment(knob=(10.0, 20.0, 40.0, 80.0), toggles={})
    bench = replace(bench, conditions=tuple(c.but(str(c), t=9.0) for c in bench.conditions))
    slope, curve = toy.verify(theory=theory, experiments=(bench,)).signatures
    for cell in (*slope.cells, *curve.cells):
        assert len(cell.seed_deviations) == cell.seeds
        assert math.fsum(cell.seed_deviations) / cell.seeds == pytest.approx(cell.deviation)
    assert curve.curves == ()
    (drawn,) = slope.curves
    assert (drawn.condition, drawn.along) == ("", "a")
    assert [place for place, _, _ in drawn.points] == [10.0, 20.0, 40.0, 80.0]
    for place, height, error in drawn.points:
        assert height == pytest.approx(81 * place, rel=0.1)
        assert 0 < error < 0.1 * height


def _rises(toy):
    """The height grows in proportion to the force."""
    height, force = sp.Function("h"), sp.Symbol("a", positive=True)
    law = sp.Eq(sp.log(height(force)), sp.log(force))
    return (
        type(toy.fall(2))("growth", "with the force")
        .given("law", "where the start is forgotten", law)
        .derive(
            "slope", "on logarithmic axes", lambda known: sp.Eq(height(force), known["law"].rhs.diff(force) * force)
        )
    )


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({}, ()),
        ({"seeds": 8}, ("at most 8 seeds",)),
        ({"seeds": 999, "levels": ["idealized", "network"]}, ()),
        ({"select": ["height"], "levels": ["idealized"]}, ("only height", "only idealized")),
        ({"quick": True}, ("only idealized", "at most 32 seeds")),
        ({"seeds": 4, "quick": True}, ("only idealized", "at most 4 seeds")),
        ({"settings": {"t": 3.0}, "master_seed": 1}, ("t=3.0",)),
    ],
)
def test_what_a_request_leaves_out_is_said(toy, monkeypatch, options, words):
    real = replace(toy.experiment(), name="field", level="real data")
    experiments = (toy.experiment(),) if "network" in options.get("levels", ()) else (toy.experiment(), real)
    monkeypatch.setattr(registry, "load_experiments", lambda name: experiments)
    assert inquire(Request(toy.idea(), record=False, **options), Silence()).narrowed == words


def test_what_was_left_out_is_kept(toy):
    found = toy.verify(select=["curve"], seeds=8, mutants=False)
    assert found.narrowed == ("only curve", "at most 8 seeds", "experiments that were handed in", "no wrong formulas")
    assert Ledger(toy.ledger).get(found.record)["result"]["narrowed"] == list(found.narrowed)
    assert found.notes[-1].startswith("of less than all: only curve; ")
