"""Wrong theories before the judge, on what was recorded for the right one: could the verification have failed?"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np

from idealab.assess.assessment import Assessment, Question
from idealab.assess.comparison import Place, checkpoints_of
from idealab.cache import remembered
from idealab.compute.run import Task
from idealab.idea import Signature
from idealab.judge.cells import Rules, judge_cells
from idealab.judge.evidence import Floats
from idealab.judge.shapes import Threshold, Trend
from idealab.symbolic.canonical import identity
from idealab.symbolic.equivalence import differs, distinct_mutants
from idealab.symbolic.mutation import OPERATORS, Mutant, Mutants, Ranges, log_values, mutants_of
from idealab.symbolic.prediction import Prediction
from idealab.verification import MutantResult, MutationResult

_OPERATORS = tuple(name for name in OPERATORS if name != "log to power")  # that one needs to see the data

_WHOLE = ("x2", "x1/2", "sign")
"""Mutants of the whole formula: these must be killed even where the tolerance is too wide to resolve them."""

_RESOLVED = 1 + 1e-6  # tolerances: a tenth more is not told from the theory by a tolerance of a tenth
_SAME = 1e-9
_APART = 2.0  # tolerances: beyond it no truth lies within the bands of both
_OPPOSITE = 10.0  # what stands for a distance where the other direction is claimed, whose size nobody claims

_MOST_CELLS = 12  # that are asked to kill a mutant, those in which it is furthest off first


@dataclass(frozen=True)
class Design:
    """The mutants of one signature before anything is run: those to kill, and those that no cell can show."""

    signature: Signature
    mutants: tuple[Mutant, ...]
    unseen: tuple[Mutant, ...]
    equivalent: int
    refused: tuple[str, ...]


@lru_cache(maxsize=256)
def _distinct(prediction: Prediction, by_sign: bool) -> tuple[Mutants, int]:
    """As `distinct_mutants`, in this process or an earlier one; all that decides them is in its folder's source."""
    key = repr((identity(prediction.expression, *prediction.by_log), by_sign, _OPERATORS))
    return remembered("mutants", key, lambda: distinct_mutants(prediction, _OPERATORS, by_sign))


def designs_of(questions: Sequence[Question]) -> list[Design]:
    """The mutants of every signature that a sweep measures, and which of them the declared conditions cannot show.

    A mutant that equals the theory at every declared setting and checkpoint, whatever the instance, is a fault of the
    design: a parameter was left at one, say.
    """
    designs: list[Design] = []
    for asked in _asked(questions).values():
        signature = asked[0].signature
        # Of a trend only the direction is claimed.
        made, equivalent = _distinct(signature.prediction, isinstance(signature.criterion, Trend))
        seen = {mutant: any(_shows(question, mutant) for question in asked) for mutant in made.mutants}
        designs.append(
            Design(
                signature,
                tuple(mutant for mutant in made.mutants if seen[mutant]),
                tuple(mutant for mutant in made.mutants if not seen[mutant]),
                equivalent,
                made.refused,
            )
        )
    return designs


def _asked(questions: Sequence[Question]) -> dict[str, list[Question]]:
    """The sweeps in which each signature is measured, the idealized ones first."""
    found: dict[str, list[Question]] = {}
    for question in sorted(questions, key=lambda q: q.experiment.level != "idealized"):
        if question.assumption is None:
            found.setdefault(question.signature.name, []).append(question)
    return found


def _shows(question: Question, mutant: Mutant) -> bool:
    signature = question.signature
    argument, values = checkpoints_of(signature, question.experiment)
    rows: list[dict[str, float]] = []
    wanted = signature.prediction.arguments
    for task in question.tasks:
        settings = {k: float(v) for k, v in task.condition.settings.items() if not isinstance(v, (str, bool))}
        rows += [settings | ({argument: value} if argument else {}) for value in values]
    fixed = {name: [row[name] for row in rows] for name in wanted if all(name in row for row in rows)}
    return differs(signature.prediction, mutant.prediction, fixed, by_sign=isinstance(signature.criterion, Trend))


def kill(assessment: Assessment, designs: Sequence[Design]) -> MutationResult:
    """Judge every mutant on the recorded observations: no seed is run for it.

    A mutant is *killed* when some cell refutes it, at the threshold for as many cells as it is judged on. It is
    *unresolvable* when it lies within the declared tolerance of the theory in every cell, so that the declaration
    itself does not tell them apart; else it *survived*, and is something that the experiment cannot tell. One that must
    be killed gates the verdict where its band and the theory's do not overlap, so that no truth could satisfy both; a
    mutant of the whole formula does so in any case.
    """
    results: list[MutantResult] = []
    asked = _asked(assessment.questions)
    equivalent, refused = sum(design.equivalent for design in designs), [r for d in designs for r in d.refused]
    for design in designs:
        signature = design.signature
        trial = _Trial(assessment, signature, asked[signature.name])
        powers = mutants_of(signature.prediction, ("log to power",), trial.ranges())
        results += [trial.result(mutant) for mutant in (*design.mutants, *powers.mutants)]
        results += [trial.unseen(mutant) for mutant in design.unseen]
    return MutationResult(tuple(results), equivalent, tuple(refused))


def unkilled(assessment: Assessment, designs: Sequence[Design]) -> list[Task]:
    """Tasks whose next seeds may kill a mutant that must be killed and is not, one for each, below their caps."""
    asked = _asked(assessment.questions)
    more: dict[Task, None] = {}
    for design in designs:
        trial = _Trial(assessment, design.signature, asked[design.signature.name])
        for mutant in design.mutants:
            if mutant.operator in design.signature.must_kill and trial.result(mutant).gates:
                more |= dict.fromkeys(trial.nearest(mutant))
    return list(more)


class _Trial:
    """The observations of one signature, against which its mutants are held."""

    def __init__(self, assessment: Assessment, signature: Signature, questions: Sequence[Question]) -> None:
        self.assessment, self.signature = assessment, signature
        self.questions = [q for q in questions if any(task.seeds for task in q.tasks)]
        cells = sum(len(assessment.places(question)) for question in self.questions)
        self.rules = {id(q): Rules(q.experiment.max_seeds, cells, gives_up=False) for q in self.questions}

    def ranges(self) -> Ranges:
        """The values that the logarithms in the prediction take over all cells."""
        known = [
            log_values(self.signature.prediction, self.assessment.comparator.arguments(self.signature, task))
            for question in self.questions
            for task in question.tasks
            if task.seeds
        ]

        def values(argument: object) -> Floats | None:
            found = [part(argument) for part in known]  # pyright: ignore[reportArgumentType]
            columns = [np.ravel(np.asarray(part)) for part in found if part is not None]
            return np.concatenate(columns) if columns else None

        return values

    def result(self, mutant: Mutant) -> MutantResult:
        """Whether some cell refutes it; the idealized experiments are asked first."""
        furthest = 0.0
        for question in self.questions:
            judged = sorted(self._distances(question, mutant.prediction), key=lambda pair: -pair[1])
            furthest = max([furthest, *(distance for _, distance in judged)])
            for place, _ in [pair for pair in judged if pair[1] > _RESOLVED][:_MOST_CELLS]:
                (decision,) = judge_cells([place.cell], self.rules[id(question)])
                if decision.verdict == "absent" and not decision.lost:
                    return self._said(mutant, "killed", furthest, question, place)
        if math.isinf(furthest):
            return self._said(mutant, "undefined", math.inf)
        # Between two points of a threshold lie many values that are seen to differ, and fare alike.
        apart = furthest > _SAME or isinstance(self.signature.criterion, Threshold)
        status = "survived" if furthest > _RESOLVED else "unresolvable" if apart else "unseen"
        return self._said(mutant, status, furthest)

    def nearest(self, mutant: Mutant) -> list[Task]:
        """The tasks of the open cell below its cap in which the mutant is furthest off; none if it is off in none."""
        judged = [
            (distance, place, self.rules[id(q)])
            for q in self.questions
            if q.gates
            for place, distance in self._distances(q, mutant.prediction)
            if _RESOLVED < distance < math.inf and not place.cell.held
        ]
        for _, place, rules in sorted(judged, key=lambda one: -one[0]):
            open_still = [task for task in place.tasks if task.seeds < task.experiment.cap]
            if open_still and judge_cells([place.cell], rules)[0].verdict == "undecided":
                return open_still
        return []

    def unseen(self, mutant: Mutant) -> MutantResult:
        """The result for a mutant that no declared condition can show."""
        return self._said(mutant, "unseen", 0.0)

    def supported(self, mutant: Mutant, questions: Iterable[Question]) -> bool:
        """Whether the same data say that the mutant is present in all of these."""
        decisions = [
            decision
            for question in questions
            for decision in judge_cells(
                [place.cell for place in self._places(question, mutant.prediction)],
                self.assessment.rules[question.family],
            )
        ]
        return bool(decisions) and all(decision.verdict == "present" for decision in decisions)

    def _said(
        self, mutant: Mutant, status: str, distance: float, question: Question | None = None, place: Place | None = None
    ) -> MutantResult:
        where = ""
        if question is not None and place is not None:
            where = ", ".join(part for part in (question.experiment.name, place.condition, place.cell.label) if part)
        must = mutant.operator in self.signature.must_kill
        alive = status not in ("killed", "undefined") and (mutant.operator in _WHOLE or distance > _APART)
        return MutantResult(
            signature=self.signature.name,
            operator=mutant.operator,
            words=mutant.words,
            formula=mutant.prediction.inline,
            status=status,  # pyright: ignore[reportArgumentType]
            distance=distance,
            where=where,
            gates=must and alive and any(q.gates for q in self.questions),
        )

    def _places(self, question: Question, shown: Prediction) -> list[Place]:
        return self.assessment.comparator.places(self.signature, question.tasks, shown)

    def _distances(self, question: Question, shown: Prediction) -> list[tuple[Place, float]]:
        """The cells of a mutant, and how far off it would be in each if the theory held exactly, in tolerances."""
        places = self._places(question, shown)
        criterion = self.signature.criterion
        if criterion.along or question.experiment.refinement:
            theory = self.assessment.places(question)
            shifts = [p.cell.deviations - t.cell.deviations for p, t in zip(places, theory, strict=True)]
        else:
            curves = self.assessment.comparator.curves(self.signature, question.tasks, shown)
            exact = [replace(curve, measured=curve.own, lost=np.zeros_like(curve.lost)) for curve in curves]
            shifts = [cell.deviations for curve in exact for cell in criterion.cells(curve)]
            places = [place for place in places if place.cell.seeds]
        return [(place, _size(shift, place.cell.one_sided)) for place, shift in zip(places, shifts, strict=True)]


def _size(shift: Floats, one_sided: bool) -> float:
    mean = float(np.mean(shift)) if len(shift) else 0.0
    if math.isnan(mean):
        return math.inf  # the mutant predicts no finite number
    if one_sided:
        return _OPPOSITE if np.any(np.abs(shift) > _SAME) else 0.0
    return abs(mean)


def hints_for_repair(
    assessment: Assessment, designs: Sequence[Design], refuted: Mapping[str, Sequence[str]]
) -> list[str]:
    """For each refuted signature the mutants that the same data support: where to look for the error, and no result.

    Parameters
    ----------
    refuted
        Names of refuted signatures, each with the experiments that refute it.
    """
    asked = _asked(assessment.questions)
    words: list[str] = []
    for design in designs:
        signature = design.signature
        questions = [q for q in asked[signature.name] if q.experiment.name in refuted.get(signature.name, ())]
        if not questions:
            continue
        trial = _Trial(assessment, signature, questions)
        fits = [mutant.words for mutant in design.mutants if trial.supported(mutant, questions)]
        if fits:
            words.append(f"{signature.name}: refuted as stated; would be present with: {'; '.join(fits[:5])}")
    return words
