"""When to give a cell up: if it is unlikely to be decided by its cap, its seeds are better spent elsewhere."""

from __future__ import annotations

import math
from functools import cache

import numpy as np
from scipy.optimize import brentq  # pyright: ignore[reportMissingTypeStubs, reportUnknownVariableType]
from scipy.special import ndtr  # pyright: ignore[reportMissingTypeStubs]

from idealab.judge.evidence import FAR, PRESENT_FLOOR, Floats, log_evidence_positive

FROM = 16
"""Seeds from which on a cell may be given up."""

_FURTHEST = 1e3  # t statistics

UNLIKELY = 0.02
"""The chance of a decision below which it is."""


def chance_of_decision(deviations: Floats, max_seeds: int, present: float, absent: float) -> float:
    """The chance that a mean is decided by the cap, if the further seeds are like those that are there.

    The mean at the cap is normal around the present one, with variance ``s^2 (1/n - 1/N)``; it decides where it lies
    clear of an edge by the t statistic that the evidence needs there: the predictive power of a trial (Spiegelhalter,
    Freedman & Blackburn 1986, with a flat prior). Far deviations are also taken as the evidence takes them, cut off at
    `idealab.judge.evidence.FAR`. Giving up can only leave a cell undecided, so no error rate rises.

    Parameters
    ----------
    deviations
        Unit deviations of the seeds so far, shape (n,), n at least 2 and below the cap.
    max_seeds
        The cap N.
    present, absent
        The evidence that would be needed of normal seeds that are looked at for ever.

    Returns
    -------
    float
        Between 0 and 1.
    """
    return max(
        _chance(seen, max_seeds, present, absent)
        for seen in (deviations, np.minimum(deviations, FAR), np.maximum(deviations, -FAR))
    )


def _chance(deviations: Floats, max_seeds: int, present: float, absent: float) -> float:
    n, mean, spread = len(deviations), float(np.mean(deviations)), float(np.std(deviations, ddof=1))
    if spread == 0:
        return 1.0
    error, moves = spread / math.sqrt(max_seeds), spread * math.sqrt(1 / n - 1 / max_seeds)
    inside = 1 - _statistic(max_seeds, math.log(present * PRESENT_FLOOR)) * error
    outside = 1 + _statistic(max_seeds, math.log(absent)) * error
    stays = float(ndtr((inside - mean) / moves) - ndtr((-inside - mean) / moves)) if inside > 0 else 0.0
    leaves = float(ndtr((mean - outside) / moves) + ndtr((-mean - outside) / moves))
    return stays + leaves


@cache
def _statistic(seeds: int, log_needed: float) -> float:
    """The t statistic at which so many seeds give this evidence; infinite where none does."""

    def beyond(t: float) -> float:
        return log_evidence_positive(t, seeds * (seeds - 1.0), seeds) - log_needed

    if beyond(_FURTHEST) <= 0:
        return math.inf
    return float(brentq(beyond, 0.0, _FURTHEST)) if beyond(0.0) < 0 else 0.0  # pyright: ignore[reportArgumentType, reportUnknownArgumentType]
