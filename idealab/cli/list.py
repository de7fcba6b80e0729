"""``idealab list``: the ideas, read from their sources without importing them."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import click

from idealab.cli.console import say, width, write
from idealab.cli.latest import Latest, latest

if TYPE_CHECKING:
    from idealab.registry import Summary

_SHORT = 100


@click.command("list", short_help="The ideas, and the last verdict on each.")
@click.option("--ledger", metavar="DIR", help="Where to look for earlier verdicts [IDEALAB_LEDGER, or .idealab].")
def command(ledger: str | None) -> None:
    """The ideas: name, statement, levels, last verdict and what it cost."""
    from idealab.registry import ideas

    found = ideas()
    last = _last(ledger)
    indent = max((len(name) for name in found), default=0) + 3
    lines = [line for name, idea in found.items() for line in _entry(idea, last.get(name), indent)]
    write("\n".join(lines) if lines else "no ideas found")


def _last(place: str | None) -> Mapping[str, Latest]:
    """The latest verdict on every idea; an unreadable ledger is said and otherwise passed over."""
    from idealab.errors import LedgerError
    from idealab.ledger import Ledger

    ledger = Ledger(place) if place else Ledger.default()
    try:
        found = latest(ledger)
    except LedgerError as error:
        say(f"warning: {error}")
        return {}
    for warning in ledger.warnings:
        say(f"warning: {warning}")
    return found


def _entry(idea: Summary, last: Latest | None, indent: int) -> Iterator[str]:
    room = min(width(), _SHORT)
    yield from textwrap.wrap(
        idea.statement, room, initial_indent=idea.name.ljust(indent), subsequent_indent=" " * indent
    )
    facts = f"{', '.join(idea.levels) or 'no experiments'} · {_verdict(last) if last else 'not verified yet'}"
    yield from textwrap.wrap(facts, room, initial_indent=" " * indent, subsequent_indent=" " * indent)


def _verdict(last: Latest) -> str:
    document = last.document
    result: Mapping[str, Any] = document["result"]
    cost: Mapping[str, Any] = result.get("cost", {})
    verdict = f"{result.get('verdict', 'unknown')} on {document['created'][:10]}"
    if "seconds" in cost and not cost.get("reused_seeds"):  # what came from the ledger says nothing of the usual cost
        verdict += f", {cost['seconds']:.0f} s"
    verdict += f", of less than all: {last.narrowed}" if last.narrowed else ""
    return verdict + (f" · {last.since}" if last.since else "")
