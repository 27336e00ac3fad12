"""What is between a caller and the app: the scheme, the name, the certificate, and what answers in front of it."""

from __future__ import annotations

import re
from ipaddress import ip_address
from typing import TYPE_CHECKING
from urllib.parse import urljoin

from ringback.doctor._findings import Severity, fine, told
from ringback.doctor._target import target

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ringback.doctor._answers import Answer, Connected
    from ringback.doctor._findings import Finding
    from ringback.doctor._target import Target

EXPIRING = 14.0
"""Days before its end at which a certificate should have been renewed."""


def judge_scheme(where: Target) -> Finding:
    if where.scheme == "https":
        return fine("https", "the URL is https")
    if where.local:
        return fine("https", "http, which will do on this machine alone")
    return told("https", "not_https", "the URL is http")


def judge_link(where: Target, link: Connected) -> Iterator[Finding]:
    addresses = [ip_address(each.partition("%")[0]) for each in link.addresses]
    if where.local or any(each.is_global for each in addresses):
        yield fine("connection", "the name resolves and the port answers")
    else:
        yield told("connection", "address_private", "the name leads to no public address", Severity.WARNING)
    if link.expires is None:
        return
    days = (link.expires - link.at) / 86400
    if days < EXPIRING:
        yield told("certificate", "certificate_expiring", f"it is valid for {days:.1f} more days", Severity.WARNING)
    else:
        yield fine("certificate", f"valid for {int(days)} more days")


def in_front(where: Target, answer: Answer) -> Finding | None:
    """What shows that the request never came to the app, or only to a part of it that takes no events."""
    status, check = answer.status, "route"
    if 300 <= status < 400:
        return _redirected(where, answer)
    if answer.headers.get("www-authenticate", "").lower().startswith("basic"):
        return told(check, "login_page", f"{status}, which asks for a user's password")
    if answer.is_page and (answer.accepted or status == 403):
        return told(check, "login_page", f"{status} with a web page, not an answer of an app that takes events")
    if status == 403:
        return told(check, "forbidden", "403")
    if answer.is_page and status in (502, 503, 504):
        return told(check, "no_upstream", f"{status} with a proxy's page")
    return None


def _redirected(where: Target, answer: Answer) -> Finding:
    to = _destination(where, answer.headers.get("location", ""))
    if to is None:
        return told("route", "redirect", f"{answer.status} to nowhere")
    if to.host != where.host or re.search("login|sign-?in|/[.]auth/", to.path, re.IGNORECASE):
        return told("route", "login_page", f"{answer.status} to {to}")
    return told("route", "redirect", f"{answer.status} to {to}")


def _destination(where: Target, location: str) -> Target | None:
    try:
        here = f"{where.scheme}://{where.authority}{where.path}"
        return target(urljoin(here, location)) if location else None
    except ValueError:
        return None
