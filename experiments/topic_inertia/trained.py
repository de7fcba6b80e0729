"""What networks are trained on, and what is seen of them: what takes long, and is kept (`idealab.simulate.kept`).

A network decides between two topics by what it says comes next: sum_i (p_A - p_B)[i] log q[i], less its value where
both are equally likely. For exact Bayes that has the sign of the log-odds; for one attention layer it is a mean over
the prompt, of scores that can be read off the weights. Axes: b = prompts, t = positions, k = vocabulary.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from idealab.experiments.topic_inertia.memory import exact_filter
from idealab.experiments.topic_inertia.prompts import VOCABULARY, draw, topics
from jax import Array

from idealab.simulate.network import Attention, Recurrent, Weights, network, train

LENGTHS = (8, 16, 32, 64, 128, 256)
"""Of the prompts that are read; trained are those up to 16."""

LATE = tuple(range(144, 257, 16))
"""Positions at which the plateau is measured."""

BEFORE = (8, 16, 32)
"""Tokens of the old topic before a switch."""

AFTER = 8
"""Tokens of the new topic after it."""

AGES = 64  # of a memory that is measured

# --- What is trained --------------------------------------------------------------------------------------------------


def one_topic(key: Array, both: Array, batch: int, length: int) -> tuple[Array, Array]:
    """Prompts of either topic (b, t), and the chances of what comes next (b, t, k)."""
    halves = [
        draw(part, chances, batch // 2, length) for part, chances in zip(jax.random.split(key), both, strict=True)
    ]
    follow = jnp.broadcast_to(both[:, None, None], (2, batch // 2, length, both.shape[1]))
    return jnp.concatenate(halves), follow.reshape(batch, length, -1)


def switching(key: Array, both: Array, batch: int, length: int, hazard: float) -> tuple[Array, Array]:
    """Documents (b, t) whose topic switches with the hazard at each token, and the chances of what comes next."""
    keys = jax.random.split(key, 3)
    first = jax.random.bernoulli(keys[0], 0.5, (batch, 1))
    switches = jnp.cumsum(jax.random.bernoulli(keys[1], hazard, (batch, length - 1)), axis=1)
    topic = jnp.concatenate([first, (first + switches) % 2 == 1], axis=1).astype(int)
    tokens = jax.random.categorical(keys[2], jnp.log(both)[topic])
    return tokens, (1 - hazard) * both[topic] + hazard * both[1 - topic]


def module_of(settings: Mapping[str, Any]) -> nn.Module:
    """The network that the settings say."""
    return network(settings["kind"], VOCABULARY, width=settings["width"], slope=settings["slope"])


def make_network(key: Array, settings: Mapping[str, Any]) -> dict[str, Any]:
    """The two topics of a seed, and the weights of a network that was trained on them."""
    key_topics, key_train = jax.random.split(key)
    both = topics(key_topics, settings["spread"])
    sizes = settings["batch"], settings["trained"]
    if settings["hazard"]:
        prompts = lambda key: switching(key, both, *sizes, settings["hazard"])
    else:
        prompts = lambda key: one_topic(key, both, *sizes)
    return {"topics": both, "weights": train(module_of(settings), prompts, key_train, steps=settings["steps"])}


# --- What it does -----------------------------------------------------------------------------------------------------


def decision(logits: Array, both: Array) -> Array:
    """Positive where the network keeps to the first topic; linear in the logits, shape of all but their last axis."""
    return (logits - jnp.log(jnp.mean(both, axis=0))) @ (both[0] - both[1])


def _in_pieces(read: Callable[[Array], Array], tokens: Array, piece: int) -> Array:
    """A function of prompts, of so many at a time."""
    found = jax.lax.map(read, tokens.reshape(-1, piece, tokens.shape[1]))
    return found.reshape(tokens.shape[0], *found.shape[2:])


def _reads(module: nn.Module, weights: Weights, both: Array, tokens: Array) -> Array:
    """The decision after each token, shape (b, t); so many prompts at a time."""
    read = lambda part: decision(jnp.asarray(module.apply(weights, part)), both)
    # Attention between all positions takes memory, and a step of a recurrent network hardly more for many prompts.
    return _in_pieces(read, tokens, 500 if isinstance(module, Recurrent) else 50)


def _order(module: nn.Module, weights: Weights, key: Array, length: int) -> Array:
    """How much the logits change, at most, when all but the last token change places; in the precision of the run."""
    keys = jax.random.split(key)
    tokens = jax.random.randint(keys[0], (16, length), 0, VOCABULARY)
    mixed = jnp.append(jax.random.permutation(keys[1], length - 1), length - 1)
    fine = jax.tree.map(lambda weight: jnp.asarray(weight, float), weights)
    last = lambda part: jnp.asarray(module.apply(fine, part))[:, -1]
    return jnp.max(jnp.abs(last(tokens[:, mixed]) - last(tokens)))


def _depth(module: nn.Module, weights: Weights, both: Array, key: Array, prompts: int) -> Array:
    """After 128 tokens of the first topic: the mean log-odds of the other that turn the decision."""
    keys, x = jax.random.split(key), jnp.log(both[0] / both[1])
    old, new = draw(keys[0], both[0], prompts, 128), draw(keys[1], both[1], prompts, 96)
    positive = _reads(module, weights, both, jnp.concatenate([old, new], axis=1))[:, 128:] > 0
    # What was still positive before a token, that token helped to turn.
    before = jnp.cumprod(jnp.pad(positive, ((0, 0), (1, 0)), constant_values=True)[:, :-1], axis=1)
    return -jnp.mean(jnp.sum(before * x[new], axis=1))


def _kernel(decisions: Array, scores: Array) -> Array:
    """The weights of the ages, by least squares of the decision on the scores of the last tokens, shape (ages,)."""
    windows = jnp.concatenate([scores[:, at - AGES : at][:, ::-1] for at in LATE])
    seen = jnp.concatenate([decisions[:, at - 1] for at in LATE])
    design = jnp.column_stack([windows, jnp.ones(len(windows))])
    return jnp.linalg.solve(design.T @ design, design.T @ seen)[:-1]


def look(key: Array, settings: Mapping[str, Any], trained: Mapping[str, Any]) -> dict[str, Array]:
    """All that is seen of a network on prompts of one topic; what is only seen of a state is NaN for attention."""
    module, weights, both = module_of(settings), trained["weights"], trained["topics"]
    keys, prompts = jax.random.split(key, 3), settings["prompts"]
    tokens = draw(keys[0], both[0], prompts, LENGTHS[-1])
    scores = jnp.log(both[0] / both[1])[tokens]
    found = {
        "bayes": jnp.stack([jnp.mean(jnp.sum(scores[:, :length], axis=1) < 0) for length in LENGTHS]),
        "order_change": jnp.stack([_order(module, weights, keys[2], length) for length in LENGTHS]),
    }
    if isinstance(module, Attention):
        last = lambda part: decision(jnp.asarray(module.apply(weights, part, method="last")), both)
        ends = [_in_pieces(last, tokens[:, :length], 500) for length in LENGTHS]
        change = jnp.stack([jnp.mean(end < 0) for end in ends])
        return found | {"change": change, "plateau": jnp.nan, "depth": jnp.nan, "kernel": jnp.full(AGES, jnp.nan)}
    decisions = _reads(module, weights, both, tokens)
    changed = lambda positions: jnp.mean(decisions[:, jnp.array(positions) - 1] < 0, axis=0)
    return found | {
        "change": changed(LENGTHS),
        "plateau": jnp.mean(changed(LATE)),
        "depth": _depth(module, weights, both, keys[1], prompts // 2),
        "kernel": _kernel(decisions, scores),
    }


# --- Documents that switch their topic --------------------------------------------------------------------------------


def filtered(tokens: Array, both: Array, hazard: float) -> Array:
    """Log-odds of the topics by exact Bayes, when each token may be the first of the other topic; shape (b, t)."""
    x = jnp.log(both[0] / both[1])

    def read(total: Array, token: Array) -> tuple[Array, Array]:
        total = exact_filter(total, hazard) + x[token]
        return total, total

    return jax.lax.scan(read, jnp.zeros(len(tokens)), tokens.T)[1].T


def belief(logits: Array, both: Array, hazard: float) -> Array:
    """The chance of the first topic that next-token logits (b, k) come nearest to, by least squares; shape (b,)."""
    mixing = jnp.array([[1 - hazard, hazard], [hazard, 1 - hazard]]) @ both
    apart = mixing[0] - mixing[1]
    return (jax.nn.softmax(logits) - mixing[1]) @ apart / (apart @ apart)


def look_after_switch(key: Array, settings: Mapping[str, Any], trained: Mapping[str, Any]) -> dict[str, Array]:
    """After tokens of the first topic and then of the other: how often it is still the first.

    After the most of the first, also the mean chance that the network and the filter give it.
    """
    module, weights, both = module_of(settings), trained["weights"], trained["topics"]
    keys, prompts = jax.random.split(key), settings["prompts"]
    old, new = draw(keys[0], both[0], prompts, BEFORE[-1]), draw(keys[1], both[1], prompts, AFTER)
    read = lambda tokens: jnp.asarray(module.apply(weights, tokens))[:, -1]
    stay, logits, odds = list[Array](), jnp.zeros(0), jnp.zeros(0)
    for before in BEFORE:
        tokens = jnp.concatenate([old[:, :before], new], axis=1)
        logits, odds = _in_pieces(read, tokens, 500), filtered(tokens, both, settings["hazard"])[:, -1]
        stay.append(jnp.mean(decision(logits, both) > 0))
    return {
        "stay": jnp.stack(stay),
        "belief": jnp.mean(belief(logits, both, settings["hazard"])),
        "filter_belief": jnp.mean(jax.nn.sigmoid(odds)),
        "filter_stay": jnp.mean(odds > 0),
    }
