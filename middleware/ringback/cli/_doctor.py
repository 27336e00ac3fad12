"""``ringback doctor``: sends a deployment what a first caller would send, and prints what to fix."""

from __future__ import annotations

import http.client
import json
import socket
import ssl
import time
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from ringback.cli._screen import many, width, wrapped
from ringback.cli._values import seconds
from ringback.cli.doctor.faults import Severity
from ringback.cli.doctor.judgement import SLOWEST, blocks, judge
from ringback.cli.doctor.probes import Answer, Connected, Failure, Lost, further, respelled, strangers_event, target
from ringback.exceptions import ConfigurationError
from ringback.receiving.target import SPELLINGS

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Iterator

    from ringback.cli.doctor.faults import Finding
    from ringback.cli.doctor.probes import Probe, Seen, Target
    from ringback.testing.signing import Issuer

_MOST = 64 * 1024
"""Bytes of an answer's body that the doctor reads."""


def add(command: argparse.ArgumentParser) -> None:
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
    """Send the probes, judge the answers, print the findings. 1 if there is a problem.

    ``clock`` gives seconds since 1970, ``stopwatch`` seconds since any moment.
    """
    where = target(arguments.url)
    if arguments.timeout <= 0:
        raise ConfigurationError("timeout 0 leaves no time for an answer; give seconds, such as 30")
    issuer = _issuer(arguments.issuer_key, arguments.audience, clock)
    caller = _Caller(where, arguments.timeout, clock, stopwatch, trust() if where.scheme == "https" else None)
    link = caller.connect()
    seen = {} if isinstance(link, Failure) else _asked(caller, where, issuer)
    complete = len(seen) > 1
    findings = list(judge(where, link, seen, timeout=arguments.timeout))
    problems, warnings = (
        sum(finding.severity is kind for finding in findings) for kind in (Severity.PROBLEM, Severity.WARNING)
    )
    if arguments.json:
        report = {"url": str(where), "complete": complete, "problems": problems, "warnings": warnings}
        print(json.dumps(report | {"findings": list(map(asdict, findings))}, indent=2))
    else:
        print(where, *(line for finding in findings for line in _lines(finding, width(60))), sep="\n")
        print(f"{many(problems, 'problem')}, {many(warnings, 'warning')}")
        if not complete:
            print("The other checks were not made: fix this first.")
        elif issuer is None:
            print("Whether a signed event is accepted was not tested; --issuer-key does that.")
    return 1 if problems else 0


def _issuer(key: Path | None, audience: str | None, clock: Callable[[], float]) -> Issuer | None:
    if key is None:
        if audience is not None:
            raise ConfigurationError("--audience says nothing without a key to sign with; add --issuer-key FILE")
        return None
    # The simulator would make a missing key. Here a new key is of no use: the app does not know it.
    if not key.is_file():
        raise ConfigurationError(f"issuer key '{key}' is no file; name the key of the issuer that the app trusts")
    from ringback.simulator.trigger import issuer_of
    from ringback.testing.signing import Issuer

    known = issuer_of(key, audience)
    return Issuer(key=key.read_bytes(), audience=known.audience, clock=clock)


def _asked(caller: _Caller, where: Target, issuer: Issuer | None) -> dict[str, Seen]:
    first = strangers_event()
    seen: dict[str, Seen] = {first.name: caller.ask(first)}
    if blocks(where, seen[first.name]):
        return seen
    refused = isinstance(answer := seen[first.name], Answer) and answer.status == 401
    for probe in (*(respelled() if refused else ()), *further(signed=issuer is not None)):
        token = {"authorization": f"Bearer {issuer.token()}"} if issuer is not None and probe.signed else {}
        seen[probe.name] = caller.ask(replace(probe, headers={**probe.headers, **token}))
    return seen


@dataclass(frozen=True, slots=True)
class _Caller:
    """Sends requests to one target, every request over its own connection, as different callers do."""

    where: Target
    timeout: float
    clock: Callable[[], float]
    stopwatch: Callable[[], float]
    trust: ssl.SSLContext | None
    """For https alone."""

    def _open(self) -> http.client.HTTPConnection:
        where, timeout = self.where, self.timeout
        if self.trust is None:
            return http.client.HTTPConnection(where.host, where.port, timeout=timeout)
        return http.client.HTTPSConnection(where.host, where.port, timeout=timeout, context=self.trust)

    def connect(self) -> Connected | Failure:
        """Resolve the name, and open one connection to see its certificate."""
        begun = self.stopwatch()
        connection = self._open()
        try:
            found = socket.getaddrinfo(self.where.host, self.where.port, type=socket.SOCK_STREAM)
            connection.connect()
            expires = _expiry(connection.sock)
        except (OSError, UnicodeError) as error:
            return _failure(error, self.stopwatch() - begun)
        finally:
            connection.close()
        return Connected(tuple(str(address[4][0]) for address in found), self.clock(), expires)

    def ask(self, probe: Probe) -> Seen:
        begun = self.stopwatch()
        connection = self._open()
        try:
            response = self._response(connection, probe)
            body = self._read(response, begun)
        except (OSError, http.client.HTTPException) as error:
            return _failure(error, self.stopwatch() - begun)
        finally:
            connection.close()
        headers = {name.lower(): value for name, value in response.getheaders()}
        return Answer(response.status, headers, body, self.stopwatch() - begun, self.clock())

    def _response(self, connection: http.client.HTTPConnection, probe: Probe) -> http.client.HTTPResponse:
        method, asked = probe.method, self.where.asked(bare=probe.bare)
        if probe.spelling:
            method, asked = SPELLINGS[probe.spelling](asked)
        connection.connect()
        headers = {"connection": "close", "user-agent": "ringback-doctor", **probe.headers}
        # A server that refuses a large body may stop reading it, with its answer already on the way.
        with suppress(OSError):
            connection.request(method, asked, probe.body or None, headers)
        return connection.getresponse()

    def _read(self, response: http.client.HTTPResponse, begun: float) -> bytes:
        body = b""
        while len(body) < _MOST and (part := response.read1(_MOST)):
            body += part
            if self.stopwatch() - begun > self.timeout:
                # A body that drips for ever never times out by itself.
                break
        return body


def _expiry(connected: object) -> float | None:
    """The end of the server's certificate in seconds since 1970; ``None`` for a connection without TLS."""
    if not isinstance(connected, ssl.SSLSocket):
        return None
    certificate = connected.getpeercert()
    assert certificate is not None
    return float(ssl.cert_time_to_seconds(str(certificate["notAfter"])))


def _failure(error: Exception, seconds: float) -> Failure:
    # From the particular to the general: some of these classes derive from classes below.
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


def _lines(finding: Finding, columns: int) -> Iterator[str]:
    rows = ((finding.severity, finding.check, finding.what), ("", "why", finding.why), ("", "do", finding.remedy))
    for severity, name, text in rows:
        yield from wrapped(text, columns, f"  {severity:<9}{name:<13}", " " * 24)
