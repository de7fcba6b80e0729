import itertools
import shutil
import signal
import subprocess
import sys
from functools import cache
from pathlib import Path
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from idealab.errors import LedgerError, UsageError
from idealab.simulate import checkpointed

ROOT = Path(__file__).parents[2]
BEGINNING = {
    "w": jnp.linspace(0.0, 1.0, 6).reshape(2, 3),
    "key": jax.random.key_data(jax.random.key(5)),
    "t": jnp.int32(0),
}


def step(state, i):
    """Noisy descent: what comes out depends on every chunk and on its number, to the last bit."""
    key, new = jax.random.split(jax.random.wrap_key_data(state["key"]))
    w = state["w"] - 0.1 * jnp.sin(state["w"]) / (1 + i) + 0.01 * jax.random.normal(new, (2, 3))
    return {"w": w, "key": jax.random.key_data(key), "t": state["t"] + 1}


@cache
def whole():
    """The bits after all six chunks, by the plain loop."""
    state = BEGINNING
    for i in range(6):
        state = jax.jit(step)(state, np.uint32(i))
    return bits(state)


def run(directory, chunks=6, calls=None, **options):
    said = [] if calls is None else calls

    def watched(state, i):
        jax.debug.callback(lambda i: said.append(int(i)), i)
        return step(state, i)

    options = {"settings": {"rate": 0.1}, "every": 0.0} | options
    return checkpointed(watched, options.pop("state", BEGINNING), chunks, directory=directory, **options)


def bits(state):
    return [np.asarray(leaf).tobytes() for leaf in jax.tree.leaves(state)]


def places(directory):
    return sorted(int(place.name) for place in directory.iterdir() if place.is_dir())


def test_it_is_the_loop(tmp_path):
    assert bits(run(tmp_path)) == whole()
    assert places(tmp_path) == [5, 6]
    assert [leaf.dtype for leaf in jax.tree.leaves(run(tmp_path))] == [np.uint32, np.int32, np.float64]


def test_a_longer_run_goes_on_and_a_finished_one_is_not_repeated(tmp_path):
    calls = []
    run(tmp_path, 4)
    assert bits(run(tmp_path, 6, calls)) == whole()
    jax.effects_barrier()
    assert calls == [4, 5]
    assert bits(run(tmp_path, 6, calls)) == whole()
    assert calls == [4, 5]


def test_checkpoints_come_every_so_many_seconds_and_at_the_end(tmp_path, monkeypatch):
    times = itertools.count(step=10.0)
    monkeypatch.setattr("idealab.simulate.checkpoint.time", SimpleNamespace(monotonic=lambda: next(times)))
    saved = []
    save = sys.modules["idealab.simulate.checkpoint"]._save
    monkeypatch.setattr("idealab.simulate.checkpoint._save", lambda *args: (saved.append(args[1].done), save(*args)))
    run(tmp_path, every=20.0)
    assert saved == [2, 4, 6]


KILLED = """
import os, signal, sys
sys.path.insert(0, {root!r})
import jax
jax.config.update("jax_enable_x64", True)
from tests.simulate import test_checkpoint as there
import idealab.simulate.checkpoint as checkpoint
save, strike = checkpoint._save, sys.argv[2]
def killer(*arguments):
    if arguments[1].done == 4 and strike == "before":
        os.kill(os.getpid(), signal.SIGKILL)
    if arguments[1].done == 4 and strike == "rename":
        os.rename = os.replace = lambda *names, **options: os.kill(os.getpid(), signal.SIGKILL)
    save(*arguments)
    if arguments[1].done == 4:
        os.kill(os.getpid(), signal.SIGKILL)
checkpoint._save = killer
there.run(there.Path(sys.argv[1]))
"""


@pytest.mark.slow
@pytest.mark.parametrize(("strike", "kept"), [("before", [2, 3]), ("rename", [2, 3]), ("after", [3, 4])])
def test_a_killed_run_goes_on_with_the_same_bits_and_repeats_no_finished_chunk(tmp_path, strike, kept):
    folder = tmp_path / "run"
    code = KILLED.format(root=str(ROOT))
    killed = subprocess.run([sys.executable, "-c", code, folder, strike], capture_output=True, text=True, check=False)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert [number for number in kept if (folder / f"{number:012d}").exists()] == kept
    calls = []
    assert bits(run(folder, calls=calls)) == whole()
    jax.effects_barrier()
    assert calls == [i for i in range(6) if i >= kept[-1]]
    assert places(folder) == [5, 6], "and what was half-written is cleared away"


def test_what_is_interrupted_is_kept(tmp_path, monkeypatch):
    clock = itertools.count()

    def interrupt():
        if next(clock) == 3:
            raise KeyboardInterrupt
        return 0.0

    with monkeypatch.context() as patched:
        patched.setattr("idealab.simulate.checkpoint.time", SimpleNamespace(monotonic=interrupt))
        with pytest.raises(KeyboardInterrupt):
            run(tmp_path / "a", every=60.0)
    assert places(tmp_path / "a") == [3]
    assert bits(run(tmp_path / "a")) == whole()


def spoil(place, how):
    chosen = max((file for file in place.rglob("*") if file.is_file()), key=lambda file: file.stat().st_size)
    data = chosen.read_bytes()
    chosen.write_bytes(
        {"empty": b"", "torn": data[: len(data) // 2], "flipped": data[:-1] + bytes([data[-1] ^ 1])}[how]
    )


@pytest.mark.parametrize("how", ["empty", "torn", "flipped", "gone", "unsigned"])
@pytest.mark.parametrize("both", [False, True])
def test_a_torn_checkpoint_is_removed_with_a_warning(tmp_path, how, both):
    folder, calls = tmp_path / "a", []
    for chunks in (3, 4):
        run(folder, chunks, every=60.0)
    for number in (3, 4) if both else (4,):
        place = folder / f"{number:012d}"
        if how == "gone":
            shutil.rmtree(place / "d")
        elif how == "unsigned":
            place.with_suffix(".json").write_bytes(b"")
        else:
            spoil(place, how)
    with pytest.warns(UserWarning, match=r"checkpoint .*000\d is torn or damaged, and is removed"):
        state = run(folder, calls=calls, every=60.0)
    jax.effects_barrier()
    assert calls == [*range(0 if both else 3, 6)]
    assert bits(state) == whole()
    assert places(folder) == ([6] if both else [3, 6])


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"settings": {"rate": 0.2}}, r"another run \(settings: {'rate': 0.1} there, {'rate': 0.2} here\)"),
        ({"state": BEGINNING | {"t": jnp.int32(1)}}, "another run .beginning: "),
        ({"state": BEGINNING | {"t": jnp.int64(0)}}, r"another run .state: .*int32\[\].* there, .*int64\[\].* here"),
        ({"chunks": 3}, "has done 4 chunks, chunks=3"),
        ({"chunks": -1}, "chunks=-1 must be"),
        ({"settings": {"f": jnp.sin}}, "must be what JSON can say"),
    ],
)
def test_what_does_not_belong_together_is_refused_and_kept(tmp_path, change, complaint):
    run(tmp_path, 4, every=60.0)
    with pytest.raises(UsageError, match=complaint) as refusal:
        run(tmp_path, **change)
    assert "\n" not in str(refusal.value)
    assert places(tmp_path) == [4]


@pytest.mark.parametrize(
    ("wrong", "complaint"),
    [
        (lambda w, i: w[:2], r"a state like the one it is given, float64\[3\]; it returned float64\[2\]"),
        (lambda w, i: (w, w), "a state like the one"),
        (lambda w, i: w.astype("float32"), r"float64\[3\]; it returned float32\[3\]"),
    ],
)
def test_a_step_that_changes_the_form_is_refused(tmp_path, wrong, complaint):
    with pytest.raises(UsageError, match=complaint):
        checkpointed(wrong, jnp.zeros(3), 2, directory=tmp_path)


def test_keys_are_kept_as_their_data(tmp_path):
    with pytest.raises(UsageError, match="key_data"):
        checkpointed(lambda key, i: key, jax.random.key(0), 2, directory=tmp_path)


def test_two_runs_at_once_in_one_directory_are_told_of(tmp_path):
    pytest.importorskip("fcntl")
    with (
        sys.modules["idealab.simulate.checkpoint"]._alone(tmp_path),
        pytest.raises(UsageError, match=r"another run is writing checkpoints in .*wait for its end"),
    ):
        run(tmp_path)
    run(tmp_path)


def test_a_place_that_cannot_be_written_is_told_of(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    with pytest.raises(LedgerError, match=r"no checkpoint can be written in .*name another directory"):
        run(tmp_path / "file")

    def full(*_names, **_options):
        raise OSError(28, "No space left on device")

    folder = tmp_path / "a"
    with monkeypatch.context() as patched:
        patched.setattr("orbax.checkpoint.StandardCheckpointer.save", full)
        with pytest.raises(LedgerError, match=r"No space left on device.*make room"):
            run(folder)
    assert bits(run(folder)) == whole()


def test_orbax_is_loaded_only_where_it_is_used():
    code = "import idealab.simulate, sys; print('orbax.checkpoint' in sys.modules)"
    shown = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert shown.stdout.split() == ["False"]
