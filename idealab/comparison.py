"""Measured against predicted, seed by seed: the only place where theory and experiment meet."""

from __future__ import annotations

# JAX annotates its functions only in part.
# pyright: reportUnknownMemberType=false, reportUnknownArgumentType=false, reportUnknownLambdaType=false
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from idealab.errors import DeclarationError
from idealab.experiment import Experiment, show_setting
from idealab.idea import Signature
from idealab.judge.criteria import Criterion
from idealab.judge.evidence import Floats
from idealab.judge.verdict import OFF_SCALE
from idealab.run import Batch, Task, precise
from idealab.symbolic.prediction import Prediction


@dataclass(frozen=True)
class Comparison:
    """One cell: shapes (s,), one entry a seed; for a vector, of the seed's worst component.

    ``deviations`` are unit deviations as the judge wants them: NaN where the theory predicts no finite number,
    `OFF_SCALE` where the seed gave none. ``frozen`` says that nothing that was reported differs between seeds, so that
    the seed evidently reaches nothing.
    """

    predicted: Floats
    measured: Floats
    tolerances: Floats
    deviations: Floats
    frozen: bool = False


def compare(signature: Signature, task: Task, rival: Prediction | None = None) -> list[Comparison]:
    """The cells of one signature in one condition: one for each checkpoint, or a single one; empty without batches.

    Parameters
    ----------
    rival
        A prediction to compare with instead of the signature's own, under the same tolerance.

    Raises
    ------
    DeclarationError
        If the experiment does not report the observable at every checkpoint, or what the prediction needs.
    """
    argument, values = task.experiment.checkpoints.get(signature.observable, ("", (math.nan,)))
    unwired = _unwired(task)
    cells: list[Comparison] = []
    for k in range(len(values)):
        parts = [_compare(signature, rival, task, batch, argument, k) for batch in task.batches]
        fields = ("predicted", "measured", "tolerances", "deviations")
        joined = (np.concatenate([np.empty(0), *(getattr(part, name) for part in parts)]) for name in fields)
        cells.append(Comparison(*joined, frozen=unwired))
    return cells


def _unwired(task: Task) -> bool:
    """Whether four seeds or more reported the same bits in everything."""
    if task.seeds < 4:
        return False
    names = [(part, name) for part in ("parameters", "observables") for name in getattr(task.batches[0], part)]
    columns = (np.concatenate([getattr(batch, part)[name] for batch in task.batches]) for part, name in names)
    return all(np.array_equal(column, np.broadcast_to(column[:1], column.shape)) for column in columns)


def checkpoint_labels(experiment: Experiment, observable: str) -> tuple[str, ...]:
    """What the cells of an observable are called within a condition."""
    argument, values = experiment.checkpoints.get(observable, ("", (math.nan,)))
    return tuple(_checkpoint(argument, value) if argument else "" for value in values)


def _checkpoint(argument: str, value: float) -> str:
    if not argument.startswith("log_"):
        return f"{argument}={show_setting(value)}"
    name, power, tower = argument[4:], value / math.log(10), math.log10(max(value, 1))
    if power >= 1000:
        return f"{name}=e^(10^{tower:.0f})" if abs(tower - round(tower)) < 1e-6 else f"{name}=e^{show_setting(value)}"
    return f"{name}=1e{power:.0f}" if abs(power - round(power)) < 1e-6 else f"{name}={math.exp(value):.3g}"


def _compare(
    signature: Signature, rival: Prediction | None, task: Task, batch: Batch, argument: str, k: int
) -> Comparison:
    measured = _reported(signature.observable, task, batch)
    arguments = dict(batch.parameters)
    if argument:
        measured = measured[:, k]
        arguments[argument] = np.asarray(task.experiment.checkpoints[signature.observable][1][k])
    formulas = (rival or signature.prediction, signature.prediction, *signature.tolerance)
    needed = sorted({name for part in formulas for name in part.arguments})
    arguments = {name: _argument(name, arguments, task, batch.seeds) for name in needed}
    with precise():
        evaluate = _evaluator(signature.criterion, *formulas)
        predicted, tolerances = (np.asarray(part) for part in evaluate(np.zeros(batch.seeds), arguments))
    predicted, tolerances = (_shaped(part, measured, signature, task) for part in (predicted, tolerances))
    deviations = _deviations(measured, predicted, tolerances, arguments)
    if measured.ndim == 1:
        return Comparison(predicted, measured, tolerances, deviations)
    # A vector holds when its worst component does; nan must win, so that an undefined prediction is never hidden.
    sizes = np.abs(deviations).reshape(len(measured), -1)
    worst = np.argmax(np.where(np.isnan(sizes), np.inf, sizes), axis=1)[:, None]
    predicted, measured, tolerances, sizes = (
        np.take_along_axis(part.reshape(len(part), -1), worst, axis=1)[:, 0]
        for part in (predicted, measured, tolerances, sizes)
    )
    return Comparison(predicted, measured, tolerances, sizes)


def _deviations(measured: Floats, predicted: Floats, tolerances: Floats, arguments: Mapping[str, Any]) -> Floats:
    """Unit deviations; what is infinitely far off stays on this side of what was lost."""
    edge = OFF_SCALE * (1 - 1e-6)
    with np.errstate(all="ignore"):
        deviations = np.clip((measured - predicted) / tolerances, -edge, edge)
    defined = np.isfinite(predicted) & np.isfinite(tolerances) & (tolerances > 0)
    # No prediction for want of a finite parameter is a seed that was lost, and no fault of the theory.
    lost = [~np.isfinite(value).reshape(len(value), -1).all(axis=1) for value in arguments.values()]
    unreported = np.logical_or.reduce([np.zeros(len(measured), bool), *lost])
    unreported = unreported.reshape(-1, *[1] * (measured.ndim - 1))
    lost_seed = ~np.isfinite(measured) | (unreported & ~np.isfinite(predicted))
    return np.where(lost_seed, OFF_SCALE, np.where(defined, deviations, np.nan))


def _reported(observable: str, task: Task, batch: Batch) -> np.ndarray[Any, Any]:
    """The observable with its leading axis of seeds, and, if it is recorded at checkpoints, a second one of these."""
    if observable not in batch.observables:
        raise DeclarationError(
            f"{task.experiment.name!r} under {task.label!r} does not report {observable!r}, only "
            f"{', '.join(sorted(batch.observables)) or 'nothing'}; report it, or do not ask for it"
        )
    measured = batch.observables[observable]
    _, values = task.experiment.checkpoints.get(observable, ("", ()))
    if values and measured.shape[1:2] != (len(values),):
        raise DeclarationError(
            f"{task.experiment.name!r} under {task.label!r} reports {observable!r} with shape {measured.shape[1:]} a "
            f"seed, but declares {len(values)} checkpoints; make them the first axis"
        )
    return measured


def _argument(name: str, reported: Mapping[str, Any], task: Task, seeds: int) -> np.ndarray[Any, Any]:
    """One argument of a formula with a leading seed axis: what the seed reported, or the condition's setting."""
    settings = task.condition.settings
    if name in reported:
        value = np.asarray(reported[name], dtype=np.float64)
        return value if value.ndim else np.broadcast_to(value, (seeds,))
    if name in settings and not isinstance(settings[name], str):
        return np.full(seeds, float(settings[name]))
    raise DeclarationError(
        f"a prediction needs {name!r}, but {task.experiment.name!r} under {task.label!r} reports only "
        f"{', '.join(sorted({*reported, *settings}))}; report it as a parameter"
    )


def _shaped(
    part: np.ndarray[Any, Any], measured: np.ndarray[Any, Any], signature: Signature, task: Task
) -> np.ndarray[Any, Any]:
    if part.ndim == 1 and measured.ndim > 1:
        part = part.reshape(-1, *[1] * (measured.ndim - 1))
    try:
        return np.broadcast_to(part, measured.shape).astype(np.float64)
    except ValueError:
        raise DeclarationError(
            f"{task.experiment.name!r} reports {signature.observable!r} with shape {measured.shape[1:]} a seed, "
            f"but {signature.name!r} predicts shape {part.shape[1:]}"
        ) from None


@lru_cache(maxsize=256)
def _evaluator(
    criterion: Criterion, shown: Prediction, theory: Prediction, *tolerance: Prediction
) -> Callable[..., Any]:
    """``(seeds, arguments) -> (predicted, tolerance)``, over a leading axis of seeds, which a constant needs too.

    ``shown`` is what is compared; the tolerance is that around the signature's own prediction, ``theory``.
    """
    parts = [(part.to_jax(), part.arguments) for part in (shown, theory, *tolerance)]

    def evaluate(arguments: Mapping[str, jax.Array]) -> tuple[jax.Array, jax.Array]:
        value, own, *numbers = (
            jnp.asarray(function(**{name: arguments[name] for name in names})) for function, names in parts
        )
        return value, jnp.asarray(criterion.band(own, dict(zip(criterion.formulas, numbers, strict=True))))

    def over_seeds(seeds: jax.Array, arguments: Mapping[str, jax.Array]) -> tuple[jax.Array, jax.Array]:
        return jax.vmap(lambda _, arguments: evaluate(arguments))(seeds, arguments)

    return jax.jit(over_seeds)
