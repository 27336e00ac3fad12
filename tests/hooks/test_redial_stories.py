"""What an app's redial functions may do, and what becomes of the calls: in memory and on SQLite, by the public API."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from datetime import UTC, datetime, time, timedelta, timezone
from typing import TYPE_CHECKING, Any

import pytest
from azure.core.exceptions import HttpResponseError, ServiceRequestError, ServiceResponseError

from ringback import GiveUp, Outcome, OutcomeRouter, RedialPolicy, Retry
from ringback.work.items import Kind
from storytelling import AT_ONCE, EVENTS, App, World

if TYPE_CHECKING:
    from ringback import HookContext

Tell = Callable[..., World]


class Status(HttpResponseError):
    """The error of azure-core for a response with this status."""

    def __init__(self, status: int) -> None:
        super().__init__(f"status {status}")
        self.status_code = status


def caused(by: BaseException) -> RuntimeError:
    error = RuntimeError("could not call")
    error.__cause__ = by
    return error


# Each raises in every attempt: attempts, distinct requests, dead letters.
RAISES: dict[str, tuple[Callable[[], BaseException], int, int, int]] = {
    "retry": (lambda: Retry(after=0), 3, 3, 1),
    "give-up": (lambda: GiveUp("no line"), 1, 1, 1),
    "azure-not-sent": (lambda: ServiceRequestError("no route"), 3, 3, 1),
    "refused": (lambda: ConnectionRefusedError(), 3, 1, 1),
    "unknown-host": (lambda: socket.gaierror(), 3, 1, 1),
    "raised-from-not-sent": (lambda: caused(ServiceRequestError("no route")), 3, 3, 1),
    "400": (lambda: Status(400), 3, 3, 1),
    "401": (lambda: Status(401), 3, 3, 1),
    "403": (lambda: Status(403), 3, 3, 1),
    "404": (lambda: Status(404), 3, 3, 1),
    "429": (lambda: Status(429), 3, 3, 1),
    "503": (lambda: Status(503), 3, 3, 1),
    "raised-from-503": (lambda: caused(Status(503)), 3, 3, 1),
    "408": (lambda: Status(408), 3, 1, 1),
    "409": (lambda: Status(409), 3, 1, 1),
    "500": (lambda: Status(500), 3, 1, 1),
    "azure-no-answer": (lambda: ServiceResponseError("broken pipe"), 3, 1, 1),
    "time-out": (lambda: TimeoutError(), 3, 1, 1),
    "reset": (lambda: ConnectionResetError(), 3, 1, 1),
    "anything": (lambda: RuntimeError("a fault of the app"), 3, 1, 1),
    "stop-iteration": (lambda: StopIteration(), 3, 1, 1),
    "cancelled": (lambda: asyncio.CancelledError(), 3, 1, 1),
    "system-exit": (lambda: SystemExit(1), 3, 1, 1),
    "keyboard-interrupt": (lambda: KeyboardInterrupt(), 3, 1, 1),
    "412": (lambda: Status(412), 1, 1, 0),
}


@pytest.mark.parametrize("error", RAISES, ids=RAISES)
async def test_whatever_a_redial_function_raises(world: Tell, error: str) -> None:
    """Certainly no call: tried in a new request each time. Perhaps a call: the same request. In the end a dead letter,
    but where the service has said that it does not know the request; error handlers hear of each attempt.
    """
    make, attempts, requests, dead = RAISES[error]
    app = App()
    app.line.answers = [make() for _ in range(5)]
    here = world(app)
    await here.tell("busy a", "work")
    assert (len(app.dialled), len({dial.request for dial in app.line.dials})) == (attempts, requests)
    assert [final for _, final in app.errors] == [False] * (attempts - 1) + [True]
    assert len(await here.dead()) == dead
    assert (await here.planned(), app.told) == ([], [("again", "a")])


@pytest.mark.parametrize("error", ["retry", "azure-not-sent", "429", "500", "anything"])
async def test_a_redial_that_fails_once_is_one_call(world: Tell, error: str) -> None:
    """Whether or not the first attempt placed it: the next end leaves room for one more call of three."""
    app = App()
    app.line.answers = [RAISES[error][0]()]
    here = world(app)
    await here.tell("busy a", "work", "busy redial-2", "work", "busy redial-3", "work")
    assert [dial.attempt for dial in app.line.dials] == [2, 2, 3]
    assert app.told[-1] == ("over", "redial-3")


@pytest.mark.parametrize("error", ["give-up", "azure-not-sent", "503"])
async def test_a_redial_that_was_never_placed_does_not_count(world: Tell, error: str) -> None:
    """Nobody was rung, so another call of the contact gets its redials."""
    app = App()
    app.line.answers = [RAISES[error][0]() for _ in range(RAISES[error][1])]
    here = world(app)
    await here.tell("busy a", "work", "busy b", "work")
    assert [dial.attempt for dial in app.line.dials[RAISES[error][1] :]] == [3]


async def test_a_time_zone_is_asked_for_a_contact_alone(world: Tell) -> None:
    """The app may know no zone where it knows no contact; and then the next redial is asked."""
    first = App(contact=lambda outcome: None, time_zone=lambda outcome: {"bob": "UTC"}["nobody"])
    second = App(time_zone=lambda outcome: "Asia/Tokyo")

    def register(router: OutcomeRouter) -> None:
        router.redial(name="first", **first.redial)(first.line.dial)
        second(router)

    here = world(register)
    await here.tell("busy a", "work")
    assert (first.dialled, second.dialled, second.errors, list(await here.dead())) == ([], ["ann"], [], [])


@pytest.mark.parametrize("which", ["contact", "time_zone"])
@pytest.mark.parametrize(("attempts", "hook"), [(1, "over"), (3, "again")], ids=["exhausted", "redialled"])
@pytest.mark.parametrize("times", [0, 1, 2])
async def test_a_call_has_one_verdict(world: Tell, which: str, attempts: int, hook: str, times: int) -> None:
    """However often a function of the redial raises first: hooks and sinks wait, and each is told once."""
    left, published = [times + (which == "contact")], list[tuple[str, bool]]()

    def unsure(outcome: Outcome) -> str:
        left[0] -= 1
        if left[0] >= 0:
            raise LookupError("the database is away")
        return "ann" if which == "contact" else "UTC"

    class Sink:
        def wants(self, outcome: Outcome) -> bool:
            return outcome.call_connection_id == "a"

        async def __call__(self, outcome: Outcome, ctx: HookContext) -> None:
            assert ctx.attempt == 1
            published.append((outcome.disposition.value, outcome.attempts_exhausted))

    policy = RedialPolicy(delays=AT_ONCE.delays, jitter=0, max_per_day=None, hours=None, max_attempts=attempts)
    app = App(policy, **{which: unsure})

    def register(router: OutcomeRouter) -> None:
        app(router)
        router.add_sink(Sink())

    here = world(register)
    await here.tell("busy a", "work")
    assert app.told == [(hook, "a")]
    assert published == [("terminal", True) if hook == "over" else ("retryable", False)]
    assert app.errors == [("LookupError('the database is away')", False)] * times


async def test_a_contact_function_that_never_answers_ends_with_one_verdict(world: Tell) -> None:
    """The hooks are told when it is given up; a replay of the dead letter tells none of them again."""
    broken = [True]

    def unsure(outcome: Outcome) -> str:
        if broken[0]:
            raise LookupError("the database is away")
        return "ann"

    app = App(RedialPolicy(max_attempts=1, hours=None), contact=unsure)
    here = world(app)
    await here.tell("busy a", "work")
    assert [final for _, final in app.errors] == [False, False, True]
    broken[0] = False
    await here.tell("replay", "work")
    assert (app.told, app.dialled) == ([("again", "a")], [])


async def test_a_day_that_is_full_by_now_puts_a_redial_off(world: Tell) -> None:
    """It was planned for today; other calls have filled the day until the function was called again."""
    # It is noon there, so that the day does not end meanwhile.
    zone = timezone(timedelta(hours=12 - datetime.now(UTC).hour))
    policy = RedialPolicy(
        delays=AT_ONCE.delays, backoff=0, jitter=0, max_per_day=3, max_attempts=9, hours=None, calendar_days=True
    )
    app = App(policy, time_zone=zone)
    here = world(app)

    async def meanwhile() -> Exception:
        for name in "bc":
            await here.hears(EVENTS["busy"](here.call(name)))
        return Retry(after=0)

    app.line.answers = [meanwhile]
    await here.tell("busy a", "work")
    assert app.dialled == ["ann"]
    (waiting,) = await here.store.history.waiting(Kind.REDIAL, 9)
    tomorrow = datetime.now(zone).date() + timedelta(days=1)
    assert datetime.fromtimestamp(waiting.due_at, zone) == datetime.combine(tomorrow, time.min, zone)


async def test_a_redial_function_gets_the_contact_that_the_store_hashes(world: Tell) -> None:
    """So the function finds the number; the store has the hash alone."""
    app = App(hash_contacts="sixteen-bytes-ok")
    app.line.answers = [GiveUp("no line")]
    here = world(app)
    await here.tell("busy a", "work", "replay", "work", "declined b", "work", "busy c", "work")
    assert app.dialled == ["ann", "ann"]


async def test_an_exhausted_outcome_says_so(world: Tell) -> None:
    """In the attribute and in the dictionary, for whoever publishes it."""
    app, said = App(RedialPolicy(max_attempts=1, hours=None)), list[Any]()

    def register(router: OutcomeRouter) -> None:
        app(router)
        router.on_terminal(name="publish")(
            lambda outcome: said.append((outcome.attempts_exhausted, outcome.to_dict()["attempts_exhausted"]))
        )

    here = world(register)
    await here.tell("busy a", "work")
    assert said == [(True, True)]
