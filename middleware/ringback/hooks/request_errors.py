"""What an error says of the request that failed: its HTTP status, and whether a call was placed."""

from __future__ import annotations

from itertools import takewhile
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from ringback.hooks.retry_after import causes
from ringback.work.policy import GiveUp, Retry

if TYPE_CHECKING:
    from collections.abc import Iterator


def not_placed(error: BaseException) -> bool:
    """Whether the error, or a cause of the error, says for certain that no call was placed.

    An HTTP status by which the service refuses the request says so. Without a status, an error of the connection says
    so if the request was not sent. A function that raises ``Retry`` or ``GiveUp`` says so itself.
    """
    status = status_of(error)
    if status is not None:
        return status in (429, 503) or (400 <= status < 500 and status not in (408, 409, 412))
    return any(isinstance(cause, _UNPLACED) or _unsent(cause) for cause in _of_the_call(error))


def status_of(error: BaseException) -> int | None:
    """The HTTP status with which the service answered the request for a call, as the error or a cause of the error
    says; ``None`` without a status.
    """
    found = (getattr(cause, "status_code", None) for cause in _of_the_call(error))
    return next((status for status in found if isinstance(status, int)), None)


def _of_the_call(error: BaseException) -> Iterator[BaseException]:
    """The error and its causes, up to the first that names another request: that request may have followed the call."""
    return takewhile(lambda cause: not _of_another_request(cause), causes(error))


def _of_another_request(error: Any) -> bool:
    """Whether the error names its request, and that request places no call.

    Source of the path: azure-communication-callautomation, ``create_call`` of its generated operations.
    """
    try:
        response = getattr(error, "response", None)
        url = urlsplit(str((error if response is None else response).request.url))
    except Exception:
        # Clients of HTTP raise what they like for a response without a request.
        return False
    return bool(url.scheme) and not url.path.endswith("/callConnections")


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
