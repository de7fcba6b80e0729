"""What every idea must keep, over all that are discovered: both halves pair, and each promise has something behind it.

Experiments are traced, never run: their shapes and their programs say all that is asked here.
"""

from __future__ import annotations

import ast
import inspect
import random
from dataclasses import dataclass
from functools import cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import idealab
from idealab import registry
from idealab.assess.comparison import MACHINE_EPSILON
from idealab.compute.devices import machine_of
from idealab.compute.run import Task
from idealab.experiment import Condition, Experiment, Observation
from idealab.idea import Idea, Signature

IDEAS = sorted(idealab.ideas())


@cache
def theory(name: str) -> Idea:
    return registry.load(name)


@cache
def experiments(name: str) -> tuple[Experiment, ...]:
    return registry.load_experiments(name)


@cache
def tasks(name: str) -> tuple[Task, ...]:
    """Every condition that is traced, of the sweeps and of the toggles; seeds on the host take minutes."""
    return tuple(
        task
        for experiment in experiments(name)
        if not experiment.host
        for task in (
            *(Task(experiment, condition) for condition in experiment.conditions),
            *(Task(experiment, condition, assumption) for assumption, condition in experiment.toggles.items()),
        )
    )


@dataclass(frozen=True)
class Traced:
    """What a program reports (shapes of one seed), and what it is."""

    parameters: dict[str, tuple[int, ...]]
    observables: dict[str, tuple[int, ...]]
    program: Any
    constants: list[Any]


_PROGRAMS: dict[Any, Traced] = {}


def traced(task: Task) -> Traced:
    """The program of a task; conditions that differ only in floats and in the values of their data share one."""
    leaves, shape = jax.tree.flatten(task.realized)
    known = (task.experiment.observe, shape, tuple((np.shape(leaf), np.asarray(leaf).dtype.str) for leaf in leaves))
    if known not in _PROGRAMS:
        _PROGRAMS[known] = _trace(task)
    return _PROGRAMS[known]


def _trace(task: Task) -> Traced:
    # A new function each time, since JAX remembers the program of one it has seen.
    def observe(key: jax.Array, condition: Condition) -> Any:
        return task.experiment.observe(key, condition)

    with machine_of().computing():
        program, shapes = jax.make_jaxpr(observe, return_shape=True)(jax.random.key(0), task.realized)
    return Traced(
        {name: value.shape for name, value in shapes.parameters.items()},
        {name: value.shape for name, value in shapes.observables.items()},
        program,
        [
            np.asarray(constant)
            for constant in program.consts
            if not jnp.issubdtype(constant.dtype, jax.dtypes.extended)
        ],
    )


def reported(task: Task, signature: Signature) -> set[str]:
    """Names that a prediction may use: what a seed reports, the settings that are numbers, and the checkpoint."""
    numbers = {name for name, value in task.condition.settings.items() if not isinstance(value, str)}
    checkpoint = (
        {task.experiment.checkpoints[signature.observable][0]}
        if signature.observable in (task.experiment.checkpoints)
        else set()
    )
    return set(traced(task).parameters) - {"gradient_evaluations"} | numbers | checkpoint | {MACHINE_EPSILON}


def asked(name: str) -> list[tuple[Task, Signature]]:
    """Every signature with every task on which it is judged."""
    idea = theory(name)
    found = []
    for task in tasks(name):
        if not task.assumption:
            found += [(task, s) for s in idea.signatures.values() if s.observable in task.experiment.observables]
            continue
        assumption = idea.assumptions[task.assumption]
        found += [(task, idea.signatures[signature]) for signature in assumption.signatures]
        found += [(task, assumption.rival)] if assumption.rival is not None else []
    return found


def test_there_are_ideas():
    assert "max_margin" in IDEAS


@pytest.mark.parametrize("name", IDEAS)
def test_theory_and_experiments_pair(name):
    registry.pair(theory(name), experiments(name))
    assert any(experiment.level == "idealized" for experiment in experiments(name))
    assert set(registry.ideas()[name].levels) == {experiment.level for experiment in experiments(name)}


@pytest.mark.parametrize("name", IDEAS)
def test_the_statement_is_the_first_paragraph_of_the_theory(name):
    source = registry._source("theory", name)
    assert source is not None
    docstring = ast.get_docstring(ast.parse(source.read_text("utf-8")))
    assert docstring is not None
    assert theory(name).statement == " ".join(docstring.split("\n\n")[0].split()) == registry.ideas()[name].statement


@pytest.mark.parametrize("name", IDEAS)
def test_an_idea_says_where_it_holds_and_from_whom_it_is(name):
    idea = theory(name)
    assert idea.scope
    assert idea.failure_modes
    assert idea.references
    for item in (*idea.signatures.values(), *idea.assumptions.values(), *idea.derivations.values()):
        assert item.statement.strip(), f"{item.name} says nothing"


@pytest.mark.parametrize("name", IDEAS)
def test_every_assumption_is_taken_away_by_some_experiment(name):
    toggled = {toggle for experiment in experiments(name) for toggle in experiment.toggles}
    assert set(theory(name).assumptions) == toggled


@pytest.mark.parametrize("name", IDEAS)
def test_an_assumption_is_taken_away_by_changing_something(name):
    for task in tasks(name):
        if task.assumption:
            sweep = task.experiment.conditions
            assert all(task.condition.settings != condition.settings for condition in sweep), task.assumption


@pytest.mark.parametrize("name", IDEAS)
def test_every_primary_signature_rests_on_a_derivation(name):
    for signature in theory(name).signatures.values():
        if signature.primary:
            assert signature.known in ("derived", "checked"), signature.name


@pytest.mark.parametrize("name", IDEAS)
def test_every_signature_is_observed_in_the_idealized_model(name):
    observed = {
        observable
        for experiment in experiments(name)
        if experiment.level == "idealized"
        for observable in experiment.observables
    }
    assert {signature.observable for signature in theory(name).signatures.values()} <= observed


@pytest.mark.parametrize("name", IDEAS)
def test_every_observable_that_is_named_is_reported_and_asked_for(name):
    wanted = {signature.observable for signature in theory(name).signatures.values()}
    for task in tasks(name):
        if not task.assumption:
            experiment = task.experiment
            assert set(experiment.observables) <= set(traced(task).observables), (experiment.name, task.label)
            assert set(experiment.observables) <= wanted, f"{experiment.name} observes what no signature predicts"


@pytest.mark.parametrize("name", IDEAS)
def test_whatever_is_judged_is_reported_with_all_that_its_prediction_needs(name):
    for task, signature in asked(name):
        where = f"{signature.name} in {task.experiment.name}, {task.label}"
        assert signature.observable in traced(task).observables, where
        assert set(signature.arguments) <= reported(task, signature), where


@pytest.mark.parametrize("name", IDEAS)
def test_checkpoints_are_the_first_axis(name):
    for task in tasks(name):
        for observable, (_, values) in task.experiment.checkpoints.items():
            shape = traced(task).observables.get(observable)
            assert shape is None or shape[:1] == (len(values),), (task.experiment.name, task.label, observable)


@pytest.mark.parametrize("name", IDEAS)
def test_predictions_fit_what_is_measured(name):
    for task, signature in asked(name):
        argument, values = task.experiment.checkpoints.get(signature.observable, ("", ()))
        measured = traced(task).observables[signature.observable][1 if values else 0 :]
        shapes = traced(task).parameters | dict.fromkeys(task.condition.settings, ()) | {argument: ()}
        given = {name: jax.ShapeDtypeStruct(shapes[name], float) for name in signature.prediction.arguments}
        with machine_of().computing():
            predicted = jax.eval_shape(lambda given=given, s=signature: s.prediction.to_jax()(**given))
        where = f"{signature.name} in {task.experiment.name}, {task.label}"
        assert np.broadcast_shapes(predicted.shape, measured) == measured, where


def impurities(task: Task) -> list[str]:
    """What makes an observe depend on more than its arguments, or do more than return."""
    before = random.getstate(), repr(np.random.get_state())  # noqa: NPY002  the state that observe must not touch
    first, again = traced(task), _trace(task)
    after = random.getstate(), repr(np.random.get_state())  # noqa: NPY002
    constants = list(zip(first.constants, again.constants, strict=False))
    found = {
        "it has side effects": bool(first.program.effects),
        "it draws from a global generator": before != after,
        "it is another program the second time": str(first.program) != str(again.program)
        or not all(np.array_equal(one, other, equal_nan=True) for one, other in constants),
    }
    return [words for words, is_so in found.items() if is_so]


@pytest.mark.parametrize("name", IDEAS)
def test_observe_is_pure(name):
    seen = set()
    for task in tasks(name):
        if id(traced(task)) not in seen:
            seen.add(id(traced(task)))
            assert impurities(task) == [], (task.experiment.name, task.label)


def test_an_impure_observe_is_caught(toy):
    calls = []

    def impure(kind):
        def observe(key, condition):
            calls.append(1)
            if kind == "effect":
                jax.debug.print("{}", condition["a"])
            extra = {"numpy": np.random.rand, "python": random.random, "state": lambda: float(len(calls))}
            return Observation({}, {"height": condition["a"] * extra.get(kind, lambda: 1.0)()})

        made = toy.experiment(observe=observe)
        return impurities(Task(made, made.conditions[0]))

    generator, other = "it draws from a global generator", "it is another program the second time"
    assert impure("none") == []
    assert impure("effect") == ["it has side effects"]
    assert impure("numpy") == impure("python") == [generator, other]
    assert impure("state") == [other]


@pytest.mark.parametrize("name", IDEAS)
def test_observe_maps_over_seeds(name):
    done = set()
    for task in tasks(name):
        if task.experiment.name in done:
            continue
        done.add(task.experiment.name)
        with machine_of().computing():
            keys = jax.random.split(jax.random.key(0), 3)
            mapped = jax.eval_shape(jax.vmap(task.experiment.observe, (0, None)), keys, task.realized)
        one = traced(task)
        assert {k: v.shape for k, v in mapped.observables.items()} == {k: (3, *v) for k, v in one.observables.items()}


@pytest.mark.parametrize("name", IDEAS)
def test_observe_is_a_function_of_a_key_and_a_condition(name):
    for experiment in experiments(name):
        assert list(inspect.signature(experiment.observe).parameters) == ["key", "condition"], experiment.name


@pytest.mark.parametrize("name", IDEAS)
def test_settings_lie_within_their_ranges(name):
    for experiment in experiments(name):
        assert all(any(setting in c.settings for c in experiment.conditions) for setting in experiment.ranges)
        with machine_of().computing():
            experiment.check(tuple(experiment.ranges))


@pytest.mark.parametrize("name", IDEAS)
def test_distinct_conditions_are_distinct(name):
    for experiment in experiments(name):
        settings = [(tuple(c.settings.items()), id(c.data)) for c in experiment.conditions]
        assert len(set(settings)) == len(settings), experiment.name
