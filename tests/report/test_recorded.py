from __future__ import annotations

from dataclasses import replace

import pytest

from idealab.errors import LedgerError
from idealab.ledger import BATCH
from idealab.report.recorded import verification


def test_what_was_recorded_is_read_back(whole, recorded):
    sha, document = recorded(whole)
    found = verification(sha, document)
    order = ("survived", "unseen", "unresolvable", "killed", "undefined")
    kept = tuple(
        replace(mutant, formula="") if status in ("killed", "undefined") else mutant
        for status in order
        for mutant in whole.mutants.having(status)
    )
    assert found == replace(whole, record=sha, mutants=replace(whole.mutants, mutants=kept))


def test_troubles_too_with_what_is_not_a_number(troubled, recorded):
    found = verification(*recorded(troubled))
    assert repr(found) == repr(replace(troubled, record=found.record))


def test_a_record_of_before_seeds_were_kept_is_read(whole, recorded):
    sha, document = recorded(whole)
    for signature in document["result"]["signatures"]:
        del signature["curves"]
        for cell in signature["cells"]:
            del cell["seed_deviations"]
    del document["result"]["mutants"]["refuted"]
    found = verification(sha, document)
    assert found.signatures[0].cells[0].seed_deviations == ()
    assert found.mutants is not None
    assert len(found.mutants.having("killed")) == len(whole.mutants.having("killed"))
    named = {mutant.status for mutant in found.mutants.mutants if mutant.signature}
    assert named == {"survived", "unseen", "unresolvable"}


def _set(document, path, value):
    *above, last = path
    for name in above:
        document = document[name]
    document[last] = value


@pytest.mark.parametrize(
    ("path", "value", "complaint"),
    [
        (("schema",), BATCH, "is no verification"),
        (("result", "verdict"), "wonderful", r"verdict is 'wonderful', but .* 'supported' or"),
        (("result", "idea"), 3, "idea is 3, but .* type str"),
        (("result", "evidence_log10"), "high", "evidence_log10 is 'high'"),
        (("result", "signatures"), {}, r"signatures is {}, but .* a list"),
        (("result", "signatures", 0), None, r"signatures\[0\] is None"),
        (("result", "signatures", 0, "cells"), [], "no cells for the signature 'loss clock'"),
        (("result", "signatures", 0, "primary"), 1, "primary is 1, but .* type bool"),
        (("result", "signatures", 0, "cells", 0, "seeds"), True, "seeds is True"),
        (("result", "signatures", 4, "curves", 0, "points", 0), [1.0], r"points\[0\] is \[1.0\], but .* 3 items"),
        (("result", "controls", 0, "seen"), "x" * 99, r"seen is 'x+\.\.\., but"),
        (("result", "mutants"), [], "mutants is"),
        (("result", "mutants", "survivors", 0, "distance"), None, "distance is None"),
        (("result", "cost"), 3, "cost is 3"),
        (("result", "environment"), "here", "environment is 'here'"),
    ],
)  # fmt: skip
def test_what_is_no_verification_is_refused_in_one_line(whole, recorded, path, value, complaint):
    sha, document = recorded(whole)
    _set(document, path, value)
    with pytest.raises(LedgerError, match=complaint) as refused:
        verification(sha, document)
    assert "\n" not in str(refused.value)


def test_a_field_that_is_missing_is_named(whole, recorded):
    sha, document = recorded(whole)
    del document["result"]["signatures"][1]["formula"]
    with pytest.raises(LedgerError, match=r"signatures\[1\] lacks the field 'formula'"):
        verification(sha, document)
