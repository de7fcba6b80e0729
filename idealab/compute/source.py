"""What decides an observation: the source of `observe`, all it stands on, and the values it carries.

As a hash, and looked through for the answer: an experiment that carries the theory would confirm any theory.
"""

from __future__ import annotations

# pyright: reportUnknownMemberType=false, reportUnknownArgumentType=false, reportUnknownVariableType=false
# pyright: reportMissingTypeStubs=false
import dis
import gc
import hashlib
import inspect
import sys
import sysconfig
import uuid
from collections.abc import Callable, Iterator, Mapping
from functools import cache, lru_cache, partial
from pathlib import Path
from types import CodeType, FunctionType, ModuleType
from typing import Any

import jax
import numpy as np
import sympy as sp

import idealab.experiment
import idealab.simulate
from idealab.errors import DeclarationError
from idealab.experiment import Experiment
from idealab.symbolic.blind import NOT_BLIND


def source_digest(observe: Callable[..., Any]) -> str:
    """SHA-256 of all that decides what an observation is, apart from the versions of installed packages.

    The file of ``observe``, every module that it imports and that is not an installed package of others, in turn, the
    simulators, the values in its closure, and those that it reads from modules: text does not say what a file or the
    environment held when a module was imported. A function without a source file (typed into a prompt) gets a fresh
    value each time: its batches are never reused.
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
    files |= {
        framework,
        *map(Path(__file__).resolve().with_name, ("programs.py", "simulator.py")),
        *_imported(sys.modules.get(home.__module__)),
    }
    files |= {path.resolve() for folder in idealab.simulate.__path__ for path in Path(folder).glob("*.py")}
    texts = [
        _carried(observe, ()).encode(),
        _carried(_read(observe), ()).encode(),
        *sorted(path.read_bytes() for path in files),
    ]
    return hashlib.sha256(b"\0".join(hashlib.sha256(text).digest() for text in texts)).hexdigest()


def _read(observe: Callable[..., Any]) -> dict[str, Any]:
    """The plain values that ``observe`` and all that it calls in its own project read from modules, by their names."""
    home = getattr(_unwrapped(observe), "__module__", None) or ""
    waiting: list[tuple[str, Any]] = [("observe", observe)]
    seen, found = set[Any](), dict[str, Any]()
    while waiting:
        name, value = waiting.pop()
        if _plain(value):
            found[name] = value
            continue
        function = _unwrapped(value)
        if not inspect.isroutine(function) and not isinstance(value, (type, ModuleType)) and callable(function):
            function = type(function).__call__
        function = getattr(function, "__func__", function)
        module = getattr(function, "__module__", None) or ""
        if not isinstance(function, (FunctionType, type)) or function in seen or _literal(module):
            continue
        if not _ours(getattr(sys.modules.get(module), "__file__", None), module, home):
            continue
        seen.add(function)
        if isinstance(function, type):
            waiting += [(f"{name}.{part}", inside) for part, inside in vars(function).items() if callable(inside)]
            continue
        names = {part for code in _codes(function.__code__) for part in code.co_names}
        for part, inside in _named(function):
            if isinstance(inside, ModuleType):
                waiting += [(f"{part}.{n}", getattr(inside, n)) for n in names if _ours_has(inside, n, home)]
            elif part in function.__globals__ and not part.startswith("__"):
                waiting.append((f"{module}.{part}", inside))
        # An empty cell has no referent.
        held = (part for cell in function.__closure__ or () for part in gc.get_referents(cell))
        carried = (*held, *(function.__defaults__ or ()))
        waiting += [(f"{module}.{function.__qualname__}", inside) for inside in carried if callable(inside)]
    return dict(sorted(found.items()))


def _ours_has(module: ModuleType, name: str, home: str) -> bool:
    ours = _ours(getattr(module, "__file__", None), module.__name__, home) and not _literal(module.__name__)
    return ours and hasattr(module, name)


def _literal(module: str) -> bool:
    """Whether all that a module holds stands in its text, as in those of idealab; experiments may do what they like."""
    return module.startswith("idealab.") and not module.startswith("idealab.experiments.")


_PLAIN = (type(None), bool, int, float, complex, str, bytes, np.ndarray, np.generic, jax.Array)


def _plain(value: Any) -> bool:
    """Whether a value is made of numbers, texts and arrays alone; what is empty may be there to be filled."""
    item: Any = value  # not narrowed to types with unknown parts
    if isinstance(value, Mapping):
        return bool(item) and all(_plain(part) for pair in item.items() for part in pair)
    if isinstance(value, (tuple, list, set, frozenset)):
        return bool(item) and all(_plain(part) for part in item)
    return isinstance(value, _PLAIN)


def _imported(module: ModuleType | None) -> set[Path]:
    """Files of a module and of all that it imports in turn, as far as they belong to the same project.

    A number that is imported does not know where it comes from, so that globals alone would not do.
    """
    found: dict[str, Path] = {}
    waiting = [module] if module is not None else []
    while waiting:
        this = waiting.pop()
        name, file = this.__name__, getattr(this, "__file__", None)
        if name in found or file is None or not _own(Path(file), name, module):
            continue
        found[name] = Path(file).resolve()
        homes = [getattr(value, "__module__", None) or "" for value in list(vars(this).values())]
        homes += [value.__name__ for value in list(vars(this).values()) if isinstance(value, ModuleType)]
        homes += _import_names(Path(file).read_bytes(), name)
        named = [sys.modules.get(home) for home in homes if isinstance(home, str)]
        waiting += [home for home in named if home is not None and not _framework(home.__name__)]
    return set(found.values())


@lru_cache(maxsize=256)
def _import_names(text: bytes, module: str) -> tuple[str, ...]:
    """What the import statements of a file may name as modules: absolute, or relative to one of the packages."""
    package, base, found = module.split("."), "", list[str]()
    # By its code: two threads that build syntax trees at once raise SystemError in Python 3.11.
    for code in _codes(compile(text, module, "exec", dont_inherit=True)):
        for operation in dis.get_instructions(code):
            if operation.opname == "IMPORT_NAME":
                base, name = operation.argval, operation.argval
            elif operation.opname == "IMPORT_FROM":
                name = f"{base}.{operation.argval}"
            else:
                continue
            for depth in range(len(package) + 1):
                found.append(".".join(filter(None, (*package[:depth], *name.split(".")))))
    return tuple(found)


def _own(file: Path, name: str, module: ModuleType | None) -> bool:
    """Whether a module belongs to the project of the experiment: its top-level package, or not installed at all."""
    if module is not None and name.partition(".")[0] == module.__name__.partition(".")[0]:
        return file.suffix == ".py"
    return file.suffix == ".py" and not _installed(str(file))


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
    elif isinstance(value, (set, frozenset)):
        parts = tuple(sorted(item, key=repr))  # the order of a set is that of this process
    elif inspect.isclass(value) or inspect.ismodule(value) or inspect.isbuiltin(value):
        parts = (item.__name__,)
    elif hasattr(value, "__dict__"):
        parts = tuple(vars(item).items())
    if parts is None:
        return repr(item)
    return f"{type(item).__name__}({', '.join(_carried(part, (*inside, id(item))) for part in parts)})"


# --- Blind to the answer ----------------------------------------------------------------------------------------------


def refuse_answers(experiment: Experiment) -> None:
    """Look for the theory in all that ``observe`` and the loaders of data reach, before anything runs.

    That is what closures, defaults, partials, instances and containers hold; and what functions and classes name, if
    they are no installed package of others: globals, imports, attributes of modules. What is looked up by a computed
    name is not found, nor is a formula that was typed again, or numbers that it gave.

    Raises
    ------
    DeclarationError
        If there is a part of a theory, a Sympy expression that is no number, or a function made from a formula.
    """
    home = getattr(_unwrapped(experiment.observe), "__module__", None) or ""
    conditions = (*experiment.conditions, *experiment.toggles.values())
    held = [("observe", experiment.observe), *((f"data of {condition}", condition.data) for condition in conditions)]
    waiting = [((name,), value, frozenset[str]()) for name, value in held]
    seen: dict[tuple[int, frozenset[str]], Any] = {}  # with the values, lest an id be given to another
    while waiting:
        path, value, names = waiting.pop()
        called = _unwrapped(value)
        if not inspect.isroutine(called) and callable(called):
            called = type(called).__call__
        names |= {name for code in _codes(getattr(called, "__code__", None)) for name in code.co_names}
        if (known := (id(value), names if inspect.ismodule(value) else frozenset[str]())) in seen:
            continue
        seen[known] = value
        if kind := _answer(value):
            found = f"{'.'.join(path)}: {kind}"
            raise DeclarationError(f"experiment {experiment.name!r} reaches the theory ({found}), {NOT_BLIND}")
        waiting += [((*path, name) if name else path, part, names) for name, part in _parts(value, names, home)]


def _answer(value: Any) -> str:
    """What a value is, if theories are made of such; empty if they are not."""
    if isinstance(value, (sp.Basic, sp.MatrixBase)):
        return "" if getattr(value, "is_number", False) else "a Sympy expression"
    if isinstance(value, FunctionType):
        printed = value.__code__.co_filename.startswith(("<lambdifygenerated", "<prediction>"))
        return "a function made from a formula" if printed or _theoretical(value.__module__) else ""
    kind: type = value if isinstance(value, type) else type(value)
    if not _theoretical(kind.__module__):
        return ""
    return f"the class {kind.__name__}" if kind is value else f"of type {kind.__name__}"


def _theoretical(module: str | None) -> bool:
    """Whether a module of idealab is one of formulas; that which guards them is not."""
    return f"{module}.".startswith(("idealab.idea.", "idealab.symbolic.")) and module != "idealab.symbolic.blind"


def _parts(value: Any, names: frozenset[str], home: str) -> Iterator[tuple[str, Any]]:
    """What a value reaches in one step, by name; a module is asked for its attributes of these ``names``."""
    item: Any = value  # not narrowed to types with unknown parts
    if isinstance(value, FunctionType):
        code, defaults = value.__code__, value.__defaults__ or ()
        yield from zip(code.co_varnames[code.co_argcount - len(defaults) :], defaults, strict=False)
        yield from ((value.__kwdefaults__ or {}) | vars(value)).items()
        for name, cell in zip(code.co_freevars, value.__closure__ or (), strict=True):
            yield from ((name, part) for part in gc.get_referents(cell))  # an empty cell has none
        if _ours(code.co_filename, value.__module__, home):
            yield from _named(value)
    elif isinstance(value, ModuleType):
        if _ours(getattr(value, "__file__", None), value.__name__, home):
            yield from ((name, getattr(value, name, None)) for name in names)
    elif isinstance(value, type):
        if _ours(getattr(sys.modules.get(value.__module__), "__file__", None), value.__module__, home):
            yield from (*vars(value).items(), *(("", base) for base in value.__bases__))
    elif isinstance(value, dict):
        yield from (pair for key, part in item.items() for pair in (("", key), (str(key), part)))
    elif isinstance(value, _SHELLS):
        yield "", item.__wrapped__
    elif not isinstance(value, (sp.Basic, jax.Array)):
        yield from (("", part) for part in gc.get_referents(value))


_SHELLS = (type(cache(str)), type(jax.jit(str)))
"""Wrappers that also lead to what others have left there: a cache, a registry."""


def _named(function: FunctionType) -> Iterator[tuple[str, Any]]:
    """The globals that a function names, and the modules that it imports."""
    package = (function.__module__ or "").split(".")
    for operation, name in _reads(function.__code__):
        if operation == "IMPORT_NAME":  # absolute, or relative to one of the packages
            found = (".".join(filter(None, (*package[:depth], name))) for depth in range(len(package)))
            yield from ((name, sys.modules.get(module)) for module in found)
        else:
            yield name, function.__globals__.get(name)


@lru_cache(maxsize=4096)
def _reads(code: CodeType) -> tuple[tuple[str, str], ...]:
    operations = ("LOAD_GLOBAL", "LOAD_NAME", "IMPORT_NAME")
    found = (instruction for part in _codes(code) for instruction in dis.get_instructions(part))
    return tuple((read.opname, read.argval) for read in found if read.opname in operations)


def _codes(code: Any) -> Iterator[CodeType]:
    """A function's code and the codes of the functions within; none for what is not code."""
    if isinstance(code, CodeType):
        yield code
        for constant in code.co_consts:
            yield from _codes(constant)


def _ours(file: str | None, module: str | None, home: str) -> bool:
    """Whether code is part of idealab, or of the experiment's package, or not installed at all."""
    top = (module or "").partition(".")[0]
    if top in ("idealab", home.partition(".")[0]):
        return True
    return not _installed(file) if file else top not in sys.stdlib_module_names  # without one: typed, or in C


@cache
def _installed(file: str) -> bool:
    places = {Path(path).resolve() for path in sysconfig.get_paths().values()}
    return bool(places & set(Path(file).resolve().parents))
