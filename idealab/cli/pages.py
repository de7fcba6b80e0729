"""The pages that ``idealab report`` writes: of one verification, or of every idea's latest, with an index."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from idealab.cli.latest import latest
from idealab.cli.progress import Watcher
from idealab.cli.report import installed, read
from idealab.errors import LedgerError, UsageError

if TYPE_CHECKING:
    from idealab.ledger.store import Ledger
    from idealab.report.canvas import Drawing
    from idealab.report.paper import Source
    from idealab.verification import Verification

INDEX = "index.html"


def write_page(ledger: Ledger, record: str, folder: Path, progress: Watcher) -> tuple[Path, Verification]:
    """Write the page of one verification into a folder; return its file, and what it shows.

    Raises
    ------
    LedgerError
        If the record or its declaration is absent or damaged, or no verification.
    UsageError
        If the file cannot be written.
    """
    progress.stage("reading")
    source = read(ledger, record)
    for warning in ledger.warnings:
        progress.warn(warning)
    file = folder / _file(source.result)
    _written(file, _page(source, progress))
    return file, source.result


def write_index(ledger: Ledger, folder: Path, progress: Watcher) -> tuple[Path, int]:
    """Write the index of all ideas and a page for the latest verdict on each; return the index, and how many.

    An idea whose record cannot be shown stands in the index without a page, and a warning says why.

    Raises
    ------
    UsageError
        If the folder cannot be written, or holds a file of the same name that is not ours.
    """
    from idealab.registry import ideas
    from idealab.report import folder as folders
    from idealab.report.index import Entry, entry, index

    newest = latest(ledger)
    for warning in ledger.warnings:
        progress.warn(warning)
    progress.unit = "ideas"
    progress.planned(len(newest))
    files: dict[str, bytes] = {}
    entries = {name: Entry(name, summary.statement) for name, summary in ideas().items()}
    for name, (record, document, _, since) in newest.items():
        try:
            source = read(ledger, record)
            file = _file(source.result)
            files[file] = _page(source, progress).encode()
            entries[name] = entry(source.result, document["created"], file, since)
        except LedgerError as error:
            progress.warn(str(error))
            said = entries[name].statement if name in entries else ""
            entries[name] = Entry(name, said, remarks=(f"its record {record[:8]} cannot be shown",))
        progress.step(name)
    files[INDEX] = index([entries[name] for name in sorted(entries)]).encode()
    folders.write(folder, files)
    return folder / INDEX, len(files) - 1


def _page(source: Source, progress: Watcher) -> str:
    from idealab.report.page import page

    result = source.result
    progress.stage(f"{result.idea}: deriving")
    idea = installed(result.idea, progress)
    progress.stage(f"{result.idea}: drawing")
    return page(result, source.created, source.declared, idea, _drawings(result, progress))


def _file(result: Verification) -> str:
    """A name for a file in which nothing of the idea's name leads elsewhere."""
    words = re.sub(r"[^a-z0-9_]+", "-", result.idea.lower(), flags=re.ASCII).strip("-_")[:40]
    return f"{words or 'idea'}-{(result.record or result.declaration)[:8]}.html"


def _drawings(result: Verification, progress: Watcher) -> Sequence[Drawing]:
    from idealab.report.figures import figures

    try:
        return figures(result)
    except UsageError as error:  # matplotlib is not installed
        progress.warn(f"the page is without figures: {error}")
        return ()


def _written(file: Path, text: str) -> None:
    """Write a file as a whole or not at all."""
    draft = file.with_name(f".{file.name}.{os.getpid()}")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        draft.write_text(text, encoding="utf-8")
        draft.replace(file)
    except OSError as error:
        with suppress(OSError):
            draft.unlink(missing_ok=True)
        raise UsageError(
            f"{file} cannot be written: {error.strerror or error}; choose another folder with --to"
        ) from error
