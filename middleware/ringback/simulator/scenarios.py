"""Scenarios, which decide what happens to a call: built in or from a TOML file; by name or by phone number."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from ringback.exceptions import ConfigurationError
from ringback.testing.events import BUILDERS
from ringback.testing.wire import Detail  # noqa: TC001 - msgspec reads the annotations

if TYPE_CHECKING:
    from collections.abc import Iterable


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One event, ``after`` so many seconds. The simulator posts ``copies`` of the event, with the same id.

    Without a code the event carries its type's usual result. ``fields`` are further keys of the event's data, in
    snake case. ``sip`` may hold the carrier's own words: ``(603, "Network Blocked")``. ``closes`` names what is open
    in the call and ends with this event, see :mod:`ringback.simulator.endings`. ``leg`` is the ``callConnectionId`` of
    an event that does not name the call's own; a recording has one of its own.
    """

    event: str
    after: float = 0.0
    code: int | None = None
    subcode: int | None = None
    message: str | None = None
    sip: Detail | None = None
    q850: int | None = None
    fields: Mapping[str, Any] = field(default_factory=dict[str, Any])
    copies: int = 1
    closes: str | None = None
    leg: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """The service's error reply to a request; ``retry_after`` is in seconds."""

    status: int
    code: str = ""
    message: str = ""
    retry_after: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """What happens to one call.

    ``answer`` refuses the request, and no event follows. ``attempts`` limits how often the simulator posts a
    callback until the endpoint answers 2xx. With ``early`` the simulator posts every callback before it answers the
    request. ``shuffled`` draws the order of the steps. ``tones`` are the keys that the callee presses. ``media`` is
    the seconds that playing and recognizing take. ``version`` replaces the ``data.version`` of the events. ``bare``
    leaves every result out, as old API versions do. ``words`` are the sentences that a transcription of the call gives.
    """

    name: str
    about: str = ""
    number: str | None = None
    steps: tuple[Step, ...] = ()
    answer: Answer | None = None
    attempts: int = 1
    early: bool = False
    shuffled: bool = False
    bare: bool = False
    tones: str = ""
    media: float = 0.05
    version: str | None = None
    words: tuple[str, ...] = ("Hello.", "Yes, that is me.")

    @property
    def failure(self) -> Step | None:
        """The step that says why the call reached nobody; ``None`` if the call reaches somebody or still rings."""
        if any(step.event == "CallConnected" for step in self.steps):
            return None
        return self.steps[0] if self.steps else None


Choice = str | Scenario | Sequence["str | Scenario"]
"""A scenario or its name. Of a list, each call takes the next, and the last serves all further calls."""


_Pair = tuple[Step, Step]

_RING = 0.05
_TALK = 0.1
_CONNECTED = (Step(event="CallConnected", after=_RING), Step(event="ParticipantsUpdated"))


def _end(code: int, subcode: int, after: float = _TALK, *, sip: int | None = None, q850: int | None = None) -> Step:
    return Step(event="CallDisconnected", after=after, code=code, subcode=subcode, sip=sip, q850=q850)


def _never(code: int, subcode: int, after: float = _RING, *, sip: int | None = None, q850: int | None = None) -> _Pair:
    # Both recordings have this order, although the second event has the earlier time.
    first = _end(code, subcode, after, sip=sip, q850=q850)
    return first, replace(first, event="CreateCallFailed", after=0.0)


_BUSY = _never(486, 560486, sip=486, q850=17)
# A documented known issue: "after transferring a call, you may receive two CallDisconnected events".
TRANSFERRED = (_end(200, 7015, 0.0), _end(200, 7015, 0.0))

_ALL = (
    Scenario(
        name="answered",
        number="+15550100200",
        about="picks up, talks a moment, hangs up",
        steps=(*_CONNECTED, _end(200, 560000)),
    ),
    Scenario(
        name="connected", number="+15550100201", about="picks up and stays until the app ends it", steps=_CONNECTED
    ),
    Scenario(name="ringing", number="+15550100180", about="rings until the app gives up"),
    Scenario(name="busy", number="+15550100486", about="is on another call", steps=_BUSY),
    Scenario(name="no_answer", number="+15550100480", about="does not pick up", steps=_never(480, 560480, sip=480)),
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
        steps=(_BUSY[0], replace(_BUSY[1], after=3.0)),
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


class Playbook:
    """The scenario of a call: that of the number called, else the default.

    ``numbers`` come first, then the file's numbers, then the numbers of the built-in scenarios. Raises
    :class:`ConfigurationError` for a name that no scenario has.
    """

    def __init__(
        self,
        default: Choice | None = None,
        numbers: Mapping[str, Choice] | None = None,
        file: str | Path | None = None,
    ) -> None:
        of_file, scenarios = (_Rows(), {}) if file is None else _read(Path(file))
        self.known: dict[str, Scenario] = {**SCENARIOS, **scenarios}
        self._numbers: dict[str, list[Scenario]] = {
            scenario.number: [scenario] for scenario in self.known.values() if scenario.number is not None
        }
        for number, choice in {**of_file.numbers, **(numbers or {})}.items():
            self._numbers[number] = self._chosen(choice)
        if default is None:
            default = "answered" if of_file.default is None else of_file.default
        self._default = self._chosen(default)

    def next_for(self, number: str | None) -> Scenario:
        """The scenario of the next call to this number."""
        return _next(self._numbers.get(number or "", self._default))

    def next_from(self, number: str | None) -> Scenario:
        """The scenario of the next call from this number; ``connected`` unless the number has a scenario."""
        return _next(self._numbers.get(number or "", [self.known["connected"]]))

    def named(self, choice: str | Scenario) -> Scenario:
        if isinstance(choice, Scenario):
            return choice
        if choice not in self.known:
            close = get_close_matches(choice, self.known, n=1)
            hint = f"did you mean {close[0]!r}?" if close else f"there are {', '.join(self.known)}"
            raise ConfigurationError(f"scenario {choice!r} is unknown; {hint}")
        return self.known[choice]

    def _chosen(self, choice: Choice) -> list[Scenario]:
        several = [choice] if isinstance(choice, str | Scenario) else list(choice)
        if not several:
            raise ConfigurationError("a list of scenarios is empty; name one at least")
        return [self.named(choice) for choice in several]


def _next(scenarios: list[Scenario]) -> Scenario:
    return scenarios[0] if len(scenarios) == 1 else scenarios.pop(0)


class _StepRow(msgspec.Struct, forbid_unknown_fields=True):
    event: str
    after: float = 0.0
    code: int | None = None
    subcode: int | None = None
    message: str | None = None
    sip: int | None = None
    q850: int | None = None
    copies: int = 1


class _AnswerRow(msgspec.Struct, forbid_unknown_fields=True):
    status: int
    code: str = ""
    message: str = ""
    retry_after: int | None = None


class _ScenarioRow(msgspec.Struct, forbid_unknown_fields=True):
    like: str | None = None
    about: str | None = None
    number: str | None = None
    steps: list[_StepRow] | None = None
    answer: _AnswerRow | None = None
    attempts: int | None = None
    early: bool | None = None
    shuffled: bool | None = None
    bare: bool | None = None
    tones: str | None = None
    media: float | None = None
    version: str | None = None
    words: list[str] | None = None


class _Rows(msgspec.Struct, forbid_unknown_fields=True):
    default: str | list[str] | None = None
    numbers: dict[str, str | list[str]] = {}
    scenarios: dict[str, _ScenarioRow] = {}


def _read(path: Path) -> tuple[_Rows, dict[str, Scenario]]:
    """Read a file of scenarios. Raises :class:`ConfigurationError`, which names the file and the key."""
    try:
        rows = msgspec.convert(tomllib.loads(path.read_text("utf-8")), _Rows)
        scenarios: dict[str, Scenario] = {}
        for name, row in rows.scenarios.items():
            scenarios[name] = _scenario(name, row, {**SCENARIOS, **scenarios})
    except OSError as error:
        raise ConfigurationError(f"scenarios '{path}' cannot be read ({error.strerror})") from error
    except (ValueError, msgspec.ValidationError) as error:
        raise ConfigurationError(f"scenarios '{path}': {error}") from error
    return rows, scenarios


def _scenario(name: str, row: _ScenarioRow, known: Mapping[str, Scenario]) -> Scenario:
    if row.like is not None and row.like not in known:
        raise ValueError(f"scenario {name!r} is like {row.like!r}, which does not stand before it")
    # Two scenarios cannot share a number, so ``like`` copies none.
    start = replace(known[row.like], name=name, number=None) if row.like else Scenario(name=name)
    changes = {key: value for key, value in msgspec.structs.asdict(row).items() if value is not None and key != "like"}
    if row.steps is not None:
        changes["steps"] = tuple(_step(name, step) for step in row.steps)
    if row.answer is not None:
        changes["answer"] = Answer(**msgspec.structs.asdict(row.answer))
    if row.words is not None:
        changes["words"] = tuple(row.words)
    found = replace(start, **changes)
    if found.attempts < 1 or found.media < 0:
        raise ValueError(f"scenario {name!r} needs attempts of 1 or more and media of 0 seconds or more")
    if found.answer is not None and not 400 <= found.answer.status <= 599:
        raise ValueError(f"scenario {name!r} has answer status {found.answer.status}; only errors can be scripted")
    return found


def _step(name: str, row: _StepRow) -> Step:
    if row.event not in BUILDERS:
        close = get_close_matches(row.event, BUILDERS, n=1)
        hint = f"; did you mean {close[0]!r}?" if close else ""
        raise ValueError(f"scenario {name!r} has event {row.event!r}, which Call Automation does not send{hint}")
    if row.after < 0 or row.copies < 1:
        raise ValueError(f"scenario {name!r} has a step with after below 0 or copies below 1")
    return Step(**msgspec.structs.asdict(row))


def listed(scenarios: Iterable[Scenario]) -> list[str]:
    """One line for a scenario: its name, its number, what happens."""
    rows = [(scenario.name, scenario.number or "-", scenario.about) for scenario in scenarios]
    wide = max(len(name) for name, _, _ in rows)
    return [f"{name:<{wide}}  {number:<12}  {about}" for name, number, about in rows]
