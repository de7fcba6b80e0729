"""From seeds to the decision on a cell: present, absent, or undecided so far."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from idealab.errors import DeclarationError
from idealab.judge.evidence import (
    LOOKS,
    Floats,
    band_evidence,
    log_evidence_majority,
    log_thresholds,
    median_band_evidence,
    skewness,
)

CellVerdict = Literal["present", "absent", "undecided"]
Estimand = Literal["mean", "median", "every"]
Evidence = tuple[float, float, float, float]

OFF_SCALE = 1e6
"""The unit deviation that stands for a measurement that is not a finite number; finite ones stay below it."""


@dataclass(frozen=True)
class Rules:
    """What is declared about judging before the first run.

    Parameters
    ----------
    max_seeds
        Cap of seeds in a cell; there is no extension past it.
    cells
        How many cells are judged in all, over all signatures: *absent* must hold against every one of them.
    alpha
        Probability of a false *present* in a cell, and of any false *absent*.
    """

    max_seeds: int
    cells: int
    alpha: float = 0.05

    def __post_init__(self) -> None:
        if self.max_seeds < 4:
            raise DeclarationError(
                f"max_seeds={self.max_seeds} is too few to decide anything: evidence of 20 to 1 takes at least 4"
            )
        if not 0 < self.alpha < 1:
            raise DeclarationError(f"alpha={self.alpha!r} must lie between 0 and 1")

    @property
    def looks(self) -> tuple[int, ...]:
        """Numbers of seeds after which cells are looked at."""
        return (*(n for n in LOOKS if n < self.max_seeds), self.max_seeds)

    @property
    def absent_threshold(self) -> float:
        """Evidence needed for *absent*, at any time."""
        return 2 * self.cells / self.alpha


@dataclass(frozen=True)
class Cell:
    """One point at which measured and predicted are held together; arrays of shape (s,), one entry a seed.

    Parameters
    ----------
    predicted, measured, tolerances
        In the units of what is compared; for a vector, of each seed's worst component.
    deviations
        Unit deviations, (measured - predicted)/tolerance: NaN where the theory predicts no finite number, `OFF_SCALE`
        where the seed gave none.
    label
        What the cell is called within its condition.
    estimand
        What over seeds must lie within the band: their mean, their median, or every one of them.
    one_sided
        The claim is only that it lies below the upper edge of the band.
    held
        Words that say why seeds cannot decide this cell; it then stays undecided.
    """

    predicted: Floats
    measured: Floats
    tolerances: Floats
    deviations: Floats
    label: str = ""
    estimand: Estimand = "mean"
    one_sided: bool = False
    held: str = ""

    @property
    def seeds(self) -> int:
        """How many seeds there are."""
        return len(self.deviations)

    def evidence(self, seeds: int) -> Evidence:
        """Log evidence of the first ``seeds`` seeds: below the upper edge, above the lower, above the upper, below it.

        The first two together make *present*, either of the last two makes *absent*.
        """
        used = self.deviations[:seeds]
        if self.estimand == "every":
            inside = np.abs(used) <= 1
            most = log_evidence_majority(int(np.sum(inside)), len(used)) if inside.all() else -math.inf
            return most, math.inf, -math.inf if inside.all() else math.inf, -math.inf
        below, above, beyond, beneath = median_band_evidence(used) if self.estimand == "median" else band_evidence(used)
        return (below, math.inf, beyond, -math.inf) if self.one_sided else (below, above, beyond, beneath)

    def settled(self, seeds: int) -> Decision | None:
        """A decision that the first ``seeds`` seeds force without any evidence: what is not predicted is absent."""
        if np.isnan(self.deviations[:seeds]).any():
            words = "the prediction is not a finite number, or its tolerance is none above zero"
            return Decision("absent", seeds, -math.inf, math.inf, words, undefined=True)
        return None


@dataclass(frozen=True)
class RefinedCell(Cell):
    """A cell without chance: the same run at three refinements, coarsest first, in place of seeds.

    Extrapolated to the limit with the order that is observed (Richardson); what is left is bounded by the
    grid-convergence index with safety factor 1.25 (Roache 1994, eqs. 7 and 8). *Present* needs the deviation plus the
    index within the tolerance, *absent* the deviation less the index outside.

    Parameters
    ----------
    ratio
        Constant ratio of refinement, above one.
    """

    ratio: float = 2.0

    def settled(self, seeds: int) -> Decision | None:
        """The verdict of the three runs; nobody needs more of them."""
        found = super().settled(seeds)
        if found is not None or self.seeds < 3:
            return found
        lost = self.deviations >= OFF_SCALE
        if lost.any():
            words = f"{int(np.sum(lost))} of 3 refinements did not give a finite number"
            return Decision("absent", 3, -math.inf, math.inf, words)
        limit, index, words = self._extrapolated()
        if abs(limit) + index <= 1:
            return Decision("present", 3, math.inf, -math.inf, words)
        if abs(limit) - index > 1:
            return Decision("absent", 3, -math.inf, math.inf, words)
        return Decision("undecided", 3, 0.0, 0.0, f"{words}: refine further")

    def _extrapolated(self) -> tuple[float, float, str]:
        """Deviation in the limit, the bound on its error, and words."""
        coarse, middle, fine = map(float, self.deviations[-3:])
        first, second = middle - coarse, fine - middle
        rounding = 1e-12 * max(1.0, abs(fine))
        if abs(second) <= rounding:
            return fine, rounding, "no chance: refined until nothing moved"
        order = math.log(first / second) / math.log(self.ratio) if first / second > 0 else -math.inf
        if order < 0.5:
            # Not converging like a power of the refinement: what moved at all is what may still move.
            spread = float(np.ptp(self.deviations[-3:]))
            return fine, 3 * spread, f"no chance: three refinements do not converge (moved by {spread:.2g} tolerances)"
        left = second / (self.ratio**order - 1)
        words = f"no chance: extrapolated with order {order:.2f}, uncertain by {1.25 * abs(left):.2g} tolerances"
        return fine + left, 1.25 * abs(left), words


def unit_cell(deviations: Floats, estimand: Estimand = "mean", *, one_sided: bool = False) -> Cell:
    """A cell from unit deviations alone: predicted zero, with tolerance one."""
    return Cell(np.zeros(len(deviations)), deviations, np.ones(len(deviations)), deviations, "", estimand, one_sided)


@dataclass(frozen=True)
class Decision:
    """What the seeds of one cell say.

    ``seeds`` is how many were used when the cell was decided, ``evidence_log10`` is log10 of the weaker of the two
    one-sided pieces of evidence that the deviation lies inside the tolerance band, ``absent_log10`` of the stronger
    that it lies outside.
    """

    verdict: CellVerdict
    seeds: int
    evidence_log10: float
    absent_log10: float
    note: str = ""
    undefined: bool = False
    """The theory predicts no finite number here: a refutation of it, but no test of a rival."""


def judge_cells(cells: Sequence[Cell], rules: Rules) -> list[Decision]:
    """Decide the cells of one signature from the seeds recorded so far.

    Cells are looked at after the declared numbers of seeds; the first decision of a cell wins. A mean is guarded
    against the skewness of its cell's own seeds (`log_thresholds`), since other cells may differ in it; a median, and
    a claim about every seed, need no guard.

    Returns
    -------
    list of Decision
        In the order of the cells.
    """
    # A block may reach past the cap; what lies beyond it was not declared, and so not seen.
    watched = [_Watched(cell, min(cell.seeds, rules.max_seeds)) for cell in cells]
    for look in rules.looks:
        for watch in watched:
            if watch.decision is None and watch.seeds >= look:
                watch.look(look, rules)
    return [watch.result() for watch in watched]


class _Watched:
    """One cell while it is looked at."""

    def __init__(self, cell: Cell, seeds: int) -> None:
        self.cell, self.seeds = cell, seeds
        self.best = np.full(4, -np.inf)
        self.decision = cell.settled(seeds)

    def look(self, seeds: int, rules: Rules) -> None:
        now, needed = self.cell.evidence(seeds), self._needed(seeds, rules)
        self.best = np.maximum(self.best, now)
        # What is needed falls from look to look, so evidence is held against what is needed at its own look: small
        # samples must not pass afterwards. A seed that is lost leaves no evidence that the mean is near anything.
        if now[0] >= needed[0] and now[1] >= needed[1]:
            self.decision = self._say("present", seeds)
        elif now[2] >= needed[2] or now[3] >= needed[3]:
            self.decision = self._say("absent", seeds)

    def _needed(self, seeds: int, rules: Rules) -> Evidence:
        present, absent = 1 / rules.alpha, rules.absent_threshold
        if self.cell.estimand != "mean":
            return math.log(present), math.log(present), math.log(absent), math.log(absent)
        used = self.cell.deviations[:seeds]
        return log_thresholds(seeds, present, absent, skewness(used[used < OFF_SCALE]))

    def result(self) -> Decision:
        decision = self.decision or self._say("undecided", self.seeds)
        if self.cell.held:
            return Decision("undecided", decision.seeds, decision.evidence_log10, decision.absent_log10, self.cell.held)
        return decision

    def _say(self, verdict: CellVerdict, seeds: int) -> Decision:
        lost = int(np.sum(self.cell.deviations[:seeds] >= OFF_SCALE))
        note = f"{lost} of {seeds} seeds did not give a finite number" if lost else ""
        inside, outside = min(self.best[:2]) / math.log(10), max(self.best[2:]) / math.log(10)
        return Decision(verdict, seeds, float(inside), float(outside), note)
