"""What the topic's answer means for an event: give up, retry later, or raise the SDK's error."""

from __future__ import annotations

from typing import Any, NamedTuple
from urllib.parse import urlsplit

from ringback.hooks.request_errors import causes, retry_after
from ringback.work.policy import GiveUp, Retry

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


def judged(error: Exception, endpoint: str, now: float) -> Failure:
    answered = next((cause for cause in causes(error) if _is_of(endpoint, cause)), None)
    status = getattr(answered, "status_code", None)
    if status in _REMEDIES:
        return Failure(GiveUp(f"event grid: status {status}: {_REMEDIES[status]}"), status in _OF_AN_EVENT)
    if answered is not None and status in _LATER:
        after = retry_after(answered, now)
        after = None if after is None else min(after, LONGEST_WAIT)
        return Failure(Retry(f"event grid: status {status}: the topic takes no more for now", after=after))
    return Failure(error)


def _is_of(endpoint: str, error: BaseException) -> bool:
    """Whether an exception of the SDK has the topic's response. The exception of a 404 has another one as its cause.

    A response of the token's issuer is not the topic's: a 400 of the issuer says nothing about the events.
    """
    response: Any = getattr(error, "response", None)
    return response is not None and urlsplit(str(response.request.url)).netloc == urlsplit(endpoint).netloc
