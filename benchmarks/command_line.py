"""Seconds that the command line takes, as a user feels them: whole processes, medians over repeats.

    python benchmarks/command_line.py

Prints `--help`, `list`, and `verify max_margin` with an empty and with a filled compilation cache, every one with
an empty ledger; the paper kit of its record; then the verdicts for five master seeds. Takes a few minutes.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time

REPEATS = 15
MASTER_SEEDS = (0, 1, 2, 3, 4)


def idealab(*arguments: str, **environment: str) -> tuple[float, str]:
    """Run one command in a process of its own; return its seconds and its standard output."""
    started = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-m", "idealab", *arguments],
        env=os.environ | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        check=False,
    )
    return time.perf_counter() - started, done.stdout


def main() -> None:
    """Measure and print."""
    for command in (["--help"], ["list"]):
        seconds = [idealab(*command)[0] for _ in range(REPEATS)]
        print(f"idealab {command[0]:<28} {1e3 * statistics.median(seconds):7.0f} ms, least {1e3 * min(seconds):.0f} ms")
    with tempfile.TemporaryDirectory() as cache:
        environment = {"JAX_COMPILATION_CACHE_DIR": cache, "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0"}
        for state in ("cold", "warm", "warm"):
            seconds, _ = idealab("verify", "max_margin", "--no-record", **environment)
            print(f"verify max_margin, {state} cache       {seconds:7.1f} s")
        ledger = os.path.join(cache, "ledger")
        idealab("verify", "max_margin", "--ledger", ledger, **environment)
        command = ("report", "max_margin", "--ledger", ledger, "--to", os.path.join(cache, "kit"))
        seconds = [idealab(*command)[0] for _ in range(3)]
        print(f"report max_margin --to DIR           {statistics.median(seconds):7.1f} s, least {min(seconds):.1f} s")
        for seed in MASTER_SEEDS:
            command = ("verify", "max_margin", "--no-record", "--json", "--master-seed", str(seed))
            seconds, output = idealab(*command, **environment)
            (result,) = json.loads(output)["results"]
            signatures = sorted({(s["name"], s["verdict"]) for s in result["signatures"]})
            good = sum(control["ok"] for control in result["controls"])
            print(
                f"master seed {seed}: {result['verdict']}, evidence 10^{result['evidence_log10']:.1f}, "
                f"{sum(verdict == 'present' for _, verdict in signatures)} of {len(signatures)} signatures present, "
                f"{good} of {len(result['controls'])} controls as expected, {seconds:.1f} s"
            )


if __name__ == "__main__":
    main()
