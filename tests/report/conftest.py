"""A verification as rich as a real one, built by hand, so that reports can be drawn without running anything."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from idealab.ledger import VERIFICATION, Ledger
from idealab.verification import (
    CellResult,
    ControlResult,
    Cost,
    CurveResult,
    MutantResult,
    MutationResult,
    SignatureResult,
    Verification,
)

CELL = CellResult(
    condition="kappa=1",
    checkpoint="log_t=13.8",
    predicted=1.0,
    measured=1.00003,
    standard_error=1e-5,
    tolerance=2e-4,
    deviation=0.15,
    verdict="present",
    evidence_log10=9.1,
    seeds=6,
)
SIGNATURE = SignatureResult(
    name="loss clock",
    statement="the loss counts time",
    experiment="planted",
    level="idealized",
    primary=True,
    formula="1",
    known="derived",
    criterion="Equals",
    tolerance="equals within 0.0002 relative",
    reason="the first correction is of that size",
    verdict="present",
    scope="",
    refuted_as_stated=False,
    evidence_log10=9.1,
    seeds=6,
    cells=(CELL, replace(CELL, condition="kappa=0.3", deviation=0.1)),
)
CONTROL = ControlResult(
    assumption="exponential tail",
    statement="the loss has an exponential tail",
    experiment="planted",
    condition="polynomial tail",
    expected="breaks",
    seen="breaks",
    signatures=(),
)


def signature(name: str, formula: str, predicted: float, measured: float, error: float, tolerance: float, **changes):
    """A signature whose cells are like the given one; its deviation follows from the numbers."""
    cell = replace(
        CELL,
        predicted=predicted,
        measured=measured,
        standard_error=error,
        tolerance=tolerance,
        deviation=(measured - predicted) / tolerance,
        **changes.pop("cell", {}),
    )
    cells = changes.pop("cells", (cell, replace(cell, condition="kappa=0.3", deviation=cell.deviation / 2)))
    return replace(SIGNATURE, name=name, formula=formula, cells=cells, **changes)


def idealized(experiment: str) -> tuple[SignatureResult, ...]:
    """The eight signatures of the idea page, in one experiment."""
    return tuple(
        replace(s, experiment=experiment)
        for s in (
            signature("loss clock", "1", 1.0, 1.00003, 1e-5, 2e-4),
            signature("norm growth", "1/γ", 2.0, 2.0004, 2e-4, 4e-3, evidence_log10=4.25, seeds=8),
            signature("entropy offset", "-Sum(p[n]·log(p[n]), (n, 0, N - 1))", 1.0362, 1.03621, 3e-6, 1e-3, seeds=4),
            signature("dual weights", "-log(p[n])", 1.3863, 1.38652, 0.0, 2e-3, seeds=4),
            signature("approach slope", "-Min(1, λ, θ - 1)", -0.5, -0.487, 0.004, 0.06, evidence_log10=1.8, seeds=20),
            signature("residual", "ρ", 0.0, 3.1e-13, 4e-14, 1e-6, seeds=5, evidence_log10=float("inf")),
            signature("margin gap", "1 - (H_inf + Λ)/√((H + Λ)² + R²·γ²)", 0.0213, 0.02131, 2e-6, 4e-5),
            signature("textbook gap", "γ·(H - H_inf)/log(τ)", 3.1e-3, 3.11e-3, 1e-6, 3.1e-5, primary=False),
        )
    )


def real(condition: str, **changes) -> CellResult:
    """A cell of the real-data experiment."""
    return replace(CELL, condition=condition, checkpoint="log_t=10000", **changes)


DIGITS = ("digits 0 against 1", "digits 3 against 8", "digits 4 against 9", "digits 1 against 7", "breast cancer")


def controls() -> tuple[ControlResult, ...]:
    """Ten controls, one with the theory of the broken case."""
    broken = signature("loss clock", "1", 1.0, 0.213, 1e-3, 2e-4, verdict="absent", cell={"verdict": "absent"})
    direction = signature("angle", "1/3", 1 / 3, 0.6132, 1e-4, 6e-3, verdict="absent", cell={"verdict": "absent"})
    rival = signature("angle", "3^(-b/(b + 2))", 0.6134, 0.6132, 1e-4, 6e-3)
    still = signature("margin gap", "1", 1.0, 1.0006, 2e-4, 2e-3)
    breaks = ("separability", "no weight decay", "classification loss", "float64", "small steps")
    same = ("loss reweighting", "start", "rotation of the data", "step size")
    return (
        replace(CONTROL, signatures=(direction,), rival=rival),
        *(replace(CONTROL, assumption=name, signatures=(broken,)) for name in breaks),
        *(
            replace(CONTROL, assumption=name, expected="does_not_matter", seen="does_not_matter", signatures=(still,))
            for name in same
        ),
    )


MUTANT = MutantResult("loss clock", "x2", "2 times", "2", "killed", 25.0, "planted, kappa=1", False)


@pytest.fixture
def mutants() -> MutationResult:
    """Of two signatures one mutant of every kind and more: killed, alive, unresolved, unseen, undefined, gating."""
    gap = replace(MUTANT, signature="margin gap", where="")
    return MutationResult(
        mutants=(
            MUTANT,
            replace(MUTANT, operator="sign", words="its sign", where="planted, kappa=0.3"),
            replace(gap, operator="x1/2", words="1/2 times", status="survived", distance=2.5, gates=True),
            *(
                replace(gap, operator="exponent x1.1", words=f"γ^{k} → γ^{k + 1}", status="survived", distance=1.5)
                for k in range(2, 9)
            ),
            replace(gap, operator="x1.05", words="1.05 times", status="unresolvable", distance=0.5),
            replace(gap, operator="log to power", words="log(t) → 3.4·t^0.07", status="unresolvable", distance=0.8),
            replace(gap, operator="symbol squared", words="R² for R", status="unseen", distance=0.0),
            replace(gap, operator="log to log log", words="log(τ) → log(log(τ))", status="undefined", distance=np.inf),
        ),
        equivalent=3,
        refused=("log(2) → 0: there is no faithful form",),
    )


@pytest.fixture
def build() -> SimpleNamespace:
    """The parts, for a test that needs a verification of its own."""
    return SimpleNamespace(CELL=CELL, SIGNATURE=SIGNATURE, CONTROL=CONTROL, signature=signature, real=real)


@pytest.fixture
def supported() -> Verification:
    """Eight signatures on planted and on random data, five data sets, ten controls, all as they must be."""
    digits = tuple(
        replace(s, experiment="digits", level="real data", cells=tuple(real(name, deviation=0.2) for name in DIGITS))
        for s in idealized("planted")[:6]
    )
    return Verification(
        idea="max_margin",
        statement="Gradient descent on separable data turns toward the L2 max-margin separator.",
        verdict="supported",
        scope="",
        evidence_log10=1.8,
        declaration="6f1c2a9e" + "0" * 56,
        signatures=(*idealized("planted"), *idealized("random data")[:3], *digits),
        controls=controls(),
        gates=(),
        remarks=(),
        cost=Cost(seconds=38.2, seeds=212, gradient_evaluations=3.1e9, reused_seeds=40, fixed_design_seeds=540),
        environment={"master_seed": 0, "platform": "cpu", "precision": "float64"},
        record="9ab41c77" + "0" * 56,
    )


@pytest.fixture
def troubled(supported: Verification) -> Verification:
    """The same with something of everything that can go wrong."""
    absent = replace(CELL, verdict="absent", measured=1.31, deviation=31.0, condition="kappa=0.1", seeds=8)
    lost = replace(
        CELL,
        verdict="undecided",
        measured=float("nan"),
        deviation=1e6,
        note="2 of 8 seeds did not give a finite number",
    )
    clock, norm, entropy, *rest = supported.signatures[:8]
    return replace(
        supported,
        verdict="partial",
        scope="loss clock in planted: present up to kappa=0.3, absent from kappa=0.1",
        signatures=(
            replace(
                clock,
                verdict="partial",
                cells=(*clock.cells, absent),
                scope="present up to kappa=0.3, absent from kappa=0.1",
                evidence_log10=-12.4,
            ),
            replace(norm, verdict="absent", cells=(absent,), evidence_log10=float("-inf")),
            replace(entropy, verdict="inconclusive", cells=(entropy.cells[0], lost)),
            replace(rest[0], rivals_standing=("logarithmic",)),
            *rest[1:],
            replace(
                clock,
                experiment="digits",
                level="real data",
                cells=(real(DIGITS[1]), real(DIGITS[4], verdict="absent", deviation=3.2)),
            ),
        ),
        controls=(
            replace(CONTROL, seen="does_not_matter"),
            replace(CONTROL, assumption="start", expected="does_not_matter", seen="undecided", signatures=(clock,)),
        ),
        gates=("control exponential tail: should break, did not matter",),
        remarks=("the budget was spent before every cell was decided",),
        record=None,
    )


@pytest.fixture
def whole(supported: Verification, mutants: MutationResult) -> Verification:
    """With seeds, mutants, times, and a power law."""
    cells = [replace(c, seed_deviations=(0.1, -0.2, 0.3)) for c in supported.signatures[0].cells]
    late = [replace(c, checkpoint="t=1e30", measured=c.predicted + 1e-9) for c in cells]
    first = replace(supported.signatures[0], cells=(*(replace(c, checkpoint="t=1e6") for c in cells), *late))
    law = replace(
        supported.signatures[4],
        criterion="Rate",
        curves=(CurveResult("", "width", ((64.0, 0.1, 0.01), (128.0, 0.05, 0.01), (256.0, 0.025, 0.01))),),
    )
    others = (*supported.signatures[1:4], law, *supported.signatures[5:])
    return replace(supported, signatures=(first, *others), mutants=mutants)


@pytest.fixture
def recorded(tmp_path: Path) -> Callable[[Verification], tuple[str, dict[str, Any]]]:
    """Put a verification into the ledger ``tmp_path/ledger``; return its name and what the ledger gives back."""

    def put(result: Verification, **changes: Any) -> tuple[str, dict[str, Any]]:
        ledger = Ledger(tmp_path / "ledger")
        document = {
            "schema": VERIFICATION,
            "parents": [result.declaration],
            "idea": result.idea,
            "created": "2026-01-31T12:00:00.000000+00:00",
            "result": replace(result, record=None).to_dict() | changes,
        }
        sha = ledger.put(document)
        return sha, ledger.get(sha)

    return put
