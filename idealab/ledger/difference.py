"""What differs between two documents, field by field, in lines that a person can read."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple, cast

_NAMES = ("name", "label")  # what tells the members of a list apart, where they are objects
_SHOWN = 60


class Difference(NamedTuple):
    """One field; ``before`` and ``after`` are JSON, shortened, and empty where the field is absent."""

    where: str
    before: str
    after: str

    def __str__(self) -> str:
        if not self.before or not self.after:
            value = self.before or self.after
            named = self.where if value.startswith("{") else f"{self.where}: {value}"
            return f"{named} is {'new' if self.after else 'gone'}"
        return f"{self.where}: {self.before} became {self.after}"


def differences(before: Any, after: Any, where: str = "") -> Iterator[Difference]:
    """Yield the fields in which two JSON documents differ; lists of named objects are compared by name.

    A tuple is a list, 1 is 1.0, and NaN is NaN: as documents come back from a ledger.
    """
    match before, after:
        case Mapping(), Mapping():
            yield from _of_mappings(cast("Mapping[str, Any]", before), cast("Mapping[str, Any]", after), where)
        case list() | tuple(), list() | tuple():
            one, other = cast("Sequence[Any]", before), cast("Sequence[Any]", after)
            named, renamed = _by_name(one), _by_name(other)
            if named is not None and renamed is not None:
                yield from _of_mappings(named, renamed, where)
                common = [[name for name in first if name in second] for first, second in _both(named, renamed)]
                if common[0] != common[1]:
                    yield Difference(f"{where}, order", _shown(common[0]), _shown(common[1]))
            elif len(one) == len(other):
                for k, (first, second) in enumerate(zip(one, other, strict=True)):
                    yield from differences(first, second, f"{where}[{k}]")
            else:
                yield Difference(where, _shown(one), _shown(other))
        case _ if not _equal(before, after):
            yield Difference(where, _shown(before), _shown(after))
        case _:
            return


def _of_mappings(before: Mapping[str, Any], after: Mapping[str, Any], where: str) -> Iterator[Difference]:
    for key in dict.fromkeys((*after, *before)):
        inside = f"{where}.{key}" if where else key
        if key not in after:
            yield Difference(inside, _shown(before[key]), "")
        elif key not in before:
            yield Difference(inside, "", _shown(after[key]))
        else:
            yield from differences(before[key], after[key], inside)


def _both(one: Any, other: Any) -> tuple[tuple[Any, Any], tuple[Any, Any]]:
    return (one, other), (other, one)


def _by_name(members: Sequence[Any]) -> dict[str, Any] | None:
    """The members of a list by their names; None if they have none, or one of them twice."""
    for key in _NAMES:
        if members and all(isinstance(member, Mapping) and key in member for member in members):
            found = {str(member[key]): member for member in members}
            return found if len(found) == len(members) else None
    return None


def _equal(one: Any, other: Any) -> bool:
    if isinstance(one, float) and isinstance(other, float) and math.isnan(one) and math.isnan(other):
        return True
    return one == other and isinstance(one, bool) == isinstance(other, bool)


def _shown(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…"
