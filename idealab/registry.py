"""Finds ideas and pairs each theory with its experiments by name.

The built-in ideas are the files of `idealab.theory` and `idealab.experiments`. Another package brings its own through
two entry points of the same name, in the groups ``idealab.theory`` and ``idealab.experiments``; each names a module: the
first defines ``idea``, the second ``experiments``. Entry points are scanned only where a name is not built in, so that
`list` and shell completion stay quick.
"""

from __future__ import annotations

import ast
import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from idealab.errors import DeclarationError, UnknownNameError

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
    found = {path.stem: _summary(path.stem, path, _built_in("experiments").get(path.stem)) for path in _built_in("theory").values()}
    for name, module in _entry_points("idealab.theory").items():
        if name not in found:
            found[name] = _summary(name, _source(module), _source(_entry_points("idealab.experiments").get(name, "")))
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
        raise DeclarationError(f"the theory file {name!r} declares an idea named {idea.name!r}; give both the same name")
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
    package = importlib.import_module(f"idealab.{room}")
    return {
        path.stem: path
        for folder in package.__path__
        for path in sorted(Path(folder).glob("*.py"))
        if not path.stem.startswith("_")
    }


def _import(room: str, name: str) -> ModuleType:
    if name in _built_in(room):
        return importlib.import_module(f"idealab.{room}.{name}")
    module = _entry_points(f"idealab.{room}").get(name)
    if module is None:
        if room == "experiments" and name in ideas():
            raise DeclarationError(f"idea {name!r} has a theory but no experiments; add experiments/{name}.py")
        raise UnknownNameError("idea", name, ideas())
    return importlib.import_module(module)


def _entry_points(group: str) -> dict[str, str]:
    from importlib.metadata import entry_points

    return {point.name: point.module for point in entry_points(group=group)}


def _source(module: str) -> Path | None:
    import importlib.util

    spec = importlib.util.find_spec(module) if module else None
    return Path(spec.origin) if spec is not None and spec.origin is not None else None


def _summary(name: str, theory: Path | None, experiment: Path | None) -> Summary:
    """Read the first paragraph of the theory's docstring and the levels from the sources."""
    text = ast.get_docstring(ast.parse(theory.read_text("utf-8"))) if theory is not None else None
    levels: list[str] = []
    for node in ast.walk(ast.parse(experiment.read_text("utf-8"))) if experiment is not None else ():
        if isinstance(node, ast.keyword) and node.arg == "level" and isinstance(node.value, ast.Constant):
            levels.append(str(node.value.value))
    return Summary(name, " ".join((text or "").split("\n\n")[0].split()), tuple(dict.fromkeys(levels)))
