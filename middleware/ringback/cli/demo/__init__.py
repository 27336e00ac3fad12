"""The demo: posts a dozen deliveries to a small app on a real server, and prints the outcome of every delivery."""

from __future__ import annotations

import http.client
import importlib.util
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
from ringback.cli.demo.deliveries import POSTINGS, Posting
from ringback.cli.demo.screen import Report, Screen
from ringback.core.events import parse_delivery
from ringback.core.outcome import classify_event
from ringback.exceptions import ConfigurationError, RingbackError
from ringback.hooks.invoke import called
from ringback.hooks.registration import Registration
from ringback.simulator.server import protocol_without_access_log
from ringback.web.endpoint import OutcomeRouter

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, MutableMapping, Sequence
    from types import ModuleType

    from structlog.typing import Processor

    from ringback.cli.demo.screen import Line
    from ringback.hooks.registration import Handler

PATH = "/api/callbacks/demo"
SETTLE = 0.2
PATIENCE = 2.0
"""Seconds that the demo waits for a hook, so that a hook which never ends does not stop the demo."""


class DemoUnavailable(RingbackError):
    """The demo cannot run in this environment."""


def run(
    app: Path | None = None,
    *,
    json_logs: bool = False,
    width: int = 100,
    styled: bool = False,
    command: str = "ringback",
    postings: Sequence[Posting] = POSTINGS,
) -> list[Report]:
    """Post the deliveries and print what happens. Returns a report for every delivery, in order.

    ``app`` is a Python file with ``create_app()``, by default the quickstart. The demo counts the hooks of the routers
    that are names of that module. ``command`` stands for ``ringback`` in the commands that the demo prints. Raises
    :class:`DemoUnavailable` without uvicorn, :class:`ConfigurationError` for a file that is no app.
    """
    _require_uvicorn()
    place = app or quickstart()
    screen, tally = Screen(width, styled), _Tally()
    lines: list[Line] = []

    def note(_: object, __: str, line: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        lines.append(dict(line))
        if json_logs:
            return line
        # Nobody waits for the calls of a demo, so that its hooks may be lost with the process.
        if line["event"] != "hooks.volatile":
            screen.log_line(line)
        raise structlog.DropEvent

    reports: list[Report] = []
    with _loaded(place) as module:
        routers = [value for value in vars(module).values() if isinstance(value, OutcomeRouter)]
        for router in routers:
            # A settle time of a second after every delivery would keep the reader waiting.
            router._settings = replace(router.settings, settle=SETTLE)  # pyright: ignore[reportPrivateUsage]
        tally.watch(routers)
        with _logging_to(note), _serving(module.create_app()) as port:
            screen.opening(place.name, port)
            for posting in postings:
                before = len(lines), len(tally.called)
                screen.heading(posting, PATH)
                status, body = _post(port, posting)
                screen.answer(status, body)
                # No hook follows a delivery without an outcome, or one that an app on another path does not accept.
                if any(line["event"] == "call.outcome" for line in lines[before[0] :]):
                    tally.expect(posting, routers)
                    if not posting.sibling_follows:
                        tally.wait()
                hooks = tally.called[before[1] :] if routers else None
                reports.append(Report(posting, status, lines[before[0] :], hooks))
    screen.closing(reports, command)
    return reports


def quickstart(here: Path = Path(__file__)) -> Path:
    """The quickstart's file, which stands beside this module in a wheel and in ``examples`` in a checkout."""
    places = (here.with_name("quickstart.py"), here.parents[4] / "examples" / "quickstart.py")
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
    """Counts the calls of hooks, and waits for the hooks that are due."""

    def __init__(self) -> None:
        self.called: list[str] = []
        self._due = 0
        self._seen: set[str] = set()
        self._changed = threading.Condition()

    def watch(self, routers: list[OutcomeRouter]) -> None:
        """Put a counting handler in the place of every handler: the app has already included its routers."""
        counted: dict[Handler, Handler] = {}
        for router in {inner for outer in routers for inner in outer.routers()}:
            parts = router._parts  # pyright: ignore[reportPrivateUsage]
            for index, part in enumerate(parts):
                if isinstance(part, Registration):
                    handler = counted.setdefault(part.handler, self._counting(part.handler))
                    parts[index] = replace(part, handler=handler)
            router._changed()  # pyright: ignore[reportPrivateUsage]

    def expect(self, posting: Posting, routers: list[OutcomeRouter]) -> None:
        """Add the hooks that this delivery makes due: those for calls whose end no earlier delivery reported."""
        registrations = [registration for router in routers for registration in router.registrations]
        for outcome in map(classify_event, parse_delivery(posting.body).events):
            if outcome is not None and outcome.ends_call and outcome.outcome_id not in self._seen:
                self._seen.add(outcome.outcome_id)
                self._due += len({known.handler for known in registrations if known.fits(outcome)})

    def wait(self) -> None:
        """Wait until every due hook was called. Without a due hook, wait long enough to see that no hook is called."""
        with self._changed:
            if len(self.called) < self._due:
                self._changed.wait_for(lambda: len(self.called) >= self._due, PATIENCE)
                self._due = len(self.called)
                return
        time.sleep(SETTLE + 0.05)

    def _counting(self, handler: Handler) -> Handler:
        # A handler takes one or two arguments; its registration knows how many.
        function: Callable[..., Any] = handler

        @wraps(function)
        async def counted(*arguments: Any, **keywords: Any) -> None:
            try:
                await called(function, arguments, keywords)
            finally:
                self._count(handler)

        return counted

    def _count(self, handler: Handler) -> None:
        with self._changed:
            self.called.append(getattr(handler, "__name__", type(handler).__name__))
            self._changed.notify_all()


@contextmanager
def _loaded(place: Path) -> Generator[ModuleType]:
    """The module of a file. The import leaves nothing on the disk, and after the block nothing in ``sys.modules``."""
    name = f"ringback_demo_{place.stem}"
    spec = importlib.util.spec_from_file_location(name, place) if place.is_file() else None
    if spec is None or spec.loader is None:
        raise ConfigurationError(f"app '{place}' is no Python file; name a file with create_app()")
    module = importlib.util.module_from_spec(spec)
    wrote, sys.dont_write_bytecode = sys.dont_write_bytecode, True
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
        if not callable(getattr(module, "create_app", None)):
            raise ConfigurationError(f"app '{place}' has no create_app; define create_app() that returns an ASGI app")
        yield module
    finally:
        sys.dont_write_bytecode = wrote
        del sys.modules[name]


@contextmanager
def _logging_to(note: Processor) -> Generator[None]:
    """Configure structlog as Ringback does, with ``note`` as one more processor; at the end restore structlog."""
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
    """Run a server with this app in a thread until the end of the block; the value is the server's port."""
    import uvicorn

    with socket.create_server(("127.0.0.1", 0)) as listening:
        # No logs of uvicorn, and only parts that every installation of uvicorn has.
        http: Any = protocol_without_access_log
        config = uvicorn.Config(app, log_config=None, loop="asyncio", http=http, ws="none")
        server = uvicorn.Server(config)

        def serve() -> None:
            # uvicorn exits if an app does not start up, which must end this thread and not the process.
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
