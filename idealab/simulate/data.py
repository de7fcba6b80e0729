"""Separable data with labels folded in: planted, so that every constant is known; random; and real.

Every sample here is already multiplied by its label, so a separator w classifies it correctly when x . w > 0.
"""

from __future__ import annotations

# JAX annotates its functions only in part.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false, reportUnknownLambdaType=false
import functools
import itertools
import math
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import ArrayLike

from idealab.errors import UsageError
from idealab.simulate.hard_margin import HardMargin, certify
from idealab.simulate.linear_algebra import qr


def planted(
    key: Array,
    *,
    support: int,
    others: int,
    dimension: int,
    margin: ArrayLike,
    rates: ArrayLike | Sequence[float],
    theta: ArrayLike = 2.0,
    weights: ArrayLike | Sequence[float] | None = None,
) -> tuple[Array, HardMargin]:
    """Build data whose hard-margin solution, dual and spectrum are known by construction.

    Support vectors are x_n = gamma e_1 + z_n with sum p_n z_n = 0 and sum p_n z_n z_n^T = gamma^2 diag(lambda), the
    others have first coordinate gamma theta_m, and everything is then rotated at random. The optimality conditions
    hold identically, so w_hat = e_1/gamma and alpha = p/gamma^2 with no solver.

    Parameters
    ----------
    key
        Seeds p (unless given), the directions of the support vectors, the other samples and the rotation.
    support
        Number k of support vectors, 1 <= k <= dimension + 1.
    others
        Number of samples off the support.
    dimension
        Number of features d.
    margin
        gamma > 0.
    rates
        The eigenvalues lambda_i > 0 (see :func:`~idealab.simulate.hard_margin.spectrum`), shape (r,) with
        r = min(support - 1, dimension - 1), in any order; their directions are random.
    theta
        Smallest x . w_hat off the support, > 1. The other samples lie above it by amounts drawn from Exponential(1).
    weights
        p, shape (support,), positive, summing to one. Drawn when not given: mixed with the uniform distribution, so
        that no p_n is below 1/(4 support).

    Returns
    -------
    x : Array
        Samples, shape (support + others, dimension), support vectors first.
    solution : HardMargin
        Certified on ``x`` as it stands after rounding.

    Raises
    ------
    UsageError
        If the sizes admit no such data.

    Notes
    -----
    With support = dimension + 1 the support vectors are dependent. Their directions are then chosen so that ln p lies
    in their span, which makes p the dual of largest entropy, the one that descent finds.
    """
    margin, rates = jnp.asarray(margin, float), jnp.asarray(rates, float)
    _check_sizes(support, others, dimension, rates.shape)
    rank = rates.shape[0]
    # Two draws, cut into pieces: every further call of the generator would be compiled again.
    key_normal, key_exponential = jax.random.split(key)
    draws = jax.random.exponential(key_exponential, (support + others,))
    shapes = [(support, max(rank - 1, 0)), (rank, rank), (support + others, dimension - 1), (dimension, dimension)]
    directions, turn, off_axis, rotation = _normals(key_normal, shapes)
    p = _positive_weights(draws[:support]) if weights is None else jnp.asarray(weights, float)

    # Columns: sqrt(p), then orthonormal directions Q, the first of which makes span(sqrt p, Q) hold sqrt(p) ln p.
    root = jnp.sqrt(p)
    q = qr(jnp.column_stack([root, root * jnp.log(p), directions]))[0][:, 1 : rank + 1]
    z = margin * q @ _orthogonal(turn) * jnp.sqrt(rates) / root[:, None]
    rest = (margin * off_axis).at[:support].set(jnp.pad(z, ((0, 0), (0, dimension - 1 - rank))))

    beyond = draws[support:].at[:1].set(0.0)
    first = margin * jnp.concatenate([jnp.ones(support), theta + beyond])
    rotation = _orthogonal(rotation)
    x = jnp.column_stack([first, rest]) @ rotation

    dual = jnp.concatenate([p, jnp.zeros(others)]) / margin**2
    return x, certify(x, rotation[0] / margin, dual, jnp.arange(support + others) < support)


def _check_sizes(support: int, others: int, dimension: int, rates: tuple[int, ...]) -> None:
    if not 1 <= support <= dimension + 1:
        raise UsageError(
            f"support={support!r}: expected 1 to dimension + 1 = {dimension + 1}, as more support vectors than that "
            "are not in general position; raise dimension or lower support"
        )
    if others < 0:
        raise UsageError(f"others={others!r}: expected 0 or more")
    expected = (min(support - 1, dimension - 1),)
    if rates != expected:
        raise UsageError(
            f"rates.shape={rates!r}: expected {expected}, one rate for each direction that {support} support vectors "
            f"span besides w_hat in dimension {dimension}"
        )


def _normals(key: Array, shapes: list[tuple[int, int]]) -> list[Array]:
    sizes = [math.prod(shape) for shape in shapes]
    pieces = jnp.split(jax.random.normal(key, (sum(sizes),)), list(itertools.accumulate(sizes))[:-1])
    return [piece.reshape(shape) for piece, shape in zip(pieces, shapes, strict=True)]


def _positive_weights(draws: Array) -> Array:
    """A uniform point of the simplex from exponential draws, mixed with the centre: none is below 1/(4 size)."""
    return 0.75 * draws / jnp.sum(draws) + 0.25 / draws.shape[0]


def _orthogonal(normals: Array) -> Array:
    """An orthogonal matrix from the Haar measure (QR of a Gaussian, signs fixed; Mezzadri 2007)."""
    q, r = jnp.linalg.qr(normals)
    return q * jnp.where(jnp.diagonal(r) < 0, -1.0, 1.0)


def random_separable(key: Array, n: int, d: int) -> Array:
    """Gaussian samples labelled by a random teacher, shape (n, d): separable, with whatever margin comes out.

    Parameters
    ----------
    key
        Seeds samples and teacher.
    n, d
        Number of samples and of features.
    """
    key_x, key_teacher = jax.random.split(key)
    x = jax.random.normal(key_x, (n, d))
    teacher = jax.random.normal(key_teacher, (d,))
    return x * jnp.where(x @ teacher < 0, -1.0, 1.0)[:, None]


def subsample(key: Array, x: Array, size: int) -> Array:
    """Draw ``size`` rows of ``x`` without replacement, shape (size, d); jits and vmaps over ``key``.

    Raises
    ------
    UsageError
        If ``x`` has fewer rows.
    """
    if not 1 <= size <= x.shape[0]:
        raise UsageError(f"size={size!r}: expected 1 to {x.shape[0]}, the number of samples")
    return x[jax.random.choice(key, x.shape[0], (size,), replace=False)]


@functools.cache
def digits(positive: int, negative: int) -> np.ndarray:
    """Two classes of scikit-learn's digits (8 x 8 pixels), read-only, shape (n, 65).

    Pixels are divided by 16; the last feature is a constant 1, the bias; rows of ``negative`` have their sign turned.

    Raises
    ------
    UsageError
        If the classes are not two different digits.
    """
    if positive == negative or not {positive, negative} <= set(range(10)):
        raise UsageError(f"positive={positive!r}, negative={negative!r}: expected two different digits from 0 to 9")
    pixels, target = np.split(_packaged("digits.csv.gz"), [64], axis=1)
    target = target[:, 0]
    chosen = (target == positive) | (target == negative)
    return _fold(pixels[chosen] / 16.0, target[chosen] == positive)


@functools.cache
def breast_cancer() -> np.ndarray:
    """The Wisconsin diagnostic data of scikit-learn, standardised, read-only, shape (569, 31).

    The last feature is a constant 1, the bias; malignant rows have their sign turned. Separable, but barely:
    gamma = 0.0014.
    """
    features, target = np.split(_packaged("breast_cancer.csv", skiprows=1), [30], axis=1)
    return _fold((features - features.mean(axis=0)) / features.std(axis=0), target[:, 0] == 1)


def _packaged(name: str, skiprows: int = 0) -> np.ndarray:
    """A table that scikit-learn brings, features and then the class, without importing it, which takes a second."""
    spec = find_spec("sklearn")
    if spec is None or spec.origin is None:
        raise UsageError("scikit-learn, which brings this data, is not installed; pip install scikit-learn")
    return np.loadtxt(Path(spec.origin).parent / "datasets" / "data" / name, delimiter=",", skiprows=skiprows)


def _fold(features: np.ndarray, positive: np.ndarray) -> np.ndarray:
    """Append the bias and multiply by the labels; read-only because the loaders' cache shares it."""
    x = np.column_stack([features, np.ones(len(features))]) * np.where(positive, 1.0, -1.0)[:, None]
    x.setflags(write=False)
    return x
