"""A run that is cut short anywhere goes on from what is stored, and ends as if nothing had happened."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from idealab.errors import LedgerError
from idealab.ledger.records import BATCH, DECLARATION
from idealab.ledger.store import Ledger

ROOT = Path(__file__).parents[2]


@pytest.fixture
def whole(toy, tmp_path):
    """The verification of ``breaks`` by a run that nothing disturbs, in a ledger of its own."""
    return toy.verify(experiments=(toy.experiment("diverges"),), seeds=16, ledger=tmp_path / "undisturbed")


@pytest.mark.parametrize("stop_at", [1, 3, 4, 6, 9])
def test_a_run_that_is_interrupted_goes_on_and_ends_the_same(toy, whole, stop_at):
    options = {"experiments": (toy.experiment("diverges"),), "seeds": 16}
    with pytest.raises(KeyboardInterrupt):
        toy.verify(**options, progress=toy.watcher(stop_at))
    kept = len(Ledger(toy.ledger).find(schema=BATCH))
    assert stop_at <= kept <= stop_at + 3, "what was running is kept as well, and nothing new is begun"
    resumed = toy.verify(**options)
    assert toy.told(resumed) == toy.told(whole)
    assert resumed.cost.reused_seeds == 4 * kept
    assert (resumed.cost.seeds, resumed.cost.gradient_evaluations) == (
        whole.cost.seeds,
        whole.cost.gradient_evaluations,
    )


def test_a_run_that_is_done_is_not_done_again(toy):
    first = toy.verify()
    toy.traced.append(lambda condition: pytest.fail("simulated again"))
    again = toy.verify()
    assert toy.told(first) == toy.told(again)
    assert again.cost.reused_seeds == again.cost.seeds == first.cost.seeds
    assert again.record != first.record, "another verification of the same observations"


def test_an_experiment_that_raises_keeps_what_is_finished(toy):
    def bomb(condition):
        if "size" in condition.settings:
            raise KeyboardInterrupt

    toy.traced.append(bomb)
    made = toy.experiment(observe=toy.observer(), toggles={})
    made = replace(made, conditions=(*made.conditions, toy.sweep.but("sized", a=3.0, size=1)))
    with pytest.raises(KeyboardInterrupt):
        toy.verify(experiments=(made,))
    assert len(Ledger(toy.ledger).find(schema=BATCH)) == 2
    toy.traced.clear()
    assert toy.verify(experiments=(made,)).cost.reused_seeds == 8


KILLED = """
import importlib.util, os, signal, sys
spec = importlib.util.spec_from_file_location("conftest", {file!r})
toy = importlib.util.module_from_spec(spec); spec.loader.exec_module(toy)
from idealab.compute.run import Silence
class Killer(Silence):
    steps = 0
    def step(self, words):
        self.steps += 1
        if self.steps == 6:
            os.kill(os.getpid(), signal.SIGKILL)
sys.modules["idealab.compute.simulator"].program_cache = lambda: None
toy.verify(toy.idea(), experiments=(toy.experiment("diverges"),), seeds=16, ledger={ledger!r}, progress=Killer())
"""


def test_a_run_that_is_killed_goes_on_in_another_process(toy, whole, import_file):
    code = KILLED.format(file=str(toy.file), ledger=str(toy.ledger))
    killed = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    ledger = Ledger(toy.ledger)
    (declaration,) = ledger.find(schema=DECLARATION)
    kept = len(ledger.find(schema=BATCH))
    assert kept >= 6
    assert not ledger.health().damaged
    # Imported as that process did it, since a function is also known by the name of its module.
    there = import_file(toy.file)
    resumed = there.verify(there.idea(), experiments=(there.experiment("diverges"),), seeds=16, ledger=toy.ledger)
    assert resumed.declaration == declaration
    assert resumed.cost.reused_seeds == 4 * kept
    assert repr(resumed.signatures) == repr(whole.signatures)
    assert repr(resumed.controls) == repr(whole.controls)


@pytest.mark.parametrize(
    "change",
    [
        {"master_seed": 1},
        {"seeds": 8},
        {"settings": {"noise": 0.01}},
        {"select": ("height", "curve")},
    ],
)
def test_nothing_is_taken_from_another_run(toy, change):
    toy.verify()
    assert toy.verify(**change).cost.reused_seeds == 0


def test_a_damaged_batch_is_warned_of_and_simulated_again(toy):
    first = toy.verify()
    ledger = Ledger(toy.ledger)
    victim = ledger.get(first.record)["parents"][1]
    file = toy.ledger / "objects" / victim[:2] / f"{victim}.json"
    file.write_bytes(file.read_bytes()[:-20])
    watcher = toy.watcher()
    again = toy.verify(progress=watcher)
    assert toy.told(first) == toy.told(again)
    assert again.cost.reused_seeds == again.cost.seeds - 4
    (warning,) = watcher.all("warn")
    assert "damaged" in warning
    assert victim in warning
    assert victim not in Ledger(toy.ledger).get(again.record)["parents"]


def test_a_ledger_that_cannot_be_written_is_told_of_before_anything_is_simulated(toy, tmp_path):
    toy.traced.append(lambda condition: pytest.fail("simulated"))
    occupied = tmp_path / "occupied"
    occupied.write_text("a file")
    with pytest.raises(LedgerError, match=r"cannot be written .*move that file away"):
        toy.verify(ledger=occupied, experiments=(toy.experiment(observe=toy.observer()),))


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="permissions do not bind this user")
def test_a_ledger_that_is_read_only_is_told_of_before_anything_is_simulated(toy):
    toy.traced.append(lambda condition: pytest.fail("simulated"))
    toy.ledger.mkdir(mode=0o500)
    with pytest.raises(LedgerError, match=r"cannot be written .*see to its permissions"):
        toy.verify(experiments=(toy.experiment(observe=toy.observer()),))
