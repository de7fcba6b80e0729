"""Exchange: records in one zip file, with a manifest of their names and sizes.

``manifest.json`` and ``objects/ab/<sha256>.json``, as they lie in a ledger; the same records make the same bytes.
Importing reads members one by one into memory and never extracts a path; nothing is evaluated, imported or unpickled,
since records are JSON and formulas in them are text. A bundle is taken whole or refused whole: every member is checked
before the first is written.
"""

from __future__ import annotations

import hashlib
import json
import re
import time
import zipfile
import zlib
from collections.abc import Callable, Collection, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, cast

from idealab.errors import LedgerError, UsageError
from idealab.ledger.health import FUTURE, complaint, in_the_future
from idealab.ledger.index import Entry, entry_of
from idealab.ledger.records import BATCH, DECLARATION, LARGEST, VERIFICATION, canonical, decode
from idealab.ledger.store import Ledger

BUNDLE = "idealab/bundle/1"
MANIFEST = "manifest.json"
MOST_RECORDS = 200_000
MOST_BYTES = 2**30
"""What a bundle may hold in all, unpacked."""
MOST_PACKED = 100
"""How many times the size of its file a bundle may unpack to, above 16 MiB: numbers pack two or three times, bombs a
thousand times."""
_SMALL = 16 * 2**20

_MEMBER = re.compile(r"objects/([0-9a-f]{2})/(\1[0-9a-f]{62})\.json", re.ASCII)
_WRITTEN = (1980, 1, 1, 0, 0, 0)  # the earliest time that zip knows: bundles do not tell when they were made
_BROKEN = (
    zipfile.BadZipFile,
    zlib.error,
    EOFError,
    NotImplementedError,
    RuntimeError,
    OSError,
    ValueError,
    OverflowError,
)
Step = Callable[[], None]


@dataclass(frozen=True)
class Imported:
    """What came in: how many records were ``new``, how many were ``known`` already; ``ahead`` are dated wrongly."""

    new: int
    known: int
    ahead: tuple[str, ...]


def export(ledger: Ledger, records: Collection[str], file: Path, step: Step = lambda: None) -> int:
    """Write records to a bundle, with all that they rest on; of a declaration also all that rests on it.

    Parameters
    ----------
    records
        Full names; none stands for the whole ledger.
    step
        Called after each record.

    Returns
    -------
    int
        How many records the bundle holds.

    Raises
    ------
    UsageError
        If there is such a file already, or nothing to write.
    LedgerError
        If one of the records is missing or damaged, or the file cannot be written.
    """
    names = _closed(ledger, records or ledger.find(certain=True))
    if not names:
        raise UsageError(f"the ledger {ledger.path} holds no record to export; name another with --ledger")
    try:
        with file.open("xb") as stream:
            try:
                _write(stream, ledger, names, step)
            except BaseException:
                file.unlink(missing_ok=True)
                raise
    except FileExistsError:
        raise UsageError(f"{file} is there already; give another name, or move it away") from None
    except OSError as error:
        raise LedgerError(f"{file} cannot be written ({error.strerror}); see to the disk, or choose another") from error
    return len(names)


def _write(stream: IO[bytes], ledger: Ledger, names: Sequence[str], step: Step) -> None:
    with zipfile.ZipFile(stream, "w") as bundle:
        sizes: dict[str, int] = {}
        for sha in names:
            data = canonical(ledger.get(sha))
            if hashlib.sha256(data).hexdigest() != sha:
                raise LedgerError(
                    f"record {sha[:12]} is not in canonical form, so not written by idealab; move it away"
                )
            sizes[sha] = len(data)
            bundle.writestr(_info(f"objects/{sha[:2]}/{sha}.json"), data)
            step()
        bundle.writestr(_info(MANIFEST), canonical({"schema": BUNDLE, "records": sizes}))


def _closed(ledger: Ledger, records: Collection[str]) -> list[str]:
    """The records with all that they rest on, and with all that rests on the declarations among them."""
    names = set(records)
    for sha in records:
        record = ledger.get(sha)
        names |= set(record.get("parents", ()))
        if record["schema"] == DECLARATION:
            names |= set(ledger.find(parent=sha, certain=True))
    return sorted(names)


def _info(name: str) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name, _WRITTEN)
    info.compress_type = zipfile.ZIP_DEFLATED
    info.external_attr = 0o644 << 16
    return info


def import_bundle(ledger: Ledger, file: Path, step: Step = lambda: None) -> Imported:
    """Check a bundle, then write its records to a ledger.

    Parameters
    ----------
    step
        Called twice for each record: when it has been checked, and when it has been written.

    Raises
    ------
    LedgerError
        If anything about the bundle is not as it must be; then nothing was written. Or if the ledger cannot be written;
        then importing again goes on.
    """
    with _opened(file) as bundle:
        members = _members(file, bundle)
        entries: dict[str, Entry] = {}
        for sha, info in members.items():
            entries[sha] = _checked(file, bundle, sha, info)
            step()
        _check_kin(file, ledger, entries)
        ledger.ensure_writable()
        known = 0
        # What others rest on comes first: an import that is killed leaves nothing without its parents.
        for kind in (DECLARATION, BATCH, VERIFICATION):
            with ledger.together():
                for sha in sorted(sha for sha, entry in entries.items() if entry.schema == kind):
                    known += not ledger.take(sha, _read(file, bundle, members[sha], sha), entries[sha])
                    step()
    now = time.time()
    ahead = tuple(words for sha, entry in entries.items() if (words := in_the_future(sha, entry, now)))
    return Imported(len(entries) - known, known, ahead)


@contextmanager
def _opened(file: Path) -> Generator[zipfile.ZipFile]:
    try:
        if not file.is_file():
            raise UsageError(f"{file} is no file; give a bundle that `idealab ledger export` has written")
        if file.stat().st_size > MOST_BYTES:
            raise _refusal(file, f"it is larger than {MOST_BYTES >> 20} MiB; export in parts")
        bundle = zipfile.ZipFile(file)
    except _BROKEN as error:
        words = " ".join(str(getattr(error, "strerror", None) or error).split())
        raise _refusal(file, f"it cannot be read as a zip file ({words}); get a whole copy") from error
    with bundle:
        yield bundle


def _members(file: Path, bundle: zipfile.ZipFile) -> dict[str, zipfile.ZipInfo]:
    """The members that are records, by name; every other thing that a zip file can hold is refused."""
    infos = bundle.infolist()
    if len(infos) > MOST_RECORDS + 1:
        raise _refusal(file, f"it holds {len(infos)} members, and {MOST_RECORDS} records are allowed; export in parts")
    members: dict[str, zipfile.ZipInfo] = {}
    for info in infos:
        if info.filename in members:
            raise _refusal(file, f"it holds {_short(info.filename)} twice")
        if info.filename != MANIFEST and not _MEMBER.fullmatch(info.filename):
            raise _refusal(file, f"it holds {_short(info.filename)}, and only records and a manifest belong there")
        if info.file_size > LARGEST:
            raise _refusal(file, f"{_short(info.filename)} says it unpacks to more than {LARGEST >> 20} MiB")
        members[info.filename] = info
    declared = sum(info.file_size for info in infos)
    if declared > MOST_BYTES:
        words = f"it says it unpacks to {declared / 2**20:.0f} MiB, and {MOST_BYTES >> 20} are allowed"
        raise _refusal(file, f"{words}; export in parts")
    if declared > max(_SMALL, MOST_PACKED * file.stat().st_size):
        raise _refusal(file, f"it says it unpacks to {MOST_PACKED} times its size and more, as a zip bomb does")
    if sum(info.compress_size for info in infos) > file.stat().st_size:
        raise _refusal(file, "its members overlap, as in a zip bomb")
    if MANIFEST not in members:
        raise _refusal(file, f"it has no {MANIFEST}")
    sizes = _manifest(file, _read(file, bundle, members.pop(MANIFEST), MANIFEST))
    found = {Path(name).stem: info for name, info in members.items()}
    if found.keys() != sizes.keys():
        one = min(found.keys() ^ sizes.keys())
        where = "is not in its manifest" if one in found else "is in its manifest, but not there"
        raise _refusal(file, f"{one[:12]} {where} ({len(found.keys() ^ sizes.keys())} such); get a whole copy")
    for sha, info in found.items():
        if info.file_size != sizes[sha]:
            raise _refusal(file, f"{sha[:12]} is said to hold {sizes[sha]} bytes, and {info.file_size}")
    return found


def _manifest(file: Path, data: bytes) -> dict[str, Any]:
    if data.count(b",") + data.count(b"[") + data.count(b"{") > 2 * MOST_RECORDS:
        raise _refusal(file, f"its {MANIFEST} lists more than {MOST_RECORDS} records; export in parts")
    try:
        found = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise _refusal(file, f"its {MANIFEST} is no JSON; get a whole copy") from error
    manifest = cast("dict[str, Any]", found if isinstance(found, dict) else {})
    schema, records = manifest.get("schema"), manifest.get("records")
    if schema != BUNDLE:
        other = isinstance(schema, str) and re.fullmatch(r"idealab/bundle/\d+", schema)
        remedy = "written by another version of idealab: upgrade" if other else "it is no bundle of idealab"
        raise _refusal(file, f"schema={_short(schema)}, expected {BUNDLE!r}; {remedy}")
    if not isinstance(records, dict):
        raise _refusal(file, f"its {MANIFEST} lists no records")
    return cast("dict[str, Any]", records)


def _checked(file: Path, bundle: zipfile.ZipFile, sha: str, info: zipfile.ZipInfo) -> Entry:
    """What the index will know of a member; it must be what its name says, in the one form that a record has."""
    data = _read(file, bundle, info, sha)
    if hashlib.sha256(data).hexdigest() != sha:
        raise _refusal(file, f"{sha[:12]} is not what its name says: cut short, edited or renamed; get a whole copy")
    try:
        record = decode(data)
        same = canonical(record) == data
    except LedgerError as error:
        raise _refusal(file, f"{sha[:12]}: {error}") from error
    if not same:
        raise _refusal(file, f"{sha[:12]} is not in canonical form (RFC 8785), and so not written by idealab")
    return entry_of(record, time.time())


def _check_kin(file: Path, ledger: Ledger, entries: dict[str, Entry]) -> None:
    def known(sha: str) -> Entry | None:
        if sha in entries:
            return entries[sha]
        try:
            return entry_of(ledger.get(sha), 0.0)
        except LedgerError:
            return None

    now = time.time() + FUTURE
    for sha, entry in entries.items():
        if words := complaint(sha, entry, known) or in_the_future(sha, entry, now):
            raise _refusal(file, words)


def _read(file: Path, bundle: zipfile.ZipFile, info: zipfile.ZipInfo, name: str) -> bytes:
    """The bytes of a member, which are never more than it declares, whatever lies in the file."""
    try:
        with bundle.open(info) as stream:
            data = stream.read(info.file_size + 1)
    except _BROKEN as error:
        words = " ".join(str(error).split())
        raise _refusal(file, f"{name[:12]} cannot be read ({words}); get a whole copy") from error
    if len(data) != info.file_size:
        raise _refusal(file, f"{name[:12]} is shorter or longer than it says; get a whole copy")
    return data


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."


def _refusal(file: Path, words: str) -> LedgerError:
    return LedgerError(f"the bundle {file} is refused, and nothing was imported: {words}")
