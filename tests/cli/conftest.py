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
        {},
        "9ab41c77" + "0" * 56,
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
