"""The three descents that hot_loops.py times, each written as every peer's users would write it.

A seed has data of its own: arrays with a leading axis s. A problem minimizes a sum over samples of ln(1 + exp(-u)),
u the margin; `slopes` are minus the gradient, for a numpy loop over all seeds at once.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from idealab.simulate import LOGISTIC, margin_gradient
from idealab.simulate.products import exponential, product

LANES = 64  # bytes of a vector register that the C peer lays its data out for


@dataclass(frozen=True)
class Problem:
    """One descent at one size."""

    name: str
    size: dict[str, int]
    draw: Callable[[np.random.Generator, int], tuple[np.ndarray, ...]]
    """Data of so many seeds."""
    start: Callable[[int], list[np.ndarray]]
    """Weights of so many seeds."""
    slopes: Callable[..., list[np.ndarray]]
    """numpy: (weights, *data) of all seeds to minus the gradient."""
    loss: Callable[..., Any]
    """(array library, weights, *data) of all seeds to the sum of their losses; torch and jax.numpy."""
    gradient: Callable[..., Callable[[Any], Any]]
    """idealab: data of one seed to a map of weights to gradient."""
    layouts: dict[str, Callable[..., np.ndarray]]
    """C: function by name, and its data from ours, one row a seed."""
    flops: int
    """Of the products alone, a seed and step."""
    rate: float
    """Learning rate."""

    @property
    def label(self) -> str:
        return f"{self.name} {', '.join(f'{key} {value}' for key, value in self.size.items())}"


def _weight(u):
    return 1.0 / (1.0 + np.exp(u))


def _softplus(xp, z):
    return xp.nn.functional.softplus(z) if xp.__name__ == "torch" else jax.nn.softplus(z)


def _softmax(xp, z):
    return xp.softmax(z, -1) if xp.__name__ == "torch" else jax.nn.softmax(z, -1)


def logistic(n: int, d: int) -> Problem:
    """Logistic regression: u = x . w."""

    def slopes(weights, x):
        (w,) = weights
        return [(_weight(x @ w[..., None]).swapaxes(-1, -2) @ x)[..., 0, :]]

    def loss(xp, weights, x):
        return _softplus(xp, -(x @ weights[0][..., None])).sum()

    def gradient(x):
        inner = margin_gradient(LOGISTIC, x)
        return lambda weights: [inner(weights[0])]

    def two_copies(x):
        return np.concatenate([x.reshape(len(x), -1), x.swapaxes(1, 2).reshape(len(x), -1)], axis=1)

    def tiles(x):
        tile = 4 * LANES // x.dtype.itemsize
        return x.reshape(len(x), n // tile, tile, d).swapaxes(2, 3).reshape(len(x), -1)

    return Problem(
        "logistic",
        {"n": n, "d": d},
        lambda rng, seeds: (rng.standard_normal((seeds, n, d)) / np.sqrt(d),),
        lambda seeds: [np.zeros((seeds, d))],
        slopes,
        loss,
        gradient,
        {"tiles": tiles} | ({"two_copies": two_copies} if d <= 32 else {}),
        4 * n * d,
        1.0 / n,
    )


def attention(n: int, L: int, d: int) -> Problem:
    """One query w attends to L tokens x of a sequence; their scores c are fixed: u = sum_t softmax(x w)_t c_t."""

    def slopes(weights, x, scores):
        z = (x @ weights[0][:, None, :, None])[..., 0]
        p = np.exp(z - z.max(-1, keepdims=True))
        p /= p.sum(-1, keepdims=True)
        u = (p * scores).sum(-1, keepdims=True)
        q = _weight(u) * p * (scores - u)
        seeds = len(x)
        return [(q.reshape(seeds, 1, n * L) @ x.reshape(seeds, n * L, d))[:, 0]]

    def loss(xp, weights, x, scores):
        p = _softmax(xp, (x @ weights[0][..., None, :, None])[..., 0])
        return _softplus(xp, -(p * scores).sum(-1)).sum()

    def gradient(x, scores):
        # Sequences on the lanes, and one layout for both products: softmax needs no sum across lanes.
        columns, c = jax.lax.optimization_barrier((x.transpose(2, 1, 0).reshape(d, L * n), scores.T))

        def slope(weights):
            z = (weights[0] @ columns).reshape(L, n)
            p = jnp.exp(z - z.max(0))
            total = p.sum(0)
            u = (p * c).sum(0) / total
            q = p * (LOGISTIC.weight(u) / total) * (c - u)
            return [-(columns @ q.reshape(-1))]

        return slope

    def lanes(x, scores):
        v, seeds = LANES // x.dtype.itemsize, len(x)
        tokens = x.reshape(seeds, n // v, v, L, d).transpose(0, 1, 3, 4, 2).reshape(seeds, -1)
        return np.concatenate([tokens, scores.reshape(seeds, n // v, v, L).swapaxes(2, 3).reshape(seeds, -1)], axis=1)

    return Problem(
        "attention",
        {"n": n, "L": L, "d": d},
        lambda rng, seeds: (rng.standard_normal((seeds, n, L, d)), rng.standard_normal((seeds, n, L))),
        lambda seeds: [np.zeros((seeds, d))],
        slopes,
        loss,
        gradient,
        {"attention": lanes},
        4 * n * L * d,
        1.0 / n,
    )


def network(n: int, d: int, m: int) -> Problem:
    """Two layers: u = y sum_k a_k tanh(x . w_k), both trained."""

    def slopes(weights, x, y):
        w, a = weights
        h = np.tanh(x @ w)
        c = (_weight(y * (h @ a[..., None])[..., 0]) * y)[..., None]
        return [x.swapaxes(1, 2) @ (c * a[:, None] * (1 - h * h)), (h.swapaxes(1, 2) @ c)[..., 0]]

    def loss(xp, weights, x, y):
        w, a = weights
        return _softplus(xp, -y * (xp.tanh(x @ w) @ a[..., None])[..., 0]).sum()

    def gradient(x, y):
        columns = jax.lax.optimization_barrier(x.T)

        def slope(weights):
            w, a = weights
            h = 1.0 - 2.0 / (1.0 + exponential(2.0 * product(x, w)))  # tanh
            b = LOGISTIC.weight(y * (h @ a)) * y
            return [-product(columns, b[:, None] * a * (1.0 - h * h)), -(b @ h)]

        return slope

    def pack(x, y):
        return np.concatenate([x.reshape(len(x), -1), y], axis=1)

    def start(seeds):
        rng = np.random.default_rng(1)
        return [rng.standard_normal((seeds, d, m)) / np.sqrt(d), rng.standard_normal((seeds, m)) / np.sqrt(m)]

    return Problem(
        "network",
        {"n": n, "d": d, "m": m},
        lambda rng, seeds: (rng.standard_normal((seeds, n, d)), rng.choice([-1.0, 1.0], (seeds, n))),
        start,
        slopes,
        loss,
        gradient,
        {"network": pack},
        6 * n * d * m,
        0.1 / n,
    )


def problems() -> list[Problem]:
    """All that are timed."""
    return [logistic(64, 16), logistic(512, 128), attention(64, 8, 16), network(64, 16, 32)]


def as_jax(arrays: Any) -> Any:
    """The same arrays on JAX's device."""
    return jax.tree.map(jnp.asarray, arrays)
