"""Nothing that came in a bundle is evaluated, by Python, Sympy, a shell or TeX, whatever is done with it afterwards.

In a process of its own, since it is watched by an audit hook, which nobody can take off again: Python tells it of every
text that is compiled (so of what `sympify`, `eval`, templates and figures evaluate), of every pickle, process and
connection. The commands that read records run on a bundle in which every text holds code.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from idealab.ledger import Ledger
from idealab.ledger.bundle import export
from tests.ledger.conftest import batch, declaration, result, verification

ROOT = Path(__file__).parents[1]
OWNED = "owned_by_a_bundle"

WATCHED = """
import os, sys
from pathlib import Path

OWNED = sys.argv[1]
FORBIDDEN = {"pickle.find_class", "os.system", "subprocess.Popen", "os.exec", "os.posix_spawn", "socket.connect"}

def watch(event, arguments):
    said = repr(arguments[0])[:10**6] if event == "compile" and arguments and arguments[0] is not None else ""
    if OWNED in said or event in FORBIDDEN:
        os.write(2, f"EVALUATED {event} {said[:200]} {arguments!r}\\n".encode())
        os._exit(77)

from idealab.cli import main
sys.addaudithook(watch)
place, bundle, out = sys.argv[2:5]
records = sys.argv[5:]
os.environ["IDEALAB_LEDGER"] = place
runs = [["ledger", "import", bundle], ["ledger", "log"], ["ledger", "log", "--json"], ["ledger", "check"], ["list"]]
runs += [["ledger", "show", record] for record in records]
runs += [["ledger", "compare", records[0], records[0]], ["ledger", "compare", records[-1], records[-1]]]
runs += [["ledger", "combine", records[-1]], ["ledger", "export", "--to", f"{out}.zip"], ["doctor"]]
runs += [["report", records[-1], "--to", f"{out}-kit"], ["report", records[-1], "--html", "--to", f"{out}.html"]]
runs += [["report", "--all", "--html", "--to", f"{out}-all"]]
runs += [["export", records[-1], "--format", form, "--to", f"{out}-{form}"] for form in ("csv", "zenodo")]
runs += [["verify", "max_margin", "--declared", records[0]]]
for run in runs:
    code = main(run)
    print("RAN", code, *run, flush=True)
"""


@pytest.fixture
def bundle(tmp_path: Path) -> tuple[Path, list[str]]:
    """A bundle whose every text is code, for Python and Sympy, a template, TeX and a shell."""
    ledger = Ledger(tmp_path / "made")
    code = (
        f"__import__('os').system('{OWNED}') {{{{ {OWNED} }}}} \\write18{{{OWNED}}} $({OWNED}) <script>{OWNED}</script>"
    )
    prediction = {"text": code, "sha256": "0" * 64}
    criterion = {"kind": "Equals", "rtol": prediction, "reason": code}
    one = {"name": code, "observable": code, "prediction": prediction, "criterion": criterion, "known": "derived"}
    one |= {"exact": True, "primary": True, "must_kill": [code], "rivals": {code: prediction}}
    condition = {"label": code, "settings": {code: code}}
    experiment = {"name": code, "level": code, "conditions": [condition], "max_seeds": 8}
    experiment |= {"observables": [code], "checkpoints": {code: [code, [1.0]]}, "source": code, "block": 4}
    experiment |= {"vectorized": False, "host": False, "refinement": [], "toggles": {code: condition}}
    content = {"statement": code, "scope": code, "signatures": [one], "experiments": [experiment], "assumptions": []}
    content |= {"versions": {"idealab": code}, "rules": {code: code}}
    top = ledger.put(declaration(content=content, idea="max_margin"))
    environment = {code: code, "jax": code}
    block = ledger.put(batch(top, idea="max_margin", condition=code, experiment=code, environment=environment))
    said = result(top, "max_margin", statement=code, scope=code, gates=[code], remarks=[code], hints=[code])
    for signature in said["signatures"]:
        signature |= dict.fromkeys(("statement", "formula", "tolerance", "reason", "scope", "name", "experiment"), code)
        signature["cells"] = [{**cell, "condition": code, "note": code} for cell in signature["cells"]]
    said["environment"] |= environment
    verdict = ledger.put(verification([top, block], idea="max_margin", result=said))
    export(ledger, (), tmp_path / "all.zip")
    return tmp_path / "all.zip", [top, block, verdict]


@pytest.mark.slow
def test_nothing_of_a_bundle_is_evaluated_whatever_is_done_with_it(bundle, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    file, records = bundle
    command = [
        sys.executable,
        "-c",
        WATCHED,
        OWNED,
        str(tmp_path / "ledger"),
        str(file),
        str(tmp_path / "out"),
        *records,
    ]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300)
    told = done.stdout + done.stderr
    assert "EVALUATED" not in told, told[-2000:]
    assert done.returncode == 0, told[-3000:]
    ran = [line.split()[1:] for line in done.stdout.splitlines() if line.startswith("RAN ")]
    assert len(ran) == 19, told
    assert "Traceback" not in told
    assert [words[1:3] for words in ran if words[0] != "0"] == [["ledger", "combine"], ["verify", "max_margin"]]


def test_the_watch_sees_what_is_evaluated(tmp_path: Path) -> None:
    """Else the test above could not fail."""
    head, _ = WATCHED.split("place, bundle, out")
    for code in (
        f"eval('{OWNED} == 1')",
        f"__import__('sympy').sympify('{OWNED} + 1')",
        "__import__('os').system('true')",
    ):
        done = subprocess.run([sys.executable, "-c", head + code, OWNED], cwd=tmp_path, capture_output=True, text=True)
        assert (done.returncode, "EVALUATED" in done.stderr) == (77, True), code
