"""From what each cell says to the verdict on the idea, with all that it rests on."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from idealab.assess.assessment import Assessment, Question
from idealab.assess.comparison import Place
from idealab.assess.mutants import Design, hints_for_repair, kill
from idealab.compute.run import Task
from idealab.judge.cells import CellVerdict, Decision, RefinedCell
from idealab.judge.criteria import Curve
from idealab.judge.evidence import Floats
from idealab.judge.planning import fixed_design, seeds_to_decide
from idealab.judge.verdict import (
    Claim,
    SignatureConclusion,
    SignatureVerdict,
    conclude_idea,
    conclude_signature,
    seen_of,
)
from idealab.verification import (
    CellResult,
    ControlResult,
    Cost,
    CurveResult,
    MutationResult,
    SignatureResult,
    Verification,
)

UNTRIED = "no wrong theories were held against the observations"
NO_MUTANTS = "no wrong formulas"
"""How the same is said among what a run left out."""


def outcome_of(
    assessment: Assessment,
    declaration: str,
    environment: Mapping[str, Any],
    seconds: float,
    designs: Sequence[Design] = (),
    more_gates: Sequence[str] = (),
    given_up: Sequence[str] = (),
) -> Verification:
    """The verdict from what was observed, with the mutants of these designs; ``more_gates`` lower it too.

    ``given_up`` says what a budget did not reach.
    """
    idea = assessment.idea
    sweeps = [question for question in assessment.questions if question.assumption is None]
    results = [_result(assessment, question) for question in sweeps]
    controls = _controls(assessment)
    claims = [_claim(result) for result in results if result.primary]
    gates = [_gate(control) for control in controls if not control.ok]
    gates += [
        f"supported, not discriminating: the data do not refute the rival {rival.name!r} of {signature.name}"
        for signature, rival in assessment.standing()
    ]
    mutants = kill(assessment, designs) if designs else None
    gates += _alive(mutants)
    gates += _repeated(assessment)
    conclusion = conclude_idea(claims, [*gates, *more_gates])
    refuted: dict[str, list[str]] = {}
    for result in results:
        if result.refuted_as_stated:
            refuted.setdefault(result.name, []).append(result.experiment)
    kept = [name for name in idea.assumptions if name not in {control.assumption for control in controls}]
    remarks = [*conclusion.remarks, *([f"not taken away here: {', '.join(kept)}"] if kept else [])]
    remarks += [UNTRIED] if mutants is None else []
    return Verification(
        idea=idea.name,
        statement=idea.statement,
        verdict=conclusion.verdict,
        scope=conclusion.scope,
        evidence_log10=_evidence(assessment, results),
        declaration=declaration,
        signatures=tuple(results),
        controls=tuple(controls),
        gates=conclusion.gates,
        remarks=(*remarks, *given_up),
        cut_short=bool(given_up),
        cost=_cost(assessment, seconds),
        environment=environment,
        mutants=mutants,
        hints=tuple(hints_for_repair(assessment, designs, refuted)),
    )


def _alive(found: MutationResult | None) -> list[str]:
    """The mutants that must be killed and are not, a line for each signature."""
    alive: dict[str, list[str]] = {}
    for mutant in found.mutants if found is not None else ():
        if mutant.gates:
            alive.setdefault(mutant.signature, []).append(mutant.words)
    return [
        f"mutants of {signature} that must be killed are alive: {'; '.join(words[:4])}"
        + (f"; and {len(words) - 4} more" if len(words) > 4 else "")
        + "; raise --seeds, tighten the tolerance, or add points that tell them apart"
        for signature, words in alive.items()
    ]


def _repeated(assessment: Assessment) -> list[str]:
    """Asymptotic statements that hold to the last bits: there the observable repeats the prediction."""
    words: list[str] = []
    for question in assessment.questions:
        signature = question.signature
        if not question.gates or signature.exact or signature.criterion.along:
            continue
        curves = assessment.comparator.curves(signature, question.tasks)
        if curves and all(_same_bits(curve) for curve in curves):
            words.append(
                f"{signature.name} in {question.experiment.name}: measured equals predicted to the last bits in every "
                "seed, so the observable repeats the prediction; if it is an identity, declare it exact"
            )
    return words


def _same_bits(curve: Curve) -> bool:
    moving = np.ptp(curve.own) > 0 or np.ptp(curve.measured) > 0
    close = np.abs(curve.measured - curve.own) <= 4 * curve.epsilon * np.abs(curve.own)
    return bool(moving and close.all())


def _cost(assessment: Assessment, seconds: float) -> Cost:
    batches = [batch for task in assessment.tasks for batch in task.batches]
    return Cost(
        seconds=seconds,
        seeds=sum(batch.seeds for batch in batches),
        gradient_evaluations=sum(batch.gradient_evaluations for batch in batches),
        reused_seeds=sum(batch.seeds for batch in batches if batch.reused),
        fixed_design_seeds=_fixed_design(assessment),
    )


def _fixed_design(assessment: Assessment) -> int:
    """Seeds of a design of equal power that is fixed beforehand: for each task that of its noisiest cell.

    Where a condition is broken, the cell that shows it with the fewest seeds is enough.
    """
    needed: dict[Task, int] = {}
    for question in assessment.questions:
        cells = assessment.rules[question.family].cells
        judged = list(zip(assessment.places(question), assessment.decisions(question), strict=True))
        for condition in dict.fromkeys(place.condition for place, _ in judged):
            here = [(p, d.verdict, fixed_design(p.cell, cells)) for p, d in judged if p.condition == condition]
            absent = [seeds for _, verdict, seeds in here if verdict == "absent"]
            seeds = min(absent) if absent else max(seeds for _, _, seeds in here)
            for task in here[0][0].tasks:
                needed[task] = max(needed.get(task, 0), seeds)
    return sum(needed.values())


def _evidence(assessment: Assessment, results: Sequence[SignatureResult]) -> float:
    """log10 of the weakest link: of any cell that the theory holds, of any rival that it does not."""
    primary = [result for result in results if result.primary]
    core = [result for result in primary if result.level == "idealized"] or primary
    rivals = [
        _mean_evidence([d.absent_log10 for d in assessment.against(signature, rival) if not d.lost])
        for signature in assessment.gating
        for rival in signature.rivals.values()
    ]
    return min((*(result.evidence_log10 for result in core), *rivals), default=-math.inf)


def _mean_evidence(logs: Sequence[float]) -> float:
    """log10 of the mean over cells of the two-sided evidence: a mean of e-values is one, their maximum is not."""
    if not logs:
        return -math.inf
    total = float(np.logaddexp.reduce(np.array(logs) * math.log(10))) / math.log(10)
    return total - math.log10(2 * len(logs))


def _result(assessment: Assessment, question: Question) -> SignatureResult:
    signature, experiment = question.signature, question.experiment
    judged = list(zip(assessment.places(question), assessment.decisions(question), strict=True))
    conditions: dict[str, list[CellVerdict]] = {}
    for place, decision in judged:
        conditions.setdefault(place.condition, []).append(decision.verdict)
    conclusion = conclude_signature(list(conditions.items()))
    standing = [rival.name for rivalled, rival in assessment.standing() if rivalled is signature and question.gates]
    cells = assessment.rules[question.family].cells
    return SignatureResult(
        name=signature.name,
        statement=signature.statement,
        experiment=experiment.name,
        level=experiment.level,
        primary=signature.primary,
        formula=signature.prediction.inline,
        known=signature.known,
        criterion=type(signature.criterion).__name__,
        tolerance=str(signature.criterion),
        reason=signature.reason,
        verdict=conclusion.verdict,
        scope=conclusion.scope,
        refuted_as_stated=conclusion.refuted_as_stated,
        evidence_log10=min(decision.evidence_log10 for _, decision in judged),
        seeds=max(decision.seeds for _, decision in judged),
        cells=tuple(_cell(place, decision, cells) for place, decision in judged),
        rivals_standing=tuple(standing),
        recurs=conclusion.recurs,
        curves=tuple(_curves(assessment, question)),
    )


def _curves(assessment: Assessment, question: Question) -> Iterator[CurveResult]:
    """What a claim along an axis was made of; nothing, where refinements stand for seeds."""
    signature, experiment = question.signature, question.experiment
    if not signature.criterion.along or experiment.refinement:
        return
    places = [place for place in assessment.places(question) if all(task.seeds for task in place.tasks)]
    curves = assessment.comparator.curves(signature, question.tasks)
    for condition, curve in zip(dict.fromkeys(place.condition for place in places), curves, strict=True):
        values = curve.measured - curve.formulas.get("ideal", 0.0)
        if values.ndim != 2:
            continue
        with np.errstate(all="ignore"):
            means, seeds = np.mean(values, axis=1), values.shape[1]
            errors = np.std(values, axis=1, ddof=1) / math.sqrt(seeds) if seeds > 1 else np.full(len(means), math.nan)
        points = zip(curve.axis.tolist(), means.tolist(), errors.tolist(), strict=True)
        yield CurveResult(condition, curve.along, tuple(points))


def _controls(assessment: Assessment) -> list[ControlResult]:
    asked: dict[tuple[str, str], list[Question]] = {}
    for question in assessment.questions:
        if question.assumption is not None:
            asked.setdefault((question.experiment.name, question.assumption.name), []).append(question)
    return [_control(assessment, questions) for questions in asked.values()]


def _control(assessment: Assessment, questions: Sequence[Question]) -> ControlResult:
    task = questions[0].tasks[0]
    assumption = assessment.idea.assumptions[task.assumption]
    results = {id(question.signature): _result(assessment, question) for question in questions}
    rival = results.pop(id(assumption.rival), None) if assumption.rival is not None else None
    return ControlResult(
        assumption=assumption.name,
        statement=assumption.statement,
        experiment=task.experiment.name,
        condition=str(task.condition),
        expected=assumption.removal,
        seen=seen_of([_held(assessment, q, results[id(q.signature)]) for q in questions if id(q.signature) in results]),
        signatures=tuple(results.values()),
        rival=rival,
    )


def _cell(place: Place, decision: Decision, cells: int) -> CellResult:
    cell = place.cell
    if isinstance(cell, RefinedCell) and cell.seeds >= 3:
        return _refined_result(place, cell, decision)
    median = cell.estimand == "median"
    used = slice(0, decision.seeds)
    # A seed whose measurement is lost is in the note; the median is that of the others.
    centre = np.median if median else np.mean

    def middle(values: Floats) -> float:
        left = values[used][~np.isnan(values[used])] if median else values[used]
        return float(centre(left)) if left.size else math.nan

    with np.errstate(all="ignore"):
        differences = cell.measured - cell.predicted
        away = differences[used] - middle(differences)
        # The median's spread from the median absolute deviation, as for normal seeds: 1.48 and sqrt(pi/2).
        spread = 1.858 * middle(np.abs(away)) if median else math.sqrt(float(np.sum(away**2)))
    degrees = 1 if median else max(decision.seeds - 1, 1)
    undecided = decision.verdict == "undecided"
    return CellResult(
        condition=place.condition,
        checkpoint=cell.label,
        predicted=middle(cell.predicted),
        measured=middle(cell.predicted) + middle(differences),
        standard_error=spread / math.sqrt(max(decision.seeds, 1) * degrees) if decision.seeds > 1 else math.nan,
        tolerance=middle(cell.tolerances),
        deviation=middle(cell.deviations),
        verdict=decision.verdict,
        evidence_log10=decision.evidence_log10,
        seeds=decision.seeds,
        note=decision.note,
        one_sided=cell.one_sided,
        seeds_to_decide=seeds_to_decide(cell, cells) if undecided else None,
        given_up=decision.given_up,
        seed_deviations=tuple(cell.deviations[used].tolist()),
    )


def _refined_result(place: Place, cell: RefinedCell, decision: Decision) -> CellResult:
    """The limit of three refinements, with the grid-convergence index in place of a standard error."""
    with np.errstate(all="ignore"):
        limit, index, _ = cell.extrapolated()
    predicted, tolerance = float(cell.predicted[-1]), float(cell.tolerances[-1])
    return CellResult(
        condition=place.condition,
        checkpoint=cell.label,
        predicted=predicted,
        measured=predicted + limit * tolerance,
        standard_error=index * tolerance,
        tolerance=tolerance,
        deviation=limit,
        verdict=decision.verdict,
        evidence_log10=decision.evidence_log10,
        seeds=decision.seeds,
        note=decision.note,
        one_sided=cell.one_sided,
        seed_deviations=tuple(cell.deviations.tolist()),
    )


def _held(assessment: Assessment, question: Question, result: SignatureResult) -> SignatureVerdict:
    """The verdict on a signature without an assumption; a crash of the simulation is no break of the theory."""
    crashed = any(d.verdict == "absent" and d.lost for d in assessment.decisions(question))
    return "inconclusive" if crashed else result.verdict


def _claim(result: SignatureResult) -> Claim:
    conclusion = SignatureConclusion(result.verdict, result.scope, result.refuted_as_stated)
    return Claim(result.name, conclusion, result.level == "idealized", f"in {result.experiment}")


def _gate(control: ControlResult) -> str:
    should = {"breaks": "break", "does_not_matter": "not matter"}[control.expected]
    did = {"breaks": "broke", "does_not_matter": "did not matter", "undecided": "is undecided"}[control.seen]
    if control.seen == control.expected and control.rival is not None:
        return f"control {control.assumption}: it {did}, but the theory of the broken case is {control.rival.verdict}"
    return f"control {control.assumption}: should {should}, {did}"
