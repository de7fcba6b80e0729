from __future__ import annotations

import math

import pytest

from idealab.errors import LedgerError
from idealab.export.tables import COLUMNS, tables_of


def tables(kept):
    record = kept.ledger.get(kept.verification)
    return {
        table.name: [dict(zip(table.columns, row, strict=True)) for row in table.rows]
        for table in tables_of(record, kept.ledger)
    }


def test_every_observed_number_is_a_row_with_its_seed_and_place(kept) -> None:
    rows = tables(kept)["observations"]
    assert [(row["name"], row["seed"], row["index"], row["value"]) for row in rows if row["name"] == "gamma"] == [
        ("gamma", 4, "", 0.5),
        ("gamma", 5, "", -0.25),
    ]
    path = [(row["seed"], row["index"], row["value"]) for row in rows if row["name"] == "path"]
    assert path[0] == (4, "0,0", 1.5)
    assert path[1][:2] == (4, "1,0")
    assert math.isnan(path[1][2])
    assert path[2:] == [(5, "0,0", math.inf), (5, "1,0", -2.5)]
    assert {row["master_seed"] for row in rows} == {7}


def test_cells_tell_the_sweep_from_the_controls_and_their_rivals(kept) -> None:
    rows = tables(kept)["cells"]
    assert [(bool(row["assumption"]), row["name"][:6]) for row in rows] == [
        (False, "=cmd|'"),
        (True, "beside"),
        (True, "rival"),
    ]
    assert {row["deviation"] for row in rows} == {-11.0}


def test_what_a_record_says_of_a_real_run_is_all_there(toy) -> None:
    verification = toy.verify(seeds=8)
    from idealab.ledger import Ledger

    ledger = Ledger(toy.ledger)
    found = {t.name: t.rows for t in tables_of(ledger.get(verification.record), ledger)}
    assert len(found["signatures"]) == len(verification.signatures)
    sources = [*verification.signatures, *(s for c in verification.controls for s in c.signatures)]
    sources += [control.rival for control in verification.controls if control.rival]
    assert len(found["cells"]) == sum(len(source.cells) for source in sources)
    assert len(found["controls"]) == len(verification.controls)
    assert not [row for name in ("signatures", "cells", "controls") for row in found[name] if None in row]
    height = [row for row in found["observations"] if row[6] == "height"]
    assert len(height) == len({(row[0], row[1], row[4]) for row in height}), "a number for each seed and condition"


@pytest.mark.parametrize("name", ["signatures", "controls"])
@pytest.mark.parametrize("value", [3, "many", [3], {"a": 1}])
def test_a_record_that_is_laid_out_otherwise_is_refused(keep_result, name: str, value: object) -> None:
    with pytest.raises(LedgerError, match=f"the record's {name} are no list of objects"):
        tables(keep_result(**{name: value}))


def test_values_of_another_type_are_left_out(keep_result) -> None:
    rows = tables(keep_result(signatures=[{"name": 3, "primary": "yes", "seeds": 2.5, "evidence_log10": None}]))
    (row,) = rows["signatures"]
    assert set(row) == set(COLUMNS["signatures"])
    assert set(row.values()) == {None}
