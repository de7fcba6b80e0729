"""Files in a cache directory: whole or not at all, with their own hash in front; the oldest make room for new ones.

Whoever can write to the user's cache directory can run code here, as with any cache of programs.
"""

from __future__ import annotations

import hashlib
import os
import pickle
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

import platformdirs

Made = TypeVar("Made")

_MOST_BYTES = 2**26


def remembered(folder: str, key: str, make: Callable[[], Made]) -> Made:
    """What ``make`` gives, from the user's cache directory if it was made under the same ``key`` before.

    What is damaged there, or of another version, is made anew. ``key`` must say everything that decides it.
    """
    path = platformdirs.user_cache_path("idealab") / folder / hashlib.sha256(key.encode()).hexdigest()
    with suppress(Exception):
        if content := read_kept(path):
            return pickle.loads(content)
    made = make()
    with suppress(Exception):  # nothing depends on it
        write_kept(path, pickle.dumps(made), _MOST_BYTES)
    return made


def read_kept(path: Path) -> bytes | None:
    """What was written there, or None where nothing is, or something damaged."""
    with suppress(OSError):
        content = path.read_bytes()
        if hashlib.sha256(content[32:]).digest() == content[:32]:
            os.utime(path)
            return content[32:]
    return None


def write_kept(path: Path, content: bytes, most_bytes: int) -> None:
    """Write, and let what was not used for longest go where the folder holds more than ``most_bytes``.

    Other processes may do the same at once. Raises `OSError` where nothing can be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    kept: list[tuple[float, int, Path]] = []
    for there in path.parent.iterdir():
        with suppress(FileNotFoundError):
            told = there.stat()
            kept.append((told.st_mtime, told.st_size, there))
    total = sum(size for _, size, _ in kept)
    for _, size, oldest in sorted(kept):
        if total <= most_bytes:
            break
        oldest.unlink(missing_ok=True)
        total -= size
    with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as file:
        try:
            file.write(hashlib.sha256(content).digest() + content)
            file.flush()
            Path(file.name).replace(path)
        except OSError:  # a full disk, most often
            Path(file.name).unlink(missing_ok=True)
            raise
