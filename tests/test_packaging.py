"""What is shipped, and that `idealab.theory` is ours wherever idealab runs from."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import tomllib
import zipfile
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

import idealab

ROOT = Path(__file__).parents[1]
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
IDEA_FILES = {
    f"idealab/{path.relative_to(ROOT)}" for room in ("theory", "experiments") for path in (ROOT / room).rglob("*.py")
}


def build(kind: str, source: Path, target: Path) -> Path:
    """Build with the backend that pyproject.toml names; kind is wheel, editable or sdist."""
    target.mkdir(parents=True, exist_ok=True)
    code = f"import sys, hatchling.build as backend; print(backend.build_{kind}(sys.argv[1]))"
    command = [sys.executable, "-c", code, str(target)]
    return target / subprocess.run(command, cwd=source, capture_output=True, text=True, check=True).stdout.strip()


def install(wheel: Path, target: Path) -> Path:
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-index", "--no-deps"]
    subprocess.run([*pip, "--target", str(target), str(wheel)], capture_output=True, check=True)
    return target


def ideas_in(room: str) -> list[str]:
    """Names of the files, and of the packages, that a room of the checkout holds."""
    files = [path.stem for path in (ROOT / room).glob("[!_]*.py")]
    return sorted([*files, *(path.parent.name for path in (ROOT / room).glob("*/__init__.py"))])


def contents(wheel: Path) -> set[str]:
    with zipfile.ZipFile(wheel) as archive:
        return {name for name in archive.namelist() if ".dist-info/" not in name}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build("wheel", ROOT, tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which the wheel is installed, next to a stranger who ships top-level folders of the same names."""
    return hostile(install(wheel, tmp_path_factory.mktemp("site")))


@pytest.fixture(scope="module")
def editable(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which the checkout is installed editable."""
    wheel = build("editable", ROOT, tmp_path_factory.mktemp("editable"))
    return install(wheel, tmp_path_factory.mktemp("editable-site"))


@pytest.fixture(scope="module")
def research(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A researcher's own repository, which has packages called experiments and theory."""
    return hostile(tmp_path_factory.mktemp("research"))


def hostile(folder: Path) -> Path:
    for name in ("theory", "experiments"):
        (folder / name).mkdir()
        (folder / name / "__init__.py").write_text("raise RuntimeError('the wrong package')\n", encoding="utf-8")
    return folder


class Place(NamedTuple):
    """Where idealab runs from: the working directory, the folder it is installed in if any, and where its ideas lie."""

    cwd: Path
    site: Path | None
    ideas: Path


@pytest.fixture(params=["wheel", "wheel, from the root", "editable", "editable, from the root", "uninstalled"])
def place(request: pytest.FixtureRequest, installed: Path, editable: Path, research: Path) -> Place:
    return {
        "wheel": Place(research, installed, installed / "idealab"),
        "wheel, from the root": Place(ROOT, installed, ROOT),
        "editable": Place(research, editable, ROOT),
        "editable, from the root": Place(ROOT, editable, ROOT),
        "uninstalled": Place(ROOT, None, ROOT),
    }[request.param]


def run(code: str, cwd: Path, site: Path | None) -> str:
    """Run code as `python -c` does, blind to any idealab of this environment: -S leaves the .pth files alone."""
    prelude = f"import site, sys; {f'site.addsitedir({str(site)!r});' if site else ''}"
    prelude += f"sys.path.extend({sorted({sysconfig.get_path('purelib'), sysconfig.get_path('platlib')})!r})\n"
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    command = [sys.executable, "-S", "-c", prelude + code]
    shown = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True)
    assert shown.returncode == 0, shown.stderr
    return shown.stdout


def test_the_wheel_holds_the_package_and_the_ideas_and_nothing_else(wheel: Path) -> None:
    files = (path for kind in ("py", "html", "css") for path in (ROOT / "idealab").rglob(f"*.{kind}"))
    package = {str(path.relative_to(ROOT)) for path in files}
    assert contents(wheel) >= package | IDEA_FILES | {"idealab/py.typed"}
    assert {name.split("/")[0] for name in contents(wheel)} == {"idealab"}
    assert not [name for name in contents(wheel) if {"tests", "benchmarks", "__pycache__"} & set(name.split("/"))]
    with zipfile.ZipFile(wheel) as archive:
        (licence,) = [name for name in archive.namelist() if name.endswith(".dist-info/licenses/LICENSE")]
        assert archive.read(licence) == (ROOT / "LICENSE").read_bytes()


def test_a_wheel_made_from_the_sdist_is_the_same(wheel: Path, tmp_path: Path) -> None:
    with tarfile.open(build("sdist", ROOT, tmp_path)) as archive:
        archive.extractall(tmp_path, filter="data")
    (source,) = [path for path in tmp_path.iterdir() if path.is_dir()]
    assert contents(build("wheel", source, tmp_path / "again")) == contents(wheel)
    for needed in ("tests/test_packaging.py", "Makefile", "constraints.txt", "README.md", "pyproject.toml"):
        assert (source / needed).is_file()


def test_an_editable_install_copies_nothing_that_could_go_stale(editable: Path) -> None:
    assert not list(editable.rglob("*.py"))


def test_the_ideas_are_found(place: Place) -> None:
    code = (
        "import importlib, json, pkgutil\n"
        "rooms = [importlib.import_module(f'idealab.{room}') for room in ('theory', 'experiments')]\n"
        "print(json.dumps([[room.__file__, sorted(m.name for m in pkgutil.iter_modules(room.__path__))]"
        " for room in rooms]))"
    )
    for room, (file, names) in zip(
        ("theory", "experiments"), json.loads(run(code, place.cwd, place.site)), strict=True
    ):
        assert Path(file).resolve() == (place.ideas / room / "__init__.py").resolve()
        assert names == ideas_in(room)


def test_the_command_line_starts(place: Place) -> None:
    # As `python -m idealab list` does, with the working directory in front.
    code = "import runpy; sys.argv[1:] = ['list']; runpy.run_module('idealab', run_name='__main__', alter_sys=True)"
    shown = run(code, place.cwd, place.site)
    for idea in ideas_in("theory"):
        assert idea in shown


def test_the_checkout_runs_uninstalled_under_pytest(tmp_path: Path) -> None:
    test = tmp_path / "test_it.py"
    test.write_text(f"import idealab.theory\ndef test(): assert {str(ROOT)!r} in idealab.theory.__file__\n")
    code = (
        f"import pytest; sys.exit(pytest.main(['-q', '-c', 'pyproject.toml', '-p', 'no:cacheprovider', {str(test)!r}]))"
    )
    assert "1 passed" in run(code, ROOT, None)


def test_a_copy_inside_another_project_does_not_take_its_folders(research: Path, tmp_path: Path) -> None:
    shutil.copytree(research, tmp_path, dirs_exist_ok=True)
    shutil.copytree(ROOT / "idealab", tmp_path / "idealab")
    (tmp_path / "pyproject.toml").write_text('[project]\nname = "research"\n', encoding="utf-8")
    code = "import importlib.util, idealab; print(importlib.util.find_spec('idealab.theory'))"
    assert run(code, tmp_path, None) == "None\n"


def test_the_version_is_stated_once(wheel: Path) -> None:
    assert wheel.name.split("-")[1] == str(Version(idealab.__version__))
    assert "version" in PROJECT["dynamic"]


def test_the_console_script_is_installed(installed: Path) -> None:
    assert (installed / "bin" / "idealab").is_file()


def test_every_dependency_is_constrained_to_one_version_within_its_bounds() -> None:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pins = [Requirement(line) for line in lines if line and not line.startswith("#")]
    assert [pin for pin in pins if pin.url or pin.marker or [s.operator for s in pin.specifier] != ["=="]] == []
    assert not [line for line in lines if "://" in line or "@" in line]
    version = {pin.name.lower(): next(iter(pin.specifier)).version for pin in pins}
    assert len(version) == len(pins)
    for line in PROJECT["dependencies"] + PROJECT["optional-dependencies"]["test"]:
        wanted = Requirement(line)
        assert wanted.specifier.contains(version[wanted.name.lower()]), line


def test_an_old_python_is_told_so(tmp_path: Path) -> None:
    make = shutil.which("make")
    assert make is not None, "this test needs make"
    old = tmp_path / "python3.9"
    old.write_text("#!/bin/sh\n[ $1 = --version ] && echo Python 3.9.18 || exit 1\n", encoding="utf-8")
    old.chmod(0o755)
    command = [make, "verify", f"PYTHON={old}", f"VENV={tmp_path / 'venv'}"]
    shown = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert shown.returncode != 0
    assert f"idealab needs Python 3.11 or later; {old} is: Python 3.9.18." in shown.stderr
    assert not (tmp_path / "venv").exists()
