"""An outcome as stored bytes, and back. Pure.

Stored is what joins, classifies and explains an event, field by field: ids, the app's own operation
context, type, time and result as they came. Not the rest of its body, no header, no token. Texts of the
service and of carriers, source and subject are redacted first (see
:func:`~ringback.redaction.use_redaction`), for they embed phone numbers; source and subject also lose
what a URL may hide after ``?`` or ``#`` or before ``@``. The verdict is stored with its entry, so that a hook is
told what was decided when the event came, whatever catalog its worker has. A store may keep verdicts apart from the
records, for there are few, and they are the longer half.
"""

from __future__ import annotations

import dataclasses
import hashlib
import math
from functools import lru_cache
from typing import TYPE_CHECKING, Any, cast

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType

from ringback.events import Diagnostic, Event, EventData, Result
from ringback.exceptions import StoreError
from ringback.outcome import Outcome
from ringback.redaction import LONGEST_REMEMBERED, current, redact, redact_if_told, redact_place
from ringback.stores.port import Item, Kind, Progress
from ringback_catalog import (
    Catalog,
    CatalogError,
    CategoryBasis,
    Cause,
    Codes,
    Confidence,
    Entry,
    Key,
    Match,
    Owner,
    ResultCategory,
    RetryClass,
    Scope,
    Source,
    Verdict,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

LONGEST_KEY = 255
"""Characters of a key; a longer one is stored as its hash."""


LONGEST_REASON = 1000
"""Characters of a hook's reason to fail that are stored; a text of an exception may be as long as a body."""


class _Told(Struct, frozen=True, omit_defaults=True):
    """A SIP status or a Q.850 cause. Unlike the event's own, it lets fields of a newer release pass."""

    code: int | None = None
    message: str | None = None


class _Result(Struct, frozen=True, omit_defaults=True):
    code: int | None = None
    subcode: int | None = None
    message: str | None = None
    sip: _Told | None = None
    q850: _Told | None = None


class _Verdict(Struct, frozen=True, omit_defaults=True):
    """A verdict with its whole entry. A source of the packaged catalog is its id; any other is written out."""

    match: Match
    key: dict[str, Any]
    cause: Cause
    category: ResultCategory
    basis: CategoryBasis
    retry: RetryClass
    owner: Owner
    confidence: Confidence
    summary: str
    advice: tuple[str, ...]
    sources: tuple[str | Source, ...]
    note: str | None = None
    mixture: bool = False
    specific: bool = True
    with_codes: tuple[Codes, ...] = ()
    page: str | None = None
    refined_by: str | None = None


class _Record(Struct, frozen=True, omit_defaults=True):
    """A field may be added with a default; none is renamed, and none changes its meaning."""

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


def dump(outcome: Outcome) -> bytes:
    """The outcome's own event and verdict as JSON; its sibling is stored by itself, see :func:`load`.

    Never raises. :func:`load` gives the outcome back but for its sibling, the event's raw bytes, what was
    private, numbers no event can carry (absent), and lone surrogates (their escapes).
    """
    return _dumped(outcome, _stored(outcome.event.data.result_information), _rendered(outcome.verdict))


def _dumped(outcome: Outcome, result: _Result | None, verdict: Raw | UnsetType) -> bytes:
    event, data = outcome.event, outcome.event.data
    source = None if event.source is None else redact_place(event.source)
    subject = event.subject
    if subject is not None:
        # Mostly one and the same.
        subject = source if subject == event.source else redact_place(subject)
    return _encoded(
        # In the order of its fields: names take as long as all else.
        _Record(
            event.type,
            verdict,
            event.id,
            source,
            subject,
            event.time,
            data.call_connection_id,
            data.server_call_id,
            data.correlation_id,
            data.operation_context,
            data.version,
            result,
        )
    )


def load(record: bytes, sibling: bytes | None = None, verdict: bytes | None = None) -> Outcome:
    """The outcome of a record, with the event of another as its sibling, and with the verdict if that is kept apart.

    Raises :class:`StoreError` for bytes that no release up to this one wrote.
    """
    try:
        stored = _decoder.decode(record)
        told = stored.verdict if verdict is None else verdict
        if isinstance(told, UnsetType):
            raise msgspec.ValidationError("it has no verdict")
        return Outcome(
            _event(stored), _verdict(bytes(told)), None if sibling is None else _event(_decoder.decode(sibling))
        )
    except _UNREADABLE as error:
        raise StoreError(f"a stored outcome cannot be read ({error}); {_REMEDY}") from error


def dump_sibling(outcome: Outcome) -> bytes | None:
    """The record of the outcome's sibling, if it has one. The verdict in it is the outcome's and of no use."""
    if outcome.sibling is None:
        return None
    return dump(Outcome(outcome.sibling, outcome.verdict))


class Row(Struct, frozen=True, gc=False):
    """An item as an SQL store writes it. ``event`` is the event's short name, ``ended`` the key of Event Grid's
    CallEnded of the whole call. Only the end of a call has a ``cause`` and what follows it: what a history counts it
    by, which outlives the payload and names nobody. If the ``verdict`` is kept apart, it is in no payload.
    """

    key: str
    kind: str
    due_at: float
    ends_call: bool
    event: str
    call: str | None
    contact: str | None
    target: str | None
    number: int
    rank: int
    payload: bytes
    sibling: bytes | None
    now: float
    cause: str | None
    category: str | None
    retry: str | None
    match: str | None
    code: int | None
    subcode: int | None
    ended: str | None
    verdict: Apart | None


class Apart(Struct, frozen=True, gc=False):
    """A verdict that is kept apart from the records it belongs to: its text, and a number that no other text has."""

    id: int
    text: bytes


def row(item: Item, contact: str | None, now: float, *, apart: bool = False) -> Row:
    """The item as a row; ``contact`` as the store can keep it, the verdict ``apart`` or in the payload."""
    outcome = item.outcome
    data, result = outcome.event.data, _stored(outcome.event.data.result_information)
    reported, failed_to_start = outcome.informs()
    ends_call = item.kind is Kind.OUTCOME and outcome.scope is Scope.CALL
    call, ended = data.correlation_id, None
    if call is not None:
        whole = f"call:{call}"
        ended = short(whole)
        if ended is not whole:
            call = short(call)
    code = subcode = None
    cause, category, retry, match = _NOT_COUNTED
    if ends_call:
        cause, category, retry, match = _counted(outcome.verdict)
        if result is not None:
            code, subcode = result.code, result.subcode
    return Row(
        short(item.key),
        item.kind.value,
        item.due_at,
        ends_call,
        short(outcome.event_name),
        call,
        contact,
        item.target,
        item.number,
        2 * reported + failed_to_start,
        _dumped(outcome, result, UNSET if apart else _rendered(outcome.verdict)),
        dump_sibling(outcome),
        now,
        cause,
        category,
        retry,
        match,
        code,
        subcode,
        ended,
        _apart(outcome.verdict) if apart else None,
    )


def counted_by(outcome: Outcome) -> dict[str, Any]:
    """What a history counts the end of a call by, as :class:`Row` has it."""
    result = _stored(outcome.result)
    cause, category, retry, match = _counted(outcome.verdict)
    return {
        "cause": cause,
        "category": category,
        "retry": retry,
        "match": match,
        "code": None if result is None else result.code,
        "subcode": None if result is None else result.subcode,
    }


def dump_progress(progress: Progress) -> bytes | None:
    """The progress as JSON, ``None`` for none. Reasons are redacted and cut; a time that is no number is left out."""
    if progress == _NONE:
        return None
    first_sent = progress.first_sent
    return _encoded(
        msgspec.structs.replace(
            progress,
            failed={hook: redact(reason)[:LONGEST_REASON] for hook, reason in progress.failed.items()},
            tries=dict(progress.tries),
            wait={hook: at for hook, at in progress.wait.items() if math.isfinite(at)},
            first_sent=None if first_sent is None or not math.isfinite(first_sent) else first_sent,
        )
    )


def load_progress(stored: bytes | None) -> Progress:
    """Raises :class:`StoreError` for bytes that no release up to this one wrote."""
    if stored is None:
        return _NONE
    try:
        return _progress.decode(stored)
    except _UNREADABLE as error:
        raise StoreError(f"the progress of an item cannot be read ({error}); {_REMEDY}") from error


def short(key: str) -> str:
    """The key itself, or a hash in its place if it is longer than a store need keep."""
    if len(key) <= LONGEST_KEY and key.isprintable():
        return key
    kind = key[:32].partition(":")[0]
    digest = hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()
    return f"{kind if kind.isprintable() else 'key'}:sha256:{digest}"


def _event(stored: _Record) -> Event:
    data = EventData(
        call_connection_id=stored.call_connection_id,
        server_call_id=stored.server_call_id,
        correlation_id=stored.correlation_id,
        operation_context=stored.operation_context,
        version=stored.version,
        result_information=_result(stored.result),
    )
    return Event(
        type=stored.type, id=stored.id, source=stored.source, subject=stored.subject, time=stored.time, data=data
    )


def _rendered(verdict: Verdict) -> Raw:
    """The verdict as JSON, made once for all outcomes it answers for."""
    rendered: Raw | None = verdict.rendered.get("record")
    if rendered is None:
        entry, packaged = verdict.entry, _packaged()
        fields = {each.name: getattr(entry, each.name) for each in dataclasses.fields(entry)}
        fields["key"] = {
            name: value for name, value in dataclasses.asdict(entry.key).items() if value not in (None, ())
        }
        fields["sources"] = tuple(each.id if packaged.get(each.id) == each else each for each in entry.sources)
        rendered = Raw(_encoded(_Verdict(match=verdict.match, refined_by=verdict.refined_by, **fields)))
        verdict.rendered["record"] = rendered
    return rendered


def _apart(verdict: Verdict) -> Apart:
    apart: Apart | None = verdict.rendered.get("apart")
    if apart is None:
        text = bytes(_rendered(verdict))
        # Of 63 bits: SQL's whole numbers have a sign.
        number = int.from_bytes(hashlib.sha256(text).digest()[:8], "big") >> 1
        apart = verdict.rendered["apart"] = Apart(number, text)
    return apart


def _counted(verdict: Verdict) -> tuple[str, str, str, str]:
    """Cause, category, retry class and match; made once, for an enumeration's member is slow to say what it is."""
    counted: tuple[str, str, str, str] | None = verdict.rendered.get("counted")
    if counted is None:
        entry = verdict.entry
        counted = (entry.cause.value, entry.category.value, entry.retry.value, verdict.match.value)
        verdict.rendered["counted"] = counted
    return counted


@lru_cache(maxsize=1024)
def _verdict(text: bytes) -> Verdict:
    """There are few, and each is worth remembering: outcomes share them as they did before they were stored."""
    stored = _verdicts.decode(text)
    fields = {name: getattr(stored, name) for name in stored.__struct_fields__ if name not in ("match", "refined_by")}
    fields["key"] = msgspec.convert(stored.key, Key)
    fields["sources"] = tuple(_source(each) if isinstance(each, str) else each for each in stored.sources)
    return Verdict(Entry(**fields), stored.match, stored.refined_by)


def _source(name: str) -> Source:
    # One that only a newer release has is known by its name alone.
    return _packaged().get(name) or Source(id=name, document=name, table="", date="", url="")


@lru_cache(maxsize=1)
def _packaged() -> dict[str, Source]:
    return {source.id: source for entry in Catalog.default().entries for source in entry.sources}


def _stored(result: Result | None) -> _Result | None:
    if result is None:
        return None
    if result.message is not None and len(result.message) > LONGEST_REMEMBERED:
        return _kept(result)
    # There are few but for their messages, and those repeat.
    return _remembered(result, current())


def _kept(result: Result) -> _Result:
    sip, q850 = (
        None if told is None else _Told(_number(told.code), redact_if_told(told.message))
        for told in (result.sip, result.q850)
    )
    return _Result(_number(result.code), _number(result.subcode), redact_if_told(result.message), sip, q850)


@lru_cache(maxsize=2048)
def _remembered(result: Result, _: object) -> _Result:
    """As long as the same is to be redacted in the same way."""
    return _kept(result)


def _result(stored: _Result | None) -> Result | None:
    if stored is None:
        return None
    sip, q850 = (None if told is None else Diagnostic(told.code, told.message) for told in (stored.sip, stored.q850))
    return Result(stored.code, stored.subcode, stored.message, sip, q850)


def _number(number: int | None) -> int | None:
    """What :data:`ringback.events.Number` allows; ``classify`` takes any number."""
    return None if number is None or abs(number) > _BIGGEST else int(number)


def _encoded(value: Struct) -> bytes:
    try:
        return _encoder.encode(value)
    except UnicodeEncodeError:
        # JSON cannot bring a lone surrogate, but an app's own event or an exception's file name can.
        fields = {name: each for name, each in msgspec.structs.asdict(value).items() if each not in (None, UNSET)}
        return _encoder.encode(
            {
                name: each if isinstance(each, Raw) else _escaped(msgspec.to_builtins(each))
                for name, each in fields.items()
            }
        )


def _escaped(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode()
    if isinstance(value, dict):
        return {_escaped(key): _escaped(each) for key, each in cast("dict[str, Any]", value).items()}
    if isinstance(value, list | tuple):
        return [_escaped(each) for each in cast("Iterable[Any]", value)]
    return value


_NONE = Progress()
_NOT_COUNTED: tuple[str | None, str | None, str | None, str | None] = (None, None, None, None)
_BIGGEST = 2**31 - 1
_UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError, CatalogError)
_REMEDY = "it is damaged, or of a newer release: upgrade this worker, or discard the item"
_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(_Record)
_verdicts = msgspec.json.Decoder(_Verdict)
_progress = msgspec.json.Decoder(Progress)
