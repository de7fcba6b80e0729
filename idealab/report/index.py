"""The index of all ideas with their latest verdicts: a page, and the rows that it is written from."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from idealab.report import number
from idealab.report.html import render
from idealab.report.page import SIGN, TONE

if TYPE_CHECKING:
    from idealab.verification import Verification


@dataclass(frozen=True)
class Entry:
    """One idea: its latest verification, or none; ``page`` is the file that says more, beside the index."""

    idea: str
    statement: str
    verdict: str = ""
    evidence: str = ""
    present: str = ""
    controls: str = ""
    levels: str = ""
    cost: str = ""
    date: str = ""
    page: str = ""
    remarks: tuple[str, ...] = ()


def entry(result: Verification, created: str, page: str, since: str = "") -> Entry:
    """Sum a verification up, as it was recorded at the time ``created``; ``page`` is the name of its file.

    ``since`` says what came after it, and is less.
    """
    present = sum(signature.verdict == "present" for signature in result.signatures)
    ok = sum(control.ok for control in result.controls)
    gates = (f"held back: {gate}" for gate in result.gates)
    said = [*result.notes[len(result.remarks) :], *(["cut short by its budget"] if result.cut_short else [])]
    return Entry(
        idea=result.idea,
        statement=result.statement,
        verdict=result.verdict,
        evidence=number.evidence(result.evidence_log10),
        present=f"{present} of {len(result.signatures)}",
        controls=f"{ok} of {len(result.controls)}" if result.controls else "none",
        levels=", ".join(dict.fromkeys(signature.level for signature in result.signatures)),
        cost=f"{number.duration(result.cost.seconds)}, {number.count(result.cost.seeds, 'seed')}",
        date=created[:10],
        page=page,
        remarks=tuple(filter(None, (result.scope, *gates, *said, since))),
    )


def index(entries: Sequence[Entry]) -> str:
    """Write the index as one file that loads nothing and runs nothing; it links to the pages beside it."""
    verdicts = Counter(entry.verdict for entry in entries)
    order = [*SIGN, ""]
    counts = [f"{verdicts[v]} {v or 'not verified yet'}" for v in order if verdicts[v]]
    newest = max((entry.date for entry in entries), default="")
    return render("index.html", entries=entries, counts=", ".join(counts), newest=newest, sign=SIGN, tone=TONE)
