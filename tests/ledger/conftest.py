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


def verification(parents, **changes):
    created = "2026-01-31T12:00:00+00:00"
    return {"schema": VERIFICATION, "parents": parents, "idea": "toy", "created": created, "result": {}} | changes


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
