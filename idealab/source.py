"""What decides an observation, as a hash: the source of `observe`, of all it stands on, and the values it carries."""

from __future__ import annotations

# pyright: reportUnknownMemberType=false, reportUnknownArgumentType=false, reportUnknownVariableType=false
import hashlib
import inspect
import sys
import sysconfig
import uuid
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import jax
import numpy as np

import idealab.experiment
import idealab.simulate


def source_digest(observe: Callable[..., Any]) -> str:
    """SHA-256 of all that decides what an observation is, apart from the versions of installed packages.

    The file of ``observe``, every module that it imports and that is not an installed package of others, in turn, the
    simulators, and the values in its closure. A function without a source file (typed into a prompt) gets a fresh value
    each time: its batches are never reused.
    """
    function = _unwrapped(observe)
    home = function if inspect.isroutine(function) else type(function).__call__
    try:
        file = Path(inspect.getsourcefile(home) or "")
    except TypeError:
        file = Path()
    if not file.is_file():
        return hashlib.sha256(uuid.uuid4().bytes).hexdigest()
    files = {file.resolve()}
    framework = Path(idealab.experiment.__file__).resolve()
    files |= {framework, framework.with_name("run.py"), *_imported(sys.modules.get(home.__module__))}
    files |= {path.resolve() for folder in idealab.simulate.__path__ for path in Path(folder).glob("*.py")}
    texts = [_carried(observe, ()).encode(), *sorted(path.read_bytes() for path in files)]
    return hashlib.sha256(b"\0".join(hashlib.sha256(text).digest() for text in texts)).hexdigest()


def _imported(module: ModuleType | None) -> set[Path]:
    """Files of a module and of the modules that its globals come from, as far as they belong to the same project."""
    found: dict[str, Path] = {}
    waiting = [module] if module is not None else []
    while waiting:
        this = waiting.pop()
        name, file = this.__name__, getattr(this, "__file__", None)
        if name in found or file is None or not _own(Path(file), name, module):
            continue
        found[name] = Path(file).resolve()
        for value in list(vars(this).values()):
            home = value if isinstance(value, ModuleType) else sys.modules.get(getattr(value, "__module__", None) or "")
            if home is not None and not _framework(home.__name__):
                waiting.append(home)
    return set(found.values())


def _own(file: Path, name: str, module: ModuleType | None) -> bool:
    """Whether a module belongs to the project of the experiment: its top-level package, or not installed at all."""
    if module is not None and name.partition(".")[0] == module.__name__.partition(".")[0]:
        return file.suffix == ".py"
    installed = {Path(path).resolve() for path in sysconfig.get_paths().values()}
    return file.suffix == ".py" and not installed & set(file.resolve().parents)


def _framework(name: str) -> bool:
    """Modules of idealab that say how a run is judged and kept, not what is observed."""
    rooms = ("idealab.experiments", "idealab.simulate", "idealab.experiment")
    ours = name.partition(".")[0] == "idealab"
    return ours and not f"{name}.".startswith(tuple(f"{room}." for room in rooms))


def _unwrapped(function: Any) -> Any:
    """The function within partials and wrappers such as that of `jax.jit`."""
    while isinstance(function, partial) or hasattr(function, "__wrapped__"):
        function = function.func if isinstance(function, partial) else function.__wrapped__
    return function


def _carried(value: Any, inside: tuple[int, ...]) -> str:
    """A value, and all that a function carries with it, as text that is the same in every process.

    Arrays enter by their bytes, since NumPy abbreviates long ones; ``inside`` are the objects that hold this one.
    """
    if id(value) in inside:
        return "itself"
    item: Any = value  # not narrowed to types with unknown parts
    parts: tuple[Any, ...] | None = None
    if isinstance(value, partial):
        parts = (item.func, item.args, item.keywords)
    elif hasattr(value, "__wrapped__"):
        parts = (item.__wrapped__,)
    elif inspect.ismethod(value):
        parts = (item.__func__, item.__self__)
    elif inspect.isfunction(value):
        cells = tuple(cell.cell_contents for cell in item.__closure__ or ())
        parts = (item.__module__, item.__qualname__, item.__defaults__, item.__kwdefaults__, cells)
    elif isinstance(value, (np.ndarray, jax.Array)):
        array = np.asarray(item)
        parts = (array.dtype.str, array.shape, hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest())
    elif isinstance(value, Mapping):
        parts = tuple(item.items())
    elif isinstance(value, (tuple, list)):
        parts = tuple(item)
    elif inspect.isclass(value) or inspect.ismodule(value) or inspect.isbuiltin(value):
        parts = (item.__name__,)
    elif hasattr(value, "__dict__"):
        parts = tuple(vars(item).items())
    if parts is None:
        return repr(item)
    return f"{type(item).__name__}({', '.join(_carried(part, (*inside, id(item))) for part in parts)})"
