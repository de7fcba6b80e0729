"""The idealized model in training: one layer of attention, W alone is trained, tokens are fixed vectors."""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
from jax import Array

from idealab.experiment import Condition, Experiment, Observation
from idealab.simulate import LOGISTIC, descent_push, follow

ODDS_LOG_TIMES = tuple(math.log(10) * p for p in (4.0, 6.0, 30.0, 100.0))


def observe_odds(key: Array, condition: Condition) -> Observation:
    """One prompt of a label, another token and a last token, with random vectors for tokens."""
    key_tokens, key_counts = jax.random.split(key)
    label, other, last = jax.random.normal(key_tokens, (3, 8)) / math.sqrt(8)
    rho = condition["rho"] * jnp.exp(0.2 * jax.random.normal(key_counts))
    phi = jnp.outer(label - other, last)
    log_loss = lambda w: LOGISTIC.log_value(jnp.sum(phi * w) + jnp.log(rho))
    flow = follow(descent_push(log_loss, condition["eta"]), jnp.zeros((8, 8)), jnp.asarray(ODDS_LOG_TIMES))
    gap = jnp.sum(phi * flow.weights, axis=(1, 2))
    return Observation({"c": condition["eta"] * jnp.sum(phi**2), "rho": rho}, {"odds": jnp.exp(gap)})


single_edge = Experiment(
    name="single edge",
    statement="one prompt in which a label meets one other token, followed in log time to t = 10^100",
    level="idealized",
    observe=observe_odds,
    observables=("odds",),
    conditions=(Condition({"rho": 0.5, "eta": 0.1}), Condition({"rho": 3.0, "eta": 0.05})),
    checkpoints={"odds": ("log_t", ODDS_LOG_TIMES)},
)

experiments: tuple[Experiment, ...] = (single_edge,)
