from __future__ import annotations

import math
from dataclasses import replace

from idealab.export.tables import tables_of
from idealab.ledger import Ledger
from idealab.report.recorded import verification


def read_back(kept):
    return verification(kept.verification, kept.ledger.get(kept.verification))


def laid_out(kept):
    return tables_of(read_back(kept), kept.ledger.get(kept.verification)["parents"], kept.ledger)


def tables(kept):
    return {table.name: [dict(zip(table.columns, row, strict=True)) for row in table.rows] for table in laid_out(kept)}


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
    shown = toy.verify(seeds=8)
    ledger = Ledger(toy.ledger)
    found = {t.name: t.rows for t in tables_of(shown, ledger.get(shown.record)["parents"], ledger)}
    assert len(found["signatures"]) == len(shown.signatures)
    sources = [*shown.signatures, *(s for c in shown.controls for s in c.signatures)]
    sources += [control.rival for control in shown.controls if control.rival]
    assert len(found["cells"]) == sum(len(source.cells) for source in sources)
    assert len(found["controls"]) == len(shown.controls)
    assert not [row for name in ("signatures", "cells", "controls") for row in found[name] if None in row]
    height = [row for row in found["observations"] if row[6] == "height"]
    assert len(height) == len({(row[0], row[1], row[4]) for row in height}), "a number for each seed and condition"


def test_a_killed_mutant_has_no_formula(kept) -> None:
    rows = tables(kept)["mutants"]
    assert [(row["status"], row["formula"]) for row in rows] == [("survived", "-log(p)"), ("killed", "")]


def test_what_is_no_unicode_becomes_it(kept) -> None:
    found = replace(read_back(kept), controls=(replace(read_back(kept).controls[0], statement="\ud800"),))
    assert [row[2] for row in tables_of(found, [], kept.ledger)[2].rows] == ["?"]
