"""Seeds in blocks: the same numbers whatever the size, and a size that is measured once."""

import json
import subprocess
import sys
import threading
import warnings

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from idealab.errors import UsageError
from idealab.simulate import LOGISTIC, blocks, descend, margin_gradient
from idealab.simulate.blocks import candidates, in_blocks, loops_in_one_piece, measured_block

X = jax.random.normal(jax.random.key(0), (11, 24, 6))


def run(x):
    return {"w": descend(margin_gradient(LOGISTIC, x), jnp.zeros(6), 0.05, (10, 100))}


@pytest.fixture
def counted(monkeypatch):
    """How often block sizes were measured."""
    calls = []
    measure = blocks._measure
    monkeypatch.setattr(blocks, "_measure", lambda *a: calls.append(1) or measure(*a))
    return calls


@pytest.mark.parametrize("block", [1, 2, 3, 8, 11, 64])
def test_block_sizes_agree(block):
    reference = np.stack([run(x)["w"] for x in X])
    result = jax.jit(in_blocks(run, block))(X)["w"]
    assert result.shape == (11, 2, 6)
    # A hundred steps; sums in another order differ in the last bits.
    np.testing.assert_allclose(result, reference, rtol=1e-13, atol=1e-13)


@pytest.mark.parametrize("block", [0, -1, 1.5, True, "2"])
def test_a_block_that_is_no_number_of_seeds(block):
    with pytest.raises(UsageError, match="expected a whole number of seeds"):
        in_blocks(run, block)
    with pytest.raises(UsageError, match="expected a whole number of seeds"):
        measured_block(run, X, block=block)
    with pytest.raises(UsageError, match="expected a whole number of seeds"):
        measured_block(run, X, sizes=(1, block))


@pytest.mark.parametrize("inputs", [jnp.zeros((0, 4, 2)), jnp.zeros(()), ()])
def test_no_seeds(inputs):
    with pytest.raises(UsageError, match="no seeds"):
        measured_block(run, inputs)


def test_it_is_measured_once(tmp_path, counted):
    first = measured_block(run, X, sizes=(1, 4), folder=tmp_path)
    assert first in (1, 4)
    assert measured_block(run, X, sizes=(1, 4), folder=tmp_path) == first
    assert len(counted) == 1
    (kept,) = tmp_path.iterdir()
    assert json.loads(kept.read_text())["block"] == first


def test_what_is_remembered_is_taken(tmp_path, counted):
    measured_block(run, X, sizes=(1, 4), folder=tmp_path)
    (kept,) = tmp_path.iterdir()
    for block in (1, 4):
        kept.write_text(json.dumps({"block": block}))
        assert measured_block(run, X, sizes=(1, 4), folder=tmp_path) == block
    assert len(counted) == 1


def test_another_shape_or_function_is_measured_anew(tmp_path, counted):
    measured_block(run, X, sizes=(1, 4), folder=tmp_path)
    measured_block(run, X[:, :20], sizes=(1, 4), folder=tmp_path)
    measured_block(lambda x: run(2 * x), X, sizes=(1, 4), folder=tmp_path)
    assert len(counted) == 3
    assert len(list(tmp_path.iterdir())) == 3


@pytest.mark.parametrize(
    "damage", [b"", b"{", b"[]", b"\xff\xfe", b'{"block": 3}', b'{"block": true}', b'{"block": "4"}', b"[" * 100_000]
)
def test_a_damaged_file_is_measured_again(tmp_path, counted, damage):
    best = measured_block(run, X, sizes=(1, 4), folder=tmp_path)
    (kept,) = tmp_path.iterdir()
    kept.write_bytes(damage)
    assert measured_block(run, X, sizes=(1, 4), folder=tmp_path) in (1, 4)
    assert len(counted) == 2
    assert json.loads(kept.read_text())["block"] in (1, 4)
    assert best in (1, 4)


def test_a_folder_that_cannot_be_written_is_said(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.warns(UserWarning, match="could not be kept"):
        assert measured_block(run, X, sizes=(1, 4), folder=tmp_path / "file" / "blocks") in (1, 4)


def test_writers_at_once_leave_one_whole_file(tmp_path):
    path = tmp_path / "answer.json"
    documents = [{"block": size, "seconds": {str(n): 1.0 for n in range(5000)}} for size in (1, 2, 4, 8)]
    writers = [threading.Thread(target=blocks._remember, args=(path, document)) for document in documents * 5]
    for writer in writers:
        writer.start()
    while any(writer.is_alive() for writer in writers):
        assert not path.exists() or blocks._remembered(path, (1, 2, 4, 8)) is not None
    assert [kept.name for kept in tmp_path.iterdir()] == ["answer.json"]


def test_what_does_not_fit_in_memory_is_not_chosen(tmp_path, monkeypatch):
    real = blocks.in_blocks

    def exhausted(function, block):
        def fail(inputs):
            raise RuntimeError("RESOURCE_EXHAUSTED: out of memory")

        return fail if block == 8 else real(function, block)

    monkeypatch.setattr(blocks, "in_blocks", exhausted)
    assert measured_block(run, X, sizes=(8, 2), folder=tmp_path) == 2


def test_an_error_of_the_function_is_raised(tmp_path):
    def broken(x):
        raise ValueError("no such layer")

    with pytest.raises(ValueError, match="no such layer"):
        measured_block(broken, X, sizes=(1, 2), folder=tmp_path)


def test_candidates(monkeypatch):
    assert candidates(1) == (1,)
    assert candidates(6) == (1, 2, 4)
    monkeypatch.setattr(blocks.jax, "default_backend", lambda: "gpu")
    assert candidates(1000) == (1000, 250, 62, 15, 3)
    assert candidates(2) == (2, 1)


@pytest.mark.parametrize(
    ("flags", "whole"),
    [
        ("", False),
        ("--xla_backend_extra_options=xla_cpu_small_while_loop_byte_threshold=1024", False),
        ("--xla_backend_extra_options=a=b,xla_cpu_small_while_loop_byte_threshold=1000000", True),
    ],
)
def test_whether_loops_are_in_one_piece_is_read_from_the_flags(monkeypatch, flags, whole):
    monkeypatch.setenv("XLA_FLAGS", flags)
    assert loops_in_one_piece() is whole


def test_too_late_for_whole_loops(monkeypatch):
    monkeypatch.setenv("XLA_FLAGS", "--xla_cpu_multi_thread_eigen=false")
    jax.devices()
    assert not blocks.whole_loops()
    monkeypatch.setenv("XLA_FLAGS", "--xla_backend_extra_options=xla_cpu_small_while_loop_byte_threshold=7")
    assert blocks.whole_loops()  # as the user wants it


PROGRAM = """
import os
os.environ["XLA_FLAGS"] = {flags!r}
import numpy as np
from idealab.simulate.blocks import loops_in_one_piece, whole_loops
assert whole_loops() and loops_in_one_piece()
import jax, jax.numpy as jnp
jax.config.update("jax_enable_x64", True)
from idealab.simulate import LOGISTIC, descend, margin_gradient
x = np.random.default_rng(0).standard_normal({shape})
c = np.random.default_rng(1).uniform(0.5, 2.0, len(x))
run = jax.jit(lambda x: descend(margin_gradient(LOGISTIC, x, {weights}), jnp.zeros(x.shape[1]), 1e-4, (50,))[-1])
assert "small_call" in run.lower(x).compile().as_text()
w = np.zeros(x.shape[1])
for _ in range(50):
    w = w + 1e-4 * ({weights} / (1 + np.exp(x @ w))) @ x
np.testing.assert_allclose(run(x), w, rtol=1e-12, atol=1e-14)
"""


@pytest.mark.parametrize(
    ("flags", "shape", "weights"),
    [
        ("", (500, 100), "np.ones(len(x))"),
        ("--xla_backend_extra_options=xla_cpu_optimize_for_size=false", (501, 100), "c"),
        ("", (24, 6), "c"),
    ],
)
def test_large_data_go_tile_by_tile_where_loops_are_in_one_piece(flags, shape, weights):
    program = PROGRAM.format(flags=flags, shape=shape, weights=weights)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr


def test_no_warning_when_the_answer_is_kept(tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        measured_block(run, X, sizes=(1, 2), folder=tmp_path)
