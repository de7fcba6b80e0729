"""Small next-token networks in flax, trained in one jitted scan.

Every network maps tokens (b, t) to logits (b, t, k): at each position what comes next, by what came before. Training is
on whole sequences, so that a prompt of every length up to theirs is trained at once. `idealab.simulate.trained` keeps
what came of it.

Axes: b = sequences, t = positions, k = tokens of the vocabulary, d = width.
"""

from __future__ import annotations

# Flax and JAX annotate their functions only in part.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false, reportUnknownLambdaType=false, reportMissingTypeStubs=false
from collections.abc import Callable
from typing import Any, Literal

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax
from jax import Array

from idealab.errors import UsageError

Weights = Any
Kind = Literal["attention", "transformer", "alibi", "rnn", "gru"]
KINDS: tuple[Kind, ...] = ("attention", "transformer", "alibi", "rnn", "gru")


class Attention(nn.Module):
    """One layer of attention without positions, and a linear readout.

    The logits are a mean over the prompt, ``sum_j a_j v(x_j)``, ``a_j`` proportional to ``exp(h(x_j, x_last))``: what
    the network says depends on how often each token occurs and on the last one, and on nothing else (`score`,
    `value`). With a slope, ``h`` falls by it with each position that a token lies back (ALiBi; Press et al. 2022).
    """

    vocabulary: int
    width: int = 32
    slope: float = 0.0

    def setup(self) -> None:
        """Layers."""
        self.embedding = nn.Embed(self.vocabulary, self.width)
        self.query, self.key = (nn.Dense(self.width, use_bias=False) for _ in range(2))
        self.readout = nn.Dense(self.vocabulary)

    def __call__(self, tokens: Array) -> Array:
        """Logits of the next token, (b, t, k)."""
        return self._attend(tokens, jnp.arange(tokens.shape[1]))

    def last(self, tokens: Array) -> Array:
        """Logits of what follows the whole prompt alone, (b, k): without the time and memory of the other positions."""
        return self._attend(tokens, jnp.array([tokens.shape[1] - 1]))[:, 0]

    def _attend(self, tokens: Array, positions: Array) -> Array:
        embedded = self.embedding(tokens)
        scores = jnp.einsum("btd,bsd->bts", self.query(embedded[:, positions]), self.key(embedded)) / self.width**0.5
        age = positions[:, None] - jnp.arange(tokens.shape[1])
        shares = nn.softmax(jnp.where(age >= 0, scores - self.slope * age, -jnp.inf))
        return jnp.einsum("bts,bsk->btk", shares, self.readout(embedded))

    def score(self) -> Array:
        """The key-query products h of each token i when q is the last one, shape (q, i)."""
        embedded = self.embedding(jnp.arange(self.vocabulary))
        return self.query(embedded) @ self.key(embedded).T / self.width**0.5

    def value(self) -> Array:
        """What each token i adds to the logits when all attention is on it, shape (i, k)."""
        return self.readout(self.embedding(jnp.arange(self.vocabulary)))


class Transformer(nn.Module):
    """Two layers of causal attention and of perceptrons, with layer norms and no code of positions.

    The causal mask alone tells the second layer about order (Haviv et al. 2022).
    """

    vocabulary: int
    width: int = 32

    @nn.compact
    def __call__(self, tokens: Array) -> Array:
        """Logits of the next token, (b, t, k)."""
        stream = nn.Embed(self.vocabulary, self.width)(tokens)
        past = jnp.tril(jnp.ones((tokens.shape[1],) * 2, bool))
        for _ in range(2):
            normed = nn.LayerNorm()(stream)
            query, key, value = (nn.Dense(self.width, use_bias=False)(normed) for _ in range(3))
            scores = jnp.einsum("btd,bsd->bts", query, key) / self.width**0.5
            shares = nn.softmax(jnp.where(past, scores, -jnp.inf))
            stream += nn.Dense(self.width)(jnp.einsum("bts,bsd->btd", shares, value))
            stream += nn.Dense(self.width)(nn.gelu(nn.Dense(2 * self.width)(nn.LayerNorm()(stream))))
        return nn.Dense(self.vocabulary)(nn.LayerNorm()(stream))


class Recurrent(nn.Module):
    """One recurrent layer, tanh or gated, and a linear readout."""

    vocabulary: int
    width: int = 32
    gated: bool = False

    @nn.compact
    def __call__(self, tokens: Array) -> Array:
        """Logits of the next token, (b, t, k)."""
        cell = nn.GRUCell(self.width) if self.gated else nn.SimpleCell(self.width)
        embedded = nn.Embed(self.vocabulary, self.width)(tokens)
        start = jnp.zeros((len(tokens), self.width), embedded.dtype)  # flax's own is float32, whatever the weights are
        return nn.Dense(self.vocabulary)(nn.RNN(cell)(embedded, initial_carry=start))


def network(kind: str, vocabulary: int, *, width: int = 32, slope: float = 0.3) -> nn.Module:
    """A network by name: one of :data:`KINDS`; ``slope`` is that of ``alibi``.

    Raises
    ------
    UsageError
        If there is no such kind.
    """
    if kind not in KINDS:
        raise UsageError(f"kind={kind!r} of network: expected one of {', '.join(KINDS)}")
    if kind == "transformer":
        return Transformer(vocabulary, width)
    if kind in ("attention", "alibi"):
        return Attention(vocabulary, width, slope if kind == "alibi" else 0.0)
    return Recurrent(vocabulary, width, gated=kind == "gru")


def train(
    module: nn.Module,
    draw: Callable[[Array], tuple[Array, Array]],
    key: Array,
    *,
    steps: int,
    learning_rate: float = 3e-3,
) -> Weights:
    """Train on fresh sequences at every step, by Adam with a cosine schedule to zero; jits, and maps over ``key``.

    Parameters
    ----------
    draw
        ``draw(key) -> (tokens (b, t), target)``: the target is what follows each token, (b, t), or the chances of what
        follows, (b, t, k), where those are known: the same expected gradient with less noise.
    key
        Seeds the first weights and all sequences.
    steps
        How many.

    Returns
    -------
    Weights
        As ``module.apply`` takes them, in float32.
    """
    start, data = jax.random.split(key)
    weights = module.init(start, jnp.zeros((1, 1), int))
    descent = optax.adam(optax.cosine_decay_schedule(learning_rate, steps))

    def loss(weights: Weights, key: Array) -> Array:
        tokens, target = draw(key)
        logits: Any = module.apply(weights, tokens)
        logs = nn.log_softmax(logits)
        if target.ndim == tokens.ndim:
            return -jnp.mean(jnp.take_along_axis(logs, target[..., None], axis=-1))
        return -jnp.mean(jnp.sum(target.astype(logs.dtype) * logs, axis=-1))

    def step(state: tuple[Weights, Any], key: Array) -> tuple[tuple[Weights, Any], None]:
        weights, moments = state
        updates, moments = descent.update(jax.grad(loss)(weights, key), moments)
        return (optax.apply_updates(weights, updates), moments), None

    return jax.lax.scan(step, (weights, descent.init(weights)), jax.random.split(data, steps))[0][0]
