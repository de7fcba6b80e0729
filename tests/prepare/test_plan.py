"""What a verdict will cost, told from a pilot, and what a budget gives up: on the toy, under noise that is known."""

from __future__ import annotations

import json
import math
import time
from dataclasses import replace

import pytest

from idealab.compute.run import Silence
from idealab.errors import NothingMatchedError, UnknownNameError, UsageError
from idealab.idea import Named
from idealab.judge.evidence import LOOKS
from idealab.ledger.records import BATCH, VERIFICATION
from idealab.ledger.store import Ledger
from idealab.prepare.budget import Budget, plan_tasks, reached
from idealab.prepare.plan import plan
from idealab.prepare.request import Request, inquire
from idealab.report.document import document

KNOB = (1.0, 2.0, 3.0, 4.0, 5.0)


@pytest.fixture
def noisy(toy):
    """The toy's experiment under one relative noise."""

    def made(noise, knob=(1.0, 2.0), **changes):
        found = toy.experiment(knob=knob, **changes)
        return replace(found, conditions=tuple(c.but(c.label, noise=noise) for c in found.conditions))

    return made


@pytest.fixture
def planned(toy, noisy):
    """Plans a noisy toy, in the ledger of the toy."""

    def run(noise=0.02, theory=None, **options):
        options.setdefault("experiments", (noisy(noise),))
        options.setdefault("ledger", toy.ledger)
        return plan(theory or toy.idea(), **options)

    return run


def sweeps(found):
    return [condition for condition in found.conditions if not condition.condition.startswith("without")]


# --- The plan ---------------------------------------------------------------------------------------------------------


def test_seeds_grow_with_the_noise_and_lie_in_their_interval(planned):
    found = [planned(noise, select=("height",)) for noise in (0.002, 0.05, 0.1, 0.3)]
    seeds = [max(c.seeds for c in sweeps(one)) for one in found]
    assert seeds == sorted(set(seeds)), "the same seeds, under more noise"
    assert seeds[0] == 4
    # n - 1.5 goes with the square of the noise; the conditions differ, since b does not grow with a.
    assert (seeds[3] - 1.5) / (seeds[2] - 1.5) == pytest.approx(9, rel=0.15)
    for one in found:
        assert all(c.low <= c.seeds <= c.high for c in one.conditions)
        assert all(c.seconds_low <= c.seconds <= c.seconds_high for c in one.conditions)
        for low, middle, high in (one.seconds, one.seeds, one.gradient_evaluations):
            assert low <= middle <= high
        assert one.gradient_evaluations[1] == 10 * one.seeds[1], "ten for each seed"


@pytest.mark.parametrize("noise", [0.05, 0.1])
def test_the_run_that_follows_keeps_to_the_plan(toy, noisy, planned, noise):
    between = []
    for seed in range(8):
        options = {"experiments": (noisy(noise, toggles={}),), "master_seed": seed, "select": ("height",)}
        found = planned(**options)
        run = toy.verify(**options, mutants=False)
        assert run.verdict == "supported"
        low, high = (max(getattr(condition, name) for condition in found.conditions) for name in ("low", "high"))
        between.append(low <= run.signatures[0].seeds <= high)
    assert sum(between) >= 6, "one in ten is above an 80 % interval; three of eight are with probability 0.04"


def test_the_pilot_is_the_beginning_of_the_run(toy, planned):
    found = planned()
    done = sum(condition.done for condition in found.conditions)
    assert {condition.done for condition in found.conditions} <= {4, 8}
    assert len(Ledger(toy.ledger).find(schema=BATCH)) == done / 4
    assert Ledger(toy.ledger).find(schema=VERIFICATION) == [], "a plan is no verdict"
    run = toy.verify()
    assert run.cost.reused_seeds == done
    assert run.declaration == found.declaration
    assert toy.told(run) == toy.told(toy.verify(record=False)), "and it ends as without a plan"


def test_a_plan_after_the_run_knows_all_that_is_there(toy, noisy, planned):
    run = toy.verify(experiments=(noisy(0.1),))
    watcher = toy.watcher()
    toy.traced.append(lambda condition: pytest.fail("simulated again"))
    found = planned(0.1, progress=watcher)
    assert sum(c.done for c in found.conditions) == run.cost.seeds == found.seeds[1]
    assert found.seconds[1] == 0
    assert len(Ledger(toy.ledger).find(schema=BATCH)) == run.cost.seeds / 4


def test_without_a_record_a_plan_leaves_no_trace(toy, planned):
    found = planned(record=False)
    assert not toy.ledger.exists()
    assert found.seeds == planned().seeds


def test_a_cap_that_is_too_low_is_told_with_one_that_would_do(planned):
    found = planned(0.1, seeds=6, select=("height",))
    for condition in sweeps(found):
        assert condition.cap == 6
        assert condition.seeds > 6
        assert condition.suggested_cap in LOOKS
        assert condition.suggested_cap >= 1.35 * condition.seeds
    assert found.seeds[1] <= 6 * len(found.conditions) + 2, "what is planned in all keeps to the cap"
    enough = planned(0.02, seeds=64, select=("height",))
    assert all(condition.suggested_cap == condition.cap == 64 for condition in enough.conditions)


def test_what_the_caps_reach_of_a_noisy_toy(planned):
    found = planned(0.3, select=("height", "curve"))
    factors = {reach.signature: reach.times_tolerance for reach in found.reach}
    assert set(factors) == {"height", "curve"}
    alone = planned(0.3, select=("height",))
    noisiest = max(condition.seeds for condition in sweeps(alone))
    assert factors["height"] == pytest.approx(math.sqrt((noisiest - 1.5) / 62.5)), "under the cap of 64"
    assert planned(0.002).reach == ()


def test_a_tolerance_that_is_reached_would_be_decided(toy, noisy, planned):
    made = noisy(0.3, toggles={})
    (reach,) = planned(experiments=(made,), select=("height",), seeds=24).reach
    wider = replace(toy.idea(1, 0.1 * 1.1 * reach.times_tolerance), assumptions=Named())
    height = replace(wider.signatures["height"], rivals=Named(), must_kill=())
    found = toy.verify(theory=replace(wider, signatures=Named(height)), experiments=(made,), seeds=24, record=False)
    assert found.verdict == "supported"


def test_a_budget_says_which_tolerance_it_reaches(planned):
    whole = planned(0.1, select=("height",), ledger=None, record=False)
    little = planned(0.1, select=("height",), budget=1e-6, record=False)
    assert whole.reach == ()
    assert whole.budget is None
    (reach,) = little.reach
    assert (reach.signature, reach.experiment, little.budget) == ("height", "bench", 1e-6)
    assert 1 < reach.times_tolerance < 10
    assert planned(0.1, select=("height",), budget=3600.0, record=False).reach == ()


def test_a_plan_is_a_document(planned):
    told = json.loads(document(planned(0.1).to_dict()))
    assert told["schema"] == "idealab/plan/1"
    assert len(told["seconds"]) == len(told["seeds"]) == len(told["gradient_evaluations"]) == 3
    assert {"experiment", "condition", "seeds", "low", "high", "suggested_cap"} <= set(told["conditions"][0])


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"budget": 0}, UsageError, "budget=0 must be a positive number of seconds"),
        ({"budget": math.inf}, UsageError, "budget=inf must be a positive number of seconds"),
        ({"budget": math.nan}, UsageError, "budget=nan must be a positive"),
        ({"seeds": 3}, UsageError, "seeds=3 is too few"),
        ({"select": ("hight",)}, UnknownNameError, "did you mean 'height'"),
        ({"experiments": ()}, NothingMatchedError, "no experiment"),
    ],
)
def test_a_plan_of_nothing_is_refused_before_it_leaves_a_trace(toy, planned, options, error, words):
    with pytest.raises(error, match=words):
        planned(**options)
    assert not toy.ledger.exists()


def test_a_condition_that_is_broken_takes_no_more_seeds(toy, noisy, planned):
    """A force that grows: at t = 1 nothing tells it from the truth, later it is refuted, which is enough."""
    curve = replace(toy.idea().signatures["curve"], derivation=toy.fall(3))
    theory = replace(toy.idea(), signatures=Named(curve), assumptions=Named())
    options = {"experiments": (noisy(0.1, toggles={}),), "theory": theory, "seeds": 8}
    wrong = toy.verify(**options, mutants=False)
    assert {cell.verdict for cell in wrong.signatures[0].cells} == {"absent", "undecided"}
    found = planned(**options)
    assert found.seeds[1] == wrong.cost.seeds == sum(condition.done for condition in found.conditions)
    assert found.reach == ()


# --- How long a block takes -------------------------------------------------------------------------------------------


@pytest.fixture
def inquiry(toy, noisy):
    """A request for the noisy toy, with its first seeds."""

    def made(noise=0.1, **changes):
        request = Request(toy.idea(), (noisy(noise, knob=KNOB, **changes),), record=False, select=("height",))
        found = inquire(request, Silence())
        found.runner.extend(found.tasks, None)
        return found

    return made


def test_a_block_takes_what_most_of_a_conditions_took(inquiry):
    found = inquiry()
    task = found.tasks[0]
    first = task.batches[0]
    task.batches[:] = [replace(first, first_seed=4 * k, seconds=s) for k, s in enumerate((9.0, 1.0, 3.0))]
    (planned,) = plan_tasks(found.assessment, [task])
    assert (planned.seconds, planned.evaluations) == (3.0, 10)


# --- A budget ---------------------------------------------------------------------------------------------------------


def allow(inquiry, blocks, seconds=100.0, late=()):
    """What a budget keeps that has room for so many blocks of so many seconds, on all workers together."""
    for task in inquiry.tasks:
        task.batches[:] = [replace(task.batches[0], seconds=seconds * (100 if task.label in late else 1))]
    budget = Budget(time.monotonic(), seconds * (blocks + 0.5) / 3, 3)
    return budget, budget.affordable(inquiry.assessment, inquiry.assessment.undecided())


def test_controls_come_first_then_favourable_conditions(inquiry):
    found = inquiry(0.06)
    pending = found.assessment.undecided()
    assert {task.label for task in pending} >= {"without peaked_noise", "a=1", "a=5"}
    order = [task.label for task in allow(found, 10**6)[1]]
    assert order[0].startswith("without")
    sweep = [label for label in order if not label.startswith("without")]
    assert sweep == sorted(sweep), "a=1 is the most favourable"
    plans = {each.task.label: each for each in plan_tasks(found.assessment, pending)}
    first = plans[order[0]]
    budget, kept = allow(found, max(first.blocks(first.seeds), 1))
    assert [task.label for task in kept] == order[:1]
    assert {task.label for task in budget.left} == set(order[1:])


def test_what_takes_too_long_leaves_the_others_their_turn(inquiry):
    found = inquiry(0.06)
    budget, kept = allow(found, 90, late=("a=1",))
    assert [task.label for task in budget.left] == ["a=1"]
    assert {"a=2", "a=5"} <= {task.label for task in kept}


def test_what_is_stored_costs_nothing(inquiry):
    found = inquiry(0.06)
    stored = next(task for task in found.tasks if task.label == "a=1")
    stored.stored[4] = stored.batches[0]
    budget, kept = allow(found, 200, late=("a=1",))
    assert stored in kept
    assert not budget.left, "nor does it take the time of others"


def test_without_a_budget_nothing_is_given_up(inquiry):
    found = inquiry(0.3)
    budget = Budget(time.monotonic(), None)
    pending = found.assessment.undecided()
    assert budget.affordable(found.assessment, pending) == pending
    assert budget.words(found.assessment) == []


def test_the_words_say_what_was_given_up_and_what_it_would_do_for(inquiry):
    found = inquiry(0.3)
    budget = Budget(time.monotonic(), 1.0)
    task = next(task for task in found.tasks if task.label == "a=2")
    budget.give_up([task])
    (words,) = budget.words(found.assessment)
    factor = max(reached(found.assessment, question, {task: 4}) for question in found.assessment.questions)
    assert factor > 2
    assert words == (
        f"given up for the budget: bench, a=2, about 60 more seeds; its 4 would do for {factor:.2g} times the tolerance"
    )
    task.batches.clear()
    budget.give_up([found.tasks[-1]])
    found.tasks[-1].batches.clear()
    assert budget.words(found.assessment) == ["given up for the budget, not begun: bench: a=2; a=5"]


def test_a_budget_cuts_a_run_short_and_says_so(toy, noisy):
    made = noisy(0.3, knob=KNOB)
    options = {"experiments": (made,), "select": ("height",), "mutants": False}
    found = toy.verify(**options, budget=1e-9)
    assert (found.cut_short, found.verdict, found.cost.seeds) == (True, "inconclusive", 0)
    given_up = [remark for remark in found.remarks if remark.startswith("given up")]
    assert given_up == [
        "given up for the budget, not begun: bench: without constant_force; without peaked_noise; "
        "a=1; a=2; a=3; a=4; a=5"
    ]
    whole = toy.verify(**options, budget=3600.0)
    assert not whole.cut_short
    assert not [remark for remark in whole.remarks if "given up" in remark]
    again = toy.verify(**options, budget=1e-9)
    assert not again.cut_short, "what is stored is free"
    assert toy.told(again) == toy.told(whole)


class Slow(Silence):
    """Takes so long for every step, and counts them."""

    def __init__(self, seconds):
        self.seconds, self.steps = seconds, []

    def step(self, words):
        self.steps.append(words)
        time.sleep(self.seconds)


def test_nothing_that_was_computed_is_lost(toy, noisy):
    options = {"experiments": (noisy(0.3, knob=KNOB),), "select": ("height",), "mutants": False}
    toy.verify(**options, seeds=4, record=False)  # compiled
    watcher = Slow(0.05)
    short = toy.verify(**options, budget=0.6, progress=watcher)
    assert short.cut_short
    assert 0 < short.cost.seeds < 5 * 64
    assert short.cost.seeds == 4 * len(watcher.steps) == 4 * len(Ledger(toy.ledger).find(schema=BATCH))
    assert all(watcher.steps[k].startswith("bench: without") for k in (0, 1)), "controls first"
    whole, undisturbed = toy.verify(**options), toy.verify(**options, record=False)
    assert whole.cost.reused_seeds == short.cost.seeds
    assert toy.told(whole) == toy.told(undisturbed)


def test_a_budget_gives_up_the_least_favourable(toy, noisy):
    found = inquire(
        Request(toy.idea(), (noisy(0.06, knob=KNOB, toggles={}),), record=False, select=("height",)), Silence()
    )
    found.runner.extend(found.tasks, None)
    needed = [p.blocks(p.seeds) for p in plan_tasks(found.assessment, found.tasks)]
    pending = [task.label for task in found.assessment.undecided()]
    costs = [n for task, n in zip(found.tasks, needed, strict=True) if task.label in pending]
    assert len(costs) > 3
    budget, kept = allow(found, costs[0] + costs[1])
    assert [task.label for task in kept] == pending[:2]
    assert [task.label for task in budget.left] == pending[2:]
