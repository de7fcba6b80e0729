"""A checkpointed run whose process is killed again and again, wherever it stands, ends with the bits of the plain loop.

The processes are forked from one that has imported everything and computed nothing. Between a chunk and the next lie
the writing of a checkpoint by orbax, its rename, and the removal of an older one: a kill comes at a random time after
a random chunk.
"""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import jax
import numpy as np
import pytest

from idealab.simulate.checkpoint import _about, _places
from tests.simulate.test_checkpoint import BEGINNING, bits, run, step

ROOT = Path(__file__).parents[2]
CHUNKS = 16
pytestmark = [pytest.mark.slow, pytest.mark.skipif(not hasattr(os, "fork"), reason="the processes are forked")]

NURSERY = """
import os, signal, sys
from pathlib import Path
import jax, optax, orbax.checkpoint, pytest
jax.config.update("jax_enable_x64", True)

class Teller(list):
    def append(self, chunk):
        os.write(1, f"{chunk}\\n".encode())

for folder in sys.stdin:
    pid = os.fork()
    if not pid:
        signal.alarm(60)  # rather than hang
        from tests.simulate import test_checkpoint as there  # which computes
        os.write(1, f"{-os.getpid()}\\n".encode())
        there.run(Path(folder.strip()), int(sys.argv[1]), Teller())
        jax.effects_barrier()
        os._exit(0)
    os.write(1, f"ended {os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])}\\n".encode())
"""


def once(nursery, folder, strike, later):
    """The chunks that a process computed, killed ``later`` seconds after it began its chunk number ``strike``."""
    print(folder, file=nursery.stdin, flush=True)
    pid, chunks, struck = 0, [], False
    while not (line := nursery.stdout.readline()).startswith("ended"):
        number = int(line)
        pid, chunks = (-number, chunks) if number < 0 else (pid, [*chunks, number])
        if len(chunks) > strike and not struck:
            time.sleep(later)
            os.kill(pid, signal.SIGKILL)
            struck = True
    return chunks, int(line.split()[1])


def sound(folder):
    """The newest checkpoint that is whole; 0 if there is none."""
    places = _places(folder) if folder.exists() else []
    return next((int(place.name) for place in places if _about(place)), 0)


def test_a_run_that_is_killed_again_and_again_ends_as_the_loop_does(tmp_path):
    chance, folder, kills, done, ended = random.Random(1), tmp_path / "run", 0, 0, 1
    with subprocess.Popen(
        [sys.executable, "-c", NURSERY, str(CHUNKS)],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "ignore"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as nursery:
        while ended:
            before = sound(folder)
            chunks, ended = once(nursery, folder, chance.randrange(2), chance.uniform(0, 0.2))
            assert chunks == [*range(before, before + len(chunks))], "it goes on from the newest whole checkpoint"
            assert ended in (0, -signal.SIGKILL)
            assert (done := sound(folder)) >= before, "what was kept stays"
            kills += ended != 0
            assert kills < 100, done
        nursery.communicate()
    assert kills >= 8
    state = BEGINNING
    for i in range(CHUNKS):
        state = jax.jit(step)(state, np.uint32(i))
    assert bits(run(folder, CHUNKS)) == bits(state)
