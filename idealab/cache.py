"""Files in a cache directory: whole or not at all, with their own hash in front; the oldest make room for new ones."""

from __future__ import annotations

import hashlib
import os
import tempfile
from contextlib import suppress
from pathlib import Path


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
