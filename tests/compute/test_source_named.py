"""What an experiment names in its own files is looked through for the theory; what is honest passes."""

from __future__ import annotations

import functools
import importlib
import math
import operator
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import sympy as sp

import idealab
from idealab import registry
from idealab.compute.source import refuse_answers
from idealab.errors import DeclarationError
from idealab.experiment import Condition, Observation
from idealab.simulate import LOGISTIC
from idealab.symbolic.prediction import Prediction

a, t = sp.symbols("a t", positive=True)
FORMULA = a * t**2
CONSTANTS = {"rate": 0.5, "table": np.arange(3.0), "names": ("one", "other")}


def carrying(known: Any) -> Callable[..., Any]:
    return lambda key, condition: known


@pytest.fixture
def refused(toy):
    """The words with which an observe is refused."""

    def check(observe: Any) -> str:
        with pytest.raises(DeclarationError, match=r"^experiment 'bench' reaches the theory \(") as caught:
            refuse_answers(toy.experiment(observe=observe))
        return str(caught.value).partition(" reaches the theory (")[2].partition("), so it would confirm any theory")[0]

    return check


# --- What is named ----------------------------------------------------------------------------------------------------


class Asking:
    """Carries nothing; its method knows where to ask."""

    @property
    def known(self) -> Any:
        return FORMULA


def by_global(key, condition):
    return FORMULA


def by_helper(key, condition):
    return by_global(key, condition)


def by_nested(key, condition):
    def inner(x):
        return [FORMULA * k for k in x]

    return inner


def by_property(key, condition):
    return Asking().known


def by_registry(key, condition):
    return idealab.load("max_margin")


def by_import(key, condition):
    from idealab.theory.max_margin import idea

    return idea


def by_dotted_import(key, condition):
    import idealab.theory.max_margin

    return idealab.theory.max_margin.idea


def by_construction(key, condition):
    return Prediction(condition["a"])


@pytest.mark.parametrize(
    ("observe", "where"),
    [
        (by_global, "observe.FORMULA: a Sympy expression"),
        (by_helper, "observe.by_global.FORMULA: a Sympy expression"),
        (by_nested, "observe.FORMULA: a Sympy expression"),
        (by_property, "observe.Asking.known.FORMULA: a Sympy expression"),
        (by_registry, "observe.idealab.load.Idea: the class Idea"),
        (by_import, "observe.idealab.theory.max_margin.idea: of type Idea"),
        (by_dotted_import, "observe.idealab.theory.max_margin.idea: of type Idea"),
        (by_construction, "observe.Prediction: the class Prediction"),
    ],
)
def test_what_is_named_is_looked_at(refused, observe, where):
    importlib.import_module("idealab.theory.max_margin")
    found = refused(observe)
    assert found == where or (observe is by_registry and found.startswith("observe.idealab.load."))


def test_idealab_is_looked_through_where_it_is_installed_too(refused, monkeypatch):
    monkeypatch.setattr("idealab.compute.source._installed", lambda file: True)
    assert refused(by_registry).startswith("observe.idealab.load.")


LAB = {
    "__init__.py": "",
    "theory.py": (
        "import sympy as sp\nt = sp.Symbol('t')\ndecay = sp.exp(-t)\n"
        "compiled = sp.lambdify(t, decay, 'jax')\nrate = 0.5\n"
    ),
    "models.py": "from lab import theory\n\ndef model(t):\n    return theory.compiled(t)\n",
    "honest.py": "def model(t):\n    return 1 / (1 + t)\n",
    "bench.py": """
import lab.models
import lab.theory as th
from lab import honest, models
from lab.theory import rate


def by_attribute(key, condition):
    return th.decay


def by_alias(key, condition):
    here = th
    return here.compiled(1.0)


def by_package(key, condition):
    return lab.models.model(1.0)


def by_helper_of_another_file(key, condition):
    return models.model(1.0)


def by_relative_import(key, condition):
    from .theory import decay

    return decay


def by_import_of_a_sibling(key, condition):
    from . import theory

    return theory.decay


def by_absolute_import(key, condition):
    from lab.theory import compiled

    return compiled(1.0)


def clean(key, condition):
    return honest.model(rate) + th.rate
""",
}


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """A package of theory and experiment in several files."""
    (tmp_path / "lab").mkdir()
    for name, text in LAB.items():
        (tmp_path / "lab" / name).write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    yield importlib.import_module("lab.bench")
    for name in [name for name in sys.modules if name.partition(".")[0] == "lab"]:
        del sys.modules[name]


@pytest.mark.parametrize(
    ("name", "where"),
    [
        ("by_attribute", "observe.th.decay: a Sympy expression"),
        ("by_alias", "observe.th.compiled: a function made from a formula"),
        ("by_package", "observe.lab.models.model.theory.compiled: a function made from a formula"),
        ("by_helper_of_another_file", "observe.models.model.theory.compiled: a function made from a formula"),
        ("by_relative_import", "observe.theory.decay: a Sympy expression"),
        ("by_import_of_a_sibling", "observe..theory.decay: a Sympy expression"),
        ("by_absolute_import", "observe.lab.theory.compiled: a function made from a formula"),
    ],
)
def test_modules_are_asked_for_what_is_named(lab, refused, name, where):
    assert refused(getattr(lab, name)) == where.replace("..", ".")


def test_a_number_of_the_theorys_module_is_none_of_the_theory(lab, toy):
    refuse_answers(toy.experiment(observe=lab.clean))


# --- Honest experiments -----------------------------------------------------------------------------------------------


class Held(NamedTuple):
    t: float
    a: float


def names_an_attribute(key, condition):
    held = Held(t=1.0, a=2.0)
    return held.t * held.a


def uses_libraries(key, condition):
    x = jax.random.normal(key, (3,)) * CONSTANTS["rate"] + jnp.asarray(CONSTANTS["table"])
    value, gradient = jax.value_and_grad(lambda x: LOGISTIC.log_value(x).sum())(x)
    solved = jax.lax.while_loop(lambda y: y < 1, lambda y: 2 * y, math.pi / 1e3)
    return Observation({"b": solved, "v": value}, {"height": jnp.linalg.norm(gradient)})


def uses_sympy_for_numbers(key, condition):
    return float(sp.pi) * float(zeta(3)) * float(integrate(1, (symbol("x"), 0, 1))) * HALF


HALF, zeta, integrate, symbol = sp.Rational(1, 2), sp.zeta, sp.integrate, sp.Symbol


def names_the_contract(key, condition):
    here = Condition({"a": 1.0}).but(a=condition["a"]).realized()
    return idealab.Observation({}, {"height": here["a"]})


def calls_itself(key, condition, left=3):
    return calls_itself(key, condition, left - 1) if left else condition["a"]


@functools.cache
def constant(of):
    return 1.0


def asks_a_cache_that_others_ask(key, condition):
    return constant("height")


@jax.jit
def stepped(x):
    return operator.mul(x, 0.5)


HONEST = (
    names_an_attribute,
    uses_libraries,
    uses_sympy_for_numbers,
    names_the_contract,
    calls_itself,
    asks_a_cache_that_others_ask,
    stepped,
)


@pytest.mark.parametrize("observe", HONEST, ids=lambda observe: observe.__name__)
def test_an_honest_experiment_passes(toy, observe):
    constant(toy.idea().signatures["height"].prediction)
    refuse_answers(toy.experiment(observe=observe))
    refuse_answers(toy.experiment(observe=carrying(observe)))


def test_so_does_one_in_the_file_of_its_theory(toy):
    refuse_answers(toy.experiment())
    refuse_answers(toy.experiment(conditions=(replace(toy.sweep, data=lambda: {"x": np.ones(3)}),)))


def test_what_an_installed_package_works_with_is_its_own_affair(toy, refused):
    text = "def helper():\n    return known\n"
    for file, name, passes in ((sp.__file__, "sympy.x", True), (sp.__file__, "tests.x", False), ("<x>", "x", False)):
        space: dict[str, Any] = {"__name__": name, "known": FORMULA}
        exec(compile(text, file, "exec"), space)
        if passes:
            refuse_answers(toy.experiment(observe=carrying(space["helper"])))
        else:
            assert refused(carrying(space["helper"])) == "observe.known.known: a Sympy expression"


def test_an_empty_cell_is_no_trouble(toy):
    def observe(key, condition):
        return later

    refuse_answers(toy.experiment(observe=observe))
    later = 1


def test_the_built_in_experiments_pass():
    for name in registry.ideas():
        registry.load(name)
        for experiment in registry.load_experiments(name):
            refuse_answers(experiment)
