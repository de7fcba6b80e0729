"""The signature card of an idea: what it says, where, when it fails, and what must be seen."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from rich.text import Text

from idealab.judge.criteria import Equals
from idealab.report import number
from idealab.report.formula import equation
from idealab.report.table import paragraph

if TYPE_CHECKING:
    from idealab.experiment import Experiment
    from idealab.idea import Assumption, Idea, Signature
    from idealab.symbolic.prediction import Prediction

_PROSE = 100
_REMOVAL = {"breaks": "must break", "does_not_matter": "must not matter"}


def card(idea: Idea, experiments: Sequence[Experiment], width: int) -> Iterator[Text]:
    """Draw the card, one line at a time; nothing is wider than ``width`` save a name or a symbol that is."""
    width = min(width, _PROSE)
    yield Text(idea.name, style="bold")
    yield from paragraph(idea.statement, width)
    yield from _section("scope")
    yield from paragraph(idea.scope, width, first="  ")
    if idea.failure_modes:
        yield from _section("failure modes")
        yield from _list(idea.failure_modes, width)
    yield from _section("signatures")
    for i, signature in enumerate(idea.signatures.values()):
        yield from [Text()] * (i > 0)
        yield from _signature(signature, width)
    if idea.assumptions:
        yield from _section("assumptions")
        for i, assumption in enumerate(idea.assumptions.values()):
            yield from [Text()] * (i > 0)
            yield from _assumption(assumption, experiments, width)
    if experiments:
        yield from _section("experiments")
        for i, experiment in enumerate(experiments):
            yield from [Text()] * (i > 0)
            yield from _experiment(experiment, width)
    if idea.references:
        yield from _section("references")
        yield from _list([f"{reference}: {reference.title}" for reference in idea.references], width)


def _section(title: str) -> Iterator[Text]:
    yield Text()
    yield Text(title, style="bold")


def _list(items: Sequence[str], width: int) -> Iterator[Text]:
    for item in items:
        yield from paragraph(item, width, first="  · ")


def _named(name: str, facts: Sequence[str], width: int) -> Iterator[Text]:
    """A name that stands out, and what kind of thing it is."""
    lines = list(paragraph(name + "   " + " · ".join(facts), width, first="  ", indent="      "))
    lines[0].stylize("bold", 2, 2 + len(name))
    yield from lines


def _signature(signature: Signature, width: int) -> Iterator[Text]:
    kind = [
        "primary" if signature.primary else "secondary",
        signature.known,
        "exact" if signature.exact else "asymptotic",
    ]
    yield from _named(signature.name, kind, width)
    yield from paragraph(signature.statement, width, first="    ")
    yield from equation(signature.equation, width, indent=8)
    yield from paragraph(
        f"measured as {signature.observable}, {_criterion(signature)}", width, first="    ", indent="      "
    )
    yield from paragraph(f"because {signature.reason}", width, first="      ")
    for rival in signature.rivals.values():
        yield from paragraph(f"rival {rival.name}: {rival.statement}", width, first="    ", indent="      ")
        yield from equation(rival.prediction.expression, width, indent=8)


def _criterion(signature: Signature) -> str:
    if not isinstance(signature.criterion, Equals):
        return str(signature.criterion)
    kinds = {"rtol": "relative", "atol": "absolute"}
    named = dict(zip(signature.criterion.formulas, signature.tolerance, strict=True))
    parts = [f"{_short(named[name])} {kind}" for name, kind in kinds.items() if named[name].expression != 0]
    pooled = f", pooled amplitude within {_short(named['pooled'])}" if "pooled" in named else ""
    return f"equals the prediction within {' plus '.join(parts)}{pooled}"


def _short(tolerance: Prediction) -> str:
    """A number as a person writes it: Sympy prints all fifteen digits of a float."""
    return tolerance.inline if tolerance.arguments else number.show(float(tolerance.expression), 6)


def _assumption(assumption: Assumption, experiments: Sequence[Experiment], width: int) -> Iterator[Text]:
    toggled = [experiment.name for experiment in experiments if assumption.name in experiment.toggles]
    where = f"taken away in {', '.join(toggled)}" if toggled else "no experiment takes it away"
    yield from _named(assumption.name, [where], width)
    yield from paragraph(assumption.statement, width, first="    ")
    words = f"without it {_REMOVAL[assumption.removal]}: {', '.join(assumption.signatures)}"
    yield from paragraph(words, width, first="    ", indent="      ")
    if assumption.rival is not None:
        yield from paragraph(
            f"instead {assumption.rival.name}: {assumption.rival.statement}", width, first="    ", indent="      "
        )
        yield from equation(assumption.rival.equation, width, indent=8)


def _experiment(experiment: Experiment, width: int) -> Iterator[Text]:
    yield from _named(experiment.name, [experiment.level, f"at most {experiment.max_seeds} seeds"], width)
    yield from paragraph(experiment.statement, width, first="    ")
    conditions = "; ".join(str(condition) for condition in experiment.conditions)
    yield from paragraph(f"conditions: {conditions}", width, first="    ", indent="      ")
    for observable, (argument, values) in experiment.checkpoints.items():
        points = ", ".join(f"{value:.6g}" for value in values)
        yield from paragraph(f"{observable} at {argument} = {points}", width, first="    ", indent="      ")
