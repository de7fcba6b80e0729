"""How ideas are found, paired and loaded, and what a faulty one does: one clear line, and nothing to the others."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from idealab import registry
from idealab.errors import DeclarationError, UnknownNameError

ROOT = Path(__file__).parents[1]
HEAVY = {"jax", "sympy", "numpy", "scipy"}

THEORY = '''"""A guest at the table,
who came by an entry point.

This is no part of the statement.
"""

import sympy as sp

from idealab import Derivation, Equals, Idea, Named, Signature

a, y = sp.symbols("a y", positive=True)
square = (
    Derivation("square", "a square")
    .given("side", "its side", sp.Eq(y, a))
    .derive("area", "its area", lambda known: sp.Eq(y, known["side"].rhs ** 2))
)
idea = Idea(
    name="NAME",
    statement="A guest at the table, who came by an entry point.",
    scope="",
    failure_modes=(),
    references=(),
    signatures=Named(Signature("area", "", "area", square, Equals(rtol=0.1), "the pen")),
    assumptions=Named(),
)
'''
EXPERIMENTS = '''"""A square and a pen."""

import jax

from idealab import Condition, Experiment, Observation


def observe(key, condition):
    side = condition["a"] * (1 + 0.01 * jax.random.uniform(key))
    return Observation({"a": side}, {"area": side**2 * 1.001})


experiments = (
    Experiment(
        name="paper", statement="", level="idealized", observe=observe, observables=("area",),
        conditions=(Condition({"a": 2.0}),),
    ),
)
'''


@pytest.fixture
def bring(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Install a package that brings an idea, by the files and the entry point that a wheel would leave."""
    monkeypatch.syspath_prepend(tmp_path)

    def install(name: str, theory: str | None = THEORY, experiments: str | None = EXPERIMENTS, top: str = "") -> str:
        package = f"package_of_{name}"
        for room, source in (("theory", theory), ("experiments", experiments)):
            folder = tmp_path / package / room
            folder.mkdir(parents=True)
            (folder / "__init__.py").touch()
            if source is not None:
                (folder / f"{name}.py").write_text(source.replace("NAME", name))
        (tmp_path / package / "__init__.py").write_text(top)
        information = tmp_path / f"{package}-1.0.dist-info"
        information.mkdir()
        (information / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
        (information / "entry_points.txt").write_text(f"[idealab.ideas]\n{name} = {package}\n")
        return package

    yield install
    for module in [name for name in sys.modules if name.startswith("package_of_")]:
        del sys.modules[module]


def test_an_idea_that_is_not_there_suggests_the_nearest():
    for load in (registry.load, registry.load_experiments):
        with pytest.raises(UnknownNameError, match=r"^no idea named 'max_margn'; did you mean 'max_margin'"):
            load("max_margn")


@pytest.mark.parametrize("name", ["", ".", "__init__", "../max_margin", "max_margin.idea", "os"])
def test_no_other_module_is_loaded_by_name(name):
    with pytest.raises(UnknownNameError, match="no idea named"):
        registry.load(name)


def test_statements_are_read_without_importing_anything(bring, tmp_path):
    bring("light")
    code = (
        "import sys, idealab\n"
        "found = idealab.ideas()\n"
        "assert found['max_margin'].statement.startswith('Gradient descent'), found\n"
        "assert 'idealized' in found['max_margin'].levels, found\n"
        "assert found['light'].statement == 'A guest at the table, who came by an entry point.', found\n"
        "assert found['light'].levels == ('idealized',), found\n"
        f"print(*sorted({HEAVY!r} & set(sys.modules)))"
    )
    paths = os.pathsep.join([str(ROOT), str(tmp_path)])
    shown = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": paths},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (shown.returncode, shown.stdout.split(), shown.stderr) == (0, [], "")


def test_an_entry_point_brings_an_idea_that_verifies(bring, toy):
    bring("guest")
    assert registry.ideas()["guest"].levels == ("idealized",)
    assert registry.load("guest").name == "guest"
    (experiment,) = registry.load_experiments("guest")
    assert experiment.name == "paper"
    assert toy.verify(theory="guest", experiments=None).verdict == "supported"


def test_an_idea_may_be_two_packages(bring, tmp_path, toy):
    package = tmp_path / bring("large")
    for room in ("theory", "experiments"):
        (package / room / "large").mkdir()
        (package / room / "large.py").rename(package / room / "large" / "whole.py")
    (package / "theory" / "large" / "whole.py").rename(package / "theory" / "large" / "__init__.py")
    whole = "from package_of_large.experiments.large.whole import experiments\n"
    (package / "experiments" / "large" / "__init__.py").write_text(whole)
    summary = registry.ideas()["large"]
    assert summary.statement == "A guest at the table, who came by an entry point."
    assert summary.levels == ("idealized",), "the levels stand in another file than __init__.py"
    assert toy.verify(theory="large", experiments=None).verdict == "supported"


def test_built_in_ideas_are_files_or_packages():
    assert registry.ideas()["topic_inertia"].statement == registry.load("topic_inertia").statement
    assert (
        {"max_margin", "topic_inertia"} <= set(registry._built_in("theory")) == set(registry._built_in("experiments"))
    )


def test_a_built_in_idea_is_not_replaced_by_a_guest(bring):
    bring("max_margin")
    assert registry.ideas()["max_margin"].statement.startswith("Gradient descent")
    assert registry._module("theory", "max_margin") == "idealab.theory.max_margin"


@pytest.mark.parametrize(
    ("name", "files", "words"),
    [
        ("half", {"experiments": None}, "idea 'half' has no experiments: there is no module package_of_half.exp"),
        (
            "empty",
            {"theory": '"""Nothing."""'},
            "the theory of 'empty' must define `idea`, an idealab.Idea; got NoneType",
        ),
        ("empty", {"experiments": "experiments = 3"}, "must define `experiments`, a tuple of idealab.Experiment"),
        ("misnamed", {"theory": THEORY.replace("NAME", "other")}, "declares an idea named 'other'; give both the same"),
        ("typo", {"theory": "idea = = 3"}, r"cannot be imported: SyntaxError: invalid syntax .*line 1"),
        ("crash", {"theory": "1 / 0"}, "package_of_crash.theory.crash cannot be imported: ZeroDivisionError: division"),
        ("crash", {"experiments": "import nowhere_to_be_found"}, "cannot be imported: ModuleNotFoundError: No module"),
        ("wrong", {"theory": THEORY.replace('"the pen"', '""')}, "^signature 'area' gives no reason"),
    ],
)
def test_a_faulty_idea_gives_one_clear_line(bring, name, files, words):
    bring(name, **files)
    with pytest.raises(DeclarationError, match=words) as caught:
        (registry.load_experiments if "experiments" in files else registry.load)(name)
    assert "\n" not in str(caught.value)
    assert {"max_margin", name} <= set(registry.ideas()), "it does not take the others along"


@pytest.mark.parametrize("top", ["1 / 0", "import nowhere_to_be_found", "= ="])
def test_a_package_that_cannot_be_imported_does_not_take_the_others_along(bring, top):
    bring("broken", top=top)
    assert "max_margin" in registry.ideas()
    with pytest.raises(DeclarationError, match="'broken'"):
        registry.load("broken")


def test_a_toggle_must_be_an_assumption_of_the_idea(toy):
    stray = toy.experiment(toggles={"constant_farce": toy.sweep})
    with pytest.raises(
        DeclarationError, match="takes away 'constant_farce', which 'toy' does not assume; it assumes co"
    ):
        registry.pair(toy.idea(), (stray,))


def test_two_experiments_of_one_name_are_refused(toy):
    with pytest.raises(DeclarationError, match="two experiments of 'toy' share a name: bench, bench"):
        registry.pair(toy.idea(), (toy.experiment(), toy.experiment()))


def test_what_is_no_idea_is_refused(monkeypatch):
    monkeypatch.setattr(registry, "_import", lambda room, name: SimpleNamespace(idea="text", experiments=("text",)))
    with pytest.raises(DeclarationError, match="got str"):
        registry.load("any")
    with pytest.raises(DeclarationError, match=r"a tuple of idealab\.Experiment"):
        registry.load_experiments("any")
