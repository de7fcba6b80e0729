"""How many seeds a decision takes: before a run from a pilot, and after one that stopped undecided."""

from __future__ import annotations

import math

import numpy as np
from scipy.special import chdtri, ndtri  # pyright: ignore[reportMissingTypeStubs]

from idealab.judge.approach import ApproachCell
from idealab.judge.cells import OFF_SCALE, Cell, Estimand, RefinedCell
from idealab.judge.evidence import (
    FAR,
    LOOKS,
    Floats,
    Four,
    log_evidence_majority,
    log_evidence_positive,
    log_thresholds,
    skewness,
)

PILOT = 4
"""Seeds of a pilot; they are the first seeds of the run that follows."""

POWER = 0.9
TYPICAL = 0.5
"""The deviation, in tolerances, at which a cell is to be decided with that power."""

INFLATION = 1.73
"""The true spread over seeds is less than so many times that of four seeds with probability 0.8."""

FEWEST = {"mean": 4, "median": 8, "every": 8}
"""Seeds that an estimand takes even without noise, looked at when `LOOKS` says."""

_FEWEST_FIXED = {"mean": 4, "median": 7, "every": 7}

_ALPHA = 0.05
_HORIZON = 10**6


def seeds_for(spread: float, distance: float = TYPICAL, power: float = POWER, alpha: float = _ALPHA) -> int:
    """Seeds of a test that finds a cell present: ``max(4, ceil(((z_(1 - alpha) + z) rho/(1 - |d|))^2 + 1.5))``.

    The normal approximation to the power of two one-sided t tests (Schuirmann 1987) of which one is near its edge; for
    d near zero both are, and the power is ``2 power - 1``. The sequential rule of `judge_cells` needs as many in the
    median from about twenty on, and more below, where it asks more of few seeds; it has that power at the cap of
    `next_cap`.

    Parameters
    ----------
    spread
        Standard deviation over seeds, in tolerances: rho, not negative.
    distance
        Expected deviation in tolerances, d; beyond one it is the distance from the edge that counts.
    power
        Probability of a decision, between 0 and 1; z is its normal quantile.
    alpha
        Probability of a false one at the edge, in this cell: for *absent* that of any false one, over twice the cells.

    Returns
    -------
    int
        A million where it would be more, or where the spread is not known.
    """
    room = max(abs(1 - abs(distance)), 1e-9)
    wanted = ((ndtri(1 - alpha) + ndtri(power)) * spread / room) ** 2 + 1.5
    return max(4, math.ceil(min(wanted, _HORIZON))) if math.isfinite(wanted) else _HORIZON


def seeds_to_see(error: float, variation: float, tolerance: float, threshold: float = 20.0) -> float:
    """Seeds after which one pooled amplitude shows a constant relative error, in the median and within a factor of two.

    Parameters
    ----------
    error
        The relative error of the theory, epsilon above -1: it predicts 1 + epsilon times the truth.
    variation
        Coefficient of variation of the pooled amplitude over seeds.
    tolerance
        That of the amplitude.
    threshold
        Evidence needed; ``2 K/alpha`` for *absent* among K cells.

    Returns
    -------
    float
        ``4 + 2.8 ln(threshold) (CV/(1 + eps)/gap)^2`` with ``gap = |eps/(1 + eps)| - tol``; infinite without a gap.
    """
    gap = abs(error / (1 + error)) - tolerance
    return 4 + 2.8 * math.log(threshold) * (variation / (1 + error) / gap) ** 2 if gap > 0 else math.inf


def spread_of(cell: Cell) -> float:
    """Standard deviation of a seed in tolerances, lost seeds apart; for a median from the median absolute one.

    Zero where fewer than two seeds are left.
    """
    kept = _kept(cell)
    if len(kept) < 2:
        return 0.0
    if cell.estimand == "median":
        # 1.48 for normal seeds, and sqrt(pi/2) for the lesser efficiency of the median.
        return 1.858 * float(np.median(np.abs(kept - np.median(kept))))
    return float(np.std(kept, ddof=1))


def seeds_planned(cell: Cell, cells: int = 1) -> tuple[int, int, int]:
    """Seeds that a cell will take, from a pilot, and an 80 % interval for them.

    Parameters
    ----------
    cells
        How many cells are judged in all, as in `Rules`: it counts where the pilot lies far outside.

    Returns
    -------
    tuple of int
        What to plan with: `seeds_for` with the spread that the true one stays below with probability 0.8, which is 1.73
        times that of four seeds; and the same with the ends of an 80 % interval for the spread (chi squared, for normal
        seeds). For a one-sided claim the distance from the edge is the pilot's, for others half a tolerance
        (`TYPICAL`), unless the pilot lies far outside.
    """
    if isinstance(cell, RefinedCell):
        return 1, 1, 1
    fewest = FEWEST[cell.estimand]
    if cell.estimand == "every":
        return fewest, fewest, fewest
    spread, degrees = spread_of(cell), max(len(_kept(cell)) - 1, 1)
    factors = [math.sqrt(degrees / chdtri(degrees, tail)) for tail in (0.8, 0.1, 0.9)]
    planned, low, high = (max(fewest, _seeds_of(cell, spread * factor, cells)) for factor in factors)
    return planned, low, high


def fixed_design(cell: Cell, cells: int = 1) -> int:
    """Seeds that a design fixed beforehand takes for the same power, had it known the spread that was then seen."""
    if isinstance(cell, RefinedCell):
        return 1
    if cell.estimand == "every":
        return _FEWEST_FIXED["every"]
    return max(_FEWEST_FIXED[cell.estimand], _seeds_of(cell, spread_of(cell), cells))


def _seeds_of(cell: Cell, spread: float, cells: int) -> int:
    distance = _distance(cell)
    return seeds_for(spread, distance, alpha=_ALPHA if distance <= 1 else _ALPHA / (2 * cells))


def _distance(cell: Cell) -> float:
    """The deviation to plan with: how far inside is not known from a few seeds, but far outside is seen."""
    kept = _kept(cell)
    if len(kept) < 2:
        return TYPICAL
    centre = float(np.median(kept)) if cell.estimand == "median" else float(np.mean(kept))
    error = spread_of(cell) / math.sqrt(len(kept))
    if cell.one_sided:
        # The tolerance of a claim about a direction is no size that deviations would have. By chance the pilot may lie
        # on the edge, which is no reason to plan for ever.
        room = min(max(abs(1 - centre), error), 1.0)
        return 1 + room if centre > 1 + 2 * error else 1 - room
    return abs(centre) if abs(centre) > 1 + max(TYPICAL, 2 * error) else TYPICAL


def _kept(cell: Cell) -> Floats:
    """The deviations of the seeds that gave a finite number, cut off as the judge does where most lie far outside."""
    kept = cell.deviations[np.isfinite(cell.deviations) & (cell.deviations < OFF_SCALE)]
    far = len(kept) > 0 and abs(float(np.median(kept))) > FAR
    return np.clip(kept, -FAR, FAR) if far else kept


def seeds_to_decide(cell: Cell, cells: int, alpha: float = _ALPHA) -> int | None:
    """Seeds in all at which an undecided cell is decided, if the further ones are like those that it has.

    Parameters
    ----------
    cells
        How many cells are judged in all, as in `Rules`.

    Returns
    -------
    int or None
        One of the `LOOKS`, or beyond them a number from a geometric grid. None where no number up to a million would
        do: the mean lies on the edge of the band, or seeds are lost, which more of them do not mend.
    """
    kept = _kept(cell)
    if len(kept) < 2 or isinstance(cell, RefinedCell) or cell.held:
        return None
    broken = cell.estimand != "median" and len(kept) < cell.seeds
    present, absent = 1 / alpha, 2 * cells / alpha
    nominal = (math.log(present),) * 2 + (math.log(absent),) * 2
    skew = skewness(kept) if len(kept) >= 8 else 0.0  # fewer do not know theirs
    for seeds in (*LOOKS, *(int(n) for n in np.geomspace(LOOKS[-1], _HORIZON, 60))):
        if seeds <= cell.seeds:
            continue
        needed = log_thresholds(seeds, present, absent, skew) if cell.estimand == "mean" else nominal
        more = cell.foreseen(seeds) if isinstance(cell, ApproachCell) else _foreseen(kept, cell.estimand, seeds)
        below, above, beyond, beneath = (found >= least for found, least in zip(more, needed, strict=True))
        if cell.one_sided:
            above, beneath = True, False
        if (below and above and not broken) or beyond or beneath:
            return seeds
    return None


def _foreseen(kept: Floats, estimand: Estimand, seeds: int) -> Four:
    """The evidence of so many seeds with the mean and the spread, or for a median the shares, of these."""
    if estimand == "mean":
        mean, squares = float(np.mean(kept)), float(np.var(kept, ddof=1)) * seeds
        below, above, beyond, beneath = (
            log_evidence_positive(edge, squares, seeds) for edge in (1 - mean, mean + 1, mean - 1, -1 - mean)
        )
        return below, above, beyond, beneath
    shares = (np.mean(kept < 1), np.mean(kept > -1), np.mean(kept > 1), np.mean(kept < -1))
    below, above, beyond, beneath = (log_evidence_majority(int(share * seeds), seeds) for share in shares)
    return below, above, beyond, beneath


def next_cap(seeds: int) -> int:
    """The cap to declare for so many planned seeds: half as many again and eight, at a number that is looked at.

    With the spread known it leaves one cell in ten undecided that is half a tolerance off (measured for rho from 0.2
    to 2: 88 to 100 % are present). A third more, which would do for evidence that is never guarded against skew,
    decides only half of the cells that take five seeds.
    """
    wanted = math.ceil(1.5 * seeds) + 8
    return next((look for look in LOOKS if look >= wanted), wanted)
