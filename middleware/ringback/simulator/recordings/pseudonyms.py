"""An event without what is private: ids and numbers have stand-ins, and only the words of closed sets stay.

A key that no row names may hold anything, so its text goes: a recording is private by default.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, cast

from ringback.privacy.private import GUID
from ringback.privacy.redaction import redact

if TYPE_CHECKING:
    from collections.abc import Mapping

HIDDEN = "[text]"
"""Stands for a text that may be private, such as what somebody said."""

_STAND_INS = {
    "callconnectionid": "call",
    "servercallid": "server-call",
    "correlationid": "correlation",
    "recordingid": "recording",
    "invitationid": "invitation",
    "fromcall": "call",
    # The members of an identifier: a raw id, a telephone number, a user's id.
    "rawid": "participant",
    "value": "participant",
    "id": "participant",
    "userid": "participant",
    "appid": "participant",
}
"""The keys of ids in ``data``, in lower case, with the first word of the stand-in."""

_WORDS = frozenset(
    """
    type eventtype specversion datacontenttype dataversion metadataversion version publiceventtype kind state
    recognitiontype contenttype recordingkind recordingtype mediastreamingstatus mediastreamingstatusdetails
    transcriptionstatus transcriptionstatusdetails
    """.split()
)
"""The keys whose values are words of closed sets, or versions."""

_MESSAGES = frozenset({"message", "phrase"})
"""The keys of the service's own sentences, which may name ids."""
_ADDRESSES = frozenset({"source", "subject", "eventsource"})
"""The keys of paths that repeat ids of the event."""
_LEFT_OUT = frozenset({"time", "eventtime", "startdatetime"})
"""The keys of times: a line of a recording says when its delivery came."""

_LARGEST = 10**7
"""A whole number of more digits may be a telephone number."""


class Pseudonyms:
    """The stand-ins of one recording: the same id always has the same one, such as ``call-1``.

    With ``texts`` what people said and pressed and the app's own contexts stay, as far as redaction lets them.
    """

    def __init__(self, *, texts: bool = False) -> None:
        self._texts = texts
        self._given: dict[tuple[str, str], str] = {}
        self._counts = Counter[str]()

    def event(self, event: Mapping[str, Any]) -> dict[str, Any]:
        """A copy of an event, as decoded from JSON, without what is private."""
        ids = {text: self._of(kind, text) for text, kind in _ids(event.get("data")) if text}
        own = event.get("id")
        # A member of the event itself that has the name of a participant's.
        head = {"id": self._of("event", own)} if isinstance(own, str) else {}
        rest = {key: value for key, value in event.items() if key != "id"}
        return {**head, **cast("dict[str, Any]", self._value("", rest, ids))}

    def _of(self, kind: str, text: str) -> str:
        # A telephone number is a participant with and without the prefix of raw ids.
        key = (kind, text.removeprefix("4:"))
        if key not in self._given:
            self._counts[kind] += 1
            self._given[key] = f"{kind}-{self._counts[kind]}"
        return self._given[key]

    def _value(self, key: str, value: object, ids: Mapping[str, str]) -> object:
        if isinstance(value, dict):
            members = cast("dict[str, object]", value)
            return {
                redact(name): self._value(name.lower(), member, ids)
                for name, member in members.items()
                if name.lower() not in _LEFT_OUT
            }
        if isinstance(value, list):
            return [self._value(key, each, ids) for each in cast("list[object]", value)]
        if isinstance(value, str):
            return self._text(key, value, ids)
        return 0 if isinstance(value, int) and abs(value) >= _LARGEST else value

    def _text(self, key: str, text: str, ids: Mapping[str, str]) -> str:
        if key in _STAND_INS and text in ids:
            return ids[text]
        if key in _WORDS:
            return redact(text)
        # An address of Event Grid names the subscription and the people.
        is_known = key in _MESSAGES or (key in _ADDRESSES and text.startswith("calling/"))
        if not is_known and not (self._texts and key != "incomingcallcontext"):
            return HIDDEN
        for own in sorted(ids, key=len, reverse=True):
            text = text.replace(own, ids[own])
        return redact(GUID.sub(lambda found: self._of("id", found[0]), text))


def _ids(data: object) -> list[tuple[str, str]]:
    """Every id in the data of an event, with the first word of its stand-in."""
    if isinstance(data, list):
        return [found for each in cast("list[object]", data) for found in _ids(each)]
    if not isinstance(data, dict):
        return []
    found: list[tuple[str, str]] = []
    for name, value in cast("dict[str, object]", data).items():
        kind = _STAND_INS.get(name.lower())
        found += [(value, kind)] if kind is not None and isinstance(value, str) else _ids(value)
    return found
