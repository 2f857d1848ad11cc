"""The layout of `plan.json` and `fix.json`."""

from __future__ import annotations

from dataclasses import MISSING, fields
from typing import Any, get_type_hints

from gapdoctor.domain.trials import FIX_SCHEMA, PLAN_SCHEMA, Outcome, Plan
from gapdoctor.errors import GapDoctorError
from gapdoctor.storage.codec import build, member, plain
from gapdoctor.storage.text import content_of, text_of

_PLAN_HINT = "run `gapdoctor fix --fresh`: it makes a new plan"
_FIX_HINT = "name a fix.json that this version of `gapdoctor fix --apply` wrote"


def plan_to_json(plan: Plan) -> str:
    """Return the text of `plan.json`.

    Floats keep all their digits: what is resumed trains with the same numbers. Fields of a recipe
    that nobody knows are left out.
    """
    return text_of({"schema": PLAN_SCHEMA, **_plan_out(plan)})


def plan_from_json(text: str, name: str = "plan.json") -> Plan:
    """Return the plan that `text` tells; it equals the one that was written.

    Parameters
    ----------
    text : str
        The whole file. Keys that this version does not know are passed over.
    name : str
        The file's name, for messages.

    Raises
    ------
    GapDoctorError
        When the text is no JSON, is of another schema, or lacks something.
    """
    return _read(Plan, text, PLAN_SCHEMA, _PLAN_HINT, name)  # type: ignore[no-any-return]


def outcome_to_json(outcome: Outcome) -> str:
    """Return the text of `fix.json`.

    Numbers have 6 significant digits, NaN and infinity are null; the plan keeps all its digits,
    as in `plan.json`. Reading it back and writing it again gives the same text.
    """
    content: dict[str, Any] = {"schema": FIX_SCHEMA}
    for f in fields(Outcome):
        value = getattr(outcome, f.name)
        match f.name:
            case "plan":
                content["plan"] = _plan_out(value)
            case "histories":
                # An epoch is a float of its row, and is written as it will be read.
                content["histories"] = {
                    trial: [[plain(float(number)) for number in row] for row in rows]
                    for trial, rows in value.items()
                }
            case _:
                content[f.name] = plain(value)
    return text_of(content)


def outcome_from_json(text: str, name: str = "fix.json") -> Outcome:
    """Return the record that `text`, the content of a `fix.json`, tells.

    Parameters and errors as in `plan_from_json`.
    """
    return _read(Outcome, text, FIX_SCHEMA, _FIX_HINT, name)  # type: ignore[no-any-return]


def _plan_out(plan: Plan) -> dict[str, Any]:
    content = plain(plan, whole=True)
    for holder in (content, *content["trials"], *content["reserve"]):
        holder["recipe"] = {k: v for k, v in holder["recipe"].items() if v is not None}
    return content  # type: ignore[no-any-return]


def _read(kind: Any, text: str, schema: str, hint: str, name: str) -> Any:
    try:
        content = content_of(text, schema, hint)
        hints = get_type_hints(kind)
        return kind(**{
            f.name: build(hints[f.name], member(content, f.name, ""), f.name)
            for f in fields(kind)
            if f.name in content or (f.default is MISSING and f.default_factory is MISSING)
        })  # fmt: skip
    except GapDoctorError as error:
        raise GapDoctorError(f"{name}: {error.message}", error.hint) from None
