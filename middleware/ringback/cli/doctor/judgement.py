"""The meaning of the answers: all findings about a deployment, in order."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC
from email.utils import parsedate_to_datetime
from ipaddress import ip_address
from operator import attrgetter
from typing import TYPE_CHECKING
from urllib.parse import urljoin

from ringback.cli.doctor.faults import Severity, finding
from ringback.cli.doctor.probes import LARGE, ORIGIN, Answer, Failure, Lost, target
from ringback.core.times import DAY

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from ringback.cli.doctor.faults import Finding
    from ringback.cli.doctor.probes import Connected, Seen, Target

SLOWEST = 30.0
"""Seconds after which Event Grid gives up a delivery."""

SLOW = 10.0
"""Seconds from which an answer comes too near to :data:`SLOWEST`."""

SKEW = 60.0
"""Seconds by which clocks may differ. A token is valid for 300 s, and verifiers allow for a minute or two."""

EXPIRING = 14.0
"""Days before the end of a certificate, by which somebody should have renewed the certificate."""


def blocks(where: Target, first: Seen) -> bool:
    """Whether the first answer says that every further probe would get the same answer."""
    return isinstance(first, Failure) or first.status in (404, 405) or _in_front(where, first) is not None


def judge(
    where: Target, link: Connected | Failure, seen: Mapping[str, Seen], *, timeout: float = SLOWEST
) -> Iterator[Finding]:
    """All findings, in the order of the checks. ``seen`` has the answers and failures by the names of their probes."""
    if where.scheme == "https":
        yield finding("https", "the URL is https")
    elif where.local:
        yield finding("https", "http, which will do on this machine alone")
    else:
        yield finding("https", "the URL is http", "not_https")
    if isinstance(link, Failure):
        yield _lost("connection", link, timeout)
        return
    yield from _link(where, link)
    answers = {name: answer for name, answer in seen.items() if isinstance(answer, Answer)}
    first = answers.get("sender")
    for name, answer in seen.items():
        if isinstance(answer, Failure):
            yield _lost(name, answer, timeout)
        elif name in ("sender", "signed") and (found := _in_front(where, answer)) is not None:
            yield found
        # An app that accepts a stranger without a token says nothing new by accepting one with a made-up token.
        elif not (name == "token" and first is not None and first.accepted):
            yield _answered(name, answer)
    if answers:
        yield _speed(answers)
        yield _clock(next(iter(answers.values())))


def _lost(check: str, failure: Failure, timeout: float) -> Finding:
    if check == "too_large" and failure.lost is Lost.CLOSED:
        return finding(check, failure.detail, "large_cut_off", Severity.WARNING)
    late = failure.lost is Lost.TIMEOUT
    return finding(check, f"nothing came within {timeout:g} s" if late else failure.detail, failure.lost.value)


def _link(where: Target, link: Connected) -> Iterator[Finding]:
    addresses = [ip_address(address.partition("%")[0]) for address in link.addresses]
    if where.local or any(address.is_global for address in addresses):
        yield finding("connection", "the name resolves and the port answers")
    else:
        yield finding("connection", "the name leads to no public address", "address_private", Severity.WARNING)
    if link.expires is None:
        return
    days = (link.expires - link.at) / DAY
    if days < EXPIRING:
        yield finding("certificate", f"it is valid for {days:.1f} more days", "certificate_expiring", Severity.WARNING)
    else:
        yield finding("certificate", f"valid for {int(days)} more days")


def _in_front(where: Target, answer: Answer) -> Finding | None:
    """The finding for a request that never came to the app, or only to a part of the app that takes no events."""
    status, page = answer.status, answer.is_page
    if 300 <= status < 400:
        to = _destination(where, answer.headers.get("location", ""))
        out = to and (to.host != where.host or re.search("login|sign-?in|/[.]auth/", to.path, re.IGNORECASE))
        return finding("route", f"{status} to {to or 'nowhere'}", "login_page" if out else "redirect")
    if answer.headers.get("www-authenticate", "").lower().startswith("basic"):
        return finding("route", f"{status}, which asks for a user's password", "login_page")
    if page and (answer.accepted or status == 403):
        return finding("route", f"{status} with a web page, not an answer of an app that takes events", "login_page")
    if status == 403:
        return finding("route", "403", "forbidden")
    if page and status in (502, 503, 504):
        return finding("route", f"{status} with a proxy's page", "no_upstream")
    return None


def _destination(where: Target, location: str) -> Target | None:
    try:
        here = f"{where.scheme}://{where.authority}{where.path}"
        return target(urljoin(here, location)) if location else None
    except ValueError:
        return None


@dataclass(frozen=True, slots=True)
class _Rule:
    """The meaning of an answer that fits: a fact, or a fault. ``what`` is a format with ``sent`` and ``status``."""

    fits: Callable[[Answer], bool]
    what: str
    fault: str = ""
    severity: Severity = Severity.PROBLEM
    check: str | None = None


def _has(*statuses: int) -> Callable[[Answer], bool]:
    return lambda answer: answer.status in statuses


_accepted: Callable[[Answer], bool] = attrgetter("accepted")
_refused: Callable[[Answer], bool] = attrgetter("refused")
_IS_ACCEPTED = "{sent} is accepted with {status}"
_IS_REFUSED = "{sent} is refused with {status}"
_IS_ANSWERED = "{sent} is answered with {status}"
_SENT = {
    "sender": "an event that nobody signed",
    "token": "a made-up token",
    "handshake": "Event Grid's validation",
    "consent": "the CloudEvents handshake (OPTIONS)",
    "not_json": "a body that is no JSON",
    "too_large": f"a body of {LARGE} bytes",
    "get": "GET",
    "head": "HEAD",
    "signed": "a signed test event",
}
_OTHERWISE = (
    _Rule(_has(404), _IS_ANSWERED, "no_route", check="route"),
    _Rule(_has(405), _IS_ANSWERED, "no_post", check="route"),
    _Rule(_refused, _IS_ANSWERED, "refused_otherwise", Severity.WARNING),
)
_NO_GRID = _Rule(_has(401, 403), f"{_IS_REFUSED}: right, if Event Grid does not call here")
_NO_FAULT = _Rule(lambda answer: answer.status < 500, _IS_ANSWERED)
_BROKEN = (
    _Rule(_has(503), _IS_ANSWERED, "unavailable"),
    _Rule(lambda answer: answer.status >= 500, _IS_ANSWERED, "server_error"),
    _Rule(lambda _: True, _IS_ANSWERED, "odd_answer"),
)
_RULES: Mapping[str, tuple[_Rule, ...]] = {
    "sender": (
        _Rule(
            lambda answer: answer.status == 401 and answer.is_page,
            "401 with a web page, which Ringback does not send",
            "login_page",
            Severity.WARNING,
        ),
        _Rule(_has(401), _IS_REFUSED),
        _Rule(_accepted, _IS_ACCEPTED, "anyone_can_post"),
        *_OTHERWISE,
    ),
    "token": (
        _Rule(_accepted, _IS_ACCEPTED, "forgery_accepted"),
        _Rule(_has(503), _IS_ANSWERED, "keys_unreachable"),
        _Rule(_refused, _IS_REFUSED),
    ),
    "spelling": (
        _Rule(lambda answer: answer.accepted and not answer.is_page, _IS_ACCEPTED, "spelling_accepted"),
        # 501: a method that the server does not know (RFC 9110, section 15.6.2).
        _Rule(_has(501), _IS_ANSWERED),
        _NO_FAULT,
    ),
    "handshake": (
        _Rule(lambda answer: answer.accepted and answer.has_code, "{sent} is answered with its code"),
        _Rule(_accepted, "{status}, but without its code", "handshake_ignored"),
        _NO_GRID,
        _Rule(_refused, _IS_ANSWERED, "handshake_ignored", Severity.WARNING),
    ),
    "consent": (
        _Rule(
            lambda answer: answer.accepted and answer.headers.get("webhook-allowed-origin") in (ORIGIN, "*"),
            "{sent} allows Event Grid",
        ),
        _Rule(_accepted, "{status}, but without WebHook-Allowed-Origin", "consent_ignored", Severity.WARNING),
        _NO_GRID,
        _Rule(_refused, _IS_ANSWERED, "consent_ignored", Severity.WARNING),
    ),
    "not_json": (_Rule(_refused, _IS_REFUSED), _Rule(_accepted, _IS_ACCEPTED, "nonsense_accepted")),
    "too_large": (_Rule(_refused, _IS_REFUSED), _Rule(_accepted, _IS_ACCEPTED, "no_limit", Severity.WARNING)),
    "get": (_NO_FAULT,),
    "head": (_NO_FAULT,),
    "signed": (_Rule(_accepted, _IS_ACCEPTED), _Rule(_has(401), _IS_REFUSED, "signed_refused"), *_OTHERWISE),
}
"""By the name of a probe, the rules for its answer. The first rule that fits counts; ``_BROKEN`` follows every list."""


def _answered(name: str, answer: Answer) -> Finding:
    check, _, spelling = name.partition(": ")
    sent = f"{_SENT['sender']}, with {spelling} of the URL," if spelling else _SENT[check]
    rule = next(rule for rule in (*_RULES[check], *_BROKEN) if rule.fits(answer))
    what = rule.what.format(sent=sent, status=answer.status)
    return finding(rule.check or check, what, rule.fault, rule.severity)


def _speed(answers: Mapping[str, Answer]) -> Finding:
    name, slowest = max(answers.items(), key=lambda item: item[1].seconds)
    severity = Severity.PROBLEM if slowest.seconds > SLOWEST else Severity.WARNING
    fault = "too_slow" if slowest.seconds > SLOW else ""
    return finding("time", f"the slowest answer ({name}) took {slowest.seconds:.1f} s", fault, severity)


def _clock(answer: Answer) -> Finding:
    try:
        # Every date of HTTP is in UTC, whatever zone the date names (RFC 9110, section 5.6.7).
        theirs = parsedate_to_datetime(answer.headers.get("date", "")).replace(tzinfo=UTC).timestamp()
    except (ValueError, OverflowError):
        return finding("clock", "the answer has no Date to compare with", "clock_unknown", Severity.WARNING)
    # The server wrote the date at some time between the request and the answer: no such time is a difference.
    apart = theirs - answer.at if theirs > answer.at else min(0.0, theirs - (answer.at - answer.seconds))
    if abs(apart) > SKEW:
        return finding("clock", f"its clock is {abs(apart):.0f} s {'ahead' if apart > 0 else 'behind'}", "clock_skewed")
    return finding("clock", f"its clock and this machine's are within {SKEW:.0f} s")
