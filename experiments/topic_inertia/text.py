"""Real words: networks that continue the documentation of one of two packages, and how long a prompt it takes.

The text is what the installed packages scikit-learn and SciPy ship, their docstrings (both BSD-3-Clause), in words out
of a small vocabulary: the most frequent ones, and one token for all others. Their shares differ little between the two,
so that tens of words are needed to tell which is read. Prompts are of words in their order, or shuffled: drawn one by
one from all that the network was not trained on. Axes: b = prompts, t = words, k = vocabulary.
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
from idealab.experiments.topic_inertia.memory import SHORTFALL, account, evenly
from idealab.experiments.topic_inertia.prompts import draw
from jax import Array

from idealab.errors import UsageError
from idealab.experiment import Condition, Experiment, Observation
from idealab.simulate import kept
from idealab.simulate.network import Attention, network, train

SOURCES = ("sklearn", "scipy")
WORDS = 32
"""Size of the vocabulary, with the one token for all other words."""

OTHER = WORDS - 1

LENGTHS = (16, 32, 64, 128)
_MOST = 120_000  # words of a source
_DOCSTRING = re.compile(r'"""(.*?)"""', re.DOTALL)
_PIECE = 50  # prompts read side by side


@cache
def docstrings() -> dict[str, np.ndarray[Any, Any]]:
    """The words of both sources in their order, as numbers of the common vocabulary, shape (source, words).

    Raises
    ------
    UsageError
        If a package has no sources to read.
    """
    words = [_words(package) for package in SOURCES]
    length = min(_MOST, *map(len, words))
    counted = Counter(word for part in words for word in part[:length])
    number = {word: i for i, (word, _) in enumerate(counted.most_common(WORDS - 1))}
    tokens = [[number.get(word, WORDS - 1) for word in part[:length]] for part in words]
    return {"tokens": np.array(tokens, np.int32)}


def _words(package: str) -> list[str]:
    found = find_spec(package)
    files = sorted(Path(found.origin).parent.rglob("*.py")) if found is not None and found.origin else []
    texts = [file.read_text("utf-8", "replace") for file in files if "tests" not in file.parts]
    words = [word for text in texts for part in _DOCSTRING.findall(text) for word in re.findall("[a-z]+", part.lower())]
    if len(words) < 1000:
        raise UsageError(f"package {package!r} has {len(words)} words of docstrings here; install it with its sources")
    return words


def _parts(key: Array, tokens: Array) -> tuple[Array, Array, Array]:
    """Text to train on and to test on, (source, words), and the frequencies of words in the latter, (source, k).

    The seed says which fifth is tested on, and which source is the first.
    """
    key_turn, key_first = jax.random.split(key)
    tokens = jnp.roll(tokens, jax.random.randint(key_turn, (), 0, tokens.shape[1]), axis=1)
    tokens = jnp.where(jax.random.bernoulli(key_first), tokens, tokens[::-1])
    cut = tokens.shape[1] * 4 // 5
    counts = jax.vmap(lambda words: jnp.bincount(words, length=WORDS))(tokens[:, cut:])
    return tokens[:, :cut], tokens[:, cut:], (counts + 0.5) / jnp.sum(counts + 0.5, axis=1, keepdims=True)


def windows(key: Array, text: Array, number: int, length: int) -> Array:
    """Words in their order from anywhere in a text, shape (b, t)."""
    start = jax.random.randint(key, (number, 1), 0, text.shape[0] - length)
    return text[start + jnp.arange(length)]


def make_reader(key: Array, settings: Mapping[str, Any], tokens: Array) -> dict[str, Any]:
    """The weights of a network that was trained to say the next word, on both sources alike."""
    key_parts, key_train = jax.random.split(key)
    text = _parts(key_parts, tokens)[0]

    def batch(key: Array) -> tuple[Array, Array]:
        keys, half = jax.random.split(key), settings["batch"] // 2
        both = jnp.concatenate(
            [windows(k, part, half, settings["trained"] + 1) for k, part in zip(keys, text, strict=True)]
        )
        return both[:, :-1], both[:, 1:]

    module = network(settings["kind"], WORDS, width=settings["width"])
    return {"weights": train(module, batch, key_train, steps=settings["steps"])}


def _decide(module: nn.Module, weights: Any, prompts: Array, shares: Array) -> Array:
    """What a network that has read prompts (b, t) says comes next, after a last word out of the vocabulary; shape (b,).

    Positive for words that the first source has more of. The last word is the same in all prompts, since it has most to
    say about the next one.
    """
    prompts = prompts.at[:, -1].set(OTHER)
    if isinstance(module, Attention):
        logits = jnp.asarray(module.apply(weights, prompts, method="last"))
    else:
        read = lambda part: jnp.asarray(module.apply(weights, part))[:, -1]
        logits = jax.lax.map(read, prompts.reshape(-1, _PIECE, prompts.shape[1])).reshape(len(prompts), WORDS)
    return logits @ (shares[0] - shares[1])


def look(key: Array, settings: Mapping[str, Any], tokens: Array, weights: Any) -> dict[str, Array]:
    """How often prompts of the first source are taken for the second, shuffled and in their order, by their length.

    A decision is a change of source when it lies beyond the middle of the means of both sources at that length.
    """
    key_parts, key_look = jax.random.split(key)
    keys = jax.random.split(key_look, 4)
    _, text, shares = _parts(key_parts, tokens)
    module, prompts = network(settings["kind"], WORDS, width=settings["width"]), settings["prompts"]
    decide = lambda part: jnp.stack([_decide(module, weights, part[:, :length], shares) for length in LENGTHS])
    both = [draw(k, share, prompts, LENGTHS[-1]) for k, share in zip(keys[:2], shares, strict=True)]
    middle = jnp.mean(jnp.stack([decide(part) for part in both]), axis=(0, 2))
    changes = lambda part: jnp.mean(decide(part) < middle[:, None], axis=1)
    found = {
        "shuffled": changes(draw(keys[2], shares[0], prompts, LENGTHS[-1])),
        "ordered": changes(windows(keys[3], text[0], prompts, LENGTHS[-1])),
    }
    if isinstance(module, Attention):
        h, value = (jnp.asarray(module.apply(weights, method=name)) for name in ("score", "value"))
        margins = value @ (shares[0] - shares[1]) - middle[:, None]
        found |= {"scores": jnp.exp(h[OTHER] - jnp.max(h[OTHER])) * margins}
    return found


def observe(key: Array, condition: Condition) -> Observation:
    """One network that was trained on the text."""
    settings = {name: condition[name] for name in _TRAINING}
    tokens = condition.data["tokens"]
    trained = kept(make_reader, key, settings, tokens, sources=(draw,))
    # The same key: what is looked at is the part of the text that was not trained on.
    more = {**settings, "prompts": condition["prompts"]}
    seen = kept(look, key, more, tokens, trained["weights"], sources=(draw,))
    shares = _parts(jax.random.split(key)[0], jnp.asarray(tokens))[2]
    chance, length = seen[condition["prompt"]], condition["length"]
    at = LENGTHS.index(length)
    parameters: dict[str, Any] = {"p": shares[0], "q": shares[1]}
    if "scores" in seen:
        s = jnp.asarray(seen["scores"][at], float)[None]
        parameters |= account(
            shares[0], s, s[:, OTHER], *evenly(length), last=jnp.ones(1), shortfall=SHORTFALL, terms=512
        )
    evaluations = settings["steps"] * settings["batch"]
    return Observation(
        {**parameters, "gradient_evaluations": evaluations},
        {"change_by_memory": chance[at], "chance": chance},
    )


_TRAINING = {"kind": "attention", "width": 32, "trained": 32, "batch": 64, "steps": 1000}


def _read(prompt: str, length: int, kind: str = "attention") -> Condition:
    settings = {**_TRAINING, "kind": kind, "prompts": 2000, "prompt": prompt, "length": length}
    return Condition(settings, f"{prompt} words, T={length}", docstrings)


experiments: tuple[Experiment, ...] = (
    Experiment(
        name="shuffled words",
        statement="one attention layer, trained on docstrings, reads words drawn one by one from one package's",
        level="real data",
        observe=observe,
        observables=("change_by_memory",),
        # `--set prompt=ordered` and `--set kind=gru` look at words in their order and at a recurrent network.
        conditions=tuple(_read("shuffled", length) for length in LENGTHS),
        max_seeds=16,
        host=True,
    ),
)
