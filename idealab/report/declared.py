"""The signature card as a record declared it, for which the idea need not be installed.

Formulas are quoted, unless an idea that is installed here holds a formula of the same hash: then that one is shown.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from idealab.idea import Idea
from idealab.report.card import Card, Control, Known, Place, Rival, SignatureCard, card_of
from idealab.report.formula import AnyFormula, Formula, Quoted
from idealab.report.recorded import read
from idealab.verification import Verification

_FORMULAS = ("rtol", "atol", "pooled", "ulps", "scale", "least", "ideal", "level")
_OPTIONS = ("along", "estimand", "above")


@dataclass(frozen=True)
class _Formula:
    text: str
    sha256: str


@dataclass(frozen=True)
class _Signature:
    name: str
    observable: str
    prediction: _Formula
    known: str
    criterion: Mapping[str, Any]
    exact: bool
    primary: bool
    must_kill: tuple[str, ...]
    rivals: Mapping[str, Any]


@dataclass(frozen=True)
class _Condition:
    label: str
    settings: Mapping[str, Any]


@dataclass(frozen=True)
class _Experiment:
    name: str
    level: str
    observables: tuple[str, ...]
    conditions: tuple[_Condition, ...]
    checkpoints: Mapping[str, Any]


@dataclass(frozen=True)
class _Assumption:
    name: str
    removal: str
    signatures: tuple[str, ...]


@dataclass(frozen=True)
class _Declaration:
    statement: str
    scope: str
    signatures: tuple[_Signature, ...]
    assumptions: tuple[_Assumption, ...]
    experiments: tuple[_Experiment, ...]


def declared_card(result: Verification, content: Mapping[str, Any], idea: Idea | None) -> Card:
    """Read the card of what was declared before a verification.

    Parameters
    ----------
    result
        The verification, which names the statements of its signatures.
    content
        The content of its declaration.
    idea
        The idea as it is installed here, if it is: it draws the formulas that have the declared hash.

    Raises
    ------
    LedgerError
        If the declaration is not as idealab writes it.
    """
    declared: _Declaration = read(_Declaration, content, f"declaration {result.declaration[:8]}")
    installed = None if idea is None else card_of(idea)
    found = _by_hash(idea)
    said = {signature.name: signature.statement for signature in result.signatures}
    signatures = tuple(
        _explained(_signature(signature, declared, said.get(signature.name, ""), found), installed)
        for signature in declared.signatures
    )
    return Card(
        idea=result.idea,
        statement=declared.statement,
        scope=declared.scope,
        failure_modes=() if installed is None else installed.failure_modes,
        signatures=signatures,
        assumptions=(),
        experiments=(),
        references=() if installed is None else installed.references,
    )


def unlike(card: Card, idea: Idea) -> tuple[str, ...]:
    """Name the signatures whose formula is not, or no longer, that of the idea as it is installed here."""
    known = {name: signature.prediction.sha256 for name, signature in idea.signatures.items()}
    return tuple(s.name for s in card.signatures if known.get(s.name) != s.sha256)


def _by_hash(idea: Idea | None) -> dict[str, Formula]:
    signatures = [] if idea is None else [*idea.signatures.values()]
    predictions = (
        p for s in signatures for p in (s.prediction, *s.tolerance, *(r.prediction for r in s.rivals.values()))
    )
    return {prediction.sha256: Formula(prediction.expression) for prediction in predictions}


def _signature(
    declared: _Signature, whole: _Declaration, statement: str, found: Mapping[str, Formula]
) -> SignatureCard:
    here = f"the declared signature {declared.name!r}"

    def shown(value: Any) -> AnyFormula:
        formula: _Formula = read(_Formula, value, here)
        return found.get(formula.sha256) or Quoted(formula.text)

    criterion = declared.criterion
    prediction = found.get(declared.prediction.sha256) or Quoted(declared.prediction.text)
    return SignatureCard(
        name=declared.name,
        statement=statement,
        primary=declared.primary,
        exact=declared.exact,
        observable=declared.observable,
        equation=prediction,
        prediction=prediction,
        sha256=declared.prediction.sha256,
        reported=(),
        places=tuple(_place(e, declared.observable) for e in whole.experiments if declared.observable in e.observables),
        criterion=read(str, criterion.get("kind"), here),
        options={name: str(criterion[name]) for name in _OPTIONS if criterion.get(name)},
        tolerances={name: shown(criterion[name]) for name in _FORMULAS if isinstance(criterion.get(name), Mapping)},
        reason=read(str, criterion.get("reason"), here),
        known=Known(declared.known, "", "", ()),
        controls=tuple(Control(a.name, a.removal, ()) for a in whole.assumptions if declared.name in a.signatures),
        rivals=tuple(Rival(name, "", shown(value)) for name, value in declared.rivals.items()),
        must_kill=declared.must_kill,
    )


def _explained(card: SignatureCard, installed: Card | None) -> SignatureCard:
    """Add what only the idea itself says: the whole equation, how it is known, what its rivals mean."""
    same = [s for s in (installed.signatures if installed else ()) if s.name == card.name and s.sha256 == card.sha256]
    if not same or same[0].known.weakest != card.known.weakest:
        return card
    own = same[0]
    meant = {rival.name: rival.statement for rival in own.rivals}
    rivals = tuple(replace(rival, statement=meant.get(rival.name, "")) for rival in card.rivals)
    return replace(card, equation=own.equation, known=own.known, rivals=rivals)


def _place(experiment: _Experiment, observable: str) -> Place:
    here = f"the declared experiment {experiment.name!r}"
    along, points = read(tuple[str, tuple[float, ...]], experiment.checkpoints.get(observable, ("", ())), here)
    names = dict.fromkeys(name for condition in experiment.conditions for name in condition.settings)
    values = {
        name: tuple(dict.fromkeys(_setting(c.settings[name]) for c in experiment.conditions if name in c.settings))
        for name in names
    }
    return Place(
        experiment=experiment.name,
        level=experiment.level,
        conditions=tuple(condition.label for condition in experiment.conditions),
        knobs={name: several for name, several in values.items() if len(several) > 1},
        along=along,
        points=points,
    )


def _setting(value: Any) -> float | int | str | bool:
    return value if isinstance(value, (float, int, str, bool)) else str(value)
