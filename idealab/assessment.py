"""Brings what was observed before the judge: which cells there are, what each says, and the verdict on the whole."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np

from idealab.comparison import Comparison, checkpoint_labels, compare
from idealab.experiment import Experiment
from idealab.idea import Assumption, Idea, Rival, Signature
from idealab.judge.evidence import Floats
from idealab.judge.verdict import (
    CellVerdict,
    Claim,
    Decision,
    Rules,
    SignatureConclusion,
    SignatureVerdict,
    conclude_idea,
    conclude_signature,
    judge_cells,
    seen_of,
)
from idealab.run import Task
from idealab.symbolic.prediction import Prediction
from idealab.verification import CellResult, ControlResult, Cost, SignatureResult, Verification

_FROZEN = "all seeds gave the same number to the last bit: the seed does not reach the experiment"


@dataclass(frozen=True)
class Question:
    """One signature asked of the conditions of one experiment: its sweep, or one condition without an assumption."""

    signature: Signature
    experiment: Experiment
    tasks: tuple[Task, ...]
    assumption: Assumption | None = None

    @property
    def cells(self) -> int:
        """How many cells it is judged on."""
        return len(self.tasks) * len(checkpoint_labels(self.experiment, self.signature.observable))

    @property
    def family(self) -> str:
        """Which rules it is judged by: sweeps decide the idea, controls the gates, each with its own error budget."""
        return self.experiment.name if self.assumption is None else f"controls of {self.experiment.name}"

    @property
    def gates(self) -> bool:
        """Whether a rival that is not refuted here lowers the verdict on the idea."""
        return self.assumption is None and self.signature.primary and self.experiment.level == "idealized"


def questions_of(idea: Idea, signatures: Sequence[Signature], tasks: Sequence[Task]) -> list[Question]:
    """Everything that will be judged: the sweeps, then what each control must show."""
    found: list[Question] = []
    for experiment in dict.fromkeys(task.experiment.name for task in tasks):
        sweep = tuple(task for task in tasks if task.experiment.name == experiment and not task.assumption)
        for signature in signatures:
            if sweep and signature.observable in sweep[0].experiment.observables:
                found.append(Question(signature, sweep[0].experiment, sweep))
    for task in tasks:
        if task.assumption:
            assumption = idea.assumptions[task.assumption]
            shown = [signature for signature in signatures if signature.name in assumption.signatures]
            asked = [*shown, assumption.rival] if assumption.rival is not None else shown
            found += [Question(signature, task.experiment, (task,), assumption) for signature in asked]
    return found


def rules_of(questions: Sequence[Question]) -> dict[str, Rules]:
    """The rules for each family of questions: *absent* must hold against all cells that could decide alike."""
    sweeps, controls = (sum(q.cells for q in questions if (q.assumption is None) is sweep) for sweep in (True, False))
    return {q.family: Rules(q.experiment.max_seeds, sweeps if q.assumption is None else controls) for q in questions}


class Assessment:
    """The judge at work on a run: pure in what was observed, so that a record can be judged again."""

    def __init__(self, idea: Idea, questions: Sequence[Question], rules: Mapping[str, Rules]) -> None:
        self.idea, self.questions, self.rules = idea, questions, rules
        # What was compared and judged, by how many batches there were then.
        self._compared: dict[tuple[Any, ...], list[Comparison]] = {}
        self._judged: dict[tuple[Any, ...], list[Decision]] = {}
        # A decision stands: later seeds of other cells, by moving the skewness, must not undo it.
        self._decided: dict[tuple[Any, ...], dict[int, Decision]] = {}

    def undecided(self) -> list[Task]:
        """Tasks in which more seeds could still decide a cell."""
        more = dict.fromkeys(task for question in self.questions for task, _ in self._open(question))
        for signature, rival in self._standing():
            # One refuting cell is enough, so more seeds go only to the one that is nearest to it.
            still_open = [
                cell for question in self._asked(signature) for cell in self._open(question, rival.prediction)
            ]
            more |= {task: None for task, _ in sorted(still_open, key=lambda cell: -cell[1].absent_log10)[:1]}
        return list(more)

    def _asked(self, signature: Signature) -> list[Question]:
        """Where a rival of the signature would be refuted: one experiment that can tell them apart is enough."""
        return [question for question in self.questions if question.gates and question.signature is signature]

    def _against(self, signature: Signature, rival: Rival) -> list[Decision]:
        """What each cell says of a rival."""
        asked = self._asked(signature)
        return [decision for question in asked for decision in self._judge(question, rival.prediction)]

    def _standing(self) -> list[tuple[Signature, Rival]]:
        """Rivals that nothing has refuted, with the signature that they rival."""
        signatures = {question.signature.name: question.signature for question in self.questions if question.gates}
        return [
            (signature, rival)
            for signature in signatures.values()
            for rival in signature.rivals.values()
            if not any(_refutes(decision) for decision in self._against(signature, rival))
        ]

    def _open(self, question: Question, rival: Prediction | None = None) -> list[tuple[Task, Decision]]:
        """The undecided cells below the cap which could still matter: not frozen, nor in a condition that is broken."""
        cells, decisions = self._cells(question, rival), self._judge(question, rival)
        places = [task for task in question.tasks for _ in range(len(cells) // len(question.tasks))]
        broken = {task for task, decision in zip(places, decisions, strict=True) if decision.verdict == "absent"}
        cap = self.rules[question.family].max_seeds
        return [
            (task, decision)
            for task, cell, decision in zip(places, cells, decisions, strict=True)
            if decision.verdict == "undecided" and not cell.frozen and task not in broken and task.seeds < cap
        ]

    def outcome(self, declaration: str, environment: Mapping[str, Any], seconds: float) -> Verification:
        """The verdict from what has been observed so far."""
        sweeps = [q for q in self.questions if q.assumption is None]
        results = [self._result(question) for question in sweeps]
        controls = self._controls()
        claims = [_claim(result) for result in results if result.primary]
        gates = [_gate(control) for control in controls if not control.ok]
        gates += [
            f"supported, not discriminating: the data do not refute the rival {rival.name!r} of {signature.name}"
            for signature, rival in self._standing()
        ]
        conclusion = conclude_idea(claims, gates)
        kept = [name for name in self.idea.assumptions if name not in {control.assumption for control in controls}]
        remarks = [*conclusion.remarks, *([f"not taken away here: {', '.join(kept)}"] if kept else [])]
        tasks = dict.fromkeys(task for question in self.questions for task in question.tasks)
        batches = [batch for task in tasks for batch in task.batches]
        cost = Cost(
            seconds=seconds,
            seeds=sum(batch.seeds for batch in batches),
            gradient_evaluations=sum(batch.gradient_evaluations for batch in batches),
            reused_seeds=sum(batch.seeds for batch in batches if batch.reused),
        )
        return Verification(
            idea=self.idea.name,
            statement=self.idea.statement,
            verdict=conclusion.verdict,
            scope=conclusion.scope,
            evidence_log10=self._evidence(results),
            declaration=declaration,
            signatures=tuple(results),
            controls=tuple(controls),
            gates=conclusion.gates,
            remarks=tuple(remarks),
            cost=cost,
            environment=environment,
        )

    def _evidence(self, results: Sequence[SignatureResult]) -> float:
        """log10 of the weakest link: of any cell that the theory holds, of any rival that it does not."""
        primary = [result for result in results if result.primary]
        core = [result for result in primary if result.level == "idealized"] or primary
        signatures = {question.signature.name: question.signature for question in self.questions if question.gates}
        rivals = [
            _mean_evidence([d.absent_log10 for d in self._against(signature, rival) if math.isfinite(d.absent_log10)])
            for signature in signatures.values()
            for rival in signature.rivals.values()
        ]
        return min((*(result.evidence_log10 for result in core), *rivals), default=-math.inf)

    def _cells(self, question: Question, rival: Prediction | None = None) -> list[Comparison]:
        """Cells in the order condition by condition, within it checkpoint by checkpoint."""
        cells: list[Comparison] = []
        for task in question.tasks:
            key = (id(task), len(task.batches), id(question.signature), rival)
            if key not in self._compared:
                self._compared[key] = compare(question.signature, task, rival)
            cells += self._compared[key]
        return cells

    def _judge(self, question: Question, rival: Prediction | None = None) -> list[Decision]:
        key = (id(question), rival, *(len(task.batches) for task in question.tasks))
        if key not in self._judged:
            cells = self._cells(question, rival)
            rules, estimand = self.rules[question.family], question.signature.criterion.estimand
            decisions = judge_cells([cell.deviations for cell in cells], rules, estimand)
            earlier = self._decided.setdefault((id(question), rival), {})
            decisions = [earlier.get(i, decision) for i, decision in enumerate(decisions)]
            earlier |= {i: decision for i, decision in enumerate(decisions) if decision.verdict != "undecided"}
            self._judged[key] = [
                replace(decision, verdict="undecided", note=_FROZEN) if cell.frozen else decision
                for cell, decision in zip(cells, decisions, strict=True)
            ]
        return self._judged[key]

    def _result(self, question: Question) -> SignatureResult:
        signature, experiment = question.signature, question.experiment
        cells = self._cells(question)
        decisions = self._judge(question)
        labels = checkpoint_labels(experiment, signature.observable)
        places = [(task, label) for task in question.tasks for label in labels]
        verdicts: list[CellVerdict] = [decision.verdict for decision in decisions]
        edges = list(pairwise(range(0, len(verdicts) + 1, len(labels))))
        conclusion = conclude_signature(
            [(task.label, verdicts[a:b]) for task, (a, b) in zip(question.tasks, edges, strict=True)]
        )
        standing = [rival.name for rivalled, rival in self._standing() if rivalled is signature and question.gates]
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
            evidence_log10=min(decision.evidence_log10 for decision in decisions),
            seeds=max(decision.seeds for decision in decisions),
            cells=tuple(
                _cell(task.label, label, cell, decision, signature.criterion.estimand)
                for (task, label), cell, decision in zip(places, cells, decisions, strict=True)
            ),
            rivals_standing=tuple(standing),
        )

    def _controls(self) -> list[ControlResult]:
        asked: dict[Task, list[Question]] = {}
        for question in self.questions:
            if question.assumption is not None:
                asked.setdefault(question.tasks[0], []).append(question)
        return [self._control(task, questions) for task, questions in asked.items()]

    def _control(self, task: Task, questions: Sequence[Question]) -> ControlResult:
        assumption = self.idea.assumptions[task.assumption]
        results = {id(question.signature): self._result(question) for question in questions}
        rival = results.pop(id(assumption.rival), None) if assumption.rival is not None else None
        return ControlResult(
            assumption=assumption.name,
            statement=assumption.statement,
            experiment=task.experiment.name,
            condition=str(task.condition),
            expected=assumption.removal,
            seen=seen_of([_held(result) for result in results.values()]),
            signatures=tuple(results.values()),
            rival=rival,
        )


def _cell(condition: str, checkpoint: str, cell: Comparison, decision: Decision, estimand: str) -> CellResult:
    used = slice(0, decision.seeds)
    # A seed whose measurement is lost is in the note; the median is that of the others.
    centre = np.nanmedian if estimand == "median" else np.mean

    def middle(values: Floats) -> float:
        return float(centre(values[used])) if decision.seeds else math.nan

    with np.errstate(all="ignore"):
        differences = cell.measured - cell.predicted
        away = differences[used] - middle(differences)
        # The median's spread from the median absolute deviation, as for normal seeds: 1.48 and sqrt(pi/2).
        spread = 1.858 * middle(np.abs(away)) if estimand == "median" else math.sqrt(float(np.sum(away**2)))
    degrees = max(decision.seeds - 1, 1) if estimand == "mean" else 1
    return CellResult(
        condition=condition,
        checkpoint=checkpoint,
        predicted=middle(cell.predicted),
        measured=middle(cell.predicted) + middle(differences),
        standard_error=spread / math.sqrt(max(decision.seeds, 1) * degrees) if decision.seeds > 1 else math.nan,
        tolerance=middle(cell.tolerances),
        deviation=middle(cell.deviations),
        verdict=decision.verdict,
        evidence_log10=decision.evidence_log10,
        seeds=decision.seeds,
        note=decision.note,
    )


def _held(result: SignatureResult) -> SignatureVerdict:
    """The verdict on a signature without an assumption; a crash of the simulation is no break of the theory."""
    crashed = any(cell.verdict == "absent" and cell.note for cell in result.cells)
    return "inconclusive" if crashed else result.verdict


def _refutes(decision: Decision) -> bool:
    """Whether a cell speaks against a rival; one that predicts no finite number was not put to the test."""
    return decision.verdict == "absent" and math.isfinite(decision.absent_log10)


def _mean_evidence(logs: Sequence[float]) -> float:
    """log10 of the mean over cells of the two-sided evidence: a mean of e-values is one, their maximum is not."""
    return (
        float(np.logaddexp.reduce(np.array(logs) * math.log(10))) / math.log(10) - math.log10(2 * len(logs))
        if logs
        else -math.inf
    )


def _claim(result: SignatureResult) -> Claim:
    conclusion = SignatureConclusion(result.verdict, result.scope, result.refuted_as_stated)
    return Claim(result.name, conclusion, result.level == "idealized", f"in {result.experiment}")


def _gate(control: ControlResult) -> str:
    should = {"breaks": "break", "does_not_matter": "not matter"}[control.expected]
    did = {"breaks": "broke", "does_not_matter": "did not matter", "undecided": "is undecided"}[control.seen]
    if control.seen == control.expected and control.rival is not None:
        return f"control {control.assumption}: it {did}, but the theory of the broken case is {control.rival.verdict}"
    return f"control {control.assumption}: should {should}, {did}"
