"""From seeds to cells, from cells to signatures, from signatures and controls to the idea."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from idealab.errors import DeclarationError
from idealab.judge.evidence import (
    LOOKS,
    Floats,
    band_evidence,
    median_band_evidence,
    present_threshold,
    skewness,
)

CellVerdict = Literal["present", "absent", "undecided"]
SignatureVerdict = Literal["present", "absent", "partial", "inconclusive"]
IdeaVerdict = Literal["supported", "refuted", "partial", "inconclusive"]
Seen = Literal["breaks", "does_not_matter", "undecided"]

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


def judge_cells(cells: Sequence[Floats], rules: Rules, estimand: str = "mean") -> list[Decision]:
    """Decide the cells of one signature from the unit deviations recorded so far.

    Cells are looked at after the declared numbers of seeds, with running maxima of the evidence; the first decision of
    a cell wins. The skewness that guards *present* is the mean over the cells, since one cell shows too few seeds.

    Parameters
    ----------
    cells
        For each cell its unit deviations, shape (s,), s as far as simulated. `OFF_SCALE` stands for a measurement that
        was not finite, NaN for a prediction that was not.
    rules
        Cap, number of cells, alpha.
    estimand
        ``"mean"`` or ``"median"`` over seeds; the median needs no guard against skew.

    Returns
    -------
    list of Decision
        In the order of the cells.
    """
    # A block may reach past the cap; what lies beyond it was not declared, and so not seen.
    judged = [_Cell(cell[: rules.max_seeds], estimand) for cell in cells]
    for look in rules.looks:
        open_cells = [cell for cell in judged if cell.decision is None and len(cell.deviations) >= look]
        if not open_cells:
            continue
        finite = [cell.deviations[:look] for cell in judged if len(cell.deviations) >= look]
        skew = float(np.mean([skewness(x[x < OFF_SCALE]) for x in finite])) if look >= 8 else 0.0
        present = present_threshold(look, rules.max_seeds, rules.alpha, skew) if estimand == "mean" else 1 / rules.alpha
        for cell in open_cells:
            cell.look(look, present, rules.absent_threshold)
    return [cell.result() for cell in judged]


class _Cell:
    """One cell while it is looked at."""

    def __init__(self, deviations: Floats, estimand: str) -> None:
        self.deviations = deviations
        self.median = estimand == "median"
        self.best = np.full(4, -np.inf)
        self.decision: Decision | None = None
        if np.isnan(deviations).any():
            self.decision = Decision(
                "absent",
                len(deviations),
                -math.inf,
                math.inf,
                "the prediction is not a finite number, or its tolerance is none above zero",
            )

    def look(self, seeds: int, present: float, absent: float) -> None:
        used = self.deviations[:seeds]
        self.best = np.maximum(self.best, median_band_evidence(used) if self.median else band_evidence(used))
        # Evidence from before a seed was lost must not outlive it: a mean over lost seeds is not near anything.
        lost = not self.median and bool(np.any(used >= OFF_SCALE))
        if min(self.best[:2]) >= math.log(present) and not lost:
            self.decision = self._say("present", seeds)
        elif max(self.best[2:]) >= math.log(absent):
            self.decision = self._say("absent", seeds)

    def result(self) -> Decision:
        return self.decision or self._say("undecided", len(self.deviations))

    def _say(self, verdict: CellVerdict, seeds: int) -> Decision:
        lost = int(np.sum(self.deviations[:seeds] >= OFF_SCALE))
        note = f"{lost} of {seeds} seeds did not give a finite number" if lost else ""
        inside, outside = min(self.best[:2]) / math.log(10), max(self.best[2:]) / math.log(10)
        return Decision(verdict, seeds, float(inside), float(outside), note)


@dataclass(frozen=True)
class SignatureConclusion:
    """The verdict on one signature in one experiment, with its scope along the knob."""

    verdict: SignatureVerdict
    scope: str = ""
    refuted_as_stated: bool = False
    recurs: bool = False


def conclude_signature(conditions: Sequence[tuple[str, Sequence[CellVerdict]]]) -> SignatureConclusion:
    """Combine cells into a signature.

    Parameters
    ----------
    conditions
        Label and cell verdicts (one for each checkpoint) of each condition, the most favourable condition first. A
        condition is present when all of its cells are (intersection-union), absent when any is absent.

    Returns
    -------
    SignatureConclusion
        *present*: all conditions present. *absent*: the most favourable is absent. *partial*: at least two leading ones
        present, then an absent one; the scope is the leading stretch. Otherwise *inconclusive*.
    """
    verdicts = [_combine(cells) for _, cells in conditions]
    if all(verdict == "present" for verdict in verdicts):
        return SignatureConclusion("present")
    refuted = "absent" in verdicts
    if verdicts[0] == "absent":
        return SignatureConclusion("absent", refuted_as_stated=True, recurs="present" in verdicts)
    leading = next(i for i, verdict in enumerate(verdicts) if verdict != "present")
    if leading >= 2 and refuted and "undecided" not in verdicts[: verdicts.index("absent")]:
        edge = f"present up to {conditions[leading - 1][0]}, absent from {conditions[leading][0]}"
        return SignatureConclusion("partial", edge, refuted_as_stated=True, recurs="present" in verdicts[leading:])
    return SignatureConclusion("inconclusive", refuted_as_stated=refuted)


def _combine(cells: Sequence[CellVerdict]) -> CellVerdict:
    if "absent" in cells:
        return "absent"
    return "present" if all(cell == "present" for cell in cells) else "undecided"


def seen_of(signatures: Sequence[SignatureVerdict]) -> Seen:
    """What taking an assumption away did: every signature failed, every one held, or neither is certain."""
    if not signatures:
        return "undecided"
    if all(verdict == "absent" for verdict in signatures):
        return "breaks"
    return "does_not_matter" if all(verdict == "present" for verdict in signatures) else "undecided"


@dataclass(frozen=True)
class Claim:
    """A signature's conclusion in one experiment, as the idea sees it."""

    name: str
    conclusion: SignatureConclusion
    idealized: bool
    where: str


@dataclass(frozen=True)
class IdeaConclusion:
    """The verdict on the idea, within which scope, and which gates lowered it."""

    verdict: IdeaVerdict
    scope: str = ""
    gates: tuple[str, ...] = ()
    remarks: tuple[str, ...] = field(default=())


def conclude_idea(claims: Sequence[Claim], gates: Sequence[str]) -> IdeaConclusion:
    """Combine the primary signatures and the gates into the verdict on the idea.

    The idealized model decides: all present is *supported*, any absent *refuted*, present and partial together are
    *partial*. Real data and networks can narrow a supported idea to the scope in which it was seen, or leave it
    *inconclusive*, never rescue or refute it. A gate (a control that did not do what it must) can only
    lower a verdict to *inconclusive*.

    Parameters
    ----------
    claims
        One for each primary signature in each experiment; where none is idealized, all decide.
    gates
        In words, what did not do what it must.
    """
    if not claims:
        return IdeaConclusion("inconclusive", remarks=("no primary signature was measured",))
    core = [claim for claim in claims if claim.idealized] or list(claims)
    beyond = [claim for claim in claims if claim not in core]
    absent = sorted({c.name for c in core if c.conclusion.verdict == "absent"})
    if absent:
        survivors = sorted({c.name for c in core if c.conclusion.verdict == "present"} - set(absent))
        left = f"; still standing: {', '.join(survivors)}" if survivors else ""
        return IdeaConclusion("refuted", remarks=(f"absent: {', '.join(absent)}{left}",))
    undecided = sorted({c.name for c in core if c.conclusion.verdict == "inconclusive"})
    if undecided:
        return IdeaConclusion("inconclusive", gates=tuple(gates), remarks=(f"undecided: {', '.join(undecided)}",))
    if gates:
        return IdeaConclusion("inconclusive", gates=tuple(gates))
    unsure = sorted({f"{c.name} {c.where}" for c in beyond if c.conclusion.verdict == "inconclusive"})
    if unsure:
        return IdeaConclusion("inconclusive", remarks=(f"undecided: {', '.join(unsure)}",))
    # A partial signature is present in two leading conditions at least, and those are the scope that it leaves.
    narrower = [f"{c.name} {c.where}: {_words(c.conclusion)}" for c in claims if c.conclusion.verdict != "present"]
    return IdeaConclusion("partial", scope="; ".join(narrower)) if narrower else IdeaConclusion("supported")


def _words(conclusion: SignatureConclusion) -> str:
    return conclusion.scope or conclusion.verdict
