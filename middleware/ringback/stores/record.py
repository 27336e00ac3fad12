"""An outcome as stored bytes, and back. Pure.

A record has the fields that join, classify and explain an event: ids, the app's own operation context, type, time and
result as the sender wrote them. A record has nothing else of the event's body, no header and no token. The texts of the
service and of carriers, the source and the subject embed phone numbers, so they are redacted first (see
:func:`~ringback.privacy.redaction.use_redaction`); source and subject also lose what a URL may hide after ``?`` or
``#`` or before ``@``. The record has the verdict with its entry, so that a hook gets what was decided when the event
came, whatever catalog the worker has. A store may keep verdicts apart: there are few, and a verdict is longer than the
rest of a record.
"""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType, convert
from msgspec.structs import fields

from ringback.core.delivery import digest_of
from ringback.core.events import Diagnostic, Event, EventData, Result, Update
from ringback.core.outcome import Outcome
from ringback.exceptions import StoreError
from ringback.privacy.redaction import redact, redact_if_told, redact_place
from ringback.stores._json import encoded
from ringback.stores.verdicts import loaded, stored_verdict
from ringback.work.contact import Contact
from ringback.work.items import Progress
from ringback.work.told import number
from ringback_catalog import Catalog, CatalogError, Disposition, RetryAction, Verdict, action_after

LONGEST_REASON = 1000
"""Characters of a hook's reason to fail; an exception's text may be as long as a body."""


class _Detail(Struct, frozen=True, omit_defaults=True):
    """A SIP status or a Q.850 cause. Unlike :class:`Diagnostic`, it may have fields of a newer release."""

    code: int | None = None
    message: str | None = None


class _Result(Struct, frozen=True, omit_defaults=True):
    code: int | None = None
    subcode: int | None = None
    message: str | None = None
    sip: _Detail | None = None
    q850: _Detail | None = None


class _Record(Struct, frozen=True, omit_defaults=True):
    """A release may add a field with a default; no release renames a field or changes its meaning."""

    type: str
    verdict: Raw | UnsetType = UNSET
    id: str | None = None
    source: str | None = None
    subject: str | None = None
    time: str | None = None
    call_connection_id: str | None = None
    server_call_id: str | None = None
    correlation_id: str | None = None
    operation_context: str | None = None
    version: str | None = None
    result: _Result | None = None
    media_streaming_details: str | None = None
    transcription_details: str | None = None
    own: dict[str, Any] = {}
    """The fields of the outcome beside event, verdict and sibling, by name."""


def dump(outcome: Outcome, *, apart: bool = False) -> bytes:
    """The outcome's event and verdict as JSON, without the verdict for a store that keeps the verdict ``apart``;
    :func:`dump_sibling` gives the sibling. Never raises.

    :func:`load` gives the outcome back, but for the sibling, the event's raw bytes, what was private, numbers that no
    event can carry (absent), and lone surrogates (their escapes).
    """
    return _dumped(outcome.event, UNSET if apart else Raw(stored_verdict(outcome.verdict).text), outcome)


def dump_sibling(outcome: Outcome) -> bytes | None:
    """The record of the event of the outcome's sibling, if it has one."""
    return None if outcome.sibling is None else _dumped(outcome.sibling, UNSET)


def _dumped(event: Event, verdict: Raw | UnsetType, outcome: Outcome | None = None) -> bytes:
    """The record of the event; ``outcome`` is the event's own, which no sibling has."""
    data = event.data
    source = None if event.source is None else redact_place(event.source)
    subject = event.subject
    if subject is not None:
        # Source and subject are mostly the same, and to redact a text costs more than to compare two.
        subject = source if subject == event.source else redact_place(subject)
    return encoded(
        _Record(
            type=event.type,
            verdict=verdict,
            id=event.id,
            source=source,
            subject=subject,
            time=event.time,
            call_connection_id=data.call_connection_id,
            server_call_id=data.server_call_id,
            correlation_id=data.correlation_id,
            operation_context=data.operation_context,
            version=data.version,
            result=_stored(data.result_information),
            media_streaming_details=_details(data.media_streaming_update),
            transcription_details=_details(data.transcription_update),
            own={} if outcome is None else _own(outcome, source),
        )
    )


def _own(outcome: Outcome, redacted: str | None) -> dict[str, Any]:
    """The fields of the outcome that the event does not give. ``redacted`` is the source as the record has it."""
    own = {name: value for name, default in _DEFAULTS if (value := getattr(outcome, name)) != default}
    source = outcome.event.source
    if source != redacted and outcome.source_digest is None:
        # The key of the outcome has the digest of the source as it came.
        own["source_digest"] = digest_of(source)
    return own


def _details(update: Update | None) -> str | None:
    if update is None:
        return None
    return redact_if_told(update.media_streaming_status_details or update.transcription_status_details)


def load(record: bytes, sibling: bytes | None = None, verdict: bytes | None = None) -> Outcome:
    """The outcome of a record. ``sibling`` is the sibling's record, ``verdict`` the JSON of a verdict kept apart.

    Raises :class:`StoreError` for bytes that no release up to this one wrote.
    """
    try:
        stored = _decoder.decode(record)
        text = stored.verdict if verdict is None else verdict
        if isinstance(text, UnsetType):
            raise msgspec.ValidationError("it has no verdict")
        event = _event(stored)
        decided, has_action = loaded(bytes(text))
        if not has_action:
            decided = _completed(decided, event)
        own = {field.name: convert(stored.own[field.name], field.type) for field in _OWN if field.name in stored.own}
        return Outcome(event, decided, None if sibling is None else _event(_decoder.decode(sibling)), **own)
    except _UNREADABLE as error:
        raise StoreError(f"a stored outcome cannot be read ({error}); {_REMEDY}") from error


def outcome_of(record: bytes | None, sibling: bytes | None, verdict: bytes | None = None) -> Outcome | None:
    """As :func:`load`; ``None`` if the store has forgotten the outcome, or cannot read it."""
    try:
        return None if record is None else load(record, sibling, verdict)
    except StoreError:
        return None


def dump_progress(progress: Progress) -> bytes | None:
    """The progress as JSON, with reasons redacted and cut, and without times that are not finite; ``None`` for none."""
    if progress == _NONE:
        return None
    first_sent = progress.first_sent
    return encoded(
        msgspec.structs.replace(
            progress,
            failed={hook: redact(reason)[:LONGEST_REASON] for hook, reason in progress.failed.items()},
            tries=dict(progress.tries),
            wait={hook: at for hook, at in progress.wait.items() if math.isfinite(at)},
            first_sent=None if first_sent is None or not math.isfinite(first_sent) else first_sent,
        )
    )


def load_progress(stored: bytes | None) -> Progress:
    """The progress that :func:`dump_progress` wrote. Raises :class:`StoreError` for any other bytes."""
    if stored is None:
        return _NONE
    try:
        return _progress.decode(stored)
    except _UNREADABLE as error:
        raise StoreError(f"the progress of an item cannot be read ({error}); {_REMEDY}") from error


def progress_of(stored: bytes | None) -> Progress:
    """As :func:`load_progress`; a new progress if the store cannot read it."""
    try:
        return load_progress(stored)
    except StoreError:
        return _NONE


def _event(stored: _Record) -> Event:
    data = EventData(
        call_connection_id=stored.call_connection_id,
        server_call_id=stored.server_call_id,
        correlation_id=stored.correlation_id,
        operation_context=stored.operation_context,
        version=stored.version,
        result_information=_result(stored.result),
        media_streaming_update=_update(media_streaming_status_details=stored.media_streaming_details),
        transcription_update=_update(transcription_status_details=stored.transcription_details),
    )
    return Event(
        type=stored.type, id=stored.id, source=stored.source, subject=stored.subject, time=stored.time, data=data
    )


def _update(**details: str | None) -> Update | None:
    return Update(**details) if any(details.values()) else None


def _completed(verdict: Verdict, event: Event) -> Verdict:
    """A verdict of a release that stored no retry action, with the action of today's catalog or of the event."""
    if verdict.entry.disposition is Disposition.TERMINAL:
        return verdict
    result = event.data.result_information
    code, subcode = (None, None) if result is None else (result.code, result.subcode)
    today = Catalog.default().look_up(event.type or None, code, subcode).retry_action
    action = action_after(event.name, subcode) if today is RetryAction.NONE else today
    return replace(verdict, retry_action=action)


def _stored(result: Result | None) -> _Result | None:
    if result is None:
        return None
    sip, q850 = (
        None if detail is None else _Detail(number(detail.code), redact_if_told(detail.message))
        for detail in (result.sip, result.q850)
    )
    return _Result(number(result.code), number(result.subcode), redact_if_told(result.message), sip, q850)


def _result(stored: _Result | None) -> Result | None:
    if stored is None:
        return None
    details = (stored.sip, stored.q850)
    sip, q850 = (None if detail is None else Diagnostic(detail.code, detail.message) for detail in details)
    return Result(stored.code, stored.subcode, stored.message, sip, q850)


def dump_contact(contact: Contact) -> bytes:
    return encoded(contact)


def load_contact(stored: bytes | str | None) -> Contact:
    """What :func:`dump_contact` made; a new contact for ``None``. Raises :class:`StoreError` for any other bytes."""
    if stored is None:
        return Contact()
    try:
        contact = _contact.decode(stored)
    except _UNREADABLE as error:
        raise StoreError(f"what is known of a contact cannot be read ({error}); {_REMEDY}") from error
    times = (at for call in contact.calls for at in (call.at, call.answered_at, call.ended_at))
    for at in (contact.canceled_at, *times):
        if at is not None:
            time_of("time", at, "a contact")
    return contact


def time_of(column: str, at: float, whose: str = "an item") -> float:
    """A time that a store has in this column. Raises :class:`StoreError` for one that no calendar has."""
    try:
        datetime.fromtimestamp(at, UTC)
    except (TypeError, ValueError, OverflowError, OSError) as error:
        raise StoreError(f"{whose} in the store has the {column} {at!r}, which is no time; {_REMEDY}") from error
    return at


_NONE = Progress()
_OWN = [field for field in fields(Outcome) if field.name not in ("event", "verdict", "sibling")]
_DEFAULTS = [(field.name, field.default) for field in _OWN]
_UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError, CatalogError)
_REMEDY = "it is damaged, or of a newer release: upgrade this worker, or discard the item"
_decoder = msgspec.json.Decoder(_Record)
_progress = msgspec.json.Decoder(Progress)
_contact = msgspec.json.Decoder(Contact)
