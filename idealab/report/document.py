"""Verifications as one JSON document, for programs."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

from idealab.ledger.records import VERIFICATION

if TYPE_CHECKING:
    from idealab.verification import Verification


def verifications(results: Sequence[Verification]) -> str:
    """Write the document that ``verify --json`` prints.

    JSON has no NaN and no infinity: as in the ledger they are written ``{"$float": "nan"}``, ``"inf"`` or ``"-inf"``.
    """
    return document({"schema": VERIFICATION, "results": [result.to_dict() for result in results]})


def document(value: Mapping[str, Any]) -> str:
    """Write any report as valid JSON, indented, its keys in their own order."""
    return json.dumps(_plain(value), indent=2, ensure_ascii=False, allow_nan=False)


def _plain(value: Any) -> Any:
    match value:
        case float():
            # + 0.0 turns -0, which some readers of JSON stumble over, into 0
            return value + 0.0 if math.isfinite(value) else {"$float": str(float(value))}
        case Mapping():
            return {str(key): _plain(item) for key, item in cast("Mapping[Any, Any]", value).items()}
        case list() | tuple():
            return [_plain(item) for item in cast("Sequence[Any]", value)]
        case _:
            return _plain(value.tolist()) if hasattr(value, "tolist") else value  # NumPy's scalars and arrays
