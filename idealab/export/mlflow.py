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
from idealab.export.folder import BUNDLE, Evidence, one_line
from idealab.export.writers import library, write_csv
from idealab.ledger import bundle
from idealab.verification import Verification

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
            name = _key(evidence.found.idea)
            known = client.get_experiment_by_name(name)
            experiment = client.create_experiment(name) if known is None else known.experiment_id
            run = client.create_run(experiment, tags=_tags(evidence), run_name=evidence.name[:8]).info.run_id
            for key, value in evidence.found.environment.items():
                client.log_param(run, _key(key), one_line(value)[:_LONGEST])
            for key, value in _metrics(evidence.found):
                client.log_metric(run, key, value)
            with tempfile.TemporaryDirectory() as folder:
                write_csv(evidence.tables, Path(folder))
                bundle.export(evidence.ledger, [evidence.name], Path(folder) / BUNDLE)
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
    found = evidence.found
    stated = {"record": evidence.name, "declaration": found.declaration, "statement": found.statement}
    stated |= {"verdict": found.verdict, "scope": found.scope}
    return {f"idealab.{name}": one_line(value)[:_LONGEST] for name, value in stated.items() if value}


def _metrics(found: Verification) -> Iterator[tuple[str, float]]:
    """The evidence for the idea and each signature, how far off it was in tolerances, and what it cost."""
    yield "evidence_log10", found.evidence_log10
    yield from ((f"cost/{name}", float(value)) for name, value in vars(found.cost).items() if value is not None)
    for signature in found.signatures:
        place = f"{_key(signature.experiment)}/{_key(signature.name)}"
        yield f"{place}/evidence_log10", signature.evidence_log10
        yield f"{place}/furthest_off", abs(signature.weakest.deviation)


def _key(text: object) -> str:
    """A name that MLflow takes, and that is no path."""
    return re.sub(r"[^A-Za-z0-9_\- ]", "_", one_line(text))[:80] or "_"
