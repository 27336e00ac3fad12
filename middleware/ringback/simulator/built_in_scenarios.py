"""The scenarios that need no file: those of people, of carriers, of the service, and of deliveries in unusual order."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

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


def _scenario(name: str, number: int, about: str, *steps: Step, **more: Any) -> Scenario:
    """A scenario for +1 555 010 and the four digits of ``number``."""
    return Scenario(name=name, number=f"+1555010{number:04}", about=about, steps=steps, **more)


_ANSWERED = (*_CONNECTED, replace(_end(200, 560000, _SILENCE), quiet=True))
_BUSY = _never(486, 560486, sip=486, q850=17)
_BUSY_AT_ONCE = _never(486, 560486, 0.0, sip=486, q850=17)
_DOUBLED = tuple(replace(step, copies=2) for step in _BUSY)
_REORDERED = (replace(_BUSY[1], after=_RING), replace(_BUSY[0], after=0.0))
# A documented known issue: "after transferring a call, you may receive two CallDisconnected events".
TRANSFERRED = (_end(200, 7015, 0.0), _end(200, 7015, 0.0))

_ALL = (
    _scenario("answered", 200, "picks up, does what is asked, hangs up when nothing more comes", *_ANSWERED),
    _scenario(
        "silent",
        510,
        "picks up, neither speaks nor presses a key, hangs up in the end",
        *_ANSWERED,
        tones="",
        choice="",
        speech="",
    ),
    _scenario(
        "no_match",
        547,
        "picks up; says what is no choice, presses a key that is none",
        *_ANSWERED,
        tones="*",
        choice="something else",
    ),
    _scenario(
        "impatient", 487, "picks up, and hangs up while the app still talks", *_CONNECTED, _end(200, 560000, _RING)
    ),
    _scenario("connected", 201, "picks up and stays until the app ends it", *_CONNECTED),
    _scenario("ringing", 180, "rings until the app gives up"),
    _scenario("busy", 486, "is on another call", *_BUSY),
    _scenario("no_answer", 480, "does not pick up", *_never(480, 560480, _PATIENCE, sip=480)),
    _scenario("declined", 603, "refuses the call", *_never(603, 0)),
    _scenario("invalid_number", 404, "the carrier knows no such number", *_never(404, 560404, sip=404, q850=1)),
    _scenario("blocked", 403, "the call is blocked before it leaves", *_never(403, 510403)),
    _scenario("throttled", 429, "the call fails for too many calls at once", *_never(429, 0)),
    _scenario("service_error", 500, "the service fails", *_never(500, 0)),
    _scenario("network_drop", 410, "picks up, then the media is lost", *_CONNECTED, _end(410, 301005)),
    _scenario(
        "transfer",
        302,
        "is transferred at once; the end is reported twice",
        *_CONNECTED,
        Step(event="CallTransferAccepted", after=_TALK),
        *TRANSFERRED,
    ),
    _scenario(
        "old_api",
        204,
        "is refused, under an API version that reports no result",
        _end(603, 0, _RING),
        version="2024-04-15",
        bare=True,
    ),
    _scenario("two_events_reordered", 21, "is busy; CreateCallFailed comes first", *_REORDERED),
    _scenario("duplicate", 22, "is busy; each event is posted twice, with the same id", *_DOUBLED),
    _scenario(
        "late_create_failed",
        23,
        "is busy; CreateCallFailed comes three seconds later",
        _BUSY[0],
        replace(_BUSY[1], lag=3.0),
    ),
    _scenario(
        "flaky", 24, "is busy; what is not answered with 2xx is posted again, five times at most", *_BUSY, attempts=5
    ),
    _scenario("early", 25, "is busy; the events come before the request is answered", *_BUSY_AT_ONCE, early=True),
    _scenario(
        "too_many_requests",
        942,
        "the request is answered with 429 and Retry-After",
        answer=Answer(status=429, retry_after=1),
    ),
    _scenario("unavailable", 503, "the request is answered with 503", answer=Answer(status=503, retry_after=1)),
)

SCENARIOS: Mapping[str, Scenario] = {scenario.name: scenario for scenario in _ALL}
"""The built-in scenarios, by name."""
