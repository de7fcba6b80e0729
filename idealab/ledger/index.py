"""The index of a ledger: what its records say about themselves, kept in SQLite, never trusted, free to be thrown away.

An entry whose checksum does not fit is as good as absent, and the ledger reads the record itself. That finds accidents;
whoever means to lie can compute a checksum, so nothing is decided by an entry (`idealab.ledger.store`). Any failure
(read-only, locked, damaged, a network file system without locks) means no entries.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from contextlib import closing, suppress
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from idealab.ledger.records import BATCH, digest

if TYPE_CHECKING:
    import sqlite3


class Entry(NamedTuple):
    """What the index knows of a record."""

    schema: str
    idea: str
    recorded: float  # seconds since the epoch: when it was created, or else when it came into this ledger
    parents: list[str]
    run: str  # of a batch: the hash of all that it must share with a run that goes on from it; otherwise empty
    master_seed: int  # of a batch; otherwise -1


RUN = ("experiment", "condition", "master_seed", "environment", "precision")
"""What a batch must share with a run that goes on from it, besides the declaration."""


def entry_of(record: Mapping[str, Any], recorded: float) -> Entry:
    """What the index should know of a record that came into this ledger at a time."""
    if created := record.get("created"):
        recorded = datetime.fromisoformat(created).timestamp()
    run, seed = "", -1
    if record["schema"] == BATCH:
        experiment, condition, seed, environment, precision = (record[name] for name in RUN)
        run = _run(experiment, condition, seed, json.dumps(environment, sort_keys=True), precision)
    return Entry(record["schema"], record["idea"], recorded, record.get("parents", []), run, seed)


@lru_cache(maxsize=4096)
def _run(experiment: str, condition: str, master_seed: int, environment: str, precision: str) -> str:
    # The batches of one run follow each other, and canonical JSON is slow.
    return digest(dict(zip(RUN, (experiment, condition, master_seed, json.loads(environment), precision), strict=True)))


class Index:
    """The entries in one SQLite file. `trouble` says why the last use failed, and is empty if it did not."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.trouble = ""

    def recall(self) -> dict[str, Entry]:
        """Return the entries that check out, by the name of their record."""
        rows = self._use("SELECT sha, entry, proof FROM entries")
        found = {sha: _entry(text) for sha, text, proof in rows if proof == _proof(sha, text)}
        return {sha: entry for sha, entry in found.items() if entry is not None}

    def remember(self, entries: Mapping[str, Entry]) -> None:
        """Add entries, or replace them; a failure is not an error."""
        texts = {sha: json.dumps(entry) for sha, entry in entries.items()}
        rows = [(sha, text, _proof(sha, text)) for sha, text in texts.items()]
        self._use("INSERT OR REPLACE INTO entries VALUES (?, ?, ?)", rows)

    def _use(self, statement: str, rows: list[tuple[str, str, str]] | None = None) -> list[Any]:
        import sqlite3  # here, because it is slow to load and an empty ledger needs none

        obstacles = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN}
        obstacles |= {sqlite3.SQLITE_IOERR, sqlite3.SQLITE_FULL, sqlite3.SQLITE_PERM, sqlite3.SQLITE_NOLFS}
        obstacles |= {sqlite3.SQLITE_PROTOCOL}  # no locks, as on some network file systems
        for _ in range(2):
            try:
                with closing(sqlite3.connect(self.file, timeout=1.0)) as connection, connection:
                    self.trouble = ""
                    return _execute(connection, statement, rows)
            except sqlite3.Error as error:
                self.trouble = str(error)
                if getattr(error, "sqlite_errorcode", sqlite3.SQLITE_CORRUPT) & 0xFF in obstacles:
                    break
                # Damaged, or not ours. The journal goes first: SQLite would roll it into the next index.
                with suppress(OSError):
                    Path(f"{self.file}-journal").unlink(missing_ok=True)
                    self.file.unlink(missing_ok=True)
        return []


def _execute(connection: sqlite3.Connection, statement: str, rows: list[tuple[str, str, str]] | None) -> list[Any]:
    connection.execute("PRAGMA synchronous = OFF")  # a power cut may cost the index, which is rebuilt
    connection.execute("CREATE TABLE IF NOT EXISTS entries (sha TEXT PRIMARY KEY, entry TEXT, proof TEXT)")
    if rows is None:
        return connection.execute(statement).fetchall()
    return connection.executemany(statement, rows).fetchall()


def _entry(text: str) -> Entry | None:
    """What a row says; None if it is none that was written here, whatever its checksum."""
    try:
        entry = Entry(*json.loads(text))
    except (ValueError, TypeError, RecursionError):
        return None
    texts = (entry.schema, entry.idea, entry.run, *(entry.parents if isinstance(entry.parents, list) else [None]))  # pyright: ignore[reportUnnecessaryIsInstance]
    sound = {*map(type, texts)} == {str} and type(entry.recorded) is float and type(entry.master_seed) is int
    return entry if sound and math.isfinite(entry.recorded) else None


def _proof(sha: str, text: str) -> str:
    # Changes with the fields of an entry, so that an index of another version is not misread.
    return hashlib.sha256(f"{Entry._fields} {sha} {text}".encode()).hexdigest()
