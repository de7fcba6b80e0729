"""Seeds in blocks: simulated on all cores, written to the ledger as they come, taken from there after a kill."""

from __future__ import annotations

import contextlib
import hashlib
import inspect
import os
import platform
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache
from importlib.metadata import version
from pathlib import Path
from threading import Event
from typing import Any, Protocol

import jax
import jax.numpy as jnp
import numpy as np
import platformdirs

from idealab.experiment import Condition, Experiment, Observation
from idealab.ledger.records import BATCH, digest
from idealab.ledger.store import Ledger

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


@dataclass
class Task:
    """One condition of one experiment, with the batches that it has so far.

    ``assumption`` names the assumption that the condition takes away; empty for a point of the sweep.
    """

    experiment: Experiment
    condition: Condition
    assumption: str = ""
    batches: list[Batch] = field(default_factory=list[Batch])

    @property
    def label(self) -> str:
        """How the ledger and the screen call it."""
        return f"without {self.assumption}" if self.assumption else str(self.condition)

    @property
    def seeds(self) -> int:
        """Seeds observed so far."""
        return sum(batch.seeds for batch in self.batches)

    def __hash__(self) -> int:
        return id(self)

    @cached_property
    def realized(self) -> Condition:
        """The condition with its data loaded."""
        data = self.condition.data() if callable(self.condition.data) else self.condition.data
        return replace(self.condition, data=data)


def precision() -> str:
    """``"float64"``, or ``"float32"`` on a platform that has no float64 of its own (TPU)."""
    return "float32" if jax.default_backend() == "tpu" else "float64"


@contextlib.contextmanager
def precise() -> Iterator[None]:
    """Compute in the platform's best precision, without touching JAX's global configuration."""
    with jax.enable_x64(precision() == "float64"):
        yield


def environment() -> dict[str, Any]:
    """Devices and versions; runs go on from batches of an equal environment only."""
    devices = jax.devices()
    return {
        **{name: version(name) for name in ("jax", "jaxlib", "numpy", "diffrax", "sympy")},
        "python": platform.python_version(),
        "machine": platform.machine(),
        "platform": devices[0].platform,
        "device": devices[0].device_kind,
        "devices": len(devices),
        "cores": os.cpu_count() or 1,
    }


def use_compilation_cache() -> Path | None:
    """Keep compiled simulations in the user's cache directory, unless JAX was told where to keep them."""
    if jax.config.jax_compilation_cache_dir is None:  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType]
        folder = platformdirs.user_cache_path("idealab") / "jax"
        jax.config.update("jax_compilation_cache_dir", str(folder))
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.1)
        return folder
    return Path(jax.config.jax_compilation_cache_dir)  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType, reportUnknownArgumentType]


def source_digest(observe: Callable[..., Any]) -> str:
    """SHA-256 of all that decides what an observation is: the experiment's file, its closure, and the simulators.

    A function without a source file (typed into a prompt) gets a fresh value each time: its batches are never reused.
    """
    import idealab.simulate

    try:
        file = inspect.getsourcefile(inspect.unwrap(observe))
        texts = [Path(file or "").read_bytes()]
    except (TypeError, OSError):
        return hashlib.sha256(uuid.uuid4().bytes).hexdigest()
    texts.append(_closure(observe).encode())
    for folder in idealab.simulate.__path__:
        texts += [path.read_bytes() for path in sorted(Path(folder).glob("*.py"))]
    return hashlib.sha256(b"\0".join(hashlib.sha256(text).digest() for text in texts)).hexdigest()


def _closure(function: Any) -> str:
    """The values that a function carries with it, as text without memory addresses."""
    if hasattr(function, "func"):  # functools.partial
        return f"{_closure(function.func)}({[_closure(v) for v in (*function.args, *function.keywords.items())]})"
    cells = [cell.cell_contents for cell in getattr(function, "__closure__", None) or ()]
    if callable(function):
        return f"{getattr(function, '__qualname__', type(function).__name__)}[{', '.join(map(_closure, cells))}]"
    return repr(function)


@lru_cache(maxsize=64)
def _compiled(observe: Callable[[jax.Array, Condition], Observation], block: int) -> Any:
    """``(master_seed, stream, first_seed, condition) -> Observation`` with a leading axis of ``block`` seeds."""

    @jax.jit
    def simulate(master_seed: jax.Array, stream: jax.Array, first: jax.Array, condition: Condition) -> Observation:
        key = jax.random.fold_in(jax.random.key(master_seed), stream)
        keys = jax.vmap(lambda i: jax.random.fold_in(key, first + i))(jnp.arange(block))
        return jax.vmap(lambda key: observe(key, condition))(keys)

    return simulate


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
        self._programs: dict[Any, Event] = {}

    def find(self, task: Task) -> None:
        """Take from the ledger the batches that an earlier run of the same declaration left."""
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
            if document["first_seed"] != task.seeds:
                break
            arrays = {
                part: {name: np.asarray(value, dtype=np.float64) for name, value in values.items()}
                for part, values in document["observation"].items()
            }
            evaluations = float(np.sum(arrays["parameters"].pop("gradient_evaluations", np.zeros(1))))
            task.batches.append(
                Batch(
                    task.seeds,
                    document["seeds"],
                    arrays["parameters"],
                    arrays["observables"],
                    evaluations,
                    digest(document),
                    True,
                )
            )

    def extend(self, tasks: Sequence[Task], deadline: float | None) -> None:
        """Simulate one more block of every task, in the order given, until the deadline (`time.monotonic`)."""
        workers = 1 if jax.default_backend() != "cpu" else min(4, os.cpu_count() or 1)
        waiting, running = list(tasks), dict[Future[Batch], Task]()
        pool = ThreadPoolExecutor(workers, thread_name_prefix="idealab")
        try:
            while waiting or running:
                if deadline is not None and time.monotonic() >= deadline:
                    waiting.clear()
                while waiting and len(running) < workers:
                    task = waiting.pop(0)
                    running[pool.submit(self._block, task)] = task
                done, _ = wait(running, timeout=0.2, return_when=FIRST_COMPLETED)
                for future in done:
                    task = running.pop(future)
                    task.batches.append(future.result())
                    self.progress.step(f"{task.experiment.name}: {task.label}")
        finally:
            pool.shutdown(wait=True, cancel_futures=True)

    def _block(self, task: Task) -> Batch:
        started, first = time.perf_counter(), task.seeds
        experiment, block = task.experiment, task.experiment.block
        simulate = _compiled(experiment.observe, block)
        stream = int.from_bytes(hashlib.sha256(experiment.name.encode()).digest()[:4], "big")
        with precise(), self._compiled_once(experiment, task.realized):
            observation = simulate(np.uint32(self.master_seed), np.uint32(stream), np.uint32(first), task.realized)
            parameters = {name: np.asarray(value) for name, value in observation.parameters.items()}
            observables = {name: np.asarray(value) for name, value in observation.observables.items()}
        record = self._keep(task, first, time.perf_counter() - started, parameters, observables)
        evaluations = float(np.sum(parameters.pop("gradient_evaluations", np.zeros(1))))
        return Batch(first, block, parameters, observables, evaluations, record, reused=False)

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
    def _compiled_once(self, experiment: Experiment, condition: Condition) -> Iterator[None]:
        """Let one thread compile a program, while others that need the same one wait instead of compiling it too."""
        leaves, shape = jax.tree.flatten(condition)
        program = (experiment.observe, experiment.block, shape, tuple(np.shape(leaf) for leaf in leaves))
        mine = Event()
        theirs = self._programs.setdefault(program, mine)
        if theirs is not mine:
            theirs.wait()
        try:
            yield
        finally:
            theirs.set()
