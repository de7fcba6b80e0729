"""Seeds whose truth is known, judged by the public functions of `idealab.judge`; `calibration.py` sums them up."""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial

import numpy as np
from scipy.stats import nct, t as student

from idealab.judge.cells import Decision, Rules, judge_cells, unit_cell
from idealab.judge.verdict import Claim, IdeaConclusion, conclude_idea, conclude_signature

ALPHA, CAP = 0.05, 256
CAPS = (8, 16, 32, 64, 128, 256)
RHOS, DESIGNS = (0.1, 0.5, 1.0, 2.0), (1, 3, 8)
PLANS = ((0.5, 64), (1.0, 128), (2.0, 256))
"""Spread and cap of the ideas: planned as from a pilot, whose spread is taken 1.73 times; 256 is the last look."""

SIGNATURES, CELLS, BREAK = 3, 8, 6


def lognormal(rng, size, variation):
    """Lognormal seeds with this coefficient of variation, standardized."""
    s = math.sqrt(math.log1p(variation**2))
    return (np.exp(s * rng.standard_normal(size) - s**2 / 2) - 1) / variation


def stray(rng, size, share=0.05, far=10.0):
    """Normal seeds of which one in twenty is ten standard deviations off, standardized."""
    draws = rng.standard_normal(size) + far * (rng.random(size) < share)
    return (draws - far * share) / math.sqrt(1 + far**2 * share * (1 - share))


SYMMETRIC: dict[str, Callable] = {
    "normal": lambda rng, size: rng.standard_normal(size),
    "uniform": lambda rng, size: rng.uniform(-math.sqrt(3), math.sqrt(3), size),
    "Laplace": lambda rng, size: rng.laplace(size=size) / math.sqrt(2),
    "Student t, 3 df": lambda rng, size: rng.standard_t(3, size) / math.sqrt(3),
}
SKEWED: dict[str, Callable] = {
    "gamma(4), skew 1": lambda rng, size: rng.standard_gamma(4, size) / 2 - 2,
    "lognormal CV 50 %": partial(lognormal, variation=0.5),
    "exponential, skew 2": lambda rng, size: rng.standard_exponential(size) - 1,
}
BEYOND: dict[str, Callable] = {
    "lognormal CV 100 %": partial(lognormal, variation=1.0),
    "one in twenty stray": stray,
}
"""Where no look at the seeds could tell: the median is to be declared."""
SHAPES = SYMMETRIC | SKEWED | BEYOND


def stream(*names: object) -> np.random.Generator:
    """Independent randomness for everything that is named."""
    return np.random.default_rng([zlib.crc32(repr(name).encode()) for name in names])


def standard_error(share: float, count: int) -> float:
    """Binomial standard error of a share, of one that is not quite 0 or 1."""
    kept = min(max(share, 0.5 / count), 1 - 0.5 / count)
    return math.sqrt(kept * (1 - kept) / count)


# --- Cells -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class CellCase:
    """Designs of ``cells`` cells, all with the same expected deviation, at the one edge or the other."""

    shape: str
    tail: int
    """1: the long tail points out of the band, -1: into it."""
    rho: float
    cells: int
    deviation: float


@dataclass(frozen=True)
class CellRates:
    """What was said of so many cells; ``present`` by cap, in the order of `CAPS`."""

    case: CellCase
    count: int
    present: tuple[float, ...]
    absent: float

    @property
    def any_absent(self) -> tuple[float, float]:
        """Share of designs with any cell absent, and its standard error, from the cells: they are independent here."""
        return 1 - (1 - self.absent) ** self.case.cells, self.case.cells * standard_error(self.absent, self.count)


def pooled(rates: list[CellRates]) -> CellRates:
    """Several cases as one, under the name of the first: *present* does not know how many other cells there are."""
    count = sum(found.count for found in rates)
    present = np.average([found.present for found in rates], axis=0, weights=[found.count for found in rates])
    absent = np.average([found.absent for found in rates], weights=[found.count for found in rates])
    return CellRates(rates[0].case, count, tuple(map(float, present)), float(absent))


def judge_case(case: CellCase, repetitions: int, seed: int) -> CellRates:
    """Judge enough designs for so many cells."""
    rng, rules = stream(seed, case), Rules(CAP, case.cells, ALPHA)
    decisions: list[Decision] = []
    for _ in range(math.ceil(repetitions / case.cells)):
        draws = case.deviation + case.rho * case.tail * SHAPES[case.shape](rng, (case.cells, CAP))
        edges = rng.choice([-1, 1], (case.cells, 1))
        decisions += judge_cells([unit_cell(row) for row in edges * draws], rules)
    called = np.array([d.seeds if d.verdict == "present" else math.inf for d in decisions])
    absent = float(np.mean([d.verdict == "absent" for d in decisions]))
    return CellRates(case, len(decisions), tuple(float(np.mean(called <= cap)) for cap in CAPS), absent)


def cell_cases(deviation: float, designs: Iterable[int]) -> list[CellCase]:
    """All shapes, both ways round where that makes a difference."""
    return [
        CellCase(shape, tail, rho, cells, deviation)
        for shape in SHAPES
        for tail in ((1,) if shape in SYMMETRIC else (1, -1))
        for rho in RHOS
        for cells in designs
    ]


# --- Ideas -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Truth:
    """Expected deviations, shape (signatures, cells), the shape of the seeds, and what the verdict should be."""

    name: str
    right: str
    """Empty where no verdict would be right."""
    deviations: tuple[tuple[float, ...], ...]
    shape: str = "normal"


def truths() -> list[Truth]:
    """What VERDICT.md lists."""
    level = lambda d: ((d,) * CELLS,) * SIGNATURES
    one_off = lambda d: ((d,) * CELLS, *level(0.0)[1:])
    broken = lambda d: ((0.0,) * (BREAK - 1) + (d,) * (CELLS - BREAK + 1),) * SIGNATURES
    return [
        Truth("exact", "supported", level(0.0)),
        Truth("half a tolerance off", "supported", level(0.5)),
        Truth("exactly at tolerance", "", level(1.0)),
        Truth("one signature 1.5 off", "refuted", one_off(1.5)),
        Truth("one signature 2 off", "refuted", one_off(2.0)),
        Truth("broken from cell 6 by 1.5", "partial", broken(1.5)),
        Truth("broken from cell 6 by 2", "partial", broken(2.0)),
        Truth("exact, exponential", "supported", level(0.0), "exponential, skew 2"),
        Truth("exact, lognormal CV 50 %", "supported", level(0.0), "lognormal CV 50 %"),
        Truth("exact, Student t, 3 df", "supported", level(0.0), "Student t, 3 df"),
    ]


@dataclass(frozen=True)
class IdeaRates:
    """What was said of an idea so many times; ``cells`` counts the verdicts on cells as far off as the first."""

    truth: Truth
    rho: float
    repetitions: int
    verdicts: dict[str, int]
    scoped: int
    seeds: float
    cells: dict[str, int]

    @property
    def right(self) -> float:
        """Share of right verdicts, with the right scope where one is claimed."""
        return (self.scoped if self.truth.right == "partial" else self.verdicts[self.truth.right]) / self.repetitions


def judge_idea(truth: Truth, rho: float, cap: int, rng: np.random.Generator) -> tuple[IdeaConclusion, list[Decision]]:
    """One run of an idea: its conclusion, and the decisions on all of its cells, signature by signature."""
    rules, claims, all_decisions = Rules(cap, SIGNATURES * CELLS, ALPHA), [], []
    for index, means in enumerate(truth.deviations):
        draws = np.array(means)[:, None] + rho * SHAPES[truth.shape](rng, (CELLS, cap))
        decisions = judge_cells([unit_cell(row) for row in draws], rules)
        conclusion = conclude_signature([(f"c={i}", [d.verdict]) for i, d in enumerate(decisions, 1)])
        claims.append(Claim(f"signature {index}", conclusion, idealized=True, where="here"))
        all_decisions += decisions
    return conclude_idea(claims, ()), all_decisions


def judge_truth(truth: Truth, rho: float, cap: int, repetitions: int, seed: int) -> IdeaRates:
    """Judge the idea so many times."""
    rng = stream(seed, truth.name, rho)
    verdicts: dict[str, int] = dict.fromkeys(("supported", "refuted", "partial", "inconclusive"), 0)
    cells: dict[str, int] = dict.fromkeys(("present", "absent", "undecided"), 0)
    scoped, seeds = 0, 0
    edge = f"present up to c={BREAK - 1}, absent from c={BREAK}"
    for _ in range(repetitions):
        conclusion, decisions = judge_idea(truth, rho, cap, rng)
        verdicts[conclusion.verdict] += 1
        scoped += conclusion.verdict == "partial" and conclusion.scope.count(edge) == SIGNATURES
        seeds += sum(decision.seeds for decision in decisions)
        for decision, deviation in zip(decisions, np.ravel(truth.deviations), strict=True):
            cells[decision.verdict] += deviation == truth.deviations[0][0]
    return IdeaRates(truth, rho, repetitions, verdicts, scoped, seeds / repetitions / SIGNATURES / CELLS, cells)


def fixed_design(said: str, rho: float, missed: float) -> int:
    """Smallest n whose tests miss so seldom: *present* half a tolerance off, or *absent* at 1.5 tolerances."""
    level = ALPHA if said == "present" else ALPHA / (2 * SIGNATURES * CELLS)
    for n in range(4, 5000):
        needed, root = student.ppf(1 - level, n - 1), math.sqrt(n) / rho
        misses = nct.cdf(needed, n - 1, 0.5 * root)
        # The far edge is missed as well, and hardly ever.
        misses += nct.cdf(needed, n - 1, 1.5 * root) if said == "present" else 0.0
        if misses <= missed:
            return n
    raise ValueError(f"no design of fewer than 5,000 seeds misses less than {missed:.2g} at rho={rho}")
