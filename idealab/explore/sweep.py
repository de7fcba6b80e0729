"""Many verifications, each a job of its own: the product of ideas, settings and master seeds, here or on Slurm."""

from __future__ import annotations

import itertools
import time
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib import import_module
from pathlib import Path
from typing import Any

from idealab.compute.run import Progress, Silence
from idealab.errors import IdealabError, NothingMatchedError, UsageError
from idealab.experiment import Setting
from idealab.ledger.store import Ledger

LONGEST = 7 * 24 * 60
"""Minutes that a job may take on this machine; submitit would stop it after two. Slurm has limits of its own."""

_POLL = 0.2
_OF_SUBMITIT = {"timeout_min", "mem_gb", "nodes", "cpus_per_task", "gpus_per_node", "tasks_per_node", "name"}


@dataclass(frozen=True)
class Trial:
    """One verification of a sweep, and what came of it.

    Attributes
    ----------
    verdict
        As of `Verification`; empty if there is none.
    evidence_log10, seconds, seeds, reused_seeds, record
        As of the verification; ``seconds`` are of this run, which may have gone on from an earlier one.
    error
        Why there is no verdict, in one line; empty otherwise.
    matched
        False if what was asked for left nothing to run.
    log
        The file in which the job's standard error is.
    """

    idea: str
    settings: Mapping[str, Setting] = field(default_factory=dict[str, Setting])
    master_seed: int = 0
    verdict: str = ""
    evidence_log10: float = 0.0
    seconds: float = 0.0
    seeds: int = 0
    reused_seeds: int = 0
    record: str | None = None
    error: str = ""
    matched: bool = True
    log: str = ""

    @property
    def label(self) -> str:
        """How it is told from the others: ``max_margin eta=0.1 seed 3``."""
        settings = [f"{name}={value}" for name, value in self.settings.items()]
        return " ".join([self.idea, *settings, f"seed {self.master_seed}"])


def trials(ideas: Sequence[str], settings: Mapping[str, Sequence[Setting]], master_seeds: Sequence[int]) -> list[Trial]:
    """The product of ideas, values of every setting, and master seeds, in this order."""
    named = [[(name, value) for value in values] for name, values in settings.items()]
    return [
        Trial(idea, dict(chosen), master_seed)
        for idea, chosen, master_seed in itertools.product(ideas, itertools.product(*named), master_seeds)
    ]


def sweep(
    wanted: Sequence[Trial],
    *,
    jobs: int | None = None,
    slurm: Mapping[str, Any] | None = None,
    logs: str | Path | None = None,
    ledger: str | Path | None = None,
    progress: Progress | None = None,
    **options: Any,
) -> list[Trial]:
    """Run each trial as a submitit job, and return them with what came of each.

    A sweep that is run again goes on from the ledger, as each verification does.

    Parameters
    ----------
    jobs
        How many at once; by default one on this machine, where each uses all cores, and all of them on Slurm.
    slurm
        What each job asks Slurm for, as submitit calls it: ``partition``, ``timeout_min``, ``gpus_per_node``,
        ``mem_gb`` and so on. None for jobs on this machine.
    logs
        The folder of the jobs' logs; ``jobs`` in the ledger by default.
    ledger
        The directory where evidence is kept, which every job must reach; as for `idealab.verify`.
    **options
        ``seeds``, ``select``, ``levels``, ``quick``, ``device``, ``precision``: for every trial, as `idealab.verify`
        takes them.

    Raises
    ------
    UsageError
        If submitit is not installed, there is no Slurm here, or it does not know what was asked for; if
        `idealab.verify` would refuse a trial: then none is begun.
    """
    place = Ledger.at(ledger).path
    folder = Path(logs).absolute() if logs else place / "jobs"
    executor = _executor(folder, slurm)
    together = jobs or (len(wanted) if slurm is not None else 1)
    watcher, done = progress or Silence(), dict[int, Trial]()
    waiting, running = deque(enumerate(wanted)), dict[int, tuple[Trial, Any]]()
    watcher.stage("checking what is asked for")
    if slurm is None:
        _check(executor, wanted, options)
    else:  # the devices are those of the nodes, which this machine may lack
        _check(_executor(folder, None), wanted, {**options, "device": "cpu"})
    watcher.planned(len(wanted))
    try:
        while waiting or running:
            while waiting and len(running) < together:
                number, trial = waiting.popleft()
                running[number] = (
                    trial,
                    _submitted(executor, verify_one, trial, {**options, "ledger": str(place)}, trial.label),
                )
            for number, (trial, job) in [*running.items()]:
                if job.done():
                    del running[number]
                    done[number] = _ended(trial, job)
                    watcher.step(f"{trial.label}: {done[number].verdict or 'failed'}")
            time.sleep(_POLL if running else 0.0)
    finally:
        for _, job in running.values():  # only where the sweep was interrupted
            job.cancel(check=False)
    return [done[number] for number in range(len(wanted))]


def refusal(wanted: Sequence[Trial], options: Mapping[str, Any]) -> str:
    """Why `idealab.verify` would refuse one of these, in one line; empty if it would take all.

    A trial that leaves nothing to run is no fault of the others, nor is an idea that contradicts itself: their jobs say
    so.
    """
    from idealab.prepare.request import Request, check

    last: dict[Any, Trial] = {}  # seeds cost no check of their own; the largest may be too large
    for trial in sorted(wanted, key=lambda trial: trial.master_seed):
        last[trial.idea, *trial.settings.items()] = trial
    for trial in last.values():
        request = Request(trial.idea, settings=trial.settings, master_seed=trial.master_seed, record=False, **options)
        try:
            check(request, Silence())
        except NothingMatchedError:
            continue
        except UsageError as error:
            return f"{trial.idea}: {' '.join(str(error).split())}"
        except IdealabError:
            continue
    return ""


def verify_one(trial: Trial, options: Mapping[str, Any]) -> dict[str, Any]:
    """What a job does: one verification, as the fields of the trial that it decides."""
    from idealab.verify import verify

    try:
        found = verify(trial.idea, settings=trial.settings, master_seed=trial.master_seed, **options)
    except IdealabError as error:
        return {"error": " ".join(str(error).split()), "matched": not isinstance(error, NothingMatchedError)}
    return {
        "verdict": found.verdict,
        "evidence_log10": found.evidence_log10,
        "seconds": found.cost.seconds,
        "seeds": found.cost.seeds,
        "reused_seeds": found.cost.reused_seeds,
        "record": found.record,
    }


def _executor(folder: Path, slurm: Mapping[str, Any] | None) -> Any:
    try:
        submitit = import_module("submitit")
    except ImportError as error:
        raise UsageError(f"a sweep needs submitit ({error}): pip install 'idealab[slurm]'") from error
    try:
        folder.mkdir(parents=True, exist_ok=True)
        executor: Any = submitit.AutoExecutor(folder=folder, cluster="local" if slurm is None else "slurm")
        if slurm is None:
            executor.update_parameters(timeout_min=LONGEST)
        else:
            asked = {name if name in _OF_SUBMITIT else f"slurm_{name}": value for name, value in slurm.items()}
            executor.update_parameters(**{"name": "idealab", **asked})
    except OSError as error:
        raise UsageError(
            f"the jobs' logs cannot be written to {folder}: {error.strerror or error}; give --to"
        ) from error
    except Exception as error:  # submitit raises whatever it likes, from RuntimeError to AssertionError
        words = " ".join(str(error).split())
        raise UsageError(f"submitit cannot submit jobs as asked: {words}") from error
    return executor


def _check(executor: Any, wanted: Sequence[Trial], options: Mapping[str, Any]) -> None:
    """Raise `UsageError` where a trial would be refused.

    In a process of its own: one that has asked for the devices may hold their memory, a TPU as a whole, and the jobs
    that follow would lack it.
    """
    job = _submitted(executor, refusal, wanted, options, "the check")
    try:
        while not job.done():
            time.sleep(_POLL)
        why = str(job.result())
    except KeyboardInterrupt:
        job.cancel(check=False)
        raise
    except Exception:  # it was killed, or there is a fault of idealab: the jobs themselves say what it is
        return
    if why:
        raise UsageError(why)


def _submitted(executor: Any, function: Any, what: Any, options: Mapping[str, Any], name: str) -> Any:
    try:
        return executor.submit(function, what, options)
    except Exception as error:
        words = " ".join(str(error).split())
        raise UsageError(f"submitit could not submit {name}: {words}") from error


def _ended(trial: Trial, job: Any) -> Trial:
    log = str(job.paths.stderr)
    found: dict[str, Any]
    try:
        found = job.result()
    except Exception as error:  # the job was killed, ran out of time or memory, or there is a fault of idealab
        said = [line for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
        found = {"error": f"the job failed: {' '.join(said[-1].split())[:200]}"}
    return replace(trial, log=log, **found)
