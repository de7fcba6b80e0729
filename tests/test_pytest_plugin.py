"""The pytest plugin: what it makes of a claims.toml, and that nobody else notices it."""

from __future__ import annotations

import importlib
import os
import re
import subprocess
import sys
import tomllib
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

pytest_plugins = ["pytester"]

ROOT = Path(__file__).parents[1]
HEAD = 'schema = "idealab/claims/1"\n'
# Without those that happen to be installed: idealab's may be among them or not, and others take seconds to load.
ARGUMENTS = ("--disable-plugin-autoload", "-p", "idealab.pytest_plugin", "-p", "no:cacheprovider")

CLAIMS = """
[sound]
idea = "toy"

[off]
idea = "toy"
seeds = 16
settings = { factor = 1.15 }
verdict = "refuted"
expect = { "height[bench]" = "absent" }

[wrong]
idea = "toy"
seeds = 16
settings = { factor = 1.15 }
select = ["height"]
"""


def verified(folder: Path, environment: dict[str, str], *arguments: str) -> tuple[str, ET.Element]:
    """Run pytest over a folder in another process; its screen, and its JUnit report."""
    report = folder / "report.xml"
    command = [sys.executable, "-m", "pytest", *ARGUMENTS, "-ra", f"--junit-xml={report}", *arguments]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    return done.stdout + done.stderr, ET.parse(report).getroot()


def outcome(case: ET.Element) -> str:
    """What became of a JUnit case, with its message."""
    told = [element for element in case if element.tag in ("failure", "error", "skipped")]
    return f"{told[0].tag}: {told[0].get('message')}" if told else "passed"


def test_each_signature_of_a_claim_is_a_case_of_its_own(tmp_path: Path, named_toy: dict[str, str]) -> None:
    (tmp_path / "claims.toml").write_text(HEAD + CLAIMS)
    (tmp_path / "test_other.py").write_text("def test_other(): pass\n")
    screen, report = verified(tmp_path, named_toy, "--idealab-ledger", "kept", "-W", "error")
    cases = {f"{case.get('classname')} {case.get('name')}": case for case in report.iter("testcase")}
    seen = {name: outcome(case) for name, case in cases.items()}
    wrong = seen["claims.toml.wrong height[bench]"], seen["claims.toml.wrong verdict"]
    assert seen == {
        "claims.toml.sound height[bench]": "passed",
        "claims.toml.sound curve[bench]": "passed",
        "claims.toml.sound energies[bench]": "passed",
        "claims.toml.sound verdict": "passed",
        "claims.toml.off height[bench]": "passed",
        "claims.toml.off curve[bench]": "passed",
        "claims.toml.off energies[bench]": "passed",
        "claims.toml.off verdict": "passed",
        "claims.toml.wrong height[bench]": wrong[0],
        "claims.toml.wrong verdict": wrong[1],
        "test_other test_other": "passed",
    }, screen
    assert seen["claims.toml.wrong height[bench]"].startswith(
        "failure: Failed: height[bench]: expected present, but absent: pre"
    )
    assert seen["claims.toml.wrong verdict"].startswith("failure: Failed: toy: expected supported, but refuted")
    assert "Traceback" not in screen
    assert "2 failed, 9 passed" in screen
    facts = {p.get("name"): p.get("value") for p in cases["claims.toml.sound height[bench]"].iter("property")}
    assert facts["idea"] == "toy"
    assert (tmp_path / "kept" / "objects" / (facts["record"] or "")[:2] / f"{facts['record']}.json").is_file()
    assert {"declaration", "verdict", "evidence_log10", "seeds", "formula", "tolerance"} <= set(facts)
    records = {p.get("value") for case in cases.values() for p in case.iter("property") if p.get("name") == "record"}
    assert len(records) == 3, "each claim is verified once"


@pytest.fixture
def collected(pytester: pytest.Pytester):
    """Collects a claims.toml of this content in this process, and returns the screen."""

    def collect(text: str | bytes, *arguments: str) -> str:
        file = pytester.path / "claims.toml"
        file.write_bytes(text if isinstance(text, bytes) else text.encode())
        screen = pytester.runpytest_inprocess(*ARGUMENTS, "--collect-only", "-q", *arguments).stdout.str()
        assert "Traceback" not in screen
        return screen

    return collect


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (HEAD + "[a\n", "claims.toml is not TOML: "),
        (HEAD + "[a]\nseeds = 'many'\n[b]\n", "claims.toml: [a] seeds = 'many' must be a whole number"),
        (HEAD + "[max_margn]\n", "claims.toml: [max_margn] no idea named 'max_margn'; did you mean 'max_margin'?"),
    ],
)
def test_a_fault_is_one_clear_line_below_its_heading(collected, text: str, line: str) -> None:
    screen = collected(text).splitlines()
    (told,) = [shown for shown in screen if line in shown]
    assert screen[screen.index(told) - 1].startswith("___")
    assert screen[screen.index(told) + 1].startswith("===")


@pytest.mark.parametrize(
    ("field", "line"),
    [
        ("seeds = 2", "[a] seeds=2 is too few"),
        ("select = ['hight']", "[a] no signature named 'hight'; did you mean 'height'?"),
        ("levels = ['real']", "[a] no level named 'real'; did you mean 'real data'?"),
        ("settings = { b = 1.0 }", "[a] no setting named 'b'"),
        ("expect = { hight = 'absent' }", "[a] no signature to expect named 'hight'; did you mean 'height'?"),
        ("expect = { 'height[bank]' = 'absent' }", "did you mean 'height[bench]'?"),
    ],
)
def test_a_claim_that_cannot_be_asked_is_said_before_anything_runs(collected, toy, monkeypatch, field, line) -> None:
    from idealab import registry

    monkeypatch.setattr(registry, "load", lambda name: toy.idea())
    monkeypatch.setattr(registry, "load_experiments", lambda name: (toy.experiment(),))
    assert line in collected(f'{HEAD}[a]\nidea = "toy"\n{field}\n')


def test_a_changed_declaration_is_said_once_and_every_item_fails(pytester, toy, monkeypatch) -> None:
    from idealab import declare, registry

    monkeypatch.setattr(registry, "load", lambda name: toy.idea(tolerance=0.2))
    monkeypatch.setattr(registry, "load_experiments", lambda name: (toy.experiment(),))
    declared = declare(toy.idea(), experiments=[toy.experiment()], ledger=toy.ledger)
    (pytester.path / "claims.toml").write_text(f'{HEAD}[a]\nidea = "toy"\ndeclared = "{declared}"\n')
    result = pytester.runpytest_inprocess(*ARGUMENTS, "--idealab-ledger", str(toy.ledger))
    result.assert_outcomes(failed=5)
    screen = result.stdout.str().splitlines()
    (told,) = [
        line for line in screen if line.startswith(f"[a] what was declared as {declared[:16]} is not what would")
    ]
    assert "rtol" in told
    assert screen[screen.index(told) - 1].startswith("___")
    assert screen.count("[a] not judged: see the first item of [a]") == 4


@pytest.mark.parametrize("schema", ["insurance/policies/2", "acme/claims/1", "clinical/claims/2"])
def test_a_file_that_says_it_is_for_another_is_left_alone_unless_it_is_named(collected, schema: str) -> None:
    theirs = f'schema = "{schema}"\n[insurance]\npaid = true\n'
    assert "no tests collected" in collected(theirs)
    assert "expected schema = 'idealab/claims/1'" in collected(theirs, "claims.toml")


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("# of idealab, nothing yet\n", "claims.toml begins with schema=None; expected"),
        ('[clock]\nidea = "max_margin"\n', "claims.toml begins with schema=None; expected"),
        ('schema = "claims/1"\n[max_margin]\n', "begins with schema='claims/1'; expected"),
        ('schema = "idaelab/claim/1"\n[max_margin]\n', "begins with schema='idaelab/claim/1'; expected"),
        ('schema = "IdeaLab"\n[max_margin]\n', "begins with schema='IdeaLab'; expected"),
        (HEAD + '[clock]\nidea = "max_mar', "claims.toml is not TOML: "),
        (HEAD.encode() + b"\x00\xff\xfe\x01" * 9, "claims.toml is not TOML: "),
    ],
)
def test_what_may_be_meant_for_idealab_fails_beside_tests_that_pass(pytester, text: str | bytes, line: str) -> None:
    pytester.makepyfile(test_other="def test_other(): pass\n")
    (pytester.path / "claims.toml").write_bytes(text if isinstance(text, bytes) else text.encode())
    result = pytester.runpytest_inprocess(*ARGUMENTS, "-q")
    assert result.ret != 0
    told = [shown for shown in result.stdout.str().splitlines() if line in shown]
    assert len(told) == 1
    assert "Traceback" not in result.stdout.str()


NOBODYS = ["", "# nothing yet\n", "[policy]\n", 'schema = ""\n', "schema = 1\n", 'schema = "pol', b"\x00\xff"]


@pytest.mark.parametrize("text", NOBODYS, ids=str)
def test_what_nothing_says_is_ours_is_left_alone_and_told_of_unless_it_was_asked_for(pytester, text) -> None:
    """A repository that has nothing to do with idealab, where somebody has it installed."""
    pytester.makepyfile(test_other="def test_other(): pass\n")
    (pytester.path / "claims.toml").write_bytes(text if isinstance(text, bytes) else text.encode())
    result = pytester.runpytest_inprocess(*ARGUMENTS, "-q", "-W", "error")
    assert result.ret == 0
    result.assert_outcomes(passed=1)
    assert result.stdout.str().count('claims.toml says no schema = "idealab/claims/1", and so idealab left it') == 1
    for asked in (["claims.toml"], ["--idealab-ledger", "kept"]):
        assert pytester.runpytest_inprocess(*ARGUMENTS, "-q", *asked).ret != 0


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


def test_the_schema_is_that_of_the_claims() -> None:
    from idealab import claims, pytest_plugin

    assert pytest_plugin.SCHEMA == claims.SCHEMA


def test_those_who_have_no_claims_pay_next_to_nothing(tmp_path: Path) -> None:
    # As a plugin found by its entry point would be: imported when pytest starts.
    (tmp_path / "claims.toml").write_text('schema = "insurance/1"\n')
    (tmp_path / "test_light.py").write_text(
        "import sys\n"
        "def test_light():\n"
        "    assert 'idealab.pytest_plugin' in sys.modules\n"
        "    heavy = {'jax', 'sympy', 'numpy', 'scipy', 'rich', 'click', 'idealab.verify', 'idealab.registry'}\n"
        "    assert not heavy & set(sys.modules)\n"
    )
    command = [sys.executable, "-m", "pytest", "-q", "-W", "error", "--strict-markers", "--strict-config", *ARGUMENTS]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_it_is_registered_where_pytest_looks() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["entry-points"]["pytest11"] == {"idealab": "idealab.pytest_plugin"}
