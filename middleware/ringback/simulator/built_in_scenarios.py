"""The scenarios that need no file: those of people, of carriers, of the service, and of deliveries in unusual order."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from ringback.simulator.scenarios import Answer, Scenario, Step

if TYPE_CHECKING:
    from collections.abc import Mapping

_Pair = tuple[Step, Step]

# Seconds that people take.
_RING, _PATIENCE, _TALK, _SILENCE = 2.5, 10.0, 5.0, 8.0
_CONNECTED = (Step(event="CallConnected", after=_RING), Step(event="ParticipantsUpdated"))


def _end(code: int, subcode: int, after: float = _TALK, *, sip: int | None = None, q850: int | None = None) -> Step:
    return Step(event="CallDisconnected", after=after, code=code, subcode=subcode, sip=sip, q850=q850)


def _never(code: int, subcode: int, after: float = _RING, *, sip: int | None = None, q850: int | None = None) -> _Pair:
    # Both recordings have this order, although the second event has the earlier time.
    first = _end(code, subcode, after, sip=sip, q850=q850)
    return first, replace(first, event="CreateCallFailed", after=0.0)


_ANSWERED = (*_CONNECTED, replace(_end(200, 560000, _SILENCE), quiet=True))
_BUSY = _never(486, 560486, sip=486, q850=17)
# A documented known issue: "after transferring a call, you may receive two CallDisconnected events".
TRANSFERRED = (_end(200, 7015, 0.0), _end(200, 7015, 0.0))

_ALL = (
    Scenario(
        name="answered",
        number="+15550100200",
        about="picks up, does what is asked, hangs up when nothing more comes",
        steps=_ANSWERED,
    ),
    Scenario(
        name="silent",
        number="+15550100510",
        about="picks up, neither speaks nor presses a key, hangs up in the end",
        steps=_ANSWERED,
        tones="",
        choice="",
        speech="",
    ),
    Scenario(
        name="no_match",
        number="+15550100547",
        about="picks up; says what is no choice, presses a key that is none",
        steps=_ANSWERED,
        tones="*",
        choice="something else",
    ),
    Scenario(
        name="impatient",
        number="+15550100487",
        about="picks up, and hangs up while the app still talks",
        steps=(*_CONNECTED, _end(200, 560000, _RING)),
    ),
    Scenario(
        name="connected", number="+15550100201", about="picks up and stays until the app ends it", steps=_CONNECTED
    ),
    Scenario(name="ringing", number="+15550100180", about="rings until the app gives up"),
    Scenario(name="busy", number="+15550100486", about="is on another call", steps=_BUSY),
    Scenario(
        name="no_answer", number="+15550100480", about="does not pick up", steps=_never(480, 560480, _PATIENCE, sip=480)
    ),
    Scenario(name="declined", number="+15550100603", about="refuses the call", steps=_never(603, 0)),
    Scenario(
        name="invalid_number",
        number="+15550100404",
        about="the carrier knows no such number",
        steps=_never(404, 560404, sip=404, q850=1),
    ),
    Scenario(
        name="blocked", number="+15550100403", about="the call is blocked before it leaves", steps=_never(403, 510403)
    ),
    Scenario(
        name="throttled", number="+15550100429", about="the call fails for too many calls at once", steps=_never(429, 0)
    ),
    Scenario(name="service_error", number="+15550100500", about="the service fails", steps=_never(500, 0)),
    Scenario(
        name="network_drop",
        number="+15550100410",
        about="picks up, then the media is lost",
        steps=(*_CONNECTED, _end(410, 301005)),
    ),
    Scenario(
        name="transfer",
        number="+15550100302",
        about="is transferred at once; the end is reported twice",
        steps=(*_CONNECTED, Step(event="CallTransferAccepted", after=_TALK), *TRANSFERRED),
    ),
    Scenario(
        name="old_api",
        number="+15550100204",
        about="is refused, under an API version that reports no result",
        version="2024-04-15",
        bare=True,
        steps=(_end(603, 0, _RING),),
    ),
    Scenario(
        name="two_events_reordered",
        number="+15550100021",
        about="is busy; CreateCallFailed comes first",
        steps=(replace(_BUSY[1], after=_RING), replace(_BUSY[0], after=0.0)),
    ),
    Scenario(
        name="duplicate",
        number="+15550100022",
        about="is busy; each event is posted twice, with the same id",
        steps=tuple(replace(step, copies=2) for step in _BUSY),
    ),
    Scenario(
        name="late_create_failed",
        number="+15550100023",
        about="is busy; CreateCallFailed comes three seconds later",
        steps=(_BUSY[0], replace(_BUSY[1], lag=3.0)),
    ),
    Scenario(
        name="flaky",
        number="+15550100024",
        about="is busy; what is not answered with 2xx is posted again, five times at most",
        attempts=5,
        steps=_BUSY,
    ),
    Scenario(
        name="early",
        number="+15550100025",
        about="is busy; the events come before the request is answered",
        early=True,
        steps=_never(486, 560486, 0.0, sip=486, q850=17),
    ),
    Scenario(
        name="too_many_requests",
        number="+15550100942",
        about="the request is answered with 429 and Retry-After",
        answer=Answer(status=429, retry_after=1),
    ),
    Scenario(
        name="unavailable",
        number="+15550100503",
        about="the request is answered with 503",
        answer=Answer(status=503, retry_after=1),
    ),
)

SCENARIOS: Mapping[str, Scenario] = {scenario.name: scenario for scenario in _ALL}
"""The built-in scenarios, by name."""
