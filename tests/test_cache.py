"""Files in a cache directory."""

from __future__ import annotations

import os

import pytest

from idealab.cache import read_kept, write_kept


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
