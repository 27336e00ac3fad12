"""What the answer to each probe means."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from ringback.doctor._findings import Severity, fine, told
from ringback.doctor._probes import CODE, LARGE, ORIGIN

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ringback.doctor._answers import Answer
    from ringback.doctor._findings import Finding


def _sender(answer: Answer) -> Finding:
    status = answer.status
    if status == 401 and answer.is_page:
        return told("sender", "login_page", "401 with a web page, which Ringback does not send", Severity.WARNING)
    if status == 401:
        return fine("sender", "an event that nobody signed is refused with 401")
    if answer.accepted:
        return told("sender", "anyone_can_post", f"an event that nobody signed is accepted with {status}")
    return _refused_otherwise("sender", answer, "an event that nobody signed")


def _token(answer: Answer) -> Finding:
    if answer.accepted:
        return told("token", "forgery_accepted", f"a made-up token is accepted with {answer.status}")
    if answer.status == 503:
        return told("token", "keys_unreachable", "a made-up token is answered with 503")
    if answer.refused:
        return fine("token", f"a made-up token is refused with {answer.status}")
    return _broken("token", answer, "a made-up token")


def _handshake(answer: Answer) -> Finding:
    if answer.accepted:
        if _echoed(answer.body):
            return fine("handshake", "Event Grid's validation is answered with its code")
        return told("handshake", "handshake_ignored", f"{answer.status}, but without its code")
    return _unanswered("handshake", answer, "Event Grid's validation")


def _echoed(body: bytes) -> bool:
    try:
        return bool(json.loads(body) == {"validationResponse": CODE})
    except (ValueError, RecursionError):
        return False


def _consent(answer: Answer) -> Finding:
    if answer.accepted:
        if answer.headers.get("webhook-allowed-origin") in (ORIGIN, "*"):
            return fine("consent", "the CloudEvents handshake (OPTIONS) allows Event Grid")
        what = f"{answer.status}, but without WebHook-Allowed-Origin"
        return told("consent", "consent_ignored", what, Severity.WARNING)
    return _unanswered("consent", answer, "the CloudEvents handshake (OPTIONS)")


def _unanswered(check: str, answer: Answer, asked: str) -> Finding:
    if answer.status in (401, 403):
        return fine(check, f"{asked} is refused with {answer.status}: right, if Event Grid does not call here")
    if answer.refused:
        fault = "handshake_ignored" if check == "handshake" else "consent_ignored"
        return told(check, fault, f"{asked} is answered with {answer.status}", Severity.WARNING)
    return _broken(check, answer, asked)


def _not_json(answer: Answer) -> Finding:
    if answer.refused:
        return fine("not_json", f"a body that is no JSON is refused with {answer.status}")
    if answer.accepted:
        return told("not_json", "nonsense_accepted", f"a body that is no JSON is accepted with {answer.status}")
    return _broken("not_json", answer, "a body that is no JSON")


def _too_large(answer: Answer) -> Finding:
    if answer.refused:
        return fine("too_large", f"a body of {LARGE} bytes is refused with {answer.status}")
    if answer.accepted:
        what = f"a body of {LARGE} bytes is accepted with {answer.status}"
        return told("too_large", "no_limit", what, Severity.WARNING)
    return _broken("too_large", answer, f"a body of {LARGE} bytes")


def _other_method(method: str) -> Callable[[Answer], Finding]:
    def judged(answer: Answer) -> Finding:
        if answer.status < 500:
            return fine(method.lower(), f"{method} is answered with {answer.status}")
        return _broken(method.lower(), answer, method)

    return judged


def _signed(answer: Answer) -> Finding:
    if answer.accepted:
        return fine("signed", f"a signed test event is accepted with {answer.status}")
    if answer.status == 401:
        return told("signed", "signed_refused", "a signed test event is refused with 401")
    return _refused_otherwise("signed", answer, "a signed test event")


VERDICTS: Mapping[str, Callable[[Answer], Finding]] = {
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
"""What each answer means, by the name of its probe."""


def _refused_otherwise(check: str, answer: Answer, sent: str) -> Finding:
    what = f"{sent} is answered with {answer.status}"
    fault = {404: "no_route", 405: "no_post"}.get(answer.status)
    if fault is not None:
        return told("route", fault, what)
    if answer.refused:
        return told(check, "refused_otherwise", what, Severity.WARNING)
    return _broken(check, answer, sent)


def _broken(check: str, answer: Answer, sent: str) -> Finding:
    fault = "unavailable" if answer.status == 503 else "server_error" if answer.status >= 500 else "odd_answer"
    return told(check, fault, f"{sent} is answered with {answer.status}")
