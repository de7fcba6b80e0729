"""From seeds to the decision on a cell: present, absent, or undecided so far."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from idealab.errors import DeclarationError
from idealab.judge.evidence import (
    FAR,
    LOOKS,
    Floats,
    Four,
    band_evidence,
    log_evidence_majority,
    log_thresholds,
    median_band_evidence,
    skewness,
)
from idealab.judge.futility import FROM, UNLIKELY, chance_of_decision

CellVerdict = Literal["present", "absent", "undecided"]
Estimand = Literal["mean", "median", "every"]

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
    gives_up
        Whether a cell that is unlikely to be decided by the cap gets no more seeds, and is not looked at again.
    """

    max_seeds: int
    cells: int
    alpha: float = 0.05
    gives_up: bool = True

    def __post_init__(self) -> None:
        if self.max_seeds < 4:
            raise DeclarationError(
                f"max_seeds={self.max_seeds} is too few to decide anything: evidence of 20 to 1 takes at least 4"
            )
        if not 0 < self.alpha < 1:
            raise DeclarationError(f"alpha={self.alpha!r} must lie between 0 and 1")

    @property
    def looks(self) -> tuple[int, ...]:
        """Numbers of seeds after which cells are looked at; past the last of `LOOKS` each a quarter more or so."""
        looks = list(LOOKS)
        while looks[-1] < self.max_seeds:
            looks.append(looks[-1] * 5 // 4)
        return (*(n for n in looks if n < self.max_seeds), self.max_seeds)

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
    remark
        Words that any decision but *absent* carries: what a cell that holds does not show.
    """

    predicted: Floats
    measured: Floats
    tolerances: Floats
    deviations: Floats
    label: str = ""
    estimand: Estimand = "mean"
    one_sided: bool = False
    held: str = ""
    remark: str = ""

    @property
    def seeds(self) -> int:
        """How many seeds there are."""
        return len(self.deviations)

    def evidence(self, seeds: int) -> Four:
        """Log evidence of the first ``seeds`` seeds: below the upper edge, above the lower, above the upper, below it.

        The first two together make *present*, either of the last two makes *absent*.
        """
        used = self.deviations[:seeds]
        if self.estimand == "every":
            inside = np.abs(used) <= 1
            most = log_evidence_majority(int(np.sum(inside)), len(used)) if inside.all() else -math.inf
            broken = self.violated(seeds) or not np.any(used < OFF_SCALE)
            return most, math.inf, math.inf if broken else -math.inf, -math.inf
        if self.estimand == "median":
            below, above, beyond, beneath = median_band_evidence(used)
        else:
            below, above, beyond, beneath = band_evidence(used)
            # Far outside, how far varies as much as the distance itself; cut off, it is outside all the same. The mean
            # of two pieces of evidence is one: where seeds scatter widely on both sides, the cut would take too much.
            if np.max(used) > FAR:
                beyond = _log_mean(beyond, band_evidence(np.minimum(used, FAR))[2])
            if np.min(used) < -FAR:
                beneath = _log_mean(beneath, band_evidence(np.maximum(used, -FAR))[3])
        return (below, math.inf, beyond, -math.inf) if self.one_sided else (below, above, beyond, beneath)

    def says(self, verdict: CellVerdict, seeds: int) -> str:
        """What a decision after so many seeds carries in words, beside the seeds that were lost."""
        return "" if verdict == "absent" else self.remark

    def violated(self, seeds: int) -> bool:
        """Whether one of the first ``seeds`` seeds lies outside the band.

        One that gave no number is no counterexample, but then not every one is known to hold.
        """
        used = self.deviations[:seeds]
        return bool(np.any((np.abs(used) > 1) & (used < OFF_SCALE)))

    def skewness(self, seeds: int) -> float:
        """Skewness of the first ``seeds`` seeds, against which a mean is guarded; lost ones apart."""
        used = self.deviations[:seeds]
        return skewness(used[used < OFF_SCALE])

    def settled(self, seeds: int) -> Decision | None:
        """A decision that the first ``seeds`` seeds force without any evidence: what is not predicted is absent."""
        if np.isnan(self.deviations[:seeds]).any():
            words = "the prediction is not a finite number, or its tolerance is none above zero"
            return Decision("absent", seeds, -math.inf, math.inf, words, lost=True)
        return None


@dataclass(frozen=True)
class RefinedCell(Cell):
    """A cell without chance: the same run at three refinements, coarsest first, in place of seeds.

    Extrapolated to the limit with the order that is observed (Richardson); what is left is bounded by the
    grid-convergence index with safety factor 1.25 (Roache 1994, eqs. 7 and 8; `extrapolated`). *Present* needs the
    deviation plus the index within the tolerance, *absent* the deviation less the index outside. A claim about every
    seed is one about every refinement, and nothing is extrapolated.

    Three runs cannot tell an order that is observed from one that comes about by terms that cancel: choose refinements
    that are all fine enough to be in the regime of one power.

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
        lost = int(np.sum(self.deviations >= OFF_SCALE))
        if lost:
            words = f"{lost} of 3 refinements did not give a finite number"
            # A step that is too coarse for the solver says nothing about the theory.
            found = self._found("absent", words) if lost == 3 else self._found("undecided", f"{words}: refine further")
            return replace(found, lost=True)
        if self.estimand == "every":
            inside = int(np.sum(np.abs(self.deviations) <= 1))
            return self._found("present" if inside == 3 else "absent", f"within the bound at {inside} of 3 refinements")
        limit, index, words = self.extrapolated()
        away = limit if self.one_sided else abs(limit)
        if away + index <= 1:
            return self._found("present", words)
        if away - index > 1:
            return self._found("absent", words)
        return self._found("undecided", f"{words}: refine further")

    def extrapolated(self) -> tuple[float, float, str]:
        """Return the deviation in the limit, the bound on its error, both in tolerances, and words.

        With the differences ``d1 = x2 - x1``, ``d2 = x3 - x2`` and the ratio r: order ``p = ln(d1/d2)/ln r``, limit
        ``x3 + d2/(r^p - 1)``, index ``1.25 |d2/(r^p - 1)|``. Where the differences do not shrink like a power between
        1/2 and 5, it is the last value, and three times the range of the three: Roache's factor for an unreasonable
        order, on the data range of Eça & Hoekstra 2008 (appendix 1).
        """
        first, second = np.diff(self.deviations[-3:]).tolist()
        fine = float(self.deviations[-1])
        size = float(np.max(np.abs([self.measured[-3:], self.predicted[-3:]]) / self.tolerances[-3:]))
        rounding = 32 * float(np.finfo(float).eps) * max(1.0, size)
        if abs(second) <= rounding:
            return fine, rounding, "three refinements: nothing moved in the last of them but by rounding"
        order = math.log(first / second) / math.log(self.ratio) if first / second > 0 else -math.inf
        if not 0.5 <= order <= 5:
            index = 3 * float(np.ptp(self.deviations[-3:]))
            words = f"three refinements that do not converge like a power (moved by {index / 3:.2g} tolerances)"
            return fine, index, words
        left = second / (self.ratio**order - 1)
        limit, index = fine + left, 1.25 * abs(left)
        words = f"three refinements, order {order:.2f}: in the limit {limit:.2g} tolerances off, +- {index:.2g}"
        return limit, index, words

    def _found(self, verdict: CellVerdict, words: str) -> Decision:
        inside, outside = {"present": (math.inf, -math.inf), "absent": (-math.inf, math.inf)}.get(verdict, (0.0, 0.0))
        note = "; ".join(filter(None, (words, self.says(verdict, 3))))
        return Decision(verdict, 3, inside, outside, note)


def _log_mean(one: float, other: float) -> float:
    return float(np.logaddexp(one, other)) - math.log(2)


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
    lost: bool = False
    """It rests on seeds that gave no finite number, measured or predicted: that says nothing against a rival."""
    given_up: bool = False
    """Undecided, and unlikely to be decided by the cap: it gets no more seeds."""


def judge_cells(cells: Sequence[Cell], rules: Rules) -> list[Decision]:
    """Decide the cells of one signature from the seeds recorded so far.

    Cells are looked at after the declared numbers of seeds; the first decision of a cell wins. One that is unlikely to
    be decided by the cap is given up. A mean is guarded against the skewness of its cell's own seeds
    (`log_thresholds`), since other cells may differ in it; a median, and a claim about every seed, need no guard.

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


def judge_at_once(cells: Sequence[Cell], rules: Rules) -> list[Decision]:
    """Decide cells from all their seeds, by evidence that holds whenever one stops: for runs that were put together.

    The thresholds of `judge_cells` fall with the number of seeds, and are calibrated for its looks and its first
    decision; they do not hold for a run that was added because another had not decided. The evidence itself does, as an
    e-process, which exceeds 1/alpha with probability alpha at most, at any stopping time (Ville's inequality): so it is
    looked at once, at the end, where it depends on no order, against the full ``1/alpha`` and ``2 K/alpha`` or what the
    skewness asks for, whichever is more. No cap applies, and nothing is given up.

    Returns
    -------
    list of Decision
        In the order of the cells.
    """
    found: list[Decision] = []
    for cell in cells:
        watch = _AtOnce(cell, cell.seeds)
        if watch.decision is None and cell.seeds >= LOOKS[0]:
            watch.look(cell.seeds, replace(rules, gives_up=False))
        found.append(watch.result())
    return found


class _Watched:
    """One cell while it is looked at."""

    def __init__(self, cell: Cell, seeds: int) -> None:
        self.cell, self.seeds = cell, seeds
        self.best = np.full(4, -np.inf)
        # What has no chance in it needs no look; seeds are judged as they come, so that blocks make no difference.
        whole = isinstance(cell, RefinedCell) or (cell.estimand == "every" and cell.violated(seeds))
        self.decision = None
        if whole:
            self.best = np.maximum(self.best, cell.evidence(max(seeds, 1)))
            self.decision = cell.settled(seeds) or (self._say("absent", seeds) if cell.estimand == "every" else None)

    def look(self, seeds: int, rules: Rules) -> None:
        self.decision = self.cell.settled(seeds)
        if self.decision is not None:
            return
        now, needed = self.cell.evidence(seeds), self._needed(seeds, rules)
        self.best = np.maximum(self.best, now)
        # What is needed falls from look to look, so evidence is held against what is needed at its own look: small
        # samples must not pass afterwards. A seed that is lost leaves no evidence that the mean is near anything.
        if now[0] >= needed[0] and now[1] >= needed[1]:
            self.decision = self._say("present", seeds)
        elif now[2] >= needed[2] or now[3] >= needed[3]:
            self.decision = self._say("absent", seeds)
        elif self._hopeless(seeds, rules):
            self.decision = replace(self._say("undecided", seeds), given_up=True)

    def _hopeless(self, seeds: int, rules: Rules) -> bool:
        plain = type(self.cell) is Cell and self.cell.estimand == "mean"
        if not (plain and rules.gives_up and FROM <= seeds < rules.max_seeds):
            return False
        used = self.cell.deviations[:seeds]
        if self.cell.one_sided or bool(np.any(used >= OFF_SCALE)):
            return False
        return chance_of_decision(used, rules.max_seeds, 1 / rules.alpha, rules.absent_threshold) < UNLIKELY

    def _needed(self, seeds: int, rules: Rules) -> Four:
        present, absent = 1 / rules.alpha, rules.absent_threshold
        if self.cell.estimand != "mean":
            return math.log(present), math.log(present), math.log(absent), math.log(absent)
        return log_thresholds(seeds, present, absent, self.cell.skewness(seeds))

    def result(self) -> Decision:
        decision = self.decision or self._say("undecided", self.seeds)
        later = int(np.sum(~(self.cell.deviations[decision.seeds : self.seeds] < OFF_SCALE)))
        if later and decision.verdict != "absent":
            words = f"{later} of the {self.seeds - decision.seeds} seeds after the decision gave no finite number"
            decision = replace(decision, note="; ".join(filter(None, (decision.note, words))))
        if self.cell.held:
            return Decision("undecided", decision.seeds, decision.evidence_log10, decision.absent_log10, self.cell.held)
        return decision

    def _say(self, verdict: CellVerdict, seeds: int) -> Decision:
        lost = int(np.sum(self.cell.deviations[:seeds] >= OFF_SCALE))
        notes = f"{lost} of {seeds} seeds did not give a finite number" if lost else "", self.cell.says(verdict, seeds)
        note = "; ".join(filter(None, notes))
        inside, outside = min(self.best[:2]) / math.log(10), max(self.best[2:]) / math.log(10)
        # A mean rests on every seed, the other two on what most of them say.
        rests = lost > 0 if self.cell.estimand == "mean" else 2 * lost >= seeds
        return Decision(verdict, seeds, float(inside), float(outside), note, lost=rests)


class _AtOnce(_Watched):
    """One cell, looked at once."""

    def _needed(self, seeds: int, rules: Rules) -> Four:
        below, above, beyond, beneath = super()._needed(seeds, rules)
        inside, outside = math.log(1 / rules.alpha), math.log(rules.absent_threshold)
        return max(below, inside), max(above, inside), max(beyond, outside), max(beneath, outside)
