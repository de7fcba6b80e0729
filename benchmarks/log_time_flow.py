"""How exact and how quick descent in log time is: ``python benchmarks/log_time_flow.py``.

Prints, for planted, random and real data: the largest difference in w between the flow and 10^7 true steps (10^6 for
digits); the seconds to t = 10^100, with and without compilation (random data reuse the program of planted ones); the
solver's steps to three horizons; and the time a seed takes one after the other (lax.map) and side by side (vmap).
"""

from __future__ import annotations

import time

import jax
import jax.numpy as jnp

from idealab.simulate import (
    LOGISTIC,
    breast_cancer,
    descend,
    digits,
    log_time_flow,
    margin_gradient,
    planted,
    random_separable,
    subsample,
)

HORIZONS = {"10^100": 100 * jnp.log(10.0), "e^10000": 1e4, "10^434294": 1e6}


def learning_rate(x):
    """Half of the largest stable one, 8/sigma_1^2."""
    return 4.0 / jnp.linalg.norm(x, 2) ** 2


def flow(x, log_time):
    """Follow descent to one horizon."""
    return log_time_flow(x, learning_rate(x), jnp.stack([jnp.asarray(10.0), jnp.asarray(log_time)]))


def seconds(run, *arguments):
    """Wall-clock seconds of one call, with its result."""
    start = time.perf_counter()
    result = jax.block_until_ready(run(*arguments))
    return time.perf_counter() - start, result


def row(name, x, steps):
    """One line of the table; ``steps`` of direct descent are the reference, none for 0."""
    run = jax.jit(flow)
    first, _ = seconds(run, x, HORIZONS["10^100"])
    second, _ = seconds(run, x, HORIZONS["10^100"])
    ends = [run(x, horizon) for horizon in HORIZONS.values()]
    counts = " ".join(f"{int(end.steps):7d}" if end.succeeded else " failed" for end in ends)
    difference = "        -"
    if steps:
        direct = descend(margin_gradient(LOGISTIC, x), jnp.zeros(x.shape[1]), learning_rate(x), (steps,))[-1]
        difference = f"{float(jnp.max(jnp.abs(run(x, jnp.log(float(steps))).weights[-1] - direct))):9.1e}"
    print(f"{name:22s} {x.shape!s:10s} {difference}  {first:7.2f} {second:7.3f}  {counts}")


def seeds_table(name, data):
    """Milliseconds a seed to e^10000 over a stack of data sets."""
    one = lambda x: flow(x, 1e4).steps
    for label, run in {"lax.map": lambda xs: jax.lax.map(one, xs), "vmap": jax.vmap(one)}.items():
        compiled = jax.jit(run)
        seconds(compiled, data)
        again, _ = seconds(compiled, data)
        print(f"{name:22s} {label:8s} {len(data):4d} seeds {1e3 * again / len(data):9.2f} ms a seed")


def main():
    """Print both tables."""
    jax.config.update("jax_enable_x64", True)
    jax.block_until_ready(jnp.ones(3) + 1)  # starting JAX is not the flow's doing
    print(f"{'':22s} {'(n, d)':10s} {'off':>9s}  {'first s':>7s} {'then s':>7s}  steps to {', '.join(HORIZONS)}")
    plan, _ = planted(
        jax.random.key(0), support=4, others=20, dimension=6, margin=0.3, rates=[0.5, 1.5, 3.0], theta=1.6
    )
    row("planted", plan, 10**7)
    row("random", random_separable(jax.random.key(1), 24, 6), 10**7)
    row("digits 3 against 8", jnp.asarray(digits(3, 8)), 10**6)
    row("breast cancer", jnp.asarray(breast_cancer()), 0)
    keys = jax.random.split(jax.random.key(2), 64)
    seeds_table("random (24, 6)", jax.vmap(lambda key: random_separable(key, 24, 6))(keys))
    real = jnp.asarray(digits(3, 8))
    seeds_table("digits (320, 65)", jax.vmap(lambda key: subsample(key, real, 320))(keys[:8]))


if __name__ == "__main__":
    main()
