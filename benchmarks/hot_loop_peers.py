"""The peers of hot_loops.py: ours, numpy, PyTorch, optax, C. Each maps a number of steps to the weights after them."""

from __future__ import annotations

import ctypes
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from hot_loop_problems import Problem, as_jax

from idealab.simulate import descend
from idealab.simulate.blocks import compiler_options, in_blocks, measured_block

Run = Callable[[int], list[np.ndarray]]
CC = ["gcc", "-O3", "-march=native", "-shared", "-fPIC"]


class Missing(Exception):
    """A peer is not installed."""


def ours(problem: Problem, data, start, block: int | None) -> tuple[Run, int]:
    """idealab's loop, and the block of seeds that was measured for it."""
    data, start = as_jax((data, start))

    def one(inputs, steps):
        data, start = inputs
        return jax.tree.map(lambda w: w[-1], descend(problem.gradient(*data), start, problem.rate, (steps,)))

    best = measured_block(lambda inputs: one(inputs, 100), (data, start), block=block)

    @cache
    def compiled(steps: int):
        over_seeds = in_blocks(lambda inputs: one(inputs, steps), best)
        return jax.jit(over_seeds, compiler_options=compiler_options()).lower((data, start)).compile()

    return (lambda steps: jax.block_until_ready(compiled(steps)((data, start)))), best


def numpy_loop(problem: Problem, data, start) -> Run:
    """A loop over steps, all seeds at once in every operation."""

    def run(steps):
        weights = start
        for _ in range(steps):
            weights = [w + problem.rate * s for w, s in zip(weights, problem.slopes(weights, *data), strict=True)]
        return weights

    return run


def torch_loop(problem: Problem, data, start) -> Run:
    """Autograd and optim.SGD, all seeds at once."""
    try:
        import torch
    except ImportError as error:
        raise Missing("PyTorch is not installed") from error
    if jax.default_backend() == "cpu":
        torch.set_num_threads(1)
    device = "cuda" if jax.default_backend() == "gpu" and torch.cuda.is_available() else "cpu"
    tensors = [torch.from_numpy(np.ascontiguousarray(array)).to(device) for array in data]

    def run(steps):
        weights = [torch.tensor(array, device=device, requires_grad=True) for array in start]
        optimizer = torch.optim.SGD(weights, lr=problem.rate)
        for _ in range(steps):
            optimizer.zero_grad()
            problem.loss(torch, weights, *tensors).backward()
            optimizer.step()
        return [w.detach().cpu().numpy() for w in weights]

    return run


def optax_loop(problem: Problem, data, start) -> Run:
    """A jitted step in a Python loop, all seeds at once."""
    data, start = as_jax((data, start))
    optimizer = optax.sgd(problem.rate)

    @jax.jit
    def step(weights, state, data):
        slope = jax.grad(lambda weights: problem.loss(jnp, weights, *data))(weights)
        updates, state = optimizer.update(slope, state)
        return optax.apply_updates(weights, updates), state

    def run(steps):
        weights, state = start, optimizer.init(start)
        for _ in range(steps):
            weights, state = step(weights, state, data)
        return jax.block_until_ready(weights)

    return run


@cache
def library(name: str, double: bool, size: tuple[tuple[str, int], ...]) -> ctypes.CDLL:
    """The C peer, compiled for one problem, size and precision."""
    if shutil.which(CC[0]) is None:
        raise Missing(f"{CC[0]} is not installed")
    folder = Path(tempfile.mkdtemp(prefix="hot_loops-"))
    macros = [f"-D{name.upper()}", *(["-DDOUBLE"] if double else []), *(f"-D{k.upper()}={v}" for k, v in size)]
    source = Path(__file__).with_name("hot_loops.c")
    subprocess.run([*CC, *macros, str(source), "-o", str(folder / "peer.so")], check=True)
    loaded = ctypes.CDLL(str(folder / "peer.so"))
    shutil.rmtree(folder)
    return loaded


def register_bytes() -> int:
    """How wide a vector hot_loops.c uses here."""
    if shutil.which(CC[0]) is None:
        raise Missing(f"{CC[0]} is not installed")
    macros = subprocess.run([CC[0], "-march=native", "-dM", "-E", "-"], input="", capture_output=True, text=True)
    return 64 if "__AVX512F__" in macros.stdout else 32


def aligned(array: np.ndarray) -> np.ndarray:
    """A copy that begins at a cache line, as C would allocate it: loads across two lines cost a quarter of a step."""
    room = np.empty(array.nbytes + 64, np.uint8)
    skip = -room.ctypes.data % 64
    copy = room[skip : skip + array.nbytes].view(array.dtype).reshape(array.shape)
    copy[...] = array
    return copy


def c_loops(problem: Problem, data, start) -> dict[str, Run]:
    """C by hand, in each of its layouts."""
    dtype = start[0].dtype
    built = library(problem.name, dtype == np.float64, tuple(problem.size.items()))
    number: Any = ctypes.c_double if dtype == np.float64 else ctypes.c_float
    packed = np.concatenate([w.reshape(len(w), -1) for w in start], axis=1)
    shapes = [w.shape for w in start]

    def peer(name: str, layout: np.ndarray) -> Run:
        function = getattr(built, name)
        function.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_long, ctypes.c_long, number]
        function.restype = None

        def run(steps):
            weights = aligned(packed)
            function(layout.ctypes.data, weights.ctypes.data, len(weights), steps, problem.rate)
            ends = np.cumsum([int(np.prod(shape[1:])) for shape in shapes])[:-1]
            parts = np.split(weights, ends, axis=1)
            return [part.reshape(shape) for part, shape in zip(parts, shapes, strict=True)]

        return run

    layouts = {name: aligned(layout(*data)) for name, layout in problem.layouts.items()}
    return {name: peer(name, layout) for name, layout in layouts.items()}
