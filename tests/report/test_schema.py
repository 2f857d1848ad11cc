"""diagnosis.json follows the schema that is shipped with it."""

import json
from typing import Any

import jsonschema
import pytest

from gapdoctor import report
from gapdoctor.domain.causes import Cause
from gapdoctor.domain.diagnosis import SCHEMA, Verdict
from gapdoctor.storage import to_json


@pytest.fixture(scope="module")
def validator() -> jsonschema.Draft202012Validator:
    schema = json.loads(report.schema())
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


def test_every_variant_follows_it(validator, diagnosis) -> None:
    validator.validate(json.loads(to_json(diagnosis)))


def test_keys_stand_in_the_order_of_the_schema(diagnosis) -> None:
    schema = json.loads(report.schema())

    assert list(json.loads(to_json(diagnosis))) == list(schema["properties"]) == schema["required"]


def test_the_schema_knows_every_word() -> None:
    properties = json.loads(report.schema())["properties"]

    assert properties["schema"]["const"] == SCHEMA
    assert properties["verdict"]["enum"] == [str(v) for v in Verdict]


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("schema",), "gapdoctor.diagnosis/2"),
        (("verdict",), "ill"),
        (("gap", "excess"), 0.3),
        (("gap", "excess", "level"), 0.9),
        (("causes", 0, "confidence"), 1.2),
        (("causes", 0, "severity"), "huge"),
        (("metrics", 0, "split"), "test"),
        (("recipe", "lr", "source"), "guess"),
        (("warnings", 0, "voids"), "no"),
        (("extra",), 1),
    ],
)
def test_it_refuses_what_is_not_told_in_it(validator, make, path: tuple[Any, ...], value) -> None:
    content = json.loads(to_json(make("base")))
    place = content
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value

    assert list(validator.iter_errors(content))


@pytest.mark.parametrize("key", json.loads(report.schema())["required"])
def test_it_misses_a_missing_key(validator, make, key: str) -> None:
    content = json.loads(to_json(make("base")))
    del content[key]

    assert [e.validator for e in validator.iter_errors(content)] == ["required"]


def test_causes_may_be_added_without_a_new_schema(validator, make) -> None:
    content = json.loads(to_json(make("base")))
    content["causes"][0]["id"] = "a_new_cause"

    validator.validate(content)
    assert all(c.islower() for cause in Cause for c in str(cause).replace("_", ""))
