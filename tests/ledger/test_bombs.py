"""Bundles that unpack to more than they seem to hold."""

from __future__ import annotations

import struct
import zlib

from idealab.ledger import bundle as bundles, canonical
from tests.ledger.conftest import declaration, member, refused


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
