from __future__ import annotations

import pytest

from idealab.report.latex import escape


@pytest.mark.parametrize(
    ("text", "latex"),
    [
        ("a_b & 5 % of {c}", r"a\_b \& 5 \% of \{c\}"),
        ("\\~^", r"\textbackslash{}\textasciitilde{}\textasciicircum{}"),
        ("γλς Λ", r"$\gamma$$\lambda$$\sigma$ $\Lambda$"),
        ("1 ± 2", r"1 $\pm$ 2"),
        ("Díaz", "Díaz"),
        ("ό", "ό"),  # an accented Greek letter is prose, not a symbol
    ],
)
def test_text_comes_out_as_it_is(text: str, latex: str) -> None:
    assert escape(text) == latex
