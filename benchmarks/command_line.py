"""Seconds that the command line takes, as a user feels them: whole processes, medians over repeats.

    python benchmarks/command_line.py

Prints `--help`, `list`, and `verify max_margin` with an empty and with a filled cache of the user's, every one without
a ledger, with where the time goes and the most memory; the paper kit of its record; then the verdicts for five master
seeds. Takes a few minutes.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time

REPEATS = 10
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


STAGES = """
import resource, sys, time
started, stages = time.perf_counter(), []
cpu = lambda: sum(resource.getrusage(resource.RUSAGE_SELF)[:2])
import idealab
from idealab.compute.run import Silence
from idealab.verify import verify

class Watch(Silence):
    def stage(self, words):
        stages.append((words, time.perf_counter() - started, cpu()))

stages.append(("importing", 0.0, 0.0))
verify("max_margin", record=False, progress=Watch())
stages.append(("", time.perf_counter() - started, cpu()))
for (words, at, used), (_, then, later) in zip(stages, stages[1:]):
    print(f"  {words:<32} {then - at:7.1f} s, of the processors {later - used:.1f} s")
print(f"  most memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20:.2f} GiB")
"""


def stages(environment: dict[str, str]) -> str:
    """Where the time of a verification goes, in a process of its own."""
    command = [sys.executable, "-c", STAGES]
    return subprocess.run(command, env=os.environ | environment, capture_output=True, text=True, check=True).stdout


def main() -> None:
    """Measure and print."""
    for command in (["--help"], ["list"]):
        seconds = [idealab(*command)[0] for _ in range(REPEATS)]
        print(f"idealab {command[0]:<28} {1e3 * statistics.median(seconds):7.0f} ms, least {1e3 * min(seconds):.0f} ms")
    with tempfile.TemporaryDirectory() as cache:
        environment = {"XDG_CACHE_HOME": os.path.join(cache, "0")}
        for k in range(2):
            environment = {"XDG_CACHE_HOME": os.path.join(cache, str(k))}
            for state in ("cold", "warm"):
                seconds, _ = idealab("verify", "max_margin", "--no-record", **environment)
                print(f"verify max_margin, {state} cache       {seconds:7.1f} s")
        print(stages(environment), end="")
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
