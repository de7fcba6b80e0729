"""What a run will cost, told from its first block of seeds: and what a budget of seconds reaches."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import median

from idealab.assessment import Assessment
from idealab.judge.planning import reachable, seeds_planned, spread_of
from idealab.run import Task


@dataclass(frozen=True)
class TaskPlan:
    """What one condition will take.

    ``seeds`` are those planned in all, ``low`` and ``high`` an 80 % interval; ``seconds`` are of computing for one
    block on one worker, ``evaluations`` gradient evaluations a seed.
    """

    task: Task
    seeds: int
    low: int
    high: int
    seconds: float
    evaluations: float

    def blocks(self, seeds: int) -> int:
        """Blocks that are still to come for so many seeds in all."""
        return max(0, math.ceil((min(seeds, self.cap) - self.task.seeds) / self.task.experiment.block))

    @property
    def cap(self) -> int:
        """Seeds that were declared at most."""
        return self.task.experiment.cap


def plan_tasks(assessment: Assessment, tasks: Iterable[Task]) -> list[TaskPlan]:
    """What each condition takes in all, from the seeds that it has: that of its noisiest cell that is not decided."""
    wanted: dict[Task, list[tuple[int, int, int]]] = {}
    for question in assessment.questions:
        for place, decision in zip(assessment.places(question), assessment.decisions(question), strict=True):
            seeds = (
                seeds_planned(place.cell)
                if decision.verdict == "undecided" and not place.cell.held
                else (decision.seeds, decision.seeds, decision.seeds)
            )
            for task in place.tasks:
                wanted.setdefault(task, []).append(seeds)
    plans: list[TaskPlan] = []
    for task in tasks:
        counts = wanted.get(task, [(0, 0, 0)])
        seeds, low, high = (max(count[k] for count in counts) for k in range(3))
        evaluations = sum(batch.gradient_evaluations for batch in task.batches) / max(task.seeds, 1)
        plans.append(TaskPlan(task, seeds, low, high, _seconds(task, tasks), evaluations))
    return plans


def _seconds(task: Task, tasks: Iterable[Task]) -> float:
    """Seconds of one block: of its own where nothing was compiled, else of another condition of the experiment."""
    warm = [batch.seconds for batch in task.batches if batch.warm]
    if not warm:
        warm = [b.seconds for t in tasks if t.experiment is task.experiment for b in t.batches if b.warm]
    if not warm:
        warm = [batch.seconds for batch in task.batches]
    return median(warm) if warm else 0.0


def workers() -> int:
    """Blocks that run side by side."""
    return min(4, os.cpu_count() or 1)


class Budget:
    """Seconds that a run may take, and what had to be given up for them.

    Parameters
    ----------
    started
        When the run began, by `time.monotonic`.
    seconds
        What it may take; None for as long as it needs.
    """

    def __init__(self, started: float, seconds: float | None) -> None:
        self.deadline = None if seconds is None else started + seconds
        self.left: dict[Task, None] = {}

    def give_up(self, tasks: Iterable[Task]) -> None:
        """Take no more seeds for these."""
        self.left |= dict.fromkeys(tasks)

    def affordable(self, assessment: Assessment, pending: Sequence[Task]) -> list[Task]:
        """The leading tasks that can be decided in the time that is left, in the order given; the others are given up.

        Controls and favourable conditions come first in it. Before the first block nothing is known, and all are tried.
        """
        known = [task for task in pending if task.batches]
        if self.deadline is None or not known:
            return list(pending)
        room = (self.deadline - time.monotonic()) * workers()
        kept: list[Task] = []
        for plan in plan_tasks(assessment, pending):
            stored = plan.task.seeds in plan.task.stored  # what an earlier run has left costs nothing
            room -= 0.0 if stored else max(plan.blocks(plan.seeds), 1) * plan.seconds
            if room < 0 and not stored:
                self.give_up([plan.task])
            else:
                kept.append(plan.task)
        return kept

    def words(self, assessment: Assessment) -> list[str]:
        """What was given up, and what tolerance its seeds would have reached."""
        open_still = set(assessment.undecided())
        lines: list[str] = []
        for plan in plan_tasks(assessment, [task for task in self.left if task in open_still or not task.batches]):
            place = f"{plan.task.experiment.name}, {plan.task.label}"
            if not plan.task.batches:
                lines.append(f"given up for the budget: {place}, not begun")
                continue
            factor = reached(assessment, plan.task)
            lines.append(
                f"given up for the budget: {place}, {plan.blocks(plan.seeds) * plan.task.experiment.block} more seeds; "
                f"its {plan.task.seeds} would do for {factor:.2g} times the tolerance"
            )
        return lines


def reached(assessment: Assessment, task: Task, seeds: int | None = None) -> float:
    """The tolerance, in units of the declared one, at which so many seeds of a task decide all of its cells."""
    spreads = [
        spread_of(place.cell)
        for question in assessment.questions
        for place in assessment.places(question)
        if task in place.tasks
    ]
    return max((reachable(spread, seeds or task.seeds) for spread in spreads), default=0.0)
