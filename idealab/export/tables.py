"""The record of a verification as flat tables: signatures, cells, controls, mutants, and observations seed by seed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from idealab.errors import LedgerError
from idealab.ledger.records import BATCH
from idealab.ledger.store import Ledger

_SIGNATURE = {"experiment": str, "level": str, "name": str}
_CELL: Mapping[str, type] = {
    "condition": str,
    "checkpoint": str,
    "predicted": float,
    "measured": float,
    "standard_error": float,
    "tolerance": float,
    "deviation": float,
    "verdict": str,
    "evidence_log10": float,
    "seeds": int,
    "note": str,
}
COLUMNS: Mapping[str, Mapping[str, type]] = {
    "signatures": {
        **_SIGNATURE,
        "statement": str,
        "primary": bool,
        "formula": str,
        "known": str,
        "criterion": str,
        "tolerance": str,
        "reason": str,
        "verdict": str,
        "scope": str,
        "evidence_log10": float,
        "seeds": int,
    },
    # Of the sweeps, and of the controls: there ``assumption`` says what was taken away.
    "cells": {"assumption": str, **_SIGNATURE, **_CELL},
    "controls": {
        "experiment": str,
        "assumption": str,
        "statement": str,
        "condition": str,
        "expected": str,
        "seen": str,
        "ok": bool,
    },
    # Those that are not killed: of the others a record keeps the number.
    "mutants": {
        "signature": str,
        "operator": str,
        "words": str,
        "formula": str,
        "status": str,
        "distance": float,
        "where": str,
        "gates": bool,
    },
    # One number a row: ``part`` is parameters or observables, ``index`` the place in an array, as "3" or "0,2".
    "observations": {
        "experiment": str,
        "condition": str,
        "precision": str,
        "master_seed": int,
        "seed": int,
        "part": str,
        "name": str,
        "index": str,
        "value": float,
    },
}
"""The columns of each table, and their types."""


@dataclass(frozen=True)
class Table:
    """Rows under named and typed columns; what a record lacks is None."""

    name: str
    rows: Sequence[tuple[Any, ...]]

    @property
    def columns(self) -> Mapping[str, type]:
        """Names and types of the columns."""
        return COLUMNS[self.name]


def tables_of(record: Mapping[str, Any], ledger: Ledger) -> tuple[Table, ...]:
    """Lay out a verification and the observations that it rests on.

    Parameters
    ----------
    record
        The document of a verification.
    ledger
        Where the batches are that it names.

    Raises
    ------
    LedgerError
        If a batch is missing or damaged, or the verification is not laid out as idealab writes them.
    """
    result = record["result"]
    mutants: Mapping[str, Any] = result.get("mutants") or {}  # None where none were looked for
    alive = [mutant for kind in ("survivors", "not_seen", "not_resolved") for mutant in _list(mutants, kind)]
    controls = _list(result, "controls")
    rows = {
        "signatures": _list(result, "signatures"),
        "cells": _cells(result, controls),
        "controls": controls,
        "mutants": alive,
        "observations": _observations(record["parents"], ledger),
    }
    return tuple(Table(name, [_row(row, COLUMNS[name]) for row in found]) for name, found in rows.items())


def _cells(result: Mapping[str, Any], controls: Sequence[Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
    for assumption, source in [("", result), *((control.get("assumption"), control) for control in controls)]:
        rival: Any = source.get("rival")
        signatures = [*_list(source, "signatures"), *_list({"rival": [rival] if rival else []}, "rival")]
        for signature in signatures:
            described = {"assumption": assumption, **{name: signature.get(name) for name in _SIGNATURE}}
            yield from ({**cell, **described} for cell in _list(signature, "cells"))


def _observations(parents: Sequence[str], ledger: Ledger) -> Iterator[Mapping[str, Any]]:
    for parent in parents:
        batch = ledger.get(parent)
        if batch["schema"] != BATCH:
            continue
        for part, arrays in batch["observation"].items():
            for name, seeds in arrays.items():
                for i, value in enumerate(seeds):
                    for index, number in _numbers(value, ()):
                        at = {"seed": batch["first_seed"] + i, "part": part, "name": name, "index": index}
                        yield {**batch, **at, "value": number}


def _numbers(value: Any, index: tuple[int, ...]) -> Iterator[tuple[str, Any]]:
    """The numbers of nested lists, each with its place."""
    if not isinstance(value, list):
        yield ",".join(map(str, index)), value
        return
    for i, part in enumerate(cast("list[Any]", value)):
        yield from _numbers(part, (*index, i))


def _list(source: Mapping[str, Any], name: str) -> list[Mapping[str, Any]]:
    found: Any = source.get(name, [])
    if not isinstance(found, list) or not all(isinstance(item, dict) for item in cast("list[Any]", found)):
        raise LedgerError(f"the record's {name} are no list of objects; it was not written by idealab, or by another")
    return cast("list[Mapping[str, Any]]", found)


def _row(source: Mapping[str, Any], columns: Mapping[str, type]) -> tuple[Any, ...]:
    return tuple(_cell(source.get(name), kind) for name, kind in columns.items())


def _cell(value: Any, kind: type) -> Any:
    """A value of the column's type, or None: a record may come from anywhere."""
    if kind is float and isinstance(value, (bool, int, float)):
        return float(value)
    if kind is str and isinstance(value, str):
        return value.encode("utf-8", "replace").decode()  # a lone surrogate is no text
    return value if type(value) is kind else None
