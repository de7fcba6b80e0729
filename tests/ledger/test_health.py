"""What a check of every record finds, and what it sets right."""

from __future__ import annotations

import hashlib
import json
import shutil
import sqlite3
import time

import pytest

from idealab.errors import LedgerError, UsageError
from idealab.ledger import BATCH, DECLARATION, VERIFICATION, Ledger, digest
from idealab.ledger.bundle import export
from idealab.ledger.index import _proof
from tests.ledger.conftest import batch, declaration, verification


@pytest.fixture
def ledger(tmp_path):
    found = Ledger(tmp_path / "ledger")
    top = found.put(declaration())
    found.put(verification([top, found.put(batch(top)), found.put(batch(top, 2))]))
    return found


def test_a_sound_ledger(ledger):
    steps = []
    health = ledger.health(lambda: steps.append(1))
    assert (health.objects, health.damaged, health.incomplete, health.ahead, health.index) == (4, (), (), (), "in step")
    assert len(steps) == 4
    assert {entry.schema for entry in health.entries.values()} == {DECLARATION, BATCH, VERIFICATION}


def test_a_record_without_what_it_rests_on_is_told_of(ledger):
    top = digest(declaration())
    file = ledger.path / "objects" / top[:2] / f"{top}.json"
    file.unlink()
    health = Ledger(ledger.path).health()
    assert (health.objects, health.damaged) == (3, ())
    assert len(health.incomplete) == 3
    assert all(f"rests on {top[:12]}, not found or not sound" in line for line in health.incomplete)


@pytest.mark.parametrize(
    ("parents", "words"),
    [
        ((batch(digest(declaration())),), "which is no declaration of the same idea"),
        ((declaration(), declaration()), "which is no batch of the same idea"),
        ((declaration(idea="other"),), "which is no declaration of the same idea"),
    ],
)
def test_a_record_that_rests_on_the_wrong_kind_is_told_of(ledger, parents, words):
    for parent in parents:
        ledger.put(parent)
    sha = ledger.put(verification([digest(parent) for parent in parents], created="2026-02-01T00:00:00+00:00"))
    (line,) = ledger.health().incomplete
    assert words in line
    assert sha[:12] in line


def test_a_verification_of_the_future_is_told_of_and_does_no_harm(ledger):
    sha = ledger.put(verification([digest(declaration())], created="2999-01-01T00:00:00+00:00"))
    health = ledger.health()
    (line,) = health.ahead
    assert sha[:12] in line
    assert "in the future; see to the clock" in line
    assert (health.damaged, health.incomplete, health.writable) == ((), (), True)
    assert ledger.newest()["toy"][0] != sha, "its date says nothing"


def test_an_index_that_lies_with_a_valid_checksum_is_noticed_and_set_right(ledger):
    """No accident, but somebody's work: a batch said to be of another run, and a verdict of another idea."""
    shas = {schema: ledger.find(schema=schema)[0] for schema in (BATCH, VERIFICATION)}
    index = ledger.path / "index.sqlite3"
    with sqlite3.connect(index) as connection:
        for sha, place, value in ((shas[BATCH], 4, "0" * 64), (shas[VERIFICATION], 1, "another")):
            ((text,),) = connection.execute("SELECT entry FROM entries WHERE sha = ?", (sha,)).fetchall()
            entry = json.loads(text)
            entry[place] = value
            text = json.dumps(entry)
            connection.execute("UPDATE entries SET entry = ?, proof = ? WHERE sha = ?", (text, _proof(sha, text), sha))
    connection.close()
    shutil.copy(index, index.with_suffix(".lie"))
    for certain in (False, True):
        shutil.copy(index.with_suffix(".lie"), index)
        assert Ledger(ledger.path).find(schema=VERIFICATION, idea="toy", certain=certain) == [shas[VERIFICATION]]
        assert shas[BATCH] in Ledger(ledger.path).find(schema=BATCH, parent=digest(declaration()), certain=True)
    shutil.copy(index.with_suffix(".lie"), index)
    assert Ledger(ledger.path).health().index == "wrong about 2 records, now right"
    assert Ledger(ledger.path).health().index == "in step"
    assert Ledger(ledger.path).find(idea="another") == []


def test_putting_does_not_wait_for_the_index_and_looking_tells_it(ledger):
    ledger.find()
    sha = ledger.put(declaration(7))
    assert Ledger(ledger.path).health().index == "behind by 1 records"
    assert sha in ledger.find()
    assert Ledger(ledger.path).health().index == "in step"


def test_a_prefix_may_be_of_one_kind_only(ledger):
    (verdict,), blocks = ledger.find(schema=VERIFICATION), ledger.find(schema=BATCH)
    assert ledger.resolve(verdict[:8], VERIFICATION) == verdict
    with pytest.raises(UsageError, match=r"\(batch of 'toy'\) is no verification; see `idealab ledger log`"):
        ledger.resolve(blocks[0][:8], VERIFICATION)


def test_a_prefix_that_fits_several_is_refused_with_what_they_are(ledger):
    """Names are hashes, so four digits that agree are looked for."""
    alike = {}
    for number in range(2000):
        alike.setdefault(digest(declaration(number))[:4], []).append(number)
    pair = next(numbers for numbers in alike.values() if len(numbers) > 1)[:2]
    shas = sorted(ledger.put(declaration(k)) for k in pair)
    with pytest.raises(UsageError, match=f"2 records begin with '{shas[0][:4]}'") as error:
        ledger.resolve(shas[0][:4])
    for sha in shas:
        assert f"{sha[:20]} (declaration of 'toy')" in str(error.value)


def test_checking_is_one_pass(ledger, monkeypatch):
    read = []
    load = type(ledger._objects).load
    monkeypatch.setattr(type(ledger._objects), "load", lambda self, sha: (read.append(sha), load(self, sha))[1])
    Ledger(ledger.path).health()
    assert len(read) == len(set(read)) == 4


def test_a_clock_that_stands_still_breaks_nothing(ledger, monkeypatch):
    monkeypatch.setattr(time, "time", lambda: 0.0)
    assert len(Ledger(ledger.path).health().ahead) == 1, "seen from 1970 all is future"


def _planted(ledger, text):
    """Bytes that nobody has checked, under the name that they have."""
    data = text.encode()
    sha = hashlib.sha256(data).hexdigest()
    file = ledger.path / "objects" / sha[:2] / f"{sha}.json"
    file.parent.mkdir(exist_ok=True)
    file.write_bytes(data)
    return sha


@pytest.mark.parametrize("how", ["indented", "a lone surrogate", "too deep"])
def test_a_record_that_idealab_would_write_otherwise_stops_nothing_and_is_told_of(ledger, how, tmp_path):
    other = batch(digest(declaration()), 4)
    if how == "indented":
        text = json.dumps(other, sort_keys=True, indent=1)
    else:
        odd = "\ud800" if how == "a lone surrogate" else json.loads("[" * 800 + "]" * 800)
        text = json.dumps(other | {"environment": {"odd": odd}}, sort_keys=True, separators=(",", ":"))
    sha = _planted(ledger, text)
    again = Ledger(ledger.path)
    (line,) = again.health().damaged
    assert sha in line
    assert "not in canonical form" in line
    assert len(again.find(schema=VERIFICATION)) == 1
    if how == "indented":
        with pytest.raises(LedgerError, match="not in canonical form"):
            export(again, (), tmp_path / "all.zip")
        assert not (tmp_path / "all.zip").exists()
