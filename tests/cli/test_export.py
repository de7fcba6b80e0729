from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from idealab.cli.exit_code import ExitCode
from idealab.cli.group import main
from idealab.ledger import DECLARATION, VERIFICATION, Ledger
from idealab.verification import Verification


@pytest.fixture
def record(tmp_path: Path, found: Callable[[], Verification]) -> str:
    ledger = Ledger(tmp_path / "ledger")
    declared = ledger.put({"schema": DECLARATION, "idea": "toy", "content": {}})
    document = {"schema": VERIFICATION, "idea": "toy", "created": "2026-01-31T12:00:00+00:00", "parents": [declared]}
    return ledger.put({**document, "result": found().to_dict() | {"declaration": declared}})


def test_the_place_is_all_that_it_prints(record: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    place = str(tmp_path / "out")
    options = ["--ledger", str(tmp_path / "ledger"), "--to", place]
    assert main(["export", record[:8], *options]) == ExitCode.SUPPORTED
    assert capsys.readouterr() == (f"{place}\n", "")
    assert (tmp_path / "out" / "cells.csv").is_file()
    assert main(["export", record[:8], *options]) == ExitCode.USAGE
    assert "is there and not an empty folder" in capsys.readouterr().err


def test_zenodo_asks_for_authors(record: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--format", "zenodo", "--ledger", str(tmp_path / "ledger")]
    assert main(["export", record, *options, "--to", str(tmp_path / "a")]) == ExitCode.SUPPORTED
    assert "name them with --creator" in capsys.readouterr().err
    creators = ["--creator", "Noether, Emmy", "--creator", "Gauß, C. F."]
    assert main(["export", record, *options, *creators, "--to", str(tmp_path / "b")]) == ExitCode.SUPPORTED
    assert capsys.readouterr().err == ""
    stated = json.loads((tmp_path / "b" / ".zenodo.json").read_text(encoding="utf-8"))
    assert [creator["name"] for creator in stated["creators"]] == ["Noether, Emmy", "Gauß, C. F."]


def test_the_formats_of_the_command_are_those_there_are() -> None:
    from idealab.cli.export import command
    from idealab.export import FORMATS

    (option,) = [parameter for parameter in command.params if parameter.name == "form"]
    assert [*FORMATS] == list(option.type.choices)  # pyright: ignore[reportAttributeAccessIssue]
