"""The lock on what was declared: a run is refused once anything in its declaration has changed."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from idealab.errors import DeclarationChangedError, LedgerError, UsageError
from idealab.ledger.difference import Difference, differences
from idealab.ledger.records import DECLARATION, digest
from idealab.ledger.store import Ledger

SHORTEST = 16
"""Digits of a hash that bind. Of fewer, another declaration that begins alike can be found by trying."""


def hold(declared: str, document: Mapping[str, Any], ledger: Ledger) -> None:
    """Refuse a declaration that is not the one whose hash was given.

    Parameters
    ----------
    declared
        The hash that was published, or its first `SHORTEST` digits or more.
    document
        The declaration that would be run.
    ledger
        Where the declaration of that hash may lie, to show what has changed; the refusal does not rest on it.

    Raises
    ------
    UsageError
        If ``declared`` is no hash, or too short to bind.
    DeclarationChangedError
        If it is another declaration; carries the differences, where the ledger holds it.
    """
    declared = declared.strip().lower()
    if not re.fullmatch(r"[0-9a-f]{1,64}", declared):
        raise UsageError(
            f"declared={declared[:80]!r} is not the hash of a declaration, 64 hexadecimal digits; "
            "`idealab declare` prints it"
        )
    if len(declared) < SHORTEST:
        raise UsageError(
            f"declared={declared!r} has {len(declared)} digits, and fewer than {SHORTEST} do not bind: another "
            f"declaration that begins alike could be searched for; give {SHORTEST} or more of the 64"
        )
    now = digest(document)
    if now.startswith(declared):
        return
    before = _declaration(declared, document["idea"], ledger)
    raise DeclarationChangedError(
        f"what was declared as {declared[:SHORTEST]} is not what would be run, which is {now[:SHORTEST]}; undo the "
        "change, or declare anew and say so",
        [_words(line) for line in differences(before["content"], document["content"])],
    )


def _words(line: Difference) -> str:
    if line.where != "versions.judge":
        return str(line)
    return "the judge has changed: the source of what makes a verdict of observations is another than when declared"


def _declaration(declared: str, idea: str, ledger: Ledger) -> Mapping[str, Any]:
    """The declaration of that hash."""
    try:
        record = ledger.get(ledger.resolve(declared))
    except (UsageError, LedgerError) as error:
        raise DeclarationChangedError(
            f"what was declared as {declared[:SHORTEST]} is not what would be run, and what has changed cannot be "
            f"shown: {error}",
            (),
        ) from error
    if record["schema"] != DECLARATION:
        own = record["parents"][0]
        raise UsageError(f"record {declared[:SHORTEST]} is no declaration; its own is {own}")
    if record["idea"] != idea:
        raise UsageError(f"{declared[:SHORTEST]} declares the idea {record['idea']!r}, not {idea!r}")
    return record
