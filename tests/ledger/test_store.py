import hashlib
import math
import re
import shutil
import sqlite3
import time
from datetime import UTC, datetime

import numpy as np
import pytest

from idealab.errors import LedgerError, UsageError
from idealab.ledger import BATCH, DECLARATION, VERIFICATION, Ledger, digest
from tests.ledger import conftest

RUN = {"experiment": "idealized", "condition": "kappa=0.3", "master_seed": 0, "precision": "float64"}
ENVIRONMENT = {"jax": "0.10.2", "devices": ("cpu",)}


def declaration(number=0):
    return {"schema": DECLARATION, "idea": "max_margin", "content": {"number": number}}


PARENT = digest(declaration())


def batch(first_seed=0, seeds=4, **changes):
    measured = np.arange(first_seed, first_seed + seeds, dtype=float)
    observation = {"parameters": {}, "observables": {"norm": measured}}
    record = {"schema": BATCH, "parents": [PARENT], "idea": "max_margin", "environment": ENVIRONMENT, "seconds": 0.5}
    return record | RUN | {"first_seed": first_seed, "seeds": seeds, "observation": observation} | changes


def verification(idea="max_margin", second=0, **result):
    created = f"2026-01-31T12:00:{second:02d}+00:00"
    return conftest.verification([PARENT], idea=idea, created=created, result=conftest.result(PARENT, idea, **result))


@pytest.fixture
def ledger(tmp_path):
    return Ledger(tmp_path / "ledger")


def file_of(ledger, sha):
    return ledger.path / "objects" / sha[:2] / f"{sha}.json"


def first_seeds(ledger, **changes):
    found = ledger.batches(PARENT, **(RUN | {"environment": ENVIRONMENT} | changes))
    return [record["first_seed"] for record in found]


def damage(file, change):
    data = change(file.read_bytes())
    file.unlink()
    file.write_bytes(data)


def torn(data):
    return data[: len(data) // 2]


def flipped(data):
    return data[:20] + bytes([data[20] ^ 1]) + data[21:]


def test_a_record_comes_back_under_the_hash_of_its_bytes(ledger):
    sha = ledger.put(declaration())
    assert sha == PARENT
    assert ledger.get(sha) == declaration()
    assert file_of(ledger, sha).is_file()


def test_putting_again_changes_nothing(ledger):
    sha = ledger.put(declaration())
    before = file_of(ledger, sha).stat()
    assert ledger.put(declaration()) == sha
    after = file_of(ledger, sha).stat()
    assert (before.st_ino, before.st_mtime_ns) == (after.st_ino, after.st_mtime_ns)


def test_what_is_no_record_is_not_written(ledger):
    with pytest.raises(LedgerError, match="missing or unknown: 'content'"):
        ledger.put({"schema": DECLARATION, "idea": "max_margin"})
    assert not ledger.path.exists()


def test_the_default_place(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("IDEALAB_LEDGER", raising=False)
    assert Ledger.default().path == tmp_path / ".idealab"
    monkeypatch.setenv("IDEALAB_LEDGER", "elsewhere")
    assert Ledger.default().path == tmp_path / "elsewhere"


def test_looking_creates_nothing(ledger):
    assert ledger.find() == []
    assert ledger.newest() == {}
    health = ledger.health()
    assert (health.objects, health.index, health.writable) == (0, "absent", True)
    assert not ledger.path.exists()


@pytest.mark.parametrize("change", [torn, flipped, lambda data: b"", lambda data: data + b"\n"])
@pytest.mark.parametrize("indexed", [True, False])
def test_a_damaged_record_is_reported_and_never_used_nor_deleted(ledger, change, indexed):
    shas = [ledger.put(batch(first)) for first in (0, 4, 8)]
    if indexed:
        assert set(ledger.find()) == set(shas), "and now the index knows them"
    damage(file_of(ledger, shas[1]), change)
    fresh = Ledger(ledger.path)
    with pytest.raises(LedgerError, match=rf"{shas[1]}\.json is damaged.*move it away"):
        fresh.get(shas[1])
    assert first_seeds(fresh) == first_seeds(fresh) == [0, 8]
    assert [shas[1] in line for line in fresh.warnings] == [True]
    assert [shas[1] in line for line in fresh.health().damaged] == [True]
    assert file_of(ledger, shas[1]).exists()


@pytest.mark.parametrize("change", [torn, flipped, lambda data: b""])
def test_a_damaged_record_that_is_at_hand_is_written_anew(ledger, change):
    sha = ledger.put(batch())
    damage(file_of(ledger, sha), change)
    spoiled = file_of(ledger, sha).read_bytes()
    fresh = Ledger(ledger.path)
    assert fresh.put(batch()) == sha
    (warning,) = fresh.warnings
    assert f"record {sha} was damaged" in warning
    aside = file_of(ledger, sha).with_suffix(".damaged")
    assert str(aside) in warning
    assert aside.read_bytes() == spoiled
    assert digest(fresh.get(sha)) == sha
    assert [str(aside) in line for line in fresh.health().damaged] == [True]


def test_a_renamed_record_is_reported(ledger):
    sha = ledger.put(declaration())
    name = sha[:2] + "0" * 62
    file_of(ledger, sha).rename(file_of(ledger, name))
    with pytest.raises(LedgerError, match=r"is damaged: .*renamed"):
        ledger.get(name)
    with pytest.raises(LedgerError, match=f"no record {sha}"):
        ledger.get(sha)
    assert ledger.find() == []
    assert len(ledger.warnings) == len(ledger.health().damaged) == 1


def test_foreign_files_are_reported_and_do_no_harm(ledger):
    sha = ledger.put(declaration())
    for name in ("notes.txt", f"{sha[:2]}/copy.json", f"{sha[:2]}/{sha[::-1]}.json"):
        (ledger.path / "objects" / name).write_text("{}")
    assert ledger.find() == [sha]
    assert len(ledger.health().damaged) == 3
    assert ledger.warnings == []


def test_a_record_of_a_newer_version_is_named_and_skipped(ledger):
    data = b'{"schema":"idealab/batch/2"}'
    sha = hashlib.sha256(data).hexdigest()
    file_of(ledger, sha).parent.mkdir(parents=True)
    file_of(ledger, sha).write_bytes(data)
    with pytest.raises(LedgerError, match=rf"{sha}\.json: .*another version of idealab: upgrade"):
        ledger.get(sha)
    assert ledger.find() == []
    assert "upgrade" in ledger.warnings[0]


def test_a_prefix_names_one_record(ledger):
    shas = [ledger.put(declaration(number)) for number in range(3)]
    assert ledger.resolve(shas[1][:12]) == ledger.resolve(shas[1][:12].upper()) == ledger.resolve(shas[1]) == shas[1]
    with pytest.raises(UsageError, match="prefix='abc' is too short"):
        ledger.resolve("abc")
    with pytest.raises(UsageError, match="no record begins with 'xyzw'"):
        ledger.resolve("xyzw")
    twin = shas[0][:10] + "0" * 54
    file_of(ledger, twin).write_bytes(b"")
    with pytest.raises(UsageError, match=f"2 records begin with '{shas[0][:8]}': {shas[0][:10]}"):
        ledger.resolve(shas[0][:8])


@pytest.mark.parametrize("sha", ["", "abcd", "../../etc/passwd", "A" * 64, "g" * 64])
def test_only_full_names_are_read(ledger, sha):
    with pytest.raises(UsageError, match="not a record's name"):
        ledger.get(sha)


def test_records_are_found_by_what_they_say_the_newest_last(ledger):
    late, early = ledger.put(verification(second=30)), ledger.put(verification(second=10))
    other = ledger.put(verification("edge_of_stability", second=20))
    top, part = ledger.put(declaration()), ledger.put(batch())
    for reader in (ledger, Ledger(ledger.path)):
        assert reader.find(schema=VERIFICATION) == [early, other, late]
        assert reader.find(schema=VERIFICATION, idea="max_margin") == [early, late]
        assert set(reader.find(parent=top)) == {early, late, other, part}
        assert reader.find(schema=BATCH, parent=top) == [part]
        assert reader.find(idea="absent") == []
        assert {idea: sha for idea, (sha, _) in reader.newest().items()} == {
            "max_margin": late,
            "edge_of_stability": other,
        }


def test_the_newest_sound_record_stands_in_for_a_damaged_one(ledger):
    late, early = ledger.put(verification(second=30)), ledger.put(verification(second=10, verdict="refuted"))
    damage(file_of(ledger, late), torn)
    sha, record = Ledger(ledger.path).newest()["max_margin"]
    assert (sha, record["result"]["verdict"]) == (early, "refuted")


def test_batches_come_in_seed_order_and_only_those_of_the_same_run(ledger):
    for first in (8, 0, 4):
        ledger.put(batch(first))
    others = {"experiment": "network", "condition": "kappa=1", "master_seed": 1, "precision": "float32"}
    others |= {"environment": {"jax": "0.11"}, "parents": ["b" * 64]}
    for number, change in enumerate(others.items()):
        ledger.put(batch(100 + number) | dict([change]))
    assert first_seeds(ledger) == first_seeds(Ledger(ledger.path)) == [0, 4, 8]
    assert first_seeds(ledger, environment={"devices": ["cpu"], "jax": "0.10.2"}) == [0, 4, 8]
    assert first_seeds(ledger, condition="kappa=1") == [101]
    assert ledger.batches("b" * 64, **RUN, environment=ENVIRONMENT)[0]["parents"] == ["b" * 64]
    assert ledger.warnings == []


def test_what_two_runs_observed_at_once_is_used_once_and_only_told_of_where_it_differs(ledger):
    values = {"parameters": {}, "observables": {"norm": [[math.nan]] * 4}}
    for seconds in (1.0, 2.0):
        ledger.put(batch(seconds=seconds, observation=values))
    assert first_seeds(ledger) == [0]
    assert ledger.warnings == []
    ledger.put(batch(seconds=3.0))
    assert first_seeds(ledger) == [0]
    assert [line for line in ledger.warnings if "there twice" in line] == ledger.warnings != []


def test_no_seed_is_given_twice(ledger):
    for first, seeds, seconds in ((0, 4, 1.0), (0, 8, 2.0), (0, 8, 3.0), (6, 4, 4.0), (12, 4, 5.0)):
        ledger.put(batch(first, seeds, seconds=seconds))
    found = ledger.batches(PARENT, **RUN, environment=ENVIRONMENT)
    assert [(record["first_seed"], record["seeds"], record["seconds"]) for record in found] == [(0, 8, 2), (12, 4, 5)]
    assert any("are there twice; used once" in line for line in ledger.warnings)


# Clocks


def set_clock(monkeypatch, year, hour=0):
    seconds = datetime(year, 1, 2, hour, tzinfo=UTC).timestamp()
    monkeypatch.setattr(time, "time", lambda: seconds)


@pytest.mark.parametrize("indexed", [True, False])
def test_the_order_of_verifications_outlives_a_clock_that_jumps(ledger, monkeypatch, indexed):
    shas = []
    for hour in (3, 20, 1, 5, 21):
        set_clock(monkeypatch, 2026, hour)
        if not indexed:
            (ledger.path / "index.sqlite3").unlink(missing_ok=True)
        ledger = Ledger(ledger.path)
        now = ledger.now()
        assert now.hour == max(hour, 20 if shas[1:] else 0)
        shas.append(ledger.put(verification() | {"created": now.isoformat(timespec="microseconds")}))
        assert ledger.find(schema=VERIFICATION) == shas
        assert ledger.newest()["max_margin"][0] == shas[-1]
        words = f"the clock says 2026-01-02 {hour:02d}:00", "of 2026-01-02 20:00"
        told = [line for line in ledger.warnings if all(part in line for part in words)]
        assert ledger.warnings == told
        assert len(told) == (hour in (1, 5))


def test_a_clock_that_is_a_little_behind_is_not_told_of(ledger, monkeypatch):
    set_clock(monkeypatch, 2026)
    ledger.put(verification() | {"created": "2026-01-02T00:00:30+00:00"})
    assert ledger.now().isoformat() == "2026-01-02T00:00:30.000002+00:00"
    assert ledger.warnings == []


@pytest.mark.parametrize("created", ["9999-12-31T23:59:59.999999+00:00", "2026-01-03T00:00:01+00:00"])
def test_a_date_more_than_a_day_ahead_says_nothing(ledger, monkeypatch, created):
    set_clock(monkeypatch, 2026)
    late = ledger.put(verification() | {"created": created})
    assert ledger.now().isoformat() == "2026-01-02T00:00:00+00:00"
    sha = ledger.put(verification() | {"created": ledger.now().isoformat()})
    assert ledger.find(schema=VERIFICATION) == Ledger(ledger.path).find(schema=VERIFICATION) == [late, sha]


# The index


def lie(index, statement):
    with sqlite3.connect(index) as connection:
        connection.execute(statement)
    connection.close()


def replace_by_directory(index):
    index.unlink()
    index.mkdir()


@pytest.mark.parametrize(
    ("spoil", "state"),
    [
        (lambda index: index.unlink(), "absent"),
        (lambda index: index.write_bytes(b""), "behind by 4 records"),
        (lambda index: index.write_bytes(b"no database" * 1000), "behind by 4 records"),
        (lambda index: index.write_bytes(index.read_bytes()[:5000]), "behind by 4 records"),
        (replace_by_directory, "unusable: unable to open"),
        (lambda index: lie(index, "DELETE FROM entries WHERE rowid % 2"), "behind by 2 records"),
        (
            lambda index: lie(index, "UPDATE entries SET entry = replace(entry, 'max_margin', 'other')"),
            "behind by 4 records",
        ),
        (lambda index: lie(index, "UPDATE entries SET entry = NULL, proof = 7"), "behind by 4 records"),
        (lambda index: lie(index, "UPDATE entries SET entry = x'ff'"), "behind by 4 records"),
        (lambda index: lie(index, "UPDATE entries SET entry = CAST(x'ff' AS TEXT)"), "behind by 4 records"),
        (lambda index: lie(index, "DROP TABLE entries"), "behind by 4 records"),
        (lambda index: lie(index, "ALTER TABLE entries DROP COLUMN proof"), "behind by 4 records"),
    ],
)
def test_a_spoiled_index_hides_nothing(ledger, spoil, state):
    shas = {ledger.put(batch(first)) for first in (0, 4, 8)} | {ledger.put(verification())}
    index = ledger.path / "index.sqlite3"
    assert ledger.health().index == "in step"
    spoil(index)
    assert re.match(state, Ledger(ledger.path).health().index)
    fresh = Ledger(ledger.path)
    assert first_seeds(fresh) == [0, 4, 8]
    assert set(fresh.find(idea="max_margin")) == shas
    assert fresh.warnings == []
    state = "unusable: unable to open database file" if index.is_dir() else "in step"
    assert Ledger(ledger.path).health().index == state


def test_entries_of_records_that_are_gone_are_ignored(ledger):
    gone, kept = ledger.put(batch(0)), ledger.put(batch(4))
    file_of(ledger, gone).unlink()
    assert Ledger(ledger.path).find() == ledger.find() == [kept]
    assert first_seeds(ledger) == [4]


def test_records_that_others_brought_are_found(ledger, tmp_path):
    ledger.put(batch(0))
    elsewhere = Ledger(tmp_path / "elsewhere")
    sha = elsewhere.put(batch(4))
    file_of(ledger, sha).parent.mkdir(exist_ok=True)
    shutil.copy(file_of(elsewhere, sha), file_of(ledger, sha))
    assert first_seeds(ledger) == [0, 4]


def test_a_locked_index_costs_no_evidence(ledger, monkeypatch):
    ledger.put(batch(0))
    connect = sqlite3.connect
    monkeypatch.setattr(sqlite3, "connect", lambda file, timeout: connect(file, timeout=0.01))
    other = connect(ledger.path / "index.sqlite3", isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    try:
        ledger.put(batch(4))
        fresh = Ledger(ledger.path)
        assert first_seeds(fresh) == [0, 4]
        assert fresh.health().index == "unusable: database is locked"
    finally:
        other.close()
    assert first_seeds(Ledger(ledger.path)) == [0, 4]
    assert ledger.health().index == "in step"
