"""Priority graphs: order by reachability alone, the least W by another solver, and odds of known closed form."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.optimize import minimize, nnls

from idealab.errors import UsageError
from idealab.simulate import PriorityGraph, graph_svm, odds_inside, pair_features


def scores(graph, tokens=None, key=-1):
    """Scores of all tokens under the last one, as the least W has them."""
    tokens = jnp.eye(graph.size) if tokens is None else tokens
    found = graph_svm([graph], tokens, [graph.size + key])
    assert found.converged
    return np.asarray(tokens @ found.separator.reshape(tokens.shape[1], -1) @ tokens[key])


def chain(n, start=0):
    return tuple((i, i + 1) for i in range(start, start + n - 1))


@pytest.mark.parametrize("n", [3, 7])
def test_a_chain_has_its_closed_form(n):
    graph = PriorityGraph(n + 1, chain(n))
    i = np.arange(1, n + 1)
    np.testing.assert_allclose(scores(graph)[:n], (n + 1) / 2 - i, atol=1e-12)
    found = graph_svm([graph], jnp.eye(n + 1), [n])
    dual = dict(zip(graph.ordered, np.asarray(found.dual), strict=True))
    np.testing.assert_allclose([dual[link] for link in chain(n)], i[:-1] * (n - i[:-1]) / 2, atol=1e-12)
    assert float(1 / found.margin**2) == pytest.approx(n * (n**2 - 1) / 12)


@pytest.mark.parametrize(("n", "other", "more"), [(2, 3, 2), (3, 6, 4), (4, 2, 3)])
def test_a_second_topic_turns_the_order_of_incomparable_heads_round(n, other, more):
    """One topic: two chains that nothing compares. A second goes on from the tail of the first; W_svm of both."""
    size = n + other + more + 1
    first = PriorityGraph(size, chain(n) + chain(other, start=n))
    added = range(n + other, n + other + more)
    both = PriorityGraph(size, (*first.edges, *zip((n - 1, *added[:-1]), added, strict=True)))
    for graph, length in ((first, n), (both, n + more)):
        assert not graph.before[0, n]
        assert not graph.before[n, 0]
        assert scores(graph)[0] - scores(graph)[n] == pytest.approx((length - other) / 2)
    flips = n < other < n + more
    assert flips == ((scores(first)[0] < scores(first)[n]) != (scores(both)[0] < scores(both)[n]))


def test_order_is_what_can_be_reached():
    graph = PriorityGraph(7, ((0, 1), (1, 0), (1, 2), (3, 2), (2, 4), (5, 6)))
    reaches = np.eye(7, dtype=bool)
    for i, j in graph.edges:
        reaches[i, j] = True
    for k in range(7):  # Warshall
        reaches |= np.outer(reaches[:, k], reaches[k])
    assert (graph.reaches == reaches).all()
    assert graph.components.tolist() == [0, 0, 1, 2, 3, 4, 5]
    assert graph.inside == ((0, 1),)
    assert set(graph.ordered) == {(0, 2), (0, 4), (1, 2), (1, 4), (3, 2), (3, 4), (2, 4), (5, 6)}


def test_prompts_make_edges_from_their_labels():
    graph = PriorityGraph.of(4, [(0, [0, 1, 2, 1]), (1, [1, 2]), (0, [1, 0])])
    assert graph.edges == ((0, 1), (0, 2), (1, 2))


def least_distance(rows):
    """Lawson & Hanson (1974), chapter 23."""
    stacked = np.vstack([rows.T, np.ones(len(rows))])
    target = np.zeros(len(stacked))
    target[-1] = 1.0
    residual = stacked @ nnls(stacked, target, maxiter=10_000)[0] - target
    return -residual[:-1] / residual[-1]


@pytest.mark.parametrize("seed", range(2))
def test_any_graphs_and_tokens_and_several_keys_agree_with_another_solver(seed):
    draw = np.random.default_rng(seed)
    tokens = draw.normal(size=(7, 9))
    graphs = [
        PriorityGraph(7, tuple(edge for edge in draw.integers(0, 5, (count, 2)).tolist() if edge[0] != edge[1]))
        for count in (5, 8)
    ]
    rows, inside = (
        np.concatenate([pair_features(getattr(g, kind), tokens, k) for g, k in zip(graphs, (5, 6), strict=True)])
        for kind in ("ordered", "inside")
    )
    found = graph_svm(graphs, tokens, (5, 6))
    free = np.linalg.svd(inside)[2][np.linalg.matrix_rank(inside) :] if len(inside) else np.eye(81)
    expected = free.T @ least_distance(rows @ free.T)
    np.testing.assert_allclose(found.separator, expected, atol=1e-9 * np.linalg.norm(expected))
    np.testing.assert_allclose(inside @ found.separator, 0, atol=1e-10)
    assert (rows @ found.separator > 1 - 1e-10).all()


def test_orthogonal_keys_do_not_feel_each_other_and_others_do():
    one, other = PriorityGraph(5, ((0, 1),)), PriorityGraph(5, ((1, 2),))
    apart = graph_svm([one, other], jnp.eye(5), [3, 4]).separator.reshape(5, 5)
    alone = graph_svm([one], jnp.eye(5), [3]).separator.reshape(5, 5)
    np.testing.assert_allclose(apart[:, 3], alone[:, 3], atol=1e-12)
    tokens = jnp.eye(5).at[4, 3].set(0.5)
    assert abs(graph_svm([one, other], tokens, [3, 4]).separator.reshape(5, 5)[2, 3]) > 0.01


# --- Inside a component -----------------------------------------------------------------------------------------------

LOOP = PriorityGraph(4, ((0, 1), (1, 0), (0, 2), (1, 2)))


def learned_odds(counts, labels, weights=None):
    counts = np.pad(np.asarray(counts, float), ((0, 0), (0, 4 - len(counts[0]))))
    w = odds_inside([LOOP], jnp.eye(4), [3], counts, labels, np.zeros(len(labels), int), weights)
    assert float(w[2, 3]) == pytest.approx(0, abs=1e-14), "only differences inside components are spoken of"
    return math.exp(float(w[0, 3] - w[1, 3]))


def test_four_prompts_teach_the_golden_ratio():
    """3 r/(3 r + 2) + 3 (2 r)/(2 r + 1) = 3 is r^2 = r + 1."""
    assert learned_odds([[3, 2], [2, 1], [2, 1], [2, 1]], [0, 0, 0, 1]) == pytest.approx((1 + 5**0.5) / 2, rel=1e-13)
    assert learned_odds([[2, 3], [1, 2], [1, 2], [1, 2]], [0, 1, 1, 1]) == pytest.approx(2 / (1 + 5**0.5), rel=1e-13)


@pytest.mark.parametrize("share", [0.5, 0.9, 1 - 1e-9])
def test_equal_counts_teach_the_odds_of_the_labels(share):
    assert learned_odds([[2, 2], [1, 1]], [0, 1], [share, 1 - share]) == pytest.approx(share / (1 - share), rel=1e-6)


def test_tokens_below_the_component_do_not_matter():
    assert learned_odds([[1, 3, 7], [2, 1, 0]], [0, 1]) == pytest.approx(learned_odds([[1, 3, 0], [2, 1, 9]], [0, 1]))


def test_odds_of_several_keys_and_any_tokens_agree_with_another_minimiser():
    draw = np.random.default_rng(3)
    tokens = draw.normal(size=(6, 7))
    graphs = [PriorityGraph(6, ((0, 1), (1, 2), (2, 0), (2, 3))), PriorityGraph(6, ((1, 3), (3, 1), (1, 0)))]
    labels, which = np.array([0, 1, 2, 1, 3, 1, 3]), np.array([0, 0, 0, 0, 1, 1, 1])
    counts = np.pad(draw.integers(1, 5, (7, 4)), ((0, 0), (0, 2)))
    found = odds_inside(graphs, tokens, [4, 5], counts, labels, which)
    span = np.concatenate([pair_features(g.inside, tokens, k) for g, k in zip(graphs, (4, 5), strict=True)])
    groups = [[[0, 1, 2], [3]], [[1, 3], [0], [2]]]

    def loss(z):
        total = 0.0
        for count, y, graph in zip(counts, labels, which, strict=True):
            group = next(group for group in groups[graph] if y in group)
            h = tokens @ (z @ span).reshape(7, 7) @ tokens[4 + graph]
            total += np.log(np.sum(count[group] * np.exp(h[group]))) - np.log(count[y]) - h[y]
        return total / len(labels)

    best = minimize(loss, np.zeros(len(span)), tol=1e-12)
    assert found.reshape(-1) @ np.eye(49) == pytest.approx(best.x @ span, abs=1e-5)


def test_it_jits_and_maps_over_tokens_and_counts():
    tokens = jax.random.normal(jax.random.key(0), (3, 4, 5))
    svm = jax.jit(jax.vmap(lambda e: graph_svm([LOOP], e, [3]).separator))(tokens)
    np.testing.assert_allclose(svm[1], graph_svm([LOOP], tokens[1], [3]).separator, atol=1e-12)
    counts = jnp.array([[[1.0, 2, 0, 0], [3, 1, 0, 0]], [[1.0, 1, 0, 0], [1, 1, 0, 0]]])
    solve = lambda m: odds_inside([LOOP], jnp.eye(4), [3], m, jnp.array([0, 1]), jnp.array([0, 0]))
    assert jax.vmap(solve)(counts)[1] == pytest.approx(0, abs=1e-14)


def test_nothing_to_rank_is_said_by_the_certificate():
    nothing = graph_svm([PriorityGraph(3, ())], jnp.eye(3), [2])
    assert not nothing.converged
    contradictory = jnp.array([[1.0, 0], [1, 0], [0, 1]])  # 0 before 1, which is the same vector
    assert not graph_svm([PriorityGraph(3, ((0, 1),))], contradictory, [2]).converged


def inside(counts, labels, which):
    return odds_inside([LOOP], jnp.eye(4), [3], jnp.array(counts), jnp.array(labels), jnp.array(which))


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: PriorityGraph(3, ((0, 3),)), r"edge \(0, 3\): expected two different tokens from 0 to 2"),
        (lambda: PriorityGraph(3, ((1, 1),)), r"edge \(1, 1\): expected two different"),
        (
            lambda: graph_svm([LOOP], jnp.eye(5), [3]),
            r"graphs of \[4\] tokens, keys \[3\], 5 vectors: expected one key",
        ),
        (lambda: graph_svm([LOOP], jnp.eye(4), []), "expected one key for each graph, and a vector for each token"),
        (lambda: graph_svm([], jnp.eye(4), []), "expected one key for each graph"),
        (lambda: graph_svm([LOOP], jnp.eye(4), [4]), "key 4: expected a token from 0 to 3"),
        (lambda: PriorityGraph(4, ((0.7, 1.2),)), r"edge \(0.7, 1.2\): expected two different tokens"),
        (lambda: PriorityGraph(4, ((0, 1, 2),)), r"edge \(0, 1, 2\): expected two different tokens"),
        (lambda: PriorityGraph(4, ("01",)), "edge '01': expected two different tokens"),
        (lambda: PriorityGraph(4, (1, 2)), "edge 1: expected two different tokens"),
        (lambda: PriorityGraph(-1, ()), "size=-1: expected a positive whole number of tokens"),
        (lambda: PriorityGraph(2.5, ()), "size=2.5: expected a positive whole number of tokens"),
        (lambda: PriorityGraph.of(4, [(9, [9])]), r"label 9 of prompt \[9\]: expected a token from 0 to 3"),
        (lambda: PriorityGraph.of(4, [(1, [0, 7])]), r"edge \(1, 7\): expected two different tokens"),
        (lambda: inside([[1, 0, 1, 0]], [1], [0]), "prompt 0, .* label 1, graph 0: .* a label that occurs"),
        (lambda: inside([[1, -2, 1, 0]], [0], [0]), "prompt 0, .* expected counts from zero on"),
        (lambda: inside([[1, 1, 1, 0]], [7], [0]), "prompt 0, .* label 7"),
        (lambda: inside([[1, 1, 1, 0]], [0], [5]), "graph 5: .* a graph from 0 to 0"),
        (lambda: inside([1, 1, 1, 0], [0], [0]), r"counts \(4,\), labels \(1,\), which \(1,\): expected \(n, K\)"),
    ],
)
def test_bad_input_is_refused_in_one_line(call, words):
    with pytest.raises(UsageError, match=words):
        call()
