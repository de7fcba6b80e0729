"""Brings what was observed before the judge: which questions there are, and what each cell says so far."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from idealab.assess.comparison import Comparator, Place, check_axis, checkpoints_of
from idealab.compute.run import Task
from idealab.experiment import Experiment
from idealab.idea import Assumption, Idea, Rival, Signature
from idealab.judge.cells import Decision, Rules, judge_cells
from idealab.symbolic.prediction import Prediction


@dataclass(frozen=True)
class Question:
    """One signature asked of the conditions of one experiment: its sweep, or one condition without an assumption."""

    signature: Signature
    experiment: Experiment
    tasks: tuple[Task, ...]
    assumption: Assumption | None = None

    @property
    def cells(self) -> int:
        """How many cells it is judged on, at most."""
        argument, values = checkpoints_of(self.signature, self.experiment)
        criterion, conditions = self.signature.criterion, len({task.place for task in self.tasks})
        if criterion.along and criterion.along != argument:
            return criterion.count(conditions)
        return conditions * criterion.count(len(values))

    @property
    def family(self) -> str:
        """Which rules it is judged by: sweeps decide the idea, controls the gates, each with its own error budget."""
        return self.experiment.name if self.assumption is None else f"controls of {self.experiment.name}"

    @property
    def gates(self) -> bool:
        """Whether a rival that is not refuted here lowers the verdict on the idea."""
        return self.assumption is None and self.signature.primary and self.experiment.level == "idealized"


def questions_of(idea: Idea, signatures: Sequence[Signature], tasks: Sequence[Task]) -> list[Question]:
    """Everything that will be judged: the sweeps, then what each control must show.

    Raises
    ------
    DeclarationError
        If a criterion is claimed along an axis that is not there, or that has too few points.
    """
    found: list[Question] = []
    for experiment in dict.fromkeys(task.experiment.name for task in tasks):
        sweep = tuple(task for task in tasks if task.experiment.name == experiment and not task.assumption)
        for signature in signatures:
            if sweep and signature.observable in sweep[0].experiment.observables:
                found.append(Question(signature, sweep[0].experiment, sweep))
    controls: dict[tuple[str, str], list[Task]] = {}
    for task in tasks:
        if task.assumption:
            controls.setdefault((task.experiment.name, task.assumption), []).append(task)
    for (_, name), group in controls.items():
        assumption = idea.assumptions[name]
        shown = [signature for signature in signatures if signature.name in assumption.signatures]
        asked = [*shown, assumption.rival] if assumption.rival is not None else shown
        found += [Question(signature, group[0].experiment, tuple(group), assumption) for signature in asked]
    for question in found:
        check_axis(question.signature, question.experiment, question.tasks)
    return found


def rules_of(questions: Sequence[Question]) -> dict[str, Rules]:
    """The rules for each family of questions: *absent* must hold against all cells that could decide alike."""
    sweeps, controls = (sum(q.cells for q in questions if (q.assumption is None) is sweep) for sweep in (True, False))
    return {q.family: Rules(q.experiment.max_seeds, sweeps if q.assumption is None else controls) for q in questions}


class Assessment:
    """The judge at work on a run: pure in what was observed, so that a record can be judged again."""

    def __init__(
        self, idea: Idea, questions: Sequence[Question], rules: Mapping[str, Rules], epsilon: float = 2.0**-52
    ) -> None:
        self.idea, self.questions, self.rules = idea, questions, rules
        self.comparator = Comparator(epsilon)
        # What was compared and judged, with how many batches there were then; what is older is not kept.
        self._compared: dict[tuple[int, Prediction | None], tuple[list[int], list[Place]]] = {}
        self._judged: dict[tuple[int, Prediction | None], tuple[list[int], list[Decision]]] = {}

    @property
    def tasks(self) -> list[Task]:
        """Every task that a question looks at, once."""
        return list(dict.fromkeys(task for question in self.questions for task in question.tasks))

    def undecided(self) -> list[Task]:
        """Tasks in which more seeds could still decide a cell."""
        more = dict.fromkeys(
            task for question in self.questions for place, _ in self.open(question) for task in _next(place)
        )
        for signature, rival in self.standing():
            # One refuting cell is enough, so more seeds go only to the one that is nearest to it.
            still_open = [cell for question in self.asked(signature) for cell in self.open(question, rival.prediction)]
            if still_open:
                nearest, _ = max(still_open, key=lambda cell: cell[1].absent_log10)
                more |= dict.fromkeys(_next(nearest))
        return list(more)

    def asked(self, signature: Signature) -> list[Question]:
        """Where a rival of the signature would be refuted: one experiment that can tell them apart is enough."""
        return [question for question in self.questions if question.gates and question.signature is signature]

    @property
    def gating(self) -> list[Signature]:
        """Primary signatures that an idealized experiment measures."""
        return list(
            {question.signature.name: question.signature for question in self.questions if question.gates}.values()
        )

    def against(self, signature: Signature, rival: Rival) -> list[Decision]:
        """What each cell says of a rival."""
        return [d for question in self.asked(signature) for d in self.decisions(question, rival.prediction)]

    def standing(self) -> list[tuple[Signature, Rival]]:
        """Rivals that nothing has refuted, with the signature that they rival."""
        return [
            (signature, rival)
            for signature in self.gating
            for rival in signature.rivals.values()
            if not any(_refutes(decision) for decision in self.against(signature, rival))
        ]

    def open(self, question: Question, rival: Prediction | None = None) -> list[tuple[Place, Decision]]:
        """The undecided cells below the cap which could still matter.

        Not those that are held or were given up, nor those of a condition that is broken already.
        """
        judged = list(zip(self.places(question, rival), self.decisions(question, rival), strict=True))
        cap = min(self.rules[question.family].max_seeds, question.experiment.cap)
        broken = {place.condition for place, decision in judged if decision.verdict == "absent"}
        return [
            (place, decision)
            for place, decision in judged
            if decision.verdict == "undecided" and not decision.given_up
            if not place.cell.held and place.condition not in broken
            if min(task.seeds for task in place.tasks) < cap
        ]

    def places(self, question: Question, rival: Prediction | None = None) -> list[Place]:
        """Cells in the order condition by condition, within it checkpoint by checkpoint."""
        batches = [len(task.batches) for task in question.tasks]
        seen, places = self._compared.get((id(question), rival), ([], []))
        if seen != batches:
            places = self.comparator.places(question.signature, question.tasks, rival)
            self._compared[id(question), rival] = batches, places
        return places

    def decisions(self, question: Question, rival: Prediction | None = None) -> list[Decision]:
        """What each of the places says so far."""
        batches = [len(task.batches) for task in question.tasks]
        seen, decisions = self._judged.get((id(question), rival), ([], []))
        if seen != batches:
            cells = [place.cell for place in self.places(question, rival)]
            decisions = judge_cells(cells, self.rules[question.family])
            self._judged[id(question), rival] = batches, decisions
        return decisions


def _next(place: Place) -> list[Task]:
    """The tasks that need seeds next: a cell along a knob has as many as the condition that has fewest."""
    fewest = min(task.seeds for task in place.tasks)
    return [task for task in place.tasks if task.seeds == fewest]


def _refutes(decision: Decision) -> bool:
    """Whether a cell speaks against a rival; one that predicts no finite number was not put to the test."""
    return decision.verdict == "absent" and not decision.lost
