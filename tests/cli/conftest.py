"""One toy idea that is known by name, and a pipeline that runs nothing."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Any

import pytest

from idealab import registry
from idealab.registry import Summary
from idealab.verification import CellResult, Cost, SignatureResult, Verification

CELL = CellResult("kappa=1", "", 1.0, 1.0001, 1e-5, 1e-3, 0.1, "present", 9.1, 6)
SIGNATURE = SignatureResult(
    "clock", "", "planted", "idealized", True, "1", "derived", "Equals", "", "", "present", "", False, 9.1, 6, (CELL,)
)


def verification(idea: str = "toy", verdict: Any = "supported") -> Verification:
    """The least that a report can be drawn from."""
    cost = Cost(seconds=1.0, seeds=6, gradient_evaluations=10.0)
    return Verification(
        idea,
        "A toy.",
        verdict,
        "",
        9.1,
        "6f1c2a9e" + "0" * 56,
        (SIGNATURE,),
        (),
        (),
        (),
        cost,
        {"master_seed": 0, "precision": "float64"},
        record="9ab41c77" + "0" * 56,
    )


@pytest.fixture(autouse=True)
def _ideas(monkeypatch: pytest.MonkeyPatch) -> None:
    found = {name: Summary(name, f"Learning is a {name}.", ("idealized", "real data")) for name in ("toy", "other")}
    monkeypatch.setattr(registry, "ideas", lambda: found)
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.delenv("IDEALAB_LEDGER", raising=False)
    monkeypatch.delenv("IDEALAB_TRACEBACK", raising=False)


class Pipeline:
    """Stands in for `idealab.verify.verify`: keeps what it was asked, and answers what a test wants."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, Mapping[str, Any]]] = []
        self.answer: Callable[..., Verification] = lambda idea, **_: verification(idea)

    def verify(self, idea: str, *, progress: Any, **options: Any) -> Verification:
        self.asked.append((idea, options))
        return self.answer(idea, progress=progress)


@pytest.fixture
def pipeline(monkeypatch: pytest.MonkeyPatch) -> Pipeline:
    """The pipeline that the command line finds."""
    found = Pipeline()
    module = ModuleType("idealab.verify")
    vars(module)["verify"] = found.verify
    monkeypatch.setitem(sys.modules, "idealab.verify", module)
    return found


@pytest.fixture
def found() -> Callable[..., Verification]:
    """Builds a verification by idea and verdict."""
    return verification


@pytest.fixture
def toy(monkeypatch: pytest.MonkeyPatch) -> Any:
    """An idea with one of everything, and its experiment, found under the name toy."""
    import jax
    import sympy as sp

    from idealab.experiment import Condition, Experiment, Observation
    from idealab.idea import Assumption, Idea, Named, Reference, Rival, Signature
    from idealab.judge.criteria import Equals
    from idealab.symbolic.derivation import Derivation
    from idealab.symbolic.prediction import Prediction

    eta, gamma, t = sp.symbols("eta gamma t", positive=True)
    loss = sp.Function("L")
    source = Reference("toy2026", "A. Author", 2026, "On toys", "Theorem 3")
    clock = (
        Derivation("clock", "the loss counts time")
        .given("flow", "gradient flow", sp.Eq(loss(t).diff(t), -eta * gamma**2 * loss(t) ** 2))
        .cite("aside", "a remark that nothing uses", sp.Eq(sp.Symbol("a"), 1), source)
        .check(
            "decay",
            "the loss decays like 1/t, at 100 % of_it",
            sp.Eq(loss(t), 1 / (eta * gamma**2 * t)),
            lambda equation, known: sp.diff(equation.rhs, t) - known["flow"].rhs.subs(loss(t), equation.rhs),
        )
        .derive("product", "times the clock", lambda known: sp.Eq(loss(t) * t, known["decay"].rhs * t))
    )
    rival = Rival("square root", "as a random walk would", Prediction(1 / sp.sqrt(t)))
    signature = Signature(
        "clock",
        "the product of loss and time",
        "product",
        clock,
        Equals(rtol=1e-3, atol=1 / t),
        "the first correction is of this size",
        rivals=Named(rival),
    )
    broken = Signature(
        "broken clock",
        "with a polynomial tail",
        "product",
        clock,
        Equals(rtol=0.1, atol=0.01),
        "half the bias",
        step="decay",
    )
    idea = Idea(
        name="toy",
        statement="A toy runs down.",
        scope="where it is wound up",
        failure_modes=("a lost key", "Adam"),
        references=(source,),
        signatures=Named(signature),
        assumptions=Named(
            Assumption("spring", "there is a spring", "breaks", ("clock",), rival=broken),
            Assumption("colour", "it is red", "does_not_matter", ("clock",)),
        ),
    )

    def observe(key: jax.Array, condition: Condition) -> Observation:
        raise NotImplementedError

    condition = Condition({"eta": 0.5})
    experiment = Experiment(
        name="nursery",
        statement="toys are observed",
        level="idealized",
        observe=observe,
        observables=("product",),
        conditions=(condition, condition.but(eta=0.25)),
        checkpoints={"product": ("t", (1e4, 1e6))},
        toggles={"spring": condition.but(label="no spring")},
    )
    monkeypatch.setattr(registry, "load", lambda name: idea)
    monkeypatch.setattr(registry, "load_experiments", lambda name: (experiment,))
    return idea
