"""``idealab report``: what a record becomes outside: a supplement to a paper, or a page."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import click

from idealab.cli.console import say, write
from idealab.cli.latest import latest
from idealab.cli.progress import Watcher, watching
from idealab.report import number

if TYPE_CHECKING:
    from idealab.idea import Idea
    from idealab.ledger import Ledger
    from idealab.report.paper import Source


@click.command("report", short_help="A record as a supplement to a paper, or as a page.")
@click.argument("record", required=False)
@click.option("--html", "as_page", is_flag=True, help="Write the page instead: one file that loads and runs nothing.")
@click.option("--all", "every", is_flag=True, help="Write the pages of all ideas' latest verdicts, and an index.")
@click.option("--to", "folder", type=click.Path(path_type=Path), metavar="DIR", help="Where to write.")
@click.option(
    "--width",
    type=click.FloatRange(4, 10),
    default=6.75,
    show_default=True,
    metavar="INCHES",
    help="Width of the text, which the wide figures of the kit fill; NeurIPS has 5.5.",
)
@click.option("--ledger", metavar="DIR", help="Where the record lies [IDEALAB_LEDGER, or .idealab].")
def command(
    record: str | None, as_page: bool, every: bool, folder: Path | None, width: float, ledger: str | None
) -> None:
    """Make a paper kit from RECORD: the beginning of its hash, or the name of an idea for its latest verification.

    DIR then holds main.tex, which compiles into a supplement of about four pages, and what it is made of: figures of
    one and two columns as PDF, tables for booktabs, numbers.tex with every number by its name, the derivation, and
    references.bib. The same record gives the same files, byte for byte. Files in DIR that are not of the kit are left
    alone, and none is overwritten that was changed.

    With --html a page is written instead, into DIR or right here; with --all, and no RECORD, index.html and a page
    for every idea.
    """
    if (record is None) != every:
        raise click.UsageError("name one RECORD, or ask for --all")
    if folder is None and not as_page:
        what = "the index and its pages" if every else "the paper kit"
        raise click.UsageError(f"say where {what} should be written: --to DIR")
    place = folder or Path()
    if record is None:
        _index(place, ledger)
    elif as_page:
        _page(record, place, ledger)
    else:
        _kit(record, place, width, ledger)


def _kit(record: str, folder: Path, width: float, ledger: str | None) -> None:
    with watching(f"report {record}") as progress:
        from idealab.ledger import Ledger

        source = found(Ledger.at(ledger), record, progress)
        from idealab.report import folder as folders, paper

        written = folders.write(folder, paper.kit(source, progress.stage, width))
    result = source.result
    write(f"{len(written)} files in {folder}, from record {(result.record or '')[:8]}: {result.idea}, {result.verdict}")
    if source.idea is None:
        say(
            f"note: {result.idea} is not installed here, or predicts something else than what was declared: without "
            "its derivation and references, formulas as recorded"
        )


def _page(record: str, folder: Path, ledger: str | None) -> None:
    with watching(f"report {record}") as progress:
        from idealab.cli import pages
        from idealab.ledger import Ledger

        store = Ledger.at(ledger)
        file, result = pages.write_page(store, resolved(store, record), folder, progress)
    write(f"{file}, from record {(result.record or '')[:8]}: {result.idea}, {result.verdict}")


def _index(folder: Path, ledger: str | None) -> None:
    with watching("report") as progress:
        from idealab.cli import pages
        from idealab.ledger import Ledger

        index, count = pages.write_index(Ledger.at(ledger), folder, progress)
    write(f"{index}, with {number.count(count, 'page')}")


def found(ledger: Ledger, record: str, progress: Watcher) -> Source:
    """Everything that a report on a record is made of; see `idealab.report.paper.Source`.

    Raises
    ------
    UsageError
        If nothing, or more than one record, is meant.
    LedgerError
        If the record or its declaration cannot be trusted.
    """
    from dataclasses import replace

    from idealab.report import paper

    progress.stage("reading")
    source = read(ledger, resolved(ledger, record))
    for warning in ledger.warnings:
        progress.warn(warning)
    progress.stage("deriving")
    idea = installed(source.result.idea, progress)
    return replace(source, idea=idea if idea is not None and paper.same_theory(idea, source.declared) else None)


def read(ledger: Ledger, sha: str) -> Source:
    """A verification and what it rests on, by its full name; without the idea.

    Raises
    ------
    LedgerError
        If the record or its declaration cannot be trusted.
    """
    from idealab.errors import LedgerError
    from idealab.report import paper, recorded

    document = ledger.get(sha)
    result = recorded.verification(sha, document)
    declaration = document["parents"][0] if document["parents"] else ""
    if result.declaration != declaration:
        raise LedgerError(f"record {sha[:8]} names one declaration and rests on another; it is not whole")
    content: Any = ledger.get(declaration).get("content")
    if not isinstance(content, dict):
        raise LedgerError(f"record {declaration[:8]}, on which {sha[:8]} rests, is no declaration")
    return paper.Source(result, cast("dict[str, Any]", content), document["created"])


def resolved(ledger: Ledger, record: str) -> str:
    """The full name of the verification that is meant: the latest of all of an idea, or the one that begins so.

    Raises
    ------
    UsageError
        If there is none, or more than one.
    """
    from idealab.errors import UsageError
    from idealab.ledger import VERIFICATION
    from idealab.registry import ideas

    if of_idea := ledger.find(schema=VERIFICATION, idea=record):
        found = latest(ledger, record).get(record)
        return found.record if found else of_idea[-1]  # which is damaged, and says so when it is read
    if record in ideas():
        raise UsageError(f"there is no verification of {record!r} in {ledger.path}; run: idealab verify {record}")
    begin = [sha for sha in ledger.find(schema=VERIFICATION) if sha.startswith(record.lower())]
    return begin[0] if len(begin) == 1 and len(record) >= 4 else ledger.resolve(record)


def installed(name: str, progress: Watcher) -> Idea | None:
    """The idea as it is installed here, if it is; a fault of it is said, and leaves the record to itself."""
    from idealab.errors import DeclarationError
    from idealab.registry import ideas, load

    if name not in ideas():
        return None
    try:
        return load(name)
    except DeclarationError as error:
        progress.warn(str(error))
        return None
