"""The two streams: reports go to standard output, everything else to standard error."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING, TextIO

from idealab.errors import UsageError
from idealab.report.inert import inert

if TYPE_CHECKING:
    from rich.text import Text

PIPED_WIDTH = 100
"""Columns where standard output is no terminal and COLUMNS is not set."""


def width() -> int:
    """Columns there are to draw in."""
    return shutil.get_terminal_size((PIPED_WIDTH, 24)).columns


def write(text: str) -> None:
    """Write a line or more to standard output; once nobody reads it any more (``| head``), stay quiet.

    Raises
    ------
    UsageError
        If it cannot be written, as on a full disk.
    """
    _write("\n".join(map(inert, text.split("\n"))))


def _write(text: str) -> None:
    try:
        _put(sys.stdout, text)
    except BrokenPipeError:
        _abandon(sys.stdout)
    except OSError as error:
        _abandon(sys.stdout)
        raise UsageError(f"the report cannot be written to standard output: {error.strerror or error}") from error


def say(text: str) -> None:
    """Write a line to standard error."""
    try:
        _put(sys.stderr, inert(text))
    except OSError:
        _abandon(sys.stderr)


def draw(lines: Iterable[Text]) -> None:
    """Write styled lines to standard output: with colours on a terminal, unless NO_COLOR forbids, without elsewhere.

    What a terminal would obey in them is only shown: the words may come from a record that somebody else wrote.
    """
    from rich.console import Console

    console = Console(file=sys.stdout, width=width(), highlight=False, markup=False, emoji=False)
    with console.capture() as captured:
        for line in lines:
            line.plain = inert(line.plain)
            console.print(line, soft_wrap=True)  # lines are laid out already
    _write(captured.get().rstrip("\n"))


def _put(stream: TextIO, text: str) -> None:
    encoding = stream.encoding or "utf-8"
    stream.write(text.encode(encoding, "replace").decode(encoding) + "\n")
    stream.flush()


def _abandon(stream: TextIO) -> None:
    """Let later writes, and the flush when Python ends, go nowhere instead of failing."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, stream.fileno())
    os.close(nowhere)
