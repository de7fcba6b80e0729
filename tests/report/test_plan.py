"""How a plan is drawn."""

from __future__ import annotations

from dataclasses import replace

import pytest

from idealab.prepare.plan import ConditionPlan, Plan, Reach
from idealab.report.plan import plan

CONDITION = ConditionPlan("bench", "a=1", 4, 12, 4, 20, 64, 64, 3.0, 0.5, 9.0, 120.0)
PLAN = Plan(
    idea="toy",
    declaration="6f1c2a9e" + "0" * 56,
    conditions=(
        replace(CONDITION, condition="without constant_force", seeds=4, low=4, high=4, seconds=0.0),
        CONDITION,
        replace(CONDITION, condition="a=2", seeds=81, high=137, suggested_cap=160, gradient_evaluations=3.2e9),
        replace(CONDITION, condition="a=3", seeds=70, high=137, suggested_cap=96),
    ),
    pilot_seconds=2.0,
    seconds=(2.0, 40.0, 200.0),
    seeds=(24, 144, 196),
    gradient_evaluations=(240.0, 1440.0, 3.2e9),
    budget=None,
    reach=(),
)


def drawn(found: Plan = PLAN, width: int = 100) -> list[str]:
    return [line.plain for line in plan(found, width)]


def rows(found: Plan = PLAN, width: int = 100) -> list[str]:
    return [" ".join(line.split()) for line in drawn(found, width)]


def notes(found: Plan) -> list[str]:
    return [line.removeprefix("note: ") for line in drawn(found, 140) if line.startswith("note: ")]


def test_each_condition_is_a_row_and_the_whole_a_sentence() -> None:
    lines = rows()
    assert lines[0] == "toy what a verdict will cost, declared 6f1c2a9e"
    assert lines[2] == "experiment condition there seeds 80 % interval more time gradients"
    assert "bench without constant_force 4 4 4 to 4 0.0 s 120" in lines
    assert "bench a=2 4 81 > 64 4 to 137 3.0 s 3.2e+09" in lines
    text = " ".join(lines)
    assert "About 40 s more (2.0 s to 200 s), after a pilot of 2.0 s" in text.replace("3 min", "200 s")
    assert "144 seeds (24 to 196) and 1440 gradient evaluations (240 to 3.2e+09)" in text
    assert "the pilot's seeds are the first of the run" in text


@pytest.mark.parametrize("width", [60, 80, 140])
def test_nothing_is_wider_than_the_screen_and_no_condition_is_left_out(width: int) -> None:
    lines = drawn(replace(PLAN, reach=(Reach("height", "bench", 2.5),), budget=1.0), width)
    assert max(map(len, lines)) <= width
    assert sum(line.startswith("bench  ") for line in lines) == 4


def test_a_narrow_screen_keeps_the_interval() -> None:
    assert rows(width=80)[2] == "experiment condition there seeds 80 % interval more time"
    assert "80 % interval" in rows(width=74)[2]
    wordy = replace(
        PLAN, conditions=(*PLAN.conditions, replace(CONDITION, condition="lambda=2.1, theta=3.1, gamma=0.7, eta=0.2"))
    )
    lines = drawn(wordy, 80)
    assert "80 % interval" in lines[2]
    assert "…" in lines[7], "a long label gives way"


def test_a_cap_that_is_too_low_is_told_once_for_each_experiment() -> None:
    assert notes(PLAN) == [
        "bench: the declared cap of 64 is likely too low for a=2, a=3; 160 would do (--seeds)",
    ]


def test_a_pilot_that_tells_nothing_says_so() -> None:
    wild = replace(CONDITION, seeds=10**6, high=10**6, suggested_cap=1500008)
    found = replace(PLAN, conditions=(wild,))
    assert "bench a=1 4 ? > 64 4 to ? 3.0 s 120" in rows(found)
    assert notes(found) == ["bench: the seeds of the pilot differ too much to tell how many it takes for a=1"]


def test_what_the_caps_or_a_budget_reach_is_told() -> None:
    few = replace(
        PLAN, conditions=(CONDITION,), reach=(Reach("height", "bench", 2.53), Reach("m", "bench", float("inf")))
    )
    assert notes(few) == [
        "height in bench: the declared caps would decide 2.5 times the declared tolerance",
        "m in bench: the declared caps would decide nothing",
    ]
    assert notes(replace(few, budget=30.0))[0] == (
        "height in bench: a budget of 30 s would decide 2.5 times the declared tolerance"
    )
    assert notes(replace(few, budget=60.0)) == [*notes(few), "a budget of 60 s is enough for these seeds"]


def test_where_all_is_there_it_says_so() -> None:
    done = replace(CONDITION, seeds=4, done=8)
    text = " ".join(rows(replace(PLAN, conditions=(done,), seeds=(8, 8, 8), seconds=(0.0, 0.0, 0.0))))
    assert "Nothing is left to run: 8 seeds are there, and all that can be decided is." in text
    assert "About" not in text
