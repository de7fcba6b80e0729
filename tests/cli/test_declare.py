from __future__ import annotations

import json
from typing import Any

import pytest

from idealab.cli import main
from idealab.errors import DeclarationChangedError
from idealab.ledger.store import Ledger


@pytest.fixture(autouse=True)
def _named(monkeypatch: pytest.MonkeyPatch) -> None:
    from idealab import registry
    from tests import conftest

    monkeypatch.setattr(registry, "load", lambda name: conftest.idea())
    monkeypatch.setattr(registry, "load_experiments", lambda name: (conftest.experiment(),))


def test_the_hash_alone_is_on_standard_output(capsys: pytest.CaptureFixture[str], tmp_path: Any) -> None:
    assert main(["declare", "toy", "--seeds", "8", "--ledger", str(tmp_path)]) == 0
    shown = capsys.readouterr()
    assert shown.out == Ledger(tmp_path).find()[0] + "\n"
    assert "seeds 4 to 8, stops when decided" in shown.err
    assert "not run before, as far as this ledger knows" in shown.err


def test_options_that_are_declared_change_the_hash(capsys: pytest.CaptureFixture[str], tmp_path: Any) -> None:
    for options in ("", "--seeds 8", "--quick", "--select height", "--set t=3.0"):
        assert main(["declare", "toy", *options.split(), "--ledger", str(tmp_path)]) == 0
    assert len(set(capsys.readouterr().out.split())) == 5


def test_json(capsys: pytest.CaptureFixture[str], tmp_path: Any) -> None:
    assert main(["declare", "toy", "--json", "--ledger", str(tmp_path)]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["schema"], found["idea"], found["earlier"]) == ("idealab/declared/1", "toy", [])
    assert Ledger(tmp_path).find() == [found["declaration"]]


def test_a_lock_reaches_the_pipeline(pipeline: Any) -> None:
    assert main(["verify", "toy", "--declared", "ab" * 32]) == 0
    assert pipeline.asked[0][1]["declared"] == "ab" * 32


def test_a_broken_lock_is_code_2_with_every_difference(pipeline: Any, capsys: pytest.CaptureFixture[str]) -> None:
    def answer(idea: str, progress: Any) -> Any:
        raise DeclarationChangedError("what was declared is not what would be run", ("a: 1 became 2", "b\n is gone"))

    pipeline.answer = answer
    assert main(["verify", "toy", "--declared", "ab" * 32]) == 2
    assert capsys.readouterr().err.splitlines()[-3:] == [
        "error: what was declared is not what would be run",
        "  a: 1 became 2",
        "  b is gone",
    ]


def test_each_difference_is_said_once(tmp_path: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """By the pipeline itself: of the message and the list only the list has them."""
    assert main(["declare", "toy", "--seeds", "8", "--ledger", str(tmp_path)]) == 0
    sha = capsys.readouterr().out.strip()
    assert main(["verify", "toy", "--seeds", "16", "--declared", sha, "--ledger", str(tmp_path)]) == 2
    shown = capsys.readouterr().err
    assert shown.count("  experiments.bench.max_seeds: 8 became 16\n") == 1
    assert len(next(line for line in shown.splitlines() if line.startswith("error: "))) < 250


@pytest.mark.parametrize("more", [["other"], ["--find-scope", "eta"]])
def test_a_lock_holds_one_verification(pipeline: Any, more: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify", "toy", *more, "--declared", "ab" * 32]) == 2
    assert "--declared holds one verification of one idea" in capsys.readouterr().err
    assert pipeline.asked == []
