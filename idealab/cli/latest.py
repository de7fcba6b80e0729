"""The latest verdict on an idea: that of the newest run that was asked for all, lest a narrower one pass for it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple, cast

if TYPE_CHECKING:
    from idealab.ledger.store import Ledger


class Latest(NamedTuple):
    """A verification; ``narrowed`` says what it leaves out, ``since`` what a newer and narrower one came to."""

    record: str
    document: Mapping[str, Any]
    narrowed: str = ""
    since: str = ""


def latest(ledger: Ledger, idea: str | None = None) -> dict[str, Latest]:
    """The newest verification of every idea, or of one, that left nothing out; the newest at all where there is none.

    What an older version recorded does not say whether it left something out, and counts as if it did not.
    """
    return {
        name: _full(ledger, name, *newest) for name, newest in ledger.newest().items() if idea is None or name == idea
    }


def _full(ledger: Ledger, idea: str, newest: str, document: Mapping[str, Any]) -> Latest:
    from idealab.errors import LedgerError
    from idealab.ledger.records import VERIFICATION

    words = narrowed(document)
    if not words:
        return Latest(newest, document)
    for sha in reversed(ledger.find(schema=VERIFICATION, idea=idea)):
        try:
            older = document if sha == newest else ledger.get(sha)
        except LedgerError:  # `Ledger.newest` has warned of it
            continue
        if not narrowed(older):
            result = cast("Mapping[str, Any]", document["result"])
            since = f"since then, on {document['created'][:10]}: {result.get('verdict', 'unknown')} ({words})"
            return Latest(sha, older, since=since)
    return Latest(newest, document, narrowed=words)


def narrowed(document: Mapping[str, Any]) -> str:
    """In words, what a recorded verification leaves out of what the idea's own experiments have."""
    result = document.get("result")
    if not isinstance(result, dict):
        return ""
    fields = cast("dict[str, Any]", result)
    said = fields.get("narrowed", [])
    words = [str(part) for part in cast("list[Any]", said)] if isinstance(said, list) else []
    return "; ".join([*words, *(["cut short by its budget"] if fields.get("cut_short") is True else [])])
