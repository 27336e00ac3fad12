"""The gate before the body: may a request with this head come in, who sent it, may a body follow, and who came near?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ringback import logs
from ringback.exceptions import TooManyHeaders
from ringback.receiving.replies import denial, refusal
from ringback.receiving.target import canonical_method
from ringback.senders.auth import Head, SharedSecret, allows_handshake, checks_of, verdict_of
from ringback.settings import UNSET, Unset

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection, MutableMapping

    from ringback.receiving.replies import Reply
    from ringback.receiving.target import GuardedPaths
    from ringback.senders.auth import Check

    Scope = MutableMapping[str, Any]
    HasBody = bool | Callable[[], Awaitable[bool]] | None
    """Whether a request has a body, a function that finds that out, or ``None`` where the headers decide."""


class Gate:
    """Checks the head of a request before its body. ``unverified`` says that the app gives no ``auth``.

    Raises :class:`ConfigurationError` for an ``auth`` that cannot work.
    """

    def __init__(self, auth: Check | Collection[Check] | Unset | None, max_headers: int) -> None:
        self.unverified = auth is UNSET
        self._checks = () if auth is None or isinstance(auth, Unset) else checks_of(auth)
        self._secrets = [check for check in self._checks if isinstance(check, SharedSecret)]
        self._max_headers = max_headers
        self.open_to = -1 if self._checks else max_headers
        """The most header fields without a call of :meth:`denied`; -1 where senders are verified."""
        self.checks = bool(self._checks)
        """Whether the gate verifies senders."""
        self.hides = bool(self._secrets)
        """Whether URLs may have shared secrets, which :meth:`hide` takes out."""
        self._log = logs.LogObserver()

    async def denied(self, scope: Scope) -> Reply | None:
        """The answer to a request that may not come in; ``None`` for a request that may."""
        if len(scope["headers"]) > self._max_headers:
            return refusal(TooManyHeaders(f"more than {self._max_headers} header fields are not accepted"))
        if not self._checks:
            return None
        refused = await verdict_of(self._checks, head_of(scope), self._log.check_failed)
        return None if refused is None else denial(refused)

    def may_handshake(self, scope: Scope) -> bool:
        """Whether the middleware may answer a denied request that proves to be a validation handshake."""
        if not self._checks or len(scope["headers"]) > self._max_headers:
            return False
        head = head_of(scope)
        announced = [value.lower() for value in head.values("aeg-event-type")] == ["subscriptionvalidation"]
        return (announced or head.method == "OPTIONS") and allows_handshake(self._checks, head, self._log.check_failed)

    def hide(self, scope: Scope) -> None:
        """Take shared secrets out of the scope's URL, after the route read the URL and before the server logs it."""
        if not self._secrets:
            return
        scope["path"] = self.hidden(scope["path"])
        for name in ("query_string", "raw_path"):
            given = scope.get(name)
            if isinstance(given, str):
                # An ASGI server gives bytes, but Django's test client gives text.
                scope[name] = self.hidden(given)
            elif given:
                scope[name] = self.hidden(given.decode("latin-1")).encode("latin-1")

    def hidden(self, text: str) -> str:
        """A URL, or a part of a URL, without shared secrets."""
        for secret in self._secrets:
            text = secret.hide(text)
        return text


def head_of(scope: Scope) -> Head:
    """The head of an ASGI request as texts, for a check of the app."""
    return Head(
        method=canonical_method(scope["method"]),
        path=scope["path"],
        query=scope.get("query_string", b"").decode("latin-1"),
        headers=tuple((name.decode("latin-1").lower(), value.decode("latin-1")) for name, value in scope["headers"]),
    )


async def may_have_body(scope: Scope, has_body: HasBody) -> bool:
    """Whether a request may have a body: the caller knows, the headers announce a body, or the server has one."""
    if isinstance(has_body, bool):
        return has_body
    headers = dict(scope["headers"])
    if b"transfer-encoding" in headers or headers.get(b"content-length", b"0") != b"0":
        return True
    version: str = scope.get("http_version", "1.1")
    # A request of HTTP/1.1 that announces no body has none (RFC 9112, section 6.3). HTTP/2 and HTTP/3 need no header
    # for a body. For an unknown version the function answers, and without a function the headers decide.
    if version.startswith("1") or (not version and has_body is None):
        return False
    return True if has_body is None else await has_body()


class NearMisses:
    """Logs that the app and the sender differ in the path: once for a status with which the app answered."""

    def __init__(self, guarded: GuardedPaths) -> None:
        self._templates = guarded.templates
        self._told: set[int] = set()

    def answered(self, status: int, *, guarded: bool) -> None:
        """Log this status of a request that nearly fits, once. ``guarded``: the gate has verified the sender."""
        # Other errors come from Ringback's own refusals or from the route, and say nothing of the path.
        if (status < 400 or status in _NO_ROUTE) and status not in self._told:
            self._told.add(status)
            logs.callback_near_miss(self._templates, status, guarded=guarded)


_NO_ROUTE = (404, 405)
"""The statuses of an app without a route for a path, or for the method."""
