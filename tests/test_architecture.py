"""What a reader has to follow stays short: the way of a delivery in docs/architecture.md, and the chains of imports."""

from __future__ import annotations

import asyncio
import functools
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import structlog

import ringback
import ringback_catalog
from ringback import CallOutcomeMiddleware, Outcome, OutcomeRouter
from ringback.testing import call_disconnected, delivery

if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from types import FrameType

OURS = tuple(str(Path(each.__file__).parent) for each in (ringback, ringback_catalog))
TO_THE_LINE = (44, 21)
"""Functions and files at most, from the middleware to the log line, where nothing is registered."""
TO_THE_HOOK = (103, 37)
"""The same to a hook whose outcome waited in memory, with the line that says that the call has ended."""
LONGEST_CHAIN = 23
"""Modules of ours at most from one that nothing imports down to one that imports nothing."""


class Trace:
    """The functions of ours that run from :meth:`begin` to :meth:`end`."""

    def __init__(self) -> None:
        self.functions: set[tuple[str, str]] = set()

    def begin(self) -> None:
        sys.setprofile(self._called)

    def end(self) -> None:
        sys.setprofile(None)

    def _called(self, frame: FrameType, event: str, _: object) -> None:
        code = frame.f_code
        # A comprehension is a function of its own before Python 3.12.
        if event == "call" and code.co_filename.startswith(OURS) and not code.co_qualname.endswith("comp>"):
            self.functions.add((code.co_filename, code.co_qualname))

    @property
    def size(self) -> tuple[int, int]:
        return len(self.functions), len({file for file, _ in self.functions})


@pytest.fixture
def written() -> Generator[Callable[[Callable[[], object]], None]]:
    """Lets a function be called with each log line."""
    calls: list[Callable[[], object]] = []

    def note(_: object, __: str, event: dict[str, Any]) -> str:
        for call in calls:
            call()
        return str(event)

    structlog.configure(processors=[note], logger_factory=structlog.ReturnLoggerFactory())
    yield calls.append
    structlog.reset_defaults()


async def route(scope: Any, receive: Any, send: Any) -> None:
    await receive()
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b""})


async def post(app: CallOutcomeMiddleware, before: Callable[[], None] = lambda: None) -> None:
    """The end of a call of its own: the builder gives each event ids of its own, in the form of the service's ids."""
    body = delivery(call_disconnected(486, 560486))
    scope = {
        "type": "http",
        "http_version": "1.1",
        "method": "POST",
        "path": "/cb",
        "query_string": b"",
        "headers": [(b"content-length", str(len(body)).encode())],
    }

    async def receive() -> Any:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: Any) -> None: ...

    before()
    await app(scope, receive, send)


async def test_the_way_to_the_line_is_short(written: Callable[[Callable[[], object]], None]) -> None:
    """Of a delivery that is not the first."""
    app, trace = CallOutcomeMiddleware(route, router=OutcomeRouter(), path="/cb", auth=None), Trace()
    await post(app)
    written(trace.end)
    await post(app, trace.begin)
    assert trace.functions
    assert [size <= most for size, most in zip(trace.size, TO_THE_LINE, strict=True)] == [True, True]


async def test_the_way_to_a_hook_is_short(written: Callable[[Callable[[], object]], None]) -> None:
    """Of a delivery that is not the first, through the store in memory."""
    router, trace, called = OutcomeRouter(settle=0), Trace(), asyncio.Event()

    @router.on_retryable
    async def hook(outcome: Outcome) -> None:
        trace.end()
        called.set()

    app = CallOutcomeMiddleware(route, router=router, path="/cb", auth=None)
    await router.start()
    await post(app)
    await called.wait()
    called.clear()
    await post(app, trace.begin)
    await called.wait()
    await router.drain()
    assert trace.functions
    assert [size <= most for size, most in zip(trace.size, TO_THE_HOOK, strict=True)] == [True, True]


def test_no_chain_of_imports_is_long() -> None:
    """Imports for type checkers do not count; imports that a function makes do."""
    grimp = pytest.importorskip("grimp")
    graph = grimp.build_graph("ringback", "ringback_catalog", exclude_type_checking_imports=True, cache_dir=None)
    imported = {module: graph.find_modules_directly_imported_by(module) for module in graph.modules}
    # `ringback.testing.Simulator` is a name for users, imported when it is used.
    imported["ringback.testing"] -= {"ringback.simulator"}

    @functools.cache
    def chain(module: str) -> tuple[str, ...]:
        return (module, *max(map(chain, sorted(imported[module])), key=len, default=()))

    longest = max(map(chain, sorted(imported)), key=len)
    assert longest[-1].startswith("ringback_catalog.")
    assert len(longest) <= LONGEST_CHAIN, longest
