from __future__ import annotations

import json

import pytest

from idealab.cli import main


def test_every_step_says_how_it_is_known(toy: object, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["derive", "toy"]) == 0
    text = " ".join(capsys.readouterr().out.split())
    for words in (
        "clock checked the loss counts time",
        "1. gradient flow",
        "flow: given",
        "2. a remark that nothing uses",
        "aside: cited; A. Author 2026, Theorem 3",
        "decay: checked, from flow; residual reduces to 0",
        "product: derived, from decay; computed by Sympy",
    ):
        assert words in text


def test_of_one_signature_only_what_it_rests_on(toy: object, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["derive", "toy", "clock", "--format", "json"]) == 0
    (derivation,) = json.loads(capsys.readouterr().out)["derivations"]
    assert [step["name"] for step in derivation["steps"]] == ["flow", "decay", "product"]


def test_an_unknown_signature_is_suggested(toy: object, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["derive", "toy", "clok"]) == 2
    assert capsys.readouterr().err == "error: no signature named 'clok'; did you mean 'clock'?\n"


def test_json_names_its_schema_and_holds_text_only(toy: object, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["derive", "toy", "--format", "json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert (document["schema"], document["idea"]) == ("idealab/derivation/1", "toy")
    (derivation,) = document["derivations"]
    assert derivation["known"] == "checked"
    assert derivation["steps"][3] == {
        "name": "product",
        "words": "times the clock",
        "equation": "Eq(t*L(t), 1/(eta*gamma**2))",
        "latex": r"t L{\left(t \right)} = \frac{1}{\eta \gamma^{2}}",
        "kind": "derived",
        "how": "computed by Sympy",
        "known": "checked",
        "uses": ["decay"],
        "reference": None,
    }
    assert derivation["steps"][1]["reference"] == "A. Author 2026, Theorem 3"


def test_latex_is_a_fragment_with_labelled_equations(toy: object, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["derive", "toy", "--format", "latex"]) == 0
    latex = capsys.readouterr().out
    assert latex.count(r"\begin{equation}") == latex.count(r"\end{equation}") == 4
    assert r"\label{eq:clock:product}" in latex
    assert r"\frac{1}{\eta \gamma^{2}}" in latex
    assert r"100 \% of\_it" in latex
