"""What `idealab new` writes runs as it is, and it writes over nothing."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from idealab.cli.exit_code import ExitCode
from idealab.cli.group import main

ROOT = Path(__file__).parents[2]


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def checkout(place: Path) -> Path:
    """A working directory that looks like a checkout of idealab."""
    (place / "pyproject.toml").write_text('[project]\nname = "idealab"\n')
    for room in ("idealab", "theory", "experiments"):
        (place / room).mkdir()
    (place / "idealab" / "__init__.py").write_text('"""The package."""\n')
    return place


def files(place: Path) -> set[str]:
    return {str(path.relative_to(place)) for path in place.rglob("*") if path.is_file()}


@pytest.mark.slow
def test_a_package_runs_as_it_is(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["new", "decay", "--package", "lab"]) == ExitCode.SUPPORTED
    shown = capsys.readouterr()
    assert set(shown.out.split()) == files(place)
    assert "pip install -e ." in shown.err
    project = tomllib.loads((place / "pyproject.toml").read_text())
    assert project["project"]["entry-points"]["idealab.ideas"] == {"decay": "lab"}
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, "-m", "pytest", "-q", "--disable-plugin-autoload", "-p", "no:cacheprovider"]
    done = subprocess.run(command, cwd=place, env=environment, capture_output=True, text=True)
    assert "2 passed" in done.stdout, done.stdout + done.stderr


def test_in_a_checkout_the_files_go_to_their_rooms(checkout: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = files(checkout)
    assert main(["new", "decay"]) == ExitCode.SUPPORTED
    written = {"theory/decay.py", "experiments/decay.py", "tests/theory/test_decay.py"}
    assert files(checkout) - before == written
    assert set(capsys.readouterr().out.split()) == written
    assert "from idealab.theory.decay import idea" in (checkout / "tests/theory/test_decay.py").read_text()


def test_what_is_written_is_in_the_style_of_the_house(checkout: Path) -> None:
    pytest.importorskip("ruff", reason="ruff is not installed")
    assert main(["new", "decay"]) == ExitCode.SUPPORTED
    for verb in (["check"], ["format", "--check"]):
        command = [sys.executable, "-m", "ruff", *verb, "--no-cache", "--config", str(ROOT / "pyproject.toml"), "."]
        done = subprocess.run(command, cwd=checkout, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout


def test_the_theory_says_one_thing_twice_alike(checkout: Path, import_file) -> None:
    assert main(["new", "decay"]) == ExitCode.SUPPORTED
    theory = import_file(checkout / "theory" / "decay.py")
    assert theory.idea.statement == " ".join(theory.__doc__.split("\n\n")[0].split())
    assert theory.idea.name == "decay"
    assert theory.idea.references


def test_a_second_idea_joins_the_package(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (place / "src" / "lab").mkdir(parents=True)
    (place / "src" / "lab" / "__init__.py").write_text("mine = 1\n")
    (place / "pyproject.toml").write_text("mine = 1\n")
    assert main(["new", "decay", "--package", "lab"]) == ExitCode.SUPPORTED
    assert (place / "src" / "lab" / "theory" / "decay.py").is_file()
    assert (place / "src" / "lab" / "__init__.py").read_text() == "mine = 1\n"
    assert (place / "pyproject.toml").read_text() == "mine = 1\n"
    assert 'add to pyproject.toml: [project.entry-points."idealab.ideas"], and below it: decay = "lab"' in (
        capsys.readouterr().err
    )


def test_nothing_is_written_over(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (place / "tests").mkdir()
    (place / "tests" / "test_decay.py").write_text("mine\n")
    assert main(["new", "decay", "--package", "lab"]) == ExitCode.USAGE
    assert "tests/test_decay.py: exists already, and nothing was written" in capsys.readouterr().err
    assert files(place) == {"tests/test_decay.py"}
    assert (place / "tests" / "test_decay.py").read_text() == "mine\n"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["Decay", "--package", "lab"], "the idea is named 'Decay'; give small letters, digits and _"),
        (["../decay", "--package", "lab"], "the idea is named '../decay'"),
        (["class", "--package", "lab"], "the idea is named 'class'"),
        (["a" * 61, "--package", "lab"], "give small letters"),
        (["toy", "--package", "lab"], "there is an idea named 'toy' already; choose another name"),
        (["decay", "--package", "a/b"], "the package is named 'a/b'"),
        (["decay", "--package", "idealab"], "a package named 'idealab' would stand in the way of another"),
        (["decay"], "this is no checkout of idealab; name the package that is to hold the idea, as --package lab"),
    ],
)
def test_what_cannot_be_made_is_one_line(place: Path, capsys: pytest.CaptureFixture[str], arguments, words) -> None:
    assert main(["new", *arguments]) == ExitCode.USAGE
    (line,) = capsys.readouterr().err.splitlines()
    assert words in line
    assert files(place) == set()


def test_a_checkout_takes_no_package(checkout: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["new", "decay", "--package", "lab"]) == ExitCode.USAGE
    assert "leave it out" in capsys.readouterr().err


def test_a_place_that_cannot_be_written_is_one_line(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (place / "lab").write_text("a file\n")
    assert main(["new", "decay", "--package", "lab"]) == ExitCode.USAGE
    assert "cannot be written: " in capsys.readouterr().err
