"""Records that fit together, and bundles of them that somebody has tampered with."""

from __future__ import annotations

import hashlib
import zipfile

import pytest

from idealab.errors import LedgerError
from idealab.ledger import BATCH, DECLARATION, VERIFICATION, Ledger, canonical
from idealab.ledger.bundle import MANIFEST, import_bundle

ENVIRONMENT = {"jax": "0.10.2"}


def declaration(number=0, **changes):
    return {"schema": DECLARATION, "idea": "toy", "content": {"number": number}} | changes


def batch(parent, first=0, **changes):
    observation = {"parameters": {}, "observables": {"norm": [1.0, 2.0]}}
    record = {"schema": BATCH, "parents": [parent], "idea": "toy", "experiment": "e", "condition": "c"}
    record |= {"precision": "float64", "environment": ENVIRONMENT, "master_seed": 0, "first_seed": first, "seeds": 2}
    return record | {"seconds": 0.5, "observation": observation} | changes


def result(declared, idea="toy", **changes):
    """The least that a verification must say."""
    cell = {"condition": "c", "checkpoint": "", "predicted": 1.0, "measured": 1.0, "standard_error": 0.1}
    cell |= {"tolerance": 0.1, "deviation": 0.0, "verdict": "present", "evidence_log10": 1.0, "seeds": 2}
    texts = ("statement", "formula", "tolerance", "reason", "scope")
    signature = dict.fromkeys(texts, "") | {"name": "height", "experiment": "e", "level": "idealized", "primary": True}
    signature |= {"known": "derived", "criterion": "Equals", "verdict": "present", "refuted_as_stated": False}
    signature |= {"evidence_log10": 1.0, "seeds": 2, "cells": [cell]}
    found = {"idea": idea, "statement": "", "verdict": "supported", "scope": "", "evidence_log10": 1.0, "remarks": []}
    found |= {"declaration": declared, "signatures": [signature], "controls": [], "gates": []}
    found |= {"cost": {"seconds": 1.0, "seeds": 2, "gradient_evaluations": 0.0}}
    return found | {"environment": {"precision": "float64", "master_seed": 0}} | changes


def verification(parents, **changes):
    idea = changes.get("idea", "toy")
    record = {"schema": VERIFICATION, "parents": parents, "idea": idea, "created": "2026-01-31T12:00:00+00:00"}
    return record | {"result": result(parents[0] if parents else "", idea)} | changes


@pytest.fixture
def ledger(tmp_path):
    """Two declarations, the first with two batches and a verification."""
    found = Ledger(tmp_path / "ledger")
    top = found.put(declaration())
    parts = [found.put(batch(top, first)) for first in (0, 2)]
    found.put(verification([top, *parts]))
    found.put(declaration(1))
    return found


@pytest.fixture
def other(tmp_path):
    return Ledger(tmp_path / "other")


@pytest.fixture
def packed(tmp_path):
    """Writes a zip of named members; a manifest of what is in it, unless there is one."""
    count = iter(range(100))

    def write(members, manifest=None, compression=zipfile.ZIP_DEFLATED):
        file = tmp_path / f"packed{next(count)}.zip"
        with zipfile.ZipFile(file, "w", compression) as found:
            for name, data in members:
                found.writestr(name, data)
            if manifest is None:
                sizes = {name[11:-5]: len(data) for name, data in members if name.startswith("objects/")}
                manifest = canonical({"schema": "idealab/bundle/1", "records": sizes})
            if manifest:
                found.writestr(MANIFEST, manifest)
        return file

    return write


def member(record):
    data = record if isinstance(record, bytes) else canonical(record)
    sha = hashlib.sha256(data).hexdigest()
    return f"objects/{sha[:2]}/{sha}.json", data


def refused(other, file, words):
    with pytest.raises(LedgerError, match=words) as error:
        import_bundle(other, file)
    assert "\n" not in str(error.value)
    assert str(file) in str(error.value)
    assert not other.path.exists(), "nothing was written"
