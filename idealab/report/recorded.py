"""A verification read back from its record: checked against what it must be, and nothing of it is evaluated."""

from __future__ import annotations

import dataclasses
import math
import types
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, Literal, Union, cast, get_args, get_origin, get_type_hints

from idealab.errors import LedgerError
from idealab.ledger.records import VERIFICATION
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


def read(kind: Any, value: Any, here: str) -> Any:
    """Return the value as the kind that is asked for; ``here`` says where it stands."""
    origin, parts = get_origin(kind), get_args(kind)
    if kind is Any:
        return value
    if dataclasses.is_dataclass(kind):
        return _built(cast("type", kind), _fields(value, here), here)
    if origin in (Union, types.UnionType):
        return None if value is None else read(next(part for part in parts if part is not type(None)), value, here)
    if origin is Literal:
        if value not in parts:
            raise _refusal(here, value, " or ".join(map(repr, parts)))
        return value
    if origin in (tuple, list):
        return _sequence(kind, value, here)
    if origin is not None and issubclass(origin, Mapping):
        return _fields(value, here)
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)  # JSON has a single kind of number
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        raise _refusal(here, value, f"a value of type {kind.__name__}")
    return value


def _built(kind: type, value: Mapping[str, Any], here: str) -> Any:
    given: dict[str, Any] = {}
    for name, (hint, needed) in _declared(kind).items():
        if name in value:
            given[name] = read(hint, value[name], f"{here}.{name}")
        elif needed:
            raise LedgerError(f"{here} lacks the field {name!r}, which it must have; the record is not whole")
    return kind(**given)


@cache
def _declared(kind: Any) -> dict[str, tuple[Any, bool]]:
    """The fields of a dataclass: their kind, and whether they have no default."""
    hints, missing = get_type_hints(kind), dataclasses.MISSING
    return {
        field.name: (hints[field.name], field.default is missing and field.default_factory is missing)
        for field in dataclasses.fields(kind)
    }


def _sequence(kind: Any, value: Any, here: str) -> Any:
    if not isinstance(value, (list, tuple)):
        raise _refusal(here, value, "a list")
    items, parts = cast("Sequence[Any]", value), get_args(kind)
    open_ended = get_origin(kind) is list or parts[-1] is Ellipsis
    if not open_ended and len(items) != len(parts):
        raise _refusal(here, value, f"{len(parts)} items")
    kinds = [parts[0]] * len(items) if open_ended else parts
    items_read = (read(part, item, f"{here}[{i}]") for i, (part, item) in enumerate(zip(kinds, items, strict=True)))
    return [*items_read] if get_origin(kind) is list else tuple(items_read)


def _fields(value: Any, here: str) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        raise _refusal(here, value, "a group of fields")
    return {str(name): item for name, item in cast("Mapping[Any, Any]", value).items()}


def _refusal(here: str, value: Any, expected: str) -> LedgerError:
    shown = repr(value)
    return LedgerError(
        f"{here} is {shown if len(shown) <= 60 else shown[:57] + '...'}, but a record has {expected} there; "
        "the record was not written by this version of idealab"
    )
