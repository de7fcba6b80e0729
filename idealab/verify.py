"""The whole pipeline: derive, declare, simulate, judge, record."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from idealab.assess.mutants import Design, designs_of, unkilled
from idealab.assess.outcome import NO_MUTANTS, outcome_of
from idealab.compute.hosts import Hosts
from idealab.compute.run import Progress, Silence, Task
from idealab.errors import UsageError
from idealab.experiment import Experiment, Setting
from idealab.idea import Idea
from idealab.ledger.records import VERIFICATION
from idealab.ledger.store import Ledger
from idealab.prepare.budget import Budget
from idealab.prepare.request import Inquiry, Request, inquire
from idealab.review.retries import gate, runs_before
from idealab.verification import Verification


def verify(
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
    mutants: bool = True,
    device: str | None = None,
    precision: str | None = None,
    declared: str | None = None,
    hosts: Hosts | None = None,
    progress: Progress | None = None,
) -> Verification:
    """Derive, declare, simulate and judge an idea, and record the verdict.

    Parameters
    ----------
    idea
        Its name, or an `Idea` of one's own (then ``experiments`` are needed).
    experiments
        Experiments to run instead of those that are registered under the idea's name.
    seeds
        Cap of seeds in a cell, at least 4; by default what each experiment declares.
    budget
        Seconds after which no new seeds are started; what is undecided then stays so.
    select
        Names of the signatures to judge; all by default.
    levels
        Levels of experiment to run; idealized and real data by default.
    settings
        Knobs to hold at a value, in every condition of a sweep that has them.
    quick
        At most 32 seeds in a cell, and idealized experiments only unless levels are named.
    master_seed
        Where all randomness comes from.
    ledger
        Where evidence is kept: a `Ledger` or a directory; ``.idealab`` by default.
    record
        False leaves no trace, and goes on from nothing.
    mutants
        Whether to hold wrong formulas against the observations too.
    device
        Where to simulate: ``cpu``, ``gpu``, ``tpu``, all of that kind, or one of them, as ``gpu:1``. By default what
        JAX prefers.
    precision
        ``float32`` or ``float64``; by default float64, where the device has it.
    declared
        The hash that `idealab.prepare.declare.declare` gave, or its first 16 digits or more: nothing runs if what
        would be run is not what was declared.
    hosts
        The processes that simulate together (`idealab.compute.hosts.Hosts`), each of which calls this with the same
        arguments; process 0 decides and records.

    Returns
    -------
    Verification
        The verdict with all that it rests on.

    Raises
    ------
    UsageError
        If the request cannot be carried out; `UnknownNameError`, `NothingMatchedError` and
        `DeclarationChangedError` say so more precisely.
    LedgerError
        If evidence cannot be written.
    """
    started, watcher = time.monotonic(), progress or Silence()
    if budget is not None and not 0 < budget < math.inf:
        raise UsageError(f"budget={budget!r} must be a positive number of seconds")
    request = Request(
        *(idea, experiments, seeds, select, levels, settings, quick),
        *(master_seed, ledger, record, device, precision, declared),
    )
    with contextlib.nullcontext() if hosts is None else hosts.running():
        inquiry = inquire(request, watcher)
        designs = _designs(inquiry, watcher) if mutants else []
        watcher.stage("simulating")

        def lead() -> list[str]:
            workers = inquiry.runner.workers + (hosts.slots if hosts else 0)
            return _simulate(inquiry, designs, watcher, Budget(started, budget, workers))

        given_up = lead() if hosts is None else hosts.share(inquiry.runner, inquiry.tasks, lead)
    watcher.stage("judging")
    store, before, created = inquiry.store, list[str](), datetime.now(UTC)
    if store is not None:
        created = store.now()  # what others record from here on is later, and holds nothing back
        before = gate(store, inquiry.theory.name, inquiry.content, master_seed)
    machine = inquiry.runner.machine
    environment = machine.environment() | machine.size() | {"precision": machine.precision, "master_seed": master_seed}
    seconds = time.monotonic() - started
    outcome = outcome_of(inquiry.assessment, inquiry.declaration, environment, seconds, designs, before, given_up)
    outcome = replace(outcome, narrowed=(*inquiry.narrowed, *(() if mutants else (NO_MUTANTS,))))
    if store is not None:
        outcome = replace(outcome, earlier=runs_before(store, inquiry.declaration, master_seed))
    if store is None or (hosts is not None and hosts.process != 0):
        return outcome
    return _recorded(outcome, created, store, inquiry.tasks, watcher)


def _designs(inquiry: Inquiry, watcher: Progress) -> list[Design]:
    """The mutants, with a warning for those that the declared conditions cannot show."""
    watcher.stage("looking for wrong theories")
    designs = designs_of(inquiry.questions)
    for design in designs:
        words = [mutant.words for mutant in design.unseen]
        if words:
            watcher.warn(
                f"a fault of the design: no condition tells {design.signature.name} from {'; '.join(words[:4])}"
                + (f"; and {len(words) - 4} more" if len(words) > 4 else "")
                + "; give the knobs distinct values other than one"
            )
    return designs


def _simulate(inquiry: Inquiry, designs: Sequence[Design], watcher: Progress, budget: Budget) -> list[str]:
    """Rounds of one block for every task that is still open: one each, then until decided; what is given up."""
    for task in inquiry.tasks:
        inquiry.runner.find(task)
    assessment, steps, pending = inquiry.assessment, 0, list(inquiry.tasks)
    while pending := budget.affordable(assessment, pending) or budget.affordable(
        assessment, unkilled(assessment, designs) if steps else []
    ):
        steps += len(pending)
        watcher.planned(steps)
        budget.give_up(inquiry.runner.extend(pending, budget.deadline))
        pending = assessment.undecided()
    words = budget.words(assessment, unkilled(assessment, designs) if steps else ())
    if words:
        watcher.warn("the budget is spent; what is undecided stays so")
    return words


def _recorded(
    outcome: Verification, created: datetime, store: Ledger, tasks: Sequence[Task], watcher: Progress
) -> Verification:
    parents = [outcome.declaration, *(batch.record for task in tasks for batch in task.batches if batch.record)]
    document = {
        "schema": VERIFICATION,
        "parents": parents,
        "idea": outcome.idea,
        "created": created.isoformat(timespec="microseconds"),
        "result": outcome.to_dict(),
    }
    recorded = outcome.with_record(store.put(document))
    for warning in store.warnings:
        watcher.warn(warning)
    return recorded
