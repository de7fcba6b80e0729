"""``idealab new``: the two files of a new idea and their test, which run as they are."""

from __future__ import annotations

import keyword
import re
from collections.abc import Mapping
from pathlib import Path

import click

from idealab.cli.console import say, write
from idealab.errors import UsageError

_TEMPLATES = Path(__file__).with_name("templates")
_NAME = re.compile(r"[a-z][a-z0-9_]{0,59}", re.ASCII)


@click.command("new", short_help="Start an idea: two files and their test, which run as they are.")
@click.argument("idea")
@click.option("--package", metavar="PACKAGE", help="The package that is to hold it, outside a checkout of idealab.")
def command(idea: str, package: str | None) -> None:
    """Write the theory and the experiments of a new idea, and their test: a small idea to be replaced step by step.

    In a checkout of idealab they go to theory/, experiments/ and tests/theory/; elsewhere into a package in the working
    directory, which an entry point makes known to idealab. Nothing is overwritten.
    """
    from idealab.registry import ideas

    _check("the idea", idea)
    if idea in ideas():
        raise UsageError(f"there is an idea named {idea!r} already; choose another name")
    checkout = _is_checkout(Path())
    if checkout and package is not None:
        raise UsageError("--package is for places other than a checkout of idealab, which this is; leave it out")
    if not checkout and package is None:
        raise UsageError("this is no checkout of idealab; name the package that is to hold the idea, as --package lab")
    if package is not None:
        _check("the package", package)
    files = _in_checkout(idea) if package is None else _in_package(idea, package)
    _write(files)
    write("\n".join(map(str, files)))
    if package is not None:
        _say_how(idea, package, made=Path("pyproject.toml") in files)
    say(f"next: idealab show {idea}; idealab verify {idea}; then make it yours")


def _check(what: str, name: str) -> None:
    if not _NAME.fullmatch(name) or keyword.iskeyword(name):
        raise UsageError(f"{what} is named {name!r}; give small letters, digits and _, beginning with a letter")
    if what == "the package" and name in ("idealab", "theory", "experiments", "tests"):
        raise UsageError(f"a package named {name!r} would stand in the way of another; choose another name")


def _is_checkout(place: Path) -> bool:
    project = place / "pyproject.toml"
    ours = project.is_file() and '\nname = "idealab"\n' in project.read_text("utf-8", "replace")
    return ours and (place / "theory").is_dir() and (place / "experiments").is_dir()


def _in_checkout(idea: str) -> dict[Path, str]:
    names = {"NAME": idea, "PACKAGE": "idealab"}
    return {
        Path("theory", f"{idea}.py"): _filled("theory.py.txt", names),
        Path("experiments", f"{idea}.py"): _filled("experiments.py.txt", names),
        Path("tests", "theory", f"test_{idea}.py"): _filled("test.py.txt", names),
    }


def _in_package(idea: str, package: str) -> dict[Path, str]:
    names = {"NAME": idea, "PACKAGE": package}
    root = Path("src", package) if Path("src", package).is_dir() else Path(package)
    files = {
        root / "theory" / f"{idea}.py": _filled("theory.py.txt", names),
        root / "experiments" / f"{idea}.py": _filled("experiments.py.txt", names),
        Path("tests", f"test_{idea}.py"): _filled("test.py.txt", names),
    }
    shared = {folder / "__init__.py": "" for folder in (root, root / "theory", root / "experiments")}
    shared[Path("pyproject.toml")] = _filled("pyproject.toml.txt", names)
    return files | {path: text for path, text in shared.items() if not path.exists()}


def _filled(template: str, names: Mapping[str, str]) -> str:
    text = (_TEMPLATES / template).read_text("utf-8")
    for mark, name in names.items():
        text = text.replace(mark, name)
    return text


def _write(files: Mapping[Path, str]) -> None:
    taken = [str(path) for path in files if path.exists()]
    if taken:
        raise UsageError(f"{', '.join(taken)}: exists already, and nothing was written; choose another name")
    for path, text in files.items():
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, "utf-8")
        except OSError as error:
            raise UsageError(f"{path} cannot be written: {error.strerror or error}") from error


def _say_how(idea: str, package: str, made: bool) -> None:
    """Say how idealab gets to know the package."""
    if not made:
        say(f'add to pyproject.toml: [project.entry-points."idealab.ideas"], and below it: {idea} = "{package}"')
    say("so that idealab finds it: pip install -e .")
