"""The card in all its formats: what each criterion asks for in words, and that no name does anything."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import sympy as sp
from markdown_it import MarkdownIt

from idealab.experiment import Condition, Experiment, Observation
from idealab.idea import Assumption, Idea, Named, Reference, Rival, Signature
from idealab.judge.criteria import Criterion, Equals, Identity
from idealab.judge.shapes import Rate, Slope, Threshold, Trend
from idealab.report.blocks import Entry, Words, drawn
from idealab.report.card import Card, as_dict, card_of
from idealab.report.disclosure import disclosed
from idealab.report.document import document
from idealab.report.html import card_page, sentence
from idealab.report.inert import inert
from idealab.report.markup import latex, markdown
from idealab.symbolic.derivation import Derivation
from idealab.symbolic.prediction import Prediction
from tests.report.elements import elements

x = sp.Symbol("x", positive=True)
HOSTILE = "<script>alert(1)</script>\\input{/etc/passwd}$`*_[a](b)&amp;\x1b]0;t\x07\u202e\r\n# h {x}"


def observe(key: object, condition: Condition) -> Observation:
    raise NotImplementedError


def idea(criterion: Criterion, says: str = "it", symbol: sp.Symbol = x, name: str = "it") -> Idea:
    value = sp.Symbol(f"y_{name}")
    derivation = Derivation(name, says).given(name, says, sp.Eq(value, symbol))
    derivation = derivation.derive("end", says, lambda known: sp.Eq(value, 2 * known[name].rhs))
    rival = Rival(name, says, Prediction(symbol**2))
    signature = Signature(name, says, name, derivation, criterion, says, rivals=Named(rival))
    return Idea(
        name=name,
        statement=says,
        scope=says,
        failure_modes=(says,),
        references=(Reference(name, says, 2026, says, says),),
        signatures=Named(signature),
        assumptions=Named(Assumption(name, says, "breaks", (name,), rival=signature)),
    )


def card(name: str = HOSTILE, symbol: sp.Symbol = x) -> Card:
    condition = Condition({name: 1.0}, label=name)
    experiment = Experiment(
        name, name, "idealized", observe, (name,), (condition, Condition({name: 2.0})), {name: (name, (1.0,))}
    )
    return card_of(idea(Equals(rtol=0.1), name, symbol, name), (experiment,))


def said(criterion: Criterion) -> str:
    (signatures,) = (
        block for block in disclosed(card_of(idea(criterion))) if getattr(block, "title", "") == "signatures"
    )
    (entry,) = (block for block in signatures.blocks if isinstance(block, Entry))
    (words,) = (block for block in entry.blocks if isinstance(block, Words) and block.label == "agrees if")
    return "".join(run if isinstance(run, str) else run.text for run in words.runs)


@pytest.mark.parametrize(
    ("criterion", "words"),
    [
        (Equals(rtol=0.1, atol=x), "the mean over seeds equals the prediction within 0.1 relative plus x absolute"),
        (
            Equals(rtol=0.1, estimand="median", pooled=0.01),
            "the median over seeds equals the prediction within 0.1 relative; over all points together, within 0.01 "
            "relative",
        ),
        (Identity(ulps=8), "in every seed it equals the prediction within 8 times machine epsilon"),
        (
            Identity(ulps=8, scale=x),
            "in every seed it equals the prediction within 8 times machine epsilon of terms of the size x",
        ),
        (
            Slope(along="log_t", atol=0.05),
            "the mean log-log slope along log_t equals the prediction within 0.05, in its last half too",
        ),
        (Trend(along="width"), "along width it moves as predicted at every step, by more than 0 relative"),
        (
            Rate(along="width", ideal=x, atol=0.1),
            "x is approached along width with the predicted exponent, within 0.1",
        ),
        (
            Threshold(along="eta", level=0.5, rtol=0.01),
            "it crosses 0.5 at the predicted value of eta, beyond; points within 0.01 are left out",
        ),
    ],
)
def test_each_criterion_is_said_in_words(criterion: Criterion, words: str) -> None:
    assert said(criterion) == words


def test_a_terminal_is_not_commanded() -> None:
    shown = "\n".join(line.plain for line in drawn(HOSTILE, disclosed(card()), 80))
    assert re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]", shown) is None
    assert "␛" in shown


@pytest.mark.parametrize("symbol", [x, sp.Symbol(HOSTILE, positive=True)], ids=["names", "symbols too"])
def test_a_page_has_no_element_that_a_name_brought(symbol: sp.Symbol) -> None:
    tame, hostile = elements(card_page(card("it"))), elements(card_page(card(HOSTILE, symbol)))
    assert hostile - tame <= {(tag, "") for tag in ("msup", "msub", "msubsup", "var", "sub", "sup", "em")}
    assert ("script", "") not in hostile


@pytest.mark.parametrize(
    "name",
    [HOSTILE, "<img src=x onerror=alert(1)>", "![a](http://x.y)", "<http://x.y>", "- a", "1. a", "```\na", "a | b"],
)
def test_no_name_is_markdown(name: str) -> None:
    written = markdown(name, disclosed(card(name, sp.Symbol("<script>", positive=True))))
    parsed = MarkdownIt("commonmark", {"html": True}).enable("table").parse(written)
    kinds = {token.type for block in parsed for token in (block, *(block.children or ()))}
    brought = {"html_block", "html_inline", "link_open", "image", "fence", "code_block", "code_inline", "table_open"}
    assert not kinds & (brought | {"ordered_list_open", "blockquote_open", "hr"})
    said = [block.content for block in parsed if block.type == "inline"]
    assert "\\lt script\\gt" in "".join(said)
    assert any(" ".join(inert(name).split())[:20] in text.replace("\\", "") for text in said)


def test_symbols_of_a_sentence_are_set_as_such() -> None:
    written = sentence("gamma^2 w_hat . w exceeds -ln L_0 by 2e-6, `late` - <b>")
    assert str(written) == (
        "<var>γ</var><sup>2</sup> <var>w\u0302</var> · <var>w</var> exceeds −ln <var>L</var><sub>0</sub> by "
        "2·10<sup>−6</sup>, <em>late</em> − &lt;<var>b</var>&gt;"
    )


def test_json_holds_names_as_data() -> None:
    assert json.loads(document(as_dict(card())))["idea"] == HOSTILE


@pytest.mark.parametrize("symbol", [x, sp.Symbol("\\input{/etc/passwd}", positive=True)], ids=["names", "symbols too"])
def test_latex_commands_in_names_are_text(symbol: sp.Symbol) -> None:
    shown = latex(HOSTILE, disclosed(card(HOSTILE, symbol)))
    assert "\\input" not in shown
    assert "\\textbackslash{}input\\{/etc/passwd\\}" in shown
    assert "\x1b" not in shown


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="pdflatex is not installed")
def test_latex_with_hostile_names_compiles(tmp_path: Path) -> None:
    fragment = latex(HOSTILE, disclosed(card(HOSTILE, sp.Symbol("\\input{/etc/passwd}", positive=True))))
    source = tmp_path / "card.tex"
    source.write_text(
        "\\documentclass{article}\\usepackage{amsmath}\\usepackage[T1]{fontenc}\\begin{document}\n"
        f"{fragment}\n\\end{{document}}\n",
        encoding="utf-8",
    )
    done = subprocess.run(
        ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", source.name],
        cwd=tmp_path,
        capture_output=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout[-2000:]
