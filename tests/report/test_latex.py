from __future__ import annotations

import re

import pytest
from hypothesis import given, strategies as st

from idealab.report import latex
from idealab.report.latex import code, escape, plain, prose, quantity


@pytest.mark.parametrize(
    ("text", "latex"),
    [
        ("a_b & 5 % of {c}", r"a\_b \& 5 \% of \{c\}"),
        ("\\~^", r"\textbackslash{}\textasciitilde{}\textasciicircum{}"),
        ("γλς Λ", r"$\gamma$$\lambda$$\sigma$ $\Lambda$"),
        ("1 ± 2", r"1 $\pm$ 2"),
        ("Díaz", "Díaz"),
        ("ό", "ό"),  # an accented Greek letter is prose, not a symbol
    ],
)
def test_text_comes_out_as_it_is(text: str, latex: str) -> None:
    assert escape(text) == latex


@pytest.mark.parametrize(
    ("text", "latex"),
    [
        ("学習", r"\texttt{[U+5B66]}\texttt{[U+7FD2]}"),
        ("pₘₐₓ, x²³, t⁻¹", "p$_{max}$, x$^{23}$, t$^{-1}$"),
        ("--flag ---", r"-{}-flag -{}-{}-"),
        ("`a` $γ$", r"\textasciigrave{}a\textasciigrave{} \$$\gamma$\$"),
        ("a\nb\r\x00\x1b\u2028c", "a b c"),
        ("Díaz “x” – Ångström", "Díaz “x” – Ångström"),
        ("ό", r"\texttt{[U+03CC]}"),
        (r"\input{x}", r"\textbackslash{}input\{x\}"),
    ],
)
def test_text_for_pdflatex_has_only_what_its_fonts_have(text: str, latex: str) -> None:
    assert plain(text) == latex


@pytest.mark.parametrize(
    ("text", "latex"),
    [
        ("w_hat of gamma^2 t", r"$\hat{w}$ of $\gamma^{2}$ $t$"),
        ("below 1e-6 and 2.5e-8", r"below $10^{-6}$ and $2.5\cdot 10^{-8}$"),
        ("sigma_1^2, lambda_min", r"$\sigma_{1}^{2}$, $\lambda_{\min}$"),
        ("a start, not A or I", "a start, not A or I"),
        ("ln(t)^2, 3^(-b/(b+2)), 2^24", r"ln($t$)$^{2}$, 3$^{-b/(b+2)}$, 2$^{24}$"),
        ("y - x . w, by -ln L", r"$y$ $-$ $x$ $\cdot$ $w$, by $-$ln $L$"),
        ("as `late` says", r"as \emph{late} says"),
        ("loss_clock of Adam's w", r"loss\_clock of Adam's $w$"),
        ("it's 50 % of {x}", r"it's 50 \% of \{$x$\}"),
        (r"^(\input{a}) x_{y}", r"\textasciicircum{}(\textbackslash{}input\{a\}) x\_\{$y$\}"),
        ("`$\\x{`", r"\emph{\$\textbackslash{}x\{}"),
    ],
)
def test_the_symbols_of_a_sentence_become_mathematics(text: str, latex: str) -> None:
    assert prose(text) == latex


@pytest.mark.parametrize(
    ("value", "latex"),
    [
        (25.42305674, "25.423"),
        (1.23e-7, r"1.23\times 10^{-7}"),
        (-1e-8, "-10^{-8}"),
        (1e300, "10^{300}"),
        (-0.0, "0"),
        (float("inf"), r"\infty"),
        (float("-inf"), r"-\infty"),
        (float("nan"), r"\mathrm{undefined}"),
    ],
)
def test_numbers_are_written_for_math_mode(value: float, latex: str) -> None:
    assert quantity(value) == latex


def test_a_formula_that_is_text_stays_text_and_breaks_after_operators() -> None:
    assert code("a_1*(b)") == r"\texttt{a\_1*\allowbreak{}(b)\allowbreak{}}"
    assert code("1e-8 - t**2") == r"\texttt{1e-8 -\allowbreak{} t**\allowbreak{}2}"


@given(st.text(max_size=60))
def test_no_text_opens_what_it_does_not_close(text: str) -> None:
    for write in (plain, prose, code):
        written = re.sub(r"\\[{}$%&#_\\]", "", write(text))
        assert written.count("{") == written.count("}")
        assert written.count("$") % 2 == 0
        assert "\n" not in written
        assert all(command in KNOWN for command in re.findall(r"\\([A-Za-z]+)", written))


KNOWN = {
    *("textbackslash", "textasciitilde", "textasciicircum", "textasciigrave", "texttt", "emph", "allowbreak"),
    *("textless", "textgreater", "textbar"),
    *("pm", "cdot", "infty", "leq", "geq", "surd", "sum", "to", "times", "approx", "mathrm", "hat", "bar", "tilde"),
    *("min", "max", "inf", "sup", *latex.GREEK),
}
