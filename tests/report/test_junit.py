"""The test report for build servers."""

from xml.etree import ElementTree as ET

import pytest

from gapdoctor import report
from gapdoctor.domain.causes import Cause


def suite(diagnosis) -> ET.Element:
    root = ET.fromstring(report.render(diagnosis, "junit"))
    assert root.tag == "testsuites"
    return root[0]


def states(element: ET.Element) -> dict[str, str]:
    kinds = ("failure", "error", "skipped")
    return {
        case.get("name", ""): next((k for k in kinds if case.find(k) is not None), "passed")
        for case in element.findall("testcase")
    }


@pytest.mark.parametrize(
    ("name", "state"),
    [
        ("base", "failure"),
        ("healthy", "passed"),
        ("inconclusive", "skipped"),
        ("shared_gap", "failure"),
        ("fit_shortfall", "failure"),
        ("dwarfed", "error"),
    ],
)
def test_the_verdict_is_a_case(make, name: str, state: str) -> None:
    assert states(suite(make(name)))["no gap worth treating"] == state


def test_every_cause_is_a_case_and_fails_from_medium_on(make) -> None:
    found = states(suite(make("base")))

    assert {str(cause) for cause in Cause} <= found.keys()
    assert found["preprocessing_mismatch"] == "failure"
    assert found["overfitting"] == "failure"
    assert found["lack_of_regularization"] == "passed"
    assert found["optimization"] == "passed"


def test_a_failure_tells_value_and_limit(make) -> None:
    case = next(c for c in suite(make("base")) if c.get("name") == "preprocessing_mismatch")

    assert case[0].get("type") == "high"
    assert "0.702 nats (limit 0.050) [mirror]" in (case[0].text or "")


def test_a_probe_that_could_not_run_is_skipped_with_its_reason(make) -> None:
    case = next(c for c in suite(make("base")) if c.get("name") == "fit_test")

    assert case[0].get("message") == "only with --train-probes"


def test_the_counts_are_right(diagnosis) -> None:
    element = suite(diagnosis)
    found = list(states(element).values()) if len(element) else []
    cases = element.findall("testcase")

    assert element.get("tests") == str(len(cases))
    for attribute, kind in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
        assert element.get(attribute) == str(sum(c.find(kind) is not None for c in cases))
    assert found
