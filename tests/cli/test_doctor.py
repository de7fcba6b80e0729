from __future__ import annotations

import json
from pathlib import Path

import pytest

from idealab.cli import main


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = tmp_path / "cache"
    cache.mkdir()
    (cache / "program").write_bytes(b"x" * 2**20)
    monkeypatch.setattr("idealab.compute.devices.program_cache", lambda: cache)
    monkeypatch.setattr("idealab.registry.ideas", lambda: {"toy": None})
    monkeypatch.chdir(tmp_path)


def test_a_healthy_machine(toy: object, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["doctor"]) == 0
    lines = capsys.readouterr().out.splitlines()
    text = " ".join(" ".join(lines).split())
    assert lines[-1] == "all is well"
    assert "jax 0." in text
    assert "precision float64 " in text
    assert "1.0 MiB of compiled simulations" in text
    assert "0 records, index absent, writable" in text
    assert "ideas 1 found all" in text
    assert not (tmp_path / ".idealab").exists()


def test_json(toy: object, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["schema"] == "idealab/doctor/1"
    assert report["precision"] == "float64"
    assert report["ideas"] == {"toy": True}
    assert report["problems"] == []
    assert set(report["versions"]) >= {
        "idealab",
        "python",
        "jax",
        "jaxlib",
        "numpy",
        "sympy",
        "optax",
        "flax",
    }


def test_a_platform_without_float64_is_told_plainly(
    toy: object, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("idealab.compute.devices.computes_float64", lambda device: False)
    assert main(["doctor"]) == 0
    assert "float32 only: this platform has no float64" in capsys.readouterr().out


def test_what_is_wrong_is_said_and_the_code_is_1(
    toy: object, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def broken(name: str) -> None:
        raise ValueError("a slip\nof the pen")

    def renamed() -> None:
        raise AttributeError("no such option")

    folder = tmp_path / ".idealab" / "objects" / "ab"
    folder.mkdir(parents=True)
    (folder / f"ab{'0' * 62}.json").write_text("{}")
    monkeypatch.setattr("idealab.registry.load", broken)
    monkeypatch.setattr("idealab.compute.devices.program_cache", renamed)
    assert main(["doctor", "--json"]) == 1
    problems = json.loads(capsys.readouterr().out)["problems"]
    assert problems[0] == "compilations are not kept: AttributeError: no such option"
    assert problems[1].startswith("ledger: ")
    assert problems[2] == "idea toy does not load: ValueError: a slip of the pen"
    assert main(["doctor"]) == 1
    assert capsys.readouterr().out.count("wrong:") == 3
