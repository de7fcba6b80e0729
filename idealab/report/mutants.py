"""What a verification would have noticed, in words: the wrong theories that it refuted, and those that it did not."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from rich.text import Text

from idealab.report import number
from idealab.report.table import Column, fit, paragraph, rows

if TYPE_CHECKING:
    from idealab.verification import MutantResult, MutationResult, Verification

SCHEMA = "idealab/mutants/1"
_SHOWN = 6
"""Mutants of one signature that are named where all would be too many."""

ALIVE = {
    "survived": "not told apart",
    "unseen": "on no condition told apart",
    "unresolvable": "within the tolerance",
}
_TOLD = {
    "survived": "is not told from",
    "unseen": "is told by no condition (a fault of the design) from",
    "unresolvable": "is within its tolerance not told from",
}
STYLE = {"killed": "green", "survived": "magenta", "unseen": "bold red", "unresolvable": "dim", "undefined": "dim"}


def summary(found: MutationResult) -> str:
    """How many were killed, in one sentence."""
    killed, survived = len(found.having("killed")), len(found.having("survived"))
    apart = [
        f"{count} {one if count == 1 else many}"
        for status, one, many in (
            ("unresolvable", "lies within the tolerance", "lie within the tolerance"),
            ("unseen", "equals the theory on every condition", "equal the theory on every condition"),
            ("undefined", "predicts no number", "predict no number"),
        )
        if (count := len(found.having(status)))
    ]
    rest = f"; {', '.join(apart)}" if apart else ""
    return f"{killed} of {number.count(killed + survived, 'resolvable mutant')} killed{rest}"


def section(found: MutationResult, width: int) -> Iterator[Text]:
    """A few lines for the report of a verification: the score, and what the experiment cannot tell from the theory."""
    yield from paragraph(summary(found) + ".", width)
    for line in alive(found):
        yield from paragraph(line, width, first="  ", indent="    ")


def alive(found: MutationResult) -> Iterator[str]:
    """What the experiment cannot tell from the theory, a line for each signature."""
    # A power law within the tolerance of a logarithm is worth a line, other small changes are what a tolerance is for.
    named = [m for m in found.mutants if m.status in ("survived", "unseen") or _is_power(m)]
    for status in ("survived", "unseen", "unresolvable"):
        yield from _named(status, [mutant for mutant in named if mutant.status == status])


def _is_power(mutant: MutantResult) -> bool:
    return mutant.operator == "log to power" and mutant.status == "unresolvable"


def _named(status: str, mutants: Sequence[MutantResult]) -> Iterator[str]:
    groups: dict[str, list[str]] = {}
    for mutant in mutants:
        # No line ends within a formula, unless it fills one.
        whole = mutant.words.replace(" ", "\N{NO-BREAK SPACE}") if len(mutant.words) <= 40 else mutant.words
        groups.setdefault(mutant.signature, []).append(whole)
    for signature, words in groups.items():
        more = f"; and {len(words) - _SHOWN} more" if len(words) > _SHOWN else ""
        yield f"{signature} {_TOLD[status]}: {'; '.join(words[:_SHOWN])}{more}"


def report(result: Verification, width: int, every: bool = False) -> Iterator[Text]:
    """Draw what ``idealab mutate`` prints: a row for each signature, then the mutants that are alive, or all.

    Parameters
    ----------
    width
        Columns there are.
    every
        Also the killed ones, each with the cell that killed it.
    """
    found = result.mutants
    yield Text.assemble((result.idea, "bold"), f"   {result.verdict}, declared {result.declaration[:8]}")
    if found is None or not found.mutants:
        yield Text("no mutants: no prediction that was measured can be changed")
        return
    yield Text()
    names = list(dict.fromkeys(mutant.signature for mutant in found.mutants))
    statuses = ("killed", "survived", "unresolvable", "unseen", "undefined")
    counts = {
        status: [sum(m.signature == name and m.status == status for m in found.mutants) for name in names]
        for status in statuses
    }
    headers = {"unresolvable": "within tolerance", "unseen": "on no condition", "undefined": "no number"}
    columns = [
        Column("signature", tuple(map(Text, names))),
        *(
            Column(
                headers.get(status, status), tuple(Text(str(n), STYLE[status] if n else "dim") for n in column), True
            )
            for status, column in counts.items()
        ),
    ]
    yield from rows(fit(columns, width, spare=("no number",)))
    shown = [mutant for mutant in found.mutants if every or mutant.status in ALIVE]
    if shown:
        yield Text()
        yield from rows(fit(_columns(shown), width, spare=("kind", "where", "in tolerances")))
    yield Text()
    yield from paragraph(summary(found) + f": score {found.resolvable_score:.3f}.", width)
    if found.equivalent:
        yield from paragraph(f"{found.equivalent} more are the same function, written otherwise.", width)
    for words in found.refused:
        yield from paragraph(f"left out: {words}", width, indent="  ")
    for gate in [mutant for mutant in found.mutants if mutant.gates]:
        yield from paragraph(f"must be killed and is alive: {gate.signature}, {gate.words}", width)


def _columns(mutants: Sequence[MutantResult]) -> list[Column]:
    distances = [Text(number.show(m.distance, 2) if math.isfinite(m.distance) else "") for m in mutants]
    columns = [
        Column("signature", tuple(Text(m.signature) for m in mutants)),
        Column("mutant", tuple(Text(m.words) for m in mutants)),
        Column("kind", tuple(Text(m.operator) for m in mutants)),
        Column("in tolerances", tuple(distances), right=True),
        Column("", tuple(Text(ALIVE.get(m.status, m.status), STYLE[m.status]) for m in mutants)),
        Column("where", tuple(Text(m.where) for m in mutants)),
    ]
    return columns


def as_dict(result: Verification) -> dict[str, Any]:
    """Return the document that ``mutate --json`` prints: every mutant; formulas are text to read."""
    import dataclasses

    found = result.mutants
    return {
        "schema": SCHEMA,
        "idea": result.idea,
        "verdict": result.verdict,
        "declaration": result.declaration,
        "record": result.record,
        "resolvable_score": found.resolvable_score if found else None,
        "score": found.score if found else None,
        "equivalent": found.equivalent if found else 0,
        "refused": list(found.refused) if found else [],
        "mutants": [dataclasses.asdict(mutant) for mutant in found.mutants] if found else [],
    }
