from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from idealab import __version__
from idealab.cli import main
from idealab.cli.group import COMMANDS

ROOT = Path(__file__).parents[2]
HEAVY = {"jax", "sympy", "numpy", "scipy", "rich", "sklearn", "optax", "flax", "diffrax"}


def run(*arguments: str, environment: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    import os

    return subprocess.run(
        [sys.executable, "-m", "idealab", *arguments],
        cwd=ROOT,
        env={**os.environ, **(environment or {})},
        capture_output=True,
        text=True,
    )


@pytest.mark.parametrize(
    "command", ["--help", "list", "--version", "verify --help", "verify toi", "verify --seeds 0 x"]
)
def test_nothing_heavy_is_imported_before_it_is_needed(command: str) -> None:
    code = (
        f"import sys\nfrom idealab.cli import main\nmain({command.split()!r})\n"
        f"print('heavy:', *sorted({HEAVY!r} & set(sys.modules)))"
    )
    shown = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert shown.stdout.splitlines()[-1].strip() == "heavy:"


@pytest.mark.parametrize("command", ["--help", "--version", "verify max_margin --seeds 0"])
def test_installed_packages_are_not_searched_before_it_is_needed(command: str) -> None:
    code = f"import sys\nfrom idealab.cli import main\nmain({command.split()!r})\n"
    code += "print('importlib.metadata' in sys.modules)"
    shown = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert shown.stdout.splitlines()[-1] == "False"


def test_help_names_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    shown = capsys.readouterr().out
    for command in COMMANDS:
        assert f"\n  {command} " in shown
        assert main([command, "--help"]) == 0
    assert "..." not in shown.split("Commands:")[1]  # no help is cut short


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"idealab, version {__version__}\n"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["verfy", "toy"], "did you mean 'verify'?"),
        (
            ["quux"],
            "known: list, show, derive, plan, declare, verify, sweep, mutate, report, ledger, export, new, doctor",
        ),
        (["verify", "toi"], "no idea named 'toi'; did you mean 'toy'?"),
        (["show", "othre"], "did you mean 'other'?"),
        (["derive", "toi"], "did you mean 'toy'?"),
        (["verify", "toy", "--sedes", "4"], "--seeds"),
        (["verify", "toy", "--seeds", "3"], "x>=4"),
        (["verify", "toy", "--seeds", "-1"], "x>=4"),
        (["verify", "toy", "--seeds", "many"], "'many' is not a valid integer"),
        (["verify", "toy", "--budget", "0"], "'0' is not a positive time; write 90, 90s, 2m or 1h"),
        (["verify", "toy", "--budget", "-5s"], "not a positive time"),
        (["verify", "toy", "--budget", "soon"], "not a positive time"),
        (["verify", "toy", "--set", "eta"], "'eta' must be name=value, such as eta=0.1"),
        (["verify", "toy", "--set", "=1"], "must be name=value"),
        (["verify", "toy", "--set", "eta="], "must be name=value"),
        (["verify", "toy", "--set", "eta=nan"], "'nan' is not a finite number"),
        (["verify", "toy", "--set", "eta=1", "--set", "eta=2"], "gives eta twice, as 1 and as 2"),
        (["verify", "toy", "--level", "reel"], "'reel' is not one of"),
        (["verify", "toy", "--master-seed", "-1"], "--master-seed"),
        (["verify", "toy", "--junit-xml", "no/such/folder/a.xml"], "there is no folder 'no/such/folder'"),
        (["verify", "toy", "--all"], "not both"),
        (["verify"], "name an idea, or give --all; known: toy, other"),
        (["derive", "toy", "--format", "pdf"], "'pdf' is not one of"),
        (["show"], "Missing argument 'IDEA'"),
    ],
)
def test_bad_input_is_one_clear_line_and_code_2(
    capsys: pytest.CaptureFixture[str], pipeline: object, arguments: list[str], words: str
) -> None:
    assert main(arguments) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    (line,) = shown.err.splitlines()
    assert line.startswith("error: ")
    assert words in line


def test_no_command_shows_the_help_and_is_a_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2
    assert "Commands:" in capsys.readouterr().err


def test_the_program_exits_with_the_code_and_without_a_traceback() -> None:
    shown = run("verify", "max_margn")
    assert shown.returncode == 2
    assert shown.stdout == ""
    assert shown.stderr == "error: no idea named 'max_margn'; did you mean 'max_margin'?\n"


def test_a_terminal_that_lacks_a_character_shows_another() -> None:
    assert run("list", environment={"PYTHONIOENCODING": "ascii"}).returncode == 0


def test_a_closed_pipe_is_no_error() -> None:
    for command in ("list", "--help"):
        child = f"import os, sys\nr, w = os.pipe()\nos.close(r)\nos.dup2(w, 1)\nsys.argv = ['idealab', {command!r}]\n"
        child += "from idealab.cli import main\nsys.exit(main())"
        shown = subprocess.run([sys.executable, "-c", child], cwd=ROOT, capture_output=True, text=True)
        assert (shown.stderr, shown.returncode) == ("", 0)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no full device here")
def test_a_full_disk_is_one_clear_line() -> None:
    with open("/dev/full", "w") as full:
        shown = subprocess.run(
            [sys.executable, "-m", "idealab", "list"], cwd=ROOT, stdout=full, stderr=subprocess.PIPE, text=True
        )
    assert shown.returncode == 2
    assert shown.stderr == "error: the report cannot be written to standard output: No space left on device\n"
