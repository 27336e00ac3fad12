"""One attempt at a redial, over a store that only takes notes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from attempting import Recorder
from ringback import HookPolicy, Outcome, RedialPolicy, classify_event
from ringback.core.events import Event, EventData, Result
from ringback.hooks.placing import Place
from ringback.hooks.redial_attempt import RedialCaller
from ringback.hooks.router import HandlerRouter
from ringback.work.contact import Contact
from ringback.work.contact_call import CallState, Report, report_of
from ringback.work.items import Claim, Item, Kind, Progress, Settlement
from ringback.work.redial import repeatability

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ringback.work.contact import Change

T = TypeVar("T")

# 2023-11-14T22:13:20Z, a Tuesday.
NOW = 1_700_000_000.0
LEG = "2a0d7b3c-0000-4000-8000-000000000001"
NEW_LEG = "2a0d7b3c-0000-4000-8000-000000000002"
KEY = f"redial:call:{LEG}"
NAME = "app.call_again"
NEW = Progress()
HEADERS = repeatability(KEY, 0, NOW)
ONE_SHOT = HookPolicy(attempts=1)
# For any hour: the clock of these tests shows a night.
POLICY = RedialPolicy(hours=None, backoff=30, max_backoff=50, jitter=0.5)


def busy() -> Outcome:
    data = EventData(call_connection_id=LEG, result_information=Result(486, 560486))
    outcome = classify_event(Event(type="Microsoft.Communication.CallDisconnected", data=data))
    assert outcome is not None
    return outcome


BUSY = busy()


def report(outcome: Outcome) -> Report:
    found = report_of(outcome)
    assert found is not None
    return found


class HttpError(Exception):
    """As azure-core raises it: a status, and the response with its headers."""

    def __init__(self, status_code: Any, headers: Mapping[str, str] | None = None, url: str | None = None) -> None:
        super().__init__(f"status {status_code}")
        self.status_code = status_code
        if headers is not None or url is not None:
            self.response = Response(headers or {}, None if url is None else Request(url))


@dataclass
class Request:
    url: str


@dataclass
class Response:
    headers: Any
    request: Request | None = None


@dataclass
class Placed:
    """What ``create_call`` returns."""

    call_connection_id: Any


class FakeStore:
    """A store that writes down its checkpoints, and answers as the test says."""

    def __init__(self, log: list[Any]) -> None:
        self._log = log
        self.answer: bool | Exception = True
        self.known = Contact().noted(report(BUSY), NOW).decided(report(BUSY)).redial(KEY, CallState.PLANNED, NOW)

    async def pause_redials(self, until: float) -> None:
        self._log.append(("pause", until))

    async def change(self, contact: str, step: Change[T]) -> T | None:
        assert contact
        made = step(self.known)
        if made.checkpoint is not None:
            if isinstance(made.result, Place):
                self._log.append(("checkpoint", *made.checkpoint))
            if isinstance(self.answer, Exception):
                raise self.answer
            if not self.answer:
                return None
        self.known = made.contact
        return made.result


class Bench:
    """A caller with one redial function ``app.call_again``, and everything around it. ``log`` has the order."""

    def __init__(
        self,
        *ends: Any,
        hooks: HookPolicy | None = None,
        policy: RedialPolicy | None = None,
        function: Callable[..., Any] | None = None,
        **settings: Any,
    ) -> None:
        self.now = NOW
        self.log: list[Any] = []
        self.router = HandlerRouter()
        self.store = FakeStore(self.log)
        left = list(ends)

        async def call_again(headers: dict[str, str]) -> Any:
            self.log.append(("called", headers))
            end = left.pop(0) if left else None
            if isinstance(end, Exception):
                raise end
            return end

        settings = {"contact": lambda outcome: "customer-1"} | settings
        register = self.router.redial(policy=policy or POLICY, **settings)
        register(named(function or call_again))
        observer: Any = Recorder(self.log)
        store: Any = self.store
        hooks = hooks or HookPolicy(attempts=3, backoff=2, jitter=0.5)
        self.caller = RedialCaller(self.router, observer, store, hooks, lambda: self.now, lambda: 0.5)

    async def attempt(
        self,
        progress: Progress = NEW,
        *,
        target: str = NAME,
        outcome: Outcome = BUSY,
        contact: str = "customer-1",
        **claim: Any,
    ) -> Settlement:
        item = Item(KEY, Kind.REDIAL, NOW, outcome, contact, target, 2)
        claim = {"put_at": NOW, "attempt": 1} | claim
        return await self.caller.attempt(Claim(item, claim.pop("attempt"), progress=progress, **claim))

    def happened(self) -> list[Any]:
        """What the log holds, which is empty afterwards."""
        happened = self.log.copy()
        self.log.clear()
        return happened


def named(function: Any) -> Any:
    function.__module__, function.__qualname__ = NAME.split(".")
    return function


def checkpoint(**progress: Any) -> tuple[str, str, Progress]:
    return ("checkpoint", KEY, Progress(**progress))


def sent(**progress: Any) -> Progress:
    return Progress(**{"first_sent": NOW} | progress)


def failed(error: Exception, attempt: int = 1, retry_in: float | None = None) -> tuple[Any, ...]:
    return ("hook_failed", BUSY, NAME, repr(error), attempt, retry_in)
