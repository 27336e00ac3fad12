"""How an event is built: an event of any type, and what a builder of one type knows of its events.

A builder gives a CloudEvent as a plain dictionary with the keys of the recorded deliveries.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ringback.exceptions import ConfigurationError
from ringback.testing.calls import Call
from ringback.testing.wire import control, diagnosed, refuse_without_code, result, timestamp
from ringback_catalog import PREFIX

if TYPE_CHECKING:
    from datetime import datetime

    from ringback.testing.wire import Detail

CloudEvent = dict[str, Any]
"""An event as decoded JSON."""

Message = Callable[[int, int, Call], str]
"""Gives the message of a result from its code, its subcode and the call."""


def call_event(
    name: str,
    code: int | None = None,
    subcode: int = 0,
    *,
    message: str | None = None,
    sip: Detail | None = None,
    q850: Detail | None = None,
    call: Call | None = None,
    operation_context: str | None = None,
    event_id: str | None = None,
    time: datetime | str | None = None,
    source: str | None = None,
    data: Mapping[str, Any] | None = None,
) -> CloudEvent:
    """An event of any type, also of an unknown type. Without a code the event has no result.

    ``name`` may leave out the prefix ``Microsoft.Communication.``. ``data`` are keys of the event's ``data``, spelled
    as in the event; they replace keys that the event has by itself. Without ``call`` the event belongs to a new call.
    ``time`` is in UTC or has its zone. Raises :class:`ConfigurationError` for parts of a result without a code.
    """
    call = call or Call()
    content: dict[str, Any] = {**(data or {}), "version": call.version}
    if operation_context is not None:
        content["operationContext"] = operation_context
    if code is not None:
        text = diagnosed(code, subcode) if message is None else message
        content["resultInformation"] = result(code, subcode, text, sip, q850)
    else:
        refuse_without_code(subcode=subcode or None, message=message, sip=sip, q850=q850)
    full_name = name if name.startswith("Microsoft.") else PREFIX + name
    source = f"calling/callConnections/{call.call_connection_id}" if source is None else source
    ids = {
        "callConnectionId": call.call_connection_id,
        "serverCallId": call.server_call_id,
        "correlationId": call.correlation_id,
        "publicEventType": full_name,
    }
    return {
        "id": call.ids() if event_id is None else event_id,
        "source": source,
        "type": full_name,
        "data": content | ids | dict(data or {}),
        "time": timestamp(call.clock() if time is None else time),
        "specversion": "1.0",
        "datacontenttype": "application/json",
        "subject": source,
    }


@dataclass(frozen=True, slots=True)
class Builder:
    """Builds events of one type: ``call_disconnected(486, 560486, call=call)``.

    Without a code the event has ``code`` and ``subcode`` of the builder; with a code, the default subcode is 0.
    ``extra`` are the further keys of this type with their values for a call; a caller gives other values by name, in
    snake case. ``context`` says which operation context the event has: ``"call"`` the call's, ``"action"`` the one
    that the caller gives, ``"none"`` none. Of the keys in ``one_of`` an event has one: a given one replaces the others.
    """

    name: str
    code: int = 200
    subcode: int = 0
    words: Message = control
    context: str = "action"
    one_of: frozenset[str] = frozenset()
    extra: Mapping[str, Callable[[Call], Any]] = field(default_factory=dict[str, Callable[[Call], Any]])
    source: Callable[[Call], str | None] = lambda _: None

    def __call__(
        self,
        code: int | None = None,
        subcode: int | None = None,
        *,
        message: str | None = None,
        sip: Detail | None = None,
        q850: Detail | None = None,
        call: Call | None = None,
        operation_context: str | None = None,
        event_id: str | None = None,
        time: datetime | str | None = None,
        **extra: Any,
    ) -> CloudEvent:
        """An event of this type. ``sip`` and ``q850`` are a code, or a code and its text; ``time`` is in UTC.

        Raises :class:`ConfigurationError` for a key that events of this type do not have.
        """
        call = call or Call()
        if subcode is None:
            subcode = self.subcode if code is None else 0
        code = self.code if code is None else code
        return call_event(
            self.name,
            code,
            subcode,
            message=self.words(code, subcode, call) if message is None else message,
            sip=sip,
            q850=q850,
            call=call,
            operation_context=self._context(call, operation_context),
            event_id=event_id,
            time=time,
            source=self.source(call),
            data=self._data(call, extra),
        )

    def _context(self, call: Call, given: str | None) -> str | None:
        if self.context == "none":
            if given is not None:
                raise ConfigurationError(f"the service puts no operationContext into {self.name}; leave it out")
            return None
        return call.operation_context if given is None and self.context == "call" else given

    def _data(self, call: Call, given: Mapping[str, Any]) -> dict[str, Any]:
        unknown = sorted(given.keys() - self.extra.keys())
        if unknown:
            has = ", ".join(sorted(self.extra)) or "no further ones"
            raise ConfigurationError(f"{self.name} has no {unknown[0]!r}; it has {has}. For any key use call_event()")
        extra = self.extra
        if given.keys() & self.one_of:
            extra = {key: value_of for key, value_of in extra.items() if key in given or key not in self.one_of}
        values = {key: given[key] if key in given else value_of(call) for key, value_of in extra.items()}
        camel = {re.sub(r"_(\w)", lambda found: found[1].upper(), key): value for key, value in values.items()}
        return {key: value for key, value in camel.items() if value is not None}

    def __repr__(self) -> str:
        return f"<builder of {self.name}>"
