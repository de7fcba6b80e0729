"""Networks trained on prompts of one topic, or on documents that switch topic, and what they do with longer ones.

Each seed draws two topics, trains a network on prompts of at most 16 tokens (32 where topics switch), and reads prompts
of up to 256. What is trained is kept (`idealab.simulate.kept`), so that all prompt lengths look at the same network.

A network decides between the topics by what it says comes next: sum_i (p_A - p_B)[i] log q[i], less its value where
both are equally likely. For exact Bayes that has the sign of the log-odds; for one attention layer it is a mean over
the prompt, of scores that can be read off the weights. Axes: b = prompts, t = positions, k = vocabulary.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from idealab.experiments.topic_inertia.memory import VOCABULARY, account, draw, evenly, fading, topics
from jax import Array

from idealab.experiment import Condition, Experiment, Observation
from idealab.simulate import kept
from idealab.simulate.network import Attention, Weights, network, train

LENGTHS = (8, 16, 32, 64, 128, 256)
"""Of the prompts that are read; trained are those up to 16."""

LATE = tuple(range(144, 257, 16))
"""Positions at which the plateau is measured."""

BEFORE = (8, 16, 32)
"""Tokens of the old topic before a switch."""

AFTER = 8
"""Tokens of the new topic after it."""

_AGES = 64  # of a memory that is measured
_PIECE = 50  # prompts read side by side

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


def _module(settings: Mapping[str, Any]) -> nn.Module:
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
    return {"topics": both, "weights": train(_module(settings), prompts, key_train, steps=settings["steps"])}


# --- What it does -----------------------------------------------------------------------------------------------------


def _decision(logits: Array, both: Array) -> Array:
    """Positive where the network keeps to the first topic; linear in the logits, shape of all but their last axis."""
    return (logits - jnp.log(jnp.mean(both, axis=0))) @ (both[0] - both[1])


def _reads(module: nn.Module, weights: Weights, both: Array, tokens: Array) -> Array:
    """The decision after each token, shape (b, t); so many prompts at a time."""
    read = lambda part: _decision(module.apply(weights, part), both)
    return jax.lax.map(read, tokens.reshape(-1, _PIECE, tokens.shape[1])).reshape(tokens.shape)


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
    windows = jnp.concatenate([scores[:, at - _AGES : at][:, ::-1] for at in LATE])
    seen = jnp.concatenate([decisions[:, at - 1] for at in LATE])
    design = jnp.column_stack([windows, jnp.ones(len(windows))])
    return jnp.linalg.solve(design.T @ design, design.T @ seen)[:-1]


def look(key: Array, settings: Mapping[str, Any], trained: Mapping[str, Any]) -> dict[str, Array]:
    """All that is seen of a network on prompts of one topic; what is only seen of a state is NaN for attention."""
    module, weights, both = _module(settings), trained["weights"], trained["topics"]
    keys, prompts = jax.random.split(key, 3), settings["prompts"]
    tokens = draw(keys[0], both[0], prompts, LENGTHS[-1])
    scores = jnp.log(both[0] / both[1])[tokens]
    found = {
        "bayes": jnp.stack([jnp.mean(jnp.sum(scores[:, :length], axis=1) < 0) for length in LENGTHS]),
        "order_change": jnp.stack([_order(module, weights, keys[2], length) for length in LENGTHS]),
    }
    if isinstance(module, Attention):
        ends = [module.apply(weights, tokens[:, :length], method="last") for length in LENGTHS]
        change = jnp.stack([jnp.mean(_decision(jnp.asarray(end), both) < 0) for end in ends])
        return found | {"change": change, "plateau": jnp.nan, "depth": jnp.nan, "kernel": jnp.full(_AGES, jnp.nan)}
    decisions = _reads(module, weights, both, tokens)
    changed = lambda positions: jnp.mean(decisions[:, jnp.array(positions) - 1] < 0, axis=0)
    return found | {
        "change": changed(LENGTHS),
        "plateau": jnp.mean(changed(LATE)),
        "depth": _depth(module, weights, both, keys[1], prompts // 2),
        "kernel": _kernel(decisions, scores),
    }


def _remembers(condition: Condition, module: nn.Module, weights: Weights, both: Array, kernel: Array) -> dict[str, Any]:
    """Instance parameters of the memory: learned scores of attention, those of exact Bayes for the other networks."""
    x, length = jnp.log(both[0] / both[1]), condition["length"]
    if isinstance(module, Attention):
        exact = jax.tree.map(lambda weight: jnp.asarray(weight, float), weights)
        h, value = (jnp.asarray(module.apply(exact, method=name)) for name in ("score", "value"))
        s = jnp.exp(h - jnp.max(h, axis=1, keepdims=True)) * _decision(value, both)
        own = jnp.diagonal(s)
        return account(both[0], s, own, *(fading(length, module.slope) if module.slope else evenly(length)))
    s = jnp.broadcast_to(x, (VOCABULARY, VOCABULARY))
    if condition["memory"] == "measured":
        return account(both[0], s, x, kernel[1:] / kernel[0], jnp.ones(_AGES - 1))
    return account(both[0], s, x, *evenly(length))


def observe(key: Array, condition: Condition) -> Observation:
    """One network on prompts of one topic, of a length up to 16 times that of training."""
    settings = {name: condition[name] for name in _TRAINING}
    trained = kept(make_network, key, settings, sources=(topics,))
    more = {**settings, "prompts": condition["prompts"]}
    seen = kept(look, jax.random.fold_in(key, 1), more, trained, sources=(topics,))
    module, both = _module(settings), jnp.asarray(trained["topics"], float)
    at, x = LENGTHS.index(condition["length"]), jnp.log(both[0] / both[1])
    return Observation(
        {
            **_remembers(condition, module, trained["weights"], both, jnp.asarray(seen["kernel"])),
            "sigma": jnp.sqrt(x**2 @ both[0] - (x @ both[0]) ** 2),
            "depth": seen["depth"],
            "bayes": seen["bayes"][at],
            "gradient_evaluations": settings["steps"] * settings["batch"],
        },
        {
            "change": seen["change"][at],
            "order_change": seen["order_change"][at],
            "fall": jnp.log(seen["change"][0] / seen["change"][2]),
            "log_plateau": jnp.log(seen["plateau"]),
        },
    )


_TRAINING = {
    "kind": "",
    "slope": 0.0,
    "width": 32,
    "spread": 0.7,
    "hazard": 0.0,
    "trained": 16,
    "batch": 128,
    "steps": 1500,
}


def _network(kind: str, slope: float = 0.0, **more: Any) -> tuple[Condition, ...]:
    settings = {**_TRAINING, "kind": kind, "slope": slope, "prompts": 5000, "memory": "even", **more}
    return tuple(Condition({**settings, "length": length}, f"T={length}") for length in LENGTHS)


def _experiment(name: str, statement: str, look_at: tuple[str, ...], **more: Any) -> Experiment:
    settings = {"observe": observe, **more}
    return Experiment(name, statement, level="network", observables=look_at, max_seeds=8, host=True, **settings)


_ATTENTION, _ALIBI = _network("attention"), _network("alibi", 0.3)
_TWO_LAYERS = _network("transformer", width=16, steps=1000, prompts=2000)
_RNN, _GRU = _network("rnn"), _network("gru")


def _recurrent(kind: str, words: str, sweep: tuple[Condition, ...]) -> Experiment:
    return _experiment(
        kind,
        f"{words}, trained on prompts of one topic of up to 16 tokens, against exact Bayes",
        ("change", "fall"),
        conditions=sweep,
        toggles={
            "no_positions": sweep[1].but("recurrent", memory="order"),
            "linear_memory": sweep[-1].but("T=256, as a linear memory", memory="measured"),
        },
    )


one_topic_networks = (
    _experiment(
        "attention",
        "one attention layer without positions, trained on prompts of one topic of up to 16 tokens",
        ("change", "order_change"),
        conditions=_ATTENTION,
        toggles={"no_positions": _ALIBI[1]},
    ),
    _experiment(
        "alibi",
        "one attention layer with a bias of -0.3 for each position back, trained alike",
        ("change", "fall"),
        conditions=_ALIBI,
    ),
    _experiment(
        "transformer",
        "two layers without a code of positions, trained alike, against exact Bayes",
        ("change",),
        conditions=_TWO_LAYERS,
    ),
    _recurrent("rnn", "a tanh network", _RNN),
    _recurrent("gru", "a gated recurrent network", _GRU),
)

# --- Documents that switch their topic --------------------------------------------------------------------------------


def exact_filter(tokens: Array, both: Array, hazard: float) -> Array:
    """Log-odds of the topics by exact Bayes, when each token may be the first of the other topic; shape (b, t)."""
    x = jnp.log(both[0] / both[1])

    def read(total: Array, token: Array) -> tuple[Array, Array]:
        odds = jnp.exp(total)
        total = jnp.log(((1 - hazard) * odds + hazard) / (hazard * odds + 1 - hazard)) + x[token]
        return total, total

    return jax.lax.scan(read, jnp.zeros(len(tokens)), tokens.T)[1].T


def look_after_switch(key: Array, settings: Mapping[str, Any], trained: Mapping[str, Any]) -> dict[str, Array]:
    """After tokens of the first topic and then of the other: how often it is still the first, by network and filter."""
    module, weights, both = _module(settings), trained["weights"], trained["topics"]
    keys, prompts = jax.random.split(key), settings["prompts"]
    old, new = draw(keys[0], both[0], prompts, BEFORE[-1]), draw(keys[1], both[1], prompts, AFTER)
    stay, filter_stay = list[Array](), list[Array]()
    for before in BEFORE:
        tokens = jnp.concatenate([old[:, :before], new], axis=1)
        stay.append(jnp.mean(_reads(module, weights, both, tokens)[:, -1] > 0))
        filter_stay.append(jnp.mean(exact_filter(tokens, both, settings["hazard"])[:, -1] > 0))
    return {"stay": jnp.stack(stay), "filter_stay": jnp.stack(filter_stay)}


def observe_switching(key: Array, condition: Condition) -> Observation:
    """One network, trained on documents that switch their topic."""
    settings = {name: condition[name] for name in _TRAINING}
    trained = kept(make_network, key, settings, sources=(topics,))
    more = {**settings, "prompts": condition["prompts"]}
    seen = kept(look_after_switch, jax.random.fold_in(key, 1), more, trained, sources=(topics,))
    p, q = trained["topics"]
    evaluations = settings["steps"] * settings["batch"]
    return Observation(
        {"p": p, "q": q, "filter_stay": seen["filter_stay"][-1], "gradient_evaluations": evaluations},
        {"stay": seen["stay"], "after": seen["stay"][-1]},
    )


def _switching(kind: str, hazard: float, steps: int) -> Condition:
    more = {"hazard": hazard, "trained": 32, "batch": 64, "steps": steps, "prompts": 4000}
    return Condition({**_TRAINING, "kind": kind, **more}, f"{kind}, hazard {hazard}")


def _documents(name: str, hazard: float, recurrent: str) -> Experiment:
    return _experiment(
        name,
        f"one attention layer without positions, trained on documents that switch topic at one token in {1 / hazard:g}",
        ("stay",),
        observe=observe_switching,
        conditions=(_switching("attention", hazard, 1500),),
        checkpoints={"stay": ("before", tuple(map(float, BEFORE)))},
        toggles={"attention": _switching(recurrent, hazard, 1500)},
    )


experiments: tuple[Experiment, ...] = (
    *one_topic_networks,
    _documents("documents that switch", 0.05, "rnn"),
    _documents("documents that switch more often", 0.1, "gru"),
)
