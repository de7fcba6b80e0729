"""Compiled simulations: made once a process, and kept on disk for the next one, so that it need not even trace them.

JAX's own compilation cache spares XLA's part alone, and tracing and lowering take longer than most runs.
"""

from __future__ import annotations

# JAX annotates its functions only in part.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false, reportUnknownLambdaType=false
import hashlib
import os
import pickle
import platform
import re
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from functools import cache, lru_cache
from pathlib import Path
from threading import Lock
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental import serialize_executable
from jax.typing import ArrayLike

from idealab.cache import read_kept, write_kept
from idealab.compute.devices import Device, Machine
from idealab.compute.source import source_digest
from idealab.errors import DeclarationError
from idealab.experiment import Condition, Experiment, Observation
from idealab.simulate.blocks import compiler_options

_MOST_BYTES = 2**30
"""On disk; what was not used for longest goes first."""

_QUICKLY_MADE = {
    "xla_backend_optimization_level": 1,
    "xla_cpu_parallel_codegen_split_count": 1,
    "xla_cpu_use_fusion_emitters": False,
}
"""For programs of hundreds of small kernels, which take longer to make than to run: made in half the time, seen to run
as fast within a fifth. Loops that run for long are compiled with :func:`compiler_options` alone."""


class Program(NamedTuple):
    """A compiled simulation.

    ``run`` is ``(master_seed, stream, first_seed, condition) -> Observation`` with a leading axis of seeds, ``bytes``
    what it takes while it runs (by its compiler; zero where that does not tell). If it ``deals_out`` matrices to XLA's
    pool of threads, as jaxlib (0.10) does with several at once on a CPU, it holds a thread of it while it waits for
    others: as many such programs as there are threads would wait for one another for ever.
    """

    run: Any
    bytes: int
    deals_out: bool


class Programs:
    """Threads that need the same program wait while one of them makes it.

    Parameters
    ----------
    folder
        Where programs are kept between processes; None keeps none. Whoever can write there can run code here, as with
        any cache of programs. What is damaged, or comes from another machine or version, is made anew.
    most
        How many are held in memory.
    """

    def __init__(self, folder: Path | None, most: int = 256) -> None:
        self.folder, self.most = folder, most
        self.lock, self.made = Lock(), dict[Any, Future[Any]]()

    def get(
        self, experiment: Experiment, seeds: int, machine: Machine, device: Device, arguments: tuple[Any, ...]
    ) -> Program:
        """The program of so many seeds of an experiment, on a device."""
        leaves, shape = jax.tree.flatten(arguments)
        kinds = tuple((np.shape(leaf), str(jax.dtypes.result_type(leaf))) for leaf in leaves)
        key = (experiment.observe, experiment.vectorized, seeds, machine.precision, device, shape, kinds)
        with self.lock:
            found, mine = self.made.get(key), False
            if found is None:
                found, mine = self.made.setdefault(key, Future[Any]()), True
                if len(self.made) > self.most:
                    self.made.pop(next(iter(self.made)))
        if mine:
            try:
                environment = sorted(machine.environment().items())
                words = (seeds, experiment.vectorized, device.id, str(shape), kinds, environment, machine.precision)
                made = lambda: _compiled(experiment, seeds, machine, arguments)
                program = made() if self.folder is None else self._kept(experiment, device, words, made)
                found.set_result(_described(program))
            except BaseException as error:
                self.made.pop(key, None)
                found.set_exception(error)
        return found.result()

    def _kept(self, experiment: Experiment, device: Device, words: tuple[Any, ...], made: Callable[[], Any]) -> Any:
        assert self.folder is not None
        digest = hashlib.sha256(repr((_source(experiment.observe), words, _host())).encode()).hexdigest()
        path = self.folder / digest
        with suppress(Exception):  # a program that cannot be taken from here is made anew, whatever the reason
            if content := read_kept(path):
                _load_linear_algebra()
                return serialize_executable.deserialize_and_load(*pickle.loads(content), backend=device.client)
        program = made()
        with suppress(Exception):  # nothing depends on it
            if _portable(program.as_text()):
                write_kept(path, pickle.dumps(serialize_executable.serialize(program)), _MOST_BYTES)
        return program


def _described(compiled: Any) -> Program:
    told = compiled.memory_analysis()
    names = ("argument_size_in_bytes", "output_size_in_bytes", "temp_size_in_bytes")
    return Program(compiled, sum(int(getattr(told, name, 0)) for name in names), _deals_out(compiled))


def _deals_out(program: Any) -> bool:
    calls = (line for line in program.as_text().splitlines() if 'custom_call_target="lapack_' in line)
    shapes = (shape.split(",")[:-2] for line in calls for shape in re.findall(r"[fc]\d+\[([\d,]+)\]", line))
    return any(int(many) > 1 for shape in shapes for many in shape)


def _portable(text: str) -> bool:
    """Whether a program calls nothing but LAPACK: what else is called may be somewhere else in the next process."""
    return all(target.startswith("lapack_") for target in re.findall(r'custom_call_target="([^"]*)"', text))


@cache
def _load_linear_algebra() -> None:
    """Lowering does so, and a program that is taken from disk was not lowered here; it would crash."""
    jax.jit(jnp.linalg.cholesky).lower(jnp.eye(1))


@lru_cache(maxsize=64)
def _source(observe: Callable[..., Any]) -> str:
    return source_digest(observe)


@lru_cache(maxsize=1)
def _host() -> str:
    """What else decides a program: options of JAX and XLA, and what the processor can do."""
    options = {name: value for name, value in sorted(jax.config.values.items()) if "cache" not in name}
    flags = platform.processor()
    with suppress(OSError):
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        flags = next((line for line in lines if line.startswith(("flags", "Features"))), flags)
    return repr((options, os.environ.get("XLA_FLAGS"), flags))


def _compiled(experiment: Experiment, seeds: int, machine: Machine, arguments: tuple[Any, ...]) -> Any:
    observe = experiment.observe
    one_by_one = machine.on_cpu and not experiment.vectorized
    over_seeds = jax.lax.map if one_by_one else lambda function, keys: jax.vmap(function)(keys)

    def simulate(master_seed: jax.Array, stream: jax.Array, first: jax.Array, condition: Condition) -> Observation:
        keys = jax.vmap(lambda i: seed_key(master_seed, stream, first + i))(jnp.arange(seeds))
        return over_seeds(lambda key: checked(observe(key, condition), experiment), keys)

    # Blocks run on threads of our own. XLA's pool is left out: two programs that wait for it at once can lock up.
    options = {**(compiler_options() or {}), **_QUICKLY_MADE} if machine.on_cpu else None
    return jax.jit(simulate, compiler_options=options).lower(*arguments).compile()


def seed_key(master_seed: ArrayLike, stream: ArrayLike, seed: ArrayLike) -> jax.Array:
    """The key of a seed of an experiment, wherever it is simulated."""
    return jax.random.fold_in(jax.random.fold_in(jax.random.key(master_seed), stream), seed)


def checked(observation: Any, experiment: Experiment) -> Observation:
    """What ``observe`` returned, if it is an `Observation`; raises `DeclarationError` if it is not."""
    if not isinstance(observation, Observation):
        raise DeclarationError(
            f"experiment {experiment.name!r}: observe must return an Observation, got {type(observation).__name__}"
        )
    return observation
