"""Two records side by side."""

from __future__ import annotations

import math

import pytest

from idealab.errors import LedgerError, UsageError
from idealab.ledger import Ledger, digest
from idealab.ledger.compare import Number, close, compare, distance, largest_difference, numbers_of
from tests.ledger.conftest import batch, declaration, verification

CELL = {"condition": "a=1", "checkpoint": "t=2", "predicted": 1.0, "measured": 1.01, "standard_error": 0.001}
CELL |= {"tolerance": 0.1, "deviation": 0.1, "verdict": "present", "seeds": 8, "evidence_log10": 1.7}
WHERE = {"jax": "0.10", "master_seed": 0, "precision": "float64"}


def result(*cells, **changes):
    signature = {"experiment": "bench", "cells": [CELL | cell for cell in (cells or ({},))]}
    found = verification([digest(declaration())])["result"]
    signature = found["signatures"][0] | signature
    return found | {"evidence_log10": 1.7, "signatures": [signature], "environment": WHERE} | changes


@pytest.fixture
def ledger(tmp_path):
    return Ledger(tmp_path / "ledger")


@pytest.fixture
def compared(ledger):
    """Compares two verifications of these results."""

    def run(one, other, other_declaration=0):
        names = []
        for k, (found, number) in enumerate(((one, 0), (other, other_declaration))):
            top = ledger.put(declaration(number))
            names.append(
                ledger.put(
                    verification([top], result=found | {"declaration": top}, created=f"2026-01-0{k + 1}T00:00:00+00:00")
                )
            )
        return compare(ledger, *names)

    return run


def test_runs_that_say_the_same_agree(compared):
    found = compared(result(), result())
    assert (found.agree, found.cells, found.apart, found.largest) == (True, 1, (), 0.0)
    assert found.declaration == found.environment == found.conclusion == ()


def test_everything_that_differs_is_named(compared):
    other = result({"deviation": 0.4}, environment=WHERE | {"jax": "0.11", "master_seed": 1}, evidence_log10=2.0)
    found = compared(result(), other, other_declaration=5)
    assert [str(line) for line in found.declaration] == ["number: 0 became 5"]
    assert [line.where for line in found.environment] == ["jax", "master_seed"]
    assert [str(line) for line in found.conclusion] == ["evidence_log10: 1.7 became 2"]
    assert (found.agree, found.apart) == (True, ()), "within the tolerance"
    assert found.largest == pytest.approx(0.3)
    assert found.to_dict()["agree"] is True


@pytest.mark.parametrize(
    ("cell", "apart"),
    [
        ({"deviation": 0.9}, ""),
        ({"deviation": 1.2}, "1.1 tolerances apart"),
        ({"deviation": -0.9, "verdict": "undecided"}, ""),
        ({"deviation": 5.0, "verdict": "undecided", "standard_error": 10.0}, ""),
        ({"deviation": 5.0, "verdict": "undecided", "standard_error": math.nan}, "4.9 tolerances apart"),
        ({"deviation": 0.1, "verdict": "absent"}, "present and absent"),
    ],
)
def test_cells_agree_within_the_tolerance_or_by_chance(cell, apart):
    one, other = (next(iter(numbers_of(result(c)).values())) for c in ({}, cell))
    assert close(one, other) == close(other, one).replace("absent and present", "present and absent") == apart


def test_what_was_claimed_and_found_is_compared_too(compared):
    (signature,) = result()["signatures"]
    other = {**signature, "formula": "x = 42", "tolerance": "1e-12 relative", "reason": "because"}
    found = compared(result(), result(signatures=[other], statement="all is one", mutants={"total": 9, "killed": 9}))
    assert [line.where for line in found.conclusion] == [
        "statement",
        *(f"signatures.height in bench.{name}" for name in ("formula", "tolerance", "reason")),
        "mutants.total",
        "mutants.killed",
    ]


def test_where_the_theory_is_absent_in_both_it_is_no_matter_by_how_much(compared):
    far = ({"verdict": "absent", "deviation": 1e6}, {"verdict": "absent", "deviation": 7.0})
    found = compared(*(result(cell) for cell in far))
    assert (found.agree, found.apart) == (True, ())
    assert math.isnan(found.largest)


def test_what_is_further_apart_is_listed_and_they_do_not_agree(compared):
    found = compared(result(), result({"deviation": 3.0}))
    ((where, one, other),) = found.apart
    assert where == "height in bench, a=1, t=2"
    assert (one, other) == ("present, 0.1 tolerances off, 8 seeds", "present, 3 tolerances off, 8 seeds")
    assert not found.agree


def test_another_verdict_is_no_agreement_though_no_cell_is_apart(compared):
    found = compared(result(), result(verdict="inconclusive", gates=["a control"]))
    assert (found.agree, found.apart) == (False, ())


def test_cells_that_only_one_has_are_listed(compared):
    found = compared(result({}, {"condition": "a=2"}), result({}, {"condition": "a=3"}))
    assert found.alone == (("height in bench, a=2, t=2", "A"), ("height in bench, a=3, t=2", "B"))
    assert found.cells == 1


def test_under_different_tolerances_the_first_is_the_unit():
    one = Number(1.0, 1.05, 0.01, 0.1, 0.5, "present", 8)
    other = Number(2.0, 2.3, 0.01, 0.2, 1.5, "undecided", 8)
    assert distance(one, other) == pytest.approx(2.5)
    assert distance(other, one) == pytest.approx(1.25)


def test_controls_count_too(compared):
    (signature,) = result()["signatures"]
    control = {"assumption": "force", "statement": "", "experiment": "bench", "condition": "", "expected": "breaks"}
    control |= {"seen": "breaks", "signatures": [signature], "rival": {**signature, "name": "rival"}}
    found = compared(result(controls=[control]), result(controls=[control]))
    assert found.cells == 3


def test_declarations_are_compared_by_field(ledger):
    one, other = ledger.put(declaration(1)), ledger.put(declaration(2, idea="other"))
    found = compare(ledger, one, other)
    assert [str(line) for line in found.declaration] == ['idea: "toy" became "other"', "number: 1 became 2"]
    assert found.kind == "declaration"


def test_blocks_of_seeds_are_compared_number_by_number(ledger):
    top = ledger.put(declaration())

    def block(norm, **changes):
        return ledger.put(batch(top, observation={"parameters": {}, "observables": {"norm": norm}}, **changes))

    start = block([1.0, [2.0, math.nan][0]])
    near = compare(ledger, start, block([1.0, 2.0 + 1e-8], environment={"jax": "0.11"}))
    assert (near.agree, len(near.environment)) == (True, 1)
    assert near.largest == pytest.approx(5e-9)
    far = compare(ledger, start, block([1.0, 2.1]))
    assert (far.agree, far.apart) == (False, (("observables.norm", "0.0476 apart", "relative to the largest"),))
    assert not compare(ledger, start, block([1.0, math.inf])).agree
    assert compare(ledger, block([math.nan, 1.0]), block([math.nan, 1.0], seconds=2.0)).agree
    assert math.isinf(largest_difference({"parameters": {}, "observables": {}}, {"parameters": {}, "observables": {}}))


def test_two_kinds_are_not_compared(ledger):
    top = ledger.put(declaration())
    with pytest.raises(UsageError, match=r"is a declaration and .* a batch; give two of one kind"):
        compare(ledger, top, ledger.put(batch(top)))


def test_without_the_declaration_its_hash_is_compared(ledger):
    one, other = (ledger.put(verification([digest(declaration(k))])) for k in (8, 9))
    (line,) = compare(ledger, one, other).declaration
    assert line.where == "sha256"


def test_a_signature_or_a_cell_that_is_there_twice_is_one_clear_line(compared):
    (signature,) = result()["signatures"]
    with pytest.raises(
        LedgerError, match=r"does not say its result as this version does .*'height in bench, a=1, t=2'"
    ):
        compared(result(signatures=[signature, signature]), result())
    with pytest.raises(LedgerError, match=r"'height in bench, a=1, t=2' is there twice"):
        compared(result(), result({}, {"measured": 1.0}))
