"""Evidence in a cell: an e-process for "the mean over seeds is positive" that may be looked at after every seed.

The one-sided, scale-invariant t e-process puts a half-normal prior of scale ``sqrt(g)`` on the standardized effect and
averages over four scales. Under "the mean is not positive" its expectation is at most one at every look, so crossing
``1/alpha`` at any time has probability at most alpha (Ville's inequality); see Grünwald, de Heide & Koolen 2024 (safe
testing) and Pérez-Ortiz et al. 2024 (the group-invariant t-test). Two of them, one for each edge of the tolerance band,
make an equivalence test.
"""

from __future__ import annotations

import math
from functools import cache

import numpy as np
from numpy.typing import NDArray
from scipy.special import betaincc, betaln, stdtr  # pyright: ignore[reportMissingTypeStubs]

Floats = NDArray[np.float64]

EFFECT_SCALES = np.array([0.1, 1.0, 10.0, 100.0])
LOOKS: tuple[int, ...] = (4, 5, 6, 8, 10, 12, 16, 20, 24, 32, 40, 48, 64, 80, 96, 128, 160, 192, 256)
"""Numbers of seeds after which a cell is looked at; at least four, since noiseless seeds alone give E = 10.5, 168, 4150
at n = 2, 3, 4."""

Four = tuple[float, float, float, float]
"""One number for each statement about a band: E x < 1, E x > -1, E x > 1, E x < -1."""

FAR = 5.0
"""Unit deviations beyond it count as this much where *absent* is asked: if ``E min(x, 5) > 1``, then ``E x > 1``."""

PRESENT_SEEDS, PRESENT_SKEW, PRESENT_FLOOR = 16, 2, 0.2
ABSENT_SEEDS, ABSENT_SKEW, ABSENT_FLOOR = 256, 6, 1.0
"""The guard against skew, from `benchmarks/calibration.py`: see `log_thresholds`."""


def log_evidence_positive(mean: float, squares: float, seeds: int) -> float:
    """Log of the evidence that the expectation of a seed is positive.

    Parameters
    ----------
    mean
        Sample mean m over seeds.
    squares
        Sum of squared deviations from it, ``SS = sum (x - m)^2``.
    seeds
        Number of seeds n.

    Returns
    -------
    float
        ``log E+(m)``: the mean over g of ``2 B T_n(loc / scale)``, with ``q = 1 + n g`` and
        ``log B = -log(q)/2 + (n/2) [log(1 + n m^2/SS) - log(1 + n m^2/(SS q))]``.
    """
    return float(_log_evidence(np.array([mean]), squares, seeds)[0])


def band_evidence(deviations: Floats) -> Four:
    """Log evidence of the four one-sided statements about the expected unit deviation of a cell.

    Parameters
    ----------
    deviations
        Unit deviations, shape (s,).

    Returns
    -------
    tuple of float
        ``below_upper`` (E x < 1), ``above_lower`` (E x > -1), ``above_upper`` (E x > 1), ``below_lower`` (E x < -1).
        The first two together make *present*, either of the last two makes *absent*.
    """
    mean = float(np.mean(deviations))
    squares = float(np.sum((deviations - mean) ** 2))
    edges = np.array([1 - mean, mean + 1, mean - 1, -1 - mean])
    below, above, beyond, beneath = map(float, _log_evidence(edges, squares, len(deviations)))
    return below, above, beyond, beneath


def log_evidence_majority(hits: int, seeds: int) -> float:
    """Log of the evidence that a seed hits with probability above one half: the e-process of the sign test.

    The likelihood ratio against a fair coin, averaged over a uniform prior on (1/2, 1); it asks nothing of the seeds'
    distribution, and so serves the median: seven seeds out of seven give 32.
    """
    a, b = hits + 1.0, seeds - hits + 1.0
    upper = float(betaincc(a, b, 0.5))
    return seeds * math.log(2) + math.log(2) + float(betaln(a, b)) + (math.log(upper) if upper > 0 else -math.inf)


def median_band_evidence(deviations: Floats) -> Four:
    """The four statements of `band_evidence` about the median over seeds instead of the mean."""
    n = len(deviations)
    counts = (np.sum(deviations < 1), np.sum(deviations > -1), np.sum(deviations > 1), np.sum(deviations < -1))
    below, above, beyond, beneath = (log_evidence_majority(int(count), n) for count in counts)
    return below, above, beyond, beneath


def skewness(deviations: Floats) -> float:
    """Bias-corrected sample skewness G1 of shape (s,); zero for s < 3, or when the seeds do not vary."""
    n = len(deviations)
    if n < 3:
        return 0.0
    centred = deviations - np.mean(deviations)
    variance = float(np.mean(centred**2))
    if variance <= (1e-12 * (1 + abs(float(np.mean(deviations))))) ** 2:
        return 0.0
    return float(np.mean(centred**3)) / variance**1.5 * np.sqrt(n * (n - 1)) / (n - 2)


def log_thresholds(seeds: int, present: float, absent: float, skew: float) -> Four:
    """Log evidence that each of the four statements of `band_evidence` needs at this look.

    A mean is betrayed by the tail that has not shown yet: until a rare seed comes, seeds with a long tail on one side
    lie close together on the other, and the t statistic takes that for certainty. So the evidence needed falls with
    the number of seeds, and rises with a tail that has shown on the dangerous side; a tail on the harmless side changes
    nothing. With G the skewness of these seeds, positive towards the dangerous side and zero otherwise, the
    factors are

        present   max(1/5, 16/n exp(2 G))        absent   max(1, 256/n exp(6 G))

    but never more than half the evidence that seeds without noise would give.

    Parameters
    ----------
    seeds
        Number of seeds n.
    present, absent
        What would be needed if seeds were normal and looked at for ever: ``1/alpha`` and ``2 K/alpha``.
    skew
        Sample skewness of these seeds, `skewness`. Dangerous for *present* is a tail that points out of the band at
        that edge, for *absent* one that points into it.

    Returns
    -------
    tuple of float
        In the order of `band_evidence`.

    Notes
    -----
    Calibrated by simulation (`benchmarks/calibration.py`) for the looks in `LOOKS`, whatever the cap. With the
    expectation exactly at the tolerance *present* is said, at alpha = 0.05, of symmetric seeds (normal, uniform,
    Laplace, Student t with three degrees of freedom) in 3 %, of lognormal ones with a coefficient of variation of 50 %
    in 4.5 %, of exponential ones (skewness 2) in 6.2 %. Symmetric seeds take half of any alpha; skewed ones do not
    shrink with it: exponential ones 2.9 % at alpha = 0.01. *Absent* is said of any of K symmetric cells, all at the
    tolerance, in 0.1 %; of exponential ones with the tail into the band in 0.5 % (K = 1) to 1 % (K = 8).

    What no rule can see is a tail so rare that most samples lack it: lognormal seeds with a coefficient of variation
    of 100 % are called present in 9 %, seeds of which one in twenty is ten standard deviations off in 20 %. Declare
    the median there.
    """
    towards_upper, towards_lower = max(skew, 0.0), max(-skew, 0.0)
    most = _log_noiseless(seeds) - math.log(2)

    def needed(nominal: float, floor: float, until: float, weight: float, tail: float) -> float:
        guarded = math.log(nominal) + math.log(until / seeds) + weight * tail
        return max(math.log(nominal * floor), min(guarded, most))

    inside, outside = (PRESENT_FLOOR, PRESENT_SEEDS, PRESENT_SKEW), (ABSENT_FLOOR, ABSENT_SEEDS, ABSENT_SKEW)
    return (
        needed(present, *inside, towards_upper),
        needed(present, *inside, towards_lower),
        needed(absent, *outside, towards_lower),
        needed(absent, *outside, towards_upper),
    )


def _log_evidence(means: Floats, squares: float, seeds: int) -> Floats:
    """`log_evidence_positive` of several means that share their seeds, shape (means,)."""
    q = 1 + seeds * EFFECT_SCALES
    signal = (seeds * means**2)[:, None]
    # log(1 + a/b) written so that SS = 0 (all seeds alike) is the limit and no special case; m = 0 is one.
    silent = signal == 0
    whole, part = np.where(silent, 1.0, squares + signal), np.where(silent, 1.0, squares + signal / q)
    log_ratio = np.log(whole) - np.log(part)
    scale = np.sqrt(part / seeds * EFFECT_SCALES / q)
    tail = stdtr(float(seeds), seeds * EFFECT_SCALES * means[:, None] / q / scale)
    with np.errstate(divide="ignore"):
        logs = np.log(2 * tail) - 0.5 * np.log(q) + 0.5 * seeds * log_ratio
        top = np.max(logs, axis=1)
        shift = np.where(np.isinf(top), 0.0, top)  # all are -inf where the tail is beyond what floats can tell from 0
        found = shift + np.log(np.mean(np.exp(logs - shift[:, None]), axis=1))
    return np.where(silent[:, 0] & (squares == 0), 0.0, found)


@cache
def _log_noiseless(seeds: int) -> float:
    """The evidence of seeds without any noise, which is the largest there is."""
    return log_evidence_positive(1.0, 0.0, seeds)
