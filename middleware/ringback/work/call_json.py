"""The record of a call as values for JSON, redacted. Pure."""

from __future__ import annotations

from typing import Any

from msgspec import Struct

from ringback.core.times import iso_of
from ringback.privacy.redaction import redact, redact_contact


def shown(value: Any, name: str = "") -> Any:
    """The value as JSON has it. A time is a text of ISO 8601 in UTC; texts are redacted, and a contact as contacts are.

    ``name`` is the field's: those that end in ``_at`` and ``time`` are times in seconds since the epoch.
    """
    if isinstance(value, Struct):
        return {field: shown(getattr(value, field), field) for field in value.__struct_fields__}
    if isinstance(value, tuple):
        return [shown(each, name) for each in value]  # pyright: ignore[reportUnknownVariableType]
    if isinstance(value, float) and (name in _TIMES or name.endswith("_at")):
        return iso_of(value)
    if isinstance(value, str):
        return redact_contact(str(value)) if name == "contact" else redact(str(value))
    return value


_TIMES = ("at", "time")
