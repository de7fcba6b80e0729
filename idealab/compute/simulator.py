"""Blocks of seeds: compiled once a process, run on a device that is idle, in as many pieces as its memory asks for."""

from __future__ import annotations

# JAX annotates its functions only in part.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false, reportUnknownLambdaType=false
import hashlib
import inspect
import time
import traceback
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager, nullcontext
from functools import cache
from pathlib import Path
from queue import SimpleQueue
from threading import BoundedSemaphore, Condition as Changed, Event
from typing import Any

import jax
import numpy as np

from idealab.compute.devices import Device, Machine, free_memory, program_cache
from idealab.compute.programs import Program, Programs, checked, seed_key
from idealab.errors import DeclarationError, IdealabError, UsageError
from idealab.experiment import Condition, Experiment, Observation
from idealab.simulate.checkpoint import observing_seed
from idealab.symbolic.blind import observing

Arrays = Mapping[str, np.ndarray[Any, np.dtype[Any]]]
Observe = Callable[[jax.Array, Condition], Observation]

_SMALLER = "make the experiment smaller (--set), or give another --device"


class Simulator:
    """Simulates blocks of seeds on the devices of a machine, each on the first that is idle; threads may share it.

    Parameters
    ----------
    warn
        Is told when a block does not fit into the memory at once.
    """

    def __init__(self, machine: Machine, master_seed: int, warn: Callable[[str], None]) -> None:
        self.machine, self.master_seed, self.warn = machine, master_seed, warn
        self._idle: SimpleQueue[Device] = SimpleQueue()
        for device in machine.slots:
            self._idle.put(device)
        self._memory, self._programs, self.stop = _Memory(), programs(), Event()
        self._pool = BoundedSemaphore(max(1, machine.size()["cores"] - 1))  # a thread of XLA's pool stays free

    def block(
        self, experiment: Experiment, condition: Condition, label: str, first: int, folder: Path | None = None
    ) -> tuple[dict[str, Any], dict[str, Any], float]:
        """Parameters and observables of the seeds from ``first`` on, and the seconds they took, without compiling.

        ``folder`` is where a seed that is observed on the host keeps its checkpoints.

        Raises
        ------
        UsageError
            If one seed does not fit into the memory that is free.
        DeclarationError
            If ``observe`` raises, or returns no observation. Errors of idealab stay as they are.
        """
        named = f"experiment {experiment.name!r}, {label}"
        device = self._idle.get()
        try:
            if experiment.host:
                pieces, seconds = self._on_host(experiment, condition, first, device, folder)
            else:
                pieces, seconds = self._pieces(experiment, condition, named, first, device)
        except IdealabError:
            raise
        except Exception as error:
            if isinstance(error, MemoryError) or "RESOURCE_EXHAUSTED" in str(error):
                raise UsageError(f"{named}: the memory of {device} ran out; {_SMALLER}") from error
            raise _fault(experiment, named, error) from error
        finally:
            self._idle.put(device)
        parameters, observables = (
            {name: np.concatenate([piece[k][name] for piece in pieces]) for name in pieces[0][k]} for k in range(2)
        )
        return parameters, observables, seconds

    def _on_host(
        self, experiment: Experiment, condition: Condition, first: int, device: Device, folder: Path | None
    ) -> tuple[list[tuple[Arrays, Arrays]], float]:
        started = time.perf_counter()
        with self.machine.computing(), jax.default_device(device), observing(), observing_seed(folder, self.stop):
            key = seed_key(np.uint32(self.master_seed), np.uint32(_stream(experiment)), np.uint32(first))
            observation = checked(experiment.observe(key, condition), experiment)
            found = floats(observation.parameters), floats(observation.observables)
        one = tuple({name: value[None] for name, value in part.items()} for part in found)
        return [(one[0], one[1])], time.perf_counter() - started

    def _pieces(
        self, experiment: Experiment, condition: Condition, named: str, first: int, device: Device
    ) -> tuple[list[tuple[Arrays, Arrays]], float]:
        found, seconds = list[tuple[Arrays, Arrays]](), 0.0
        with self.machine.computing(), jax.default_device(device), observing():
            there = jax.device_put(condition, device)
            keys = np.uint32(self.master_seed), np.uint32(_stream(experiment))
            seeds, program = self._fitting(experiment, named, device, (*keys, np.uint32(first), there))
            for start in range(first, first + experiment.block, seeds):
                with self._memory.taken(device, program.bytes), self._pool if program.deals_out else nullcontext():
                    started = time.perf_counter()
                    observation = program.run(*keys, np.uint32(start), there)
                    found.append((floats(observation.parameters), floats(observation.observables)))
                    seconds += time.perf_counter() - started
        return found, seconds

    def _fitting(
        self, experiment: Experiment, named: str, device: Device, arguments: tuple[Any, ...]
    ) -> tuple[int, Program]:
        """The most seeds of a block that the memory holds at once, and their program."""
        block, free, needed = experiment.block, 0, 0
        for seeds in (n for n in range(block, 0, -1) if block % n == 0):
            program = self._programs.get(experiment, seeds, self.machine, device, arguments)
            free, needed = free_memory(device), program.bytes
            if needed <= free:
                if seeds < block:
                    self.warn(f"{named}: {block} seeds do not fit into memory at once; run in {block // seeds} pieces")
                return seeds, program
        raise UsageError(
            f"{named}: one seed takes {needed / 2**30:.3g} GiB, and {free / 2**30:.3g} GiB are free on {device}; "
            f"{_SMALLER}"
        )


def _stream(experiment: Experiment) -> int:
    """What tells the keys of one experiment from those of another."""
    return int.from_bytes(hashlib.sha256(experiment.name.encode()).digest()[:4], "big")


@cache
def programs() -> Programs:
    """Those of this process."""
    return Programs(program_cache())


def floats(values: Mapping[str, Any]) -> dict[str, np.ndarray[Any, np.dtype[Any]]]:
    """As float64, the one type that the ledger gives back: it makes no difference where a batch comes from."""
    return {name: np.asarray(value, dtype=np.float64) for name, value in values.items()}


def _fault(experiment: Experiment, named: str, error: Exception) -> DeclarationError:
    """What ``observe`` raised, in one line: there is no traceback on the command line."""
    said = [line.strip() for line in str(error).splitlines() if line.strip()] or [""]
    words = said[-1 if said[0].endswith("Traceback (most recent call last):") else 0]  # last, if a callback failed
    file = getattr(getattr(inspect.unwrap(experiment.observe), "__code__", None), "co_filename", None)
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == file]
    where = f" ({Path(file).name}, line {lines[-1]})" if file and lines else ""
    return DeclarationError(f"{named}: observe raised {type(error).__name__}{f': {words}' if words else ''}{where}")


class _Memory:
    """Lets programs run side by side as long as what they take together is there; all CPU devices share theirs."""

    def __init__(self) -> None:
        self.changed = Changed()
        self.claimed: dict[Any, int] = {}

    @contextmanager
    def taken(self, device: Device, needed: int) -> Generator[None]:
        """Wait until so many bytes are there, or nothing else runs."""
        place = "cpu" if device.platform == "cpu" else device
        with self.changed:
            # What the others claimed they may not have taken yet.
            while (others := self.claimed.get(place, 0)) and needed > free_memory(device) - others:
                self.changed.wait(0.5)
            self.claimed[place] = others + needed
        try:
            yield
        finally:
            with self.changed:
                self.claimed[place] -= needed
                self.changed.notify_all()
