"""Where a run computes and how exactly: the devices of one platform, their precision, their memory."""

from __future__ import annotations

# JAX annotates its functions only in part.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
import contextlib
import os
import platform
from collections.abc import Generator
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

import jax
import platformdirs
import psutil  # pyright: ignore[reportMissingModuleSource]

from idealab.errors import UsageError

Device = Any
"""A `jax.Device`, whose type JAX does not tell."""
Precision = Literal["float32", "float64"]
PRECISIONS: tuple[Precision, ...] = ("float32", "float64")

_PACKAGES = ("jax", "jaxlib", "numpy", "scipy", "sympy", "optax", "flax", "scikit-learn")


@dataclass(frozen=True)
class Machine:
    """The devices that a run uses side by side, all of one platform, and the precision in which it computes."""

    devices: tuple[Device, ...]
    precision: Precision

    @property
    def on_cpu(self) -> bool:
        """Whether the devices are CPUs."""
        return self.devices[0].platform == "cpu"

    @property
    def slots(self) -> tuple[Device, ...]:
        """A device for each block that is simulated at the same time: on CPUs one a core, else one a device."""
        each = max(1, _cores() // len(self.devices)) if self.on_cpu else 1
        return self.devices * each

    @property
    def epsilon(self) -> float:
        """Distance from one to the next number."""
        return 2.0**-52 if self.precision == "float64" else 2.0**-23

    @contextlib.contextmanager
    def computing(self) -> Generator[None]:
        """Compute in this precision, on the first device where nothing else is said; JAX's own settings stay."""
        with jax.enable_x64(self.precision == "float64"), jax.default_device(self.devices[0]):
            yield

    def environment(self) -> dict[str, Any]:
        """The kind of device, and versions; runs go on from batches of an equal environment only."""
        return {
            **{name: version(name) for name in _PACKAGES},
            "python": platform.python_version(),
            "machine": platform.machine(),
            "platform": self.devices[0].platform,
            "device": self.devices[0].device_kind,
        }

    def size(self) -> dict[str, int]:
        """How many there are, which makes no difference to any number."""
        return {"devices": len(self.devices), "cores": _cores()}

    def __str__(self) -> str:
        first, many = self.devices[0], len(self.devices)
        if not self.on_cpu:
            return f"{many} {first.device_kind}"
        return f"{_cores()} CPU cores" + (f" as {many} devices" if many > 1 else "")


def machine_of(device: str | None = None, precision: str | None = None) -> Machine:
    """Choose the devices and the precision.

    Parameters
    ----------
    device
        A platform (``cpu``, ``gpu``, ``tpu``), for all devices of it that are local; with a number (``gpu:1``) for one
        of them. By default those that JAX prefers.
    precision
        ``float64`` or ``float32``; by default float64, where the device has it.

    Raises
    ------
    UsageError
        If there is no such device, or it lacks the precision.
    """
    devices = _devices(device)
    if precision is not None and precision not in PRECISIONS:
        raise UsageError(f"precision={precision!r} must be float32 or float64")
    if precision == "float64" and not computes_float64(devices[0]):
        raise UsageError(
            f"precision='float64': {devices[0].device_kind} computes in float32 only; leave --precision out, or give "
            "--device cpu"
        )
    best = "float64" if precision is None and devices[0].platform != "tpu" else "float32"
    return Machine(devices, best if precision is None else precision)  # pyright: ignore[reportArgumentType]


def _devices(name: str | None) -> tuple[Device, ...]:
    if name is None:
        return tuple(jax.local_devices())
    kind, colon, index = name.partition(":")
    try:
        found = tuple(jax.local_devices(backend=kind)) if kind else ()
    except RuntimeError:  # JAX knows no such platform, or finds nothing of it
        found = ()
    if colon:
        found = tuple(one for k, one in enumerate(found) if str(k) == index)
    if not found:
        there = ", ".join(f"{one.platform}:{k}" for k, one in enumerate(_all_devices()))
        raise UsageError(f"device={name!r} is not there; there are: {there}; `idealab doctor` says what JAX finds")
    return found


def _all_devices() -> list[Device]:
    preferred = jax.local_devices()
    return preferred if preferred[0].platform == "cpu" else [*preferred, *jax.local_devices(backend="cpu")]


def computes_float64(device: Device) -> bool:
    """Try it: some platforms accept float64 and round it to float32."""
    try:
        with jax.enable_x64(True), jax.default_device(device):
            small = jax.jit(_lost_in_float32)(jax.numpy.asarray(2.0**-40, dtype="float64"))
            return float(small) == 2.0**-40
    except (RuntimeError, TypeError, ValueError):
        return False


def _lost_in_float32(x: Any) -> Any:
    return (1 + x) - 1


def free_memory(device: Device) -> int:
    """Bytes that are left on a device; for a CPU, of the machine's memory, or of what the job may take of it."""
    told = None if device.platform == "cpu" else device.memory_stats()
    if told and "bytes_limit" in told:
        return int(told["bytes_limit"]) - int(told.get("bytes_in_use", 0))
    return min([int(psutil.virtual_memory().available), *_left_to_the_job()])


# A controller of memory as the kernel shows it, by the version of cgroups: its folder, and the names of its files.
_CONTROLLERS = {
    "": ("", "memory.max", "memory.current", "inactive_file"),
    "memory": ("memory", "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
}


def _left_to_the_job(root: Path = Path("/")) -> list[int]:
    """Bytes that each control group of this process leaves, as Slurm and Kubernetes set them; beyond, it is killed.

    What a group has of files that nobody reads just now (``inactive_file``) counts as left: the kernel drops it first.
    A container may see its group at the top, and not at the path that the kernel tells; so all that are there count.
    """
    found: list[int] = []
    try:
        lines = (root / "proc/self/cgroup").read_text().splitlines()
    except OSError:  # not on every operating system
        return found
    for line in lines:
        _, controllers, path = line.split(":", 2)
        for controller in _CONTROLLERS.keys() & set(controllers.split(",")):
            folder, limit, usage, unread = _CONTROLLERS[controller]
            inner = Path(*(part for part in path.split("/") if part not in ("", "..")))
            for group in (inner, *inner.parents):
                place = root / "sys/fs/cgroup" / folder / group
                with contextlib.suppress(OSError, ValueError):  # no such group, no such file, or a limit of "max"
                    most, used = (int((place / name).read_text()) for name in (limit, usage))
                    told = dict(entry.split() for entry in (place / "memory.stat").read_text().splitlines())
                    found.append(max(0, most - used + int(told.get(unread, 0))))
    return found


def _cores() -> int:
    """Cores that this process may use."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not on every operating system
        return os.cpu_count() or 1


def program_cache() -> Path | None:
    """Where compiled simulations are kept, in the user's cache directory; None where JAX was told to keep its own."""
    told: str | None = jax.config.jax_compilation_cache_dir  # pyright: ignore[reportAttributeAccessIssue]
    # What JAX takes from its cache cannot be kept once more.
    return platformdirs.user_cache_path("idealab") / "programs" if told is None else None
