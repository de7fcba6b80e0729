from __future__ import annotations

import json
import re
from html import unescape

import pytest

from idealab.cli import main


def shown(capsys: pytest.CaptureFixture[str], width: int, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("COLUMNS", str(width))
    assert main(["show", "toy"]) == 0
    return capsys.readouterr().out


FORMATS = ("text", "markdown", "latex", "html", "json")
CLAIMS = (
    "A toy runs down.",
    "where it is wound up",
    "a lost key",
    "clock",
    "primary · checked · asymptotic",
    "the product of loss and time",
    "product, in nursery (idealized); recorded along t",
    "eta from 0.25 to 0.5",
    "gamma, where no setting gives it",
    "the mean over seeds equals the prediction within 0.001 relative plus 1/t absolute",
    "the first correction is of this size",
    "checked, in the derivation clock, step product; given: flow; checked: decay (residual reduces to 0); computed by "
    "Sympy from these: product",
    "must break when spring is taken away",
    "must hold when colour is taken away",
    "the same data must refute these changes: x2, x1/2",
    "square root, as a random walk would: ",
    "taken away in nursery: no spring",
    "there is a spring",
    "clock must break",
    "broken clock: with a polynomial tail",
    "no experiment takes colour away",
    "idealized · at most 64 seeds",
    "eta=0.5; eta=0.25",
    "product at t = 10000, 1e+06",
    "A. Author 2026, Theorem 3: On toys",
)


@pytest.mark.parametrize("width", [60, 80, 140])
def test_the_card_holds_all_that_is_claimed(
    toy: object, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, width: int
) -> None:
    card = shown(capsys, width, monkeypatch)
    words = " ".join(card.split())
    assert [claim for claim in CLAIMS if claim not in words] == []
    assert max(map(len, card.splitlines())) <= width


@pytest.mark.parametrize("form", ["markdown", "latex", "html"])
def test_every_format_says_the_same(toy: object, capsys: pytest.CaptureFixture[str], form: str) -> None:
    assert main(["show", "toy", "--format", form]) == 0
    said = unescape(capsys.readouterr().out)
    if form == "html":
        said = re.sub(r"<math.*?</math>|<code>.*?</code>", "FORMULA", said)
        for drawn, typed in (("10<sup>6</sup>", "1e+06"), ("γ", "gamma"), ("η", "eta")):  # symbols in a sentence
            said = said.replace(drawn, typed)
        said = re.sub(r"<[^>]*>", "", said)
    if form == "latex":
        said = re.sub(r"\\(?:item|noindent|par|textit|textbf)\b ?", "", said.replace(r"$\cdot$", "·"))
        said = re.sub(r"\$\\?([A-Za-z]+)\$", r"\1", said.replace("$10^{6}$", "1e+06"))  # symbols in a sentence
    words = " ".join(re.sub(r"\$.*?\$", "FORMULA", re.sub(r"[\\{}*]", "", said)).split())
    prose = [re.sub(r"within .*", "within FORMULA relative plus FORMULA absolute", claim) for claim in CLAIMS]
    assert [claim for claim in prose if claim not in words] == []


def test_the_card_as_json(toy: object, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["show", "toy", "--format", "json"]) == 0
    card = json.loads(capsys.readouterr().out)
    assert card["schema"] == "idealab/card/1"
    assert (card["idea"], card["scope"], card["failure_modes"]) == (
        "toy",
        "where it is wound up",
        ["a lost key", "Adam"],
    )
    (signature,) = card["signatures"]
    assert signature["equation"] == {
        "text": "t·L(t) = 1/(η·γ²)",
        "latex": r"t L{\left(t \right)} = \frac{1}{\eta \gamma^{2}}",
    }
    assert signature["reported"] == ["gamma"]
    assert signature["places"] == [
        {
            "experiment": "nursery",
            "level": "idealized",
            "conditions": ["eta=0.5", "eta=0.25"],
            "knobs": {"eta": [0.5, 0.25]},
            "along": "t",
            "points": [1e4, 1e6],
        }
    ]
    assert {name: part["text"] for name, part in signature["tolerances"].items()} == {"rtol": "0.001", "atol": "1/t"}
    assert [(link["step"], link["kind"]) for link in signature["known"]["chain"]] == [
        ("flow", "given"),
        ("decay", "checked"),
        ("product", "derived"),
    ]
    assert [(c["assumption"], c["removal"], c["experiments"]) for c in signature["controls"]] == [
        ("spring", "breaks", ["nursery"]),
        ("colour", "does_not_matter", []),
    ]
    assert card["assumptions"][0]["instead"]["places"][0]["conditions"] == ["no spring"]


def test_the_html_is_one_file_that_loads_and_runs_nothing(toy: object, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["show", "toy", "--format", "html"]) == 0
    page = capsys.readouterr().out
    assert "default-src 'none'; style-src 'unsafe-inline'" in page
    assert not re.search(r"<script|<link|<img|<iframe|\ssrc=|url\(|@import|https?://", page)
    assert '<math display="block"><mrow><mrow><mi>t</mi>' in page


def test_formulas_are_drawn_in_two_dimensions(
    toy: object, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = [line.rstrip() for line in shown(capsys, 80, monkeypatch).splitlines()]
    at = next(i for i, line in enumerate(lines) if "t⋅L(t) =" in line)
    assert lines[at - 1].strip() == "1"
    assert "───" in lines[at]
    assert lines[at + 1].strip() == "2"  # the exponent of gamma
    assert lines[at + 2].strip() == "η⋅γ"
