"""The link to the project's form "I saw a code", filled in with one outcome."""

from __future__ import annotations

from importlib.metadata import version
from typing import TYPE_CHECKING
from urllib.parse import urlencode

from ringback.cli._screen import pair
from ringback.privacy.redaction import redact

if TYPE_CHECKING:
    from ringback.core.outcome import Outcome

FORM = "https://github.com/ringback/ringback/issues/new"
"""Where an issue is made. The names in the query are the ids of the form's fields:
https://docs.github.com/issues/tracking-your-work-with-issues/using-issues/creating-an-issue
"""


def link(outcome: Outcome) -> str:
    """The address of the form: numbers, the catalog's own words, and the event's name, redacted."""
    verdict = f"{outcome.cause}, {outcome.category}, retry {outcome.retry_class}, owner {outcome.owner}"
    fields = {
        "template": "code.yml",
        "title": f"Code: {pair(outcome.code, outcome.subcode)}",
        "event": redact(outcome.event_name),
        "code": outcome.code,
        "subcode": outcome.subcode,
        "sip": outcome.sip and outcome.sip.code,
        "q850": outcome.q850 and outcome.q850.code,
        "answer": f"{verdict} (match {outcome.match}, ringback {version('ringback')})",
    }
    return f"{FORM}?{urlencode({name: value for name, value in fields.items() if value not in (None, '')})}"
