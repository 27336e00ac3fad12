"""A plain model of persons, their calls and an app, and of the redials that are allowed."""

from __future__ import annotations

import asyncio
import itertools
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from azure.core.exceptions import ServiceRequestError

from ringback import GiveUp, Outcome, RedialPolicy, Retry, classify_event
from ringback.core.events import Event, EventData, Result
from ringback.work.contact_call import LONGEST_CALL, UNSEEN
from ringback.work.redial_policy import seconds_of

if TYPE_CHECKING:
    from collections.abc import Callable

REMEMBERED = 300.0
"""Seconds for which the service knows a request."""
DAY = 86_400.0
NOON = datetime(2026, 11, 25, 12, tzinfo=UTC).timestamp()
PEOPLE = ("ann", "bob")

ENDS = {
    "busy": ((486, 560486), (486, 560486)),
    "lost": ((500, 560500), (500, 560500)),
    "declined": ((603, 560603), (603, 560603)),
    "blocked": ((608, 0), (608, 0)),
    "forbidden": ((403, 0), (403, 0)),
    "hung up": ((200, 560000), None),
    "unreported": (None, None),
    "late reason": (None, (486, 560486)),
    "throttled": ((429, 0), (429, 0)),
}
"""How calls end: the results of CallDisconnected and of CreateCallFailed."""
ASKS = ("busy", "lost", "throttled")
CERTAIN: dict[str, Callable[[], Exception]] = {
    "retry": Retry,
    "later": lambda: Retry(after=120),
    "given up": GiveUp,
    "throttled": lambda: HttpError(429),
    "refused": lambda: HttpError(403),
    "not sent": lambda: ServiceRequestError("no route to the service"),
}
"""Answers of a redial function that placed no call."""
UNCERTAIN: dict[str, Callable[[], Exception]] = {"failed": lambda: HttpError(500), "timed out": TimeoutError}
"""Answers of a redial function that may have placed a call."""

working_for: ContextVar[object] = ContextVar("working_for", default=None)
"""The claim on which a process works."""


class HttpError(Exception):
    def __init__(self, status_code: int) -> None:
        super().__init__(f"status {status_code}")
        self.status_code = status_code


@dataclass
class Placed:
    call_connection_id: str


EXPECTED = (LookupError, ValueError, HttpError, Retry, GiveUp, ServiceRequestError, TimeoutError)


@dataclass(eq=False)
class Call:
    """One call: what is true of it, and what was told of it to somebody who knows its contact, and when."""

    leg: str
    contact: str
    context: str | None
    placed_at: float | None = None
    """When the redial function was called; ``None`` for a call that no redial placed."""
    theirs: bool = False
    result: str = ""
    sent: dict[str, float] = field(default_factory=dict[str, float])
    """When each event came first, by its name."""
    told: set[str] = field(default_factory=set[str])
    """The events of which a process knows the contact."""

    def told_at(self, *names: str) -> float | None:
        return min((self.sent[name] for name in names if name in self.told), default=None)

    @property
    def answered_at(self) -> float | None:
        return self.told_at("CallConnected")

    @property
    def ended_at(self) -> float | None:
        return self.told_at("CallDisconnected", "CreateCallFailed", "AnswerFailed")

    @property
    def began_at(self) -> float | None:
        return self.placed_at if self.placed_at is not None else self.told_at(*self.sent)

    @property
    def unrung(self) -> bool:
        """Whether it was told that the service has failed the call before anything rang."""
        return self.result == "throttled" and "CreateCallFailed" in self.told

    @property
    def end(self) -> str:
        """What was told of the end."""
        if self.result == "late reason":
            return "busy" if "CreateCallFailed" in self.told else "unreported"
        return self.result

    def event(self, name: str) -> Outcome:
        result, context = Result(200, 0), self.context
        if name == "AnswerFailed":
            result = Result(487, 10004)
        elif name != "CallConnected":
            numbers = ENDS[self.result][name == "CreateCallFailed"]
            result = None if numbers is None else Result(*numbers)
        if name == "CreateCallFailed":
            context = None
        data = EventData(call_connection_id=self.leg, operation_context=context, result_information=result)
        outcome = classify_event(Event(type=f"Microsoft.Communication.{name}", id=f"{name} {self.leg}", data=data))
        assert outcome is not None
        return outcome


@dataclass(eq=False)
class Flight:
    """A redial function that was called and has not returned. ``work`` is the claim that a process works on."""

    contact: str
    origin: str
    request: str
    at: float
    work: object
    answer: asyncio.Future[object]


class Model:
    """What the persons, the service and the app know. ``faults`` has the calls that are not allowed."""

    def __init__(self, policy: RedialPolicy, tells: str) -> None:
        self.policy, self.tells = policy, tells
        self.now = NOON
        self.attempts = 3
        self.names = itertools.count()
        self.changed = asyncio.Event()
        self.faults: list[str] = []
        self.calls: list[Call] = []
        self.canceled: dict[str, list[float]] = {contact: [] for contact in PEOPLE}
        self.never: set[str] = set()
        self.contexts = {f"of {contact}": contact for contact in PEOPLE}
        self.requests: dict[str, tuple[float, str, Call]] = {}
        """The calls that the service has placed: when, for which leg's end, by the id of the request."""
        self.flights: list[Flight] = []
        self.heard: dict[tuple[str, bool], set[str]] = {}
        self.planned: dict[str, str] = {}
        """The redials that wait: the leg that asks for each, and the contact."""
        self.open: set[str] = set()
        """The legs that ask for a call, and for which nobody has decided."""
        self.claimed: set[str] = set()
        self.exact = True
        """Whether the model knows which redials wait: no process has died or lost its leases."""
        self.learning: list[Outcome] = []
        self.contact_fails = 0
        self.hook_fails = 0

    # The app

    def contact(self, outcome: Outcome) -> str | None:
        if self.contact_fails:
            self.contact_fails -= 1
            raise LookupError("no tenant")
        contact = self.contexts.get(outcome.operation_context or "")
        if contact is not None:
            self.learning.append(outcome)
        return contact

    def learns(self) -> None:
        """What processes have learned by now is in their store."""
        for outcome in self.learning:
            for event in (outcome.event, outcome.sibling):
                if event is not None:
                    self.call(outcome).told.add(event.type.rpartition(".")[2])
        self.learning.clear()

    def call(self, outcome: Outcome) -> Call:
        return next(call for call in self.calls if call.leg == outcome.call_connection_id)

    def begins(self, contact: str, placed_at: float | None = None, context: str = "") -> Call:
        call = Call(f"leg {next(self.names)}", contact, context or f"of {contact}", placed_at)
        self.calls.append(call)
        return call

    def hears(self, outcome: Outcome, disposition: str) -> None:
        call = self.call(outcome)
        if call.told:
            self.learning.append(outcome)
            self.learns()
        # A reason that comes late is an outcome of its own.
        heard = self.heard.setdefault((call.leg, outcome.reported), set())
        heard.add(disposition)
        if len(heard) > 1:
            self.faults.append(f"{call.leg} reaches both hooks")
        if self.hook_fails:
            self.hook_fails -= 1
            raise ValueError("no line")

    def unsure(self, call: Call) -> bool:
        """Whether nobody could say if an event is of this call or of a redial: the redial function returns nothing."""
        if self.tells != "nothing" or call.placed_at is not None or call.theirs or call.told:
            return False
        recent = [other for other in self.calls if other.placed_at is not None and not other.told]
        return any(
            other.contact == call.contact and (isinstance(other, Flight) or self.now - (other.placed_at or 0) < UNSEEN)
            for other in [*recent, *self.flights]
        )

    @property
    def redials(self) -> list[Call]:
        return [call for call in self.calls if call.placed_at is not None]

    # The service

    async def requested(self, contact: str, origin: str, request: str, context: str | None) -> object:
        answer: asyncio.Future[object] = asyncio.get_running_loop().create_future()
        flight = Flight(contact, origin, request, self.now, working_for.get(), answer)
        self.planned.pop(origin, None)
        placed = self.requests.get(request)
        if placed is None:
            try:
                self.refuse(contact, origin)
            except AssertionError as error:
                self.faults.append(f"{origin} is redialed: {error}")
        elif self.now - placed[0] >= REMEMBERED:
            self.faults.append(f"the service has forgotten the request of {origin}")
        if context is not None:
            self.contexts[context] = contact
        self.flights.append(flight)
        self.changed.set()
        try:
            return await answer
        finally:
            self.flights.remove(flight)

    def place(self, flight: Flight) -> Call:
        """The service places the call of a request, once."""
        if flight.request not in self.requests:
            if any(origin == flight.origin for _, origin, _ in self.requests.values()):
                self.faults.append(f"{flight.origin} is redialed twice")
            context = flight.request if self.tells == "context" else ""
            call = self.begins(flight.contact, flight.at, context)
            self.requests[flight.request] = flight.at, flight.origin, call
        return self.requests[flight.request][2]

    def answers(self, flight: Flight, answer: str) -> None:
        kind, _, placed = answer.partition(", ")
        call = self.place(flight) if "placed" in (kind, placed) else None
        if kind in UNCERTAIN:
            flight.answer.set_exception(UNCERTAIN[kind]())
        elif kind in CERTAIN:
            flight.answer.set_exception(CERTAIN[kind]())
        else:
            assert call is not None
            returned = {"leg": call.leg, "response": Placed(call.leg)}
            flight.answer.set_result(returned.get(self.tells))

    # What is allowed

    def refuse(self, contact: str, origin: str) -> None:
        """Raises if nobody may call this contact now for the end of the leg ``origin``."""
        now, policy = self.now, self.policy
        ended = next(call for call in self.calls if call.leg == origin)
        since, began = ended.ended_at, ended.began_at
        assert since is not None
        assert began is not None
        moment = datetime.fromtimestamp(now, UTC)
        closed = policy.opened is not None and policy.opened.closed_until(moment.replace(tzinfo=None))
        assert not closed, f"closed until {closed}"
        others = [call for call in self.calls if call.contact == contact]
        rang = [call for call in others if not call.theirs and not call.unrung]
        counted = [at for call in rang if (at := call.began_at) is not None]
        made = sum(each > now - seconds_of(policy.window) for each in counted)
        assert made < policy.max_attempts, f"call {made + 1} in the window"
        caps = list(policy.caps)
        if policy.max_per_day is not None and policy.calendar_days:
            today = sum(datetime.fromtimestamp(each, UTC).date() == moment.date() for each in counted)
            assert today < policy.max_per_day, f"call {today + 1} of the day"
        elif policy.max_per_day is not None:
            caps.append((policy.max_per_day, DAY))
        for most, span in caps:
            near = sum(each + seconds_of(span) > now for each in counted)
            assert near < most, f"call {near + 1} in {span} seconds"
        assert contact not in self.never, "never"
        for canceled in self.canceled[contact]:
            assert canceled < min(since - UNSEEN, began), "canceled"
        for flight in self.flights:
            other = flight.contact == contact and flight.origin != origin
            assert not other or now - flight.at >= UNSEEN, "another request is under way"
        for call in others:
            if call is not ended:
                self._refuse_beside(call, since)

    def _refuse_beside(self, call: Call, since: float) -> None:
        answer, refusal = self.policy.rests
        answered, ended, end = call.answered_at, call.ended_at, call.end
        lost = ended is not None and end in ASKS
        if answered is not None and not lost:
            assert answered < since - answer, "reached"
        if call.theirs:
            return
        if ended is not None and not lost:
            rest = {"hung up": answer, "declined": refusal, "blocked": refusal}
            assert ended < since - rest.get(end, 0.0), end
        if ended is None and call.began_at is not None:
            longest = UNSEEN if answered is None else LONGEST_CALL
            assert self.now - call.began_at >= longest, "another call is in progress"
