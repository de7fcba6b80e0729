"""The idealized model on prompts: how often a trained model changes the topic, by counting and by drawing prompts.

Tokens of a prompt are drawn independently. Token 0 continues the topic of the prompt, token 1 would change it, token 2
does neither, and the last token of every prompt is a fourth. All that is asked of the model is what it prefers, given
how often each occurs. Axes: n = prompts, j = tokens of the vocabulary, T = places in a prompt.
"""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
from idealab.experiments.topic_inertia.domains import (
    CHANCES,
    DRAWN,
    PROMPTS,
    RATE,
    STEPS,
    Ranges,
    beside_boundary,
    diluted,
    falling,
    generic,
    long_prompts,
)
from idealab.experiments.topic_inertia.prompts import draw
from jax import Array
from jax.scipy.special import gammaln, logsumexp

from idealab.experiment import Condition, Experiment, Observation, Range
from idealab.simulate import descend
from idealab.simulate.linear_algebra import qr

Observe = Callable[[Array, Condition], Observation]

A, B, OTHER, LAST = range(4)
EXACT = (1, 2, 3, 5, 8, 16, 32, 64)
LONG = (100, 400, 1600, 6400)
INERTIA = (32, 128, 512)
READ = (6, 20, 60)
LABELLED = (4, 8, 16, 32, 64, 128, 256, 512)
"""Lengths of prompts."""

# Odds share/(1 - share) that are far from small fractions: the golden mean, the roots of 2 and 3, half of e.
_GOLDEN, _ROOT_2, _ROOT_3, _HALF_E = (
    odds / (1 + odds) for odds in ((1 + 5**0.5) / 2, 2**0.5, 3**0.5, 2.718281828459045 / 2)
)

_TIES = 1e-9  # in a logarithm: equal votes go to the topic of the prompt, whatever rounding says


def trained_scores(key: Array, share: Array | float) -> Array:
    """Scores e_j^T W x_last, shape (4,), after `STEPS` steps on prompts of two topics; ``share`` is that of labels 0.

    Every prompt holds token 0 and token 1 twice each and token 2 once; one topic has label 0, the other label 1.
    """
    tokens = qr(jax.random.normal(key, (4, 4)))[0]
    log_counts = jnp.log(jnp.array([2.0, 2.0, 1.0, 1e-300]))
    label = jnp.stack([jnp.asarray(share, float), 1.0 - share, jnp.zeros(()), jnp.zeros(())])

    def loss(w: Array) -> Array:
        return -label @ jax.nn.log_softmax(tokens @ w @ tokens[LAST] + log_counts)

    return tokens @ descend(jax.grad(loss), jnp.zeros((4, 4)), RATE, (STEPS,))[0] @ tokens[LAST]


def log_chance(scores: Array, chances: Array, length: int) -> Array:
    """Logarithm of the chance that token 1 is preferred to token 0, over all counts of a prompt of this length."""
    log_p = jnp.log(chances)
    factorials = gammaln(jnp.arange(length + 1) + 1.0)
    logs = jnp.log(jnp.arange(length + 1.0))
    second = jnp.arange(length + 1)

    def over_second(first: Array) -> Array:
        rest = length - first - second
        weight = factorials[-1] - factorials[first] - factorials[second] - factorials[jnp.maximum(rest, 0)]
        weight = weight + first * log_p[A] + second * log_p[B] + jnp.maximum(rest, 0) * log_p[OTHER]
        changes = logs + scores[B] > logs[first] + scores[A] + _TIES
        return logsumexp(jnp.where(changes & (rest >= 0) & (second > 0), weight, -jnp.inf))

    return logsumexp(jax.lax.map(over_second, jnp.arange(length + 1), batch_size=64))


def drawn_chances(key: Array, condition: Condition, drawn: float = DRAWN) -> Array:
    """Chances of tokens 0, 1 and 2 in a prompt, the first two within a part of the setting, shape (3,)."""
    if "lean" in condition.settings:
        p_a, p_b = (part * (1 - condition["p_0"]) for part in (condition["lean"], 1 - condition["lean"]))
    else:
        p_a, p_b = condition["p_a"], condition["p_b"]
    pair = jnp.stack([p_a, p_b]) * jax.random.uniform(key, (2,), minval=1 - drawn, maxval=1 + drawn)
    return jnp.append(pair, 1.0 - jnp.sum(pair))


def _instance(scores: Array, chances: Array, counts: Array, prompts: float = 1e24) -> dict[str, Array]:
    """What a prediction may know; ``counts`` are those of token 0 that count, ``prompts`` how many were looked at."""
    odds = jnp.exp(scores[A] - scores[B])
    return {"p_a": chances[A], "p_b": chances[B], "r": odds, "m": counts, "prompts": jnp.asarray(prompts)}


def counting(name: str, *lengths: int, log: bool = False, drawn: float = DRAWN) -> Observe:
    """How often the model changes the topic, over all prompts of some lengths, reported under a name."""

    def observe(key: Array, condition: Condition) -> Observation:
        key_model, key_chances = jax.random.split(key)
        scores, chances = trained_scores(key_model, condition["share"]), drawn_chances(key_chances, condition, drawn)
        found = jnp.stack([log_chance(scores, chances, length) for length in lengths])
        found = found if log else jnp.exp(found)
        return Observation(
            _instance(scores, chances, jnp.arange(max(lengths) + 1.0)), {name: found if len(lengths) > 1 else found[0]}
        )

    return observe


# --- Prompts that are drawn -------------------------------------------------------------------------------------------


def observe_prompts(key: Array, condition: Condition) -> Observation:
    """Draw prompts, and let attention read them place by place."""
    key_model, key_chances, key_prompts = jax.random.split(key, 3)
    scores, chances = trained_scores(key_model, condition["share"]), drawn_chances(key_chances, condition)

    def changed(length: int) -> Array:
        key_tokens, key_order = jax.random.split(jax.random.fold_in(key_prompts, length))
        tokens = draw(key_tokens, chances, 2000, length)
        if condition["order"] == "shuffled":
            tokens = jax.random.permutation(key_order, tokens, axis=1, independent=True)
        age, kept = jnp.arange(length)[::-1], condition["kept"] if "kept" in condition.settings else 1.0
        attention = jax.nn.softmax(scores[tokens] + age * jnp.log(kept), axis=1)
        seen = jnp.stack([jnp.sum(jnp.where(tokens == token, attention, 0.0), axis=1) for token in (A, B)])
        return jnp.mean(seen[1] > seen[0] * (1 + _TIES))

    found = jnp.stack([changed(length) for length in READ])
    counts = jnp.arange(max(READ) + 1.0)
    return Observation(_instance(scores, chances, counts, 2000), {"change": found})


_OVERLAP = Condition({"share": _ROOT_2, "p_a": 0.2, "p_b": 0.6})


def observe_overlap(key: Array, condition: Condition) -> Observation:
    """Four tokens would change the topic, unless they belong to it as well."""
    key_model, key_chances, key_prompts = jax.random.split(key, 3)
    scores, chances = trained_scores(key_model, _OVERLAP["share"]), drawn_chances(key_chances, _OVERLAP)
    each = jnp.concatenate([chances[:1], jnp.full(4, chances[B] / 4), chances[2:]])
    tokens = draw(key_prompts, each, 4096, 24)
    counts = jnp.sum(tokens[:, :, None] == jnp.arange(5), axis=1)
    votes = jnp.log(counts) + jnp.concatenate([scores[:1] + _TIES, jnp.full(4, scores[B])])
    winner = jnp.argmax(votes, axis=1)
    return Observation({}, {"by_overlap": jnp.mean(winner > 4 * jnp.maximum(condition["shared"], 0.0))})


def observe_labelled(key: Array, condition: Condition) -> Observation:
    """Prompts that hold their label: ten tokens in sixteen dimensions, four edges a topic, normalized descent, |W| = 1.

    Of the heads of the two topics, the one that the model trained on both prefers continues the topic.
    """
    key_tokens, key_edges, key_prompts = jax.random.split(key, 3)
    tokens = jax.random.normal(key_tokens, (10, 16))
    tokens = tokens / jnp.linalg.norm(tokens, axis=1, keepdims=True)
    # A topic's edges lead from its head to four tokens that are no heads; both have the last token in common.
    order = jax.random.permutation(key_edges, 9)
    others = [jax.random.permutation(jax.random.fold_in(key_edges, topic), order[2:])[:4] for topic in (1, 2)]
    heads, last = order[:2], tokens[9]

    def loss(w: Array) -> Array:
        scores = tokens @ w @ last
        gaps = [scores[other] - scores[head] for head, below in zip(heads, others, strict=True) for other in below]
        return jnp.mean(jax.nn.softplus(jnp.stack(gaps)))

    def normalized(w: Array) -> Array:
        slope = jax.grad(loss)(w)
        return slope / jnp.maximum(jnp.linalg.norm(slope), 1e-12)

    w = descend(normalized, jnp.zeros((16, 16)), 0.01, (1000,))[0]
    w = condition["norm"] * w / jnp.linalg.norm(w)
    scores = (tokens @ w @ last)[heads]
    scores = jnp.stack([jnp.max(scores), jnp.min(scores)])

    def changed(length: int) -> Array:
        drawn = jax.random.randint(jax.random.fold_in(key_prompts, length), (5000, length), 0, 10)
        counts = jnp.sum(drawn[:, :, None] == jnp.arange(2), axis=1)
        votes = jnp.log(counts) + scores
        return jnp.mean((counts[:, A] > 0) & (votes[:, B] > votes[:, A] + _TIES))

    found = jnp.stack([changed(length) for length in LABELLED])
    counts = jnp.arange(1.0, max(LABELLED) + 1)
    return Observation(_instance(scores, jnp.full(2, 0.1), counts, 5000), {"change": found})


# --- The experiments --------------------------------------------------------------------------------------------------


def _at(share: float, p_a: float, p_b: float) -> Condition:
    return Condition({"share": share, "p_a": p_a, "p_b": p_b}, f"share={share:g}, p_a={p_a:g}, p_b={p_b:g}")


def _counted(
    name: str,
    statement: str,
    lengths: tuple[int, ...],
    *conditions: Condition,
    log: bool = True,
    drawn: float = DRAWN,
    block: int = 4,
    ranges: Ranges = CHANCES,
    **toggles: Condition,
) -> Experiment:
    """An experiment by counting; several lengths are checkpoints."""
    return Experiment(
        name=name.replace("_", " "),
        statement=statement,
        level="idealized",
        observe=counting(name, *lengths, log=log, drawn=drawn),
        observables=(name,),
        conditions=conditions,
        checkpoints={name: ("T", tuple(map(float, lengths)))} if len(lengths) > 1 else {},
        toggles=toggles,
        ranges=ranges,
        block=block,
    )


_PROMPT = _at(_HALF_E, 0.3, 0.25).but("even memory", order="as drawn")
_DILUTED = (0.1, 0.3, 0.5, 0.7)
_BOUNDARY = (0.2, 0.3, 0.3515, 0.3556, 0.4, 0.46)
_NARROWLY = 0.001  # drawn, since the two in the middle lie so near to the boundary

experiments = (
    _counted(
        "change",
        "the chance of a change over all prompts of one to 64 tokens",
        EXACT,
        _at(_ROOT_2, 0.3, 0.25),
        _at(_GOLDEN, 0.22, 0.3),
        _at(_ROOT_3, 0.35, 0.4),
        log=False,
        ranges=PROMPTS,
    ),
    _counted(
        "log_change",
        "its logarithm for prompts of up to 6400 tokens",
        LONG,
        _at(_GOLDEN, 0.3, 0.2),
        _at(_ROOT_2, 0.25, 0.12),
        _at(_ROOT_3, 0.2, 0.15),
        block=16,
        ranges=generic(LONG),
        generic_odds=_at(0.5, 0.3, 0.15).but("odds of one"),
    ),
    _counted(
        "inertia",
        "the logarithm of the chance of a change against the length of a prompt",
        INERTIA,
        _at(_ROOT_2, 0.3, 0.2),
        _at(_GOLDEN, 0.25, 0.2),
        ranges=falling(INERTIA),
        right_phase=_at(_ROOT_2, 0.2, 0.38).but("b more frequent than r times a"),
    ),
    _counted(
        "boundary",
        "prompts of 2000 tokens, b more and more frequent",
        (2000,),
        *(_at(_ROOT_2, 0.25, p_b).but(f"p_b={p_b:g}") for p_b in _BOUNDARY),
        log=False,
        drawn=_NARROWLY,
        ranges=beside_boundary(_BOUNDARY, 2000, _NARROWLY),
    ),
    _counted(
        "by_closeness",
        "logarithm of the chance for prompts of 128 tokens, b more and more frequent",
        (128,),
        *(_at(_GOLDEN, 0.25, p_b) for p_b in (0.1, 0.16, 0.22, 0.28)),
        ranges=long_prompts(128),
    ),
    _counted(
        "by_dilution",
        "logarithm of the chance for prompts of 64 tokens, more and more of which say nothing",
        (64,),
        *(Condition({"share": _GOLDEN, "lean": 0.55, "p_0": p_0}, f"p_0={p_0:g}") for p_0 in _DILUTED),
        ranges=diluted(_DILUTED, 64),
    ),
    _counted(
        "by_odds",
        "logarithm of the chance for prompts of 256 tokens, and models of larger and larger odds",
        (256,),
        *(_at(share, 0.25, 0.22) for share in (0.53, 0.58, 0.63, 0.68)),
        ranges=long_prompts(256),
    ),
    Experiment(
        name="by overlap",
        statement="prompts of 24 tokens drawn for topics that share more and more of their tokens",
        level="idealized",
        observe=observe_overlap,
        observables=("by_overlap",),
        conditions=tuple(Condition({"shared": shared}, f"shared={shared:g}") for shared in (0.0, 0.25, 0.5, 0.75)),
        ranges={"shared": Range(-0.25, 1.0, "a part of four tokens: none, a fourth, two or three")},
    ),
    Experiment(
        name="prompts",
        statement="2000 prompts a length, read by attention place by place",
        level="idealized",
        observe=observe_prompts,
        observables=("change",),
        conditions=(_PROMPT, _PROMPT.but("closer", p_b=0.33)),
        checkpoints={"change": ("T", tuple(map(float, READ)))},
        toggles={
            "order": _PROMPT.but("prompts shuffled", order="shuffled"),
            "full_memory": _PROMPT.but("a token weighs 0.9 of the next", kept=0.9),
        },
        ranges=PROMPTS,
    ),
    Experiment(
        name="labelled prompts",
        statement="the chance of a change where the label must have occurred, by which prompts make a hump: ten "
        "tokens in sixteen dimensions, four edges a topic, normalized descent, 5000 prompts a length",
        level="idealized",
        observe=observe_labelled,
        observables=("change",),
        conditions=tuple(Condition({"norm": norm}) for norm in (1.0, 2.0, 0.5)),
        checkpoints={"change": ("T", tuple(map(float, LABELLED)))},
        ranges={"norm": Range(0.0, 1000.0, "odds, which reach e^(norm/2), must be numbers")},
    ),
)
