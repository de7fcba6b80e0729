"""The exponent with which a discrepancy shrinks, judged from what each seed shows: never from logarithms of noise."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from idealab.judge.cells import OFF_SCALE, Cell, CellVerdict
from idealab.judge.evidence import FAR, Floats, Four, log_evidence_positive, skewness

EXPONENTS = (-8.0, 8.0)
"""Between which exponents a fit is looked for."""

PILOT = 4
"""Seeds from which the weights of the points are taken."""

Bools = np.ndarray[tuple[int, ...], np.dtype[np.bool_]]

_STEPS = 3201
_RESOLVED = math.log(20)


def _log_evidence(values: Floats) -> float:
    mean = float(np.mean(values))
    return log_evidence_positive(mean, float(np.sum((values - mean) ** 2)), len(values))


def _powers(log_axis: Floats, exponents: Floats) -> Floats:
    """``N^q`` up to a factor for each exponent, the largest one: shape (k, q)."""
    logs = np.outer(log_axis - np.mean(log_axis), exponents)
    return np.exp(logs - np.max(logs, axis=0))


def _contrasts(log_axis: Floats, weights: Floats, exponents: Floats) -> Floats:
    """``w_k N_k^q (ln N_k - centre)``, the centre such that they vanish on ``N^q`` itself: shape (k, q)."""
    v = _powers(log_axis, exponents)
    squares = weights[:, None] * v**2
    centres = np.sum(squares * log_axis[:, None], axis=0) / np.sum(squares, axis=0)
    return weights[:, None] * v * (log_axis[:, None] - centres)


def fitted_exponent(log_axis: Floats, means: Floats, weights: Floats) -> float:
    """Exponent q that minimises ``sum_k w_k (D_k - c N_k^q)^2`` over c and q.

    Parameters
    ----------
    log_axis, means, weights
        ln N, the signed discrepancies D, and the weights of the points; shape (k,).

    Returns
    -------
    float
        Within `EXPONENTS`, to about 1e-7: the maximum of ``(sum w N^q D)^2/sum w N^2q`` on a grid, then between its
        neighbours (variable projection, Golub & Pereyra 1973).
    """
    low, high = EXPONENTS
    steps = _STEPS
    while high - low > 1e-7:
        grid = np.linspace(low, high, steps)
        v = _powers(log_axis, grid)
        explained = ((weights * means) @ v) ** 2 / np.sum(weights[:, None] * v**2, axis=0)
        best = int(np.argmax(explained))
        low, high = float(grid[max(best - 1, 0)]), float(grid[min(best + 1, steps - 1)])
        steps = 41
    return (low + high) / 2


def point_weights(log_axis: Floats, discrepancies: Floats) -> Floats:
    """Inverse variances of the points, from the first seeds: a power law is fitted to their spreads.

    Four seeds know a spread only to a factor of two, and a point whose spread they underestimate would outweigh the
    others. A single seed, of an experiment without chance, weighs relative errors: ``1/D^2``.

    Parameters
    ----------
    log_axis
        ln N, shape (k,).
    discrepancies
        Of seeds that gave finite numbers, shape (k, s).

    Returns
    -------
    ndarray
        Shape (k,), the largest one.
    """
    first = discrepancies[:, :PILOT]
    if first.shape[1] == 0:
        return np.ones(len(log_axis))
    size = np.max(np.abs(first), axis=1)
    floor = max(1e-12 * float(np.max(size)), 1e-300)
    logs: Floats = np.log(np.maximum(size if first.shape[1] == 1 else np.std(first, axis=1, ddof=1), floor))
    if first.shape[1] > 1:
        centred = log_axis - np.mean(log_axis)
        logs = float(np.mean(logs)) + centred * float(centred @ logs) / float(centred @ centred)
    return np.exp(2 * (float(np.min(logs)) - logs))


@dataclass(frozen=True)
class ApproachCell(Cell):
    """The exponent q of ``E D_N = c N^q`` against a band, from signed discrepancies of each seed.

    For a hypothetical exponent q the contrast ``z = sum_k w_k N_k^q (ln N_k - centre) D_k``, with the centre at which
    it vanishes for exactly that power law, has an expectation of the sign of c where the true exponent lies above q,
    and of the other sign below. So each edge of the band is a statement about the mean over seeds of one number, and
    the t e-process decides it, whatever correlates the points of one seed. The sign of c takes evidence of its own:
    ``sum_k w_k N_k^q D_k`` has it in expectation. A statement has the weaker of its two pieces of evidence, and half of
    the better one of the two signs, which is an e-value whatever c is, zero too: then neither sign is shown, the rate
    is not resolvable, and noise confirms no exponent.

    Deviations are ``(q_s - exponent)/band`` with ``q_s`` the fitted exponent plus the seed's influence on it: they are
    what is reported, planned with and guarded against skew, and no evidence is made of them.

    Parameters
    ----------
    log_axis
        ln N, shape (k,).
    discrepancies
        ``y - ideal``, shape (k, s); NaN for a seed that gave no finite number.
    weights
        Of the points, shape (k,): see `point_weights`.
    """

    log_axis: Floats = field(default_factory=lambda: np.empty(0))
    discrepancies: Floats = field(default_factory=lambda: np.empty((0, 0)))
    weights: Floats = field(default_factory=lambda: np.empty(0))

    @classmethod
    def of(cls, log_axis: Floats, discrepancies: Floats, exponent: Floats, band: Floats, lost: Bools) -> ApproachCell:
        """Build the cell from discrepancies of shape (k, s); ``exponent``, ``band`` and ``lost`` have shape (s,)."""
        finite = np.isfinite(discrepancies).all(axis=0)
        kept = discrepancies[:, finite]
        weights = point_weights(log_axis, kept)
        measured = np.full(len(exponent), np.nan)
        if kept.shape[1]:
            fitted = fitted_exponent(log_axis, np.mean(kept, axis=1), weights)
            measured[finite] = fitted + _influence(log_axis, kept, weights, fitted)
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

    def evidence(self, seeds: int) -> Four:
        """Log evidence for the exponent against the edges of the band, whichever sign c has."""
        return self._evidence(seeds, _log_evidence)

    def foreseen(self, seeds: int) -> Four:
        """The same of so many seeds in all, if the further ones are like those there are."""

        def foreseen(values: Floats) -> float:
            return log_evidence_positive(float(np.mean(values)), float(np.var(values, ddof=1)) * seeds, seeds)

        return self._evidence(self.seeds, foreseen)

    def _evidence(self, seeds: int, log_evidence: Callable[[Floats], float]) -> Four:
        numbers = self._numbers[:, :seeds]
        kept = np.isfinite(numbers[0])
        below, above, beyond, beneath = (-math.inf,) * 4
        if np.sum(kept) >= 2:
            # For each of the three numbers that its expectation is positive, and that it is negative.
            sign, lower, upper = ((log_evidence(x), log_evidence(-x)) for x in numbers[:, kept])
            below, above, beyond, beneath = (
                max(min(sign[0], edge[way]), min(sign[1], edge[1 - way])) - math.log(2)
                for edge, way in ((upper, 1), (lower, 0), (upper, 0), (lower, 1))
            )
        if not kept.all():
            # What is lost speaks as loudly as it does in any other cell.
            losses = log_evidence(np.where(kept, 0.0, FAR) - 1)
            below, above, beyond = -math.inf, -math.inf, float(np.logaddexp(beyond, losses)) - math.log(2)
        return below, above, beyond, beneath

    def skewness(self, seeds: int) -> float:
        """Skewness of the contrast for the middle of the band, towards larger exponents."""
        numbers = self._numbers[:, :seeds]
        size, lower, upper = numbers[:, np.isfinite(numbers[0])]
        return math.copysign(1.0, float(np.sum(size))) * skewness(lower + upper)

    def says(self, verdict: CellVerdict, seeds: int) -> str:
        """That the rate is not resolvable, where neither sign of the discrepancy has been shown."""
        if verdict != "undecided" or seeds < 2 or self.resolved(seeds):
            return super().says(verdict, seeds)
        return "rate not resolvable: the discrepancy to the ideal is not told from zero"

    def resolved(self, seeds: int) -> bool:
        """Whether the first ``seeds`` seeds show the sign of the discrepancy, with evidence of 20 to 1."""
        sizes = self._numbers[0, :seeds]
        sizes = sizes[np.isfinite(sizes)]
        return len(sizes) > 1 and max(_log_evidence(sizes), _log_evidence(-sizes)) - math.log(2) >= _RESOLVED

    @cached_property
    def _numbers(self) -> Floats:
        """For each seed the size of ``N^q`` in it, and the contrasts for both edges, shape (3, s); NaN where lost."""
        at, w, d = self.log_axis, self.weights, self.discrepancies
        size = np.sum(w[:, None] * _powers(at, self.predicted) * d, axis=0)
        edges = (self.predicted - self.tolerances, self.predicted + self.tolerances)
        return np.stack([size, *(np.sum(_contrasts(at, w, edge) * d, axis=0) for edge in edges)])


def _influence(log_axis: Floats, discrepancies: Floats, weights: Floats, exponent: float) -> Floats:
    """Derivative of the fitted exponent by each seed's share in the mean, shape (s,); its mean is zero."""
    at = np.array([exponent])
    v, contrast = _powers(log_axis, at)[:, 0], _contrasts(log_axis, weights, at)[:, 0]
    amplitude = (weights * v) @ np.mean(discrepancies, axis=1) / np.sum(weights * v**2)
    z = contrast @ discrepancies
    information = amplitude * (contrast @ (v * log_axis))
    with np.errstate(all="ignore"):
        return np.nan_to_num((z - np.mean(z)) / information, nan=0.0, posinf=1e300, neginf=-1e300)
