"""Several processes on one verification: the numbers of one, and nothing lost with a process that is killed."""

from __future__ import annotations

import json
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import jax
import pytest

from idealab.cli import main
from idealab.compute.hosts import Hosts
from idealab.ledger.records import BATCH
from idealab.ledger.store import Ledger

ROOT = Path(__file__).parents[2]
LOOPBACK = "127.0.0.1"


@pytest.fixture
def place() -> str:
    """A port of this machine that nobody listens at."""
    with socket.create_server((LOOPBACK, 0)) as server:
        return f"{LOOPBACK}:{server.getsockname()[1]}"


# One process of a run of the toy, which may be killed as soon as it has finished so many blocks.
PROCESS = """
import importlib.util, json, os, signal, sys
coordinator, process, ledger, killed_at, options = sys.argv[1:]
killed_by, timeout = {killed_by}, {timeout}
spec = importlib.util.spec_from_file_location("conftest", {file!r})
toy = importlib.util.module_from_spec(spec); spec.loader.exec_module(toy)
from idealab.errors import IdealabError
from idealab.compute.hosts import Hosts
from idealab.compute.run import Silence

class Watcher(Silence):
    steps = 0
    def step(self, words):
        self.steps += 1
        if self.steps == int(killed_at):
            os.kill(os.getpid(), killed_by)
    def warn(self, words):
        print("warning:", words, file=sys.stderr)

sys.modules["idealab.compute.simulator"].program_cache = lambda: None
try:
    with Hosts(coordinator, 2, int(process), timeout=timeout) as hosts:
        found = toy.verify(toy.idea(), experiments=(toy.experiment("diverges"),), seeds=16, ledger=ledger, hosts=hosts,
                           progress=Watcher(), **json.loads(options))
except IdealabError as error:
    print("error:", error, file=sys.stderr)
    sys.exit(2)
print(json.dumps([hosts.blocks, found.cost.reused_seeds, found.record, toy.told(found)]))
"""


class Ended:
    """How a process ended."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.out, self.err = process.communicate(timeout=100)
        self.code = process.returncode

    @property
    def told(self) -> list[Any]:
        assert self.code == 0, self.err
        return json.loads(self.out)


def pair(
    toy: Any,
    place: str,
    ledgers: tuple[Path, Path],
    killed_at: tuple[int, int] = (0, 0),
    killed_by: int = signal.SIGKILL,
    timeout: float = 20.0,
    **options: Any,
) -> list[Ended]:
    """Run the toy in two processes at once, with options for the second."""
    code = PROCESS.format(file=str(toy.file), killed_by=int(killed_by), timeout=timeout)
    given = {}, options
    started = [
        subprocess.Popen(
            [sys.executable, "-c", code, place, str(k), str(ledgers[k]), str(killed_at[k]), json.dumps(given[k])],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for k in range(2)
    ]
    leader = Ended(started[0])
    if killed_by == signal.SIGSTOP:
        started[1].kill()
    return [leader, Ended(started[1])]


@pytest.fixture
def whole(toy: Any, import_file: Any, tmp_path: Path) -> tuple[Any, Any]:
    """The toy as its file is imported there, and what one process says of it."""
    there = import_file(toy.file)

    def run(ledger: Path) -> Any:
        return there.verify(there.idea(), experiments=(there.experiment("diverges"),), seeds=16, ledger=ledger)

    return run, run(tmp_path / "alone")


@pytest.mark.slow
@pytest.mark.parametrize("shared", [True, False], ids=["one ledger", "a ledger each"])
def test_two_processes_say_what_one_says_to_the_last_bit(
    toy: Any, place: str, whole: Any, tmp_path: Path, shared: bool
) -> None:
    run, alone = whole
    ledgers = tmp_path / "first", tmp_path / ("first" if shared else "second")
    leader, worker = pair(toy, place, ledgers)
    assert worker.told[0] > 0
    assert leader.told[3] == worker.told[3] == toy.told(alone)
    assert leader.told[2] is not None
    assert worker.told[2] is None  # one verification, one record
    for ledger in {*ledgers}:
        assert not Ledger(ledger).health().damaged
        again = run(ledger)
        assert again.cost.reused_seeds == again.cost.seeds == alone.cost.seeds
        assert repr(again.signatures) == repr(alone.signatures)


@pytest.mark.slow
def test_when_process_0_is_killed_the_other_says_so_and_the_rerun_goes_on(
    toy: Any, place: str, whole: Any, tmp_path: Path
) -> None:
    run, alone = whole
    ledger = tmp_path / "ledger"
    leader, worker = pair(toy, place, (ledger, ledger), killed_at=(6, 0))
    assert leader.code == -signal.SIGKILL
    assert worker.code == 2
    assert re.fullmatch(
        r"error: process 0 \(.+\) was lost \(.+\); every finished block of seeds is in the ledger; .+\n", worker.err
    )
    kept = len(Ledger(ledger).find(schema=BATCH))
    assert kept >= 6
    again = run(ledger)
    assert again.cost.reused_seeds == 4 * kept
    assert repr(again.signatures) == repr(alone.signatures)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("killed_by", "timeout", "why"),
    [(signal.SIGKILL, 60.0, ".*connection .+"), (signal.SIGSTOP, 10.0, "no sign of life for 10 s")],
    ids=["killed", "silent"],
)
def test_what_a_lost_process_was_at_is_simulated_elsewhere(
    toy: Any, place: str, whole: Any, tmp_path: Path, killed_by: int, timeout: float, why: str
) -> None:
    _, alone = whole
    ledgers = tmp_path / "first", tmp_path / "second"
    leader, worker = pair(toy, place, ledgers, killed_at=(0, 2), killed_by=killed_by, timeout=timeout)
    assert worker.code == -signal.SIGKILL
    assert leader.told[3] == toy.told(alone)
    assert re.search(rf"^warning: process 1 \(.+\) was lost \({why}\); going on without it$", leader.err, re.MULTILINE)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"master_seed": 7}, "master_seed is 7 there and 0 here"),
        ({"select": ["curvy"]}, "process 1 ended: no signature named 'curvy'; did you mean 'curve'?"),
    ],
)
def test_processes_that_are_not_asked_for_the_same_all_end(
    toy: Any, place: str, tmp_path: Path, options: Any, words: str
) -> None:
    leader, worker = pair(toy, place, (tmp_path / "ledger",) * 2, **options)
    assert (leader.code, worker.code) == (2, 2)
    assert words in leader.err
    assert words.removeprefix("process 1 ended: ") in worker.err
    assert not Ledger(tmp_path / "ledger").find(schema=BATCH)


@pytest.mark.slow
def test_the_command_line_asks_slurm_and_reports_in_process_0_only(named_toy: dict[str, str], place: str) -> None:
    slurm = {"SLURM_JOB_ID": "1", "SLURM_STEP_NODELIST": "localhost", "SLURM_NTASKS": "2", "SLURM_LOCALID": "0"}
    port = {"JAX_COORDINATOR_PORT": place.split(":")[1]}
    started = [
        subprocess.Popen(
            [sys.executable, "-m", "idealab", "verify", "toy", "--json", "--distributed"],
            cwd=ROOT,
            env={**named_toy, **slurm, **port, "SLURM_PROCID": str(k)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for k in range(2)
    ]
    leader, worker = (Ended(process) for process in started)
    assert (leader.code, worker.code) == (0, 0), leader.err + worker.err
    assert json.loads(leader.out)["results"][0]["verdict"] == "supported"
    assert worker.out == ""
    assert re.fullmatch(r"process 1: \d+ blocks of seeds; process 0 has the report\n", worker.err)


def alone(*options: str) -> list[str]:
    return ["verify", "max_margin", "--processes", "2", *options]


def test_a_coordinator_that_is_not_there(capsys: pytest.CaptureFixture[str], place: str) -> None:
    began = time.monotonic()
    assert main(alone("--coordinator", place, "--process", "1", "--timeout", "1s")) == 2
    assert time.monotonic() - began < 10
    (line,) = capsys.readouterr().err.splitlines()
    assert f"waited 1 s for the coordinator, process 0 at {place} (last try: Connection refused)" in line
    assert "--timeout waits longer" in line


def test_a_coordinator_that_never_answers(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server((LOOPBACK, 0)) as mute:  # the kernel takes the connection, and nobody reads from it
        place = f"{LOOPBACK}:{mute.getsockname()[1]}"
        assert main(alone("--coordinator", place, "--process", "1", "--timeout", "1s")) == 2
    assert "waited 1 s for the coordinator" in capsys.readouterr().err


def test_a_process_that_does_not_come(capsys: pytest.CaptureFixture[str], place: str) -> None:
    assert main(alone("--coordinator", place, "--process", "0", "--timeout", "1s")) == 2
    assert f"waited 1 s at {place} for process 1 of 2 (counted from 0)" in capsys.readouterr().err


def test_a_port_that_is_taken(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server((LOOPBACK, 0)) as other:
        place = f"{LOOPBACK}:{other.getsockname()[1]}"
        assert main(alone("--coordinator", place, "--process", "0", "--timeout", "1s")) == 2
    assert f"process 0 cannot listen at {place}: " in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--coordinator", "a:1"], "go together; missing: --processes, --process"),
        (["--distributed", "--process", "1"], "go together; missing: --coordinator, --processes"),
        (["--distributed"], "no cluster is detected here"),
        (["--timeout", "5s"], "give --distributed or --coordinator too"),
        (["--coordinator", "nowhere", "--processes", "2", "--process", "0"], "coordinator='nowhere' must be HOST:PORT"),
        (["--coordinator", "a:1", "--processes", "2", "--process", "2"], "process=2 must be from 0 to 1"),
        (["--distributed", "--no-record"], "need the ledger"),
        (["--distributed", "--find-scope", "eta"], "--find-scope runs in one process"),
    ],
)
def test_options_that_do_not_fit_together(capsys: pytest.CaptureFixture[str], options: list[str], words: str) -> None:
    assert main(["verify", "max_margin", *options]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert words in line


def test_slurm_says_who_is_who(monkeypatch: pytest.MonkeyPatch) -> None:
    told = {"JOB_ID": "5000", "STEP_NODELIST": "node[007-009]", "NTASKS": "3", "PROCID": "2", "LOCALID": "0"}
    for name, value in told.items():
        monkeypatch.setenv(f"SLURM_{name}", value)
    changed: dict[str, str] = {}
    monkeypatch.setattr(jax.config, "update", changed.__setitem__)
    hosts = Hosts()
    assert (hosts.process, hosts.processes) == (2, 3)
    assert changed["jax_cuda_visible_devices"] == "0"  # the scheduler starts one process for each GPU


def test_kubernetes_without_its_client_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1")
    monkeypatch.setitem(sys.modules, "kubernetes", None)
    assert main(["verify", "max_margin", "--distributed", "--timeout", "1s"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "Kubernetes is here, but its client is not installed: pip install 'idealab[k8s]'" in line
