"""An experiment that looks at the answer would confirm whatever it is given, and is refused."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import jax
import pytest

from idealab import registry
from idealab.cli import main
from idealab.errors import DeclarationError
from idealab.experiment import Condition, Experiment, Observation
from idealab.idea import Named
from idealab.judge.criteria import Equals
from idealab.registry import Summary
from idealab.symbolic.blind import observing, refuse_while_observing
from idealab.verify import verify

SO = "so it would confirm any theory; measure the observable in the simulation"
REFUSED = rf"experiment 'bench' reaches the theory \(observe\.height\S*: .*\), {SO}"
EVALUATED = f"the experiment evaluates a prediction while it observes, {SO}"

HIDDEN: dict[str, Any] = {}


@pytest.fixture
def theory(toy):
    """The toy with its height alone."""
    return replace(toy.idea(), signatures=Named(toy.idea().signatures["height"]), assumptions=Named())


def bench(height: Callable[..., Any], toy) -> Experiment:
    """An experiment whose observable is a function of the settings and the drawn b."""

    def observe(key: jax.Array, condition: Condition) -> Observation:
        start = 1 + jax.random.uniform(key)
        return Observation({"b": start}, {"height": height(a=condition["a"], b=start, t=condition["t"])})

    conditions = (toy.sweep.but("near", a=1.5, t=2.0), toy.sweep.but("far", a=2.5, t=3.0))
    return Experiment("bench", "looks at the answer", "idealized", observe, ("height",), conditions)


# --- Looking at the answer --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("compiled", ["inside", "before"])
def test_an_experiment_that_evaluates_the_prediction_is_refused(toy, theory, compiled):
    prediction = theory.signatures["height"].prediction
    known = prediction.to_jax()
    looks = known if compiled == "before" else lambda **values: prediction.to_jax()(**values)
    with pytest.raises(DeclarationError, match=REFUSED):
        verify(theory, experiments=(bench(looks, toy),), record=False)


@pytest.mark.parametrize("compiled", ["to_jax", "to_numpy"])
def test_so_is_one_that_finds_it_by_a_name_that_nobody_could_see(toy, theory, compiled):
    HIDDEN["prediction"] = getattr(theory.signatures["height"].prediction, compiled)()
    looks = lambda **values: globals()["HIDDEN"]["prediction"](**values)
    with pytest.raises(DeclarationError, match=EVALUATED):
        verify(theory, experiments=(bench(looks, toy),), record=False)


def test_so_is_one_whose_data_are_predictions(toy, theory):
    def load():
        return {"height": globals()["HIDDEN"]["prediction"](a=1.0, b=1.0, t=2.0)}

    HIDDEN["prediction"] = theory.signatures["height"].prediction.to_numpy()
    made = bench(lambda **values: 1.0, toy)
    made = replace(made, conditions=(replace(made.conditions[0], data=load),))
    with pytest.raises(DeclarationError, match=EVALUATED):
        verify(theory, experiments=(made,), record=False)


def test_that_nothing_was_observed_is_in_the_ledger(toy, theory):
    from idealab.ledger.records import BATCH
    from idealab.ledger.store import Ledger

    with pytest.raises(DeclarationError, match=REFUSED):
        verify(theory, experiments=(bench(theory.signatures["height"].prediction.to_jax(), toy),), ledger=toy.ledger)
    assert Ledger(toy.ledger).find(schema=BATCH) == []


def test_on_the_command_line_it_is_one_line_and_exit_code_2(toy, theory, monkeypatch, capsys):
    experiments = (bench(theory.signatures["height"].prediction.to_jax(), toy),)
    monkeypatch.setattr(registry, "ideas", lambda: {"toy": Summary("toy", "", ("idealized",))})
    monkeypatch.setattr(registry, "load", lambda name: theory)
    monkeypatch.setattr(registry, "load_experiments", lambda name: experiments)
    for command in ("verify", "plan", "mutate"):
        assert main([command, "toy", "--no-record"]) == 2
        shown = capsys.readouterr()
        assert shown.out == ""
        assert re.match(f"error: {REFUSED}", shown.err)
        assert shown.err.count("\n") == 1


def test_predictions_are_evaluated_at_any_other_time(toy, theory):
    prediction = theory.signatures["height"].prediction
    values = {"a": 1.0, "b": 1.0, "t": 2.0}
    with observing(), pytest.raises(DeclarationError, match=EVALUATED):
        prediction.to_numpy()(**values)
    assert prediction.to_numpy()(**values) == float(prediction.to_jax()(**values)) == 5
    refuse_while_observing()


def test_observing_is_a_matter_of_one_thread():
    """The judge may evaluate while another thread observes."""
    inside, judged = threading.Event(), threading.Event()

    def observe() -> None:
        with observing():
            inside.set()
            judged.wait(10)

    thread = threading.Thread(target=observe)
    thread.start()
    assert inside.wait(10)
    refuse_while_observing()
    judged.set()
    thread.join()


def test_it_ends_with_the_observation_even_if_that_fails():
    with pytest.raises(ZeroDivisionError), observing():
        raise ZeroDivisionError
    refuse_while_observing()


# --- Being the answer -------------------------------------------------------------------------------------------------


def test_an_observable_that_is_the_formula_is_held_back(toy, theory):
    typed = bench(lambda a, b, t: a * t**2 + b, toy)
    found = verify(theory, experiments=(typed,), record=False)
    assert found.signatures[0].verdict == "present"
    assert found.verdict == "inconclusive"
    assert found.gates == (
        "height in bench: measured equals predicted to the last bits in every seed, so the observable repeats the "
        "prediction; if it is an identity, declare it exact",
    )


def test_an_exact_identity_that_is_declared_so_is_not(toy, theory):
    exact = replace(theory, signatures=Named(replace(theory.signatures["height"], exact=True)))
    found = verify(exact, experiments=(bench(lambda a, b, t: a * t**2 + b, toy),), record=False)
    assert (found.verdict, found.gates) == ("supported", ())


def test_a_planted_wrong_theory_catches_what_is_declared_exact(toy, theory):
    """The observable cannot follow the theory: one that repeats the right formula refutes twice that formula."""
    wrong = replace(theory, signatures=Named(replace(toy.idea(2).signatures["height"], exact=True)))
    found = verify(wrong, experiments=(bench(lambda a, b, t: a * t**2 + b, toy),), record=False)
    assert found.verdict == "refuted"


def test_a_measurement_that_differs_by_more_than_rounding_is_none(toy, theory):
    found = verify(theory, experiments=(bench(lambda a, b, t: (a * t**2 + b) * (1 + 1e-13), toy),), record=False)
    assert (found.verdict, found.gates) == ("supported", ())


def test_a_secondary_signature_gates_nothing(toy):
    found = toy.verify(record=False)
    assert found.signatures[2].cells[0].measured == pytest.approx(found.signatures[2].cells[0].predicted, rel=1e-15)
    assert (found.verdict, found.gates) == ("supported", ())


def test_a_tolerance_does_not_hide_it(toy, theory):
    wide = replace(theory.signatures["height"], criterion=Equals(rtol=0.3, estimand="median"), must_kill=())
    found = verify(
        replace(theory, signatures=Named(wide)),
        experiments=(bench(lambda a, b, t: a * t**2 + b, toy),),
        record=False,
    )
    assert "repeats the prediction" in found.gates[0]
