"""Where gradient descent on separable data goes: on planted data, on random data, and on real data.

All experiments look at a path in one way (`_looks`): they report what it shows (loss, margins, slopes) and the instance
parameters of the data (margin, dual weights, spectrum), and know no formula for how the two hang together.

Labels are folded into x. The loss is the sum over samples. Axes: t = recorded times, n = samples, d = features.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.scipy.special import logsumexp

from idealab.experiment import Condition, Experiment, Level, Observation, Range
from idealab.simulate import (
    LOGISTIC,
    SQUARED,
    HardMargin,
    MarginLoss,
    breast_cancer,
    decay_slope,
    descend,
    digits,
    hard_margin,
    log_time_flow,
    margin_gradient,
    planted,
    polynomial,
    random_separable,
    spectrum,
    subsample,
)
from idealab.simulate.linear_algebra import full_svd, pinv

LogTimes = tuple[float, ...]
Checkpoints = Mapping[str, tuple[str, LogTimes]]

DECADE = math.log(10)

LIMITS = ("loss_times_time", "projection_excess", "support_excess", "residual", "relative_gap", "far_relative_gap")
"""Observables of the limit, in the order in which they are recorded; the rest are slopes of the approach to it."""

SLOPES = ("shape_slope", "divergence_slope")


def at_decades(*decades: float) -> tuple[str, LogTimes]:
    """Checkpoints at t = 10^decades."""
    return "log_t", tuple(decade * DECADE for decade in decades)


class Path(NamedTuple):
    """Weights w (t, d) at some log times on data x (n, d), with what is needed to look at them.

    Vectors over support vectors will have ``size`` entries; ``limit`` is the time that counts as the end when the
    approach to it is measured; ``log_c`` are the logarithms of sample weights.
    """

    log_times: LogTimes
    w: Array
    x: Array
    solution: HardMargin
    size: int
    evaluations: Array | int
    limit: int = -1
    loss: MarginLoss = LOGISTIC
    log_c: Array | float = 0.0


def _looks(path: Path) -> dict[str, Array]:
    """All that is seen of a path, and of its data.

    Vectors over support vectors have the heaviest first. Their padding has weight one, which carries no entropy, and
    shows zero; if there are more support vectors than ``size``, everything about them is NaN.
    """
    _, w, x, solution, size, _, limit, loss, log_c = path
    log_times = jnp.asarray(path.log_times)
    # Margins first: the loss and all that follows come from them in the log domain.
    u = w @ x.T
    log_loss = logsumexp(loss.log_value(u) + log_c, axis=1)
    log_q = log_c - u - logsumexp(log_c - u, axis=1, keepdims=True)
    dual, index = jax.lax.top_k(solution.dual, size)
    inside = dual > 0
    complete = jnp.where(jnp.sum(solution.dual > 0) > size, jnp.nan, 1.0)
    separator, margin = solution.separator, solution.margin
    along = margin**2 * (w @ separator)
    rows = jnp.where(inside[:, None], x[index], 0.0)
    inverse = complete * pinv(rows)
    excess = jnp.where(inside, u[:, index] + log_loss[:, None], 0.0)
    rates = spectrum(x, solution)
    return {
        "gamma": margin,
        "p": complete * jnp.where(inside, margin**2 * dual, 1.0),
        "p_max": jnp.max(margin**2 * dual),
        "theta": jnp.minimum(solution.theta, 1e3),  # no sample off the support: as good as infinity
        "lambda_min": jnp.minimum(jnp.min(jnp.where(rates > 0, rates, jnp.inf)), 1e3),
        "R": jnp.linalg.norm(w[-1] - along[-1] * separator),
        "pinv": inverse,
        "log_t_loss": log_times + log_loss,
        "separator_projection": along,
        "projection_excess": along + log_loss,
        "support_excess": excess,
        "residual": (w @ rows.T) @ inverse.T - jnp.outer(log_times, separator),
        "relative_gap": 1.0 - jnp.min(u, axis=1) / jnp.linalg.norm(w, axis=1) / margin,
        "weights": w,
        # How far the shape is from where it ends: blind to what the theory says it ends at.
        "shape_distance": jnp.max(jnp.abs(excess - excess[limit]), axis=1),
        "divergence": jnp.sum(jnp.exp(log_q[limit]) * (log_q[limit] - log_q), axis=1),
    }


_PARAMETERS = ("gamma", "p", "p_max", "theta", "lambda_min", "R", "pinv")
_RECORDED_AS = {"loss_times_time": "log_t_loss", "far_relative_gap": "relative_gap"}


def _report(path: Path, checkpoints: Checkpoints, **more: Array) -> Observation:
    """Keep what is recorded where, and the slopes of the approach; ``more`` are further parameters."""
    looks, times = _looks(path), jnp.asarray(path.log_times)[: path.limit]
    observables: dict[str, Array] = {}
    for name, (_, values) in checkpoints.items():
        rows = np.array([path.log_times.index(value) for value in values])
        observables[name] = looks[_RECORDED_AS.get(name, name)][rows]
    observables["loss_times_time"] = jnp.exp(observables["loss_times_time"])
    observables["shape_slope"] = decay_slope(times, looks["shape_distance"][: path.limit], 1e-6, 1e-3)
    observables["divergence_slope"] = decay_slope(times, looks["divergence"][: path.limit], 1e-9, 1e-5)
    parameters = {name: looks[name] for name in _PARAMETERS} | more
    return Observation({**parameters, "gradient_evaluations": jnp.asarray(path.evaluations, float)}, observables)


def _follow(
    x: Array, solution: HardMargin, w0: Array, condition: Condition, size: int, log_times: LogTimes, tol: float = 1e-10
) -> Path:
    """Descent in log time; a step of the solver costs eight evaluations of the field."""
    flow = log_time_flow(x, condition["eta"], jnp.asarray(log_times), w0=w0, rtol=tol, atol=tol)
    return Path(log_times, flow.weights, x, solution, size, 1000 + 8 * flow.steps)


def _union(checkpoints: Checkpoints) -> LogTimes:
    """All log times that have to be recorded, in order."""
    return tuple(sorted({value for _, values in checkpoints.values() for value in values}))


def _stable(draw: Callable[[Array, Condition], Array]) -> Callable[[Condition], Range]:
    """The learning rates at which descent on the logistic loss is stable: below 2/(largest curvature) = 8/sigma_1^2."""

    @jax.jit
    def largest(condition: Condition) -> Array:
        norm = lambda key: jnp.linalg.norm(draw(key, condition), 2)
        return jnp.max(jax.lax.map(norm, jax.random.split(jax.random.key(0), 64)))

    def bound(condition: Condition) -> Range:
        high = 8 / float(largest(condition.realized())) ** 2
        return Range(0.0, high, "past 8/sigma_1(x)^2 descent on the logistic loss is not stable (largest of 64 draws)")

    return bound


# --- Planted data -----------------------------------------------------------------------------------------------------


def draw_planted(key: Array, condition: Condition) -> tuple[Array, HardMargin, Array]:
    """Data x (n, d), its solution and a start w0 (d,): the margin is the setting within 10 %, all else is redrawn."""
    key_data, key_margin, key_start = jax.random.split(key, 3)
    support, dimension = condition["support"], condition["dimension"]
    x, solution = planted(
        key_data,
        support=support,
        others=condition["others"],
        dimension=dimension,
        margin=condition["gamma"] * jax.random.uniform(key_margin, minval=0.9, maxval=1.1),
        rates=condition["lambda_min"] * jnp.array([1.0, 1.7, 2.6])[: support - 1],
        theta=condition["theta"],
    )
    # Turned into its own principal axes, the data have uncorrelated features: a basis as special as there is.
    axes = jnp.where(condition["turned"] > 0, full_svd(x)[2].T, jnp.eye(dimension))
    solution = solution._replace(separator=solution.separator @ axes)
    return x @ axes, solution, condition["start"] * jax.random.normal(key_start, (dimension,))


def _planted(gamma: float, eta: float, lambda_min: float, theta: float) -> Condition:
    label = f"lambda={lambda_min:g}, theta={theta:g}, gamma={gamma:g}, eta={eta:g}"
    knobs = {"gamma": gamma, "eta": eta, "lambda_min": lambda_min, "theta": theta}
    # One direction is left that no support vector reaches, where the start must show.
    sizes = {"support": 4, "others": 5, "dimension": 5}
    return Condition({**knobs, **sizes, "start": 0.3, "turned": 0.0, "data": "planted"}, label)


_AT = (at_decades(6, 5, 4), *3 * [at_decades(30, 6)], at_decades(100, 6), at_decades(300, 200, 100))
PLANTED_CHECKPOINTS: Checkpoints = dict(zip(LIMITS, _AT, strict=True))
_DENSE = (*np.linspace(3.125, 4, 7), *np.linspace(4, 40, 73))
PLANTED_LOG_TIMES = tuple(sorted({*_union(PLANTED_CHECKPOINTS), *(float(p) * DECADE for p in _DENSE)}))
"""Where planted data are recorded: at the checkpoints, and densely where modes decay, the fast ones first."""


def observe_planted(key: Array, condition: Condition) -> Observation:
    """Planted data in log time, to t = 10^300."""
    x, solution, w0 = draw_planted(key, condition)
    size = condition["support"]
    if condition["data"] == "random":
        x, w0, size = random_separable(key, 200, 50), jnp.zeros(50), 51
        solution = hard_margin(x)
    return _report(_follow(x, solution, w0, condition, size, PLANTED_LOG_TIMES), PLANTED_CHECKPOINTS)


_START = Range(-3.0, 3.0, "a start further out is still felt at t = 10^6")
_RATES_RANGES = {
    "gamma": Range(0.0, math.inf, "a margin is positive"),
    "lambda_min": Range(0.0, math.inf, "rates are positive"),
    "theta": Range(1.0, math.inf, "samples off the support have margin above 1 in units of gamma"),
    "eta": _stable(lambda key, condition: draw_planted(key, condition)[0]),
    "start": _START,
}
_SLOW = "slower modes are still there at t = 10^6 (the assumption `mixing`); see the experiment `rates`"
_PLANTED_RANGES = {**_RATES_RANGES, "lambda_min": Range(1.0, math.inf, _SLOW), "theta": Range(2.0, math.inf, _SLOW)}
_PLANTED = (
    _planted(gamma=0.7, eta=0.08, lambda_min=2.1, theta=3.1),
    _planted(gamma=0.5, eta=0.2, lambda_min=1.7, theta=2.7),
    _planted(gamma=1.4, eta=0.025, lambda_min=1.4, theta=2.4),
    _planted(gamma=0.3, eta=0.6, lambda_min=1.2, theta=2.2),
)

planted_data = Experiment(
    name="planted",
    statement="data with a planted hard-margin solution, followed in log time to t = 10^300",
    level="idealized",
    observe=observe_planted,
    observables=LIMITS,
    conditions=_PLANTED,
    checkpoints=PLANTED_CHECKPOINTS,
    toggles={
        "start": _PLANTED[0].but("a start three times as far", start=0.9),
        "rotation": _PLANTED[0].but("principal axes", turned=1.0),
        "step_size": _PLANTED[0].but("a step a third as large", eta=0.027),
        "mixing": _PLANTED[0].but("random data, n=200, d=50", data="random", eta=0.01),
    },
    ranges=_PLANTED_RANGES,
)

rates = Experiment(
    name="rates",
    statement="planted data with slow modes, in log time: the slopes with which the limit is approached",
    level="idealized",
    observe=observe_planted,
    observables=SLOPES,
    conditions=(
        _planted(gamma=0.7, eta=0.09, lambda_min=0.3, theta=2.7),
        _planted(gamma=0.5, eta=0.2, lambda_min=0.4, theta=2.6),
        _planted(gamma=0.6, eta=0.13, lambda_min=0.5, theta=2.8),
        _planted(gamma=0.8, eta=0.1, lambda_min=1.7, theta=1.4),
        _planted(gamma=0.55, eta=0.15, lambda_min=2.2, theta=3.4),
    ),
    ranges=_RATES_RANGES,
)

# --- Plain descent, and what changes it -------------------------------------------------------------------------------


def _descent_checkpoints(last: int) -> Checkpoints:
    names = ("loss_times_time", "projection_excess", "relative_gap", "weights")
    return {"separator_projection": at_decades(last), **dict.fromkeys(names, at_decades(last, last - 1))}


def observe_descent(key: Array, condition: Condition) -> Observation:
    """Planted data by plain descent, with whatever the condition changes in the model."""
    x, solution, w0 = draw_planted(key, condition)
    if condition["data"] == "two orthogonal points":
        x, w0 = jnp.diag(jnp.array([1.0, 3.0])), jnp.abs(w0[:2])
        solution = hard_margin(x)
    if condition["data"] == "one sample flipped":
        x = jnp.concatenate([x, -0.5 * x[:1]])
        solution = solution._replace(dual=jnp.append(solution.dual, 0.0))
    log_c = condition["reweighting"] * jax.random.normal(jax.random.fold_in(key, 1), (x.shape[0],))
    tail = polynomial(condition["b"] if "b" in condition.settings else 2)
    loss = {"logistic": LOGISTIC, "squared": SQUARED, "polynomial": tail}[condition["loss"]]
    checkpoints = _descent_checkpoints(condition["decades"])
    log_times, last = _union(checkpoints), 10 ** condition["decades"]
    cast = lambda value: jnp.asarray(value).astype(jax.dtypes.canonicalize_dtype(condition["precision"]))
    gradient = margin_gradient(loss, cast(x), cast(jnp.exp(log_c)), cast(condition["weight_decay"]))
    times = tuple(round(math.exp(s)) for s in log_times)
    # Compensated sums stand in for float64 where there is none; the toggle shows what happens without.
    stand_in = x.dtype == jnp.float32 and condition["precision"] == "float64"
    w = descend(gradient, cast(w0), cast(condition["eta"]), times, compensated=stand_in)
    # A squared loss has no logarithm to look at; its path is seen through the logistic loss like the others.
    seen = LOGISTIC if loss is SQUARED else loss
    size = min(condition["support"], x.shape[0])
    path = Path(log_times, w.astype(x.dtype), x, solution, size, last, loss=seen, log_c=log_c)
    return _report(path, checkpoints, pseudo_inverse=pinv(x))


_MODEL = {"loss": "logistic", "reweighting": 0.0, "weight_decay": 0.0, "precision": "float64", "decades": 6}
_DESCENT = tuple(condition.but(str(condition), **_MODEL) for condition in _PLANTED[:2])
_TINY = _planted(gamma=0.8, eta=0.6, lambda_min=1.9, theta=2.9).but(
    "two support vectors", **{**_MODEL, "support": 2, "others": 1, "dimension": 2, "decades": 7}
)

descent = Experiment(
    name="descent",
    statement="planted data by plain descent to t = 10^6",
    level="idealized",
    observe=observe_descent,
    observables=("loss_times_time", "projection_excess", "relative_gap"),
    conditions=_DESCENT,
    checkpoints=_descent_checkpoints(6),
    toggles={
        "exponential_tail": _DESCENT[0].but(
            "two orthogonal points, loss u^-2", data="two orthogonal points", loss="polynomial", b=2, eta=0.05
        ),
        "separability": _DESCENT[0].but("one sample flipped", data="one sample flipped"),
        "no_weight_decay": _DESCENT[0].but("weight decay 1e-4", weight_decay=1e-4),
        "classification_loss": _DESCENT[0].but("squared loss", loss="squared", eta=0.02),
        "uniform_sample_weights": _DESCENT[0].but("sample weights e^N(0, 0.25)", reweighting=0.5, eta=0.04),
    },
    ranges=_PLANTED_RANGES,
    vectorized=True,
)

long_descent = Experiment(
    name="long descent",
    statement="two support vectors in the plane by plain descent to t = 10^7",
    level="idealized",
    observe=observe_descent,
    observables=("loss_times_time",),
    conditions=(_TINY,),
    checkpoints=_descent_checkpoints(7),
    toggles={"double_precision": _TINY.but("float32", precision="float32")},
    vectorized=True,
)

# --- Data that nobody planted -----------------------------------------------------------------------------------------

FAR_LOG_TIMES = tuple(float(s) for s in np.geomspace(10, 1e8, 141))


def far_checkpoints(horizon: int) -> Checkpoints:
    """The limits at t = e^(10^horizon) and at the decade of ln t before it."""
    end = 20 * (horizon - 1)
    return dict.fromkeys(LIMITS, ("log_t", (FAR_LOG_TIMES[end], FAR_LOG_TIMES[end - 20])))


def draw_far(key: Array, condition: Condition) -> Array:
    """Some rows of the condition's data, or Gaussian samples labelled by a random teacher."""
    if condition.data is None:
        return random_separable(key, condition["rows"], condition["features"])
    return subsample(key, jnp.asarray(condition.data), condition["rows"])


def observe_far(key: Array, condition: Condition) -> Observation:
    """Data that nobody planted, from a random start."""
    key_data, key_start = jax.random.split(key)
    x = draw_far(key_data, condition)
    w0 = condition["start"] * jax.random.normal(key_start, (x.shape[1],))
    log_times = FAR_LOG_TIMES[: 20 * (condition["horizon"] - 1) + 1]
    # Rounding grows like ln t and would cover the approach: it is measured from ln t = 10^6 at the latest.
    limit = min(len(log_times) - 21, 100)
    # Past 1e-8 rounding decides how far off the limits are, and the solver takes up to four times as long.
    path = _follow(x, hard_margin(x), w0, condition, condition["support"], log_times, 1e-8)
    return _report(path._replace(limit=limit), far_checkpoints(condition["horizon"]))


def _far(name: str, statement: str, *conditions: Condition, level: Level, horizon: int) -> Experiment:
    return Experiment(
        name=name,
        statement=f"{statement}, followed in log time to t = e^(10^{horizon})",
        level=level,
        observe=observe_far,
        observables=(*LIMITS, *SLOPES),
        conditions=tuple(condition.but(str(condition), start=0.3, horizon=horizon) for condition in conditions),
        checkpoints=far_checkpoints(horizon),
        ranges={"eta": _stable(draw_far), "start": _START},
    )


def _digits(a: int, b: int) -> Condition:
    # As many samples of every pair, so that all pairs share one compiled program.
    load = lambda: digits(a, b)[:356]
    return Condition({"rows": 320, "support": 48, "eta": 0.001}, f"digits {a} against {b}", load)


_GAUSSIAN = Condition({"rows": 64, "features": 16, "support": 17, "eta": 0.02}, "n=64, d=16")
_TUMOURS = Condition({"rows": 512, "support": 32, "eta": 0.0005}, "benign against malignant", breast_cancer)
_PAIRS = tuple(_digits(a, b) for a, b in ((0, 1), (3, 8), (4, 9), (1, 7)))

experiments = (
    planted_data,
    rates,
    descent,
    long_descent,
    _far("random", "Gaussian data labelled by a random teacher", _GAUSSIAN, level="idealized", horizon=8),
    # One subset of the digits in a thousand has kappa below 10^-5, so that e^(10^6) would not be far enough.
    _far("digits", "pairs of handwritten digits, 320 samples a seed", *_PAIRS, level="real data", horizon=8),
    # Here kappa is above 10^-3, and rounding times the largest rate, 10^6, is what limits the solver.
    _far("breast cancer", "Wisconsin diagnostic data, 512 samples a seed", _TUMOURS, level="real data", horizon=6),
)
