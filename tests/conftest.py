"""Shared set-up: every test runs in float64, as the lab does wherever the platform has it; and a toy idea.

The toy is a body under a constant force: ``x(t) = a t**2 + b``, with b drawn by the seed. Its truth is known, and so is
what must come of each way in which its experiment can go wrong (`DEFECTS`).
"""

from __future__ import annotations

import importlib.util
import linecache
import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import jax
import jax.numpy as jnp
import pytest
import sympy as sp

from idealab.compute.run import Silence
from idealab.experiment import Condition, Experiment, Observation, Range
from idealab.idea import Assumption, Idea, Named, Rival, Signature
from idealab.judge.criteria import Equals
from idealab.symbolic.derivation import Derivation
from idealab.symbolic.prediction import Prediction
from idealab.verification import Verification
from idealab.verify import verify

simulator_module, mutants_module = sys.modules["idealab.compute.simulator"], sys.modules["idealab.assess.mutants"]

jax.config.update("jax_enable_x64", True)

a, b, t = sp.symbols("a b t", positive=True)
n = sp.Symbol("n", integer=True, nonnegative=True)
p, u = sp.IndexedBase("p", positive=True), sp.IndexedBase("u", real=True)
x = sp.Function("x")

DEFECTS: dict[str, dict[str, float]] = {
    "": {},
    "off": {"factor": 1.15},  # 1.5 tolerances
    "breaks": {"late_factor": 1.3},  # 3 tolerances, where a is above 3
    "diverges": {"accidents": 0.05, "noise": 0.1},  # one seed in twenty gives NaN; the noise asks for many seeds
    "frozen": {"wired": 0.0},  # the seed reaches nothing
    "undefined": {"unknown": 1.0},  # b is reported as NaN, so that there is no prediction
}
"""What is wrong with an experiment, as settings: floats are traced, so that all of them share one compiled program."""

TRACED: list[Callable[[Condition], None]] = []
"""Called whenever the toy's observe is traced; a global, so that no hash depends on it."""


def fall(power: int) -> Derivation:
    """A force that grows as t^(power - 2)."""
    return (
        Derivation(f"fall_{power}", "the motion under a force")
        .given("motion", "the speed grows", sp.Eq(x(t).diff(t), power * a * t ** (power - 1)))
        .derive("orbit", "solved from x(0) = b", lambda known: sp.dsolve(known["motion"], x(t), ics={x(0): b}))
    )


@cache
def idea(factor: float = 1, tolerance: float = 0.1) -> Idea:
    """The theory; ``factor`` is a constant that may be got wrong."""
    parabola = fall(2).derive(
        "measured", "in the units of the ruler", lambda known: sp.Eq(x(t), factor * known["orbit"].rhs)
    )
    shares = (
        Derivation("shares", "energies from their shares")
        .given("boltzmann", "the share of an energy", sp.Eq(p[n], sp.exp(-u[n])))
        .derive("energies", "solved", lambda known: sp.Eq(u[n], sp.solve(known["boltzmann"], u[n])[0]))
    )
    close, why = Equals(rtol=tolerance), "friction, which the theory leaves out"
    height = Signature("height", "where it is", "height", parabola, close, why)
    linear = Rival("linear", "no force at all", Prediction(a * t + b))
    return Idea(
        name="toy",
        statement="A body under a constant force runs through a parabola.",
        scope="no friction",
        failure_modes=("a wall",),
        references=(),
        signatures=Named(
            replace(height, rivals=Named(linear)),
            Signature("curve", "the whole path", "curve", parabola, close, why, by_log=(t,)),
            Signature("energies", "of the levels", "energies", shares, Equals(atol=0.1), why, primary=False),
        ),
        assumptions=Named(
            Assumption(
                "constant_force",
                "the force is constant",
                "breaks",
                ("height",),
                rival=Signature("height, growing force", "where it is", "height", fall(3), close, why),
            ),
            Assumption("peaked_noise", "the ruler's error is peaked", "does_not_matter", ("height", "curve")),
        ),
    )


LOG_TIMES = (0.0, 1.0, 2.0)
SOUND = {"factor": 1.0, "late_factor": 1.0, "accidents": 0.0, "wired": 1.0, "unknown": 0.0}
SWEEP = Condition({"a": 1.0, "t": 2.0, "noise": 0.02, "power": 2.0, "flat": 0.0, **SOUND})


def observer(lost: str = "", points: int = 3) -> Callable[[jax.Array, Condition], Observation]:
    """A new observe: the measured path with a relative error, and the shares of two levels, padded to three.

    ``lost`` is what it forgets to report; it records the first ``points`` of the curve.
    """

    def observe(key: jax.Array, condition: Condition) -> Observation:
        for hook in TRACED:
            hook(condition)
        drawn = jnp.where(condition["wired"] > 0, uniform(key, 9), 0.4)
        start, accident, levels = 1 + drawn[0], drawn[1], drawn[2:5]
        flat = 12**0.5 * (drawn[5:] - 0.5)
        peaked = (flat + flat[::-1] * jnp.array([1, 1, -1, -1])) / 2**0.5
        error = condition["noise"] * (condition["flat"] * flat + (1 - condition["flat"]) * peaked)
        times = jnp.append(jnp.exp(jnp.array(LOG_TIMES)), condition["t"])
        path = (condition["a"] * times ** condition["power"] + start) * (1 + error)
        path = jnp.where(accident < condition["accidents"], jnp.nan, path)
        height = path[-1] * condition["factor"] * jnp.where(condition["a"] > 3, condition["late_factor"], 1.0)
        energies = jnp.where(jnp.arange(3) < 2, levels, 0.0)
        unknown = jnp.where(condition["unknown"] > 0, jnp.nan, 1.0)
        parameters = {"b": start * unknown, "p": jnp.exp(-energies), "gradient_evaluations": jnp.asarray(10.0)}
        observables = {"height": height, "curve": path[:points], "energies": energies}
        for reported in (parameters, observables):
            reported.pop(lost, None)
        return Observation(parameters, observables)

    return observe


def uniform(key: jax.Array, count: int) -> jax.Array:
    """Numbers in (0, 1) by the shader's sine hash: they compile ten times quicker than those of `jax.random`."""
    first, second = (jax.random.key_data(key) % 1009).astype(float)
    return (jnp.sin(12.9898 * first + 78.233 * second + 37.719 * jnp.arange(count)) * 43758.5453) % 1.0


cached_observer = cache(observer)


def experiment(defect: str = "", knob: tuple[float, ...] = (1.0, 2.0), **changes: Any) -> Experiment:
    """The idealized experiment along the knob a; ``changes`` are of its fields."""
    sweep = SWEEP.but(**DEFECTS[defect])
    fields: dict[str, Any] = {
        "name": "bench",
        "statement": "a body and a ruler",
        "level": "idealized",
        "observe": cached_observer(),
        "observables": ("height", "curve", "energies"),
        "conditions": tuple(sweep.but(f"a={value:g}", a=value) for value in knob),
        "checkpoints": {"curve": ("log_t", LOG_TIMES)},
        "toggles": {"constant_force": sweep.but(power=3.0), "peaked_noise": sweep.but(flat=1.0)},
        "ranges": {"t": Range(0.0, 10.0, "there is a wall at t = 10")},
    }
    return Experiment(**(fields | changes))


class Recorder(Silence):
    """Remembers what it is told, and is interrupted at the step of that number."""

    def __init__(self, stop_at: int | None = None) -> None:
        self.said: list[tuple[Any, ...]] = []
        self.stop_at = stop_at

    def stage(self, words: str) -> None:
        self.said.append(("stage", words))

    def declared(self, digest: str, summary: str) -> None:
        self.said.append(("declared", digest, summary))

    def planned(self, steps: int) -> None:
        self.said.append(("planned", steps))

    def step(self, words: str) -> None:
        self.said.append(("step", words))
        if self.stop_at is not None and len(self.all("step")) >= self.stop_at:
            raise KeyboardInterrupt

    def warn(self, words: str) -> None:
        self.said.append(("warn", words))

    def all(self, kind: str) -> list[Any]:
        return [said[1] for said in self.said if said[0] == kind]


def told(verification: Verification) -> str:
    """All that a verification says of what was seen, without cost, name and earlier runs; as text: NaN equals NaN."""
    left_out = ("cost", "record", "earlier")
    return repr({name: value for name, value in verification.to_dict().items() if name not in left_out})


@pytest.fixture
def import_file() -> Callable[[Path], ModuleType]:
    """Imports a file as a module that no other test sees."""

    def load(path: Path) -> ModuleType:
        spec = importlib.util.spec_from_file_location(path.stem, path)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        linecache.checkcache(str(path))
        spec.loader.exec_module(module)
        return module

    return load


@pytest.fixture(autouse=True)
def _no_compilation_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test leaves compiled programs or mutants in the cache of whoever runs it."""
    monkeypatch.setattr(simulator_module, "program_cache", lambda: None)
    monkeypatch.setattr(mutants_module, "remembered", lambda folder, key, make: make())


@pytest.fixture
def named_toy(tmp_path: Path) -> dict[str, str]:
    """An environment in which another process finds the toy by its name, ``toy``: a package with an entry point."""
    site = tmp_path / "site"
    load = f"""
import importlib.util, sys
if "conftest" not in sys.modules:
    spec = importlib.util.spec_from_file_location("conftest", {__file__!r})
    sys.modules["conftest"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(sys.modules["conftest"])
toy = sys.modules["conftest"]
"""
    for room, line in (("theory", "idea = toy.idea()"), ("experiments", "experiments = (toy.experiment(),)")):
        (site / "toyland" / room).mkdir(parents=True)
        (site / "toyland" / room / "toy.py").write_text(f'"""A body."""\n{load}{line}\n', encoding="utf-8")
    entry = site / "toyland-1.0.dist-info"
    entry.mkdir()
    (entry / "METADATA").write_text("Metadata-Version: 2.1\nName: toyland\nVersion: 1.0\n", encoding="utf-8")
    (entry / "entry_points.txt").write_text("[idealab.ideas]\ntoy = toyland\n", encoding="utf-8")
    cache = {"JAX_COMPILATION_CACHE_DIR": str(tmp_path / "compiled")}
    return {**os.environ, **cache, "PYTHONPATH": str(site), "IDEALAB_LEDGER": str(tmp_path / "ledger")}


@pytest.fixture
def toy(tmp_path: Path) -> Iterator[SimpleNamespace]:
    """The toy's parts, ``toy.verify(defect, ...)``, and a ledger of its own in ``toy.ledger``."""
    ledger = tmp_path / "ledger"

    def run(defect: str = "", theory: Idea | None = None, **options: Any) -> Any:
        options.setdefault("experiments", (experiment(defect),))
        options.setdefault("ledger", ledger)
        return verify(theory or idea(), **options)

    yield SimpleNamespace(
        idea=idea,
        experiment=experiment,
        observer=observer,
        cached_observer=cached_observer,
        verify=run,
        ledger=ledger,
        sweep=SWEEP,
        log_times=LOG_TIMES,
        fall=fall,
        traced=TRACED,
        file=Path(__file__),
        watcher=Recorder,
        told=told,
    )
    TRACED.clear()
