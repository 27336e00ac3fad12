"""Calls that come in: while ``ringback simulate`` runs, and one by ``ringback trigger incoming``."""

from __future__ import annotations

import asyncio
import json
import os
import queue
import signal
import sys
import threading
from concurrent.futures import CancelledError
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from ringback.cli._values import seconds
from ringback.exceptions import ConfigurationError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Generator

    from ringback.simulator import Arrival, Simulator
    from ringback.testing.signing import Issuer

SIMULATOR = "http://127.0.0.1:8765"
POLL = 0.5
"""Seconds between two looks for an app that does not answer yet."""

_NUMBER = "+15550100001"


def add_ring(command: argparse.ArgumentParser) -> None:
    command.add_argument("--ring", metavar="URL", help="let a call come in at URL: at the start, and at r and Enter")
    command.add_argument("--to", metavar="NUMBER", dest="callee", help="the number that is called")
    command.add_argument("--every", metavar="SECONDS", type=seconds, help="let one more come in every so often")
    _add_caller(command)


def add_trigger(command: argparse.ArgumentParser) -> None:
    _add_caller(command)
    command.add_argument("--simulator", metavar="URL", help=f"which lets the call come in; default: {SIMULATOR}")


def _add_caller(command: argparse.ArgumentParser) -> None:
    command.add_argument("--from", metavar="NUMBER", dest="caller", help=f"who calls; for example {_NUMBER}")
    command.add_argument("--schema", choices=("eventgrid", "cloudevents"), help="of Event Grid; default: eventgrid")


def arrival_of(arguments: argparse.Namespace) -> Arrival | None:
    """The call of ``simulate --ring``; ``None`` without. Raises :class:`ConfigurationError` for what cannot work."""
    if arguments.ring is None:
        if (arguments.callee, arguments.caller, arguments.schema, arguments.every) != (None, None, None, None):
            raise ConfigurationError("--from, --to, --schema and --every go with --ring URL, where the calls come in")
        return None
    if arguments.every is not None and not 0.1 <= arguments.every <= 86400:
        raise ConfigurationError(f"every {arguments.every!r} is out of range; give 0.1 to 86400 seconds")
    return _arrival(arguments, "--ring", arguments.ring, arguments.callee)


def _arrival(arguments: argparse.Namespace, name: str, to: str, callee: str | None) -> Arrival:
    from ringback.simulator.calls import CALLEE, CALLER, Arrival, party
    from ringback.simulator.posting import web_address

    return Arrival(
        to=web_address(name, to),
        caller=party(arguments.caller or CALLER, "--from"),
        callee=party(callee or CALLEE, "--to"),
        schema=arguments.schema or "eventgrid",
    )


@contextmanager
def ringing(
    acs: Simulator, arrival: Arrival | None, every: float | None, say: Callable[[str], object]
) -> Generator[None]:
    """Within the block calls come in; without an ``arrival`` none does."""
    if arrival is None:
        yield
        return
    bell = Bell(acs, arrival, every, say)
    at_key = _watch_keys(bell.ring)
    trust = "" if acs.ca_file is None else f"--cacert {acs.ca_file} "
    by = f"curl -X POST {trust}-H 'content-type: application/json' {acs.url}/simulator/ring"
    say(f"let a call come in  {'r and Enter, or ' if at_key else ''}{by}")
    bell.start()
    try:
        yield
    finally:
        bell.stop()


class Bell:
    """Lets calls come in from a thread of its own: one as soon as the app answers, then one at each :meth:`ring`.

    ``every`` is in seconds.
    """

    def __init__(
        self, acs: Simulator, arrival: Arrival, every: float | None, say: Callable[[str], object], poll: float = POLL
    ) -> None:
        self._acs = acs
        self._arrival = arrival
        self._every = every
        self._say = say
        self._poll = poll
        self._asked: queue.SimpleQueue[bool] = queue.SimpleQueue()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="ringback-bell", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def ring(self) -> None:
        self._asked.put(True)

    def stop(self) -> None:
        self._stopped.set()
        self._asked.put(False)
        # A request under way may wait for a slow app; the thread is a daemon and ends with the process.
        self._thread.join(1)

    def _run(self) -> None:
        try:
            self._let_in()
        except (CancelledError, ConfigurationError):
            # The simulator has ended, and with it the request of this thread.
            return

    def _let_in(self) -> None:
        arrival, subscribed = self._arrival, False
        while not self._stopped.is_set():
            subscribed = subscribed or self._subscribe()
            if subscribed:
                self._acs.ring(arrival.to, caller=arrival.caller, callee=arrival.callee, schema=arrival.schema)
            try:
                self._asked.get(timeout=self._every)
            except queue.Empty:
                continue

    def _subscribe(self) -> bool:
        """Make the handshake, and return whether the app passed. Waits for an app that does not answer yet."""
        from ringback.simulator import HandshakeFailed

        told = False
        while not self._stopped.is_set():
            try:
                self._acs.wait_subscribed(self._arrival.to, schema=self._arrival.schema)
            except HandshakeFailed as failed:
                if failed.reachable:
                    self._say(f"{failed}. After that, let the call come in again")
                    return False
                if not told:
                    self._say(f"{failed}; the call comes in when the app answers")
                told = True
                self._stopped.wait(self._poll)
            else:
                return True
        return False


def _watch_keys(ring: Callable[[], None]) -> bool:
    """Call ``ring`` for each line ``r``, or empty line, of the terminal. ``False`` if nobody types there."""
    if sys.stdin is None or not sys.stdin.isatty():
        return False
    if hasattr(signal, "SIGTTIN"):  # pragma: no branch - Windows has no such signal
        # In the background, reading the terminal would stop the process.
        signal.signal(signal.SIGTTIN, signal.SIG_IGN)
    # The descriptor and not the stream, whose lock a thread that waits in it would hold when Python ends.
    descriptor = sys.stdin.fileno()
    threading.Thread(target=_read_keys, args=(descriptor, ring), name="ringback-keys", daemon=True).start()
    return True


def _read_keys(descriptor: int, ring: Callable[[], None]) -> None:
    while True:
        try:
            line = os.read(descriptor, 1024)
        except OSError:
            return
        if not line:
            return
        if line.strip().lower() in (b"", b"r"):
            ring()


def trigger(arguments: argparse.Namespace, issuer: Issuer | None, say: Callable[[str], object]) -> int:
    """Let one call come in. 1 if the app did not take the event.

    A simulator that runs on this machine lets the call come in, so that the app can answer. Without a simulator this
    command posts the event itself, and so it does with an issuer or a seed of its own.
    """
    from ringback.simulator.posting import web_address

    if arguments.to is None:
        raise ConfigurationError("name the endpoint of IncomingCall: ringback trigger incoming --to URL")
    if (arguments.event, arguments.sip, arguments.q850, arguments.delay) != (None, None, None, None):
        raise ConfigurationError("incoming has no result and no delay; leave out --event, --sip, --q850 and --delay")
    arrival = _arrival(arguments, "--to", arguments.to, None)
    if issuer is None and arguments.seed is None:
        simulator = web_address("--simulator", arguments.simulator or SIMULATOR).rstrip("/")
        status, told = asyncio.run(_asked(simulator, arrival))
        if status is not None:
            say(told)
            return status
        say(
            f"no simulator answers at {simulator} ({told}), so the app cannot answer this call: start ringback simulate"
        )
    return asyncio.run(_posted(arrival, issuer, arguments.seed, say))


async def _asked(simulator: str, arrival: Arrival) -> tuple[int | None, str]:
    """The exit code and the line of the simulator; ``None`` and the reason if there is none."""
    from ringback.simulator.posting import http_ask, shown

    body = json.dumps({"url": arrival.to, "from": arrival.caller, "schema": arrival.schema}).encode()
    try:
        answer = await http_ask()("POST", f"{simulator}/simulator/ring", body, {"content-type": "application/json"})
    except OSError as error:
        return None, error.strerror or str(error)
    try:
        content: Any = json.loads(answer.body)
        if "serverCallId" in content:
            return 0, f"-> IncomingCall to {shown(arrival.to)}: {content['status']}"
        return 1, str(content["error"]["message"])
    except (ValueError, KeyError, TypeError):
        return None, f"another server does, with {answer.status}"


async def _posted(arrival: Arrival, issuer: Issuer | None, seed: int | None, say: Callable[[str], object]) -> int:
    from ringback.simulator import HandshakeFailed
    from ringback.simulator.trigger import incoming

    try:
        return 0 if (await incoming(arrival, issuer=issuer, seed=seed, say=say)).accepted else 1
    except HandshakeFailed as failed:
        say(str(failed))
        return 1
