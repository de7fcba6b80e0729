"""The clocks of support edges: descent on prompts of any tokens, under several keys, and margins as they grow.

Axes: t = recorded times; a column for each pair of tokens that a graph orders.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
import optax
from idealab.experiments.topic_inertia import settled
from idealab.experiments.topic_inertia.training import (
    Gaps,
    LogTimes,
    Prompt,
    chain_prompts,
    drawn_counts,
    gaps_of,
    recorded_at,
)
from jax import Array
from jax.typing import ArrayLike
from numpy.typing import NDArray

from idealab.errors import UsageError
from idealab.experiment import Condition, Experiment, Observation
from idealab.simulate import (
    HardMargin,
    PriorityGraph,
    descend,
    descend_with,
    descent_push,
    follow,
    graph_svm,
    pair_features,
    slowest_rate,
    spectrum,
)
from idealab.simulate.linear_algebra import pinv, qr, svd

EDGE_LOG_TIMES: LogTimes = (1e4, 1e5)
EDGE_TIMES = (20_000, 200_000)
TREES: tuple[Prompt, ...] = (
    *((6, 0, (1,)), (6, 0, (1, 2)), (6, 1, (2,)), (6, 1, (3,)), (6, 4, (0, 5))),
    *((7, 2, (1,)), (7, 2, (1, 5)), (7, 3, (5,)), (7, 1, (0,))),
)
"""Two trees; the edge 0 -> 2 of the first follows from others, so that it holds with room to spare."""
CHAIN: tuple[Prompt, ...] = chain_prompts(4, 1)


_TOUCHING = 1e-8
"""What the margin of a support edge may lie above one."""


def _refuse(
    prompts: tuple[Prompt, ...],
    pairs: list[tuple[int, int, int]],
    size: int,
    dimension: int | None,
    given: NDArray[np.float64] | None,
) -> None:
    """Raise `UsageError` where no W ranks as prompts ask, or their counts are not of them."""
    if dimension is not None and dimension < size:
        raise UsageError(f"dimension={dimension}: {size} tokens are independent, as a W needs, in {size} or more")
    if given is not None and (given.shape != (len(prompts), size) or not np.all(given > 0)):
        raise UsageError(f"counts {given.shape}: expected {(len(prompts), size)}, all above zero, for so many prompts")
    for k, y, others in prompts:
        if not others or y in others:
            raise UsageError(f"prompt {(k, y, others)!r}: expected a key, a label, and at least one token besides it")
        for other in others:
            if (k, y, other) not in pairs:
                raise UsageError(
                    f"prompts under key {k}: tokens {y} and {other} reach each other, so that none comes before the "
                    "other; leave one of the edges between them out, or take odds_inside for the odds between them"
                )


def edges_of(
    prompts: tuple[Prompt, ...], dimension: int | None = None, counts: ArrayLike | None = None
) -> Callable[[Array, Condition], Observation]:
    """An experiment's ``observe``: the margins of all edges of prompts, less ln t, where descent follows their counts.

    Parameters
    ----------
    prompts
        Key, label and other tokens of each. Tokens are 0, 1, ..., the last a key.
    dimension
        Of tokens that are random vectors; they are orthonormal when it is not given.
    counts
        How often each token occurs in each prompt, shape (n, K), above zero; one to four of each are drawn when it is
        not given.

    Returns
    -------
    Callable
        It takes the settings ``eta``, ``start`` (size of W at the start), ``turned`` (whether tokens are turned at
        random, 0 or 1) and ``optimizer`` (log time, descent or adam), and reports ``edge_clock``, shape (t, edges), at
        `EDGE_LOG_TIMES` or `EDGE_TIMES`, with what the theory needs. Edges that are no support are zero on both sides.

    Raises
    ------
    UsageError
        If a prompt's label and another token of it reach each other, or it has no other; or tokens are too many for
        the dimension; or counts are not of that shape, or not above zero.
    """
    keys = tuple(dict.fromkeys(prompt[0] for prompt in prompts))
    size = max(keys) + 1
    graphs = [PriorityGraph.of(size, [(y, others) for k, y, others in prompts if k == key]) for key in keys]
    pairs = [(key, *pair) for graph, key in zip(graphs, keys, strict=True) for pair in graph.ordered]
    given = None if counts is None else np.asarray(counts, float)
    _refuse(prompts, pairs, size, dimension, given)

    def observe(key: Array, condition: Condition) -> Observation:
        key_tokens, key_counts, key_start, key_turn = jax.random.split(key, 4)
        tokens = jnp.eye(size)
        if dimension is not None:
            tokens = jax.random.normal(key_tokens, (size, dimension)) / math.sqrt(dimension)
        turn = qr(jax.random.normal(key_turn, (tokens.shape[1],) * 2))[0]
        tokens = tokens @ jnp.where(condition["turned"] > 0, turn, jnp.eye(len(turn)))
        often = drawn_counts(key_counts, len(prompts), size) if given is None else jnp.asarray(given)
        gaps = gaps_of(prompts, tokens, often)
        solution = graph_svm(graphs, tokens, keys)
        rows = jnp.concatenate(
            [pair_features(graph.ordered, tokens, key) for graph, key in zip(graphs, keys, strict=True)]
        )
        ratio = jnp.zeros(len(pairs))
        for number, (k, y, others) in enumerate(prompts):
            for other in others:
                ratio = ratio.at[pairs.index((k, y, other))].add(often[number, other] / often[number, y])

        w0 = condition["start"] * jax.random.normal(key_start, (rows.shape[1],))
        log_times, w = _followed(gaps, rows, condition, w0)
        inside, parameters = _instance(rows, ratio, solution, condition["eta"], len(prompts), w0)
        clock = jnp.where(inside, w @ rows.T - log_times[:, None], 0.0)
        return Observation(parameters, {"edge_clock": clock})

    return observe


def _instance(
    rows: Array, ratio: Array, solution: HardMargin, eta: Array, prompts: int, w0: Array
) -> tuple[Array, dict[str, Array]]:
    """Which edges are support, and what the theory needs to know of them."""
    margins = rows @ solution.separator
    inside = (margins < 1 + _TOUCHING) & (ratio > 0)
    shares = _shares(rows, inside, ratio, solution.separator)
    solution = solution._replace(dual=shares, theta=jnp.min(jnp.where(inside, jnp.inf, margins)))
    # Elsewhere the prediction is made to be zero, and so is what is reported.
    dual = jnp.where(inside, solution.dual, eta * jnp.where(inside, ratio, 1.0) / prompts)
    nu, number = jnp.where(inside, ratio, 1.0), jnp.asarray(float(prompts))
    # As late as the last margin is to leave where it started, or as the loss of its prompts is small.
    latest = jnp.max(jnp.where(inside, dual * jnp.maximum(1.0, jnp.exp(jnp.maximum(rows @ w0, 0.0)) / nu), 0.0))
    return inside, {
        "alpha": dual,
        "nu": nu,
        "N": number,
        "t_0": number / eta * latest,
        "kappa": slowest_rate(spectrum(rows, solution), solution.theta),
    }


def _shares(rows: Array, support: Array, ratio: Array, separator: Array) -> Array:
    """The duals that the flow goes to: of all with sum alpha rows = separator those with ln(ratio/alpha) = rows . z.

    There is one such z in the span of support edges: the least of sum ratio e^(-rows . z) + z . separator, which is
    convex. Where support edges close no circle, these are the duals of the graph-SVM.
    """
    kept = jnp.where(support[:, None], rows, 0.0)
    basis = svd(kept)[2][: min(rows.shape)]
    inside, aim = kept @ basis.T, basis @ separator
    alpha = lambda y: jnp.where(support, ratio, 0.0) * jnp.exp(-inside @ y)

    def step(state: tuple[Array, Array, Array]) -> tuple[Array, Array, Array]:
        number, y, _ = state
        move = pinv(inside.T @ (alpha(y)[:, None] * inside)) @ (aim - inside.T @ alpha(y))
        longest = jnp.max(jnp.abs(inside @ move))
        return number + 1, y - move / (1.0 + jnp.maximum(longest - 1.0, 0.0)), longest

    far = lambda state: (state[0] < 60) & (state[2] > 1e-9)  # the last step is right to its square
    return alpha(jax.lax.while_loop(far, step, (jnp.zeros((), int), jnp.zeros(len(basis)), jnp.ones(())))[1])


def _followed(gaps: Gaps, rows: Array, condition: Condition, w0: Array) -> tuple[Array, Array]:
    """Log times, and W (t, d^2) there: descent stays in the span of the rows, apart from the start."""
    basis = svd(rows)[2][: min(rows.shape)]
    small = Gaps(gaps.rows @ basis.T, gaps.log_ratios)
    z0 = basis @ w0
    if condition["optimizer"] == "log time":
        times = jnp.asarray(EDGE_LOG_TIMES)
        return times, follow(descent_push(small.log_loss, condition["eta"]), z0, times).weights @ basis
    times = jnp.log(jnp.array(EDGE_TIMES, float))
    if condition["optimizer"] == "adam":
        return times, descend_with(optax.adam(condition["eta"]), small.loss, z0, EDGE_TIMES) @ basis
    return times, descend(jax.grad(small.loss), z0, condition["eta"], EDGE_TIMES) @ basis


_EDGES = {"turned": 0.0, "start": 0.0, "optimizer": "log time"}
_TREES = tuple(Condition({"eta": eta, **_EDGES}) for eta in (0.3, 0.1))
_LINE = Condition({"eta": 0.4, **_EDGES, "optimizer": "descent"})

experiments: tuple[Experiment, ...] = (
    Experiment(
        name="edges",
        statement="random tokens, two keys with a tree each, followed in log time to t = e^(10^5)",
        level="idealized",
        observe=edges_of(TREES, 10),
        observables=("edge_clock",),
        conditions=_TREES,
        checkpoints={"edge_clock": ("log_t", EDGE_LOG_TIMES)},
        toggles={
            "rotation": _TREES[0].but("tokens turned", turned=1.0),
            "start": _TREES[0].but("a random start", start=1.0),
        },
        ranges=settled.TREES,
    ),
    Experiment(
        name="edges by descent",
        statement="a chain of four orthonormal tokens by plain descent",
        level="idealized",
        observe=edges_of(CHAIN),
        observables=("edge_clock",),
        conditions=(_LINE,),
        checkpoints={"edge_clock": recorded_at(EDGE_TIMES)},
        toggles={"plain_descent": _LINE.but("Adam", optimizer="adam", eta=0.01)},
        ranges=settled.edges_by_descent(math.log(EDGE_TIMES[0])),
    ),
)
