"""An app with redials as a user writes one, in memory and on SQLite, and a client that counts whom it dials.

In memory the app's own worker works when the story says so. On SQLite the app only persists, and each time that the
story says so another process's worker works on the same file. So all events of a story have come, in their order,
before anybody decides.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from ringback import CallbackHandler, Cause, HookPolicy, Outcome, OutcomeRouter, RedialPolicy
from ringback.stores import MemoryStore, open_store
from ringback.testing import (
    Call,
    add_participant_failed,
    add_participant_succeeded,
    answer_failed,
    call_connected,
    call_disconnected,
    call_ended,
    connect_failed,
    create_call_failed,
    delivery,
    old_api,
    participants_updated,
    play_failed,
)
from ringback.work.items import Kind, State

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from ringback.stores import DeadLetter, DeliveryStore

FAR = 60.0
"""Seconds. What is due later than this is no work of the story."""
AT_ONCE = RedialPolicy(delays=dict.fromkeys(Cause, 0), backoff=0, jitter=0, max_per_day=None, hours=None)
LATER = RedialPolicy(delays=dict.fromkeys(Cause, 3600), jitter=0, max_per_day=None, hours=None)
THREE = HookPolicy(attempts=3, backoff=0, jitter=0)

EVENTS: Mapping[str, Callable[..., Any]] = {
    "busy": lambda call: call_disconnected(486, 560486, call=call),
    "busy create": lambda call: create_call_failed(486, 560486, call=call),
    "lost": lambda call: call_disconnected(500, 560500, call=call),
    "declined": lambda call: call_disconnected(603, 0, call=call),
    "declined create": lambda call: create_call_failed(603, 0, call=call),
    "blocked": lambda call: call_disconnected(608, 0, call=call),
    "no such number": lambda call: call_disconnected(404, 560404, q850=1, call=call),
    "forbidden": lambda call: call_disconnected(403, 9999, call=call),
    "hung up": lambda call: call_disconnected(200, 560000, call=call),
    "canceled": lambda call: call_disconnected(487, 560487, call=call),
    "unreported": lambda call: old_api(call_disconnected(call=call)),
    "connected": lambda call: call_connected(call=call),
    "old connected": lambda call: old_api(call_connected(call=call)),
    "missed": lambda call: answer_failed(487, 10004, call=call),
    "no room": lambda call: connect_failed(503, 0, call=call),
    "added": lambda call: add_participant_succeeded(call=call, operation_context=call.operation_context),
    "add busy": lambda call: add_participant_failed(486, 560486, call=call, operation_context=call.operation_context),
    "add declined": lambda call: add_participant_failed(603, 0, call=call, operation_context=call.operation_context),
    "play failed": lambda call: play_failed(call=call, operation_context=call.operation_context),
    "updated": lambda call: participants_updated(call=call),
    "whole call ended": lambda call: call_ended(call=call),
}


class Dial(NamedTuple):
    """One call of the redial function."""

    contact: str
    request: str
    attempt: int


@dataclass
class Placed:
    """What ``create_call`` returns."""

    call_connection_id: str | None


class Line:
    """A client of phone calls. ``answers`` are what it does for the next dials: raise, or return; then it returns."""

    def __init__(self) -> None:
        self.dials: list[Dial] = []
        self.answers: list[Any] = []
        self.contexts: list[str] = []
        """The operation contexts that were offered for the calls."""

    async def dial(self, contact: str, headers: Mapping[str, str], attempt: int, operation_context: str) -> object:
        self.contexts.append(operation_context)
        self.dials.append(Dial(contact, headers["Repeatability-Request-ID"], attempt))
        answer = self.answers.pop(0) if self.answers else Placed(f"redial-{len(self.dials)}")
        if callable(answer):
            answer = await answer()
        if isinstance(answer, BaseException):
            raise answer
        return answer


Register = "Callable[[OutcomeRouter], object]"


class World:
    """The persons, their calls, the app, and what the app was told. ``register`` is what the app's modules register."""

    def __init__(self, path: Path | None, register: Callable[[OutcomeRouter], object], **settings: Any) -> None:
        self._url = "memory" if path is None else f"sqlite:///{path}/ringback.db"
        self._register, self._settings = register, {"hooks": THREE, **settings}
        self._calls: dict[str, Call] = {}
        self.store: DeliveryStore = open_store(self._url)
        mine: dict[str, Any] = {"settle": 3600.0} if path is None else {"settle": 0.0, "worker": False}
        self.router = self._router(self.store, **mine)
        self.handler = CallbackHandler(self.router, auth=None)

    def _router(self, store: DeliveryStore, **settings: Any) -> OutcomeRouter:
        router = OutcomeRouter(store=store, **self._settings | settings)
        self._register(router)
        return router

    def call(self, name: str, contact: str | None = "ann") -> Call:
        """The call of this name, to this person."""
        return self._calls.setdefault(name, Call(call_connection_id=name, operation_context=contact))

    async def hears(self, *events: Any) -> None:
        """One delivery."""
        assert (await self.handler.handle(delivery(events), {"content-type": "application/json"})).status == 200

    async def tell(self, *steps: str, contacts: Mapping[str, str] | None = None) -> list[int]:
        """Each step in order: ``connected b``, of the call b; ``work``, ``cancel``, ``replay``. What cancels prevented.

        ``contacts`` says whom a call reaches if that is not Ann.
        """
        prevented: list[int] = []
        for step in steps:
            what, _, name = step.rpartition(" ")
            if name == "work":
                await self.work()
            elif name == "cancel":
                prevented.append(await self.router.cancel_redials("ann"))
            elif name == "replay":
                assert [await self.store.replay(letter.key) for letter in await self.store.dead()] == [True]
                # An event of nobody starts the worker, which the last drain has ended.
                await self.hears(call_connected())
            else:
                await self.hears(EVENTS[what](self.call(name, (contacts or {}).get(name, "ann"))))
        return prevented

    async def work(self) -> None:
        """Until nothing is due."""
        if isinstance(self.store, MemoryStore):
            await self.handler.drain(30)
            return
        worker = self._router(open_store(self._url), settle=0.0)
        await worker.start()
        async with asyncio.timeout(30):
            while await self._is_due(Kind.OUTCOME) or await self._is_due(Kind.REDIAL):  # noqa: ASYNC110 - the store has no event
                await asyncio.sleep(0.01)
        await worker.drain(30)

    async def _is_due(self, kind: Kind) -> bool:
        waiting = await self.store.history.waiting(kind, 100)
        settling = kind is Kind.OUTCOME
        return any(
            each.state is State.RUNNING or (settling and not each.attempts) or each.due_at < time.time() + FAR
            for each in waiting
        )

    async def planned(self) -> list[str | None]:
        """The contacts of the redials that wait."""
        return [each.contact for each in await self.store.history.waiting(Kind.REDIAL, 100)]

    async def dead(self) -> Sequence[DeadLetter]:
        return await self.store.dead()

    async def close(self) -> None:
        await self.handler.drain(30)


class App:
    """The modules of an app: one redial, and the two hooks of a call's end. ``told`` has the hook that each leg got."""

    def __init__(self, policy: RedialPolicy = AT_ONCE, **redial: Any) -> None:
        self.line = Line()
        self.told: list[tuple[str, str | None]] = []
        self.errors: list[tuple[str, bool]] = []
        self.redial: dict[str, Any] = {"contact": lambda outcome: outcome.operation_context, "policy": policy, **redial}

    def __call__(self, router: OutcomeRouter) -> None:
        router.redial(name="call_again", **self.redial)(self.line.dial)
        router.on_retryable(name="again")(self.again)
        router.on_terminal(name="over")(self.over)
        router.on_error(self.complain)

    def again(self, outcome: Outcome) -> None:
        self.told.append(("again", outcome.call_connection_id))

    def over(self, outcome: Outcome) -> None:
        self.told.append(("over", outcome.call_connection_id))

    def complain(self, _: Outcome, error: Exception, *, final: bool) -> None:
        self.errors.append((repr(error), final))

    def each_leg_is_told_once(self) -> bool:
        return max(Counter(leg for _, leg in self.told).values(), default=1) == 1

    @property
    def dialled(self) -> list[str]:
        return [dial.contact for dial in self.line.dials]
