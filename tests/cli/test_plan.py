from __future__ import annotations

import importlib
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from idealab.cli import main
from idealab.errors import DeclarationError, UsageError
from idealab.prepare.plan import ConditionPlan, Plan, Reach

CONDITION = ConditionPlan("nursery", "eta=1", 4, 12, 4, 20, 64, 64, 1.0, 0.5, 2.0, 120.0)
PLAN = Plan(
    "toy", "6f1c2a9e" + "0" * 56, (CONDITION,), 0.4, (0.5, 1.0, 2.0), (4, 12, 20), (40.0, 120.0, 200.0), None, ()
)


class Planner:
    """Stands in for `idealab.prepare.plan.plan`: keeps what it was asked, and answers what a test wants."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, dict[str, Any]]] = []
        self.answer: Callable[[], Plan] = lambda: PLAN

    def plan(self, idea: str, *, progress: Any, **options: Any) -> Plan:
        self.asked.append((idea, options))
        return self.answer()


@pytest.fixture
def planner(monkeypatch: pytest.MonkeyPatch) -> Planner:
    found = Planner()
    monkeypatch.setattr(importlib.import_module("idealab.prepare.plan"), "plan", found.plan)
    return found


def test_the_options_reach_the_planner(planner: Planner, tmp_path: Path) -> None:
    arguments = (
        "plan toy --budget 2m --seeds 16 --select clock --level real --quick --master-seed 7 --no-record "
        f"--ledger {tmp_path} --device cpu:0 --precision float32"
    )
    assert main(arguments.split()) == 0
    assert planner.asked == [
        (
            "toy",
            {
                "budget": 120.0,
                "seeds": 16,
                "select": ("clock",),
                "levels": ("real data",),
                "quick": True,
                "master_seed": 7,
                "record": False,
                "ledger": str(tmp_path),
                "device": "cpu:0",
                "precision": "float32",
            },
        )
    ]


def test_the_defaults_are_those_of_verify(planner: Planner, pipeline: Any) -> None:
    main(["plan", "toy"])
    main(["verify", "toy"])
    assert planner.asked[0][1].items() <= pipeline.asked[0][1].items(), "so that verify goes on from the pilot"


def test_the_plan_is_drawn(planner: Planner, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plan", "toy"]) == 0
    shown = capsys.readouterr()
    assert shown.err == ""
    assert shown.out.splitlines()[0] == "toy   what a verdict will cost, declared 6f1c2a9e"
    assert "About 1.0 s more (0.5 s to 2.0 s)" in shown.out


def test_a_plan_that_says_no_is_a_plan(planner: Planner, capsys: pytest.CaptureFixture[str]) -> None:
    planner.answer = lambda: replace(PLAN, budget=1.0, reach=(Reach("clock", "nursery", 3.0),))
    assert main(["plan", "toy", "--budget", "1"]) == 0
    assert "would decide 3 times the declared tolerance" in capsys.readouterr().out


def test_json_is_one_document_and_nothing_else(planner: Planner, capsys: pytest.CaptureFixture[str]) -> None:
    planner.answer = lambda: replace(PLAN, reach=(Reach("clock", "nursery", float("inf")),))
    assert main(["plan", "toy", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert (document["schema"], document["idea"]) == ("idealab/plan/1", "toy")
    assert document["conditions"][0]["high"] == 20
    assert document["reach"][0]["times_tolerance"] == {"$float": "inf"}


@pytest.mark.parametrize("error", [UsageError("eta=3.0 is outside"), DeclarationError("contradicts\nitself")])
def test_an_error_is_one_line(planner: Planner, capsys: pytest.CaptureFixture[str], error: Exception) -> None:
    def answer() -> Plan:
        raise error

    planner.answer = answer
    assert main(["plan", "toy"]) == 2
    shown = capsys.readouterr()
    assert (shown.out, shown.err) == ("", f"error: {' '.join(str(error).split())}\n")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ("toi", "no idea named 'toi'; did you mean 'toy'?"),
        ("toy --budget 0s", "'0s' is not a positive time; write 90, 90s, 2m or 1h"),
        ("toy --budget soon", "'soon' is not a positive time"),
        ("toy --seeds 3", "3 is not in the range x>=4"),
        ("", "Missing argument 'IDEA'"),
    ],
)
def test_misuse_is_refused_in_one_line(
    planner: Planner, capsys: pytest.CaptureFixture[str], arguments: str, words: str
) -> None:
    assert main(["plan", *arguments.split()]) == 2
    shown = capsys.readouterr()
    assert (shown.out, shown.err.count("\n")) == ("", 1)
    assert words in shown.err
    assert planner.asked == []
