"""The mark of the pytest plugin: what a test is marked with is verified wherever the test goes, and once."""

from __future__ import annotations

import importlib
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.test_pytest_plugin import ARGUMENTS, outcome, verified

pytest_plugins = ["pytester"]

MARKED = """
import pytest

@pytest.mark.idealab("toy", expect={"curve": "absent"}, declared="DECLARED")
def test_sound(verification):
    assert (verification.idea, verification.verdict) == ("toy", "supported")

@pytest.mark.idealab("toy", seeds=16, settings={"factor": 1.15}, select=("height",))
@pytest.mark.parametrize("sign", [1, -1])
def test_wrong(verification, sign):
    assert sign * verification.evidence_log10 < 0

@pytest.mark.idealab("toy", quick=True, verdict="refuted")
class TestWhole:
    def test_alone(self):
        pass

def test_other():
    pass
"""


def test_what_a_test_is_marked_with_is_verified_before_it(tmp_path: Path, named_toy: dict[str, str]) -> None:
    command = [sys.executable, "-m", "idealab", "declare", "toy", "--ledger", "kept"]
    said = subprocess.run(command, cwd=tmp_path, env=named_toy, capture_output=True, text=True, check=True).stdout
    (declared,) = re.findall(r"\b[0-9a-f]{64}\b", said)
    (tmp_path / "test_paper.py").write_text(MARKED.replace("DECLARED", declared))
    screen, report = verified(tmp_path, named_toy, "--idealab-ledger", "kept", "-W", "error", "--strict-markers")
    cases = {f"{case.get('classname')} {case.get('name')}": case for case in report.iter("testcase")}
    seen = {name.removeprefix("test_paper"): outcome(case).split(":")[0] for name, case in cases.items()}
    # pytest's report takes all from the first bracket for a parameter, and some versions close it once more.
    seen = {name.replace("verdict]", "verdict"): became for name, became in seen.items()}
    assert seen == {
        ".test_sound declaration": "passed",
        ".test_sound height[bench]": "passed",
        ".test_sound curve[bench]": "failure",
        ".test_sound energies[bench]": "passed",
        ".test_sound verdict": "passed",
        " test_sound": "passed",
        " test_wrong[1]::height[bench]": "failure",
        " test_wrong[1]::verdict": "failure",
        " test_wrong[1]": "passed",
        " test_wrong[-1]": "failure",
        ".TestWhole.test_alone height[bench]": "passed",
        ".TestWhole.test_alone curve[bench]": "passed",
        ".TestWhole.test_alone energies[bench]": "passed",
        ".TestWhole.test_alone verdict": "failure",
        ".TestWhole test_alone": "passed",
        " test_other": "passed",
    }, screen
    assert "expected absent, but present" in screen
    facts = {p.get("name"): p.get("value") for p in cases["test_paper.test_sound verdict"].iter("property")}
    assert facts["declaration"] == declared
    records = {p.get("value") for case in cases.values() for p in case.iter("property") if p.get("name") == "record"}
    assert len(records) == 3, "each claim is verified once"


@pytest.mark.parametrize(
    ("mark", "line"),
    [
        ('("max_margn")', "test_paper.py: [test_it] no idea named 'max_margn'; did you mean 'max_margin'?"),
        ('("max_margin", seeds="many")', "test_paper.py: [test_it] seeds = 'many' must be a whole number"),
        (
            '("max_margin", verdit="refuted")',
            "test_paper.py: [test_it] no field named 'verdit'; did you mean 'verdict'?",
        ),
        ('("max_margin", "supported")', "[test_it] @pytest.mark.idealab('max_margin', 'supported'): expected one idea"),
        (".skipped", "[test_it] @pytest.mark.idealab(): expected one idea by its name, then fields"),
    ],
)
def test_a_mark_that_is_wrong_hides_no_other_test(pytester, mark: str, line: str) -> None:
    mark = "" if mark == ".skipped" else mark
    pytester.makepyfile(
        test_paper=f"import pytest\n@pytest.mark.idealab{mark}\ndef test_it(): pass\ndef test_other(): pass\n"
    )
    result = pytester.runpytest_inprocess(*ARGUMENTS, "--continue-on-collection-errors", "-q")
    result.assert_outcomes(passed=2, errors=1)
    screen = result.stdout.str()
    assert [shown for shown in screen.splitlines() if shown.startswith(line) or line in shown]
    assert "Traceback" not in screen


FALSE = 'pytest.mark.idealab("toy", seeds=16, settings={"factor": 1.15}, select=["height"])'
TRUE = 'pytest.mark.idealab("toy", seeds=16, select=["height"])'
WHOLE = f"""
    import pytest
    @{FALSE}
    class TestWhole:
        def test_a(self): pass
        def test_b(self): pass
        def test_c(self, verification): pass
    def test_other(): pass
"""


@pytest.fixture
def ran(pytester: pytest.Pytester, toy, monkeypatch):
    """Runs a test file in this process; its outcomes (failed, passed and so on), screen, and count of verifications."""
    from idealab import registry

    module = importlib.import_module("idealab.verify")
    count: list[str] = []
    verify = module.verify

    def counted(idea, **asked):
        count.append(idea)
        return verify(idea, **asked)

    monkeypatch.setattr(registry, "load", lambda name: toy.idea())
    monkeypatch.setattr(registry, "load_experiments", lambda name: (toy.experiment(),))
    monkeypatch.setattr(module, "verify", counted)

    def run(source: str, *arguments: str) -> tuple[dict[str, int], str, int]:
        count.clear()
        pytester.makepyfile(test_paper=source.replace("FALSE", FALSE).replace("TRUE", TRUE))
        result = pytester.runpytest_inprocess(*ARGUMENTS, "-rA", "-W", "error", *arguments)
        return result.parseoutcomes(), result.stdout.str(), len(count)

    return run


@pytest.mark.parametrize(
    ("arguments", "outcomes", "verifications"),
    [
        ((), {"failed": 2, "passed": 4, "deselected": 4}, 1),
        (("-m", "idealab"), {"failed": 2, "passed": 3, "deselected": 5}, 1),
        (("-m", "not idealab"), {"passed": 1, "deselected": 9}, 0),
        (("-k", "test_b"), {"failed": 2, "passed": 1, "deselected": 7}, 1),
        (("test_paper.py::TestWhole::test_b",), {"failed": 2, "passed": 1}, 1),
        (("test_paper.py::TestWhole::test_b::verdict",), {"failed": 1}, 1),
    ],
)
def test_whatever_selects_a_test_selects_its_claim_once(ran, arguments, outcomes, verifications) -> None:
    seen, screen, count = ran(WHOLE, *arguments)
    assert (seen, count) == (outcomes, verifications), screen


@pytest.mark.parametrize(
    ("mark", "outcomes", "verifications"),
    [
        ("idealab", {"failed": 2, "passed": 1, "deselected": 1}, 1),
        ("not idealab", {"passed": 1, "deselected": 3}, 0),
    ],
)
def test_the_claim_of_a_function_carries_its_mark(ran, mark, outcomes, verifications) -> None:
    source = "import pytest\n@FALSE\ndef test_it(): pass\ndef test_other(): pass\n"
    seen, screen, count = ran(source, "-m", mark)
    assert (seen, count) == (outcomes, verifications), screen


def test_equal_claims_of_several_tests_are_verified_once(ran) -> None:
    source = "import pytest\n@TRUE\ndef test_a(): pass\n@TRUE\ndef test_b(): pass\n"
    seen, screen, count = ran(source)
    assert (seen, count) == ({"passed": 6}, 1), screen


def test_each_parameter_has_the_claim_of_its_own_mark(ran) -> None:
    source = """
    import pytest
    @pytest.mark.parametrize("sign", [0, pytest.param(1, marks=TRUE), pytest.param(-1, marks=FALSE)])
    def test_it(sign, request):
        if sign:
            assert sign * request.getfixturevalue("verification").evidence_log10 > 0
    """
    seen, screen, count = ran(source)
    assert (seen, count) == ({"passed": 5, "failed": 2}, 2), screen
    assert "FAILED test_paper.py::test_it[-1]::verdict" in screen
    assert ran(source, "test_paper.py::test_it[-1]")[0] == {"passed": 1, "failed": 2}


def test_a_method_of_a_unittest_case_has_its_claim(ran) -> None:
    source = """
    import pytest, unittest
    class TestOld(unittest.TestCase):
        @FALSE
        def test_it(self): pass
    """
    seen, screen, count = ran(source)
    assert (seen, count) == ({"failed": 2, "passed": 1}, 1), screen


@pytest.mark.parametrize(
    "source",
    [
        "@TRUE\n@FALSE\ndef test_it(): pass\n",
        "@TRUE\nclass TestIt:\n    @FALSE\n    def test_it(self): pass\n",
    ],
)
def test_two_marks_on_a_test_are_refused_in_one_line(ran, source: str) -> None:
    seen, screen, count = ran(f"import pytest\n{source}def test_other(): pass\n", "--continue-on-collection-errors")
    assert (seen, count) == ({"passed": 2, "errors": 1}, 0), screen
    line = "test_paper.py: [test_it] has 2 idealab marks, its class's included; a test makes one claim"
    assert screen.splitlines().count(line) == 1


def test_a_mark_that_comes_too_late_to_be_verified_fails(ran, pytester) -> None:
    pytester.makeconftest(
        "import pytest\ndef pytest_collection_modifyitems(items): items[0].add_marker(pytest.mark.idealab('toy'))\n"
    )
    seen, screen, count = ran("def test_it(): pass\ndef test_other(): pass\n")
    assert (seen, count) == ({"passed": 1, "errors": 1}, 0), screen
    assert "test_it was marked with idealab after it was collected: its claim is unchecked" in screen.splitlines()


@pytest.mark.parametrize(
    ("mark", "outcomes", "verifications"),
    [
        ("skip", {"skipped": 3}, 0),
        ('skipif(True, reason="so")', {"skipped": 3}, 0),
        ("xfail", {"xfailed": 2, "xpassed": 1}, 1),
        ("xfail(run=False)", {"xfailed": 3}, 0),
    ],
)
def test_what_skips_a_test_or_expects_it_to_fail_does_so_to_its_claim(ran, mark, outcomes, verifications) -> None:
    seen, screen, count = ran(f"import pytest\n@FALSE\n@pytest.mark.{mark}\ndef test_it(): pass\n")
    assert (seen, count) == (outcomes, verifications), screen


def test_a_skipped_parameter_does_not_skip_the_claim_of_the_others(ran) -> None:
    source = """
    import pytest
    @FALSE
    @pytest.mark.parametrize("sign", [pytest.param(1, marks=pytest.mark.skip), -1])
    def test_it(sign): pass
    """
    seen, screen, count = ran(source)
    assert (seen, count) == ({"skipped": 3, "failed": 2, "passed": 1}, 1), screen


def test_the_fixture_of_an_unmarked_test_says_what_to_do(pytester) -> None:
    pytester.makepyfile("def test_it(verification): pass")
    result = pytester.runpytest_inprocess(*ARGUMENTS, "-q")
    result.assert_outcomes(errors=1)
    assert 'add @pytest.mark.idealab("an idea") to the test' in result.stdout.str()
