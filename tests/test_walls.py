"""The walls of the house: who may import whom, in every file that there is."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from pathlib import Path
from typing import NamedTuple

import pytest

import idealab

ROOT = Path(__file__).parents[1]
FOLDERS = ("idealab", "theory", "experiments", "tests", "benchmarks")
FILES = sorted(path.relative_to(ROOT) for folder in FOLDERS for path in (ROOT / folder).rglob("*.py"))
SHIPPED = [path for path in FILES if path.parts[0] in ("idealab", "theory", "experiments")]

# A room is a file or folder of idealab/, and theory/ and experiments/. What each may import besides itself:
FOUNDATION = {"symbolic", "judge", "errors"}
CONTRACT = {"idea", "experiment"} | FOUNDATION
RUNNING = {"registry", "compute", "prepare", "assess", "verification", "ledger"} | CONTRACT
MAY_IMPORT = {
    "errors": set[str](),
    "symbolic": {"errors", "report"},  # it shows itself in a notebook; so do idea and verification
    "judge": {"errors"},
    "cache": set[str](),
    "simulate": {"cache", "errors"},
    "idea": FOUNDATION | {"report"},
    "experiment": FOUNDATION,
    "registry": CONTRACT,
    "verification": FOUNDATION | {"report"},
    "ledger": CONTRACT | {"verification"},  # whose fields are what a record must have
    "compute": CONTRACT | {"cache", "ledger", "simulate"},
    "assess": CONTRACT | {"cache", "compute", "verification"},
    "prepare": CONTRACT | {"registry", "compute", "assess", "ledger"},
    "review": RUNNING,
    "report": CONTRACT | {"ledger", "verification", "prepare", "review", "explore"},
    "verify": RUNNING | {"review", "report"},
    "explore": RUNNING | {"verify"},
    "export": {"ledger", "report", "verification", "errors"},
    "cli": RUNNING | {"review", "report", "verify", "explore", "export"},
    "claims": {"judge", "errors"},
    "pytest_plugin": {"claims", "cli", "verify", "prepare", "compute", "report", "verification", "errors"},
    "__main__": {"cli"},
    "theory": {"idea"} | FOUNDATION,
    "experiments": {"experiment", "simulate", "errors"},
}
JAX = {"jax", "jaxlib", "jaxtyping", "flax", "optax", "diffrax", "equinox", "optimistix", "lineax"}
NEVER = {"theory": JAX, "experiments": {"sympy"}, "judge": JAX | {"sympy"}}
HEAVY = {"jax", "numpy", "scipy", "sympy", "flax", "optax", "diffrax", "sklearn", "rich"}


class Import(NamedTuple):
    name: str  # dotted, down to the imported name: `from a.b import c` is a.b.c
    for_types: bool  # below `if TYPE_CHECKING:`, so never executed


def module_name(path: Path) -> str:
    """theory/ntk.py is idealab.theory.ntk; __init__ stays in the name, so that a leading dot means its package."""
    name = ".".join(path.with_suffix("").parts)
    return name if path.parts[0] in ("idealab", "tests", "benchmarks") else f"idealab.{name}"


def imports(source: str, module: str) -> Iterator[Import]:
    """Every import of a source, also inside functions, relative, and `import_module("literal")`."""
    return _below(ast.parse(source), module.split("."), for_types=False)


def _below(node: ast.AST, module: list[str], for_types: bool) -> Iterator[Import]:
    match node:
        case ast.Import(names=names):
            yield from (Import(alias.name, for_types) for alias in names)
        case ast.ImportFrom(module=origin, names=names, level=level):
            base = [*(module[:-level] if level else []), *([origin] if origin else [])]
            yield from (Import(".".join([*base, alias.name]), for_types) for alias in names)
        case ast.Call(func=ast.Attribute(attr=called) | ast.Name(id=called), args=[ast.Constant(value=str(name)), *_]):
            if called in ("import_module", "__import__"):
                yield Import(name, for_types)
    typed_only = isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING")
    for field, value in ast.iter_fields(node):
        for child in value if isinstance(value, list) else [value]:
            if isinstance(child, ast.AST):
                yield from _below(child, module, for_types or (typed_only and field == "body"))


def room_of(name: str) -> str | None:
    """The room that an imported name lies in, None outside idealab; a public name lies in the room it comes from."""
    top, *rest = name.split(".")
    if top != "idealab":
        return None
    home: dict[str, str] = vars(idealab)["_HOME"]
    if len(rest) == 1 and rest[0] in home:
        return home[rest[0]].split(".")[1]
    return rest[0] if rest else ""


def breaches(module: str, source: str) -> list[str]:
    """What a module's imports do that the house forbids, one line each."""
    found: list[str] = []
    here = room_of(module)
    for name, for_types in imports(source, module):
        top, there = name.split(".")[0], room_of(name)
        if top in ("theory", "experiments"):
            found.append(f"{name}: a bare {top} may be anybody's; import idealab.{top}")
        elif top in NEVER.get(here or "", ()) and not (for_types and here == "judge"):
            found.append(f"{name}: {here} never imports {top}")
        if there is None or there in (here, "__version__"):
            continue
        if here is None:  # tests and benchmarks may look into every room, but not at themselves through idealab
            if there not in ("", *MAY_IMPORT):
                found.append(f"{name}: there is no room idealab.{there}")
        elif here not in MAY_IMPORT:
            found.append(f"idealab.{here} is not on the map: give it a place in MAY_IMPORT and DESIGN")
        elif there == "":
            found.append(f"{name}: say which name; the bare package leads to every room")
        elif there not in MAY_IMPORT[here]:
            found.append(f"{name}: {here} may import {', '.join(sorted(MAY_IMPORT[here])) or 'nothing'}, not {there}")
    return found


# The front door shows every room; tests/test_public_surface.py watches it.
@pytest.mark.parametrize("path", [path for path in FILES if path != Path("idealab/__init__.py")], ids=str)
def test_imports_keep_the_walls(path: Path) -> None:
    assert breaches(module_name(path), (ROOT / path).read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    ("module", "source", "complaint"),
    [
        ("idealab.theory.a", "import jax.numpy as jnp", "theory never imports jax"),
        ("idealab.theory.a", "def f():\n    from jax import vmap", "theory never imports jax"),
        (
            "idealab.theory.a",
            "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import jax",
            "never imports jax",
        ),
        ("idealab.theory.a", "from idealab.experiments import a", "not experiments"),
        ("idealab.theory.a", "from ..experiments import a", "not experiments"),
        ("idealab.theory.a", "from experiments import a", "a bare experiments"),
        ("idealab.theory.a", "from idealab.simulate.flow import flow", "not simulate"),
        ("idealab.theory.a", "import idealab", "say which name"),
        ("idealab.experiments.a", "import sympy as sp", "experiments never imports sympy"),
        ("idealab.experiments.a", "from idealab import theory", "not theory"),
        ("idealab.experiments.a", "from idealab import load", "not registry"),
        ("idealab.experiments.a", "from idealab import Idea", "not idea"),
        ("idealab.experiments.a", "import importlib\nimportlib.import_module('idealab.theory.a')", "not theory"),
        ("idealab.judge.evidence", "import sympy", "judge never imports sympy"),
        ("idealab.judge.evidence", "from idealab.idea import Idea", "not idea"),
        ("idealab.simulate.flow", "from idealab.judge import evidence", "not judge"),
        ("idealab.ledger.store", "from idealab.verify import verify", "not verify"),
        ("idealab.registry", "from idealab.theory.max_margin import idea", "not theory"),
        ("idealab.verify", "__import__('idealab.experiments.max_margin')", "not experiments"),
        ("idealab.errors", "from idealab.idea import Idea", "may import nothing, not idea"),
        ("idealab.attic", "from idealab.errors import UsageError", "not on the map"),
        ("tests.test_a", "import theory.max_margin", "a bare theory"),
        ("tests.test_a", "import idealab.tests", "no room idealab.tests"),
        ("benchmarks.speed", "from idealab.idealab import errors", "no room idealab.idealab"),
    ],
)
def test_a_planted_breach_is_caught(module: str, source: str, complaint: str) -> None:
    (line,) = breaches(module, source)
    assert complaint in line


@pytest.mark.parametrize(
    ("module", "source"),
    [
        (
            "idealab.theory.a",
            "import sympy as sp\nfrom idealab import Equals, Idea\nfrom idealab.symbolic import derivation",
        ),
        ("idealab.experiments.a", "import jax\nfrom idealab import Experiment\nfrom idealab.simulate.flow import flow"),
        ("idealab.judge.criteria", "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import sympy as sp"),
        ("idealab.judge.verdict", "from .criteria import Equals"),
        ("idealab.ledger.records", "from idealab import __version__"),
        ("idealab.cli.verify", "from idealab import verify"),
        ("tests.theory.test_a", "import idealab\nfrom idealab.theory import a\nfrom idealab.experiments import a as b"),
    ],
)
def test_honest_imports_pass(module: str, source: str) -> None:
    assert breaches(module, source) == []


def test_the_search_sees_the_house() -> None:
    assert {Path("idealab/errors.py"), Path("theory/__init__.py"), Path("tests/test_walls.py")} <= set(FILES)


@pytest.mark.parametrize("path", FILES, ids=str)
def test_a_file_is_at_most_400_lines(path: Path) -> None:
    assert len((ROOT / path).read_text(encoding="utf-8").splitlines()) <= 400


def test_what_is_imported_is_declared() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = (lines for name, lines in project["optional-dependencies"].items() if name not in ("test", "dev"))
    required = [*project["dependencies"], *(line for lines in extras for line in lines)]
    declared = {re.split(r"[^\w.-]", line)[0].lower() for line in required}
    distributions = packages_distributions()
    undeclared: dict[str, str] = {}
    for path in SHIPPED:
        for name, _ in imports((ROOT / path).read_text(encoding="utf-8"), module_name(path)):
            top = name.split(".")[0]
            sources = {source.lower() for source in distributions.get(top, [top])}
            if top not in sys.stdlib_module_names and top != "idealab" and not sources & declared:
                undeclared[top] = str(path)
    assert undeclared == {}


@pytest.mark.parametrize(
    ("statement", "unwanted"),
    [
        ("import idealab", HEAVY),
        ("import idealab; dir(idealab), idealab.__version__, idealab.UsageError", HEAVY),
        ("import idealab.judge.criteria", {"jax", "sympy"}),
    ],
)
def test_importing_stays_light(statement: str, unwanted: set[str]) -> None:
    code = f"{statement}\nimport sys\nprint(*sorted({unwanted!r} & set(sys.modules)))"
    shown = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert shown.stdout.split() == []
