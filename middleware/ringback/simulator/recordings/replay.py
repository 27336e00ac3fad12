"""The scenarios of a recording: one for each recorded call, to be posted whole or to be played with a client.

A builder makes each event anew, so a replayed event has the ids of its own call and the keys of the service.
"""

from __future__ import annotations

import itertools
import re
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, cast

import msgspec

from ringback.exceptions import ConfigurationError
from ringback.simulator.recordings.lines import read, refused
from ringback.simulator.recordings.pseudonyms import HIDDEN
from ringback.simulator.scenarios import Scenario, Step
from ringback.testing.events import BUILDERS
from ringback_catalog import EVENTS, EventKind, event_name

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from ringback.testing.wire import Detail


class _Detail(msgspec.Struct):
    code: int | None = None
    message: str = ""


def _folded_name(name: str) -> str:
    return name.replace("_", "")


class _Result(msgspec.Struct, rename=_folded_name):
    code: int
    sub_code: int = 0
    message: str | None = None
    sip_details: _Detail | None = None
    q850_details: _Detail | None = None


class _Data(msgspec.Struct, rename=_folded_name):
    call_connection_id: str | None = None
    version: str | None = None
    operation_context: str | None = None
    result_information: _Result | None = None


class _Event(msgspec.Struct):
    type: str
    data: Any = None
    id: str | None = None


@dataclass(frozen=True, slots=True)
class _Told:
    """One recorded event: when it came, as a step, and what its data says."""

    at: float
    step: Step
    event_id: str | None
    data: _Data
    is_hidden: bool
    """Whether the recording hides what the callee did."""


@dataclass(slots=True)
class _Call:
    """What a recording tells of one call."""

    events: list[_Told] = field(default_factory=list[_Told])
    left_out: int = 0

    def add(self, told: _Told) -> None:
        """Add an event; an event that came again is a copy of the event that came first."""
        for at, each in enumerate(self.events):
            if told.event_id is not None and each.event_id == told.event_id:
                self.events[at] = replace(each, step=replace(each.step, copies=each.step.copies + 1))
                return
        self.events.append(told)


def whole_calls(path: Path, only: str | None = None) -> list[Scenario]:
    """A scenario for each call of the file, whose steps are all events of the call, at their recorded times.

    ``only`` names one call. Raises :class:`ConfigurationError` for a file that cannot be replayed.
    """
    calls = _calls(path, only)
    first = min(call.events[0].at for call in calls.values())
    return [_scenario(name, call, _spaced(call.events, first)) for name, call in calls.items()]


def played_calls(path: Path, only: str | None = None) -> list[Scenario]:
    """A scenario for each call of the file, for a client: of its events those that come by themselves.

    The others answer requests of the app, so they are the scenario's ``results``. ``only`` names one call. Raises
    :class:`ConfigurationError` for a file that cannot be replayed.
    """
    found: list[Scenario] = []
    for name, call in _calls(path, only).items():
        steps = tuple(_played(call.events))
        results = tuple(replace(each.step, context=None) for each in call.events if _answers(each))
        if steps:
            found.append(_scenario(name, call, steps, results))
    if not found:
        raise ConfigurationError(f"recording '{path}' has no call that begins or ends; post it with ringback trigger")
    return found


def _calls(path: Path, only: str | None) -> dict[str, _Call]:
    calls: dict[str, _Call] = {}
    for number, line in read(path):
        for given in line.events:
            try:
                event = msgspec.convert(given, _Event)
                raw = cast("dict[str, Any]", event.data) if isinstance(event.data, dict) else {}
                data = msgspec.convert(_folded(raw), _Data)
            except msgspec.ValidationError as error:
                raise refused(path, number, error) from error
            if data.call_connection_id is None:
                # Of Event Grid, for example: a scenario is what Call Automation sends of a call.
                continue
            call = calls.setdefault(data.call_connection_id, _Call())
            name = event_name(event.type)
            if name in BUILDERS:
                call.add(_Told(line.at, _step(name, data, raw), event.id, data, HIDDEN in str(raw)))
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


def _folded(value: object) -> object:
    """The value with the keys of all objects in lower case, as senders may write them in any."""
    if isinstance(value, list):
        return [_folded(each) for each in cast("list[object]", value)]
    if not isinstance(value, dict):
        return value
    return {key.lower(): _folded(each) for key, each in cast("dict[str, object]", value).items()}


def _step(name: str, data: _Data, raw: dict[str, Any]) -> Step:
    result, builder = data.result_information, BUILDERS[name]
    given = {_snake(key): value for key, value in raw.items()}
    fields = {key: _spoken(given[key]) for key in builder.extra if key in _OWN_WORDS and key in given}
    if name == "RecognizeCompleted":
        # The builder would add keys of its own.
        fields = dict.fromkeys(builder.extra) | fields
    context = data.operation_context if builder.context != "none" else None
    if result is None:
        return Step(event=name, fields=fields, context=context)
    return Step(
        event=name,
        code=result.code,
        subcode=result.sub_code,
        message=result.message,
        sip=_detail(result.sip_details),
        q850=result.q850_details.code if result.q850_details else None,
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


def _snake(key: str) -> str:
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", key).lower()


def _spoken(value: object, key: str = "") -> object:
    """The value with a key in place of a hidden one, because parsers know no other tones."""
    if isinstance(value, dict):
        return {name: _spoken(each, name) for name, each in cast("dict[str, object]", value).items()}
    if isinstance(value, list):
        return [_spoken(each, key) for each in cast("list[object]", value)]
    return "one" if value == HIDDEN and key.lower() in ("tone", "tones") else value


def _detail(given: _Detail | None) -> Detail | None:
    return None if given is None or given.code is None else (given.code, given.message)


def _spaced(events: list[_Told], begin: float) -> tuple[Step, ...]:
    """The events as steps with the seconds between them, the first after ``begin``."""
    times = [begin, *(each.at for each in events)]
    gaps = [round(later - earlier, 3) for earlier, later in itertools.pairwise(times)]
    return tuple(replace(each.step, lag=gap) for each, gap in zip(events, gaps, strict=True))


def _played(events: list[_Told]) -> Iterator[Step]:
    """The steps that come by themselves. People take the time between, so the simulator's speed divides it.

    A callee who was connected stays until the app has been quiet as long as it ever was in the recording, because a
    replayed prompt takes another time; unless the recorded end cut something off.
    """
    pauses = [later.at - earlier.at for earlier, later in itertools.pairwise(events)]
    may_wait = not any(each.step.event.endswith("Canceled") for each in events)
    begin, is_connected = events[0].at, False
    for each in events:
        name = each.step.event
        if not _comes_by_itself(name):
            continue
        waits = EVENTS[name].kind is EventKind.END and is_connected and may_wait
        after = max(pauses) if waits else each.at - begin
        # The contexts are those of the app's requests.
        yield replace(each.step, after=round(after, 3), quiet=waits, context=None)
        begin, is_connected = each.at, name == "CallConnected" or (is_connected and not waits)


def _comes_by_itself(name: str) -> bool:
    return EVENTS[name].kind in (EventKind.BEGIN, EventKind.END) or name == "ParticipantsUpdated"


def _answers(told: _Told) -> bool:
    """Whether the event ends an operation that the app asked for, and says how. Else the scenario's callee decides."""
    name = told.step.event
    ends = name.endswith(("Completed", "Failed", "Succeeded", "Accepted"))
    return ends and EVENTS[name].kind is EventKind.ANSWER and not (name == "RecognizeCompleted" and told.is_hidden)


def _scenario(name: str, call: _Call, steps: tuple[Step, ...], results: tuple[Step, ...] = ()) -> Scenario:
    datas = [each.data for each in call.events]
    left_out = f"; {call.left_out} of unknown kinds are left out" if call.left_out else ""
    return Scenario(
        name=name,
        about=f"recorded, {len(call.events)} events{left_out}",
        steps=steps,
        results=results,
        version=next((data.version for data in datas if data.version), None),
        bare=all(data.result_information is None for data in datas),
    )
