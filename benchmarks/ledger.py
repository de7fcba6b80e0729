"""Seconds that the ledger takes: several processes writing at once, checking everything, bundles.

    python benchmarks/ledger.py

Records are blocks of four seeds: five observables at three checkpoints each, and four parameters (2 kB; those of
``max_margin`` have 2.5 to 200 kB). The peer does by hand the least that keeps the same bytes through a power cut: a
temporary file, fsync, rename, and fsync of the folder. Ledger and peer take turns; where others use the machine, look
at the ratio, and at the seconds of the processors. After each round every record is read back, hashed and counted.
"""

from __future__ import annotations

import hashlib
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from idealab.ledger import BATCH, DECLARATION, Ledger, canonical, digest
from idealab.ledger.bundle import export, import_bundle

PROCESSES, RECORDS, CHECKED, ROUNDS = 4, 1000, 10_000, 5
TOP = {"schema": DECLARATION, "idea": "benchmark", "content": {}}


def block(process: int, number: int) -> dict[str, Any]:
    """One block of seeds, another for every process and number."""
    draw = random.Random(f"{process} {number}").random
    observables = {f"observable{k}": [[draw() for _ in range(3)] for _ in range(4)] for k in range(5)}
    parameters = {f"parameter{k}": [draw() for _ in range(4)] for k in range(4)}
    return {
        "schema": BATCH,
        "parents": [digest(TOP)],
        "idea": "benchmark",
        "experiment": "planted",
        "condition": f"eta=0.1, gamma=0.5, process={process}",
        "precision": "float64",
        "environment": {"jax": "0.10.2", "device": "cpu"},
        "master_seed": process,
        "first_seed": 4 * number,
        "seeds": 4,
        "seconds": draw(),
        "observation": {"parameters": parameters, "observables": observables},
    }


def by_hand(place: Path, name: str, data: bytes) -> None:
    """The least that is durable and never torn."""
    folder = place / name[:2]
    folder.mkdir(parents=True, exist_ok=True)
    temporary = folder / f".{name}.tmp"
    handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
    os.write(handle, data)
    os.fsync(handle)
    os.close(handle)
    os.replace(temporary, folder / name)
    handle = os.open(folder, os.O_RDONLY)
    os.fsync(handle)
    os.close(handle)


def write(place: Path, how: str, process: int) -> None:
    """What one process does, once it is told to begin."""
    records = [block(process, number) for number in range(RECORDS)]
    ready = [(digest(record), canonical(record)) for record in records]
    ledger = Ledger(place)
    print("ready", flush=True)
    sys.stdin.readline()
    before = time.process_time()
    if how == "ledger":
        for record in records:
            ledger.put(record)
    elif how == "together":
        with ledger.together():
            for record in records:
                ledger.put(record)
    else:
        for sha, data in ready:
            by_hand(place, sha, data)
    print(time.process_time() - before)


def at_once(how: str) -> tuple[float, float]:
    """Seconds until every process has written all of its records; of the wall, and of the processors."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder) / "ledger"
        command = [sys.executable, __file__, str(place), how]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        running = [subprocess.Popen([*command, str(process)], **pipes) for process in range(PROCESSES)]
        for one in running:
            assert one.stdout is not None
            one.stdout.readline()
        started = time.perf_counter()
        for one in running:
            assert one.stdin is not None
            one.stdin.write("\n")
            one.stdin.close()
        codes = [one.wait() for one in running]
        seconds = time.perf_counter() - started
        processor = sum(float(one.stdout.read()) for one in running if one.stdout is not None)
        assert codes == [0] * PROCESSES, codes
        if how != "by hand":
            ledger = Ledger(place)
            ledger.put(TOP)
            health = ledger.health()
            found = (health.objects, health.damaged, health.incomplete, health.temporaries)
            assert found == (PROCESSES * RECORDS + 1, (), (), 0), found
        return seconds, processor


def seconds_of(call: Any) -> float:
    """Seconds of the wall."""
    started = time.perf_counter()
    call()
    return time.perf_counter() - started


def main() -> None:
    """Measure and print."""
    print(f"a record has {len(canonical(block(0, 0)))} bytes; load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    seen_of: dict[str, list[tuple[float, float]]] = {"ledger": [], "together": [], "by hand": []}
    for _ in range(ROUNDS):
        for how, seen in seen_of.items():
            seen.append(at_once(how))
    ratios = [
        statistics.median(a / b for (a, _), (b, _) in zip(seen_of[how], seen_of["by hand"], strict=True))
        for how in ("ledger", "together")
    ]
    words = "times by hand; within `together` {:.2f} times"
    print(
        f"{PROCESSES} processes with {RECORDS} records each: none lost, none torn; {ratios[0]:.2f} "
        + words.format(ratios[1])
    )
    for name, seen in seen_of.items():
        wall, processor = [wall for wall, _ in seen], statistics.median(cpu for _, cpu in seen)
        print(
            f"  {name:<8} {statistics.median(wall):.2f} s, least {min(wall):.2f}; {processor:.2f} s of the processors"
        )
    with tempfile.TemporaryDirectory() as folder:
        ledger = Ledger(Path(folder) / "ledger")
        ledger.put(TOP)
        for number in range(CHECKED - 1):  # without waiting for the disk
            data = canonical(block(0, number))
            sha = hashlib.sha256(data).hexdigest()
            file = ledger.path / "objects" / sha[:2] / f"{sha}.json"
            file.parent.mkdir(exist_ok=True)
            file.write_bytes(data)
        behind = seconds_of(ledger.find)
        checks, cpu = [], []
        for _ in range(ROUNDS):
            before = time.process_time()
            checks.append(seconds_of(lambda: Ledger(ledger.path).health()))
            cpu.append(time.process_time() - before)
        print(
            f"check of {CHECKED} objects: median {statistics.median(checks):.2f} s, least {min(checks):.2f} s; "
            f"processor {statistics.median(cpu):.2f} s; index after writing {behind:.2f} s"
        )
        bundle = Path(folder) / "all.zip"
        out = seconds_of(lambda: export(ledger, (), bundle))
        into = seconds_of(lambda: import_bundle(Ledger(Path(folder) / "other"), bundle))
        print(f"export {out:.1f} s, {bundle.stat().st_size / 2**20:.1f} MiB; import {into:.1f} s")


if __name__ == "__main__":
    if len(sys.argv) == 4:
        write(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]))
    else:
        main()
