from __future__ import annotations

import json
import math
from dataclasses import replace

import numpy as np

from idealab.report.document import document, verifications
from idealab.verification import Verification


def test_the_document_is_strict_json_with_the_schema(supported: Verification, troubled: Verification) -> None:
    def refuse(constant: str) -> float:
        raise AssertionError(constant)

    found = json.loads(verifications([supported, troubled]), parse_constant=refuse)
    assert found["schema"] == "idealab/verification/1"
    assert [result["verdict"] for result in found["results"]] == ["supported", "partial"]
    first = found["results"][0]
    assert set(first) >= {
        "idea",
        "scope",
        "evidence_log10",
        "declaration",
        "record",
        "signatures",
        "controls",
        "mutants",
    }
    assert set(first["signatures"][0]["cells"][0]) >= {"condition", "predicted", "measured", "deviation", "verdict"}


def test_numbers_that_json_lacks_are_written_as_in_the_ledger(supported: Verification) -> None:
    strange = replace(supported, evidence_log10=math.inf, environment={"a": math.nan, "b": -math.inf, "c": -0.0})
    (found,) = json.loads(verifications([strange]))["results"]
    assert found["evidence_log10"] == {"$float": "inf"}
    assert found["environment"] == {"a": {"$float": "nan"}, "b": {"$float": "-inf"}, "c": 0.0}
    assert math.copysign(1, found["environment"]["c"]) == 1


def test_numpy_values_become_plain_ones() -> None:
    text = document({"n": np.int64(3), "x": np.array([1.0, np.nan]), "yes": np.bool_(True)})
    assert json.loads(text) == {"n": 3, "x": [1.0, {"$float": "nan"}], "yes": True}
