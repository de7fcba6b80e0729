"""Which settings the experiments on training may take: what is looked at must have settled by then, or be refused.

Where the bounds are formulas, these are of the derivations single_edge, edges, component_odds and odds_by_keys.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from idealab.experiments.topic_inertia.domains import Ranges

from idealab.errors import UsageError
from idealab.experiment import Condition, Range

MOST = 4
"""Counts are one to so many."""

DRAWN = 0.03
"""Shares of labels are drawn within this part of their setting."""

_FAR = 50.0
"""Of what is left as (1 + ln x)/x there is less than a tenth at this x."""


# --- One edge ---------------------------------------------------------------------------------------------------------


def _first_step(condition: Condition) -> Range:
    rho = float(condition["rho"])
    return Range(
        0.0, (1 + rho) / 2, f"with rho={rho:g} the first step, 4 eta/(1 + rho) at most, would be longer than two"
    )


SINGLE: Ranges = {
    "rho": Range(1e-100, 1e100, "a ratio of counts, with which the odds at t = 10^100 are numbers of float64"),
    "eta": _first_step,
}

# --- Support edges ----------------------------------------------------------------------------------------------------


def _waiting(prompts: int, slowest: float) -> float:
    """Largest t_0 times eta, for tokens of length one: N alpha/nu."""
    return prompts * slowest * MOST


def margins(
    prompts: int,
    slowest: float,
    curvature: float,
    log_time: float,
    lengths: tuple[float, float] = (1.0, 1.0),
    start: float = 0.0,
) -> Range:
    """Learning rates with which margins have settled by a time, and with which descent is stable.

    Parameters
    ----------
    slowest
        Largest dual of an edge, and
    curvature
        largest eigenvalue of the Gram matrix of the edges, for tokens of length one.
    log_time
        When the margins are first looked at.
    lengths
        Between which the tokens' lengths are drawn.
    start
        Standard deviation of an entry of W at the start.
    """
    shortest, longest = lengths
    highest = 3 * start * math.sqrt(2) * longest**2
    low = _FAR * _waiting(prompts, slowest) / shortest**4 * math.exp(highest - log_time)
    return Range(
        low,
        8 * prompts / (curvature * longest**4),
        f"below, not all margins have settled by ln t = {log_time:.4g} (step `settling` of the derivation edges); "
        "above, descent need not be stable",
    )


def chains(log_time: float, lengths: tuple[float, float], start: float) -> Ranges:
    """For two chains of n_1 and n_2 tokens, of which a second topic may add some to the first."""

    def eta(condition: Condition) -> Range:
        first = condition["n_1"] + condition.settings.get("added", 0)
        longest = max(first, condition["n_2"])
        return margins(first + condition["n_2"] - 2, longest**2 / 8, 4.0, log_time, lengths, start)

    return {"eta": eta}


_TURNED = Range(-1.0, 2.0, "0 for tokens as they are, 1 for tokens that are turned at random")


def edges_by_descent(log_time: float) -> Ranges:
    """For a chain of four orthonormal tokens."""

    def start(condition: Condition) -> Range:
        room = log_time - math.log(_FAR * _waiting(3, 2.0) / condition["eta"])
        highest = room / (4 * math.sqrt(2))
        return Range(
            -highest, highest, f"with eta={condition['eta']:g} margins that start higher have not settled by then"
        )

    return {"eta": margins(3, 2.0, 4.0, log_time), "start": start, "turned": _TURNED}


TREES: Ranges = {
    "eta": Range(0.0, 2.0, "tokens have lengths of about one, and steps of more than two need not be stable"),
    "start": Range(-50.0, 50.0, "margins that start higher wait for longer than t = e^500"),
    "turned": _TURNED,
}

# --- Odds inside a component ------------------------------------------------------------------------------------------


def _inside(q: float, rho: float) -> tuple[float, float, float]:
    """The odds r that the labels ask for, r^2 + 2 sigma r + 1, and the slope of a's share in ln r."""
    sigma = (rho + 1 / rho) / 2
    lean = sigma * (2 * q - 1)
    r = (lean + math.sqrt(lean**2 + 4 * q * (1 - q))) / (2 * (1 - q))
    whole = r**2 + 2 * sigma * r + 1
    return r, whole, r * (sigma * (r**2 + 1) + 2 * r) / whole**2


def next_order(q: float, rho: float, eta_t: float) -> float:
    """Size of what comes after the step `late` of the derivation component_odds, as a part of it, up to logarithms.

    The token below, the odds' lag behind what it takes, and what is left of the start, at eta t.
    """
    r, whole, bend = _inside(q, rho)
    sigma = (rho + 1 / rho) / 2
    part = abs(r**2 + (4 - 2 * sigma) * r + 1) / whole
    late = part * (r - 1) / ((r + 1) * 3 * bend * eta_t)
    below = 4 * (r + rho) * (rho * r + 1) / (3 * (r + 1) * (rho + 1) * eta_t)
    if late == 0:
        return math.inf
    return (below + 1 / (2 * bend * eta_t)) / part + math.log(r) * math.exp(-2 * bend * eta_t) / late


def component(first_time: float) -> Ranges:
    """For two tokens that are both labels, above a third."""

    def eta(condition: Condition) -> Range:
        q, rho = float(condition["q"]), float(condition["rho"])
        ends = max(q * (1 - DRAWN), 0.5 + 1e-6), q * (1 + DRAWN)
        values = np.geomspace(1e-4, 2.0, 400)
        fit = [value for value in values if all(next_order(end, rho, value * first_time) < 1 / 5 for end in ends)]
        if not fit:
            raise UsageError(
                f"q={q:g}, rho={rho:g}: with no eta up to 2 have odds settled by t={first_time:g}; take rho nearer "
                "to one, or another q"
            )
        reason = (
            f"with q={q:g} and rho={rho:g} odds have not settled by t={first_time:g} below (next order of the step "
            "`late` of the derivation component_odds); steps of more than two overshoot"
        )
        return Range(float(fit[0]), 2.0, reason)

    most = 3 + 2 * math.sqrt(2)
    return {
        "rho": Range(1 / most, most, "beyond, what the odds still lack at 1/t may be zero (step `late`)"),
        "q": Range(
            0.5 / (1 - DRAWN),
            1 / (1 + DRAWN),
            "a is the more frequent label, also where its share is drawn: even odds are there from the start",
        ),
        "eta": eta,
    }


# --- Drawn prompts ----------------------------------------------------------------------------------------------------

_SHARE = Range(0.0, 1 / (1 + DRAWN), "a share of labels, also where it is drawn")


def _ends(q: float) -> tuple[float, float]:
    return q * (1 - DRAWN), q * (1 + DRAWN)


def scatter(q: float, rho: float, prompts: float) -> float:
    """Standard deviation of ln r from so many drawn prompts (steps score, steepness of the derivation odds_by_keys)."""
    r, _, bend = _inside(q, rho)
    if bend == 0:
        return math.inf
    shares = np.array([rho * r / (rho * r + 1), r / (r + rho)])
    return math.sqrt((q * (1 - q) + np.mean((shares - q) ** 2)) / prompts) / bend


def drawn(last: tuple[float, float], prompts: int, replicas: int) -> Ranges:
    """For a component under two keys: labels of both tokens in all replicas, and scatter by its first order."""
    parts: dict[str, float] = {"q_1": last[0], "q_2": last[1]}

    def varied(q: float, part: float) -> bool:
        alone = sum((1 - part * least) ** prompts for least in (1 - _ends(q)[1], _ends(q)[0]))
        return replicas * alone < 0.01

    def share(name: str) -> Callable[[Condition], Range]:
        def allowed(condition: Condition) -> Range:
            def square(q: float, part: float) -> float:
                return max(scatter(end, float(condition["rho"]), part * prompts) for end in _ends(q)) ** 2

            for other in parts:
                _SHARE.check(other, condition[other])
            others = sum(square(float(condition[other]), part) for other, part in parts.items() if other != name)
            values = [float(value) for value in np.linspace(0, 1 / (1 + DRAWN), 802)[1:-1]]
            fit = [q for q in values if varied(q, parts[name]) and square(q, parts[name]) + others < 0.5]
            where = ", ".join(f"{other}={condition[other]:g}" for other in ("rho", *parts) if other != name)
            if not fit:
                raise UsageError(
                    f"{where}: {prompts} prompts do not tell the odds, whatever {name} is; take shares nearer to a half"
                )
            return Range(fit[0], fit[-1], f"with {where}, labels in {prompts} prompts vary enough only there")

        return allowed

    most = 2 + math.sqrt(3)
    rho = Range(1 / most, most, "beyond, the share of a rises in two steps, with a plateau on which labels tell little")
    return {"rho": rho, **{name: share(name) for name in parts}}
