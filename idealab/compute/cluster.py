"""Who is who among several processes: as a person says it, or as the cluster's scheduler does."""

from __future__ import annotations

import os
import warnings
from importlib.util import find_spec
from typing import Any

from idealab.compute.line import Place, place_of
from idealab.errors import UsageError


def roles(
    coordinator: str | None, processes: int | None, process: int | None, timeout: float
) -> tuple[Place, int, int]:
    """Where process 0 listens, how many processes there are, and which this is: as given, else as detected.

    Raises
    ------
    UsageError
        If only some are given, they do not fit together, or nothing is detected.
    """
    given = {"coordinator": coordinator, "processes": processes, "process": process}
    missing = [name for name, value in given.items() if value is None]
    if len(missing) == 3:
        coordinator, processes, process = _detected(timeout)
    elif missing:
        raise UsageError(f"coordinator, processes and process go together; missing: {', '.join(missing)}")
    assert coordinator is not None
    assert processes is not None
    assert process is not None
    if processes < 1:
        raise UsageError(f"processes={processes} must be at least 1")
    if not 0 <= process < processes:
        raise UsageError(f"process={process} must be from 0 to {processes - 1}, as there are processes={processes}")
    return place_of(coordinator), processes, process


def _detected(timeout: float) -> tuple[str, int, int]:
    """The coordinator, the number of processes and this one's, as jax.distributed.initialize would find them."""
    import jax

    try:
        from jax._src.clusters import ClusterEnv  # not public: `initialize` would start its service at once

        with warnings.catch_warnings():  # JAX's own on Kubernetes, of six lines, is said below in one
            warnings.filterwarnings("ignore", "(?s).*Kubernetes environment detected")
            found: Any = ClusterEnv.auto_detect_unset_distributed_params(
                None, None, None, None, None, int(timeout) or 1
            )
    except Exception as error:
        words = " ".join(str(error).split())
        raise UsageError(
            f"the cluster cannot be made out ({type(error).__name__}: {words}); give the coordinator (HOST:PORT), the "
            "number of processes and the number of this one"
        ) from error
    coordinator, processes, process, devices = found
    if coordinator is None or processes is None or process is None:
        if "KUBERNETES_SERVICE_HOST" in os.environ and find_spec("kubernetes") is None:
            raise UsageError(
                "Kubernetes is here, but its client is not installed: pip install 'idealab[k8s]', or give "
                "--coordinator HOST:PORT --processes N --process I"
            )
        raise UsageError(
            "no cluster is detected here (Slurm, Open MPI, Kubernetes, Cloud TPU): give --coordinator HOST:PORT "
            "--processes N --process I"
        )
    if devices is not None:  # where a scheduler starts one process for each GPU, that one is ours
        for platform in ("cuda", "rocm"):
            jax.config.update(f"jax_{platform}_visible_devices", ",".join(map(str, devices)))  # pyright: ignore[reportUnknownMemberType]
    return str(coordinator), int(processes), int(process)
