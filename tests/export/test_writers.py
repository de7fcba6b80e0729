from __future__ import annotations

import csv
import math
import re
from pathlib import Path

import pytest

from idealab.errors import UsageError
from idealab.export.tables import COLUMNS, Table, tables_of
from idealab.export.writers import inert, library, write_csv, write_parquet
from idealab.report.recorded import verification


def laid_out(kept):
    record = kept.ledger.get(kept.verification)
    return tables_of(verification(kept.verification, record), record["parents"], kept.ledger)


@pytest.mark.parametrize("text", ["=cmd", "+1", "-log(p)", "@SUM(A1)", "\t=1", "\r\n=1", " =1", "＝1", "－1"])
def test_what_a_spreadsheet_takes_for_a_formula_is_not_one(text: str) -> None:
    assert inert(text) == "'" + text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a;=cmd|x", "a;'=cmd|x"),
        ("a; +1", "a;' +1"),
        ("a\t@x", "a\t'@x"),
        ("a\n-1\n=2", "a\n'-1\n'=2"),
        ("=;=", "'=;'="),
    ],
)
def test_nor_where_a_cell_would_begin_in_another_country(text: str, shown: str) -> None:
    """Where the decimal mark is a comma, spreadsheets split at semicolons, inside of text as well."""
    assert inert(text) == shown


@pytest.mark.parametrize("text", ["", "1/γ", "log(t) - 1", "<b>", "a=1", "a; b", "0,2", "a, -1"])
def test_other_text_stays_as_it_is(text: str) -> None:
    assert inert(text) == text


def test_a_million_tabs_take_no_longer_than_they_are_long() -> None:
    text = "\t" * 10**6
    assert inert(text + "x") == text + "x"
    assert inert(text + "=x") == "'" + text + "=x"


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
                    assert text == inert(value)
                    parts = re.split(r"[;\t\r\n]", text)
                    assert not [part for part in parts if part.lstrip().startswith(("=", "+", "-", "@"))]
                elif isinstance(value, float):
                    assert float(text) == value or math.isnan(value)
                else:
                    assert text == str(value).lower()


def test_negative_numbers_stay_numbers(kept, tmp_path: Path) -> None:
    write_csv(laid_out(kept), tmp_path)
    assert "-2.5" in [line.split(",")[-1] for line in (tmp_path / "observations.csv").read_text("utf-8").splitlines()]
    assert "'-2.5" not in (tmp_path / "observations.csv").read_text("utf-8")


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
