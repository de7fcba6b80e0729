"""Compiled simulations: made once, by one of many threads, and taken from disk by the next process."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import jax
import numpy as np
import pytest

from idealab.compute import devices, programs
from idealab.compute.devices import machine_of
from idealab.compute.programs import Program, Programs

ROOT = Path(__file__).parents[2]


@pytest.fixture
def ask(toy):
    """Asks for the program of an experiment in a single seed or more, with the arguments of its first condition."""

    def program(kept, experiment, seeds=1):
        machine = machine_of()
        arguments = (np.uint32(0), np.uint32(1), np.uint32(2), experiment.conditions[0])
        with machine.computing():
            found, needed, _ = kept.get(experiment, seeds, machine, machine.devices[0], arguments)
            assert needed > 0
            return found(*arguments).observables["height"].tolist()

    return program


def test_one_thread_compiles_while_the_others_wait_and_a_failure_is_tried_again(monkeypatch):
    made, fail = [], [True]

    class Fake:
        observe, vectorized = None, False

    def compiled(experiment, seeds, machine, arguments):
        made.append(seeds)
        time.sleep(0.02)
        if fail:
            raise ValueError("not now")
        return seeds

    monkeypatch.setattr(programs, "_compiled", compiled)
    monkeypatch.setattr(programs, "_described", lambda compiled: Program(compiled, 7, False))
    kept, machine = Programs(None, most=2), machine_of()
    ask = lambda seeds: kept.get(Fake, seeds, machine, machine.devices[0], (np.float64(1),))[:2]
    with pytest.raises(ValueError, match="not now"):
        ask(1)
    fail.clear()
    threads = [threading.Thread(target=ask, args=(1,)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert made == [1, 1]
    assert [ask(2), ask(3), ask(2)] == [(2, 7), (3, 7), (2, 7)]
    assert made == [1, 1, 2, 3]


# --- On disk ----------------------------------------------------------------------------------------------------------


def test_a_program_is_taken_from_disk_and_not_traced_again(toy, ask, tmp_path):
    traced = []
    toy.traced.append(lambda condition: traced.append(1))
    made = toy.experiment()
    first, again = (ask(Programs(tmp_path / "kept"), made) for _ in range(2))
    assert first == again
    assert len(traced) == 1
    assert len(list((tmp_path / "kept").iterdir())) == 1
    ask(Programs(tmp_path / "kept"), made, seeds=2)
    assert len(traced) == 2, "another number of seeds is another program"


@pytest.mark.parametrize("damage", ["torn", "empty", "other", "not a program"])
def test_what_is_damaged_on_disk_is_made_anew(toy, ask, tmp_path, damage):
    made, folder = toy.experiment(), tmp_path / "kept"
    first = ask(Programs(folder), made)
    (path,) = folder.iterdir()
    content = path.read_bytes()
    other = programs.hashlib.sha256(b"nothing").digest() + b"nothing"
    told = {"torn": content[:-100], "empty": b"", "other": content[:50] + b"x" + content[51:], "not a program": other}
    path.write_bytes(told[damage])
    assert ask(Programs(folder), made) == first
    assert path.read_bytes()[:32] == programs.hashlib.sha256(path.read_bytes()[32:]).digest()
    assert len(path.read_bytes()) > 1000


def test_where_nothing_can_be_kept_nothing_is_lost(toy, ask, tmp_path):
    (tmp_path / "kept").write_text("a file")
    assert ask(Programs(tmp_path / "kept"), toy.experiment()) == ask(Programs(None), toy.experiment())


def test_what_calls_out_of_the_program_is_not_kept(toy, ask, tmp_path):
    def observe(key, condition):
        there = toy.observer()(key, condition)
        height = there.observables["height"]
        kind = jax.ShapeDtypeStruct(height.shape, height.dtype)
        return type(there)(there.parameters, {**there.observables, "height": jax.pure_callback(np.copy, kind, height)})

    ask(Programs(tmp_path / "kept"), toy.experiment(observe=observe))
    assert not (tmp_path / "kept").exists()


LINEAR = """
import sys
import jax, jax.numpy as jnp
from idealab.compute import simulator
from idealab.compute.devices import machine_of
from idealab.experiment import Condition, Experiment, Observation
from pathlib import Path
simulator.program_cache = lambda: Path(sys.argv[1])

def observe(key, condition):
    print("traced")
    matrix = jax.random.normal(key, (5, 5))
    return Observation({}, {"height": jnp.linalg.cholesky(matrix @ matrix.T + jnp.eye(5)).sum() * condition["a"]})

made = Experiment("bench", "", "idealized", observe, ("height",), (Condition({"a": 1.0}),))
print(simulator.Simulator(machine_of(), 0, print).block(made, made.conditions[0], "a=1", 0)[1])
"""


@pytest.mark.slow
def test_linear_algebra_is_ready_for_a_program_that_was_not_lowered_here(tmp_path):
    (tmp_path / "linear.py").write_text(LINEAR)
    told = []
    for _ in range(2):
        command = [sys.executable, "linear.py", str(tmp_path / "kept")]
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env=environment, check=False)
        assert done.returncode == 0, done.stderr
        told.append(done.stdout)
    assert told[0].startswith("traced")
    assert told[1] == told[0].replace("traced\n", "")


def test_programs_are_left_to_jax_where_it_was_told_so(monkeypatch, tmp_path):
    monkeypatch.setattr("platformdirs.user_cache_path", lambda name: tmp_path / name)
    before = jax.config.jax_compilation_cache_dir
    try:
        jax.config.update("jax_compilation_cache_dir", None)
        assert devices.program_cache() == tmp_path / "idealab" / "programs"
        jax.config.update("jax_compilation_cache_dir", str(tmp_path / "told"))
        assert devices.program_cache() is None
    finally:
        jax.config.update("jax_compilation_cache_dir", before)
