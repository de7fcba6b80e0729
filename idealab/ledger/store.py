"""The ledger: a directory of immutable records that survives kills, and an index that may be thrown away.

The truth is ``objects/ab/<sha256>.json``, one record a file. Every look-up lists the directory and reads every
verification itself, and what of the other records the index does not know; whoever must miss no block of seeds reads
all of them (``certain``). So an index that is missing, locked, damaged or wrong costs time, and decides nothing.
Several processes, on several hosts of a network file system too, need no lock: no truth rests on SQLite's, which do not
hold there, and a record is whole or not there, under a name that only its own bytes can have.
"""

from __future__ import annotations

import hashlib
import math
import os
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from idealab.errors import LedgerError, UsageError
from idealab.ledger.health import FUTURE, SKEW, Health, examine, kind_of
from idealab.ledger.index import RUN, Entry, Index, entry_of
from idealab.ledger.objects import Objects
from idealab.ledger.records import BATCH, DECLARATION, VERIFICATION, canonical, decode, digest, is_sha256

_TICK = timedelta(microseconds=2)  # times are kept as float64 seconds, good to half of this
_BEGINS = {DECLARATION: b'{"content":', BATCH: b'{"condition":'}
"""How the canonical bytes of a kind begin, whatever anybody says of them."""


class Ledger:
    """The records in one directory, which is created by the first `put`.

    Several processes may write at once. `warnings` collects one line for every damaged record that was met and skipped.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path).expanduser().absolute()
        self.warnings: list[str] = []
        self._objects = Objects(self.path)
        self._index = Index(self.path / "index.sqlite3")
        self._entries: dict[str, Entry] = {}  # what this process knows already
        self._certain = set[str]()  # of which it has read or written the record itself
        self._pending: dict[str, Entry] = {}  # what of it the index has not been told

    @classmethod
    def default(cls) -> Ledger:
        """Open the ledger that ``IDEALAB_LEDGER`` names, or else ``.idealab`` in the working directory."""
        return cls(os.environ.get("IDEALAB_LEDGER") or ".idealab")

    @classmethod
    def at(cls, place: Ledger | str | Path | None) -> Ledger:
        """Open the ledger in a directory, or the default one; one that is open already stays itself."""
        if isinstance(place, Ledger):
            return place
        return cls(place) if place else cls.default()

    def put(self, document: Mapping[str, Any]) -> str:
        """Write a record, durably, and return its name; one that is there already is left as it is.

        A damaged one is set aside with a warning, since what belongs there is at hand.

        Raises
        ------
        LedgerError
            If the document is not a valid record, or cannot be written durably.
        """
        data = canonical(document)
        record = decode(data)  # what is written can be read: checked on every record, not only in tests
        sha = hashlib.sha256(data).hexdigest()
        self.take(sha, data, entry_of(record, time.time()))
        return sha

    def take(self, sha: str, data: bytes, entry: Entry) -> bool:
        """Write the bytes of a record that was checked elsewhere, under the hash that they have; whether they are new.

        Raises
        ------
        LedgerError
            If they do not have that hash, or cannot be written durably.
        """
        if hashlib.sha256(data).hexdigest() != sha:
            raise LedgerError(f"record {sha[:12]} has changed while it was read; try again")
        there = self._objects.read(sha)
        if there and there[0] == data:
            self._objects.settle(sha)
            return False
        if there:
            aside = self._objects.set_aside(sha)
            self._warn(
                f"record {sha} was damaged (cut short or edited); it is written anew, the old file is now {aside}"
            )
        self._objects.write(sha, data)
        # The index learns of it at the next look-up: opening SQLite takes longer than all of the rest.
        self._entries[sha] = self._pending[sha] = entry
        self._certain.add(sha)
        return True

    def together(self) -> AbstractContextManager[None]:
        """Within this, what is put or taken is there, and outlives a power cut, from its end on: many records, quickly.

        None of them may rest on another of them.
        """
        return self._objects.together()

    def get(self, sha: str) -> dict[str, Any]:
        """Read a record, checking that its content is what its name says.

        Raises
        ------
        UsageError
            If ``sha`` is not a full name.
        LedgerError
            If the record is absent, damaged, renamed or unreadable, or written by another version.
        """
        if not is_sha256(sha):
            raise UsageError(f"sha={sha!r} is not a record's name, 64 hexadecimal digits; resolve() completes a prefix")
        return self._objects.load(sha)[0]

    def resolve(self, prefix: str, schema: str | None = None) -> str:
        """Complete the beginning of a record's name, at least four digits; of a readable one of that schema, if given.

        Raises
        ------
        UsageError
            If it is too short, fits no record, or fits several.
        """
        if len(prefix) < 4:
            raise UsageError(f"prefix={prefix!r} is too short; give at least 4 digits of a record's name")
        fits = sorted(sha for sha in self._objects.names() if sha.startswith(prefix.lower()))
        kind = "record"
        if schema is not None and fits:
            readable = self._find(lambda entry: entry.schema == schema)
            kind, others = schema.split("/")[1], fits
            fits = [sha for sha in fits if sha in readable]
            if not fits:
                raise UsageError(f"{self._described(others[0])} is no {kind}; see `idealab ledger log`")
        if not fits:
            raise UsageError(f"no record begins with {prefix[:64]!r} in {self.path}; see `idealab ledger log`")
        if len(fits) > 1:
            shown = "; ".join(map(self._described, fits[:5])) + ("; ..." if len(fits) > 5 else "")
            raise UsageError(f"{len(fits)} {kind}s begin with {prefix[:64]!r}: {shown}; give more digits")
        return fits[0]

    def _described(self, sha: str) -> str:
        """A record's name, long enough to be told from others, and what it is."""
        self._find(lambda entry: False)
        entry = self._entries.get(sha)
        return f"{sha[:20]} ({'not readable' if entry is None else f'{kind_of(entry)} of {entry.idea!r}'})"

    def find(
        self,
        *,
        schema: str | None = None,
        idea: str | None = None,
        parent: str | None = None,
        certain: bool = False,
    ) -> list[str]:
        """Return the names of the readable records that fit all that is given, the newest last.

        One that is dated more than a day ahead of this clock counts as the oldest. ``certain`` reads every record: else
        what the index says of batches is taken for true, and of verifications never.
        """
        return self._find(
            lambda entry: (
                schema in (None, entry.schema)
                and idea in (None, entry.idea)
                and (parent is None or parent in entry.parents)
            ),
            certain,
        )

    @property
    def there(self) -> bool:
        """Whether there is a ledger at all, with records or without."""
        return self._objects.there

    def ahead(self, sha: str) -> bool:
        """Whether a record that was found is dated more than a day ahead of this clock: its date says nothing."""
        return self._entries[sha].recorded > time.time() + FUTURE

    def count(self) -> int:
        """Return how many records there are, sound or not."""
        return len(self._objects.names())

    def master_seeds(self, declaration: str) -> list[int]:
        """Return the master seeds under which something was observed for a declaration, in order."""
        names = self._find(lambda entry: entry.schema == BATCH and declaration in entry.parents)
        return sorted({self._entries[sha].master_seed for sha in names})

    def newest(self, schema: str = VERIFICATION) -> dict[str, tuple[str, dict[str, Any]]]:
        """Return the newest sound record of every idea: idea -> (name, document)."""
        found: dict[str, tuple[str, dict[str, Any]]] = {}
        for sha in reversed(self._find(lambda entry: entry.schema == schema)):
            if self._entries[sha].idea not in found and (loaded := self._sound(sha)):
                found[self._entries[sha].idea] = (sha, loaded[0])
        return found

    def batches(
        self,
        declaration: str,
        *,
        experiment: str,
        condition: str,
        master_seed: int,
        environment: Mapping[str, Any],
        precision: str,
    ) -> list[dict[str, Any]]:
        """Return the batches that a run can go on from, in the order of their seeds.

        No seed occurs twice: where batches overlap, the one that begins first is taken (then the longest, then the
        oldest), and the other is left out, with a warning unless it says the same, as when two runs went on at once.
        Seeds may be missing between batches, where one was damaged.
        """
        run = digest(dict(zip(RUN, (experiment, condition, master_seed, environment, precision), strict=True)))

        def fits(entry: Entry) -> bool:
            return entry.run == run and declaration in entry.parents

        loaded = [found for sha in self._find(fits) if (found := self._known(sha))]
        records = [record for record, entry in loaded if fits(entry)]
        chosen: list[dict[str, Any]] = []
        seen = 0  # seeds below this one are taken
        for record in sorted(records, key=lambda record: (record["first_seed"], -record["seeds"])):
            if record["first_seed"] >= seen:
                chosen.append(record)
                seen = record["first_seed"] + record["seeds"]
            elif _observed(record) != _observed(chosen[-1]):
                self._warn(f"seeds from {record['first_seed']} of {experiment}, {condition} are there twice; used once")
        return chosen

    def now(self) -> datetime:
        """Return the time in UTC, but later than the newest verification: evidence keeps its order.

        Where the clock has been set back since that one, a warning says so. One that is dated more than a day ahead is
        not followed.
        """
        now = datetime.fromtimestamp(time.time(), UTC)
        verdicts = self._find(lambda entry: entry.schema == VERIFICATION)
        seconds = self._entries[verdicts[-1]].recorded if verdicts else -math.inf
        if not now.timestamp() <= seconds <= now.timestamp() + FUTURE:
            return now
        newest = datetime.fromtimestamp(seconds, UTC)
        if newest - now > timedelta(seconds=SKEW):
            self._warn(
                f"the clock says {now:%Y-%m-%d %H:%M}, but the newest verification in {self.path} is of "
                f"{newest:%Y-%m-%d %H:%M}; the next one is dated right after it; see to the clock"
            )
        return newest + _TICK

    def ensure_writable(self) -> None:
        """Write and remove a small file, and clear away what killed processes left over a day ago.

        Raises
        ------
        LedgerError
            If records cannot be written here: the line says why and what to do.
        """
        self._objects.ensure_writable()

    def health(self, step: Callable[[], None] = lambda: None) -> Health:
        """Read every record and report; never raises, and creates no ledger where there is none.

        ``step`` is called after each record. An index that says other things than the records is set right.
        """
        self._remember({})
        return examine(self.path, self._objects, self._index, step)

    def _sound(self, sha: str) -> tuple[dict[str, Any], float] | None:
        try:
            return self._objects.load(sha)
        except LedgerError as error:
            self._warn(str(error))
            return None

    def _known(self, sha: str) -> tuple[dict[str, Any], Entry] | None:
        """A record that is sound, and what the index should know of it."""
        if loaded := self._sound(sha):
            try:
                return loaded[0], entry_of(*loaded)
            except LedgerError:  # it can be read, but what it says cannot be written
                self._warn(self._objects.not_canonical(sha))
        return None

    def _warn(self, line: str) -> None:
        if line not in self.warnings:
            self.warnings.append(line)

    def _find(self, fits: Callable[[Entry], bool], certain: bool = False) -> list[str]:
        names = self._objects.names()
        new = names - (self._certain if certain else self._entries.keys())
        hints = self._index.recall() if new else {}
        if not certain:
            self._entries |= {sha: hints[sha] for sha in new & hints.keys() if self._may_be(sha, hints[sha])}
        unread = sorted(new - (set[str]() if certain else self._entries.keys()))
        read = {sha: known[1] for sha in unread if (known := self._known(sha))}
        self._entries |= read
        self._certain |= read.keys()
        self._remember({sha: entry for sha, entry in read.items() if hints.get(sha) != entry})
        known = self._certain if certain else self._entries.keys()
        found = [sha for sha in names & known if fits(self._entries[sha])]
        return sorted(found, key=lambda sha: (-math.inf if self.ahead(sha) else self._entries[sha].recorded, sha))

    def _may_be(self, sha: str, entry: Entry) -> bool:
        """Whether the index may be believed: never of a verification, nor of what does not begin as such a record."""
        return entry.schema in _BEGINS and self._objects.begins(sha, _BEGINS[entry.schema])

    def _remember(self, entries: dict[str, Entry]) -> None:
        """Take entries to the index, with those of the records that were put since the last time."""
        self._entries |= entries
        if entries or self._pending:
            self._index.remember(self._pending | entries)
            self._pending.clear()


def _observed(record: Mapping[str, Any]) -> tuple[int, int, str]:
    return record["first_seed"], record["seeds"], digest(record["observation"])  # a digest, since NaN equals nothing
