"""``ringback doctor``: asks a deployment what a first caller would ask, and prints what to fix."""

from __future__ import annotations

import http.client
import json
import shutil
import socket
import ssl
import textwrap
import time
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from ringback.doctor import (
    SLOWEST,
    Answer,
    Connected,
    Failure,
    Lost,
    Severity,
    blocks,
    count,
    further,
    judge,
    strangers_event,
    target,
)
from ringback.exceptions import ConfigurationError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from ringback.doctor import Finding, Probe, Seen, Target
    from ringback.testing.signing import Issuer

_MOST = 64 * 1024
"""Bytes that are read of an answer."""


def add(command: argparse.ArgumentParser, seconds: Callable[[str], float]) -> None:
    """The options of ``ringback doctor``."""
    command.add_argument("--url", metavar="URL", required=True, help="the callback URL, as create_call gets it")
    command.add_argument("--issuer-key", metavar="FILE", type=Path, help="sign a test event with this private key")
    command.add_argument("--audience", metavar="GUID", help="the audience of that token, as your verifier expects it")
    command.add_argument("--timeout", metavar="S", type=seconds, default=SLOWEST, help="for each answer; default: 30")
    command.add_argument("--json", action="store_true", help="print JSON")


def doctor(
    arguments: argparse.Namespace,
    *,
    clock: Callable[[], float] = time.time,
    stopwatch: Callable[[], float] = time.monotonic,
    trust: Callable[[], ssl.SSLContext] = ssl.create_default_context,
) -> int:
    """Ask, judge, print. 1 if there is a problem. ``clock`` gives seconds since 1970, ``stopwatch`` any seconds."""
    where = target(arguments.url)
    if arguments.timeout <= 0:
        raise ConfigurationError("timeout 0 leaves no time for an answer; give seconds, such as 30")
    issuer = _issuer(arguments.issuer_key, arguments.audience, clock)
    caller = _Caller(where, arguments.timeout, clock, stopwatch, trust)
    link = caller.connect()
    seen = {} if isinstance(link, Failure) else _asked(caller, where, issuer)
    complete = len(seen) > 1
    findings = judge(where, link, seen, timeout=arguments.timeout)
    if arguments.json:
        print(json.dumps(_report(where, findings, complete=complete), indent=2))
    else:
        width = max(60, min(100, shutil.get_terminal_size().columns))
        print("\n".join(_page(where, findings, width)))
        if not complete:
            print("The other checks were not made: fix this first.")
        elif issuer is None:
            print("Whether a signed event is accepted was not tested; --issuer-key does that.")
    return 1 if count(findings, Severity.PROBLEM) else 0


def _issuer(key: Path | None, audience: str | None, clock: Callable[[], float]) -> Issuer | None:
    if key is None:
        if audience is not None:
            raise ConfigurationError("--audience says nothing without a key to sign with; add --issuer-key FILE")
        return None
    # Where the simulator would make a key: one that the app has never heard of is of no use here.
    if not key.is_file():
        raise ConfigurationError(f"issuer key '{key}' is no file; name the key of the issuer that the app trusts")
    try:
        from ringback.simulator.trigger import issuer_of
        from ringback.testing.signing import Issuer

        known = issuer_of(key, audience)
        return Issuer(key=key.read_bytes(), audience=known.audience, clock=clock)
    except ImportError as error:
        raise ConfigurationError("signing needs PyJWT; pip install 'ringback[testing]'") from error


def _asked(caller: _Caller, where: Target, issuer: Issuer | None) -> dict[str, Seen]:
    first = strangers_event()
    seen: dict[str, Seen] = {first.name: caller.ask(first)}
    if blocks(where, seen[first.name]):
        return seen
    for probe in further(signed=issuer is not None):
        token = {"authorization": f"Bearer {issuer.token()}"} if issuer is not None and probe.signed else {}
        seen[probe.name] = caller.ask(replace(probe, headers={**probe.headers, **token}))
    return seen


class _Caller:
    """Requests to one target, each over a connection of its own, as those of different callers are."""

    def __init__(
        self,
        where: Target,
        timeout: float,
        clock: Callable[[], float],
        stopwatch: Callable[[], float],
        trust: Callable[[], ssl.SSLContext],
    ) -> None:
        self._where = where
        self._timeout = timeout
        self._clock = clock
        self._stopwatch = stopwatch
        self._open = _opener(where, timeout, trust)

    def connect(self) -> Connected | Failure:
        """Resolve the name, and open one connection to see whom it leads to."""
        begun = self._stopwatch()
        connection = self._open()
        try:
            found = socket.getaddrinfo(self._where.host, self._where.port, type=socket.SOCK_STREAM)
            connection.connect()
            expires = _expiry(connection.sock)
        except (OSError, UnicodeError) as error:
            return _failure(error, self._stopwatch() - begun)
        finally:
            connection.close()
        return Connected(tuple(str(each[4][0]) for each in found), self._clock(), expires)

    def ask(self, probe: Probe) -> Seen:
        begun = self._stopwatch()
        connection = self._open()
        try:
            response = self._response(connection, probe)
            body = self._read(response, begun)
        except (OSError, http.client.HTTPException) as error:
            return _failure(error, self._stopwatch() - begun)
        finally:
            connection.close()
        return Answer(response.status, _headers(response), body, self._stopwatch() - begun, self._clock())

    def _response(self, connection: http.client.HTTPConnection, probe: Probe) -> http.client.HTTPResponse:
        asked = self._where.asked(bare=probe.bare)
        connection.connect()
        headers = {"connection": "close", "user-agent": "ringback-doctor", **probe.headers}
        # Who refuses a large body may stop reading before all of it is sent, with the answer already on its way.
        with suppress(OSError):
            connection.request(probe.method, asked, probe.body or None, headers)
        return connection.getresponse()

    def _read(self, response: http.client.HTTPResponse, begun: float) -> bytes:
        body = b""
        while len(body) < _MOST and (part := response.read1(_MOST)):
            body += part
            if self._stopwatch() - begun > self._timeout:
                # What drips for ever never times out by itself.
                break
        return body


def _opener(
    where: Target, timeout: float, trust: Callable[[], ssl.SSLContext]
) -> Callable[[], http.client.HTTPConnection]:
    if where.scheme == "http":
        return partial(http.client.HTTPConnection, where.host, where.port, timeout=timeout)
    return partial(http.client.HTTPSConnection, where.host, where.port, timeout=timeout, context=trust())


def _headers(response: http.client.HTTPResponse) -> Mapping[str, str]:
    return {name.lower(): value for name, value in response.getheaders()}


def _expiry(connected: object) -> float | None:
    """Seconds since 1970 at which the server's certificate ends."""
    if not isinstance(connected, ssl.SSLSocket):
        return None
    certificate = connected.getpeercert()
    assert certificate is not None
    return float(ssl.cert_time_to_seconds(str(certificate["notAfter"])))


def _failure(error: Exception, seconds: float) -> Failure:
    # From the particular to the general: each is also one of those that follow it.
    if isinstance(error, ssl.SSLCertVerificationError):
        return Failure(Lost.CERTIFICATE, f"the certificate is refused: {error.verify_message}", seconds)
    if isinstance(error, ssl.SSLError):
        return Failure(Lost.TLS, f"no TLS connection ({error.reason or 'the handshake failed'})", seconds)
    if isinstance(error, (socket.gaierror, UnicodeError)):
        return Failure(Lost.NAME, "the name does not resolve", seconds)
    if isinstance(error, TimeoutError):
        return Failure(Lost.TIMEOUT, "time ran out", seconds)
    if isinstance(error, (ConnectionResetError, BrokenPipeError, http.client.HTTPException)):
        return Failure(Lost.CLOSED, "the connection was closed without a whole answer", seconds)
    return Failure(Lost.UNREACHABLE, f"no connection ({getattr(error, 'strerror', None) or 'it failed'})", seconds)


def _report(where: Target, findings: Sequence[Finding], *, complete: bool) -> dict[str, object]:
    return {
        "url": str(where),
        "complete": complete,
        "problems": count(findings, Severity.PROBLEM),
        "warnings": count(findings, Severity.WARNING),
        "findings": [each.to_dict() for each in findings],
    }


def _page(where: Target, findings: Sequence[Finding], width: int) -> Iterator[str]:
    yield str(where)
    for each in findings:
        first = f"  {each.severity.value:<9}{each.check:<13}"
        yield from _wrapped(each.what, width, first)
        for name, text in (("why", each.why), ("do", each.remedy)):
            if text:
                yield from _wrapped(text, width, f"{'':<11}{name:<13}")
    problems, warnings = count(findings, Severity.PROBLEM), count(findings, Severity.WARNING)
    yield f"{problems} problem{'' if problems == 1 else 's'}, {warnings} warning{'' if warnings == 1 else 's'}"


def _wrapped(text: str, width: int, first: str) -> list[str]:
    return textwrap.wrap(
        text, width, initial_indent=first, subsequent_indent=" " * len(first), break_on_hyphens=False, tabsize=1
    )
