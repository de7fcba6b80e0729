from __future__ import annotations

import math
from pathlib import Path

import pytest

from idealab.cli import main
from idealab.cli.latest import latest
from idealab.ledger import Ledger
from tests.ledger.conftest import result, verification


def lines(capsys: pytest.CaptureFixture[str], *arguments: str) -> list[str]:
    assert main(["list", *arguments]) == 0
    return capsys.readouterr().out.splitlines()


def test_each_idea_with_its_levels(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert lines(capsys) == [
        "toy     Learning is a toy.",
        "        idealized, real data · not verified yet",
        "other   Learning is a other.",
        "        idealized, real data · not verified yet",
    ]
    assert not (tmp_path / ".idealab").exists()  # looking leaves no trace


def test_the_last_verdict_and_its_cost(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger = Ledger(tmp_path)
    for day, verdict, reused in ((29, "partial", 6), (30, "refuted", 0), (31, "supported", 0)):
        cost = {"seconds": 38.2, "reused_seeds": reused, "seeds": 8, "gradient_evaluations": 0.0}
        idea, declared = "other" if reused else "toy", "ab" * 32
        said = result(declared, idea, verdict=verdict, cost=cost, evidence_log10=math.inf)
        ledger.put(verification([declared], idea=idea, created=f"2026-01-{day}T12:00:00+00:00", result=said))
    listed = [line.strip() for line in lines(capsys, "--ledger", str(tmp_path))]
    assert listed[1] == "idealized, real data · supported on 2026-01-31, 38 s"
    assert (
        listed[3] == "idealized, real data · partial on 2026-01-29"
    )  # partly from the ledger: not what it usually costs
    monkeypatch.setenv("IDEALAB_LEDGER", str(tmp_path))
    assert "supported" in lines(capsys)[1]


def put(ledger: Ledger, day: int, verdict: str, **more: object) -> str:
    declared, cost = "ab" * 32, {"seconds": 1.0, "reused_seeds": 0, "seeds": 8, "gradient_evaluations": 0.0}
    said = result(declared, "toy", verdict=verdict, cost=cost, **more)
    return ledger.put(
        verification([declared], idea="toy", created=f"2026-01-{day}T12:00:00+00:00", result=said),
    )


def test_a_narrower_run_does_not_pass_for_the_verdict(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    def listed() -> str:
        return " ".join(lines(capsys, "--ledger", str(tmp_path))[1:3])

    ledger = Ledger(tmp_path)
    put(ledger, 20, "supported", narrowed=["only loss_clock", "quick"])
    assert "supported on 2026-01-20, 1 s, of less than all: only loss_clock; quick" in " ".join(listed().split())
    full = put(ledger, 21, "refuted", narrowed=[])
    put(ledger, 22, "partial", cut_short=True)
    put(ledger, 23, "supported", narrowed=["only loss_clock"])
    assert "refuted on 2026-01-21, 1 s · since then, on 2026-01-23: supported (only loss_clock)" in " ".join(
        listed().split()
    )
    assert latest(Ledger(tmp_path))["toy"].record == full


def test_a_damaged_ledger_is_said_and_the_ideas_are_listed(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    name = "ab" + "0" * 62
    (tmp_path / "objects" / "ab").mkdir(parents=True)
    (tmp_path / "objects" / "ab" / f"{name}.json").write_text("{}")
    assert main(["list", "--ledger", str(tmp_path)]) == 0
    shown = capsys.readouterr()
    assert shown.out.count("not verified yet") == 2
    assert shown.err.startswith("warning: ")


def test_no_idea_at_all(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("idealab.registry.ideas", dict)
    assert lines(capsys) == ["no ideas found"]
