"""What a run will cost, told from its first block of seeds: and what a budget of seconds reaches."""

from __future__ import annotations

import math
import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from idealab.assess.assessment import Assessment, Question
from idealab.compute.run import Task
from idealab.judge.cells import Cell
from idealab.judge.planning import FEWEST, seeds_planned

EXACT, HALF_OFF = 1 / 3, 0.56
"""Share of the seeds of a fixed design that cells take which are looked at on the way, where the theory is exact and
where it is half a tolerance off: from benchmarks/calibration.py, at noise of half a tolerance."""


GIVEN_UP = "given up for the budget"
"""How a line on what was given up begins."""


@dataclass(frozen=True)
class TaskPlan:
    """What one condition will take.

    ``seeds`` are those planned in all, ``low`` and ``high`` an 80 % interval; ``seconds`` are of computing for one
    block on one device, without compiling; ``evaluations`` are gradient evaluations a seed.
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
        cells = assessment.rules[question.family].cells
        still_open = {id(place) for place, _ in assessment.open(question)}
        for place, decision in zip(assessment.places(question), assessment.decisions(question), strict=True):
            done = (decision.seeds, decision.seeds, decision.seeds)
            seeds = _stopping_early(place.cell, cells) if id(place) in still_open else done
            for task in place.tasks:
                wanted.setdefault(task, []).append(seeds)
    plans: list[TaskPlan] = []
    for task in tasks:
        counts = wanted.get(task, [(0, 0, 0)])
        seeds, low, high = (max(count[k] for count in counts) for k in range(3))
        evaluations = sum(batch.gradient_evaluations for batch in task.batches) / max(task.seeds, 1)
        seconds = median(batch.seconds for batch in task.batches) if task.batches else 0.0
        plans.append(TaskPlan(task, seeds, low, high, seconds, evaluations))
    return plans


def _stopping_early(cell: Cell, cells: int) -> tuple[int, int, int]:
    """Seeds that a cell takes, and an interval, with looks on the way: fewer than planned for a single one."""
    planned, low, high = seeds_planned(cell, cells)
    fewest = FEWEST[cell.estimand]
    return max(fewest, math.ceil(HALF_OFF * planned)), max(fewest, math.ceil(EXACT * low)), max(fewest, high)


class Budget:
    """Seconds that a run may take, and what had to be given up for them.

    Parameters
    ----------
    started
        When the run began, by `time.monotonic`.
    seconds
        What it may take; None for as long as it needs.
    workers
        Blocks that run side by side.
    """

    def __init__(self, started: float, seconds: float | None, workers: int = 1) -> None:
        self.workers = workers
        self.deadline = None if seconds is None else started + seconds
        self.left: dict[Task, None] = {}

    def give_up(self, tasks: Iterable[Task]) -> None:
        """Take no more seeds for these."""
        self.left |= dict.fromkeys(tasks)

    def affordable(self, assessment: Assessment, pending: Sequence[Task]) -> list[Task]:
        """The tasks that can be decided in the time that is left, the most important first; the others are given up.

        Controls come first, then the conditions of the sweeps, the most favourable first. One that takes too long does
        not keep others from their turn, and has its own again if time is left. Before the first block nothing is known,
        and all are tried.
        """
        self.left = {task: None for task in self.left if task not in pending}
        if self.deadline is None:
            return list(pending)
        room = (self.deadline - time.monotonic()) * self.workers
        if room > 0 and not any(task.batches for task in pending):
            return list(pending)
        kept: list[Task] = []
        for plan in plan_tasks(assessment, sorted(pending, key=_rank)):
            stored = plan.task.seeds in plan.task.stored  # what an earlier run has left costs nothing
            cost = 0.0 if stored else max(plan.blocks(plan.seeds), 1) * plan.seconds
            if stored or cost < room:
                kept.append(plan.task)
                room -= cost
            else:
                self.give_up([plan.task])
        return kept

    def words(self, assessment: Assessment, unkilled: Collection[Task] = ()) -> list[str]:
        """What was given up that is asked for still, as `given_up` says it."""
        return given_up(assessment, self.left, unkilled)


def given_up(assessment: Assessment, left: Iterable[Task], unkilled: Collection[Task] = ()) -> list[str]:
    """What of the tasks that are left is asked for still, and what tolerance their seeds would have reached.

    A run ends when all that is asked for still was given up. So the observations say which words it ended with, and
    whoever judges them again comes to the same (`idealab.review.rejudge`).

    Parameters
    ----------
    left
        Tasks that take no more seeds, in any order.
    unkilled
        Tasks that are decided, and asked for only since more of their seeds may kill a mutant.
    """
    open_still, known = set(assessment.undecided()), {task: k for k, task in enumerate(assessment.tasks)}
    ordered = sorted(dict.fromkeys(left), key=lambda task: (_rank(task), known[task]))
    idle: dict[str, list[str]] = {}
    for task in ordered:
        if not task.batches and task in open_still:
            idle.setdefault(task.experiment.name, []).append(task.label)
    lines = [f"{GIVEN_UP}, not begun: {name}: {'; '.join(places)}" for name, places in idle.items()]
    for plan in plan_tasks(assessment, [task for task in ordered if task in open_still and task.batches]):
        task, place = plan.task, f"{plan.task.experiment.name}, {plan.task.label}"
        more = max(plan.blocks(plan.seeds), 1) * task.experiment.block
        factor = max(reached(assessment, question, {task: task.seeds}) for question in assessment.questions)
        would = f"; its {task.seeds} would do for {factor:.2g} times the tolerance"
        within = would if 1 < factor < math.inf else ""
        lines.append(f"{GIVEN_UP}: {place}, about {more} more seeds{within}")
    for task in [task for task in ordered if task in unkilled and task not in open_still]:
        place = f"{task.experiment.name}, {task.label}"
        lines.append(f"{GIVEN_UP}: {place}, seeds that may kill a mutant")
    return lines


def _rank(task: Task) -> int:
    """Place in the order in which conditions are worth deciding: controls, then the sweep from the most favourable."""
    labels = [str(condition) for condition in task.experiment.conditions]
    return -1 if task.assumption else labels.index(task.place)


def reached(assessment: Assessment, question: Question, seeds: Mapping[Task, float]) -> float:
    """The tolerance, in units of the declared one, at which so many seeds decide what a question leaves undecided.

    `idealab.judge.planning.seeds_for` turned round: ``n - 1.5`` goes with the inverse square of the tolerance.

    Returns
    -------
    float
        Zero if nothing is undecided in these tasks; infinite where they have fewer seeds than decide anything.
    """
    widest, cells = 0.0, assessment.rules[question.family].cells
    for place, _ in assessment.open(question):
        known = [seeds[task] for task in place.tasks if task in seeds]
        if known:
            enough = min(known) >= FEWEST[place.cell.estimand]
            more = (_stopping_early(place.cell, cells)[0] - 1.5) / (min(known) - 1.5)
            widest = max(widest, math.sqrt(more) if enough else math.inf)
    return widest
