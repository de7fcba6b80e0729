"""What a record is: three kinds of JSON document, one canonical encoding, one hash.

A record is RFC 8785 canonical JSON and is named by the SHA-256 of those bytes. Three things that JSON lacks are settled
here. NaN, the infinities and -0 are written as ``{"$float": "nan" | "inf" | "-inf" | "-0"}``. Integers beyond 2^53 - 1
are refused: write them as text. JSON has a single kind of number, so 1.0 comes back as 1: equal, another Python type.
"""

import hashlib
import json
import math
import re
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, NoReturn, TypedDict, cast, get_origin

from idealab.errors import LedgerError
from idealab.ledger import shape

DECLARATION = "idealab/declaration/1"
BATCH = "idealab/batch/1"
VERIFICATION = "idealab/verification/1"

LARGEST = 64 * 2**20
"""The size in bytes above which a record is neither written nor read."""
MOST_VALUES = 2**22
"""The number of values above which it is neither: each takes far more memory than bytes, and a file full of numbers in
double precision has no more."""

_SAFE_INTEGER = 2**53 - 1
_SPECIAL = {"nan": math.nan, "inf": math.inf, "-inf": -math.inf, "-0": -0.0}
_OTHERWISE = ("e-", "e+", ".0,", ".0]", ".0}")
"""What Python writes otherwise than RFC 8785: exponents, and the decimals of whole numbers."""
_SHA256 = re.compile(r"[0-9a-f]{64}", re.ASCII)


class Declaration(TypedDict):
    """What is claimed and how it will be tested, written before the first run; its hash is the declaration hash."""

    schema: str  # DECLARATION
    idea: str  # the idea's name
    content: dict[str, Any]  # signatures, tolerances, conditions, controls, caps, versions: any JSON


class Batch(TypedDict):
    """The observations of consecutive seeds of one condition."""

    schema: str  # BATCH
    parents: list[str]  # one: the declaration
    idea: str
    experiment: str  # the experiment's name
    condition: str  # the condition's label
    precision: str  # "float64" or "float32"
    environment: dict[str, Any]  # devices and versions; a run goes on only from batches of an equal environment
    master_seed: int  # what every seed's key is derived from
    first_seed: int  # position of the first seed in the stream of the master seed, from 0
    seeds: int  # how many: first_seed, ..., first_seed + seeds - 1
    seconds: float  # wall clock that the batch took
    observation: dict[str, Any]  # {"parameters": {name: (s, ...)}, "observables": {name: (s, ...)}}, s = seeds


class Verification(TypedDict):
    """What was concluded, from which observations."""

    schema: str  # VERIFICATION
    parents: list[str]  # the declaration, then the batches that were judged
    idea: str
    created: str  # ISO 8601 in UTC: "2026-01-31T12:00:00.000000+00:00"
    result: dict[str, Any]  # the verdict, as the command line prints it: any JSON


_FIELDS: dict[str, dict[str, Any]] = {
    schema: kind.__annotations__
    for schema, kind in ((DECLARATION, Declaration), (BATCH, Batch), (VERIFICATION, Verification))
}
_ACCEPTED: dict[str, dict[str, Any]] = {
    schema: {name: (int, float) if kind is float else (get_origin(kind) or kind) for name, kind in fields.items()}
    for schema, fields in _FIELDS.items()
}


def is_sha256(text: object) -> bool:
    """Tell whether ``text`` is 64 lowercase hexadecimal digits, as a record's name is."""
    return isinstance(text, str) and _SHA256.fullmatch(text) is not None


def canonical(document: Mapping[str, Any]) -> bytes:
    """Encode a document as RFC 8785 canonical JSON.

    Takes what JSON has, and NumPy or JAX arrays and scalars of booleans, integers and floats up to 64 bits, arrays as
    nested lists. Every float64 comes back exactly (of a NaN, only that it is one); float32 is widened exactly.

    Raises
    ------
    LedgerError
        For anything else, naming the place in the document.
    """
    import rfc8785  # here, because reading records does not need it

    try:
        plain = _plain(document, "document")
        quick = json.dumps(plain, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
        # Quicker, and the same bytes but for how floats are written, and keys sorted that are not ASCII.
        same = quick.isascii() and not any(map(quick.__contains__, _OTHERWISE))
        return quick.encode() if same else rfc8785.dumps(plain)
    except (ValueError, RecursionError) as error:  # a lone surrogate in a text or a key; a document inside itself
        raise LedgerError(f"a record cannot be written: {error}; give Unicode text and flat data") from error


def digest(document: Mapping[str, Any]) -> str:
    """Return the SHA-256 of the canonical bytes, in hexadecimal: the record's name."""
    return hashlib.sha256(canonical(document)).hexdigest()


def _plain(value: Any, where: str) -> Any:
    """Reduce a value to what RFC 8785 can say, exactly, or refuse it."""
    match value:
        case None | bool() | str():
            return value
        case float():
            if math.isfinite(value) and (value != 0.0 or math.copysign(1, value) > 0):
                return int(value) if value.is_integer() and abs(value) <= _SAFE_INTEGER else float(value)
            return {"$float": "-0" if value == 0.0 else str(float(value))}
        case int():
            if abs(value) > _SAFE_INTEGER:
                _refuse(where, value, "integers up to 2^53 - 1, as JSON carries them safely; write it as text")
            return int(value)
        case list() if {*map(type, cast("list[Any]", value))} == {float} and _as_they_are(cast("list[float]", value)):
            return cast("list[float]", value)
        case list() | tuple():
            inside = where + "[]"
            return [_plain(item, inside) for item in cast("Sequence[Any]", value)]
        case Mapping():
            items = cast("Mapping[Any, Any]", value)
            for key in items:
                if not isinstance(key, str) or key == "$float":
                    _refuse(where, key, "keys that are text and not '$float', which stands for non-finite numbers")
            return {key: _plain(item, f"{where}.{key}") for key, item in items.items()}
        case _:
            # Recognized by their dtype, so that nothing imports NumPy. bfloat16 and PRNG keys have other kinds.
            dtype: Any = getattr(value, "dtype", None)
            if getattr(dtype, "kind", "") not in tuple("biuf") or dtype.itemsize > 8:
                _refuse(where, value, "JSON values or arrays of up to 64 bits; convert it, as with .astype('float32')")
            return _plain(value.tolist(), where)


def _as_they_are(values: list[float]) -> bool:
    """Whether all are finite and none is a whole number, a zero among them: most of what is observed."""
    return all(map(math.isfinite, values)) and not any(map(float.is_integer, values))


def _refuse(where: str, value: object, expected: str) -> NoReturn:
    shown = " ".join(repr(value).split())
    shown = shown if len(shown) <= 60 else shown[:57] + "..."
    raise LedgerError(f"a record cannot hold {where}={shown} ({type(value).__name__}); expected {expected}")


def decode(data: bytes) -> dict[str, Any]:
    """Read a record's bytes: the inverse of `canonical`, for documents of the three kinds only.

    Raises
    ------
    LedgerError
        If the bytes are too many, are not strict JSON (NaN literals, duplicate keys and numbers that overflow are
        refused), or are not a valid record of a schema that this version knows.
    """
    if len(data) > LARGEST:
        raise LedgerError(f"a record may hold {LARGEST >> 20} MiB, this one is larger: it was not written by idealab")
    if sum(map(data.count, (b",", b"[", b"{"))) > MOST_VALUES:
        raise LedgerError(
            f"a record may hold {MOST_VALUES} values, this one has more; split it, as with smaller blocks"
        )
    try:
        document = json.loads(
            data.decode(), object_pairs_hook=_object, parse_float=_number, parse_int=_number, parse_constant=_number
        )
    except (ValueError, RecursionError) as error:
        raise LedgerError(f"not a record: {error}; it was cut short, or not written by idealab") from error
    if not isinstance(document, dict):
        raise LedgerError(f"not a record: expected a JSON object, got {type(document).__name__}")
    record = cast("dict[str, Any]", document)
    _validate(record)
    return record


def _object(pairs: list[tuple[str, Any]]) -> Any:
    document = dict(pairs)
    if len(document) < len(pairs):
        raise ValueError("a key occurs twice in one object")
    if "$float" not in document:
        return document
    special = _SPECIAL.get(document["$float"]) if isinstance(document["$float"], str) and len(document) == 1 else None
    if special is None:
        raise ValueError(f"malformed number {document!r}")
    return special


def _number(text: str) -> int | float:
    # `canonical` writes floats up to 1e21 with integer digits; only integers in the safe range were integers before.
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"the number {text[:40]} is no finite float64")
    if text.lstrip("-").isdigit() and abs(value) <= _SAFE_INTEGER:
        return int(text)
    return value


def _validate(document: dict[str, Any]) -> None:
    """Refuse what is not a complete record of a known schema; sees what JSON has and nothing else."""
    schema = document.get("schema")
    fields = _FIELDS.get(schema) if isinstance(schema, str) else None
    if fields is None or not isinstance(schema, str):
        other = isinstance(schema, str) and re.fullmatch(r"idealab/\w+/\d+", schema)
        remedy = "written by another version of idealab: upgrade" if other else "not a record of idealab"
        raise LedgerError(f"unknown schema={schema!r}, expected one of {', '.join(_FIELDS)}; {remedy}")
    if document.keys() != fields.keys():
        wrong = ", ".join(map(repr, sorted(fields.keys() ^ document.keys())))
        raise LedgerError(f"a record {schema} has the fields {', '.join(fields)}; missing or unknown: {wrong}")
    for name, accepted in _ACCEPTED[schema].items():
        if not isinstance(document[name], accepted) or isinstance(document[name], bool):
            _refuse(name, document[name], f"a value of type {getattr(fields[name], '__name__', fields[name])}")
    if not all(is_sha256(parent) for parent in document.get("parents", ())):
        _refuse("parents", document["parents"], "names of records, 64 lowercase hexadecimal digits each")
    shape.name(document["idea"])
    if schema == BATCH:
        _validate_batch(document)
    if schema == VERIFICATION:
        _validate_verification(document)


def _validate_verification(record: dict[str, Any]) -> None:
    try:
        utc = datetime.fromisoformat(record["created"]).utcoffset() == timedelta(0)
    except ValueError:
        utc = False
    if not utc:
        _refuse("created", record["created"], "ISO 8601 in UTC, such as '2026-01-31T12:00:00+00:00'")
    shape.result(record)


def _validate_batch(record: dict[str, Any]) -> None:
    if len(record["parents"]) != 1:
        _refuse("parents", record["parents"], "one parent, the declaration")
    if record["first_seed"] < 0 or record["seeds"] < 1:
        _refuse("(first_seed, seeds)", (record["first_seed"], record["seeds"]), "at least 0 and at least 1")
    if record["master_seed"] < 0 or not 0 <= record["seconds"] < math.inf:
        _refuse("(master_seed, seconds)", (record["master_seed"], record["seconds"]), "finite numbers from 0")
    observation, parts = record["observation"], ("parameters", "observables")
    if observation.keys() != set(parts) or not all(isinstance(observation[part], dict) for part in parts):
        _refuse("observation", observation, "the keys 'parameters' and 'observables', each with named arrays")
    arrays: list[tuple[str, Any]] = [*observation["parameters"].items(), *observation["observables"].items()]
    for name, values in arrays:
        if (shape.of_numbers(values) or (-1,))[0] != record["seeds"]:
            _refuse(f"observation {name!r}", values, f"numbers of one shape, a leading axis of seeds={record['seeds']}")
