from __future__ import annotations

import contextlib
import io
import signal
import sys

import pytest

from idealab.cli import progress
from idealab.cli.progress import watching


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [100.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    return now


def test_without_a_terminal_there_is_a_line_now_and_then(
    clock: list[float], capsys: pytest.CaptureFixture[str]
) -> None:
    with watching("toy") as watcher:
        watcher.stage("deriving")
        watcher.planned(30)
        for _ in range(25):
            clock[0] += 1.0
            watcher.step("planted")
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.splitlines() == ["toy: 10 of 30 blocks of seeds, 10 s", "toy: 20 of 30 blocks of seeds, 20 s"]


def test_a_quick_command_says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    with watching("toy") as watcher:
        watcher.stage("deriving")
        watcher.declared("6f1c2a9e", "1 signature")
        watcher.step("planted")
    assert capsys.readouterr() == ("", "")
    assert (watcher.blocks, watcher.summary) == (1, "1 signature")


def test_a_terminal_shows_a_bar_and_nothing_is_left_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.delenv("NO_COLOR", raising=False)
    with watching("toy") as watcher:
        watcher.stage("deriving")
        watcher.planned(4)
        watcher.step("planted: kappa=1")
        watcher.warn("careful [red]")
    shown = terminal.getvalue()
    assert "toy  planted: kappa=1" in shown
    assert "1 of 4" in shown
    assert "warning: careful [red]" in shown
    assert shown.rstrip("\r").endswith("\x1b[2K")  # the line is erased


def test_a_dumb_terminal_gets_lines(monkeypatch: pytest.MonkeyPatch, clock: list[float]) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("TERM", "dumb")
    with watching("toy") as watcher:
        clock[0] += 11
        watcher.stage("deriving")
    assert terminal.getvalue() == "toy: deriving, 11 s\n"


def test_an_interrupt_that_python_dropped_is_heard_at_the_next_block():
    before = signal.getsignal(signal.SIGINT)  # ignored, where a shell runs the tests in the background
    with watching("idea") as watcher:
        with contextlib.suppress(KeyboardInterrupt):  # as in a callback of the garbage collector
            signal.raise_signal(signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            watcher.step("planted")
    assert signal.getsignal(signal.SIGINT) is before


def test_jobs_whose_number_is_known_tell_the_time_left(clock: list[float], capsys: pytest.CaptureFixture[str]) -> None:
    with watching("sweep") as watcher:
        watcher.unit = "jobs"
        watcher.planned(4)
        for _ in range(4):
            clock[0] += 12.0
            watcher.step("toy seed 0: supported")
    assert capsys.readouterr().err.splitlines()[1:] == [
        "sweep: 2 of 4 jobs, about 24 s left, 24 s",
        "sweep: 3 of 4 jobs, about 12 s left, 36 s",
        "sweep: 4 of 4 jobs, 48 s",
    ]
