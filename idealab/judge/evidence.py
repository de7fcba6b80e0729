"""Evidence in a cell: an e-process for "the mean over seeds is positive" that may be looked at after every seed.

The one-sided, scale-invariant t e-process puts a half-normal prior of scale ``sqrt(g)`` on the standardized effect and
averages over four scales. Under "the mean is not positive" its expectation is at most one at every look, so crossing
``1/alpha`` at any time has probability at most alpha (Ville's inequality); see Grünwald, de Heide & Koolen 2024 (safe
testing) and Pérez-Ortiz et al. 2024 (the group-invariant t-test). Two of them, one for each edge of the tolerance band,
make an equivalence test.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy.special import betaincc, betaln, stdtr  # pyright: ignore[reportMissingTypeStubs]

Floats = NDArray[np.float64]

EFFECT_SCALES = np.array([0.1, 1.0, 10.0, 100.0])
LOOKS = (4, 5, 6, 8, 10, 12, 16, 20, 24, 32, 40, 48, 64, 80, 96, 128, 160, 192, 256)
"""Numbers of seeds after which a cell is looked at; at least four, since noiseless seeds alone give E = 10.5, 168, 4150
at n = 2, 3, 4."""

_CAPPED = {8: 3.6, 16: 4.5, 32: 5.4, 64: 6.0, 128: 6.5, 256: 6.9}
_CAPPED_AT = 0.05


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
    n, q = float(seeds), 1 + seeds * EFFECT_SCALES
    signal = n * mean**2
    if signal == 0:
        return 0.0 if squares == 0 else float(_log_mean_exp(-0.5 * np.log(q)))
    # log(1 + a/b) written so that SS = 0 (all seeds alike) is the limit and no special case.
    log_ratio = np.log(squares + signal) - np.log(squares + signal / q)
    scale = np.sqrt((squares + signal / q) / n * EFFECT_SCALES / q)
    tail = stdtr(n, n * EFFECT_SCALES * mean / q / scale)
    with np.errstate(divide="ignore"):
        return float(_log_mean_exp(np.log(2 * tail) - 0.5 * np.log(q) + 0.5 * n * log_ratio))


def band_evidence(deviations: Floats) -> tuple[float, float, float, float]:
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
    n, mean = len(deviations), float(np.mean(deviations))
    squares = float(np.sum((deviations - mean) ** 2))
    return (
        log_evidence_positive(1 - mean, squares, n),
        log_evidence_positive(mean + 1, squares, n),
        log_evidence_positive(mean - 1, squares, n),
        log_evidence_positive(-1 - mean, squares, n),
    )


def log_evidence_majority(hits: int, seeds: int) -> float:
    """Log of the evidence that a seed hits with probability above one half: the e-process of the sign test.

    The likelihood ratio against a fair coin, averaged over a uniform prior on (1/2, 1); it asks nothing of the seeds'
    distribution, and so serves the median: seven seeds out of seven give 32.
    """
    a, b = hits + 1.0, seeds - hits + 1.0
    upper = float(betaincc(a, b, 0.5))
    return seeds * math.log(2) + math.log(2) + float(betaln(a, b)) + (math.log(upper) if upper > 0 else -math.inf)


def median_band_evidence(deviations: Floats) -> tuple[float, float, float, float]:
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


def present_threshold(seeds: int, max_seeds: int, alpha: float, skew: float) -> float:
    """Evidence needed for *present* at this look; infinite where the skew forbids a decision.

    A declared cap buys a lower threshold than one that must hold for ever, but only for seeds whose distribution is
    close to symmetric. The guard helps where many cells share their skewness; it cannot see the skewness of the first
    seven seeds, so with an expectation exactly at the tolerance strongly skewed seeds are still called present too
    often. Where skew is expected, declare the median.
    """
    anytime = 1 / alpha
    if seeds < 8:
        return anytime
    if abs(skew) <= 0.3 and alpha == _CAPPED_AT:
        caps = [cap for cap in _CAPPED if cap >= max_seeds]
        return _CAPPED[caps[0]] if caps else anytime
    if abs(skew) <= 0.7:
        return anytime
    return anytime if seeds >= 16 and abs(skew) <= 1.8 else np.inf


def _log_mean_exp(logs: Floats) -> float:
    top = float(np.max(logs))
    return top if np.isinf(top) else top + float(np.log(np.mean(np.exp(logs - top))))
