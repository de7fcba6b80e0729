"""Seeds in blocks: what is kept, what is taken from the ledger again, and what is not."""

from __future__ import annotations

import threading
import time
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from idealab import registry
from idealab.cli import main
from idealab.compute.devices import machine_of
from idealab.compute.run import Runner, Silence, Task
from idealab.errors import DeclarationError, UnknownNameError, UsageError
from idealab.experiment import Observation
from idealab.ledger.records import BATCH, DECLARATION
from idealab.ledger.store import Ledger

SOMEDAY = None


@pytest.fixture
def ledger(toy):
    return Ledger(toy.ledger)


@pytest.fixture
def runner(ledger):
    """Builds a runner of one declaration, with another master seed if it is given."""
    declaration = ledger.put({"schema": DECLARATION, "idea": "toy", "content": {}})

    def build(master_seed=0, progress=None, ledger=ledger, declaration=declaration, machine=None):
        return Runner("toy", ledger, declaration, master_seed, machine or machine_of(), progress or Silence())

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
    assert {str(width) for width in widths} == {"float64"}
    assert (heights(task) != heights(task).astype(np.float32)).any()
    with machine_of().computing():
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


def of_type(condition):
    return "text" + condition["a"]


def of_name(condition):
    return {}["siez"]


def of_trace(condition):
    return 1.0 if condition["a"] > 0 else 2.0


def of_nothing(condition):
    assert condition["a"] is None


def of_lines(condition):
    raise ValueError("\n  first\nsecond")


def faulty(fault):
    def observe(key, condition):
        return Observation({}, {"height": fault(condition)})

    return observe


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (of_type, "TypeError: can only concatenate str"),
        (of_name, "KeyError: 'siez' (test_run.py, line "),
        (of_trace, "TracerBoolConversionError: Attempted boolean conversion of traced array"),
        (of_nothing, "AssertionError"),
        (of_lines, "ValueError: first (test_run.py, line "),
        (lambda condition: "text", "TypeError: "),
        (lambda condition: condition["a"] * jnp.ones(3) @ jnp.ones(4), "TypeError: dot_general requires"),
    ],
)
def test_what_observe_raises_is_the_experiments_fault(toy, runner, fault, words):
    made = toy.experiment(observe=faulty(fault), conditions=(toy.sweep.but("a=2", a=2.0),))
    with pytest.raises(DeclarationError) as caught:
        runner().extend([Task(made, made.conditions[0])], SOMEDAY)
    line = str(caught.value)
    assert line.startswith(f"experiment 'bench', a=2: observe raised {words}")
    assert "\n" not in line
    assert type(caught.value.__cause__).__name__ == words.split(":")[0]


def test_the_line_of_the_fault_is_the_innermost_of_the_experiments_file(toy, runner):
    made = toy.experiment(observe=jax.jit(faulty(of_name)), toggles={"constant_force": toy.sweep})
    with pytest.raises(DeclarationError) as caught:
        runner().extend([Task(made, made.toggles["constant_force"], "constant_force")], SOMEDAY)
    line = of_name.__code__.co_firstlineno + 1
    assert str(caught.value) == (
        f"experiment 'bench', without constant_force: observe raised KeyError: 'siez' (test_run.py, line {line})"
    )


def test_on_the_command_line_it_is_one_line_and_exit_code_2(toy, monkeypatch, capsys):
    made = toy.experiment(observe=faulty(of_name))
    monkeypatch.setattr(registry, "ideas", lambda: {"toy": registry.Summary("toy", "", ("idealized",))})
    monkeypatch.setattr(registry, "load", lambda name: toy.idea())
    monkeypatch.setattr(registry, "load_experiments", lambda name: (made,))
    assert main(["verify", "toy", "--no-record"]) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    (line,) = [line for line in shown.err.splitlines() if line.startswith("error: ")]
    assert "observe raised KeyError: 'siez' (test_run.py, line " in line
    assert "Traceback" not in shown.err


def test_a_fault_of_a_running_program_is_the_experiments_too(toy, runner):
    def divide(value):
        raise ZeroDivisionError("by hand")

    shape = jax.ShapeDtypeStruct((), np.float64)
    made = toy.experiment(observe=faulty(lambda condition: jax.pure_callback(divide, shape, condition["a"])))
    with pytest.raises(DeclarationError, match="a=1: observe raised JaxRuntimeError: ZeroDivisionError: by hand"):
        runner().extend([Task(made, made.conditions[0])], SOMEDAY)


@pytest.mark.parametrize(
    "error",
    [
        MemoryError("too large"),
        jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory while trying to allocate 8 bytes."),
    ],
    ids=lambda error: type(error).__name__,
)
def test_memory_that_runs_out_is_told_as_such(toy, runner, error):
    def fail(condition):
        raise error

    made = toy.experiment(observe=faulty(fail))
    with pytest.raises(UsageError, match="'bench', a=1: the memory of cpu:0 ran out; make the experiment smaller"):
        runner().extend([Task(made, made.conditions[0])], SOMEDAY)


@pytest.mark.parametrize(
    "error",
    [
        UnknownNameError("setting", "siez", ["size"]),
        DeclarationError("a fault of the design"),
        KeyboardInterrupt(),
    ],
    ids=lambda error: type(error).__name__,
)
def test_what_is_not_its_fault_stays_what_it_is(toy, runner, error):
    def fail(condition):
        raise error

    made = toy.experiment(observe=faulty(fail))
    with pytest.raises(type(error)) as caught:
        runner().extend([Task(made, made.conditions[0])], SOMEDAY)
    assert caught.value is error


def test_memory_that_is_not_there_is_no_fault_of_the_experiment(toy, runner):
    made = toy.experiment(observe=faulty(lambda condition: jnp.zeros((2**45,)) + condition["a"]))
    words = r"'bench', a=1: .*(memory of .* ran out|GiB are free on .*); make the experiment smaller \(--set\)"
    with pytest.raises(UsageError, match=words):
        runner(ledger=None).extend([Task(made, made.conditions[0])], SOMEDAY)


def test_what_is_no_observation_is_refused(toy, runner):
    made = toy.experiment(observe=lambda key, condition: {"height": jax.random.uniform(key)})
    with pytest.raises(DeclarationError, match="'bench': observe must return an Observation, got dict"):
        runner().extend([Task(made, made.conditions[0])], SOMEDAY)


def test_the_environment_names_what_results_depend_on():
    found = machine_of().environment()
    assert {"jax", "jaxlib", "numpy", "python", "platform", "device", "machine"} <= set(found)
    assert found == machine_of().environment()
    assert not {"devices", "cores"} & set(found), "a block comes out the same on one of many"
