"""The tables of a paper, for booktabs: what was seen, what the controls did, what would have been noticed."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from idealab.report import number
from idealab.report.latex import plain, prose, quantity

if TYPE_CHECKING:
    from idealab.verification import CellResult, ControlResult, SignatureResult, Verification

_LONGEST = 44
"""Rows that fit onto a page; a longer table is several."""

_SHOULD = {"breaks": "break", "does_not_matter": "not matter"}
_DID = {"breaks": "broke", "does_not_matter": "did not matter", "undecided": "undecided"}


def signatures(result: Verification) -> list[str]:
    """Every signature in every experiment, by the cell that is furthest from present."""
    header = ("experiment", "signature", "predicted", "measured", "off", "tolerance", "seeds", r"$\log_{10}$ evidence")
    rows: list[tuple[str, ...]] = []
    before = ""
    for signature in result.signatures:
        cell = signature.weakest
        where = f"{signature.experiment}, {signature.level}"
        star = "" if signature.primary else "$^*$"
        rows.append(
            (
                plain(signature.experiment) if where != before else "",
                plain(signature.name) + star,
                _predicted(cell, 7),
                _measured(cell),
                _math(cell.deviation * cell.tolerance, 2) if math.isfinite(cell.measured) and not cell.side else "",
                "" if cell.side else _math(cell.tolerance, 2),
                str(signature.seeds),
                _math(signature.evidence_log10, 2),
                "" if signature.verdict == "present" else rf"\textbf{{{plain(signature.verdict)}}}",
            )
        )
        before = where
    return _tabulars("llrrrrrrl", (*header, "verdict" if any(row[-1] for row in rows) else ""), rows)


def controls(result: Verification) -> list[str]:
    """Every assumption that was taken away, what that should have done, and what it did."""
    header = ("without", "in", "must", "did", "seen at", "predicted", "measured")
    rows = [row for control in result.controls for row in _control(control)]
    return _tabulars("lllllrr", header, rows)


def _control(control: ControlResult) -> Iterator[tuple[str, ...]]:
    pick = min if control.expected == "breaks" else max
    shown = pick(control.signatures, key=lambda s: abs(s.weakest.deviation), default=None)
    did = _DID[control.seen]
    ok = control.seen == control.expected
    first = (
        plain(control.assumption),
        plain(control.experiment),
        _SHOULD[control.expected],
        did if ok else rf"\textbf{{{did}}}",
    )
    yield (*first, *(_seen(shown) if shown else ("", "", "")))
    if control.rival is not None:
        present = control.rival.verdict == "present"
        words = "its own theory" if present else rf"\textbf{{its own theory: {plain(control.rival.verdict)}}}"
        yield ("", "", "", words, *_seen(control.rival))


def _seen(signature: SignatureResult) -> tuple[str, ...]:
    cell = signature.weakest
    return plain(signature.name), _predicted(cell, 4), _math(cell.measured, 4)


_STATUS = {
    "killed": "refuted",
    "survived": "not",
    "unresolvable": "within",
    "unseen": "unseen",
    "undefined": "undefined",
}


def mutants(result: Verification) -> list[str]:
    """How many wrong formulas of each signature were refuted, and how far the nearest of them lay."""
    found = [] if result.mutants is None else [m for m in result.mutants.mutants if m.signature]  # not only counted
    shown = [status for status in _STATUS if any(mutant.status == status for mutant in found)]
    rows: list[tuple[str, ...]] = []
    for name in dict.fromkeys(mutant.signature for mutant in found):
        of = [mutant for mutant in found if mutant.signature == name]
        counts = [str(sum(mutant.status == status for mutant in of)) for status in shown]
        nearest = min((mutant.distance for mutant in of if mutant.status == "killed"), default=math.nan)
        rows.append((plain(name), *counts, "" if math.isnan(nearest) else _math(nearest, 2)))
    header = ("signature", *(_STATUS[status] for status in shown), "nearest")
    return _tabulars("l" + "r" * (len(header) - 1), header, rows)


def survivors(result: Verification) -> list[str]:
    """What the data do not tell from the theory, a phrase for each signature."""
    alive: dict[str, list[str]] = {}
    for mutant in () if result.mutants is None else result.mutants.having("survived"):
        alive.setdefault(mutant.signature, []).append(prose(mutant.words))
    return [f"{plain(name)}: {'; '.join(words)}" for name, words in alive.items()]


def _tabulars(columns: str, header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """One or more tabulars, none longer than a page."""
    parts = [rows[at : at + _LONGEST] for at in range(0, len(rows), _LONGEST)]
    return [
        "\n".join(
            [
                rf"\begin{{tabular}}{{@{{}}{columns}@{{}}}}",
                r"\toprule",
                " & ".join(header) + r" \\",
                r"\midrule",
                *(" & ".join(row) + r" \\" for row in part),
                r"\bottomrule",
                r"\end{tabular}",
            ]
        )
        for part in parts
    ]


def _predicted(cell: CellResult, digits: int) -> str:
    """The value, or the side of it that is claimed."""
    return f"${cell.side}{quantity(cell.predicted, digits)}$"


def _measured(cell: CellResult) -> str:
    """The value to the decimal that its standard error reaches, with that."""
    value, _, error = number.with_error(cell.measured, cell.standard_error).partition(" ± ")
    if not error or not math.isfinite(cell.measured):
        return _math(cell.measured, 7)
    return rf"${_powered(value)} \pm {_powered(error)}$"


def _powered(digits: str) -> str:
    mantissa, _, power = digits.partition("e")
    return rf"{mantissa}\times 10^{{{int(power)}}}" if power else mantissa


def _math(value: float, digits: int) -> str:
    return f"${quantity(value, digits)}$"
