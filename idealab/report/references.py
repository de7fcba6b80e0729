"""``references.bib``: what an idea rests on, and the record itself, so that both can be cited."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

from idealab.report.latex import plain

if TYPE_CHECKING:
    from idealab.idea import Idea
    from idealab.symbolic.derivation import Reference
    from idealab.verification import Verification


def bibliography(result: Verification, created: str, idea: Idea | None) -> str:
    """Write the file; references come with the installed idea, a record has none."""
    record = result.record or ""
    cited = [step.reference for d in idea.derivations.values() for step in d.steps] if idea is not None else []
    known = {r.key: r for r in (*(idea.references if idea is not None else ()), *cited) if r is not None}
    entries = [_reference(reference) for reference in known.values()]
    itself = {
        "title": f"Verification of {_plain(result.idea)}: {_plain(result.verdict)}",
        "howpublished": rf"idealab record \texttt{{{record[:16]}}}",
        "note": rf"declaration \texttt{{{_plain(result.declaration[:16])}}}",
        "key": "idealab",
        "year": _plain(created[:4]),
    }
    return "\n".join([*entries, _entry(f"idealab-{record[:8]}", itself)])


def _reference(reference: Reference) -> str:
    authors = reference.authors.removesuffix(" et al.") + (" and others" if "et al." in reference.authors else "")
    fields = {"author": _plain(authors), "title": f"{{{_plain(reference.title)}}}", "year": str(reference.year)}
    return _entry(reference.key, fields | ({"note": _plain(reference.where)} if reference.where else {}))


def _entry(key: str, fields: Mapping[str, str]) -> str:
    lines = [f"  {name} = {{{value}}}," for name, value in fields.items()]
    return "\n".join([f"@misc{{{re.sub('[^A-Za-z0-9:.-]', '-', key)},", *lines, "}", ""])


def _plain(text: str) -> str:
    """As `plain`; BibTeX counts braces, escaped ones too."""
    return plain(text).replace(r"\{", r"\char123 ").replace(r"\}", r"\char125 ")
