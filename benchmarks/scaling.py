"""Weak scaling over the local devices: ``python benchmarks/scaling.py [--devices N] [--rounds R]``.

The work grows with the devices: each has the same number of blocks of seeds of gradient descent to run, through the
very code that verifications run on. Reported is the throughput on N devices over that on one, in interleaved rounds;
N is ideal. CPU cores count as devices; ``--devices 8`` makes virtual ones of them, whose throughput ends at the cores.
"""

from __future__ import annotations

import argparse
import time
from concurrent.futures import ThreadPoolExecutor
from statistics import median, quantiles

import jax.numpy as jnp

from idealab.compute.devices import Machine, machine_of
from idealab.compute.simulator import Simulator
from idealab.experiment import Condition, Experiment, Observation
from idealab.simulate import LOGISTIC, descend, margin_gradient, random_separable


def observe(key, condition):
    """Logistic descent on fresh data, for so many steps."""
    x = random_separable(key, condition["n"], condition["d"])
    w = descend(margin_gradient(LOGISTIC, x), jnp.zeros(condition["d"]), 0.01, (condition["steps"],))
    return Observation({}, {"w": w[-1]})


def seconds(simulator: Simulator, experiment: Experiment, blocks: int) -> float:
    """Wall-clock time of so many blocks, as many at once as there are devices."""
    started = time.perf_counter()
    with ThreadPoolExecutor(len(simulator.machine.slots)) as pool:
        (condition,) = experiment.conditions
        list(pool.map(lambda k: simulator.block(experiment, condition, "n", 4 * k), range(blocks)))
    return time.perf_counter() - started


class Some(Machine):
    """A machine of which no more than one block a device runs at once."""

    @property
    def slots(self):
        """The devices, each once."""
        return self.devices


def main() -> None:
    """Print the throughput of N devices over that of one."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--devices", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--blocks", type=int, default=4, help="for each device, of four seeds")
    parser.add_argument("--steps", type=int, default=100_000)
    chosen = parser.parse_args()
    machine = machine_of()
    several = (machine.devices * chosen.devices)[: chosen.devices] if machine.on_cpu else machine.devices
    if len(several) < chosen.devices:
        parser.error(f"--devices {chosen.devices}: there are {len(several)}")
    one, many = (Simulator(Some(some, machine.precision), 0, print) for some in (several[:1], several))
    condition = Condition({"n": 64, "d": 16, "steps": chosen.steps})
    experiment = Experiment("scaling", "", "idealized", observe, ("w",), (condition,))
    for simulator, blocks in ((one, 1), (many, chosen.devices)):  # compiles
        seconds(simulator, experiment, blocks)
    ratios = []
    for _ in range(chosen.rounds):
        alone = seconds(one, experiment, chosen.blocks)
        together = seconds(many, experiment, chosen.blocks * chosen.devices)
        ratios.append(chosen.devices * alone / together)
    low, _, high = quantiles(ratios, n=4)
    print(f"{chosen.devices} devices of {several[0].device_kind}: {median(ratios):.2f} times the throughput of one")
    print(f"quartiles {low:.2f} and {high:.2f}, {chosen.rounds} rounds of {chosen.blocks} blocks a device")


if __name__ == "__main__":
    main()
