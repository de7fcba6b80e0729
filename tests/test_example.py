"""The notebook of docs/: it is kept without outputs, and what it says happens when it is run."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

FILE = Path(__file__).parents[1] / "docs" / "example.ipynb"
NOTEBOOK = json.loads(FILE.read_text(encoding="utf-8"))
SOURCES = ["".join(cell["source"]) for cell in NOTEBOOK["cells"] if cell["cell_type"] == "code"]

RUN = """
import json, sys
from IPython.core.interactiveshell import InteractiveShell

shell = InteractiveShell.instance()
shown = []
for source in json.load(sys.stdin):
    result = shell.run_cell(source, store_history=False)
    result.raise_error()
    shown.append({} if result.result is None else shell.display_formatter.format(result.result)[0])
json.dump(shown, open(sys.argv[1], "w"))
"""


def test_it_is_kept_without_outputs() -> None:
    assert (NOTEBOOK["nbformat"], NOTEBOOK["metadata"]["kernelspec"]["name"]) == (4, "python3")
    cells = NOTEBOOK["cells"]
    assert len({cell["id"] for cell in cells}) == len(cells)
    for cell in cells:
        assert cell.get("outputs", []) == []
        assert cell.get("execution_count") is None


@pytest.mark.slow
def test_it_runs_and_shows_what_it_says(tmp_path: Path) -> None:
    pytest.importorskip("IPython", reason="IPython is not installed")
    environment = {**os.environ, "IPYTHONDIR": str(tmp_path / "ipython"), "JAX_COMPILATION_CACHE_DIR": str(tmp_path)}
    shown = tmp_path / "shown.json"
    done = subprocess.run(
        [sys.executable, "-c", RUN, str(shown)],
        input=json.dumps(SOURCES),
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    card, derivation, prediction, law, _, right, wrong, hints = json.loads(shown.read_text())
    for displayed in (card, derivation, prediction):
        assert "<math" in displayed["text/html"]
        assert displayed["text/latex"]
    assert "Array([160.,  40.,  10.]" in law["text/plain"]
    assert "<b>Supported. " in right["text/html"]
    assert "<b>Refuted. " in wrong["text/html"]
    assert "would be present with: 1.1 times" in hints["text/plain"]
    assert not (tmp_path / ".idealab").exists()
