"""What a recording tells of each call: its events in the order of time, each as the step that posts it again."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, cast

import msgspec

from ringback.core.delivery import Fault, Origin
from ringback.core.elements import read_element
from ringback.exceptions import ConfigurationError
from ringback.simulator.recordings.lines import read, refused
from ringback.simulator.recordings.pseudonyms import HIDDEN
from ringback.simulator.scenarios import Step
from ringback.simulator.wire import object_of
from ringback.testing.events import BUILDERS

if TYPE_CHECKING:
    from pathlib import Path

    from ringback.core.delivery import Diagnostic, Event
    from ringback.testing.wire import Detail


@dataclass(frozen=True, slots=True)
class Told:
    """One recorded event: when it came, and as a step."""

    at: float
    step: Step
    event: Event
    is_hidden: bool
    """Whether the recording hides what the callee did."""


@dataclass(slots=True)
class RecordedCall:
    """What a recording tells of one call."""

    events: list[Told] = field(default_factory=list[Told])
    left_out: int = 0

    def add(self, told: Told) -> None:
        """Add an event; an event that came again is a copy of the event that came first."""
        for at, each in enumerate(self.events):
            if told.event.id is not None and each.event.id == told.event.id:
                self.events[at] = replace(each, step=replace(each.step, copies=each.step.copies + 1))
                return
        self.events.append(told)


def calls_in(path: Path, only: str | None) -> dict[str, RecordedCall]:
    """The calls of a recording by their stand-ins, or ``only`` one. Raises :class:`ConfigurationError`."""
    calls: dict[str, RecordedCall] = {}
    for number, line in read(path):
        for given in line.events:
            element = msgspec.json.encode(given)
            event = read_element(element, 0, Origin(element, 0))
            if isinstance(event, Fault):
                raise refused(path, number, event.reason)
            if event.data.call_connection_id is None:
                # Of Event Grid, for example: a scenario is what Call Automation sends of a call.
                continue
            call = calls.setdefault(event.data.call_connection_id, RecordedCall())
            if event.name in BUILDERS:
                # Some relays forward an event's data alone.
                raw = object_of(next((value for key, value in given.items() if key.lower() == "data"), given))
                call.add(Told(line.at, _step(event, raw), event, HIDDEN in str(raw)))
            else:
                call.left_out += 1
    known = {name: call for name, call in calls.items() if call.events}
    if not known:
        raise ConfigurationError(
            f"recording '{path}' has no event of a call; record a call with: ringback record --to URL --out FILE"
        )
    if only is not None and only not in known:
        raise ConfigurationError(f"recording '{path}' has no call {only!r}; it has {', '.join(known)}")
    return known if only is None else {only: known[only]}


def _step(event: Event, raw: dict[str, Any]) -> Step:
    name, result, builder = event.name, event.result, BUILDERS[event.name]
    # The builders take the keys in snake case.
    given = {re.sub(r"(?<=[a-z])(?=[A-Z])", "_", key).lower(): value for key, value in raw.items()}
    fields = {key: _spoken(given[key]) for key in builder.extra if key in _OWN_WORDS and key in given}
    if name == "RecognizeCompleted":
        # The builder would add keys of its own.
        fields = dict.fromkeys(builder.extra) | fields
    context = event.data.operation_context if builder.context != "none" else None
    if result is None or result.code is None:
        return Step(event=name, fields=fields, context=context)
    return Step(
        event=name,
        code=result.code,
        subcode=result.subcode or 0,
        message=result.message,
        sip=_detail(result.sip),
        q850=None if result.q850 is None else result.q850.code,
        fields=fields,
        context=context,
    )


_OWN_WORDS = frozenset(
    """
    recognition_type dtmf_result choice_result speech_result failed_play_source_index tone sequence_id
    media_streaming_update transcription_update state recording_kind
    """.split()
)
"""The fields that tell of no id and of no participant: the replayed call has its own."""


def _spoken(value: object, key: str = "") -> object:
    """The value with a key in place of a hidden one, because parsers know no other tones."""
    if isinstance(value, dict):
        return {name: _spoken(each, name) for name, each in cast("dict[str, object]", value).items()}
    if isinstance(value, list):
        return [_spoken(each, key) for each in cast("list[object]", value)]
    return "one" if value == HIDDEN and key.lower() in ("tone", "tones") else value


def _detail(given: Diagnostic | None) -> Detail | None:
    return None if given is None or given.code is None else (given.code, given.message or "")
