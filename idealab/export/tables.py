"""The record of a verification as flat tables: signatures, cells, controls, mutants, and observations seed by seed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from idealab.ledger.records import BATCH
from idealab.ledger.store import Ledger
from idealab.verification import Verification

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
    # Of those that were killed a record keeps no formula.
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
    """Rows under named and typed columns."""

    name: str
    rows: Sequence[tuple[Any, ...]]

    @property
    def columns(self) -> Mapping[str, type]:
        """Names and types of the columns."""
        return COLUMNS[self.name]


def tables_of(found: Verification, parents: Sequence[str], ledger: Ledger) -> tuple[Table, ...]:
    """Lay out a verification and the observations that it rests on.

    Parameters
    ----------
    found
        The verification.
    parents
        Names of the records that it was judged from.
    ledger
        Where these are.

    Raises
    ------
    LedgerError
        If one of them is missing or damaged.
    """
    rows = {
        "signatures": map(vars, found.signatures),
        "cells": _cells(found),
        "controls": ({**vars(control), "ok": control.ok} for control in found.controls),
        "mutants": map(vars, found.mutants.mutants if found.mutants else ()),
        "observations": _observations(parents, ledger),
    }
    return tuple(Table(name, [_row(row, COLUMNS[name]) for row in laid]) for name, laid in rows.items())


def _cells(found: Verification) -> Iterator[Mapping[str, Any]]:
    sweeps = [("", signature) for signature in found.signatures]
    controls = [(c.assumption, s) for c in found.controls for s in (*c.signatures, *([c.rival] if c.rival else []))]
    for assumption, signature in (*sweeps, *controls):
        described = {"assumption": assumption, **{name: getattr(signature, name) for name in _SIGNATURE}}
        yield from ({**vars(cell), **described} for cell in signature.cells)


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


def _row(source: Mapping[str, Any], columns: Mapping[str, type]) -> tuple[Any, ...]:
    return tuple(_cell(source[name], kind) for name, kind in columns.items())


def _cell(value: Any, kind: type) -> Any:
    """A value in the column's type; a number of a record may have come back as an integer."""
    if kind is float:
        return float(value)
    return value.encode("utf-8", "replace").decode() if kind is str else value  # a lone surrogate is no text
