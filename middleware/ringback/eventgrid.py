"""Outcomes as CloudEvents 1.0 on an Azure Event Grid topic. The only file that names Event Grid's SDK.

The SDK is imported when the first event is sent, in a worker thread, not with this module.
"""

from __future__ import annotations

import asyncio
import inspect
import json
import logging
import math
import threading
import time
from collections import deque
from dataclasses import dataclass
from difflib import get_close_matches
from email.utils import parsedate_to_datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypeAlias, cast
from urllib.parse import urlsplit

from ringback.exceptions import ConfigurationError
from ringback.hooks import GiveUp, Retry
from ringback.keys import is_trustworthy
from ringback.redaction import redact
from ringback_catalog import RetryClass, Scope

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence

    from azure.core.credentials import AzureKeyCredential, AzureSasCredential, TokenCredential

    from ringback.hooks import HookContext
    from ringback.outcome import Outcome

    Credential: TypeAlias = "str | AzureKeyCredential | AzureSasCredential | TokenCredential"
    """An access key of the topic as text, or what ``EventGridPublisherClient`` takes."""

MAX_BYTES = 1_000_000
"""Of one request. Event Grid takes 1 MB, and does not say which; a tracing policy may add some bytes to each event.

Source: https://learn.microsoft.com/en-us/azure/event-grid/quotas-limits
"""

LONGEST_WAIT = 3600.0
"""Seconds that a Retry-After may ask for; more is cut down to this."""


class PublishedType(StrEnum):
    """The ``type`` of a CloudEvent: closed, and no name is ever changed. Set by scope and retry class alone."""

    CALL_RETRYABLE = "Ringback.CallRetryable"
    CALL_TERMINAL = "Ringback.CallTerminal"
    OPERATION_FAILED = "Ringback.OperationFailed"
    OPERATION_SUCCEEDED = "Ringback.OperationSucceeded"


CALLS = (PublishedType.CALL_RETRYABLE, PublishedType.CALL_TERMINAL)


def published_type(outcome: Outcome) -> PublishedType:
    """The one type an outcome is published as. An operation that is not known to have succeeded has failed."""
    if outcome.scope is Scope.CALL:
        return PublishedType.CALL_RETRYABLE if outcome.retryable else PublishedType.CALL_TERMINAL
    if outcome.retry_class is RetryClass.NONE:
        return PublishedType.OPERATION_SUCCEEDED
    return PublishedType.OPERATION_FAILED


def cloud_event(outcome: Outcome, source: str) -> dict[str, Any]:
    """The outcome as a CloudEvent in JSON's structured form, redacted. The same outcome gives the same event."""
    event: dict[str, Any] = {
        "specversion": "1.0",
        "id": _event_id(outcome),
        "source": source,
        "type": published_type(outcome).value,
        "datacontenttype": "application/json",
        "data": outcome.to_dict(),
    }
    if outcome.call_connection_id is not None:
        event["subject"] = f"callConnections/{redact(outcome.call_connection_id)}"
    if outcome.occurred_at is not None:
        event["time"] = outcome.occurred_at.isoformat()
    return event


def _event_id(outcome: Outcome) -> str:
    """The outcome's id. Two ids with something private in them may read the same redacted: time and event tell."""
    cleaned = redact(outcome.outcome_id)
    if cleaned == outcome.outcome_id:
        return cleaned
    return redact(f"{cleaned}:{outcome.event.time}:{outcome.event_id}")


class EventGridSink:
    """A hook that publishes outcomes to a topic, or a domain, of Azure Event Grid.

    ``endpoint`` is the topic's whole URL. ``types`` are the :class:`PublishedType` names to
    publish, by default the two of calls; ``source`` is the CloudEvents' source. Calls that come
    within ``linger`` seconds, or while a request is under way, go out together: at most
    ``max_batch`` events and :data:`MAX_BYTES` in a request, one request at a time.

    The sink keeps nothing: a call returns when Event Grid has taken the event, and raises if it
    has not, so that the store behind the hooks tries again. :class:`~ringback.hooks.Retry` for 429
    and 503, after Retry-After if that was sent; :class:`~ringback.hooks.GiveUp` for 400, 401, 403,
    404 and 413; the SDK's own exception for anything else. A request refused with 400 or 413 is
    sent again event by event. Raises :class:`ConfigurationError` for settings that cannot work.
    """

    def __init__(
        self,
        endpoint: str,
        credential: Credential,
        *,
        types: Iterable[str] = CALLS,
        source: str = "/ringback",
        max_batch: int = 100,
        linger: float = 0.05,
        sleep: Callable[[float], Awaitable[Any]] = asyncio.sleep,
        clock: Callable[[], float] = time.time,
    ) -> None:
        if not source or any(each.isspace() for each in source):
            raise ConfigurationError(f"event grid: source {source!r} is no URI; write one such as '/ringback'")
        if max_batch < 1:
            raise ConfigurationError(f"event grid: max_batch {max_batch!r} lets no event out; give 1 or more")
        if not 0 <= linger < math.inf:
            raise ConfigurationError(f"event grid: linger {linger!r} is no waiting time; give seconds, 0 or more")
        self._types = _chosen(types)
        self._source = source
        self._topic = _Topic(_checked_endpoint(endpoint), _checked_credential(endpoint, credential))
        self._max_batch = max_batch
        self._linger = linger
        self._sleep = sleep
        self._clock = clock
        self._group: _Group | None = None

    def wants(self, outcome: Outcome) -> bool:
        """Whether outcomes of this type are published."""
        return published_type(outcome) in self._types

    async def __call__(self, outcome: Outcome, ctx: HookContext) -> None:  # noqa: ARG002 (a hook's signature)
        """Publish the outcome; one that is not wanted is passed over."""
        if not self.wants(outcome):
            return
        event = cloud_event(outcome, self._source)
        loop = asyncio.get_running_loop()
        waiting = _Waiting(event, _bytes_of(event), loop.create_future())
        group = self._group
        # A group whose loop was closed in its midst will never send.
        if group is None or group.task.get_loop() is not loop:
            pending: deque[_Waiting] = deque()
            self._group = group = _Group(pending, loop.create_task(self._send_all(pending)))
        group.pending.append(waiting)
        await waiting.taken

    def close(self) -> None:
        """Close the connections. A later call opens them again."""
        self._topic.close()

    async def _send_all(self, pending: deque[_Waiting]) -> None:
        batch: list[_Waiting] = []
        try:
            await self._sleep(self._linger)
            while pending:
                batch = _next_batch(pending, self._max_batch)
                if batch:
                    await self._deliver(batch)
        finally:
            # Another loop may have begun a group of its own meanwhile.
            if self._group is not None and self._group.pending is pending:
                self._group = None
            # Left over only if this task was cancelled, with its loop: nobody may wait for ever.
            for each in (*batch, *pending):
                each.taken.cancel()

    async def _deliver(self, batch: Sequence[_Waiting]) -> None:
        failure = await asyncio.to_thread(self._send, batch)
        if failure is None or len(batch) == 1 or not failure.of_an_event:
            _settle(batch, failure)
            return
        # One bad event must not hold back the others. A topic that no longer answers holds up all that follow.
        for index, each in enumerate(batch):
            failure = await asyncio.to_thread(self._send, [each])
            if failure is not None and not failure.of_an_event:
                _settle(batch[index:], failure)
                return
            _settle([each], failure)

    def _send(self, batch: Sequence[_Waiting]) -> _Failure | None:
        """One request. Blocks, for up to the client's time-outs: for worker threads."""
        try:
            self._topic.send([each.event for each in batch])
        except Exception as error:
            return _judged(error, self._topic.endpoint, self._clock)
        return None


@dataclass(slots=True)
class _Waiting:
    """An event, its size in a request, and who waits for Event Grid to take it."""

    event: dict[str, Any]
    size: int
    taken: asyncio.Future[None]


class _Group(NamedTuple):
    """What waits in one loop, and the task that sends it."""

    pending: deque[_Waiting]
    task: asyncio.Task[None]


class _Failure(NamedTuple):
    """What to tell who waits. ``of_an_event``: an event in the request was refused, the others may be fine."""

    error: Exception
    of_an_event: bool = False


def _bytes_of(event: dict[str, Any]) -> int:
    # As the SDK writes it, all of it ASCII; and the comma and the space before the next.
    return len(json.dumps(event)) + 2


def _next_batch(pending: deque[_Waiting], most: int) -> list[_Waiting]:
    """The first events of those whose callers still wait, as many as a request may hold; one at least, if any."""
    batch: list[_Waiting] = []
    size = 0
    while pending and len(batch) < most:
        if pending[0].taken.done():
            # Its caller was cancelled, and will come again.
            pending.popleft()
            continue
        size += pending[0].size
        if batch and size > MAX_BYTES:
            break
        batch.append(pending.popleft())
    return batch


def _settle(batch: Iterable[_Waiting], failure: _Failure | None) -> None:
    for each in batch:
        if each.taken.done():
            continue
        if failure is None:
            each.taken.set_result(None)
        else:
            each.taken.set_exception(failure.error)


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


def _judged(error: Exception, endpoint: str, clock: Callable[[], float]) -> _Failure:
    answer = _answer(error, endpoint)
    status = None if answer is None else answer.status_code
    if status in _REMEDIES:
        return _Failure(GiveUp(f"event grid: status {status}: {_REMEDIES[status]}"), status in _OF_AN_EVENT)
    if answer is not None and status in _LATER:
        after = _retry_after(answer.headers.get("Retry-After"), clock)
        return _Failure(Retry(f"event grid: status {status}: the topic takes no more for now", after=after))
    return _Failure(error)


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


class _Client(Protocol):
    """What is used of ``azure.eventgrid.EventGridPublisherClient``, whose own types are partly unknown."""

    def send(self, events: list[dict[str, Any]], **options: Any) -> None: ...

    def close(self) -> None: ...


class _Topic:
    """A topic behind the SDK's client, which is opened by the first send. Blocks: for worker threads."""

    def __init__(self, endpoint: str, credential: Credential) -> None:
        self.endpoint = endpoint
        self._credential = credential
        self._client: _Client | None = None
        self._lock = threading.Lock()

    def send(self, events: list[dict[str, Any]]) -> None:
        self._opened().send(events, **_OPTIONS)

    def close(self) -> None:
        with self._lock:
            client, self._client = self._client, None
        if client is not None:
            client.close()

    def _opened(self) -> _Client:
        with self._lock:
            if self._client is None:
                self._client = _open(self.endpoint, self._credential)
            return self._client


# The store tries again, and knows for how long: the SDK would sleep in the thread. Seconds.
_OPTIONS: dict[str, Any] = {"retry_total": 0, "connection_timeout": 10, "read_timeout": 30}


def _open(endpoint: str, credential: Credential) -> _Client:
    from azure.core.credentials import AzureKeyCredential
    from azure.eventgrid import EventGridPublisherClient

    logging.getLogger(_MODELS).addFilter(_not_about_options)
    key = AzureKeyCredential(credential) if isinstance(credential, str) else credential
    return cast("_Client", EventGridPublisherClient(endpoint, key))


# 4.22 drops the options given to the client, and hands those given to send() to its model of an event,
# too, which warns that it does not know them: three lines for each event.
_MODELS = "azure.eventgrid._legacy._generated._serialization"


def _not_about_options(record: logging.LogRecord) -> bool:
    return not (isinstance(record.args, tuple) and record.args[:1] and record.args[0] in _OPTIONS)


def _chosen(types: Iterable[str]) -> frozenset[str]:
    names = frozenset([types] if isinstance(types, str) else types)
    known = [each.value for each in PublishedType]
    if not names:
        raise ConfigurationError(
            f"event grid: types is empty: nothing would be published; name some of {', '.join(known)}"
        )
    for name in sorted(names.difference(known), key=str):
        close = get_close_matches(str(name), known, n=1)
        nearest = f"; did you mean {close[0]!r}?" if close else ""
        raise ConfigurationError(f"event grid: type {name!r} is not one of {', '.join(known)}{nearest}")
    return names


def _checked_endpoint(endpoint: str) -> str:
    """The endpoint, if it can be one; no message repeats more of it than scheme and host."""
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


def _checked_credential(endpoint: str, credential: Credential) -> Credential:
    """The credential, if the client takes it; known by its shape, so that the SDK need not be imported."""
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
    # An HTTP library refuses such a header, and repeats it in its message.
    if not secret or not all("!" <= each <= "~" for each in secret):
        raise ConfigurationError("event grid: the credential is empty or has white space or letters no header can have")
    return credential
