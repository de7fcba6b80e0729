import subprocess
import sys
import warnings

import jax
import numpy as np
import pytest
import sympy as sp

import idealab
from idealab.errors import UnknownNameError, UsageError
from idealab.symbolic.prediction import Prediction
from tests.symbolic.test_prediction import BY_LOG, STARTS
from tests.symbolic.test_printer import FUNCTIONS

SIGNATURES = idealab.load("max_margin").signatures

x, y, c, t = *sp.symbols("x y", real=True), *sp.symbols("c t", positive=True)
n, m, j, N, M = sp.symbols("n m j N M", integer=True)
p = sp.IndexedBase("p", positive=True)
pinv = sp.IndexedBase("pinv")

RANDOM = np.random.default_rng(0)
SEEDS = 5
# With a leading axis of seeds, s; n has 4 entries and j has 3.
VALUES = {
    "x": RANDOM.normal(size=SEEDS),
    "y": RANDOM.normal(size=SEEDS),
    "c": RANDOM.uniform(0.5, 2, SEEDS),
    "log_t": np.array([-2.0, 3.0, 40.0, 800.0, 1e6]),
    "p": RANDOM.dirichlet(np.ones(4), SEEDS),
    "pinv": RANDOM.normal(size=(SEEDS, 3, 4)),
}


def agree(found, expected):
    np.testing.assert_allclose(found, expected, rtol=1e-12, atol=0)


@pytest.mark.slow  # by itself; in the whole suite test_printer.py has compiled all of them before
@pytest.mark.parametrize("name", FUNCTIONS)
def test_the_whole_vocabulary_agrees_with_jax(name):
    expression, points, _ = FUNCTIONS[name]
    prediction = Prediction(expression)
    agree(prediction.to_numpy()(x=points), prediction.to_jax()(x=points))


@pytest.mark.parametrize("name", BY_LOG)
def test_logarithms_agree_with_jax(name):
    expression, extra = BY_LOG[name]
    values = {"eta": 0.125, "gamma": 0.5, "kappa": 0.75, "c": 3.0, "x": 0.25, "y": 4.0, **extra}
    values["log_t"] = np.array([at for at in (-3.0, 0.75, 30.0, 600.0, 1e6) if at > STARTS.get(name, -4)])
    prediction = Prediction(expression, by_log=(sp.Symbol("t", positive=True),))
    given = {argument: values[argument] for argument in prediction.arguments}
    agree(prediction.to_numpy()(**given), prediction.to_jax()(**given))


ARRAYS = {
    "sum": -sp.Sum(p[n] * sp.log(p[n]), (n, 0, N - 1)),
    "free index": x - sp.log(p[n]),
    "matrix times vector": sp.Sum(pinv[j, n] * sp.log(c / p[n]), (n, 0, N - 1)),
    "transposed": sp.Sum(pinv[m, n] * x, (m, 0, M - 1)) * p[n],
    "entries": p[0] / p[3] + x * pinv[1, 2],
    "entry beside an index": pinv[1, n] * p[n],
    "literal range": sp.Sum(p[n], (n, 1, 2)) + sp.Product(1 + p[n] * c, (n, 0, 3)),
    "length and index as numbers": sp.Sum(n * p[n], (n, 0, N - 1)) / N,
    "constant inside": sp.Sum(c, (n, 0, N - 1)) + sp.Product(c, (n, 0, N - 1)) + sp.Sum(p[n], (n, 0, N - 1)),
    "double sum": sp.Sum(sp.Sum(pinv[m, n] * p[n], (m, 0, M - 1)), (n, 0, N - 1)) / (N * M),
    "branches": sp.Sum(sp.Piecewise((p[n] * x, p[n] > c / 4), (sp.log(p[n]), x > 0), (0, True)), (n, 0, N - 1)),
    "decay rates": sp.log(sp.Sum(p[n] * t ** -p[n], (n, 0, N - 1))),
    "binomial": sp.Sum(sp.binomial(9, n) * (c / 3) ** n * (1 - c / 3) ** (9 - n), (n, 0, 9)),
    "signs of gamma": sp.gamma(x) * sp.gamma(y - 2) * c,
}


def over_seeds(prediction):
    """By NumPy, and by JAX mapped over seeds."""
    given = {argument: VALUES[argument] for argument in prediction.arguments}
    expected = jax.vmap(lambda given: prediction.to_jax()(**given))(given)
    return prediction.to_numpy()(**given), np.asarray(expected)


@pytest.mark.parametrize("name", ARRAYS)
def test_seeds_in_front_of_indices_are_mapped_over(name):
    found, expected = over_seeds(Prediction(ARRAYS[name], by_log=(t,)))
    assert found.dtype == np.float64
    assert found.shape == expected.shape
    agree(found, expected)


@pytest.mark.parametrize("name", SIGNATURES)
def test_signatures_of_max_margin_agree_with_jax(name):
    prediction = SIGNATURES[name].prediction
    draw = np.random.default_rng(1)
    given = {argument: draw.uniform(0.5, 2, SEEDS) for argument in prediction.arguments}
    given |= {"p": draw.dirichlet(np.ones(4), SEEDS), "pinv": draw.normal(size=(SEEDS, 3, 4)), "log_t": VALUES["log_t"]}
    given = {argument: given[argument] for argument in prediction.arguments}
    expected = jax.vmap(lambda given: prediction.to_jax()(**given))(given)
    # 1 - (...)/(...) cancels at far times.
    np.testing.assert_allclose(prediction.to_numpy()(**given), expected, rtol=1e-12, atol=1e-15)


def test_without_seeds_and_broadcasting():
    assert Prediction(p[n] * x).to_numpy()(p=[1, 2, 3], x=2).tolist() == [2, 4, 6]
    assert Prediction(sp.Sum(p[n] * x, (n, 0, N - 1))).to_numpy()(p=[1, 2, 3], x=np.ones((2, 1))).shape == (2, 1)
    shared = Prediction(p[n] * x).to_numpy()(p=np.ones(3), x=np.arange(2.0))  # one array for all seeds
    assert shared.shape == (2, 3)
    assert Prediction(sp.Integer(3)).to_numpy()() == 3
    assert Prediction(x + 1).to_numpy() is Prediction(1 + x).to_numpy()


def test_outside_of_the_domain_without_warnings():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert np.isnan(Prediction(sp.log(x)).to_numpy()(x=-1.0))
        assert Prediction(1 / x).to_numpy()(x=0) == np.inf
        assert Prediction(sp.exp(x)).to_numpy()(x=1e4) == np.inf
        assert Prediction(sp.Sum(p[n], (n, 0, N - 1)) / (N - 3)).to_numpy()(p=np.ones(3)) == np.inf
        w = Prediction(sp.LambertW(x)).to_numpy()(x=[-0.4, -np.inf, -0.36787944117144233, np.inf, np.nan])
    np.testing.assert_array_equal(w, [np.nan, np.nan, -1, np.inf, np.nan])


@pytest.mark.parametrize(
    ("expression", "values", "error", "message"),
    [
        (x + y, {"x": 1.0}, UsageError, "missing y: this prediction takes x, y by keyword"),
        (x, {"z": 1.0}, UnknownNameError, "no argument of this prediction named 'z'"),
        (x, {"x": 1j}, UsageError, "type complex128, but a prediction takes real numbers"),
        (p[n], {"p": 1.0}, UsageError, r"p has shape \(\), but its index on axis 0"),
        (pinv[j, n] * p[n], {"pinv": np.ones((2, 3, 4)), "p": np.ones((2, 3))}, UsageError, "length n does not hold"),
        (p[4] + 1, {"p": np.ones((9, 4))}, UsageError, r"p has shape \(9, 4\), but entry 4 of axis 0"),
    ],
)
def test_misuse_is_refused_as_by_jax(expression, values, error, message):
    with pytest.raises(error, match=message):
        Prediction(expression).to_numpy()(**values)


def test_no_jax_is_imported():
    program = (
        "import sys, sympy as sp; from idealab.symbolic.prediction import Prediction; "
        "from idealab.symbolic.mutation import mutants_of; from idealab.symbolic.equivalence import differs; "
        "p = Prediction(sp.Symbol('x')); assert all(differs(p, m.prediction) for m in mutants_of(p).mutants); "
        "sys.exit('jax' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
