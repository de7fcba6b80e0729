from __future__ import annotations

from pathlib import Path

import pytest

from idealab.errors import UsageError
from idealab.export import export
from idealab.export.mlflow import _key

pytestmark = pytest.mark.filterwarnings("default")  # MLflow's own


@pytest.fixture
def client(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    mlflow = pytest.importorskip("mlflow", reason="mlflow-skinny is not installed")
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    return mlflow.MlflowClient(tracking_uri=(tmp_path / "runs").as_uri())


def test_a_run_holds_what_was_found(kept, tmp_path: Path, client) -> None:
    export(kept.verification, "mlflow", tmp_path / "runs", ledger=kept.ledger)
    export(kept.verification, "mlflow", tmp_path / "runs", ledger=kept.ledger)
    (experiment,) = [e for e in client.search_experiments() if e.name != "Default"]
    run, again = client.search_runs([experiment.experiment_id])
    assert run.info.run_id != again.info.run_id, "each export is a run of its own"
    assert run.info.status == "FINISHED"
    assert run.data.tags["idealab.record"] == kept.verification
    assert run.data.tags["idealab.verdict"] == "refuted"
    assert run.data.metrics["evidence_log10"] == 2.5
    assert run.data.metrics["cost/seconds"] == 1.0
    assert [value for name, value in run.data.metrics.items() if name.endswith("/furthest_off")] == [11.0]
    assert run.data.params["cores"] == "2"
    files = {artifact.path for artifact in client.list_artifacts(run.info.run_id)}
    tables = {f"{name}.csv" for name in ("signatures", "cells", "controls", "mutants", "observations")}
    assert files == tables | {"bundle.zip"}
    assert {path.name for path in tmp_path.iterdir()} == {"ledger", "runs"}


def test_a_place_that_mlflow_refuses_is_one_line(kept, client) -> None:
    with pytest.raises(UsageError, match=r"^MLflow refuses --to='nowhere://x': ") as caught:
        export(kept.verification, "mlflow", "nowhere://x", ledger=kept.ledger)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", ["../../etc", "a/b", "", "=x\n", "é"])
def test_a_name_is_no_path(text: str) -> None:
    assert _key(text)
    assert not set(_key(text)) & set("./\\=\n")
