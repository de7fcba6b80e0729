"""How many seeds a decision takes: before a run from a pilot, and after one that stopped undecided."""

from __future__ import annotations

import math

import numpy as np
from scipy.special import chdtri, ndtri  # pyright: ignore[reportMissingTypeStubs]

from idealab.judge.cells import OFF_SCALE, Cell, Estimand, Evidence, RefinedCell
from idealab.judge.evidence import LOOKS, Floats, log_evidence_majority, log_evidence_positive

PILOT = 4
"""Seeds of a pilot; they are the first seeds of the run that follows."""

POWER = 0.9
TYPICAL = 0.5
"""The deviation, in tolerances, at which a cell is to be decided with that power."""

INFLATION = 1.73
"""How much larger than the pilot's standard deviation the true one is taken to be: four seeds see little of it."""

FEWEST = {"mean": 4, "median": 7, "every": 7}
"""Seeds that an estimand takes even without noise."""

_ALPHA = 0.05
_HORIZON = 10**6


def seeds_for(spread: float, distance: float = TYPICAL, power: float = POWER) -> int:
    """Seeds after which a cell is decided: ``max(4, ceil(((z_0.95 + z_power) rho/(1 - d))^2 + 1.5))``.

    Parameters
    ----------
    spread
        Standard deviation over seeds, in tolerances: rho.
    distance
        Expected deviation in tolerances, d; beyond one it is the distance from the edge that counts.
    power
        Probability of a decision, as of an equivalence test with so many seeds (Schuirmann 1987).
    """
    room = max(abs(1 - abs(distance)), 1e-9)
    wanted = ((ndtri(1 - _ALPHA) + ndtri(power)) * spread / room) ** 2 + 1.5
    return max(4, math.ceil(min(wanted, _HORIZON)))


def reachable(spread: float, seeds: int, power: float = POWER) -> float:
    """The tolerance, in units of the declared one, that so many seeds decide with that power; `seeds_for` turned round.

    Infinite for fewer than four seeds.
    """
    if seeds < 4:
        return math.inf
    return spread * float(ndtri(1 - _ALPHA) + ndtri(power)) / (1 - TYPICAL) / math.sqrt(seeds - 1.5)


def seeds_to_see(error: float, variation: float, tolerance: float, threshold: float = 20.0) -> float:
    """Seeds after which one pooled amplitude shows a constant relative error.

    Parameters
    ----------
    error
        The relative error of the theory, epsilon: it predicts 1 + epsilon times the truth.
    variation
        Coefficient of variation of the pooled amplitude over seeds.
    tolerance
        That of the amplitude.
    threshold
        Evidence needed.

    Returns
    -------
    float
        ``4 + 2.8 ln(threshold) (CV/(1 + eps)/gap)^2`` with ``gap = |eps/(1 + eps)| - tol``; infinite without a gap.
    """
    gap = abs(error / (1 + error)) - tolerance
    return 4 + 2.8 * math.log(threshold) * (variation / (1 + error) / gap) ** 2 if gap > 0 else math.inf


def spread_of(cell: Cell) -> float:
    """Standard deviation of a seed in tolerances, lost seeds apart; for a median from the median absolute one."""
    kept = _kept(cell)
    if len(kept) < 2:
        return 0.0
    if cell.estimand == "median":
        # 1.48 for normal seeds, and sqrt(pi/2) for the lesser efficiency of the median.
        return 1.858 * float(np.median(np.abs(kept - np.median(kept))))
    return float(np.std(kept, ddof=1))


def seeds_planned(cell: Cell) -> tuple[int, int, int]:
    """Seeds that a cell will take, from a pilot: what to plan with, and an 80 % interval from the pilot's few seeds."""
    if isinstance(cell, RefinedCell):
        return 1, 1, 1
    fewest = FEWEST[cell.estimand]
    if cell.estimand == "every":
        return fewest, fewest, fewest
    spread, degrees, distance = spread_of(cell), max(cell.seeds - 1, 1), _distance(cell)
    factors = [math.sqrt(degrees / chdtri(degrees, tail)) for tail in (0.1, 0.9)]
    low, high = (max(fewest, seeds_for(spread * factor, distance)) for factor in factors)
    return max(fewest, seeds_for(spread * INFLATION, distance)), low, high


def fixed_design(cell: Cell) -> int:
    """Seeds that a design fixed beforehand takes for the same power, had it known the spread that was then seen."""
    if isinstance(cell, RefinedCell):
        return 1
    return max(FEWEST[cell.estimand], seeds_for(spread_of(cell), _distance(cell)))


def _distance(cell: Cell) -> float:
    """The deviation to plan with: how far inside is not known from a few seeds, but far outside is seen."""
    kept = _kept(cell)
    centre = float(np.median(kept)) if len(kept) else 0.0
    outside = centre > 1 + TYPICAL if cell.one_sided else abs(centre) > 1 + TYPICAL
    return abs(centre) if outside else TYPICAL


def _kept(cell: Cell) -> Floats:
    """The deviations of the seeds that gave a finite number."""
    return cell.deviations[np.isfinite(cell.deviations) & (cell.deviations < OFF_SCALE)]


def seeds_to_decide(cell: Cell, cells: int, alpha: float = _ALPHA) -> int | None:
    """Seeds in all at which an undecided cell is decided, if the further ones are like those that it has.

    Parameters
    ----------
    cells
        How many cells are judged in all, as in `Rules`.

    Returns
    -------
    int or None
        None where no number up to a million would do: the mean lies on the edge of the band.
    """
    kept = _kept(cell)
    if len(kept) < 2 or isinstance(cell, RefinedCell) or cell.held:
        return None
    present, absent = math.log(1 / alpha), math.log(2 * cells / alpha)
    for seeds in (*LOOKS, *(int(n) for n in np.geomspace(LOOKS[-1], _HORIZON, 60))):
        if seeds > cell.seeds:
            below, above, beyond, beneath = _evidence_of_more(kept, cell.estimand, seeds)
            sides = (below, beyond) if cell.one_sided else (min(below, above), max(beyond, beneath))
            if sides[0] >= present or sides[1] >= absent:
                return seeds
    return None


def _evidence_of_more(kept: Floats, estimand: Estimand, seeds: int) -> Evidence:
    """The evidence of so many seeds with the mean and the spread, or for a median the shares, of these."""
    if estimand == "mean":
        mean, squares = float(np.mean(kept)), float(np.var(kept)) * seeds
        below, above, beyond, beneath = (
            log_evidence_positive(edge, squares, seeds) for edge in (1 - mean, mean + 1, mean - 1, -1 - mean)
        )
        return below, above, beyond, beneath
    shares = (np.mean(kept < 1), np.mean(kept > -1), np.mean(kept > 1), np.mean(kept < -1))
    below, above, beyond, beneath = (log_evidence_majority(int(share * seeds), seeds) for share in shares)
    return below, above, beyond, beneath


def next_cap(seeds: int) -> int:
    """The cap to declare for so many planned seeds: a third more, at a number of seeds that is looked at."""
    wanted = math.ceil(1.35 * seeds)
    return next((look for look in LOOKS if look >= wanted), wanted)
