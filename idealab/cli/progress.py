"""What a person sees while a command works: a bar with the time left on a terminal, now and then a line elsewhere."""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Generator
from contextlib import contextmanager
from types import FrameType
from typing import TYPE_CHECKING

from idealab.cli.console import say

if TYPE_CHECKING:
    from rich.progress import Progress as Display

EVERY = 10.0
"""Seconds between two lines where standard error is no terminal."""

BLOCKS = "blocks of seeds"
"""What is counted, unless something else is."""

_WIDEST = 124


@contextmanager
def watching(what: str) -> Generator[Watcher]:
    """Show progress under the name ``what`` until the block ends; on a terminal nothing of it is left then."""
    display = _display() if sys.stderr.isatty() else None
    if display is None:
        watcher = Watcher(what)
        with _heard(watcher):
            yield watcher
        return
    with display, _heard(bar := Bar(what, display)):
        yield bar


@contextmanager
def _heard(watcher: Watcher) -> Generator[None]:
    """See to it that Ctrl-C is heard: Python drops a KeyboardInterrupt that falls into a callback of the collector."""

    def interrupt(number: int, frame: FrameType | None) -> None:
        watcher.interrupted = True
        raise KeyboardInterrupt

    try:
        before = signal.signal(signal.SIGINT, interrupt)
    except ValueError:  # not in the main thread, where no signal arrives
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


class Watcher:
    """Progress (`idealab.compute.run.Progress`) as plain lines, at most one every `EVERY` seconds.

    ``blocks`` counts the blocks of seeds that were finished, or whatever else the ``unit`` is; ``summary`` is how the
    declaration sums itself up.
    """

    def __init__(self, what: str) -> None:
        self.what, self.summary, self.unit = what, "", BLOCKS
        self.blocks: int = 0
        self.interrupted = False
        self._planned: int = 0
        self._began = self._said = time.monotonic()

    def stage(self, words: str) -> None:
        """Name the stage, if it is time for a line."""
        self._say(words)

    def declared(self, digest: str, summary: str) -> None:
        """Keep the summary for the report."""
        self.summary = summary
        self._say(f"declared {digest[:8]}")

    def planned(self, steps: int) -> None:
        """Note how many blocks there will be."""
        self._planned = steps

    def step(self, words: str) -> None:
        """Count a block."""
        self._listen()
        self.blocks += 1
        self._say(f"{self.blocks} of {max(self._planned, self.blocks)} {self.unit}{self._left()}")

    def warn(self, words: str) -> None:
        """Say it at once."""
        say(f"warning: {words}")

    def _left(self) -> str:
        left = (self._planned - self.blocks) * (time.monotonic() - self._began) / self.blocks
        return "" if self.unit == BLOCKS or left <= 0 else f", about {left:.0f} s left"  # blocks are not known before

    def _listen(self) -> None:
        if self.interrupted:
            raise KeyboardInterrupt

    def _say(self, words: str) -> None:
        now = time.monotonic()
        if now - self._said >= EVERY:
            self._said = now
            say(f"{self.what}: {words}, {now - self._began:.0f} s")


class Bar(Watcher):
    """Progress as one line that is drawn again and again."""

    def __init__(self, what: str, display: Display) -> None:
        super().__init__(what)
        self._display = display
        self._task = display.add_task(f"{what}  loading", total=None)

    def stage(self, words: str) -> None:
        """Name the stage."""
        self._display.update(self._task, description=f"{self.what}  {words}")

    def declared(self, digest: str, summary: str) -> None:
        """Keep the summary for the report."""
        self.summary = summary
        self.stage(f"declared {digest[:8]}")

    def planned(self, steps: int) -> None:
        """Give the bar its length."""
        super().planned(steps)
        self._display.update(self._task, total=max(steps, self.blocks))

    def step(self, words: str) -> None:
        """Move on by a block."""
        self._listen()
        self.blocks += 1
        self._display.update(self._task, advance=1, description=f"{self.what}  {words}")

    def warn(self, words: str) -> None:
        """Say it above the bar."""
        self._display.console.print(f"warning: {words}", markup=False, highlight=False)


def _display() -> Display | None:
    """Return the bar for this terminal; None where it cannot be drawn again and again."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, ProgressColumn, SpinnerColumn, Task, TextColumn
    from rich.table import Column
    from rich.text import Text

    class Times(ProgressColumn):
        def render(self, task: Task) -> Text:
            parts = [f"{task.completed:.0f} of {task.total:.0f}"] if task.total else []
            parts.append(_clock(task.elapsed or 0))
            if task.total and task.time_remaining is not None:
                parts.append(f"{_clock(task.time_remaining)} left")
            return Text(" · ".join(parts), no_wrap=True)

    console = Console(stderr=True)
    if not console.is_terminal or console.is_dumb_terminal:
        return None
    console.width = max(20, min(console.width, _WIDEST) - 4)  # where ^C is echoed, the line must not wrap
    words = TextColumn(
        "{task.description}", markup=False, table_column=Column(ratio=1, no_wrap=True, overflow="ellipsis")
    )
    columns = (SpinnerColumn(style="none"), words, BarColumn(bar_width=14, complete_style="green"), Times())
    # Standard output may be a file or a pipe: it is never led through the bar's console.
    return Progress(*columns, console=console, transient=True, expand=True, redirect_stdout=False, redirect_stderr=True)


def _clock(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes}:{rest:02d}" if minutes < 60 else f"{minutes // 60}:{minutes % 60:02d}:{rest:02d}"
