from __future__ import annotations

import io
import re
import sys

import pytest
from rich.text import Text

from idealab.cli.console import draw


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("stream", "environment", "coloured"),
    [
        (Terminal, {}, True),
        (Terminal, {"NO_COLOR": "1"}, False),
        (Terminal, {"TERM": "dumb"}, False),
        (io.StringIO, {}, False),
    ],
)
def test_colours_are_for_terminals_that_want_them(
    monkeypatch: pytest.MonkeyPatch, stream: type[io.StringIO], environment: dict[str, str], coloured: bool
) -> None:
    for name, value in {"TERM": "xterm", **environment}.items():
        monkeypatch.setenv(name, value)
    for name in {"NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE"} - environment.keys():
        monkeypatch.delenv(name, raising=False)
    file = stream()
    monkeypatch.setattr(sys, "stdout", file)
    draw([Text("present", style="green"), Text("x" * 300)])
    shown = file.getvalue()
    assert bool(re.search(r"\x1b\[[0-9;]*3[0-9]m", shown)) == coloured
    assert "x" * 300 + "\n" in shown  # a line is never wrapped here


def test_no_words_command_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    file = io.StringIO()
    monkeypatch.setattr(sys, "stdout", file)
    draw([Text.assemble("a\x1b]0;title\u202eb ", ("present", "green"))])
    assert file.getvalue() == "a␛]0;title\ufffdb present\n"
