"""``numbers.tex``: every number of a verification by its name, each of which knows the record it comes from."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from idealab.report.latex import quantity

if TYPE_CHECKING:
    from idealab.verification import CellResult, SignatureResult, Verification

HEAD = r"""% Say \idealab{RECORD}{NAME} with a name from below, as \idealab{RECORD}{evidence}. The numbers of several
% records go into one paper; \newcommand{\ours}{RECORD} lets \idealab{\ours}{evidence} stand for one of them.
% Every number is \idealabnumber{RECORD}{NUMBER}, so that a number in a paper can be traced to its record.
% To see the records beside the numbers, say before this file is read:
%   \newcommand{\idealabnumber}[2]{\ensuremath{#2}\textsuperscript{\tiny #1}}
\providecommand{\idealabnumber}[2]{\ensuremath{#2}}
\providecommand{\idealabdefine}[3]{%
  \expandafter\gdef\csname idealab/#1/\detokenize{#2}\endcsname{\idealabnumber{#1}{#3}}}
\providecommand{\idealabunknown}[2]{\PackageError{idealab}{record #1 has no number '#2'}{See its numbers.tex.}}
\DeclareRobustCommand{\idealab}[2]{%
  \ifcsname idealab/#1/\detokenize{#2}\endcsname
    \csname idealab/#1/\detokenize{#2}\endcsname
  \else
    \idealabunknown{#1}{\detokenize{#2}}%
  \fi}
"""


def numbers(result: Verification) -> str:
    """Write the file.

    A name is a path: ``evidence`` of the idea; ``planted/loss_clock/measured`` of a signature in an experiment, by the
    cell that is furthest from present; ``planted/loss_clock/gamma=0.5, t=1e6/measured`` of every cell, with its
    condition and time. Of a control ``without`` and the assumption stand in front of the signature.
    """
    record = short(result)
    lines = [f"% {_inert(result.idea)}, record {result.record}", HEAD]
    taken = set[str]()
    for name, value, comment in _entries(result):
        if comment:
            lines.append(f"% {_inert(comment)}")
        if value:
            lines.append(rf"\idealabdefine{{{record}}}{{{_free(_inert(name), taken)}}}{{{value}}}")
    return "\n".join(lines) + "\n"


def short(result: Verification) -> str:
    """The beginning of the record's hash, by which a paper names it."""
    return (result.record or "")[:8]


def _free(name: str, taken: set[str]) -> str:
    """The name, or where it is taken already with a number behind it."""
    candidates = (name if i == 1 else f"{name} ({i})" for i in range(1, len(taken) + 2))
    free = next(candidate for candidate in candidates if candidate not in taken)
    taken.add(free)
    return free


def _entries(result: Verification) -> Iterator[tuple[str, str, str]]:
    """Name, value, and a comment to stand above it."""
    cost = result.cost
    yield "evidence", quantity(result.evidence_log10, 3), "log10 of the evidence of the weakest link"
    for name, value in (
        ("seeds", cost.seeds),
        ("fixed design seeds", cost.fixed_design_seeds),
        ("seconds", cost.seconds),
        ("gradient evaluations", cost.gradient_evaluations),
        ("signatures", len({signature.name for signature in result.signatures})),
        ("cells", sum(len(signature.cells) for signature in result.signatures)),
        ("controls", len(result.controls)),
        ("controls as expected", sum(control.ok for control in result.controls)),
    ):
        if value is not None:
            yield name, quantity(value, 3 if name in ("seconds", "gradient evaluations") else 9), ""
    yield from _mutants(result)
    for signature in result.signatures:
        yield from _signature(f"{signature.experiment}/{signature.name}", signature, "")
    for control in result.controls:
        without = f"without {control.assumption}"
        for signature in (*control.signatures, *([control.rival] if control.rival else [])):
            yield from _signature(f"{control.experiment}/{without}/{signature.name}", signature, f"{without}, ")


def _mutants(result: Verification) -> Iterator[tuple[str, str, str]]:
    found = result.mutants
    if found is None or not found.mutants:
        return
    yield "mutants", str(len(found.mutants) + found.equivalent), "wrong formulas held against the same data"
    for status in ("killed", "survived", "unresolvable", "unseen", "undefined"):
        yield f"mutants/{status}", str(len(found.having(status))), ""
    yield "mutants/resolvable score", quantity(found.resolvable_score, 3), ""


def _signature(name: str, signature: SignatureResult, where: str) -> Iterator[tuple[str, str, str]]:
    seen = f"{where}{signature.name} in {signature.experiment}, {signature.level}: {signature.verdict}"
    yield "", "", f"{seen}; first the cell that is furthest from present, then each by its condition"
    yield f"{name}/evidence", quantity(signature.evidence_log10, 3), ""
    yield f"{name}/seeds", str(signature.seeds), ""
    yield from _cell(name, signature.weakest)
    for cell in signature.cells:
        place = ", ".join(part for part in (cell.condition, cell.checkpoint) if part) or "all conditions"
        yield from _cell(f"{name}/{place}", cell)
        yield f"{name}/{place}/seeds", str(cell.seeds), ""
        yield f"{name}/{place}/evidence", quantity(cell.evidence_log10, 3), ""


def _cell(name: str, cell: CellResult) -> Iterator[tuple[str, str, str]]:
    yield f"{name}/predicted", quantity(cell.predicted, 7), ""
    yield f"{name}/measured", quantity(cell.measured, 7), ""
    yield f"{name}/standard error", quantity(cell.standard_error, 2), ""
    yield f"{name}/tolerance", quantity(cell.tolerance, 3), ""
    yield f"{name}/deviation", quantity(cell.deviation, 3), ""


def _inert(text: str) -> str:
    """One line without anything that could mean something to TeX, ``^^`` among it."""
    words = re.sub(r"[^A-Za-z0-9_ .,:;=+*/()<>|^'-]", "?", " ".join(text.split()))
    return re.sub(r"\^(?=\^)", "?", words)
