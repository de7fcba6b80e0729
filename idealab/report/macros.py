"""``numbers.tex``: a LaTeX macro for every number of a verification, each of which knows the record it comes from."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from idealab.report.latex import quantity

if TYPE_CHECKING:
    from idealab.verification import CellResult, SignatureResult, Verification

HEAD = r"""% Every number is \idealabnumber{RECORD}{NUMBER}, so that a number in a paper can be traced to its record.
% To see the records beside the numbers, say before this file is read:
%   \newcommand{\idealabnumber}[2]{\ensuremath{#2}\textsuperscript{\tiny #1}}
\providecommand{\idealabnumber}[2]{\ensuremath{#2}}
"""

_DIGITS = ("Zero", "One", "Two", "Three", "Four", "Five", "Six", "Seven", "Eight", "Nine")


def numbers(result: Verification) -> str:
    """Write the file.

    A macro's name is the idea, the experiment, the signature and the quantity, letters only, such as
    ``\\MaxMarginPlantedLossClockMeasured`` for the cell that is furthest from present; ``...CellA...``, ``...CellB...``
    are all cells, each named in a comment. Of a control ``Without`` and the assumption stand in front of the signature.
    """
    record = (result.record or "")[:8]
    lines, taken = [f"% {_comment(result.idea)}, record {result.record}", HEAD], set[str]()
    for name, value, comment in _entries(result):
        if comment:
            lines.append(f"% {_comment(comment)}")
        if value:
            lines.append(rf"\newcommand{{\{_free(name, taken)}}}{{\idealabnumber{{{record}}}{{{value}}}}}")
    return "\n".join(lines) + "\n"


def word(text: str) -> str:
    """Make a name of letters alone: ``loss_clock`` is LossClock, digits are spelled."""
    ascii_only = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()
    spelled = re.sub(r"\d", lambda digit: f" {_DIGITS[int(digit[0])]} ", ascii_only)
    return "".join(part[0].upper() + part[1:] for part in re.findall("[A-Za-z]+", spelled)) or "Unnamed"


def letters(index: int) -> str:
    """Count in letters: A to Z, AA, AB, ..."""
    text = chr(ord("A") + index % 26)
    return text if index < 26 else letters(index // 26 - 1) + text


def _free(name: str, taken: set[str]) -> str:
    """The name, or where it is taken already with a letter behind it."""
    candidates = (name if i == 0 else name + "X" * i for i in range(len(taken) + 1))
    free = next(candidate for candidate in candidates if candidate not in taken)
    taken.add(free)
    return free


def _entries(result: Verification) -> Iterator[tuple[str, str, str]]:
    """Name, value, and a comment to stand above it."""
    idea, cost = word(result.idea), result.cost
    yield f"{idea}Evidence", quantity(result.evidence_log10, 3), "log10 of the evidence of the weakest link"
    for name, value in (
        ("Seeds", cost.seeds),
        ("FixedDesignSeeds", cost.fixed_design_seeds),
        ("Seconds", cost.seconds),
        ("GradientEvaluations", cost.gradient_evaluations),
        ("Signatures", len({signature.name for signature in result.signatures})),
        ("Cells", sum(len(signature.cells) for signature in result.signatures)),
        ("Controls", len(result.controls)),
        ("ControlsAsExpected", sum(control.ok for control in result.controls)),
    ):
        if value is not None:
            yield f"{idea}{name}", quantity(value, 3 if name in ("Seconds", "GradientEvaluations") else 9), ""
    yield from _mutants(idea, result)
    for signature in result.signatures:
        yield from _signature(idea + word(signature.experiment) + word(signature.name), signature, "")
    for control in result.controls:
        without = f"{idea}{word(control.experiment)}Without{word(control.assumption)}"
        for signature in (*control.signatures, *([control.rival] if control.rival else [])):
            yield from _signature(without + word(signature.name), signature, f"without {control.assumption}, ")


def _mutants(idea: str, result: Verification) -> Iterator[tuple[str, str, str]]:
    found = result.mutants
    if found is None or not found.mutants:
        return
    yield f"{idea}Mutants", str(len(found.mutants) + found.equivalent), "wrong formulas held against the same data"
    for status in ("killed", "survived", "unresolvable", "unseen", "undefined"):
        yield f"{idea}Mutants{status.capitalize()}", str(len(found.having(status))), ""
    yield f"{idea}MutantsResolvableScore", quantity(found.resolvable_score, 3), ""


def _signature(name: str, signature: SignatureResult, where: str) -> Iterator[tuple[str, str, str]]:
    yield "", "", f"{where}{signature.name} in {signature.experiment}, {signature.level}: {signature.verdict}"
    yield f"{name}Evidence", quantity(signature.evidence_log10, 3), ""
    yield f"{name}Seeds", str(signature.seeds), ""
    yield from _cell(name, signature.weakest, "")
    for i, cell in enumerate(signature.cells):
        place: Sequence[str] = [part for part in (cell.condition, cell.checkpoint) if part]
        yield from _cell(f"{name}Cell{letters(i)}", cell, f"cell {letters(i)}: {', '.join(place)}: {cell.verdict}")


def _cell(name: str, cell: CellResult, comment: str) -> Iterator[tuple[str, str, str]]:
    yield f"{name}Predicted", quantity(cell.predicted, 7), comment
    yield f"{name}Measured", quantity(cell.measured, 7), ""
    yield f"{name}StandardError", quantity(cell.standard_error, 2), ""
    yield f"{name}Tolerance", quantity(cell.tolerance, 3), ""
    yield f"{name}Deviation", quantity(cell.deviation, 3), ""
    if comment:
        yield f"{name}Seeds", str(cell.seeds), ""
        yield f"{name}Evidence", quantity(cell.evidence_log10, 3), ""


def _comment(text: str) -> str:
    """One line of comment without anything that could mean something to TeX, should somebody take the sign away."""
    return re.sub(r"[^A-Za-z0-9_ .,:;=+*/()<>|^'-]", "?", " ".join(text.split()))
