"""The theory of max_margin: how each formula is known, its value on a planted instance, and that it sees an error."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from idealab.theory import max_margin as theory
from scipy.optimize import root
from scipy.special import lambertw

from idealab.errors import DerivationError
from idealab.idea import Signature
from idealab.symbolic.prediction import Prediction

SIGNATURES = theory.idea.signatures
RIVALS = {a.name: a.rival for a in theory.idea.assumptions.values() if a.rival is not None}

# Two support vectors with p = (1/5, 4/5), gamma = 1 and lambda = 4, and a sample with theta = 3: all numbers are exact.
X = np.array([[1.0, 4.0], [1.0, -1.0], [3.0, 0.25]])
P, ETA = np.array([0.2, 0.8]), 0.3
SEPARATOR = np.array([1.0, 0.0])
ENTROPY, LARGEST = -0.2 * math.log(0.2) - 0.8 * math.log(0.8), -math.log(0.8)


def parameters(log_t: float, padding: int = 0) -> dict[str, object]:
    """What an experiment would report for the instance; R is that of rho alone."""
    inverse = np.linalg.pinv(X[:2])
    rho = inverse @ np.log(ETA / P)
    return {
        "eta": ETA,
        "gamma": 1.0,
        "log_t": log_t,
        "p": np.pad(P, (0, padding), constant_values=1.0),
        "p_max": 0.8,
        "theta": 3.0,
        "lambda_min": 4.0,
        "R": abs(rho[1]),
        "pinv": np.pad(inverse, ((0, 0), (0, padding))),
    }


def value(prediction: Prediction, known: dict[str, object]) -> np.ndarray:
    return np.asarray(
        prediction.to_jax()(**{name: (known | {"machine_epsilon": 2.0**-52})[name] for name in prediction.arguments})
    )


def deviation(signature: Signature, measured: object, known: dict[str, object]) -> float:
    """Largest unit deviation: at most one where the signature holds."""
    predicted = value(signature.prediction, known)
    rtol, atol = (value(part, known) for part in signature.tolerance)
    return float(np.max(np.abs(np.asarray(measured) - predicted) / (atol + rtol * np.abs(predicted))))


@pytest.mark.parametrize("signature", [*SIGNATURES.values(), *RIVALS.values()], ids=lambda s: s.name)
def test_nothing_rests_on_a_citation(signature):
    assert signature.known in ("derived", "checked")
    assert all(step.kind != "cited" for step in signature.derivation.steps)


def test_what_is_computed_is_marked_derived_and_what_is_typed_is_not():
    typed = {s.name for d in theory.idea.derivations.values() for s in d.steps if s.kind == "checked"}
    assert typed == {"settled", "shape_rate", "divergence_rate"}
    # The balance of the flow is checked for any number of support vectors, so everything from it is checked too.
    assert theory.settling["settled"].how == "residual reduces to 0"
    assert SIGNATURES["loss_clock"].known == "checked"
    assert RIVALS["exponential_tail"].known == RIVALS["classification_loss"].known == "derived"


def test_the_statement_is_the_first_paragraph_of_the_file():
    first = (theory.__doc__ or "").split("\n\n")[0]
    assert theory.idea.statement.split() == first.split()


def test_predictions_have_their_closed_forms_on_the_planted_instance():
    known = parameters(log_t=math.log(1e6))
    log_tau = math.log(0.3e6)
    # rho from x . rho = ln(eta/alpha): (1, 4) . rho = ln(3/2), (1, -1) . rho = ln(3/8)
    across = (math.log(1.5) - math.log(0.375)) / 5
    rho = [math.log(0.375) + across, across]
    gap = 1 - (log_tau + LARGEST) / math.hypot(log_tau + ENTROPY, across)
    expected = {
        "loss_clock": 10 / 3,
        "projection": ENTROPY,
        "support_shape": [math.log(5), math.log(1.25)],
        "shape_rate": -1.0,
        "divergence_rate": -2.0,
        "support_residual": rho,
        "relative_gap": gap,
        "textbook_gap": (ENTROPY - LARGEST) / log_tau,
    }
    assert set(expected) == set(SIGNATURES)
    for name, number in expected.items():
        np.testing.assert_allclose(value(SIGNATURES[name].prediction, known), number, rtol=1e-13, err_msg=name)


@pytest.mark.parametrize("name", list(SIGNATURES))
def test_padding_and_astronomic_times_change_nothing(name):
    plain, padded = (value(SIGNATURES[name].prediction, parameters(1e6, padding)) for padding in (0, 3))
    if name == "support_shape":
        plain = np.pad(plain, (0, 3))
    # Sums of other length may be added up in another order.
    np.testing.assert_allclose(padded, plain, rtol=1e-14, atol=1e-16)
    assert np.all(np.isfinite([value(part, parameters(1e6, 3)) for part in SIGNATURES[name].tolerance]))


@pytest.mark.parametrize("name", list(SIGNATURES))
def test_rivals_are_outside_the_tolerance_on_the_planted_instance(name):
    # Each of the three rates in turn is the slowest, so that each of the slopes' rivals fails somewhere.
    furthest: dict[str, float] = {}
    for rates in ({"lambda_min": 0.4, "theta": 2.7}, {"lambda_min": 0.9, "theta": 1.3}, {"lambda_min": 3, "theta": 5}):
        known = {**parameters(math.log(1e30) if name == "textbook_gap" else math.log(1e6)), **rates}
        for rival in SIGNATURES[name].rivals.values():
            apart = deviation(SIGNATURES[name], value(rival.prediction, known), known)
            furthest[rival.name] = max(furthest.get(rival.name, 0.0), apart)
    assert all(apart > 3 for apart in furthest.values()), furthest


@pytest.mark.parametrize(
    ("right", "wrong", "step"),
    [
        ("log(tau * c[n] / p[n])", "log(2 * tau * c[n] / p[n])", "settling.settled"),
        ("log(tau * c[n] / p[n])", "log(tau * c[n] / p[n] ** 2)", "settling.settled"),
        ("-Min(lambda_min, theta - 1, 1)", "-Min(lambda_min, theta - 1, 2)", "relaxation.shape_rate"),
        ("-Min(2 * lambda_min, theta - 1, 2)", "-Min(2 * lambda_min, 2)", "relaxation.divergence_rate"),
    ],
)
def test_a_wrong_formula_cannot_be_declared(right, wrong, step):
    source = Path(theory.__file__).read_text("utf-8")
    assert source.count(right) == 1
    with pytest.raises(DerivationError, match=f"step {step} does not hold"):
        exec(compile(source.replace(right, wrong), theory.__file__, "exec"), {"__name__": "wrong"})


def descend(steps: int) -> np.ndarray:
    """Gradient descent from the origin on the logistic loss of the planted instance, the slow and obvious way."""
    rows, w0, w1 = X.tolist(), 0.0, 0.0
    for _ in range(steps):
        pull = [1 / (1 + math.exp(a * w0 + b * w1)) for a, b in rows]
        w0 += ETA * sum(f * a for f, (a, _) in zip(pull, rows, strict=True))
        w1 += ETA * sum(f * b for f, (_, b) in zip(pull, rows, strict=True))
    return np.array([w0, w1])


def test_descent_arrives_where_it_is_predicted():
    steps = 100_000
    w = descend(steps)
    u, known = X @ w, parameters(math.log(steps))
    loss = np.sum(np.log1p(np.exp(-u)))
    measured = {
        "loss_clock": steps * loss,
        "projection": w @ SEPARATOR + math.log(loss),
        "support_shape": u[:2] + math.log(loss),
        "support_residual": w - SEPARATOR * math.log(steps),
        "relative_gap": 1 - np.min(u) / np.linalg.norm(w),
    }
    for name, number in measured.items():
        assert deviation(SIGNATURES[name], number, known) < 1, name
        # ... and the tolerance is tight enough to see a prediction that is off by a twentieth.
        assert deviation(SIGNATURES[name], 1.05 * np.asarray(number), known) > 1, name


def late_divergence_slope(rate: float, theta: float) -> float:
    """Slope of ln KL(p|q) between ln t = 18 and 24, by Runge-Kutta in log time under the exponential loss."""
    x = np.array([[1.0, 2.0 * math.sqrt(rate)], [1.0, -0.5 * math.sqrt(rate)], [theta, 0.3]])
    velocity = lambda s, w: np.exp(s - x @ w) @ x
    w, ds, logs = np.zeros(2), 0.05, []
    for i in range(480):
        s = i * ds
        k_1 = velocity(s, w)
        k_2 = velocity(s + ds / 2, w + ds / 2 * k_1)
        k_3 = velocity(s + ds / 2, w + ds / 2 * k_2)
        w = w + ds / 6 * (k_1 + 2 * k_2 + 2 * k_3 + velocity(s + ds, w + ds * k_3))
        log_q = -x @ w - math.log(np.sum(np.exp(-x @ w)))
        logs.append(math.log(P @ (np.log(P) - log_q[:2])))
    return (logs[479] - logs[359]) / (120 * ds)


@pytest.mark.parametrize(("rate", "theta", "slope"), [(0.35, 3.0, -0.7), (0.8, 1.5, -0.5)])
def test_samples_off_the_support_hold_up_the_divergence_at_first_order(rate, theta, slope):
    predicted = value(SIGNATURES["divergence_rate"].prediction, {"lambda_min": rate, "theta": theta})
    assert predicted == pytest.approx(slope, rel=1e-14)
    # The next term is smaller by at least exp(-0.35 * 18) = 2e-3 and its slope is at most twice as large.
    assert late_divergence_slope(rate, theta) == pytest.approx(slope, rel=0.01)


def test_the_textbook_gap_is_off_by_half_its_tolerance_at_most():
    known = parameters(300 * math.log(10))
    exact = value(SIGNATURES["relative_gap"].prediction, known)
    assert 0.02 < deviation(SIGNATURES["textbook_gap"], exact, known) < 0.5


@pytest.mark.parametrize("weight_decay", [1e-4, 1e-8])
def test_weight_decay_stops_within_a_tolerance_of_second_order(weight_decay):
    rival = RIVALS["no_weight_decay"]
    known = parameters(800.0) | {"weight_decay": weight_decay}
    predicted = value(rival.prediction, known)
    assert predicted == pytest.approx(lambertw(math.exp(ENTROPY) / weight_decay).real, rel=1e-14)
    # Stationary point of the exponential loss on the support, in logarithms so that the equation is well scaled.
    support = X[:2]
    balance = lambda w: w - support.T @ np.exp(-support @ w - math.log(weight_decay))
    found = root(balance, SEPARATOR * predicted, tol=1e-13)
    assert found.success
    # One divergence off, of second order in 1/y: half the variance of ln p over (1 + lambda y)^2, give or take 1/y.
    shift = 0.16 * math.log(4) ** 2 / 2 / (1 + 4 * predicted) ** 2 * predicted / (1 + predicted)
    assert found.x[0] - predicted == pytest.approx(shift, rel=1 / predicted)
    assert deviation(rival, found.x[0], known) < 0.5


def test_a_polynomial_tail_turns_elsewhere():
    known = parameters(math.log(1e6)) | {"b": 2.0}
    # tan phi = 3^(-1/2) against 1/3 for the max-margin separator (3, 1)/sqrt(10).
    margin = math.cos(math.atan(3**-0.5))
    assert value(RIVALS["exponential_tail"].prediction, known) == pytest.approx(
        1 - margin * math.sqrt(10) / 3, rel=1e-14
    )


def test_the_squared_loss_ends_at_least_squares():
    known = {"pseudo_inverse": np.linalg.pinv(X)}
    solution = np.linalg.lstsq(X, np.ones(3), rcond=None)[0]
    np.testing.assert_allclose(value(RIVALS["classification_loss"].prediction, known), solution, rtol=1e-13)
