"""What carries the theory into an experiment is found before anything runs; what is honest passes."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from dataclasses import replace
from types import ModuleType, SimpleNamespace
from typing import Any, NamedTuple

import jax
import pytest
import sympy as sp

from idealab.compute.source import refuse_answers
from idealab.errors import DeclarationError
from idealab.ledger.store import Ledger
from idealab.symbolic.prediction import Prediction

a, t = sp.symbols("a t", positive=True)
FORMULA = a * t**2


class Doubled(Prediction):
    """A prediction under another name."""


ANSWERS: dict[str, Callable[[Any], Any]] = {
    "idea": lambda theory: theory,
    "signatures": lambda theory: theory.signatures,
    "signature": lambda theory: theory.signatures["height"],
    "assumption": lambda theory: theory.assumptions["constant_force"],
    "rival": lambda theory: theory.signatures["height"].rivals["linear"],
    "derivation": lambda theory: theory.signatures["height"].derivation,
    "step": lambda theory: theory.signatures["height"].derivation["orbit"],
    "prediction": lambda theory: theory.signatures["height"].prediction,
    "kind of prediction": lambda theory: Doubled(FORMULA),
    "class of predictions": lambda theory: Doubled,
    "code": lambda theory: theory.signatures["height"].prediction.code,
    "by JAX": lambda theory: theory.signatures["height"].prediction.to_jax(),
    "by NumPy": lambda theory: theory.signatures["height"].prediction.to_numpy(),
    "compiled": lambda theory: jax.jit(theory.signatures["height"].prediction.to_jax()),
    "mapped": lambda theory: jax.vmap(theory.signatures["height"].prediction.to_jax()),
    "equation": lambda theory: theory.signatures["height"].equation,
    "expression": lambda theory: theory.signatures["height"].prediction.expression,
    "symbol": lambda theory: a,
    "matrix": lambda theory: sp.Matrix([a, t]),
    "lambdified": lambda theory: sp.lambdify((a, t), FORMULA, "jax"),
    "lambdified and compiled": lambda theory: jax.jit(sp.lambdify((a, t), FORMULA, "jax")),
    "lambdified and differentiated": lambda theory: jax.grad(sp.lambdify((a, t), FORMULA, "jax")),
}


def observing(known: Any) -> Callable[..., Any]:
    def observe(key, condition):
        return known

    return observe


@pytest.fixture
def refused(toy):
    """The words with which an observe, or the data of a condition, is refused."""

    def check(observe: Any = plain, **changes: Any) -> str:
        with pytest.raises(DeclarationError, match=r"^experiment 'bench' reaches the theory \(") as caught:
            refuse_answers(toy.experiment(observe=observe, **changes))
        return str(caught.value).partition(" reaches the theory (")[2].partition("), so it would confirm any theory")[0]

    return check


@pytest.mark.parametrize("answer", ANSWERS)
def test_no_part_of_a_theory_is_carried(toy, refused, answer):
    assert refused(observing(ANSWERS[answer](toy.idea()))).startswith("observe.known")


def test_the_line_names_the_way_and_what_is_there_and_says_what_to_do(toy):
    known = toy.idea().signatures["height"]
    with pytest.raises(DeclarationError) as caught:
        refuse_answers(toy.experiment(observe=observing({"height": known})))
    assert str(caught.value) == (
        "experiment 'bench' reaches the theory (observe.known.height: of type Signature), so it would confirm any "
        "theory; measure the observable in the simulation, and report as parameters what the prediction needs"
    )


# --- Ways in ----------------------------------------------------------------------------------------------------------


class Slotted:
    __slots__ = ("known",)

    def __init__(self, known: Any) -> None:
        self.known = known


class Pair(NamedTuple):
    first: Any
    second: Any


class Observer:
    def __init__(self, known: Any) -> None:
        self.known = known

    def __call__(self, key, condition):
        return self.known

    def method(self, key, condition):
        return self.known


def plain(key, condition, *more, **rest):
    return more, rest


def by_default(known):
    def observe(key, condition, known=known):
        return known

    return observe


def by_keyword(known):
    def observe(key, condition, *, known=known):
        return known

    return observe


def decorated(known):
    @functools.wraps(plain)
    def observe(key, condition):
        return known, plain(key, condition)

    return observe


def attached(known):
    observe = observing(0)
    observe.known = known  # pyright: ignore[reportFunctionMemberAccess]
    return observe


def elsewhere(known):
    module = ModuleType("elsewhere")
    vars(module)["known"] = known
    return module


def through_module(known):
    module: Any = elsewhere(known)

    def observe(key, condition):
        return module.known

    return observe


class Through:
    def __init__(self, known: Any) -> None:
        self.module: Any = elsewhere(known)

    def __call__(self, key, condition):
        return self.module.known


CARRIERS: dict[str, Callable[[Any], Any]] = {
    "closure": observing,
    "closure of a helper": lambda known: observing(observing(known)),
    "default": by_default,
    "keyword default": by_keyword,
    "partial": lambda known: functools.partial(plain, more=known),
    "positional partial": lambda known: functools.partial(lambda known, key, condition: known, known),
    "partial within": lambda known: observing(functools.partial(plain, known)),
    "bound self": lambda known: Observer(known).method,
    "callable instance": Observer,
    "instance within": lambda known: observing(Observer(known)),
    "namespace": lambda known: observing(SimpleNamespace(known=known)),
    "slots": lambda known: observing(Slotted(known)),
    "tuple": lambda known: observing(Pair(1, (2, [known]))),
    "mapping": lambda known: observing({"known": {"it": known}}),
    "key of a mapping": lambda known: observing({known: 1}),
    "set": lambda known: observing({known}),
    "iterator": lambda known: observing(iter([known])),
    "bound builtin": lambda known: observing([known].__getitem__),
    "jit": lambda known: jax.jit(observing(known)),
    "jit of a partial": lambda known: jax.jit(functools.partial(plain, more=known)),
    "checkpoint": lambda known: jax.checkpoint(observing(known)),
    "custom derivative": lambda known: observing(jax.custom_jvp(observing(known))),
    "cache": lambda known: observing(functools.cache(observing(known))),
    "decorator": decorated,
    "attribute of the function": attached,
    "module in a closure": through_module,
    "module in an instance": Through,
}


@pytest.mark.parametrize("carrier", CARRIERS)
def test_no_carrier_hides_it(refused, carrier):
    assert "a Sympy expression" in refused(CARRIERS[carrier](FORMULA))


def test_every_carrier_may_carry_numbers(toy):
    for carrier in CARRIERS.values():
        refuse_answers(toy.experiment(observe=carrier(1.5)))


def test_the_function_itself_may_be_the_answer(toy, refused):
    prediction = toy.idea().signatures["height"].prediction
    assert refused(prediction.to_jax()) == "observe: a function made from a formula"
    (body,) = (
        cell.cell_contents for cell in prediction.to_numpy().__closure__ if inspect.isfunction(cell.cell_contents)
    )
    assert refused(body) == "observe: a function made from a formula"
    assert refused(sp.lambdify((a, t), FORMULA)) == "observe: a function made from a formula"


def test_the_data_of_conditions_and_controls_are_looked_at(toy, refused):
    known = toy.idea().signatures["height"].prediction.to_numpy()
    load = lambda: {"height": known(a=1.0, b=1.0, t=2.0)}
    where = "data of planted.known: a function made from a formula"
    assert refused(conditions=(toy.sweep, replace(toy.sweep, label="planted", data=load))) == where
    assert refused(toggles={"constant_force": replace(toy.sweep, label="planted", data=load)}) == where


def test_the_pipeline_refuses_before_anything_is_declared(toy):
    made = toy.experiment(observe=observing(FORMULA))
    with pytest.raises(DeclarationError, match=r"reaches the theory \(observe\.known: a Sympy expression\)"):
        toy.verify(experiments=(toy.experiment(name="clean"), made))
    assert not toy.ledger.exists() or Ledger(toy.ledger).find() == []
