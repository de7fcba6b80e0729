"""The declaration lock: what was declared is what runs, or nothing runs."""

from __future__ import annotations

import hashlib
from dataclasses import replace

import numpy as np
import pytest
import rfc8785

from idealab.errors import DeclarationChangedError, UsageError
from idealab.ledger.records import BATCH, DECLARATION, VERIFICATION
from idealab.ledger.store import Ledger
from idealab.prepare.declare import declare
from idealab.review.retries import runs_before

UNKNOWN = "0123456789abcdef" * 4


@pytest.fixture
def declared(toy):
    """Declares the toy with these options."""

    def write(defect="", theory=None, **options):
        options.setdefault("experiments", (toy.experiment(defect),))
        return declare(theory or toy.idea(), ledger=toy.ledger, **options)

    return write


@pytest.fixture
def nothing_runs(toy):
    toy.traced.append(lambda condition: pytest.fail("simulated"))


def test_declaring_writes_what_verifying_would_and_runs_nothing(toy, declared, nothing_runs):
    watcher = toy.watcher()
    sha = declared(experiments=(toy.experiment(observe=toy.observer()),), progress=watcher)
    ledger = Ledger(toy.ledger)
    assert ledger.find() == ledger.find(schema=DECLARATION) == [sha]
    assert watcher.all("declared") == [sha]


@pytest.mark.parametrize("digits", [64, 16])
def test_what_was_declared_runs(toy, declared, digits):
    sha = declared()
    found = toy.verify(declared=sha[:digits].upper())
    assert (found.declaration, found.verdict) == (sha, "supported")


def test_only_the_hash_need_be_known(toy, declared, tmp_path):
    sha = declared()
    assert toy.verify(declared=sha, ledger=tmp_path / "elsewhere").declaration == sha
    assert toy.verify(declared=sha, record=False, ledger=tmp_path / "nowhere").declaration == sha


CHANGES = {
    "a tolerance": ({"theory": (1, 0.11)}, 'criterion.rtol.text: "0.100000000000000" became "0.110000000000000"'),
    "a constant": ({"theory": (2, 0.1)}, 'signatures.height.prediction.text: "a*t**2 + b" became "2*a*t**2 + 2*b"'),
    "a cap": ({"seeds": 16}, "experiments.bench.max_seeds: 32 became 16"),
    "a knob": ({"settings": {"t": 3.0}}, "experiments.bench.conditions.a=1, t=3, noise=0.02, power=2, flat=0, "),
    "what is judged": ({"select": ["height"]}, "signatures.curve is gone"),
    "a condition": ({"knob": (1.0, 2.0, 3.0)}, "experiments.bench.conditions.a=3 is new"),
    "a control": ({"toggles": {}}, "experiments.bench.toggles.peaked_noise is gone"),
}


@pytest.mark.parametrize("what", CHANGES)
def test_a_change_is_refused_and_shown_before_anything_runs(toy, declared, nothing_runs, what):
    change, shown = CHANGES[what]
    sha = declared(seeds=32)
    options = {"seeds": 32, **change}
    theory = toy.idea(*options.pop("theory", ()))
    made = toy.experiment(**{name: options.pop(name) for name in ("knob", "toggles") if name in options})
    with pytest.raises(DeclarationChangedError, match=f"what was declared as {sha[:16]} is not what would be run") as e:
        toy.verify(theory=theory, experiments=(made,), declared=sha, **options)
    assert [line for line in e.value.differences if shown in line], e.value.differences
    assert "\n" not in str(e.value)
    assert len(str(e.value)) < 600
    assert Ledger(toy.ledger).find() == [sha], "nothing else was declared"


def test_every_change_is_a_difference_that_is_shown(toy, declared):
    """Data and sources are declared by their hashes: they differ too."""

    def loaded(value):
        condition = replace(toy.sweep, label="a=1", data=lambda: np.array([value]))
        return (toy.experiment(conditions=(condition,), toggles={}),)

    sha = declared(experiments=loaded(1.0))
    with pytest.raises(DeclarationChangedError, match=r"conditions\.a=1\.data: "):
        toy.verify(experiments=loaded(1.0 + 1e-15), declared=sha)


def test_of_an_unknown_declaration_it_is_said_that_nothing_can_be_shown(toy, declared, nothing_runs):
    declared()
    with pytest.raises(DeclarationChangedError, match=r"cannot be shown: no record begins with '0123456789abcdef"):
        toy.verify(declared=UNKNOWN)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "is not the hash of a declaration"),
        ("max_margin", "is not the hash of a declaration"),
        (UNKNOWN + "0", "is not the hash of a declaration"),
        (UNKNOWN[:15], "has 15 digits, and fewer than 16 do not bind"),
    ],
)
def test_what_does_not_bind_is_refused(toy, nothing_runs, text, complaint):
    with pytest.raises(UsageError, match=complaint):
        toy.verify(declared=text)


def test_the_hash_of_another_record_is_refused_with_the_right_one(toy):
    first = toy.verify(seeds=8)
    with pytest.raises(UsageError, match=f"is no declaration; its own is {first.declaration}"):
        toy.verify(seeds=8, declared=first.record)
    with pytest.raises(UsageError, match="declares the idea 'toy', not 'another'"):
        toy.verify(theory=replace(toy.idea(), name="another"), seeds=8, declared=first.declaration)


def test_the_record_keeps_how_often_it_was_run_before(toy):
    first = toy.verify(seeds=8)
    assert first.earlier == ()
    second, third = toy.verify(seeds=8, master_seed=1), toy.verify(seeds=8, master_seed=1)
    assert [str(one) for one in second.earlier] == [
        f"run with master seed 0: {first.verdict} (record {first.record[:8]})"
    ]
    assert [(one.master_seed, one.finished, one.record) for one in third.earlier] == [
        (0, 1, first.record),
        (1, 1, second.record),
    ]
    kept = Ledger(toy.ledger).get(third.record)["result"]["earlier"]
    assert [(one["master_seed"], one["finished"]) for one in kept] == [(0, 1), (1, 1)]
    assert toy.verify(seeds=16).earlier == (), "another declaration"


def test_a_run_that_was_given_up_is_counted_and_one_that_goes_on_is_not(toy):
    for seed in (0, 5):
        with pytest.raises(KeyboardInterrupt):
            toy.verify(seeds=8, master_seed=seed, progress=toy.watcher(2))
    assert len(Ledger(toy.ledger).find(schema=BATCH)) >= 4
    found = toy.verify(seeds=8)
    assert [str(one) for one in found.earlier] == ["begun with master seed 5, never finished"]


def test_what_says_other_things_is_passed_over(toy):
    found = toy.verify(seeds=8)
    ledger = Ledger(toy.ledger)
    record = ledger.get(found.record)
    for result in ({}, {"environment": 3}, {"environment": {"master_seed": "many"}, "verdict": ""}):
        said = rfc8785.dumps({**record, "result": result})
        name = hashlib.sha256(said).hexdigest()
        file = ledger.path / "objects" / name[:2] / f"{name}.json"
        file.parent.mkdir(exist_ok=True)
        file.write_bytes(said)
    assert len(ledger.find(schema=VERIFICATION)) == 1
    assert len(ledger.warnings) == 3
    assert [(one.master_seed, one.finished) for one in runs_before(ledger, found.declaration)] == [(0, 1)]
