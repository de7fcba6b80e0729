"""A ledger on a network file system, as NFS behaves: two clients, each with a view of its own, and requests sent twice.

No NFS is at hand where these tests run: its ways are put between the ledger and a real disk. They are those that RFC
1813 and nfs(5) tell of: a listing as old as the client's cache; a rename, an exclusive creation or a removal that was
done, and says that it was not, since it was sent again; a handle that has gone stale as another client replaced the
file; no fsync of a folder; names ``.nfs...`` of files that are deleted while open; no locks.
"""

from __future__ import annotations

import errno
import os
import random
import sqlite3
import stat

import pytest

from idealab.errors import LedgerError
from idealab.ledger import BATCH, Ledger, digest
from idealab.ledger.bundle import export, import_bundle
from tests.ledger.conftest import batch, declaration, verification

OFTEN = 0.2


class Client:
    """The calls of clients, which go wrong in the ways of NFS: far more often than there, not at once."""

    def __init__(self, chance: random.Random, patch: pytest.MonkeyPatch) -> None:
        self.chance, self.old, self.happened = chance, dict[str, list[str]](), dict[str, int]()
        self.calm = 0
        self.real = {name: getattr(os, name) for name in ("replace", "open", "listdir", "fsync", "unlink")}
        for name in self.real:
            patch.setattr(os, name, getattr(self, name))

    def strikes(self, what: str) -> bool:
        struck = self.calm <= 0 and self.chance.random() < OFTEN
        self.calm = 3 if struck else self.calm - 1
        self.happened[what] = self.happened.get(what, 0) + struck
        return struck

    def replace(self, source, target):
        self.real["replace"](source, target)
        if self.strikes("rename"):
            raise FileNotFoundError(errno.ENOENT, "No such file or directory")

    def unlink(self, path, **more):
        self.real["unlink"](path, **more)
        if self.strikes("remove"):
            raise FileNotFoundError(errno.ENOENT, "No such file or directory")

    def open(self, path, flags, mode=0o777, **more):
        handle = self.real["open"](path, flags, mode, **more)
        made, record = flags & os.O_EXCL, str(path).endswith(".json")
        if (made or record) and self.strikes("create" if made else "read"):
            os.close(handle)
            code = errno.EEXIST if made else errno.ESTALE
            raise OSError(code, os.strerror(code))
        return handle

    def listdir(self, path):
        fresh = self.real["listdir"](path)
        place = os.fspath(path)
        if place not in self.old or not self.strikes("listing"):
            self.old[place] = fresh
        return self.old[place]

    def fsync(self, handle):
        if stat.S_ISDIR(os.fstat(handle).st_mode):
            raise OSError(errno.EINVAL, "Invalid argument")
        self.real["fsync"](handle)


def lockless(*_arguments, **_keywords):
    error = sqlite3.OperationalError("locking protocol")
    error.sqlite_errorcode = sqlite3.SQLITE_PROTOCOL
    raise error


@pytest.mark.parametrize("seed", range(5))
def test_two_clients_of_a_network_file_system_lose_nothing(tmp_path, monkeypatch, seed):
    top = digest(declaration())
    with monkeypatch.context() as system:
        client = Client(random.Random(seed), system)
        system.setattr(sqlite3, "connect", lockless)
        ledgers = [Ledger(tmp_path / "ledger") for _ in range(2)]
        for ledger in ledgers:
            ledger.put(declaration())
            ledger.ensure_writable()
        written = set[str]()
        for first in range(0, 80, 2):
            for k, ledger in enumerate(ledgers):
                record = batch(top, first, master_seed=k if first % 8 else 0)  # every fourth is the same in both
                sha = ledger.put(record)
                assert ledger.get(sha) == record, "what was put can be read at once, however old the listing is"
                written.add(sha)
            assert set(ledgers[0].find(schema=BATCH)) <= written
        verdict = ledgers[0].put(verification([top, *sorted(written)]))
        export(ledgers[1], [verdict], tmp_path / "all.zip")
        assert import_bundle(Ledger(tmp_path / "other"), tmp_path / "all.zip").new == len(written) + 2
        assert min(client.happened[what] for what in ("rename", "create", "read", "listing")) > 0
    for place in ("ledger", "other"):
        health = Ledger(tmp_path / place).health()
        assert (health.damaged, health.incomplete, health.objects) == ((), (), len(written) + 2)
        assert set(Ledger(tmp_path / place).find(schema=BATCH)) == written


def test_what_is_stale_for_good_is_said(tmp_path, monkeypatch):
    ledger = Ledger(tmp_path / "ledger")
    sha = ledger.put(declaration())
    refuse = lambda *_: (_ for _ in ()).throw(OSError(errno.ESTALE, "Stale file handle"))
    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(LedgerError, match=r"cannot be read \(Stale file handle\)"):
        ledger.get(sha)


def test_what_nfs_calls_a_deleted_file_is_no_fault(tmp_path):
    ledger = Ledger(tmp_path / "ledger")
    sha = ledger.put(declaration())
    (ledger.path / "objects" / sha[:2] / ".nfs00000000019a5d4c00000001").write_bytes(b"half")
    health = ledger.health()
    assert (health.damaged, health.temporaries, health.objects) == ((), 1, 1)


def test_the_index_of_others_is_not_deleted_where_there_are_no_locks(tmp_path, monkeypatch):
    ledger = Ledger(tmp_path / "ledger")
    sha = ledger.put(declaration())
    assert ledger.find() == [sha]
    index = (ledger.path / "index.sqlite3").read_bytes()
    with monkeypatch.context() as system:
        system.setattr(sqlite3, "connect", lockless)
        assert Ledger(ledger.path).find() == [sha]
        assert Ledger(ledger.path).health().index == "unusable: locking protocol"
    assert (ledger.path / "index.sqlite3").read_bytes() == index
