"""What a verification found: the result that `verify` returns, the ledger keeps and reports draw."""

from __future__ import annotations

import dataclasses
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
    lies below one. ``seeds_to_decide`` is how many seeds in all would decide an undecided cell, as far as can be told.
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


@dataclass(frozen=True)
class SignatureResult:
    """One signature in one experiment."""

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
class Cost:
    """What it took. ``seconds`` is wall-clock; batches that were found in the ledger cost nothing again."""

    seconds: float
    seeds: int
    gradient_evaluations: float
    reused_seeds: int = 0
    fixed_design_seeds: int | None = None


@dataclass(frozen=True)
class Verification:
    """The verdict on an idea, and all that it rests on."""

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
    record: str | None = None

    def with_record(self, record: str) -> Verification:
        """The same verification, naming the ledger object that holds it."""
        return replace(self, record=record)

    def to_dict(self) -> dict[str, Any]:
        """One result of the document that ``verify --json`` prints."""
        fields = dataclasses.asdict(self)
        fields["environment"] = dict(self.environment)
        for control, source in zip(fields["controls"], self.controls, strict=True):
            control["ok"] = source.ok
        # Mutants are not looked for yet; the place in the document is theirs.
        return {**fields, "mutants": None}

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
