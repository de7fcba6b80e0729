"""Finds ideas and pairs each theory with its experiments by name.

The built-in ideas are the modules of `idealab.theory` and `idealab.experiments`: a file, or a package where one file
would be too long. Another package brings its own by an entry point in the group ``idealab.ideas``,
``my_idea = "my_package"``, and the modules ``my_package.theory.my_idea``, which defines ``idea``, and
``my_package.experiments.my_idea``, which defines ``experiments``. Entry points are scanned only where they are needed,
since that costs 45 ms.
"""

from __future__ import annotations

import ast
import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from idealab.errors import DeclarationError, IdealabError, UnknownNameError

if TYPE_CHECKING:
    from idealab.experiment import Experiment
    from idealab.idea import Idea


@dataclass(frozen=True)
class Summary:
    """What is known of an idea without importing it."""

    name: str
    statement: str
    levels: tuple[str, ...]


def ideas() -> Mapping[str, Summary]:
    """Every idea by name, built in or brought by an installed package; the source is read, not imported."""
    found = {name: _summary(name, theory, _source("experiments", name)) for name, theory in _built_in("theory").items()}
    for name in _entry_points():
        if name not in found:
            found[name] = _summary(name, _source("theory", name), _source("experiments", name))
    return dict(sorted(found.items()))


def load(name: str) -> Idea:
    """The declared idea.

    Raises
    ------
    UnknownNameError
        If there is no idea of that name; the message suggests the nearest.
    DeclarationError
        If its theory contradicts itself.
    """
    from idealab.idea import Idea

    idea = getattr(_import("theory", name), "idea", None)
    if not isinstance(idea, Idea):
        raise DeclarationError(f"the theory of {name!r} must define `idea`, an idealab.Idea; got {type(idea).__name__}")
    if idea.name != name:
        raise DeclarationError(
            f"the theory file {name!r} declares an idea named {idea.name!r}; give both the same name"
        )
    return idea


def load_experiments(name: str) -> tuple[Experiment, ...]:
    """The experiments declared for the idea of that name, checked against it.

    Raises
    ------
    DeclarationError
        If an experiment toggles an assumption that the idea does not declare, or two share a name.
    """
    from idealab.experiment import Experiment

    experiments = getattr(_import("experiments", name), "experiments", None)
    if not isinstance(experiments, tuple) or not all(isinstance(e, Experiment) for e in experiments):  # pyright: ignore[reportUnknownVariableType]
        raise DeclarationError(f"the experiments of {name!r} must define `experiments`, a tuple of idealab.Experiment")
    return experiments  # pyright: ignore[reportUnknownVariableType]


def pair(idea: Idea, experiments: tuple[Experiment, ...]) -> None:
    """Raise `DeclarationError` where a theory and its experiments do not fit together."""
    names = [experiment.name for experiment in experiments]
    if len(set(names)) < len(names):
        raise DeclarationError(f"two experiments of {idea.name!r} share a name: {', '.join(names)}")
    for experiment in experiments:
        for toggle in experiment.toggles:
            if toggle not in idea.assumptions:
                raise DeclarationError(
                    f"experiment {experiment.name!r} takes away {toggle!r}, which {idea.name!r} does not assume; "
                    f"it assumes {', '.join(idea.assumptions) or 'nothing'}"
                )


def _built_in(room: str) -> dict[str, Path]:
    """The file of each module of a room; of a package, its ``__init__.py``."""
    folders = [Path(folder) for folder in importlib.import_module(f"idealab.{room}").__path__]
    files = {path.stem: path for folder in folders for path in sorted(folder.glob("*.py"))}
    packages = {path.parent.name: path for folder in folders for path in sorted(folder.glob("*/__init__.py"))}
    return {name: path for name, path in (files | packages).items() if not name.startswith("_")}


def _module(room: str, name: str) -> str | None:
    """The name of the module in which the theory or the experiments of an idea are found."""
    if name in _built_in("theory"):
        return f"idealab.{room}.{name}"
    package = _entry_points().get(name)
    return None if package is None else f"{package}.{room}.{name}"


def _import(room: str, name: str) -> ModuleType:
    module = _module(room, name)
    if module is None:
        raise UnknownNameError("idea", name, ideas())
    if _source(room, name) is None:
        raise DeclarationError(f"idea {name!r} has no {room}: there is no module {module}")
    try:
        return importlib.import_module(module)
    except IdealabError:
        raise
    except Exception as error:  # whatever a file may do while it is imported: it is the idea that is at fault
        words = " ".join(str(error).split())
        raise DeclarationError(f"{module} cannot be imported: {type(error).__name__}: {words}") from error


def _entry_points() -> Mapping[str, str]:
    from importlib.metadata import entry_points

    return {point.name: point.value for point in entry_points(group="idealab.ideas")}


def _source(room: str, name: str) -> Path | None:
    """The file of a module, of a package its ``__init__.py``, found without importing it."""
    from importlib.util import find_spec

    if name in _built_in(room):
        return _built_in(room)[name]
    try:
        spec = find_spec(_module(room, name) or "")
    except Exception:  # importing the parent package may fail in any way, and must not take the other ideas along
        return None
    return Path(spec.origin) if spec is not None and spec.origin is not None else None


def _summary(name: str, theory: Path | None, experiment: Path | None) -> Summary:
    """Read the first paragraph of the theory's docstring and the levels from the sources, of a package from all."""
    text = ast.get_docstring(_parsed(theory))
    package = experiment is not None and experiment.name == "__init__.py"
    levels: list[str] = []
    for source in sorted(experiment.parent.rglob("*.py")) if experiment is not None and package else [experiment]:
        for node in ast.walk(_parsed(source)):
            if isinstance(node, ast.keyword) and node.arg == "level" and isinstance(node.value, ast.Constant):
                levels.append(str(node.value.value))
    return Summary(name, " ".join((text or "").split("\n\n")[0].split()), tuple(dict.fromkeys(levels)))


def _parsed(source: Path | None) -> ast.Module:
    """The syntax of a file; that of an empty one, if there is none or it is no Python: `load` says what is wrong."""
    try:
        return ast.parse("" if source is None else source.read_text("utf-8"))
    except (SyntaxError, ValueError, OSError):
        return ast.parse("")
