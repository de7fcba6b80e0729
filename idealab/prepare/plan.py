"""What a verdict will cost on this machine, told from a pilot of one block of seeds that the run then goes on from."""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from idealab.assess.assessment import Assessment
from idealab.compute.run import Progress, Silence
from idealab.errors import UsageError
from idealab.experiment import Experiment, Setting
from idealab.idea import Idea
from idealab.judge.planning import next_cap
from idealab.ledger.store import Ledger
from idealab.prepare.budget import TaskPlan, plan_tasks, reached
from idealab.prepare.request import Inquiry, Request, inquire

SCHEMA = "idealab/plan/1"


@dataclass(frozen=True)
class ConditionPlan:
    """What one condition will take.

    ``seeds`` are planned in all, ``low`` and ``high`` an 80 % interval, ``done`` are there from the pilot. ``seconds``
    are of computing, on one worker, for the seeds that are still to come; ``gradient_evaluations`` are those of all
    seeds. ``suggested_cap`` is above the declared cap where that is too low.
    """

    experiment: str
    condition: str
    done: int
    seeds: int
    low: int
    high: int
    cap: int
    suggested_cap: int
    seconds: float
    seconds_low: float
    seconds_high: float
    gradient_evaluations: float


@dataclass(frozen=True)
class Reach:
    """The tolerance that the seeds of a budget, or of the cap, decide for a signature, in units of the declared one."""

    signature: str
    experiment: str
    times_tolerance: float


@dataclass(frozen=True)
class Plan:
    """What a verdict will cost: seeds, seconds and gradient evaluations, each with an interval; and what it reaches.

    ``seconds`` of wall clock are for what is still to come, (low, planned, high); ``budget`` is what was offered.
    """

    idea: str
    declaration: str
    conditions: tuple[ConditionPlan, ...]
    pilot_seconds: float
    seconds: tuple[float, float, float]
    seeds: tuple[int, int, int]
    gradient_evaluations: tuple[float, float, float]
    budget: float | None
    reach: tuple[Reach, ...]

    def to_dict(self) -> dict[str, Any]:
        """The document that ``plan --json`` prints."""
        return {"schema": SCHEMA, **dataclasses.asdict(self)}


def plan(
    idea: str | Idea,
    *,
    experiments: Sequence[Experiment] | None = None,
    seeds: int | None = None,
    budget: float | None = None,
    select: Sequence[str] = (),
    levels: Sequence[str] = (),
    settings: Mapping[str, Setting] | None = None,
    quick: bool = False,
    master_seed: int = 0,
    ledger: Ledger | str | Path | None = None,
    record: bool = True,
    device: str | None = None,
    precision: str | None = None,
    progress: Progress | None = None,
) -> Plan:
    """Run a pilot, and say what the verdict will cost.

    The pilot is the first block of every condition. These are the first seeds of the verification that follows, and
    kept in the ledger.

    Parameters
    ----------
    budget
        Seconds that may be spent in all; then the plan says which tolerance they reach.

    The others are those of `idealab.verify.verify`, and so is what is raised.
    """
    started, watcher = time.monotonic(), progress or Silence()
    if budget is not None and not 0 < budget < math.inf:
        raise UsageError(f"budget={budget!r} must be a positive number of seconds")
    request = Request(
        idea, experiments, seeds, select, levels, settings, quick, master_seed, ledger, record, device, precision
    )
    inquiry = inquire(request, watcher)
    watcher.stage("running a pilot")
    _pilot(inquiry, watcher)
    spent = time.monotonic() - started
    plans = plan_tasks(inquiry.assessment, inquiry.tasks)
    conditions = tuple(map(_condition, plans))
    low, planned, high = (
        sum(getattr(condition, name) for condition in conditions) / inquiry.runner.workers
        for name in ("seconds_low", "seconds", "seconds_high")
    )
    counts = [[max(min(getattr(p, name), p.cap), p.task.seeds) for p in plans] for name in ("low", "seeds", "high")]
    evaluations = [sum(n * p.evaluations for n, p in zip(column, plans, strict=True)) for column in counts]
    return Plan(
        idea=inquiry.theory.name,
        declaration=inquiry.declaration,
        conditions=conditions,
        pilot_seconds=spent,
        seconds=(low, planned, high),
        seeds=(sum(counts[0]), sum(counts[1]), sum(counts[2])),
        gradient_evaluations=(evaluations[0], evaluations[1], evaluations[2]),
        budget=budget,
        reach=tuple(_reach(inquiry.assessment, plans, 1.0 if budget is None else _share(budget - spent, planned))),
    )


def _pilot(inquiry: Inquiry, watcher: Progress) -> None:
    for task in inquiry.tasks:
        inquiry.runner.find(task)
    watcher.planned(len(inquiry.tasks))
    inquiry.runner.extend(inquiry.tasks, None)
    while stored := [task for task in inquiry.assessment.undecided() if task.seeds in task.stored]:
        inquiry.runner.extend(stored, None)  # an earlier run has left more than a pilot


def _condition(plan: TaskPlan) -> ConditionPlan:
    task = plan.task
    low, planned, high = (plan.blocks(n) * plan.seconds for n in (plan.low, plan.seeds, plan.high))
    seeds = max(plan.seeds, task.seeds)
    return ConditionPlan(
        experiment=task.experiment.name,
        condition=task.label,
        done=task.seeds,
        seeds=seeds,
        low=plan.low,
        high=max(plan.high, task.seeds),
        cap=plan.cap,
        suggested_cap=max(plan.cap, next_cap(plan.seeds)) if plan.seeds > plan.cap else plan.cap,
        seconds=planned,
        seconds_low=low,
        seconds_high=high,
        gradient_evaluations=min(seeds, plan.cap) * plan.evaluations,
    )


def _share(room: float, needed: float) -> float:
    """The share of the seeds still to come that there is time for."""
    return 1.0 if needed <= max(room, 0.0) else max(room, 0.0) / needed


def _reach(assessment: Assessment, plans: Sequence[TaskPlan], share: float) -> list[Reach]:
    """For every signature of a sweep the tolerance that can be decided, where that is wider than the declared one."""
    seeds = {p.task: p.task.seeds + share * max(0, min(p.seeds, p.cap) - p.task.seeds) for p in plans}
    found: list[Reach] = []
    for question in assessment.questions:
        widest = reached(assessment, question, seeds) if question.assumption is None else 0.0
        if widest > 1:
            found.append(Reach(question.signature.name, question.experiment.name, widest))
    return found
