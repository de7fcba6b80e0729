from __future__ import annotations

import csv
import math
from pathlib import Path

import pytest

from idealab.errors import UsageError
from idealab.export.tables import COLUMNS, Table, tables_of
from idealab.export.writers import inert, library, write_csv, write_parquet
from idealab.report.recorded import verification


def laid_out(kept):
    record = kept.ledger.get(kept.verification)
    return tables_of(verification(kept.verification, record), record["parents"], kept.ledger)


@pytest.mark.parametrize("text", ["=cmd", "+1", "-log(p)", "@SUM(A1)", "\t=1", "\r\n=1", " =1"])
def test_what_a_spreadsheet_takes_for_a_formula_is_not_one(text: str) -> None:
    assert inert(text) == "'" + text


@pytest.mark.parametrize("text", ["", "1/γ", "log(t) - 1", "<b>", "a=1"])
def test_other_text_stays_as_it_is(text: str) -> None:
    assert inert(text) == text


def test_csv_brings_back_every_cell(kept, tmp_path: Path) -> None:
    tables = laid_out(kept)
    write_csv(tables, tmp_path)
    for table in tables:
        with (tmp_path / f"{table.name}.csv").open(encoding="utf-8", newline="") as file:
            heading, *rows = csv.reader(file)
        assert heading == [*COLUMNS[table.name]]
        assert len(rows) == len(table.rows)
        for row, written in zip(table.rows, rows, strict=True):
            for value, text in zip(row, written, strict=True):
                if isinstance(value, str):
                    assert text in (value, f"'{value}")
                    assert not text.lstrip().startswith(("=", "+", "-", "@"))
                elif isinstance(value, float):
                    assert float(text) == value or math.isnan(value)
                else:
                    assert text == str(value).lower()


def test_parquet_brings_back_every_value_and_its_type(kept, tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet", reason="pyarrow is not installed")
    tables = laid_out(kept)
    write_parquet([*tables], tmp_path)
    for table in tables:
        read = parquet.read_table(tmp_path / f"{table.name}.parquet")
        assert read.column_names == [*table.columns]
        back = [tuple(row.values()) for row in read.to_pylist()]
        assert repr(back) == repr([*map(tuple, table.rows)])  # as text, in which NaN equals NaN


def test_an_empty_table_keeps_its_columns(tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet", reason="pyarrow is not installed")
    write_parquet([Table("mutants", [])], tmp_path)
    assert parquet.read_table(tmp_path / "mutants.parquet").column_names == [*COLUMNS["mutants"]]


def test_a_library_that_is_missing_is_named_with_its_extra() -> None:
    with pytest.raises(UsageError, match=r"^--format parquet needs no_such_arrow: pip install 'idealab\[parquet\]'"):
        library("no_such_arrow", "parquet")
