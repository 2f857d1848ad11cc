"""The text of a stored record: JSON that names its schema."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from gapdoctor.errors import GapDoctorError
from gapdoctor.storage.codec import members


def text_of(content: Mapping[str, Any]) -> str:
    """Return the text: ASCII, so that no terminal, log or diff misreads it."""
    return json.dumps(content, indent=2, allow_nan=False) + "\n"


def content_of(text: str, schema: str, hint: str) -> dict[str, Any]:
    """Return what the text of a record of `schema` holds.

    Parameters
    ----------
    text : str
        The whole file.
    schema : str
        What its key `schema` must say.
    hint : str
        What to try, where it is another file.

    Raises
    ------
    GapDoctorError
        When the text is no JSON, or of another schema.
    """
    try:
        content = json.loads(text)
    except json.JSONDecodeError as error:
        raise GapDoctorError(f"line {error.lineno}: not JSON: {error.msg}", hint) from None
    except (ValueError, RecursionError) as error:
        raise GapDoctorError(f"not JSON: {error}", hint) from None
    found = members(content, "the file").get("schema")
    if found != schema:
        raise GapDoctorError(f"schema is {found!r}, not {schema!r}", hint)
    return dict(content)
