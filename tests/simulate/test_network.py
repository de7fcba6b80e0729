"""Small networks: what they read, in which order, and whether training finds what there is to find."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from idealab.errors import UsageError
from idealab.simulate.network import KINDS, network, train

CHANCES = jnp.array([[0.7, 0.1, 0.1, 0.1], [0.1, 0.1, 0.1, 0.7]])


def weights_of(module, scale=1.0):
    """Random weights, in float64."""
    weights = jax.eval_shape(module.init, jax.random.key(1), jnp.zeros((1, 1), int))
    leaves, shape = jax.tree.flatten(weights)
    keys = jax.random.split(jax.random.key(2), len(leaves))
    drawn = [scale * jax.random.normal(key, leaf.shape) for key, leaf in zip(keys, leaves, strict=True)]
    return jax.tree.unflatten(shape, drawn)


def documents(key, batch=32, length=6):
    topic = jnp.arange(batch) % 2
    tokens = jax.random.categorical(key, jnp.log(CHANCES)[topic][:, None].repeat(length, axis=1))
    return tokens, jnp.broadcast_to(CHANCES[topic][:, None], (batch, length, 4))


@pytest.mark.parametrize("slope", [0.0, 0.4])
def test_attention_is_a_mean_over_the_prompt_of_what_can_be_read_off_its_weights(slope):
    module = network("alibi", 5, width=8, slope=slope)
    weights = weights_of(module)
    score, value = (np.asarray(module.apply(weights, method=name)) for name in ("score", "value"))
    tokens = [3, 0, 0, 4, 1, 2]
    for length in range(1, 7):
        read = tokens[:length]
        shares = np.exp([score[read[-1], token] - slope * (length - 1 - k) for k, token in enumerate(read)])
        expected = (shares / shares.sum()) @ value[read]
        logits = module.apply(weights, jnp.array([tokens]))[0, length - 1]
        np.testing.assert_allclose(logits, expected, rtol=1e-12)
        np.testing.assert_allclose(module.apply(weights, jnp.array([read]), method="last")[0], expected, rtol=1e-12)


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_reads_ahead_and_only_without_positions_does_the_order_not_matter(kind):
    module = network(kind, 4, width=4)
    # A prompt, one that ends otherwise, and the first in another order but for its last token.
    tokens = jnp.array([[0, 1, 2, 2, 3, 1], [0, 1, 2, 0, 1, 0], [2, 1, 3, 0, 2, 1]])
    logits = np.asarray(jax.jit(module.apply)(weights_of(module), tokens))
    assert logits.shape == (3, 6, 4)
    np.testing.assert_allclose(logits[0, :3], logits[1, :3], rtol=1e-12)
    assert np.max(np.abs(logits[0, 3:] - logits[1, 3:])) > 1e-3
    change = np.max(np.abs(logits[0, -1] - logits[2, -1]))
    assert change < 1e-14 if kind == "attention" else change > 1e-3


@pytest.mark.parametrize("kind", ["attention", "rnn"])
def test_training_finds_the_topic(kind):
    module = network(kind, 4, width=8)
    weights = jax.jit(lambda key: train(module, documents, key, steps=300, learning_rate=1e-2))(jax.random.key(0))
    prompts = jnp.array([[0, 0, 1, 0, 2, 0], [3, 3, 1, 2, 3, 3]])
    said = jax.nn.softmax(module.apply(weights, prompts)[:, -1])
    np.testing.assert_allclose(said, CHANCES, atol=0.1)
    assert all(leaf.dtype == jnp.float32 for leaf in jax.tree.leaves(weights))


def test_targets_may_be_tokens_or_chances():
    module = network("attention", 4, width=4)

    def with_tokens(key):
        tokens, _ = documents(key)
        return tokens[:, :-1], tokens[:, 1:]

    def with_chances(key):
        tokens, follow = with_tokens(key)
        return tokens, jax.nn.one_hot(follow, 4)

    key = jax.random.key(0)
    found = [jax.jit(lambda draw=draw: train(module, draw, key, steps=5))() for draw in (with_tokens, with_chances)]
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6), *found)


def test_seeds_train_side_by_side():
    module = network("gru", 4, width=3)
    one = jax.jit(lambda key: train(module, documents, key, steps=3))
    keys = jax.random.split(jax.random.key(0), 2)
    together, alone = jax.vmap(one)(keys), one(keys[1])
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a[1], b, rtol=1e-3, atol=1e-5), together, alone)


def test_a_kind_that_does_not_exist():
    with pytest.raises(
        UsageError, match="kind='lstm' of network: expected one of attention, transformer, alibi, rnn, gru"
    ):
        network("lstm", 4)
