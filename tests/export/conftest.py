"""A ledger with one verification whose every word is hostile."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import pytest

from idealab.ledger import BATCH, DECLARATION, VERIFICATION, Ledger

HOSTILE = "=cmd|'/C calc'!A0,\"<script>alert(1)</script>\n---\n../../etc/passwd | \\[x](javascript:y) \\input{x} ‮"
"""A formula, HTML, a new line, the end of YAML's front matter, a path, a Markdown link, TeX, and reversed text."""


IDEA = "=cmd|'calc'!A0,\"<script>alert(1)</script> .. | [x](javascript:y)".replace("/", "")
"""What of it the name of an idea may hold: no slash, and nothing that is not printed."""


class Kept(NamedTuple):
    """A ledger, and the names of what it holds."""

    ledger: Ledger
    declaration: str
    batch: str
    verification: str


def cell(**changes: object) -> dict[str, object]:
    numbers = {"predicted": 1.0, "measured": -0.1, "standard_error": 0.1, "tolerance": 0.1, "deviation": -11.0}
    words = {"condition": HOSTILE, "checkpoint": "t=1", "verdict": "absent", "note": ""}
    return {**numbers, **words, "evidence_log10": float("-inf"), "seeds": 2, "given_up": False, **changes}


def signature(**changes: object) -> dict[str, object]:
    words = ("name", "statement", "experiment", "level", "formula", "known", "criterion", "tolerance", "reason")
    rest = {"primary": True, "verdict": "absent", "scope": "", "evidence_log10": 1.5, "seeds": 2, "cells": [cell()]}
    rest |= {"refuted_as_stated": True}
    return {**dict.fromkeys(words, HOSTILE), **rest, **changes}


def result(**changes: object) -> dict[str, object]:
    control = {"assumption": HOSTILE, "statement": "-x", "experiment": "bench", "condition": "", "expected": "breaks"}
    control |= {
        "seen": "breaks",
        "ok": True,
        "signatures": [signature(name="beside")],
        "rival": signature(name="rival"),
    }
    mutant = {"signature": HOSTILE, "operator": "sign", "words": "-1 times", "formula": "-log(p)", "status": "survived"}
    mutant |= {"distance": 2.0, "where": "", "gates": True}
    killed = {name: value for name, value in mutant.items() if name != "formula"} | {"status": "killed"}
    found = {
        "idea": IDEA,
        "statement": HOSTILE,
        "verdict": "refuted",
        "scope": HOSTILE,
        "evidence_log10": 2.5,
        "declaration": "d" * 64,
        "signatures": [signature()],
        "controls": [control],
        "mutants": {"equivalent": 0, "survivors": [mutant], "refuted": [killed]},
        "gates": [],
        "remarks": [],
        "cost": {"seconds": 1.0, "seeds": 2, "gradient_evaluations": 10},
        "environment": {"platform": HOSTILE, "cores": 2, "precision": "float64", "master_seed": 7},
    }
    return found | changes


def keep(place: Path, found: dict[str, object]) -> Kept:
    ledger = Ledger(place)
    declaration = ledger.put({"schema": DECLARATION, "idea": IDEA, "content": {}})
    batch = ledger.put(
        {
            "schema": BATCH,
            "parents": [declaration],
            "idea": IDEA,
            "experiment": HOSTILE,
            "condition": "=1+1",
            "precision": "float64",
            "environment": {},
            "master_seed": 7,
            "first_seed": 4,
            "seeds": 2,
            "seconds": 1.0,
            "observation": {
                "parameters": {"gamma": [0.5, -0.25]},
                "observables": {"path": [[[1.5], [float("nan")]], [[float("inf")], [-2.5]]]},
            },
        }
    )
    document = {
        "schema": VERIFICATION,
        "parents": [declaration, batch],
        "idea": IDEA,
        "created": "2026-01-31T12:00:00.000000+00:00",
        "result": found | {"declaration": declaration},
    }
    return Kept(ledger, declaration, batch, ledger.put(document))


@pytest.fixture
def kept(tmp_path: Path) -> Kept:
    """The hostile verification in a ledger of its own."""
    return keep(tmp_path / "ledger", result())
