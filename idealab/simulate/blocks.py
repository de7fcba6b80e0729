"""Many seeds in blocks: so many side by side as is fastest here, measured once for each function, shape and device."""

from __future__ import annotations

# JAX annotates its functions only in part.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false, reportUnknownLambdaType=false
import contextlib
import hashlib
import json
import os
import platform
import re
import tempfile
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import jax
import numpy as np
import platformdirs
from jax._src.xla_bridge import backends_are_initialized as _backends_are_initialized  # JAX shows it nowhere else

from idealab.errors import UsageError

Seeds = Callable[[Any], Any]

_THRESHOLD = "xla_cpu_small_while_loop_byte_threshold"


def whole_loops(limit: int = 1 << 30) -> bool:
    """Ask XLA's CPU compiler to make one function of every loop that moves at most ``limit`` bytes.

    Otherwise each operation of each step is called by itself, which costs more than a small step. There is no option of
    one program for it, only ``XLA_FLAGS``, read when JAX is first used: call this before. A limit that the user has set
    there stays. Loops that call libraries (LU, sorting, scatter) are left as they are.

    Returns
    -------
    bool
        Whether loops are compiled so from now on; False when JAX was in use already and the flag is not set.
    """
    flags = os.environ.get("XLA_FLAGS", "")
    if _THRESHOLD in flags:
        return True
    if _backends_are_initialized():
        return False
    extra = re.search(r"--xla_backend_extra_options=(\S+)", flags)
    ours = f"{_THRESHOLD}={limit}"
    os.environ["XLA_FLAGS"] = (
        flags.replace(extra.group(), f"{extra.group()},{ours}")
        if extra
        else f"{flags} --xla_backend_extra_options={ours}".strip()
    )
    return True


def loops_in_one_piece() -> bool:
    """Whether XLA_FLAGS ask for what :func:`whole_loops` asks for, 100 kB or more."""
    found = re.search(rf"{_THRESHOLD}=(\d+)", os.environ.get("XLA_FLAGS", ""))
    return found is not None and int(found.group(1)) >= 100_000


def compiler_options() -> dict[str, Any] | None:
    """Options for `jax.jit`: on a CPU no pool of threads, and registers in full width (XLA's default is 256 bits)."""
    if jax.default_backend() != "cpu":
        return None
    return {"xla_cpu_multi_thread_eigen": False, "xla_cpu_prefer_vector_width": 512}


def in_blocks(function: Callable[[Any], Any], block: int) -> Seeds:
    """Return a function of many seeds which maps over blocks of ``block`` seeds, those of a block side by side.

    Parameters
    ----------
    function
        A function of one seed: any pytree of arrays to any pytree of arrays.
    block
        Seeds side by side. They need not divide the number of seeds; 1 is one seed after the other, without vmap.

    Returns
    -------
    callable
        The same pytrees with a leading axis s. Block sizes agree but for rounding: sums may be taken in another order.

    Raises
    ------
    UsageError
        If ``block`` is not a positive whole number.
    """
    if type(block) is not int or block < 1:
        raise UsageError(f"block={block!r}: expected a whole number of seeds, 1 or more")

    def over_seeds(inputs: Any) -> Any:
        seeds = jax.tree.leaves(inputs)[0].shape[0]
        if block >= seeds > 1:
            return jax.vmap(function)(inputs)
        return jax.lax.map(function, inputs, batch_size=None if block == 1 else block)

    return over_seeds


def candidates(seeds: int) -> tuple[int, ...]:
    """Block sizes worth measuring: 1, 2, 4 ... 64 on a CPU; elsewhere all, then a quarter as many, and so on."""
    if jax.default_backend() == "cpu":
        return tuple(b for b in (1, 2, 4, 8, 16, 32, 64) if b <= seeds) or (1,)
    return tuple(dict.fromkeys(max(seeds // 4**k, 1) for k in range(5)))


def measured_block(
    function: Callable[[Any], Any],
    inputs: Any,
    *,
    block: int | None = None,
    sizes: Sequence[int] | None = None,
    seconds: float = 10.0,
    folder: Path | None = None,
) -> int:
    """Return the block size with which ``function`` runs fastest over ``inputs``, measured here, or remembered.

    The answer is kept in the user's cache directory under a hash of the compiled function, its shapes, the number of
    seeds (up to 64), the device, XLA's version and flags. A file that is missing, damaged or cannot be written is no
    error: it is measured again. Two processes at once write the same name whole, one after the other.

    Parameters
    ----------
    function
        A function of one seed. To measure a long run, give one that takes fewer of the same steps.
    inputs
        A pytree of arrays with a leading axis s.
    block
        Taken as it is, without measuring: for a resumed run, whose numbers must not depend on a clock.
    sizes
        Block sizes to choose from; :func:`candidates` when not given.
    seconds
        No further size is tried after so long, compiling included; as long again to compare the best in turn.
    folder
        Where answers are kept; ``blocks`` beside the compilation cache when not given.

    Raises
    ------
    UsageError
        If ``block``, or one of ``sizes``, is not a positive whole number, or there are no seeds.
    """
    if block is not None:
        in_blocks(function, block)
        return block
    leaves = jax.tree.leaves(inputs)
    seeds = int(np.shape(leaves[0])[0]) if leaves and np.ndim(leaves[0]) else 0
    if seeds < 1:
        raise UsageError("inputs hold no seeds: expected arrays with a leading axis of one seed or more")
    few = min(seeds, 64) if jax.default_backend() == "cpu" else seeds
    sizes = candidates(few) if sizes is None else sizes
    for size in sizes:
        in_blocks(function, size)
    if len(sizes) == 1:
        return sizes[0]
    probe = jax.tree.map(lambda leaf: leaf[:few], inputs)
    folder = platformdirs.user_cache_path("idealab") / "blocks" if folder is None else folder
    path = folder / f"{_name(function, probe, sizes)}.json"
    remembered = _remembered(path, sizes)
    if remembered is not None:
        return remembered
    times = _measure(function, probe, sizes, seconds)
    best = min(times, key=lambda size: times[size])
    _remember(path, {"block": best, "seconds": {str(size): value for size, value in times.items()}})
    return best


def _measure(function: Callable[[Any], Any], probe: Any, sizes: Sequence[int], seconds: float) -> dict[int, float]:
    """Seconds for all of ``probe`` by block size; sizes that do not fit in memory take forever."""
    times, runs, started, worse, best = dict[int, float](), dict[int, Seeds](), time.monotonic(), 0, float("inf")
    for size in sizes:
        try:
            runs[size] = jax.jit(in_blocks(function, size), compiler_options=compiler_options())
            jax.block_until_ready(runs[size](probe))
            times[size] = min(_clocked(runs[size], probe) for _ in range(2))
        except Exception as error:
            if "RESOURCE_EXHAUSTED" not in str(error) and not isinstance(error, MemoryError):
                raise
            times[size] = float("inf")
        best = min(times.values())
        worse = worse + 1 if 1.3 * best < times[size] < float("inf") else 0
        if worse == 3 or (best < float("inf") and time.monotonic() - started > seconds):
            break  # past the best, or out of time
    # In turn, and the least time of each: what else this machine is doing must not decide.
    close = [size for size in times if times[size] < 1.5 * best]
    for _ in range(8):
        if time.monotonic() - started > 2 * seconds:
            break
        for size in close:
            times[size] = min(times[size], _clocked(runs[size], probe))
    return times


def _clocked(run: Seeds, probe: Any) -> float:
    started = time.perf_counter()
    jax.block_until_ready(run(probe))
    return time.perf_counter() - started


def _name(function: Callable[[Any], Any], probe: Any, sizes: Sequence[int]) -> str:
    one = jax.tree.map(lambda leaf: leaf[0], probe)
    parts = [
        jax.jit(function).lower(one).as_text(),
        str(np.shape(jax.tree.leaves(probe)[0])[0]),
        str(tuple(sizes)),
        jax.__version__,
        jax.devices()[0].platform,
        jax.devices()[0].device_kind,
        _processor(),
        os.environ.get("XLA_FLAGS", ""),
    ]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:32]


@lru_cache(maxsize=1)
def _processor() -> str:
    """The model of processor: a home directory may be shared between machines."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith(("model name", "CPU part")):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _remembered(path: Path, sizes: Sequence[int]) -> int | None:
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
    block = document.get("block") if isinstance(document, dict) else None
    return block if isinstance(block, int) and not isinstance(block, bool) and block in sizes else None


def _remember(path: Path, document: Mapping[str, Any]) -> None:
    temporary = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=".block-")
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            json.dump(document, file)
        os.replace(temporary, path)
    except OSError as error:
        warnings.warn(f"the measured block size could not be kept in {path.parent}: {error}", stacklevel=4)
        if temporary is not None:
            with contextlib.suppress(OSError):
                os.unlink(temporary)
