"""The keys of an outcome: one table for the dictionary, the log line, the line of text, the page and the JSON Schema.

To add a key, add a row. Nothing else lists the keys.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any, Literal

from ringback.core.times import iso
from ringback.privacy.redaction import redact, redact_if_told
from ringback_catalog import PREFIX

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ringback.core.events import Diagnostic
    from ringback.core.outcome import Outcome
    from ringback_catalog import Verdict

SCHEMA = 2
"""The version of the log line. A new key keeps the version; a key that goes or changes its meaning makes a new one."""

_LAST_IN_TEXT = {"operation_context": 1, "summary": 2}
"""Long keys that end the line of text, so that a cut spares the others. The summary follows from the codes."""

_MOST = 2048  # Verdicts whose facts a line keeps.
_NO_FACTS: tuple[Verdict | None, dict[str, Any]] = (None, {})

Mark = Literal["shared", "id", "private", "text", "full", "dictionary", "line", "seldom", "detail"]
"""What holds for a key.

``shared``: all outcomes of one verdict, event type, code and subcode have the same text or number.
``id``: the service makes the value; one look at the ids of an event tells whether one of them is private.
``private``: a sender writes the value, so it must be redacted.
``text``: the line of text has the key. ``full``: the line has the key only with ``configure(detail="full")``.
``dictionary``: only :meth:`Outcome.to_dict` has the key, for the line is flat. ``line``: only the line has the key.
``seldom``: :meth:`Outcome.to_dict`, like the line, leaves the key out where there is no value.
``detail``: no event whose data :attr:`~EventData.is_plain` has a value.
"""


class Row:
    """One key. ``value`` gives what JSON can hold, or ``None`` where the outcome has no such value."""

    def __init__(self, name: str, value: Callable[[Outcome], Any], meaning: str, *marks: Mark) -> None:
        self.name, self.value, self.meaning, self.marks = name, value, meaning, marks


@cache
def _release() -> str:
    # Imported here, because reading the distribution's metadata costs time, and only the full line says the version.
    from importlib.metadata import version

    return version("ringback")


def _detail(detail: Diagnostic | None) -> dict[str, Any] | None:
    return None if detail is None else {"code": detail.code, "message": redact_if_told(detail.message)}


# fmt: off
ROWS = (
    Row("schema", lambda _: SCHEMA, "the version of these keys", "shared", "line"),
    Row("ringback_version", lambda _: _release(), "the release of Ringback that wrote the line", "shared", "line",
        "full"),
    Row("outcome_id", lambda o: o.outcome_id, "the same for all events that report one ending; the key to "
        "count by", "private", "full"),
    Row("event_id", lambda o: o.event.id, "the event's own id", "id"),
    Row("event_type", lambda o: o.event.type, "the type as received", "shared", "private", "text"),
    Row("scope", lambda o: o.scope.value, "`call` if it ended a call, else `operation`", "shared", "text"),
    Row("code", lambda o: o.code, "the result's code as received; absent if none was reported", "shared", "text"),
    Row("subcode", lambda o: o.subcode, "the result's subcode as received", "shared", "text"),
    Row("category", lambda o: o.category.value, "Microsoft's result category, or `Unknown`", "shared"),
    Row("category_basis", lambda o: o.category_basis.value, "`documented` by Microsoft for this key, or `inferred`",
        "shared", "full"),
    Row("cause", lambda o: o.cause.value, "why, one of a closed set of words", "shared", "text"),
    Row("disposition", lambda o: o.disposition.value, "`retryable` or `terminal`: with scope `call`, the hook that is "
        "called", "shared", "text"),
    Row("retry_class", lambda o: o.retry_class.value, "when the same may be tried again: `none`, `now`, `later`, "
        "`after_fix` or `never`", "shared", "text"),
    Row("retry_action", lambda o: o.retry_action.value, "what is to be made again: `place_call`, `connect_call`, "
        "`call_back`, `repeat_operation` or `none`", "shared", "text"),
    Row("attempts_exhausted", lambda o: o.attempts_exhausted, "", "dictionary"),
    Row("retry_after_seconds", lambda o: o.retry_after and o.retry_after.seconds, "how long to wait at least, where a "
        "source says it", "shared", "line"),
    Row("retry_after", lambda o: o.retry_after and o.retry_after.to_dict(), "", "dictionary", "seldom"),
    Row("owner", lambda o: o.owner.value, "who must act: `nobody`, `callee`, `app`, `admin`, `carrier` or `azure`",
        "shared", "text"),
    Row("confidence", lambda o: o.confidence.value, "how well sources support it: `high`, `medium` or `low`", "shared"),
    Row("match", lambda o: o.match.value, "the rung of the look-up that answered, `exact` to `none`", "shared"),
    Row("recognized", lambda o: o.recognized, "", "dictionary"),
    Row("refined_by", lambda o: o.refined_by, "`sip`, `q850`, `status` or `event` if it changed the answer", "shared"),
    Row("override", lambda o: o.override, "the row of your overrides that answered", "shared", "seldom"),
    Row("unheard", lambda o: o.unheard, "`sip`, `q850` or `status` if your override kept it from changing the answer",
        "shared", "seldom"),
    Row("summary", lambda o: o.summary, "what happened, in one line", "shared", "text"),
    Row("advice", lambda o: [*o.verdict.entry.advice], "what to do, in order"),
    Row("documentation", lambda o: o.documentation, "the page to read: Microsoft's, or [your own "
        "copy's](catalog.md#your-log-lines-can-lead-there)", "shared"),
    Row("sources", lambda o: list(o.sources), "the tables the verdict rests on", "full"),
    Row("call_connection_id", lambda o: o.event.data.call_connection_id, "the leg: joins its events", "id", "text"),
    Row("server_call_id", lambda o: o.event.data.server_call_id, "the service's own id of the call", "id", "full"),
    Row("correlation_id", lambda o: o.event.data.correlation_id, "the whole call: joins its legs", "id", "text"),
    Row("operation_context", lambda o: o.operation_context, "what your app set with its request", "private", "text"),
    Row("occurred_at", lambda o: (at := o.event.occurred_at) and iso(at), "the event's time, ISO 8601 in UTC"),
    Row("message", lambda o: o.message, "", "private", "dictionary"),
    Row("result_message", lambda o: o.message, "Microsoft's text; unstable, no key",
        "private", "line"),
    Row("sip", lambda o: _detail(o.sip), "", "dictionary"),
    Row("q850", lambda o: _detail(o.q850), "", "dictionary"),
    Row("sip_code", lambda o: (r := o.result) and r.sip and r.sip.code, "the SIP status", "line", "text", "detail"),
    Row("sip_reason", lambda o: (r := o.result) and r.sip and r.sip.message, "the text beside it", "private",
        "line", "detail"),
    Row("q850_cause", lambda o: (r := o.result) and r.q850 and r.q850.code, "the Q.850 cause", "line", "text",
        "detail"),
    Row("q850_reason", lambda o: (r := o.result) and r.q850 and r.q850.message, "the text beside it", "private",
        "line", "detail"),
    Row("status_details", lambda o: o.event.data.status_details, "why media streaming or transcription stands as "
        "it does, in the service's own word", "private", "text", "seldom", "detail"),
)
# fmt: on


def as_dict(outcome: Outcome) -> dict[str, Any]:
    """What :meth:`Outcome.to_dict` gives: every key of the dictionary, with ``None`` where the outcome has no value."""
    values = ((row, _value(row, outcome)) for row in ROWS if "line" not in row.marks)
    return {row.name: value for row, value in values if value is not None or "seldom" not in row.marks}


def _value(row: Row, outcome: Outcome) -> Any:
    value = row.value(outcome)
    return redact(value) if value is not None and ("private" in row.marks or "id" in row.marks) else value


class Line:
    """Makes the fields of ``call.outcome``: flat, without keys that have no value, the verdict's facts first.

    The line makes the facts of a verdict once and keeps the facts of at most :data:`_MOST` verdicts.
    """

    def __init__(self, rows: Sequence[Row] = ROWS, *, full: bool = False) -> None:
        chosen = [row for row in rows if "dictionary" not in row.marks and (full or "full" not in row.marks)]
        self._shared = [row for row in chosen if "shared" in row.marks]
        own = [row for row in chosen if "shared" not in row.marks]
        self._own = [(row.name, row.value, "private" in row.marks, "id" in row.marks) for row in own]
        self._of_plain = [each for each, row in zip(self._own, own, strict=True) if "detail" not in row.marks]
        named = (row.name for row in chosen if "text" in row.marks)
        self.in_text = sorted(named, key=lambda name: _LAST_IN_TEXT.get(name, 0))
        self._facts: dict[tuple[object, ...], tuple[Verdict | None, dict[str, Any]]] = {}

    def __call__(self, outcome: Outcome, *, ids_are_open: bool = False) -> dict[str, Any]:
        """The fields by key. ``ids_are_open``: the caller knows that none of the event's ids is private."""
        verdict, data = outcome.verdict, outcome.event.data
        result = data.result_information
        code, subcode = (None, None) if result is None else (result.code, result.subcode)
        key = id(verdict), outcome.attempts_exhausted, outcome.event.type, code, subcode
        kept_for, facts = self._facts.get(key, _NO_FACTS)
        # The line keeps the verdict beside the facts: as long as the verdict lives, no other verdict has its id.
        fields = facts.copy() if kept_for is verdict else self._made(outcome, key)
        for name, value_of, is_private, is_id in self._of_plain if data.is_plain else self._own:
            value = value_of(outcome)
            if value is not None:
                fields[name] = redact(value) if is_private or (is_id and not ids_are_open) else value
        return fields

    def _made(self, outcome: Outcome, key: tuple[object, ...]) -> dict[str, Any]:
        """The facts of an outcome's verdict, which the line keeps under ``key``."""
        values = ((row.name, _value(row, outcome)) for row in self._shared)
        facts = {name: value for name, value in values if value is not None}
        # A type that is no plain word may be private, and the app may set another redaction later.
        if outcome.event.type.removeprefix(PREFIX).isalpha():
            if len(self._facts) >= _MOST:
                # Senders choose types and codes, so their number has no end.
                self._facts.clear()
            self._facts[key] = outcome.verdict, facts.copy()
        return facts
