"""The objects of a ledger: files that are named by the hash of their bytes, written once, whole or not at all.

``objects/ab/<sha256>.json`` has that name only once its bytes are on the disk, and is never changed or deleted.
"""

from __future__ import annotations

import errno
import hashlib
import os
import re
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from idealab.errors import LedgerError
from idealab.ledger.records import LARGEST, decode

_OBJECT = re.compile(r"([0-9a-f]{2})/(\1[0-9a-f]{62})\.json", re.ASCII)
_TEMPORARY = re.compile(r"(?:[0-9a-f]{2}/)?\.[0-9a-f]+-[0-9]+\.tmp", re.ASCII)
_ABANDONED = 24 * 3600.0  # seconds after which a temporary file belongs to no living process
_REMEDY = {errno.ENOSPC: "the disk is full: free some space", errno.EDQUOT: "the quota is used up: free some space"} | {
    code: "it is not a directory: move that file away" for code in (errno.ENOTDIR, errno.EEXIST, errno.EISDIR)
}


class Objects:
    """The object files below the directory ``path`` of a ledger, which the first `write` creates."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def file(self, sha: str) -> Path:
        """Return where the record of this name is, or would be."""
        return self.path / "objects" / sha[:2] / f"{sha}.json"

    def names(self) -> set[str]:
        """Return the names of all records, sound or not."""
        return {match[2] for name in self._listing() if (match := _OBJECT.fullmatch(name))}

    def strays(self) -> tuple[list[Path], int]:
        """Return the files that do not belong here, and how many temporaries killed processes have left."""
        others = [name for name in self._listing() if not _OBJECT.fullmatch(name)]
        foreign = [self.path / "objects" / name for name in others if not _TEMPORARY.fullmatch(name)]
        return foreign, len(others) - len(foreign)

    def _listing(self) -> list[str]:
        """List all files below ``objects``, as "ab/name", or "name" for what lies beside the folders."""
        root = self.path / "objects"
        found: list[str] = []
        try:
            with os.scandir(root) as entries:
                for entry in entries:
                    inside = [f"{entry.name}/{name}" for name in os.listdir(entry)] if entry.is_dir() else [entry.name]
                    found.extend(inside)
        except OSError as error:
            if isinstance(error, FileNotFoundError) and not os.path.exists(root):
                return []  # no ledger yet
            raise self._refusal("read", error) from error
        return found

    def load(self, sha: str) -> tuple[dict[str, Any], float]:
        """Read and check a record; with it, the time when it came into this ledger."""
        file = self.file(sha)
        try:
            with file.open("rb") as stream:
                data, recorded = stream.read(LARGEST + 1), os.fstat(stream.fileno()).st_mtime
        except FileNotFoundError:
            raise LedgerError(f"no record {sha} in {self.path}; import it, or name its ledger with --ledger") from None
        except OSError as error:
            raise LedgerError(f"record {file} cannot be read ({error.strerror}); restore it from a copy") from error
        if hashlib.sha256(data).hexdigest() != sha:
            raise LedgerError(
                f"record {file} is damaged: its content is not what its name says (cut short, edited or renamed); "
                "move it away, then put a sound copy in its place or run again"
            )
        try:
            return decode(data), recorded
        except LedgerError as error:
            raise LedgerError(f"record {file}: {error}") from error

    def write(self, sha: str, data: bytes) -> None:
        """Make the bytes visible under their name, all at once and only when they have reached the disk."""
        self._write(self.file(sha), data)

    def ensure_writable(self) -> None:
        """Write and remove a small file, and clear away temporaries that are older than a day."""
        probe = self.path / "objects" / _temporary_name()
        self._write(probe, b" " * 4096)
        with suppress(OSError):
            probe.unlink()
        for name in filter(_TEMPORARY.fullmatch, self._listing()):
            file = self.path / "objects" / name
            with suppress(OSError):
                if time.time() - file.stat().st_mtime > _ABANDONED:
                    file.unlink()

    def _write(self, target: Path, data: bytes) -> None:
        temporary = target.parent / _temporary_name()
        try:
            if not target.parent.is_dir():
                target.parent.mkdir(parents=True, exist_ok=True)
                for folder in {self.path.parent, self.path, target.parent.parent}:
                    _sync(folder)
            try:
                with temporary.open("xb") as stream:
                    stream.write(data)
                    stream.flush()
                    os.fsync(stream.fileno())
                os.replace(temporary, target)
            finally:
                with suppress(OSError):
                    temporary.unlink()
            _sync(target.parent)
        except OSError as error:
            raise self._refusal("written", error) from error

    def _refusal(self, verb: str, error: OSError) -> LedgerError:
        remedy = _REMEDY.get(error.errno or 0, "see to its permissions")
        return LedgerError(
            f"the ledger {self.path} cannot be {verb} ({error.strerror}); {remedy}, "
            "or choose another place with --ledger or IDEALAB_LEDGER"
        )


def _temporary_name() -> str:
    return f".{os.urandom(8).hex()}-{os.getpid()}.tmp"


def _sync(folder: Path) -> None:
    """Make the names in a directory durable, where the file system can."""
    with suppress(PermissionError):  # Windows cannot open a directory
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        except OSError as error:
            if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # some network file systems have no such thing
                raise
        finally:
            os.close(handle)
