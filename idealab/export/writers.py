"""Tables as files: CSV that no spreadsheet takes for a formula, and Parquet."""

from __future__ import annotations

import csv
import importlib
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from idealab.errors import UsageError
from idealab.export.tables import Table

_CELL = re.compile(r"(^|[;\t\r\n])(\s*)([=+\-@＝＋－＠]?)")
"""Where a spreadsheet would see a formula: where a cell begins, or would for one that splits at semicolons or tabs."""


def library(name: str, extra: str) -> Any:
    """Import an optional library.

    Raises
    ------
    UsageError
        If it is not installed: the line says how to.
    """
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise UsageError(f"--format {extra} needs {name}: pip install 'idealab[{extra}]' ({error})") from error


def write_csv(tables: Sequence[Table], folder: Path) -> None:
    """Write a file for each table, with a heading; numbers to their last digit, text as `inert` makes it."""
    for table in tables:
        with (folder / f"{table.name}.csv").open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(table.columns)
            writer.writerows([_written(value) for value in row] for row in table.rows)


def write_parquet(tables: Sequence[Table], folder: Path) -> None:
    """Write a file for each table, with text and numbers exactly as they are in the record."""
    arrow, parquet = library("pyarrow", "parquet"), library("pyarrow.parquet", "parquet")
    kinds = {str: arrow.string(), float: arrow.float64(), int: arrow.int64(), bool: arrow.bool_()}
    for table in tables:
        schema = arrow.schema([(name, kinds[kind]) for name, kind in table.columns.items()])
        columns = [list(column) for column in zip(*table.rows, strict=True)] or [[] for _ in table.columns]
        arrays = [arrow.array(column, field.type) for column, field in zip(columns, schema, strict=True)]
        parquet.write_table(arrow.Table.from_arrays(arrays, schema=schema), folder / f"{table.name}.parquet")


WRITERS: Mapping[str, Callable[[Sequence[Table], Path], None]] = {"csv": write_csv, "parquet": write_parquet}


def inert(text: str) -> str:
    """Put an apostrophe before what a spreadsheet would take for a formula, such as ``=1+1`` or ``-log(p)``.

    So OWASP advises on CSV injection. Also within a text, after what separates cells in other countries' spreadsheets;
    and before the wide characters that East Asian ones take for the same. Numbers never come here, and stay numbers.
    """
    return _CELL.sub(lambda cell: cell[1] + "'" * bool(cell[3]) + cell[2] + cell[3], text)


def _written(value: Any) -> str:
    match value:
        case bool():
            return str(value).lower()
        case str():
            return inert(value)
        case _:
            return repr(value)
