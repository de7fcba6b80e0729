"""Draws a verification for the terminal: every verdict is a word, and colour only repeats it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import TYPE_CHECKING

from rich.text import Text

from idealab.report import mutants, number
from idealab.report.table import Column, fit, paragraph, rows

if TYPE_CHECKING:
    from idealab.verification import CellResult, ControlResult, SignatureResult, Verification

# Of the sixteen colours only these are legible on dark and on light backgrounds alike; yellow is not.
STYLE = {
    "present": "green",
    "supported": "green",
    "absent": "bold red",
    "refuted": "red",
    "partial": "magenta",
    "inconclusive": "magenta",
    "undecided": "magenta",
}
CONCLUSION = {
    "supported": "SUPPORTED",
    "refuted": "REFUTED",
    "partial": "PARTIALLY SUPPORTED",
    "inconclusive": "INCONCLUSIVE",
}
PLACE = {"real data": "on real data", "network": "in a network"}
_BADNESS = {"absent": 2, "undecided": 1, "present": 0}
DID = {"breaks": "break", "does_not_matter": "not matter", "undecided": "undecided"}

_ROOMY = 18
"""Columns for a prediction from which on it is written with as many digits as the measured value."""


def verification(result: Verification, width: int, declared: str = "") -> Iterator[Text]:
    """Draw a verification.

    Parameters
    ----------
    width
        Columns there are; the columns of the tables are chosen by it.
    declared
        How the declaration sums itself up: how many signatures, conditions and seeds, on which devices.

    Yields
    ------
    Text
        One line each.
    """
    yield from _heading(result, width, declared)
    idealized = [signature for signature in result.signatures if signature.level == "idealized"]
    if idealized:
        yield Text()
        yield from _signatures(idealized, width)
    beyond = [signature for signature in result.signatures if signature.level != "idealized"]
    if beyond:
        yield from _places(beyond, width)
    if result.controls:
        yield Text()
        yield from _controls(result.controls, width)
    if result.mutants is not None and result.mutants.mutants:
        yield Text()
        yield from mutants.section(result.mutants, width)
    if result.gates or result.notes or result.hints:
        yield Text()
        for gate in dict.fromkeys(result.gates):
            yield from paragraph(gate, width, first="held back: ")
        for remark in dict.fromkeys(result.notes):
            yield from paragraph(remark, width, first="note: ")
        for hint in result.hints:
            yield from paragraph(hint, width, first="hint, no result: ", indent="    ")
    yield Text()
    yield from _conclusion(result, width)


def _heading(result: Verification, width: int, declared: str) -> Iterator[Text]:
    # Where it fits on one line as it does in DESIGN, else with the name on a line of its own.
    line = Text.assemble((result.idea, "bold"), "   ", result.statement)
    if line.cell_len <= width:
        yield line
    else:
        yield Text(result.idea, style="bold")
        yield from paragraph(result.statement, width)
    before = sum(max(earlier.finished, 1) for earlier in result.earlier)
    words = f"declared {result.declaration[:8]} before the first run" + (f" · {declared}" if declared else "")
    words += f" · run {number.count(before, 'time')} before" if before else ""
    yield from paragraph(words, width, indent="  ", style="dim", widest=width)


def _signatures(signatures: Sequence[SignatureResult], width: int) -> Iterator[Text]:
    """The table of the idealized experiments, one row for each signature, by its weakest cell."""
    columns = fit(_signature_columns(signatures, width), width, spare=("seeds", "evidence", "tolerance", "predicted"))
    drawn = list(rows(columns))
    yield drawn[0]
    several = len({signature.experiment for signature in signatures}) > 1
    for experiment, group in groupby(zip(signatures, drawn[1:], strict=True), key=lambda pair: pair[0].experiment):
        if several:
            yield Text(f"{experiment}, idealized", style="bold")
        for signature, row in group:
            yield row
            for line in reservations(signature):
                yield from paragraph(line, width, first=" " * 4)
    if not all(signature.primary for signature in signatures):
        yield Text("* secondary: the verdict does not rest on it", style="dim")


def _signature_columns(signatures: Sequence[SignatureResult], width: int) -> list[Column]:
    weakest = [signature.weakest for signature in signatures]
    verdicts = max(len(signature.verdict) for signature in signatures)
    room = min(32, max(8, (width - 80) // 2 + 8))  # for a formula and its value
    return [
        Column(
            "signature",
            tuple(
                Text.assemble(
                    (s.verdict.ljust(verdicts), STYLE[s.verdict]),
                    "  ",
                    s.name,
                    "" if s.primary else " *",
                )
                for s in signatures
            ),
        ),
        Column("predicted", tuple(Text(_predicted(s, room)) for s in signatures)),
        Column("measured", tuple(Text(number.with_error(c.measured, c.standard_error)) for c in weakest)),
        Column("off", tuple(Text(_off(c) if math.isfinite(c.measured) else "") for c in weakest)),
        Column("tolerance", tuple(Text("" if c.side else number.show(c.tolerance, 2)) for c in weakest)),
        Column("evidence", tuple(Text(number.evidence(s.evidence_log10)) for s in signatures), right=True),
        Column("seeds", tuple(Text(str(s.seeds)) for s in signatures), right=True),
    ]


def _predicted(signature: SignatureResult, room: int) -> str:
    """The formula with its value, as much of it as there is room for; the value is what can be compared."""
    value = number.predicted(signature.weakest, 5 if room < _ROOMY else 7)
    if signature.criterion not in ("Equals", "Identity"):
        return value  # what is compared is a slope or a direction, whatever was derived for it
    try:
        constant = float(signature.formula) == signature.weakest.predicted
    except ValueError:
        constant = False
    both = f"{signature.formula} = {value}"
    return value if constant or len(both) > room else both


def _off(cell: CellResult) -> str:
    """How far measured lies from predicted, as the judge saw it: for a vector, of each seed's worst component.

    Nothing is off that only has to lie on one side.
    """
    return "" if cell.side else number.show(abs(cell.deviation) * cell.tolerance, 2)


def reservations(signature: SignatureResult) -> list[str]:
    """What must be said of a signature that is not simply present."""
    said: list[str] = []
    if signature.verdict != "present":
        good = sum(cell.verdict == "present" for cell in signature.cells)
        said.append(
            signature.scope
            or f"{_where(signature.weakest)}; {good} of {number.count(len(signature.cells), 'cell')} present"
        )
    said += ["holds again further out"] if signature.recurs else []
    said += _more_seeds(signature)
    said += [signature.weakest.note] if signature.weakest.note else []
    said += [f"not told apart from its rival {rival}" for rival in signature.rivals_standing]
    return said


def _more_seeds(signature: SignatureResult) -> Iterator[str]:
    """How many seeds would decide what is undecided."""
    undecided = [cell for cell in signature.cells if cell.verdict == "undecided" and cell.seeds and not cell.note]
    given_up = sum(cell.given_up for cell in undecided)
    if given_up:
        yield f"{number.count(given_up, 'cell')} given up early: unlikely to be decided by the cap"
    needed = [cell.seeds_to_decide for cell in undecided]
    if undecided and all(needed):
        yield f"about {max(n for n in needed if n)} seeds in a cell would decide it: raise --seeds"
    elif undecided:
        yield "no number of seeds would decide it: it lies at the edge of the tolerance"


def _where(cell: CellResult) -> str:
    return f"{cell.verdict} at " + ", ".join(part for part in (cell.condition, cell.checkpoint) if part)


def _places(signatures: Sequence[SignatureResult], width: int) -> Iterator[Text]:
    """Real data and networks: one line for each condition, over all signatures measured there."""
    groups: dict[tuple[str, str], list[SignatureResult]] = {}
    for signature in signatures:
        groups.setdefault((signature.level, signature.experiment), []).append(signature)
    levels = [level for level, _ in groups]
    for (level, experiment), group in groups.items():
        place = PLACE[level] + (f", {experiment}" if levels.count(level) > 1 else "")
        yield Text()
        yield from rows(fit(_place_columns(place, group), width))


def _place_columns(place: str, signatures: Sequence[SignatureResult]) -> list[Column]:
    conditions = list(dict.fromkeys(cell.condition for signature in signatures for cell in signature.cells))
    lines: list[tuple[Text, Text, Text]] = []
    for condition in conditions:
        cells = [(s.name, cell) for s in signatures for cell in s.cells if cell.condition == condition]
        failing = {name for name, cell in cells if cell.verdict != "present"}
        measured = {name for name, _ in cells}
        name, worst = max(cells, key=lambda pair: (_BADNESS[pair[1].verdict], abs(pair[1].deviation)))
        lines.append(
            (
                Text(worst.verdict, STYLE[worst.verdict]),
                Text(f"{len(measured) - len(failing)} of {len(measured)}"),
                Text(f"{name} {in_tolerances(worst)}"),
            )
        )
    headers = ("verdict", "present", "furthest off, in tolerances")
    columns = [Column(header, cells) for header, cells in zip(headers, zip(*lines, strict=True), strict=True)]
    return [Column(place, tuple(map(Text, conditions))), *columns]


def in_tolerances(cell: CellResult) -> str:
    """How far off a cell is, in units of its tolerance."""
    return number.show(abs(cell.deviation), 2) if math.isfinite(cell.measured) else number.show(cell.measured)


def _controls(controls: Sequence[ControlResult], width: int) -> Iterator[Text]:
    """What taking assumptions away should have done, and what it did."""
    names = [control.assumption for control in controls]
    labels = [c.assumption + (f", {c.experiment}" if names.count(c.assumption) > 1 else "") for c in controls]
    kept = fit(
        [
            Column("assumption removed", tuple(map(Text, labels))),
            Column("should", tuple(Text(DID[c.expected]) for c in controls)),
            Column("did", tuple(Text(DID[c.seen]) for c in controls)),
            Column("", tuple(Text("ok", "green") if c.ok else Text("NOT OK", "bold red") for c in controls)),
        ],
        width,
    )
    room = width - sum(column.width + 2 for column in kept)
    if room >= 20:
        told = [next((Text(words) for words in seen(control) if len(words) <= room), Text()) for control in controls]
        kept += fit([Column("seen", tuple(told))], room)
    yield from rows(kept)


def seen(control: ControlResult) -> Iterator[str]:
    """The numbers behind a control, the fullest words first: the rival's, else the signature's that did least of it."""
    pick = min if control.expected == "breaks" else max
    shown = pick(control.signatures, key=lambda signature: abs(signature.weakest.deviation), default=None)
    if control.expected == "does_not_matter":
        if shown is not None:
            off = in_tolerances(shown.weakest) + (" tolerances off" if math.isfinite(shown.weakest.measured) else "")
            yield f"{shown.name} {off}"
            yield off
        return
    told = control.rival or shown
    if told is None:
        return
    cell = told.weakest
    words = f"{number.show(cell.measured, 4)}, predicted {number.predicted(cell, 4)}"
    if control.rival is not None and control.rival.verdict != "present":
        words += f": {control.rival.verdict}"
    elif control.rival is not None and shown is not None and shown.weakest.measured == cell.measured:
        # The same observable: what the idea itself would have said without the rival's theory.
        yield f"{told.name} {words}, not {number.predicted(shown.weakest, 4)}"
    yield f"{told.name} {words}"
    yield words


def _conclusion(result: Verification, width: int) -> Iterator[Text]:
    within = f", {result.scope}" if result.scope else ""
    cost = result.cost
    seeds = number.count(cost.seeds, "seed")
    seeds += f", {cost.reused_seeds} of them from the ledger" if cost.reused_seeds else ""
    seeds += f" (a fixed design: {cost.fixed_design_seeds})" if cost.fixed_design_seeds else ""
    words = (
        f"{CONCLUSION[result.verdict]}{within}.  Evidence 10^{number.evidence(result.evidence_log10)}.  "
        f"{number.duration(cost.seconds)}, {seeds}."
    )
    for line in paragraph(words, width):
        line.highlight_words([CONCLUSION[result.verdict]], f"bold {STYLE[result.verdict]}")
        yield line
    yield Text(f"record {result.record[:8]}" if result.record else "not recorded", style="dim")
