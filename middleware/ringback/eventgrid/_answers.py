"""What the topic's answer means for an event: never, later, or an error of the SDK as it is."""

from __future__ import annotations

from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, NamedTuple, Protocol
from urllib.parse import urlsplit

from ringback.hooks import GiveUp, Retry

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

LONGEST_WAIT = 3600.0
"""Seconds that a Retry-After may ask for; more is cut down to this."""


class Failure(NamedTuple):
    """What to tell who waits. ``of_an_event``: an event in the request was refused, the others may be fine."""

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
    """What is used of ``azure.core.rest.HttpResponse``."""

    status_code: int
    headers: Mapping[str, str]
    request: _Request


def _answer(error: BaseException | None, endpoint: str) -> _Answer | None:
    """The topic's response behind an exception of the SDK, which wraps that of a 404 in another without one.

    The response of a token's issuer is not the topic's: its 400 says nothing of the events.
    """
    while error is not None:
        response: _Answer | None = getattr(error, "response", None)
        if response is not None and urlsplit(response.request.url).netloc == urlsplit(endpoint).netloc:
            return response
        error = error.__cause__
    return None


def _retry_after(value: str | None, clock: Callable[[], float]) -> float | None:
    """Seconds of a Retry-After, which is a number or a date; ``None`` if it is absent or neither."""
    if value is None:
        return None
    try:
        seconds = float(value) if value.strip().isdigit() else parsedate_to_datetime(value).timestamp() - clock()
    except (ValueError, OverflowError):
        return None
    return min(max(seconds, 0.0), LONGEST_WAIT)
