"""From observations to the verdict, on seeds that are typed in: questions, controls, rivals, and what stays open."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import sympy as sp

from idealab.assess.assessment import Assessment, questions_of
from idealab.assess.outcome import outcome_of
from idealab.compute.run import Batch, Task
from idealab.idea import Named, Rival
from idealab.judge.cells import Rules
from idealab.symbolic.prediction import Prediction

WOBBLE = np.array([0.3, -0.2, 0.1, -0.4, 0.2, -0.1, 0.4, -0.3])
"""Eight unit deviations that are small and symmetric."""


@pytest.fixture
def seen(toy):
    """Builds the assessment of height alone, from the mean unit deviation of each condition and toggle.

    Predicted is 2^2 a + b with b = 1; toggled conditions are compared under the same theory.
    """

    def build(
        sweep,
        force=None,
        noise=None,
        *,
        spread=1.0,
        seeds=8,
        cap=8,
        theory=None,
        level="idealized",
        growing=False,
        rivals=False,
    ):
        idea = theory or toy.idea()
        height = idea.signatures["height"]
        signatures = (height if rivals else replace(height, rivals=Named()),)
        made = toy.experiment(knob=tuple(float(k + 1) for k in range(len(sweep))), level=level)
        tasks = [Task(made, condition) for condition in made.conditions]
        means = list(sweep)
        for name, mean in (("constant_force", force), ("peaked_noise", noise)):
            if mean is not None:
                tasks.append(Task(made, made.toggles[name], name))
                means.append(mean)
        for task, mean in zip(tasks, means, strict=True):
            power = 3 if growing and task.assumption == "constant_force" else 2
            predicted = task.condition["a"] * 2.0**power + 1
            measured = predicted * (1 + 0.1 * (mean + spread * WOBBLE[:seeds]))
            drawn = {"b": np.full(seeds, 1.0)}
            task.batches.append(Batch(0, seeds, drawn, {"height": measured}, 10.0 * seeds, "r", reused=False))
        questions = questions_of(idea, signatures, tasks)
        rules = dict.fromkeys(("bench", "controls of bench"), Rules(cap, sum(q.cells for q in questions)))
        return Assessment(idea, questions, rules), tasks

    return build


def outcome(built):
    return outcome_of(built[0], "0" * 64, {}, 1.0)


def test_the_sweep_and_each_control_are_questions(toy):
    made = toy.experiment()
    tasks = [Task(made, made.toggles[name], name) for name in made.toggles] + [Task(made, c) for c in made.conditions]
    questions = questions_of(toy.idea(), tuple(toy.idea().signatures.values()), tasks)
    asked = [(q.signature.name, q.assumption.name if q.assumption else "", q.cells) for q in questions]
    assert asked == [
        ("height", "", 2),
        ("curve", "", 6),
        ("energies", "", 2),
        ("height", "constant_force", 1),
        ("height, growing force", "constant_force", 1),
        ("height", "peaked_noise", 1),
        ("curve", "peaked_noise", 3),
    ]


def test_only_signatures_that_the_experiment_observes_are_asked(toy):
    made = toy.experiment(observables=("curve",), toggles={})
    questions = questions_of(toy.idea(), tuple(toy.idea().signatures.values()), [Task(made, made.conditions[0])])
    assert [q.signature.name for q in questions] == ["curve"]


@pytest.mark.parametrize(
    ("sweep", "verdict", "scope"),
    [
        ((0.0, 0.1, -0.1, 0.0), "supported", ""),
        ((3.0, 0.0, 0.0, 0.0), "refuted", ""),
        ((-3.0, -3.0, -3.0, -3.0), "refuted", ""),
        ((0.0, 0.0, 3.0, 3.0), "partial", "height in bench: present up to a=2, absent from a=3"),
        ((0.0, 0.0, 3.0, 0.0), "partial", "height in bench: present up to a=2, absent from a=3"),
        ((0.0, 3.0, 3.0, 3.0), "inconclusive", ""),
        ((0.0, 0.0, 1.0, 3.0), "inconclusive", ""),
        ((1.0, 0.0, 0.0, 0.0), "inconclusive", ""),
        ((math.nan, 0.0, 0.0, 0.0), "refuted", ""),
    ],
)
def test_the_verdict_follows_from_the_sweep(seen, sweep, verdict, scope):
    result = outcome(seen(sweep))
    assert (result.verdict, result.scope) == (verdict, scope)


def test_a_cell_says_how_many_seeds_were_lost(seen):
    lost, sound = outcome(seen((math.nan, 0.0))).signatures[0].cells
    assert (lost.verdict, lost.note) == ("absent", "4 of 4 seeds did not give a finite number")
    assert (sound.verdict, sound.note) == ("present", "")


def test_a_median_of_nothing_is_not_a_number(toy, seen):
    idea = toy.idea()
    height = idea.signatures["height"]
    median = replace(height, criterion=replace(height.criterion, estimand="median"))
    others = (one for one in idea.signatures.values() if one is not height)
    theory = replace(idea, signatures=Named(median, *others))
    (lost,) = outcome(seen((math.nan,), theory=theory)).signatures[0].cells
    assert (lost.verdict, math.isnan(lost.measured)) == ("absent", True)


def test_a_cell_reports_means_in_the_units_of_the_observable(seen):
    (first, _) = outcome(seen((0.5, 0.0), spread=0.1)).signatures[0].cells
    assert (first.condition, first.seeds, first.verdict) == ("a=1", 4, "present")
    # The first four seeds wobble by -0.05 on the mean, in units of a tolerance of a tenth.
    mean = 0.5 + 0.1 * WOBBLE[:4].mean()
    assert first.predicted == pytest.approx(5.0)
    assert first.tolerance == pytest.approx(0.5)
    assert first.deviation == pytest.approx(mean)
    assert first.measured == pytest.approx(5 * (1 + 0.1 * mean))
    assert first.standard_error == pytest.approx(0.05 * np.std(WOBBLE[:4], ddof=1) / 2)


@pytest.mark.parametrize(
    ("force", "noise", "gates"),
    [
        (5.0, 0.0, ()),
        (0.0, 0.0, ("control constant_force: should break, did not matter",)),
        (1.0, 0.0, ("control constant_force: should break, is undecided",)),
        (5.0, 5.0, ("control peaked_noise: should not matter, broke",)),
        (5.0, 1.0, ("control peaked_noise: should not matter, is undecided",)),
    ],
)
def test_a_control_that_does_not_do_what_it_must_lowers_the_verdict(toy, seen, force, noise, gates):
    idea = toy.idea()
    plain = Named(*(replace(assumption, rival=None) for assumption in idea.assumptions.values()))
    result = outcome(seen((0.0, 0.0), force, noise, theory=replace(idea, assumptions=plain)))
    assert result.gates == gates
    assert result.verdict == ("inconclusive" if gates else "supported")
    assert [control.ok for control in result.controls] == [not any(c in g for g in gates) for c in idea.assumptions]


def test_no_gate_rescues_what_is_refuted(seen):
    assert outcome(seen((5.0, 5.0), 0.0, 5.0)).verdict == "refuted"


def test_the_theory_of_the_broken_case_must_hold(seen):
    result = outcome(seen((0.0, 0.0), 0.0, 0.0, growing=True))
    assert (result.verdict, result.gates) == ("supported", ())
    assert result.controls[0].rival is not None
    assert result.controls[0].rival.verdict == "present"
    result = outcome(seen((0.0, 0.0), 20.0, 0.0, growing=True))
    assert result.controls[0].seen == "breaks"
    assert result.gates == ("control constant_force: it broke, but the theory of the broken case is absent",)
    assert result.verdict == "inconclusive"


def test_a_rival_that_stands_lowers_the_verdict(toy, seen):
    told_apart = outcome(seen((0.0, 0.0), rivals=True))
    assert (told_apart.verdict, told_apart.signatures[0].rivals_standing) == ("supported", ())
    twin = replace(
        toy.idea().signatures["height"].rivals["linear"], prediction=toy.idea(1.01).signatures["height"].prediction
    )
    idea = toy.idea()
    near = replace(idea.signatures["height"], rivals=Named(replace(twin, name="a hundredth more")))
    idea = replace(idea, signatures=Named(near, idea.signatures["curve"]), assumptions=idea.assumptions)
    result = outcome(seen((0.0, 0.0), rivals=True, theory=idea))
    assert result.verdict == "inconclusive"
    assert result.gates == (
        "supported, not discriminating: the data do not refute the rival 'a hundredth more' of height",
    )


def test_a_rival_stands_against_no_real_data(seen):
    assert outcome(seen((0.0, 0.0), rivals=True, level="real data", spread=0.1, seeds=4)).verdict == "supported"


def test_seeds_are_added_to_what_is_undecided_below_the_cap(seen):
    assessment, tasks = seen((0.0, 1.0), cap=64)
    assert assessment.undecided() == [tasks[1]]
    assessment, tasks = seen((0.0, 1.0), cap=8)
    assert assessment.undecided() == []


def test_seeds_are_added_until_a_rival_is_refuted(toy, seen):
    # A rival that is 11 % off at a = 1 and 22 % at a = 2, where the tolerance is 10 %.
    a, b = sp.symbols("a b", positive=True)
    rival = Rival("near", "", Prediction((4 * a + b) * (1 + 0.11 * a)))
    idea = toy.idea()
    near = replace(idea.signatures["height"], rivals=Named(rival))
    idea = replace(idea, signatures=Named(near, idea.signatures["curve"]))
    few = {"rivals": True, "theory": idea, "spread": 0.5, "cap": 64, "seeds": 4}
    assessment, tasks = built = seen((0.0, 0.0), **few)
    assert outcome(built).signatures[0].verdict == "present"
    assert outcome(built).signatures[0].rivals_standing == ("near",)
    assert assessment.undecided() == [tasks[1]], "one refuting cell is enough, and that is the nearest"
    assert seen((0.0, 0.0), **(few | {"seeds": 8}))[0].undecided() == []
    assert seen((0.0, 0.0), **few, level="real data")[0].undecided() == []


def test_seeds_that_are_all_alike_are_called_out(seen):
    assessment, _ = built = seen((0.0, 0.0), spread=0.0, cap=64)
    assert assessment.undecided() == [], "more of the same would say nothing"
    result = outcome(built)
    assert result.verdict == "inconclusive"
    assert {cell.verdict for cell in result.signatures[0].cells} == {"undecided"}
    assert "the seed does not reach the experiment" in result.signatures[0].cells[0].note


def test_without_seeds_nothing_is_concluded(seen):
    assessment, tasks = built = seen((0.0, 0.0), 5.0, 0.0)
    for task in tasks:
        task.batches.clear()
    result = outcome(built)
    assert (result.verdict, result.cost.seeds) == ("inconclusive", 0)
    assert all(math.isnan(cell.measured) and cell.seeds == 0 for cell in result.signatures[0].cells)
    assert assessment.undecided() == list(dict.fromkeys(tasks))


def test_the_cost_counts_each_task_once(seen):
    cost = outcome(seen((0.0, 0.0), 5.0, 0.0)).cost
    assert (cost.seeds, cost.gradient_evaluations, cost.reused_seeds) == (32, 320.0, 0)


def test_evidence_is_that_of_the_weakest_primary_signature(seen):
    result = outcome(seen((0.0, 0.0)))
    assert result.evidence_log10 == min(cell.evidence_log10 for cell in result.signatures[0].cells) > 1
