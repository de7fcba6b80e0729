"""The idealized model in training: one layer of attention, of which W is trained, and tokens that are fixed vectors.

Prompts are given by what the loss sees of them: the last token (the key), the label, the other tokens, and how often
each occurs. Axes: n = prompts, i = other tokens of a prompt, f = features of gaps, t = recorded times.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from idealab.experiments.topic_inertia import settled
from jax import Array
from jax.scipy.special import logsumexp

from idealab.experiment import Condition, Experiment, Observation
from idealab.simulate import (
    LOGISTIC,
    descend,
    descent_push,
    follow,
    pair_features,
)

LogTimes = tuple[float, ...]
DECADE = math.log(10)

Prompt = tuple[int, int, tuple[int, ...]]
"""Key, label, other tokens."""


class Gaps(NamedTuple):
    """What the loss sees: features of the label's lead over each other token, and the logarithms of count ratios.

    ``rows`` (n, i, f) with rows . w = h_y - h_i, and ``log_ratios`` (n, i) = ln(m_i/m_y); -inf where there is no token.
    """

    rows: Array
    log_ratios: Array

    def log_loss(self, w: Array) -> Array:
        """Logarithm of the mean loss."""
        return logsumexp(LOGISTIC.log_value(-self._rest(w))) - math.log(len(self.rows))

    def loss(self, w: Array) -> Array:
        """Mean loss, -ln of the share that attention gives to the label."""
        return jnp.mean(jax.nn.softplus(self._rest(w)))

    def _rest(self, w: Array) -> Array:
        return logsumexp(self.log_ratios - self.rows @ w, axis=1)


def gaps_of(prompts: tuple[Prompt, ...], tokens: Array, counts: Array) -> Gaps:
    """The gaps of prompts; ``counts`` (n, K) says how often each token occurs in each."""
    most = max(len(others) for _, _, others in prompts)
    rows, ratios = [], []
    for number, (key, label, others) in enumerate(prompts):
        found = pair_features([(label, other) for other in others], tokens, key)
        rows.append(jnp.pad(found, ((0, most - len(others)), (0, 0))))
        log_counts = jnp.log(counts[number])
        log_ratio = log_counts[np.array(others)] - log_counts[label]
        ratios.append(jnp.pad(log_ratio, (0, most - len(others)), constant_values=-jnp.inf))
    return Gaps(jnp.stack(rows), jnp.stack(ratios))


def drawn_counts(key: Array, prompts: int, tokens: int) -> Array:
    """One to four of each token, shape (n, K)."""
    return jax.random.randint(key, (prompts, tokens), 1, settled.MOST + 1).astype(float)


# --- One edge ---------------------------------------------------------------------------------------------------------

ODDS_LOG_TIMES: LogTimes = (4 * DECADE, 6 * DECADE, 30 * DECADE, 100 * DECADE)
ODDS_TIMES = (1_000, 10_000, 100_000)


def _one_edge(key: Array, condition: Condition) -> tuple[Gaps, dict[str, Array]]:
    """A prompt of a label, another token and a last token, which are random vectors of length one."""
    key_tokens, key_counts = jax.random.split(key)
    tokens = jax.random.normal(key_tokens, (3, 8))
    tokens = tokens / jnp.linalg.norm(tokens, axis=1, keepdims=True)
    rho = condition["rho"] * jnp.exp(0.2 * jax.random.normal(key_counts))
    # W moves along the feature alone, so that one number says where it is.
    length = jnp.linalg.norm(pair_features([(0, 1)], tokens, 2))
    gaps = Gaps(length[None, None, None], -jnp.log(rho)[None, None])
    return gaps, {"c": condition["eta"] * length**2, "rho": rho}


def observe_odds(key: Array, condition: Condition) -> Observation:
    """The odds that one prompt teaches, in log time."""
    gaps, parameters = _one_edge(key, condition)
    flow = follow(descent_push(gaps.log_loss, condition["eta"]), jnp.zeros(1), jnp.asarray(ODDS_LOG_TIMES))
    return Observation(parameters, {"odds": jnp.exp(flow.weights @ gaps.rows[0, 0])})


def observe_odds_by_descent(key: Array, condition: Condition) -> Observation:
    """The same by plain steps."""
    gaps, parameters = _one_edge(key, condition)
    slope = jax.grad(gaps.loss)
    decay = condition.settings.get("weight_decay", 0.0)
    w = descend(lambda w: slope(w) + decay * w, jnp.zeros(1), condition["eta"], ODDS_TIMES)
    return Observation(parameters, {"odds": jnp.exp(w @ gaps.rows[0, 0])})


# --- Chains, and two keys ---------------------------------------------------------------------------------------------

CHAIN_LOG_TIMES: LogTimes = (15.0, 1e4, 1e5)
LENGTHS, START = (1.25, 1.6), 0.3
TWO_KEYS_LOG_TIMES: LogTimes = tuple(10.0**power for power in (2, 2.75, 3.5, 4.25, 5))


def chain_prompts(first: int, second: int) -> tuple[Prompt, ...]:
    """Prompts of two tokens for two chains, of the tokens 0, 1, ... and of those that follow; the key is the last."""
    last = first + second
    return tuple((last, label, (label + 1,)) for label in range(last - 1) if label != first - 1)


def _speeds(
    key: Array, condition: Condition, prompts: tuple[Prompt, ...], keys: tuple[int, ...], times: LogTimes
) -> tuple[Array, Array]:
    """Length of the tokens, which are orthogonal, and how fast W (t, K, keys) moves with ln t, as one matrix or two.

    Between one of the times and the next; only the columns of W that belong to keys are touched.
    """
    size = max(keys) + 1
    key_counts, key_start, key_length = jax.random.split(key, 3)
    length = jax.random.uniform(key_length, minval=LENGTHS[0], maxval=LENGTHS[1])
    gaps = gaps_of(prompts, length * jnp.eye(size), drawn_counts(key_counts, len(prompts), size))
    if condition["matrices"] == 1:
        w0, columns = START * jax.random.normal(key_start, (size, len(keys))), lambda w: w
    else:
        both = START * jax.random.normal(key_start, (size + len(keys), 3))
        w0, columns = (both[:size], both[size:]), lambda w: w[0] @ w[1].T
    whole = lambda w: jnp.zeros((size, size)).at[:, np.array(keys)].set(columns(w))
    push = descent_push(lambda w: gaps.log_loss(whole(w).reshape(-1)), condition["eta"])
    log_times = jnp.asarray(times)
    w = jax.vmap(columns)(follow(push, w0, log_times).weights)
    return length, jnp.diff(w, axis=0) / jnp.diff(log_times)[:, None, None]


def observe_chains(key: Array, condition: Condition) -> Observation:
    """Two chains that nothing compares, under one key."""
    n, more = condition["n_1"], condition["n_2"]
    length, speeds = _speeds(key, condition, chain_prompts(n, more), (n + more,), CHAIN_LOG_TIMES)
    speeds = speeds[..., 0]
    chain = speeds[:, :n] - jnp.mean(speeds[:, :n], axis=1, keepdims=True)
    return Observation(
        {"rank": jnp.arange(1.0, n + 1), "length": length},
        {
            "priority": chain / (chain[:, :1] - chain[:, -1:]),
            "norm_growth": jnp.linalg.norm(speeds, axis=1),
            "head_gap": length**2 * (speeds[:, 0] - speeds[:, n]),
        },
    )


def observe_flip(key: Array, condition: Condition) -> Observation:
    """The heads of two chains, as one topic trains them, and as it does with a second that goes on from one tail."""
    n, other, added = condition["n_1"], condition["n_2"], condition["added"]

    def gap(more: int) -> Array:
        # The first chain takes what the second topic adds; the second keeps its own.
        length, speeds = _speeds(key, condition, chain_prompts(n + more, other), (n + more + other,), CHAIN_LOG_TIMES)
        return length**2 * (speeds[:, 0, 0] - speeds[:, n + more, 0])

    return Observation({"more": jnp.array([0.0, added])}, {"flip": jnp.stack([gap(0), gap(added)], axis=1)})


def observe_two_keys(key: Array, condition: Condition) -> Observation:
    """Under one key token 0 comes before 1, under the other before 2."""
    speeds = _speeds(key, condition, ((3, 0, (1,)), (4, 0, (2,))), (3, 4), TWO_KEYS_LOG_TIMES)[1][:, :, 0]
    trained, untrained = (speeds[:, 0] - speeds[:, other] for other in (1, 2))
    return Observation({}, {"transfer": (untrained / trained)[-1:], "apart": (trained - untrained) / trained})


# --- Odds inside a component ------------------------------------------------------------------------------------------

INSIDE_TIMES = (1_000, 3_000, 10_000, 30_000)


def observe_inside(key: Array, condition: Condition) -> Observation:
    """Tokens 0 and 1 are both labels, token 2 is below them; half of the prompts have rho of 0 to one of 1."""
    q = condition["q"] * jax.random.uniform(key, minval=1 - settled.DRAWN, maxval=1 + settled.DRAWN)
    rho = condition["rho"]
    counts = jnp.log(jnp.array([[rho, 1.0, 1.0], [1.0, rho, 1.0]]))
    label = jnp.stack([q, 1.0 - q, jnp.zeros(())])
    loss = lambda h: -jnp.mean(jax.nn.log_softmax(h + counts, axis=1) @ label)
    h = descend(jax.grad(loss), jnp.zeros(3), condition["eta"], INSIDE_TIMES)
    return Observation({"q": q, "sigma": 0.5 * (rho + 1.0 / rho)}, {"component_odds": jnp.exp(h[:, 0] - h[:, 1])})


# --- The experiments --------------------------------------------------------------------------------------------------


def recorded_at(times: tuple[int, ...]) -> tuple[str, LogTimes]:
    """Checkpoints at these times, by their logarithms."""
    return "log_t", tuple(math.log(time) for time in times)


def _chains(n_1: int, n_2: int, eta: float) -> Condition:
    return Condition({"n_1": n_1, "n_2": n_2, "eta": eta, "matrices": 1})


_SINGLE = tuple(Condition({"rho": rho, "eta": eta}) for rho, eta in ((0.2, 0.1), (5.0, 0.05)))
_KEYS = Condition({"eta": 0.2, "matrices": 1})

experiments: tuple[Experiment, ...] = (
    Experiment(
        name="single edge",
        statement="a prompt in which the label meets one other token, followed in log time to t = 10^100",
        level="idealized",
        observe=observe_odds,
        observables=("odds",),
        conditions=_SINGLE,
        checkpoints={"odds": ("log_t", ODDS_LOG_TIMES)},
        block=16,
        ranges={name: settled.SINGLE[name] for name in ("rho", "eta")},
    ),
    Experiment(
        name="single edge by descent",
        statement="the same by plain descent to t = 10^5",
        level="idealized",
        observe=observe_odds_by_descent,
        observables=("odds",),
        conditions=_SINGLE,
        checkpoints={"odds": recorded_at(ODDS_TIMES)},
        block=16,
        toggles={"no_weight_decay": _SINGLE[0].but("weight decay 0.01", weight_decay=0.01)},
        ranges=settled.SINGLE,
    ),
    Experiment(
        name="chains",
        statement="two chains of tokens under one key, followed in log time to t = e^(10^5)",
        level="idealized",
        observe=observe_chains,
        observables=("priority", "norm_growth", "head_gap"),
        conditions=(_chains(4, 2, 0.2), _chains(3, 5, 0.3)),
        checkpoints=dict.fromkeys(("priority", "norm_growth", "head_gap"), ("log_t", CHAIN_LOG_TIMES[1:])),
        toggles={"one_matrix_for_one_key": _chains(4, 2, 0.2).but("W = K Q^T", matrices=2)},
        ranges=settled.chains(CHAIN_LOG_TIMES[0], LENGTHS, START),
    ),
    Experiment(
        name="second topic",
        statement="two chains under one key, without and with a second topic that goes on from the tail of the first",
        level="idealized",
        observe=observe_flip,
        observables=("flip",),
        conditions=(_chains(2, 3, 0.2).but("chains of 2 and 3, and 2 more", added=2),),
        checkpoints={"flip": ("log_t", CHAIN_LOG_TIMES[1:])},
        ranges=settled.chains(CHAIN_LOG_TIMES[0], LENGTHS, START),
    ),
    Experiment(
        name="two keys",
        statement="two keys that each rank one pair of tokens, followed in log time to t = e^(10^5)",
        level="idealized",
        observe=observe_two_keys,
        observables=("transfer",),
        conditions=(_KEYS,),
        checkpoints={"transfer": ("log_t", TWO_KEYS_LOG_TIMES[4:]), "apart": ("horizon", TWO_KEYS_LOG_TIMES[1:])},
        toggles={"one_matrix": _KEYS.but("W = K Q^T", matrices=2)},
        ranges={"eta": settled.margins(2, 0.5, 2.0, TWO_KEYS_LOG_TIMES[0], LENGTHS, START)},
    ),
    Experiment(
        name="component",
        statement="two tokens that are both labels, above a third, by plain descent",
        level="idealized",
        observe=observe_inside,
        observables=("component_odds",),
        conditions=tuple(
            Condition({"q": q, "rho": rho, "eta": eta})
            for q, rho, eta in ((0.7, 3.0, 1.0), (0.8, 2.0, 0.7), (0.6, 5.0, 1.0))
        ),
        checkpoints={"component_odds": recorded_at(INSIDE_TIMES)},
        ranges=settled.component(INSIDE_TIMES[0]),
    ),
)
