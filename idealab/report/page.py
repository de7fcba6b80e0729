"""The page of one verification, and the index of all ideas: what was claimed, what was seen, and how to check it."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, Any

from idealab.report import canvas, mutants, number
from idealab.report.declared import declared_card, unlike
from idealab.report.disclosure import disclosed
from idealab.report.html import render
from idealab.report.terminal import CONCLUSION, DID, in_tolerances, reservations, seen
from idealab.report.trail import entries

if TYPE_CHECKING:
    from idealab.idea import Idea
    from idealab.report.canvas import Drawing
    from idealab.symbolic.derivation import Derivation
    from idealab.verification import CellResult, ControlResult, SignatureResult, Verification

SIGN = {"supported": "✓", "refuted": "✗", "partial": "◐", "inconclusive": "?"}
TONE = {
    **dict.fromkeys(("supported", "present", "ok"), "good"),
    **dict.fromkeys(("refuted", "absent", "not ok"), "bad"),
    **dict.fromkeys(("partial", "inconclusive", "undecided"), "open"),
}
"""Classes of the style; the word beside it says the same."""

_COLOURS = {
    canvas.SHADE: "band",
    canvas.FAINT: "quiet",
    "#ffffff": "paper",
    canvas.BLUE: "blue",
    canvas.VERMILION: "vermilion",
    canvas.GREEN: "green",
}
"""Colours of figures that the style names anew: in the dark they are others."""

_MOST_CELLS = 1500
"""Cells that the page lists, the furthest off first: more would take it past two megabytes."""

_ROOM = 1_300_000
"""Bytes that figures may take."""

_EDGE = 1.35
"""Tolerances from zero at which the strip ends; what is further off is drawn there."""


@dataclass(frozen=True)
class _Picture:
    """A figure of the page, an SVG that this program drew."""

    name: str
    caption: str
    columns: int
    svg: str


@dataclass(frozen=True)
class _Mark:
    """A cell on the strip: where, and by its shape which verdict."""

    x: float
    verdict: str


@dataclass(frozen=True)
class _Row:
    """One signature in one experiment."""

    signature: SignatureResult
    predicted: str
    measured: str
    tolerance: str
    off: str
    where: str
    evidence: str
    remarks: list[str]
    marks: list[_Mark]


@dataclass(frozen=True)
class _Group:
    """All signatures of one experiment; ``plain`` if every one is present."""

    experiment: str
    level: str
    rows: list[_Row]
    plain: bool


@dataclass(frozen=True)
class _Control:
    """One removed assumption."""

    control: ControlResult
    should: str
    did: str
    seen: str


def page(
    result: Verification,
    created: str,
    content: Mapping[str, Any],
    idea: Idea | None = None,
    drawings: Sequence[Drawing] = (),
) -> str:
    """Write the page of a verification: one file that loads nothing and runs nothing.

    Parameters
    ----------
    result
        The verification, as it was recorded.
    created
        When, as the record says.
    content
        The content of its declaration.
    idea
        The idea as it is installed here, if it is; what differs from the declaration is not shown.
    drawings
        Figures that were drawn from the record, see `idealab.report.figures.figures`.

    Raises
    ------
    LedgerError
        If the declaration is not as idealab writes it.
    """
    card = declared_card(result, content, idea)
    other = unlike(card, idea) if idea is not None else ()
    pictures = [*_pictures(drawings)]
    return render(
        "page.html",
        result=result,
        created=created[:16].replace("T", " "),
        conclusion=CONCLUSION[result.verdict].capitalize(),
        sign=SIGN[result.verdict],
        tone=TONE,
        tiles=_tiles(result),
        card=disclosed(card),
        installed=idea is not None,
        unlike=other,
        derivations=[] if idea is None else [*entries(_derivations(result, idea, other))],
        groups=list(_groups(result)),
        pictures=pictures,
        left_out=[drawing.name for drawing in drawings if drawing.name not in {picture.name for picture in pictures}],
        controls=[_control(control) for control in result.controls],
        mutants=_mutants(result),
        cells=_cells(result),
        costs=_costs(result),
        commands=[*_commands(result)],
        environment=sorted((str(name), _shown(value)) for name, value in result.environment.items()),
    )


def _pictures(drawings: Sequence[Drawing]) -> Iterator[_Picture]:
    """As many of the figures as there is room for."""
    room = _ROOM
    for drawing in drawings:
        picture = _Picture(drawing.name, drawing.caption, drawing.columns, _svg(drawing))
        if len(picture.svg) <= room:
            room -= len(picture.svg)
            yield picture


def _svg(drawing: Drawing) -> str:
    """The figure with the page's own colours for what is neither ink nor data, so that it reads in the dark too."""
    svg = canvas.svg(drawing)
    for colour, own in _COLOURS.items():
        svg = svg.replace(colour.lower(), f"var(--{own})")
    return svg


def _tiles(result: Verification) -> list[tuple[str, str]]:
    """The few numbers that stand under the verdict."""
    present = sum(signature.verdict == "present" for signature in result.signatures)
    tiles = [
        ("evidence", number.evidence(result.evidence_log10)),
        ("signatures present", f"{present} of {len(result.signatures)}"),
    ]
    if result.controls:
        ok = sum(control.ok for control in result.controls)
        tiles.append(("controls as they must", f"{ok} of {len(result.controls)}"))
    if result.mutants is not None and result.mutants.mutants:
        killed, survived = (len(result.mutants.having(status)) for status in ("killed", "survived"))
        tiles.append(("wrong theories refuted", f"{killed} of {killed + survived}"))
    return [*tiles, ("cost", f"{number.duration(result.cost.seconds)}, {number.count(result.cost.seeds, 'seed')}")]


def _groups(result: Verification) -> Iterator[_Group]:
    for (experiment, level), group in groupby(result.signatures, key=lambda s: (s.experiment, s.level)):
        signatures = [*group]
        plain = all(signature.verdict == "present" for signature in signatures)
        yield _Group(experiment, level, [_row(signature) for signature in signatures], plain)


def _row(signature: SignatureResult) -> _Row:
    cell = signature.weakest
    return _Row(
        signature=signature,
        predicted=number.predicted(cell, 7),
        measured=number.with_error(cell.measured, cell.standard_error),
        tolerance="" if cell.side else number.show(cell.tolerance, 2),
        off="" if cell.side else in_tolerances(cell),
        where=_place(cell),
        evidence=number.evidence(signature.evidence_log10),
        remarks=reservations(signature),
        marks=_marks(signature),
    )


def _marks(signature: SignatureResult) -> list[_Mark]:
    """Each cell once; those that would be drawn over one another are one mark."""
    placed = {
        (round(max(-_EDGE, min(_EDGE, cell.deviation)), 2), cell.verdict): None
        for cell in signature.cells
        if not math.isnan(cell.deviation)
    }
    return [_Mark(x, verdict) for x, verdict in placed]


def _place(cell: CellResult) -> str:
    return ", ".join(part for part in (cell.condition, cell.checkpoint) if part)


def _control(control: ControlResult) -> _Control:
    return _Control(control, DID[control.expected], DID[control.seen], next(seen(control), ""))


def _mutants(result: Verification) -> tuple[str, list[str]]:
    """The score in one sentence, and what was not told apart."""
    found = result.mutants
    if found is None or not found.mutants:
        return "", []
    return mutants.summary(found) + ".", [*mutants.alive(found)]


def _cells(result: Verification) -> tuple[list[tuple[SignatureResult, CellResult, str, str, str]], int]:
    """Every cell with what is predicted, measured and off, the furthest off first, and how many are left out."""
    every = [(signature, cell) for signature in result.signatures for cell in signature.cells]
    every.sort(key=lambda pair: -math.inf if math.isnan(pair[1].deviation) else -abs(pair[1].deviation))
    shown = [
        (
            *(signature, cell, number.predicted(cell)),
            *(number.with_error(cell.measured, cell.standard_error), in_tolerances(cell)),
        )
        for signature, cell in every[:_MOST_CELLS]
    ]
    return shown, len(every) - len(shown)


def _costs(result: Verification) -> list[tuple[str, str]]:
    cost = result.cost
    costs = [("time", number.duration(cost.seconds)), ("seeds", f"{cost.seeds}")]
    costs += [("of these from the ledger", f"{cost.reused_seeds}")] if cost.reused_seeds else []
    if cost.fixed_design_seeds:
        costs.append(("seeds of a fixed design of equal power", f"{cost.fixed_design_seeds}"))
    return [*costs, ("gradient evaluations", f"{cost.gradient_evaluations:.3g}")]


def _commands(result: Verification) -> Iterator[tuple[str, str]]:
    """How somebody else checks the record; no name that a shell would take for more than a name."""
    yield (
        "idealab ledger check",
        "hashes every record again, and judges every verification again from what was observed",
    )
    if re.fullmatch(r"\w+", result.idea, re.ASCII):
        yield (
            f"idealab verify {result.idea} --declared {result.declaration}",
            "runs it again, with the options that were given, and refuses if anything that was declared has changed",
        )


def _shown(value: Any) -> str:
    return number.show(value, 6) if isinstance(value, float) else str(value)


def _derivations(result: Verification, idea: Idea, other: Sequence[str]) -> list[Derivation]:
    """The derivations of the signatures that were judged and are still the same, each once."""
    judged = dict.fromkeys(signature.name for signature in result.signatures if signature.name not in other)
    found = {s.derivation.name: s.derivation for name, s in idea.signatures.items() if name in judged}
    return [*found.values()]
