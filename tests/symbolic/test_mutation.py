import math
import os
import subprocess
import sys

import numpy as np
import pytest
import sympy as sp

import idealab
from idealab.symbolic.equivalence import differs
from idealab.symbolic.mutation import MUST_KILL, OPERATORS, log_values, mutants_of
from idealab.symbolic.prediction import Prediction

SIGNATURES = idealab.load("max_margin").signatures

eta, gamma, t, c = sp.symbols("eta gamma t c", positive=True)
x, y = sp.symbols("x y", real=True)
n, m, j, k = sp.symbols("n m j k", integer=True)
p, q = sp.IndexedBase("p", positive=True), sp.IndexedBase("q", positive=True)
pinv = sp.IndexedBase("pinv")


def over(term):
    return sp.Sum(term, (n, 0, k - 1))


def formulas(expression, operator, **options):
    """What an operator makes of an expression: words and formulas."""
    found = mutants_of(Prediction(expression), [operator], **options).mutants
    assert {mutant.operator for mutant in found} <= {operator}
    return {mutant.words: mutant.prediction.expression for mutant in found}


CASES = {
    "x2": (x + y, {"2 times": 2 * x + 2 * y}),
    "x1/2": (x, {"1/2 times": x / 2}),
    "x1.1": (x, {"1.1 times": sp.Rational(11, 10) * x}),
    "x0.9": (x, {"0.9 times": sp.Rational(9, 10) * x}),
    "x1.05": (x, {"1.05 times": sp.Rational(21, 20) * x}),
    "x0.95": (x, {"0.95 times": sp.Rational(19, 20) * x}),
    "sign": (x - y, {"its sign": y - x}),
    "leaf x2": (gamma**2 - 3, {"γ² → γ⁴": gamma**4 - 3, "γ² - 3 → γ² - 6": gamma**2 - 6}),
    "leaf /2": (sp.Min(1, x), {"Min(1, x) → Min(1/2, x)": sp.Min(sp.Rational(1, 2), x)}),
    "leaf +1": (sp.exp(-2 * t), {"-2·t → -t": sp.exp(-t)}),
    "leaf -1": (sp.pi + x, {"x + π → x - 1 + π": sp.pi - 1 + x}),
    "exponent +1": (x * gamma**2, {"γ² → γ³": x * gamma**3, "x → x²": x**2 * gamma**2}),
    "exponent -1": (eta / gamma, {"1/γ → γ^(-2)": eta / gamma**2, "η → 1": 1 / gamma}),
    "exponent +1/2": (sp.sqrt(t), {"√t → t": t}),
    "exponent -1/2": (p[n], {"p[n] → √p[n]": sp.sqrt(p[n])}),
    "exponent x1.1": ((1 + t) ** -c, {
        "(t + 1)^(-c) → (t + 1)^(-11·c/10)": (1 + t) ** (-sp.Rational(11, 10) * c),
        "t → t^(11/10)": (1 + t ** sp.Rational(11, 10)) ** -c,
        "c → c^(11/10)": (1 + t) ** -(c ** sp.Rational(11, 10)),
    }),
    "symbol swapped": (eta * gamma**2, {"η and γ swapped": gamma * eta**2}),
    "symbol dropped": (eta * over(p[n] * c), {"1 for c": eta * over(p[n]), "1 for η": over(p[n] * c)}),
    "symbol squared": (x + over(p[n]), {"x² for x": x**2 + over(p[n]), "p² for p": x + over(p[n] ** 2)}),
    "symbol rooted": (gamma**2 * t, {"√γ for γ": gamma * t, "√t for t": gamma**2 * sp.sqrt(t)}),
    "term dropped": (sp.log(x - y), {"without the term x": sp.log(-y), "without the term -y": sp.log(x)}),
    "term flipped": (x - 3, {"the term x with the other sign": -x - 3, "the term -3 with the other sign": x + 3}),
    "term x2": (sp.Max(x, y), {"2 times the term x": sp.Max(2 * x, y), "2 times the term y": sp.Max(x, 2 * y)}),
    "term x1.1": (x + over(p[n] + 1), {
        "1.1 times the term x": sp.Rational(11, 10) * x + over(p[n] + 1),
        "1.1 times the term p[n]": x + over(sp.Rational(11, 10) * p[n] + 1),
        "1.1 times the term 1": x + over(p[n] + sp.Rational(11, 10)),
        "1.1 times the term Sum(p[n] + 1, (n, 0, k - 1))": x + sp.Rational(11, 10) * over(p[n] + 1),
    }),
    "factor dropped": (-2 * eta / gamma, {
        "without the factor -2": eta / gamma,
        "without the factor η": -2 / gamma,
        "without the factor 1/γ": -2 * eta,
    }),
    "log to identity": (over(p[n] * sp.log(p[n])), {"log(p[n]) → p[n]": over(p[n] ** 2)}),
    "log to sqrt": (sp.log(eta * t), {"log(η·t) → √(η·t)": sp.sqrt(eta * t)}),
    "log to square": (sp.log(t), {"log(t) → log(t)²": sp.log(t) ** 2}),
    "log to log log": (sp.log(t), {"log(t) → log(log(t))": sp.log(sp.log(t))}),
    "exp to 1 + x": (c * sp.exp(-t), {"exp(-t) → 1 - t": c * (1 - t)}),
    "exp to 1/(1 - x)": (sp.exp(t), {"exp(t) → 1/(1 - t)": 1 / (1 - t)}),
    "tanh to identity": (sp.tanh(x + 1), {"tanh(x + 1) → x + 1": x + 1}),
}  # fmt: skip


@pytest.mark.parametrize("operator", CASES)
def test_what_each_operator_makes(operator):
    expression, expected = CASES[operator]
    assert formulas(expression, operator) == expected


def test_no_operator_is_forgotten():
    assert set(CASES) | {"log to power"} == set(OPERATORS)
    assert len(set(OPERATORS)) == len(OPERATORS)
    assert set(MUST_KILL) < set(OPERATORS)


# log to power


def test_a_logarithm_becomes_its_best_power_law():
    prediction = Prediction(c * sp.log(t) - sp.log(2 * c), by_log=(t,))
    times = np.linspace(math.log(1e2), math.log(1e6), 20)
    ranges = log_values(prediction, {"log_t": times, "c": np.full(20, 0.1), "unused": np.zeros(20)})
    (mutant,) = mutants_of(prediction, ["log to power"], ranges).mutants  # log(2 c) is negative
    power, log_factor = np.polyfit(times, np.log(times), 1)
    assert mutant.words == f"log(t) → {math.exp(log_factor):.3g}·t^{power:.2g}"
    # Over four decades the best power law is within 16 % of the logarithm, and no closer than a few percent.
    found = mutant.prediction.to_numpy()(log_t=times, c=1.0) + math.log(2)
    np.testing.assert_allclose(found, np.exp(log_factor + power * times), rtol=1e-5)
    assert 0.05 < np.max(np.abs(found / times - 1)) < 0.16


@pytest.mark.parametrize("values", [None, [], [3.0], [3.0, 3.0], [-1.0, -2.0, 5.0], [np.nan, np.inf]])
def test_no_power_law_where_none_can_be_fitted(values):
    assert formulas(sp.log(t), "log to power", ranges=lambda _: values) == {}
    assert formulas(sp.log(t), "log to power") == {}


def test_logarithms_below_a_sum_have_a_range_too():
    prediction = Prediction(over(p[n] * sp.log(c / p[n])))
    ranges = log_values(prediction, {"p": np.full((6, 4), 0.25), "c": np.linspace(1, 9, 6)})
    (mutant,) = mutants_of(prediction, ["log to power"], ranges).mutants
    assert mutant.words.startswith("log(c/p[n]) → ")


# What is never touched, what is left out


@pytest.mark.parametrize(
    "expression",
    [
        over(p[n] * sp.log(p[n])) / k,
        sp.Sum(p[n] ** 2, (n, 1, 2)) + p[3],
        over(pinv[j, n] * n) * x,
        sp.Product(1 + p[n], (n, 0, k - 1)),
        sp.Sum(sp.Sum(p[n] * q[m], (m, 0, 3)), (n, 0, k - 1)),
    ],
)
def test_bounds_and_indices_stay(expression):
    found = mutants_of(Prediction(expression)).mutants
    assert len(found) > 15
    limits = {limit for node in expression.atoms(sp.Sum, sp.Product) for limit in node.limits}
    places = {entry.indices for entry in expression.atoms(sp.Indexed)}
    for mutant in found:
        wrong = mutant.prediction.expression
        assert {limit for node in wrong.atoms(sp.Sum, sp.Product) for limit in node.limits} <= limits, mutant.words
        assert {entry.indices for entry in wrong.atoms(sp.Indexed)} <= places, mutant.words
        assert wrong != expression


def test_numbers_that_also_stand_in_bounds_change_outside_of_them():
    found = formulas(sp.Sum((k - 1) * p[n], (n, 0, k - 1)), "leaf x2")
    assert sp.Sum((k - 2) * p[n], (n, 0, k - 1)) in found.values()


def test_swaps_are_of_a_kind():
    found = formulas(eta * over(p[n] * pinv[j, n] / q[n]) * gamma**2, "symbol swapped")
    assert set(found) == {"η and γ swapped", "p and q swapped"}
    assert found["p and q swapped"] == eta * over(q[n] * pinv[j, n] / p[n]) * gamma**2
    many = sum(i * symbol for i, symbol in enumerate(sp.symbols("v:9")))
    assert len(formulas(many, "symbol swapped")) == 15


def test_the_same_formula_occurs_once_under_what_must_be_killed():
    found = mutants_of(Prediction(gamma)).mutants  # 2 γ also by its term, γ^(3/2) in many ways
    hashes = [mutant.prediction.sha256 for mutant in found]
    assert len(set(hashes)) == len(hashes)
    assert Prediction(gamma).sha256 not in hashes
    operators = {
        mutant.prediction.expression: mutant.operator for mutant in mutants_of(Prediction(sp.sqrt(gamma))).mutants
    }
    assert operators[gamma] == "exponent +1/2"  # and not "leaf x2" or "symbol squared"
    assert operators[sp.S.One] == "exponent -1/2"  # and not "symbol dropped"
    assert formulas(sp.sqrt(gamma), "symbol squared") == {"γ² for γ": gamma}


def test_the_order_is_that_of_the_operators_and_the_same_in_every_process():
    found = mutants_of(SIGNATURES["shape_rate"].prediction).mutants
    assert [OPERATORS.index(mutant.operator) for mutant in found] == sorted(
        OPERATORS.index(mutant.operator) for mutant in found
    )
    program = (
        "import sympy as sp; from idealab.symbolic.prediction import Prediction; "
        "from idealab.symbolic.mutation import mutants_of; a, b, d = sp.symbols('a b d'); "
        "made = mutants_of(Prediction(sp.Min(a, b, d*a) + sp.log(b + d))); "
        "print(*(m.words + m.prediction.sha256 for m in made.mutants))"
    )
    outputs = {
        subprocess.run(
            [sys.executable, "-c", program], env={**os.environ, "PYTHONHASHSEED": seed}, capture_output=True, check=True
        ).stdout
        for seed in ("1", "2")
    }
    assert len(outputs) == 1


@pytest.mark.parametrize(
    ("expression", "words"),
    [
        (sp.besseli(1, x), ["besseli(1, x) → besseli(2, x)", "besseli(1, x) → besseli(1/2, x)"]),
        (x / sp.log(2), ["log(2) → 0"]),  # by which x is divided
        (x * sp.polygamma(1, c), ["polygamma(1, c) → polygamma(1/2, c)"]),
    ],
)
def test_what_has_no_faithful_form_is_refused_in_words(expression, words):
    made = mutants_of(Prediction(expression))
    assert [line.split(": ")[0] for line in made.refused] == words
    assert all(len(line) > len(said) + 20 for line, said in zip(made.refused, words, strict=True))  # and why
    assert len(made.mutants) > 10
    assert not {mutant.words for mutant in made.mutants} & set(words)


def test_zero_has_no_mutants_and_a_constant_has():
    assert mutants_of(Prediction(sp.S.Zero)).mutants == ()
    found = {m.words: m.prediction.expression for m in mutants_of(Prediction(sp.Integer(3))).mutants}
    assert found["2 times"] == 6
    assert found["3 → 4"] == 4
    assert found["its sign"] == -3
    assert formulas(sp.pi, "leaf x2") == {"π → 2·π": 2 * sp.pi}


def test_by_log_is_carried_over():
    prediction = Prediction(sp.log(eta * t) / eta, by_log=(t,))
    found = mutants_of(prediction).mutants
    assert all(mutant.prediction.by_log == (t,) for mutant in found)
    square = next(m.prediction for m in found if m.words == "t² for t")
    assert square.to_numpy()(eta=1.0, log_t=1e6) == 2e6


@pytest.mark.parametrize("name", SIGNATURES)
def test_real_predictions_have_some_mutants_all_of_which_differ(name):
    prediction = SIGNATURES[name].prediction
    made = mutants_of(prediction)
    assert 15 <= len(made.mutants) <= 150
    assert made.refused == ()
    assert {"x2", "x1/2", "sign"} <= {mutant.operator for mutant in made.mutants}
    assert all(differs(prediction, mutant.prediction) for mutant in made.mutants)
    words = {mutant.words for mutant in made.mutants}
    assert len(words) == len(made.mutants)
    assert max(map(len, words)) < 140


RICH = {
    "branches": sp.Piecewise((sp.log(x), (x > 2) & (y < 1)), (x**2 - 1, True)),
    "lambert": sp.LambertW(3 * eta * t) / 2 + sp.Rational(1, 3),
    "floats": 0.5 * x ** sp.Float(1.5) + 2.25,
    "special": sp.erf(x / sp.sqrt(2)) + sp.gamma(c + 1) * sp.besseli(0, x) + sp.loggamma(c),
    "binomial": sp.Sum(sp.binomial(5, n) * c**n * (1 - c) ** (5 - n), (n, 0, 5)),
    "step": sp.Heaviside(x - 1) * sp.floor(y) + sp.Mod(x, 3),
    "root": sp.CRootOf(x**5 - x - 1, 0) * c + sp.zeta(3),
    "index object": sp.Sum(p[sp.Idx("i", k)] ** 2, sp.Idx("i", k)),
    "infinite": sp.Max(x, -sp.oo, evaluate=False) + y,
}


@pytest.mark.parametrize("name", RICH)
def test_every_part_of_the_vocabulary_is_walked_through(name):
    made = mutants_of(Prediction(RICH[name], by_log=(t,)))
    assert len(made.mutants) >= 12
    values = {"x": 0.7, "y": 0.3, "c": 0.4, "eta": 2.0, "log_t": 3.0, "p": np.array([0.5, 0.3, 0.2])}
    for mutant in made.mutants:
        result = mutant.prediction.to_numpy()(**{a: values[a] for a in mutant.prediction.arguments})
        assert np.shape(result) == ()


def test_a_logarithm_of_an_inner_index_has_no_values_of_its_own():
    terms = Prediction(sp.Sum(sp.log(1 + c * n), (n, 0, 4)))
    assert log_values(terms, {"c": np.ones(3)})(1 + c * n) is None
    assert "log to power" not in {
        m.operator for m in mutants_of(terms, ranges=log_values(terms, {"c": np.ones(3)})).mutants
    }
