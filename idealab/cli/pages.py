"""The pages that ``idealab report`` writes: of one verification, or of every idea's latest, with an index."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from idealab.cli.progress import Watcher
from idealab.errors import IdealabError, LedgerError, UnknownNameError, UsageError

if TYPE_CHECKING:
    from idealab.idea import Idea
    from idealab.ledger.store import Ledger
    from idealab.report.canvas import Drawing
    from idealab.report.index import Entry
    from idealab.verification import Verification

INDEX = "index.html"


def write_page(ledger: Ledger, record: str, folder: Path, progress: Watcher) -> Path:
    """Write the page of one verification into a folder, and return its file.

    Raises
    ------
    LedgerError
        If the record or its declaration is absent or damaged, or no verification.
    UsageError
        If the file cannot be written.
    """
    from idealab.report.recorded import verification

    document = ledger.get(record)
    return _write_page(ledger, verification(record, document), document["created"], folder, progress)


def write_index(ledger: Ledger, folder: Path, progress: Watcher) -> Path:
    """Write a page for the latest verification of every idea and the index of all, and return the index.

    An idea whose record cannot be shown stands in the index without a page, and a warning says why.

    Raises
    ------
    UsageError
        If a file cannot be written.
    """
    from idealab.registry import ideas
    from idealab.report.index import Entry, index

    newest = ledger.newest()
    for warning in ledger.warnings:
        progress.warn(warning)
    progress.unit = "ideas"
    progress.planned(len(newest))
    entries: dict[str, Entry] = {name: Entry(name, summary.statement) for name, summary in ideas().items()}
    for name, (record, document) in newest.items():
        statement = entries[name].statement if name in entries else ""
        entries[name] = _entry(ledger, record, document, folder, progress, Entry(name, statement))
        progress.step(name)
    return _written(folder / INDEX, index([entries[name] for name in sorted(entries)]))


def _entry(
    ledger: Ledger, record: str, document: dict[str, Any], folder: Path, progress: Watcher, without: Entry
) -> Entry:
    from dataclasses import replace

    from idealab.report.index import entry
    from idealab.report.recorded import verification

    try:
        result = verification(record, document)
        page = _write_page(ledger, result, document["created"], folder, progress)
    except LedgerError as error:
        progress.warn(str(error))
        return replace(without, remarks=(f"its record {record[:8]} cannot be shown",))
    return entry(result, document["created"], page.name)


def _write_page(ledger: Ledger, result: Verification, created: str, folder: Path, progress: Watcher) -> Path:
    from idealab.report.page import page

    progress.stage(f"{result.idea}: deriving")
    declared = ledger.get(result.declaration)
    idea = _installed(result.idea, progress)
    progress.stage(f"{result.idea}: drawing")
    written = page(result, created, declared.get("content", {}), idea, _drawings(result, progress))
    return _written(folder / _file(result), written)


def _file(result: Verification) -> str:
    """A name for a file in which nothing of the idea's name leads elsewhere."""
    words = re.sub(r"[^a-z0-9_]+", "-", result.idea.lower(), flags=re.ASCII).strip("-")[:40]
    return f"{words or 'idea'}-{(result.record or result.declaration)[:8]}.html"


def _installed(name: str, progress: Watcher) -> Idea | None:
    """The idea as it is installed here; one that is not, or cannot be loaded, is quoted from the record."""
    from idealab.registry import load

    try:
        return load(name)
    except UnknownNameError:
        return None
    except IdealabError as error:
        progress.warn(f"{error}; its formulas are quoted from the record")
        return None


def _drawings(result: Verification, progress: Watcher) -> Sequence[Drawing]:
    from idealab.report.figures import figures

    try:
        return figures(result)
    except UsageError as error:  # matplotlib is not installed
        progress.warn(f"the page is without figures: {error}")
        return ()


def _written(file: Path, text: str) -> Path:
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
    return file
