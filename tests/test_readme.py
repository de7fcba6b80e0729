"""What the README shows is what happens: its commands parse, its code runs, its lines match the Makefile."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import click
import pytest

from idealab.cli.group import group
from idealab.explore.sweep import refusal, trials

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
COMMANDS = sorted(
    {found.strip() for found in re.findall(r"`(idealab [a-z][^`]*)`", README)}
    | {line.strip().split(" | ")[0] for line in README.splitlines() if line.startswith("    idealab ")}
)
SNIPPETS = re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)
VERIFY_OPTIONS = re.findall(r"`(--[a-z-]+)[^`]*`", README.split("`verify` takes")[1].split("Exit codes")[0])


def _command(name: str) -> click.Command:
    command = group.get_command(click.Context(group), name)
    assert command is not None, name
    return command


@pytest.mark.parametrize("line", COMMANDS)
def test_a_command_of_the_readme_exists_and_parses(line):
    name, *arguments = shlex.split(line)[1:]
    assert _command(name).make_context(name, arguments).params is not None


SWEEPS = sorted(
    set(re.findall(r"idealab (sweep [^`\n]*)", README + (ROOT / "docs" / "clusters.md").read_text("utf-8")))
)


@pytest.mark.parametrize("line", [line for line in SWEEPS if "--set" in line])
def test_a_sweep_that_is_shown_is_not_refused(line):
    name, *arguments = shlex.split(line)
    given = _command(name).make_context(name, arguments).params
    assert refusal(trials(given["ideas"], dict(given["settings"]), given["master_seeds"]), {}) == ""


@pytest.mark.parametrize("option", VERIFY_OPTIONS)
def test_an_option_of_the_readme_exists(option):
    assert option in {name for parameter in _command("verify").params for name in parameter.opts}


def test_the_readme_was_read():
    assert len(COMMANDS) >= 5
    assert len(SNIPPETS) == 2
    assert len(VERIFY_OPTIONS) >= 10


def test_the_plain_pip_lines_are_those_of_the_makefile():
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for plain, rule in (
        ("install -e . -c constraints.txt", "--editable ."),
        ("install -e '.[test]'", "--editable '.[test]'"),
    ):
        assert plain in README
        assert rule in makefile
    assert "--constraint constraints.txt" in makefile
    for target in re.findall(r"^    make (\w+)", README, flags=re.MULTILINE):
        assert re.search(rf"^{target}:", makefile, flags=re.MULTILINE)


@pytest.mark.slow
@pytest.mark.parametrize("snippet", SNIPPETS, ids=["load and verify", "data of one's own"])
def test_the_code_of_the_readme_runs(snippet, tmp_path):
    shown = "\nprint(verification.verdict)" if "verification =" in snippet else ""
    done = subprocess.run(
        [sys.executable, "-c", snippet + shown], cwd=tmp_path, capture_output=True, text=True, check=False, timeout=300
    )
    assert done.returncode == 0, done.stderr
    assert "supported" in done.stdout


@pytest.mark.slow
def test_the_code_on_priority_graphs_runs(tmp_path):
    page = (ROOT / "docs" / "priority_graphs.md").read_text(encoding="utf-8")
    snippets = re.findall(r"```python\n(.*?)```", page, flags=re.DOTALL)
    assert len(snippets) == 2
    for snippet, shown in zip(snippets, ("10000 ", "supported"), strict=True):
        done = subprocess.run(
            [sys.executable, "-c", snippet], cwd=tmp_path, capture_output=True, text=True, check=False, timeout=300
        )
        assert done.returncode == 0, done.stderr
        assert shown in done.stdout
