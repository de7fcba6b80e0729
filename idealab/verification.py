"""What a verification found: the result that `verify` returns, the ledger keeps and reports draw."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from idealab.judge.cells import CellVerdict
from idealab.judge.verdict import IdeaVerdict, Seen, SignatureVerdict


@dataclass(frozen=True)
class CellResult:
    """One condition, at one checkpoint if there are any.

    ``predicted`` and ``measured`` are means over seeds (medians, where the criterion says so), in the units of the
    observable; for a vector, of each seed's worst component. ``standard_error`` is that of their difference, seed by
    seed; ``deviation`` is the difference in units of the ``tolerance``; a claim that is ``one_sided`` is only that it
    lies below one. ``seeds_to_decide`` is how many seeds in all would decide an undecided cell, as far as can be told;
    one that was ``given_up`` was unlikely to be decided by the cap, and got no more. ``seed_deviations`` are those of
    each seed that was judged (of each refinement, the coarsest first, where these stand for seeds), also in units of
    the tolerance.
    """

    condition: str
    checkpoint: str
    predicted: float
    measured: float
    standard_error: float
    tolerance: float
    deviation: float
    verdict: CellVerdict
    evidence_log10: float
    seeds: int
    note: str = ""
    one_sided: bool = False
    seeds_to_decide: int | None = None
    given_up: bool = False
    seed_deviations: tuple[float, ...] = ()

    @property
    def side(self) -> str:
        """Where the measured value must lie if only one side is claimed: ``>`` or ``<`` the predicted one, else empty.

        A claim of one side holds where the deviation is below one.
        """
        above = (1 - self.deviation) * (self.measured - self.predicted) if self.one_sided else math.nan
        return ">" if above > 0 else "<" if above < 0 else ""


@dataclass(frozen=True)
class CurveResult:
    """What a claim along an axis was made of, as far as it can be drawn: one condition, or all of them along a knob.

    ``points`` are (place on the axis, mean over seeds, its standard error), of the observable, or for a rate of
    approach of what is left to the ideal. The name of an axis of logarithms begins with ``log_``.
    """

    condition: str
    along: str
    points: tuple[tuple[float, float, float], ...]


@dataclass(frozen=True)
class SignatureResult:
    """One signature in one experiment; ``curves`` only of a claim along an axis."""

    name: str
    statement: str
    experiment: str
    level: str
    primary: bool
    formula: str
    known: str
    criterion: str
    tolerance: str
    reason: str
    verdict: SignatureVerdict
    scope: str
    refuted_as_stated: bool
    evidence_log10: float
    seeds: int
    cells: tuple[CellResult, ...]
    rivals_standing: tuple[str, ...] = ()
    recurs: bool = False
    curves: tuple[CurveResult, ...] = ()

    @property
    def weakest(self) -> CellResult:
        """The cell that is furthest from present: an absent one if there is any, else the largest deviation."""
        order = {"absent": 2, "undecided": 1, "present": 0}
        return max(self.cells, key=lambda cell: (order[cell.verdict], abs(cell.deviation)))


@dataclass(frozen=True)
class ControlResult:
    """What taking one assumption away did, against what the idea says it must do."""

    assumption: str
    statement: str
    experiment: str
    condition: str
    expected: Literal["breaks", "does_not_matter"]
    seen: Seen
    signatures: tuple[SignatureResult, ...]
    rival: SignatureResult | None = None

    @property
    def ok(self) -> bool:
        """Whether it did what it must, and the rival theory of the broken case, if there is one, was seen to hold."""
        return self.seen == self.expected and (self.rival is None or self.rival.verdict == "present")


@dataclass(frozen=True)
class MutantResult:
    """One wrong formula, held against the recorded observations.

    ``status`` is *killed*, *survived*, *unresolvable* (within the declared tolerance of the theory in every cell) or
    *unseen* (equal to the theory on every declared condition: a fault of the design) or *undefined* (it predicts no
    finite number in some cell, and so refutes itself, which is no merit of the experiment). ``distance`` is how far
    from the theory it is, in tolerances, in the cell where that is most; ``where`` is the cell that killed it. One that
    ``gates`` had to be killed, and holds the verdict back.
    """

    signature: str
    operator: str
    words: str
    formula: str
    status: Literal["killed", "survived", "unresolvable", "unseen", "undefined"]
    distance: float
    where: str
    gates: bool


@dataclass(frozen=True)
class MutationResult:
    """All mutants of the signatures that were measured; ``equivalent`` ones, the same function, are only counted."""

    mutants: tuple[MutantResult, ...]
    equivalent: int
    refused: tuple[str, ...]

    def having(self, status: str) -> list[MutantResult]:
        """Those of one status."""
        return [mutant for mutant in self.mutants if mutant.status == status]

    @property
    def score(self) -> float:
        """Share of all mutants that was killed; NaN without mutants."""
        return len(self.having("killed")) / len(self.mutants) if self.mutants else math.nan

    @property
    def resolvable_score(self) -> float:
        """Share of those that was killed which the declared tolerance can tell from the theory; NaN without any."""
        killed, survived = len(self.having("killed")), len(self.having("survived"))
        return killed / (killed + survived) if killed + survived else math.nan

    def to_dict(self) -> dict[str, Any]:
        """Counts, in full those that are not killed, and of the others all but their formulas."""
        counts = {name: len(self.having(name)) for name in ("killed", "unresolvable", "unseen", "undefined")}
        return {
            "total": len(self.mutants) + self.equivalent,
            "equivalent": self.equivalent,
            **counts,
            "score": self.score,
            "resolvable_score": self.resolvable_score,
            "survivors": [dataclasses.asdict(mutant) for mutant in self.having("survived")],
            "not_seen": [dataclasses.asdict(mutant) for mutant in self.having("unseen")],
            "not_resolved": [dataclasses.asdict(mutant) for mutant in self.having("unresolvable")],
            "refused": list(self.refused),
            "refuted": [
                _without_formula(mutant) for status in ("killed", "undefined") for mutant in self.having(status)
            ],
        }


def _without_formula(mutant: MutantResult) -> dict[str, Any]:
    return {name: value for name, value in dataclasses.asdict(mutant).items() if name != "formula"}


@dataclass(frozen=True)
class Cost:
    """What it took. ``seconds`` is wall-clock; batches that were found in the ledger cost nothing again."""

    seconds: float
    seeds: int
    gradient_evaluations: float
    reused_seeds: int = 0
    fixed_design_seeds: int | None = None


@dataclass(frozen=True)
class Earlier:
    """Runs of the same declaration on one master seed, before this one, as far as the ledger holds them.

    ``finished`` counts those that came to a verdict; ``verdict`` and ``record`` are of the last of these. None finished
    means that it was begun, and that something was observed.
    """

    master_seed: int
    finished: int
    verdict: str = ""
    record: str = ""

    def __str__(self) -> str:
        if not self.finished:
            return f"begun with master seed {self.master_seed}, never finished"
        times = "" if self.finished == 1 else f" {self.finished} times, last"
        return f"run with master seed {self.master_seed}{times}: {self.verdict} (record {self.record[:8]})"


@dataclass(frozen=True)
class Verification:
    """The verdict on an idea, and all that it rests on.

    ``hints`` name, for a refuted signature, wrong formulas that the same data support: where to look, and no result.
    ``cut_short`` says that a budget ended the run. ``earlier`` says how often the same declaration was run before.
    ``narrowed`` says, of a run that was asked for less than the idea's own experiments have, what it left out.
    """

    idea: str
    statement: str
    verdict: IdeaVerdict
    scope: str
    evidence_log10: float
    declaration: str
    signatures: tuple[SignatureResult, ...]
    controls: tuple[ControlResult, ...]
    gates: tuple[str, ...]
    remarks: tuple[str, ...]
    cost: Cost
    environment: Mapping[str, Any]
    mutants: MutationResult | None = None
    hints: tuple[str, ...] = ()
    cut_short: bool = False
    record: str | None = None
    earlier: tuple[Earlier, ...] = ()
    narrowed: tuple[str, ...] = ()

    @property
    def notes(self) -> tuple[str, ...]:
        """The remarks, and what was left out."""
        return (*self.remarks, *([f"of less than all: {'; '.join(self.narrowed)}"] if self.narrowed else []))

    def with_record(self, record: str) -> Verification:
        """The same verification, naming the ledger object that holds it."""
        return replace(self, record=record)

    def to_dict(self) -> dict[str, Any]:
        """One result of the document that ``verify --json`` prints."""
        fields = dataclasses.asdict(self)
        fields["environment"] = dict(self.environment)
        for control, source in zip(fields["controls"], self.controls, strict=True):
            control["ok"] = source.ok
        return {**fields, "mutants": None if self.mutants is None else self.mutants.to_dict()}

    def __str__(self) -> str:
        within = f", {self.scope}" if self.scope else ""
        return f"{self.idea}: {self.verdict}{within}, evidence 10^{self.evidence_log10:.1f}"

    def _repr_html_(self) -> str:
        """Return an HTML table for notebooks."""
        from idealab.report.notebook import verification_html

        return verification_html(self)

    def _repr_latex_(self) -> str:
        """Return a LaTeX tabular for notebooks."""
        from idealab.report.notebook import verification_latex

        return verification_latex(self)
