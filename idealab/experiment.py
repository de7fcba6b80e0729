"""What an experiment declares: an `Experiment` with its `Condition`s, and what one seed of it reports."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from itertools import pairwise
from typing import Any, Literal

import jax

from idealab.errors import DeclarationError, IdealabError, UnknownNameError, UsageError
from idealab.symbolic.blind import observing

Level = Literal["idealized", "real data", "network"]
LEVELS: tuple[Level, ...] = ("idealized", "real data", "network")
Setting = float | int | str | bool


@dataclass(frozen=True)
class Condition:
    """One point of an experiment's sweep.

    Under ``jit`` a condition is a pytree: its float settings and its data are traced, so that conditions which differ
    only in those share one compilation; integers, strings and booleans (sizes, names of a loss) are static.

    Parameters
    ----------
    settings
        The knobs by name.
    label
        What it is called on screen; made from the settings where it is empty. Not visible inside ``observe``.
    data
        Real data, as a function that returns a pytree of arrays; called once a run, on the host. Inside ``observe``
        it is the pytree itself.
    """

    settings: Mapping[str, Setting]
    label: str = ""
    data: Any = None

    def __getitem__(self, name: str) -> Any:
        if name not in self.settings:
            raise UnknownNameError("setting", name, self.settings)
        return self.settings[name]

    def __str__(self) -> str:
        return self.label or ", ".join(f"{name}={show_setting(value)}" for name, value in self.settings.items())

    def realized(self) -> Condition:
        """The same condition with its data loaded; a loader is called once, so what is declared is what runs."""
        return replace(self, data=_loaded(self.data)) if callable(self.data) else self

    def but(self, label: str = "", **changes: Setting) -> Condition:
        """The same condition with some settings changed or added."""
        return replace(self, settings={**self.settings, **changes}, label=label)


@cache
def _loaded(load: Callable[[], Any]) -> Any:
    try:
        with observing():
            return load()
    except IdealabError:
        raise
    except Exception as error:
        said = str(error).partition("\n")[0]
        raise DeclarationError(f"a loader of data raised {type(error).__name__}: {said}") from error


def show_setting(value: Setting) -> str:
    """A setting as a person would write it."""
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _flatten(condition: Condition) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
    traced = {k: v for k, v in condition.settings.items() if not isinstance(v, (str, bool, int))}
    static = tuple((k, v) for k, v in condition.settings.items() if k not in traced)
    return (traced, condition.data), static


def _unflatten(static: tuple[Any, ...], leaves: tuple[Any, ...]) -> Condition:
    traced, data = leaves
    return Condition({**traced, **dict(static)}, data=data)


jax.tree_util.register_pytree_node(Condition, _flatten, _unflatten)  # pyright: ignore[reportUnknownMemberType]


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Observation:
    """What one seed reports.

    Parameters
    ----------
    parameters
        Instance parameters by name: what the prediction may know about this seed's draw (a margin, a spectrum).
        ``gradient_evaluations``, if it is reported, is what the seed cost.
    observables
        Measured values by name. One that the experiment records at checkpoints has them as its first axis; any further
        axis holds the components of a vector.
    """

    parameters: Mapping[str, Any]
    observables: Mapping[str, Any]


@dataclass(frozen=True)
class Range:
    """The values that a setting may take: ``low < value < high``, and why."""

    low: float
    high: float
    reason: str

    def check(self, name: str, value: Setting) -> None:
        """Raise `UsageError` with the bound if ``value`` lies outside."""
        if isinstance(value, (str, bool)) or not self.low < value < self.high:
            raise UsageError(f"{name}={value!r} is outside {self.low:.6g} < {name} < {self.high:.6g}: {self.reason}")


@dataclass(frozen=True)
class Experiment:
    """One tailored experiment: a sweep, what is recorded where, and which assumptions it can take away.

    Conditions share their keys (common random numbers): seed i draws the same key in every condition and control of an
    experiment, so what is drawn alike is equal there, and conditions differ by what they change. Their errors are not
    independent. Experiments of other names have other keys.

    Parameters
    ----------
    name, statement
        What it is called, and in one sentence what is done.
    level
        ``"idealized"`` (the model of the theory), ``"real data"`` (that model on a data set) or ``"network"``.
    observe
        ``observe(key, condition) -> Observation``: pure; jits, and maps over keys. A seed redraws all that the theory
        averages over. It is blind to the theory: what it reports is compared with predictions that it must not reach.
    observables
        Names of the observables on which the sweep is judged; ``observe`` may report more.
    conditions
        The sweep of the knob, the most favourable value first.
    checkpoints
        For each observable recorded along a run: which argument of the prediction the first axis is, and its values,
        the most favourable first: ``{"loss": ("log_t", (9.2, 13.8))}``.
    toggles
        For each assumption that can be taken away here: the condition without it. Its ``data`` and settings may differ
        from the sweep's; the observables it reports are those on which the removal shows.
    ranges
        Values a setting may take; a function where the bound depends on the other settings.
    max_seeds
        The declared cap of seeds in a cell.
    block
        Seeds simulated at once.
    vectorized
        Whether the seeds of a block go through each operation side by side on CPUs too, as they do on other devices. It
        pays where all take the same steps: descent on small data gains a factor of two or three. Solvers that choose
        their own steps lose, since each seed waits for the slowest.
    host
        Whether ``observe`` is called as it is, for one key at a time, and compiles what it wants compiled: for seeds
        that take minutes, such as networks that are trained, with `idealab.simulate.checkpointed` inside. A seed is
        then a block of its own, and blocks run on several threads.
    refinement
        For an experiment without chance: a setting (a step size, a width, a horizon) and three values of it in constant
        ratio, the coarsest first. Every condition is run once at each, in place of seeds, and what is judged is the
        limit: see `idealab.judge.cells.RefinedCell`.

    Raises
    ------
    DeclarationError
        If the sweep is empty, a label is ambiguous, checkpoints are not finite, or numbers of seeds are too small or
        not whole.
    """

    name: str
    statement: str
    level: Level
    observe: Callable[[jax.Array, Condition], Observation]
    observables: tuple[str, ...]
    conditions: tuple[Condition, ...]
    checkpoints: Mapping[str, tuple[str, tuple[float, ...]]] = field(
        default_factory=dict[str, tuple[str, tuple[float, ...]]]
    )
    toggles: Mapping[str, Condition] = field(default_factory=dict[str, Condition])
    ranges: Mapping[str, Range | Callable[[Condition], Range]] = field(default_factory=dict[str, Any])
    max_seeds: int = 64
    block: int = 4
    vectorized: bool = False
    host: bool = False
    refinement: tuple[str, tuple[float, float, float]] | None = None

    def __post_init__(self) -> None:
        if self.level not in LEVELS:
            raise DeclarationError(f"experiment {self.name!r}: level={self.level!r} must be one of {', '.join(LEVELS)}")
        if not self.conditions:
            raise DeclarationError(f"experiment {self.name!r} has no conditions; give at least one point of the sweep")
        labels = [str(condition) for condition in self.conditions]
        if len(set(labels)) < len(labels):
            raise DeclarationError(
                f"experiment {self.name!r} has two conditions of the same label: {', '.join(labels)}"
            )
        taken = {f"without {name}" for name in self.toggles} & set(labels)
        if taken:
            raise DeclarationError(
                f"experiment {self.name!r}: the label {taken.pop()!r} belongs to a control; rename the condition"
            )
        for name in ("max_seeds", "block"):
            if type(getattr(self, name)) is not int:
                raise DeclarationError(
                    f"experiment {self.name!r}: {name}={getattr(self, name)!r} must be a whole number, an int"
                )
        if self.max_seeds < 4:
            raise DeclarationError(f"experiment {self.name!r}: max_seeds={self.max_seeds} must be at least 4")
        if self.block < 1:
            raise DeclarationError(f"experiment {self.name!r}: block={self.block} must be at least 1")
        if self.refinement is not None:
            self._check_refinement(*self.refinement)
        if self.refinement is not None or self.host:
            object.__setattr__(self, "block", 1)
        for observable, (_, values) in self.checkpoints.items():
            if not values or not all(math.isfinite(value) for value in values):
                raise DeclarationError(
                    f"experiment {self.name!r}: checkpoints of {observable!r} must be finite and not empty, "
                    f"got {values!r}"
                )

    def _check_refinement(self, name: str, values: Sequence[float]) -> None:
        positive = len(values) == 3 and all(0 < value < math.inf for value in values)
        ratios = [b / a for a, b in pairwise(values)] if positive else []
        if not positive or abs(ratios[0] / ratios[1] - 1) > 1e-9 or ratios[0] == 1:
            raise DeclarationError(
                f"experiment {self.name!r}: refinement={(name, tuple(values))!r} must be a setting and three positive "
                "values of it in constant ratio, such as ('step', (0.04, 0.02, 0.01))"
            )

    @property
    def cap(self) -> int:
        """Seeds after which a condition gets no more: one, where there is no chance."""
        return self.max_seeds if self.refinement is None else 1

    @property
    def ratio(self) -> float:
        """Constant ratio of the refinement, above one; one without a refinement."""
        if self.refinement is None:
            return 1.0
        first, second, _ = self.refinement[1]
        return max(first / second, second / first)

    def refined(self, condition: Condition) -> dict[str, Condition]:
        """The runs that a condition takes, by what tells them apart: itself, or its three refinements."""
        if self.refinement is None:
            return {"": condition}
        name, values = self.refinement
        return {f"{name}={show_setting(v)}": condition.but(str(condition), **{name: v}) for v in values}

    def check(self, names: Collection[str]) -> None:
        """Raise `UsageError` if one of the named settings lies outside its range somewhere in the sweep."""
        for condition in self.conditions:
            for name, allowed in self.ranges.items():
                if name in names and name in condition.settings:
                    try:
                        bound = allowed if isinstance(allowed, Range) else allowed(condition)
                        bound.check(name, condition.settings[name])
                    except UsageError as error:
                        raise UsageError(f"experiment {self.name!r}: {error}") from None

    def with_settings(self, changes: Mapping[str, Setting]) -> Experiment:
        """The experiment with settings replaced in every condition of the sweep that has them.

        A sweep along a replaced knob collapses to the conditions that stay different; toggles keep their own settings.
        """
        conditions: dict[tuple[tuple[str, Setting], ...], Condition] = {}
        for condition in self.conditions:
            known = {name: value for name, value in changes.items() if name in condition.settings}
            changed = (
                condition.but(label=condition.label if condition.data is not None else "", **known)
                if known
                else condition
            )
            conditions.setdefault((*changed.settings.items(), ("", changed.label)), changed)
        return replace(self, conditions=tuple(conditions.values()))
