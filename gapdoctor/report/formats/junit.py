"""A test report, for build servers that show one."""

from __future__ import annotations

from typing import ClassVar
from xml.etree import ElementTree as ET

from gapdoctor.domain.causes import PAGES
from gapdoctor.domain.diagnosis import Diagnosis, RankedCause, Verdict
from gapdoctor.report.blocks import Card, Proof
from gapdoctor.report.clean import cleaned
from gapdoctor.report.formats._base import Format
from gapdoctor.report.parts.causes import ranking
from gapdoctor.report.prose import unmarked
from gapdoctor.report.quantities import number
from gapdoctor.report.wording import TITLES, headline, verdict_sentence

_FAILED = (Verdict.GENERALIZATION_GAP, Verdict.FIT_SHORTFALL, Verdict.SHARED_GAP)


class Junit(Format):
    """One test case for the verdict, one for each cause, one for each probe that could not run.

    The verdict fails where there is a gap, is skipped where it is inconclusive, and is an error
    where a warning voids the ranking. A cause fails at severity medium or high. Time and date
    stand on the `testsuite` element only.
    """

    name: ClassVar[str] = "junit"
    extension: ClassVar[str] = "xml"

    def render(self, diagnosis: Diagnosis) -> str:
        """Return the XML text."""
        d = cleaned(diagnosis)
        suite = ET.Element("testsuite", name="gapdoctor")
        _properties(suite, d)
        _verdict(suite, d)
        _causes(suite, d)
        for skipped in d.skipped:
            case = _case(suite, "probe", skipped.probe)
            ET.SubElement(case, "skipped", message=skipped.reason)
        _count(suite, d)
        root = ET.Element("testsuites")
        root.append(suite)
        ET.indent(root)
        return f'<?xml version="1.0" encoding="utf-8"?>\n{ET.tostring(root, "unicode")}\n'


def _properties(suite: ET.Element, d: Diagnosis) -> None:
    told = {
        "version": d.version,
        "seed": str(d.seed),
        "command": d.command,
        "student": d.student.file,
        "student_sha256": d.student.sha256,
        "teacher": d.teacher.file,
        "teacher_sha256": d.teacher.sha256,
    }
    group = ET.SubElement(suite, "properties")
    for key, value in told.items():
        if value is not None:
            ET.SubElement(group, "property", name=key, value=value)


def _case(suite: ET.Element, group: str, name: str) -> ET.Element:
    return ET.SubElement(suite, "testcase", classname=f"gapdoctor.{group}", name=name)


def _verdict(suite: ET.Element, d: Diagnosis) -> None:
    case = _case(suite, "verdict", "no gap worth treating")
    sentence = unmarked(verdict_sentence(d))
    voiding = [w for w in d.warnings if w.voids]
    if voiding:
        told = "; ".join(w.statement for w in voiding)
        ET.SubElement(case, "error", type="voided", message=told).text = sentence
    elif d.verdict in _FAILED:
        message = f"{TITLES[d.verdict]}: {headline(d)}"
        ET.SubElement(case, "failure", type=str(d.verdict), message=message).text = sentence
    elif d.verdict is Verdict.INCONCLUSIVE:
        ET.SubElement(case, "skipped", message=sentence)
    beside = [f"{w.id}: {w.statement}" for w in d.warnings if not w.voids]
    if beside:
        ET.SubElement(case, "system-out").text = "\n".join(beside)


def _causes(suite: ET.Element, d: Diagnosis) -> None:
    found = {c.id: c for c in d.causes}
    cards = {block.id: block for block in ranking(d) if isinstance(block, Card)}
    for cause in PAGES:
        case = _case(suite, "cause", str(cause))
        if cause in found:
            _cause(case, found[cause], cards[str(cause)])


def _cause(case: ET.Element, cause: RankedCause, card: Card) -> None:
    remarks = (f"{remark.label}: {remark.text}" for remark in card.remarks)
    lines = [card.summary, *remarks, *(_line(proof) for proof in card.proofs)]
    told = "\n".join(unmarked(line) for line in lines)
    if cause.severity == "low":
        ET.SubElement(case, "system-out").text = told
        return
    message = f"{card.title}: {card.nats}, confidence {card.confidence_text}"
    ET.SubElement(case, "failure", type=cause.severity, message=message).text = told


def _line(proof: Proof) -> str:
    limit = f" (limit {proof.limit})" if proof.limit else ""
    return f"{proof.speaks}: {proof.statement} {proof.value}{limit} [{proof.probe}]"


def _count(suite: ET.Element, d: Diagnosis) -> None:
    cases = suite.findall("testcase")
    suite.set("tests", str(len(cases)))
    for plural, kind in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
        suite.set(plural, str(sum(c.find(kind) is not None for c in cases)))
    suite.set("time", number(d.cost.seconds))
    suite.set("timestamp", d.created)
