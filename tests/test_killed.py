"""Real processes on a real disk, ended by real signals at random moments, or two at once on one ledger.

When a signal arrives is up to the system; where the run stands by then is drawn by a seed. The processes are forked
from one that has imported everything and computed nothing, which saves two seconds a time.
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from idealab.ledger.store import Ledger
from tests.test_nothing_lost import blocks, sound

ROOT = Path(__file__).parents[1]
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not hasattr(os, "fork"), reason="the processes are forked"),
]

NURSERY = """
import json, os, resource, signal, sys
from pathlib import Path
from types import SimpleNamespace
import pytest
from tests import conftest
from tests.test_nothing_lost import Lab, told
from idealab.cli.progress import Watcher, watching
from idealab.errors import LedgerError

sys.modules["idealab.compute.simulator"].program_cache = lambda: None
toy = SimpleNamespace(
    verify=lambda **options: conftest.verify(conftest.idea(), **options),
    experiment=conftest.experiment, watcher=conftest.Recorder, told=conftest.told,
)

def say(number, **words):
    os.write(1, (json.dumps({"child": number, **words}) + "\\n").encode())

class Teller(conftest.Recorder):
    def __init__(self, number, heard):
        super().__init__()
        self.number, self.heard = number, heard
    def step(self, words):
        self.heard.step(words)
        super().step(words)
        say(self.number, step=len(self.all("step")))

def child(number, ledger, limit):
    signal.alarm(120)  # rather than hang
    if limit:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    lab = Lab(toy, pytest.MonkeyPatch())
    try:
        with watching("toy") as heard:
            say(number, begun=os.getpid())
            said = told(toy, lab.run(Path(ledger), watcher=Teller(number, heard)))
    except KeyboardInterrupt:
        os._exit(130)
    except LedgerError as error:
        say(number, error=str(error))
        os._exit(2)
    simulated = [[*block] for block in lab.simulated]
    say(number, said=repr(said), simulated=simulated, warnings=lab.watcher.all("warn"))

for line in sys.stdin:
    order = json.loads(line)
    children = {}
    for number in range(order["processes"]):
        pid = os.fork()
        if not pid:
            try:
                child(number, order["ledger"], order["limit"])
            finally:
                os._exit(0)
        children[pid] = number
    while children:
        pid, status = os.wait()
        say(children.pop(pid), ended=os.waitstatus_to_exitcode(status))
"""


class Nursery:
    """Starts runs on a ledger, and signals them where it is told to."""

    def __init__(self, log: Path) -> None:
        with log.open("w") as stream:
            self.process = subprocess.Popen(
                [sys.executable, "-c", NURSERY],
                cwd=ROOT,
                env=os.environ | {"PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "ignore"},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=stream,
                text=True,
            )
        assert self.process.stdout is not None
        self.log, self.heard = log, self.process.stdout

    def run(
        self, ledger: Path, strikes: dict[int, tuple[int, signal.Signals, float]] | None = None, **options: Any
    ) -> list[SimpleNamespace]:
        """How each run ended; ``strikes`` are by child: after which step, which signal, how many seconds later.

        One that is stopped continues when the others have ended.
        """
        strikes, paused = dict(strikes or {}), list[int]()
        order = {"ledger": str(ledger), "processes": 1, "limit": 0} | options
        print(json.dumps(order), file=self.process.stdin, flush=True)
        runs = [SimpleNamespace(pid=0, steps=0, ended=None, error="") for _ in range(order["processes"])]
        while any(run.ended is None for run in runs):
            heard = json.loads(self.heard.readline() or pytest.fail(self.log.read_text()))
            number = heard.pop("child")
            run = runs[number]
            vars(run).update(heard)
            run.pid, run.steps = heard.get("begun", run.pid), heard.get("step", run.steps)
            if number in strikes and run.pid and run.ended is None and run.steps >= strikes[number][0]:
                _, sign, later = strikes.pop(number)
                time.sleep(later)
                os.kill(run.pid, sign)
                paused += [run.pid] if sign is signal.SIGSTOP else []
            if paused and sum(run.ended is None for run in runs) == 1:
                os.kill(paused.pop(), signal.SIGCONT)
        return runs


@pytest.fixture(scope="module")
def nursery(tmp_path_factory):
    nursery = Nursery(tmp_path_factory.mktemp("nursery") / "log")
    yield nursery
    nursery.process.communicate(timeout=10)


@pytest.fixture(scope="module")
def whole(nursery, tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole") / "ledger"
    (run,) = nursery.run(folder)
    assert run.ended == 0, nursery.log.read_text()
    return SimpleNamespace(said=run.said, blocks=blocks(folder), steps=run.steps)


def goes_on(nursery: Nursery, folder: Path, whole: SimpleNamespace) -> None:
    """The next run on this ledger ends as the whole one, and simulates what is missing and nothing else."""
    before = blocks(folder)
    (run,) = nursery.run(folder)
    assert (run.ended, run.said, run.warnings) == (0, whole.said, [])
    assert {tuple(block) for block in run.simulated} == {*whole.blocks} - {*before}
    assert Ledger(folder).health().damaged == ()


SIGNALS = [signal.SIGKILL] * 12 + [signal.SIGINT] * 8


@pytest.mark.parametrize("moment", range(len(SIGNALS)))
def test_a_process_that_is_ended_by_a_signal_goes_on(nursery, whole, tmp_path, moment):
    chance, sign = random.Random(moment), SIGNALS[moment]
    step, later = chance.randrange(whole.steps - 4), chance.uniform(0, 0.01)
    folder = tmp_path / "ledger"
    (run,) = nursery.run(folder, {0: (step, sign, later)})
    while not run.ended:  # the run was quicker than the signal, and nothing was disturbed: earlier, then
        folder, step, later = folder / "again", step // 2, later / 2
        (run,) = nursery.run(folder, {0: (step, sign, later)})
    assert run.ended == (130 if sign is signal.SIGINT else -sign)
    assert blocks(folder).total() >= run.steps, "what was finished is kept"
    goes_on(nursery, folder, whole)


def test_two_runs_at_once_on_one_ledger_both_end_well(nursery, whole, tmp_path):
    for run in nursery.run(tmp_path / "ledger", processes=2):
        assert (run.ended, run.said, run.warnings) == (0, whole.said, [])
    assert {*blocks(tmp_path / "ledger")} == {*whole.blocks}
    goes_on(nursery, tmp_path / "ledger", whole)


@pytest.mark.parametrize("step", [1, 6])
def test_a_run_does_not_mind_that_another_on_its_ledger_is_killed(nursery, whole, tmp_path, step):
    killed, other = nursery.run(tmp_path / "ledger", {0: (step, signal.SIGKILL, 0.0)}, processes=2)
    assert killed.ended == -signal.SIGKILL
    assert (other.ended, other.said, other.warnings) == (0, whole.said, [])
    goes_on(nursery, tmp_path / "ledger", whole)


def test_a_run_does_not_wait_for_another_that_hangs(nursery, whole, tmp_path):
    for run in nursery.run(tmp_path / "ledger", {0: (5, signal.SIGSTOP, 0.0)}, processes=2):
        assert (run.ended, run.said, run.warnings) == (0, whole.said, [])


def test_what_the_system_really_refuses_is_told_in_one_line(nursery, whole, tmp_path):
    # No file above 5,000 bytes: all blocks can be written, the verification cannot, nor can the index.
    (run,) = nursery.run(tmp_path / "ledger", limit=5000)
    assert run.ended == 2
    assert "a limit on the size of files is reached: raise it" in run.error
    assert blocks(tmp_path / "ledger") == whole.blocks
    assert len(sound(tmp_path / "ledger")) == len(whole.blocks) + 1
    goes_on(nursery, tmp_path / "ledger", whole)
