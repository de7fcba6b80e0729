"""The exponent with which a discrepancy shrinks, judged from what each seed shows: never from logarithms of noise."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np

from idealab.judge.cells import OFF_SCALE, Cell, Evidence
from idealab.judge.evidence import Floats, log_evidence_positive

_GRID = np.linspace(-8.0, 8.0, 3201)
"""Exponents among which the fit is looked for."""


def _log_evidence(values: Floats) -> float:
    mean = float(np.mean(values))
    return log_evidence_positive(mean, float(np.sum((values - mean) ** 2)), len(values))


def fitted_exponents(log_axis: Floats, means: Floats, weights: Floats) -> Floats:
    """Exponents q that minimise ``sum_k w_k (D_k - c N_k^q)^2`` over c and q.

    Parameters
    ----------
    log_axis
        ln N, shape (k,).
    means
        Signed discrepancies D, shape (k, m): m fits at once.
    weights
        Shape (k,).

    Returns
    -------
    ndarray
        Shape (m,), to a few thousandths; the fit is a maximum of ``(sum w v D)^2/sum w v^2`` over a grid.
    """
    v = np.exp(np.outer(_GRID, log_axis - np.mean(log_axis)))
    explained = (v * weights) @ means / np.sqrt(np.sum(weights * v**2, axis=1))[:, None]
    return _GRID[np.argmax(explained**2, axis=0)]


@dataclass(frozen=True)
class ApproachCell(Cell):
    """The exponent q of ``E D_N = c N^q`` against a band, from signed discrepancies of each seed.

    For a hypothetical exponent q the contrast ``z = sum_k w_k (ln N_k - centre) N_k^q D_k``, with the centre at which
    it vanishes for exactly that power law, has an expectation of the sign of c where the true exponent lies above q,
    and of the other sign below. So each edge of the band is a statement about the mean over seeds of one number, and
    the t e-process decides it, whatever correlates the points of one seed. The sign of c takes evidence of its own:
    without it the rate is not resolvable, and pure noise confirms no exponent.

    Parameters
    ----------
    log_axis
        ln N, shape (k,).
    discrepancies
        ``y - ideal``, shape (k, s); NaN for a seed that gave no finite number.
    weights
        Inverse variances, from the first four seeds, shape (k,).
    """

    log_axis: Floats = field(default_factory=lambda: np.empty(0))
    discrepancies: Floats = field(default_factory=lambda: np.empty((0, 0)))
    weights: Floats = field(default_factory=lambda: np.empty(0))

    @classmethod
    def of(cls, log_axis: Floats, discrepancies: Floats, exponent: Floats, band: Floats) -> ApproachCell:
        """Build the cell; ``exponent`` and ``band`` have shape (s,), and so have the jackknife's values reported."""
        lost = ~np.isfinite(discrepancies).all(axis=0)
        kept, seeds = discrepancies[:, ~lost], discrepancies.shape[1]
        first = kept[:, :4]
        spread = np.std(first, axis=1, ddof=1) if first.shape[1] > 1 else np.ones(len(log_axis))
        floor = 1e-9 * max(float(np.max(np.abs(first), initial=0)), 1e-300)
        weights = 1 / np.maximum(spread, floor) ** 2
        weights = weights / np.max(weights)
        measured = np.full(seeds, np.nan)
        count = kept.shape[1]
        if count:
            whole = np.mean(kept, axis=1)
            others = (count * whole[:, None] - kept) / (count - 1) if count > 1 else kept
            fits = fitted_exponents(log_axis, np.column_stack([whole, others]), weights)
            measured[~lost] = count * fits[0] - (count - 1) * fits[1:]
        with np.errstate(all="ignore"):
            deviations = np.clip((measured - exponent) / band, -OFF_SCALE / 2, OFF_SCALE / 2)
        deviations = np.where(lost, OFF_SCALE, np.where(np.isfinite(exponent) & (band > 0), deviations, np.nan))
        return cls(
            exponent,
            measured,
            band,
            deviations,
            "rate",
            log_axis=log_axis,
            discrepancies=discrepancies,
            weights=weights,
        )

    def evidence(self, seeds: int) -> Evidence:
        """Log evidence for the exponent against the edges of the band, and for c being above or below zero."""
        used = self.discrepancies[:, :seeds]
        kept = used[:, np.isfinite(used).all(axis=0)]
        if kept.shape[1] < 2:
            return -math.inf, -math.inf, -math.inf, -math.inf
        exponent, band = float(np.mean(self.predicted[:seeds])), float(np.mean(self.tolerances[:seeds]))
        amplitude = self._power(exponent) * self.weights @ kept
        upper, lower = self._contrast(exponent + band) @ kept, self._contrast(exponent - band) @ kept
        claims = (-upper, lower, upper, -lower)
        # Both signs of c are looked at, hence the logarithm of two.
        signs = [(sign, _log_evidence(sign * amplitude)) for sign in (1, -1)]
        found = [max(min(sure, _log_evidence(sign * z)) for sign, sure in signs) - math.log(2) for z in claims]
        return found[0], found[1], found[2], found[3]

    def _power(self, exponent: float) -> Floats:
        return np.exp(exponent * (self.log_axis - np.mean(self.log_axis)))

    def _contrast(self, exponent: float) -> Floats:
        """Weights of the points, orthogonal to the power law itself, positive for a larger exponent."""
        v = self._power(exponent)
        centre = np.sum(self.weights * v**2 * self.log_axis) / np.sum(self.weights * v**2)
        return self.weights * v * (self.log_axis - centre)
