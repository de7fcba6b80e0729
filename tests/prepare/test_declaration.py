"""The declaration: everything that decides a verdict changes its hash, and nothing else does."""

from __future__ import annotations

import importlib
import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path

import jax
import numpy as np
import pytest
import sympy as sp

from idealab.compute.source import source_digest
from idealab.errors import DeclarationChangedError
from idealab.idea import Named
from idealab.judge.cells import Rules
from idealab.judge.criteria import Equals
from idealab.ledger.records import canonical, decode, digest
from idealab.prepare import declaration
from idealab.prepare.declaration import JUDGE, declaration_of, judge_digest
from idealab.prepare.declare import declare

ROOT = Path(__file__).parents[2]


def hashed(idea, experiment, seeds=64):
    content = declaration_of(idea, (experiment,), tuple(idea.signatures.values()), {"bench": Rules(seeds, 12)})
    return digest({"schema": "idealab/declaration/1", "idea": idea.name, "content": content})


def with_height(idea, **changes):
    signatures = [replace(s, **changes) if s.name == "height" else s for s in idea.signatures.values()]
    return replace(idea, signatures=Named(*signatures))


def data(*values, kind=float):
    return lambda: np.array(values, dtype=kind)


def test_it_is_the_same_for_what_is_declared_the_same(toy):
    again = toy.idea.__wrapped__()  # built anew, not taken from a cache
    assert again is not toy.idea()
    assert hashed(again, toy.experiment()) == hashed(toy.idea(), toy.experiment())


CHANGES = {
    "a constant of the theory": lambda toy: (toy.idea(factor=1.0001), {}),
    "a tolerance": lambda toy: (toy.idea(tolerance=0.11), {}),
    "the kind of a tolerance": lambda toy: (with_height(toy.idea(), criterion=Equals(atol=0.1)), {}),
    "a symbolic tolerance": lambda toy: (with_height(toy.idea(), criterion=Equals(rtol=1 / sp.Symbol("b"))), {}),
    "the estimand": lambda toy: (with_height(toy.idea(), criterion=Equals(rtol=0.1, estimand="median")), {}),
    "the reason": lambda toy: (with_height(toy.idea(), reason="wind"), {}),
    "primary": lambda toy: (with_height(toy.idea(), primary=False), {}),
    "the rivals": lambda toy: (with_height(toy.idea(), rivals=Named()), {}),
    "the observable": lambda toy: (with_height(toy.idea(), observable="curve"), {}),
    "the statement": lambda toy: (replace(toy.idea(), statement="Bodies fall."), {}),
    "the assumptions": lambda toy: (replace(toy.idea(), assumptions=Named()), {}),
    "a float setting": lambda toy: (toy.idea(), {"conditions": (toy.sweep.but("a", noise=0.020000001),)}),
    "a static setting": lambda toy: (toy.idea(), {"conditions": (toy.sweep.but("a", size=3),)}),
    "a label": lambda toy: (toy.idea(), {"conditions": (toy.sweep.but("b"),)}),
    "a condition more": lambda toy: (toy.idea(), {"conditions": (toy.sweep.but("a"), toy.sweep.but("b"))}),
    "the order": lambda toy: (toy.idea(), {"conditions": (toy.sweep.but("b"), toy.sweep.but("a"))}),
    "no data": lambda toy: (toy.idea(), {"conditions": (replace(toy.sweep, label="a", data=None),)}),
    "a toggle": lambda toy: (toy.idea(), {"toggles": {}}),
    "a toggle's setting": lambda toy: (toy.idea(), {"toggles": {"constant_force": toy.sweep.but(power=2.5)}}),
    "a checkpoint": lambda toy: (toy.idea(), {"checkpoints": {"curve": ("log_t", (0.0, 1.0, 2.5))}}),
    "what is judged": lambda toy: (toy.idea(), {"observables": ("height", "curve")}),
    "the cap": lambda toy: (toy.idea(), {"max_seeds": 63}),
    "the block": lambda toy: (toy.idea(), {"block": 5}),
    "the level": lambda toy: (toy.idea(), {"level": "real data"}),
    "what observe carries": lambda toy: (toy.idea(), {"observe": toy.cached_observer("curve")}),
}


def test_everything_that_decides_a_verdict_changes_it(toy):
    start = {"conditions": (replace(toy.sweep, label="a", data=data(1, 2, 3)),)}
    seen = {hashed(toy.idea(), toy.experiment(**start)): "the start"}
    for what, change in CHANGES.items():
        idea, fields = change(toy)
        found = hashed(idea, toy.experiment(**(start | fields)))
        assert found not in seen, f"{what} leaves the hash as with {seen[found]}"
        seen[found] = what
    assert hashed(toy.idea(), toy.experiment(**start), seeds=32) not in seen


def test_every_byte_of_the_data_counts(toy):
    def of(values):
        return hashed(toy.idea(), toy.experiment(conditions=(replace(toy.sweep, data=values),)))

    long = np.arange(10_000.0)
    middle = long.copy()
    middle[5000] += 1e-9
    found = [of(v) for v in (data(1, 2, 3), data(1, 2, 4), data(1, 2, 3, kind="f4"), {"x": long}, {"y": long})]
    found += [of({"x": middle}), of({"x": long.reshape(100, 100)}), of(None)]
    assert len(set(found)) == len(found)
    assert of(data(1, 2, 3)) == of(np.array([1.0, 2.0, 3.0])), "loaded or to be loaded is the same"
    assert of(np.asfortranarray(long.reshape(2, -1))) == of(long.reshape(2, -1)), "so is the order in memory"


@pytest.fixture
def clone(tmp_path):
    """A copy of the files of idealab, which may be edited."""
    home = tmp_path / "idealab"
    shutil.copytree(ROOT / "idealab", home, ignore=shutil.ignore_patterns("__pycache__"))
    return home


def test_the_judge_is_declared_by_its_source(clone):
    before = judge_digest(clone)
    assert before == judge_digest(), "where it lies does not matter"
    folders = [sorted((clone / name).glob("*.py"))[-1] for name in JUDGE if (clone / name).is_dir()]
    for file in (*folders, *(clone / f"{name}.py" for name in JUDGE if not (clone / name).is_dir())):
        kept = file.read_bytes()
        file.write_bytes(kept.replace(b"1", b"9", 1) + b"\n# edited\n")
        judge_digest.cache_clear()
        assert judge_digest(clone) != before, file
        file.write_bytes(kept.replace(b"\n", b"\r\n"))
        judge_digest.cache_clear()
        assert judge_digest(clone) == before, "the ends of lines are those of the checkout"
        file.write_bytes(kept)
    (clone / "report" / "number.py").write_text("", encoding="utf-8")
    judge_digest.cache_clear()
    assert judge_digest(clone) == before, "how it is shown decides nothing"


DECIDES_NOTHING = {
    *("errors", "cache", "registry", "report", "ledger"),
    "prepare",  # what is declared, and how long it will take
    *("compute/hosts", "compute/line", "compute/cluster", "compute/devices"),  # where
    *("experiment", "compute/source", "compute/simulator", "compute/programs", "simulate"),  # in an experiment's digest
}


def test_whatever_a_verification_imports_is_the_judge_or_decides_nothing():
    code = "import sys, idealab.verify; print(*(m for m in sys.modules if m.startswith('idealab.')))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    loaded = {name.removeprefix("idealab.").replace(".", "/") for name in done.stdout.split()}
    assert set(JUDGE) <= loaded
    rooms = {name for name in loaded if (ROOT / "idealab" / name).is_dir()}  # __init__ says what is in a room, no more
    known = lambda name: any(name == part or name.startswith(f"{part}/") for part in (*JUDGE, *DECIDES_NOTHING))
    assert {name for name in loaded - rooms if not known(name)} == set(), (
        "say in idealab.prepare.declaration.JUDGE or here what it decides"
    )


def test_an_edited_judge_is_refused_in_words(toy, clone, monkeypatch):
    toy.traced.append(lambda condition: pytest.fail("simulated"))
    sha = declare(toy.idea(), experiments=(toy.experiment(),), ledger=toy.ledger)
    evidence = clone / "judge" / "evidence.py"
    evidence.write_text(evidence.read_text(encoding="utf-8") + "\nBAND = 9\n", encoding="utf-8")
    edited = judge_digest(clone)
    monkeypatch.setattr(declaration, "judge_digest", lambda: edited)
    with pytest.raises(DeclarationChangedError, match="the judge has changed") as refusal:
        toy.verify(declared=sha)
    assert len(refusal.value.differences) == 1


def test_it_goes_through_the_ledger(toy):
    content = declaration_of(toy.idea(), (toy.experiment(),), tuple(toy.idea().signatures.values()), {})
    document = {"schema": "idealab/declaration/1", "idea": "toy", "content": content}
    assert decode(canonical(document)) == json.loads(json.dumps(document)), "formulas are text, never objects"


MODULE = """
import functools
import jax
import numpy as np

LONG = np.arange(5000.0)
def wrap(inner, scale, extra=EXTRA):
    def observe(key, condition):
        return inner, scale, extra
    return observe
def plain(key, condition): return 1
class Observer:
    def __init__(self, scale): self.scale = scale
    def __call__(self, key, condition): return self.scale
    def method(self, key, condition): return self.scale
def rest(scale): return {
    "plain": plain,
    "closure": wrap(plain, scale),
    "nested": wrap(wrap(plain, scale), 1),
    "array": wrap(plain, np.where(np.arange(5000) == 2500, scale, LONG)),
    "jax array": wrap(plain, jax.numpy.where(jax.numpy.arange(5000) == 2500, scale, 0.0)),
    "mapping": wrap(plain, {"scale": [scale]}),
    "partial": functools.partial(plain, scale=scale),
    "partial of a closure": functools.partial(wrap(plain, scale), a=1),
    "jit": jax.jit(wrap(plain, scale)),
    "default": lambda key, condition, scale=scale: scale,
    "keyword default": lambda key, condition, *, scale=scale: scale,
    "method": Observer(scale).method,
    "instance": Observer(scale),
}
"""


def digests_elsewhere(path: Path) -> dict[str, str]:
    code = (
        f"import importlib.util, json; s = importlib.util.spec_from_file_location('written', {str(path)!r})\n"
        "m = importlib.util.module_from_spec(s); s.loader.exec_module(m)\n"
        "from idealab.compute.source import source_digest\n"
        "print(json.dumps([{k: source_digest(f) for k, f in m.rest(scale).items()} for scale in (1.5, 2.5)]))"
    )
    wide = os.environ | {"JAX_ENABLE_X64": "1"}  # the width of a JAX array is part of it
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=wide, capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


@pytest.fixture
def written(tmp_path, import_file):
    """The functions of `MODULE`, from a file of their own."""

    def write(extra: str = "0"):
        path = tmp_path / "written.py"
        path.write_text(MODULE.replace("EXTRA", extra))
        return path, import_file(path).rest

    return write


def test_the_source_is_the_same_in_another_process_and_tells_values_apart(written):
    path, rest = written()
    here = [{name: source_digest(f) for name, f in rest(scale).items()} for scale in (1.5, 2.5)]
    for one, other in zip(here, digests_elsewhere(path), strict=True):
        assert [name for name in one if one[name] != other[name]] == []
    same = [name for name in here[0] if here[0][name] == here[1][name]]
    assert same == ["plain"], "all others carry the value that differs"
    assert len(set(here[0].values())) == len(here[0])


def test_the_source_changes_with_the_file(written):
    before = {name: source_digest(f) for name, f in written()[1](1.5).items()}
    after = {name: source_digest(f) for name, f in written("1")[1](1.5).items()}
    assert all(before[name] != after[name] for name in before)


def test_a_function_that_calls_itself_is_hashed():
    def outer():
        def inner(key, condition):
            return inner(key, condition)

        return inner

    assert source_digest(outer()) == source_digest(outer())


def test_a_function_without_a_file_never_has_the_same_source():
    space = {}
    exec("def observe(key, condition): return 1", space)
    assert source_digest(space["observe"]) != source_digest(space["observe"])
    assert source_digest(partial(space["observe"], 1)) != source_digest(partial(space["observe"], 1))


def test_the_simulators_are_part_of_the_source(monkeypatch, tmp_path, toy):
    import idealab.simulate

    before = source_digest(toy.observer())
    (tmp_path / "flow.py").write_text("another = 1")
    monkeypatch.setattr(idealab.simulate, "__path__", [str(tmp_path)])
    assert source_digest(toy.observer()) != before
    assert source_digest(jax.jit(toy.observer())) == source_digest(jax.jit(toy.observer()))


@pytest.mark.parametrize(
    ("source", "use"),
    [("def net(x):\n    return 2 * x\n", "net(1)"), ("net = 2 * 1\n", "net")],
    ids=["a function", "a number, which does not know where it comes from"],
)
def test_the_hash_of_the_source_follows_a_helper_file(tmp_path, monkeypatch, source, use):
    (tmp_path / "my_nets.py").write_text(source)
    (tmp_path / "my_experiment.py").write_text(
        f"from my_nets import net\n\ndef observe(key, condition):\n    return {use}\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    observe = importlib.import_module("my_experiment").observe
    try:
        before = source_digest(observe)
        assert source_digest(observe) == before
        (tmp_path / "my_nets.py").write_text(source.replace("2", "3"))
        assert source_digest(observe) != before
    finally:
        for name in ("my_nets", "my_experiment"):
            sys.modules.pop(name, None)


@pytest.mark.parametrize(
    "body",
    [
        "    return SCALE",
        "    return helped()",
        "    return Helper()()",
        "    return my_settings.SCALE",
        "    return my_settings.TABLE['rates']",
    ],
    ids=["read", "read by a helper", "read by a class", "read from another module", "in a container"],
)
def test_the_hash_of_the_source_follows_what_was_read_when_it_was_imported(tmp_path, monkeypatch, body):
    """The text is the same: only the values tell, as of a file of data or a variable of the environment."""
    (tmp_path / "my_settings.py").write_text(
        "import os\nimport numpy as np\nSCALE = float(os.environ['MY_SCALE'])\nTABLE = {'rates': np.full(3, SCALE)}\n"
    )
    (tmp_path / "my_experiment.py").write_text(
        "import my_settings\nfrom my_settings import SCALE\n\ndef helped():\n    return SCALE\n\n"
        "class Helper:\n    def __call__(self):\n        return SCALE\n\n"
        f"def observe(key, condition):\n{body}\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    digests = []
    for scale in ("1", "2", "1"):
        monkeypatch.setenv("MY_SCALE", scale)
        try:
            digests.append(source_digest(importlib.import_module("my_experiment").observe))
        finally:
            for name in ("my_settings", "my_experiment"):
                sys.modules.pop(name, None)
    assert digests[0] == digests[2] != digests[1]
