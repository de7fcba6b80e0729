"""Sweeps: the product of what is asked for, as jobs; and what is said where one fails."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import click
import pytest

from idealab import registry
from idealab.cli import main
from idealab.cli.sweep import MasterSeeds, Settings
from idealab.errors import UnknownNameError, UsageError
from idealab.explore.sweep import LONGEST, Trial, refusal, sweep, trials
from idealab.registry import Summary
from idealab.report.sweep import as_dict, sweep as drawn

ROOT = Path(__file__).parents[2]


def test_the_product_in_the_order_that_was_asked_for() -> None:
    found = trials(("toy", "other"), {"eta": (0.1, 0.2), "mode": ("a",)}, (0, 3))
    assert [trial.label for trial in found] == [
        f"{idea} eta={eta} mode=a seed {seed}" for idea in ("toy", "other") for eta in (0.1, 0.2) for seed in (0, 3)
    ]
    assert [trial.label for trial in trials(("toy",), {}, (7,))] == ["toy seed 7"]


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("eta=0.1", ("eta", (0.1,))),
        ("eta=0.1, 2,true,deep", ("eta", (0.1, 2, True, "deep"))),
        (" eta =2,1", ("eta", (2, 1))),
    ],
)
def test_settings(text: str, values: Any) -> None:
    read = Settings().convert(text, None, None)
    assert read == values
    assert [type(value) for value in read[1]] == [type(value) for value in values[1]]


@pytest.mark.parametrize("text", ["eta", "=1", "eta=", "eta=1,", "eta=1,nan", "eta=1,1"])
def test_no_settings(text: str) -> None:
    with pytest.raises(click.BadParameter):
        Settings().convert(text, None, None)


@pytest.mark.parametrize(
    ("text", "seeds"), [("0..3", (0, 1, 2, 3)), ("5", (5,)), ("0, 7,3,7", (0, 7, 3)), ("4..4", (4,))]
)
def test_master_seeds(text: str, seeds: tuple[int, ...]) -> None:
    assert MasterSeeds().convert(text, None, None) == seeds


@pytest.mark.parametrize("text", ["3..1", "-1", "0..", "0...3", "a", "1,,2", "0..99999999", "²"])
def test_no_master_seeds(text: str) -> None:
    with pytest.raises(click.BadParameter, match=r"as 0\.\.4, or a list, as 0,3,7"):
        MasterSeeds().convert(text, None, None)


def supported(trial: Trial) -> dict[str, Any]:
    return {"verdict": "supported", "evidence_log10": 2.5, "seconds": 3.0, "seeds": 64, "record": "ab" * 32}


class Submitit(ModuleType):
    """Stands in for submitit: every job is done when it was asked twice, and ends as ``outcome`` says."""

    def __init__(self) -> None:
        super().__init__("submitit")
        self.outcome: Callable[[Trial], dict[str, Any]] = supported
        self.refused = ""
        self.asked: dict[str, Any] = {}
        self.running = self.most = self.cancelled = 0
        self.options: list[Any] = []
        self.checked: list[Any] = []
        self.AutoExecutor = self._executor

    def _executor(self, folder: Path, cluster: str) -> Any:
        asked: dict[str, Any] = {"cluster": cluster}
        self.asked = self.asked or asked  # on Slurm, the check before the first job runs here
        return SimpleNamespace(update_parameters=asked.update, submit=self._submit)

    def _submit(self, function: Any, trial: Any, options: Any) -> Any:
        if function is refusal:
            self.checked.append((len(trial), options))
            return SimpleNamespace(done=lambda: True, result=lambda: self.refused)
        self.options.append(options)
        self.running += 1
        self.most = max(self.most, self.running)
        polled: list[bool] = []

        def done() -> bool:
            polled.append(True)
            self.running -= len(polled) == 2
            return len(polled) > 1

        def cancel(check: bool) -> None:
            self.cancelled += 1

        job = SimpleNamespace(done=done, cancel=cancel, result=lambda: self.outcome(trial))
        job.paths = SimpleNamespace(stderr=f"logs/{trial.master_seed}.err")
        return job


@pytest.fixture
def jobs(monkeypatch: pytest.MonkeyPatch) -> Submitit:
    found = Submitit()
    monkeypatch.setitem(sys.modules, "submitit", found)
    monkeypatch.setattr(sys.modules["idealab.explore.sweep"], "_POLL", 0.0)
    monkeypatch.setattr(registry, "ideas", lambda: {"toy": Summary("toy", "A toy.", ("idealized",))})
    monkeypatch.setenv("COLUMNS", "100")
    return found


@pytest.mark.parametrize(
    ("options", "most", "asked"),
    [
        ({}, 1, {"cluster": "local", "timeout_min": LONGEST}),
        ({"jobs": 2}, 2, {"cluster": "local", "timeout_min": LONGEST}),
        (
            {"slurm": {"partition": "gpu", "mem_gb": 8}},
            5,
            {"cluster": "slurm", "name": "idealab", "slurm_partition": "gpu", "mem_gb": 8},
        ),
        ({"slurm": {}, "jobs": 3}, 3, {"cluster": "slurm", "name": "idealab"}),
    ],
)
def test_so_many_jobs_at_once_as_are_asked_for(
    jobs: Submitit, tmp_path: Path, options: Any, most: int, asked: dict[str, Any]
) -> None:
    found = sweep(trials(("toy",), {}, range(5)), ledger=tmp_path, quick=True, **options)
    assert [trial.master_seed for trial in found] == [0, 1, 2, 3, 4]
    assert {trial.verdict for trial in found} == {"supported"}
    assert (jobs.most, jobs.asked) == (most, asked)
    assert jobs.options == [{"quick": True, "ledger": str(tmp_path)}] * 5
    assert jobs.checked == [(5, {"quick": True} | ({"device": "cpu"} if "slurm" in options else {}))]
    assert (tmp_path / "jobs").is_dir()


def ending(trial: Trial) -> dict[str, Any]:
    match trial.master_seed:
        case 1:
            raise RuntimeError("a long story\nJob was killed, out of memory\n")
        case 2:
            return {"error": "no setting named 'etta'; did you mean 'eta'?"}
        case 3:
            return {"error": "nothing to run", "matched": False}
        case _:
            return supported(trial)


@pytest.mark.parametrize(("seeds", "code"), [("0,5", 0), ("0,3", 5), ("0..3", 2), ("1", 2)])
def test_a_job_that_fails_says_where_its_log_is(
    jobs: Submitit, capsys: pytest.CaptureFixture[str], tmp_path: Path, seeds: str, code: int
) -> None:
    jobs.outcome = ending
    asked = ["sweep", "toy", "--set", "eta=0.5", "--master-seeds", seeds, "--ledger", str(tmp_path)]
    assert main(asked) == code
    shown = capsys.readouterr().out
    if seeds == "0..3":
        assert "toy eta=0.5 seed 1: the job failed: Job was killed, out of memory; log: logs/1.err" in shown
        assert "toy eta=0.5 seed 2: no setting named 'etta'; did you mean 'eta'?; log: logs/2.err" in shown
        assert shown.endswith("4 verifications: 1 supported, 3 failed.\n")


def test_what_verify_would_refuse_is_refused_before_the_first_job(
    jobs: Submitit, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    jobs.refused = "toy: no setting named 'nope'; known: factor"
    assert main(["sweep", "toy", "--set", "nope=1", "--ledger", str(tmp_path)]) == 2
    assert capsys.readouterr().err.splitlines() == ["error: toy: no setting named 'nope'; known: factor"]
    assert not jobs.options


@pytest.mark.parametrize(
    ("settings", "options", "words"),
    [
        ({"factor": (1.0, 1.3)}, {"quick": True, "precision": "float32"}, ""),
        ({"factor": (1.0, "abc")}, {}, "toy: factor='abc' must be a float, like 1.0"),
        ({"xyzzy": (1,)}, {}, "toy: no setting named 'xyzzy'; known: {known}"),
        ({}, {"select": ("nope",)}, "toy: no signature named 'nope'; known: "),
        ({}, {"device": "abacus"}, "toy: device='abacus' is not there; there are: cpu:0"),
        ({}, {"levels": ("network",)}, ""),  # leaves nothing to run, which the job says
    ],
)
def test_a_refusal_is_the_one_of_verify(
    toy: Any, monkeypatch: pytest.MonkeyPatch, settings: Any, options: dict[str, Any], words: str
) -> None:
    made = toy.experiment()
    monkeypatch.setattr(registry, "load", lambda name: toy.idea())
    monkeypatch.setattr(registry, "load_experiments", lambda name: (made,))
    free = [name for name, value in made.conditions[0].settings.items() if isinstance(value, float)]
    said = refusal(trials(("toy",), settings, (0, 1)), options)
    assert said.startswith(words.format(known=", ".join(sorted(free)))) if words else not said
    assert refusal([Trial("toy", master_seed=2**32), Trial("toy")], {}).startswith("toy: master_seed=4294967296 must")


def test_only_what_can_be_set_is_offered(toy: Any) -> None:
    experiment = toy.experiment()
    built = replace(experiment, conditions=tuple(c.but(c.label, rows=3) for c in experiment.conditions))
    with pytest.raises(UsageError, match="rows is how the experiment is built, not a knob; knobs: ") as refused:
        toy.verify(experiments=(built,), settings={"rows": 4}, record=False)
    knobs = str(refused.value).rpartition(": ")[2]
    with pytest.raises(UnknownNameError, match=f"no setting named 'xyzzy'; known: {knobs}$"):
        toy.verify(experiments=(built,), settings={"xyzzy": 4}, record=False)


def test_an_interrupted_sweep_cancels_its_jobs(
    jobs: Submitit, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    def interrupt(trial: Trial) -> dict[str, Any]:
        raise KeyboardInterrupt

    jobs.outcome = interrupt
    asked = ["sweep", "toy", "--master-seeds", "0..4", "--jobs", "3", "--ledger", str(tmp_path)]
    assert main(asked) == 130
    assert jobs.cancelled == 2
    assert "every finished block is in the ledger; run it again to go on" in capsys.readouterr().err


def test_without_submitit_the_command_that_installs_it_is_shown(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setitem(sys.modules, "submitit", None)
    with pytest.raises(UsageError, match=r"a sweep needs submitit .*: pip install 'idealab\[slurm\]'"):
        sweep(trials(("toy",), {}, (0,)), ledger=tmp_path)


def test_where_there_is_no_slurm_it_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UsageError, match='submitit cannot submit jobs as asked: Could not detect "srun"'):
        sweep(trials(("toy",), {}, (0,)), slurm={"partition": "gpu"}, ledger=tmp_path)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--set", "eta=1", "--set", "eta=2"], "--set gives eta twice"),
        (["--slurm", "time=1", "--slurm", "time=2"], "--slurm gives time twice"),
        (["--set", "eta=1,1"], "gives a value twice"),
        (
            ["--master-seeds", "0..200", "--set", "eta=" + ",".join(map(str, range(60)))],
            "these are 12060 verifications",
        ),
        (["--jobs", "0"], "--jobs"),
    ],
)
def test_bad_input_is_one_line(
    jobs: Submitit, capsys: pytest.CaptureFixture[str], arguments: list[str], words: str
) -> None:
    assert main(["sweep", "toy", *arguments]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert words in line
    assert not jobs.options


def test_the_table() -> None:
    found = [
        Trial("toy", {"eta": 0.1}, 0, "supported", 2.5, 38.2, 64, 0, "9ab41c77" + "0" * 56),
        Trial("other", {"eta": 0.2, "width": 8}, 3, error="the job failed: killed", log="/logs/7.err"),
    ]
    assert "\n".join(line.plain for line in drawn(found, 100)).splitlines() == [
        "idea   eta  width  master seed  verdict    evidence  seeds  time  record",
        "toy    0.1                   0  supported       2.5     64  38 s  9ab41c77",
        "other  0.2      8            3  failed",
        "",
        "other eta=0.2 width=8 seed 3: the job failed: killed; log: /logs/7.err",
        "",
        "2 verifications: 1 supported, 1 failed.",
    ]
    assert [row["idea"] for row in as_dict(found)["results"]] == ["toy", "other"]


@pytest.mark.slow
def test_a_sweep_on_this_machine_and_again_from_its_ledger(named_toy: dict[str, str]) -> None:
    def run() -> list[dict[str, Any]]:
        command = [sys.executable, "-m", "idealab", "sweep", "toy", "--set", "factor=1,1.3", "--jobs", "2", "--json"]
        done = subprocess.run(command, cwd=ROOT, env=named_toy, capture_output=True, text=True, timeout=200)
        assert done.returncode == 1, done.stderr
        return json.loads(done.stdout)["results"]

    first, again = run(), run()
    assert [(row["settings"], row["verdict"]) for row in first] == [
        ({"factor": 1.0}, "supported"),
        ({"factor": 1.3}, "refuted"),
    ]
    assert all(row["reused_seeds"] == 0 for row in first)
    for before, after in zip(first, again, strict=True):
        assert after["reused_seeds"] == after["seeds"] == before["seeds"]
        assert after["evidence_log10"] == before["evidence_log10"]
