"""Arrays that took long to make, such as the weights of a trained network, kept in the user's cache directory.

They are found again under a hash of all that made them, in this process and the next. Plain arrays are stored, with
their own hash in front: nothing is ever executed, and what is damaged is made anew.
"""

from __future__ import annotations

# JAX annotates its functions only in part.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false, reportMissingTypeStubs=false
import hashlib
import inspect
import io
import json
import os
import platform
import sys
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from contextlib import suppress
from functools import cache, lru_cache
from importlib.metadata import version
from pathlib import Path
from threading import Lock
from typing import Any

import jax
import numpy as np
import platformdirs
from jax.core import Tracer

from idealab.cache import read_kept, write_kept
from idealab.errors import UsageError
from idealab.simulate.blocks import compiler_options

Arrays = Mapping[str, Any]
"""Arrays by name, or nested mappings of arrays, such as the weights of a flax network."""

_MOST_BYTES = 2**28
"""On disk; what was not used for longest goes first."""

_MOST = 256
"""In memory."""

_LOCK, _MADE = Lock(), dict[str, Future[Arrays]]()


def kept(
    make: Callable[..., Arrays],
    key: jax.Array,
    settings: Mapping[str, Any],
    *inputs: Any,
    sources: Sequence[Callable[..., Any]] = (),
    folder: Path | None = None,
) -> Arrays:
    """``make(key, settings, *inputs)``, or what an earlier call that was made of the same has left.

    Where ``key`` is traced, it is just made. Threads that want the same wait while one of them makes it.

    Parameters
    ----------
    make
        A pure function at the top level of a module; compiled here, once for all keys.
    settings
        All values that decide what ``make`` does, in terms of JSON.
    inputs
        Further arrays, or nested arrays; they enter the hash by their bytes.
    sources
        Functions and classes that it uses, of other files than its own: those files enter the hash, like that of
        ``make`` and `idealab.simulate.network`, and so do versions of packages, the precision and the kind of device.
    folder
        Where it is kept; the user's cache directory by default. Where nothing can be written, nothing is.

    Returns
    -------
    Arrays
        NumPy arrays under the names of those that ``make`` returns.

    Raises
    ------
    UsageError
        If the settings cannot be written as JSON, or a name of an array holds a slash.
    """
    if isinstance(key, Tracer):
        return make(key, settings, *inputs)
    words = _words(settings)
    digest = _digest(key, words, inputs, (make, *sources))
    with _LOCK:
        found = _MADE.get(digest)
        mine = found is None
        if found is None:
            found = _MADE[digest] = Future[Arrays]()
            if len(_MADE) > _MOST:
                _MADE.pop(next(iter(_MADE)))
    if mine:
        path = (folder or platformdirs.user_cache_path("idealab") / "networks") / digest
        try:
            found.set_result(_read(path) or _write(path, _compiled(make, words)(key, *inputs)))
        except BaseException as error:
            _MADE.pop(digest, None)
            found.set_exception(error)
    return found.result()


@lru_cache(maxsize=64)
def _compiled(make: Callable[..., Arrays], words: str) -> Callable[..., Arrays]:
    settings = json.loads(words)

    def made(key: jax.Array, *inputs: Any) -> Arrays:
        return make(key, settings, *inputs)

    return jax.jit(made, compiler_options=compiler_options())


def _words(settings: Mapping[str, Any]) -> str:
    try:
        return json.dumps(settings, sort_keys=True)
    except (TypeError, ValueError) as error:
        raise UsageError(
            f"settings={settings!r} must be what JSON can say: names with numbers, strings, lists"
        ) from error


def _digest(key: jax.Array, words: str, inputs: Any, functions: Sequence[Callable[..., Any]]) -> str:
    files = {Path(__file__), Path(__file__).with_name("network.py"), *map(_file, functions)}
    texts = [hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(files)]
    leaves, shape = jax.tree.flatten(inputs)
    arrays = [(a.dtype.str, a.shape, hashlib.sha256(a.tobytes()).hexdigest()) for a in map(np.asarray, leaves)]
    bits = np.asarray(jax.random.key_data(key)).tobytes().hex()
    made = words, bits, str(key.dtype), str(shape), arrays, functions[0].__qualname__, texts, _platform()
    return hashlib.sha256(repr(made).encode()).hexdigest()


def _file(function: Any) -> Path:
    while not inspect.isclass(function) and (hasattr(function, "func") or hasattr(function, "__wrapped__")):
        function = getattr(function, "func", None) or function.__wrapped__
    return Path(sys.modules[function.__module__].__file__ or "")


def _platform() -> tuple[Any, ...]:
    """What else decides the bits of a long computation."""
    device = jax.config.jax_default_device or jax.devices()[0]  # pyright: ignore[reportAttributeAccessIssue]
    precision = jax.config.jax_enable_x64, jax.config.jax_default_matmul_precision  # pyright: ignore[reportAttributeAccessIssue]
    return (
        *_versions(),
        platform.machine(),
        device.platform,
        device.device_kind,
        precision,
        os.environ.get("XLA_FLAGS"),
    )


@cache
def _versions() -> tuple[str, ...]:
    return tuple(version(name) for name in ("jax", "jaxlib", "flax", "optax", "numpy"))


def _read(path: Path) -> Arrays | None:
    with suppress(Exception):  # what cannot be taken from here is made anew, whatever the reason
        if content := read_kept(path):
            with np.load(io.BytesIO(content), allow_pickle=False) as stored:
                return _nested(dict(stored))
    return None


def _write(path: Path, made: Arrays) -> Arrays:
    """As NumPy arrays."""
    arrays = _flat(made)
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)  # pyright: ignore[reportArgumentType]
    with suppress(OSError):  # nothing depends on it
        write_kept(path, buffer.getvalue(), _MOST_BYTES)
    return _nested(arrays)


def _flat(tree: Arrays, above: str = "") -> dict[str, np.ndarray]:
    """Nested arrays by their path."""
    found: dict[str, np.ndarray] = {}
    for name, value in tree.items():
        if "/" in name:
            raise UsageError(f"name={name!r} of an array: it must hold no slash, which tells nested names apart")
        found |= _flat(value, f"{above}{name}/") if isinstance(value, Mapping) else {above + name: np.asarray(value)}
    return found


def _nested(arrays: Mapping[str, np.ndarray]) -> Arrays:
    tree: dict[str, Any] = {}
    for path, value in arrays.items():
        *above, name = path.split("/")
        branch = tree
        for part in above:
            branch = branch.setdefault(part, {})
        branch[name] = value
    return tree
