"""What an error says of the request that failed: its HTTP status, whether a call was placed, how long to wait."""

from __future__ import annotations

from datetime import UTC
from email.utils import parsedate_to_datetime
from itertools import takewhile
from operator import attrgetter
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from ringback.work.pace import LONGEST_PAUSE
from ringback.work.policy import GiveUp, Retry
from ringback.work.redial import REQUEST_ID

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


def not_placed(error: BaseException, request: str | None = None) -> bool:
    """Whether the error, or a cause of the error, says for certain that no call was placed.

    ``request`` is the Repeatability-Request-ID that the function was given for the call, if it takes ``headers``.

    An HTTP status by which the service refuses the request says so. Without a status, an error of the connection says
    so if the request was not sent. A function that raises ``Retry`` or ``GiveUp`` says so itself.
    """
    status = status_of(error, request)
    if status is not None:
        return status in (429, 503) or (400 <= status < 500 and status not in (408, 409, 412))
    return any(isinstance(cause, _UNPLACED) or _unsent(cause) for cause in _of_the_call(error, request))


def status_of(error: BaseException, request: str | None = None) -> int | None:
    """The HTTP status with which the service answered the request for a call, as the error or a cause of the error
    says; ``None`` without a status. ``request`` is as in :func:`not_placed`.
    """
    found = (_status(cause) for cause in _of_the_call(error, request))
    return next((status for status in found if isinstance(status, int)), None)


def retry_after(error: BaseException, now: float) -> float | None:
    """Seconds to wait, from 0 to a day; ``None`` without a legal header. ``now`` is for dates, seconds since the epoch.

    Source: RFC 9110, section 10.2.3. The errors of azure-core, httpx and requests have the headers in
    ``response.headers``, those of aiohttp in ``headers``.
    """
    for cause in causes(error):
        headers: Any = getattr(getattr(cause, "response", cause), "headers", None)
        for name, unit in _HEADERS:
            try:
                # The headers of these clients ignore the case of a name.
                given = str(headers[name])
            except (KeyError, TypeError):
                continue
            seconds = _seconds(given.strip(), unit, now)
            if seconds is not None:
                return min(max(0.0, seconds), LONGEST_PAUSE)
    return None


def causes(
    error: BaseException, of: Callable[[BaseException], BaseException | None] = attrgetter("__cause__")
) -> Iterator[BaseException]:
    """The error, and what it was raised from, or what else ``of`` gives as the cause of an error."""
    known: list[BaseException] = []
    cause: BaseException | None = error
    while cause is not None and cause not in known:
        known.append(cause)
        cause = of(cause)
    return iter(known)


def _status(error: Any) -> object:
    """The errors of azure-core say the status themselves, those of httpx and requests in their response."""
    if "aiohttp.ClientResponseError" in _names(error):
        return error.status
    return getattr(error, "status_code", getattr(getattr(error, "response", None), "status_code", None))


def _seconds(given: str, unit: float, now: float) -> float | None:
    try:
        seconds = float(given) * unit
    except ValueError:
        return _until(given, now)
    # A NaN compares as false.
    return seconds if seconds >= 0 else None


def _until(date: str, now: float) -> float | None:
    try:
        moment = parsedate_to_datetime(date)
        # Two of the three formats of a date in HTTP name no zone or `-0000`, and all mean GMT.
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() - now
    except (TypeError, ValueError, OverflowError):
        return None


def _of_the_call(error: BaseException, request: str | None) -> Iterator[BaseException]:
    """The error and its causes, up to the first that names another request: that request may have followed the call."""
    return takewhile(lambda cause: not _of_another_request(cause, request), causes(error))


def _of_another_request(error: Any, expected: str | None) -> bool:
    """Whether the error names its request, and that request places no call, or another call than the ``expected``.

    Source of the path: azure-communication-callautomation, ``create_call`` of its generated operations.
    """
    try:
        response = getattr(error, "response", None)
        request = getattr(error, "request_info", None) or (error if response is None else response).request
        url = urlsplit(str(request.url))
        # The case of a name is ignored by these clients. Azure's client gives each request without an id one.
        headers: Any = getattr(request, "headers", None)
        given: object = expected if headers is None else headers.get(REQUEST_ID, expected)
    except Exception:
        # Clients of HTTP raise what they like for a response without a request.
        return False
    places_it = url.path.endswith("/callConnections") and expected in (None, given)
    return bool(url.scheme) and not places_it


def _unsent(error: BaseException) -> bool:
    """Whether a client of HTTP says by this error that nothing was sent.

    azure-core raises ServiceRequestError also where the service has taken the request and closed the connection, or
    where TLS failed after that, so the fault within has to be one of connecting.
    """
    names = _names(error)
    if _REQUEST_ERROR not in names:
        return bool(names & _UNSENT)
    within = _within(error)
    return within is None or any(_names(fault) & _CONNECTING for fault in causes(within, _within))


def _within(error: BaseException) -> BaseException | None:
    """The fault that a client of HTTP has wrapped: azure-core, urllib3 and requests keep it in these places."""
    places = (getattr(error, "inner_exception", None), error.__cause__, getattr(error, "reason", None), *error.args)
    return next((fault for fault in places if isinstance(fault, BaseException)), None)


def _names(error: BaseException) -> set[str]:
    """The names of the error's classes. By names, because Ringback imports no client of HTTP."""
    return {f"{kind.__module__.partition('.')[0]}.{kind.__name__}" for kind in type(error).__mro__}


_UNPLACED = (Retry, GiveUp)
_REQUEST_ERROR = "azure.ServiceRequestError"
_UNSENT = frozenset({"httpx.ConnectError", "httpx.ConnectTimeout", "aiohttp.ClientConnectorError"})
"""Errors of clients of HTTP before anything was sent. The system's own errors are not among these: a database to which
the function writes after the call raises the same.
"""
_CONNECTING = _UNSENT | {
    "aiohttp.ConnectionTimeoutError",
    "builtins.ConnectionRefusedError",
    "socket.gaierror",
    "ssl.SSLCertVerificationError",
    "urllib3.ConnectTimeoutError",
    "urllib3.NewConnectionError",
}
"""What a ServiceRequestError is raised for before anything was sent. Source: azure-core, ``pipeline/transport``, the
modules ``_aiohttp`` and ``_requests_basic``.
"""
_HEADERS = (("Retry-After", 1.0), ("retry-after-ms", 0.001), ("x-ms-retry-after-ms", 0.001))
"""The headers, and the seconds of their unit, in the order in which azure-core reads them.

Source: https://github.com/Azure/azure-sdk-for-python, azure/core/pipeline/policies/_utils.py, get_retry_after
"""
