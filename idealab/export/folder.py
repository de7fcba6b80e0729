"""A record as a folder for others: its tables, and the metadata that Zenodo and the Hugging Face Hub read."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

from idealab.errors import UsageError
from idealab.export.tables import Table, tables_of
from idealab.export.writers import write_csv, write_parquet
from idealab.ledger import bundle
from idealab.ledger.store import Ledger
from idealab.report import number
from idealab.report.blocks import Items, Words
from idealab.report.inert import inert
from idealab.report.markup import markdown
from idealab.report.recorded import verification
from idealab.verification import Verification

BUNDLE = "bundle.zip"
_KEYWORDS = ("idealab", "learning theory", "reproducibility")


@dataclass(frozen=True)
class Evidence:
    """A verification to be written, with what its authors add to it."""

    name: str  # of the record
    created: str
    found: Verification
    tables: Sequence[Table]
    ledger: Ledger
    creators: Sequence[str] = ()
    licence: str | None = None

    @property
    def title(self) -> str:
        """One line that names it."""
        return f"{one_line(self.found.idea)}: evidence, record {self.name[:8]}"


def export(
    record: str,
    form: str,
    to: str | Path,
    *,
    ledger: Ledger | str | Path | None = None,
    creators: Sequence[str] = (),
    licence: str | None = None,
) -> str:
    """Write the record of a verification for other programs.

    Parameters
    ----------
    record
        Its name, or the beginning of it.
    form
        One of `FORMATS`.
    to
        A folder that is not there yet, or empty; for MLflow a tracking URI, or a folder.
    ledger
        Where the record is; the default ledger without it.
    creators, licence
        What an archive shows as the authors (``Family, Given``) and the licence; only Zenodo and Hugging Face use them.

    Returns
    -------
    str
        Where it is now.

    Raises
    ------
    UsageError
        If the record is not there, the place is not free, or a library is missing.
    LedgerError
        If the record is no verification, or the evidence is damaged.
    """
    if form not in FORMATS:
        raise UsageError(f"format={form!r} must be one of {', '.join(FORMATS)}")
    store = Ledger.at(ledger)
    name = store.resolve(record)
    document = store.get(name)
    found = verification(name, document)
    tables = tables_of(found, document["parents"], store)
    evidence = Evidence(name, document["created"], found, tables, store, tuple(creators), licence)
    if form == "mlflow":
        from idealab.export.mlflow import log

        return log(evidence, str(to))
    _fill(Path(to), lambda folder: FORMATS[form](evidence, folder))
    return str(to)


def _fill(target: Path, write: Callable[[Path], None]) -> None:
    """Let a folder appear whole or not at all."""
    target = target.absolute()
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise UsageError(f"--to={str(target)!r} is there and not an empty folder; name one that is not there yet")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".export-", dir=target.parent) as place:
            folder = Path(place) / "folder"
            folder.mkdir()
            write(folder)
            if target.exists():
                target.rmdir()
            shutil.move(folder, target)
    except OSError as error:
        raise UsageError(f"--to={str(target)!r} cannot be written: {error.strerror or error}") from error


def _csv(evidence: Evidence, folder: Path) -> None:
    write_csv(evidence.tables, folder)


def _parquet(evidence: Evidence, folder: Path) -> None:
    write_parquet(evidence.tables, folder)


def _zenodo(evidence: Evidence, folder: Path) -> None:
    """Lay out a deposit: CSV, the bundle, a page for people, and ``.zenodo.json``."""
    write_csv(evidence.tables, folder)
    bundle.export(evidence.ledger, [evidence.name], folder / BUNDLE)
    (folder / "README.md").write_text(_page(evidence, "csv"), "utf-8")
    stated = {
        "title": evidence.title,
        "upload_type": "dataset",
        "description": "".join(f"<p>{escape(line)}</p>" for line in _summary(evidence)),
        "keywords": [*_KEYWORDS],
        "version": evidence.name[:8],
        "creators": [{"name": one_line(name)} for name in evidence.creators],
        "license": evidence.licence,
    }
    text = json.dumps({name: value for name, value in stated.items() if value}, indent=2, ensure_ascii=False)
    (folder / ".zenodo.json").write_text(text + "\n", "utf-8")


def _huggingface(evidence: Evidence, folder: Path) -> None:
    """Lay out a data set: Parquet, the bundle, and a card whose front matter tells the viewer which table is where."""
    write_parquet(evidence.tables, folder)
    bundle.export(evidence.ledger, [evidence.name], folder / BUNDLE)
    lines = ["---", f"pretty_name: {_yaml(evidence.title)}"]
    lines += [f"license: {_yaml(evidence.licence)}"] if evidence.licence else []
    lines += ["tags:", *(f"- {_yaml(word)}" for word in _KEYWORDS), "configs:"]
    for table in evidence.tables:
        lines += [f"- config_name: {table.name}", f"  data_files: {table.name}.parquet"]
    text = "\n".join([*lines, "---", "", _page(evidence, "parquet")])
    (folder / "README.md").write_text(text, "utf-8")


FORMATS: Mapping[str, Callable[[Evidence, Path], None]] = {
    "csv": _csv,
    "parquet": _parquet,
    "zenodo": _zenodo,
    "huggingface": _huggingface,
    "mlflow": lambda evidence, folder: None,  # goes to a tracking server, not to a folder
}
"""What can be written."""


def _summary(evidence: Evidence) -> list[str]:
    """What there is to say of it, a line each, as plain text."""
    found = evidence.found
    verdict = found.verdict + (f", {found.scope}" if found.scope else "")
    return [
        one_line(found.statement),
        one_line(
            f"Verdict: {verdict}. Evidence 10^{number.evidence(found.evidence_log10)}, "
            f"{number.count(found.cost.seeds, 'seed')}."
        ),
        one_line(f"Declared as {found.declaration} before the first run; recorded {evidence.created}."),
        f"Record {evidence.name}, made with idealab.",
    ]


def _page(evidence: Evidence, ending: str) -> str:
    """Write the page for people, as Markdown in which nothing of the record is markup."""
    by = [f"By {'; '.join(evidence.creators)}."] if evidence.creators else []
    rows = tuple(f"{table.name}.{ending}: {number.count(len(table.rows), 'row')}" for table in evidence.tables)
    files = Items((*rows, f"{BUNDLE}: the record and all that it rests on, to be checked"))
    how = (
        f"To check it: pip install idealab; idealab ledger import {BUNDLE} --ledger evidence; "
        "idealab ledger check --ledger evidence."
    )
    note = "In CSV, text that a spreadsheet would take for a formula has an apostrophe in front."
    before, after = [*_summary(evidence), *by], [how, *([note] if ending == "csv" else [])]
    blocks = [*(Words((line,)) for line in before), files, *(Words((line,)) for line in after)]
    return markdown(evidence.title, blocks) + "\n"


def one_line(text: object) -> str:
    """Any text on one line, in which nothing does anything."""
    return " ".join(inert(str(text)).split())


def _yaml(text: str) -> str:
    """Text as a double-quoted scalar of YAML."""
    return '"' + one_line(text).replace("\\", "\\\\").replace('"', '\\"') + '"'
