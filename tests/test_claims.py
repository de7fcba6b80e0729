"""What a claims.toml may say, and one clear line for all else."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from idealab.claims import Claim, read
from idealab.errors import UsageError

README = Path(__file__).parents[1] / "README.md"
HEAD = 'schema = "idealab/claims/1"\n'


def test_a_claim_says_what_to_ask_and_what_must_be_seen(tmp_path: Path) -> None:
    file = tmp_path / "claims.toml"
    file.write_text(
        HEAD
        + """
[max_margin]

[clock]
idea = "max_margin"
declared = "46b21a71"
verdict = "partial"
seeds = 32
levels = ["real data"]
settings = { eta = 0.1 }
[clock.expect]
loss_clock = "present"
"loss_clock[digits]" = "partial"
"""
    )
    plain, clock = read(file)
    assert plain == Claim("max_margin", "max_margin", "supported", None, {}, {})
    assert (clock.idea, clock.declared, clock.verdict) == ("max_margin", "46b21a71", "partial")
    assert clock.request == {"seeds": 32, "levels": ["real data"], "settings": {"eta": 0.1}}
    assert clock.expected("loss_clock", "digits") == "partial"
    assert clock.expected("loss_clock", "planted") == "present"
    assert clock.expected("shape_rate", "planted") is None


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (HEAD + "[a\n", "claims.toml is not TOML: "),
        (HEAD.encode() + b'[a]\nidea = "\xff"\n', "claims.toml is not TOML: 'utf-8' codec can't decode byte 0xff"),
        (HEAD + "[a]\n[a]\n", "claims.toml is not TOML: Cannot declare"),
        (HEAD, "claims.toml claims nothing; add a table such as [max_margin]"),
        ('schema = "idealab/claims/9"\n', "schema='idealab/claims/9'; expected schema = 'idealab/claims/1'"),
        (HEAD + "a = 3\n", "claims.toml: [a] is 3; expected a table: write [a]"),
        (HEAD + "[a]\nides = 'toy'\n", "claims.toml: [a] no field named 'ides'; did you mean 'idea'?"),
        (HEAD + "[a]\nseeds = 'many'\n", "[a] seeds = 'many' must be a whole number"),
        (HEAD + "[a]\nseeds = true\n", "[a] seeds = True must be a whole number"),
        (HEAD + "[a]\nselect = 'clock'\n", "[a] select = 'clock' must be a list of names"),
        (HEAD + "[a]\nselect = [1]\n", "[a] select = [1] must be a list of names"),
        (HEAD + "[a]\nverdict = 'true'\n", "[a] verdict = 'true' must be one of supported, refuted, partial, inco"),
        (HEAD + "[a]\nexpect = {x = 'seen'}\n", "[a] expect: x = 'seen' must be one of present, absent, partial, inco"),
        (HEAD + '["a\\nb"]\nseeds = "x"\n', "claims.toml: [a b] seeds = 'x' must be"),
    ],
)
def test_a_fault_is_one_clear_line(tmp_path: Path, text: str | bytes, line: str) -> None:
    file = tmp_path / "claims.toml"
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(UsageError) as caught:
        read(file)
    assert line in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_that_cannot_be_read_is_said(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"^claims\.toml cannot be read: No such file"):
        read(tmp_path / "claims.toml")


def test_the_claims_of_the_readme_are_read(tmp_path: Path) -> None:
    (block,) = re.findall(r"```toml\n(.*?)```", README.read_text("utf-8"), flags=re.DOTALL)
    file = tmp_path / "claims.toml"
    file.write_text(block)
    (clock,) = read(file)
    assert clock.idea == "max_margin"
    assert clock.expected("loss_clock", "digits") == "partial"
