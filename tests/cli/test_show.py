from __future__ import annotations

import pytest
import sympy as sp

from idealab.cli import main
from idealab.idea import Idea, Named, Signature
from idealab.judge.criteria import Criterion, Equals, Identity
from idealab.judge.shapes import Rate, Threshold, Trend
from idealab.report.card import card
from idealab.symbolic.derivation import Derivation


def shown(capsys: pytest.CaptureFixture[str], width: int, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("COLUMNS", str(width))
    assert main(["show", "toy"]) == 0
    return capsys.readouterr().out


@pytest.mark.parametrize("width", [60, 80, 140])
def test_the_card_holds_all_that_is_claimed(
    toy: object, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, width: int
) -> None:
    card = shown(capsys, width, monkeypatch)
    words = " ".join(card.split())
    for claim in (
        "A toy runs down.",
        "where it is wound up",
        "· a lost key",
        "clock primary · checked · asymptotic",
        "the product of loss and time",
        "measured as product, equals the prediction within 0.001 relative plus 1/t absolute",
        "because the first correction is of this size",
        "rival square root: as a random walk would",
        "spring taken away in nursery",
        "without it must break: clock",
        "instead broken clock: with a polynomial tail",
        "colour no experiment takes it away",
        "without it must not matter: clock",
        "nursery idealized · at most 64 seeds",
        "conditions: eta=0.5; eta=0.25",
        "product at t = 10000, 1e+06",
        "A. Author 2026, Theorem 3: On toys",
    ):
        assert claim in words
    assert max(map(len, card.splitlines())) <= width


def test_formulas_are_drawn_in_two_dimensions(
    toy: object, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = [line.rstrip() for line in shown(capsys, 80, monkeypatch).splitlines()]
    at = next(i for i, line in enumerate(lines) if "t⋅L(t) =" in line)
    assert lines[at - 1].strip() == "1"
    assert "───" in lines[at]
    assert lines[at + 1].strip() == "2"  # the exponent of gamma
    assert lines[at + 2].strip() == "η⋅γ"


@pytest.mark.parametrize(
    ("criterion", "words"),
    [
        (Equals(rtol=0.1, pooled=0.02), "equals the prediction within 0.1 relative, pooled amplitude within 0.02"),
        (Trend(along="T"), "measured as height, monotone along T"),
        (Identity(8), "equals in every seed within 8 times machine epsilon"),
        (Rate(along="eta", ideal=1.0), "rate of approach to 1.0 along eta within 0.1"),
        (Threshold(along="eta", level=0.5), "crosses 0.5 at a value of eta"),
    ],
)
def test_every_criterion_has_its_words(criterion: Criterion, words: str) -> None:
    a, y = sp.symbols("a y", positive=True)
    square = (
        Derivation("square", "a square")
        .given("side", "its side", sp.Eq(y, a))
        .derive("area", "its area", lambda known: sp.Eq(y, known["side"].rhs ** 2))
    )
    signature = Signature("area", "", "height", square, criterion, "the pen is blunt")
    idea = Idea("square", "", "", (), (), Named(signature), Named())
    assert words in " ".join(" ".join(str(line).split()) for line in card(idea, (), 100))
