"""Our Rosenbrock solver against the library's: ``python benchmarks/stiff_solvers.py`` (diffrax: in the test extra).

The same problem, gradient descent in log time to e^(10^4), by idealab's Rodas5P and by diffrax's Kvaerno5, both with
local error 1e-10, interleaved in one process. Prints steps, seconds with compilation, the median of five later calls,
and their ratios. Kvaerno5 gets the same second-order field and automatic Jacobians, as its users would write it.
"""

from __future__ import annotations

import math
import statistics
import time

import diffrax
import jax
import jax.numpy as jnp

from idealab.simulate import LOGISTIC, descend, digits, log_time_flow, margin_gradient, planted

HORIZON, START, TOLERANCE, REPEATS = 1e4, 1000, 1e-10, 5


def ours(x, eta):
    """Weights at the horizon and solver steps."""
    path = log_time_flow(x, eta, jnp.asarray([HORIZON]), rtol=TOLERANCE, atol=TOLERANCE)
    return path.weights[-1], path.steps


def library(x, eta):
    """The same by diffrax."""
    xt = x.T
    w0 = descend(margin_gradient(LOGISTIC, x), jnp.zeros(x.shape[1]), eta, (START,))[-1]

    def field(s, w, _):
        u = w @ xt
        push = eta * jnp.exp(s + LOGISTIC.log_weight(u))
        f = push @ xt.T
        return f + 0.5 * jnp.exp(-s) * ((push * LOGISTIC.steepness(u) * (f @ xt)) @ xt.T)

    solution = diffrax.diffeqsolve(
        diffrax.ODETerm(field),
        diffrax.Kvaerno5(),
        math.log(START),
        HORIZON,
        1e-2,
        w0,
        stepsize_controller=diffrax.PIDController(rtol=TOLERANCE, atol=TOLERANCE),
        max_steps=20_000,
        adjoint=diffrax.DirectAdjoint(),
        throw=False,
    )
    return jnp.asarray(solution.ys)[-1], solution.stats["num_steps"]


def seconds(run, *arguments):
    """Wall-clock seconds of one call, with its result."""
    started = time.perf_counter()
    result = jax.block_until_ready(run(*arguments))
    return time.perf_counter() - started, result


def main():
    """Print one pair of lines for each data set."""
    jax.config.update("jax_enable_x64", True)
    sizes = {"support": 4, "others": 20, "dimension": 6}
    plan, _ = planted(jax.random.key(0), **sizes, margin=0.3, rates=jnp.array([0.5, 1.5, 3.0]), theta=1.6)
    for name, x in (("planted", plan), ("digits 3 against 8", jnp.asarray(digits(3, 8)))):
        eta = 4.0 / jnp.linalg.norm(x, 2) ** 2
        runs = {"Rodas5P": jax.jit(ours), "Kvaerno5": jax.jit(library)}
        first = {label: seconds(run, x, eta) for label, run in runs.items()}
        later = {label: [] for label in runs}
        for _ in range(REPEATS):
            for label, run in runs.items():
                later[label].append(seconds(run, x, eta)[0])
        middle = {label: statistics.median(values) for label, values in later.items()}
        ends = [result[0] for _, result in first.values()]
        for label, (cold, (_, steps)) in first.items():
            print(f"{name:20s}{label:10s}{int(steps):6d} steps {cold:7.2f} s first {middle[label]:9.4f} s then")
        cold, warm = (s["Kvaerno5"] / s["Rodas5P"] for s in ({k: v[0] for k, v in first.items()}, middle))
        apart = float(jnp.max(jnp.abs(ends[0] - ends[1])))
        print(f"{'':20s}the library takes {cold:.1f} and {warm:.1f} times as long; w differs by {apart:.1e}")


if __name__ == "__main__":
    main()
