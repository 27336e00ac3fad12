"""The gate before the body: is the head acceptable, and is the sender who it must be?"""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, Any, Final

from ringback.auth import Head, SharedSecret, allows_handshake, checks_of, one_check
from ringback.exceptions import ConfigurationError, TooManyHeaders
from ringback.intake import denial, refusal

if TYPE_CHECKING:
    from collections.abc import Collection, MutableMapping

    from ringback.auth import Check
    from ringback.intake import Reply

    Scope = MutableMapping[str, Any]

MAX_HEADERS = 100
"""Header fields of one request. Microsoft and the proxies before an app send a few dozen."""


class Unset(Enum):
    """The ``auth`` of an app that did not say: every sender is accepted, and start-up says so."""

    UNSET = "unset"


UNSET: Final = Unset.UNSET


class Gate:
    """What a request's head must pass before its body is read. ``unverified`` if nobody said who may send."""

    def __init__(self, auth: Check | Collection[Check] | Unset | None, max_headers: int) -> None:
        if max_headers < 1:
            raise ConfigurationError(f"max_headers {max_headers!r} accepts nothing; give a positive number")
        self.unverified = auth is UNSET
        self._check = None if auth is None or isinstance(auth, Unset) else one_check(auth)
        self._secrets = [each for each in checks_of(self._check) if isinstance(each, SharedSecret)]
        self._max_headers = max_headers

    def admits(self, scope: Scope) -> bool:
        """Whether a request may come in without anybody being asked, or told."""
        return self._check is None and not self.unverified and len(scope["headers"]) <= self._max_headers

    async def denied(self, scope: Scope) -> Reply | None:
        """The answer to a request that may not come in; ``None`` for one that may."""
        if len(scope["headers"]) > self._max_headers:
            return refusal(TooManyHeaders(f"more than {self._max_headers} header fields are not accepted"))
        if self._check is None:
            return None
        refused = await self._check(head_of(scope))
        return None if refused is None else denial(refused)

    def may_handshake(self, scope: Scope) -> bool:
        """Whether a request that was denied is still answered if it proves to be a validation handshake."""
        if self._check is None or len(scope["headers"]) > self._max_headers:
            return False
        head = head_of(scope)
        announced = [value.lower() for value in head.values("aeg-event-type")] == ["subscriptionvalidation"]
        return (announced or head.method == "OPTIONS") and allows_handshake(self._check, head)

    @property
    def hides(self) -> bool:
        return bool(self._secrets)

    def hide(self, scope: Scope) -> None:
        """Take shared secrets out of the URL, once the route has read it and before the server logs it."""
        if not self._secrets:
            return
        scope["path"] = self.hidden(scope["path"])
        for name in ("query_string", "raw_path"):
            given = scope.get(name)
            if isinstance(given, str):
                # Not ASGI, but what Django's test client has.
                scope[name] = self.hidden(given)
            elif given:
                scope[name] = self.hidden(given.decode("latin-1")).encode("latin-1")

    def hidden(self, text: str) -> str:
        """A URL or a part of it without shared secrets."""
        for secret in self._secrets:
            text = secret.hide(text)
        return text


def head_of(scope: Scope) -> Head:
    return Head(
        method=scope["method"],
        path=scope["path"],
        query=scope.get("query_string", b"").decode("latin-1"),
        headers=tuple((name.decode("latin-1").lower(), value.decode("latin-1")) for name, value in scope["headers"]),
    )
