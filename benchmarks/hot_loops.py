"""Our hot loops against hand-written C, numpy, PyTorch and optax: ``python benchmarks/hot_loops.py [--quick]``.

Every peer first ends at the same weights. Then they run in turn, round after round, on one thread; printed are the
time that ours takes per seed and step, and the median over rounds of the ratios of times, with their quartiles.
A peer that is not installed is left out. On a GPU, C and numpy run beside it on the CPU. What it found: README.md.
"""

from __future__ import annotations

import argparse
import os
import sys
import time

# One thread for every peer; read when numpy and JAX are loaded.
for _pool in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[_pool] = "1"
os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} --xla_cpu_multi_thread_eigen=false".strip()

import jax
import jax.numpy as jnp
import numpy as np
from hot_loop_peers import Missing, c_loops, numpy_loop, optax_loop, ours, register_bytes, torch_loop
from hot_loop_problems import Problem, problems

from idealab.simulate.blocks import whole_loops

TOLERANCE = {"float64": 1e-11, "float32": 2e-5}
CHECKED = 10  # steps after which the weights must agree


SETTLED = 200  # steps that ours and C take at least, so that fetching a seed's data from memory weighs little


def seconds(run, steps: int, repeats: int = 3) -> float:
    """Of one step: the fastest of a few calls; of one, where it is long.

    On a CPU by the thread's clock, so that other programs on the same cores take no part; by the wall's where the work
    went elsewhere: to a device, or to a thread of XLA's.
    """
    best = float("inf")
    for _ in range(repeats):
        wall, thread = time.perf_counter(), time.thread_time()
        run(steps)
        wall, thread = time.perf_counter() - wall, time.thread_time() - thread
        best = min(best, thread if thread > 0.2 * wall and jax.default_backend() == "cpu" else wall)
        if best > 0.2:
            break
    return best / steps


def steps_for(run, target: float) -> int:
    """So many steps that a call takes about ``target`` seconds."""
    steps = 2
    while steps < 1 << 20:
        run(steps)  # compiles
        took = seconds(run, steps, 1) * steps
        if took > target / 4:
            return max(2, round(steps * target / took))
        steps *= 8
    return steps


def peers(problem: Problem, data, start, block: int | None, only: set[str]):
    """All peers that are here, and the measured block; says which are not."""
    found, best = {}, 0
    makers = {
        "ours": lambda: ours(problem, data, start, block),
        "C": lambda: c_loops(problem, data, start),
        "numpy": lambda: numpy_loop(problem, data, start),
        "PyTorch": lambda: torch_loop(problem, data, start),
        "optax": lambda: optax_loop(problem, data, start),
    }
    for name, make in makers.items():
        if name != "ours" and name not in only:
            continue
        try:
            made = make()
        except Missing:
            continue  # main has said so
        if name == "ours":
            found[name], best = made
        elif name == "C":
            found |= {f"C {layout}": run for layout, run in made.items()}
        else:
            found[name] = made
    return found, best


def check(problem: Problem, runs, data, start) -> float:
    """The largest relative distance of a peer from numpy in float64; exits where it exceeds the tolerance."""
    precise = [[array.astype(np.float64) for array in arrays] for arrays in (data, start)]
    reference = numpy_loop(problem, *precise)(CHECKED)
    worst = 0.0
    for name, run in runs.items():
        for end, truth in zip(run(CHECKED), reference, strict=True):
            off = float(np.max(np.abs(np.asarray(end) - truth)) / np.max(np.abs(truth)))
            worst = max(worst, off)
            if not off <= TOLERANCE[str(start[0].dtype)]:
                sys.exit(f"{problem.label}: {name} ends {off:.1e} away from numpy's float64 weights")
    return worst


def compare(problem: Problem, dtype: str, seeds: int, arguments) -> None:
    """One line of the table."""
    rng = np.random.default_rng(seeds)
    data = [array.astype(dtype) for array in problem.draw(rng, seeds)]
    start = [array.astype(dtype) for array in problem.start(seeds)]
    runs, block = peers(problem, data, start, arguments.block, set(arguments.peers.split(",")))
    worst = check(problem, runs, data, start)
    counts = {name: steps_for(run, 0.004 if arguments.quick else 0.02) for name, run in runs.items()}
    counts |= {name: max(count, SETTLED) for name, count in counts.items() if name == "ours" or name[:2] == "C "}
    for name, run in runs.items():
        run(counts[name])  # compiles
    layouts = [name for name in runs if name.startswith("C ")]
    if layouts:  # C's own choice of layout
        best = min(layouts, key=lambda name: seconds(runs[name], counts[name], 5))
        runs = {("C" if name == best else name): run for name, run in runs.items() if name == best or name[:2] != "C "}
        counts["C"] = counts[best]
    rounds = {name: [] for name in runs}
    for _ in range(arguments.rounds):
        for name, run in runs.items():
            rounds[name].append(seconds(run, counts[name]) / seeds)
    mine = np.array(rounds["ours"])
    ratios = {"C": mine / np.array(rounds["C"])} if "C" in rounds else {}
    ratios |= {name: np.array(times) / mine for name, times in rounds.items() if name not in ("ours", "C")}
    cells = " ".join(f"{_quartiles(ratios.get(name)):>20s}" for name in ("C", "numpy", "PyTorch", "optax"))
    line = f"{problem.label:24s} {dtype[0]}{dtype[-2:]} {seeds:5d} {block:5d} {1e9 * np.median(mine):9.0f} {cells}"
    held = sum(array[0].nbytes for array in data)
    print(f"{line} {worst:8.0e}  {_share(problem.flops, held, float(np.median(mine)), dtype)}", flush=True)


def _quartiles(ratios) -> str:
    if ratios is None:
        return "-"
    low, middle, high = np.quantile(ratios, (0.25, 0.5, 0.75))
    return f"{middle:.3g} ({low:.3g}-{high:.3g})"


PEAKS: dict[str, tuple[float, float]] = {}


def _share(flops: int, held: int, took: float, dtype: str) -> str:
    """Achieved FLOP/s and bytes/s, as shares of the measured peaks; data count once a step."""
    if dtype not in PEAKS:
        PEAKS[dtype] = peak(dtype)
    fastest, widest = PEAKS[dtype]
    return f"{100 * flops / took / fastest:6.1f} % {100 * held / took / widest:6.1f} %"


def peak(dtype: str) -> tuple[float, float]:
    """FLOP/s of a big matrix product and bytes/s of a big copy, on JAX's device."""
    cpu = jax.default_backend() == "cpu"
    n, length = (1024, 1 << 24) if cpu else (8192, 1 << 28)
    square, vector = jnp.ones((n, n), dtype), jnp.ones(length, dtype)
    product, copy = jax.jit(lambda a: a @ a), jax.jit(lambda a: -a)
    for run, array in ((product, square), (copy, vector)):
        jax.block_until_ready(run(array))
    timed = lambda run, array: seconds(lambda _: jax.block_until_ready(run(array)), 1, 10)
    return 2 * n**3 / timed(product, square), 2 * vector.nbytes / timed(copy, vector)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description="Our hot loops against C, numpy, PyTorch and optax.")
    parser.add_argument("--quick", action="store_true", help="1 and 64 seeds, fewer and shorter rounds")
    parser.add_argument("--seeds", default=None, help="numbers of seeds, by commas (default 1,64,1024)")
    parser.add_argument("--only", default="", help="problems whose label starts with this, such as 'logistic n 64'")
    parser.add_argument("--peers", default="C,numpy,PyTorch,optax", help="peers, by commas")
    parser.add_argument("--rounds", type=int, default=None, help="rounds of the interleaved run")
    parser.add_argument("--block", type=int, default=None, help="seeds in a block (default: measured, cached)")
    parser.add_argument("--no-whole-loops", action="store_true", help="leave XLA's loops as they are by default")
    arguments = parser.parse_args()
    arguments.rounds = arguments.rounds or (5 if arguments.quick else 9)
    seeds = [int(word) for word in (arguments.seeds or ("1,64" if arguments.quick else "1,64,1024")).split(",")]
    if not arguments.no_whole_loops:
        whole_loops()
    jax.config.update("jax_enable_x64", True)
    jax.config.update("jax_cpu_enable_async_dispatch", False)  # run on the calling thread
    jax.config.update("jax_default_matmul_precision", "highest")  # else a GPU multiplies float32 in fewer bits
    device = jax.devices()[0]
    beside = "" if device.platform == "cpu" else "; C and numpy: one CPU core"
    print(f"{device.device_kind} ({device.platform}){beside}; one thread, {arguments.rounds} rounds")
    for name, probe in {"C": register_bytes, "PyTorch": lambda: torch_loop(problems()[0], [], [])}.items():
        try:
            probe()
        except Missing as missing:
            print(f"left out: {name}, {missing}")
    print(
        f"{'':24s}     seeds block   ns each {'ours / C':>20s} {'numpy / ours':>20s} {'PyTorch / ours':>20s}"
        f" {'optax / ours':>20s}  differ    FLOP/s    bytes/s of peak"
    )
    for problem in problems():
        if problem.label.startswith(arguments.only):
            for dtype in ("float64", "float32"):
                for count in seeds:
                    compare(problem, dtype, count, arguments)
    for dtype, (flops, moved) in PEAKS.items():
        print(f"peak {dtype}: {flops / 1e9:.0f} GFLOP/s in a big product, {moved / 1e9:.1f} GB/s in a big copy")


if __name__ == "__main__":
    main()
