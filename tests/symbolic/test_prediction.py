import os
import subprocess
import sys

import jax
import jax.numpy as jnp
import mpmath as mp
import numpy as np
import pytest
import sympy as sp
from hypothesis import given, settings, strategies as st

from idealab.errors import DeclarationError, PrinterError, UnknownNameError, UsageError
from idealab.symbolic.prediction import Prediction

eta, gamma, t, kappa, c = sp.symbols("eta gamma t kappa c", positive=True)
x, y = sp.symbols("x y", real=True)
n, m, j, N, M = sp.symbols("n m j N M", integer=True)
p = sp.IndexedBase("p", positive=True)
alpha = sp.IndexedBase("alpha", positive=True)
pinv = sp.IndexedBase("pinv")


def run(expression, by_log=(), **values):
    return Prediction(expression, by_log).to_jax()(**values)


# One formula in all its forms


def test_forms_of_one_formula():
    prediction = Prediction(1 / (eta * gamma**2))
    assert prediction.text == "1/(eta*gamma**2)"
    assert prediction.inline == "1/(η·γ²)"
    assert prediction.latex == r"\frac{1}{\eta \gamma^{2}}"
    assert "η⋅γ" in prediction.unicode
    assert prediction.symbols == (eta, gamma)
    assert prediction.arguments == ("eta", "gamma")
    assert prediction._repr_latex_() == r"$\displaystyle \frac{1}{\eta \gamma^{2}}$"


def test_inline_is_one_line_without_stars():
    expression = sp.sqrt(x + 1) * c**kappa - sp.log(t) ** 3 / sp.pi + sp.Sum(p[n] ** 2, (n, 0, N - 1)) / sp.sqrt(gamma)
    assert Prediction(expression).inline == "c^κ·√(x + 1) - log(t)³/π + Sum(p[n]², (n, 0, N - 1))/√γ"


def test_stating_a_formula_imports_no_jax():
    program = (
        "import sys, sympy as sp; from idealab.symbolic.prediction import Prediction; "
        "Prediction(sp.gamma(sp.Symbol('x')) + 1, (sp.Symbol('t'),)); sys.exit('jax' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


def test_compiled_function_is_shared_by_equal_formulas():
    assert Prediction(x + y).to_jax() is Prediction(y + x).to_jax()


def test_keywords_are_checked():
    compiled = Prediction(sp.log(t) * eta, by_log=(t,)).to_jax()
    with pytest.raises(UsageError, match=r"missing log_t: this prediction takes eta, log_t by keyword"):
        compiled(eta=1.0)
    with pytest.raises(UnknownNameError, match=r"no argument of this prediction named 'etha'; did you mean 'eta'"):
        compiled(etha=1.0, log_t=1.0)
    with pytest.raises(UsageError, match=r"'t' is passed as its natural logarithm: give log_t"):
        compiled(eta=1.0, t=1.0)
    with pytest.raises(UsageError, match="type complex128, but a prediction takes real numbers"):
        compiled(eta=1j, log_t=1.0)


def test_arrays_for_plain_symbols_broadcast():
    found = run(x * y + 1, x=jnp.arange(3.0)[:, None], y=np.arange(2))
    np.testing.assert_array_equal(found, np.arange(3.0)[:, None] * np.arange(2) + 1)
    assert run(x, x=3).dtype == jnp.float64
    assert run(x + y, x=jnp.ones(2, jnp.float32), y=jnp.arange(2)).dtype == jnp.float32


@pytest.mark.parametrize(
    ("expression", "by_log", "message"),
    [
        ("x + 1", (), "is str, expected a Sympy expression"),
        (1.0, (), "is float, expected a Sympy expression"),
        (sp.Eq(x, y), (), "expected a Sympy expression"),
        (sp.Lambda(x, x + 1), (), "is Lambda, expected a Sympy expression"),
        (sp.Symbol("A", commutative=False), (), "expected one real number"),
        (x + sp.Symbol("x"), (), r"two symbols are named 'x'.*\(.*real=True.*declare it once"),
        (x, (sp.Symbol("x"),), "two symbols are named 'x'"),
        (sp.Dummy("u") + 1, (), r"Dummy symbol, which no name identifies"),
        (t * sp.Symbol("log_t"), (t,), "passes t as log_t, but log_t is a symbol of its own"),
        (sp.Symbol("s", negative=True), (sp.Symbol("s", negative=True),), "not positive, so it has no logarithm"),
        (sp.Sum(p[n], (n, 0, N - 1)) / N, (N,), "which is an array, an index or a length"),
    ],
)
def test_impossible_declarations(expression, by_log, message):
    with pytest.raises(DeclarationError, match=message):
        Prediction(expression, by_log)


def test_refused_at_construction():
    with pytest.raises(PrinterError, match="no faithful JAX form"):
        Prediction(sp.Integral(sp.exp(-(x**2)), x))


# Hash


def plain(expression):
    return Prediction(expression).sha256


def test_hash_depends_on_the_formula_alone():
    a, b, d = sp.symbols("a b d")
    e, f, g = sp.symbols("a b d", positive=True)
    typed = sp.Add(sp.Mul(d, sp.sin(b), a, evaluate=False), sp.Max(a, b), sp.Integer(2), evaluate=False)
    nested = sp.Add(sp.Add(sp.Integer(2), sp.Max(f, e)), sp.Mul(e, sp.Mul(g, sp.sin(f))), evaluate=False)
    assert plain(typed) == plain(nested) == plain(2 + a * d * sp.sin(b) + sp.Max(b, a))
    assert plain(sp.Piecewise((a, a > b), (b, True))) == plain(sp.Piecewise((a, b < a), (b, True)))
    assert plain(x) == Prediction(x, by_log=(x,)).sha256


def test_different_formulas_have_different_hashes():
    a, b = sp.symbols("a b")
    formulas = [
        a, b, a + b, a * b, a - b, b - a, a**b, b**a, 2 * a, a / 2, 2.0 * a, a**2, sp.log(a), sp.exp(a), -a,
        sp.Integer(1), sp.Float(1), sp.Rational(1, 3), sp.Float(1 / 3), p[n], p[m], p[0], alpha[n],
        sp.Sum(p[n], (n, 0, N - 1)),
        sp.Sum(p[n], (n, 0, 5)), sp.Product(p[n], (n, 0, 5)), sp.Heaviside(a), sp.Heaviside(a, 1), sp.pi, sp.E,
        (a + 1) ** 2, a**2 + 2 * a + 1, sp.Piecewise((a, a > b), (b, True)), sp.Piecewise((a, a >= b), (b, True)),
    ]  # fmt: skip
    assert len({plain(f) for f in formulas}) == len(formulas)


@settings(max_examples=40, deadline=None, derandomize=True)
@given(st.permutations(range(6)), st.booleans())
def test_order_of_typing_does_not_enter_the_hash(order, positive):
    v = sp.symbols("v:6", positive=True) if positive else sp.symbols("v:6")
    terms = [v[i] * sp.exp(v[(i + 1) % 6]) / (1 + v[i] ** 2) for i in range(6)]
    reordered = sp.Mul(*(terms[i] for i in order), evaluate=False) + sp.Add(*(terms[i] for i in order), evaluate=False)
    w = sp.symbols("v:6")
    base = [w[i] * sp.exp(w[(i + 1) % 6]) / (1 + w[i] ** 2) for i in range(6)]
    assert plain(reordered) == plain(sp.Mul(*base, evaluate=False) + sp.Add(*base))


def test_hash_is_the_same_in_every_process():
    program = (
        "import sympy as sp; from idealab.symbolic.prediction import Prediction; a, b, d = sp.symbols('a b d'); "
        "print(Prediction(sp.Max(a*b*d + a + b + d, sp.Min(a, b, d)) + sp.log(a + b + d)).sha256)"
    )
    hashes = {
        subprocess.run(
            [sys.executable, "-c", program], env={**os.environ, "PYTHONHASHSEED": seed}, capture_output=True, check=True
        ).stdout
        for seed in ("1", "2")
    }
    assert len(hashes) == 1
    # Written down: a change of it makes every record of the past unrecognisable.
    assert plain(sp.log(eta * gamma**2 * t) + sp.Rational(1, 2)).startswith("f37ab5d51a6d")


# Times past 1e308, by their logarithm

BY_LOG = {
    "log of a product": (sp.log(eta * gamma**2 * t), {}),
    "power": (t**-kappa, {"kappa": 1e-6}),
    "power of a product": ((eta * gamma**2 * t) ** (-kappa), {"kappa": 1e-6}),
    "log over time": (sp.log(t) / (t + 1) + kappa, {}),
    "rational": ((t**2 + 3 * t) / (2 * t**2 - t + 1), {}),
    "square roots": (sp.log(sp.sqrt(t) + t**kappa) / sp.log(t), {}),
    "sum inside a log": (sp.log(1 + c * t), {}),
    "sum of unknown sign": (sp.log(x * t - y * sp.sqrt(t) - 1), {"x": 0.25, "y": 4.0}),
    "log log": (sp.log(sp.log(t)) * sp.log(t) ** kappa, {}),
    "lambert of unknown sign": (sp.LambertW(x * t - sp.Rational(1, 4)) / sp.LambertW(t), {}),
    "lambert": (sp.LambertW(eta * t) / sp.LambertW(c * t**2 + t), {}),
    "decay": (t * sp.exp(-c * t) + 1 / sp.log(t), {}),
    "bounded": (sp.tanh(t) + sp.atan(eta * t) + sp.erf(sp.sqrt(t)), {}),
    "greatest": (sp.log(sp.Max(t, 5)) + sp.Min(t, eta * t**2, 7) / sp.Abs(1 - 3 * t), {}),
    "least of unknown sign": (sp.log(sp.Min(t, sp.Piecewise((sp.log(t), t > 3), (x, True))) + 1), {}),
    "greatest of unknown sign": (sp.log(sp.Max(t, sp.sin(x))), {}),
    "branches in a log": (sp.log(sp.Piecewise((t, t > 5), (t**2 + 1, True))), {}),
    "nonpositive symbols": (sp.log(-x * t) * (x * t) ** 2 / t**2, {"x": -0.25}),
    "branches": (sp.Piecewise((sp.log(t), t > 5), (t, True)) + sp.Piecewise((1, t**2 > 7 * t), (0, True)), {}),
}

STARTS = {"log log": 0, "sum of unknown sign": 6}  # before, the logarithm of a negative number
CASES = [(name, at) for name in BY_LOG for at in (-3.0, 0.75, 30.0, 600.0, 1e6) if at > STARTS.get(name, -4)]


def real_lambertw(z):
    if z < 1e100:
        return mp.lambertw(z).real
    return mp.findroot(lambda w: w + mp.log(w) - mp.log(z), mp.log(z))  # mpmath's own does not end for exp(1e6)


@pytest.mark.parametrize(("name", "log_t"), CASES)
def test_by_log_agrees_with_mpmath_and_is_finite_where_the_truth_is(name, log_t):
    expression, extra = BY_LOG[name]
    values = {"eta": 0.125, "gamma": 0.5, "kappa": 0.75, "c": 3.0, "x": 0.25, **extra}
    prediction = Prediction(expression, by_log=(t,))
    given_values = {k: v for k, v in values.items() if k in prediction.arguments}
    assert "log_t" in prediction.arguments
    found = prediction.to_jax()(**given_values, log_t=log_t)
    symbols = sorted(expression.free_symbols, key=str)
    with mp.workdps(60):
        if name == "decay" and log_t == 1e6:  # exp(-exp(1e6)) takes mpmath half a minute
            exact = mp.mpf("1e-6")
        else:
            at = {**values, "t": mp.exp(mp.mpf(log_t))}
            exact = mp.re(
                sp.lambdify(symbols, expression, [{"LambertW": real_lambertw}, "mpmath"])(
                    *(mp.mpf(at[s.name]) for s in symbols)
                )
            )
        # log_t is rounded to eps*log_t, and exp(log_t) inherits that; no formula here amplifies it more than twice
        np.testing.assert_allclose(
            float(found), float(exact), rtol=2e-15 * max(8, 2 * abs(log_t) if log_t < 1e3 else 8)
        )


def test_by_log_differentiates():
    compiled = Prediction(sp.log(1 + eta * t) + (eta * t) ** (-kappa), by_log=(t,)).to_jax()
    slope = jax.grad(lambda log_t, e: compiled(log_t=log_t, eta=e, kappa=0.5), (0, 1))
    np.testing.assert_allclose(slope(1e6, 2.0), (1, 0.5), rtol=1e-15)
    s, u = 2 * np.exp(3.0), 0.5 * (2 * np.exp(3.0)) ** -0.5
    np.testing.assert_allclose(slope(3.0, 2.0), (s / (1 + s) - u, (s / (1 + s) - u) / 2), rtol=1e-14)


def test_by_log_of_a_sum_over_decay_rates():
    # log sum_n p_n t^-alpha_n -> -min(alpha) log t: each term underflows, their logarithm does not
    expression = sp.log(sp.Sum(p[n] * t ** -alpha[n], (n, 0, N - 1)))
    found = run(expression, (t,), p=[1.0, 2.0, 3.0], alpha=[0.5, 0.25, 0.125], log_t=jnp.asarray([1e6, 2.0]))
    small = np.log(np.exp(-1.0) + 2 * np.exp(-0.5) + 3 * np.exp(-0.25))
    np.testing.assert_allclose(found, [-125000 + np.log(3), small], rtol=1e-14)


def test_by_log_ignores_symbols_that_are_not_there():
    assert Prediction(eta + 1, by_log=(t,)).arguments == ("eta",)


# Arrays

WEIGHTS = jnp.asarray([0.5, 0.25, 0.125, 0.125])


def test_sum_over_an_axis():
    entropy = Prediction(-sp.Sum(p[n] * sp.log(p[n]), (n, 0, N - 1)))
    assert entropy.arguments == ("p",)
    assert entropy.axes == ()
    found = entropy.to_jax()(p=WEIGHTS)
    assert found.shape == ()
    np.testing.assert_allclose(found, 1.75 * np.log(2), rtol=1e-15)
    np.testing.assert_allclose(jax.grad(lambda w: entropy.to_jax()(p=w))(WEIGHTS), -np.log(WEIGHTS) - 1, rtol=1e-15)
    batch = jnp.stack([WEIGHTS, jnp.full(4, 0.25)])
    np.testing.assert_allclose(
        jax.vmap(lambda w: entropy.to_jax()(p=w))(batch), np.log(2) * np.asarray([1.75, 2]), rtol=1e-15
    )


def test_free_index_is_an_axis_of_the_result():
    offsets = Prediction(-sp.log(p[n]))
    assert offsets.axes == ("n",)
    np.testing.assert_allclose(offsets.to_jax()(p=WEIGHTS), -np.log(WEIGHTS), rtol=1e-15)


def test_matrix_vector_product():
    rho = Prediction(sp.Sum(pinv[j, n] * sp.log(eta / alpha[n]), (n, 0, N - 1)))
    assert rho.axes == ("j",)
    assert rho.arguments == ("alpha", "eta", "pinv")
    matrix = jnp.arange(12.0).reshape(3, 4) - 5
    np.testing.assert_allclose(
        rho.to_jax()(pinv=matrix, alpha=WEIGHTS, eta=2.0), matrix @ np.log(2 / WEIGHTS), rtol=1e-14
    )
    swapped = sp.Sum(pinv[n, j] * alpha[n], (n, 0, N - 1))
    np.testing.assert_allclose(run(swapped, pinv=matrix.T, alpha=WEIGHTS), matrix @ WEIGHTS, rtol=1e-14)


def test_axes_are_sorted_by_name_and_follow_those_of_plain_symbols():
    table = Prediction(x * p[m] ** 2 + alpha[j])
    assert table.axes == ("j", "m")
    found = table.to_jax()(x=jnp.asarray([1.0, 10.0]), p=jnp.arange(3.0), alpha=jnp.arange(5.0))
    assert found.shape == (2, 5, 3)
    np.testing.assert_array_equal(found[1], 10 * np.arange(3.0) ** 2 + np.arange(5.0)[:, None])


def test_double_sum_length_and_index_as_numbers():
    form = sp.Sum(sp.Sum(alpha[n] * pinv[n, m] * p[m], (m, 0, M - 1)), (n, 0, N - 1)) / (N * M)
    matrix = jnp.arange(8.0).reshape(2, 4)
    found = run(form, alpha=jnp.asarray([1.0, -2.0]), pinv=matrix, p=WEIGHTS)
    np.testing.assert_allclose(found, np.asarray([1.0, -2.0]) @ matrix @ WEIGHTS / 8, rtol=1e-15)
    np.testing.assert_allclose(run(sp.Sum(n * p[n], (n, 0, N - 1)), p=WEIGHTS), np.arange(4) @ WEIGHTS, rtol=1e-15)
    repeated = sp.Sum(c, (n, 0, N - 1)) + sp.Product(c, (n, 0, N - 1)) + sp.Sum(p[n], (n, 0, N - 1))
    np.testing.assert_allclose(run(repeated, p=WEIGHTS, c=3.0), 12 + 81 + 1, rtol=1e-15)
    np.testing.assert_allclose(
        run(sp.Product(p[n] + c, (n, 0, N - 1)), p=WEIGHTS, c=1.0), np.prod(WEIGHTS + 1), rtol=1e-15
    )


def test_idx_with_a_range_and_literal_entries():
    i = sp.Idx("i", N)
    np.testing.assert_allclose(run(sp.Sum(p[i], i) / N, p=WEIGHTS), 0.25, rtol=1e-15)
    np.testing.assert_allclose(run(p[i] * N, p=WEIGHTS), 4 * WEIGHTS, rtol=1e-15)
    assert run(p[1] / p[3], p=WEIGHTS) == 2
    assert run(sp.Sum(p[n], (n, 1, 2)), p=WEIGHTS) == 0.375


def test_normalised_by_its_own_sum_uses_one_index_twice():
    found = run(p[n] / sp.Sum(p[m], (m, 0, N - 1)), p=3 * WEIGHTS)
    np.testing.assert_allclose(found, WEIGHTS, rtol=1e-15)


def test_piecewise_over_an_array_keeps_its_gradient():
    q = sp.IndexedBase("q", nonnegative=True)
    entropy = Prediction(-sp.Sum(sp.Piecewise((q[n] * sp.log(q[n]), q[n] > 0), (0, True)), (n, 0, N - 1))).to_jax()
    np.testing.assert_array_equal(jax.grad(lambda w: entropy(q=w))(jnp.asarray([1.0, 0.0])), [-1, 0])
    outside = Prediction(sp.Piecewise((sp.Sum(p[n] * x, (n, 0, N - 1)) ** 2, x > 0), (0, True))).to_jax()
    np.testing.assert_allclose(jax.grad(lambda w: outside(p=w, x=2.0))(WEIGHTS), np.full(4, 8.0), rtol=1e-15)


@pytest.mark.parametrize(
    ("expression", "values", "message"),
    [
        (
            p[n] * alpha[n],
            {"p": WEIGHTS, "alpha": WEIGHTS[:2]},
            r"the length n does not hold for all: alpha has shape \(2,\), p has",
        ),
        (sp.Sum(p[n], (n, 0, N - 1)), {"p": jnp.ones((2, 2))}, r"p has shape \(2, 2\), but carries 1 indices"),
        (sp.Sum(p[n], (n, 0, N - 1)), {"p": 1.0}, r"p has shape \(\), but its index on axis 0"),
        (
            sp.IndexedBase("p", shape=(3,))[n] + 1,
            {"p": WEIGHTS},
            r"the length 3 does not hold for all: p",
        ),
        (p[4] + 1, {"p": WEIGHTS}, r"p has shape \(4,\), but entry 4 of axis 0"),
        (sp.Sum(p[n], (n, 0, 6)), {"p": WEIGHTS}, r"p has shape \(4,\), but entry 6 of axis 0"),
    ],
)
def test_shapes_that_contradict_the_indices(expression, values, message):
    with pytest.raises(UsageError, match=message):
        run(expression, **values)
