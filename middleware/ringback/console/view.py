"""Values that a template shows: redacted texts, and times. Pure.

Every page shows the dictionary that :func:`shown` makes, so that no template can show a private text.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, cast

import msgspec
from msgspec import Struct

from ringback.privacy.redaction import redact
from ringback.privacy.written import visible
from ringback_catalog import RetryAction

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ringback.core.outcome import Outcome


OPEN = frozenset({"link", "since_link", "failed_link", "intended_link", "entry", "block"})
"""Fields that hold an address of the console, or a block of overrides. Whoever makes one leaves out what is private."""


class Moment(Struct, frozen=True):
    """A time in UTC, as HTML's ``datetime`` and as text."""

    machine: str
    text: str


def moment(at: float) -> Moment:
    """The time at these seconds since 1970."""
    try:
        time = datetime.fromtimestamp(at, UTC)
    except (OverflowError, ValueError, OSError):
        # Only a hand writes such a time into a store, and the rest of the page is worth showing.
        return Moment("", "never")
    return Moment(f"{time:%Y-%m-%dT%H:%M:%SZ}", f"{time:%Y-%m-%d %H:%M:%S}")


def shown(view: object) -> dict[str, Any]:
    """A struct or a dictionary, and whatever stands in it, as dictionaries and lists with every text redacted.

    A sign that nobody sees is escaped: it could turn the writing of what stands beside it.
    """
    return cast("dict[str, Any]", _redacted(msgspec.to_builtins(view)))


def action_of(outcome: Outcome | None) -> str | None:
    """The operation to retry; ``None`` for a call that the app places, and for no retry."""
    if outcome is None or outcome.retry_action in (RetryAction.PLACE_CALL, RetryAction.NONE):
        return None
    return outcome.retry_action.value


def _redacted(value: Any) -> Any:
    if isinstance(value, str):
        return visible(redact(value), kept="\n\t")
    if isinstance(value, dict):
        fields = cast("dict[str, Any]", value).items()
        return {name: field if name in OPEN else _redacted(field) for name, field in fields}
    if isinstance(value, list | tuple):
        return [_redacted(item) for item in cast("Iterable[Any]", value)]
    return value
