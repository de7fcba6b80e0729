"""Measured against predicted, seed by seed: the only place where theory and experiment meet."""

from __future__ import annotations

# JAX annotates its functions only in part.
# pyright: reportUnknownMemberType=false, reportUnknownArgumentType=false, reportUnknownLambdaType=false
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from idealab.errors import DeclarationError
from idealab.experiment import Experiment, show_setting
from idealab.idea import Signature
from idealab.judge.cells import Cell, RefinedCell
from idealab.judge.criteria import Curve
from idealab.judge.evidence import Floats
from idealab.run import Batch, Task, precise
from idealab.symbolic.prediction import Prediction

_FROZEN = "all seeds gave the same number to the last bit: the seed does not reach the experiment"


@dataclass(frozen=True)
class Place:
    """A cell, the condition that it belongs to, and the tasks whose seeds it is made of.

    A condition that is several, for a claim along the knob, has no name of its own.
    """

    condition: str
    tasks: tuple[Task, ...]
    cell: Cell


def compare(signature: Signature, tasks: Sequence[Task], shown: Prediction | None = None) -> list[Place]:
    """The cells of one signature over the conditions of a sweep, condition by condition; those without batches too.

    Parameters
    ----------
    shown
        A prediction to compare with instead of the signature's own, under the same tolerance.

    Raises
    ------
    DeclarationError
        If the experiment does not report the observable at every checkpoint, or what the prediction needs.
    """
    places: list[Place] = []
    for condition, group in _groups(signature, tasks).items():
        curves = [_curve(signature, part, shown) for part in _refinements(group)]
        if not all(task.seeds for task in group):
            empty = np.empty(0)
            cells = [Cell(empty, empty, empty, empty, label) for label in curves[0].labels]
        elif len(curves) == 1:
            cells = signature.criterion.cells(curves[0])
            held = _FROZEN if all(_unwired(task) for task in group) else ""
            cells = [replace(cell, held=held) for cell in cells] if held else cells
        else:
            ratio = group[0].experiment.ratio
            cells = [_refined(levels, ratio) for levels in zip(*map(signature.criterion.cells, curves), strict=True)]
        places += [Place(condition, tuple(group), cell) for cell in cells]
    return places


def _groups(signature: Signature, tasks: Sequence[Task]) -> dict[str, list[Task]]:
    """Tasks that make one curve together: those of a condition, or all of them where the axis is a knob."""
    argument, _ = checkpoints_of(signature, tasks[0].experiment)
    along = signature.criterion.along
    if along and along != argument:
        return {"": list(tasks)}
    groups: dict[str, list[Task]] = {}
    for task in tasks:
        groups.setdefault(task.place, []).append(task)
    return groups


def _refinements(group: Sequence[Task]) -> list[list[Task]]:
    """The tasks of a curve, once for each refinement, the coarsest first."""
    levels = dict.fromkeys(task.refinement for task in group)
    return [[task for task in group if task.refinement == level] for level in levels]


def _refined(levels: Sequence[Cell], ratio: float) -> Cell:
    """One cell from the same cell at each refinement."""
    fields = ("predicted", "measured", "tolerances", "deviations")
    joined = (np.concatenate([getattr(cell, name)[:1] for cell in levels]) for name in fields)
    first = levels[0]
    return RefinedCell(*joined, label=first.label, estimand=first.estimand, one_sided=first.one_sided, ratio=ratio)


def _unwired(task: Task) -> bool:
    """Whether four seeds or more reported the same bits in everything."""
    if task.seeds < 4:
        return False
    names = [(part, name) for part in ("parameters", "observables") for name in getattr(task.batches[0], part)]
    columns = (np.concatenate([getattr(batch, part)[name] for batch in task.batches]) for part, name in names)
    return all(np.array_equal(column, np.broadcast_to(column[:1], column.shape)) for column in columns)


def checkpoints_of(signature: Signature, experiment: Experiment) -> tuple[str, tuple[float, ...]]:
    """The argument that the observable is recorded along, and its values; no name and one value if it is not."""
    return experiment.checkpoints.get(signature.observable, ("", (math.nan,)))


def check_axis(signature: Signature, experiment: Experiment, tasks: Sequence[Task]) -> None:
    """Raise `DeclarationError` if the criterion's axis is not there, or has too few points.

    Parameters
    ----------
    tasks
        The conditions that are to be judged together.
    """
    criterion = signature.criterion
    along, (argument, values) = criterion.along, checkpoints_of(signature, experiment)
    if not along:
        return
    where = f"signature {signature.name!r} in experiment {experiment.name!r}"
    kind = type(criterion).__name__
    if along != argument:
        missing = [task.label for task in tasks if not _is_number(task.condition.settings.get(along))]
        if missing:
            raise DeclarationError(
                f"{where}: {kind} is along {along!r}, which is neither what {signature.observable!r} is recorded along "
                f"({argument or 'nothing'}) nor a number among the settings of {missing[0]!r}"
            )
        values = tuple(float(task.condition.settings[along]) for task in tasks)
    if len(set(values)) < criterion.points:
        raise DeclarationError(
            f"{where}: {kind} along {along!r} takes at least {criterion.points} different values, got "
            f"{', '.join(show_setting(value) for value in values)}; add points, or claim it with another criterion"
        )


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _checkpoint(argument: str, value: float) -> str:
    """What a checkpoint is called within its condition."""
    if not argument:
        return ""
    if not argument.startswith("log_"):
        return f"{argument}={show_setting(value)}"
    name, power, tower = argument[4:], value / math.log(10), math.log10(max(value, 1))
    if power >= 1000:
        return f"{name}=e^(10^{tower:.0f})" if abs(tower - round(tower)) < 1e-6 else f"{name}=e^{show_setting(value)}"
    return f"{name}=1e{power:.0f}" if abs(power - round(power)) < 1e-6 else f"{name}={math.exp(value):.3g}"


def _curve(signature: Signature, tasks: Sequence[Task], shown: Prediction | None) -> Curve:
    """Everything about the points of one curve: the checkpoints of a condition, or the conditions along a knob."""
    argument, values = checkpoints_of(signature, tasks[0].experiment)
    if len(tasks) > 1:
        if argument:
            raise DeclarationError(
                f"signature {signature.name!r} is claimed along {signature.criterion.along!r}, but "
                f"{signature.observable!r} is recorded along {argument!r} as well; record it once a run"
            )
        along, labels = signature.criterion.along, tuple(str(task.condition) for task in tasks)
        axis = np.array([float(task.condition.settings[along]) for task in tasks])
    else:
        along, labels = argument, tuple(_checkpoint(argument, value) for value in values)
        axis = np.array(values, dtype=float)
    seeds = min(task.seeds for task in tasks)
    points = [_points(signature, shown, task, seeds) for task in tasks]
    joined = {name: np.concatenate([part[name] for part in points]) for name in points[0]}
    formulas = {name: joined.pop(f"formula {name}") for name in signature.criterion.formulas}
    return Curve(along, labels, axis, formulas=formulas, epsilon=_epsilon(), **joined)  # pyright: ignore[reportArgumentType]


def _epsilon() -> float:
    with precise():
        return float(jnp.finfo(jnp.result_type(float)).eps)


def _points(signature: Signature, shown: Prediction | None, task: Task, seeds: int) -> dict[str, Floats]:
    """The arrays of a curve, shape (k, s, ...), over the checkpoints of one task."""
    argument, values = checkpoints_of(signature, task.experiment)
    rows: list[dict[str, Floats]] = []
    for k in range(len(values)):
        parts = [_measure(signature, shown, task, batch, argument, k) for batch in task.batches]
        names = ["measured", "predicted", "own", "lost", *(f"formula {name}" for name in signature.criterion.formulas)]
        rows.append({name: np.concatenate([part[name] for part in parts] or [np.empty(0)])[:seeds] for name in names})
    points = {name: np.stack([row[name] for row in rows]) for name in rows[0]}
    return points | {"lost": points["lost"].astype(bool)}


def _measure(
    signature: Signature, shown: Prediction | None, task: Task, batch: Batch, argument: str, k: int
) -> dict[str, Floats]:
    """Measured and predicted at one checkpoint of one batch, and the values of the criterion's formulas."""
    measured = _reported(signature.observable, task, batch)
    arguments = dict(batch.parameters)
    if argument:
        measured = measured[:, k]
        arguments[argument] = np.asarray(task.experiment.checkpoints[signature.observable][1][k])
    formulas = (shown or signature.prediction, signature.prediction, *signature.tolerance)
    needed = sorted({name for part in formulas for name in part.arguments})
    arguments = {name: _argument(name, arguments, task, batch.seeds) for name in needed}
    with precise():
        evaluated = [np.asarray(part) for part in _evaluator(*formulas)(np.zeros(batch.seeds), arguments)]
    predicted, own, *numbers = (_shaped(part, measured, signature, task) for part in evaluated)
    # No prediction for want of a finite parameter is a seed that was lost, and no fault of the theory.
    lost = [~np.isfinite(value).reshape(len(value), -1).all(axis=1) for value in arguments.values()]
    unreported = np.logical_or.reduce([np.zeros(len(measured), bool), *lost])
    unreported = unreported.reshape(-1, *[1] * (measured.ndim - 1))
    named = zip(signature.criterion.formulas, numbers, strict=True)
    return {
        "measured": measured,
        "predicted": predicted,
        "own": own,
        "lost": ~np.isfinite(measured) | (unreported & ~np.isfinite(predicted)),
        **{f"formula {name}": value for name, value in named},
    }


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
def _evaluator(*formulas: Prediction) -> Callable[..., Any]:
    """``(seeds, arguments) -> values of the formulas``, over a leading axis of seeds, which a constant needs too."""
    parts = [(part.to_jax(), part.arguments) for part in formulas]

    def evaluate(arguments: Mapping[str, jax.Array]) -> list[jax.Array]:
        return [jnp.asarray(function(**{name: arguments[name] for name in names})) for function, names in parts]

    def over_seeds(seeds: jax.Array, arguments: Mapping[str, jax.Array]) -> list[jax.Array]:
        return jax.vmap(lambda _, arguments: evaluate(arguments))(seeds, arguments)

    return jax.jit(over_seeds)
