import numpy as np
import pytest
import sympy as sp

from idealab.errors import UsageError
from idealab.symbolic.equivalence import _shapes, differs
from idealab.symbolic.mutation import mutants_of
from idealab.symbolic.prediction import Prediction

eta, gamma, t, c = sp.symbols("eta gamma t c", positive=True)
x, y = sp.symbols("x y", real=True)
n, m, j, N = sp.symbols("n m j N", integer=True)
i = sp.Symbol("i", integer=True)
p, q = sp.IndexedBase("p", positive=True), sp.IndexedBase("q", positive=True)
pinv = sp.IndexedBase("pinv")


def sum_of(term):
    return sp.Sum(term, (n, 0, N - 1))


EQUAL = {
    "expanded": ((x + 1) ** 2, x**2 + 2 * x + 1),
    "a factor of one": (x, sp.Mul(x, sp.Add(sp.sin(y) ** 2, sp.cos(y) ** 2))),
    "logarithms": (sp.log(eta * gamma**2), sp.log(eta) + 2 * sp.log(gamma)),
    "cancelled": (x, sp.Mul(x**2 + x, 1 / (x + 1), evaluate=False)),
    "symmetric": (x * y + x + y, y * x + y + x),
    "sum taken apart": (sum_of(p[n] * c), c * sum_of(p[n])),
    "where defined": (sp.sqrt(1 - c) ** 2, (1 - c) * sp.sqrt(1 - c) / sp.sqrt(1 - c, evaluate=False)),
    "integer": (sp.cos(sp.pi * i, evaluate=False), (-1) ** sp.Mod(i, 2)),
    "within rounding": (x, x * (1 + sp.Float("5e-10"))),
    "idle branch": (sp.Min(-1, c), -1 + 0 * c),
}
DIFFERENT = {
    "just beyond rounding": (x, x * (1 + sp.Float("2e-9"))),
    "far branch": (sp.Min(2, 2 * c, eta - 1), sp.Min(3, 2 * c, eta - 1)),
    "one finite": (x, x + 0 * y + sp.log(-1 - x**2)),
    "never finite": (sp.log(-1 - x**2), sp.log(-2 - x**2)),
    "axes": (p[n], p[0]),
    "constant for a vector": (-sp.log(p[n]), sp.S.Zero),
    "other axes": (p[n] + q[m], p[n] + q[n]),
    "negative numbers": (x, sp.Abs(x)),
    "array entries": (p[5] + p[0], p[4] + p[0]),
    "literal range": (sp.Sum(p[n], (n, 0, 5)), sp.Sum(p[n], (n, 0, 4))),
}


@pytest.mark.parametrize("name", EQUAL)
def test_rewriting_is_no_difference(name):
    a, b = map(Prediction, EQUAL[name])
    assert not differs(a, b)
    assert not differs(b, a)


@pytest.mark.parametrize("name", DIFFERENT)
def test_differences_are_seen(name):
    a, b = map(Prediction, DIFFERENT[name])
    assert differs(a, b)
    assert differs(b, a)


def test_far_times_are_seen():
    small, none = (Prediction(sp.log(t) + e, by_log=(t,)) for e in (1 / sp.log(1 + t), sp.S.Zero))
    assert differs(small, none)
    assert not differs(Prediction(sp.log(t**2), by_log=(t,)), Prediction(2 * sp.log(t), by_log=(t,)))


@pytest.mark.parametrize(
    ("expression", "words"),
    [
        (eta * (x - y) ** 2, "x and y swapped"),
        (eta * (sp.sin(x) ** 2 + sp.cos(x) ** 2), "without the factor sin(x)² + cos(x)²"),
        (sp.Min(c, 1, sp.cosh(x)), "2 times the term cosh(x)"),
        (sp.tanh(x) * sp.sign(x) ** 2, "sign(x)² → sign(x)⁴"),
    ],
)
def test_equivalent_mutants_are_found(expression, words):
    prediction = Prediction(expression)
    mutants = mutants_of(prediction).mutants
    same = {mutant.words for mutant in mutants if not differs(prediction, mutant.prediction)}
    assert words in same
    assert len(same) < len(mutants) / 3


# On the declared conditions


def test_a_parameter_left_at_one_cannot_be_told():
    prediction = Prediction(1 / (eta * gamma**2))
    mutants = mutants_of(prediction).mutants
    ones = {"eta": [1.0, 1.0], "data": ["planted", "random"]}
    blind = {mutant.words for mutant in mutants if not differs(prediction, mutant.prediction, ones)}
    assert blind == {"1/η → 1/√η", "1/η → η^(-3/2)", "1/η → η^(-11/10)", "1 for η", "η² for η"}
    distinct = {"eta": [1.0, 0.7]}
    assert all(differs(prediction, mutant.prediction, distinct) for mutant in mutants)


def test_rows_are_taken_together():
    product, square = Prediction(eta * gamma), Prediction(eta**2)
    assert not differs(product, square, {"eta": [1.0, 2.0], "gamma": [1.0, 2.0]})
    assert differs(product, square, {"eta": [1.0, 2.0], "gamma": [2.0, 1.0]})


def test_checkpoints_are_fixed_by_their_keyword():
    log, root = Prediction(sp.log(t) - 2, by_log=(t,)), Prediction((sp.log(t) - 2) ** 3, by_log=(t,))
    assert not differs(log, root, {"log_t": [1.0, 2.0, 3.0]})
    assert differs(log, root, {"log_t": [1.0, 2.5]})


def test_arrays_are_drawn_beside_fixed_symbols():
    a, b = Prediction(eta * sum_of(p[n])), Prediction(eta**2 * sum_of(p[n]))
    assert not differs(a, b, {"eta": np.ones(100)})
    assert differs(a, b, {"eta": [1.0, 2.0]})


@pytest.mark.parametrize(
    ("fixed", "message"),
    [
        ({"eta": [1.0, 2.0], "gamma": [1.0]}, r"unequal lengths \(eta: 2, gamma: 1\)"),
        ({"eta": 1.0}, r"fixed\['eta'\] has shape \(\), expected one number for each condition"),
        ({"p": [1.0, 2.0]}, r"fixed\['p'\] has shape \(2,\), expected one number"),
    ],
)
def test_conditions_that_make_no_sense(fixed, message):
    prediction = Prediction(eta * gamma + p[n])
    with pytest.raises(UsageError, match=message):
        differs(prediction, prediction, fixed)


def test_the_terms_of_a_series_are_no_length_of_arrays():
    terms = sp.Sum(sp.sin((2 * n + 1) * sp.Sum(q[m] ** 2, (m, 0, N - 1))) / (2 * n + 1), (n, 0, 5000))
    assert _shapes(Prediction(terms)) == {"q": (3,)}
