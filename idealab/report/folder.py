"""A folder of files that idealab writes again and again, in which it never harms a file that is somebody else's."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, cast

from idealab.errors import UsageError

LISTING = "idealab-files.json"
"""Names and hashes of what was written here, so that it is known again."""

_LARGEST = 1 << 20
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


def write(folder: Path, files: Mapping[str, bytes]) -> list[Path]:
    """Write files into a folder, which is made if it is not there; return the paths.

    A file of the same name is replaced if it was written by this function and has not been changed since. Files that
    were written earlier, are unchanged, and do not belong to this set are removed. Everything else stays as it is.

    Raises
    ------
    UsageError
        If there is a file of one of these names that is not ours or was changed, before anything is written; or if
        the folder cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        before = _listing(folder)
        foreign = [name for name in (*files, LISTING) if not _ours(folder / name, before.get(name), files.get(name))]
        if foreign:
            raise UsageError(
                f"{folder / foreign[0]} was not written by idealab, or was changed since"
                + (f", and so were {len(foreign) - 1} more" if len(foreign) > 1 else "")
                + "; move it away, or choose another folder"
            )
        # The listing comes first, and names old and new: a run that is killed leaves nothing that is not known again.
        hashes = {name: [_digest(data)] for name, data in files.items()}
        kept = {name: [*hashes.get(name, []), *known] for name, known in before.items()}
        _replace(folder / LISTING, _listed(hashes | kept))
        for name, data in files.items():
            _replace(folder / name, data)
        for name in before.keys() - files.keys():
            if _ours(folder / name, before[name], None):
                (folder / name).unlink(missing_ok=True)
        _replace(folder / LISTING, _listed(hashes))
    except OSError as error:
        where = error.filename or folder
        raise UsageError(f"{where} cannot be written ({error.strerror}); choose another folder") from error
    return [folder / name for name in files]


def _ours(file: Path, known: list[str] | None, wanted: bytes | None) -> bool:
    """Whether there is no such file, or one that was written here, or one that says already what is to be written."""
    if not os.path.lexists(file) or file.name == LISTING:
        return file.name != LISTING or not os.path.lexists(file) or bool(_read(file))
    if file.is_symlink() or not file.is_file():
        return False
    there = _digest(file.read_bytes())
    return there in (known or ()) or (wanted is not None and there == _digest(wanted))


def _listing(folder: Path) -> dict[str, list[str]]:
    """What was written here earlier; nothing that the listing says is followed out of the folder."""
    files = _read(folder / LISTING).get("files", {})
    return {
        str(name): [str(sha) for sha in cast("list[Any]", known)]
        for name, known in (cast("dict[Any, Any]", files).items() if isinstance(files, dict) else ())
        if isinstance(known, list) and _NAME.fullmatch(str(name)) and name != LISTING
    }


def _read(file: Path) -> dict[str, Any]:
    """A listing, or nothing if it is none."""
    with suppress(OSError, ValueError, RecursionError):
        if not file.is_symlink() and file.stat().st_size <= _LARGEST:
            found = json.loads(file.read_text("utf-8"))
            if isinstance(found, dict) and cast("dict[str, Any]", found).get("written by") == "idealab":
                return cast("dict[str, Any]", found)
    return {}


def _listed(hashes: Mapping[str, list[str]]) -> bytes:
    return (json.dumps({"written by": "idealab", "files": hashes}, indent=1, sort_keys=True) + "\n").encode()


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _replace(file: Path, data: bytes) -> None:
    """Write a file whole or not at all."""
    temporary = file.with_name(f".{file.name}-{os.getpid()}.tmp")
    try:
        temporary.write_bytes(data)
        os.replace(temporary, file)
    finally:
        temporary.unlink(missing_ok=True)
