"""The networks of topic_inertia: what they are trained on, what is seen of them, and the whole way at tiny size."""

from __future__ import annotations

import itertools
import json
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from idealab.experiments.topic_inertia import memory, networks, text, trained
from idealab.experiments.topic_inertia.memory import account, evenly, fading
from idealab.experiments.topic_inertia.prompts import draw, topics
from scipy.stats import norm

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
    found = trained.filtered(jnp.array([tokens]), BOTH, hazard)[0, -1]
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


def test_the_belief_in_a_topic_is_read_off_what_comes_next():
    hazard, share = 0.1, np.array([0.0, 0.3, 1.0])
    mixing = np.array([[1 - hazard, hazard], [hazard, 1 - hazard]]) @ BOTH
    follows = share[:, None] * mixing[0] + (1 - share[:, None]) * mixing[1]
    np.testing.assert_allclose(trained.belief(jnp.log(follows) + 2.0, BOTH, hazard), share, atol=1e-12)


def test_the_share_at_which_half_have_changed():
    shares = np.array(memory.SHARES)
    for turn, spread in ((0.5, 0.1), (0.37, 0.02), (0.1, 0.3)):
        changed = norm.cdf((shares - turn) / spread)
        assert float(memory.crossing(jnp.array(changed))) == pytest.approx(turn, abs=2e-3)


# --- Text -------------------------------------------------------------------------------------------------------------

TEXT = jnp.arange(2 * 10 * text.BLOCK).reshape(2, 10, text.BLOCK) % (text.WORDS - 3)


def test_words_are_those_of_both_packages():
    found = text.docstrings()["tokens"]
    assert found.shape[1] * found.shape[2] > 300_000
    shares = np.asarray(text.shares_of(jnp.asarray(found)))
    assert (shares > 0).all()
    # Related enough that no word gives a source away, and tens of them are needed.
    assert -np.log(np.sum(np.sqrt(shares[0] * shares[1]))) < 0.07


def test_what_is_tested_on_was_not_trained_on():
    tokens = jnp.arange(2 * 10 * 4).reshape(2, 10, 4)
    seen, held_out = text.parts(jax.random.key(1), tokens)
    assert seen.shape == (2, 6, 4)
    assert held_out.shape == (2, 4, 4)
    for rows in zip(seen, held_out, strict=True):
        blocks = {tuple(map(int, block)) for part in rows for block in part}
        assert blocks in [{tuple(map(int, block)) for block in source} for source in tokens]


def test_windows_are_passages_and_shuffled_words_are_the_same_words():
    blocks = TEXT[0]
    read = np.asarray(text.windows(jax.random.key(0), blocks, 50, 20))
    np.testing.assert_array_equal(np.diff(read, axis=1) % (text.WORDS - 3), 1)
    mixed = np.asarray(text.shuffled(jax.random.key(0), blocks))
    np.testing.assert_array_equal(np.sort(mixed.ravel()), np.sort(np.asarray(blocks).ravel()))
    assert np.mean(np.diff(mixed, axis=1) % (text.WORDS - 3) == 1) < 0.1


def test_a_threshold_lies_where_prompts_of_both_sources_turn():
    """Of attention: words drawn by the shares of the training text, so many of the second source, sum up to zero."""
    tokens = jnp.stack([TEXT[0], (TEXT[1] * 3) % text.WORDS])
    shares = text.shares_of(tokens)
    module = text.network("attention", text.WORDS, width=4)
    weights = module.init(jax.random.key(0), tokens[0, :1, :4])
    below = text.thresholds(jax.random.key(1), module, weights, tokens, {})
    weight, value = text._scores(module, weights, shares)
    for turn, threshold in zip(text.TURNS, below, strict=True):
        sums = shares @ (weight * (value - threshold))
        assert float((1 - turn) * sums[0] + turn * sums[1]) == pytest.approx(0, abs=1e-6)


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
    assert {result.name for result in first.signatures} == {
        *("remembered_change", "permutation", "beyond_filter"),
        *("as_bayes", "beyond_training", "flat"),
    }
    beyond = next(result for result in first.signatures if result.name == "beyond_training")
    assert len(beyond.cells) == 4  # a network of the second kind is seen at all lengths at once
    assert {control.assumption for control in first.controls} <= set(load("topic_inertia").assumptions)
    order = next(result for result in first.signatures if result.name == "permutation")
    assert all(cell.measured < 1e-13 for cell in order.cells)
    positions = [control for control in first.controls if control.assumption == "no_positions"]
    assert [control.seen for control in positions] == ["breaks", "breaks"]
