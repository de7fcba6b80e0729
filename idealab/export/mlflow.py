"""A record as a run of MLflow: what was found as metrics and tags, the tables as artifacts."""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from idealab.errors import UsageError
from idealab.export.folder import Evidence, one_line
from idealab.export.writers import library, write_csv

_LONGEST = 500
"""Characters that every store of MLflow keeps of a parameter or a tag."""


def log(evidence: Evidence, to: str) -> str:
    """Log one finished run under the idea's name, to a tracking URI or into a folder; return its id with the place.

    Raises
    ------
    UsageError
        If MLflow is not installed, or refuses.
    """
    mlflow = library("mlflow", "mlflow")
    uri = to if "://" in to else Path(to).absolute().as_uri()
    with _folders_allowed():
        try:
            client: Any = mlflow.MlflowClient(tracking_uri=uri)
            name = _key(evidence.record["idea"])
            known = client.get_experiment_by_name(name)
            experiment = client.create_experiment(name) if known is None else known.experiment_id
            run = client.create_run(experiment, tags=_tags(evidence), run_name=evidence.name[:8]).info.run_id
            for key, value in evidence.result.get("environment", {}).items():
                client.log_param(run, _key(key), one_line(value)[:_LONGEST])
            for key, value in _metrics(evidence):
                client.log_metric(run, key, value)
            with tempfile.TemporaryDirectory() as folder:
                write_csv(evidence.tables, Path(folder))
                client.log_artifacts(run, folder)
            client.set_terminated(run)
        except (mlflow.exceptions.MlflowException, OSError) as error:
            raise UsageError(f"MLflow refuses --to={to!r}: {one_line(error)}") from error
    return f"{to}, run {run}"


@contextmanager
def _folders_allowed() -> Generator[None]:
    """Let MLflow write into a plain folder, which it takes for unfinished business since 3.x unless it is told so."""
    name = "MLFLOW_ALLOW_FILE_STORE"
    before = os.environ.get(name)
    os.environ[name] = "true"
    try:
        yield
    finally:
        os.environ.pop(name)
        os.environ.update({} if before is None else {name: before})


def _tags(evidence: Evidence) -> Mapping[str, str]:
    stated = {name: evidence.result.get(name) for name in ("verdict", "scope", "declaration")}
    stated |= {"record": evidence.name, "statement": evidence.result.get("statement")}
    return {f"idealab.{name}": one_line(value)[:_LONGEST] for name, value in stated.items() if value}


def _metrics(evidence: Evidence) -> Iterator[tuple[str, float]]:
    """The evidence for the idea and each signature, how far off it was in tolerances, and what it cost."""
    result = evidence.result
    found: dict[str, Any] = {"evidence_log10": result.get("evidence_log10")}
    found |= {f"cost/{_key(name)}": value for name, value in result.get("cost", {}).items()}
    for table in evidence.tables:
        for row in (dict(zip(table.columns, row, strict=True)) for row in table.rows):
            place = f"{_key(row.get('experiment'))}/{_key(row.get('name'))}"
            if table.name == "signatures":
                found[f"{place}/evidence_log10"] = row["evidence_log10"]
            if table.name == "cells" and not row["assumption"] and row["deviation"] is not None:
                furthest = f"{place}/furthest_off"
                found[furthest] = max(found.get(furthest, 0.0), abs(row["deviation"]))
    yield from ((key, float(value)) for key, value in found.items() if isinstance(value, (int, float)))


def _key(text: object) -> str:
    """A name that MLflow takes, and that is no path."""
    return re.sub(r"[^A-Za-z0-9_\- ]", "_", one_line(text))[:80] or "_"
