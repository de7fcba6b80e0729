"""Where a run computes: which devices and precision there are, several devices side by side, and little memory."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from idealab.compute import devices, programs, simulator
from idealab.compute.devices import machine_of
from idealab.compute.run import Runner, Silence, Task
from idealab.errors import UsageError
from idealab.experiment import Condition, Experiment, Observation

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("name", ["cpu", "cpu:0", None])
def test_a_device_by_its_name(name):
    found = machine_of(name)
    assert found.devices == tuple(jax.local_devices(backend="cpu"))[: None if name != "cpu:0" else 1]
    assert (found.precision, found.epsilon, found.on_cpu) == ("float64", 2.0**-52, True)
    assert len(found.slots) == devices._cores()


@pytest.mark.parametrize("name", ["gpu", "cpu:7", "cpu:", "cpu:one", "abacus", ""])
def test_a_device_that_is_not_there_is_told_with_those_that_are(name):
    with pytest.raises(UsageError, match=rf"device='{name}' is not there; there are: cpu:0; `idealab doctor` says"):
        machine_of(name)


def test_a_precision_that_is_none_or_that_the_device_lacks(monkeypatch):
    with pytest.raises(UsageError, match="precision='float16' must be float32 or float64"):
        machine_of(precision="float16")
    monkeypatch.setattr(devices, "computes_float64", lambda device: False)
    with pytest.raises(UsageError, match="precision='float64': cpu computes in float32 only; leave --precision out"):
        machine_of(precision="float64")


def test_float64_is_tried_and_not_believed():
    assert devices.computes_float64(jax.local_devices()[0])


def test_single_precision_is_what_is_computed_and_declared(toy):
    found = toy.verify(precision="float32", record=False, select=("height",))
    assert found.environment["precision"] == "float32"
    single, double = (
        Runner("toy", None, "", 0, machine_of(precision=one), Silence()) for one in ("float32", "float64")
    )
    measured = []
    for runner in (single, double):
        made = toy.experiment()
        task = Task(made, made.conditions[0])
        runner.extend([task], None)
        measured.append(task.batches[0].observables["height"])
    assert (measured[0] == measured[0].astype(np.float32)).all()
    assert (measured[1] != measured[1].astype(np.float32)).any()


# --- Several devices --------------------------------------------------------------------------------------------------

SEVERAL = """
import importlib.util, json, sys
import jax
import jax.numpy as jnp
jax.config.update("jax_num_cpu_devices", {count})
spec = importlib.util.spec_from_file_location("conftest", {conftest!r})
toy = importlib.util.module_from_spec(spec); spec.loader.exec_module(toy)
sys.modules["idealab.compute.simulator"].program_cache = lambda: None
found = toy.verify(toy.idea(), experiments=(toy.experiment(),), record=False)
told = found.to_dict()
print(json.dumps([found.environment["devices"], told["signatures"], told["controls"], told["verdict"]]))
"""


@pytest.mark.slow
def test_one_two_and_eight_devices_see_the_same(tmp_path):
    told = []
    for count in (1, 2, 8):
        script = SEVERAL.format(count=count, conftest=str(ROOT / "tests" / "conftest.py"))
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        done = subprocess.run(
            [sys.executable, "-c", script], capture_output=True, text=True, cwd=tmp_path, env=environment, check=False
        )
        assert done.returncode == 0, done.stderr
        there, *rest = json.loads(done.stdout.splitlines()[-1])
        assert there == count
        told.append(rest)
    assert told[0] == told[1] == told[2], "to the last bit"


# --- Little memory ----------------------------------------------------------------------------------------------------


class Warned(Silence):
    def __init__(self):
        self.words = []

    def warn(self, words):
        self.words.append(words)


def observed(toy, watcher=None, block=4, **changes):
    """The heights of one block."""
    made = toy.experiment(observe=toy.observer(), **changes)  # whose programs nobody has made yet
    made = replace(made, block=block)
    task = Task(made, made.conditions[0])
    Runner("toy", None, "", 0, machine_of(), watcher or Silence()).extend([task], None)
    return task.batches[0].observables["height"]


@pytest.mark.parametrize(("room", "block", "pieces"), [(2.5, 4, 2), (1.5, 4, 4), (5, 6, 2), (2.5, 6, 3), (1, 5, 5)])
def test_a_block_that_is_larger_than_memory_runs_in_pieces_and_says_so(toy, monkeypatch, room, block, pieces):
    whole = observed(toy, block=block)
    described = lambda compiled: programs.Program(compiled, _seeds_of(compiled) * 2**30, False)
    monkeypatch.setattr(programs, "_described", described)
    monkeypatch.setattr(simulator, "free_memory", lambda device: room * 2**30)
    watcher = Warned()
    assert (observed(toy, watcher, block) == whole).all()
    assert watcher.words == [
        f"experiment 'bench', a=1: {block} seeds do not fit into memory at once; run in {pieces} pieces"
    ]


def _seeds_of(program):
    return jax.tree.leaves(program.out_info)[0].shape[0]


def test_one_seed_that_does_not_fit_says_how_much_it_takes(toy, monkeypatch):
    monkeypatch.setattr(simulator, "free_memory", lambda device: 1000)

    def observe(key, condition):
        return Observation({}, {"height": jax.random.normal(key, (10**6,)).sum()})

    big = toy.experiment(observe=observe)
    words = (
        r"'bench', a=1: one seed takes 0\.0\d+ GiB, and 9\.31e-07 GiB are free on cpu:0; make the experiment smaller"
    )
    with pytest.raises(UsageError, match=words):
        Runner("toy", None, "", 0, machine_of(), Silence()).extend([Task(big, big.conditions[0])], None)


def group(folder, limit, used, unread, names=("memory.max", "memory.current", "inactive_file")):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / names[0]).write_text(f"{limit}\n")
    (folder / names[1]).write_text(f"{used}\n")
    (folder / "memory.stat").write_text(f"anon 7\n{names[2]} {unread}\n")


OLD = "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"


@pytest.mark.parametrize(
    ("told", "folder", "names"),
    [
        ("0::/job_7/step_0/task_1", "", ()),
        ("12:cpuset:/job_7\n9:cpu,memory:/job_7/step_0/task_1\n0::/elsewhere", "memory", (OLD,)),
    ],
    ids=["version 2", "version 1"],
)
def test_free_memory_is_the_least_that_a_group_of_the_job_leaves(tmp_path, monkeypatch, told, folder, names):
    assert devices._left_to_the_job(tmp_path) == []  # not on every operating system
    (tmp_path / "proc/self").mkdir(parents=True)
    (tmp_path / "proc/self/cgroup").write_text(told)
    job = tmp_path / "sys/fs/cgroup" / folder / "job_7"
    group(job / "step_0/task_1", "max" if not names else 2**63 - 4096, 500, 0, *names)
    group(job / "step_0", 900, 500, 20, *names)
    group(job, 1000, 700, 50, *names)
    left = devices._left_to_the_job(tmp_path)
    assert [one for one in left if one < 2**60] == [420, 350]

    for there, free in ((left, 350), ([], 10_000)):
        monkeypatch.setattr(devices, "_left_to_the_job", lambda there=there: there)
        monkeypatch.setattr(devices.psutil, "virtual_memory", lambda: SimpleNamespace(available=10_000))
        assert devices.free_memory(jax.local_devices(backend="cpu")[0]) == free


def test_a_container_sees_its_group_at_the_top(tmp_path):
    (tmp_path / "proc/self").mkdir(parents=True)
    (tmp_path / "proc/self/cgroup").write_text("0::/../../kubepods/pod1234/5678\n")
    group(tmp_path / "sys/fs/cgroup", 1000, 1200, 100)
    assert devices._left_to_the_job(tmp_path) == [0], "it is over its limit, and may be killed"


def test_programs_wait_for_memory_that_others_have_claimed(monkeypatch):
    monkeypatch.setattr(simulator, "free_memory", lambda device: 100)
    memory, device, most, running = simulator._Memory(), jax.local_devices()[0], [], []

    def run(needed):
        with memory.taken(device, needed):
            running.append(needed)
            most.append(sum(running))
            time.sleep(0.02)
            running.remove(needed)

    threads = [threading.Thread(target=run, args=(needed,)) for needed in (60, 60, 30, 40, 120, 10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(most) == 6
    assert max(total for total in most if total != 120) <= 100
    assert 120 in most, "what is larger than all there is runs alone"


# --- Side by side -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("shape", "together"), [((3, 4, 4), 1), ((4, 4), 2)])
def test_programs_that_wait_for_the_threads_in_which_they_run_leave_one_free(monkeypatch, shape, together):
    # Two on two threads lock up for ever, now and then; what is seen here is that they never meet.
    def observe(key, condition):
        matrices = jnp.eye(4) + 0.0 * jax.random.normal(key, shape)
        return Observation({}, {"height": jnp.linalg.cholesky(matrices).sum()})

    made = [Experiment(name, "", "idealized", observe, ("height",), (Condition({"a": 1.0}),)) for name in "abcd"]
    monkeypatch.setattr("idealab.compute.devices._cores", lambda: 2)
    run = Runner("toy", None, "", 0, machine_of(), Silence())
    lock, running, most = threading.Lock(), [0], [0]
    get = run.simulator._programs.get

    def watched(*arguments):
        program = get(*arguments)

        def slowly(*given):
            with lock:
                running[0] += 1
                most[0] = max(most[0], running[0])
            time.sleep(0.1)
            observation = program.run(*given)
            with lock:
                running[0] -= 1
            return observation

        return program._replace(run=slowly)

    monkeypatch.setattr(run.simulator, "_programs", SimpleNamespace(get=watched))
    run.extend([Task(experiment, experiment.conditions[0]) for experiment in made], None)
    assert most == [together]


def test_side_by_side_seeds_are_those_that_follow_one_another(toy):
    both = [observed(toy, vectorized=vectorized) for vectorized in (False, True)]
    np.testing.assert_allclose(*both, rtol=1e-6)  # the toy's hash of a key multiplies rounding by 4e9
