"""Checks of the app: sync, async, or sync around async; whoever fails lets nobody through."""

from __future__ import annotations

import asyncio
import functools
import threading
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.routing import Route

from records import lines_in
from ringback import CallOutcomeMiddleware, Head, OutcomeRouter, Refusal, SharedSecret
from ringback.senders.auth import allows_handshake, verdict_of
from ringback.testing import call_disconnected, delivery

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Generator

    from starlette.requests import Request
    from starlette.responses import Response

HEAD = Head("POST", "/cb", "", ())
REFUSED = Refusal("from_outside")
FAILED = Refusal("check_failed", 503)


class Failures:
    """Whoever failed, with the type of the exception."""

    def __init__(self) -> None:
        self.told: list[tuple[str, str]] = []

    def __call__(self, name: str, error: Exception) -> None:
        self.told.append((name, type(error).__name__))


@pytest.fixture
def failures() -> Failures:
    return Failures()


def sync(answer: object) -> Callable[[Head], Any]:
    return lambda head: raised(answer)


def asynchronous(answer: object) -> Callable[[Head], Any]:
    async def check(head: Head) -> object:
        await asyncio.sleep(0)
        return raised(answer)

    return check


def around(answer: object) -> Callable[[Head], Any]:
    """A sync function around an async one."""
    return lambda head: asynchronous(answer)(head)


def partial(answer: object) -> Callable[[Head], Any]:
    async def check(answer: object, head: Head) -> object:
        return raised(answer)

    return functools.partial(check, answer)


class Later:
    def __init__(self, answer: object) -> None:
        self.answer = answer

    def __await__(self) -> Generator[None, None, object]:
        yield
        return raised(self.answer)


def awaitable(answer: object) -> Callable[[Head], Any]:
    return lambda head: Later(answer)


class Object:
    def __init__(self, answer: object) -> None:
        self.answer = answer

    def __call__(self, _: Head) -> Any:
        return raised(self.answer)


def raised(answer: object) -> object:
    if isinstance(answer, BaseException):
        raise answer
    return answer


SHAPES = pytest.mark.parametrize("shape", [sync, asynchronous, around, partial, awaitable, Object])


@SHAPES
@pytest.mark.parametrize("answer", [None, REFUSED], ids=["accepted", "refused"])
async def test_a_check_may_have_any_shape(
    shape: Callable[..., Any], answer: Refusal | None, failures: Failures
) -> None:
    """Its answer counts, and whatever is awaitable is awaited."""
    assert await verdict_of([shape(answer)], HEAD, failures) == answer
    assert failures.told == []


@SHAPES
@pytest.mark.parametrize(
    "answer",
    [
        ValueError("no"),
        StopIteration(),
        StopAsyncIteration(),
        SystemExit(3),
        KeyboardInterrupt(),
        GeneratorExit(),
        asyncio.CancelledError(),
        True,
        False,
        "me",
        401,
    ],
    ids=repr,
)
async def test_a_check_that_fails_lets_nobody_through(
    shape: Callable[..., Any], answer: object, failures: Failures
) -> None:
    """Whatever it raises, and whatever it returns that is no answer: 503, for the sender may be Microsoft."""
    assert await verdict_of([shape(answer)], HEAD, failures) == FAILED
    expected = "ValueError" if isinstance(answer, ValueError) else "TypeError"
    (told,) = failures.told
    assert told[1] == ("RuntimeError" if isinstance(answer, BaseException) and expected == "TypeError" else expected)


async def test_an_answer_that_must_still_be_awaited_is_none(failures: Failures) -> None:
    """A task is neither a refusal nor `None`."""
    tasks: list[asyncio.Task[None]] = []

    async def check(head: Head) -> Any:
        tasks.append(asyncio.ensure_future(asyncio.sleep(0)))
        return tasks[0]

    assert await verdict_of([check], HEAD, failures) == FAILED
    await tasks[0]


async def test_a_sync_check_runs_in_a_thread(failures: Failures) -> None:
    """It may ask a database."""
    threads: list[int] = []

    def check(head: Head) -> None:
        threads.append(threading.get_ident())

    assert await verdict_of([check], HEAD, failures) is None
    assert threads != [threading.get_ident()]


async def test_a_check_that_fails_does_not_stop_the_others(failures: Failures) -> None:
    """One of several suffices; if none lets through, the sender may come again."""
    assert await verdict_of([sync(ValueError()), sync(None)], HEAD, failures) is None
    assert await verdict_of([sync(REFUSED), sync(ValueError())], HEAD, failures) == FAILED
    assert len(failures.told) == 2


async def test_a_request_that_is_cancelled_is_no_failure(failures: Failures) -> None:
    """The server has cancelled it, and not the check."""
    began = asyncio.Event()

    async def check(head: Head) -> None:
        began.set()
        await asyncio.Event().wait()

    task = asyncio.create_task(verdict_of([check], HEAD, failures))
    await began.wait()
    task.cancel()
    await asyncio.wait({task})
    assert (task.cancelled(), failures.told) == (True, [])


async def test_a_check_of_the_app_may_stand_on_one_of_ours(failures: Failures) -> None:
    """As docs/security.md has it."""
    secret = SharedSecret("a-shared-secret-of-this-app")

    async def both(head: Head) -> Refusal | None:
        return await secret(head) or REFUSED

    assert await verdict_of([secret], HEAD, failures) == Refusal("secret_missing")
    assert await verdict_of([both], HEAD, failures) == Refusal("secret_missing")


class Shaking:
    """A check that may let handshakes through."""

    def __init__(self, allows: Callable[[Head], Any]) -> None:
        self.allows = allows

    async def __call__(self, _: Head) -> Refusal | None:
        return REFUSED

    def allows_handshake(self, head: Head) -> Any:
        return self.allows(head)


def interrupts(head: Head) -> bool:
    raise KeyboardInterrupt


async def agrees(head: Head) -> bool:
    return True


@pytest.mark.parametrize("allows", [interrupts, agrees, lambda head: 1 / 0], ids=["ends", "async", "raises"])
def test_a_check_that_fails_allows_no_handshake(
    allows: Callable[[Head], Awaitable[bool] | bool], failures: Failures
) -> None:
    """Nobody awaits that answer, and an awaitable is no yes."""
    assert allows_handshake([Shaking(allows)], HEAD, failures) is False
    assert [name for name, _ in failures.told] == [f"{__name__}.Shaking.allows_handshake"]


async def test_a_check_that_fails_is_answered_with_503_and_logged(caplog: pytest.LogCaptureFixture) -> None:
    """At most five times in ten seconds: anybody may send. The server goes on, and a number stays private."""

    def check(head: Head) -> None:
        raise SystemExit("no line to +15550100123")

    async def route(request: Request) -> Response:
        raise AssertionError

    app = Starlette(routes=[Route("/cb", route, methods=["POST"])])
    app.add_middleware(CallOutcomeMiddleware, router=OutcomeRouter(), path="/cb", auth=check)
    body = delivery(call_disconnected(486, 560486))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://app") as client:
        answers = [await client.post("/cb", content=body) for _ in range(7)]
    assert {(answer.status_code, answer.json()["title"]) for answer in answers} == {(503, "Service unavailable")}
    lines = lines_in(caplog.records)
    failed = [line for line in lines if line["event"] == "check.failed"]
    assert [line["reason"] for line in lines if line["event"] == "callback.rejected"] == ["check_failed"] * 7
    assert [line.pop("suppressed") for line in failed] == [0] * 5
    assert "in check\n" in failed[0].pop("exception")
    assert failed[0] == {
        "event": "check.failed",
        "check": f"{__name__}.{check.__qualname__}",
        "error": "RuntimeError: the function raised SystemExit",
    }
    assert "5550100" not in caplog.text
