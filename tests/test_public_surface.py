"""What `import idealab` offers: a change of these names is a change that users notice."""

from __future__ import annotations

import ast
import importlib
import subprocess
import sys
from pathlib import Path

import pytest

import idealab

ROOT = Path(__file__).parents[1]
PUBLIC = {
    "Assumption",
    "Condition",
    "DeclarationChangedError",
    "DeclarationError",
    "Derivation",
    "DerivationError",
    "Equals",
    "Experiment",
    "Idea",
    "Identity",
    "IdealabError",
    "LedgerError",
    "Named",
    "NothingMatchedError",
    "Observation",
    "Prediction",
    "PrinterError",
    "Range",
    "Rate",
    "Reference",
    "Rival",
    "Signature",
    "Trend",
    "Threshold",
    "Slope",
    "UnknownNameError",
    "UsageError",
    "Verification",
    "__version__",
    "declare",
    "find_scope",
    "ideas",
    "load",
    "plan",
    "verify",
}


def test_the_public_names() -> None:
    assert set(vars(idealab)["__all__"]) == PUBLIC
    assert set(dir(idealab)) >= PUBLIC


@pytest.mark.parametrize("name", sorted(PUBLIC - {"__version__"}))
def test_a_public_name_resolves_to_what_bears_it(name: str) -> None:
    value = getattr(idealab, name)
    assert value.__name__ == name
    assert getattr(idealab, name) is value
    assert value.__doc__


def test_every_error_is_public() -> None:
    errors = importlib.import_module("idealab.errors")
    raised = {name for name, value in vars(errors).items() if isinstance(value, type)}
    assert {name for name in raised if name.endswith("Error")} <= PUBLIC


def test_type_checkers_and_the_program_see_the_same_names() -> None:
    tree = ast.parse((ROOT / "idealab/__init__.py").read_text(encoding="utf-8"))
    (block,) = [node for node in tree.body if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"]
    typed = {
        alias.asname: node.module for node in block.body if isinstance(node, ast.ImportFrom) for alias in node.names
    }
    assert typed == vars(idealab)["_HOME"]


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'idealab' has no attribute 'proof'"):
        getattr(idealab, "proof")  # noqa: B009  a plain attribute would not pass the type checker


@pytest.mark.parametrize(
    "before",
    [
        "import idealab.verify",
        "import idealab; idealab.verify; import idealab.verify",
        "import importlib; importlib.import_module('idealab.verify'); import idealab",
    ],
)
def test_verify_is_the_function_whatever_was_imported_before(before: str) -> None:
    # Importing the submodule would bind idealab.verify to the module; the package refuses that (idealab/__init__.py).
    code = (
        f"{before}\nfrom idealab import verify\nassert idealab.verify is verify, verify\nprint(type(verify).__name__)"
    )
    shown = subprocess.run([sys.executable, "-W", "error::ImportWarning", "-c", code], capture_output=True, text=True)
    assert (shown.stdout, shown.stderr) == ("function\n", "")
