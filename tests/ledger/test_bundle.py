"""Bundles: whole or refused, whatever somebody has put into them, and nothing in them is ever executed."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest

from idealab.errors import LedgerError, UsageError
from idealab.ledger import BATCH, VERIFICATION, Ledger, bundle as bundles, canonical, digest
from idealab.ledger.bundle import export, import_bundle
from tests.ledger.conftest import batch, declaration, member, refused, result, verification

# There and back


def test_what_is_exported_comes_in_again(ledger, other, tmp_path):
    steps = []
    assert export(ledger, (), tmp_path / "all.zip", lambda: steps.append(1)) == 5 == len(steps)
    found = import_bundle(other, tmp_path / "all.zip")
    assert (found.new, found.known, found.ahead) == (5, 0, ())
    assert set(other.find()) == set(ledger.find())
    assert all(other.get(sha) == ledger.get(sha) for sha in ledger.find())
    assert (import_bundle(other, tmp_path / "all.zip").new, other.health().damaged) == (0, ())


def test_the_same_records_make_the_same_bytes(ledger, other, tmp_path):
    export(ledger, (), tmp_path / "a.zip")
    import_bundle(other, tmp_path / "a.zip")
    export(other, (), tmp_path / "b.zip")
    assert (tmp_path / "a.zip").read_bytes() == (tmp_path / "b.zip").read_bytes()


def test_a_verification_brings_what_it_rests_on_and_a_declaration_all_that_rests_on_it(ledger, tmp_path):
    (verdict,) = ledger.find(schema=VERIFICATION)
    assert export(ledger, [verdict], tmp_path / "verdict.zip") == 4
    assert export(ledger, [digest(declaration())], tmp_path / "declared.zip") == 4
    assert export(ledger, [digest(declaration(1))], tmp_path / "alone.zip") == 1
    (first, *_) = ledger.find(schema=BATCH)
    assert export(ledger, [first], tmp_path / "block.zip") == 2


def test_exporting_writes_over_nothing(ledger, tmp_path):
    (tmp_path / "kept.zip").write_text("mine")
    with pytest.raises(UsageError, match=r"kept\.zip is there already"):
        export(ledger, (), tmp_path / "kept.zip")
    assert (tmp_path / "kept.zip").read_text() == "mine"


def test_a_damaged_record_is_not_exported_and_leaves_no_file(ledger, tmp_path):
    (verdict,) = ledger.find(schema=VERIFICATION)
    (ledger.path / "objects" / verdict[:2] / f"{verdict}.json").write_text("{}")
    with pytest.raises(LedgerError, match="is damaged"):
        export(ledger, [digest(declaration())], tmp_path / "a.zip")
    with pytest.raises(UsageError, match="holds no record"):
        export(Ledger(tmp_path / "empty"), (), tmp_path / "a.zip")
    with pytest.raises(LedgerError, match="cannot be written"):
        export(ledger, [digest(declaration(1))], tmp_path / "nowhere" / "a.zip")
    assert not (tmp_path / "a.zip").exists()


def test_what_is_there_already_may_be_a_parent(ledger, other, packed):
    other.put(declaration())
    found = import_bundle(other, packed([member(batch(digest(declaration())))]))
    assert (found.new, found.known) == (1, 0)


def test_a_damaged_record_is_mended_by_an_import(ledger, other, tmp_path):
    export(ledger, (), tmp_path / "all.zip")
    import_bundle(other, tmp_path / "all.zip")
    sha = digest(declaration(1))
    (other.path / "objects" / sha[:2] / f"{sha}.json").write_text("{}")
    fresh = Ledger(other.path)
    assert import_bundle(fresh, tmp_path / "all.zip").new == 1
    assert fresh.get(sha) == declaration(1)
    assert "was damaged" in fresh.warnings[0]


def test_an_import_that_is_killed_leaves_nothing_without_its_parents(ledger, other, tmp_path):
    export(ledger, (), tmp_path / "all.zip")
    for stop in range(5, 10):
        steps = iter(range(100))

        def step(steps=steps, stop=stop):
            if next(steps) == stop:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            import_bundle(other, tmp_path / "all.zip", step)
        assert other.health().incomplete == ()
    import_bundle(other, tmp_path / "all.zip")
    assert set(other.find()) == set(ledger.find())


def ahead(**difference):
    return (datetime.now(UTC) + timedelta(**difference)).isoformat()


def test_what_is_dated_in_the_future_is_said(other, packed):
    top = declaration()
    late = verification([digest(top)], created=ahead(hours=23))
    found = import_bundle(other, packed([member(top), member(late)]))
    assert found.new == 2
    (words,) = found.ahead
    assert f"is dated {late['created'][:10]}" in words
    assert "in the future" in words
    assert other.health().ahead == found.ahead
    assert other.health().damaged == other.health().incomplete == ()


def test_what_is_dated_far_in_the_future_is_refused(other, packed):
    top = declaration()
    for late in ("9998-01-01T00:00:00+00:00", ahead(hours=25)):
        made = packed([member(top), member(verification([digest(top)], created=late))])
        refused(other, made, f"of 'toy' is dated {late[:10]} .* UTC, in the future; see to the clock")


# Torn, truncated, no bundle


@pytest.mark.parametrize("part", [0.0, 0.1, 0.5, 0.9, 0.999])
def test_a_truncated_bundle_is_refused(ledger, other, tmp_path, part):
    export(ledger, (), tmp_path / "all.zip")
    data = (tmp_path / "all.zip").read_bytes()
    torn = tmp_path / "torn.zip"
    torn.write_bytes(data[: int(part * len(data))])
    refused(other, torn, "cannot be read as a zip file")


def test_no_flipped_byte_is_taken_in(ledger, other, tmp_path):
    """Wherever it is: the bundle is refused, or the byte was none that matters, and the records are what they were."""
    export(ledger, (), tmp_path / "all.zip")
    data, names = (tmp_path / "all.zip").read_bytes(), set(ledger.find())
    flipped = tmp_path / "flipped.zip"
    taken = 0
    for k in range(0, len(data), 7):
        flipped.write_bytes(data[:k] + bytes([data[k] ^ 0x55]) + data[k + 1 :])
        place = Ledger(tmp_path / f"into{k}")
        try:
            import_bundle(place, flipped)
        except LedgerError:
            assert not place.path.exists()
        else:
            taken += 1
            assert set(place.find()) == names
    assert taken < len(data) / 7 / 2


def test_what_is_no_bundle_is_refused(other, packed, tmp_path):
    with pytest.raises(UsageError, match="is no file"):
        import_bundle(other, tmp_path)
    with pytest.raises(UsageError, match="is no file"):
        import_bundle(other, tmp_path / "absent.zip")
    refused(other, packed([], manifest=b""), r"has no manifest\.json")
    for manifest, words in (
        (b"{", r"manifest\.json is no JSON"),
        (b"[" * 100_000, r"manifest\.json is no JSON"),
        (b"[]", "schema=None, expected 'idealab/bundle/1'"),
        (b'{"schema": "evil\\u001b[31m"}', r"schema='evil\\x1b\[31m'"),
        (b'{"schema": "idealab/bundle/2", "records": {}}', "another version of idealab: upgrade"),
        (b'{"schema": "idealab/bundle/1", "records": []}', "lists no records"),
    ):
        refused(other, packed([], manifest=manifest), words)


# Members


def test_members_that_are_no_records_are_refused(other, packed):
    name, data = member(declaration())
    for hostile in (
        "../../evil.json",
        "/etc/passwd",
        "objects/../../evil.json",
        "C:\\evil.json",
        "objects/",
        f"{name}/../x",
        name.upper(),
        name.replace("objects/", "objects/../objects/"),
        f"objects/00/{name[11:]}",
        "evil.pickle",
        "\x1b[2Jevil",
        "é" * 300,
    ):
        file = packed([(hostile, data)], manifest=b"{}")
        refused(other, file, "and only records and a manifest belong there")
        with pytest.raises(LedgerError) as error:
            import_bundle(other, file)
        assert str(error.value).isprintable()


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_member_that_is_there_twice_is_refused(other, packed):
    one = member(declaration())
    refused(other, packed([one, one]), "twice")


def test_a_renamed_or_edited_member_is_refused(other, packed):
    name, data = member(declaration())
    wrong = member(declaration(1))[0]
    refused(other, packed([(wrong, data)]), "is not what its name says: cut short, edited or renamed")
    refused(other, packed([(name, data[:-3])]), "is not what its name says")
    refused(other, packed([(name, b"")]), "is not what its name says")


def test_the_manifest_and_the_members_must_agree(other, packed):
    one, two = member(declaration()), member(declaration(1))
    for names, words in (((one, two), "is in its manifest, but not there"), ((), "is not in its manifest")):
        sizes = {name[11:-5]: len(data) for name, data in names}
        manifest = canonical({"schema": "idealab/bundle/1", "records": sizes})
        refused(other, packed([one], manifest), words)
    manifest = canonical({"schema": "idealab/bundle/1", "records": {one[0][11:-5]: 7}})
    refused(other, packed([one], manifest), "is said to hold 7 bytes")


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"\x80\x04\x95cos\nsystem\n", "not a record"),
        (b"[" * 100_000, "not a record"),
        (b'{"schema":"idealab/verification/2"}', "written by another version of idealab: upgrade"),
        (b'{"schema":"idealab/declaration/1","idea":"x"}', "missing or unknown: 'content'"),
        (b'{"schema":"idealab/declaration/1","idea":"x","content":{"a":1e999}}', "no finite float64"),
        (b'{"schema":"idealab/declaration/1","idea":"x","content":{"a":NaN}}', "no finite float64|could not convert"),
        (b'{"content":{},"idea":"x","idea":"y","schema":"idealab/declaration/1"}', "occurs twice"),
        (b'{"content":{"a":1.0},"idea":"x","schema":"idealab/declaration/1"}', "not in canonical form"),
        (b'{"idea":"x","content":{},"schema":"idealab/declaration/1"}', "not in canonical form"),
        (b'{"content":{},"idea":"x","schema":"idealab/declaration/1"}\n', "not in canonical form"),
    ],
)
def test_a_member_that_is_no_sound_record_is_refused(other, packed, data, words):
    refused(other, packed([member(data)]), words)


# Kin


def test_what_a_record_rests_on_must_come_along_and_be_what_it_should_be(other, packed):
    top, second = declaration(), declaration(1)
    block = batch(digest(top))
    for records, words in (
        ([block], "not found or not sound"),
        ([top, batch(digest(second))], "not found or not sound"),
        ([top, verification([])], r"result\.declaration\) is \('toy', ''\), but a record has those of the record"),
        ([top, block, batch(digest(block), 2)], "which is no declaration of the same idea"),
        ([top, verification([digest(top), digest(top)])], "which is no batch of the same idea"),
        ([top, second, block, verification([digest(second), digest(block)])], "observed under another declaration"),
        ([top, batch(digest(top), idea="other")], "which is no declaration of the same idea"),
    ):
        refused(other, packed([member(record) for record in records]), words)


def test_a_cycle_is_refused(other, packed):
    """By names that are not the hashes they should be; by kind it cannot close, whatever the hashes."""
    one, two = "a" * 64, "b" * 64
    members = [(one, canonical(verification([two]))), (two, canonical(verification([one])))]
    refused(other, packed([(f"objects/{sha[:2]}/{sha}.json", data) for sha, data in members]), "not what its name says")


def test_a_cycle_of_names_that_fit_is_refused_by_kind(other, packed, monkeypatch):
    class Broken:
        """SHA-256 as if it were broken: the hash of a verification is what its name should be."""

        def __init__(self, data):
            self.data = data

        def hexdigest(self):
            return ("b" if b'"parents":["aaaa' in self.data else "a") * 64

    monkeypatch.setattr(bundles, "hashlib", type("hashlib", (), {"sha256": Broken}))
    members = [(sha * 64, canonical(verification([parent * 64]))) for sha, parent in (("a", "b"), ("b", "a"))]
    file = packed([(f"objects/{sha[:2]}/{sha}.json", data) for sha, data in members])
    refused(other, file, "which is no declaration of the same idea; do not trust it")


# Nothing is executed


def test_nothing_in_a_bundle_is_executed(other, packed, tmp_path):
    sentinel = tmp_path / "owned"
    code = f"__import__('pathlib').Path({str(sentinel)!r}).touch()"
    content = {"signatures": [{"name": code, "prediction": {"text": code, "sha256": "0" * 64}}], "statement": code}
    top = declaration(idea="evil", content=content)
    block = batch(digest(top), idea="evil", condition=code)
    said = result(digest(top), "evil", statement=code, scope=f"\\input{{{code}}}", gates=[code])
    verdict = verification([digest(top), digest(block)], idea="evil", result=said)
    found = import_bundle(other, packed([member(record) for record in (top, block, verdict)]))
    assert found.new == 3
    from idealab.review.rejudge import recheck

    (one,) = recheck(other, other.find(schema=VERIFICATION))
    assert one.state == "not judged"
    assert json.dumps(one.words)
    assert other.health().damaged == ()
    assert not sentinel.exists()
