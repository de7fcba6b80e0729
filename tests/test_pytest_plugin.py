"""The pytest plugin: what it makes of a claims.toml, and that nobody else notices it."""

from __future__ import annotations

import os
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
