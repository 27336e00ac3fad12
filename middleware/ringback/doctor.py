"""What a deployment answered to a first caller, and what to do about it. Pure: who asks is ``ringback doctor``.

Probes are what to ask; answers and failures are what came; findings are what that means.
"""

from __future__ import annotations

import base64
import json
import re
from dataclasses import dataclass, field
from datetime import UTC
from email.utils import parsedate_to_datetime
from enum import StrEnum
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin, urlsplit

from ringback.exceptions import ConfigurationError
from ringback.intake import VALIDATION_EVENT
from ringback.redaction import redact

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

SLOWEST = 30.0
"""Seconds after which Event Grid gives a delivery up."""

SLOW = 10.0
"""Seconds from which an answer is too near to that."""

SKEW = 60.0
"""Seconds by which clocks may differ; a token is valid for 300, and verifiers allow for a minute or two."""

EXPIRING = 14.0
"""Days before its end at which a certificate should have been renewed."""

LARGE = 2 * 1024 * 1024
"""Bytes of the body that is too large: twice what Ringback accepts unless told otherwise."""

EVENT_TYPE = "Microsoft.Communication.RingbackDoctor"
"""Of the test events. No such event exists and it reports no result, so it has no outcome and no hook hears of it."""

CALL = "d0c70d0c-0000-4000-8000-000000000001"
"""The id of the call that the test events speak of; there is no such call."""

_CODE = "d0c70d0c-0000-4000-8000-000000000002"
_ORIGIN = "eventgrid.azure.net"


class Severity(StrEnum):
    OK = "ok"
    WARNING = "warning"
    PROBLEM = "problem"


@dataclass(frozen=True, slots=True)
class Finding:
    """One fact about the deployment. ``fault`` is a stable name for what is wrong; empty where nothing is."""

    check: str
    severity: Severity
    what: str
    fault: str = ""
    why: str = ""
    remedy: str = ""

    def to_dict(self) -> dict[str, str]:
        names = ("check", "severity", "fault", "what", "why", "remedy")
        return {name: str(getattr(self, name)) for name in names}


@dataclass(frozen=True, slots=True)
class Target:
    """A callback URL in its parts. ``path`` is never empty; ``query`` has no question mark."""

    scheme: str
    host: str
    port: int
    path: str
    query: str

    @property
    def local(self) -> bool:
        """Whether that is this machine."""
        return self.host == "localhost" or _is_loopback(self.host)

    @property
    def authority(self) -> str:
        """Host and port as a URL has them."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _PORTS[self.scheme] else f"{host}:{self.port}"

    def asked(self, *, bare: bool) -> str:
        """What the request line says; ``bare`` leaves the query out."""
        return self.path if bare or not self.query else f"{self.path}?{self.query}"

    def __str__(self) -> str:
        """The URL as it may be printed: no query, and nothing in the path that looks like an id or a secret."""
        path = re.sub(r"(?<=/)[^/]{16,}", "[...]", redact(self.path))
        return f"{self.scheme}://{self.authority}{path}{'?[...]' if self.query else ''}"


_PORTS = {"http": 80, "https": 443}


def target(url: str) -> Target:
    """The parts of a callback URL. Raises :class:`ConfigurationError`, which does not repeat it."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        raise ConfigurationError(f"url: {_NO_URL}") from None
    if re.fullmatch("[!-~]+", url) is None or parts.scheme not in _PORTS or not host or port == 0:
        raise ConfigurationError(f"url: {_NO_URL}")
    if "@" in parts.netloc:
        raise ConfigurationError("url: it has a user or a password in it, which nobody would send; leave them out")
    return Target(parts.scheme, host, port or _PORTS[parts.scheme], parts.path or "/", parts.query)


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


_NO_URL = "that is no web address in plain ASCII; write for example https://app.example.com/api/callbacks/1"


@dataclass(frozen=True, slots=True)
class Probe:
    """One request. ``bare``: without the URL's query; ``signed``: with a token of the test issuer, if there is one."""

    name: str
    method: str
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    body: bytes = b""
    bare: bool = False
    signed: bool = False


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP response. Names of headers are in lower case; ``at`` is in seconds since 1970."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    seconds: float
    at: float

    @property
    def accepted(self) -> bool:
        return 200 <= self.status < 300

    @property
    def refused(self) -> bool:
        return 400 <= self.status < 500

    @property
    def is_page(self) -> bool:
        return self.headers.get("content-type", "").lower().startswith("text/html")


class Lost(StrEnum):
    """Why there is no answer; each is the name of a fault."""

    NAME = "name_unknown"
    UNREACHABLE = "unreachable"
    TIMEOUT = "no_answer"
    CERTIFICATE = "certificate_invalid"
    TLS = "tls_failed"
    CLOSED = "connection_closed"


@dataclass(frozen=True, slots=True)
class Failure:
    """No answer. ``detail`` is the system's own word for it; ``seconds`` how long it took."""

    lost: Lost
    detail: str
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Connected:
    """A connection that was made. ``addresses`` are those of the name; ``expires`` is in seconds since 1970."""

    addresses: tuple[str, ...]
    at: float
    expires: float | None = None


Seen = Answer | Failure


def strangers_event() -> Probe:
    """The first request: a made-up event that nobody has signed."""
    return Probe("sender", "POST", {"content-type": "application/json"}, _event(), bare=True)


def further(*, signed: bool) -> tuple[Probe, ...]:
    """The other requests, in order; the last one only makes sense with a token."""
    json_type = {"content-type": "application/json"}
    announced = {**json_type, "aeg-event-type": "SubscriptionValidation", "aeg-subscription-name": "RINGBACK-DOCTOR"}
    probes = (
        Probe("token", "POST", {**json_type, "authorization": f"Bearer {_forged()}"}, _event(), bare=True),
        # Without a token: Event Grid validates before it sends any, and never has one of Call Automation.
        Probe("handshake", "POST", announced, _validation()),
        Probe("consent", "OPTIONS", {"webhook-request-origin": _ORIGIN, "webhook-request-rate": "120"}),
        Probe("not_json", "POST", json_type, b"this is not JSON", signed=True),
        Probe("too_large", "POST", json_type, b" " * LARGE, signed=True),
        Probe("get", "GET", signed=True),
        Probe("head", "HEAD", signed=True),
    )
    return (*probes, Probe("signed", "POST", json_type, _event(), signed=True)) if signed else probes


def _event() -> bytes:
    source = f"calling/callConnections/{CALL}"
    return _encoded(
        {
            "id": "d0c70d0c-0000-4000-8000-000000000003",
            "source": source,
            "type": EVENT_TYPE,
            "data": {"callConnectionId": CALL, "serverCallId": CALL, "correlationId": CALL},
            "time": "2026-01-01T00:00:00.0000000+00:00",
            "specversion": "1.0",
            "datacontenttype": "application/json",
            "subject": source,
        }
    )


def _validation() -> bytes:
    return _encoded(
        {
            "id": "d0c70d0c-0000-4000-8000-000000000004",
            "topic": "/subscriptions/d0c70d0c-0000-4000-8000-000000000005",
            "subject": "",
            "data": {"validationCode": _CODE},
            "eventType": VALIDATION_EVENT,
            "eventTime": "2026-01-01T00:00:00.0000000Z",
            "metadataVersion": "1",
            "dataVersion": "1",
        }
    )


def _forged() -> str:
    """A token of the right form that nobody has signed."""
    head = {"alg": "RS256", "typ": "JWT", "kid": "ringback-doctor"}
    claims = {"iss": "ringback doctor", "aud": CALL, "exp": 4102444800}
    parts = (json.dumps(head).encode(), json.dumps(claims).encode(), b"no signature" * 21)
    return ".".join(base64.urlsafe_b64encode(part).decode().rstrip("=") for part in parts)


def _encoded(event: Mapping[str, Any]) -> bytes:
    return json.dumps([event]).encode()


def judge(
    where: Target, link: Connected | Failure, seen: Mapping[str, Seen], *, timeout: float = SLOWEST
) -> tuple[Finding, ...]:
    """Everything there is to say, in the order of the checks. ``seen`` has what came, by the name of its probe."""
    return tuple(_findings(where, link, seen, timeout))


def blocks(where: Target, first: Seen) -> bool:
    """Whether the first answer says that whatever else is asked would be answered the same."""
    return isinstance(first, Failure) or first.status in (404, 405) or _in_front(where, first) is not None


def _findings(where: Target, link: Connected | Failure, seen: Mapping[str, Seen], timeout: float) -> Iterator[Finding]:
    yield _scheme(where)
    if isinstance(link, Failure):
        yield _lost("connection", link, timeout)
        return
    yield from _link(where, link)
    for name, each in seen.items():
        yield from _judged(name, each, where, seen, timeout)
    answers = {name: each for name, each in seen.items() if isinstance(each, Answer)}
    if answers:
        yield _speed(answers)
        yield _clock(next(iter(answers.values())))


def _judged(name: str, each: Seen, where: Target, seen: Mapping[str, Seen], timeout: float) -> Iterator[Finding]:
    if isinstance(each, Failure):
        if name == "too_large" and each.lost is Lost.CLOSED:
            yield _told(name, "large_cut_off", each.detail, Severity.WARNING)
        else:
            yield _lost(name, each, timeout)
        return
    blocked = _in_front(where, each) if name in ("sender", "signed") else None
    if blocked is not None:
        yield blocked
    # A stranger without any token was let in already: that he is with one says nothing new.
    elif not (name == "token" and _let_in(seen.get("sender"))):
        yield _JUDGES[name](each)


def _let_in(first: Seen | None) -> bool:
    return isinstance(first, Answer) and first.accepted


def _scheme(where: Target) -> Finding:
    if where.scheme == "https":
        return _fine("https", "the URL is https")
    if where.local:
        return _fine("https", "http, which will do on this machine alone")
    return _told("https", "not_https", "the URL is http")


def _link(where: Target, link: Connected) -> Iterator[Finding]:
    addresses = [ip_address(each.partition("%")[0]) for each in link.addresses]
    if where.local or any(each.is_global for each in addresses):
        yield _fine("connection", "the name resolves and the port answers")
    else:
        yield _told("connection", "address_private", "the name leads to no public address", Severity.WARNING)
    if link.expires is None:
        return
    days = (link.expires - link.at) / 86400
    if days < EXPIRING:
        yield _told("certificate", "certificate_expiring", f"it is valid for {days:.1f} more days", Severity.WARNING)
    else:
        yield _fine("certificate", f"valid for {int(days)} more days")


def _in_front(where: Target, answer: Answer) -> Finding | None:
    """What shows that the request never came to the app, or only to a part of it that takes no events."""
    status, check = answer.status, "route"
    if 300 <= status < 400:
        return _redirected(where, answer)
    if answer.headers.get("www-authenticate", "").lower().startswith("basic"):
        return _told(check, "login_page", f"{status}, which asks for a user's password")
    if answer.is_page and (answer.accepted or status == 403):
        return _told(check, "login_page", f"{status} with a web page, not an answer of an app that takes events")
    if status == 403:
        return _told(check, "forbidden", "403")
    if answer.is_page and status in (502, 503, 504):
        return _told(check, "no_upstream", f"{status} with a proxy's page")
    return None


def _redirected(where: Target, answer: Answer) -> Finding:
    to = _destination(where, answer.headers.get("location", ""))
    if to is None:
        return _told("route", "redirect", f"{answer.status} to nowhere")
    if to.host != where.host or re.search("login|sign-?in|/[.]auth/", to.path, re.IGNORECASE):
        return _told("route", "login_page", f"{answer.status} to {to}")
    return _told("route", "redirect", f"{answer.status} to {to}")


def _destination(where: Target, location: str) -> Target | None:
    try:
        here = f"{where.scheme}://{where.authority}{where.path}"
        return target(urljoin(here, location)) if location else None
    except ValueError:
        return None


def _sender(answer: Answer) -> Finding:
    status = answer.status
    if status == 401 and answer.is_page:
        return _told("sender", "login_page", "401 with a web page, which Ringback does not send", Severity.WARNING)
    if status == 401:
        return _fine("sender", "an event that nobody signed is refused with 401")
    if answer.accepted:
        return _told("sender", "anyone_can_post", f"an event that nobody signed is accepted with {status}")
    return _refused_otherwise("sender", answer, "an event that nobody signed")


def _token(answer: Answer) -> Finding:
    if answer.accepted:
        return _told("token", "forgery_accepted", f"a made-up token is accepted with {answer.status}")
    if answer.status == 503:
        return _told("token", "keys_unreachable", "a made-up token is answered with 503")
    if answer.refused:
        return _fine("token", f"a made-up token is refused with {answer.status}")
    return _broken("token", answer, "a made-up token")


def _handshake(answer: Answer) -> Finding:
    if answer.accepted:
        if _echoed(answer.body):
            return _fine("handshake", "Event Grid's validation is answered with its code")
        return _told("handshake", "handshake_ignored", f"{answer.status}, but without its code")
    return _unanswered("handshake", answer, "Event Grid's validation")


def _echoed(body: bytes) -> bool:
    try:
        return bool(json.loads(body) == {"validationResponse": _CODE})
    except (ValueError, RecursionError):
        return False


def _consent(answer: Answer) -> Finding:
    if answer.accepted:
        if answer.headers.get("webhook-allowed-origin") in (_ORIGIN, "*"):
            return _fine("consent", "the CloudEvents handshake (OPTIONS) allows Event Grid")
        what = f"{answer.status}, but without WebHook-Allowed-Origin"
        return _told("consent", "consent_ignored", what, Severity.WARNING)
    return _unanswered("consent", answer, "the CloudEvents handshake (OPTIONS)")


def _unanswered(check: str, answer: Answer, asked: str) -> Finding:
    if answer.status in (401, 403):
        return _fine(check, f"{asked} is refused with {answer.status}: right, if Event Grid does not call here")
    if answer.refused:
        fault = "handshake_ignored" if check == "handshake" else "consent_ignored"
        return _told(check, fault, f"{asked} is answered with {answer.status}", Severity.WARNING)
    return _broken(check, answer, asked)


def _not_json(answer: Answer) -> Finding:
    if answer.refused:
        return _fine("not_json", f"a body that is no JSON is refused with {answer.status}")
    if answer.accepted:
        return _told("not_json", "nonsense_accepted", f"a body that is no JSON is accepted with {answer.status}")
    return _broken("not_json", answer, "a body that is no JSON")


def _too_large(answer: Answer) -> Finding:
    if answer.refused:
        return _fine("too_large", f"a body of {LARGE} bytes is refused with {answer.status}")
    if answer.accepted:
        what = f"a body of {LARGE} bytes is accepted with {answer.status}"
        return _told("too_large", "no_limit", what, Severity.WARNING)
    return _broken("too_large", answer, f"a body of {LARGE} bytes")


def _other_method(method: str) -> Callable[[Answer], Finding]:
    def judged(answer: Answer) -> Finding:
        if answer.status < 500:
            return _fine(method.lower(), f"{method} is answered with {answer.status}")
        return _broken(method.lower(), answer, method)

    return judged


def _signed(answer: Answer) -> Finding:
    if answer.accepted:
        return _fine("signed", f"a signed test event is accepted with {answer.status}")
    if answer.status == 401:
        return _told("signed", "signed_refused", "a signed test event is refused with 401")
    return _refused_otherwise("signed", answer, "a signed test event")


_JUDGES: Mapping[str, Callable[[Answer], Finding]] = {
    "sender": _sender,
    "token": _token,
    "handshake": _handshake,
    "consent": _consent,
    "not_json": _not_json,
    "too_large": _too_large,
    "get": _other_method("GET"),
    "head": _other_method("HEAD"),
    "signed": _signed,
}


def _refused_otherwise(check: str, answer: Answer, sent: str) -> Finding:
    what = f"{sent} is answered with {answer.status}"
    fault = {404: "no_route", 405: "no_post"}.get(answer.status)
    if fault is not None:
        return _told("route", fault, what)
    if answer.refused:
        return _told(check, "refused_otherwise", what, Severity.WARNING)
    return _broken(check, answer, sent)


def _broken(check: str, answer: Answer, sent: str) -> Finding:
    fault = "unavailable" if answer.status == 503 else "server_error" if answer.status >= 500 else "odd_answer"
    return _told(check, fault, f"{sent} is answered with {answer.status}")


def _speed(answers: Mapping[str, Answer]) -> Finding:
    name, slowest = max(answers.items(), key=lambda each: each[1].seconds)
    what = f"the slowest answer ({name}) took {slowest.seconds:.1f} s"
    if slowest.seconds > SLOWEST:
        return _told("time", "too_slow", what)
    if slowest.seconds > SLOW:
        return _told("time", "too_slow", what, Severity.WARNING)
    return _fine("time", what)


def _clock(answer: Answer) -> Finding:
    try:
        # Of HTTP's dates each is in UTC, whatever it says (RFC 9110, section 5.6.7).
        theirs = parsedate_to_datetime(answer.headers.get("date", "")).replace(tzinfo=UTC).timestamp()
    except (ValueError, OverflowError):
        return _told("clock", "clock_unknown", "the answer has no Date to compare with", Severity.WARNING)
    # The answer was made somewhere between the request and now: that much is no difference.
    apart = theirs - answer.at if theirs > answer.at else min(0.0, theirs - (answer.at - answer.seconds))
    if abs(apart) > SKEW:
        return _told("clock", "clock_skewed", f"its clock is {abs(apart):.0f} s {'ahead' if apart > 0 else 'behind'}")
    return _fine("clock", f"its clock and this machine's are within {SKEW:.0f} s")


def _lost(check: str, failure: Failure, timeout: float) -> Finding:
    what = failure.detail
    if failure.lost is Lost.TIMEOUT:
        what = f"nothing came within {timeout:g} s"
    return _told(check, failure.lost.value, what)


def _fine(check: str, what: str) -> Finding:
    return Finding(check, Severity.OK, what)


def _told(check: str, fault: str, what: str, severity: Severity = Severity.PROBLEM) -> Finding:
    why, remedy = FAULTS[fault]
    return Finding(check, severity, what, fault, why, remedy)


def count(findings: Sequence[Finding], severity: Severity) -> int:
    return sum(each.severity is severity for each in findings)


FAULTS: Mapping[str, tuple[str, str]] = {
    "not_https": (
        "Microsoft calls https alone, and on http a token can be read and replayed.",
        "Serve the app over https: switch TLS on in your ingress, gateway or web app, and give that URL.",
    ),
    "name_unknown": (
        "No caller can find the app.",
        "Check the spelling of the host and create its DNS record (A, AAAA or CNAME).",
    ),
    "unreachable": (
        "No caller gets as far as the app.",
        "Start the app, open the port in the firewall, and check that the URL has the right port.",
    ),
    "no_answer": (
        "Event Grid gives up after 30 s, and the event is late or lost.",
        "Look for a firewall that drops packets, or a route that works before it answers; leave work to hooks.",
    ),
    "certificate_invalid": (
        "Microsoft does not call a server whose certificate it cannot verify.",
        "Install a certificate of a public authority for this host, with its whole chain, and renew it in time.",
    ),
    "certificate_expiring": (
        "After that no callback comes any more.",
        "Renew the certificate now, and see why that did not happen by itself.",
    ),
    "tls_failed": (
        "Without TLS 1.2 or newer no callback comes.",
        "Check that this port speaks https, not http, and that TLS 1.2 or 1.3 is switched on.",
    ),
    "connection_closed": (
        "A sender cannot tell whether the event came, and may not send it again.",
        "Look in the logs of the app and of what stands in front of it for a crash or an idle time-out.",
    ),
    "address_private": (
        "Microsoft calls from the internet, where such an address leads nowhere.",
        "Give the host a public address, or put a public gateway or a dev tunnel in front.",
    ),
    "redirect": (
        "A redirect is not followed, or loses the body on the way: the event never comes.",
        "Use the final URL as the callback URL, with its scheme and its slash at the end.",
    ),
    "login_page": (
        "Microsoft cannot log in: something in front asks for a user, and the events end there.",
        "Exclude the callback path from the login (App Service: Authentication > excluded paths) and pass auth= "
        "to Ringback.",
    ),
    "forbidden": (
        "Ringback never answers 403, so something else does; Event Grid does not try again after a 403.",
        "Allow POST to the callback path in the firewall, gateway or access restrictions; check that the app is not "
        "stopped.",
    ),
    "no_upstream": (
        "The proxy is there, but the app behind it is not.",
        "Start the app, and check the proxy's upstream address and its health probe.",
    ),
    "no_route": (
        "Events sent to this URL are lost.",
        "Give the URL that create_call and answer_call get, and check the route, the mount and the proxy's prefix.",
    ),
    "no_post": (
        "Every event is a POST.",
        "Register the route for POST, and allow it in what stands in front of the app.",
    ),
    "anyone_can_post": (
        "Anyone who knows the URL can report calls that never were. Expected only if its path holds a shared secret.",
        "Pass auth=CallbackTokenVerifier(audience=<immutable resource id>) to CallOutcomeMiddleware; see security.md.",
    ),
    "forgery_accepted": (
        "Whoever sends any token at all can report calls that never were.",
        "Verify the signature: pass auth=CallbackTokenVerifier(audience=<immutable resource id>).",
    ),
    "keys_unreachable": (
        "Without Microsoft's keys no token can be checked: real events get 503 as well.",
        "Allow the app https to acscallautomation.communication.azure.com; see keys.unreachable in its log.",
    ),
    "refused_otherwise": (
        "Ringback refuses a sender with 401; another answer comes from something else, which may refuse Microsoft too.",
        "See who answers (the app's log has no callback.rejected then), and let POST through to Ringback.",
    ),
    "signed_refused": (
        "The app does not trust this key, or the token names another resource; Microsoft's tokens may fare the same.",
        "See the reason in callback.rejected; give the app's verifier this key's set and --audience its audience.",
    ),
    "handshake_ignored": (
        "Event Grid delivers nothing to a URL that has not answered its validation with the code.",
        "Put CallOutcomeMiddleware, or the callback decorator, on this very path, and let POST through.",
    ),
    "consent_ignored": (
        "Event Grid delivers no CloudEvents to a URL that has not allowed it.",
        "Let OPTIONS through to Ringback: put CORS and method filters behind it or exclude the callback path.",
    ),
    "nonsense_accepted": (
        "What is accepted unread is lost without a word: Ringback does not stand before this path.",
        "Put CallOutcomeMiddleware, or the callback decorator, on this very path.",
    ),
    "no_limit": (
        "Large bodies tie the app up; no event is larger than 1 MB.",
        "Leave max_body at its default of 1 MiB, or limit the body in the proxy.",
    ),
    "large_cut_off": (
        "The body is refused, but the sender never reads the 413 and may send it again.",
        "Have the proxy answer 413 and read on, or leave the limit to Ringback.",
    ),
    "server_error": (
        "A sender takes it for a passing fault and comes again; and it is an exception that strangers can cause.",
        "Find the traceback in the app's log, and answer what is not understood with 4xx, not with an exception.",
    ),
    "unavailable": (
        "The app asks senders to come again, and Call Automation may not.",
        "See the app's log (store.unavailable), and check that its store can be reached and has room.",
    ),
    "odd_answer": (
        "Senders count only 2xx as accepted, and 4xx and 5xx as refused.",
        "See what stands in front of the app, or what the route returns.",
    ),
    "too_slow": (
        "Event Grid gives up after 30 s and sends the event again.",
        "Answer first and work afterwards, in hooks; keep one instance warm (Always On, minimum replicas 1).",
    ),
    "clock_skewed": (
        "A token is valid for five minutes: with a wrong clock good ones are refused.",
        "Synchronise the clocks (NTP), that of this machine too; a proxy's Date may stand for the app's.",
    ),
    "clock_unknown": (
        "A wrong clock refuses good tokens, and here nothing tells.",
        "Compare `date -u` on the server with that of another machine.",
    ),
}
"""Every fault by its name: why it matters, and what to do."""
