"""How exact and how quick descent in log time is: ``python benchmarks/log_time_flow.py [--figure PATH]``.

Prints, for planted, random and real data: the largest difference in w between the flow and 10^7 true steps (10^6 for
digits); the seconds to t = 10^100, with and without compilation (random data reuse the program of planted ones); the
solver's steps to three horizons; and the time a seed takes one after the other (lax.map) and side by side (vmap).

Then the cost as a function of the horizon T, from 10^4 to e^(10^6): solver steps and milliseconds without compilation
(median of five), for a linear classifier on planted data and on digits (`log_time_flow`), and for a diagonal two-layer
net and an attention query (`follow`, all derivatives automatic). Direct descent is measured over 10^5 steps, and its
cost is that times T. The last columns: how many times the cost an error estimate makes, how far the flow is from 10^6
true steps, and what the estimate says of that. The figure needs matplotlib.
"""

from __future__ import annotations

import argparse
import importlib.util
import math
import statistics
import time
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.scipy.special import logsumexp

from idealab.simulate import (
    LOGISTIC,
    breast_cancer,
    descend,
    descent_push,
    digits,
    follow,
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


def accuracy_tables(plan):
    """Print how exact the flow is, and what a seed takes."""
    print(f"{'':22s} {'(n, d)':10s} {'off':>9s}  {'first s':>7s} {'then s':>7s}  steps to {', '.join(HORIZONS)}")
    row("planted", plan, 10**7)
    row("random", random_separable(jax.random.key(1), 24, 6), 10**7)
    row("digits 3 against 8", jnp.asarray(digits(3, 8)), 10**6)
    row("breast cancer", jnp.asarray(breast_cancer()), 0)
    keys = jax.random.split(jax.random.key(2), 64)
    seeds_table("random (24, 6)", jax.vmap(lambda key: random_separable(key, 24, 6))(keys))
    real = jnp.asarray(digits(3, 8))
    seeds_table("digits (320, 65)", jax.vmap(lambda key: subsample(key, real, 320))(keys[:8]))


DECADES = (4, 5, 6, 8, 10, 30, 100, 300, 1e3, 3e3, 1e4, 3e4, 1e5, 1e6 / math.log(10))  # log10 T
SHOWN = (4, 6, 10, 100, 1e3, 1e4, 1e6 / math.log(10))


class Problem(NamedTuple):
    """A flow to some log times, with its error if asked for, and so many true steps."""

    name: str
    flow: object
    direct: object


class Cost(NamedTuple):
    """What one problem cost: over the horizons, and for a true step."""

    name: str
    steps: list[int]
    seconds: list[float]
    true_step: float


def margin_problem(name, x):
    """A linear classifier."""
    rate = learning_rate(x)
    gradient = margin_gradient(LOGISTIC, x)
    run = lambda s, error: log_time_flow(x, rate, s, estimate_error=error)
    direct = lambda steps: jax.lax.fori_loop(0, steps, lambda _, w: w - rate * gradient(w), jnp.zeros(x.shape[1]))
    return Problem(name, run, direct)


def general_problem(name, log_loss, w0, rate):
    """Descent on the exponential of ``log_loss``, everything by automatic differentiation."""
    push, gradient = descent_push(log_loss, rate), jax.grad(lambda w: jnp.exp(log_loss(w)))
    step = lambda _, w: jax.tree.map(lambda part, slope: part - rate * slope, w, gradient(w))
    run = lambda s, error: follow(push, w0, s, estimate_error=error)
    return Problem(name, run, lambda steps: jax.lax.fori_loop(0, steps, step, w0))


def problems(plan):
    """Two linear classifiers, a two-layer net, an attention query."""
    x = random_separable(jax.random.key(1), 12, 3)
    product = lambda w: logsumexp(LOGISTIC.log_value(x @ (w["u"] * w["v"])))
    tokens = jax.random.normal(jax.random.key(3), (8, 5, 4)).at[:, 0].add(jnp.array([3.0, -1.5, 0.9, 0.6]))
    attended = lambda w: logsumexp(LOGISTIC.log_value(-logsumexp((tokens[:, 1:] - tokens[:, :1]) @ w, axis=1)))
    start = {"u": jnp.array([1.0, 0.7, 0.8]), "v": jnp.array([0.5, -0.6, 0.4])}
    return [
        margin_problem("planted (24, 6)", plan),
        margin_problem("digits (357, 65)", jnp.asarray(digits(3, 8))),
        general_problem("two-layer net, d=6", product, start, 0.05),
        general_problem("attention query, d=4", attended, jnp.zeros(4), 0.1),
    ]


def median_seconds(run, *arguments):
    """Median of five calls after the first."""
    seconds(run, *arguments)
    return statistics.median(seconds(run, *arguments)[0] for _ in range(5))


def cost_of(problem):
    """Print one line of the second table."""
    run = jax.jit(lambda s: problem.flow(s, False))
    with_error = jax.jit(lambda s: problem.flow(s, True))
    direct = jax.jit(problem.direct)
    at = lambda decades: jnp.array([decades * math.log(10.0)])
    steps = [int(run(at(decades)).steps) for decades in DECADES]
    spent = [median_seconds(run, at(decades)) for decades in DECADES]
    true_step = median_seconds(direct, 10**5) / 1e5
    seconds(with_error, at(100))
    dearer = statistics.median(seconds(with_error, at(100))[0] / seconds(run, at(100))[0] for _ in range(9))
    near = with_error(at(6))
    apart = jax.tree.map(lambda end, path: jnp.max(jnp.abs(end - path[-1])), direct(10**6), near.weights)
    cells = " ".join(
        f"{count:6d} {1e3 * second:7.1f}"
        for decades, count, second in zip(DECADES, steps, spent, strict=True)
        if decades in SHOWN
    )
    off = float(max(jax.tree.leaves(apart)))
    print(f"{problem.name:21s} {cells}  {1e6 * true_step:6.2f} {dearer:5.2f} {off:8.1e} {float(near.error[-1]):8.1e}")
    return Cost(problem.name, steps, spent, true_step)


def cost_table(plan):
    """Print what the horizon costs."""
    heads = " ".join(f"{('10^' + format(decades, '.6g')):>14s}" for decades in SHOWN)
    print(f"\n{'steps and ms to T =':21s} {heads}  {'us/step':>6s} {'error':>5s} {'off':>8s} {'says':>8s}")
    return [cost_of(problem) for problem in problems(plan)]


def draw_figure(path, costs):
    """Solver steps, and seconds beside those of direct descent, against the horizon."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    figure, (left, right) = plt.subplots(1, 2, figsize=(12, 4.8), layout="constrained")
    for row, cost in enumerate(costs):
        left.plot(DECADES, cost.steps, "o-", color=f"C{row}", markersize=4, label=cost.name)
        right.plot(DECADES, cost.seconds, "o-", color=f"C{row}", markersize=4, label=cost.name)
        decades = [3 + k / 20 for k in range(20 * 9)]
        right.plot(decades, [cost.true_step * 10**d for d in decades], ":", color=f"C{row}")
    right.plot([], [], ":", color="0.4", label="direct descent")
    left.set(title="solver steps", ylim=(0, None))
    right.set(title="seconds, without compilation", yscale="log", ylim=(1e-4, 1e4))
    for axes in (left, right):
        axes.set(xscale="log", xlabel="log10 of the horizon T", xlim=(3.5, 6e5))
        axes.set_xticks([4, 6, 10, 100, 1e3, 1e4, 1e5], ["4", "6", "10", "100", "$10^3$", "$10^4$", "$10^5$"])
        axes.minorticks_off()
        axes.grid(alpha=0.3)
    right.axhline(3600, color="0.7", linewidth=0.8)
    right.text(4e5, 3800, "an hour", ha="right", va="bottom", color="0.4", fontsize=8)
    left.legend(frameon=False)
    right.legend(frameon=False)
    figure.savefig(path, dpi=130)
    print(f"figure: {path}")


def main():
    """Print the tables, draw the figure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--figure", metavar="PATH", help="where to draw it (.png, .svg, .pdf)")
    parser.add_argument("--costs", action="store_true", help="only the cost as a function of the horizon")
    chosen = parser.parse_args()
    if chosen.figure and importlib.util.find_spec("matplotlib") is None:
        parser.error("--figure needs matplotlib: pip install 'idealab[report]'")
    jax.config.update("jax_enable_x64", True)
    jax.block_until_ready(jnp.ones(3) + 1)  # starting JAX is not the flow's doing
    plan, _ = planted(
        jax.random.key(0), support=4, others=20, dimension=6, margin=0.3, rates=[0.5, 1.5, 3.0], theta=1.6
    )
    if not chosen.costs:
        accuracy_tables(plan)
    costs = cost_table(plan)
    if chosen.figure:
        draw_figure(chosen.figure, costs)


if __name__ == "__main__":
    main()
