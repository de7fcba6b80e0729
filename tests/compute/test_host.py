"""Experiments that observe on the host: seeds of minutes, which keep what they have when they are stopped half-way."""

from __future__ import annotations

import threading
import time
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from idealab.compute.devices import machine_of
from idealab.compute.run import Runner, Silence, Task
from idealab.errors import DeclarationError, UsageError
from idealab.experiment import Condition, Experiment, Observation
from idealab.ledger.records import DECLARATION
from idealab.ledger.store import Ledger
from idealab.prepare.declaration import _experiment
from idealab.simulate import checkpointed

CHUNKS = 6


class Walk:
    """A random walk in chunks, on the host; what it does is written down, and it can be told to wait."""

    def __init__(self):
        self.done, self.reached, self.go = [], threading.Event(), threading.Event()
        self.go.set()

    def __call__(self, key, condition):
        def step(state, i):
            jax.debug.callback(self._count, i, ordered=True)
            return state + jax.random.normal(jax.random.fold_in(key, i)) * condition["size"]

        end = checkpointed(step, jnp.zeros(()), CHUNKS, settings={"size": condition["size"]})
        return Observation({"key": float(jax.random.uniform(key))}, {"height": end, "path": np.full(3, end)})

    def _count(self, i):
        self.done.append(int(i))
        if i == 2:
            self.reached.set()
            self.go.wait(20)


@pytest.fixture
def ledger(tmp_path):
    return Ledger(tmp_path / "ledger")


def task_of(observe, **changes):
    made = Experiment("walk", "walks", "network", observe, ("height",), (Condition({"size": 1.0}),), **changes)
    return Task(made, made.conditions[0])


def runner_of(ledger, keep=True):
    declaration = ledger.put({"schema": DECLARATION, "idea": "toy", "content": {}})
    return Runner("toy", ledger if keep else None, declaration, 0, machine_of(), Silence())


def checkpoints(ledger):
    return sorted(ledger.path.glob("checkpoints/*/*"))


def test_a_seed_is_a_block_and_has_the_key_that_a_traced_one_has(ledger):
    task = task_of(Walk(), host=True)
    for _ in range(2):
        assert runner_of(ledger).extend([task], None) == []
    assert [(batch.first_seed, batch.seeds) for batch in task.batches] == [(0, 1), (1, 1)]
    assert task.batches[0].observables["path"].shape == (1, 3)

    traced = task_of(lambda key, condition: Observation({"key": jax.random.uniform(key)}, {"height": 0.0}), block=2)
    runner_of(ledger, keep=False).extend([traced], None)
    keys = [float(batch.parameters["key"][0]) for batch in task.batches]
    np.testing.assert_array_equal(keys, traced.batches[0].parameters["key"])


@pytest.mark.parametrize("keep", [True, False])
def test_a_deadline_stops_a_seed_half_way_and_the_next_run_goes_on_from_there(ledger, keep):
    walk, whole = Walk(), task_of(Walk(), host=True)
    runner_of(ledger, keep=False).extend([whole], None)

    task = task_of(walk, host=True)
    walk.go.clear()
    release = threading.Thread(target=lambda: (walk.reached.wait(20), time.sleep(0.8), walk.go.set()))
    release.start()
    late = runner_of(ledger, keep).extend([task], time.monotonic() + 0.5)
    release.join()
    assert late == [task]
    assert task.batches == []
    assert walk.done == [0, 1, 2], "the chunk that it was at is finished, and no more begun"
    assert len(checkpoints(ledger)) == keep

    assert runner_of(ledger, keep).extend([task], None) == []
    assert walk.done == ([0, 1, 2, 3, 4, 5] if keep else [0, 1, 2, 0, 1, 2, 3, 4, 5])
    np.testing.assert_array_equal(task.batches[0].observables["height"], whole.batches[0].observables["height"])
    assert checkpoints(ledger) == [], "the record is there, so they are not needed any more"


def test_a_fault_elsewhere_stops_it_and_what_it_has_is_kept(ledger):
    walk = Walk()
    walk.go.clear()

    def faulty(key, condition):
        walk.reached.wait(20)
        walk.go.set()
        raise ValueError("no such thing")

    with pytest.raises(DeclarationError, match=r"observe raised ValueError: no such thing \(test_host.py, line \d+\)"):
        runner_of(ledger).extend([task_of(walk, host=True), task_of(faulty, host=True)], None)
    assert walk.done[:3] == [0, 1, 2]


def test_what_is_no_observation_is_refused(ledger):
    with pytest.raises(DeclarationError, match="must return an Observation, got float"):
        runner_of(ledger).extend([task_of(lambda key, condition: 1.0, host=True)], None)


def test_it_is_declared():
    there = task_of(Walk(), host=True).experiment
    assert [_experiment(e)["host"] for e in (there, replace(there, host=False))] == [True, False]


def test_outside_of_an_observe_a_directory_is_asked_for():
    with pytest.raises(UsageError, match="checkpointed needs a directory: only inside an observe with host=True"):
        checkpointed(lambda state, i: state, jnp.zeros(()), 1)
