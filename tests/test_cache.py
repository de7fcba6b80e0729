"""Files in a cache directory."""

from __future__ import annotations

import os

import pytest

from idealab.cache import read_kept, remembered, write_kept


def test_the_oldest_make_room(tmp_path):
    for k in range(4):
        write_kept(tmp_path / f"{k}", b"x" * 68, 250)
        os.utime(tmp_path / f"{k}", (k, k))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["1", "2", "3"]


@pytest.mark.parametrize("damage", [lambda content: content[:-1], lambda content: b"y" + content[1:], lambda _: b""])
def test_what_is_damaged_is_not_there(tmp_path, damage):
    path = tmp_path / "kept"
    assert read_kept(path) is None
    write_kept(path, b"weights", 250)
    assert read_kept(path) == b"weights"
    path.write_bytes(damage(path.read_bytes()))
    assert read_kept(path) is None


def test_what_was_made_is_taken_from_there_until_it_is_damaged_or_means_another(tmp_path, monkeypatch):
    monkeypatch.setattr("platformdirs.user_cache_path", lambda *_: tmp_path)
    calls = []

    def make():
        calls.append(1)
        return {"made": len(calls)}

    assert [remembered("room", "key", make)["made"] for _ in range(3)] == [1, 1, 1]
    assert remembered("room", "another", make)["made"] == 2
    for path in (tmp_path / "room").iterdir():
        path.write_bytes(b"torn")
    assert remembered("room", "key", make)["made"] == 3


def test_a_directory_that_cannot_be_written_costs_time_alone(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setattr("platformdirs.user_cache_path", lambda *_: tmp_path / "file")
    assert remembered("room", "key", lambda: 7) == 7
