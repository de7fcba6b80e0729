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
from idealab.idea import Assumption, Idea, Signature
from idealab.judge.verdict import (
    Claim,
    Decision,
    Rules,
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


class Assessment:
    """The judge at work on a run: pure in what was observed, so that a record can be judged again."""

    def __init__(self, idea: Idea, questions: Sequence[Question], rules: Mapping[str, Rules]) -> None:
        self.idea, self.questions, self.rules = idea, questions, rules

    def undecided(self) -> list[Task]:
        """Tasks in which more seeds could still decide a cell."""
        more: dict[Task, None] = {}
        for question in self.questions:
            more |= dict.fromkeys(task for task, _ in self._open(question))
            for rival in question.signature.rivals.values() if question.gates else ():
                if not self._refuted(question, rival.prediction):
                    # One refuting cell is enough, so more seeds go only to the one that is nearest to it.
                    still_open = self._open(question, rival.prediction)
                    more |= {task: None for task, _ in sorted(still_open, key=lambda item: -item[1].absent_log10)[:1]}
        return list(more)

    def _open(self, question: Question, rival: Prediction | None = None) -> list[tuple[Task, Decision]]:
        """The undecided cells below the cap, which are not frozen."""
        cells = self._cells(question, rival)
        places = [task for task in question.tasks for _ in range(len(cells) // len(question.tasks))]
        return [
            (task, decision)
            for task, cell, decision in zip(places, cells, self._judge(question, cells), strict=True)
            if decision.verdict == "undecided" and not cell.frozen and task.seeds < self._cap(question)
        ]

    def outcome(self, declaration: str, environment: Mapping[str, Any], seconds: float) -> Verification:
        """The verdict from what has been observed so far."""
        sweeps = [q for q in self.questions if q.assumption is None]
        results = [self._result(question) for question in sweeps]
        controls = self._controls()
        claims = [_claim(q.signature, result) for q, result in zip(sweeps, results, strict=True) if q.signature.primary]
        gates = [_gate(control) for control in controls if not control.ok]
        gates += [
            f"supported, not discriminating: the data do not refute the rival {rival!r} of {result.name}"
            for result in results
            for rival in result.rivals_standing
            if result.primary and result.level == "idealized"
        ]
        conclusion = conclude_idea(claims, gates)
        primary = [result for result in results if result.primary]
        core = [result for result in primary if result.level == "idealized"] or primary
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
            evidence_log10=min((result.evidence_log10 for result in core), default=-math.inf),
            declaration=declaration,
            signatures=tuple(results),
            controls=tuple(controls),
            gates=conclusion.gates,
            remarks=conclusion.remarks,
            cost=cost,
            environment=environment,
        )

    def _cap(self, question: Question) -> int:
        return self.rules[question.experiment.name].max_seeds

    def _cells(self, question: Question, rival: Prediction | None = None) -> list[Comparison]:
        """Cells in the order condition by condition, within it checkpoint by checkpoint."""
        return [cell for task in question.tasks for cell in compare(question.signature, task, rival)]

    def _judge(self, question: Question, cells: Sequence[Comparison]) -> list[Decision]:
        decisions = judge_cells(
            [cell.deviations for cell in cells],
            self.rules[question.experiment.name],
            question.signature.criterion.estimand,
        )
        return [
            replace(decision, verdict="undecided", note=_FROZEN) if cell.frozen else decision
            for cell, decision in zip(cells, decisions, strict=True)
        ]

    def _result(self, question: Question) -> SignatureResult:
        signature, experiment = question.signature, question.experiment
        cells = self._cells(question)
        decisions = self._judge(question, cells)
        labels = checkpoint_labels(experiment, signature.observable)
        places = [(task, label) for task in question.tasks for label in labels]
        verdicts = [decision.verdict for decision in decisions]
        edges = list(pairwise(range(0, len(verdicts) + 1, len(labels))))
        conclusion = conclude_signature(
            [(task.label, verdicts[a:b]) for task, (a, b) in zip(question.tasks, edges, strict=True)]
        )
        rivals = {} if question.assumption is not None else signature.rivals
        standing = [name for name, rival in rivals.items() if not self._refuted(question, rival.prediction)]
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
                _cell(task.label, label, cell, decision)
                for (task, label), cell, decision in zip(places, cells, decisions, strict=True)
            ),
            rivals_standing=tuple(standing),
        )

    def _refuted(self, question: Question, rival: Prediction) -> bool:
        return any(decision.verdict == "absent" for decision in self._judge(question, self._cells(question, rival)))

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
            seen=seen_of([result.verdict for result in results.values()]),
            signatures=tuple(results.values()),
            rival=rival,
        )


def _cell(condition: str, checkpoint: str, cell: Comparison, decision: Decision) -> CellResult:
    used = slice(0, decision.seeds)
    predicted, measured = cell.predicted[used], cell.measured[used]
    with np.errstate(all="ignore"):
        error = (
            float(np.std(measured - predicted, ddof=1)) / math.sqrt(max(decision.seeds, 1))
            if decision.seeds > 1
            else math.nan
        )
    return CellResult(
        condition=condition,
        checkpoint=checkpoint,
        predicted=float(np.mean(predicted)) if decision.seeds else math.nan,
        measured=float(np.mean(measured)) if decision.seeds else math.nan,
        standard_error=error,
        tolerance=float(np.mean(cell.tolerances[used])) if decision.seeds else math.nan,
        deviation=float(np.mean(cell.deviations[used])) if decision.seeds else math.nan,
        verdict=decision.verdict,
        evidence_log10=decision.evidence_log10,
        seeds=decision.seeds,
        note=decision.note,
    )


def _claim(signature: Signature, result: SignatureResult) -> Claim:
    conditions = list(dict.fromkeys(cell.condition for cell in result.cells))
    good = [all(c.verdict == "present" for c in result.cells if c.condition == label) for label in conditions]
    stretch = good.index(False) if False in good else len(good)
    conclusion = conclude_signature(
        [(label, [c.verdict for c in result.cells if c.condition == label]) for label in conditions]
    )
    return Claim(signature.name, conclusion, result.level == "idealized", f"in {result.experiment}", stretch)


def _gate(control: ControlResult) -> str:
    should = {"breaks": "break", "does_not_matter": "not matter"}[control.expected]
    did = {"breaks": "broke", "does_not_matter": "did not matter", "undecided": "is undecided"}[control.seen]
    if control.seen == control.expected and control.rival is not None:
        return f"control {control.assumption}: it {did}, but the theory of the broken case is {control.rival.verdict}"
    return f"control {control.assumption}: should {should}, {did}"
