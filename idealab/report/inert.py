"""Text that does nothing where it is shown, whatever a name or a sentence holds."""

from __future__ import annotations

import unicodedata

# The signs that MathML multiplies and applies with, and the joiners that some scripts are spelled with.
_HARMLESS = frozenset("\N{ZERO WIDTH JOINER}\N{ZERO WIDTH NON-JOINER}\u2061\u2062\u2063\u2064")
_CONTROL_PICTURES = 0x2400


def inert(text: str) -> str:
    """Replace each character that a terminal, a page or TeX would obey by one that is only seen.

    Line breaks and tabs become spaces, other control characters the pictures that Unicode has for them (``␛``), and
    what turns the direction of writing, or is no character, becomes U+FFFD. The length stays the same.
    """
    return text if text.isprintable() else "".join(map(_shown, text))


def _shown(character: str) -> str:
    kind, code = unicodedata.category(character), ord(character)
    if character.isspace():
        return character if kind == "Zs" else " "
    if kind == "Cc":
        return chr(_CONTROL_PICTURES + (code if code < 0x20 else 0x21)) if code < 0x80 else "\N{REPLACEMENT CHARACTER}"
    return "\N{REPLACEMENT CHARACTER}" if kind in ("Cf", "Cs") and character not in _HARMLESS else character
