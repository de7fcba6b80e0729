"""Ideas, signatures, derivations, predictions and verifications in a notebook, and in the paper that is made from it.

A notebook shows the HTML; LaTeX is what it is converted with to PDF.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape as html
from typing import TYPE_CHECKING

from idealab.report import number
from idealab.report.latex import escape

if TYPE_CHECKING:
    from idealab.idea import Idea, Signature
    from idealab.report.blocks import Block
    from idealab.symbolic.derivation import Derivation
    from idealab.symbolic.prediction import Prediction
    from idealab.verification import SignatureResult, Verification

_HEADER = ("experiment", "signature", "verdict", "predicted", "measured", "tolerance", "evidence", "seeds")
_RIGHT = ("evidence", "seeds")
_STYLE = "<style>.idealab .facts { font-weight: normal; opacity: 0.7; padding-left: 0.6em }</style>"
_WORDS = {"breaks": "broken", "does_not_matter": "the same"}
_CONCLUSION = {
    "supported": "Supported",
    "refuted": "Refuted",
    "partial": "Partially supported",
    "inconclusive": "Inconclusive",
}


def idea_html(idea: Idea) -> str:
    """Write the signature card, as far as the theory alone fills it."""
    from idealab.report.card import card_of
    from idealab.report.disclosure import disclosed

    return _piece(idea.name, disclosed(card_of(idea)))


def idea_latex(idea: Idea) -> str:
    """Write the signature card as LaTeX, which needs amsmath."""
    from idealab.report.card import card_of
    from idealab.report.disclosure import disclosed
    from idealab.report.markup import latex

    return latex(idea.name, disclosed(card_of(idea)))


def signature_html(signature: Signature) -> str:
    """Write the signature's entry on the card, as far as the theory alone fills it."""
    from idealab.report.card import signature_card
    from idealab.report.disclosure import disclosed_signature

    return _piece("", disclosed_signature(signature_card(signature)))


def signature_latex(signature: Signature) -> str:
    """Write the signature's entry on the card as LaTeX, which needs amsmath."""
    from idealab.report.card import signature_card
    from idealab.report.disclosure import disclosed_signature
    from idealab.report.markup import latex

    return latex("", disclosed_signature(signature_card(signature)))


def derivation_html(derivation: Derivation) -> str:
    """Write every step: its words, its equation, and how it is known."""
    from idealab.report.trail import blocks

    return _piece(derivation.name, blocks(derivation))


def derivation_latex(derivation: Derivation) -> str:
    """Write every step as a numbered equation."""
    from idealab.report.trail import latex

    return latex([derivation])


def prediction_html(prediction: Prediction) -> str:
    """Write the formula, and the keywords that its compiled function takes."""
    from idealab.report.blocks import Equation, Words
    from idealab.report.formula import Formula

    names = ", ".join(f"`{name}`" for name in prediction.arguments)  # names as they are typed, not as symbols
    keywords = f"of {names}" if names else "a constant"
    return _piece("", (Equation(Formula(prediction.expression)), Words((keywords,))))


def _piece(title: str, blocks: Sequence[Block]) -> str:
    from idealab.report.html import blocks_html

    heading = f"<h3>{html(title)}</h3>" if title else ""
    return f'<div class="idealab">{_STYLE}{heading}{blocks_html(blocks, level=4, fold=True)}</div>'


def verification_html(result: Verification) -> str:
    """Write a small table that brings its own style, takes the notebook's colours, and escapes all that it is given."""
    from idealab.report.html import render

    return render(
        "verification.html",
        result=result,
        verdict=_verdict(result),
        evidence=number.evidence(result.evidence_log10),
        header=_HEADER,
        rows=[_row(signature) for signature in result.signatures],
        right=[_HEADER.index(name) for name in _RIGHT],
        words=_WORDS,
        provenance=_provenance(result),
    )


def verification_latex(result: Verification) -> str:
    """Write a ``tabular`` that needs no package, and the verdict below it."""
    columns = "".join("r" if name in _RIGHT else "l" for name in _HEADER)
    lines = [rf"\begin{{tabular}}{{{columns}}}", r"\hline", " & ".join(_HEADER) + r" \\", r"\hline"]
    lines += [" & ".join(escape(text) for text in _row(signature)) + r" \\" for signature in result.signatures]
    evidence = f"Evidence $10^{{{escape(number.evidence(result.evidence_log10)).replace('$', '')}}}$."
    return "\n".join([*lines, r"\hline", r"\end{tabular}", "", rf"{escape(_verdict(result))} {evidence}"])


def _row(signature: SignatureResult) -> tuple[str, ...]:
    cell = signature.weakest
    return (
        signature.experiment,
        signature.name,
        signature.verdict,
        number.predicted(cell) if cell.side else f"{signature.formula} = {number.show(cell.predicted)}",
        number.with_error(cell.measured, cell.standard_error),
        "" if cell.side else number.show(cell.tolerance, 2),
        number.evidence(signature.evidence_log10),
        str(signature.seeds),
    )


def _verdict(result: Verification) -> str:
    return _CONCLUSION[result.verdict] + (f", {result.scope}" if result.scope else "") + "."


def _provenance(result: Verification) -> str:
    cost = f"{number.duration(result.cost.seconds)}, {number.count(result.cost.seeds, 'seed')}"
    record = f"record {result.record[:8]}" if result.record else "not recorded"
    return f"declared {result.declaration[:8]} before the first run; {cost}; {record}"
