"""Networks trained on prompts of one topic, or on documents that switch topic, and what they do with longer ones.

Each seed draws two topics, trains a network on prompts of at most 16 tokens (32 where topics switch), and reads prompts
of up to 256. What is trained and seen is kept, so that all prompt lengths look at the same network.
"""

from __future__ import annotations

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from idealab.experiments.topic_inertia.memory import SHORTFALL, account, evenly, fading
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
from idealab.simulate.network import Attention, Weights

_TRAINED: Any = {"shortfall": SHORTFALL, "terms": 96}


def _remembers(condition: Condition, module: nn.Module, weights: Weights, both: Array, kernel: Array) -> dict[str, Any]:
    """Instance parameters of the memory: learned scores of attention, those of exact Bayes for the other networks."""
    x, length = jnp.log(both[0] / both[1]), condition["length"]
    if isinstance(module, Attention):
        exact = jax.tree.map(lambda weight: jnp.asarray(weight, float), weights)
        h, value = (jnp.asarray(module.apply(exact, method=name)) for name in ("score", "value"))
        s = jnp.exp(h - jnp.max(h, axis=1, keepdims=True)) * decision(value, both)
        own = jnp.diagonal(s)
        return account(
            both[0],
            s,
            own,
            *(fading(length, module.slope) if module.slope else evenly(length)),
            **_TRAINED,
        )
    s = jnp.broadcast_to(x, (VOCABULARY, VOCABULARY))
    if condition["memory"] == "measured":
        return account(both[0], s, x, kernel[1:] / kernel[0], jnp.ones(AGES - 1), **_TRAINED)
    return account(both[0], s, x, *evenly(length), **_TRAINED)


def observe(key: Array, condition: Condition) -> Observation:
    """One network on prompts of one topic, of a length up to 16 times that of training."""
    settings = {name: condition[name] for name in _TRAINING}
    trained = kept(make_network, key, settings, sources=(topics, draw))
    more = {**settings, "prompts": condition["prompts"]}
    seen = kept(look, jax.random.fold_in(key, 1), more, trained, sources=(topics, draw))
    module, both = module_of(settings), jnp.asarray(trained["topics"], float)
    at, x = LENGTHS.index(condition["length"]), jnp.log(both[0] / both[1])
    return Observation(
        {
            **_remembers(condition, module, trained["weights"], both, jnp.asarray(seen["kernel"])),
            "sigma": jnp.sqrt(x**2 @ both[0] - (x @ both[0]) ** 2),
            "depth": seen["depth"],
            "soft": 1.0,
            "bayes": seen["bayes"][at],
            "gradient_evaluations": settings["steps"] * settings["batch"],
        },
        {
            "change_by_memory": seen["change"][at],
            "order_change": seen["order_change"][at],
            "fall": jnp.log(jnp.asarray(seen["change"][0]) / seen["change"][2]),
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


def _network(kind: str, slope: float = 0.0, **more: Any) -> tuple[Condition, ...]:
    settings = {**_TRAINING, "kind": kind, "slope": slope, "prompts": 10000, "memory": "even", **more}
    return tuple(Condition({**settings, "length": length}, f"T={length}") for length in LENGTHS)


def _experiment(name: str, statement: str, look_at: tuple[str, ...], **more: Any) -> Experiment:
    settings = {"observe": observe, **more}
    return Experiment(name, statement, level="network", observables=look_at, max_seeds=16, host=True, **settings)


_ATTENTION, _ALIBI = _network("attention"), _network("alibi", 0.3)
_TWO_LAYERS = _network("transformer", width=16, prompts=2000)
_RNN, _GRU = _network("rnn", steps=2000), _network("gru", steps=1500)


def _recurrent(kind: str, words: str, sweep: tuple[Condition, ...]) -> Experiment:
    return _experiment(
        kind,
        f"{words}, trained on prompts of one topic of up to 16 tokens, against exact Bayes",
        ("change_by_memory", "fall"),
        # At 32 it is on its way: about as far off as the tolerance, which no number of seeds would decide.
        conditions=tuple(condition for condition in sweep if condition["length"] != 32),
        toggles={
            "no_positions": sweep[1].but("recurrent", memory="order"),
            "linear_memory": sweep[-1].but("T=256, as a linear memory", memory="measured"),
        },
    )


one_topic_networks = (
    _experiment(
        "attention",
        "one attention layer without positions, trained on prompts of one topic of up to 16 tokens",
        ("change_by_memory", "order_change"),
        conditions=_ATTENTION,
        toggles={"no_positions": _ALIBI[1]},
    ),
    _experiment(
        "alibi",
        "one attention layer with a bias of -0.3 for each position back, trained alike",
        ("change_by_memory",),
        conditions=_ALIBI,
    ),
    _experiment(
        "transformer",
        "two layers without a code of positions, trained alike, against exact Bayes",
        ("change_by_memory",),
        conditions=_TWO_LAYERS,
    ),
    _recurrent("rnn", "a tanh network", _RNN),
    _recurrent("gru", "a gated recurrent network", _GRU),
)

# --- Documents that switch their topic --------------------------------------------------------------------------------


def observe_switching(key: Array, condition: Condition) -> Observation:
    """One network, trained on documents that switch their topic."""
    settings = {name: condition[name] for name in _TRAINING}
    trained = kept(make_network, key, settings, sources=(topics, draw))
    more = {**settings, "prompts": condition["prompts"]}
    seen = kept(look_after_switch, jax.random.fold_in(key, 1), more, trained, sources=(topics, draw))
    p, q = trained["topics"]
    evaluations = settings["steps"] * settings["batch"]
    return Observation(
        {"p": p, "q": q, "filter_stay": seen["filter_stay"][-1], "gradient_evaluations": evaluations},
        {"stay": seen["stay"], "after": seen["stay"][-1]},
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
