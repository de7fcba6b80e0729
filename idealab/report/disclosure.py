"""A signature card in words and formulas, for every format alike."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from idealab.report import number
from idealab.report.blocks import Block, Entry, Equation, Items, Section, Words, words
from idealab.report.card import AssumptionCard, Card, ExperimentCard, Known, Place, SignatureCard

if TYPE_CHECKING:
    from idealab.experiment import Setting

_REMOVAL = {"breaks": "must break", "does_not_matter": "must hold"}
_AGREEMENT = {
    "Equals": "the {estimand} over seeds equals the prediction within {tolerance}",
    "Identity": "in every seed it equals the prediction within {ulps} times machine epsilon",
    "Slope": "the {estimand} log-log slope along {along} equals the prediction within {atol}, in its last half too",
    "Trend": "along {along} it moves as predicted at every step, by more than {least} relative",
    "Rate": "{ideal} is approached along {along} with the predicted exponent, within {atol}",
    "Threshold": "it crosses {level} at the predicted value of {along}, {above}; points within {rtol} are left out",
}


def disclosed(card: Card) -> tuple[Block, ...]:
    """Write out a card, from what is claimed to how it is tested."""
    citations = tuple(f"{cited}: {title}" for cited, title in card.references)
    unmeasured = [s.name for s in card.signatures if card.experiments and not s.places]
    kept = [a.name for a in card.assumptions if card.experiments and not a.removed_in]
    gaps = [f"no experiment measures {_either(unmeasured)}"] if unmeasured else []
    gaps += [f"no experiment takes {_either(kept)} away"] if kept else []
    return (
        Words((card.statement,)),
        Section("scope", (Words((card.scope,)),)),
        *_section("failure modes", (Items(card.failure_modes),) if card.failure_modes else ()),
        *_section("signatures", tuple(_signatures(card.signatures))),
        *_section("assumptions", tuple(map(_assumption, card.assumptions))),
        *_section("experiments", (*map(_experiment, card.experiments), *(Words((gap,)) for gap in gaps))),
        *_section("references", (Items(citations),) if citations else ()),
    )


def disclosed_signature(card: SignatureCard) -> tuple[Block, ...]:
    """Write out the card of one signature."""
    return tuple(_signatures((card,)))


def _section(title: str, blocks: tuple[Block, ...]) -> tuple[Block, ...]:
    return (Section(title, blocks),) if blocks else ()


def _signatures(signatures: Sequence[SignatureCard]) -> Iterator[Block]:
    """One entry each; what is said of several alike is said once."""
    kinds = {signature.must_kill for signature in signatures}
    if len(kinds) == 1 and (changes := kinds.pop()):
        yield Words((f"of each formula the same data must refute these changes: {', '.join(changes)}",))
    reasons: dict[str, str] = {}
    for signature in signatures:
        same = reasons.setdefault(signature.reason, signature.name)
        reason = signature.reason if same == signature.name else f"as for {same}"
        own = () if len({s.must_kill for s in signatures}) == 1 else signature.must_kill
        kind = (
            "primary" if signature.primary else "secondary",
            signature.known.weakest,
            "exact" if signature.exact else "asymptotic",
        )
        facts = _facts(replace(signature, reason=reason, must_kill=own))
        said = (Words((signature.statement,)),) if signature.statement else ()
        yield Entry(signature.name, kind, (*said, *facts))


def _facts(signature: SignatureCard) -> Iterator[Block]:
    """What is measured, where, which shape, along which knob, how near, which controls, and how it is known."""
    yield Equation(signature.equation)
    where = f", {_where(signature.places)}" if signature.places else ""
    yield Words((signature.observable + where,), "measured")
    if knobs := _knobs(signature.places):
        yield Words((knobs,), "knobs")
    if signature.reported:
        yield Words((f"{', '.join(signature.reported)}, where no setting gives it",), "per seed")
    yield _agreement(signature)
    yield Words((signature.reason,), "because")
    yield Words((_how_known(signature.known),), "known")
    for removal, said in _REMOVAL.items():
        names = [control.assumption for control in signature.controls if control.removal == removal]
        if names:
            yield Words((f"{said} when {_either(names)} is taken away",), "controls")
    if signature.must_kill:
        yield Words((f"the same data must refute these changes: {', '.join(signature.must_kill)}",), "mutants")
    for rival in signature.rivals:
        said = ", ".join(filter(None, (rival.name, rival.statement)))
        yield words(f"{said}: {{formula}}", "rival", formula=rival.formula)


def _where(places: Sequence[Place]) -> str:
    levels = {
        level: [p.experiment for p in places if p.level == level] for level in dict.fromkeys(p.level for p in places)
    }
    where = "; ".join(f"in {', '.join(names)} ({level})" for level, names in levels.items())
    axes = dict.fromkeys(place.along for place in places if place.along)
    return where + (f"; recorded along {', '.join(axes)}" if axes else "")


def _knobs(places: Sequence[Place]) -> str:
    """The settings that are varied, and from where to where."""
    found: dict[str, list[Setting]] = {}
    for place in places:
        for name, values in place.knobs.items():
            found.setdefault(name, []).extend(values)
    return "; ".join(f"{name} {_range(values)}" for name, values in found.items())


def _range(values: Sequence[Setting]) -> str:
    numbers = [value for value in values if isinstance(value, (int, float)) and not isinstance(value, bool)]
    if len(numbers) == len(values):
        return f"from {_shown(min(numbers))} to {_shown(max(numbers))}"
    return "among " + ", ".join(map(_shown, dict.fromkeys(values)))


def _shown(value: Setting) -> str:
    return number.show(value, 6) if isinstance(value, float) else str(value)


def _either(names: Sequence[str]) -> str:
    return f"{', '.join(names[:-1])} or {names[-1]}" if len(names) > 1 else names[0]


def _agreement(signature: SignatureCard) -> Words:
    """The criterion in words; one that is not ours says itself what it is."""
    text = _AGREEMENT.get(signature.criterion, signature.criterion)
    sizes = {"rtol": "{rtol} relative", "atol": "{atol} absolute"}
    given = {name: f for name, f in signature.tolerances.items() if not f.is_zero or name not in sizes}
    text = text.replace("{tolerance}", " plus ".join(sizes[name] for name in sizes if name in given))
    for name, value in signature.options.items():
        text = text.replace(f"{{{name}}}", value)
    if "scale" in given and not given["scale"].is_zero:
        text += " of terms of the size {scale}"
    if "pooled" in given:
        text += "; over all points together, within {pooled} relative"
    return words(text, "agrees if", **signature.tolerances)


def _how_known(known: Known) -> str:
    """The chain in one sentence, from what is given to what is derived."""
    kinds = {kind: [link for link in known.chain if link.kind == kind] for kind in ("given", "cited", "checked")}
    where = f", in the derivation {known.derivation}, step {known.step}" if known.derivation else ""
    said = [known.weakest + where]
    said += [f"given: {', '.join(link.step for link in kinds['given'])}"] if kinds["given"] else []
    said += [f"{link.kind}: {link.step} ({link.how})" for kind in ("cited", "checked") for link in kinds[kind]]
    derived = [link.step for link in known.chain if link.kind == "derived"]
    said += [f"computed by Sympy from these: {', '.join(derived)}"] if derived else []
    return "; ".join(said)


def _assumption(assumption: AssumptionCard) -> Entry:
    where = tuple(f"taken away in {name}: {condition}" for name, condition in assumption.removed_in.items())
    blocks: list[Block] = [
        Words((assumption.statement,)),
        Words((f"{', '.join(assumption.signatures)} {_REMOVAL[assumption.removal]}",), "without it"),
    ]
    if assumption.instead is not None:
        instead = assumption.instead
        blocks += [words(f"{instead.name}: {instead.statement}", "instead"), *_facts(instead)]
    return Entry(assumption.name, where, tuple(blocks))


def _experiment(experiment: ExperimentCard) -> Entry:
    often = f"at most {number.count(experiment.max_seeds, 'seed')}"
    if experiment.refinement is not None:
        name, values = experiment.refinement
        often = f"refined in {name} = {', '.join(map(_shown, values))}"
    blocks = [Words((experiment.statement,)), Words(("; ".join(experiment.conditions),), "conditions")]
    blocks += [
        Words((f"{observable} at {argument} = {', '.join(f'{value:.6g}' for value in values)}",), "recorded")
        for observable, (argument, values) in experiment.checkpoints.items()
    ]
    return Entry(experiment.name, (experiment.level, often), tuple(blocks))
