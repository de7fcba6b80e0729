from __future__ import annotations

import math
from dataclasses import replace
from html.parser import HTMLParser

import sympy as sp

from idealab.symbolic.prediction import Prediction
from idealab.verification import Verification


class Checked(HTMLParser):
    """Fails on tags that do not nest; collects the text."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.text: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def test_html_nests_and_says_the_same(troubled: Verification) -> None:
    page = Checked()
    page.feed(troubled._repr_html_())
    text = " ".join(page.text)
    assert page.open == []
    assert "Partially supported, loss clock in planted" in text
    for signature in troubled.signatures:
        assert signature.name in text
    assert "should be broken, was the same" in text
    assert "not ok" in text


def test_html_escapes_what_it_is_given(supported: Verification) -> None:
    hostile = replace(supported, idea="<script>alert(1)</script>", gates=("a & b <i>",))
    shown = hostile._repr_html_()
    assert "<script>" not in shown
    assert "<i>" not in shown
    assert "a &amp; b &lt;i&gt;" in shown


def test_latex_has_as_many_cells_in_each_row_and_no_bare_special(supported: Verification) -> None:
    hostile = replace(supported, signatures=(replace(supported.signatures[0], name="50% of_a & b#1", formula="γ·x^2"),))
    latex = hostile._repr_latex_()
    (line,) = (line for line in latex.splitlines() if "50" in line)
    assert r"50\% of\_a \& b\#1" in line
    assert r"$\gamma$$\cdot$x\textasciicircum{}2" in line
    assert line.replace(r"\&", "").count("&") == 7
    assert latex.count(r"\begin{tabular}") == latex.count(r"\end{tabular}") == 1


def test_infinite_evidence_is_infinite_in_latex(supported: Verification) -> None:
    assert r"10^{\infty}" in replace(supported, evidence_log10=math.inf)._repr_latex_()


def piece(shown: str) -> Checked:
    """HTML whose tags nest."""
    page = Checked()
    page.feed(shown)
    assert page.open == []
    return page


def test_an_idea_is_its_card(toy) -> None:
    theory = toy.idea()
    page = piece(theory._repr_html_())
    text = " ".join(page.text)
    for said in (theory.name, theory.statement, theory.scope, *theory.failure_modes, *theory.signatures):
        assert said in text
    assert "<math" in theory._repr_html_()
    latex = theory._repr_latex_()
    assert r"\section*{toy}" in latex
    assert r"\begin{equation*}" in latex


def test_a_signature_is_its_entry_on_the_card(toy) -> None:
    signature = toy.idea().signatures["height"]
    shown = signature._repr_html_()
    text = " ".join(piece(shown).text)
    for said in (signature.name, signature.statement, signature.reason, *signature.rivals, *signature.must_kill):
        assert said in text
    assert "<math" in shown
    latex = signature._repr_latex_()
    assert r"\paragraph{height}" in latex
    assert r"\section" not in latex
    assert latex.count(r"\begin{equation*}") == latex.count(r"\end{equation*}") == 1


def test_a_derivation_shows_each_step_and_how_it_is_known(toy) -> None:
    fall = toy.fall(2)
    shown = fall._repr_html_()
    text = "".join(piece(shown).text)
    for step in fall.steps:
        assert step.name in text
        assert step.words in text
    assert "derived, from motion; computed by Sympy" in text
    assert shown.count("<math") == len(fall.steps)
    assert fall._repr_latex_().count(r"\begin{equation}") == len(fall.steps)


def test_a_prediction_shows_its_formula_and_what_it_is_a_function_of(toy) -> None:
    prediction = toy.idea().signatures["curve"].prediction
    text = "".join(piece(prediction._repr_html_()).text)
    assert "of a, b, log_t" in text
    assert prediction._repr_latex_() == f"$\\displaystyle {prediction.latex}$"
    assert "a constant" in Prediction(sp.Integer(2))._repr_html_()


def test_nothing_that_a_theory_says_is_markup(toy) -> None:
    hostile = "<script>alert(1)</script>"
    theory = replace(toy.idea(), name=hostile, statement=hostile, scope=hostile, failure_modes=(hostile,))
    steps = tuple(replace(step, words=hostile) for step in toy.fall(2).steps)
    fall = replace(toy.fall(2), name=hostile, statement=hostile, steps=steps)
    for shown in (theory._repr_html_(), fall._repr_html_()):
        assert "<script" not in shown
        assert "&lt;script&gt;" in shown
