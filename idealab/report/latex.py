"""Prose as LaTeX: special characters escaped, Greek letters and the signs that reports use in math mode."""

from __future__ import annotations

import unicodedata

from idealab.report.inert import inert

_SPECIAL = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    **{character: f"\\{character}" for character in "&%$#_{}"},
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    "±": r"$\pm$",
    "·": r"$\cdot$",
    "∞": r"$\infty$",
    "≤": r"$\leq$",
    "≥": r"$\geq$",
    "√": r"$\surd$",
    "−": "$-$",
    "∑": r"$\sum$",
    "π": r"$\pi$",
    "²": "$^2$",
    "³": "$^3$",
}
_UPPER = {"GAMMA", "DELTA", "THETA", "LAMDA", "XI", "PI", "SIGMA", "UPSILON", "PHI", "PSI", "OMEGA"}


def escape(text: str) -> str:
    """Write text so that LaTeX shows it as it is; a control character, which it cannot show, becomes ``?``."""
    return "".join(_SPECIAL.get(character) or _greek(character) for character in inert(text))


def _greek(character: str) -> str:
    if character < "Ͱ" or character > "Ͽ":
        return "?" if "␀" <= character <= "␡" or character == "\N{REPLACEMENT CHARACTER}" else character
    name = unicodedata.name(character, "").split()
    if name[:2] == ["GREEK", "SMALL"] and len(name) == 4 and name[3] not in ("OMICRON", "SIGMA"):
        return rf"$\{_latex_name(name[3]).lower()}$"
    if name[:2] == ["GREEK", "SMALL"] and name[-1] == "SIGMA":
        return r"$\sigma$"
    if name[:2] == ["GREEK", "CAPITAL"] and len(name) == 4 and name[3] in _UPPER:
        return rf"$\{_latex_name(name[3]).capitalize()}$"
    return character


def _latex_name(name: str) -> str:
    return "LAMBDA" if name == "LAMDA" else name  # Unicode spells it without the b
