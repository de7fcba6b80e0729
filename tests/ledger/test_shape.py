"""A record that is not of the shape that it must have is refused where it is read, in one line."""

from __future__ import annotations

import copy
import json
import math
from types import SimpleNamespace

import pytest

from idealab.errors import LedgerError
from idealab.ledger import Ledger, canonical, decode, digest, records
from tests.ledger.conftest import batch, declaration, member, refused, result, verification

TOP = digest(declaration())


def changed(path, value):
    """A verification with another value in one place of its result."""
    found = copy.deepcopy(result(TOP))
    *above, last = path
    inner = found
    for name in above:
        inner = inner[name]
    inner[last] = value
    return verification([TOP], result=found)


CELL = ("signatures", 0, "cells", 0)
WRONG = [
    ((*CELL, "seeds"), math.inf, "seeds is inf, but a record has a value of type int"),
    ((*CELL, "seeds"), -1, "seeds in c is -1"),
    ((*CELL, "predicted"), "1", "predicted is '1'"),
    ((*CELL, "predicted"), None, "predicted is None"),
    ((*CELL, "seed_deviations"), [1.0, "2"], r"seed_deviations\[1\] is '2'"),
    (("signatures",), [], "number of signatures"),
    (("signatures", 0, "cells"), [], "height in e: number of cells"),
    (("environment", "master_seed"), math.inf, r"master_seed is inf, but a record has a whole number"),
    (("environment", "master_seed"), [1], r"master_seed is \[1\]"),
    (("environment", "devices"), "1000 TPU", "devices is '1000 TPU'"),
    (("environment", "precision"), "<b>", "precision is '<b>'"),
    (("environment",), 3, "environment is 3"),
    (("cost", "seconds"), math.nan, "seconds is nan"),
    (("cost", "seeds"), True, "seeds is True"),
    (("verdict",), ["supported"], "verdict is"),
    (("mutants",), 3, "mutants is 3"),
    (("idea",), "another", r"declaration\) is \('another', "),
    (("declaration",), "ab" * 32, r"declaration\) is \('toy', 'abab"),
]


@pytest.mark.parametrize(("path", "value", "words"), WRONG, ids=[f"{p[-1]}={v!r}" for p, v, _ in WRONG])
def test_a_malformed_result_is_refused_in_one_line(path, value, words):
    with pytest.raises(LedgerError, match=words) as error:
        decode(canonical(changed(path, value)))
    assert "\n" not in str(error.value)


def test_a_result_that_is_empty_or_lacks_a_field_is_refused():
    with pytest.raises(LedgerError, match="result lacks the field"):
        decode(canonical(verification([TOP], result={})))
    found = result(TOP)
    del found["cost"]
    with pytest.raises(LedgerError, match="result lacks the field 'cost'"):
        decode(canonical(verification([TOP], result=found)))


@pytest.mark.parametrize("name", ["", "../..\x00", "a/b", "a\\b", "x" * 101, "a\nb", "\x1b[2J"])
def test_what_cannot_be_the_name_of_an_idea_is_refused(name, other, packed):
    for record in (declaration(idea=name), batch(TOP, idea=name), verification([TOP], idea=name)):
        with pytest.raises(LedgerError, match="but a record has a name of 1 to 100 characters"):
            decode(canonical(record))
    refused(other, packed([member(declaration(idea=name))]), "a name of 1 to 100 characters")


def test_a_malformed_record_is_skipped_with_a_warning_wherever_it_lies(ledger):
    bad = canonical(changed((*CELL, "seeds"), math.inf))
    name, data = member(bad)
    (ledger.path / name).parent.mkdir(exist_ok=True)
    (ledger.path / name).write_bytes(data)
    fresh = Ledger(ledger.path)
    assert len(fresh.find(schema=records.VERIFICATION)) == 1
    assert ["seeds is inf" in line for line in fresh.warnings] == [True]
    assert ["seeds is inf" in line for line in fresh.health().damaged] == [True]


def test_a_bomb_of_small_values_is_refused_before_it_is_parsed(other, packed, monkeypatch):
    monkeypatch.setattr(records, "MOST_VALUES", 1000)
    parsed = []
    monkeypatch.setattr(records, "json", SimpleNamespace(dumps=json.dumps, loads=parsed.append))
    for filling in (b"[],", b"{},", b"0,", b'{"a":[0]},'):
        data = b'{"content":{"a":[' + filling * 1000 + b'0]},"idea":"x","schema":"idealab/declaration/1"}'
        refused(other, packed([member(data)]), "a record may hold 1000 values, this one has more")
    assert not parsed


def test_a_file_that_unpacks_to_far_more_than_it_holds_is_refused(other, packed):
    """Sixty megabytes of nothing in sixty kilobytes."""
    name, data = member(b'{"content":{"a":"' + b" " * (20 * 2**20) + b'"},"idea":"x","schema":"idealab/declaration/1"}')
    refused(other, packed([(name, data)]), "unpacks to 100 times its size and more, as a zip bomb does")
