"""Which settings the experiments on memory may take, so that a setting beyond is refused before anything runs.

What is measured here lies well within where signatures were seen to fail, on 64 seeds of several master seeds.
"""

from __future__ import annotations

import math

import numpy as np
from idealab.experiments.topic_inertia.domains import Ranges

from idealab.experiment import Condition, Range

ANY_MEMORY: Ranges = {
    "spread": Range(0.0, 1.5, "measured: beyond, the sum takes few values, which so few terms of a series blur"),
    "slope": Range(0.0, 1.5, "measured: beyond, one token weighs most, and so few terms of a series blur the sum"),
}
EVEN_MEMORY: Ranges = {"spread": ANY_MEMORY["spread"]}
BAYES: Ranges = {
    "spread": Range(
        0.28,
        1.1,
        "measured: below, less than a tenth is gained from 4 tokens to 8; above, the sum of 4 takes few values, which "
        "so few terms of a series blur",
    )
}
SWITCHED: Ranges = {
    "spread": Range(0.2, 1.3, "measured: beyond, twice the tokens of the old topic do not lengthen its stay by a tenth")
}


def _normal_fall(slope: float, spread: float) -> float:
    """How far ln C falls from 8 tokens to 32, if sums of fading log-odds were normal, of mean spread^2/2 a token."""

    def chance(length: int) -> float:
        weights = np.exp(-slope * np.arange(length))
        return math.erfc(spread / 2 * float(weights.sum() / np.sqrt(2 * (weights**2).sum()))) / 2

    return math.log(chance(8) / chance(32))


def _flat(condition: Condition) -> Range:
    spread = float(condition["spread"])
    enough = next(slope for slope in np.arange(0.01, 1.0, 0.01) if _normal_fall(float(slope), spread) < 0.14)
    return Range(
        float(enough),
        0.9,
        f"with spread={spread:g} a memory that fades more slowly still gains from 8 tokens to 32; one that fades "
        "faster knows no difference in any prompt, by which nothing is shown",
    )


LEAKY: Ranges = {"spread": Range(0.0, 2.0, "measured: beyond, too few prompts change"), "slope": _flat}


PLATEAU: Ranges = {
    "slope": Range(0.04, 0.21, "tokens that weigh must be many, and far fewer than half of a prompt of 400"),
    "spread": Range(0.1, 0.65, "measured: below, topics hardly differ; above, the next order nears half the chance"),
}


def _ceiling(condition: Condition) -> Range:
    """Of the sum; 160 tokens are read before it is looked at, and 160 more to turn it round."""
    spread = float(condition["spread"])
    return Range(
        2.5,
        min(160 * spread**2 / 2 / 4, math.log(4000 * spread**6), 7.5),
        f"with spread={spread:g}; lower, what is left out beyond second order shows; higher, 160 tokens are less than "
        "four times what it takes from the ceiling to zero, or too few of 5000 prompts change to tell (measured)",
    )


def _hazard(condition: Condition) -> Range:
    """By the ceiling that does as much: the filter gives way where hazard e^S is the drift of S, spread^2/2."""
    hard, drift = _ceiling(condition), float(condition["spread"]) ** 2 / 2
    return Range(drift * math.exp(-hard.high), drift * math.exp(-hard.low), f"as of a ceiling {hard.reason}")


BOUNDED: Ranges = {
    "spread": Range(0.49, 2.0, "measured: below, 160 tokens are too few; above, steps are no longer small"),
    "ceiling": _ceiling,
    "hazard": _hazard,
}


def turning(noise: float) -> Ranges:
    """Where all but few seeds turn at a share between zero and one, the mean of them between 0.3 and 0.7.

    The mean score of a token is spread^2/2 under one topic, less that under the other; ``noise`` is its scatter.
    """

    def room(condition: Condition) -> tuple[float, int, str]:
        """How far the mean score may lie from zero, of how many tokens, and why."""
        spread, tokens = float(condition["spread"]), int(condition["length"]) - 1
        words = f"of shift + last_score/{tokens} with spread={spread:g}: beyond, prompts turn near one of their ends"
        return min(spread**2 / 2 - 2 * noise, spread**2 / 5), tokens, words

    def shift(condition: Condition) -> Range:
        (half, tokens, words), own = room(condition), float(condition["last_score"])
        return Range(-half - own / tokens, half - own / tokens, words)

    def last_score(condition: Condition) -> Range:
        (half, tokens, words), mean = room(condition), float(condition["shift"])
        return Range(tokens * (-half - mean), tokens * (half - mean), words)

    least = math.sqrt(2 * 3.4 * noise)
    spread = Range(least, 2.0, "measured: below, scores stray too far to tell; above, prompts turn between two shares")
    return {"spread": spread, "shift": shift, "last_score": last_score}
