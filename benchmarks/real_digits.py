"""A law that looks refuted at every time that direct descent can reach, and holds to eleven further out.

    python benchmarks/real_digits.py

For pairs of scikit-learn's digits: how far gamma^2 w_hat . w - Lambda is from the entropy H(p) of the dual weights as
time goes on, and the exponent kappa of the approach. Direct descent ends near t = 10^7.
"""

from __future__ import annotations

import math

import jax

jax.config.update("jax_enable_x64", True)

import jax.numpy as jnp  # noqa: E402

from idealab.simulate import LOGISTIC, digits, hard_margin, log_time_flow, slowest_rate, spectrum  # noqa: E402

TIMES = {"10^4": 4 * math.log(10), "10^7": 7 * math.log(10), "10^30": 30 * math.log(10), "10^300": 300 * math.log(10)}
TIMES |= {"e^(10^4)": 1e4, "e^(10^5)": 1e5}
PAIRS = ((0, 1), (3, 8), (4, 9), (1, 7))


@jax.jit
def distance(x: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
    """The distance to H(p) at every time, the exponent kappa, and the margin."""
    solution = hard_margin(x)
    path = log_time_flow(x, 0.001, jnp.asarray(list(TIMES.values())))
    log_loss = jax.scipy.special.logsumexp(LOGISTIC.log_value(path.weights @ x.T), axis=1)
    p = solution.margin**2 * solution.dual
    entropy = -jnp.sum(jax.scipy.special.xlogy(p, p))
    excess = solution.margin**2 * path.weights @ solution.separator + log_loss
    return excess - entropy, slowest_rate(spectrum(x, solution), solution.theta), solution.margin


def main() -> None:
    """Measure and print."""
    print(
        f"{'digits':<10}{'samples':>8}{'margin':>8}{'kappa':>9}  " + "".join(f"{'t = ' + name:>14}" for name in TIMES)
    )
    for pair in PAIRS:
        x = jnp.asarray(digits(*pair))
        distances, kappa, margin = distance(x)
        cells = "".join(f"{float(value):14.1e}" for value in distances)
        print(f"{pair[0]} against {pair[1]}{len(x):>7}{float(margin):8.3f}{float(kappa):9.5f}  {cells}")


if __name__ == "__main__":
    main()
