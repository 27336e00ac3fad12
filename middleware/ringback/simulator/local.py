"""The simulator: a local Call Automation service for the real client; a scenario decides the callbacks."""

from __future__ import annotations

import asyncio
import time
from contextlib import ExitStack
from importlib import import_module
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from ringback.exceptions import ConfigurationError, RingbackError, needs_extra
from ringback.simulator.arrivals import Arrivals
from ringback.simulator.authority import certificate_in
from ringback.simulator.calls import CALLEE, CALLER, Arrival
from ringback.simulator.courier import Courier
from ringback.simulator.files import Files
from ringback.simulator.outside import FAST, Outside, ignored
from ringback.simulator.playbook import Playbook
from ringback.simulator.posting import http_ask, http_post, web_address
from ringback.simulator.scenarios import Answer
from ringback.simulator.server import CONFIGURATION, KEYS, Application, Server, documents_of, listening
from ringback.simulator.service import Service
from ringback.simulator.streams import Streams
from ringback.simulator.switchboard import Switchboard
from ringback.simulator.websocket import websocket_dial
from ringback.testing.signing import default_issuer

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from azure.core.credentials import AzureKeyCredential

    from ringback.simulator.authority import Authority
    from ringback.simulator.calls import Call, Incoming
    from ringback.simulator.courier import Callback
    from ringback.simulator.outside import Say, Sleep
    from ringback.simulator.posting import Post
    from ringback.simulator.recording import Recording
    from ringback.simulator.scenarios import Choice, Scenario
    from ringback.testing.grid import Schema
    from ringback.testing.signing import Issuer

ACCESS_KEY = "cmluZ2JhY2stc2ltdWxhdG9yLWlzLW5vLXNlY3JldC4u"
"""The default access key. It is no secret: it gives access to simulators of this machine only."""

PATIENCE = 10.0


class StillBusy(RingbackError, TimeoutError):
    """The simulator still had callbacks to post when the waiting time was over."""


class Simulator:
    """A Call Automation service on this machine. Use it as ``async with`` or, in blocking code, ``with``.

    ``scenario`` decides every call, ``numbers`` the calls to single numbers; the TOML file ``scenarios`` decides
    both. Of a list of scenarios, each call takes the next. ``port`` 0 is any free port. The same ``seed`` gives the
    same ids, latency and drawn orders in every run. ``latency`` is the shortest and the longest delay before an
    event, in seconds; ``speed`` divides the seconds that people take, and 1 is natural. The simulator refuses a
    callback URL with http unless it is on this machine; ``allow_http`` allows or forbids all of them. ``issuer`` signs
    the callbacks, by default a new one; with ``signed=False`` none does. ``callback_ca_file`` holds the authority of a
    TLS endpoint. With ``tls`` the server's certificate is signed by ``authority``, by default a new one. ``clock``
    gives seconds since 1970; ``sleep`` waits, ``post`` posts, and ``say`` takes one line of text for each step.
    ``arrival`` is the call that a ``POST /simulator/ring`` without further words lets come in. ``grid`` is the address
    that Event Grid tells of the files of recordings.
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
        authority: Authority | None = None,
        seed: int | None = None,
        latency: tuple[float, float] = (0.0, 0.02),
        speed: float = FAST,
        allow_http: bool | None = None,
        signed: bool = True,
        issuer: Issuer | None = None,
        callback_ca_file: str | Path | None = None,
        clock: Callable[[], float] = time.time,
        sleep: Sleep = asyncio.sleep,
        post: Post | None = None,
        say: Say | None = None,
        arrival: Arrival | None = None,
        grid: str | None = None,
    ) -> None:
        signer = issuer or default_issuer()
        self._outside = outside = Outside(
            clock=clock,
            sleep=sleep,
            random=Random(seed),
            latency=latency,
            say=say or ignored,
            issuer=signer if signed else None,
            speed=speed,
            allow_http=allow_http,
            filed=lambda recording: self._files.ready(recording),
            token=signer.token,
        )
        self._switchboard = Switchboard(Playbook(scenario, numbers, scenarios), outside)
        self._service = Service(self._switchboard, key=key)
        streams = Streams(websocket_dial(callback_ca_file), outside, begin=lambda script: self._courier.begin(script))
        self._courier = Courier(self._switchboard, post or http_post(callback_ca_file), streams.prepare)
        self._arrivals = Arrivals(self._switchboard, self._courier, http_ask(callback_ca_file))
        self._usual = arrival or Arrival(to="")
        told = None if grid is None else web_address("grid", grid)
        self._files = Files(self._switchboard, self._arrivals, grid=told, url=lambda: self.url)
        self._key = key
        self._tls = tls
        self._authority = authority
        self._port = port
        self._opened = ExitStack()
        self._server: Server | None = None
        self.ca_file: Path | None = None
        """The authority that clients are to trust; ``None`` without TLS."""

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
        """For ``from_connection_string``, which always uses TLS: make the simulator with ``tls=True``."""
        return f"endpoint={self.url}/;accesskey={self._key}"

    @property
    def jwks_uri(self) -> str:
        """The URL of the key set of the callbacks' tokens, for ``CallbackTokenVerifier``."""
        return f"{self.url}{KEYS}"

    @property
    def openid_configuration(self) -> str:
        return f"{self.url}{CONFIGURATION}"

    @property
    def issuer(self) -> Issuer:
        """The signer of the callbacks. Give a verifier the ``audience`` and ``issuer`` of the signer.

        Raises :class:`ConfigurationError` with ``signed=False``.
        """
        if self._outside.issuer is None:
            raise ConfigurationError("this simulator signs nothing; leave out signed=False")
        return self._outside.issuer

    @property
    def calls(self) -> list[Call]:
        """Every call that the client created, answered or connected, in order, ended calls included."""
        return self._switchboard.calls

    @property
    def recordings(self) -> list[Recording]:
        """Every recording that the client started, in order, ended recordings included."""
        return self._switchboard.recordings

    @property
    def callbacks(self) -> list[Callback]:
        """Every POST of the simulator, in the order of the endpoint's answers."""
        return self._courier.callbacks

    @property
    def scenarios(self) -> Mapping[str, Scenario]:
        """The built-in scenarios and those of the file, by name."""
        return self._switchboard.playbook.known

    def fail_next(
        self, status: int, *, code: str = "", message: str = "", retry_after: int | None = None, times: int = 1
    ) -> None:
        """Answer the next ``times`` requests with this error; ``retry_after`` is in seconds.

        Raises :class:`ConfigurationError` for a ``status`` outside 400 to 599.
        """
        if not 400 <= status <= 599:
            raise ConfigurationError(f"status {status} is no error; give one from 400 to 599")
        self._service.fail_next(Answer(status=status, code=code, message=message, retry_after=retry_after), times)

    async def subscribe(self, to: str, *, schema: Schema = "eventgrid") -> None:
        """Make Event Grid's handshake with the address ``to``, as a subscription does before its first delivery.

        Raises :class:`HandshakeFailed`, which says what the endpoint is to answer, and :class:`ConfigurationError` for
        an address that is no http(s) URL.
        """
        await asyncio.wrap_future(self._running().submit(self._arrivals.subscribe(to, schema)))

    def wait_subscribed(self, to: str, *, schema: Schema = "eventgrid") -> None:
        """:meth:`subscribe` for blocking code."""
        self._running().submit(self._arrivals.subscribe(to, schema)).result()

    async def incoming(
        self,
        to: str,
        *,
        caller: str = CALLER,
        callee: str = CALLEE,
        display_name: str = "",
        scenario: str | Scenario | None = None,
        schema: Schema = "eventgrid",
    ) -> Incoming:
        """Let a call come in: post Event Grid's IncomingCall to the address ``to``, and return the call.

        ``scenario`` decides what follows the app's answer; the default is the scenario of the caller's number, else
        ``answered``. The returned call's ``status`` is that of the endpoint's answer, ``None`` without an answer.
        Raises :class:`ConfigurationError` for an unknown scenario, for a party that is neither a phone number nor a raw
        id, and for an address that is no http(s) URL.
        """
        arrival = Arrival(
            to=to, caller=caller, callee=callee, display_name=display_name, scenario=scenario, schema=schema
        )
        return await asyncio.wrap_future(self._running().submit(self._arrivals.ring(arrival)))

    def ring(
        self,
        to: str,
        *,
        caller: str = CALLER,
        callee: str = CALLEE,
        display_name: str = "",
        scenario: str | Scenario | None = None,
        schema: Schema = "eventgrid",
    ) -> Incoming:
        """:meth:`incoming` for blocking code."""
        arrival = Arrival(
            to=to, caller=caller, callee=callee, display_name=display_name, scenario=scenario, schema=schema
        )
        return self._running().submit(self._arrivals.ring(arrival)).result()

    async def idle(self, timeout: float = PATIENCE) -> None:
        """Wait until the simulator has posted every scripted callback; :class:`StillBusy` after ``timeout`` seconds."""
        await asyncio.wrap_future(self._running().submit(self._idle(timeout)))

    def wait_idle(self, timeout: float = PATIENCE) -> None:
        """:meth:`idle` for blocking code."""
        self._running().submit(self._idle(timeout)).result()

    async def _idle(self, timeout: float) -> None:
        try:
            async with asyncio.timeout(timeout):
                # An app that hears of a redirected call may answer, and so begin callbacks.
                await self._arrivals.idle()
                await self._courier.idle()
                # What the courier posted may have ended a recording, whose file is announced then.
                await self._arrivals.idle()
        except TimeoutError:
            raise StillBusy(f"callbacks are still to be posted after {timeout:g} seconds") from None

    def _running(self) -> Server:
        if self._server is None:
            raise ConfigurationError("the simulator is not running; use it as `async with` or `with`")
        return self._server

    def __enter__(self) -> Simulator:
        if self._server is not None:
            raise ConfigurationError("this simulator is running already; make another one")
        with needs_extra("the simulator", "simulator"):
            for name in ("uvicorn", "jwt", "cryptography", "websockets"):
                import_module(name)
        with ExitStack() as opened:
            files = None
            if self._tls:
                folder = opened.enter_context(TemporaryDirectory(prefix="ringback-"))
                files = certificate_in(Path(folder), kept=self._authority)
                self.ca_file = files.ca_file
            sock = listening(self._port)
            self._port = sock.getsockname()[1]
            parts = (self._service, self._courier, self._arrivals, self._usual, self._files)
            app = Application(*parts, documents_of(self._outside.issuer, self.jwks_uri), self._outside.say)
            server = Server(app, self._courier, sock, files)
            server.start()
            opened.callback(server.stop)
            self._opened = opened.pop_all()
        self._server = server
        return self

    def __exit__(self, *_: object) -> None:
        self._running()
        self._server = None
        self._opened.close()

    async def __aenter__(self) -> Simulator:
        return await asyncio.to_thread(self.__enter__)

    async def __aexit__(self, *_: object) -> None:
        await asyncio.to_thread(self.__exit__)
