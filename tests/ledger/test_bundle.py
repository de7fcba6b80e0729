"""Bundles: whole or refused, whatever somebody has put into them, and nothing in them is ever executed."""

from __future__ import annotations

import hashlib
import json
import struct
import zipfile
import zlib

import pytest

from idealab.errors import LedgerError, UsageError
from idealab.ledger import BATCH, DECLARATION, VERIFICATION, Ledger, bundle as bundles, canonical, digest
from idealab.ledger.bundle import MANIFEST, export, import_bundle

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


def test_what_is_dated_in_the_future_is_said(other, packed):
    top = declaration()
    late = verification([digest(top)], created="2999-01-01T00:00:00+00:00")
    found = import_bundle(other, packed([member(top), member(late)]))
    assert found.new == 2
    (words,) = found.ahead
    assert "is dated 2999-01-01 00:00 UTC, in the future" in words
    assert other.health().ahead == found.ahead
    assert other.health().damaged == other.health().incomplete == ()


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
        ([top, verification([])], "names no declaration"),
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


# Bombs


def claim(file, name, size):
    """Let the directory of a zip file claim another unpacked size for a member."""
    data = bytearray(file.read_bytes())
    for signature, offset, start in ((b"PK\x03\x04", 22, 30), (b"PK\x01\x02", 24, 46)):
        place = data.find(signature)
        while place >= 0:
            if data[place + start :].startswith(name.encode()):
                data[place + offset : place + offset + 4] = struct.pack("<I", size)
            place = data.find(signature, place + 4)
    file.write_bytes(bytes(data))


def test_a_bomb_is_refused_by_what_it_declares(other, packed, monkeypatch):
    monkeypatch.setattr(bundles, "LARGEST", 2**20)
    name, data = member(canonical(declaration(content={"zeros": "0" * 2**21})))
    file = packed([(name, data)])
    assert file.stat().st_size < 2**14
    refused(other, file, "says it unpacks to more than 1 MiB")
    monkeypatch.setattr(bundles, "LARGEST", 2**22)
    monkeypatch.setattr(bundles, "MOST_BYTES", 2**20)
    refused(other, file, "it says it unpacks to 2 MiB, and 1 are allowed")
    monkeypatch.setattr(bundles, "MOST_BYTES", 1000)
    refused(other, file, "it is larger than 0 MiB")


def test_a_bomb_that_lies_about_its_size_is_read_no_further_than_it_says(other, packed, monkeypatch):
    name, data = member(canonical(declaration(content={"zeros": "0" * 2**24})))
    sizes = {name[11:-5]: 1000}
    file = packed([(name, data)], canonical({"schema": "idealab/bundle/1", "records": sizes}))
    claim(file, name, 1000)
    read = []
    inflate = zlib.decompressobj

    class Counting:
        def __init__(self, *arguments):
            self.inner = inflate(*arguments)

        def decompress(self, *arguments):
            found = self.inner.decompress(*arguments)
            read.append(len(found))
            return found

        def __getattr__(self, what):
            return getattr(self.inner, what)

    monkeypatch.setattr(zlib, "decompressobj", Counting)
    refused(other, file, "cannot be read|not what its name says")
    assert max(read) < 2**20


def test_a_member_that_is_shorter_than_it_says_is_refused(other, packed):
    name, data = member(declaration())
    sizes = {name[11:-5]: len(data) + 5}
    file = packed([(name, data)], canonical({"schema": "idealab/bundle/1", "records": sizes}))
    claim(file, name, len(data) + 5)
    refused(other, file, "shorter or longer than it says|cannot be read")


def test_too_many_members_are_refused(other, packed, monkeypatch):
    monkeypatch.setattr(bundles, "MOST_RECORDS", 3)
    refused(other, packed([member(declaration(k)) for k in range(5)]), "and 3 records are allowed")


def test_members_that_overlap_are_refused(other, packed, tmp_path):
    """Fifield's bomb: many names for one compressed part."""
    name, data = member(declaration())
    names = [f"objects/{k:02x}/{k:02x}{name[13:-5]}.json" for k in range(40)]
    sizes = {name[11:-5]: len(data) for name in names}
    file = packed([(name, data * 1) for name in names[:1]], canonical({"schema": "idealab/bundle/1", "records": sizes}))
    raw = file.read_bytes()
    end = raw.find(b"PK\x05\x06")
    start = struct.unpack("<I", raw[end + 16 : end + 20])[0]
    entries = raw[start:end]
    first = entries[: 46 + len(names[0])]
    many = b"".join(first.replace(names[0].encode(), other_name.encode()) for other_name in names)
    rest = entries[len(first) :]
    tail = bytearray(raw[end:])
    tail[8:12] = struct.pack("<HH", 41, 41)
    tail[12:16] = struct.pack("<I", len(many) + len(rest))
    file.write_bytes(raw[:start] + many + rest + bytes(tail))
    refused(other, file, "overlap|cannot be read")


def test_encrypted_members_and_unknown_compression_are_refused(other, packed):
    name, data = member(declaration())
    for offset, value in ((8, 1), (10, 97)):
        file = packed([(name, data)])
        raw = bytearray(file.read_bytes())
        place = raw.find(b"PK\x01\x02")
        raw[place + offset : place + offset + 2] = struct.pack("<H", value)
        local = raw.find(b"PK\x03\x04")
        raw[local + offset - 2 : local + offset] = struct.pack("<H", value)
        file.write_bytes(bytes(raw))
        refused(other, file, "cannot be read")


# Nothing is executed


def test_nothing_in_a_bundle_is_executed(other, packed, tmp_path):
    sentinel = tmp_path / "owned"
    code = f"__import__('pathlib').Path({str(sentinel)!r}).touch()"
    content = {"signatures": [{"name": code, "prediction": {"text": code, "sha256": "0" * 64}}], "statement": code}
    top = declaration(idea=code, content=content)
    block = batch(digest(top), idea=code, condition=code)
    verdict = verification(
        [digest(top), digest(block)], idea=code, result={"verdict": code, "scope": f"\\input{{{code}}}"}
    )
    found = import_bundle(other, packed([member(record) for record in (top, block, verdict)]))
    assert found.new == 3
    from idealab.rejudge import recheck

    (one,) = recheck(other, other.find(schema=VERIFICATION))
    assert one.state == "not judged"
    assert json.dumps(one.words)
    assert other.health().damaged == ()
    assert not sentinel.exists()
