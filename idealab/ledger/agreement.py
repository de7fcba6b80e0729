"""Two results from the same observations, which must say the same: every field, and numbers up to rounding."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, cast

_ROUNDING = 1e-9  # relative; formulas of well-posed theories lose six digits of sixteen at most
_LEAST, _MOST = 1e-6, 0.01  # of the tolerance, between which lies what rounding may do to a cell
_MEASURED = ("predicted", "measured", "standard_error", "tolerance")
_IN_TOLERANCES = ("deviation", "seed_deviations")
_ROOM = {
    "evidence_log10": (0.01, 1e-3),
    "distance": (0.01, 1e-3),
    "points": (0.0, 1e-6),
    "seeds_to_decide": (0.0, 0.01),
    "fixed_design_seeds": (0.0, 0.01),
}
"""What rounding may do to numbers that are far from their observations: absolute, and relative."""
_SHOWN, _LONGEST = 60, 200

Rooms = Mapping[str, tuple[float, float]]


def departures(said: Any, found: Any, where: str = "", field: str = "", rooms: Rooms = _ROOM) -> Iterator[str]:
    """Yield a line for each field in which what was recorded is not what is found now.

    Within a cell numbers may differ as far as rounding in the observable reaches, at least a millionth and at most a
    hundredth of its tolerance; elsewhere by rounding alone. A list is compared in its order.

    Parameters
    ----------
    said, found
        Two JSON documents; a tuple is a list, 1 is 1.0, and NaN is NaN.
    """
    place = f"{where}, {field}" if where and field else where or field
    match said, found:
        case Mapping(), Mapping():
            one, other = cast("Mapping[str, Any]", said), cast("Mapping[str, Any]", found)
            inside = {**rooms, **_rooms(other)}
            for key in dict.fromkeys((*other, *one)):
                if key not in one or key not in other:
                    yield _alone(f"{place}, {key}" if place else key, key in one)
                else:
                    yield from departures(one[key], other[key], place, key, inside)
        case list() | tuple(), list() | tuple():
            yield from _in_order(cast("Sequence[Any]", said), cast("Sequence[Any]", found), where, field, rooms)
        case (int() | float(), int() | float()) if not isinstance(said, bool) and not isinstance(found, bool):
            if not _near(float(said), float(found), *rooms.get(field, (0.0, _ROUNDING))):
                yield f"{place}: recorded {said!r}, judged again {found!r}"
        case _ if said != found or isinstance(said, bool) != isinstance(found, bool):
            yield f"{place}: recorded {_shown(said)}, judged again {_shown(found)}"
        case _:
            return


def _in_order(said: Sequence[Any], found: Sequence[Any], where: str, field: str, rooms: Rooms) -> Iterator[str]:
    place = f"{where}, {field}" if where else field
    names = [[_name(item) for item in items] for items in (said, found)]
    if names[0] == names[1] and len(said) == len(found):
        for k, (one, other) in enumerate(zip(said, found, strict=True)):
            named = ", ".join(filter(None, (where, names[0][k])))
            if names[0][k]:
                yield from departures(one, other, named, "", rooms)
            else:
                yield from departures(one, other, where, field, rooms)
        return
    missing = [name for name in names[1] if name and name not in names[0]]
    extra = [name for k, name in enumerate(names[0]) if name and (name not in names[1] or name in names[0][:k])]
    yield from (_alone(f"{place}, {name}", False) for name in missing)
    yield from (_alone(f"{place}, {name}", True) for name in extra)
    if not missing and not extra:
        yield f"{place}: recorded {_shown(said)}, judged again {_shown(found)}"


def _name(item: Any) -> str:
    """What tells a member of a list from others, in words: a signature, a control, a cell, a mutant; a text itself."""
    if isinstance(item, str):
        return item if len(item) <= _LONGEST else f"{item[: _LONGEST - 1]}…"
    if not isinstance(item, Mapping):
        return ""
    fields = cast("Mapping[str, Any]", item)
    if "assumption" in fields:
        return f"without {fields['assumption']}"
    if "name" in fields:
        return f"{fields['name']} in {fields.get('experiment', '')}"
    return ", ".join(str(fields[key]) for key in ("signature", "words", "condition", "checkpoint") if fields.get(key))


def _rooms(fields: Mapping[str, Any]) -> dict[str, tuple[float, float]]:
    """How far the numbers of a cell may lie apart; nothing, of what is no cell."""
    if not all(isinstance(fields.get(name), (int, float)) for name in ("predicted", "tolerance")):
        return {}
    scale = max((abs(float(fields[k])) for k in ("predicted", "measured") if math.isfinite(fields[k])), default=0.0)
    tolerance = float(fields["tolerance"])
    share = _LEAST
    if 0 < tolerance < math.inf:
        share = min(max(_LEAST, _ROUNDING * scale / tolerance), _MOST)
    room = share * tolerance if math.isfinite(tolerance) else 0.0
    return {
        **dict.fromkeys(_MEASURED, (room, _ROUNDING)),
        **dict.fromkeys(_IN_TOLERANCES, (share, _LEAST)),
    }


def _near(one: float, other: float, absolute: float, relative: float) -> bool:
    if math.isnan(one) or math.isnan(other):
        return math.isnan(one) and math.isnan(other)
    if math.isinf(one) or math.isinf(other):
        return one == other
    return abs(one - other) <= max(absolute, relative * max(abs(one), abs(other)))


def _alone(where: str, recorded: bool) -> str:
    return f"{where}: {'recorded, and not judged again' if recorded else 'not recorded'}"


def _shown(value: Any) -> str:
    text = repr([*cast("Sequence[Any]", value)] if isinstance(value, tuple) else value)
    return text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…"
