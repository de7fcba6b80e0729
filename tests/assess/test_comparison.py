"""Measured against predicted, seed by seed: scalars, curves and vectors, and what an experiment forgets to report."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import sympy as sp

from idealab.assess.comparison import Comparator
from idealab.compute.run import Batch, Task
from idealab.errors import DeclarationError
from idealab.idea import Signature
from idealab.judge.cells import OFF_SCALE
from idealab.judge.criteria import Equals
from idealab.symbolic.derivation import Derivation
from idealab.symbolic.prediction import Prediction


def compare(signature, task, shown=None):
    return [place.cell for place in Comparator(2.0**-52).places(signature, [task], shown)]


@pytest.fixture
def task(toy):
    """Builds a task from what the seeds reported, in one batch or several."""

    def build(observables, parameters=None, batches=1, condition=toy.sweep, **changes):
        columns = {**observables, **(parameters or {})}
        seeds = len(next(iter(columns.values()))) if columns else 4
        parts = []
        for rows in np.array_split(np.arange(seeds), batches):
            of = [{k: np.asarray(v, float)[rows] for k, v in part.items()} for part in (parameters or {}, observables)]
            parts.append(Batch(int(rows[0]), len(rows), of[0], of[1], 0.0, None, False))
        return Task(toy.experiment(**changes), condition, batches=parts)

    return build


def test_a_scalar_is_compared_in_units_of_its_tolerance(toy, task):
    # a = 1 and t = 2 are settings, b is what each seed drew: predicted 4 + b, tolerance a tenth of it.
    (cell,) = compare(toy.idea().signatures["height"], task({"height": [5.0, 6.6, 6.3]}, {"b": [1.0, 2.0, 3.0]}))
    np.testing.assert_allclose(cell.predicted, [5, 6, 7])
    np.testing.assert_allclose(cell.tolerances, [0.5, 0.6, 0.7])
    np.testing.assert_allclose(cell.deviations, [0, 1, -1], atol=1e-12)


def test_batches_are_put_together_in_order(toy, task):
    reported = {"height": np.arange(8.0)}, {"b": np.arange(8.0)}
    (whole,), (parts,) = (compare(toy.idea().signatures["height"], task(*reported, batches=n)) for n in (1, 3))
    np.testing.assert_array_equal(whole.deviations, parts.deviations)


def test_without_batches_there_are_empty_cells(toy, task):
    empty = replace(task({"height": [1.0]}), batches=[])
    assert [len(cell.deviations) for cell in compare(toy.idea().signatures["curve"], empty)] == [0, 0, 0]
    assert not any(cell.held for cell in compare(toy.idea().signatures["curve"], empty))


def test_a_curve_has_a_cell_for_each_checkpoint(toy, task):
    times = np.exp(toy.log_times)
    cells = compare(toy.idea().signatures["curve"], task({"curve": [times**2 + 1, times**2 + 2]}, {"b": [1.0, 2.0]}))
    assert len(cells) == 3
    for cell, t in zip(cells, times, strict=True):
        np.testing.assert_allclose(cell.predicted, [t**2 + 1, t**2 + 2])
        np.testing.assert_allclose(cell.deviations, 0, atol=1e-12)


def test_a_vector_holds_when_its_worst_component_does(toy, task):
    measured = np.array([[0.1, 0.2, 0.0], [0.5, 0.3, 0.05]])
    p = np.exp(-np.array([[0.1, 0.25, 0.0], [0.2, 0.3, 0.0]]))
    (cell,) = compare(toy.idea().signatures["energies"], task({"energies": measured}, {"p": p}))
    np.testing.assert_allclose(cell.deviations, [0.5, 3.0])
    np.testing.assert_allclose(cell.measured, [0.2, 0.5])
    np.testing.assert_allclose(cell.predicted, [0.25, 0.2])


def test_an_undefined_component_is_never_hidden_by_another(toy, task):
    p = np.array([[0.5, -1.0, 1.0]])
    (cell,) = compare(toy.idea().signatures["energies"], task({"energies": [[9.0, 0.0, 0.0]]}, {"p": p}))
    assert np.isnan(cell.deviations).all()


@pytest.mark.parametrize("lost", [np.nan, np.inf, -np.inf])
def test_what_was_not_measured_is_off_the_scale(toy, task, lost):
    (cell,) = compare(toy.idea().signatures["height"], task({"height": [lost, 5.0]}, {"b": [1.0, 1.0]}))
    np.testing.assert_array_equal(cell.deviations, [OFF_SCALE, 0.0])


@pytest.mark.parametrize("unknown", [np.nan, np.inf])
def test_a_parameter_that_was_not_reported_loses_the_seed(toy, task, unknown):
    (cell,) = compare(toy.idea().signatures["height"], task({"height": [5.0, 5.0]}, {"b": [unknown, 1.0]}))
    np.testing.assert_array_equal(cell.deviations, [OFF_SCALE, 0.0])


def test_what_the_theory_does_not_predict_is_nan(task):
    b = sp.Symbol("b", real=True)
    logarithm = Derivation("logarithm", "").cite("log", "", sp.Eq(sp.Symbol("y"), sp.log(b)), reference=None)
    signature = Signature("log", "", "height", logarithm, Equals(atol=0.25), "none", primary=False)
    (cell,) = compare(signature, task({"height": [0.0, 0.0]}, {"b": [1.0, -1.0]}))
    np.testing.assert_array_equal(cell.deviations, [0.0, np.nan])


def test_a_finite_measurement_never_counts_as_lost(toy, task):
    (cell,) = compare(toy.idea().signatures["height"], task({"height": [1e12, -1e12]}, {"b": [1.0, 1.0]}))
    assert -cell.deviations[1] == cell.deviations[0] < OFF_SCALE


def test_seeds_that_are_alike_are_told_from_seeds_that_agree(toy, task):
    height = toy.idea().signatures["height"]

    def frozen(measured, b):
        return compare(height, task({"height": measured}, {"b": b}))[0].held

    assert frozen([5.0] * 4, [1.0] * 4)
    assert not frozen([5.0] * 3, [1.0] * 3), "too few to tell"
    assert not frozen([5.0] * 4, [1.0, 1.1, 1.2, 1.3]), "the instances differ"
    assert not frozen([5.0, 5.0, 5.0, 5.1], [1.0] * 4)
    assert not frozen([5.0] * 4, [np.nan] * 4), "no prediction is a refutation"
    assert not frozen([np.nan] * 4, [1.0] * 4), "no measurement counts against the cell"


def test_a_rival_is_compared_under_the_same_tolerance(toy, task):
    observed = task({"height": [5.0]}, {"b": [1.0]})
    rival = Prediction(sp.Symbol("a", positive=True) * 10)
    (cell,) = compare(toy.idea().signatures["height"], observed, rival)
    np.testing.assert_allclose([cell.predicted, cell.tolerances, cell.deviations], [[10.0], [0.5], [-10.0]])


def test_a_constant_needs_no_argument(task):
    unit = Derivation("unit", "").cite("one", "", sp.Eq(sp.Symbol("y"), sp.Rational(1, 2)), reference=None)
    signature = Signature("half", "", "height", unit, Equals(atol=0.25), "none", primary=False)
    (cell,) = compare(signature, task({"height": [0.5, 1.0]}))
    np.testing.assert_allclose(cell.deviations, [0, 2])
    (worst,) = compare(signature, task({"height": [[0.5, 0.75], [1.0, 0.5]]}))
    np.testing.assert_allclose(worst.deviations, [1, 2])


@pytest.mark.parametrize(
    ("signature", "observables", "parameters", "words"),
    [
        (
            "height",
            {"height": [1.0]},
            {},
            "a prediction needs 'b', but 'bench' under .* reports only a, .*report it as",
        ),
        ("height", {"hight": [1.0]}, {"b": [1.0]}, "does not report 'height', only hight; report it, or do not ask"),
        ("height", {}, {"b": [1.0]}, "does not report 'height', only nothing"),
        ("curve", {"curve": [[1.0, 2.0]]}, {"b": [1.0]}, r"with shape \(2,\) a seed, but declares 3 checkpoints; make"),
        ("curve", {"curve": [[1.0, 2.0, 3.0, 4.0]]}, {"b": [1.0]}, r"with shape \(4,\) a seed, but declares 3 check"),
        ("curve", {"curve": [1.0]}, {"b": [1.0]}, r"with shape \(\) a seed, but declares 3 checkpoints"),
        ("energies", {"energies": [[1.0, 2.0]]}, {"p": [[1.0, 1.0, 1.0]]}, r"shape \(2,\).* predicts shape \(3,\)"),
        ("energies", {"energies": [1.0]}, {"p": [[1.0, 1.0, 1.0]]}, r"shape \(\) a seed, but 'energies' predicts"),
    ],
)
def test_what_an_experiment_forgets_is_said(toy, task, signature, observables, parameters, words):
    with pytest.raises(DeclarationError, match=words):
        compare(toy.idea().signatures[signature], task(observables, parameters))


def test_a_text_is_no_argument(toy, task):
    named = task({"height": [1.0]}, condition=toy.sweep.but(b="large"))
    with pytest.raises(DeclarationError, match="a prediction needs 'b'"):
        compare(toy.idea().signatures["height"], named)


@pytest.mark.parametrize(
    ("argument", "value", "label"),
    [
        ("log_t", np.log(1e7), "t=1e7"),
        ("log_t", np.log(1e300), "t=1e300"),
        ("log_t", 2.0, "t=7.39"),
        ("log_t", 1e6, "t=e^(10^6)"),
        ("width", 64.0, "width=64"),
    ],
)
def test_checkpoints_are_called_by_their_time(toy, argument, value, label):
    made = toy.experiment(checkpoints={"curve": (argument, (float(value),))})
    curve, height = (toy.idea().signatures[name] for name in ("curve", "height"))
    empty = Task(made, toy.sweep)
    assert [cell.label for cell in compare(curve, empty)] == [label]
    assert [cell.label for cell in compare(height, empty)] == [""]


def test_the_rounding_of_the_run_is_an_argument(toy, task):
    epsilon = sp.Symbol("machine_epsilon", positive=True)
    signature = replace(toy.idea().signatures["height"], criterion=Equals(atol=sp.S(8) * epsilon))
    observed = task({"height": [5.0]}, {"b": [1.0]})
    (place,) = Comparator(2.0**-23).places(signature, [observed])
    np.testing.assert_array_equal(place.cell.tolerances, [2.0**-20])
