"""Token-priority graphs: which tokens a training set puts before which, and the weights that this asks for.

For one last token, its *key*, a prompt whose label is y puts y before every other token i in it: an edge y -> i. Tokens
that reach each other are a *component*: their order is a matter of odds. Token i comes before j, i => j, when i reaches
j and not back. Where neither reaches the other they are incomparable, and no order between them is claimed: a
topological numbering would invent one.
"""

from __future__ import annotations

# JAX and SciPy annotate their functions only in part.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownLambdaType=false
# pyright: reportUnknownArgumentType=false, reportMissingTypeStubs=false
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, cast

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.core import Tracer
from jax.typing import ArrayLike
from numpy.typing import NDArray
from scipy.sparse.csgraph import connected_components, shortest_path

from idealab.errors import UsageError
from idealab.simulate.hard_margin import HardMargin, hard_margin
from idealab.simulate.linear_algebra import pinv, svd

Pair = tuple[int, int]


@dataclass(frozen=True)
class PriorityGraph:
    """What the prompts of one last token say about the order of tokens.

    Parameters
    ----------
    size
        Number of tokens; they are called 0 to ``size - 1``.
    edges
        Pairs (label, other token of the prompt).

    Raises
    ------
    UsageError
        If the size is not a positive whole number, or an edge is no pair of tokens, names one that is not there, or
        leads from a token to itself.
    """

    size: int
    edges: tuple[Pair, ...]

    def __post_init__(self) -> None:
        if _whole(self.size) < 1:
            raise UsageError(f"size={self.size!r}: expected a positive whole number of tokens")
        edges: dict[Pair, None] = {}
        for edge in cast("Iterable[Any]", self.edges):  # anything may have been given
            ends = tuple(map(_whole, edge)) if isinstance(edge, (tuple, list, np.ndarray)) else ()
            if len(ends) != 2 or ends[0] == ends[1] or not all(0 <= token < self.size for token in ends):
                raise UsageError(f"edge {edge!r}: expected two different tokens from 0 to {self.size - 1}")
            edges[ends] = None
        object.__setattr__(self, "edges", tuple(edges))

    @classmethod
    def of(cls, size: int, prompts: Iterable[tuple[int, Iterable[int]]]) -> PriorityGraph:
        """The graph of prompts, each a label and the tokens that the prompt holds.

        Raises
        ------
        UsageError
            As by the graph; also if a label is no token.
        """
        edges: list[Pair] = []
        for label, prompt in prompts:
            held = list(prompt)
            if not 0 <= _whole(label) < size:
                raise UsageError(f"label {label!r} of prompt {held!r}: expected a token from 0 to {size - 1}")
            edges += [(label, token) for token in held if token != label]
        return cls(size, tuple(edges))

    @cached_property
    def _adjacent(self) -> NDArray[np.float64]:
        matrix = np.zeros((self.size, self.size))
        for i, j in self.edges:
            matrix[i, j] = 1.0
        return matrix

    @cached_property
    def reaches(self) -> NDArray[np.bool_]:
        """Whether token i reaches j along edges, shape (K, K); every token reaches itself."""
        return np.isfinite(shortest_path(self._adjacent, unweighted=True))

    @property
    def before(self) -> NDArray[np.bool_]:
        """Whether i => j: i reaches j and not back, shape (K, K)."""
        return self.reaches & ~self.reaches.T

    @property
    def components(self) -> NDArray[np.intp]:
        """The component of each token, shape (K,), numbered as they are met from token 0 on: no order is meant."""
        found = connected_components(self._adjacent, connection="strong")[1]
        seen = list(dict.fromkeys(found.tolist()))
        return np.array([seen.index(component) for component in found])

    @property
    def ordered(self) -> tuple[Pair, ...]:
        """All pairs i => j."""
        return tuple((int(i), int(j)) for i, j in np.argwhere(self.before))

    @property
    def inside(self) -> tuple[Pair, ...]:
        """For each component, pairs of its first token with every other: they span its differences."""
        components = self.components
        first = {int(c): int(np.flatnonzero(components == c)[0]) for c in components}
        return tuple((first[int(c)], i) for i, c in enumerate(components) if first[int(c)] != i)


def _whole(value: Any) -> int:
    """A whole number of Python or NumPy; minus one, which is no token, for anything else."""
    return int(value) if isinstance(value, int | np.integer) and not isinstance(value, bool) else -1


def pair_features(pairs: Sequence[Pair], tokens: ArrayLike, key: int) -> Array:
    """Rows phi with phi . vec(W) = (e_i - e_j)^T W e_key, the gap between two scores, shape (pairs, d^2).

    Parameters
    ----------
    pairs
        (i, j).
    tokens
        Vectors e, shape (K, d).
    key
        The last token.
    """
    e = jnp.asarray(tokens)
    first, second = np.array(pairs, int).reshape(-1, 2).T
    return jnp.einsum("pd,f->pdf", e[first] - e[second], e[key]).reshape(len(pairs), e.shape[1] ** 2)


def graph_svm(graphs: Sequence[PriorityGraph], tokens: ArrayLike, keys: Sequence[int]) -> HardMargin:
    """The least W that ranks as the graphs do: W_svm, with its certificate.

    argmin |W|_F subject to (e_i - e_j)^T W e_k = 0 inside a component and >= 1 for i => j, over all graphs at once,
    each with its key (Li et al. 2024, their graph-SVM).

    Parameters
    ----------
    graphs
        One for each key.
    tokens
        Vectors e, shape (K, d).
    keys
        The last token of each graph.

    Returns
    -------
    HardMargin
        ``separator`` is vec(W), shape (d^2,); ``dual`` belongs to the pairs ``ordered`` of each graph in turn. Pure in
        ``tokens``; jits and vmaps. NaN, with ``converged`` False, where nothing is ordered or no W ranks as asked.

    Raises
    ------
    UsageError
        If there is not one key for each graph, or a graph has not as many tokens as there are vectors.
    """
    rows, inside = _features(graphs, tokens, keys)
    basis = _orthonormal(inside)
    if not len(rows):
        rows = jnp.zeros((1, rows.shape[1]), rows.dtype)
    return hard_margin(rows - (rows @ basis.T) @ basis)


def odds_inside(
    graphs: Sequence[PriorityGraph],
    tokens: ArrayLike,
    keys: Sequence[int],
    counts: ArrayLike,
    labels: ArrayLike,
    which: ArrayLike,
    weights: ArrayLike | None = None,
) -> Array:
    """The finite part W_fin: what the odds inside components settle on, shape (d, d).

    The minimiser, over the span of differences inside components, of the mean of -ln p_y, where a prompt's softmax is
    taken over the component of its label alone, p_j in proportion to m_j exp(e_j^T W e_k).

    Parameters
    ----------
    graphs, tokens, keys
        As for `graph_svm`.
    counts
        m, how often each token occurs in each prompt, shape (n, K).
    labels
        Shape (n,), whole numbers.
    which
        The number of each prompt's graph, shape (n,).
    weights
        How much each prompt counts, shape (n,); alike when not given.

    Returns
    -------
    Array
        W_fin, by damped Newton steps to rounding error. Pure; jits and vmaps over tokens, counts and weights.

    Raises
    ------
    UsageError
        As by `graph_svm`; and if, where they are no traced arrays, a count is negative, a label does not occur in its
        prompt, or a graph is not there.
    """
    _check_prompts(len(graphs), counts, labels, which)
    e, m, y, g = jnp.asarray(tokens), jnp.asarray(counts, float), jnp.asarray(labels), jnp.asarray(which)
    basis = _orthonormal(_features(graphs, e, keys)[1])
    same = jnp.stack([jnp.asarray(graph.components[:, None] == graph.components) for graph in graphs])[g, y]
    logs = jnp.where(same & (m > 0), jnp.log(jnp.where(m > 0, m, 1.0)), -jnp.inf)
    share = jnp.ones(len(m)) / len(m) if weights is None else jnp.asarray(weights) / jnp.sum(jnp.asarray(weights))
    last = e[jnp.asarray(keys)][g]

    def loss(z: Array) -> Array:
        scores = last @ (z @ basis).reshape(e.shape[1], -1).T @ e.T
        log_p = jax.nn.log_softmax(scores + logs, axis=1)
        return -share @ jnp.take_along_axis(log_p, y[:, None], axis=1)[:, 0]

    slope, bend = jax.grad(loss), jax.hessian(loss)

    def step(state: tuple[Array, Array, Array]) -> tuple[Array, Array, Array]:
        number, z, _ = state
        # The span may hold directions that no prompt asks about: there the least step is none.
        move = pinv(bend(z)) @ slope(z)
        longest = jnp.max(jnp.abs(move @ basis), initial=0.0)
        return number + 1, z - move / (1.0 + jnp.maximum(longest - 1.0, 0.0)), longest

    # A step as short as that was the last but for its square, which is below rounding.
    far = lambda state: (state[0] < _NEWTON_STEPS) & (state[2] > 1e-9)
    start = jnp.zeros((), int), jnp.zeros(len(basis)), jnp.ones(())
    return (jax.lax.while_loop(far, step, start)[1] @ basis).reshape(e.shape[1], -1)


def _check_prompts(graphs: int, counts: ArrayLike, labels: ArrayLike, which: ArrayLike) -> None:
    if any(isinstance(value, Tracer) for value in (counts, labels, which)):
        return
    m, y, g = (np.asarray(value) for value in (counts, labels, which))
    if m.ndim != 2 or y.shape != m.shape[:1] or g.shape != m.shape[:1]:
        raise UsageError(
            f"counts {m.shape}, labels {y.shape}, which {g.shape}: expected (n, K), (n,) and (n,) for n prompts"
        )
    for n, (row, label, graph) in enumerate(zip(m, y, g, strict=True)):
        if not (np.all(row >= 0) and 0 <= label < len(row) and row[int(label)] > 0 and 0 <= graph < graphs):
            raise UsageError(
                f"prompt {n}, counts {row.tolist()}, label {label}, graph {graph}: expected counts from zero on, a "
                f"label that occurs, and a graph from 0 to {graphs - 1}"
            )


_NEWTON_STEPS = (
    60  # odds of e^20 take some 40, since a step moves no weight by more than one; the last few are quadratic
)


def _features(graphs: Sequence[PriorityGraph], tokens: ArrayLike, keys: Sequence[int]) -> tuple[Array, Array]:
    """Features of the ordered pairs, and of those inside components, of all graphs."""
    size = len(jnp.asarray(tokens))
    if not graphs or len(graphs) != len(keys) or any(graph.size != size for graph in graphs):
        raise UsageError(
            f"graphs of {[graph.size for graph in graphs]} tokens, keys {list(keys)!r}, {size} vectors: expected "
            "one key for each graph, and a vector for each token"
        )
    for key in keys:
        if not 0 <= key < size:
            raise UsageError(f"key {key!r}: expected a token from 0 to {size - 1}")
    placed = tuple(zip(graphs, keys, strict=True))
    ordered = [pair_features(graph.ordered, tokens, key) for graph, key in placed]
    inside = [pair_features(graph.inside, tokens, key) for graph, key in placed]
    return jnp.concatenate(ordered), jnp.concatenate(inside)


def _orthonormal(rows: Array) -> Array:
    """Orthonormal basis of the span of rows, as rows; zeros fill it up where they are dependent."""
    if not len(rows):
        return rows
    _, values, right = svd(rows)
    return jnp.where((values > values[0] * max(rows.shape) * jnp.finfo(rows.dtype).eps)[:, None], right, 0.0)
