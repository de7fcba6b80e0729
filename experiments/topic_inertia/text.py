"""Real words: networks that continue the documentation of one of two packages, and of which one they do.

The text is what the installed packages scikit-learn and SymPy ship, their docstrings (both BSD-3-Clause), in words out
of a small vocabulary: the most frequent ones, and one token for all others. A network is trained to say which words
are among the next few. Two fifths of the text, in blocks, are held out: all prompts are of these, and whatever decides
what counts as a change (the shares of words, the threshold) is of the other three. Axes: b = prompts, t = words,
k = vocabulary.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from idealab.experiments.topic_inertia.memory import SHARES, SHORTFALL, account, crossing, evenly
from jax import Array

from idealab.errors import UsageError
from idealab.experiment import Condition, Experiment, Observation
from idealab.simulate import kept
from idealab.simulate.network import Attention, network, train

SOURCES = ("sklearn", "sympy")
WORDS = 32
"""Size of the vocabulary, with the one token for all other words."""

OTHER = WORDS - 1

LENGTHS = (16, 32, 64, 128, 256)
TURNS = (0.5, 0.35, 0.65)
"""At which share of the second source a threshold is set to turn, of prompts of both."""

BLOCK = 256  # words: what is held out, or not; the longest prompt is one
_MOST = 1360 * BLOCK  # words of a source
_DOCSTRING = re.compile(r'"""(.*?)"""', re.DOTALL)
_PIECE = 50  # prompts read side by side


@cache
def docstrings() -> dict[str, np.ndarray[Any, Any]]:
    """The words of both sources in their order, as numbers of the common vocabulary, shape (source, block, words).

    Raises
    ------
    UsageError
        If a package has no sources to read.
    """
    words = [_words(package) for package in SOURCES]
    length = min(_MOST, *map(len, words)) // BLOCK * BLOCK
    counted = Counter(word for part in words for word in part[:length])
    number = {word: i for i, (word, _) in enumerate(counted.most_common(WORDS - 1))}
    tokens = [[number.get(word, OTHER) for word in part[:length]] for part in words]
    return {"tokens": np.array(tokens, np.int32).reshape(len(SOURCES), -1, BLOCK)}


def _words(package: str) -> list[str]:
    found = find_spec(package)
    files = sorted(Path(found.origin).parent.rglob("*.py")) if found is not None and found.origin else []
    texts = [file.read_text("utf-8", "replace") for file in files if "tests" not in file.parts]
    words = [word for text in texts for part in _DOCSTRING.findall(text) for word in re.findall("[a-z]+", part.lower())]
    if len(words) < 100 * BLOCK:
        raise UsageError(f"package {package!r} has {len(words)} words of docstrings here; install it with its sources")
    return words


def parts(key: Array, tokens: Array) -> tuple[Array, Array]:
    """Blocks to train on and blocks that are held out, as the seed says, (source, blocks, words)."""
    tokens = jnp.stack([jax.random.permutation(k, part) for k, part in zip(jax.random.split(key), tokens, strict=True)])
    cut = tokens.shape[1] * 3 // 5
    return tokens[:, :cut], tokens[:, cut:]


def shares_of(blocks: Array) -> Array:
    """How frequent the words are in either source, shape (source, k)."""
    counts = jax.vmap(lambda words: jnp.bincount(words.ravel(), length=WORDS))(blocks) + 0.5
    return counts / jnp.sum(counts, axis=1, keepdims=True)


def windows(key: Array, blocks: Array, number: int, length: int) -> Array:
    """Words in their order from anywhere in a block, shape (b, t)."""
    keys = jax.random.split(key)
    block = jax.random.randint(keys[0], (number, 1), 0, blocks.shape[0])
    start = jax.random.randint(keys[1], (number, 1), 0, blocks.shape[1] - length + 1)
    return blocks[block, start + jnp.arange(length)]


def shuffled(key: Array, blocks: Array) -> Array:
    """The same words, of all blocks together, in another order."""
    return jax.random.permutation(key, blocks.ravel()).reshape(blocks.shape)


def make_reader(key: Array, settings: Mapping[str, Any], tokens: Array) -> dict[str, Any]:
    """The weights of a network that was trained to say which words are among the next ones, on both sources alike."""
    key_parts, key_train = jax.random.split(key)
    text, length, ahead = parts(key_parts, tokens)[0], settings["trained"], settings["ahead"]

    def batch(key: Array) -> tuple[Array, Array]:
        keys, half = jax.random.split(key), settings["batch"] // 2
        both = jnp.concatenate([windows(k, part, half, length + ahead) for k, part in zip(keys, text, strict=True)])
        counts = jnp.cumsum(jax.nn.one_hot(both, WORDS, dtype=jnp.float32), axis=1)
        return both[:, :length], (counts[:, ahead:] - counts[:, :length]) / ahead

    module = network(settings["kind"], WORDS, width=settings["width"])
    return {"weights": train(module, batch, key_train, steps=settings["steps"])}


# --- What it does -----------------------------------------------------------------------------------------------------


def _decide(module: nn.Module, weights: Any, prompts: Array, shares: Array) -> Array:
    """What a network that has read prompts (b, t) says comes next, after a last word out of the vocabulary; shape (b,).

    The larger, the more it says the words that the first source has more of. The last word is the same in all prompts.
    """
    prompts = prompts.at[:, -1].set(OTHER)
    if isinstance(module, Attention):
        logits = jnp.asarray(module.apply(weights, prompts, method="last"))
    else:
        read = lambda part: jnp.asarray(module.apply(weights, part))[:, -1]
        logits = jax.lax.map(read, prompts.reshape(-1, _PIECE, prompts.shape[1])).reshape(len(prompts), WORDS)
    return logits @ (shares[0] - shares[1])


def _scores(module: Attention, weights: Any, shares: Array) -> tuple[Array, Array]:
    """Attention of the last word to each, and what it then adds to the decision, shapes (k,)."""
    h, value = (jnp.asarray(module.apply(weights, method=name), float) for name in ("score", "value"))
    return jnp.exp(h[OTHER] - jnp.max(h[OTHER])), value @ (shares[0] - shares[1])


def thresholds(key: Array, module: nn.Module, weights: Any, text: Array, settings: Mapping[str, Any]) -> Array:
    """Decisions below these count as a change, by `TURNS`; one for all lengths, from the text of the training alone.

    Of attention: where words drawn by their shares, of such a share of the second source, have a sum of zero. Of other
    networks, which add up nothing that could be read off: between the means over windows as long as in training.
    """
    shares, turns = shares_of(text), jnp.array(TURNS)
    if isinstance(module, Attention):
        weight, value = _scores(module, weights, shares)
        mixed = jnp.stack([1 - turns, turns], axis=1) @ shares
        return mixed @ (weight * value) / (mixed @ weight)
    means = [
        jnp.mean(_decide(module, weights, windows(k, part, settings["prompts"], settings["trained"]), shares))
        for k, part in zip(jax.random.split(key), text, strict=True)
    ]
    return (1 - turns) * means[0] + turns * means[1]


def look(key: Array, settings: Mapping[str, Any], tokens: Array, weights: Any) -> dict[str, Array]:
    """What a network does with prompts of held-out text: of one source, of both, and in another order."""
    key_parts, key_look = jax.random.split(key)
    keys = jax.random.split(key_look, 8)
    text, held_out = parts(key_parts, tokens)
    module, number, shares = (
        network(settings["kind"], WORDS, width=settings["width"]),
        settings["prompts"],
        shares_of(text),
    )
    below = thresholds(keys[0], module, weights, text, settings)
    decide = lambda prompts: _decide(module, weights, prompts, shares)

    def chances(old: Array, new: Array) -> Array:
        by_length = [
            (jnp.mean(decide(old[:, :n]) < below[0]), jnp.mean(decide(new[:, :n]) >= below[0])) for n in LENGTHS
        ]
        return jnp.array(by_length).T

    read = lambda keys, blocks: [windows(k, part, number, LENGTHS[-1]) for k, part in zip(keys, blocks, strict=True)]
    old, new = read(keys[1:3], held_out)
    ordered = chances(old, new)
    # First words of the one source, then first words of the other.
    first = [round((1 - share) * (LENGTHS[-1] - 1)) for share in SHARES]
    turn = lambda n: decide(jnp.where(jnp.arange(LENGTHS[-1]) < n, old, jnp.roll(new, n, axis=1)))
    turned = jnp.stack([jnp.mean(turn(n)[:, None] < below, axis=0) for n in first])
    found = {
        "shuffled": chances(*read(keys[3:5], [shuffled(k, part) for k, part in zip(keys[5:7], held_out, strict=True)])),
        "ordered": ordered,
        "chance": jnp.mean(ordered, axis=0),
        "turning_share": jax.vmap(crossing)(turned.T),
        "order_change": _moved(module, weights, old[:16, :64], jax.random.permutation(keys[7], 63)),
    }
    if isinstance(module, Attention):
        weight, value = _scores(module, weights, shares)
        found |= {"scores": weight * (value - below[:, None])}
    return found


def _moved(module: nn.Module, weights: Any, prompts: Array, mixed: Array) -> Array:
    """How much the logits change, at most, when all words but the last change places; in the precision of the run."""
    fine = jax.tree.map(lambda weight: jnp.asarray(weight, float), weights)
    last = lambda part: jnp.asarray(module.apply(fine, part))[:, -1]
    return jnp.max(jnp.abs(last(prompts.at[:, : len(mixed)].set(prompts[:, mixed])) - last(prompts)))


def observe(key: Array, condition: Condition) -> Observation:
    """One network that was trained on the text."""
    settings = {name: condition[name] for name in _TRAINING}
    tokens = condition.data["tokens"]
    trained = kept(make_reader, key, settings, tokens)
    # The same key: what is looked at is the part of the text that was not trained on.
    more = {**settings, "prompts": condition["prompts"]}
    seen = kept(look, key, more, tokens, trained["weights"], sources=(crossing,))
    shares = shares_of(parts(jax.random.split(key)[0], jnp.asarray(tokens))[0])
    length, turn, source = condition["length"], TURNS.index(condition["turn"]), SOURCES.index(condition["source"])
    # Of a network without scores: those of exact Bayes, by the shares of words.
    scores = seen["scores"][turn] if "scores" in seen else jnp.log(shares[0] / shares[1])
    s = (1 - 2 * source) * jnp.asarray(scores, float)[None]
    p, q = shares[source], shares[1 - source]
    remembers = account(p, s, s[:, OTHER], *evenly(length), last=jnp.ones(1), shortfall=SHORTFALL, terms=512)
    sizes = {"T": float(length), "clusters": 1.0, "gradient_evaluations": settings["steps"] * settings["batch"]}
    return Observation(
        {**remembers, "q": q, **sizes},
        {
            "change_by_memory": seen[condition["prompt"]][source, LENGTHS.index(length)],
            "chance": seen["chance"],
            "turning_share": seen["turning_share"][turn],
            "order_change": seen["order_change"],
        },
    )


_TRAINING = {"kind": "attention", "width": 32, "trained": 32, "ahead": 16, "batch": 64, "steps": 1000}


def _read(label: str, **changes: Any) -> Condition:
    settings = {**_TRAINING, "prompts": 1000, "prompt": "ordered", "source": SOURCES[0], "length": LENGTHS[-1]}
    return Condition({**settings, "turn": TURNS[0], **changes}, label, docstrings)


def _experiment(name: str, statement: str, look_at: tuple[str, ...], seeds: int, **more: Any) -> Experiment:
    return Experiment(
        name, statement, level="network", observe=observe, observables=look_at, max_seeds=seeds, host=True, **more
    )


_GATED = _read("a gated recurrent network", kind="gru")
experiments: tuple[Experiment, ...] = (
    _experiment(
        "text, shuffled",
        "one attention layer, trained on docstrings of two packages, reads words of one, all of them shuffled",
        ("change_by_memory",),
        48,
        conditions=tuple(
            _read(f"{source}, T={length}", prompt="shuffled", source=source, length=length)
            for length in LENGTHS[:-1]
            for source in SOURCES
        ),
        toggles={"independent": _read("in their order, T=128", length=128)},
    ),
    _experiment(
        "text, in order",
        "the same reads passages of either package, in their order",
        ("chance", "order_change"),
        16,
        conditions=(_read("passages"),),
        checkpoints={"chance": ("length", tuple(map(float, LENGTHS)))},
        toggles={"not_forgetting": _GATED, "no_positions": _GATED},
    ),
    _experiment(
        "text of two packages",
        "the same reads 256 words, first of one package and then of the other",
        ("turning_share",),
        48,
        conditions=tuple(_read(f"set to turn at {turn:g}", turn=turn) for turn in TURNS),
        toggles={"whole_prompt": _GATED},
    ),
)
