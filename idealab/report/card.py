"""The signature card of an idea, as plain data: what every format of it is written from.

For each signature it discloses what is measured, where, which shape it must have, along which knob, which controls
there are, how near counts as equal and why, and how the formula is known; for the idea, its scope and failure modes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from typing import TYPE_CHECKING, Any, cast

from idealab.report.formula import AnyFormula, Formula, Quoted

if TYPE_CHECKING:
    from idealab.experiment import Condition, Experiment, Setting
    from idealab.idea import Assumption, Idea, Signature

SCHEMA = "idealab/card/1"


@dataclass(frozen=True)
class Place:
    """Where a signature is measured.

    ``knobs`` are the settings that differ between the conditions; ``along`` is the argument of the formula that is
    recorded at the ``points``, empty without checkpoints.
    """

    experiment: str
    level: str
    conditions: tuple[str, ...]
    knobs: Mapping[str, tuple[Setting, ...]]
    along: str
    points: tuple[float, ...]


@dataclass(frozen=True)
class Link:
    """One step of the chain that a prediction rests on."""

    step: str
    kind: str
    words: str
    how: str
    equation: AnyFormula


@dataclass(frozen=True)
class Known:
    """How a formula is known: by the weakest link of its chain."""

    weakest: str
    derivation: str
    step: str
    chain: tuple[Link, ...]


@dataclass(frozen=True)
class Rival:
    """Another formula for the same observable, which the same data must refute."""

    name: str
    statement: str
    formula: AnyFormula


@dataclass(frozen=True)
class Control:
    """An assumption whose removal must show, or must not show, on a signature, and the experiments that remove it."""

    assumption: str
    removal: str
    experiments: tuple[str, ...]


@dataclass(frozen=True)
class SignatureCard:
    """One signature, with all that decides whether it is present."""

    name: str
    statement: str
    primary: bool
    exact: bool
    observable: str
    equation: AnyFormula
    prediction: AnyFormula
    sha256: str
    reported: tuple[str, ...]  # what each seed reports for the formula: instance parameters
    places: tuple[Place, ...]
    criterion: str
    options: Mapping[str, str]  # what a criterion declares besides formulas: the axis, the estimand
    tolerances: Mapping[str, AnyFormula]
    reason: str
    known: Known
    controls: tuple[Control, ...]
    rivals: tuple[Rival, ...]
    must_kill: tuple[str, ...]


@dataclass(frozen=True)
class AssumptionCard:
    """One assumption, what must come of its removal, and the theory of the broken case where there is one."""

    name: str
    statement: str
    removal: str
    signatures: tuple[str, ...]
    removed_in: Mapping[str, str]  # experiment: the condition without it
    instead: SignatureCard | None


@dataclass(frozen=True)
class ExperimentCard:
    """One experiment: what is done, on which conditions, how often."""

    name: str
    statement: str
    level: str
    conditions: tuple[str, ...]
    checkpoints: Mapping[str, tuple[str, tuple[float, ...]]]
    max_seeds: int
    refinement: tuple[str, tuple[float, ...]] | None


@dataclass(frozen=True)
class Card:
    """All that an idea claims, and how it will be tested."""

    idea: str
    statement: str
    scope: str
    failure_modes: tuple[str, ...]
    signatures: tuple[SignatureCard, ...]
    assumptions: tuple[AssumptionCard, ...]
    experiments: tuple[ExperimentCard, ...]
    references: tuple[tuple[str, str], ...]  # as cited, and the title


def card_of(idea: Idea, experiments: Sequence[Experiment] = ()) -> Card:
    """Gather the card of an idea from its declaration and from that of its experiments."""
    return Card(
        idea=idea.name,
        statement=idea.statement,
        scope=idea.scope,
        failure_modes=idea.failure_modes,
        signatures=tuple(_swept(idea, signature, experiments) for signature in idea.signatures.values()),
        assumptions=tuple(_assumption(assumption, experiments) for assumption in idea.assumptions.values()),
        experiments=tuple(_experiment(experiment) for experiment in experiments),
        references=tuple((str(reference), reference.title) for reference in idea.references),
    )


def signature_card(signature: Signature) -> SignatureCard:
    """Gather the card of one signature, as far as the theory alone fills it."""
    return _signature(signature, ())


def as_dict(card: Card) -> dict[str, Any]:
    """Return the document that ``show --format json`` prints; formulas are text to read, not to evaluate."""
    return {"schema": SCHEMA, **cast("dict[str, Any]", _plain(card))}


def _plain(value: Any) -> Any:
    match value:
        case Formula() | Quoted():
            return {"text": value.text, "latex": value.latex}
        case Mapping():
            return {key: _plain(item) for key, item in cast("Mapping[str, Any]", value).items()}
        case tuple():
            return [_plain(item) for item in cast("tuple[Any, ...]", value)]
        case _ if is_dataclass(value):
            return {field.name: _plain(getattr(value, field.name)) for field in fields(value)}
        case _:
            return value


def _signature(
    signature: Signature,
    conditions: Sequence[tuple[Experiment, Sequence[Condition]]],
    controls: tuple[Control, ...] = (),
) -> SignatureCard:
    criterion = signature.criterion
    options = {
        field.name: str(getattr(criterion, field.name))
        for field in fields(cast("Any", criterion))
        if field.init and field.name not in criterion.formulas and getattr(criterion, field.name)
    }
    places = tuple(_place(signature, experiment, sweep) for experiment, sweep in conditions)
    known = [
        {experiment.checkpoints.get(signature.observable, ("",))[0]}.union(*(c.settings for c in sweep))
        for experiment, sweep in conditions
    ]
    return SignatureCard(
        name=signature.name,
        statement=signature.statement,
        primary=signature.primary,
        exact=signature.exact,
        observable=signature.observable,
        equation=Formula(signature.equation),
        prediction=Formula(signature.prediction.expression),
        sha256=signature.prediction.sha256,
        reported=tuple(name for name in signature.arguments if any(name not in names for names in known)),
        places=places,
        criterion=type(criterion).__name__,
        options=options,
        tolerances={
            name: Formula(tolerance.expression)
            for name, tolerance in zip(criterion.formulas, signature.tolerance, strict=True)
        },
        reason=signature.reason,
        known=_known(signature),
        controls=controls,
        rivals=tuple(Rival(r.name, r.statement, Formula(r.prediction.expression)) for r in signature.rivals.values()),
        must_kill=signature.must_kill,
    )


def _known(signature: Signature) -> Known:
    """The step that predicts, and all that it rests on, in the order of the derivation."""
    derivation = signature.derivation
    conclusion = signature.step or derivation.steps[-1].name
    needed, asked = set[str](), [conclusion]
    while asked:
        name = asked.pop()
        needed.add(name)
        asked += [used for used in derivation[name].uses if used not in needed]
    chain = (
        Link(step.name, step.kind, step.words, step.how, Formula(step.equation))
        for step in derivation.steps
        if step.name in needed
    )
    return Known(signature.known, derivation.name, conclusion, tuple(chain))


def _swept(idea: Idea, signature: Signature, experiments: Sequence[Experiment]) -> SignatureCard:
    """A signature where a sweep is judged on it, with the assumptions whose removal is seen on it."""
    where = [(e, e.conditions) for e in experiments if signature.observable in e.observables]
    controls = (
        Control(a.name, a.removal, tuple(e.name for e in experiments if a.name in e.toggles))
        for a in idea.assumptions.values()
        if signature.name in a.signatures
    )
    return _signature(signature, where, tuple(controls))


def _place(signature: Signature, experiment: Experiment, conditions: Sequence[Condition]) -> Place:
    along, points = experiment.checkpoints.get(signature.observable, ("", ()))
    names = dict.fromkeys(name for condition in conditions for name in condition.settings)
    values = {name: tuple(dict.fromkeys(c.settings[name] for c in conditions if name in c.settings)) for name in names}
    return Place(
        experiment=experiment.name,
        level=experiment.level,
        conditions=tuple(map(str, conditions)),
        knobs={name: several for name, several in values.items() if len(several) > 1},
        along=along,
        points=points,
    )


def _assumption(assumption: Assumption, experiments: Sequence[Experiment]) -> AssumptionCard:
    removed = [(e, (e.toggles[assumption.name],)) for e in experiments if assumption.name in e.toggles]
    return AssumptionCard(
        name=assumption.name,
        statement=assumption.statement,
        removal=assumption.removal,
        signatures=assumption.signatures,
        removed_in={experiment.name: str(condition) for experiment, (condition,) in removed},
        instead=None if assumption.rival is None else _signature(assumption.rival, removed),
    )


def _experiment(experiment: Experiment) -> ExperimentCard:
    return ExperimentCard(
        name=experiment.name,
        statement=experiment.statement,
        level=experiment.level,
        conditions=tuple(map(str, experiment.conditions)),
        checkpoints=experiment.checkpoints,
        max_seeds=experiment.max_seeds,
        refinement=experiment.refinement,
    )
