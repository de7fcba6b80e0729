import jax
import jax.numpy as jnp
import mpmath as mp
import numpy as np
import pytest
import sympy as sp
from hypothesis import HealthCheck, given, settings, strategies as st

from idealab.errors import PrinterError
from idealab.symbolic.evaluation import load
from idealab.symbolic.printer import write

x, y = sp.symbols("x y", real=True)
a, b = sp.symbols("a b", positive=True)
n = sp.Symbol("n", integer=True)


def run(expression, **values):
    return load(write(expression))(**values)


def between(low, high, count=25):
    return np.random.default_rng(1).uniform(low, high, count)


def decades(low, high, count=25):
    return 10 ** np.random.default_rng(2).uniform(low, high, count)


def both(points):
    return np.concatenate([points, -points])


# Each function of x with its range, and the allowed error in units of eps * (|f| + |x f'(x)|): the second term is what
# a last-bit change of x does. Most are within 5; where it is more, the reason stands beside it.
FUNCTIONS = {
    "polynomial": (3 * x**2 - x / 7 + sp.Rational(1, 3) - 10**20 * x**5, both(decades(-4, 3)), 8),
    "quotient": ((x + 2) / (x**3 + 5), decades(-4, 3), 8),
    "square root": (sp.sqrt(x) + 1 / sp.sqrt(x + 1), decades(-4, 4), 8),
    "power": (x ** sp.Rational(7, 3) + x ** sp.Float(-1.25) + 2**x, decades(-2, 1.4), 8),
    "exp": (sp.exp(x), both(decades(-4, 1.9)), 4),
    "log": (sp.log(x), decades(-30, 30), 4),
    "log1p": (sp.log(1 + x), decades(-30, 2), 4),
    "expm1": (3 - 3 * sp.exp(-x), decades(-30, 1), 4),
    "softplus": (sp.log(1 + sp.exp(x)), both(decades(-2, 1.9)), 4),
    "sin": (sp.sin(x), both(decades(-4, 2)), 4),
    "cos": (sp.cos(x), both(decades(-4, 2)), 4),
    "tan": (sp.tan(x), between(-1.4, 1.4), 6),
    "sec": (sp.sec(x) + sp.csc(x) + sp.cot(x), between(0.2, 1.3), 8),
    "asin": (sp.asin(x), between(-0.99, 0.99), 8),
    "acos": (sp.acos(x), between(-0.99, 0.99), 8),
    "atan": (sp.atan(x) + sp.atan2(x, 2), both(decades(-4, 4)), 6),
    "sinh": (sp.sinh(x), both(decades(-4, 1.9)), 6),
    "cosh": (sp.cosh(x), both(decades(-4, 1.9)), 6),
    "tanh": (sp.tanh(x), both(decades(-4, 2)), 6),
    "sech": (sp.sech(x) + sp.csch(x) + sp.coth(x), decades(-3, 1), 8),
    "asinh": (sp.asinh(x), decades(-4, 4), 6),
    "acosh": (sp.acosh(x), 1 + decades(-1, 4), 8),
    "atanh": (sp.atanh(x), between(-0.99, 0.99), 8),
    "abs": (sp.Abs(x) + sp.sign(x), both(decades(-4, 4)), 4),
    "max": (sp.Max(x, 2, x**2) + sp.Min(x, 1, x**3), both(decades(-2, 1)), 4),
    "mod": (sp.Mod(x, 3) + sp.frac(x), both(decades(-2, 1)), 8),
    "floor": (sp.floor(x) + sp.ceiling(x / 2), both(decades(-2, 3)), 4),
    "heaviside": (sp.Heaviside(x) * x + sp.Heaviside(x - 1, 1), both(decades(-2, 1)), 4),
    "sinc": (sp.sinc(x), both(decades(-4, 1)), 20),  # x/pi is rounded, then multiplied by pi
    "erf": (sp.erf(x), both(decades(-6, 1)), 6),
    "erfc": (sp.erfc(x), both(decades(-6, 0.9)), 30),  # exp(-x^2) in float32
    "erfinv": (sp.erfinv(x), between(-0.9999, 0.9999), 30),
    "gamma": (sp.gamma(x), decades(-5, 1.5), 40),  # in float32 through exp(gammaln)
    "gamma below zero": (sp.gamma(x), between(-20, 0), 60),
    "loggamma": (sp.loggamma(x), decades(-5, 9), 12),
    "digamma": (sp.digamma(x), decades(-5, 8), 12),
    "digamma below zero": (sp.digamma(x), between(-20, 0), 40),
    "polygamma": (sp.polygamma(1, x) + sp.polygamma(4, x), decades(-2, 4), 12),
    "harmonic": (sp.harmonic(x), decades(-1, 6), 12),
    "beta": (sp.beta(x, sp.Rational(5, 2)), decades(-3, 1.5), 60),  # through gammaln, as are the next four
    "factorial": (sp.factorial(x), decades(-3, 1.4), 40),
    "binomial": (sp.binomial(x, sp.Rational(3, 2)), 2 + decades(-1, 2), 400),
    "literal binomial": (sp.binomial(x, 3), 5 + decades(-1, 2), 8),
    "rising factorial": (sp.RisingFactorial(x, sp.Rational(7, 2)), decades(-2, 2), 400),
    "falling factorial": (sp.FallingFactorial(x, sp.Rational(1, 2)), 2 + decades(-2, 2), 400),
    "lower gamma": (sp.lowergamma(sp.Rational(7, 3), x), decades(-2, 2), 20),
    "upper gamma": (sp.uppergamma(sp.Rational(7, 3), x), decades(-2, 1.8), 40),
    # JAX sums a continued fraction.
    "incomplete beta": (sp.betainc_regularized(3, sp.Rational(7, 2), 0, x), between(0.02, 0.98), 100),
    "lambert w": (sp.LambertW(x), np.concatenate([decades(-4, 30), -decades(-4, -0.6)]), 6),
    "lambert w of exp": (sp.LambertW(3 * sp.exp(2 * x + 1)), both(decades(-4, 2)), 8),
    "zeta": (sp.zeta(x), 1 + decades(-2, 1.5), 6),
    "hurwitz zeta": (sp.zeta(3, x), decades(-2, 3), 6),
    "bessel i": (sp.besseli(0, x) + sp.besseli(1, x), both(decades(-4, 1.9)), 8),
    "exponential integral": (sp.Ei(x), np.concatenate([decades(-4, 1.9), -decades(-4, 1.8)]), 12),
    "logarithmic integral": (sp.li(x), 2 + decades(-2, 6), 12),
    "expint": (sp.expint(1, x) + sp.expint(3, x), decades(-4, 1.8), 60),
    "piecewise": (
        sp.Piecewise((x**2, (x > 1) & (x < 3)), (-x, (x <= 0) | ~(x < 7)), (x, True)),
        both(decades(-1, 1)),
        4,
    ),
    "constants": (sp.pi * x + sp.E + sp.EulerGamma * sp.GoldenRatio - sp.zeta(3) + sp.erf(1), decades(-2, 2), 8),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_function_against_mpmath(name):
    expression, points, units = FUNCTIONS[name]
    compiled = load(write(expression))
    # Sympy 1.14 prints the regularized incomplete beta function as mpmath's other one; its own evalf knows better.
    regularized = {"betainc_regularized": lambda *arguments: mp.betainc(*arguments, regularized=True)}
    exact = sp.lambdify(x, expression, [regularized, "mpmath"])
    for dtype in (np.float64, np.float32):
        largest, smallest = np.finfo(dtype).max, np.finfo(dtype).tiny
        at = points.astype(dtype)
        found = np.asarray(compiled(x=at))
        assert found.dtype == dtype
        compared = 0
        for value, point in zip(found, at, strict=True):
            with mp.workdps(80):
                point = mp.mpf(float(point))
                expected = mp.re(exact(point))
                if not 4 * smallest < abs(expected) < largest / 4:
                    continue
                slope = mp.diff(lambda t: mp.re(exact(t)), point, h=abs(point) * mp.mpf("1e-15"))
                allowed = units * np.finfo(dtype).eps * (abs(expected) + abs(point * slope))
                assert abs(mp.mpf(float(value)) - expected) <= allowed, (dtype, point, value, expected)
            compared += 1
        assert compared >= 12


# Random formulas: every node below is defined for all real arguments, so that any tree is.
LEAVES = st.sampled_from([x, y, a, sp.Integer(2), sp.Rational(-3, 7), sp.pi, sp.Rational(3, 8), sp.Integer(-1)])
UNARY = st.sampled_from([
    sp.sin, sp.cos, sp.tanh, sp.atan, sp.erf, sp.exp, sp.Abs,
    lambda u: sp.log(1 + u**2), lambda u: sp.sqrt(2 + sp.sin(u)), lambda u: 1 / (1 + u**2), lambda u: u**3,
    lambda u: sp.LambertW(sp.exp(u)), lambda u: sp.Piecewise((u, u > 0), (u**2, True)),
    lambda u: sp.loggamma(3 + sp.cos(u)),
])  # fmt: skip
BINARY = st.sampled_from([
    sp.Add, sp.Mul, sp.Max, sp.Min, lambda u, v: u - v, lambda u, v: u / (2 + sp.cos(v)),
    lambda u, v: (1 + u**2) ** sp.tanh(v),
    lambda u, v: sp.Piecewise((u, u < v), (v, sp.Ne(u, v)), (0, True)),
])  # fmt: skip
TREES = st.recursive(
    LEAVES,
    lambda kids: st.one_of(
        st.builds(lambda f, u: f(u), UNARY, kids), st.builds(lambda f, u, v: f(u, v), BINARY, kids, kids)
    ),
    max_leaves=8,
)
POINT = {"x": 0.8125, "y": -1.375, "a": 0.40625}  # exact in float32


def with_error(e, values):
    """Value to 40 digits, and a bound in units of eps on what rounding each node and its arguments can do to it."""
    if not e.args:
        return (
            (values[e.name], mp.mpf(0))
            if e.is_Symbol
            else (mp.mpf(str(e.n(40))), mp.mpf(1) * abs(mp.mpf(str(e.n(40)))))
        )
    if isinstance(e, sp.Piecewise):
        branch = next(u for u, c in map(tuple, e.args) if c == True or bool(c.subs(SUBSTITUTION)))  # noqa: E712 (Sympy's truth)
        return with_error(branch, values)
    parts = [with_error(u, values) for u in e.args]
    function = sp.lambdify(
        sp.symbols(f"u:{len(parts)}"), e.func(*sp.symbols(f"u:{len(parts)}"), evaluate=False), "mpmath"
    )
    centre = [v for v, _ in parts]
    value = function(*centre)
    error = 8 * abs(value)
    for i, (v, r) in enumerate(parts):
        if r:
            step = max(abs(v), 1) * mp.mpf("1e-20")
            moved = function(*centre[:i], v + step, *centre[i + 1 :])
            error += abs((moved - value) / step) * r
    if isinstance(e, sp.Add):  # partial sums round too
        error += 8 * sum(abs(v) for v in centre)
    return value, error


SUBSTITUTION = {x: sp.Rational(POINT["x"]), y: sp.Rational(POINT["y"]), a: sp.Rational(POINT["a"])}


@settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(TREES)
def test_random_formulas_agree_with_sympy_to_rounding(expression):
    with mp.workdps(40):
        values = {name: mp.mpf(value) for name, value in POINT.items()}
        expected, error = with_error(expression, values)
        exact = mp.mpf(str(expression.subs(SUBSTITUTION).evalf(40)))
        assert abs(expected - exact) <= mp.mpf("1e-30") * (1 + error)  # the oracle agrees with Sympy's own
    code = write(expression)
    with jax.disable_jit():  # compiling each of the trees would take most of a second
        found = load(code)(**{name: POINT[name] for name in code.arguments})
    if abs(expected) < 1e300:
        assert abs(float(found) - float(expected)) <= float(error) * np.finfo(float).eps + 1e-300


def test_float32_stays_float32_whatever_the_constants():
    expression = sp.Piecewise((10**20 * x + sp.pi**3, x > 0), (1, True)) + sp.gamma(sp.Rational(1, 3)) * sp.binomial(
        a, y
    )
    values = {name: jnp.float32(0.5) for name in "xya"}
    assert run(expression, **values).dtype == jnp.float32
    assert run(expression, **{**values, "y": 2}).dtype == jnp.float32  # a Python number has no type of its own
    assert run(sp.Integer(7)).dtype == jnp.float64


def test_vmap_jit_and_grad_commute_with_the_formula():
    compiled = load(write(x * sp.exp(-a * x)))
    points = jnp.linspace(0.1, 2, 5)
    slope = jax.jit(jax.vmap(jax.grad(lambda t: compiled(x=t, a=0.5))))(points)
    np.testing.assert_allclose(slope, run((x * sp.exp(-a * x)).diff(x), x=points, a=0.5), rtol=1e-14)


@pytest.mark.parametrize("order", [1, 2])
def test_branch_that_is_not_taken_leaves_no_nan_in_derivatives(order):
    entropy = load(write(y * sp.Piecewise((x * sp.log(x), x > 0), (sp.sqrt(-x - 1), x < -1), (0, True))))
    derivative = lambda t: entropy(x=t, y=2.0)
    for _ in range(order):
        derivative = jax.grad(derivative)
    found = jax.vmap(derivative)(jnp.asarray([0.0, 0.5, -0.5, -2.0, -1.0]))
    below = -1.0 if order == 1 else -0.5  # of 2 sqrt(-x - 1) at -2
    above = 2 * (np.log(0.5) + 1) if order == 1 else 4.0
    np.testing.assert_allclose(found, [0, above, 0, below, 0], rtol=1e-14)


def test_slope_of_a_taken_branch_does_not_touch_the_other_arguments():
    compiled = load(write(sp.Piecewise((sp.sqrt(x) * y, x >= 0), (0, True))))
    assert jax.grad(lambda v: compiled(x=0.0, y=v))(1.0) == 0  # sqrt has infinite slope at 0, but x is not varied


def test_nested_piecewise_and_shared_conditions():
    inner = sp.Piecewise((sp.log(x), x > 1), (sp.Piecewise((1 / x, x > 0), (-1, True)), x < a), (y, True))
    found = run(sp.exp(inner) * inner, x=jnp.asarray([2.0, 0.25, -3.0, 0.75]), a=0.5, y=0.125)
    value = np.asarray([np.log(2), 4, -1, 0.125])
    np.testing.assert_allclose(found, value * np.exp(value), rtol=1e-15)


def test_condition_on_a_piecewise():
    step = sp.Piecewise((x, x < y), (y, sp.Ne(x, y)), (0, True))
    expression = sp.Piecewise((x, x < step), (step, sp.Ne(x, step)), (7, True))  # Sympy turns the conditions into ITE
    np.testing.assert_array_equal(
        run(expression, x=jnp.asarray([1.0, 2, 3, -2]), y=jnp.asarray([2.0, 2, 1, -2])), [7, 0, 1, -2]
    )


def test_heaviside_at_zero_is_what_the_expression_says():
    assert run(sp.Heaviside(x), x=0.0) == 0.5
    assert run(sp.Heaviside(x, 1), x=0.0) == 1.0


@pytest.mark.parametrize("trials", [5, 40, 2000])
def test_binomial_probabilities_do_not_overflow(trials):
    term = sp.binomial(trials, n) * a**n * (1 - a) ** (trials - n)
    # Log-gamma of 2000 is 1.3e4, so each term is good to about 1.3e4 eps = 3e-12.
    np.testing.assert_allclose(run(sp.Sum(term, (n, 0, trials)), a=0.3), 1, rtol=1e-11)
    np.testing.assert_allclose(run(sp.Sum(n * term, (n, 0, trials)), a=0.3), 0.3 * trials, rtol=1e-11)
    np.testing.assert_allclose(run(sp.Sum(term, (n, 0, trials)), a=0.0), 1, rtol=1e-11)  # 0**0 is 1
    slope = jax.grad(lambda p: run(sp.Sum(n * term, (n, 0, trials)), a=p))(0.3)
    np.testing.assert_allclose(slope, trials, rtol=1e-9)


def test_gamma_quotients_keep_their_sign_and_their_zeros():
    np.testing.assert_allclose(
        run(sp.gamma(x) * sp.gamma(y), x=-0.5, y=2.5), float(sp.gamma(-0.5) * sp.gamma(2.5)), rtol=1e-14
    )
    assert run(sp.binomial(x, y) * 2**x, x=3.0, y=5.0) == 0
    np.testing.assert_allclose(
        run(sp.log(sp.binomial(a, b)), a=3000, b=1500), float(sp.log(sp.binomial(3000, 1500))), rtol=1e-13
    )


def test_symbols_may_have_any_name():
    names = ["lambda", "jnp", "dtype", "x'", "w_hat", "λ", "__import__", "2"]
    symbols = [sp.Symbol(name) for name in names]
    expression = sum(10**i * symbol for i, symbol in enumerate(symbols))
    assert run(expression, **dict.fromkeys(names, 1.0)) == 11111111


u = sp.Function("u")
p = sp.IndexedBase("p")
N = sp.Symbol("N", integer=True)
REFUSED = {
    "integral": (sp.Integral(sp.exp(-(x**2)), (x, 0, a)) + 1, r"Integral.*no faithful JAX form; evaluate it"),
    "derivative": (sp.Derivative(u(x), x), r"Derivative.*carry it out"),
    "limit": (sp.Limit(sp.sin(x) / x, x, 0), r"Limit.*carry it out"),
    "constant integral": (sp.Integral(sp.exp(-(x**2)), (x, 0, 1)), r"Integral.*evaluate it"),
    "undefined": (u(x) + 1, r"u\(x\) \(u\) in u\(x\) \+ 1 has no faithful"),
    "undefined with a known name": (sp.Function("gamma")(x), r"gamma\(x\) \(gamma\).*no faithful"),
    "undefined constant": (x + u(1), r"u\(1\) \(u\) in.*no faithful"),
    "bessel j": (sp.besselj(0, x), r"besselj.*silently wrong"),
    "bessel order": (sp.besseli(2, x), r"besseli\(2, x\).*orders 0 and 1"),
    "other branch": (sp.LambertW(x, -1), r"LambertW\(x, -1\).*principal branch"),
    "polylog": (sp.polylog(2, x), r"polylog.*closed form"),
    "symbolic polygamma": (sp.polygamma(n, x), r"polygamma.*literal integer"),
    "incomplete gamma": (sp.uppergamma(x, y), r"declare x positive=True"),
    "no default": (sp.Piecewise((x, x > 0)), r"no default; end it with \(value, True\)"),
    "imaginary": (sp.I * x, r"I in I\*x is not a real number"),
    "imaginary constant": (x * sp.sqrt(-2) / sp.sqrt(3), r"not a real number"),
    "complex": (sp.re(sp.Symbol("z")), r"re\(z\).*declare its symbols real"),
    "infinite": (sp.zoo * x, r"zoo"),
    "too large": (x + 10**400, r"outside of float64; write the formula in its logarithm"),
    "too small": (x * sp.exp(-1000), r"outside of float64"),
    "matrix": (sp.MatrixSymbol("A", 2, 2)[0, 0], r"MatrixElement.*no faithful"),
    "infinite sum": (sp.Sum(x**n, (n, 0, sp.oo)), r"expected integers"),
    "dependent bound": (sp.Sum(sp.Sum(x**n, (n, 0, N)), (N, 0, 5)), r"n = 0..N"),
    "length of nothing": (sp.Sum(x**n, (n, 0, N - 1)), r"no array in .* has the length N"),
    "shifted index": (p[n + 1] - p[n], r"p\[n \+ 1\] has the index n \+ 1"),
    "diagonal": (p[n, n], r"distinct plain symbols"),
    "name in two roles": (sp.Sum(p[n], (n, 0, N - 1)) + n, r"n is bound by a sum and also"),
    "array and symbol": (p[n] * sp.Symbol("p"), r"p is both an array and a plain symbol"),
    "dirac": (sp.DiracDelta(x), r"no value at a point"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused_when_declared_with_a_remedy(name):
    expression, message = REFUSED[name]
    with pytest.raises(PrinterError, match=message):
        write(expression)


def test_too_deep_is_refused_and_not_a_syntax_error():
    deep = x
    for _ in range(250):
        deep = sp.sin(deep)
    with pytest.raises(PrinterError, match="nested too deep"):
        write(deep)
