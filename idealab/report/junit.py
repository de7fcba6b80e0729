"""Verifications as JUnit XML, for build servers: a suite is green exactly where the idea is supported."""

from __future__ import annotations

import math
import re
import xml.etree.ElementTree as ET
from collections.abc import Sequence
from typing import TYPE_CHECKING

from idealab.report import number

if TYPE_CHECKING:
    from idealab.verification import ControlResult, SignatureResult, Verification

_FORBIDDEN = re.compile(r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""Characters that XML cannot hold."""


def junit(results: Sequence[Verification]) -> bytes:
    """Write one test suite for each idea: a case for each signature in each experiment, each control, and the verdict.

    What is seen to be wrong is a *failure*, what could not be decided an *error*; secondary signatures, on which the
    verdict does not rest, are *skipped* instead.
    """
    root = ET.Element("testsuites", name="idealab")
    for result in results:
        suite = ET.SubElement(root, "testsuite", name=_clean(result.idea), time=f"{result.cost.seconds:.3f}")
        _properties(suite, result)
        for signature in result.signatures:
            _signature(suite, result.idea, signature)
        for control in result.controls:
            _control(suite, result.idea, control)
        _verdict(suite, result)
        for element in (suite, root):
            for tag, attribute in (
                ("testcase", "tests"),
                ("failure", "failures"),
                ("error", "errors"),
                ("skipped", "skipped"),
            ):
                element.set(attribute, str(len(list(element.iter(tag)))))
    ET.indent(root)
    return ET.tostring(root, encoding="utf-8", xml_declaration=True) + b"\n"


def _properties(suite: ET.Element, result: Verification) -> None:
    properties = ET.SubElement(suite, "properties")
    stated = {
        "verdict": result.verdict,
        "scope": result.scope,
        "evidence_log10": str(result.evidence_log10),
        "declaration": result.declaration,
        "record": result.record or "",
    }
    for name, value in stated.items():
        ET.SubElement(properties, "property", name=name, value=_clean(value))


def _signature(suite: ET.Element, idea: str, signature: SignatureResult) -> None:
    case = _case(suite, f"{idea}.{signature.experiment}", signature.name)
    if signature.verdict == "present":
        return
    message = seen(signature)
    if not signature.primary:
        ET.SubElement(case, "skipped", message=_clean(f"secondary, {message}"))
    else:
        _complain(case, "error" if signature.verdict == "inconclusive" else "failure", signature.verdict, message)


def seen(signature: SignatureResult) -> str:
    """Say on one line what was seen of a signature, in the cell that is furthest from present."""
    cell = signature.weakest
    message = f"{signature.verdict}: predicted {number.predicted(cell)}, measured {number.show(cell.measured)}"
    if math.isfinite(cell.deviation):
        message += f", off by {number.show(abs(cell.deviation), 3)} of the tolerance"
    return f"{message} at " + ", ".join(
        part for part in (cell.condition, cell.checkpoint, signature.scope, cell.note) if part
    )


def _control(suite: ET.Element, idea: str, control: ControlResult) -> None:
    case = _case(suite, f"{idea}.{control.experiment}.controls", control.assumption)
    if control.ok:
        return
    message = f"without {control.assumption}: should be {control.expected}, was {control.seen}"
    if control.rival is not None:
        message += f"; the theory of the broken case, {control.rival.name}, is {control.rival.verdict}"
    undecided = control.seen == "undecided"
    _complain(case, "error" if undecided else "failure", control.seen, message)


def _verdict(suite: ET.Element, result: Verification) -> None:
    case = _case(suite, result.idea, "verdict")
    if result.verdict != "supported":
        tag = "error" if result.verdict == "inconclusive" else "failure"
        _complain(case, tag, result.verdict, concluded(result))


def concluded(result: Verification) -> str:
    """Say on one line what was concluded, and what held the verdict back."""
    words = (result.verdict, result.scope, *result.gates, *result.notes)
    return "; ".join(word for word in words if word)


def _case(suite: ET.Element, classname: str, name: str) -> ET.Element:
    return ET.SubElement(suite, "testcase", classname=_clean(classname), name=_clean(name))


def _complain(case: ET.Element, tag: str, kind: str, message: str) -> None:
    ET.SubElement(case, tag, type=kind, message=_clean(message))


def _clean(text: str) -> str:
    return _FORBIDDEN.sub("�", text)
