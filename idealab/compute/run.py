"""Seeds in blocks: simulated on several devices, written to the ledger as they come, taken from there after a kill."""

from __future__ import annotations

# JAX annotates its functions only in part.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false, reportUnknownLambdaType=false
import hashlib
import shutil
import time
from collections.abc import Generator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from threadpoolctl import threadpool_limits  # pyright: ignore[reportMissingTypeStubs]

from idealab.compute.devices import Machine
from idealab.compute.simulator import Arrays, Simulator, floats
from idealab.experiment import Condition, Experiment
from idealab.ledger.records import BATCH, digest
from idealab.ledger.store import Ledger
from idealab.simulate.checkpoint import Stopped


class Progress(Protocol):
    """What a run tells whoever watches it."""

    def stage(self, words: str) -> None:
        """A stage of the pipeline begins."""

    def declared(self, digest: str, summary: str) -> None:
        """The declaration is in the ledger; nothing has been simulated yet."""

    def planned(self, steps: int) -> None:
        """So many blocks of seeds are expected in all; may be revised."""

    def step(self, words: str) -> None:
        """One block of seeds is finished."""

    def warn(self, words: str) -> None:
        """Something a person should know, which does not stop the run."""


class Silence(Progress):
    """The progress that tells nobody."""


@dataclass(frozen=True)
class Batch:
    """The observations of one block of seeds, as NumPy arrays with the seed as first axis."""

    first_seed: int
    seeds: int
    parameters: Arrays
    observables: Arrays
    gradient_evaluations: float
    record: str | None
    reused: bool
    seconds: float = 0.0
    """What it took, without compiling."""


@dataclass
class Task:
    """One condition of one experiment, with the batches that it has so far.

    ``assumption`` names the assumption that the condition takes away; empty for a point of the sweep. ``refinement``
    says which refinement of it this is, for an experiment without chance.
    """

    experiment: Experiment
    condition: Condition
    assumption: str = ""
    refinement: str = ""
    batches: list[Batch] = field(default_factory=list[Batch])
    stored: dict[int, Batch] = field(default_factory=dict[int, Batch])
    """By first seed, what an earlier run has left in the ledger; taken when its turn comes."""

    @property
    def place(self) -> str:
        """How the screen calls the condition."""
        return f"without {self.assumption}" if self.assumption else str(self.condition)

    @property
    def label(self) -> str:
        """How the ledger calls it."""
        return f"{self.place}, {self.refinement}" if self.refinement else self.place

    @property
    def seeds(self) -> int:
        """Seeds observed so far."""
        return sum(batch.seeds for batch in self.batches)

    def __hash__(self) -> int:
        return id(self)

    @cached_property
    def realized(self) -> Condition:
        """The condition with its data loaded."""
        return self.condition.realized()


def batch_of(document: Mapping[str, Any], reused: bool) -> Batch:
    """The observations that a record of the ledger holds."""
    parameters, observables = (floats(document["observation"][part]) for part in ("parameters", "observables"))
    evaluations = float(np.sum(parameters.pop("gradient_evaluations", 0.0)))
    first, seeds, seconds = document["first_seed"], document["seeds"], float(document["seconds"])
    return Batch(first, seeds, parameters, observables, evaluations, digest(document), reused, seconds)


class Elsewhere(Protocol):
    """Other processes that simulate blocks for this one (`idealab.compute.hosts.Hosts`)."""

    @property
    def away(self) -> int:
        """Blocks that they are at."""
        ...

    def simulate(self, task: Task) -> Future[Batch] | None:
        """The next block of a task; None if all are busy. Raises `ConnectionError` if it must be simulated again."""


class Runner:
    """Simulates the blocks of tasks, several at a time, and keeps each in the ledger as soon as it is there.

    Parameters
    ----------
    ledger
        Where batches are written and found again; None keeps nothing.
    declaration
        Hash of the declaration that the batches belong to.
    machine
        Where it is simulated.
    """

    def __init__(
        self, idea: str, ledger: Ledger | None, declaration: str, master_seed: int, machine: Machine, progress: Progress
    ) -> None:
        self.idea, self.ledger, self.declaration = idea, ledger, declaration
        self.master_seed, self.machine, self.progress = master_seed, machine, progress
        self.environment, self.precision = machine.environment(), machine.precision
        self.simulator, self.workers = Simulator(machine, master_seed, progress.warn), len(machine.slots)
        self.hosts: Elsewhere | None = None

    def find(self, task: Task) -> None:
        """Look in the ledger for the batches that an earlier run of the same declaration left."""
        if self.ledger is None:
            return
        found = self.ledger.batches(
            self.declaration,
            experiment=task.experiment.name,
            condition=task.label,
            master_seed=self.master_seed,
            environment=self.environment,
            precision=self.precision,
        )
        for document in found:
            if document["seeds"] == task.experiment.block:
                task.stored[document["first_seed"]] = batch_of(document, reused=True)

    def extend(self, tasks: Sequence[Task], deadline: float | None) -> list[Task]:
        """Add one more block to every task, in the order given: from the ledger, or simulated until the deadline.

        Going through the same rounds as a run that was never disturbed, a run that goes on ends as that one would.

        Returns
        -------
        list of Task
            Those for which no time was left by the deadline (`time.monotonic`).
        """
        waiting, late, running = [t for t in tasks if not self._resume(t)], list[Task](), dict[Future[Batch], Task]()
        with self.pool() as pool:
            while waiting or running:
                if deadline is not None and time.monotonic() >= deadline:
                    late, waiting = [*late, *waiting], []
                    self.simulator.stop.set()
                while waiting and (future := self._started(pool, len(running), waiting[0])):
                    running[future] = waiting.pop(0)
                done, _ = wait(running, timeout=0.2, return_when=FIRST_COMPLETED)
                for future in done:
                    task = running.pop(future)
                    try:
                        task.batches.append(future.result())
                    except Stopped:
                        late.append(task)
                        continue
                    except ConnectionError:  # another process is lost, and what it was at is done again
                        waiting.insert(0, task)
                        continue
                    self.progress.step(f"{task.experiment.name}: {task.label}")
        return late

    @contextmanager
    def pool(self) -> Generator[ThreadPoolExecutor]:
        """Threads for blocks, one a device; libraries of linear algebra get none beside them."""
        pool = ThreadPoolExecutor(self.workers, thread_name_prefix="idealab")
        self.simulator.stop.clear()
        import_module("scipy.linalg.cython_lapack")  # what JAX calls on a CPU; loaded now, so that the limit reaches it
        with threadpool_limits(1, "blas"):
            try:
                yield pool
            finally:
                self.simulator.stop.set()  # whoever is still at it will not be waited for long
                pool.shutdown(wait=True, cancel_futures=True)

    def _started(self, pool: ThreadPoolExecutor, running: int, task: Task) -> Future[Batch] | None:
        """The next block of a task, here or else in another process; None if all are busy."""
        if running - (self.hosts.away if self.hosts else 0) < self.workers:
            return pool.submit(self.block, task)
        return self.hosts.simulate(task) if self.hosts else None

    def _resume(self, task: Task) -> bool:
        batch = task.stored.pop(task.seeds, None)
        if batch is None:
            return False
        task.batches.append(batch)
        self.progress.step(f"{task.experiment.name}: {task.label}")
        return True

    def block(self, task: Task) -> Batch:
        """Simulate the next block of a task, and keep it. Raises what `Simulator.block` does."""
        first, experiment = task.seeds, task.experiment
        folder = self._folder(task) if experiment.host else None
        parameters, observables, seconds = self.simulator.block(experiment, task.realized, task.label, first, folder)
        record = self._keep(task, first, seconds, parameters, observables)
        if folder is not None:
            shutil.rmtree(folder, ignore_errors=True)
        evaluations = float(np.sum(parameters.pop("gradient_evaluations", 0.0)))
        return Batch(first, experiment.block, parameters, observables, evaluations, record, False, seconds)

    def _folder(self, task: Task) -> Path | None:
        """Where the next seed of a task keeps its checkpoints: the same place in every run that may go on from them."""
        if self.ledger is None:
            return None
        seed = [task.experiment.name, task.label, self.master_seed, task.seeds, self.precision, self.environment]
        name = hashlib.sha256(repr([self.declaration, *seed]).encode()).hexdigest()
        return self.ledger.path / "checkpoints" / name[:32]

    def _keep(self, task: Task, first: int, seconds: float, parameters: Arrays, observables: Arrays) -> str | None:
        if self.ledger is None:
            return None
        return self.ledger.put(
            {
                "schema": BATCH,
                "parents": [self.declaration],
                "idea": self.idea,
                "experiment": task.experiment.name,
                "condition": task.label,
                "precision": self.precision,
                "environment": self.environment,
                "master_seed": self.master_seed,
                "first_seed": first,
                "seeds": task.experiment.block,
                "seconds": seconds,
                "observation": {"parameters": parameters, "observables": observables},
            }
        )
