"""The scenarios of a recording: one for each recorded call, to be posted whole or to be played with a client.

A builder makes each event anew, so a replayed event has the ids of its own call and the keys of the service.
"""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import TYPE_CHECKING

from ringback.exceptions import ConfigurationError
from ringback.simulator.recordings.told import calls_in
from ringback.simulator.scenarios import Scenario, Step
from ringback_catalog import EVENTS, EventKind

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from ringback.simulator.recordings.told import RecordedCall, Told


def whole_calls(path: Path, only: str | None = None) -> list[Scenario]:
    """A scenario for each call of the file, whose steps are all events of the call, at their recorded times.

    ``only`` names one call. Raises :class:`ConfigurationError` for a file that cannot be replayed.
    """
    calls = calls_in(path, only)
    first = min(call.events[0].at for call in calls.values())
    return [_scenario(name, call, _spaced(call.events, first)) for name, call in calls.items()]


def played_calls(path: Path, only: str | None = None) -> list[Scenario]:
    """A scenario for each call of the file, for a client: of its events those that come by themselves.

    The others answer requests of the app, so they are the scenario's ``results``. ``only`` names one call. Raises
    :class:`ConfigurationError` for a file that cannot be replayed.
    """
    found: list[Scenario] = []
    for name, call in calls_in(path, only).items():
        steps = tuple(_played(call.events))
        results = tuple(replace(each.step, context=None) for each in call.events if _answers(each))
        if steps:
            found.append(_scenario(name, call, steps, results))
    if not found:
        raise ConfigurationError(f"recording '{path}' has no call that begins or ends; post it with ringback trigger")
    return found


def _spaced(events: list[Told], begin: float) -> tuple[Step, ...]:
    """The events as steps with the seconds between them, the first after ``begin``."""
    times = [begin, *(each.at for each in events)]
    gaps = [round(later - earlier, 3) for earlier, later in itertools.pairwise(times)]
    return tuple(replace(each.step, lag=gap) for each, gap in zip(events, gaps, strict=True))


def _played(events: list[Told]) -> Iterator[Step]:
    """The steps that come by themselves. People take the time between, so the simulator's speed divides it.

    A callee who was connected stays until the app has been quiet as long as it ever was in the recording, because a
    replayed prompt takes another time; unless the recorded end cut something off.
    """
    pauses = [later.at - earlier.at for earlier, later in itertools.pairwise(events)]
    may_wait = not any(each.step.event.endswith("Canceled") for each in events)
    begin, is_connected = events[0].at, False
    for each in events:
        name = each.step.event
        if EVENTS[name].kind not in (EventKind.BEGIN, EventKind.END) and name != "ParticipantsUpdated":
            continue
        waits = EVENTS[name].kind is EventKind.END and is_connected and may_wait
        after = max(pauses) if waits else each.at - begin
        # The contexts are those of the app's requests.
        yield replace(each.step, after=round(after, 3), quiet=waits, context=None)
        begin, is_connected = each.at, name == "CallConnected" or (is_connected and not waits)


def _answers(told: Told) -> bool:
    """Whether the event ends an operation that the app asked for, and says how. Else the scenario's callee decides."""
    name = told.step.event
    ends = name.endswith(("Completed", "Failed", "Succeeded", "Accepted"))
    return ends and EVENTS[name].kind is EventKind.ANSWER and not (name == "RecognizeCompleted" and told.is_hidden)


def _scenario(name: str, call: RecordedCall, steps: tuple[Step, ...], results: tuple[Step, ...] = ()) -> Scenario:
    datas = [each.event.data for each in call.events]
    left_out = f"; {call.left_out} of unknown kinds are left out" if call.left_out else ""
    return Scenario(
        name=name,
        about=f"recorded, {len(call.events)} events{left_out}",
        steps=steps,
        results=results,
        version=next((data.version for data in datas if data.version), None),
        bare=all(data.result_information is None for data in datas),
    )
