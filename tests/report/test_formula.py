"""Formulas in LaTeX and MathML: the letters that are meant, and nothing that a name commands."""

from __future__ import annotations

import xml.etree.ElementTree as ET

import pytest
import sympy as sp

from idealab.report.formula import Formula, Quoted, equation
from idealab.report.inert import inert

t = sp.Symbol("t", positive=True)
u = sp.Function("u")


def mathml(expression: sp.Basic) -> ET.Element:
    return ET.fromstring(f"<math>{Formula(expression).mathml}</math>")


def test_mathml_uses_what_browsers_draw() -> None:
    n, m = sp.symbols("n m", integer=True)
    expression = sp.Piecewise(
        (sp.exp(-t) * u(t).diff(t) + sp.Sum(sp.IndexedBase("G")[n, m], (m, 0, 3)), t > 1), (0, True)
    )
    drawn = mathml(expression)
    core = ["math", "mrow", "mi", "mn", "mo", "mtext", "mfrac", "msup", "msub", "munderover", "mtable", "mtr", "mtd"]
    assert {element.tag for element in drawn.iter()} <= set(core)
    words = ["".join(element.itertext()) for element in drawn.iter("mtd")]
    assert words[1].startswith("if")
    assert words[2:] == ["0", "otherwise"]


def test_mathml_has_a_minus_and_plain_letters() -> None:
    text = "".join(mathml(sp.exp(-2 * t) - u(t).diff(t)).itertext())
    assert "−" in text
    assert "-" not in text
    assert not set(text) & set("ⅆⅇ")


@pytest.mark.parametrize("name", ["<script>alert(1)</script>", "a&b", "</mi></math><img src=x>", "&lt;b&gt;"])
def test_a_name_in_mathml_is_text(name: str) -> None:
    for expression in (sp.Symbol(name), sp.Function(name)(t), sp.IndexedBase(name)[sp.Symbol("n")]):
        drawn = mathml(expression)
        assert {element.tag for element in drawn.iter()} <= {"math", "mrow", "mi", "mo", "msub"}


@pytest.mark.parametrize(
    "name",
    [
        "\\input{/etc/passwd}",
        "\\write18{x}",
        "x^^5cinput",
        "a}b{",
        "$x$",
        "a%b",
        "\\",
        "#1",
        "\\csname input\\endcsname",
    ],
)
def test_a_name_in_latex_commands_nothing(name: str) -> None:
    for expression in (sp.Symbol(name), sp.Function(name)(t), sp.IndexedBase(name)[sp.Symbol("n")]):
        drawn = Formula(expression).latex
        assert drawn.startswith(("\\text{", "{\\text{"))
        assert "\\input" not in drawn
        assert "\\write" not in drawn
        assert "\\csname" not in drawn
        assert "^^" not in drawn


@pytest.mark.parametrize("name", ["\\hat{w}", "\\hat{w}_i", "theta_1", "\\mathcal{L}", "|w|", "\\varepsilon"])
def test_a_name_in_latex_may_draw_a_letter(name: str) -> None:
    assert Formula(sp.Symbol(name)).latex == sp.latex(sp.Symbol(name))


def test_accents_and_words_are_drawn_as_such() -> None:
    assert Formula(sp.Symbol("w_hat")).latex == r"\hat{w}"
    assert Formula(sp.Symbol("theta_max")).latex == r"\theta_{\max}"
    assert Formula(sp.Symbol("gap")).latex == r"\operatorname{gap}"
    (hat,) = mathml(sp.Symbol("w_hat")).iter("mover")
    assert "".join(hat.itertext()) == "w^"
    assert Formula(sp.Float(1e-8) * sp.Symbol("t")).latex == r"10^{-8} t"


def test_a_formula_of_a_record_is_never_evaluated() -> None:
    quoted = Quoted("__import__('os').system('false')<b>\\input{x}")
    assert quoted.text == "__import__('os').system('false')<b>\\input{x}"
    assert "\\input" not in quoted.latex
    assert not hasattr(quoted, "expression")


def test_what_a_terminal_would_obey_is_only_seen() -> None:
    assert inert("a\x1b[31m\tb\r\nc\x7f\x9b\u202e\ud800") == "a␛[31m b  c␡\ufffd\ufffd\ufffd"
    assert inert("π ≤ λ₂, naïve, 日本") == "π ≤ λ₂, naïve, 日本"


def test_a_sum_that_is_too_wide_has_rows_of_whole_terms():
    terms = [sp.log(sp.Symbol(f"quantity_{i}") / (i + 2)) for i in range(5)]
    wide = sp.Eq(sp.Symbol("C"), sp.Add(*terms[:3]) - sp.Add(*terms[3:]))
    drawn = [line.plain for line in equation(wide, 60, indent=4)]
    assert not any("↪" in line or len(line) > 60 for line in drawn)
    middle = [line for line in drawn if "log" in line]
    assert len(middle) > 1
    assert middle[0].startswith("    C = ")
    assert all(line.strip().startswith(("+ ", "- ", "-log")) for line in middle[1:])
    assert "".join(middle).count("log") == 5
