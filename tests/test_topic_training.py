"""Every setting that the experiments on training accept is one in which their signatures hold; others are refused."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import jax
import pytest
from idealab.experiments.topic_inertia import experiments
from idealab.experiments.topic_inertia.edges import edges_of
from idealab.experiments.topic_inertia.settled import next_order
from idealab.experiments.topic_inertia.training import INSIDE_TIMES, observe_inside
from idealab.theory.topic_inertia import training

from idealab import verify
from idealab.compute.run import Silence
from idealab.errors import UsageError
from idealab.experiment import Condition, Experiment, Range
from idealab.prepare.request import Request, check

BY_NAME = {experiment.name: experiment for experiment in experiments}
DESCENT = ("single edge by descent", "component", "edges by descent", "components by keys")
LOG_TIME = ("single edge", "chains", "second topic", "two keys", "edges")


def _range(experiment: Experiment, name: str, condition: Condition) -> Range:
    allowed = experiment.ranges[name]
    return allowed if isinstance(allowed, Range) else allowed(condition)


def _ends(experiment: Experiment, condition: Condition) -> Iterator[tuple[str, float, float]]:
    """Each knob, with a value just inside either end of its range and one just outside."""
    for name in experiment.ranges:
        found = _range(experiment, name, condition)
        for end, towards in ((found.low, found.high), (found.high, found.low)):
            step = abs(end) or abs(towards)
            yield name, end + math.copysign(0.01 * step, towards - end), end - math.copysign(0.01 * step, towards - end)


def _at_the_ends(name: str) -> Experiment:
    """The sweep's first condition, with each knob just inside each of its ends in turn."""
    experiment = BY_NAME[name]
    first = experiment.conditions[0]
    found = tuple(first.but(f"{knob}={inside:g}", **{knob: inside}) for knob, inside, _ in _ends(experiment, first))
    return replace(experiment, toggles={}, block=4, conditions=found)


@pytest.mark.parametrize("name", [*DESCENT, *LOG_TIME])
def test_every_knob_has_a_range(name: str) -> None:
    experiment = BY_NAME[name]
    for condition in experiment.conditions:
        assert {knob for knob, value in condition.settings.items() if isinstance(value, float)} == set(
            experiment.ranges
        )
    experiment.check(experiment.ranges)


@pytest.mark.parametrize("name", [*DESCENT, *LOG_TIME])
def test_outside_is_refused_in_a_line_with_the_reason(name: str) -> None:
    experiment = BY_NAME[name]
    for condition in experiment.conditions:
        alone = replace(experiment, conditions=(condition,))
        for knob, inside, outside in _ends(experiment, condition):
            alone.with_settings({knob: inside}).check((knob,))
            for value in (outside, math.nan, math.inf, -math.inf):
                with pytest.raises(UsageError, match=rf"{knob}=\S+ is outside \S+ < {knob} < \S+: \w+") as error:
                    alone.with_settings({knob: value}).check((knob,))
                assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "settings",
    [{"eta": 0.01}, {"eta": 1.9}, {"q": 0.98}, {"turned": 7.0}, {"rho": 50.0}],
    ids=str,
)
def test_a_request_beyond_is_refused(settings: dict[str, float]) -> None:
    (knob,) = settings
    with pytest.raises(UsageError, match=f": {knob}=.* is outside "):
        check(Request("topic_inertia", levels=("idealized",), settings=settings), Silence())


def test_only_what_is_asked_for_is_checked() -> None:
    """A learning rate that is too small for the components is not for the edges."""
    small = Request("topic_inertia", levels=("idealized",), settings={"eta": 0.1})
    with pytest.raises(UsageError, match=r"^experiment .component.: eta=0\.1 is outside .* odds have not settled"):
        check(small, Silence())
    asked = check(replace(small, select=("edge_clock",)), Silence())
    assert {task.experiment.name for task in asked.tasks} == {"edges", "edges by descent"}


@pytest.mark.parametrize(("q", "rho", "eta"), [(0.7, 3.0, 0.1), (0.9, 1.0, 0.5), (0.6, 5.0, 0.3), (0.53, 0.2, 1.0)])
def test_what_comes_after_the_first_order_is_of_the_size_that_is_said(q: float, rho: float, eta: float) -> None:
    seen = observe_inside(jax.random.key(208), Condition({"q": q, "rho": rho, "eta": eta}))
    drawn = float(seen.parameters["q"])
    at = {"q": drawn, "rho": rho, "sigma": (rho + 1 / rho) / 2, "eta": eta}
    for time, odds in zip(INSIDE_TIMES, seen.observables["component_odds"], strict=True):
        limit, late = (
            float(part.subs({symbol: at.get(symbol.name, time) for symbol in part.free_symbols}))
            for part in (training.odds["component_odds"].equation.rhs, training.off)
        )
        assert abs(math.log(odds / limit) / late - 1) < 2 * next_order(drawn, rho, eta * time)  # but for ln t


@pytest.mark.slow
@pytest.mark.parametrize("name", [*DESCENT[:3], "chains"])
def test_signatures_hold_just_inside_the_ends(name: str) -> None:
    found = verify("topic_inertia", experiments=(_at_the_ends(name),), master_seed=207, record=False, mutants=False)
    assert {signature.verdict for signature in found.signatures} == {"present"}, found.remarks


def test_counts_of_another_shape_are_refused() -> None:
    for counts in ([[1, 2]], [[1.0] * 5 + [0.0]]):
        with pytest.raises(UsageError, match=r"counts .*: expected \(1, 6\), all above zero"):
            edges_of(((5, 0, (1,)),), counts=counts)


@pytest.mark.parametrize(
    ("prompts", "dimension", "words"),
    [
        (((5, 0, ()),), None, "at least one token besides it"),
        (((5, 0, (0, 1)),), None, "at least one token besides it"),
        (((5, 0, (1,)),), 5, "dimension=5: 6 tokens are independent"),
    ],
)
def test_prompts_that_ask_for_no_w_are_refused(prompts: Any, dimension: int | None, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        edges_of(prompts, dimension)


@pytest.mark.slow
@pytest.mark.parametrize(("dimension", "counts"), [(None, None), (8, None), (8, [[3, 1, 4, 1, 5, 9]] * 4)])
def test_edges_that_close_a_circle_keep_their_clocks(dimension: int | None, counts: Any) -> None:
    """0 before 1 and 2, both before 3: the duals of the graph-SVM are not unique, those of the flow are."""
    prompts = ((5, 0, (1,)), (5, 0, (2,)), (5, 1, (3,)), (5, 2, (3,)))
    ran = replace(BY_NAME["edges"], observe=edges_of(prompts, dimension, counts), toggles={}, block=4)
    found = verify("topic_inertia", experiments=(ran,), select=["edge_clock"], record=False, mutants=False)
    assert found.verdict == "supported", found.gates
    assert all(abs(cell.deviation) < 0.1 for signature in found.signatures for cell in signature.cells)


def test_prompts_whose_tokens_reach_each_other_keep_no_clock() -> None:
    with pytest.raises(UsageError, match=r"under key 5: tokens 0 and 1 reach each other.*odds_inside"):
        edges_of(((5, 0, (1,)), (5, 1, (0,))))
