"""The synthetic protocol of Jia & Diaz-Rodriguez (arXiv 2501.06382), rebuilt from their code, against their numbers.

Their repository (github.com/muminjia,
Dynamics-of-Spontaneous-Topic-Changes-in-Next-Token-Prediction-with-Self-Attention, commit 4fe8666, notebooks 1 and 2)
says: ten tokens, random vectors of length one in sixteen dimensions; a topic is, for each last token k, four random
edges, of which one has k, and an edge from k to each token that they touch. A prompt of four tokens ends with k, holds
its label (a token that k leads to, or k, by how many edges it has), and else tokens that lead to the label, or the
label. W is trained by normalized descent, 8000 steps of 0.01, on 100 prompts of topic A, and on those with 100 of
topic B; here from zero. A test prompt of T tokens is drawn likewise by the edges of A's training prompts, tokens of
higher priority more often, and the token, of all ten, that is attended to most is what the model says. It changes the
topic where the model of A and B says something else than the model of A. Attention is rounded to three decimals before
tokens are compared. That W has length one when it is tested could not be read there, but W as trained is far off.
Their numbering of components among tokens that nothing compares, and where W starts, differ here.

Prints changes of 5,000 prompts (50 topics of 100) for each length, mean and standard deviation over repetitions; and
the odds, larger over smaller, between the tokens of a component where one changes to the other at |W| = 1, not rounded.
"""

from __future__ import annotations

import sys
import time
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from scipy.sparse.csgraph import connected_components

jax.config.update("jax_enable_x64", True)

TOKENS, EDGES, DIMENSION, PROMPTS, TOPICS = 10, 4, 16, 100, 50
LENGTHS = (4, 8, 16, 24, 32, 64, 128, 256, 512)
PUBLISHED = (0, 27, 70, 63, 52, 43, 17, 1, 0)
Array: TypeAlias = np.ndarray[Any, Any]
Edge: TypeAlias = tuple[int, int]
Topic: TypeAlias = list[set[Edge]]
"""For each last token the edges, each from a token to one of higher priority."""


def drawn_topic(draw: np.random.Generator) -> Topic:
    """Four edges for each last token, and those from it to all tokens that they touch."""
    pairs = [(i, j) for i in range(TOKENS) for j in range(TOKENS) if i != j]
    topic: Topic = []
    for k in range(TOKENS):
        own = [pair for pair in pairs if k in pair]
        first = own[draw.integers(len(own))]
        rest = [pair for pair in pairs if pair != first]
        edges = {first, *(rest[n] for n in draw.choice(len(rest), EDGES - 1, replace=False))}
        topic.append(edges | {(k, other) for other in set(sum(edges, ())) - {k}})
    return topic


def components(edges: set[Edge]) -> tuple[Array, Array]:
    """The component of each token, and whether i can reach j."""
    matrix = np.zeros((TOKENS, TOKENS))
    for i, j in edges:
        matrix[i, j] = 1
    reach = np.linalg.matrix_power(matrix + np.eye(TOKENS), TOKENS) > 0
    return connected_components(matrix, connection="strong")[1], reach


def drawn_prompt(draw: np.random.Generator, topic: Topic, length: int, ranked: bool) -> tuple[int, int, Array]:
    """Last token, label and counts, shape (10,); where ``ranked``, tokens of higher priority are drawn more often."""
    k = int(draw.integers(TOKENS))
    targets = [k, *sorted({j for i, j in topic[k] if i == k})]
    weights = np.array([1.0 + sum(j == target for _, j in topic[k]) for target in targets])
    label = int(draw.choice(targets, p=weights / weights.sum()))
    others = [label, *sorted({i for i, j in topic[k] if j == label and i != label})]
    chances = np.ones(len(others))
    if ranked:
        component, reach = components(topic[k])
        below = reach.T.sum(axis=1)  # how many reach a token: a number for its priority, as good as any other
        places = {
            c: n + 1.0
            for n, c in enumerate(sorted({component[o] for o in others}, key=lambda c: below[component == c][0]))
        }
        chances = np.array([places[component[o]] for o in others])
    counts = np.bincount(draw.choice(others, length - 2, p=chances / chances.sum()), minlength=TOKENS)
    counts[label] += 1
    counts[k] += 1
    return k, label, counts


@jax.jit
def trained(tokens: jax.Array, keys: jax.Array, labels: jax.Array, counts: jax.Array) -> jax.Array:
    """W after normalized descent, shape (topics, 16, 16); prompts along the second axis of keys, labels and counts."""

    def one(e: jax.Array, k: jax.Array, y: jax.Array, m: jax.Array) -> jax.Array:
        def loss(w: jax.Array) -> jax.Array:
            log_p = jax.nn.log_softmax(e[k] @ w.T @ e.T + jnp.log(m), axis=1)
            return -jnp.mean(jnp.take_along_axis(log_p, y[:, None], axis=1))

        def step(w: jax.Array, _: None) -> tuple[jax.Array, None]:
            slope = jax.grad(loss)(w)
            return w - 0.01 * slope / (jnp.linalg.norm(slope) + 1e-300), None

        return jax.lax.scan(step, jnp.zeros((DIMENSION, DIMENSION)), length=8000)[0]

    return jax.vmap(one)(tokens, keys, labels, counts)


def said(scores: Array, counts: Array, component: Array, decimals: int | None) -> list[int]:
    """The tokens that are attended to most; with them those of as many places and the same component."""
    attention = np.exp(scores - scores[counts > 0].max())
    attention = attention / (counts @ attention)
    attention = attention if decimals is None else np.round(attention, decimals)
    votes = counts * attention
    most = [int(j) for j in np.flatnonzero(votes == votes.max())]
    alike = lambda j, i: counts[j] == counts[i] and component[j] == component[i]
    return most + [int(j) for j in np.flatnonzero(counts) if j not in most and any(alike(j, i) for i in most)]


def changes(
    draw: np.random.Generator, settings: tuple[tuple[float | None, int | None], ...]
) -> tuple[Array, list[float]]:
    """Changes of 5,000 prompts for each setting (length of W, decimals) and length, shape (2, settings, T).

    All, and those from one token to another of the same component; of these the logarithms of odds at |W| = 1, not
    rounded, in the longest prompts.
    """
    tokens, keys, labels, counts, seen = [], [], [], [], []
    for _ in range(TOPICS):
        vectors = draw.normal(size=(TOKENS, DIMENSION))
        tokens.append(vectors / np.linalg.norm(vectors, axis=1, keepdims=True))
        prompts = [
            drawn_prompt(draw, topic, 4, False)
            for topic in [drawn_topic(draw), drawn_topic(draw)]
            for _ in range(PROMPTS)
        ]
        k, y, m = (np.array(part) for part in zip(*prompts, strict=True))
        for kept, part in ((keys, k), (labels, y), (counts, m)):
            kept.append(part)
        edges = [
            {(i, int(t)) for s, t, c in zip(k, y, m, strict=True) if s == n for i in np.flatnonzero(c) if i != t}
            for n in range(TOKENS)
        ]
        first = [
            {(i, int(t)) for s, t, c in prompts[:PROMPTS] if s == n for i in np.flatnonzero(c) if i != t}
            for n in range(TOKENS)
        ]
        seen.append((first, edges))
    data = [jnp.array(part) for part in (keys, labels, counts)]
    e = jnp.array(tokens)
    both, alone = (np.array(trained(e, *(part[:, :n] for part in data))) for n in (2 * PROMPTS, PROMPTS))
    found, log_odds = np.zeros((2, len(settings), len(LENGTHS))), []
    for vectors, w_both, w_alone, (first, edges) in zip(tokens, both, alone, seen, strict=True):
        group = [(components(one)[0], components(other)[0]) for one, other in zip(first, edges, strict=True)]
        for n, length in enumerate(LENGTHS):
            for _ in range(PROMPTS):
                k, _, m = drawn_prompt(draw, first, length, True)
                scores = [vectors @ w @ vectors[k] for w in (w_alone, w_both)]
                sizes = [np.linalg.norm(w) for w in (w_alone, w_both)]
                for number, (size, decimals) in enumerate(settings):
                    h = [s if size is None else size * s / norm for s, norm in zip(scores, sizes, strict=True)]
                    a, b = (said(one, m, of, decimals) for one, of in zip(h, group[k], strict=True))
                    now = b[int(draw.integers(len(b)))]
                    changed = now not in a and not set(a) <= set(b)
                    inside = changed and group[k][1][now] == group[k][1][a[0]]
                    found[:, number, n] += changed, inside
                    if inside and (size, decimals, length) == (1.0, None, LENGTHS[-1]):
                        log_odds.append(abs(float(h[1][now] - h[1][a[0]])))
    return found, log_odds


SETTINGS: tuple[tuple[float | None, int | None], ...] = ((1.0, 3), (1.0, None), (2.0, 3), (4.0, 3), (None, 3))


def main(repetitions: int = 4) -> None:
    """Print the table."""
    start, found, log_odds = time.perf_counter(), [], []
    for number in range(repetitions):
        seen, odds = changes(np.random.default_rng(number), SETTINGS)
        found.append(seen)
        log_odds += odds
        print(f"{number + 1} of {repetitions}, {time.perf_counter() - start:.0f} s", file=sys.stderr)
    (mean, within), spread = np.mean(found, axis=0), np.std(found, axis=0)[0]
    print("T".rjust(34), *(f"{length:9d}" for length in LENGTHS))
    print("published".rjust(34), *(f"{changed:9d}" for changed in PUBLISHED))
    for (size, decimals), row, off in zip(SETTINGS, mean, spread, strict=True):
        rounded = "not rounded" if decimals is None else f"{decimals} decimals"
        label = f"|W| {'as trained' if size is None else f'= {size:g}'}, {rounded}"
        print(label.rjust(34), *(f"{m:4.0f} ± {s:2.0f}" for m, s in zip(row, off, strict=True)))
        if decimals is None:
            print(
                "of these, within a component".rjust(34),
                *(f"{part:4.0f}     " for part in within[SETTINGS.index((size, None))]),
            )
    parts = ", ".join(f"{odds:.2f}" for odds in np.exp(np.quantile(log_odds, (0.25, 0.5, 0.75, 1))))
    print(f"odds inside components that change at T = {LENGTHS[-1]}: quartiles and largest {parts} ({len(log_odds)})")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
