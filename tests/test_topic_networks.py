"""The networks of topic_inertia: what they are trained on, what is seen of them, and the whole way at tiny size."""

from __future__ import annotations

import itertools
import json
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from idealab.experiments.topic_inertia import networks, text, trained
from idealab.experiments.topic_inertia.memory import account, evenly, fading
from idealab.experiments.topic_inertia.prompts import draw, topics

from idealab.registry import load
from idealab.simulate import keeping
from idealab.verify import verify

BOTH = jnp.array([[0.6, 0.3, 0.1], [0.2, 0.2, 0.6]])
TINY = {"width": 4, "steps": 30, "batch": 8, "prompts": 1000}


class Counting:
    """A network that adds up log-odds below a ceiling, and says what exact Bayes would say by them."""

    def __init__(self, ceiling):
        self.ceiling = ceiling

    def apply(self, weights, tokens):
        x = jnp.log(BOTH[0] / BOTH[1])[tokens]
        add = lambda total, step: (jnp.clip(total + step, -self.ceiling, self.ceiling),) * 2
        totals = jax.lax.scan(add, jnp.zeros(len(tokens)), x.T)[1].T
        share = jax.nn.sigmoid(totals)[..., None]
        return jnp.log(share * BOTH[0] + (1 - share) * BOTH[1])


def test_the_decision_is_the_sign_of_the_odds():
    odds = jnp.array([-3.0, -0.1, 0.1, 3.0])[:, None]
    share = jax.nn.sigmoid(odds)
    logits = jnp.log(share * BOTH[0] + (1 - share) * BOTH[1]) + 5.0
    np.testing.assert_array_equal(jnp.sign(trained.decision(logits, BOTH)), jnp.sign(odds[:, 0]))


def test_the_depth_of_a_memory_is_what_turns_it():
    """Up to its ceiling, which 128 tokens have all but reached, and what the last step goes beyond."""
    key = jax.random.key(0)
    depths = [float(trained._depth(Counting(ceiling), None, BOTH, key, 500)) for ceiling in (4.0, 6.0)]
    assert depths[1] - depths[0] == pytest.approx(2.0, abs=0.25)


def test_the_kernel_of_a_linear_memory_is_found():
    scores = jax.random.normal(jax.random.key(1), (400, 256))
    fades = np.exp(-0.2 * np.arange(64))
    convolve = lambda row: jnp.convolve(row, jnp.asarray(fades))[:256]
    np.testing.assert_allclose(trained._kernel(0.7 + jax.vmap(convolve)(scores), scores), fades, atol=1e-9)


def test_the_filter_is_bayes_over_every_path_of_topics():
    tokens, hazard = [0, 2, 1, 2], 0.15
    chances = np.zeros(2)
    for path in itertools.product(range(2), repeat=4):
        moves = [hazard if a != b else 1 - hazard for a, b in itertools.pairwise(path)]
        chances[path[-1]] += np.prod(moves) * np.prod([BOTH[z, x] for z, x in zip(path, tokens, strict=True)])
    found = trained.exact_filter(jnp.array([tokens]), BOTH, hazard)[0, -1]
    assert found == pytest.approx(np.log(chances[0] / chances[1]), rel=1e-12)


def test_documents_switch_at_their_hazard():
    tokens, follow = trained.switching(jax.random.key(0), jnp.eye(2) * 0.98 + 0.01, 400, 40, 0.1)
    assert np.mean(np.diff(tokens, axis=1) != 0) == pytest.approx(0.1 * 0.98**2 + 2 * 0.99 * 0.01, abs=0.02)
    np.testing.assert_allclose(np.sum(follow, axis=-1), 1.0, rtol=1e-6)


def test_prompts_of_one_topic_are_halved_between_the_two():
    tokens, follow = trained.one_topic(jax.random.key(0), BOTH, 2000, 5)
    for half, chances in zip(np.split(np.asarray(tokens), 2), BOTH, strict=True):
        np.testing.assert_allclose(np.bincount(half.ravel(), minlength=3) / half.size, chances, atol=0.02)
    np.testing.assert_array_equal(follow[-1, 0], BOTH[1])


def test_what_a_memory_reports_bounds_its_sums():
    both = topics(jax.random.key(2))
    x = jnp.log(both[0] / both[1])
    s = jnp.broadcast_to(x, (8, 8))
    for recall, ages in (evenly(40), fading(40, 0.1)):
        found = account(both[0], s, x, recall, ages)
        weights = np.repeat(recall, np.asarray(ages, int))
        sums = x[draw(jax.random.key(3), both[0], 2000, len(weights) + 1)] @ np.append(weights, 1.0)
        assert np.max(np.abs(sums)) < found["reach"]
    assert float(jnp.sum(fading(5, 0.0)[1])) == 4


def test_words_are_those_of_both_packages():
    found = text.docstrings()["tokens"]
    shares = np.array([np.bincount(words, minlength=text.WORDS) / words.size for words in found])
    assert found.shape[1] > 50_000
    assert (shares > 0).all()
    # Related enough that no word gives a source away.
    assert np.max(np.abs(np.log(shares[0] / shares[1]))) < 6
    assert -np.log(np.sum(np.sqrt(shares[0] * shares[1]))) < 0.05


def test_what_is_tested_on_was_not_trained_on():
    tokens = jnp.stack([jnp.arange(100) % text.WORDS, (jnp.arange(100) * 7 + 1) % text.WORDS])
    seen, kept_out, shares = text._parts(jax.random.key(1), tokens)
    assert seen.shape == (2, 80)
    assert kept_out.shape == (2, 20)
    for rows in zip(seen, kept_out, tokens, strict=True):
        parts = np.concatenate(rows[:2])
        assert any(np.array_equal(np.roll(parts, k), source) for k in range(100) for source in tokens)
    np.testing.assert_allclose(np.sum(shares, axis=1), 1.0)


@pytest.fixture
def another_cache(tmp_path, monkeypatch):
    """Networks are kept in a folder of the test's own, and those made so far are forgotten."""
    monkeypatch.setattr(keeping.platformdirs, "user_cache_path", lambda _: tmp_path)
    monkeypatch.setattr(keeping, "_MADE", {})
    return tmp_path / "networks"


@pytest.mark.slow
def test_the_whole_way_at_tiny_size(another_cache, monkeypatch):
    """Networks too small to show anything: that all of it runs, and that nobody trains twice."""
    chosen = [e for e in networks.experiments if e.name in ("attention", "gru", "documents that switch")]
    tiny = [
        replace(
            experiment,
            conditions=tuple(c.but(str(c), **TINY) for c in experiment.conditions[:2]),
            toggles={name: c.but(str(c), **TINY) for name, c in experiment.toggles.items()},
            max_seeds=4,
        )
        for experiment in chosen
    ]
    asked = {"experiments": tiny, "levels": ["network"], "record": False, "mutants": False}
    first = verify("topic_inertia", **asked)
    # Of each network its weights and what was seen of it: attention, ALiBi, GRU; attention and tanh on documents. A
    # condition that is decided takes no more seeds, but each has had one.
    made = sorted(another_cache.iterdir())
    assert len(made) % 2 == 0
    assert 5 * 2 <= len(made) <= 4 * 5 * 2
    monkeypatch.setattr(keeping, "_MADE", {})
    monkeypatch.setattr(keeping, "_compiled", None)  # nothing is made again
    again = verify("topic_inertia", **asked)
    assert sorted(another_cache.iterdir()) == made
    results = [json.dumps(v.to_dict()["signatures"], sort_keys=True) for v in (first, again)]
    assert results[0] == results[1]
    assert {result.name for result in first.signatures} == {"remembered_change", "permutation", "flat", "beyond_filter"}
    assert {control.assumption for control in first.controls} <= set(load("topic_inertia").assumptions)
    order = next(result for result in first.signatures if result.name == "permutation")
    assert all(cell.measured < 1e-13 for cell in order.cells)
    positions = [control for control in first.controls if control.assumption == "no_positions"]
    assert [control.seen for control in positions] == ["breaks", "breaks"]
