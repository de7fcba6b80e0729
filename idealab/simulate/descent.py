"""Gradient descent on margin losses, as fast as the hardware goes, recorded at the times that are asked for.

The hot loop uses the loss's derivative as a formula, small products in the form of :mod:`idealab.simulate.products`,
and reads large data once a step; ``benchmarks/README.md`` compares it with hand-written C.
"""

from __future__ import annotations

# JAX annotates its functions only in part.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false, reportUnknownLambdaType=false
import itertools
import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeVar

import jax
import jax.numpy as jnp
import optax  # pyright: ignore[reportMissingTypeStubs]
from jax import Array
from jax.typing import ArrayLike

from idealab.errors import UsageError
from idealab.simulate.blocks import loops_in_one_piece
from idealab.simulate.products import exponential, products

Gradient = Callable[[Array], Array]
Elementwise = Callable[[Array], Array]
Carry = TypeVar("Carry")


class MarginLoss(NamedTuple):
    """A loss ell(u) of the margin u = x . w (label folded in), as elementwise functions.

    Attributes
    ----------
    name
        For messages.
    value, weight
        ell(u) and -ell'(u).
    log_value, log_weight
        Their logarithms, accurate where the plain forms have underflowed (u up to 1e6 and beyond). NaN for a loss
        that is not monotone.
    steepness
        -d ln(-ell')/du, which turns ``weight`` into ell''.
    """

    name: str
    value: Elementwise
    weight: Elementwise
    log_value: Elementwise
    log_weight: Elementwise
    steepness: Elementwise


def _logistic_log_value(u: Array) -> Array:
    # Past u = 20, ln(1 + z) = z (1 - z/2) to rounding error with z = exp(-u), and z itself may underflow.
    far = u > 20.0
    near = jnp.where(far, 0.0, u)
    return jnp.where(far, -u - 0.5 * jnp.exp(-jnp.where(far, u, 20.0)), jnp.log(jax.nn.softplus(-near)))


LOGISTIC = MarginLoss(
    name="logistic",
    value=lambda u: jax.nn.softplus(-u),
    weight=lambda u: 1.0 / (1.0 + exponential(u)),
    log_value=_logistic_log_value,
    log_weight=lambda u: -jax.nn.softplus(u),
    steepness=jax.nn.sigmoid,
)
"""ell(u) = ln(1 + exp(-u))."""

EXPONENTIAL = MarginLoss(
    name="exponential",
    value=lambda u: jnp.exp(-u),
    weight=lambda u: jnp.exp(-u),
    log_value=lambda u: -u,
    log_weight=lambda u: -u,
    steepness=jnp.ones_like,
)
"""ell(u) = exp(-u)."""

SQUARED = MarginLoss(
    name="squared",
    value=lambda u: 0.5 * (1.0 - u) ** 2,
    weight=lambda u: 1.0 - u,
    log_value=lambda u: jnp.full_like(u, jnp.nan),
    log_weight=lambda u: jnp.full_like(u, jnp.nan),
    steepness=lambda u: jnp.full_like(u, jnp.nan),
)
"""ell(u) = (1 - u)^2 / 2: not a classification loss, so the logarithms do not apply."""


def polynomial(b: float) -> MarginLoss:
    """The polynomial tail ell(u) = u^-b for u >= 1, continued to the left by its tangent 1 + b (1 - u).

    The continuation is convex and continuously differentiable; it is never felt once every margin exceeds 1.

    Raises
    ------
    UsageError
        If ``b`` is not positive.
    """
    if not b > 0:
        raise UsageError(f"b={b!r}: expected a positive exponent, or the loss does not decay")
    tail = lambda u: jnp.maximum(u, 1.0)
    log_b = math.log(b)
    return MarginLoss(
        name=f"polynomial({b:g})",
        value=lambda u: tail(u) ** -b + b * jnp.maximum(1.0 - u, 0.0),
        weight=lambda u: b * tail(u) ** -(b + 1.0),
        log_value=lambda u: jnp.where(u < 1.0, jnp.log1p(b * jnp.maximum(1.0 - u, 0.0)), -b * jnp.log(tail(u))),
        log_weight=lambda u: log_b - (b + 1.0) * jnp.log(tail(u)),
        steepness=lambda u: jnp.where(u < 1.0, 0.0, (b + 1.0) / tail(u)),
    )


def margin_gradient(
    loss: MarginLoss, x: ArrayLike, sample_weights: ArrayLike | None = None, weight_decay: ArrayLike | None = None
) -> Gradient:
    """Return the explicit gradient of sum_n c_n ell(x_n . w) + (weight_decay/2) |w|^2, a *sum* over samples.

    Parameters
    ----------
    loss
        Any margin loss.
    x
        Samples times labels, shape (n, d).
    sample_weights
        c, shape (n,); all one when not given.
    weight_decay
        Coefficient of the penalty; none when not given.

    Returns
    -------
    Gradient
        Maps w, shape (..., d), to the gradient, same shape.
    """
    x = jnp.asarray(x)
    c = None if sample_weights is None else jnp.asarray(sample_weights)
    descending = _tiled(loss, x, c) if _in_tiles(x) else _whole(loss, x, c)

    def gradient(w: Array) -> Array:
        result = -descending(w)
        return result if weight_decay is None else result + weight_decay * w

    return gradient


TILE_BYTES = 16 * 1024
"""So much of the data at a time stays in the fastest cache between the two products that need it."""


def _in_tiles(x: Array) -> bool:
    """Whether the data are too large for the fastest cache, and a loop over tiles costs nothing by itself."""
    return jax.default_backend() == "cpu" and x.size * x.dtype.itemsize >= 8 * TILE_BYTES and loops_in_one_piece()


def _whole(loss: MarginLoss, x: Array, c: Array | None) -> Gradient:
    """sum_n c_n weight(x_n . w) x_n, both products over all samples."""
    forward, backward = products(x)

    def descending(w: Array) -> Array:
        weight = loss.weight(forward(w))
        return backward(weight if c is None else weight * c)

    return descending


def _tiled(loss: MarginLoss, x: Array, c: Array | None) -> Gradient:
    """The same, tile after tile of samples: every tile is read from the slower cache once a step, not twice."""
    n, d = x.shape
    rows = max(TILE_BYTES // (d * x.dtype.itemsize), 8)
    missing = -n % rows
    c = jnp.ones(n, x.dtype) if missing and c is None else c
    tiles = jnp.pad(x, ((0, missing), (0, 0))).reshape(-1, rows, d)
    counts = None if c is None else jnp.pad(c, (0, missing)).reshape(-1, rows)

    def descending(w: Array) -> Array:
        def add(total: Array, tile: tuple[Array, Array | None]) -> tuple[Array, None]:
            # For one w the rows come first: XLA turns this order into the better code.
            weight = loss.weight(tile[0] @ w if w.ndim == 1 else w @ tile[0].T)
            weight = jax.lax.optimization_barrier(weight if tile[1] is None else weight * tile[1])
            return total + weight @ tile[0], None

        return jax.lax.scan(add, jnp.zeros_like(w), (tiles, counts))[0]

    return descending


def log_spaced(start: float, stop: float, per_decade: int) -> tuple[int, ...]:
    """Return increasing integer times from ``start`` to ``stop``, both kept, ``per_decade`` to a factor of ten.

    Times that round to the same integer are merged.

    Raises
    ------
    UsageError
        If not 1 <= start <= stop or per_decade < 1.
    """
    if not 1 <= start <= stop or per_decade < 1:
        raise UsageError(
            f"start={start!r}, stop={stop!r}, per_decade={per_decade!r}: "
            "expected 1 <= start <= stop and per_decade >= 1"
        )
    count = max(round(math.log10(stop / start) * per_decade), 1)
    ratio = stop / start
    return tuple(sorted({round(start * ratio ** (i / count)) for i in range(count + 1)}))


def descend(
    gradient: Callable[[Any], Any],
    w0: Any,
    learning_rate: ArrayLike,
    times: Sequence[int],
    *,
    compensated: bool = False,
) -> Any:
    """Run w <- w - learning_rate gradient(w) and record w after the given numbers of steps.

    Parameters
    ----------
    gradient
        An explicit gradient, for example from :func:`margin_gradient`.
    w0
        Start, shape (d,), or any pytree of arrays, which ``gradient`` must map to one of the same structure.
    learning_rate
        Step size eta.
    times
        Strictly increasing numbers of steps; 0 records the start. Static under jit.
    compensated
        Carry what rounding takes from each step over to the next (Kahan 1965), at an eighth of the time more. In
        float32 w then follows steps far below its last place, as late ones are: to t = 10^7 where w is like ln t.

    Returns
    -------
    Array
        Shape (t, d); for a pytree, a leading axis t on every leaf.

    Raises
    ------
    UsageError
        If ``times`` are not strictly increasing integers from 0 on.
    """
    eta = learning_rate
    start = jax.tree.map(jnp.asarray, w0)
    if not compensated:
        step = lambda w: jax.tree.map(lambda leaf, slope: leaf - eta * slope, w, gradient(w))
        return _recorded(step, start, _segments(times))

    def careful(carry: tuple[Any, Any]) -> tuple[Any, Any]:
        w, lost = carry
        change = jax.tree.map(lambda rest, slope: rest - eta * slope, lost, gradient(w))
        new = jax.tree.map(jnp.add, w, change)
        return new, jax.tree.map(lambda change, new, old: change - (new - old), change, new, w)

    return _recorded(careful, (start, jax.tree.map(jnp.zeros_like, start)), _segments(times))[0]


def descend_with(
    optimizer: optax.GradientTransformation, loss: Callable[[Any], Array], params: Any, times: Sequence[int]
) -> Any:
    """Run any optax optimiser on any differentiable loss and record the parameters after given numbers of steps.

    Parameters
    ----------
    optimizer
        For example ``optax.adam(1e-3)``; its learning rate is its own.
    loss
        Maps the parameters to a scalar.
    params
        Start, any pytree of arrays (flax: the ``params`` of a linen module, or the state of ``nnx.split``).
    times
        As for :func:`descend`.

    Returns
    -------
    Any
        The pytree of ``params`` with a leading axis t on every leaf.
    """

    def step(carry: tuple[Any, Any]) -> tuple[Any, Any]:
        params, state = carry
        updates, state = optimizer.update(jax.grad(loss)(params), state, params)
        return optax.apply_updates(params, updates), state

    return _recorded(step, (params, optimizer.init(params)), _segments(times))[0]


def _segments(times: Sequence[int]) -> Array:
    """Numbers of steps between recordings."""
    times = tuple(times)
    whole = all(int(t) == t for t in times)
    if not times or not whole or times[0] < 0 or any(b <= a for a, b in itertools.pairwise(times)):
        raise UsageError(f"times={times!r}: expected strictly increasing whole numbers of steps, the first 0 or more")
    return jnp.asarray([b - a for a, b in itertools.pairwise((0, *map(int, times)))])


def _recorded(step: Callable[[Carry], Carry], start: Carry, segments: Array) -> Carry:
    """Apply ``step`` over and over; stack the carry after each segment."""

    def segment(carry: Carry, steps: Array) -> tuple[Carry, Carry]:
        carry = jax.lax.fori_loop(0, steps, lambda _, c: step(c), carry)
        return carry, carry

    return jax.lax.scan(segment, start, segments)[1]
