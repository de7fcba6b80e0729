"""The state of a ledger: every record read, hashed and parsed once, held against its kin and against the index."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from idealab.errors import LedgerError
from idealab.ledger.index import Entry, Index, entry_of
from idealab.ledger.objects import Objects
from idealab.ledger.records import BATCH, DECLARATION, VERIFICATION, digest

SKEW = 60.0
"""Seconds by which clocks of several hosts may differ without a word."""
FUTURE = 24 * 3600.0
"""Seconds ahead of this clock from which a date says nothing: such a record is not imported, and counts as oldest."""


@dataclass(frozen=True)
class Health:
    """The state of a ledger.

    Attributes
    ----------
    path
        The directory.
    objects
        How many sound records it holds.
    damaged
        One line for every file that cannot be trusted, or does not belong there.
    incomplete
        One line for every sound record that rests on one which is missing or damaged, or is of the wrong kind.
    ahead
        One line for every verification that is dated in the future; it does no harm.
    temporaries
        How many unfinished files killed processes have left; they do no harm.
    index
        ``"in step"``, ``"absent"``, ``"behind by N records"``, ``"wrong about N records, now right"`` or
        ``"unusable: reason"``; the next use mends it.
    writable
        Whether a record could be written now.
    obstacle
        Why not, and what to do; empty if writable.
    entries
        What the sound records say of themselves, by name.
    """

    path: Path
    objects: int
    damaged: tuple[str, ...]
    temporaries: int
    index: str
    writable: bool
    obstacle: str
    incomplete: tuple[str, ...] = ()
    ahead: tuple[str, ...] = ()
    entries: Mapping[str, Entry] = field(default_factory=dict[str, Entry])


def examine(path: Path, objects: Objects, index: Index, step: Callable[[], None]) -> Health:
    """Read every record of a ledger; ``step`` is called after each. Never raises."""
    damaged, entries = list[str](), dict[str, Entry]()
    temporaries, obstacle = 0, ""
    try:
        strays, temporaries = objects.strays()
        damaged += [f"{file} does not belong in a ledger; move it away" for file in strays]
        for sha in sorted(objects.names()):
            try:
                record, recorded = objects.load(sha)
                if _is_canonical(record, sha):
                    entries[sha] = entry_of(record, recorded)
                else:
                    damaged.append(objects.not_canonical(sha))
            except LedgerError as error:
                damaged.append(str(error))
            step()
        obstacle = _obstacle(path, objects)
    except LedgerError as error:
        obstacle = str(error)
    incomplete = [line for sha, entry in entries.items() if (line := complaint(sha, entry, entries.get))]
    state, now = _held_against(index, entries), time.time()
    ahead = [words for sha, entry in entries.items() if (words := in_the_future(sha, entry, now))]
    return Health(
        path,
        len(entries),
        tuple(damaged),
        temporaries,
        state,
        not obstacle,
        obstacle,
        tuple(incomplete),
        tuple(ahead),
        entries,
    )


def _is_canonical(record: Mapping[str, Any], sha: str) -> bool:
    """Whether idealab would write a record as it stands there, under this name."""
    try:
        return digest(record) == sha
    except LedgerError:
        return False


def complaint(sha: str, entry: Entry, known: Callable[[str], Entry | None]) -> str:
    """What is wrong with the records that a record rests on; empty if nothing is.

    A batch rests on a declaration, a verification on a declaration and batches of it: so none can rest on itself.
    """
    if entry.schema == DECLARATION:
        return ""
    here = f"{kind_of(entry)} {sha[:12]} of {entry.idea!r}"
    parents = [(parent, known(parent)) for parent in entry.parents]
    missing = [parent[:12] for parent, found in parents if found is None]
    if missing:
        several = f"{missing[0]} and {len(missing) - 1} more" if len(missing) > 1 else missing[0]
        return f"{here} rests on {several}, not found or not sound; import them from where they were made"
    for k, (parent, found) in enumerate(parents):
        wanted = BATCH if k else DECLARATION
        if found is None or found.schema != wanted or found.idea != entry.idea:
            return (
                f"{here} rests on {parent[:12]}, which is no {wanted.split('/')[1]} of the same idea; do not trust it"
            )
        if k and found.parents[:1] != entry.parents[:1]:
            return f"{here} rests on {parent[:12]}, which was observed under another declaration; do not trust it"
    return ""


def kind_of(entry: Entry) -> str:
    """``declaration``, ``batch`` or ``verification``."""
    return entry.schema.split("/")[1]


def in_the_future(sha: str, entry: Entry, now: float) -> str:
    """Words on a verification that is dated after ``now``, in seconds since the epoch; empty if it is not."""
    if entry.schema != VERIFICATION or entry.recorded <= now + SKEW:
        return ""
    when = datetime.fromtimestamp(entry.recorded, UTC)
    return (
        f"verification {sha[:12]} of {entry.idea!r} is dated {when:%Y-%m-%d %H:%M} UTC, in the future; see to the clock"
    )


def _obstacle(path: Path, objects: Objects) -> str:
    if os.path.exists(path):
        objects.ensure_writable()
        return ""
    if os.access(next(folder for folder in path.parents if os.path.exists(folder)), os.W_OK):
        return ""
    return f"the ledger {path} cannot be created; choose another place with --ledger or IDEALAB_LEDGER"


def _held_against(index: Index, entries: Mapping[str, Entry]) -> str:
    """The state of the index; one that says other things than the records is set right."""
    if not os.path.exists(index.file):
        return "absent"
    known = index.recall()
    if index.trouble:
        return f"unusable: {index.trouble}"
    wrong = {sha: entry for sha, entry in entries.items() if sha in known and not _same(known[sha], entry)}
    if wrong:
        index.remember(wrong)
        return f"wrong about {len(wrong)} records, now right"
    behind = len(entries.keys() - known.keys())
    return f"behind by {behind} records" if behind else "in step"


def _same(known: Entry, entry: Entry) -> bool:
    # Only a verification says itself when it was made; of other records the time of the file is as good as any.
    if entry.schema == VERIFICATION and known.recorded != entry.recorded:
        return False
    return known._replace(recorded=0.0) == entry._replace(recorded=0.0)
