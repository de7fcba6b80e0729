"""Words and numbers as LaTeX: nothing in them is a command, whoever wrote them, and pdflatex knows every character."""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Iterator, Mapping
from itertools import groupby

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
    "→": r"$\to$",
    "×": r"$\times$",
    "≈": r"$\approx$",
}
_UPPER = {"GAMMA", "DELTA", "THETA", "LAMDA", "XI", "PI", "SIGMA", "UPSILON", "PHI", "PSI", "OMEGA"}
GREEK = (
    *("alpha", "beta", "gamma", "delta", "epsilon", "zeta", "eta", "theta", "iota", "kappa", "lambda", "mu", "nu"),
    *("xi", "pi", "rho", "sigma", "tau", "upsilon", "phi", "chi", "psi", "omega"),
    *(name.capitalize() for name in ("gamma", "delta", "theta", "lambda", "xi", "pi", "sigma", "phi", "psi", "omega")),
)
_EXPONENT = r"\^(?:-?[A-Za-z0-9]+|\((?:[A-Za-z0-9 +*/.-]|\([A-Za-z0-9 +*/.-]+\))+\))"
_SYMBOL = re.compile(
    rf"(?<![A-Za-z0-9_.\\'’])(?P<base>{'|'.join(GREEK)}|[b-zB-HJ-Z])(?P<below>_[A-Za-z0-9]+)?"
    rf"(?P<above>{_EXPONENT})?(?![A-Za-z0-9_'’^])"
)
_POWER = re.compile(r"(?<![\w.^])(?P<digits>\d+(?:\.\d+)?)e(?P<power>[+-]?\d+)(?![\w.])")
_RAISED = re.compile(rf"(?P<raised>{_EXPONENT})")
_NAMED = re.compile(r"`(?P<name>[^`]+)`")
_SIGN = re.compile(r"(?<= )(?P<sign>[-.])(?= )|(?<![^\s(])(?P<minus>-)(?=[A-Za-z(])")
_TEXT = re.compile("[\x20-\x7e\u00a1-\u00ac\u00ae-\u00ff\u0100-\u017f–—‘’“”„…]")
"""What the encoding T1 has, or LaTeX has a command for, without another package."""


def escape(text: str) -> str:
    """Write text so that LaTeX shows it as it is; a control character, which it cannot show, becomes ``?``."""
    return "".join(_SPECIAL.get(character) or _greek(character) for character in inert(text))


def plain(text: str) -> str:
    """Write text as `escape` does, for pdflatex: what its fonts lack is named by its code point, such as [U+5B66]."""
    words = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    written: list[str] = []
    for raised, characters in groupby(words, _raised):
        run = "".join(characters)
        if raised:
            written.append(f"${raised}{{{unicodedata.normalize('NFKC', run).replace('−', '-')}}}$")
        else:
            written += map(_printed, run)
    return "".join(written).replace("--", "-{}-").replace("--", "-{}-")


def prose(text: str) -> str:
    """Write the sentence of a theorist as `plain` does, with its symbols as mathematics: gamma^2, w_hat, t, 1e-6.

    A symbol is a single letter other than a and I, or the name of a Greek one, with what stands below and above it. A
    minus and a dot between spaces are signs, and what stands between backticks is a name.
    """
    return "".join(_kept(piece) if isinstance(piece, str) else _mathematics(piece) for piece in pieces(text))


def pieces(text: str) -> Iterator[str | Mapping[str, str]]:
    """Split a theorist's sentence into words, and its symbols, powers, signs and names, each by the parts that it has.

    The parts are base, below and above of a symbol (the latter two with the sign before them), digits and power of
    a number, raised, sign or minus, and name.
    """
    end = 0
    kinds = (_NAMED, _SYMBOL, _POWER, _RAISED, _SIGN)
    tokens = sorted((token for kind in kinds for token in kind.finditer(text)), key=lambda token: token.start())
    for token in tokens:
        if token.start() >= end:
            if text[end : token.start()]:
                yield text[end : token.start()]
            yield {part: found for part, found in token.groupdict().items() if found}
            end = token.end()
    if text[end:]:
        yield text[end:]


def code(text: str) -> str:
    """Write a formula that is only text in typewriter, and let it break after an operator."""
    broken = re.sub(r"(\*\*|(?<!\de)[-+]|[*/,)=·])", "\\1\0", text)
    return r"\texttt{" + r"\allowbreak{}".join(map(_kept, broken.split("\0"))) + "}"


def quantity(value: float, digits: int = 5) -> str:
    """Write a number for math mode, without delimiters: ``1.2\\times 10^{-7}``."""
    if math.isnan(value):
        return r"\mathrm{undefined}"
    if math.isinf(value):
        return r"\infty" if value > 0 else r"-\infty"
    mantissa, _, power = f"{value + 0.0:.{digits}g}".partition("e")
    if not power:
        return mantissa
    return (f"{mantissa}\\times " if mantissa not in ("1", "-1") else mantissa[:-1]) + f"10^{{{int(power)}}}"


def _kept(text: str) -> str:
    """As `plain`, with the spaces at the ends of a piece of a sentence."""
    words = plain(text)
    return (" " if text[:1].isspace() else "") + words + (" " if words and text[-1:].isspace() else "")


def _raised(character: str) -> str:
    """``^`` or ``_`` of a letter or digit that is set as an index, else nothing."""
    kind = unicodedata.decomposition(character).partition(" ")[0]
    if kind not in ("<sub>", "<super>"):
        return ""
    base = unicodedata.normalize("NFKC", character)
    return ("_" if kind == "<sub>" else "^") if base == "−" or (base.isascii() and base.isalnum()) else ""


def _printed(character: str) -> str:
    if character == "`":
        return r"\textasciigrave{}"
    known = _SPECIAL.get(character) or _greek(character)
    return known if known != character or _TEXT.fullmatch(character) else rf"\texttt{{[U+{ord(character):04X}]}}"


def _mathematics(parts: Mapping[str, str]) -> str:
    if "name" in parts:
        return rf"\emph{{{plain(parts['name'])}}}"
    if "sign" in parts or "minus" in parts:
        return r"$\cdot$" if parts.get("sign") == "." else "$-$"
    if "raised" in parts:
        return f"$^{{{inside(parts['raised'])}}}$"
    if "digits" in parts:
        power = f"10^{{{int(parts['power'])}}}"
        return f"${power}$" if parts["digits"] == "1" else rf"${parts['digits']}\cdot {power}$"
    base = f"\\{parts['base']}" if parts["base"] in GREEK else parts["base"]
    below, above = parts.get("below", "")[1:], inside(parts.get("above", ""))
    if below in ("hat", "bar", "tilde"):
        base, below = f"\\{below}{{{base}}}", ""
    elif below:
        below = f"_{{\\{below}}}" if below in ("min", "max", "inf", "sup") else f"_{{{_upright(below)}}}"
    return f"${base}{below}" + (f"^{{{above}}}$" if above else "$")


def inside(exponent: str) -> str:
    """An exponent without its sign of raising, and without brackets around all of it."""
    return exponent[2:-1] if exponent.startswith("^(") else exponent[1:]


def _upright(name: str) -> str:
    return name if len(name) == 1 or name.isdigit() else rf"\mathrm{{{name}}}"


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
