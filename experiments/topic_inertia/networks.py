"""Networks trained on prompts of one topic, or on documents that switch topic, and what they do with longer ones.

Each seed draws two topics, trains a network on prompts of at most 16 tokens (32 where topics switch), and reads prompts
of up to 256. What is trained and seen is kept, so that all prompt lengths look at the same network.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from idealab.experiments.topic_inertia.memory import SHORTFALL, account, evenly, exact_filter, fading
from idealab.experiments.topic_inertia.prompts import VOCABULARY, draw, topics
from idealab.experiments.topic_inertia.trained import (
    AGES,
    BEFORE,
    LENGTHS,
    decision,
    look,
    look_after_switch,
    make_network,
    module_of,
)
from jax import Array

from idealab.experiment import Condition, Experiment, Observation
from idealab.simulate import kept
from idealab.simulate.network import Attention

_TRAINED: Any = {"shortfall": SHORTFALL, "terms": 96}
_TRAINED_LENGTHS = 2  # of LENGTHS, those no longer than in training


def _trained(key: Array, condition: Condition) -> tuple[dict[str, Any], Any, Any]:
    """Settings of the training, the network, and what is seen of it."""
    settings = {name: condition[name] for name in _TRAINING}
    network = kept(make_network, key, settings, sources=(topics, draw))
    more = {**settings, "prompts": condition["prompts"]}
    return settings, network, kept(look, jax.random.fold_in(key, 1), more, network, sources=(topics, draw))


def observe_attention(key: Array, condition: Condition) -> Observation:
    """One layer of attention on prompts of one topic, of a length up to 16 times that of training, by its scores."""
    settings, network, seen = _trained(key, condition)
    module, both = module_of(settings), jnp.asarray(network["topics"], float)
    assert isinstance(module, Attention)
    at, length = LENGTHS.index(condition["length"]), condition["length"]
    exact = jax.tree.map(lambda weight: jnp.asarray(weight, float), network["weights"])
    h, value = (jnp.asarray(module.apply(exact, method=name)) for name in ("score", "value"))
    s = jnp.exp(h - jnp.max(h, axis=1, keepdims=True)) * decision(value, both)
    ages = fading(length, module.slope) if module.slope else evenly(length)
    return Observation(
        {
            **account(both[0], s, jnp.diagonal(s), *ages, **_TRAINED),
            "bayes": seen["bayes"][at],
            "gradient_evaluations": settings["steps"] * settings["batch"],
        },
        {"change_by_memory": seen["change"][at], "order_change": seen["order_change"][at]},
    )


def observe_others(key: Array, condition: Condition) -> Observation:
    """A network of another kind on prompts of one topic of all lengths: against exact Bayes, or a linear memory.

    How soft the ceiling of its memory is, if it has one, nobody knows: between hard (0) and the exact filter's (1).
    """
    settings, network, seen = _trained(key, condition)
    both = jnp.asarray(network["topics"], float)
    x, change = jnp.log(both[0] / both[1]), jnp.asarray(seen["change"])
    s = jnp.broadcast_to(x, (VOCABULARY, VOCABULARY))
    if condition["memory"] == "measured":
        kernel = jnp.asarray(seen["kernel"])
        remembers = account(both[0], s, x, kernel[1:] / kernel[0], jnp.ones(AGES - 1), **_TRAINED)
    else:
        # As many terms as the shortest prompts take, at the reach of the longest.
        remembers = account(both[0], s, x, *evenly(LENGTHS[-1]), shortfall=SHORTFALL, terms=192)
    return Observation(
        {
            **remembers,
            "q": both[1],
            "sigma": jnp.sqrt(x**2 @ both[0] - (x @ both[0]) ** 2),
            "depth": seen["depth"],
            "soft": 0.5,
            "gradient_evaluations": settings["steps"] * settings["batch"],
        },
        {
            "change_as_bayes": change[:_TRAINED_LENGTHS],
            "change_beyond": change[_TRAINED_LENGTHS:],
            "change_by_memory": change[-1],
            "order_change": seen["order_change"][1],
            "fall": jnp.log(change[0] / change[2]),
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
    "steps": 1000,
}


def _network(kind: str, slope: float = 0.0, **more: Any) -> Condition:
    settings = {**_TRAINING, "kind": kind, "slope": slope, "prompts": 10000, "memory": "even", **more}
    return Condition(settings, "prompts of all lengths")


def _by_length(kind: str, slope: float = 0.0) -> tuple[Condition, ...]:
    return tuple(_network(kind, slope).but(f"T={length}", length=length) for length in LENGTHS)


def _experiment(name: str, statement: str, look_at: tuple[str, ...], **more: Any) -> Experiment:
    return Experiment(name, statement, level="network", observables=look_at, max_seeds=16, host=True, **more)


_ATTENTION, _ALIBI = _by_length("attention"), _by_length("alibi", 0.3)
_ALL = {
    "change_as_bayes": ("length", tuple(map(float, LENGTHS[:_TRAINED_LENGTHS]))),
    "change_beyond": ("length", tuple(map(float, LENGTHS[_TRAINED_LENGTHS:]))),
}


def _recurrent(kind: str, words: str, condition: Condition) -> Experiment:
    return _experiment(
        kind,
        f"{words}, trained on prompts of one topic of up to 16 tokens, against exact Bayes",
        ("change_as_bayes", "change_beyond", "fall"),
        observe=observe_others,
        conditions=(condition,),
        checkpoints=_ALL,
        toggles={
            "no_positions": condition.but("recurrent", memory="order"),
            "linear_memory": condition.but("T=256, as a linear memory", memory="measured"),
        },
    )


one_topic_networks = (
    _experiment(
        "attention",
        "one attention layer without positions, trained on prompts of one topic of up to 16 tokens",
        ("change_by_memory", "order_change"),
        observe=observe_attention,
        conditions=_ATTENTION,
        toggles={"no_positions": _ALIBI[1]},
    ),
    _experiment(
        "alibi",
        "one attention layer with a bias of -0.3 for each position back, trained alike",
        ("change_by_memory",),
        observe=observe_attention,
        conditions=_ALIBI,
    ),
    _experiment(
        "transformer",
        "two layers without a code of positions, trained alike, against exact Bayes",
        ("change_as_bayes", "change_beyond"),
        observe=observe_others,
        conditions=(_network("transformer", width=16, prompts=2000),),
        checkpoints=_ALL,
    ),
    _recurrent("rnn", "a tanh network", _network("rnn", steps=2000)),
    _recurrent("gru", "a gated recurrent network", _network("gru", steps=1500)),
)

# --- Documents that switch their topic --------------------------------------------------------------------------------


def observe_switching(key: Array, condition: Condition) -> Observation:
    """One network, trained on documents that switch their topic."""
    settings = {name: condition[name] for name in _TRAINING}
    trained = kept(make_network, key, settings, sources=(topics, draw))
    more = {**settings, "prompts": condition["prompts"]}
    seen = kept(look_after_switch, jax.random.fold_in(key, 1), more, trained, sources=(topics, draw, exact_filter))
    evaluations = settings["steps"] * settings["batch"]
    return Observation(
        {"filter_belief": seen["filter_belief"], "gradient_evaluations": evaluations},
        {"stay": seen["stay"], "belief": seen["belief"]},
    )


def _switching(kind: str, hazard: float) -> Condition:
    more = {"hazard": hazard, "trained": 32, "batch": 64, "prompts": 4000}
    return Condition({**_TRAINING, "kind": kind, **more}, f"{kind}, hazard {hazard}")


def _documents(name: str, hazard: float, recurrent: str) -> Experiment:
    return _experiment(
        name,
        f"one attention layer without positions, trained on documents that switch topic at one token in {1 / hazard:g}",
        ("stay",),
        observe=observe_switching,
        conditions=(_switching("attention", hazard),),
        checkpoints={"stay": ("before", tuple(map(float, BEFORE)))},
        toggles={"attention": _switching(recurrent, hazard)},
    )


experiments: tuple[Experiment, ...] = (
    *one_topic_networks,
    _documents("documents that switch", 0.05, "rnn"),
    _documents("documents that switch more often", 0.1, "gru"),
)
