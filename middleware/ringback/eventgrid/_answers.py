"""What the topic's answer means for an event: give up, retry later, or raise the SDK's error."""

from __future__ import annotations

from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, NamedTuple, Protocol
from urllib.parse import urlsplit

from ringback.work.policy import GiveUp, Retry

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

LONGEST_WAIT = 3600.0
"""Seconds. The sink shortens a longer Retry-After to this."""


class Failure(NamedTuple):
    """The error that the callers get. ``of_an_event``: Event Grid refused one event; the others may be accepted."""

    error: Exception
    of_an_event: bool = False


_REMEDIES = {
    400: "the topic does not take this event; its input schema must be Cloud Event Schema v1.0",
    401: "the key or token is wrong or has expired; pass a current key of this topic",
    403: "this credential or address may not publish; grant the role EventGrid Data Sender, or look at the topic's "
    "network rules",
    404: "there is no such topic; pass the endpoint that the topic's overview shows, with its path /api/events",
    413: "the event is larger than the 1 MB that Event Grid takes",
}
_OF_AN_EVENT = frozenset({400, 413})
_LATER = frozenset({429, 503})


def judged(error: Exception, endpoint: str, clock: Callable[[], float]) -> Failure:
    answer = _answer(error, endpoint)
    status = None if answer is None else answer.status_code
    if status in _REMEDIES:
        return Failure(GiveUp(f"event grid: status {status}: {_REMEDIES[status]}"), status in _OF_AN_EVENT)
    if answer is not None and status in _LATER:
        after = _retry_after(answer.headers.get("Retry-After"), clock)
        return Failure(Retry(f"event grid: status {status}: the topic takes no more for now", after=after))
    return Failure(error)


class _Request(Protocol):
    url: str


class _Answer(Protocol):
    """The part of ``azure.core.rest.HttpResponse`` that this module uses."""

    status_code: int
    headers: Mapping[str, str]
    request: _Request


def _answer(error: BaseException | None, endpoint: str) -> _Answer | None:
    """The topic's response behind an exception of the SDK; ``None`` if there is none.

    The SDK wraps the exception of a 404 in an exception that has no response. A response of the token's issuer is
    not the topic's: a 400 of the issuer says nothing about the events.
    """
    while error is not None:
        response: _Answer | None = getattr(error, "response", None)
        if response is not None and urlsplit(response.request.url).netloc == urlsplit(endpoint).netloc:
            return response
        error = error.__cause__
    return None


def _retry_after(value: str | None, clock: Callable[[], float]) -> float | None:
    """Seconds of a Retry-After; ``None`` without a valid one. RFC 9110, section 10.2.3: a number or a date."""
    if value is None:
        return None
    try:
        seconds = float(value) if value.strip().isdigit() else parsedate_to_datetime(value).timestamp() - clock()
    except (ValueError, OverflowError):
        return None
    return min(max(seconds, 0.0), LONGEST_WAIT)
