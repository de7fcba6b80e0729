"""Which settings the experiments on prompts may take, so that a setting beyond is refused before anything runs.

Of what is said of long prompts, prompts must be long: the sum of their votes, l for the tokens that would change the
topic less r k for those that continue it, must be near its limit law where it is zero. How long that takes is seen from
the moments of a single vote among prompts that nearly change: the votes drawn with chances that are tilted until their
mean is zero.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from idealab.errors import UsageError
from idealab.experiment import Condition, Range

DRAWN = 0.02
"""Chances of tokens are drawn within this part of their setting."""

_SHARE = Range(0.0, 1.0, "a share of labels")
_MARGIN = 1 + 3 * DRAWN

Ranges = dict[str, Range | Callable[[Condition], Range]]


def _odds(condition: Condition) -> float:
    share = float(condition["share"])
    _SHARE.check("share", share)
    return share / (1 - share)


def _tilted(p_a: float, p_b: float, odds: float) -> tuple[float, NDArray[np.float64]]:
    """The tilt, and the chances of a, b and others among prompts that nearly change."""
    tilt = math.log(odds * p_a / p_b) / (1 + odds)
    weights = np.array([p_a * math.exp(-odds * tilt), p_b * math.exp(tilt), 1 - p_a - p_b])
    return tilt, weights / weights.sum()


def long_from(p_a: float, p_b: float, odds: float) -> float:
    """Length from which prompts are long: all terms of the next order together are smaller than the first.

    Infinite on the phase boundary, odds p_a = p_b, and beyond it.
    """
    if odds * p_a <= p_b:
        return math.inf
    tilt, chances = _tilted(p_a, p_b, odds)
    votes = np.array([-odds, 1.0, 0.0])
    second, third, fourth = (float(chances @ votes**order) for order in (2, 3, 4))
    skew, excess = third / second**1.5, fourth / second**2 - 3
    deviation = tilt * math.sqrt(second)
    return abs(excess) / 8 + 5 * skew**2 / 24 + abs(skew) / (2 * deviation) + 1 / deviation**2


def gap_of_sums(p_a: float, p_b: float, odds: float, length: int) -> float:
    """The largest gap between sums l - odds k, times the scatter of k, among prompts that nearly change.

    Below one where the odds are far enough from fractions, and others leave the counts free.
    """
    _, (a, b, others) = _tilted(p_a, p_b, odds)
    scatter = math.sqrt(length * a * b * others / (b + odds**2 * a))
    if scatter <= 1:
        return math.inf
    places = np.sort(odds * np.arange(int(4 * scatter)) % 1)
    return scatter * float(np.max(np.diff(places, append=places[0] + 1)))


def _chance(of: str, other: str) -> Callable[[Condition], Range]:
    def allowed(condition: Condition) -> Range:
        high = 1 / (1 + DRAWN) - float(condition[other])
        return Range(0.0, high, f"a chance; with {other} it leaves some to the other tokens, also where it is drawn")

    return allowed


PROMPTS: Ranges = {"share": _SHARE, "p_a": _chance("p_a", "p_b"), "p_b": _chance("p_b", "p_a")}
"""Where the chance of a change is counted, at any length."""


def _between(name: str, values: NDArray[np.float64], fit: list[bool], where: str, length: int, otherwise: str) -> Range:
    """From the first to the last value at which prompts of a length are long."""
    found = values[np.array(fit, dtype=bool)]
    if not len(found):
        raise UsageError(f"{where}: no {name} makes prompts of {length} tokens long; {otherwise}")
    reason = f"with {where} only there are prompts of {length} tokens long (step `length` of the derivation deviations)"
    return Range(float(found[0]), float(found[-1]), reason)


def long_prompts(length: int) -> Ranges:
    """Where prompts of this length are long and the topic has more votes, odds p_a > p_b."""

    def p_b(condition: Condition) -> Range:
        odds, p_a = _odds(condition), float(condition["p_a"])
        boundary = odds * p_a
        values = min(boundary, max(1 / (1 + DRAWN) - p_a, 1e-9)) * np.geomspace(1e-6, 1, 800)
        fit = [_MARGIN * long_from(p_a, float(value), odds) < length for value in values]
        where = f"p_a={p_a:g}, share={condition['share']:g} (phase boundary: p_b = r p_a = {boundary:.6g})"
        return _between("p_b", values, fit, where, length, "raise p_a")

    return {**PROMPTS, "p_b": p_b}


def long_diluted_prompts(length: int) -> Ranges:
    """The same for prompts of which p_0 say nothing, and the rest are a or b as lean to 1 - lean."""

    def p_0(condition: Condition) -> Range:
        odds, lean = _odds(condition), float(condition["lean"])
        values = np.linspace(0.0, 1.0, 802)[1:-1]
        fit = [_MARGIN * long_from(lean * (1 - v), (1 - lean) * (1 - v), odds) < length for v in values]
        where = f"lean={lean:g}, share={condition['share']:g}"
        return _between("p_0", values, fit, where, length, "raise lean or share: odds lean must exceed 1 - lean")

    return {"share": _SHARE, "lean": Range(0.0, 1.0, "a part of the tokens that vote"), "p_0": p_0}


def generic(lengths: tuple[int, ...]) -> Ranges:
    """Where, besides, the odds are no small fraction, as seen by the sums of whole counts at these lengths."""
    inside = long_prompts(min(lengths))["p_b"]

    def share(condition: Condition) -> Range:
        odds, p_a, p_b = _odds(condition), float(condition["p_a"]), float(condition["p_b"])
        coarse = [length for length in lengths if odds * p_a > p_b and gap_of_sums(p_a, p_b, odds, length) >= 1]
        if coarse:
            raise UsageError(
                f"share={condition['share']:g}: odds of {odds:.6g} are too near a small fraction, or p_a + p_b near "
                f"one, for T={coarse[0]}: sums of whole counts leave gaps; take another share"
            )
        return _SHARE

    assert callable(inside)
    return {**PROMPTS, "p_b": inside, "share": share}
