"""``idealab report``: what a record becomes outside: a supplement to a paper."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import click

from idealab.cli.console import say, write
from idealab.cli.progress import Watcher, watching

if TYPE_CHECKING:
    from idealab.idea import Idea
    from idealab.ledger import Ledger
    from idealab.report.paper import Source


@click.command("report", short_help="A record as a supplement to a paper: figures, tables, numbers, derivation.")
@click.argument("record")
@click.option("--to", "folder", type=click.Path(path_type=Path), metavar="DIR", help="Write the paper kit there.")
@click.option("--ledger", metavar="DIR", help="Where the record lies [IDEALAB_LEDGER, or .idealab].")
def command(record: str, folder: Path | None, ledger: str | None) -> None:
    """Make a paper kit from RECORD: the beginning of its hash, or the name of an idea for its latest verification.

    DIR then holds main.tex, which compiles into a supplement of about four pages, and what it is made of: figures of
    one and two columns as PDF, tables for booktabs, numbers.tex with a macro for every number, the derivation, and
    references.bib. The same record gives the same files, byte for byte. Files in DIR that are not of the kit are left
    alone, and none is overwritten that was changed.
    """
    if folder is None:
        raise click.UsageError("say where the paper kit should be written: --to DIR")
    with watching(f"report {record}") as progress:
        from idealab.ledger import Ledger

        source = found(Ledger.at(ledger), record, progress)
        from idealab.report import folder as folders, paper

        written = folders.write(folder, paper.kit(source, progress.stage))
    result = source.result
    write(f"{len(written)} files in {folder}, from record {(result.record or '')[:8]}: {result.idea}, {result.verdict}")
    if source.idea is None:
        say(
            f"note: {result.idea} is not installed here, or predicts something else than what was declared: without "
            "its derivation and references, formulas as recorded"
        )


def found(ledger: Ledger, record: str, progress: Watcher) -> Source:
    """Everything that a report on a record is made of; see `idealab.report.paper.Source`.

    Raises
    ------
    UsageError
        If nothing, or more than one record, is meant.
    LedgerError
        If the record or its declaration cannot be trusted.
    """
    from idealab.errors import LedgerError
    from idealab.report import paper, recorded

    progress.stage("reading")
    sha = resolved(ledger, record)
    document = ledger.get(sha)
    result = recorded.verification(sha, document)
    declaration = document["parents"][0] if document["parents"] else ""
    if result.declaration != declaration:
        raise LedgerError(f"record {sha[:8]} names one declaration and rests on another; it is not whole")
    content: Any = ledger.get(declaration).get("content")
    if not isinstance(content, dict):
        raise LedgerError(f"record {declaration[:8]}, on which {sha[:8]} rests, is no declaration")
    for warning in ledger.warnings:
        progress.warn(warning)
    progress.stage("deriving")
    declared = cast("dict[str, Any]", content)
    return paper.Source(result, declared, document["created"], _installed(result.idea, declared, progress))


def resolved(ledger: Ledger, record: str) -> str:
    """The full name of the verification that is meant: the latest of an idea, or the one that begins so.

    Raises
    ------
    UsageError
        If there is none, or more than one.
    """
    from idealab.errors import UsageError
    from idealab.ledger import VERIFICATION
    from idealab.registry import ideas

    of_idea = ledger.find(schema=VERIFICATION, idea=record)
    if of_idea:
        return of_idea[-1]
    if record in ideas():
        raise UsageError(f"there is no verification of {record!r} in {ledger.path}; run: idealab verify {record}")
    begin = [sha for sha in ledger.find(schema=VERIFICATION) if sha.startswith(record.lower())]
    return begin[0] if len(begin) == 1 and len(record) >= 4 else ledger.resolve(record)


def _installed(name: str, declared: dict[str, Any], progress: Watcher) -> Idea | None:
    """The installed idea, if it predicts what was declared; a fault of its is said, and leaves the record to itself."""
    from idealab.errors import DeclarationError
    from idealab.registry import ideas, load
    from idealab.report import paper

    if name not in ideas():
        return None
    try:
        idea = load(name)
    except DeclarationError as error:
        progress.warn(str(error))
        return None
    return idea if paper.same_theory(idea, declared) else None
