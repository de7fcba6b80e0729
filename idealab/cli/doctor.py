"""``idealab doctor``: whether this machine is fit to verify ideas, and with what."""

from __future__ import annotations

import importlib
import os
import platform
import textwrap
from pathlib import Path
from typing import Any

import click

from idealab.cli.console import width, write
from idealab.cli.exit_code import ExitCode
from idealab.cli.progress import watching

_PACKAGES = ("jax", "jaxlib", "numpy", "sympy", "optax", "flax")


@click.command("doctor", short_help="Devices, versions, precision, cache, ledger health.")
@click.option("--ledger", metavar="DIR", help="Which ledger to look at [IDEALAB_LEDGER, or .idealab].")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on standard output.")
def command(ledger: str | None, as_json: bool) -> ExitCode:
    """Devices, versions, precision, compilation cache, ledger health and ideas; exit code 1 if something is wrong."""
    problems: list[str] = []
    with watching("doctor") as progress:
        report: dict[str, Any] = {"schema": "idealab/doctor/1", "versions": _versions(problems)}
        progress.stage("devices")
        report |= _devices(problems)
        report["compilation_cache"] = _cache(problems)
        progress.stage("ledger")
        report["ledger"] = _ledger(ledger, problems)
        progress.stage("ideas")
        report["ideas"] = _ideas(problems)
    report["problems"] = problems
    if as_json:
        from idealab.report.document import document

        write(document(report))
    else:
        write("\n".join(_lines(report)))
    return ExitCode.REFUTED if problems else ExitCode.SUPPORTED


def _versions(problems: list[str]) -> dict[str, str]:
    from importlib.metadata import PackageNotFoundError, version

    from idealab import __version__

    found = {"idealab": __version__, "python": platform.python_version()}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            problems.append(f"{package} is not installed; install idealab again")
    return found


def _devices(problems: list[str]) -> dict[str, Any]:
    """Devices, and for the default one which precision it really computes in."""
    try:
        jax: Any = importlib.import_module("jax")  # untyped in places
        devices = [f"{device.platform}:{device.id} ({device.device_kind})" for device in jax.devices()]
        computes_float64 = importlib.import_module("idealab.compute.devices").computes_float64
        precision = "float64" if computes_float64(jax.local_devices()[0]) else "float32"
    except Exception as error:  # a broken driver fails in its own way
        problems.append(f"JAX finds no device: {' '.join(str(error).split())}")
        return {"devices": [], "cores": os.cpu_count(), "precision": None}
    return {"devices": devices, "cores": os.cpu_count(), "precision": precision}


def _cache(problems: list[str]) -> dict[str, Any]:
    folder: Path | None = None
    try:
        from idealab.compute.devices import program_cache

        folder = program_cache()
    except Exception as error:  # JAX renames its options from time to time
        problems.append(f"compilations are not kept: {type(error).__name__}: {' '.join(str(error).split())}")
    size = 0
    for path in folder.rglob("*") if folder is not None else ():
        try:
            size += path.stat().st_size
        except OSError:  # another run tidies up meanwhile
            continue
    return {"path": None if folder is None else str(folder), "bytes": size}


def _ledger(place: str | None, problems: list[str]) -> dict[str, Any]:
    from idealab.ledger import Ledger

    health = Ledger.at(place).health()
    problems += [f"ledger: {line}" for line in health.damaged]
    if health.obstacle:
        problems.append(f"ledger: {health.obstacle}")
    if health.index.startswith("unusable"):
        problems.append(f"ledger: the index is {health.index}; delete it, it is rebuilt")
    return {
        "path": str(health.path),
        "records": health.objects,
        "damaged": len(health.damaged),
        "unfinished": health.temporaries,
        "index": health.index,
        "writable": health.writable,
    }


def _ideas(problems: list[str]) -> dict[str, bool]:
    """Every idea that is found, and whether it and its experiments load and fit together."""
    from idealab.registry import ideas, load, load_experiments, pair

    loads: dict[str, bool] = {}
    for name in ideas():
        try:
            pair(load(name), load_experiments(name))
            loads[name] = True
        except Exception as error:  # an idea is anybody's code, and may fail in any way
            loads[name] = False
            problems.append(f"idea {name} does not load: {type(error).__name__}: {' '.join(str(error).split())}")
    return loads


def _lines(report: dict[str, Any]) -> list[str]:
    versions, ledger, cache = report["versions"], report["ledger"], report["compilation_cache"]
    bad = [name for name, fine in report["ideas"].items() if not fine]
    precision = {
        "float64": "float64",
        "float32": "float32 only: this platform has no float64, so tight tolerances may be out of reach",
        None: "unknown",
    }[report["precision"]]
    facts = {
        "versions": ", ".join(f"{name} {number}" for name, number in versions.items()),
        "devices": f"{', '.join(report['devices']) or 'none'}; {report['cores']} CPU cores",
        "precision": precision,
        "cache": f"{cache['path'] or 'none'}, {cache['bytes'] / 2**20:.1f} MiB of compiled simulations",
        "ledger": f"{ledger['path']}, {ledger['records']} records, index {ledger['index']}, "
        + ("writable" if ledger["writable"] else "not writable"),
        "ideas": f"{len(report['ideas'])} found"
        + (f", {len(bad)} of them do not load: {', '.join(bad)}" if bad else ""),
    }
    lines = [line for name, text in facts.items() for line in _wrapped(f"{name:<11}{text}", " " * 11)]
    lines += [line for problem in report["problems"] for line in _wrapped(f"wrong:     {problem}", " " * 11)]
    return lines if report["problems"] else [*lines, "all is well"]


def _wrapped(text: str, indent: str) -> list[str]:
    return textwrap.wrap(
        text, max(40, width()), subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
    )
