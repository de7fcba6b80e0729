"""Seeds in blocks: what is kept, what is taken from the ledger again, and what is not."""

from __future__ import annotations

import threading
import time
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from idealab.errors import DeclarationError, UnknownNameError
from idealab.experiment import Observation
from idealab.ledger.records import BATCH, DECLARATION
from idealab.ledger.store import Ledger
from idealab.run import Runner, Silence, Task, environment, precise, precision, use_compilation_cache

SOMEDAY = None


@pytest.fixture
def ledger(toy):
    return Ledger(toy.ledger)


@pytest.fixture
def runner(ledger):
    """Builds a runner of one declaration, with another master seed if it is given."""
    declaration = ledger.put({"schema": DECLARATION, "idea": "toy", "content": {}})

    def build(master_seed=0, progress=None, ledger=ledger, declaration=declaration):
        return Runner("toy", ledger, declaration, master_seed, progress or Silence())

    return build


def tasks_of(toy, **changes):
    made = toy.experiment(**changes)
    return [Task(made, condition) for condition in made.conditions]


def heights(task):
    return np.concatenate([batch.observables["height"] for batch in task.batches])


def test_blocks_follow_one_another_and_are_kept(toy, runner, ledger):
    (task,) = tasks_of(toy, knob=(1.0,))
    for _ in range(3):
        assert runner().extend([task], SOMEDAY) == []
    assert [(batch.first_seed, batch.seeds, batch.reused) for batch in task.batches] == [
        (0, 4, False),
        (4, 4, False),
        (8, 4, False),
    ]
    assert task.seeds == 12
    assert len(np.unique(heights(task))) == 12, "every seed draws anew"
    assert [batch.gradient_evaluations for batch in task.batches] == [40.0] * 3
    assert "gradient_evaluations" not in task.batches[0].parameters, "what it cost is no instance parameter"
    kept = [ledger.get(batch.record) for batch in task.batches]
    assert [record["first_seed"] for record in kept] == [0, 4, 8]
    np.testing.assert_array_equal(kept[1]["observation"]["observables"]["height"], heights(task)[4:8])


def test_a_seed_is_the_same_in_every_block_size_and_condition(toy, runner):
    found = []
    for block in (4, 6, 12):
        (task,) = tasks_of(toy, knob=(1.0,), block=block)
        while task.seeds < 12:
            runner(ledger=None).extend([task], SOMEDAY)
        found.append(heights(task))
    np.testing.assert_allclose(found[0], found[1], rtol=1e-15)  # blocks compile apart and may round apart
    np.testing.assert_allclose(found[0], found[2], rtol=1e-15)
    one, two = tasks_of(toy)
    runner().extend([one, two], SOMEDAY)
    np.testing.assert_array_equal(one.batches[0].parameters["b"], two.batches[0].parameters["b"])


def test_another_master_seed_or_experiment_has_other_seeds(toy, runner):
    drawn = []
    for master_seed, name in ((0, "bench"), (1, "bench"), (0, "field"), (2**32 - 1, "bench")):
        (task,) = tasks_of(toy, knob=(1.0,), name=name)
        runner(master_seed, ledger=None).extend([task], SOMEDAY)
        drawn += [*heights(task)]
    assert len(set(drawn)) == len(drawn)


def test_what_was_kept_is_found_again(toy, runner):
    done, again = tasks_of(toy)
    runner().extend([done, again], SOMEDAY)
    runner().extend([done], SOMEDAY)
    one, two = tasks_of(toy)
    resumed = runner()
    for task in (one, two):
        resumed.find(task)
    assert one.seeds == two.seeds == 0, "a block is taken only when its turn comes"
    # The deadline is over, and what is stored is taken all the same.
    assert resumed.extend([one, two], time.monotonic() - 1) == []
    assert resumed.extend([one, two], time.monotonic() - 1) == [two]
    assert [batch.reused for batch in (*one.batches, *two.batches)] == [True] * 3
    np.testing.assert_array_equal(heights(one), heights(done))
    for fresh, stored in zip(done.batches, one.batches, strict=True):
        assert replace(stored, parameters={}, observables={}, reused=False) == replace(
            fresh, parameters={}, observables={}
        )
        assert {name: v.dtype for name, v in fresh.parameters.items()} == {
            name: v.dtype for name, v in stored.parameters.items()
        }


@pytest.mark.parametrize("other", ["master seed", "declaration", "environment", "precision", "condition", "experiment"])
def test_batches_of_another_run_are_not_taken(toy, runner, ledger, other):
    first, second = tasks_of(toy)
    runner().extend([first], SOMEDAY)
    declaration = ledger.put({"schema": DECLARATION, "idea": "toy", "content": {"another": 1}})
    resumed = runner(
        master_seed=int(other == "master seed"), **({"declaration": declaration} if other == "declaration" else {})
    )
    if other == "environment":
        resumed.environment = resumed.environment | {"jaxlib": "0.0.0"}
    if other == "precision":
        resumed.precision = "float32"
    asked = {"condition": second, "experiment": Task(toy.experiment(name="field"), first.condition)}
    task = asked.get(other, Task(first.experiment, first.condition))
    resumed.find(task)
    assert task.stored == {}


def test_a_damaged_batch_is_told_of_and_simulated_again(toy, runner, ledger):
    (done,) = tasks_of(toy, knob=(1.0,))
    for _ in range(3):
        runner().extend([done], SOMEDAY)
    record = done.batches[1].record
    assert record is not None
    file = ledger.path / "objects" / record[:2] / f"{record}.json"
    file.write_bytes(file.read_bytes().replace(b"0", b"1", 5))
    fresh = Ledger(toy.ledger)
    resumed = runner(ledger=fresh)
    (task,) = tasks_of(toy, knob=(1.0,))
    resumed.find(task)
    for _ in range(3):
        resumed.extend([task], SOMEDAY)
    assert [batch.reused for batch in task.batches] == [True, False, True]
    np.testing.assert_array_equal(heights(task), heights(done))
    (warning,) = fresh.warnings
    assert f"{record}.json is damaged" in warning


def test_without_a_ledger_nothing_is_kept(toy, runner):
    (task,) = tasks_of(toy, knob=(1.0,))
    runner(ledger=None).extend([task], SOMEDAY)
    runner(ledger=None).find(task)
    assert task.batches[0].record is None
    assert task.stored == {}


def test_data_reach_observe_and_are_loaded_once(toy, runner):
    loads = []

    def observe(key, condition):
        return Observation({}, {"height": condition.data["x"].sum() + jax.random.uniform(key)})

    def load():
        loads.append(1)
        return {"x": np.arange(4.0)}

    made = toy.experiment(observe=observe, conditions=(replace(toy.sweep, data=load),))
    task = Task(made, made.conditions[0])
    for _ in range(2):
        runner().extend([task], SOMEDAY)
    assert (heights(task) >= 6).all()
    assert len(loads) == 1


def test_everything_is_computed_in_the_best_precision_and_the_users_choice_is_left_alone(toy, runner):
    (task,) = tasks_of(toy, knob=(1.0,), observe=toy.observer())
    widths = []
    toy.traced.append(lambda condition: widths.append(jnp.asarray(1.0).dtype))
    jax.config.update("jax_enable_x64", False)
    try:
        runner().extend([task], SOMEDAY)
        assert jnp.asarray(1.0).dtype == np.float32
    finally:
        jax.config.update("jax_enable_x64", True)
    assert {str(width) for width in widths} == {precision()} == {"float64"}
    assert (heights(task) != heights(task).astype(np.float32)).any()
    with precise():
        assert jnp.asarray(1.0).dtype == np.float64


def test_conditions_that_share_a_program_compile_once(toy, runner):
    count = []
    toy.traced.append(lambda condition: count.append(threading.get_ident()))
    made = toy.experiment(observe=toy.observer(), knob=(1.0, 2.0, 3.0, 4.0, 5.0))
    tasks = [Task(made, condition) for condition in (*made.conditions, *made.toggles.values())]
    for _ in range(2):
        runner(ledger=None).extend(tasks, SOMEDAY)
    assert len(count) == 1


def test_a_fault_in_one_task_loses_nothing_of_the_others(toy, runner, ledger):
    def faulty(condition):
        if "size" in condition.settings:
            raise UnknownNameError("setting", "siez", ["size"])

    toy.traced.append(faulty)
    made = toy.experiment(
        observe=toy.observer(), conditions=(toy.sweep.but("a"), toy.sweep.but("b", a=2.0), toy.sweep.but("c", size=1))
    )
    tasks = [Task(made, condition) for condition in made.conditions]
    with pytest.raises(UnknownNameError, match="no setting named 'siez'"):
        runner().extend(tasks, SOMEDAY)
    assert len(ledger.find(schema=BATCH)) == 2
    toy.traced.clear()
    runner().extend([tasks[2]], SOMEDAY)
    assert tasks[2].seeds == 4, "nothing is left waiting for a program that was never compiled"


def test_what_is_no_observation_is_refused(toy, runner):
    made = toy.experiment(observe=lambda key, condition: {"height": jax.random.uniform(key)})
    with pytest.raises(DeclarationError, match="'bench': observe must return an Observation, got dict"):
        runner().extend([Task(made, made.conditions[0])], SOMEDAY)


def test_the_environment_names_what_results_depend_on():
    found = environment()
    assert {"jax", "jaxlib", "numpy", "python", "platform", "device", "machine"} <= set(found)
    assert found == environment()


def test_compiled_programs_are_kept_where_jax_was_told_or_in_the_users_cache(monkeypatch, tmp_path):
    names = ("jax_compilation_cache_dir", "jax_persistent_cache_min_compile_time_secs")
    before = {name: jax.config.values[name] for name in names}
    monkeypatch.setattr("platformdirs.user_cache_path", lambda name: tmp_path / name)
    try:
        jax.config.update(names[0], None)
        assert use_compilation_cache() == tmp_path / "idealab" / "jax"
        jax.config.update(names[0], str(tmp_path / "told"))
        assert use_compilation_cache() == tmp_path / "told"
    finally:
        for name, value in before.items():
            jax.config.update(name, value)
