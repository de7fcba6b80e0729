"""Prompts of one of two topics, and how a memory of their tokens decides which: even, leaky, or bounded.

A token is drawn by chance, given the topic; what has read the prompt keeps to the topic while the sum of the scores is
positive. Everything here is the idealized model: no network is trained. Axes: b = prompts, t = tokens, k = vocabulary.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from idealab.experiments.topic_inertia.memory_domains import (
    ANY_MEMORY,
    BAYES,
    BOUNDED,
    EVEN_MEMORY,
    LEAKY,
    PLATEAU,
    SWITCHED,
    turning,
)
from idealab.experiments.topic_inertia.prompts import VOCABULARY, draw, topics
from jax import Array
from jax.scipy.special import ndtri

from idealab.experiment import Condition, Experiment, Observation

PROMPTS = 20000


TERMS = 48
"""Terms of a Fourier series that are added up: their frequencies are a parameter, of which theory makes use.

Enough for weights of one size; where a few tokens weigh most, the sum has lumps, and takes more.
"""

SHORTFALL = 0.1
"""The part of the chance of a change that training may leave, which stops before its loss is least."""


def account(
    p: Array,
    s: Array,
    own: Array,
    recall: Array,
    ages: Array,
    *,
    last: Array | None = None,
    shortfall: float = 0.0,
    terms: int = TERMS,
) -> dict[str, Array | float]:
    """Instance parameters of a memory: chances p (k,) of tokens, scores s (last token, token), and weights of ages.

    The last token is drawn like the others, or has the chances ``last``. ``reach`` is nine standard deviations beyond
    the mean of the sum, or the largest that it can be; ``u`` are the odd multiples of ``pi/reach``. ``shortfall`` is
    the part of the chance of a change that training which stops early may leave; none for weights that nobody trained.
    """
    mean = own + s @ p * jnp.sum(ages * recall)
    variance = (s**2 @ p - (s @ p) ** 2) * jnp.sum(ages * recall**2)
    largest = jnp.abs(own) + jnp.max(jnp.abs(s), axis=1) * jnp.sum(ages * jnp.abs(recall))
    reach = jnp.max(jnp.minimum(jnp.abs(mean) + 9 * jnp.sqrt(variance), largest)) * 1.001
    frequencies = (2 * jnp.arange(terms) + 1) * jnp.pi / reach
    found = {"p": p, "last": p if last is None else last, "s": s, "own": own, "recall": recall, "ages": ages}
    return {**found, "reach": reach, "u": frequencies, "shortfall": shortfall}


def fading(length: int, slope: Array | float, ages: int = 32) -> tuple[Array, Array]:
    """Weights ``exp(-slope age)`` of the tokens before the last one, and how many there are of each, shapes (j,)."""
    age = jnp.arange(1, ages + 1)
    return jnp.exp(-slope * age), (age < length).astype(float)


def evenly(length: float) -> tuple[Array, Array]:
    """One weight of one, for all tokens before the last."""
    return jnp.ones(1), jnp.array([length - 1.0])


# --- One attention layer, with weights that nobody trained ------------------------------------------------------------


def _slope(condition: Condition) -> Any:
    """How fast memory fades with age; where it does not, a condition has no such setting."""
    return condition.settings.get("slope", 0.0)


def _attend(tokens: Array, h: Array, values: Array, slope: Array) -> Array:
    """Attention of the last token over the prompt: a mean of values, shape (b,)."""
    age = jnp.arange(tokens.shape[1])[::-1]
    scores = h[tokens[:, -1:], tokens] - slope * age
    return jnp.sum(jax.nn.softmax(scores) * values[tokens], axis=1)


def observe_attention(key: Array, condition: Condition) -> Observation:
    """Random key-query products, values near the log-odds of the tokens; and what an exchange of tokens does.

    The two topics belong to the condition: between seeds their weights differ, by about a tenth.
    """
    keys, slope = jax.random.split(key, 4), _slope(condition)
    both, length = topics(jax.random.key(condition["topics"]), condition["spread"]), condition["length"]
    h = 0.1 * jax.random.normal(keys[0], (VOCABULARY,) * 2)
    values = jnp.log(both[0] / both[1]) + 0.1 * jax.random.normal(keys[1], (VOCABULARY,))
    tokens = draw(keys[2], both[0], PROMPTS, length)
    read = _attend(tokens, h, values, slope)
    mixed = jnp.append(jax.random.permutation(keys[3], length - 1), length - 1)
    moved = _attend(tokens[:64, mixed], h, values, slope) - read[:64]
    s = jnp.exp(h) * values
    weights = fading(length, slope, length - 1) if "slope" in condition.settings else evenly(length)
    return Observation(
        account(both[0], s, jnp.diagonal(s), *weights),
        {"change_by_memory": jnp.mean(read < 0), "order_change": jnp.max(jnp.abs(moved))},
    )


def _attention(number: int, length: int, spread: float, **fading: float) -> Condition:
    words = f"T={length}, slope={fading.get('slope', 0):g}, spread={spread:g}"
    return Condition({"length": length, "spread": spread, "topics": number, **fading}, words)


_ATTENTION = (
    _attention(1, 16, 0.7),
    _attention(2, 6, 0.9),
    _attention(3, 8, 1.0, slope=0.4),
    _attention(4, 16, 0.7, slope=0.1),
)

attention = Experiment(
    name="attention, any memory",
    statement="one attention layer with random scores, with and without a bias towards the recent",
    level="idealized",
    observe=observe_attention,
    observables=("change_by_memory",),
    conditions=_ATTENTION,
    ranges=ANY_MEMORY,
    block=24,
)
order = Experiment(
    name="attention, order",
    statement="one attention layer with random scores reads a prompt and the same in another order",
    level="idealized",
    observe=observe_attention,
    observables=("order_change",),
    conditions=_ATTENTION[:2],
    toggles={"no_positions": _ATTENTION[2]},
    ranges=EVEN_MEMORY,
)

# --- Counters ---------------------------------------------------------------------------------------------------------


def _counted(key: Array, condition: Condition, tokens: int) -> tuple[Array, Array, Callable[[int], Array]]:
    """The two topics, log-odds of the tokens, and how often their sum is negative over the last of so many tokens."""
    keys = jax.random.split(key)
    both = topics(keys[0], condition["spread"])
    x = jnp.log(both[0] / both[1])
    scores = x[draw(keys[1], both[0], PROMPTS, tokens)]
    age = jnp.arange(tokens)
    weights = jnp.exp(-_slope(condition) * age)
    return both, x, lambda length: jnp.mean(scores @ jnp.where(age < length, weights, 0.0) < 0)


def observe_counter(key: Array, condition: Condition) -> Observation:
    """Exact Bayes, by which nothing fades: the sum of log-odds over the last tokens of one long prompt."""
    length = condition["length"]
    both, x, change = _counted(key, condition, max(64, length))
    chance = change(length)
    remembers = account(both[0], jnp.broadcast_to(x, (VOCABULARY,) * 2), x, *evenly(length), terms=96)
    # Nothing is trained here, for any length.
    return Observation(
        {**remembers, "q": both[1]}, {"chance": chance, "change_as_bayes": chance, "change_beyond": chance}
    )


def observe_leaky(key: Array, condition: Condition) -> Observation:
    """The same sum, where it fades: how often it is negative after 8 tokens, over how often after 32."""
    change = _counted(key, condition, 64)[2]
    return Observation({}, {"fall": jnp.log(change(8) / change(32))})


counters = Experiment(
    name="exact Bayes",
    statement="the exact Bayes decision between two topics",
    level="idealized",
    observe=observe_counter,
    observables=("chance", "change_as_bayes", "change_beyond"),
    conditions=tuple(
        Condition({"length": length, "spread": 0.5}, f"T={length}, slope=0") for length in (4, 8, 16, 32, 64)
    ),
    ranges=BAYES,
)
leaky = Experiment(
    name="leaky counter",
    statement="a sum of log-odds that loses four in ten with every token",
    level="idealized",
    observe=observe_leaky,
    observables=("fall",),
    conditions=(Condition({"slope": 0.5, "spread": 0.5}),),
    ranges=LEAKY,
)

LATE = (400, 1000)


def observe_plateau(key: Array, condition: Condition) -> Observation:
    """A sum of log-odds that loses a part with every token: how often it is negative after T/2 to T tokens."""
    keys = jax.random.split(key)
    both = topics(keys[0], condition["spread"])
    x, slope = jnp.log(both[0] / both[1]), condition["slope"]

    def read(total: Array, key: Array) -> tuple[Array, Array]:
        total = jnp.exp(-slope) * total + x[draw(key, both[0], 2000, 1)[:, 0]]
        return total, jnp.mean(total < 0)

    negative = jax.lax.scan(read, jnp.zeros(2000), jax.random.split(keys[1], LATE[-1]))[1]
    mean = x @ both[0]
    spread = jnp.sqrt((x - mean) ** 2 @ both[0])
    third, fourth = (((x - mean) / spread) ** power @ both[0] for power in (3, 4))
    cumulants = {"mu": mean, "sigma": spread, "skew": third, "excess": fourth - 3}
    return Observation(
        {**cumulants, "slope": slope},
        {"leaky_plateau": jnp.stack([jnp.mean(negative[late // 2 : late]) for late in LATE])},
    )


leaky_plateau = Experiment(
    name="leaky plateau",
    statement="a leaky sum of log-odds in prompts of up to 1000 tokens, over the last half of each length",
    level="idealized",
    observe=observe_plateau,
    observables=("leaky_plateau",),
    conditions=tuple(
        Condition({"slope": slope, "spread": spread}, f"slope={slope:g}, spread={spread:g}")
        for slope, spread in ((0.1, 0.5), (0.05, 0.4), (0.2, 0.6))
    ),
    checkpoints={"leaky_plateau": ("T", tuple(map(float, LATE)))},
    ranges=PLATEAU,
)

# --- A memory with a ceiling ------------------------------------------------------------------------------------------


def exact_filter(total: Array, hazard: Array | float) -> Array:
    """Log-odds of the topics after a token, before the next one is read, where each may be the first of the other."""
    odds = jnp.exp(total)
    return jnp.log(((1 - hazard) * odds + hazard) / (hazard * odds + 1 - hazard))


def observe_bounded(key: Array, condition: Condition) -> Observation:
    """A sum of log-odds that stays within bounds: how often it is negative late in a prompt, and how deep it is."""
    keys = jax.random.split(key, 3)
    both = topics(keys[0], condition["spread"])
    x, soft = jnp.log(both[0] / both[1]), "hazard" in condition.settings
    late, turn = 320, 160

    def add(total: Array, token: Array) -> Array:
        if soft:
            return exact_filter(total, condition["hazard"]) + x[token]
        return jnp.clip(total + x[token], -condition["ceiling"], condition["ceiling"])

    def read(total: Array, token: Array) -> tuple[Array, Array]:
        total = add(total, token)
        return total, jnp.mean(total < 0)

    def against(state: tuple[Array, Array, Array], token: Array) -> tuple[tuple[Array, Array, Array], None]:
        total, depth, positive = state
        total, depth = add(total, token), depth - jnp.where(positive, x[token], 0.0)
        return (total, depth, positive & (total >= 0)), None

    start = jnp.zeros(PROMPTS // 4)
    total, negative = jax.lax.scan(read, start, draw(keys[1], both[0], late, PROMPTS // 4))
    other = draw(keys[2], both[1], turn, PROMPTS // 4)
    (_, depth, _), _ = jax.lax.scan(against, (total, start, jnp.ones_like(start, bool)), other)
    spread = jnp.sqrt(x**2 @ both[0] - (x @ both[0]) ** 2)
    return Observation(
        {"sigma": spread, "depth": jnp.mean(depth), "soft": float(soft)},
        {"log_plateau": jnp.log(jnp.mean(negative[late // 2 :]))},
    )


def _hard(ceiling: float, spread: float) -> Condition:
    return Condition({"ceiling": ceiling, "spread": spread}, f"hard at {ceiling:g}, spread={spread:g}")


def _soft(hazard: float, spread: float) -> Condition:
    return Condition({"hazard": hazard, "spread": spread}, f"soft, hazard {hazard:g}, spread={spread:g}")


bounded = Experiment(
    name="bounded counter",
    statement="a sum of log-odds in long prompts: one that cannot exceed a ceiling, and the exact filter of documents "
    "that switch topic",
    level="idealized",
    observe=observe_bounded,
    observables=("log_plateau",),
    conditions=(_hard(4.0, 0.5), _soft(0.003, 0.5), _hard(5.0, 0.9), _soft(0.006, 0.9)),
    ranges=BOUNDED,
    block=16,
)

# --- Prompts of two topics --------------------------------------------------------------------------------------------

BEFORE = (8, 16, 32)
"""Tokens of the old topic before the switch."""


def observe_switch(key: Array, condition: Condition) -> Observation:
    """Tokens of one topic, then some of another: how often the sum of log-odds still says the first."""
    keys = jax.random.split(key, 3)
    both = topics(keys[0], condition["spread"])
    x, after = jnp.log(both[0] / both[1]), condition["after"]
    old, new = draw(keys[1], both[0], PROMPTS, BEFORE[-1]), draw(keys[2], both[1], PROMPTS, after)
    fades = jnp.exp(-_slope(condition) * jnp.arange(after + BEFORE[-1]))
    late = x[new] @ fades[:after]
    stays = [jnp.mean(late + x[old[:, :before]] @ fades[after : after + before] > 0) for before in BEFORE]
    return Observation({"p": both[0], "q": both[1]}, {"stay": jnp.stack(stays)})


_SWITCH = tuple(Condition({"after": 8, "spread": spread}, f"spread={spread}") for spread in (0.8, 0.6))

switch = Experiment(
    name="switched prompts",
    statement="the sum of log-odds over a prompt of one topic, then of another",
    level="idealized",
    observe=observe_switch,
    observables=("stay",),
    conditions=_SWITCH,
    checkpoints={"stay": ("before", tuple(map(float, BEFORE)))},
    ranges=SWITCHED,
    toggles={"even_memory": _SWITCH[0].but("slope 0.3", slope=0.3)},
)

SHARES = (0.0, 1 / 64, 1 / 32, 1 / 16, *(k / 16 for k in range(2, 17)))
"""Of a prompt, those that are of the other topic."""


NOISE = 0.3
"""Standard deviation of scores about log-odds."""


def crossing(changed: Array) -> Array:
    """The share at which half of all prompts have changed, when so many have at `SHARES`.

    Between two of those by the normal quantiles of how many, which are all but linear in the share.
    """
    return jnp.interp(0.0, ndtri(jnp.clip(jnp.sort(changed), 1e-4, 1 - 1e-4)), jnp.array(SHARES))


def observe_two_topics(key: Array, condition: Condition) -> Observation:
    """Tokens of one topic, then of another: sums of scores near the log-odds, and of which share half of them turn."""
    keys, length = jax.random.split(key, 4), condition["length"]
    both = topics(keys[0], condition["spread"])
    s = jnp.log(both[0] / both[1]) + condition["shift"] + NOISE * jax.random.normal(keys[1], (VOCABULARY,))
    own = condition["last_score"]  # the last token is the same in all prompts, and none of these
    old, new = (draw(k, part, PROMPTS // 4, length - 1) for k, part in zip(keys[2:], both, strict=True))
    fades = jnp.exp(-_slope(condition) * jnp.arange(length - 1, 0, -1))

    def changed(share: float) -> Array:
        first = jnp.arange(length - 1) < round((1 - share) * (length - 1))
        return jnp.mean(s[jnp.where(first, old, new)] @ fades + own < 0)

    turning = crossing(jnp.stack([changed(share) for share in SHARES]))
    parameters = {
        "p": both[0],
        "q": both[1],
        "s": s[None],
        "own": jnp.array([own]),
        "T": float(length),
        "clusters": 0.0,
    }
    return Observation(parameters, {"turning_share": turning})


def _two_topics(length: int, shift: float, own: float) -> Condition:
    settings = {"length": length, "shift": shift, "last_score": own, "spread": 0.9}
    return Condition(settings, f"T={length}, shift={shift:g}, own={own:g}")


mixed = Experiment(
    name="two topics",
    statement="prompts that begin with one topic and end with another, and a sum of scores that leans to either",
    level="idealized",
    observe=observe_two_topics,
    observables=("turning_share",),
    conditions=(_two_topics(257, 0.0, 0.0), _two_topics(129, 0.1, -4.0), _two_topics(65, -0.1, 4.0)),
    ranges=turning(NOISE / VOCABULARY**0.5),
    toggles={"whole_prompt": _two_topics(257, 0.0, 0.0).but("slope 0.05", slope=0.05)},
    block=8,
)

experiments = (attention, order, counters, leaky, leaky_plateau, bounded, switch, mixed)
