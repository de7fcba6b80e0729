from __future__ import annotations

import xml.etree.ElementTree as ET
from dataclasses import replace

from idealab.report.junit import junit
from idealab.verification import Verification


def suites(*results: Verification) -> list[ET.Element]:
    return list(ET.fromstring(junit(results)))


def test_a_supported_idea_is_green_with_a_case_for_everything(supported: Verification) -> None:
    (suite,) = suites(supported)
    cases = len(supported.signatures) + len(supported.controls) + 1  # and the verdict
    assert (suite.get("tests"), suite.get("failures"), suite.get("errors")) == (str(cases), "0", "0")
    assert suite.get("time") == "38.200"
    names = [(case.get("classname"), case.get("name")) for case in suite.iter("testcase")]
    assert len(set(names)) == cases
    assert ("max_margin.digits", "loss clock") in names
    assert ("max_margin.planted.controls", "exponential tail") in names


def test_wrong_is_a_failure_undecided_an_error_secondary_is_skipped(troubled: Verification) -> None:
    clock, norm, entropy, *rest = troubled.signatures
    secondary = replace(norm, name="aside", primary=False)
    (suite,) = suites(replace(troubled, signatures=(clock, norm, entropy, secondary, *rest)))
    outcome = {case.get("name"): [child.tag for child in case] for case in suite.iter("testcase")}
    assert outcome["norm growth"] == ["failure"]
    assert outcome["entropy offset"] == ["error"]
    assert outcome["aside"] == ["skipped"]
    assert outcome["dual weights"] == []
    assert outcome["exponential tail"] == ["failure"]
    assert outcome["start"] == ["error"]
    assert outcome["verdict"] == ["failure"]
    assert "measured 1.31" in str(next(suite.iter("failure")).get("message"))


def test_an_idea_held_back_by_a_gate_alone_is_not_green(supported: Verification) -> None:
    (suite,) = suites(replace(supported, verdict="inconclusive", gates=("a rival stands",)))
    (error,) = suite.iter("error")
    assert error.get("message") == "inconclusive; a rival stands"


def test_two_ideas_are_two_suites_and_characters_that_xml_lacks_are_replaced(supported: Verification) -> None:
    first, second = suites(supported, replace(supported, idea="b\x00<d>"))
    assert (first.get("name"), second.get("name")) == ("max_margin", "b�<d>")
