"""One attempt at an item, over a store that only takes notes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from ringback import HookContext, HookPolicy, Outcome, StoreUnavailable, classify_event
from ringback.core.events import Event, EventData, Result
from ringback.hooks.attempt import HookCaller
from ringback.hooks.router import HandlerRouter
from ringback.work.contact import Contact
from ringback.work.items import Claim, Item, Kind, Progress, Settlement, State

if TYPE_CHECKING:
    from collections.abc import Callable

    from ringback.work.contact import Change

T = TypeVar("T")

NOW = 1_700_000_000.0
LEG = "2a0d7b3c-0000-4000-8000-000000000001"
KEY = f"call:{LEG}"
NEW = Progress()
DOWN = StoreUnavailable("the store is down")
POLICY = HookPolicy(attempts=3, backoff=10, max_backoff=30, jitter=0.5, timeout=None)


def told(name: str, code: int, subcode: int) -> Outcome:
    data = EventData(call_connection_id=LEG, result_information=Result(code, subcode))
    outcome = classify_event(Event(type=f"Microsoft.Communication.{name}", data=data))
    assert outcome is not None
    return outcome


BUSY = told("CallDisconnected", 486, 560486)
HUNG_UP = told("CallDisconnected", 200, 560000)
UNKNOWN_RESULT = told("PlayFailed", 999, 123)
CONNECTED = told("CallConnected", 200, 0)
PLAY_FAILED = told("PlayFailed", 400, 8536)


class Recorder:
    """An observer that writes down what it is told; errors by their repr."""

    def __init__(self, log: list[Any]) -> None:
        self._log = log

    def __getattr__(self, name: str) -> Callable[..., None]:
        def tell(*arguments: Any) -> None:
            self._log.append((name, *(repr(each) if isinstance(each, Exception) else each for each in arguments)))

        return tell


class FakeStore:
    """A store that writes down what it is asked, and answers as the test says."""

    def __init__(self, log: list[Any]) -> None:
        self._log = log
        self.answers: list[bool | Exception] = []
        self.known: Contact | Exception = Contact()
        self.noted: Progress | None = None
        """The progress that the last change of the contact wrote with it."""

    async def checkpoint(self, key: str, progress: Progress) -> bool:
        # A copy, as any store makes one: the caller goes on with the same mappings.
        wrote = Progress(
            progress.done,
            dict(progress.failed),
            dict(progress.tries),
            dict(progress.wait),
            progress.trying,
            progress.alone,
            overran=progress.overran,
        )
        self._log.append(("checkpoint", key, wrote))
        answer = self.answers.pop(0) if self.answers else True
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def change(self, contact: str, step: Change[T]) -> T | None:
        if isinstance(self.known, Exception):
            self._log.append(("change", contact))
            raise self.known
        made = step(self.known)
        self._log.append(("change", contact, made.put, made.cancel))
        if made.checkpoint is not None:
            self.noted = made.checkpoint[1]
            if self.answers and not self.answers.pop(0):
                return None
        self.known = made.contact
        return made.result


class Bench:
    """A caller with everything around it. ``log`` holds what was called, told and stored, in order."""

    def __init__(self, policy: HookPolicy = POLICY) -> None:
        self.now = NOW
        self.log: list[Any] = []
        self.router = HandlerRouter()
        self.store = FakeStore(self.log)
        observer: Any = Recorder(self.log)
        store: Any = self.store
        self.caller = HookCaller(self.router, observer, store, policy, lambda: self.now, lambda: 0.5)

    def hook(self, name: str, *ends: Exception | None) -> Any:
        """A hook named ``app.<name>`` whose calls end like this, one after the other; without ends it returns."""
        left = list(ends)

        async def hook(outcome: Outcome) -> None:
            self.log.append(("called", name, outcome))
            if left and (error := left.pop(0)) is not None:
                raise error

        return named(hook, name)

    def hook_of_context(self, name: str, *ends: Exception | None) -> Any:
        left = list(ends)

        async def hook(outcome: Outcome, ctx: HookContext) -> None:
            self.log.append(("called", name, ctx))
            if left and (error := left.pop(0)) is not None:
                raise error

        return named(hook, name)

    def on_error(self) -> None:
        @self.router.on_error
        def complain(outcome: Outcome, error: Exception) -> None:
            self.log.append(("complained", outcome, repr(error)))

    async def attempt(self, progress: Progress = NEW, outcome: Outcome = BUSY, **claim: Any) -> Settlement:
        item = Item(
            outcome.outcome_id, Kind.OUTCOME, 0.0, outcome, claim.pop("contact", None), claim.pop("target", None)
        )
        attempt = claim.pop("attempt", 1)
        return await self.caller.attempt(Claim(item, attempt, progress=progress, put_at=NOW, **claim))

    def happened(self) -> list[Any]:
        """What the log holds, which is empty afterwards."""
        happened = self.log.copy()
        self.log.clear()
        return happened


def named(function: Any, name: str) -> Any:
    function.__module__, function.__qualname__ = "app", name
    return function


def ready(after: float, **progress: Any) -> Settlement:
    return Settlement(State.READY, Progress(**progress), due_at=NOW + after)


def done(*names: str) -> Settlement:
    return Settlement(State.DONE, Progress(done=names))


def checkpoint(**progress: Any) -> tuple[str, str, Progress]:
    return ("checkpoint", KEY, Progress(**progress))
