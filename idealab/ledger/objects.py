"""The objects of a ledger: files that are named by the hash of their bytes, written once, whole or not at all.

``objects/ab/<sha256>.json`` has that name only once its bytes are on the disk, and is never changed or deleted.

This is all that the ledger asks of a file system: making a file of a random name and no other's, fsync, rename over a
name, reading a file by its name, listing a folder. No lock, append, link or memory map, which network file systems have
only in part. What these do otherwise costs time and no evidence: a listing may be old (what is missing in it is
simulated or written again, to the same bytes), and a request that was sent twice may report that there is no such file,
or that there is one already, although it was done (it is done again).
"""

from __future__ import annotations

import errno
import hashlib
import os
import re
import stat
import time
from collections.abc import Generator
from contextlib import contextmanager, suppress
from io import FileIO
from pathlib import Path
from typing import Any

from idealab.errors import LedgerError
from idealab.ledger.records import LARGEST, decode

_OBJECT = re.compile(r"([0-9a-f]{2})/(\1[0-9a-f]{62})\.json", re.ASCII)
_TEMPORARY = re.compile(r"(?:[0-9a-f]{2}/)?\.(?:[0-9a-f]+-[0-9]+\.tmp|nfs[0-9a-f]+)", re.ASCII)
"""Of a process that was killed; or what NFS calls a file that is deleted or replaced while somebody reads it."""
_ABANDONED = 24 * 3600.0  # seconds after which a temporary file belongs to no living process
_REMEDY = {
    errno.ENOSPC: "the disk is full: free some space",
    errno.EDQUOT: "the quota is used up: free some space",
    errno.EFBIG: "a limit on the size of files is reached: raise it (ulimit -f)",
    errno.EIO: "the disk is at fault: see to it",
} | {code: "it is not a directory: move that file away" for code in (errno.ENOTDIR, errno.EEXIST, errno.EISDIR)}
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)


class Objects:
    """The object files below the directory ``path`` of a ledger, which the first `write` creates."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lasting = set[str]()  # folders that this process knows to outlive a power cut
        self._unsettled: set[Path] | None = None  # folders whose names `together` makes durable at its end

    def file(self, sha: str) -> Path:
        """Return where the record of this name is, or would be."""
        return self.path / f"objects/{sha[:2]}/{sha}.json"

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
                    inside = (
                        [f"{entry.name}/{name}" for name in os.listdir(entry)] if _is_folder(entry) else [entry.name]
                    )
                    found.extend(inside)
        except OSError as error:
            if isinstance(error, FileNotFoundError) and not os.path.exists(root):
                return []  # no ledger yet
            raise self._refusal("read", error) from error
        return found

    def read(self, sha: str, most: int = LARGEST + 1) -> tuple[bytes, float] | None:
        """Return the first bytes under a record's name, unchecked, and when they came into this ledger; None if absent.

        Raises
        ------
        LedgerError
            If they cannot be read, or it is no file that holds bytes: a pipe would be waited for without end.
        """
        file = self.file(sha)
        for again in (True, False):
            try:
                return self._read(file, most)
            except OSError as error:
                # On NFS, where somebody has just put the same bytes in its place.
                if error.errno == errno.ESTALE and again:
                    continue
                raise LedgerError(f"record {file} cannot be read ({error.strerror}); restore it from a copy") from error
        raise AssertionError

    def _read(self, file: Path, most: int) -> tuple[bytes, float] | None:
        try:
            with open(file, "rb", buffering=0, opener=_without_waiting) as stream:
                about = os.fstat(stream.fileno())
                if stat.S_ISREG(about.st_mode):
                    return _first(stream, min(most, about.st_size + 1)), about.st_mtime
        except (FileNotFoundError, NotADirectoryError):
            return None
        raise LedgerError(f"record {file} is no regular file; move it away")

    def begins(self, sha: str, beginning: bytes) -> bool:
        """Tell whether the file under a record's name can be read and begins with these bytes."""
        try:
            found = self.read(sha, len(beginning))
        except LedgerError:
            return False
        return found is not None and found[0] == beginning

    def load(self, sha: str) -> tuple[dict[str, Any], float]:
        """Read and check a record; with it, the time when it came into this ledger."""
        found = self.read(sha)
        if found is None:
            raise LedgerError(f"no record {sha} in {self.path}; import it, or name its ledger with --ledger")
        data, recorded = found
        if len(data) > LARGEST:
            raise LedgerError(
                f"record {self.file(sha)} is larger than {LARGEST >> 20} MiB, so not written by idealab; move it away"
            )
        if hashlib.sha256(data).hexdigest() != sha:
            raise LedgerError(
                f"record {self.file(sha)} is damaged: its content is not what its name says (cut short, edited or "
                "renamed); move it away, then put a sound copy in its place or run again"
            )
        try:
            return decode(data), recorded
        except LedgerError as error:
            raise LedgerError(f"record {self.file(sha)}: {error}") from error

    def not_canonical(self, sha: str) -> str:
        """Words on a record whose bytes are not those that idealab writes for what they say."""
        return f"record {self.file(sha)} is not in canonical form, so not written by idealab; move it away"

    @property
    def there(self) -> bool:
        """Whether there is such a directory, with records in it or none yet."""
        return os.path.isdir(self.path / "objects")

    def write(self, sha: str, data: bytes) -> None:
        """Make the bytes visible under their name, all at once and only when they have reached the disk."""
        self._write(self.file(sha), data)

    def set_aside(self, sha: str) -> Path:
        """Take the name from a damaged record, which stays beside it as ``<sha256>.damaged``; return its file."""
        file = self.file(sha)
        aside = file.with_suffix(".damaged")
        try:
            with suppress(FileNotFoundError):  # another process has just done the same
                os.replace(file, aside)
        except OSError as error:
            raise self._refusal("written", error) from error
        return aside

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
        for again in (True, True, False):
            try:
                return self._write_once(target, data)
            except OSError as error:
                # The folder or the temporary was cleared away (clocks jump, people delete), or NFS has asked twice.
                if error.errno in (errno.ENOENT, errno.EEXIST, errno.ESTALE) and again:
                    self._lasting.clear()
                    continue
                raise self._refusal("written", error) from error

    def _write_once(self, target: Path, data: bytes) -> None:
        temporary = target.parent / _temporary_name()
        self._make(target.parent)
        try:
            handle = os.open(temporary, _NEW, 0o666)
            try:
                rest = memoryview(data)
                while rest:
                    rest = rest[os.write(handle, rest) :]
                os.fsync(handle)
            finally:
                os.close(handle)
            os.replace(temporary, target)
        except BaseException:
            with suppress(OSError):
                os.unlink(temporary)
            raise
        self._settle(target.parent)

    @contextmanager
    def together(self) -> Generator[None]:
        """Many records at once, of which none rests on another: all outlive a power cut when this ends.

        Each is whole or not there, as ever; the names in a folder are made durable once, at the end. Until then, what
        another process reads of them is not safe from a power cut.
        """
        self._unsettled = folders = set[Path]()
        try:
            yield
        finally:  # also where something went wrong: what is written is there
            self._unsettled = None
            try:
                for folder in sorted(folders):
                    _sync(folder)
            except BaseException as error:  # an interrupt too: some of these folders were not synced
                self._lasting.clear()
                if isinstance(error, OSError):
                    raise self._refusal("written", error) from error
                raise

    def settle(self, sha: str) -> None:
        """Make the name of a record durable that is there: whoever wrote it may have been killed before that."""
        try:
            self._settle(self.file(sha).parent)
        except OSError as error:
            raise self._refusal("written", error) from error

    def _settle(self, folder: Path) -> None:
        if self._unsettled is None:
            _sync(folder)
        else:
            self._unsettled.add(folder)

    def _make(self, folder: Path) -> None:
        """Make a folder of the ledger, and the names of it and of those above it durable (in `together` at its end)."""
        if str(folder) in self._lasting:
            return
        absent = {place for place in (folder, *folder.parents) if not os.path.isdir(place)}
        os.makedirs(folder, exist_ok=True)
        # Also those that are there: a process that was killed may have made them without coming to this. With a folder
        # all become durable that stand beside it by now, whoever has made them.
        root = self.path / "objects"
        beside = {f"{root}{os.sep}{name}" for name in os.listdir(root)} if folder.parent == root else set[str]()
        for place in sorted(absent | {self.path, root, folder}):
            if str(place) not in self._lasting:
                self._settle(place.parent)
                self._lasting.add(str(place))
        self._lasting |= beside

    def _refusal(self, verb: str, error: OSError) -> LedgerError:
        remedy = _REMEDY.get(error.errno or 0, "see to its permissions")
        return LedgerError(
            f"the ledger {self.path} cannot be {verb} ({error.strerror}); {remedy}, "
            "or choose another place with --ledger or IDEALAB_LEDGER"
        )


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself
        return False


def _without_waiting(file: str, flags: int) -> int:
    return os.open(file, flags | getattr(os, "O_NONBLOCK", 0))


def _first(stream: FileIO, most: int) -> bytes:
    """The first bytes of a file, as many as there are."""
    data = stream.read(most)
    while len(data) < most and (more := stream.read(most - len(data))):
        data += more
    return data


def _temporary_name() -> str:
    return f".{os.urandom(8).hex()}-{os.getpid()}.tmp"


def _sync(folder: Path) -> None:
    """Make the names in a directory durable, where the file system can."""
    with suppress(PermissionError):  # Windows cannot open a directory
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        except OSError as error:
            if error.errno not in (
                errno.EINVAL,
                errno.ENOTSUP,
                errno.EBADF,
            ):  # some network file systems have no such thing
                raise
        finally:
            os.close(handle)
