"""The topic behind the SDK's client, and what its answers mean. No other file names Event Grid's SDK."""

from __future__ import annotations

import inspect
import logging
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypeAlias, cast
from urllib.parse import urlsplit

from ringback.exceptions import ConfigurationError
from ringback.forks import lock
from ringback.hooks.request_errors import causes, retry_after
from ringback.senders.keys import is_trustworthy
from ringback.settings import refuse_no_text
from ringback.work.policy import GiveUp, Retry

if TYPE_CHECKING:
    from collections.abc import Callable

    from azure.core.credentials import AzureKeyCredential, AzureSasCredential, TokenCredential

    Credential: TypeAlias = "str | AzureKeyCredential | AzureSasCredential | TokenCredential"
    """An access key of the topic as text, or what ``EventGridPublisherClient`` takes."""


LONGEST_WAIT = 3600.0
"""Seconds. The sink shortens a longer Retry-After to this."""


class Failure(NamedTuple):
    """The error that the callers get. ``of_an_event``: Event Grid refused one event; the others may be accepted."""

    error: Exception
    of_an_event: bool = False


class _Client(Protocol):
    """The used part of ``azure.eventgrid.EventGridPublisherClient``; the SDK leaves some of its types out."""

    def send(self, events: list[dict[str, Any]], **options: Any) -> None: ...

    def close(self) -> None: ...


class Topic:
    """A topic behind the SDK's client. The first send opens the client. Methods block: call them in a worker thread."""

    def __init__(self, endpoint: str, credential: Credential, clock: Callable[[], float]) -> None:
        self._endpoint = endpoint
        self._credential = credential
        self._clock = clock
        self._client: _Client | None = None
        self._lock = lock()

    def send(self, events: list[dict[str, Any]]) -> Failure | None:
        """Send one request. Gives why the topic did not take the events; ``None`` if it did."""
        try:
            with self._lock:
                if self._client is None:
                    self._client = _open(self._endpoint, self._credential)
                client = self._client
            client.send(events, **_OPTIONS)
        except Exception as error:
            return _judged(error, self._endpoint, self._clock())
        return None

    def close(self) -> None:
        with self._lock:
            client, self._client = self._client, None
        if client is not None:
            client.close()


# No retry by the SDK, which would sleep in the thread: the store retries. The time-outs are seconds.
_OPTIONS: dict[str, Any] = {"retry_total": 0, "connection_timeout": 10, "read_timeout": 30}


def _open(endpoint: str, credential: Credential) -> _Client:
    from azure.core.credentials import AzureKeyCredential
    from azure.eventgrid import EventGridPublisherClient

    logging.getLogger(_MODELS).addFilter(_not_about_options)
    key = AzureKeyCredential(credential) if isinstance(credential, str) else credential
    return cast("_Client", EventGridPublisherClient(endpoint, key))


# azure-eventgrid 4.22 drops the client's options, and passes the options of send() to the model of each event.
# The model logs a warning for each unknown option.
_MODELS = "azure.eventgrid._legacy._generated._serialization"


def _not_about_options(record: logging.LogRecord) -> bool:
    return not (isinstance(record.args, tuple) and record.args[:1] and record.args[0] in _OPTIONS)


def checked_endpoint(endpoint: str) -> str:
    """The endpoint. Raises :class:`ConfigurationError` for an unusable one; the message shows scheme and host only."""
    refuse_no_text("event grid: the endpoint", endpoint)
    try:
        parts = urlsplit(endpoint)
        _ = parts.port
    except ValueError:
        raise ConfigurationError(f"event grid: the endpoint is no URL; {_ENDPOINT}") from None
    shown = f"{parts.scheme}://{parts.hostname or ''}"
    if not is_trustworthy(endpoint):
        raise ConfigurationError(
            f"event grid: endpoint {shown!r} is not https; {_ENDPOINT} (http only to 127.0.0.1, for tests)"
        )
    if parts.query or parts.fragment or parts.username is not None:
        raise ConfigurationError(
            f"event grid: endpoint {shown!r} has a query, fragment or user; leave it out; a secret is a credential"
        )
    return endpoint


_ENDPOINT = "pass the topic's endpoint, such as https://NAME.REGION-1.eventgrid.azure.net/api/events"


def checked_credential(endpoint: str, credential: Credential) -> Credential:
    """The credential. Raises :class:`ConfigurationError` for one that the client does not take; imports no SDK."""
    given: Any = credential
    if callable(get_token := getattr(given, "get_token", None)):
        if inspect.iscoroutinefunction(get_token):
            raise ConfigurationError("event grid: the credential is async; pass one of azure.identity, not of its aio")
        if not endpoint.lower().startswith("https:"):
            raise ConfigurationError("event grid: a token is not sent over http; pass an https endpoint, or a key")
        return credential
    secret = given if isinstance(given, str) else getattr(given, "key", getattr(given, "signature", None))
    if not isinstance(secret, str):
        raise ConfigurationError(
            f"event grid: a credential cannot be a {type(given).__name__}; pass a key as text, an AzureKeyCredential, "
            "an AzureSasCredential or a TokenCredential"
        )
    # An HTTP library refuses such a header, and its message repeats the secret.
    if not secret or not all("!" <= letter <= "~" for letter in secret):
        raise ConfigurationError(
            "event grid: the credential is empty or has white space or letters no header can have; "
            "pass one of the topic's two access keys as it stands"
        )
    return credential


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


def _judged(error: Exception, endpoint: str, now: float) -> Failure:
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
    """Whether the exception has the topic's response; the SDK wraps that of a 404 in an exception without a response.

    A response of the token's issuer is not the topic's: a 400 of the issuer says nothing about the events.
    """
    response: Any = getattr(error, "response", None)
    return response is not None and urlsplit(str(response.request.url)).netloc == urlsplit(endpoint).netloc
