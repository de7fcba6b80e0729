"""Measured against predicted, seed by seed: the only place where theory and experiment meet."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from idealab.compute.run import Task
from idealab.errors import DeclarationError
from idealab.experiment import Experiment, show_setting
from idealab.idea import Signature
from idealab.judge.cells import Cell, RefinedCell
from idealab.judge.criteria import Curve
from idealab.judge.evidence import Floats
from idealab.symbolic.prediction import Prediction

MACHINE_EPSILON = "machine_epsilon"
"""A formula's argument that no experiment reports: 2^-52 in float64, 2^-23 in float32."""

_UNREFINED = "all refinements gave the same number to the last bit: the setting does not reach the experiment"
_NO_ROOM = "its tolerance is none above zero: what is taken from it is more than it is"
_FROZEN = "all seeds gave the same number to the last bit: the seed does not reach the experiment"


@dataclass(frozen=True)
class Place:
    """A cell, the condition that it belongs to, and the tasks whose seeds it is made of.

    A condition that is several, for a claim along the knob, has no name of its own.
    """

    condition: str
    tasks: tuple[Task, ...]
    cell: Cell


class Comparator:
    """Compares, and remembers what does not change with the prediction that is shown.

    Everything is computed by NumPy in float64, in one call for all checkpoints and seeds of a condition.

    Parameters
    ----------
    epsilon
        Machine epsilon of the precision in which was simulated.
    """

    def __init__(self, epsilon: float) -> None:
        self.epsilon = epsilon
        self._observed: dict[tuple[int, int], _Observed] = {}

    def places(self, signature: Signature, tasks: Sequence[Task], shown: Prediction | None = None) -> list[Place]:
        """The cells of one signature over the conditions of a sweep, condition by condition; without seeds too.

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
            if all(task.seeds for task in group):
                curves = [self._curve(signature, part, shown) for part in _refinements(group)]
                cells = _cells(signature, group, curves)
            else:
                empty = np.empty(0)
                cells = [Cell(empty, empty, empty, empty, label) for label in _axis(signature, group)[1]]
            places += [Place(condition, tuple(group), cell) for cell in cells]
        return places

    def curves(self, signature: Signature, tasks: Sequence[Task], shown: Prediction | None = None) -> list[Curve]:
        """The curves that the cells are made of; only of conditions that have seeds."""
        groups = [group for group in _groups(signature, tasks).values() if all(task.seeds for task in group)]
        return [self._curve(signature, part, shown) for group in groups for part in _refinements(group)]

    def arguments(self, signature: Signature, task: Task) -> dict[str, Floats]:
        """Values of the arguments of the signature's prediction in one task; they broadcast over points and seeds."""
        return self._observe(signature, task).arguments(signature.prediction)

    def _curve(self, signature: Signature, tasks: Sequence[Task], shown: Prediction | None) -> Curve:
        """Everything about the points of one curve: the checkpoints of a condition, or the conditions along a knob."""
        along, labels, axis = _axis(signature, tasks)
        seeds = min(task.seeds for task in tasks)
        parts = [self._observe(signature, task) for task in tasks]
        predicted = [part.own if shown is None else part.evaluate(shown) for part in parts]
        joined = [
            np.concatenate([column[:, :seeds] for column in columns])
            for columns in (
                [part.measured for part in parts],
                predicted,
                [part.own for part in parts],
                [part.lost(values, shown) for part, values in zip(parts, predicted, strict=True)],
                *zip(*(part.formulas for part in parts), strict=True),
            )
        ]
        measured, shown_values, own, lost, *numbers = joined
        formulas = dict(zip(signature.criterion.formulas, numbers, strict=True))
        return Curve(along, labels, axis, measured, shown_values, own, formulas, lost.astype(bool), self.epsilon)

    def _observe(self, signature: Signature, task: Task) -> _Observed:
        before = self._observed.get((id(signature), id(task)))
        if before is None or before.batches != len(task.batches):
            self._observed[id(signature), id(task)] = _Observed(signature, task, self.epsilon, before)
        return self._observed[id(signature), id(task)]


class _Observed:
    """What one task shows of a signature, shapes (k, s, ...), and how to evaluate a formula there.

    What formulas gave on the seeds that were there before is kept: seeds are added, and do not change.
    """

    def __init__(self, signature: Signature, task: Task, epsilon: float, before: _Observed | None = None) -> None:
        self.signature, self.task, self.epsilon, self.batches = signature, task, epsilon, len(task.batches)
        self._values: dict[Prediction, Floats] = {} if before is None else before._values
        argument, values = checkpoints_of(signature, task.experiment)
        measured = _column(task, "observables", _reported(signature.observable, task))
        _check_checkpoints(signature.observable, measured, task)
        self.measured: Floats = np.moveaxis(measured, 1, 0) if argument else measured[None]
        self._known: dict[str, Floats] = {argument: np.asarray(values, dtype=float)[:, None]} if argument else {}
        self.own = self.evaluate(signature.prediction)
        self.formulas = [self.evaluate(part) for part in signature.tolerance]

    def evaluate(self, formula: Prediction) -> Floats:
        """Values of a formula, in the shape of what was measured; each seed is looked at once."""
        known = self._values.get(formula)
        done = 0 if known is None else known.shape[1]
        if known is None or done < self.task.seeds:
            argument, _ = checkpoints_of(self.signature, self.task.experiment)
            rest = {name: v if name == argument else v[done:] for name, v in self.arguments(formula).items()}
            values = self._shaped(formula.to_numpy()(**rest), len(formula.axes), self.measured[:, done:])
            known = values if known is None else np.concatenate([known, values], axis=1)
            self._values[formula] = known
        return known

    def arguments(self, formula: Prediction) -> dict[str, Floats]:
        """Values of its arguments."""
        return {name: self._argument(name) for name in formula.arguments}

    def lost(self, predicted: Floats, shown: Prediction | None) -> Floats:
        """Where nothing was measured, or a parameter is missing without which nothing can be predicted."""
        formulas = (shown or self.signature.prediction, self.signature.prediction, *self.signature.tolerance)
        needed = {name: self._argument(name) for formula in formulas for name in formula.arguments}
        seeds = self.task.seeds
        finite = [np.isfinite(v).reshape(seeds, -1).all(axis=1) for v in needed.values() if v.shape[0] == seeds]
        unreported = ~np.logical_and.reduce([np.ones(seeds, bool), *finite])
        unreported = unreported.reshape(1, -1, *[1] * (self.measured.ndim - 2))
        return ~np.isfinite(self.measured) | (unreported & ~np.isfinite(predicted))

    def _argument(self, name: str) -> Floats:
        """One argument of a formula with a leading seed axis: what the seed reported, or the condition's setting.

        ``machine_epsilon`` is that of the precision in which was simulated.
        """
        if name not in self._known:
            self._known[name] = self._found(name)
        return self._known[name]

    def _found(self, name: str) -> Floats:
        task, settings = self.task, self.task.condition.settings
        reported = task.batches[0].parameters
        if name in reported:
            return _column(task, "parameters", name)
        if name in settings and not isinstance(settings[name], str):
            return np.full(task.seeds, float(settings[name]))
        if name == MACHINE_EPSILON:
            return np.full(task.seeds, self.epsilon)
        raise DeclarationError(
            f"a prediction needs {name!r}, but {task.experiment.name!r} under {task.label!r} reports only "
            f"{', '.join(sorted({*reported, *settings, *self._known}))}; report it as a parameter"
        )

    def _shaped(self, values: Floats, components: int, measured: Floats) -> Floats:
        signature = self.signature
        front = values.ndim - components
        values = values.reshape((1,) * (2 - front) + values.shape) if front < 2 else values
        if components == 0:
            values = values.reshape(values.shape + (1,) * (measured.ndim - 2))
        try:
            return np.broadcast_to(values, measured.shape)
        except ValueError:
            raise DeclarationError(
                f"{self.task.experiment.name!r} reports {signature.observable!r} with shape {measured.shape[2:]} a "
                f"seed, but {signature.name!r} predicts shape {values.shape[2:]}"
            ) from None


def _column(task: Task, part: str, name: str) -> Floats:
    """What was reported under a name, over all batches; seeds first."""
    return np.concatenate([getattr(batch, part)[name] for batch in task.batches])


def _cells(signature: Signature, group: Sequence[Task], curves: Sequence[Curve]) -> list[Cell]:
    if len(curves) > 1:
        # Each component of a vector has a limit of its own, so none may stand for the others before it is known.
        several = [
            zip(*(signature.criterion.cells(curve) for curve in component), strict=True)
            for component in zip(*map(_components, curves), strict=True)
        ]
        cells: list[Cell] = [_refined(level, group[0].experiment.ratio) for levels in several for level in levels]
        held = _UNREFINED if _alike(group) else ""
    else:
        cells = signature.criterion.cells(curves[0])
        held = _FROZEN if all(task.seeds >= 4 and _alike([task]) for task in group) else ""
    words = _UNREFINED if len(curves) > 1 else _FROZEN
    return [
        replace(cell, held=held or (words if _constant(cell) else _NO_ROOM if _closed(cell) else "")) for cell in cells
    ]


def _closed(cell: Cell) -> bool:
    """Whether a tolerance that an error is taken from came to nothing, which says nothing of a theory."""
    return cell.estimand != "every" and bool(np.any(cell.tolerances <= 0))


def _constant(cell: Cell) -> bool:
    """Whether four seeds or three refinements gave one number, and it is not the one that is predicted.

    A claim about a direction, or about every seed, may well meet the same number again and again.
    """
    if cell.one_sided or cell.estimand == "every" or cell.seeds < (3 if isinstance(cell, RefinedCell) else 4):
        return False
    alike = all(bool(np.all(values == values[0])) for values in (cell.measured, cell.predicted))
    return alike and bool(cell.measured[0] != cell.predicted[0])


def _components(curve: Curve) -> list[Curve]:
    """The curves of a vector's components; the curve itself, if there is one number at a point."""
    if curve.measured.ndim == 2:
        return [curve]

    def part(values: Any, j: int) -> Any:
        return values.reshape(*values.shape[:2], -1)[:, :, j]

    return [
        replace(
            curve,
            measured=part(curve.measured, j),
            predicted=part(curve.predicted, j),
            own=part(curve.own, j),
            formulas={name: part(values, j) for name, values in curve.formulas.items()},
            lost=part(curve.lost, j),
        )
        for j in range(math.prod(curve.measured.shape[2:]))
    ]


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
    return RefinedCell(
        *joined, label=first.label, estimand=first.estimand, one_sided=first.one_sided, remark=first.remark, ratio=ratio
    )


def _alike(tasks: Sequence[Task]) -> bool:
    """Whether all runs of these tasks reported the same bits in everything."""
    names = [(part, name) for part in ("parameters", "observables") for name in getattr(tasks[0].batches[0], part)]
    columns = (np.concatenate([_column(task, part, name) for task in tasks]) for part, name in names)
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
    where = f"signature {signature.name!r} in experiment {experiment.name!r}"
    kind = type(criterion).__name__
    if not along:
        if "pooled" in criterion.formulas and len(values) < 2:
            raise DeclarationError(
                f"{where}: a pooled amplitude is taken along checkpoints, but {signature.observable!r} is recorded "
                "once a run; record it along a run, or leave pooled out"
            )
        return
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
    if criterion.log_axis and not along.startswith("log_") and min(values) <= 0:
        raise DeclarationError(
            f"{where}: {kind} takes the logarithm of {along!r}, which is not positive at "
            f"{', '.join(show_setting(value) for value in values if value <= 0)}; leave these points out"
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


def _axis(signature: Signature, tasks: Sequence[Task]) -> tuple[str, tuple[str, ...], Floats]:
    """Name of a curve's axis, and what its points are called and where they lie."""
    argument, values = checkpoints_of(signature, tasks[0].experiment)
    if len({task.place for task in tasks}) == 1:
        return argument, tuple(_checkpoint(argument, value) for value in values), np.array(values, dtype=float)
    along = signature.criterion.along
    if argument:
        raise DeclarationError(
            f"signature {signature.name!r} is claimed along {along!r}, but {signature.observable!r} is recorded along "
            f"{argument!r} as well; record it once a run"
        )
    first = _refinements(tasks)[0]
    axis = np.array([float(task.condition.settings[along]) for task in first])
    return along, tuple(task.place for task in first), axis


def _reported(observable: str, task: Task) -> str:
    """The observable's name, if it is reported."""
    there = task.batches[0].observables
    if observable not in there:
        raise DeclarationError(
            f"{task.experiment.name!r} under {task.label!r} does not report {observable!r}, only "
            f"{', '.join(sorted(there)) or 'nothing'}; report it, or do not ask for it"
        )
    return observable


def _check_checkpoints(observable: str, measured: Floats, task: Task) -> None:
    _, values = task.experiment.checkpoints.get(observable, ("", ()))
    if values and measured.shape[1:2] != (len(values),):
        raise DeclarationError(
            f"{task.experiment.name!r} under {task.label!r} reports {observable!r} with shape {measured.shape[1:]} a "
            f"seed, but declares {len(values)} checkpoints; make them the first axis"
        )
