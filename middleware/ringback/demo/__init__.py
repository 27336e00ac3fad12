"""The demo: a real server with a small app, a dozen deliveries over HTTP, and what became of each."""

from __future__ import annotations

import http.client
import importlib.util
import inspect
import socket
import sys
import threading
import time
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

import structlog

from ringback import logs
from ringback.demo.deliveries import POSTINGS, Posting
from ringback.demo.screen import Report, Screen
from ringback.events import parse_delivery
from ringback.exceptions import ConfigurationError, RingbackError
from ringback.outcome import classify_event
from ringback.router import HandlerRouter, Registration
from ringback_catalog import Scope

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, MutableMapping, Sequence
    from types import ModuleType

    from structlog.typing import Processor

    from ringback.demo.screen import Line
    from ringback.outcome import Outcome
    from ringback.router import Handler

PATH = "/api/callbacks/demo"
SETTLE = 0.2
PATIENCE = 2.0
"""Seconds to wait for a hook at most, so that a hook which never ends does not stop the demo."""


class DemoUnavailable(RingbackError):
    """The demo cannot run on this machine as it is."""


def run(
    app: Path | None = None,
    *,
    json_logs: bool = False,
    width: int = 100,
    styled: bool = False,
    postings: Sequence[Posting] = POSTINGS,
) -> list[Report]:
    """Post every delivery of the demo and print what happens; a report for each, in order.

    ``app`` is a Python file with ``create_app(settle=...)``, by default the quickstart; its hooks are
    counted where its routers are names of the module. Raises :class:`DemoUnavailable` without
    uvicorn, :class:`ConfigurationError` for a file that is no app.
    """
    _require_uvicorn()
    place = app or quickstart()
    screen, tally = Screen(width, styled), _Tally()
    lines: list[Line] = []

    def note(_: object, __: str, line: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        lines.append(dict(line))
        if json_logs:
            return line
        if line["event"] == "hooks.volatile":
            # True, and of no concern: nobody waits for the calls of a demo.
            raise structlog.DropEvent
        screen.log_line(line)
        raise structlog.DropEvent

    reports: list[Report] = []
    with _loaded(place) as module:
        routers = [each for each in vars(module).values() if isinstance(each, HandlerRouter)]
        tally.watch(routers)
        web_app = module.create_app(settle=SETTLE)
        with _logging_to(note), _serving(web_app) as port:
            screen.opening(place.name, port)
            for posting in postings:
                before = len(lines), len(tally.called)
                screen.heading(posting, PATH)
                status, body = _post(port, posting)
                screen.answer(status, body)
                # Without an outcome no hook can follow: the delivery is none, or the app serves another path.
                if any(line["event"] == "call.outcome" for line in lines[before[0] :]):
                    tally.expect(posting, routers)
                    if not posting.sibling_follows:
                        tally.wait()
                hooks = tally.called[before[1] :] if routers else None
                reports.append(Report(posting, status, lines[before[0] :], hooks))
    screen.closing(reports)
    return reports


def quickstart(here: Path = Path(__file__)) -> Path:
    """The file of the quickstart: beside this package in a wheel, among the examples in a checkout."""
    places = (here.with_name("quickstart.py"), here.parents[3] / "examples" / "quickstart.py")
    found = next((place for place in places if place.is_file()), None)
    if found is None:
        raise DemoUnavailable("quickstart.py is missing from this installation; pass --app FILE with an app of yours")
    return found


def _require_uvicorn() -> None:
    try:
        importlib.import_module("uvicorn")
    except ImportError as error:
        raise DemoUnavailable("uvicorn is not installed; run: pip install 'ringback[demo]'") from error


class _Tally:
    """Which hooks were called, and whether those that were due have been."""

    def __init__(self) -> None:
        self.called: list[str] = []
        self._due = 0
        self._seen: set[str] = set()
        self._changed = threading.Condition()

    def watch(self, routers: list[HandlerRouter]) -> None:
        """Count every handler in its place: its router was handed to the app before we came."""
        counted: dict[Handler, Handler] = {}
        for router in {each for outer in routers for each in outer.routers()}:
            parts = router._parts  # pyright: ignore[reportPrivateUsage]
            for index, part in enumerate(parts):
                if isinstance(part, Registration):
                    handler = counted.setdefault(part.handler, self._counting(part.handler))
                    parts[index] = replace(part, handler=handler)

    def expect(self, posting: Posting, routers: list[HandlerRouter]) -> None:
        """The hooks that this delivery makes due: those of the calls whose end it is the first to tell."""
        registrations = [each for router in routers for each in router.registrations]
        for outcome in _endings(posting):
            if outcome.outcome_id not in self._seen:
                self._seen.add(outcome.outcome_id)
                self._due += len({each.handler for each in registrations if each.concerns(outcome)})

    def wait(self) -> None:
        """Until every hook that is due was called; if none is, long enough to see that none is."""
        with self._changed:
            if len(self.called) < self._due:
                self._changed.wait_for(lambda: len(self.called) >= self._due, PATIENCE)
                self._due = len(self.called)
                return
        time.sleep(SETTLE + 0.05)

    def _counting(self, handler: Handler) -> Handler:
        # With or without a context: its registration knows.
        function: Callable[..., Any] = handler
        if inspect.iscoroutinefunction(handler):

            @wraps(function)
            async def counted(*arguments: Any, **named: Any) -> None:
                try:
                    await function(*arguments, **named)
                finally:
                    self._count(handler)

            return counted

        @wraps(function)
        def counted_sync(*arguments: Any, **named: Any) -> Any:
            try:
                return function(*arguments, **named)
            finally:
                self._count(handler)

        return counted_sync

    def _count(self, handler: Handler) -> None:
        with self._changed:
            self.called.append(getattr(handler, "__name__", type(handler).__name__))
            self._changed.notify_all()


def _endings(posting: Posting) -> list[Outcome]:
    outcomes = map(classify_event, parse_delivery(posting.body).events)
    return [each for each in outcomes if each is not None and each.scope is Scope.CALL]


@contextmanager
def _loaded(place: Path) -> Generator[ModuleType]:
    """The module of a file, without a trace of it on disk, nor in ``sys.modules`` afterwards."""
    name = f"ringback_demo_{place.stem}"
    spec = importlib.util.spec_from_file_location(name, place) if place.is_file() else None
    if spec is None or spec.loader is None:
        raise ConfigurationError(f"app '{place}' is no Python file; name a file with create_app(settle=...)")
    module = importlib.util.module_from_spec(spec)
    wrote, sys.dont_write_bytecode = sys.dont_write_bytecode, True
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
        if not callable(getattr(module, "create_app", None)):
            raise ConfigurationError(f"app '{place}' has no create_app; define create_app(settle: float = 1.0)")
        yield module
    finally:
        sys.dont_write_bytecode = wrote
        del sys.modules[name]


@contextmanager
def _logging_to(note: Processor) -> Generator[None]:
    """Ringback's own log configuration with one more processor; afterwards what was there before."""
    before = structlog.get_config() if structlog.is_configured() else None
    structlog.reset_defaults()
    logs.configure()
    *processors, renderer = structlog.get_config()["processors"]
    structlog.configure(processors=[*processors, note, renderer], cache_logger_on_first_use=False)
    try:
        yield
    finally:
        structlog.reset_defaults()
        if before is not None:
            structlog.configure(**before)


@contextmanager
def _serving(app: Any) -> Generator[int]:
    """The port of a server with this app, which runs in a thread of this process until the end of the block."""
    import uvicorn

    with socket.create_server(("127.0.0.1", 0)) as listening:
        # No log of its own, and only parts that every installation of uvicorn has.
        config = uvicorn.Config(app, log_config=None, access_log=False, loop="asyncio", http="h11", ws="none")
        server = uvicorn.Server(config)

        def serve() -> None:
            # An app that does not start up makes uvicorn exit; that is to end the thread alone.
            with suppress(SystemExit):
                server.run([listening])

        thread = threading.Thread(target=serve, name="ringback-demo")
        thread.start()
        try:
            while not server.started:
                if not thread.is_alive():
                    raise ConfigurationError("the app did not start up; look at its lifespan")
                time.sleep(0.01)
            yield listening.getsockname()[1]
        finally:
            server.should_exit = True
            thread.join()


def _post(port: int, posting: Posting) -> tuple[int, str]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        headers = {"content-type": "application/json", "connection": "close"} | dict(posting.headers)
        connection.request("POST", PATH, posting.body, headers)
        response = connection.getresponse()
        return response.status, response.read().decode()
    finally:
        connection.close()
