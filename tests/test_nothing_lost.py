"""Nothing lost: a run that is cut short at a random moment goes on, ends the same, and repeats no finished block.

The moments are operations of the ledger on the disk, of which every run has a countable number: `Disk` stands between
the two, strikes at the one that a seed has drawn, and knows what a power cut may still take. tests/test_killed.py does
the same to real processes, by signals.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import random
import shutil
import time
from collections import Counter, defaultdict
from collections.abc import Callable
from pathlib import Path
from threading import RLock
from types import SimpleNamespace
from typing import Any

import pytest

from idealab.compute.run import Runner
from idealab.errors import LedgerError
from idealab.ledger.index import Index
from idealab.ledger.records import BATCH, VERIFICATION
from idealab.ledger.store import Ledger

MOMENTS = {
    "killed": 60,
    "power cut": 50,
    "power cut, disk lies": 20,
    "disk full": 20,
    "disk at fault": 10,
    "Ctrl-C": 20,
}
"""How often each kind strikes: 180, and 20 times in tests/test_killed.py."""

STORIES = 25  # the moments strike in so many ledgers, one after another


class Cut(BaseException):
    """The process is gone: no exception that anything could catch and go on from."""


class Disk:
    """Stands in for ``os`` where the ledger writes.

    Parameters
    ----------
    moment
        The number of the operation that is struck, from 1.
    kind
        How, of `MOMENTS`; nothing is struck if empty.
    """

    def __init__(self, moment: int = 0, kind: str = "", chance: random.Random | None = None) -> None:
        self.moment, self.kind, self.chance = moment, kind, chance or random.Random(0)
        self.operations, self.dead = 0, False
        self._lock = RLock()
        self._files: dict[int, Path] = {}  # by handle
        self._unsynced = set[Path]()  # files whose content a power cut may take
        self._undo: dict[Path, list[Callable[[], object]]] = defaultdict(list)  # by folder, names that it may take

    def __getattr__(self, name: str) -> Any:
        return getattr(os, name)

    def _strike(self, half: Callable[[], object] = lambda: None, takes_space: bool = True) -> None:
        self.alive()
        self.operations += 1
        if self.operations < self.moment or not self.kind:
            return
        if self.kind == "disk full" and takes_space:  # and stays full
            half()
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        if self.kind == "disk at fault" and self.operations == self.moment:
            half()
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        if self.kind == "killed" or self.kind.startswith("power cut"):
            half()
            self.dead = True
            raise Cut

    def alive(self) -> None:
        if self.dead:  # whatever still runs, other threads and what tidies up, does not reach the disk any more
            raise Cut

    def open(self, path: Path, flags: int, mode: int = 0o777) -> int:
        if flags & os.O_NONBLOCK:  # to read a record, which is not what this is about
            return os.open(path, flags, mode)
        with self._lock:
            self._strike(takes_space=bool(flags & os.O_CREAT))
            handle = os.open(path, flags, mode)
            self._files[handle] = Path(path)
            if flags & os.O_CREAT:
                self._unsynced.add(Path(path))
                self._undo[Path(path).parent].append(lambda: Path(path).unlink(missing_ok=True))
            return handle

    def write(self, handle: int, data: memoryview) -> int:
        with self._lock:
            self._strike(half=lambda: os.write(handle, data[: len(data) // 2]))
            return os.write(handle, data)

    def fsync(self, handle: int) -> None:
        with self._lock:
            self._strike()
            if self.kind != "power cut, disk lies":
                self._unsynced.discard(self._files[handle])
                self._undo.pop(self._files[handle], None)

    def close(self, handle: int) -> None:
        with self._lock:
            os.close(handle)  # as the system does for a process that has died
            self._strike(takes_space=False)

    def replace(self, source: Path, target: Path) -> None:
        def undo() -> None:
            if target.exists():
                target.rename(source)
                if target in self._unsynced:
                    self._unsynced.add(source)

        with self._lock:
            self._strike(takes_space=False)
            os.replace(source, target)
            if source in self._unsynced:
                self._unsynced = self._unsynced - {source} | {target}
            self._undo[target.parent].append(undo)

    def unlink(self, path: Path) -> None:
        with self._lock:
            self._strike(takes_space=False)
            os.unlink(path)

    def makedirs(self, path: Path, exist_ok: bool) -> None:
        with self._lock:
            self._strike()
            absent = [place for place in (path, *path.parents) if not place.exists()]
            os.makedirs(path, exist_ok=exist_ok)
            for place in reversed(absent):
                self._undo[place.parent].append(lambda place=place: shutil.rmtree(place, ignore_errors=True))

    def lose_power(self) -> None:
        """Take from the disk what was never synced, as chance has it: the last names of a folder, parts of contents."""
        for steps in list(self._undo.values())[::-1]:
            lost = self.chance.choice((0, self.chance.randint(0, len(steps))))
            for undo in steps[len(steps) - lost :][::-1]:
                undo()
        for file in sorted(filter(Path.exists, self._unsynced)):
            whole = file.read_bytes()
            torn = whole[: self.chance.randint(0, len(whole))]
            file.write_bytes(self.chance.choice((whole, b"", torn, torn.ljust(len(whole), b"\0"))))


class Lab:
    """Runs the toy's verification, and remembers which blocks were simulated and which records were finished."""

    def __init__(self, toy: SimpleNamespace, monkeypatch: pytest.MonkeyPatch) -> None:
        self.toy, self.monkeypatch = toy, monkeypatch
        self.watcher = toy.watcher()

    def run(self, folder: Path, disk: Disk | None = None, watcher: Any = None) -> Any:
        """The verification; ``simulated`` and ``finished`` say what it did, also if it was cut short."""
        self.simulated, self.finished = Counter[tuple[str, int]](), set[str]()
        self.watcher, ledger = watcher or self.toy.watcher(), Ledger(folder)
        block, put, use = Runner.block, Ledger.put, Index._use

        def counted(runner: Runner, task: Any) -> Any:
            self.simulated[task.label, task.seeds] += 1
            return block(runner, task)

        def noted(store: Ledger, document: Any) -> str:
            sha = put(store, document)
            self.finished.add(sha)
            return sha

        def spared(index: Index, *arguments: Any) -> Any:
            if disk is not None:
                disk.alive()
            return use(index, *arguments)

        with self.monkeypatch.context() as patched:
            patched.setattr(Runner, "block", counted)
            patched.setattr(Ledger, "put", noted)
            patched.setattr(Index, "_use", spared)
            if disk is not None:
                patched.setattr("idealab.ledger.objects.os", disk)
            return self.toy.verify(
                experiments=(self.toy.experiment(),),
                settings={"noise": 0.11},
                select=("height",),
                seeds=32,
                mutants=False,
                ledger=ledger,
                progress=self.watcher,
            )

    def interrupted(self, folder: Path, call: int) -> int:
        """A run whose watcher is interrupted at its ``call``-th word; how many words there were."""
        words = 0

        class Impatient(self.toy.watcher):
            def __getattribute__(self, name: str) -> Any:
                nonlocal words
                if name in ("stage", "declared", "planned", "step", "warn"):
                    words += 1
                    if words == call:
                        raise KeyboardInterrupt
                return super().__getattribute__(name)

        self.run(folder, watcher=Impatient())
        return words


def told(toy: SimpleNamespace, verification: Any) -> tuple[Any, ...]:
    """All numbers of a verification but the seconds, how many seeds it found done, and the record's name."""
    cost = verification.cost
    return toy.told(verification), cost.seeds, cost.gradient_evaluations, cost.fixed_design_seeds


def sound(folder: Path) -> dict[str, dict[str, Any]]:
    """The records that are whole, read without the ledger's own code, which might mend something on the way."""
    contents = {file.stem: file.read_bytes() for file in folder.glob("objects/??/*.json")}
    return {sha: json.loads(data) for sha, data in contents.items() if hashlib.sha256(data).hexdigest() == sha}


def blocks(folder: Path) -> Counter[tuple[str, int]]:
    """How often each block is there, sound."""
    found = [record for record in sound(folder).values() if record["schema"] == BATCH]
    return Counter((record["condition"], record["first_seed"]) for record in found)


@pytest.fixture
def lab(toy, monkeypatch):
    return Lab(toy, monkeypatch)


@pytest.fixture
def whole(toy, lab, tmp_path):
    """A run that nothing disturbs: what it says, its blocks, how many words it tells whoever watches."""
    verification = lab.run(tmp_path / "undisturbed")
    said = told(toy, verification)
    assert verification.verdict == "supported"
    every, finished = lab.simulated, lab.finished
    words = lab.interrupted(tmp_path / "also undisturbed", 0)
    assert set(every.values()) == {1}
    assert len(every) >= 12, "few enough to be quick, enough to be cut short in many ways"
    assert finished == {*sound(tmp_path / "undisturbed")}
    assert blocks(tmp_path / "undisturbed") == every
    return SimpleNamespace(said=said, blocks=every, words=words)


def strike(lab: Lab, folder: Path, kind: str, whole: SimpleNamespace, chance: random.Random) -> None:
    """One run that is cut short at a random moment, with what that leaves on the disk."""
    left = len(whole.blocks - blocks(folder))
    if kind == "Ctrl-C":
        with pytest.raises(KeyboardInterrupt):
            lab.interrupted(folder, chance.randint(1, whole.words))
        return
    # A record takes nine operations at least; so do the trial at the beginning and the verification at the end.
    disk = Disk(chance.randint(1, 9 * (left + 2)), kind, chance)
    if kind.startswith("disk"):
        remedy = "the disk is full: free some space" if kind == "disk full" else "the disk is at fault: see to it"
        try:
            lab.run(folder, disk)
            refusal = ""
        except LedgerError as error:
            refusal = str(error)
        if refusal or (kind == "disk full" and disk.operations > disk.moment + 3):  # a record's end takes no space
            assert remedy in refusal
            assert "\n" not in refusal
    else:
        with pytest.raises(Cut):
            lab.run(folder, disk)
    assert disk.operations >= disk.moment
    if kind.startswith("power cut"):
        disk.lose_power()
        index = folder / "index.sqlite3"  # SQLite's business, and never synced
        if index.exists():
            data = index.read_bytes()
            index.write_bytes(chance.choice((data, b"", data[: len(data) // 2], bytes(len(data)))))


def story(number: int) -> list[str]:
    """What happens in one ledger: every ``STORIES``-th card of a shuffled deck."""
    deck = [kind for kind, times in MOMENTS.items() for _ in range(times)]
    random.Random(4).shuffle(deck)
    return deck[number::STORIES]


def survive(toy, lab, whole, folder: Path, kinds: list[str], chance: random.Random) -> int:
    """Strike again and again; after each time, a run on a copy ends as the whole one. How many records were damaged."""
    damaged = 0
    for number, kind in enumerate(kinds):
        earlier = blocks(folder)
        if len(whole.blocks - earlier) <= 2:  # too little is left to disturb: another ledger
            folder, earlier = folder.with_name(f"{folder.name}, {number}"), Counter()
        strike(lab, folder, kind, whole, chance)
        here, label = sound(folder), f"{kind}, {number} in {folder}"
        assert not lab.simulated & earlier, f"{label}: what was finished before was done again"
        if kind != "power cut, disk lies":
            assert lab.finished <= here.keys(), f"{label}: finished and lost"
            assert earlier <= blocks(folder), f"{label}: finished by an earlier run and lost"
        copy = folder.with_name("copy")
        shutil.copytree(folder, copy) if folder.exists() else None
        torn = len([*copy.glob("objects/??/*.json")]) - len(here)
        before = blocks(copy)
        assert told(toy, lab.run(copy)) == whole.said, f"{label}: another verdict"
        assert lab.simulated == whole.blocks - before, f"{label}: not only what was missing"
        assert blocks(copy) == whole.blocks, f"{label}: a block that is there twice, or not at all"
        assert torn == 0 or "lies" in "".join(kinds[: number + 1]), f"{label}: torn"
        assert bool(lab.watcher.all("warn")) == bool(torn), f"{label}: what is damaged is warned of, and nothing else"
        shutil.rmtree(copy)
        damaged += torn
    return damaged


def test_each_kind_of_moment_in_one_ledger(toy, lab, whole, tmp_path):
    survive(toy, lab, whole, tmp_path / "story", [*MOMENTS], random.Random(7))


@pytest.mark.slow
@pytest.mark.parametrize("number", range(STORIES))
def test_a_run_goes_on_from_any_moment(toy, lab, whole, tmp_path, number):
    survive(toy, lab, whole, tmp_path / "story", story(number), random.Random(number))


def test_the_stories_hold_every_moment():
    told = Counter(kind for number in range(STORIES) for kind in story(number))
    assert told == MOMENTS
    assert told.total() == 180


@pytest.mark.parametrize("days", [0.5, 20 * 365])
def test_clocks_that_jump_change_nothing(toy, lab, whole, tmp_path, monkeypatch, days):
    """Nor the order of verifications, as long as it is by less than a day: then a date is believed."""
    chance, now = random.Random(3), time.time()
    folder = tmp_path / "story"
    records = []
    with monkeypatch.context() as clock:
        clock.setattr(time, "time", lambda: now + chance.uniform(-days, days) * 86400)
        with pytest.raises(Cut):
            lab.run(folder, Disk(5 * len(whole.blocks), "killed"))
        for file in folder.glob("objects/??/*"):
            os.utime(file, (time.time(),) * 2)  # as files are dated while the clock jumps
        for _ in range(4):
            before = blocks(folder)
            verification = lab.run(folder)
            assert told(toy, verification) == whole.said
            assert lab.simulated == whole.blocks - before
            assert 0 < verification.cost.seconds < 600
            assert all(record.get("seconds", 0) >= 0 for record in sound(folder).values())
            records.append(verification.record)
            found = Ledger(folder).find(schema=VERIFICATION)
            assert (found if days < 1 else sorted(found)) == (records if days < 1 else sorted(records))
            assert all("the clock says" in line for line in lab.watcher.all("warn"))
