"""Several last tokens: one W, trained on prompts of all of them, and what it then does under each.

Tokens are random vectors, so that no two of them are orthogonal. Axes: x = keys (the last tokens), n = kinds of
prompts, s = replicas of a training set, N = prompts drawn, T = length of a prompt.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from idealab.experiments.topic_inertia.change import A, B, Observe, drawn_chances, log_chance
from idealab.experiments.topic_inertia.domains import CHANCES, Ranges, beside_boundaries, generic
from idealab.experiments.topic_inertia.settled import DRAWN, drawn
from jax import Array

from idealab.experiment import Condition, Experiment, Observation
from idealab.simulate import PriorityGraph, descend, odds_inside

EXACT = (1, 3, 8, 24)
LONG = (400, 1600)
VERY_LONG = 3000
DRAWN_PROMPTS = (160, 350, 750, 1600)
REPLICAS = 256
LAST = np.array([0.5, 0.3, 0.2])
"""How often each key is the last token of a prompt."""
_GOLDEN = (1 + 5**0.5) / 2
ODDS = np.array([1 + 1 / (3 + _GOLDEN), _GOLDEN, 4 - _GOLDEN])
"""What the labels of three keys ask for: no small fractions."""


def _tokens(key: Array, tokens: int) -> Array:
    """Vectors of length one, shape (tokens, 8)."""
    vectors = jax.random.normal(key, (tokens, 8))
    return vectors / jnp.linalg.norm(vectors, axis=1, keepdims=True)


# --- The chance of a change -------------------------------------------------------------------------------------------


def scores_by_key(key: Array, odds: Array) -> Array:
    """Scores of three tokens under each key, shape (x, 4), after 2000 steps of one W on prompts of all keys.

    Every prompt holds token 0 and token 1 twice each and token 2 once; labels are tokens 0 and 1, as odds to one.
    """
    tokens = _tokens(key, 3 + len(odds))
    label = jnp.stack([odds, jnp.ones_like(odds), jnp.zeros_like(odds)], axis=1) / (1 + odds)[:, None]
    log_counts = jnp.log(jnp.array([2.0, 2.0, 1.0]))

    def loss(w: Array) -> Array:
        scores = tokens[3:] @ w.T @ tokens[:3].T
        return -jnp.mean(jnp.sum(label * jax.nn.log_softmax(scores + log_counts, axis=1), axis=1))

    w = descend(jax.grad(loss), jnp.zeros((8, 8)), 1.0, (2000,))[0]
    return jnp.pad(tokens[3:] @ w.T @ tokens[:3].T, ((0, 0), (0, 1)))


def counting(name: str, lengths: tuple[int, ...]) -> Observe:
    """How often the model changes the topic, over all prompts and last tokens, reported under a name."""

    def observe(key: Array, condition: Condition) -> Observation:
        key_model, key_chances, key_last = jax.random.split(key, 3)
        scores, chances = scores_by_key(key_model, jnp.asarray(ODDS)), drawn_chances(key_chances, condition)
        last = LAST * jax.random.uniform(key_last, LAST.shape, minval=0.9, maxval=1.1)
        last = last / jnp.sum(last)
        logs = jnp.stack([jax.lax.map(lambda s, T=T: log_chance(s, chances, T), scores) for T in lengths])
        found = jax.nn.logsumexp(logs + jnp.log(last), axis=1)
        found = found if name == "slowest_key" else jnp.exp(found)
        odds = jnp.exp(scores[:, A] - scores[:, B])
        least = jnp.argmin(odds)
        parameters = {"odds": odds, "last": last, "p_a": chances[A], "p_b": chances[B], "r": odds[least]}
        if len(lengths) == 1:  # otherwise it is the axis of the checkpoints
            parameters["T"] = jnp.asarray(float(lengths[0]))
        return Observation(
            {**parameters, "w_1": last[least], "m": jnp.arange(max(lengths) + 1.0)},
            {name: found if len(lengths) > 1 else found[0]},
        )

    return observe


# --- Odds inside components -------------------------------------------------------------------------------------------

INSIDE_LAST = (0.6, 0.4)
INSIDE_STEPS = 10_000
"""As many as leave nothing but rounding where tokens happen to be nearly parallel."""
LOOP = PriorityGraph(4, ((0, 1), (1, 0)))


def observe_odds(key: Array, condition: Condition) -> Observation:
    """Tokens 0 and 1 are both labels, under two keys; half of the prompts have rho of one to one of the other.

    The odds that descent learns from all prompts in their proportions; and how far W_fin of drawn prompts is from them.
    """
    key_tokens, key_labels, key_draws = jax.random.split(key, 3)
    tokens, rho = _tokens(key_tokens, 4), condition["rho"]
    q = jnp.stack([condition["q_1"], condition["q_2"]]) * jax.random.uniform(
        key_labels, (2,), minval=1 - DRAWN, maxval=1 + DRAWN
    )
    last = jnp.array(INSIDE_LAST)
    # Kinds of prompts: key, which of the counts, label.
    which, more, labels = (jnp.array(part) for part in zip(*np.ndindex(2, 2, 2), strict=True))
    counts = jnp.where(jnp.arange(4) < 2, jnp.where(jnp.arange(4) == more[:, None], rho, 1.0), 0.0)
    share = last[which] * 0.5 * jnp.where(labels == 0, q[which], 1 - q[which])

    def loss(w: Array) -> Array:
        scores = (tokens[2:] @ w.T @ tokens[:2].T)[which] + jnp.log(counts[:, :2])
        return -share @ jnp.take_along_axis(jax.nn.log_softmax(scores, axis=1), labels[:, None], axis=1)[:, 0]

    def log_odds(w: Array) -> Array:
        return tokens[2:] @ w.T @ (tokens[0] - tokens[1])

    learned = log_odds(descend(jax.grad(loss), jnp.zeros((8, 8)), 1.0, (INSIDE_STEPS,))[0])
    finite = lambda weights: log_odds(odds_inside([LOOP] * 2, tokens, [2, 3], counts, labels, which, weights))

    def off(number: int) -> Array:
        drawn = jax.random.multinomial(jax.random.fold_in(key_draws, number), number, share, shape=(REPLICAS, 8))
        return jnp.sqrt(jnp.mean(jnp.sum((jax.vmap(finite)(drawn) - learned) ** 2, axis=1)))

    scatter = jnp.stack([off(number) for number in DRAWN_PROMPTS])
    parameters = {"q": q, "sigma": jnp.full(2, 0.5 * (rho + 1 / rho)), "odds": jnp.exp(learned), "last": last}
    return Observation(
        {**parameters, "rho": rho, "replicas": jnp.asarray(float(REPLICAS))},
        {
            "odds_by_keys": jnp.exp(learned),
            "sampled_odds": scatter,
        },
    )


# --- The experiments --------------------------------------------------------------------------------------------------


def _counted(
    name: str, statement: str, lengths: tuple[int, ...], ranges: Ranges, *settings: tuple[float, float]
) -> Experiment:
    return Experiment(
        name=name.replace("_", " "),
        statement=f"one W for three last tokens: {statement}",
        level="idealized",
        observe=counting(name, lengths),
        observables=(name,),
        conditions=tuple(Condition({"p_a": p_a, "p_b": p_b}) for p_a, p_b in settings),
        checkpoints={name: ("T", tuple(map(float, lengths)))} if len(lengths) > 1 else {},
        ranges={of: ranges[of] for of in ("p_a", "p_b")},
        block=16,
    )


experiments: tuple[Experiment, ...] = (
    _counted("change_by_keys", "the chance of a change over all prompts", EXACT, CHANCES, (0.3, 0.25), (0.2, 0.35)),
    _counted(
        "slowest_key",
        "the same for long prompts",
        LONG,
        generic(LONG, lambda _: float(ODDS.min())),
        (0.3, 0.2),
        (0.25, 0.14),
    ),
    _counted(
        "steps_by_keys",
        f"prompts of {VERY_LONG} tokens, b more and more frequent",
        (VERY_LONG,),
        beside_boundaries(tuple(ODDS), tuple(LAST), VERY_LONG),
        *((0.2, p_b) for p_b in (0.17, 0.28, 0.39, 0.62)),
    ),
    Experiment(
        name="components by keys",
        statement="two tokens that are both labels, under two keys: descent on all prompts, and W_fin of drawn ones",
        level="idealized",
        observe=observe_odds,
        observables=("odds_by_keys", "sampled_odds"),
        conditions=tuple(
            Condition({"q_1": q_1, "q_2": q_2, "rho": rho}) for q_1, q_2, rho in ((0.7, 0.55, 3.0), (0.6, 0.8, 2.0))
        ),
        checkpoints={"sampled_odds": ("N", tuple(map(float, DRAWN_PROMPTS)))},
        ranges=drawn(INSIDE_LAST, DRAWN_PROMPTS[0], REPLICAS),
        block=8,
    ),
)
