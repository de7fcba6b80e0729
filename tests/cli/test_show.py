from __future__ import annotations

import pytest

from idealab.cli import main


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
