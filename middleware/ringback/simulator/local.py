"""The simulator: a local Call Automation service for the real client, its callbacks following a scenario."""

from __future__ import annotations

import asyncio
import tempfile
import time
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any

from ringback.exceptions import ConfigurationError, RingbackError
from ringback.simulator import certificate
from ringback.simulator.bodies import incoming_event
from ringback.simulator.courier import Courier
from ringback.simulator.posting import http_post, web_address
from ringback.simulator.scenarios import Answer, Playbook
from ringback.simulator.server import CONFIGURATION, KEYS, Application, Server, listening
from ringback.simulator.service import Service
from ringback.simulator.switchboard import Switchboard
from ringback.testing.events import delivery
from ringback.testing.grid import grid_headers
from ringback.testing.signing import default_issuer

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from types import TracebackType

    from azure.core.credentials import AzureKeyCredential

    from ringback.simulator.calls import Call, Incoming
    from ringback.simulator.courier import Callback, Say, Sleep
    from ringback.simulator.posting import Post
    from ringback.simulator.scenarios import Choice, Scenario
    from ringback.testing.signing import Issuer

ACCESS_KEY = "cmluZ2JhY2stc2ltdWxhdG9yLWlzLW5vLXNlY3JldC4u"
"""The access key of every simulator that is given none: no secret, as it opens nothing but this machine's own."""

PATIENCE = 10.0


class StillBusy(RingbackError, TimeoutError):
    """Callbacks were still to be posted when the time to wait for them was over."""


class Simulator:
    """A Call Automation service on this machine, to be used as ``async with`` or, in blocking code, ``with``.

    ``scenario`` is what happens to every call, ``numbers`` what happens to calls to single numbers, and
    ``scenarios`` a TOML file of both; a list of scenarios serves one call after the other. ``port`` 0 is any
    that is free. ``seed`` makes ids, latency and drawn orders the same in every run; ``latency`` is
    between two numbers of seconds, before each event. Callbacks to http are refused unless they stay on
    this machine; ``allow_http`` allows or forbids all of them. They are signed by ``issuer``, one that is
    made up unless given, or not at all if ``signed`` is false; a TLS endpoint's authority is ``callback_ca_file``.
    ``clock`` gives seconds since 1970, ``sleep`` and ``post`` wait and post, ``say`` is told each step in a line.
    Raises :class:`~ringback.exceptions.ConfigurationError` for settings that cannot work.
    """

    def __init__(
        self,
        scenario: Choice | None = None,
        *,
        numbers: Mapping[str, Choice] | None = None,
        scenarios: str | Path | None = None,
        port: int = 0,
        key: str = ACCESS_KEY,
        tls: bool = False,
        seed: int | None = None,
        latency: tuple[float, float] = (0.0, 0.02),
        allow_http: bool | None = None,
        signed: bool = True,
        issuer: Issuer | None = None,
        callback_ca_file: str | Path | None = None,
        clock: Callable[[], float] = time.time,
        sleep: Sleep = asyncio.sleep,
        post: Post | None = None,
        say: Say | None = None,
    ) -> None:
        if not 0 <= latency[0] <= latency[1]:
            raise ConfigurationError(f"latency {latency!r} is no range of seconds; give for example (0, 0.1)")
        random = Random(seed)
        self._say: Say = say or (lambda _: None)
        self._playbook = Playbook(scenario, numbers, scenarios)
        self._switchboard = Switchboard(self._playbook, random=random, allow_http=allow_http)
        self._service = Service(self._switchboard, key=key, clock=clock)
        self._issuer = (issuer or default_issuer()) if signed else None
        self._clock = clock
        self._courier = Courier(
            post or http_post(callback_ca_file),
            issuer=self._issuer,
            sleep=sleep,
            clock=clock,
            random=random,
            ids=self._switchboard.new_id,
            latency=latency,
            say=self._say,
        )
        self._key = key
        self._tls = tls
        self._port = port
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._server: Server | None = None
        self.ca_file: Path | None = None
        """The authority that clients are to trust; ``None`` without TLS."""

    # Where it is

    @property
    def url(self) -> str:
        """The endpoint for ``CallAutomationClient(acs.url, acs.credential)``."""
        return f"{'https' if self._tls else 'http'}://127.0.0.1:{self._port}"

    @property
    def credential(self) -> AzureKeyCredential:
        from azure.core.credentials import AzureKeyCredential

        return AzureKeyCredential(self._key)

    @property
    def connection_string(self) -> str:
        """For ``from_connection_string``, which always speaks TLS: make the simulator with ``tls=True``."""
        return f"endpoint={self.url}/;accesskey={self._key}"

    @property
    def jwks_uri(self) -> str:
        """The key set of the callbacks' tokens, for ``CallbackTokenVerifier``."""
        return f"{self.url}{KEYS}"

    @property
    def openid_configuration(self) -> str:
        return f"{self.url}{CONFIGURATION}"

    @property
    def issuer(self) -> Issuer:
        """Who signs the callbacks; its ``audience`` and ``issuer`` are what a verifier is told."""
        if self._issuer is None:
            raise ConfigurationError("this simulator signs nothing; leave out signed=False")
        return self._issuer

    # What has happened

    @property
    def calls(self) -> list[Call]:
        """Every call that was created, answered or connected, in order; also those that ended."""
        return self._switchboard.calls

    @property
    def callbacks(self) -> list[Callback]:
        """Everything that was posted, in the order of the answers."""
        return self._courier.callbacks

    @property
    def scenarios(self) -> Mapping[str, Scenario]:
        """Every scenario there is, by name."""
        return self._playbook.known

    # What is to happen

    def fail_next(
        self, status: int, *, code: str = "", message: str = "", retry_after: int | None = None, times: int = 1
    ) -> None:
        """Answer the next ``times`` requests with this error; ``retry_after`` is in seconds."""
        if not 400 <= status <= 599:
            raise ConfigurationError(f"status {status} is no error; give one from 400 to 599")
        self._service.fail_next(Answer(status=status, code=code, message=message, retry_after=retry_after), times)

    async def incoming(
        self,
        to: str,
        *,
        caller: str = "+15550100001",
        callee: str = "+15550100002",
        display_name: str = "",
        scenario: str | Scenario | None = None,
    ) -> Incoming:
        """Let a call come in: post Event Grid's IncomingCall to the address ``to``, and give the call.

        ``scenario`` is what happens once it is answered; without one that of the caller's number, else
        ``connected``. The status of the endpoint's answer is ``status``, ``None`` if there was none.
        """
        return await asyncio.wrap_future(self._begin_incoming(to, caller, callee, display_name, scenario))

    def ring(
        self,
        to: str,
        *,
        caller: str = "+15550100001",
        callee: str = "+15550100002",
        display_name: str = "",
        scenario: str | Scenario | None = None,
    ) -> Incoming:
        """:meth:`incoming` for blocking code."""
        found: Incoming = self._begin_incoming(to, caller, callee, display_name, scenario).result()
        return found

    async def idle(self, timeout: float = PATIENCE) -> None:
        """Until every scripted callback was delivered. Raises :class:`StillBusy` after ``timeout`` seconds."""
        await asyncio.wrap_future(self._running().submit(self._idle(timeout)))

    def wait_idle(self, timeout: float = PATIENCE) -> None:
        """:meth:`idle` for blocking code."""
        self._running().submit(self._idle(timeout)).result()

    async def _idle(self, timeout: float) -> None:
        try:
            await asyncio.wait_for(self._courier.idle(), timeout)
        except TimeoutError:
            raise StillBusy(f"callbacks are still to be posted after {timeout:g} seconds") from None

    def _begin_incoming(
        self, to: str, caller: str, callee: str, display_name: str, scenario: str | Scenario | None
    ) -> Any:
        server, uri = self._running(), web_address(to)
        if isinstance(scenario, str):
            scenario = self._playbook.named(scenario)

        async def ring() -> Incoming:
            found = self._switchboard.ring(caller, callee, scenario)
            event = incoming_event(found, display_name, self._switchboard.new_id, self._clock)
            headers = grid_headers(event)
            if self._issuer is not None:
                now = int(self._clock())
                token = self._issuer.grid_token(iat=now, nbf=now, exp=now + 3600)
                headers["authorization"] = f"Bearer {token}"
            found.status = (await self._courier.deliver(("IncomingCall",), uri, delivery(event), headers)).status
            return found

        return server.submit(ring())

    # Its life

    def _running(self) -> Server:
        if self._server is None:
            raise ConfigurationError("the simulator is not running; use it as `async with` or `with`")
        return self._server

    def __enter__(self) -> Simulator:
        if self._server is not None:
            raise ConfigurationError("this simulator is running already; make another one")
        if self._tls:
            self._folder = tempfile.TemporaryDirectory(prefix="ringback-")
        try:
            return self._started()
        except ConfigurationError:
            self._tidy()
            raise

    def _started(self) -> Simulator:
        files = None
        if self._folder is not None:
            files = certificate.make(Path(self._folder.name))
            self.ca_file = files.ca_file
        sock = listening(self._port)
        self._port = sock.getsockname()[1]
        documents: dict[str, Any] = {}
        if self._issuer is not None:
            documents = {
                KEYS: self._issuer.key_set,
                CONFIGURATION: {"issuer": self._issuer.issuer, "jwks_uri": self.jwks_uri},
            }
        app = Application(self._service, self._courier, documents, self._say)
        try:
            server = Server(app, self._courier, sock, files)
        except ConfigurationError:
            sock.close()
            raise
        server.start()
        self._server = server
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        server, self._server = self._running(), None
        server.stop()
        self._tidy()

    def _tidy(self) -> None:
        if self._folder is not None:
            self._folder.cleanup()

    async def __aenter__(self) -> Simulator:
        return await asyncio.to_thread(self.__enter__)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await asyncio.to_thread(self.__exit__, kind, error, trace)
