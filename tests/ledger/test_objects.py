import errno
import itertools
import os
import shutil
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

import idealab
from idealab.errors import LedgerError
from idealab.ledger import DECLARATION, Ledger

ROOT = Path(idealab.__file__).parents[1]


def declaration(number=0):
    return {"schema": DECLARATION, "idea": "max_margin", "content": {"number": number}}


@pytest.fixture
def ledger(tmp_path):
    return Ledger(tmp_path / "ledger")


def file_of(ledger, sha):
    return ledger.path / "objects" / sha[:2] / f"{sha}.json"


# Directories that cannot be written


def test_a_file_in_place_of_the_directory(tmp_path):
    (tmp_path / "ledger").write_text("")
    ledger = Ledger(tmp_path / "ledger")
    attempts = (ledger.ensure_writable, lambda: ledger.put(declaration()), ledger.find, lambda: ledger.resolve("abcd"))
    for attempt in attempts:
        with pytest.raises(LedgerError, match=r"not a directory: move that file away, or choose .* --ledger"):
            attempt()
    health = ledger.health()
    assert not health.writable
    assert "move that file away" in health.obstacle


@pytest.mark.parametrize(
    ("code", "function", "remedy"),
    [
        (errno.EROFS, "mkdir", "Read-only file system.*choose another place with --ledger"),
        (errno.EACCES, "mkdir", "Permission denied.*see to its permissions"),
        (errno.ENOSPC, "fsync", "the disk is full: free some space"),
        (errno.EDQUOT, "fsync", "the quota is used up"),
        (errno.ENOSPC, "replace", "the disk is full: free some space"),
        (errno.EIO, "replace", "Input/output error.*the disk is at fault"),
        (errno.ENOSPC, "write", "the disk is full: free some space"),
        (errno.EFBIG, "write", "a limit on the size of files is reached"),
    ],
)
def test_what_the_system_refuses_is_said_in_one_line(ledger, monkeypatch, code, function, remedy):
    def refuse(*_arguments, **_keywords):
        raise OSError(code, os.strerror(code))

    with monkeypatch.context() as system:
        system.setattr(os, function, refuse)
        for attempt in (ledger.ensure_writable, lambda: ledger.put(declaration())):
            with pytest.raises(LedgerError, match=remedy) as refusal:
                attempt()
            assert "\n" not in str(refusal.value)
    assert ledger.find() == []
    assert ledger.health().temporaries == 0
    assert ledger.get(ledger.put(declaration())) == declaration()


def test_a_directory_that_cannot_be_synced_is_still_a_ledger(ledger, monkeypatch):
    fsync = os.fsync

    def refuse_directories(handle):
        if stat.S_ISDIR(os.fstat(handle).st_mode):
            raise OSError(errno.EINVAL, "Invalid argument")
        fsync(handle)

    monkeypatch.setattr(os, "fsync", refuse_directories)
    assert ledger.get(ledger.put(declaration())) == declaration()


def test_records_that_are_written_together_are_there_at_the_end(ledger):
    with ledger.together():
        names = [ledger.put(declaration(number)) for number in range(200)]
    assert [ledger.get(sha)["content"]["number"] for sha in names] == [*range(200)]
    assert set(ledger.find()) == set(names)


def test_what_cannot_be_written_together_is_said_and_the_rest_is_whole(ledger, monkeypatch):
    replace, count = os.replace, itertools.count()

    def sometimes(source, target):
        if next(count) == 3:
            raise OSError(errno.ENOSPC, "No space left on device")
        replace(source, target)

    monkeypatch.setattr(os, "replace", sometimes)
    with pytest.raises(LedgerError, match="the disk is full"), ledger.together():
        [ledger.put(declaration(number)) for number in range(20)]
    assert len(ledger.find()) == 3
    assert (ledger.health().damaged, ledger.health().temporaries) == ((), 0)
    assert ledger.get(ledger.put(declaration())) == declaration(), "and one at a time goes on"


def test_the_name_of_a_record_that_is_there_is_made_durable(ledger, monkeypatch):
    """Whoever wrote it may have been killed between its rename and the fsync of its folder."""
    sha = ledger.put(declaration())
    synced, fsync = [], os.fsync
    monkeypatch.setattr(os, "fsync", lambda handle: (synced.append(os.fstat(handle).st_ino), fsync(handle))[1])
    folder = (ledger.path / "objects" / sha[:2]).stat().st_ino
    assert Ledger(ledger.path).put(declaration()) == sha
    assert synced == [folder]
    with Ledger(ledger.path).together():
        ledger.put(declaration())
    assert synced[1:] == [folder]


def test_a_place_where_no_ledger_can_be_made(ledger, monkeypatch):
    monkeypatch.setattr(os, "access", lambda folder, _mode: folder != ledger.path.parent)
    assert "choose another place" in ledger.health().obstacle


def test_unreadable_directories_are_no_empty_ledger(ledger, monkeypatch):
    ledger.put(declaration())

    def refuse(_folder):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(os, "listdir", refuse)
    with pytest.raises(LedgerError, match="cannot be read"):
        ledger.find()
    assert "cannot be read" in ledger.health().obstacle


# Several processes, and killed ones


def run(code, *arguments):
    return subprocess.Popen([sys.executable, "-c", code, *map(str, arguments)], cwd=ROOT, stderr=subprocess.PIPE)


WRITER = """
import sys
from idealab.ledger import DECLARATION, Ledger
ledger = Ledger(sys.argv[1])
for number in range(200):
    own = f"{sys.argv[2]} {number}" if number % 4 else number
    ledger.put({"schema": DECLARATION, "idea": "max_margin", "content": {"number": own}})
"""


def test_two_processes_writing_at_once_lose_nothing(ledger):
    writers = [run(WRITER, ledger.path, name) for name in ("a", "b")]
    assert [writer.communicate()[1] for writer in writers] == [b"", b""]
    assert [writer.returncode for writer in writers] == [0, 0]
    health = ledger.health()
    # Every fourth of the 200 is the same record in both: 150 each of their own, and 50 in common.
    assert (health.objects, health.damaged, health.temporaries) == (350, (), 0)
    assert len(ledger.find()) == 350


KILLED = """
import os, sys
from idealab.ledger import DECLARATION, Ledger
os.replace = lambda *names: os._exit(9)
Ledger(sys.argv[1]).put({"schema": DECLARATION, "idea": "max_margin", "content": {"number": 0}})
"""


def test_a_process_killed_before_the_rename_leaves_no_record(ledger):
    process = run(KILLED, ledger.path)
    process.communicate()
    assert process.returncode == 9
    assert ledger.find() == []
    health = ledger.health()
    assert (health.objects, health.damaged, health.temporaries) == (0, (), 1)
    assert ledger.get(ledger.put(declaration())) == declaration()


def test_a_temporary_that_is_cleared_away_under_a_write_is_written_again(ledger, monkeypatch):
    # Another process starts, by a clock that has jumped ahead a year, between the write and the rename of this one.
    replace, later = os.replace, time.time() + 365 * 86400

    def cleared(source, target):
        monkeypatch.setattr(os, "replace", replace)
        with monkeypatch.context() as clock:
            clock.setattr(time, "time", lambda: later)
            Ledger(ledger.path).ensure_writable()
        assert not source.exists()
        replace(source, target)

    monkeypatch.setattr(os, "replace", cleared)
    sha = ledger.put(declaration())
    assert Ledger(ledger.path).get(sha) == declaration()
    assert ledger.health().temporaries == 0


def test_a_ledger_that_is_deleted_under_a_run_is_made_again(ledger):
    ledger.put(declaration())
    shutil.rmtree(ledger.path)
    sha = ledger.put(declaration())
    assert Ledger(ledger.path).find() == [sha]


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="what a handle stands for is told by /proc")
def test_every_folder_on_the_way_to_a_record_outlives_a_power_cut(tmp_path, monkeypatch):
    synced, fsync = set(), os.fsync
    monkeypatch.setattr(os, "fsync", lambda handle: (synced.add(os.readlink(f"/proc/self/fd/{handle}")), fsync(handle)))
    ledger = Ledger(tmp_path / "a" / "b" / "ledger")
    sha = ledger.put(declaration())
    places = [file_of(ledger, sha).parent, ledger.path / "objects", ledger.path, ledger.path.parent, tmp_path / "a"]
    assert {*map(str, [*places, tmp_path])} <= synced
    # A process that was killed may have made the folders without coming to that.
    synced.clear()
    file_of(ledger, sha).unlink()
    Ledger(ledger.path).put(declaration())
    assert {*map(str, places[:4])} <= synced


def test_only_old_temporaries_are_cleared_away(ledger):
    sha = ledger.put(declaration())
    folder = file_of(ledger, sha).parent
    old, young = folder / ".0123456789abcdef-77.tmp", folder / ".fedcba9876543210-78.tmp"
    for file in (old, young):
        file.write_bytes(b"half a rec")
    long_ago = time.time() - 2 * 86400
    os.utime(old, (long_ago, long_ago))
    assert ledger.health().temporaries == 2
    ledger.ensure_writable()
    assert (old.exists(), young.exists(), ledger.find()) == (False, True, [sha])


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no named pipes here")
def test_a_pipe_that_is_named_like_a_record_is_not_waited_for(ledger):
    sha = ledger.put(declaration())
    pipe = file_of(ledger, sha[:2] + "0" * 62)
    os.mkfifo(pipe)
    fresh = Ledger(ledger.path)
    assert fresh.find() == [sha]
    assert [f"{pipe} is no regular file; move it away" in line for line in fresh.health().damaged] == [True]


def test_folders_are_made_durable_together_and_not_one_by_one(ledger, tmp_path, monkeypatch):
    """The 256 of them would else be as many waits for the disk, in every process."""
    synced, fsync = [], os.fsync
    monkeypatch.setattr(os, "fsync", lambda handle: (synced.append(os.fstat(handle).st_ino), fsync(handle))[1])
    with ledger.together():
        names = [ledger.put(declaration(number)) for number in range(100)]
    shards = {file_of(ledger, sha).parent for sha in names}
    top = (ledger.path / "objects").stat().st_ino
    assert synced.count(top) == 1
    assert all(synced.count(shard.stat().st_ino) == 1 for shard in shards)
    synced.clear()
    again = Ledger(ledger.path)
    for number in range(100):
        again.put(declaration(number + 100))
    new = {file_of(again, sha).parent for sha in again.find()} - shards
    assert len(new) <= synced.count(top) <= len(new) + 1, "once for all that were there, and for each that was not"


def test_folders_whose_names_could_not_be_made_durable_are_not_taken_for_lasting(ledger, monkeypatch):
    fsync, refused = os.fsync, []

    def refuse(handle):
        if refused and stat.S_ISDIR(os.fstat(handle).st_mode):
            raise OSError(errno.EIO, "Input/output error")
        fsync(handle)

    monkeypatch.setattr(os, "fsync", refuse)

    def fails():
        with ledger.together():
            ledger.put(declaration())
            refused.append(1)

    with pytest.raises(LedgerError, match="the disk is at fault"):
        fails()
    refused.clear()
    synced = []
    monkeypatch.setattr(os, "fsync", lambda handle: (synced.append(os.fstat(handle).st_ino), fsync(handle))[1])
    ledger.put(declaration(1))
    assert (ledger.path / "objects").stat().st_ino in synced


# What is no record, in the place of one


def test_a_file_larger_than_a_record_can_be_is_named_and_read_no_further(ledger, monkeypatch):
    sha = ledger.put(declaration())
    large = file_of(ledger, sha[:2] + "0" * 62)
    with large.open("wb") as file:
        file.truncate(2**40)  # takes no room on the disk
    fresh = Ledger(ledger.path)
    with pytest.raises(LedgerError, match=r"is larger than 64 MiB, so not written by idealab; move it away"):
        fresh.get(large.stem)
    assert fresh.find() == [sha]
    assert [f"{large} is larger" in line for line in fresh.health().damaged] == [True]


@pytest.mark.parametrize("target", ["itself", "/dev/zero", "/etc/passwd", "nowhere", "a folder"])
def test_a_link_in_the_place_of_a_record_is_no_record(ledger, tmp_path, target):
    sha = ledger.put(declaration())
    link = file_of(ledger, sha[:2] + "0" * 62)
    link.symlink_to({"itself": link, "a folder": tmp_path}.get(target, target))
    fresh = Ledger(ledger.path)
    assert fresh.find() == [sha]
    with pytest.raises(LedgerError, match=r"cannot be read|no regular file|is damaged|no record") as refusal:
        fresh.get(link.stem)
    assert "\n" not in str(refusal.value)
    assert len(fresh.health().damaged) == 1
    assert fresh.health().objects == 1


@pytest.mark.parametrize("target", ["itself", "the folder of objects", "nowhere", "a sound folder"])
def test_a_folder_that_is_a_link_hides_nothing_and_is_not_followed_round(ledger, target):
    sha = ledger.put(declaration())
    top = ledger.path / "objects"
    link = top / ("00" if not sha.startswith("00") else "01")
    link.symlink_to({"itself": link, "the folder of objects": top, "a sound folder": top / sha[:2]}.get(target, target))
    fresh = Ledger(ledger.path)
    assert fresh.find() == [sha]
    assert fresh.get(sha) == declaration()
    damaged = fresh.health().damaged
    assert damaged
    assert all(str(link) in line for line in damaged)


def test_a_copy_of_a_record_under_another_name_is_none(ledger):
    sha = ledger.put(declaration())
    copy = file_of(ledger, "f" * 64)
    copy.parent.mkdir(exist_ok=True)
    shutil.copy(file_of(ledger, sha), copy)
    fresh = Ledger(ledger.path)
    assert fresh.find() == [sha]
    assert [str(copy) in line and "renamed" in line for line in fresh.health().damaged] == [True]
