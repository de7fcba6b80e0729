"""An import whose process is killed at any moment damages nothing, leaves nothing half there, and can be done again.

Real processes, forked from one that has imported everything, and SIGKILL at a random time after a random step: while
members are checked, between a write and its rename, between a rename and the fsync of its folder.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest

from idealab.ledger import Ledger
from idealab.ledger.bundle import export, import_bundle
from tests.ledger.conftest import batch, declaration, verification

ROOT = Path(__file__).parents[2]
DECLARED, BLOCKS, KILLS = 5, 8, 12
RECORDS = DECLARED * (BLOCKS + 2)
pytestmark = [pytest.mark.slow, pytest.mark.skipif(not hasattr(os, "fork"), reason="the processes are forked")]

NURSERY = """
import os, signal, sys
from pathlib import Path
from idealab.ledger import Ledger
from idealab.ledger.bundle import import_bundle

for line in sys.stdin:
    place, bundle = line.strip().split("|")
    pid = os.fork()
    if not pid:
        signal.alarm(60)  # rather than hang
        os.write(1, f"pid {os.getpid()}\\n".encode())
        import_bundle(Ledger(place), Path(bundle), lambda: os.write(1, b"step\\n"))
        os._exit(0)
    os.write(1, f"ended {os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])}\\n".encode())
"""


@pytest.fixture(scope="module")
def nursery():
    command = [sys.executable, "-c", NURSERY]
    with subprocess.Popen(
        command, cwd=ROOT, env=os.environ | {"PYTHONPATH": str(ROOT)}, stdin=-1, stdout=-1, text=True
    ) as process:
        yield process
        process.communicate(timeout=10)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    ledger = Ledger(folder / "ledger")
    for number in range(DECLARED):
        top = ledger.put(declaration(number))
        blocks = [ledger.put(batch(top, 2 * k)) for k in range(BLOCKS)]
        ledger.put(verification([top, *blocks]))
    assert export(ledger, (), folder / "all.zip") == RECORDS
    return folder / "all.zip"


def imported(nursery, place, bundle, strike, later):
    """How an import ended that is killed ``later`` seconds after its step number ``strike``."""
    print(f"{place}|{bundle}", file=nursery.stdin, flush=True)
    pid, steps = 0, 0
    while not (line := nursery.stdout.readline()).startswith("ended"):
        pid = int(line.split()[1]) if line.startswith("pid") else pid
        steps += line == "step\n"
        if steps == strike and line == "step\n":
            time.sleep(later)
            with suppress(ProcessLookupError):  # it was quicker, and is over
                os.kill(pid, signal.SIGKILL)
    return int(line.split()[1])


def test_an_import_that_is_killed_anywhere_is_whole_or_not_there_and_can_be_done_again(nursery, bundle, tmp_path):
    chance, kills, there = random.Random(6), 0, set()
    for moment in range(KILLS):
        place = tmp_path / f"{moment}"
        strike, later = chance.randrange(1, 2 * RECORDS), chance.uniform(0, 0.002)
        ended = imported(nursery, place, bundle, strike, later)
        assert ended in (0, -signal.SIGKILL)
        kills += ended != 0
        left = Ledger(place)
        health = left.health()
        assert (health.damaged, health.incomplete) == ((), ()), "whatever is there is whole, with all that it rests on"
        assert health.temporaries <= 1
        there.add(health.objects)
        assert all(left.get(sha)["schema"] for sha in left.find(certain=True))
        done = import_bundle(Ledger(place), bundle)
        assert (done.new, done.known) == (RECORDS - health.objects, health.objects)
        health = Ledger(place).health()
        assert (health.objects, health.damaged, health.incomplete) == (RECORDS, (), ())
    assert kills >= KILLS / 2
    assert len({count for count in there if 0 < count < RECORDS}) >= KILLS / 4, "it was caught in the midst of writing"


def test_an_import_that_is_killed_again_and_again_comes_to_its_end(nursery, bundle, tmp_path):
    """Each goes on from where the one before was ended."""
    chance, place, before, ended = random.Random(7), tmp_path / "ledger", 0, 0
    for _ in range(100):
        strike = RECORDS + before + chance.randrange(1, RECORDS // 4)
        ended = imported(nursery, place, bundle, strike, chance.uniform(0, 0.002))
        health = Ledger(place).health()
        assert (health.damaged, health.incomplete) == ((), ())
        assert health.objects >= before, "what came in stays"
        before = health.objects
        if before == RECORDS:
            break
    assert before == RECORDS
    assert ended in (0, -signal.SIGKILL)
