"""Seeds in blocks: simulated on several cores, written to the ledger as they come, taken from there after a kill."""

from __future__ import annotations

# JAX annotates its functions only in part.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false, reportUnknownLambdaType=false
import contextlib
import hashlib
import inspect
import os
import platform
import time
import traceback
from collections.abc import Callable, Generator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from threading import Event, Lock
from typing import Any, Protocol

import jax
import jax.numpy as jnp
import numpy as np
import platformdirs
from threadpoolctl import threadpool_limits  # pyright: ignore[reportMissingTypeStubs]

from idealab.errors import DeclarationError, IdealabError
from idealab.experiment import Condition, Experiment, Observation
from idealab.ledger.records import BATCH, digest
from idealab.ledger.store import Ledger
from idealab.symbolic.blind import observing

Arrays = Mapping[str, np.ndarray[Any, np.dtype[Any]]]


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
    """What it took, with compiling unless it is ``warm``."""
    warm: bool = False


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


def precision() -> str:
    """``"float64"``, or ``"float32"`` on a platform that has no float64 of its own (TPU)."""
    return "float32" if jax.default_backend() == "tpu" else "float64"


@contextlib.contextmanager
def precise() -> Generator[None]:
    """Compute in the platform's best precision, without touching JAX's global configuration."""
    with jax.enable_x64(precision() == "float64"):
        yield


def environment() -> dict[str, Any]:
    """Devices and versions; runs go on from batches of an equal environment only."""
    devices = jax.devices()
    return {
        **{
            name: version(name)
            for name in ("jax", "jaxlib", "numpy", "scipy", "sympy", "optax", "flax", "scikit-learn")
        },
        "python": platform.python_version(),
        "machine": platform.machine(),
        "platform": devices[0].platform,
        "device": devices[0].device_kind,
        "devices": len(devices),
        "cores": os.cpu_count() or 1,
    }


def use_compilation_cache() -> Path | None:
    """Keep compiled simulations in the user's cache directory, unless JAX was told where to keep them."""
    if jax.config.jax_compilation_cache_dir is None:  # pyright: ignore[reportAttributeAccessIssue]
        folder = platformdirs.user_cache_path("idealab") / "jax"
        jax.config.update("jax_compilation_cache_dir", str(folder))
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
        return folder
    return Path(jax.config.jax_compilation_cache_dir)  # pyright: ignore[reportAttributeAccessIssue]


_COMPILING = Lock()
"""Held while a program is looked up: two threads that make it at once would compile it twice."""


@lru_cache(maxsize=64)
def _compiled(observe: Callable[[jax.Array, Condition], Observation], block: int) -> Any:
    """``(master_seed, stream, first_seed, condition) -> Observation`` with a leading axis of ``block`` seeds."""

    # A vector unit gains nothing from four seeds side by side, and loses where their solvers take different steps.
    cpu = jax.default_backend() == "cpu"
    over_seeds = jax.lax.map if cpu else lambda function, keys: jax.vmap(function)(keys)

    def simulate(master_seed: jax.Array, stream: jax.Array, first: jax.Array, condition: Condition) -> Observation:
        key = jax.random.fold_in(jax.random.key(master_seed), stream)
        keys = jax.vmap(lambda i: jax.random.fold_in(key, first + i))(jnp.arange(block))
        return over_seeds(lambda key: observe(key, condition), keys)

    # Blocks run on threads of our own. XLA's pool is left out: two programs that wait for it at once can lock up.
    return jax.jit(simulate, compiler_options={"xla_cpu_multi_thread_eigen": False} if cpu else None)


def _floats(values: Mapping[str, Any]) -> dict[str, np.ndarray[Any, np.dtype[Any]]]:
    # The one type that the ledger gives back, so that it makes no difference where a batch comes from.
    return {name: np.asarray(value, dtype=np.float64) for name, value in values.items()}


def _fault(task: Task, error: Exception) -> DeclarationError:
    """What ``observe`` raised, in one line: there is no traceback on the command line."""
    said = [line.strip() for line in str(error).splitlines() if line.strip()] or [""]
    words = said[-1 if said[0].endswith("Traceback (most recent call last):") else 0]  # last, if a callback failed
    file = getattr(getattr(inspect.unwrap(task.experiment.observe), "__code__", None), "co_filename", None)
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == file]
    where = f" ({Path(file).name}, line {lines[-1]})" if file and lines else ""
    return DeclarationError(
        f"experiment {task.experiment.name!r}, {task.label}: observe raised {type(error).__name__}"
        f"{f': {words}' if words else ''}{where}"
    )


def batch_of(document: Mapping[str, Any], reused: bool) -> Batch:
    """The observations that a record of the ledger holds."""
    parameters, observables = (_floats(document["observation"][part]) for part in ("parameters", "observables"))
    evaluations = float(np.sum(parameters.pop("gradient_evaluations", 0.0)))
    first, seeds, seconds = document["first_seed"], document["seeds"], float(document["seconds"])
    return Batch(first, seeds, parameters, observables, evaluations, digest(document), reused, seconds)


class Elsewhere(Protocol):
    """Other processes that simulate blocks for this one (`idealab.hosts.Hosts`)."""

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
    """

    def __init__(
        self, idea: str, ledger: Ledger | None, declaration: str, master_seed: int, progress: Progress
    ) -> None:
        self.idea, self.ledger, self.declaration = idea, ledger, declaration
        self.master_seed, self.progress = master_seed, progress
        self.environment, self.precision = environment(), precision()
        self.workers = 1 if jax.default_backend() != "cpu" else min(4, os.cpu_count() or 1)
        self.hosts: Elsewhere | None = None
        self._programs: dict[Any, Event] = {}

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
        pool = ThreadPoolExecutor(self.workers, thread_name_prefix="idealab")
        import_module("scipy.linalg.cython_lapack")  # what JAX calls on a CPU; loaded now, so that the limit reaches it
        alone = threadpool_limits(1, "blas")  # the cores are taken by our own threads
        try:
            while waiting or running:
                if deadline is not None and time.monotonic() >= deadline:
                    late, waiting = [*late, *waiting], []
                while waiting and (future := self._started(pool, len(running), waiting[0])):
                    running[future] = waiting.pop(0)
                done, _ = wait(running, timeout=0.2, return_when=FIRST_COMPLETED)
                for future in done:
                    task = running.pop(future)
                    try:
                        task.batches.append(future.result())
                    except ConnectionError:  # another process is lost, and what it was at is done again
                        waiting.insert(0, task)
                        continue
                    self.progress.step(f"{task.experiment.name}: {task.label}")
        finally:
            pool.shutdown(wait=True, cancel_futures=True)
            alone.restore_original_limits()
        return late

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
        """Simulate the next block of seeds of a task.

        Raises
        ------
        DeclarationError
            If ``observe`` raises, or returns no observation. Errors of idealab, and memory that is not enough, stay.
        """
        first, experiment, block = task.seeds, task.experiment, task.experiment.block
        stream = int.from_bytes(hashlib.sha256(experiment.name.encode()).digest()[:4], "big")
        try:
            with _COMPILING:
                simulate = _compiled(experiment.observe, block)
            with precise():
                with observing(), self._compiled_once(experiment, task.realized) as warm:
                    started = time.perf_counter()
                    seeds = np.uint32(self.master_seed), np.uint32(stream), np.uint32(first)
                    observation = simulate(*seeds, task.realized)
                if not isinstance(observation, Observation):
                    raise DeclarationError(
                        f"experiment {experiment.name!r}: observe must return an Observation, "
                        f"got {type(observation).__name__}"
                    )
                parameters, observables = _floats(observation.parameters), _floats(observation.observables)
        except Exception as error:
            if isinstance(error, (IdealabError, MemoryError)) or "RESOURCE_EXHAUSTED" in str(error):
                raise
            raise _fault(task, error) from error
        seconds = time.perf_counter() - started
        record = self._keep(task, first, seconds, parameters, observables)
        evaluations = float(np.sum(parameters.pop("gradient_evaluations", 0.0)))
        return Batch(first, block, parameters, observables, evaluations, record, False, seconds, warm)

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

    @contextlib.contextmanager
    def _compiled_once(self, experiment: Experiment, condition: Condition) -> Generator[bool]:
        """Let one thread compile a program, while others that need the same one wait instead of compiling it too.

        Yields whether it is compiled already.
        """
        leaves, shape = jax.tree.flatten(condition)
        program = (experiment.observe, experiment.block, shape, tuple(np.shape(leaf) for leaf in leaves))
        mine = Event()
        theirs = self._programs.setdefault(program, mine)
        if theirs is not mine:
            theirs.wait()
        try:
            yield theirs is not mine
        finally:
            theirs.set()
