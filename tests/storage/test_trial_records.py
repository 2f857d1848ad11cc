"""plan.json and fix.json: records to and from disk, and what is written beside them."""

import json
import math
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from gapdoctor import report
from gapdoctor.domain import trials as domain
from gapdoctor.domain.causes import Cause
from gapdoctor.domain.findings import Interval
from gapdoctor.domain.recipe import Optimizer, Recipe, Schedule
from gapdoctor.domain.trials import (
    ArmRecord,
    Change,
    ClinicCount,
    FixCost,
    FixRecord,
    Given,
    Outcome,
    Plan,
    PlannedFix,
    Round,
    Together,
    TrialRecord,
    TrialSpec,
    Written,
)
from gapdoctor.errors import GapDoctorError, OutputError
from gapdoctor.storage import (
    outcome_from_json,
    outcome_to_json,
    plan_from_json,
    plan_to_json,
    read_outcome,
    read_plan,
    write_outcome,
    write_plan,
)

RECIPE = Recipe(
    epochs=24, batch_size=64, optimizer=Optimizer.ADAMW, lr=0.1 / 3, betas=(0.9, 0.95),
    schedule=Schedule.STEP, milestones=(10, 20), task_weight=1 / 7, temperature=4.0,
    scale_by_t2=True, augment=("flip", "crop"), early_stopping=0,
)  # fmt: skip
CHANGE = Change("recipe.temperature", 1.0, 4.000000001)

ANNEALED = Change("recipe.schedule", "constant", ("step", 0.5))


def plan() -> Plan:
    fixes = (
        PlannedFix(
            "rebalance_losses", (Cause.LOSS_IMBALANCE, Cause.OVERFITTING), "Raises it.",
            (CHANGE, Change("recipe.betas", None, (0.9, 0.95))), start="scratch",
            expected_gain=1 / 3, expected_seconds=12.3456789,
            clinic=ClinicCount(Cause.LOSS_IMBALANCE, 9, 7, 1),
        ),
        PlannedFix("match_preprocessing", (Cause.PREPROCESSING_MISMATCH,), "Undoes it.", free=True),
        PlannedFix("increase_capacity", (), "", status="not_applicable", reason="no factory"),
    )  # fmt: skip
    trials = (
        TrialSpec("control", 0, "scratch", RECIPE, 24),
        TrialSpec(
            "distill_features", 1, "checkpoint",
            replace(RECIPE, augment=(), feature_layers=(("a", "b"), ("c", "d")), lr=1e-17), 3,
            anneal=True,
        ),
        TrialSpec("cross_validate", 0, "scratch", RECIPE, 24, fold=(2, 5)),
    )  # fmt: skip
    return Plan(
        "c0ffee", 0, "scratch", "by default", 600.0 / 7, RECIPE, ("weight_decay",), fixes, trials,
        notes=("a note",),
        reserve=(TrialSpec("stop_early", 0, "scratch", RECIPE, 24),),
        together=(Together(("rebalance_losses", "match_preprocessing"), "One needs the other."),),
    )  # fmt: skip


def about(value: float) -> Interval:
    return Interval(value, value - 0.125, value + 0.125)


def outcome() -> Outcome:
    found = FixRecord(
        "rebalance_losses", (Cause.LOSS_IMBALANCE,), "scratch", (ANNEALED,), 3, "verified",
        about(0.5), about(0.75), about(0.625), about(-0.25), about(0.0), True, None, True,
    )  # fmt: skip
    absent = FixRecord("a+b", (), "checkpoint", (), 0, "not_reached", reason="budget")
    return Outcome(
        version="0.1.0", created="2026-01-01T00:00:00+00:00", seed=0, command="fix --apply",
        plan=plan(), given=Given(about(1.0), about(0.5), about(1.25)),
        controls=(ArmRecord("scratch", 3, about(0.75), about(0.5), about(1.0)),),
        fixes=(found, absent),
        trials=(
            TrialRecord("control", 0, "done", 0.75, 1.5),
            TrialRecord("cross_validate", 0, "done", 0.5, 1.5, fold=(2, 5)),
            TrialRecord("rebalance_losses", 0, "failed", note="out of memory"),
            TrialRecord("without_teacher", 0, "not_reached", start="checkpoint"),
        ),
        chosen="rebalance_losses", improvement=about(-0.5), minimum_detectable_effect=0.0625,
        written=Written("student.fixed.pth", "gapdoctor.fixed.toml", "changes.diff"),
        cost=FixCost(10.0, 12_000, 2.5),
        histories={"control-scratch-0": ((1, 0.5, 0.75, 0.5, 0.1), (2, 0.25, 0.5, 0.625, 0.0))},
        notes=("3 seeds",),
        rounds=(
            Round(("control", "rebalance_losses"), (0,), "Every fix is tried once."),
            Round(("a+b+c",), (1, 2), "It was the best on half A."),
        ),
    )  # fmt: skip


# -- plan.json ---------------------------------------------------------------------------------


def test_a_plan_comes_back_as_it_was() -> None:
    text = plan_to_json(plan())

    assert plan_from_json(text) == plan()
    assert plan_to_json(plan_from_json(text)) == text
    assert text.isascii()


def test_floats_of_a_plan_keep_all_their_digits() -> None:
    read = plan_from_json(plan_to_json(plan()))

    assert read.trials[0].recipe.lr == 0.1 / 3
    assert read.budget == 600.0 / 7
    assert read.fixes[0].changes[0].after == 4.000000001
    assert read.trials[1].recipe.lr == 1e-17


def test_what_nobody_knows_of_a_recipe_is_left_out() -> None:
    content = json.loads(plan_to_json(plan()))

    assert content["schema"] == "gapdoctor.plan/1"
    assert "dropout" not in content["recipe"]
    assert content["trials"][1]["recipe"]["augment"] == []
    for spec in (*content["trials"], *content["reserve"]):
        assert None not in spec["recipe"].values()
    assert plan_from_json(json.dumps(content)).recipe.dropout is None


def without_news(plan: dict[str, Any]) -> dict[str, Any]:
    """What an earlier version wrote of a plan: neither a reserve, pairs nor the clinic's counts."""
    fixes = [{k: v for k, v in fix.items() if k != "clinic"} for fix in plan["fixes"]]
    return {k: v for k, v in plan.items() if k not in ("reserve", "together")} | {"fixes": fixes}


def as_it_was(new: Plan) -> Plan:
    fixes = tuple(replace(fix, clinic=None) for fix in new.fixes)
    return replace(new, fixes=fixes, reserve=(), together=())


def test_a_plan_of_an_earlier_version_is_read() -> None:
    content = without_news(json.loads(plan_to_json(plan())))

    assert plan_from_json(json.dumps(content)) == as_it_was(plan())


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "plan.json: line 1: not JSON"),
        ('{"schema": "gapdoctor.plan/9"}', "plan.json: schema is 'gapdoctor.plan/9', not"),
        ('{"schema": "gapdoctor.plan/1"}', "plan.json: hash: missing"),
    ],
)
def test_what_is_no_plan_is_told_in_one_line(text: str, message: str) -> None:
    with pytest.raises(GapDoctorError, match=message) as caught:
        plan_from_json(text)
    assert caught.value.hint


# -- fix.json ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def validator() -> jsonschema.Draft202012Validator:
    schema = json.loads(report.schema("fix"))
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


NOTHING = replace(
    outcome(), fixes=(), controls=(), chosen=None, improvement=None, written=Written(),
    minimum_detectable_effect=math.nan, histories={},
)  # fmt: skip
UNKNOWN = replace(outcome(), improvement=Interval(0.1, -math.inf, math.inf))


@pytest.mark.parametrize("record", [outcome(), NOTHING, UNKNOWN], ids=["fixed", "none", "unknown"])
def test_an_outcome_follows_its_schema_and_comes_back(record: Outcome, validator) -> None:
    text = outcome_to_json(record)

    validator.validate(json.loads(text))
    assert outcome_to_json(outcome_from_json(text)) == text
    assert text.isascii()


def test_an_outcome_comes_back_as_it_was() -> None:
    assert outcome_from_json(outcome_to_json(outcome())) == outcome()


def test_numbers_have_six_digits_but_for_the_plan() -> None:
    record = replace(outcome(), minimum_detectable_effect=0.123456789)
    content = json.loads(outcome_to_json(record))

    assert content["minimum_detectable_effect"] == 0.123457
    assert content["plan"]["recipe"]["lr"] == 0.1 / 3
    assert content["histories"]["control-scratch-0"][0] == [1.0, 0.5, 0.75, 0.5, 0.1]
    assert outcome_from_json(outcome_to_json(record)).plan == plan()


def test_keys_of_a_later_version_are_passed_over() -> None:
    content = json.loads(outcome_to_json(outcome()))
    content["new"] = content["fixes"][0]["new"] = 1

    assert outcome_from_json(json.dumps(content)) == outcome()


def test_a_record_of_an_earlier_version_is_read() -> None:
    content = json.loads(outcome_to_json(outcome()))
    content["plan"] = without_news(content["plan"])
    del content["rounds"]

    told = outcome_from_json(json.dumps(content))

    assert told == replace(outcome(), plan=as_it_was(plan()), rounds=())


def test_keys_stand_in_the_order_of_the_schema() -> None:
    schema = json.loads(report.schema("fix"))
    content = json.loads(outcome_to_json(outcome()))

    assert list(content) == list(schema["properties"]) == schema["required"]
    assert schema["properties"]["schema"]["const"] == domain.FIX_SCHEMA


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        (("properties", "plan"), Plan),
        (("properties", "plan", "properties", "together", "items"), Together),
        (("$defs", "spec"), TrialSpec),
        (("$defs", "planned"), PlannedFix),
        (("$defs", "clinic"), ClinicCount),
        (("properties", "given"), Given),
        (("properties", "controls", "items"), ArmRecord),
        (("properties", "fixes", "items"), FixRecord),
        (("properties", "trials", "items"), TrialRecord),
        (("properties", "written"), Written),
        (("properties", "cost"), FixCost),
        (("properties", "rounds", "items"), Round),
    ],
)
def test_the_schema_knows_every_field(path: tuple[str, ...], kind: type) -> None:
    place: Any = json.loads(report.schema("fix"))
    for key in path:
        place = place[key]

    assert list(place["properties"]) == [f.name for f in fields(kind)]


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("chosen",), "Add Dropout"),
        (("chosen",), "a+"),
        (("fixes", 0, "status"), "healed"),
        (("fixes", 0, "difference"), -0.1),
        (("fixes", 0, "p_value"), 1.5),
        (("trials", 0, "status"), "running"),
        (("controls", 0, "start"), "pretrained"),
        (("cost", "new"), 1),
        (("rounds", 0, "fixes"), ["Add Dropout"]),
        (("rounds", 0, "seeds"), 3),
        (("plan", "reserve"), {}),
        (("plan", "together", 0, "reason"), None),
        (("plan", "fixes", 0, "clinic", "helped"), -1),
        (("plan", "fixes", 0, "clinic", "share"), 0.5),
        (("extra",), 1),
    ],
)
def test_the_schema_refuses_what_is_not_told_in_it(validator, path, value) -> None:
    content = json.loads(outcome_to_json(outcome()))
    place = content
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value

    assert list(validator.iter_errors(content))


@pytest.mark.parametrize("key", json.loads(report.schema("fix"))["required"])
def test_the_schema_misses_a_missing_key(validator, key: str) -> None:
    content = json.loads(outcome_to_json(outcome()))
    del content[key]

    assert [e.validator for e in validator.iter_errors(content)] == ["required"]


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (("fixes", 0, "status"), "verifed", r"fix.json: fixes\[0\].status: 'verifed' is not known"),
        (("given", "heldout_loss"), 1, "fix.json: given.heldout_loss: expected an object, found 1"),
        (("plan", "trials", 0, "seed"), "0", r"plan.trials\[0\].seed: expected a whole number"),
        (("cost",), None, "fix.json: cost: expected an object, found null"),
        (("rounds", 1, "seeds"), 0, r"fix.json: rounds\[1\].seeds: expected a list, found 0"),
        (("plan", "fixes", 0, "clinic"), [], "plan.fixes.0..clinic: expected an object"),
    ],
)
def test_what_is_wrong_is_told_in_one_line(path, value, message: str) -> None:
    content = json.loads(outcome_to_json(outcome()))
    place = content
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value

    with pytest.raises(GapDoctorError, match=message) as caught:
        outcome_from_json(json.dumps(content))
    assert caught.value.hint


# -- the folder --------------------------------------------------------------------------------


def names(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.iterdir())


def test_a_plan_is_read_where_it_was_written(tmp_path: Path) -> None:
    assert read_plan(tmp_path) is None
    write_plan(tmp_path, plan())

    assert read_plan(tmp_path) == plan()
    assert names(tmp_path) == ["plan.json"]


def test_a_damaged_plan_names_its_file_and_what_to_try(tmp_path: Path) -> None:
    (tmp_path / "plan.json").write_bytes(b"\xff\xfe")
    with pytest.raises(GapDoctorError, match=r"plan\.json: cannot read"):
        read_plan(tmp_path)

    (tmp_path / "plan.json").write_text("{")
    with pytest.raises(GapDoctorError, match=r"plan\.json: line 1: not JSON") as caught:
        read_plan(tmp_path)
    assert "--fresh" in caught.value.hint


def test_an_outcome_is_written_with_its_files(tmp_path: Path) -> None:
    assert read_outcome(tmp_path) is None
    (tmp_path / "student.fixed.pth").write_bytes(b"written before")
    files = {"gapdoctor.fixed.toml": b"[student]", "changes.diff": b"+x"}
    write_outcome(tmp_path, outcome(), files)

    assert read_outcome(tmp_path) == outcome()
    assert names(tmp_path) == [
        "changes.diff", "fix.json", "gapdoctor.fixed.toml", "student.fixed.pth",
    ]  # fmt: skip


def test_what_an_earlier_run_chose_is_removed(tmp_path: Path) -> None:
    write_outcome(tmp_path, outcome(), {"student.fixed.pth": b"1", "changes.diff": b"2"})
    kept = ["diagnosis.json", "plan.json", "student.pth"]
    for name in kept:
        (tmp_path / name).write_bytes(b"mine")
    write_outcome(tmp_path, NOTHING, {})

    assert names(tmp_path) == sorted([*kept, "fix.json"])


def test_the_record_is_written_last(tmp_path: Path) -> None:
    (tmp_path / "fix.json").write_bytes(b"old")
    (tmp_path / "changes.diff").mkdir()
    with pytest.raises(OutputError, match=r"changes\.diff: cannot write"):
        write_outcome(tmp_path, outcome(), {"changes.diff": b"new"})

    assert (tmp_path / "fix.json").read_bytes() == b"old"


@pytest.mark.parametrize("name", ["../x", "/x", "a/b"])
def test_a_name_that_leads_out_is_a_bug(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match="leads out of the folder"):
        write_outcome(tmp_path, outcome(), {name: b""})
