"""Products with a small matrix, and exp, in the form of which XLA's CPU compiler makes the best vector code.

Measured against hand-written C in ``benchmarks/hot_loops.py``. Three things make the difference: a product is a sum of
scaled rows, in several independent chains and with no sum across the lanes of a register; the matrix is there in both
layouts; and exp is a polynomial that is inlined. On other devices all of this is the plain product and ``jnp.exp``.
"""

from __future__ import annotations

# JAX annotates its functions only in part.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false, reportUnknownLambdaType=false
import math
from collections.abc import Callable
from functools import reduce
from operator import add
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

Product = Callable[[Array], Array]

# Longer sums than these are left to XLA's own products: the program grows with their length.
FORWARD, BACKWARD = 32, 128


def products(x: ArrayLike) -> tuple[Product, Product]:
    """Return the maps ``w -> x w`` and ``s -> x^T s``.

    Parameters
    ----------
    x
        Matrix, shape (n, d).

    Returns
    -------
    tuple of Product
        The first maps shape (..., d) to (..., n), the second (..., n) to (..., d).
    """
    x = jnp.asarray(x)
    n, d = x.shape
    if jax.default_backend() != "cpu" or d > FORWARD:
        return (lambda w: w @ x.T), (lambda s: s @ x)
    # Without the barrier XLA folds the transposition away and reads one copy across its lanes.
    rows, columns = jax.lax.optimization_barrier((x, x.T))

    def forward(w: Array) -> Array:
        return _chains([w[..., j, None] * columns[j] for j in range(d)], 4)

    def backward(s: Array) -> Array:
        if n > BACKWARD:
            return s @ rows
        s = jax.lax.optimization_barrier(s)  # or XLA would compute s anew for every column
        return _chains([s[..., i, None] * rows[i] for i in range(n)], 8)

    return forward, backward


def product(a: ArrayLike, b: ArrayLike) -> Array:
    """Return a b, for small matrices: the columns of ``b`` on the lanes, one row of it after the other.

    Parameters
    ----------
    a, b
        Matrices, shapes (n, k) and (k, m).

    Returns
    -------
    Array
        Shape (n, m).
    """
    a, b = jnp.asarray(a), jnp.asarray(b)
    if jax.default_backend() != "cpu" or a.shape[1] > BACKWARD:
        return a @ b
    return _chains([a[:, k, None] * b[k] for k in range(a.shape[1])], 2)


def _chains(terms: list[Array], count: int) -> Array:
    """Sum in ``count`` interleaved chains, so that one addition does not wait for the one before."""
    sums = [reduce(add, terms[i::count]) for i in range(min(count, len(terms)))]
    while len(sums) > 1:
        sums = [reduce(add, sums[i : i + 2]) for i in range(0, len(sums), 2)]
    return sums[0]


@jax.custom_jvp
def exponential(x: Array) -> Array:
    """Return exp(x), to 2 units in the last place; on a CPU a polynomial of the reduced argument, which XLA inlines.

    To be followed by a division, as in a sigmoid: XLA keeps the result of a division, but would compute a polynomial
    anew for each use of it. ``jnp.exp`` is kept as well, and the better choice in a softmax.

    The argument is cut off at +-708 (float32: +-87), where exp is 3e307 and 3e-308 (6e37 and 2e-38); NaN stays NaN.
    """
    dtype = jnp.asarray(x).dtype
    if jax.default_backend() != "cpu" or dtype not in (jnp.float32, jnp.float64):
        return jnp.exp(x)
    double = dtype == jnp.float64
    bound, mantissa, whole = (708.0, 52, jnp.int64) if double else (87.0, 23, jnp.int32)
    # ln 2 in two parts, the first with so few digits that its product with k is exact: W. J. Cody and W. Waite,
    # Software Manual for the Elementary Functions (1980), chapter 6.
    high, low = (6.93147180369123816490e-01, 1.90821492927058770002e-10) if double else (0.693359375, -2.12194440e-4)
    x = jnp.clip(x, -bound, bound)
    k = jnp.round(x * math.log2(math.e))
    r = (x - k * high) - k * low
    first, second, *rest = (1.0 / math.factorial(i) for i in range(12 if double else 7, -1, -1))
    y = reduce(lambda y, c: y * r + c, rest, first * r + second)
    # Adding 1.5 * 2^mantissa leaves k in the low bits. A conversion to whole numbers would cost as much as the rest.
    bits = jax.lax.bitcast_convert_type(k + 1.5 * 2.0**mantissa, whole)
    return jax.lax.bitcast_convert_type(jax.lax.bitcast_convert_type(y, whole) + (bits << mantissa), dtype)


@exponential.defjvp
def _exponential_jvp(primals: tuple[Array], tangents: tuple[Any]) -> tuple[Array, Array]:
    y = exponential(*primals)
    return y, y * tangents[0]
