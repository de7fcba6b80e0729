"""Which settings the experiments on prompts may take, so that a setting beyond is refused before anything runs.

Of what is said of long prompts, prompts must be long: the sum of their votes, l for the tokens that would change the
topic less r k for those that continue it, must be near its limit law where it is zero. How long that takes is seen from
the moments of a single vote among prompts that nearly change: the votes drawn with chances that are tilted until their
mean is zero. All of it must hold wherever chances are drawn, which is about their setting.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache
from itertools import pairwise

import numpy as np
from numpy.typing import ArrayLike, NDArray

from idealab.errors import UsageError
from idealab.experiment import Condition, Range

DRAWN = 0.02
"""Chances of tokens are drawn within this part of their setting."""

STEPS, RATE = 2000, 0.5
"""Of the descent that learns the odds."""

Floats = NDArray[np.float64]
Ranges = dict[str, Range | Callable[[Condition], Range]]
Odds = Callable[[Condition], float]


# --- The odds that descent learns -------------------------------------------------------------------------------------

_SHARE = Range(0.0, 1.0, "a share of labels")


@cache
def learned_odds(share: float) -> float:
    """The odds after `STEPS` steps of descent on labels of which so many are a, in prompts of two a, two b and another.

    A little more than share/(1 - share) to one, or to its reciprocal: the other token loses its share only slowly.
    """
    label, counts, scores = np.array([share, 1 - share, 0.0]), np.array([2.0, 2.0, 1.0]), np.zeros(3)
    for _ in range(STEPS):
        chances = counts * np.exp(scores)
        scores = scores + RATE * (label - chances / chances.sum())
    return math.exp(scores[0] - scores[1])


def _odds(condition: Condition) -> float:
    share = float(condition["share"])
    _SHARE.check("share", share)
    return learned_odds(share)


# --- The chance of a change, at any length ----------------------------------------------------------------------------


def _chance(of: str, other: str) -> Callable[[Condition], Range]:
    def allowed(condition: Condition) -> Range:
        high = 1 / (1 + DRAWN) - float(condition[other])
        return Range(0.0, high, f"a chance; with {other} it leaves some to the other tokens, also where it is drawn")

    return allowed


def _no_ties(condition: Condition) -> Range:
    share = condition["share"]
    if abs(share - 0.5) < 1e-8:
        raise UsageError(f"share={share!r}: at odds of one equal counts tie, and rounding would decide; take another")
    return _SHARE


CHANCES: Ranges = {"share": _SHARE, "p_a": _chance("p_a", "p_b"), "p_b": _chance("p_b", "p_a")}
PROMPTS: Ranges = {**CHANCES, "share": _no_ties}
"""Where the chance of a change is counted, at any length."""


# --- Long prompts -----------------------------------------------------------------------------------------------------


def _tilted(p_a: Floats, p_b: Floats, odds: float) -> tuple[Floats, Floats]:
    """The tilt, and the chances of a, b and others among prompts that nearly change."""
    tilt = np.log(odds * p_a / p_b) / (1 + odds)
    weights = np.array([p_a * np.exp(-odds * tilt), p_b * np.exp(tilt), 1 - p_a - p_b])
    return tilt, weights / weights.sum(axis=0)


def long_from(p_a: ArrayLike, p_b: ArrayLike, odds: float) -> Floats:
    """Length from which prompts are long: all terms of the next order together are smaller than the first.

    Infinite on the phase boundary, odds p_a = p_b, and beyond it.
    """
    p_a, p_b = np.broadcast_arrays(np.asarray(p_a, float), np.asarray(p_b, float))
    within = odds * p_a > p_b
    tilt, chances = _tilted(p_a, np.where(within, p_b, odds * p_a / 2), odds)
    second, third, fourth = (np.array([(-odds) ** order, 1.0, 0.0]) @ chances for order in (2, 3, 4))
    skew, excess = third / second**1.5, fourth / second**2 - 3
    deviation = tilt * np.sqrt(second)
    length = np.abs(excess) / 8 + 5 * skew**2 / 24 + np.abs(skew) / (2 * deviation) + 1 / deviation**2
    return np.where(within, length, np.inf)


def _longest(p_a: ArrayLike, p_b: ArrayLike, odds: float) -> Floats:
    """The same wherever chances are drawn."""
    about = (1 - DRAWN, 1 + DRAWN)
    lengths = [long_from(np.multiply(p_a, low), np.multiply(p_b, high), odds) for low in about for high in about]
    return np.max(lengths, axis=0)


def _scatter(p_a: float, p_b: float, odds: float, length: int) -> float:
    """Standard deviation of k among prompts that nearly change."""
    a, b, others = _tilted(np.array(p_a), np.array(p_b), odds)[1]
    return math.sqrt(length * a * b * others / (b + odds**2 * a))


def gap_of_sums(p_a: float, p_b: float, odds: float, length: int) -> float:
    """The largest gap between sums l - odds k, times the scatter of k, among prompts that nearly change.

    Below one where the odds are far enough from fractions, and others leave the counts free.
    """
    scatter = _scatter(p_a, p_b, odds, length)
    if scatter <= 1:
        return math.inf
    places = np.sort(odds * np.arange(int(4 * scatter)) % 1)
    return scatter * float(np.max(np.diff(places, append=places[0] + 1)))


def _between(name: str, values: Floats, fit: NDArray[np.bool_], where: str, length: int, otherwise: str) -> Range:
    """From the first to the last value at which prompts of a length are long."""
    found = values[fit]
    if not len(found):
        raise UsageError(f"{where}: no {name} makes prompts of {length} tokens long; {otherwise}")
    reason = f"with {where} only there are prompts of {length} tokens long (step `length` of the derivation deviations)"
    return Range(float(found[0]), float(found[-1]), reason)


def long_prompts(length: int, odds_of: Odds = _odds) -> Ranges:
    """Where prompts of this length are long and the topic has more votes, odds p_a > p_b."""

    def p_b(condition: Condition) -> Range:
        odds, p_a = odds_of(condition), float(condition["p_a"])
        boundary = odds * p_a
        values = min(boundary, max(1 / (1 + DRAWN) - p_a, 1e-9)) * np.geomspace(1e-6, 1, 801)[:-1]
        where = f"p_a={p_a:g} and odds of {odds:.6g} (phase boundary: p_b = r p_a = {boundary:.6g})"
        return _between("p_b", values, _longest(p_a, values, odds) < length, where, length, "raise p_a")

    return {**CHANCES, "p_b": p_b}


def log_chance(p_a: float, p_b: float, odds: float, length: int) -> tuple[float, float, float]:
    """The first terms of the logarithm of the chance, and what they leave out at most.

    That is the next order, each of its terms by its size, and half a gap of 1/scatter between sums.
    """
    tilt = float(_tilted(np.array(p_a), np.array(p_b), odds)[0])
    b, a = p_b * math.exp(tilt), p_a * math.exp(-odds * tilt)
    moment = 1 - p_a - p_b + b + a
    steepness = tilt * math.sqrt(2 * math.pi * length * (b + odds**2 * a) / moment)
    gap = tilt / (2 * _scatter(p_a, p_b, odds, length))
    return length * math.log(moment) - math.log(steepness), float(long_from(p_a, p_b, odds)) / length, gap


def surely_less(less: tuple[float, float, float], more: tuple[float, float, float]) -> bool:
    """Whether one chance lies below another, whatever is left out.

    The next order has the same sign in both, so that the larger is the most that is left of it; gaps have not.
    """
    return more[0] - less[0] > max(more[1], less[1]) + more[2] + less[2]


def falling(lengths: tuple[int, ...]) -> Ranges:
    """Where, besides, the chance falls from each of the lengths to the next by more than is left out."""
    inside = long_prompts(min(lengths))
    within = inside["p_b"]
    assert callable(within)

    def p_b(condition: Condition) -> Range:
        odds, chances, found = _odds(condition), (float(condition["p_a"]), float(condition["p_b"])), within(condition)
        found.check("p_b", chances[1])
        for length, longer in pairwise(lengths):
            if not surely_less(log_chance(*chances, odds, longer), log_chance(*chances, odds, length)):
                raise UsageError(
                    f"p_a={chances[0]:g}, p_b={chances[1]:g}: with odds of {odds:.6g} it cannot be told that the "
                    f"chance falls from {length} tokens to {longer} (step `next_order` of the derivation deviations); "
                    "take other odds or chances"
                )
        return found

    return {**inside, "p_b": p_b}


def diluted(sweep: tuple[float, ...], length: int) -> Ranges:
    """The same for prompts of which p_0 say nothing, a sweep, and the rest are a or b as lean to 1 - lean."""

    def p_0(condition: Condition) -> Range:
        odds, lean = _odds(condition), float(condition["lean"])
        values = np.linspace(1 - 1 / (1 + DRAWN), 1.0, 802)[1:-1]
        fit = _longest(lean * (1 - values), (1 - lean) * (1 - values), odds) < length
        where = f"lean={lean:g} and odds of {odds:.6g}"
        found = _between("p_0", values, fit, where, length, "raise lean or share: odds lean must exceed 1 - lean")
        inside = [value for value in sweep if found.low < value < found.high]
        logs = [log_chance(lean * (1 - value), (1 - lean) * (1 - value), odds, length) for value in inside]
        for (low, high), (less, more) in zip(pairwise(inside), pairwise(logs), strict=True):
            if not surely_less(less, more):
                raise UsageError(
                    f"{where}: it cannot be told that the chance rises from p_0={low:g} to {high:g} for prompts of "
                    f"{length} tokens (step `next_order` of the derivation deviations); take another lean or share"
                )
        return found

    return {"share": _SHARE, "lean": Range(0.0, 1.0, "a part of the tokens that vote"), "p_0": p_0}


def generic(lengths: tuple[int, ...], odds_of: Odds = _odds) -> Ranges:
    """Where, besides, the odds are no small fraction, as seen by the sums of whole counts at these lengths."""
    inside = long_prompts(min(lengths), odds_of)
    within = inside["p_b"]
    assert callable(within)

    def p_b(condition: Condition) -> Range:
        odds, chances, found = odds_of(condition), (float(condition["p_a"]), float(condition["p_b"])), within(condition)
        found.check("p_b", chances[1])
        coarse = [length for length in lengths if gap_of_sums(*chances, odds, length) >= 1]
        if coarse:
            raise UsageError(
                f"p_a={chances[0]:g}, p_b={chances[1]:g}: odds of {odds:.6g} are too near a small fraction, or "
                f"p_a + p_b near one, for T={coarse[0]}: sums of whole counts leave gaps; take other odds or chances"
            )
        return found

    return {**inside, "p_b": p_b}


# --- The phase boundary -----------------------------------------------------------------------------------------------


def beside_boundary(sweep: tuple[float, ...], length: int, drawn: float) -> Ranges:
    """Where points of a sweep of p_b lie on both sides of the phase boundary, none of them too near to tell.

    By Berry and Esseen (with Shevtsova's constant) the sum of all votes is as far from normal, at most, as the third
    absolute moment of one says; the normal law must be further from one half than that, wherever chances are drawn.
    """

    def p_a(condition: Condition) -> Range:
        odds = _odds(condition)
        reason = f"with odds r of {odds:.6g} only there has the sweep of p_b points on both sides of its boundary r p_a"
        return Range(min(sweep) / odds, max(sweep) / odds, reason)

    def p_b(condition: Condition) -> Range:
        odds, a, b = _odds(condition), float(condition["p_a"]), float(condition["p_b"])
        allowed = _chance("p_b", "p_a")(condition)
        allowed.check("p_b", b)
        away = abs(b - odds * a) - drawn * (b + odds * a)
        variance, third = b + odds**2 * a - (b - odds * a) ** 2, b + odds**3 * a
        normal = math.erf(max(away, 0.0) * math.sqrt(length / variance / 2)) / 2
        if normal <= 0.4690 * third / (variance**1.5 * math.sqrt(length)):
            raise UsageError(
                f"p_b={b:g} is too near the phase boundary, r p_a = {odds * a:.6g}, for prompts of {length} tokens to "
                "tell on which side; take another p_a or share"
            )
        return allowed

    return {"share": _SHARE, "p_a": p_a, "p_b": p_b}


def beside_boundaries(odds: tuple[float, ...], weights: tuple[float, ...], length: int) -> Ranges:
    """Where Chernoff's bounds, one for each key, tell how many of the boundaries p_b = odds p_a have been passed."""

    def p_b(condition: Condition) -> Range:
        p_a, p_b = float(condition["p_a"]), float(condition["p_b"])
        allowed = _chance("p_b", "p_a")(condition)
        allowed.check("p_b", p_b)
        tilts = ((r, math.log(r * p_a / p_b) / (1 + r)) for r in odds)
        moments = [1 - p_a - p_b + p_b * math.exp(tilt) + p_a * math.exp(-r * tilt) for r, tilt in tilts]
        left = sum(weight * moment**length for weight, moment in zip(weights, moments, strict=True))
        if left > min(weights) / 2:
            boundaries = ", ".join(f"{r * p_a:.4g}" for r in odds)
            raise UsageError(
                f"p_b={p_b:g} is too near the phase boundary of a key ({boundaries}) for prompts of {length} tokens to "
                "tell on which side; take another p_a or p_b"
            )
        return allowed

    return {"p_a": CHANCES["p_a"], "p_b": p_b}
