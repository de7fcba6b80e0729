"""A sweep as a table, and as a document."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from rich.text import Text

from idealab.explore.sweep import Trial
from idealab.report.number import count, duration, evidence
from idealab.report.table import Column, fit, paragraph, rows
from idealab.report.terminal import STYLE


def sweep(found: Sequence[Trial], width: int) -> Iterator[Text]:
    """Draw a row for each verification, what became of those that failed, and a line that counts."""
    verdicts = tuple(Text(trial.verdict or "failed", style=STYLE.get(trial.verdict, "magenta")) for trial in found)
    names = list(dict.fromkeys(name for trial in found for name in trial.settings))
    columns = [
        Column("idea", tuple(Text(trial.idea) for trial in found)),
        *(Column(name, tuple(Text(str(t.settings.get(name, ""))) for t in found), right=True) for name in names),
        Column("master seed", tuple(Text(str(trial.master_seed)) for trial in found), right=True),
        Column("verdict", verdicts),
        Column("evidence", tuple(Text(evidence(t.evidence_log10) if t.verdict else "") for t in found), right=True),
        Column("seeds", tuple(Text(str(t.seeds) if t.verdict else "") for t in found), right=True),
        Column("time", tuple(Text(duration(t.seconds) if t.verdict else "") for t in found), right=True),
        Column("record", tuple(Text((t.record or "")[:8]) for t in found)),
    ]
    yield from rows(fit(columns, width, spare=("record", "seeds", "time", "evidence")))
    failed = [trial for trial in found if trial.error]
    if failed:
        yield Text()
    for trial in failed:
        yield from paragraph(f"{trial.label}: {trial.error}; log: {trial.log}", width, indent="  ")
    yield Text()
    counts = Counter(trial.verdict or "failed" for trial in found)
    order = ("supported", "refuted", "partial", "inconclusive", "failed")
    said = ", ".join(f"{counts[name]} {name}" for name in order if counts[name])
    yield Text(f"{count(len(found), 'verification')}: {said}.")


def as_dict(found: Sequence[Trial]) -> dict[str, Any]:
    """The document that ``sweep --json`` prints; each result's verification is in the ledger, under ``record``."""
    return {"schema": "idealab/sweep/1", "results": [dataclasses.asdict(trial) for trial in found]}
