"""What is declared before the first run: everything that decides a verdict, as one document with one hash."""

from __future__ import annotations

# JAX annotates its functions only in part.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import jax
import numpy as np

from idealab.compute.source import source_digest
from idealab.experiment import Condition, Experiment
from idealab.idea import Assumption, Idea, Signature
from idealab.judge.cells import Rules
from idealab.judge.criteria import Criterion
from idealab.symbolic.prediction import Prediction

_VERSIONS = ("jax", "jaxlib", "numpy", "sympy")

JUDGE = ("judge", "symbolic", "assess", "compute/run", "idea", "review/retries", "verification", "verify")
"""Folders and files of idealab that make a verdict of observations; what makes observations is `source_digest`'s."""


def declaration_of(
    idea: Idea, experiments: Sequence[Experiment], signatures: Sequence[Signature], rules: Mapping[str, Rules]
) -> dict[str, Any]:
    """The content of the declaration; its canonical bytes are what is hashed.

    Formulas appear as text for people and as hashes for machines, never as something to evaluate. Data appears as its
    hash, and what ``observe`` computes as the hash of its source.
    """
    from idealab import __version__

    return {
        "statement": idea.statement,
        "scope": idea.scope,
        "signatures": [_signature(signature) for signature in signatures],
        "assumptions": [_assumption(assumption) for assumption in idea.assumptions.values()],
        "experiments": [_experiment(experiment) for experiment in experiments],
        "rules": {name: asdict(rule) | {"looks": rule.looks} for name, rule in rules.items()},
        "versions": {"idealab": __version__, "judge": judge_digest(), **{name: version(name) for name in _VERSIONS}},
    }


@cache
def judge_digest(home: Path = Path(__file__).parents[1]) -> str:
    """SHA-256 of the source of all that makes a verdict of observations, in the idealab that lies in ``home``.

    A version number does not stand for it: whoever works in a clone may edit the judge between two runs.
    """
    files = {path for name in JUDGE for path in (home / f"{name}.py", *(home / name).glob("*.py")) if path.is_file()}
    texts = {path.relative_to(home).as_posix(): path.read_bytes().replace(b"\r\n", b"\n") for path in files}
    digest = hashlib.sha256()
    for name in sorted(texts):
        digest.update(f"{name} {hashlib.sha256(texts[name]).hexdigest()}\n".encode())
    return digest.hexdigest()


def _formula(prediction: Prediction) -> dict[str, Any]:
    return {"text": prediction.text, "sha256": prediction.sha256}


def _signature(signature: Signature) -> dict[str, Any]:
    return {
        "name": signature.name,
        "observable": signature.observable,
        "prediction": _formula(signature.prediction),
        "known": signature.known,
        "criterion": {
            "kind": type(signature.criterion).__name__,
            **_fixed(signature.criterion),
            **dict(zip(signature.criterion.formulas, map(_formula, signature.tolerance), strict=True)),
            "reason": signature.reason,
        },
        "exact": signature.exact,
        "primary": signature.primary,
        "must_kill": signature.must_kill,
        "rivals": {rival.name: _formula(rival.prediction) for rival in signature.rivals.values()},
    }


def _fixed(criterion: Criterion) -> dict[str, Any]:
    """What a criterion declares besides its formulas: the axis, the estimand, which side."""
    formulas = criterion.formulas
    return {field.name: getattr(criterion, field.name) for field in fields(criterion) if field.name not in formulas}  # pyright: ignore[reportArgumentType]


def _assumption(assumption: Assumption) -> dict[str, Any]:
    return {
        "name": assumption.name,
        "removal": assumption.removal,
        "signatures": assumption.signatures,
        "rival": None if assumption.rival is None else _signature(assumption.rival),
    }


def _experiment(experiment: Experiment) -> dict[str, Any]:
    return {
        "name": experiment.name,
        "level": experiment.level,
        "source": source_digest(experiment.observe),
        "observables": experiment.observables,
        "conditions": [_condition(condition) for condition in experiment.conditions],
        "checkpoints": {name: [argument, values] for name, (argument, values) in experiment.checkpoints.items()},
        "toggles": {name: _condition(condition) for name, condition in experiment.toggles.items()},
        "max_seeds": experiment.max_seeds,
        "block": experiment.block,
        "vectorized": experiment.vectorized,
        "host": experiment.host,
        "refinement": experiment.refinement,
    }


def _condition(condition: Condition) -> dict[str, Any]:
    data = condition.realized().data
    return {"label": str(condition), "settings": dict(condition.settings), "data": _data_digest(data)}


def _data_digest(data: Any) -> str | None:
    """SHA-256 over the shapes, types and bytes of the arrays of a pytree."""
    if data is None:
        return None
    leaves, shape = jax.tree.flatten(data)
    digest = hashlib.sha256(str(shape).encode())
    for leaf in map(np.asarray, leaves):
        digest.update(f"{leaf.shape}{leaf.dtype.str}".encode())
        digest.update(np.ascontiguousarray(leaf).tobytes())
    return digest.hexdigest()
