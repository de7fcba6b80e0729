"""A verification read back from its record: checked against what it must be, and nothing of it is evaluated."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import Any, cast

from idealab.errors import LedgerError
from idealab.ledger.records import VERIFICATION
from idealab.ledger.shape import fields as _fields, read, refusal as _refusal
from idealab.verification import MutantResult, MutationResult, Verification

_MOST = 10**5
_MUTANTS = ("survivors", "not_seen", "not_resolved", "refuted")


def verification(sha: str, document: Mapping[str, Any]) -> Verification:
    """Read the record of a verification, as `idealab.ledger.Ledger.get` returns it.

    Of mutants that were killed the formula is not recorded, and is empty. What newer versions add is left out, and what
    older ones did not record has its default: no seeds to draw, for example.

    Parameters
    ----------
    sha
        The record's name, which the verification then carries.

    Raises
    ------
    LedgerError
        If it is another kind of record, or anything in it is not of the kind that a verification has.
    """
    here = f"record {sha[:8]}"
    if document.get("schema") != VERIFICATION:
        raise LedgerError(f"{here} is no verification but has schema={document.get('schema')!r}; name a verification")
    result = cast("dict[str, Any]", document["result"])
    mutants = result.get("mutants")
    plain = cast("Verification", read(Verification, {**result, "mutants": None}, here))
    controls = [s for c in plain.controls for s in (*c.signatures, *([c.rival] if c.rival else []))]
    empty = next((s.name for s in (*plain.signatures, *controls) if not s.cells), None)
    if empty is not None:
        raise LedgerError(f"{here} has no cells for the signature {empty!r}, so nothing was judged; it is not whole")
    found = None if mutants is None else _mutants(mutants, f"{here}: mutants")
    return dataclasses.replace(plain, mutants=found, record=sha)


def _mutants(value: Any, here: str) -> MutationResult:
    if not isinstance(value, dict):
        raise _refusal(here, value, "a group of fields")
    fields = cast("dict[str, Any]", value)
    every = [mutant for name in _MUTANTS for mutant in read(list[Any], fields.get(name, []), f"{here}.{name}")]
    found = [read(MutantResult, {"formula": "", **_fields(mutant, here)}, here) for mutant in every]
    return MutationResult(
        mutants=(*found, *_only_counted(fields, here)),
        equivalent=read(int, fields.get("equivalent"), f"{here}.equivalent"),
        refused=read(tuple[str, ...], fields.get("refused", []), f"{here}.refused"),
    )


def _only_counted(fields: Mapping[str, Any], here: str) -> list[MutantResult]:
    """Those that a record counts without naming them, as the first ones did: nameless, and at no known distance."""
    if "refuted" in fields:
        return []
    counts: dict[Any, int] = {s: read(int, fields.get(s, 0), f"{here}.{s}") for s in ("killed", "undefined")}
    if not all(0 <= count <= _MOST for count in counts.values()):
        raise _refusal(here, counts, f"numbers of mutants, 0 to {_MOST}")
    return [
        MutantResult("", "", "", "", status, math.nan, "", False)
        for status, count in counts.items()
        for _ in range(count)
    ]
