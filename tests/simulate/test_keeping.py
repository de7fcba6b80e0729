"""What is kept: found again under all that made it, and never trusted."""

from __future__ import annotations

import hashlib
import io
import threading
import time

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from idealab.errors import UsageError
from idealab.simulate import keeping, kept

CALLS: list[float] = []
KEY = jax.random.key(3)


def made(key, settings, *inputs):
    jax.debug.callback(lambda: CALLS.append(1.0))
    inside = {"b": jnp.full(3, settings["size"], "float32"), "c": sum(inputs, jnp.zeros(()))}
    return {"a": jax.random.normal(key, (2,)), "inside": inside}


def slow(key, settings):
    jax.debug.callback(lambda: (CALLS.append(1.0), time.sleep(0.3)))
    return {"a": jax.random.normal(key)}


def misnamed(key, settings):
    return {"a/b": jnp.zeros(())}


@pytest.fixture(autouse=True)
def another_process(monkeypatch):
    CALLS.clear()
    monkeypatch.setattr(keeping, "_MADE", {})


def forget(monkeypatch):
    """Only what is on the disk is left."""
    monkeypatch.setattr(keeping, "_MADE", {})


def calls():
    jax.effects_barrier()
    return len(CALLS)


def test_it_is_made_once_and_found_again_with_the_same_bits(tmp_path, monkeypatch):
    first = kept(made, KEY, {"size": 2.0}, jnp.ones(()), folder=tmp_path)
    again = kept(made, KEY, {"size": 2.0}, jnp.ones(()), folder=tmp_path)
    forget(monkeypatch)
    stored = kept(made, KEY, {"size": 2.0}, jnp.ones(()), folder=tmp_path)
    assert calls() == 1
    assert again is first
    expected = made(KEY, {"size": 2.0}, jnp.ones(()))
    for found in (first, stored):
        np.testing.assert_array_equal(found["a"], expected["a"])
        np.testing.assert_array_equal(found["inside"]["b"], np.full(3, 2.0))
        assert found["inside"]["b"].dtype == np.float32
        assert found["inside"]["c"] == 1.0


@pytest.mark.parametrize(
    "other",
    [
        {"key": jax.random.key(4)},
        {"settings": {"size": 3.0}},
        {"inputs": (jnp.full((), 2.0),)},
        {"inputs": (jnp.ones((), "float32"),)},
        {"sources": (jnp.linalg.norm,)},
    ],
    ids=str,
)
def test_what_is_made_of_something_else_is_not_the_same(tmp_path, other):
    plain = {"key": KEY, "settings": {"size": 2.0}, "inputs": (jnp.ones(()),), "sources": ()}
    for asked in (plain, plain | other):
        kept(made, asked["key"], asked["settings"], *asked["inputs"], sources=asked["sources"], folder=tmp_path)
    assert calls() == 2
    assert len(list(tmp_path.iterdir())) == 2


def test_another_precision_is_not_the_same(tmp_path):
    kept(made, KEY, {"size": 2.0}, folder=tmp_path)
    with jax.enable_x64(False):
        assert kept(made, KEY, {"size": 2.0}, folder=tmp_path)["a"].dtype == np.float32
    assert calls() == 2


@pytest.mark.parametrize("damage", ["cut", "flipped", "empty", "pickled"])
def test_what_is_damaged_is_made_anew(tmp_path, monkeypatch, damage):
    kept(made, KEY, {"size": 2.0}, folder=tmp_path)
    (path,) = tmp_path.iterdir()
    content = path.read_bytes()
    buffer = io.BytesIO()
    np.savez(buffer, a=np.array([print, {}], dtype=object))
    pickled = hashlib.sha256(buffer.getvalue()).digest() + buffer.getvalue()
    flipped = content[:50] + bytes([content[50] ^ 1]) + content[51:]
    path.write_bytes({"cut": content[:-7], "flipped": flipped, "empty": b"", "pickled": pickled}[damage])
    forget(monkeypatch)
    np.testing.assert_array_equal(kept(made, KEY, {"size": 2.0}, folder=tmp_path)["a"], jax.random.normal(KEY, (2,)))
    assert calls() == 2
    assert path.read_bytes() == content


def test_nothing_depends_on_the_disk(tmp_path):
    (tmp_path / "file").write_text("no folder")
    np.testing.assert_array_equal(
        kept(made, KEY, {"size": 2.0}, folder=tmp_path / "file")["inside"]["b"], np.full(3, 2.0)
    )


def test_where_the_key_is_traced_it_is_just_made(tmp_path):
    mapped = jax.vmap(lambda key: kept(made, key, {"size": 2.0}, folder=tmp_path)["a"])(jax.random.split(KEY, 3))
    assert mapped.shape == (3, 2)
    assert not list(tmp_path.iterdir())


def test_threads_wait_for_the_one_that_makes_it(tmp_path):
    found = []
    threads = [threading.Thread(target=lambda: found.append(kept(slow, KEY, {}, folder=tmp_path))) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert calls() == 1
    assert found[0] is found[1] is found[2]


def test_what_failed_is_tried_again(tmp_path):
    for _ in range(2):
        with pytest.raises(UsageError, match="name='a/b' of an array: it must hold no slash"):
            kept(misnamed, KEY, {}, folder=tmp_path)


def test_settings_are_what_json_can_say(tmp_path):
    with pytest.raises(UsageError, match="must be what JSON can say"):
        kept(made, KEY, {"size": jnp.ones(3)}, folder=tmp_path)


def test_the_oldest_goes_first(tmp_path, monkeypatch):
    monkeypatch.setattr(keeping, "_MOST_BYTES", 1)
    kept(made, KEY, {"size": 2.0}, folder=tmp_path)
    kept(made, KEY, {"size": 3.0}, folder=tmp_path)
    assert len(list(tmp_path.iterdir())) == 1
