"""Is a document of the shape that it must have? Read as the kinds that its class declares, and nothing is evaluated."""

from __future__ import annotations

import dataclasses
import math
import types
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, Literal, Union, cast, get_args, get_origin, get_type_hints

from idealab.errors import LedgerError

_LONGEST = 100
_MOST = 2**53 - 1


def name(value: str) -> None:
    """Refuse what cannot be the name of an idea, which becomes that of files and columns.

    Raises
    ------
    LedgerError
        If it is empty, longer than 100 characters, cannot be printed, or holds a slash.
    """
    if not (0 < len(value) <= _LONGEST and value.isprintable() and not {"/", "\\"} & {*value}):
        raise refusal("idea", value, f"a name of 1 to {_LONGEST} characters that can be printed, without slashes")


def of_numbers(values: object, deep: int = 32) -> tuple[int, ...] | None:
    """Shape of lists of numbers, of at most so many axes; None where rows differ in it, or hold anything else."""
    if not isinstance(values, list) or not deep:
        return None
    items = cast("list[Any]", values)
    kinds = {*map(type, items)}
    if kinds <= {int, float, bool}:
        return (len(items),)
    shapes = {of_numbers(item, deep - 1) for item in items} if kinds == {list} else {None}
    inner = shapes.pop()
    return None if shapes or inner is None else (len(items), *inner)


def result(record: Mapping[str, Any]) -> None:
    """Refuse a verification whose result is not one: every field of its kind, counts counted, of what it rests on.

    Raises
    ------
    LedgerError
        Naming the first field that is not what it must be.
    """
    from idealab.verification import Verification  # here, because it needs NumPy, and other records do not

    said = cast("dict[str, Any]", record["result"])
    plain: Verification = read(Verification, {**said, "mutants": None}, "result")
    mutants: object = said.get("mutants")
    if mutants is not None:
        fields(mutants, "result.mutants")
    if plain.idea != record["idea"] or [plain.declaration] != record["parents"][:1]:
        given = plain.idea[:_LONGEST], plain.declaration[:_LONGEST]
        raise refusal("(result.idea, result.declaration)", given, "those of the record")
    environment, cost = plain.environment, plain.cost
    if environment.get("precision") not in ("float64", "float32"):
        raise refusal("result.environment.precision", environment.get("precision"), "float64 or float32")
    counts = {f"result.environment.{k}": environment.get(k, 1) for k in ("master_seed", "devices", "cores")}
    counts["result.environment.master_seed"] = environment.get("master_seed")
    counts |= {"result.cost.seeds": cost.seeds, "result.cost.reused_seeds": cost.reused_seeds}
    controls = [one for c in plain.controls for one in (*c.signatures, *([c.rival] if c.rival else []))]
    for signature in (*plain.signatures, *controls):
        here = f"result: {signature.name} in {signature.experiment}"
        counts[f"{here}: number of cells, less one"] = len(signature.cells) - 1
        counts |= {f"{here}: seeds in {cell.condition}": cell.seeds for cell in signature.cells}
    counts["result: number of signatures, less one"] = len(plain.signatures) - 1
    for where, value in counts.items():
        if not (type(value) is int and 0 <= value <= _MOST):
            raise refusal(where, value, "a whole number from 0")
    for where, number in (("seconds", cost.seconds), ("gradient_evaluations", cost.gradient_evaluations)):
        if not 0 <= number < math.inf:
            raise refusal(f"result.cost.{where}", number, "a finite number from 0")


def read(kind: Any, value: Any, here: str) -> Any:
    """Return the value as the kind that is asked for; ``here`` says where it stands.

    Raises
    ------
    LedgerError
        If it is of another kind.
    """
    origin, parts = get_origin(kind), get_args(kind)
    if kind is Any:
        return value
    if dataclasses.is_dataclass(kind):
        return _built(cast("type", kind), fields(value, here), here)
    if origin in (Union, types.UnionType):
        return None if value is None else read(next(part for part in parts if part is not type(None)), value, here)
    if origin is Literal:
        if value not in parts:
            raise refusal(here, value, " or ".join(map(repr, parts)))
        return value
    if origin in (tuple, list):
        return _sequence(kind, value, here)
    if origin is not None and issubclass(origin, Mapping):
        return fields(value, here)
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)  # JSON has a single kind of number
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        raise refusal(here, value, f"a value of type {kind.__name__}")
    return value


def _built(kind: type, value: Mapping[str, Any], here: str) -> Any:
    given: dict[str, Any] = {}
    for field, (hint, needed) in _declared(kind).items():
        if field in value:
            given[field] = read(hint, value[field], f"{here}.{field}")
        elif needed:
            raise LedgerError(f"{here} lacks the field {field!r}, which it must have; the record is not whole")
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
        raise refusal(here, value, "a list")
    items, parts = cast("Sequence[Any]", value), get_args(kind)
    open_ended = get_origin(kind) is list or parts[-1] is Ellipsis
    if not open_ended and len(items) != len(parts):
        raise refusal(here, value, f"{len(parts)} items")
    if parts[0] is float and {*map(type, items)} <= {int, float}:
        return tuple(map(float, items))  # thousands of seeds
    kinds = [parts[0]] * len(items) if open_ended else parts
    items_read = (read(part, item, f"{here}[{i}]") for i, (part, item) in enumerate(zip(kinds, items, strict=True)))
    return [*items_read] if get_origin(kind) is list else tuple(items_read)


def fields(value: Any, here: str) -> dict[str, Any]:
    """Return the fields of a group; raises `LedgerError` if the value is none."""
    if not isinstance(value, Mapping):
        raise refusal(here, value, "a group of fields")
    return {str(key): item for key, item in cast("Mapping[Any, Any]", value).items()}


def refusal(here: str, value: Any, expected: str) -> LedgerError:
    """Say in one line what stands at a place, and what a record has there."""
    shown = repr(value)
    return LedgerError(
        f"{here} is {shown if len(shown) <= 60 else shown[:57] + '...'}, but a record has {expected} there; "
        "the record was not written by this version of idealab"
    )
