"""Ideas, derivations, predictions and verifications in a notebook, and in the paper that is made from it.

A notebook shows the HTML; LaTeX is what it is converted with to PDF.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape as html
from typing import TYPE_CHECKING

from idealab.report import number
from idealab.report.latex import escape

if TYPE_CHECKING:
    from idealab.idea import Idea
    from idealab.report.blocks import Block
    from idealab.symbolic.derivation import Derivation
    from idealab.symbolic.prediction import Prediction
    from idealab.verification import SignatureResult, Verification

_HEADER = ("experiment", "signature", "verdict", "predicted", "measured", "tolerance", "evidence", "seeds")
_RIGHT = ("evidence", "seeds")
_STYLE = "<style>.idealab .facts { font-weight: normal; opacity: 0.7; padding-left: 0.6em }</style>"
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
    head = "".join(_cell("th", name, name) for name in _HEADER)
    body = "".join(
        "<tr>" + "".join(_cell("td", text, name) for name, text in zip(_HEADER, _row(s), strict=True)) + "</tr>"
        for s in result.signatures
    )
    controls = "".join(
        f"<li>without {html(c.assumption)} ({html(c.experiment)}): should be {_words(c.expected)}, "
        f"was {_words(c.seen)}{'' if c.ok else ' &ndash; <b>not ok</b>'}</li>"
        for c in result.controls
    )
    remarks = "".join(f"<li>{html(words)}</li>" for words in (*result.gates, *result.notes))
    return (
        f"<div><p><b>{html(result.idea)}</b> {html(result.statement)}</p><p><b>{html(_sentence(result))}</b></p>"
        f'<table style="border-collapse:collapse"><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>'
        + (
            f"<details><summary>{len(result.controls)} controls</summary><ul>{controls}</ul></details>"
            if controls
            else ""
        )
        + (f"<ul>{remarks}</ul>" if remarks else "")
        + f"<p>{html(_provenance(result))}</p></div>"
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
        f"{signature.formula} = {number.show(cell.predicted)}",
        number.with_error(cell.measured, cell.standard_error),
        number.show(cell.tolerance, 2),
        number.evidence(signature.evidence_log10),
        str(signature.seeds),
    )


def _cell(tag: str, text: str, column: str) -> str:
    side = "right" if column in _RIGHT else "left"
    return f'<{tag} style="text-align:{side};padding:2px 8px">{html(text)}</{tag}>'


def _words(seen: str) -> str:
    return {"breaks": "broken", "does_not_matter": "the same"}.get(seen, seen)


def _verdict(result: Verification) -> str:
    return _CONCLUSION[result.verdict] + (f", {result.scope}" if result.scope else "") + "."


def _sentence(result: Verification) -> str:
    return f"{_verdict(result)} Evidence 10^{number.evidence(result.evidence_log10)}."


def _provenance(result: Verification) -> str:
    cost = f"{number.duration(result.cost.seconds)}, {number.count(result.cost.seeds, 'seed')}"
    record = f"record {result.record[:8]}" if result.record else "not recorded"
    return f"declared {result.declaration[:8]} before the first run; {cost}; {record}"
