"""Who may see the page, who may change dead letters, and whether a form comes from the page."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import math
import re
import time
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from starlette.exceptions import HTTPException
from starlette.responses import PlainTextResponse, Response

from ringback.console.guessing import Guesses, place_of
from ringback.exceptions import ConfigurationError
from ringback.hooks.guarded import refuse_awaitable
from ringback.hooks.invoke import called
from ringback.hooks.signatures import refuse_uncallable
from ringback.settings import refuse_no_text

if TYPE_CHECKING:
    from starlette.requests import Request

Auth = Callable[["Request"], Any] | Callable[["Request"], Awaitable[Any]]
"""Takes the request and returns the user, a falsy value for 401, or a response instead of the page, such as a
redirect to a login. A sync function runs in a worker thread."""

AllowChanges = bool | Callable[["Request"], bool] | Callable[["Request"], Awaitable[bool]]

SHORTEST_PASSWORD = 12

COOKIE = "ringback_console"


class BasicAuth:
    """HTTP Basic authentication (RFC 7617) with one user, for a page behind https.

    After five wrong passwords from one address each process answers that address with 429, for a minute at most.
    ``monotonic`` gives seconds. Raises :class:`ConfigurationError` for a user name that is empty or holds a colon,
    for a password of fewer than 12 characters, and for either that is no text.
    """

    challenge = 'Basic realm="Ringback", charset="UTF-8"'
    """The ``WWW-Authenticate`` of a 401. The console reads this attribute of any ``auth``."""

    def __init__(self, username: str, password: str, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        refuse_no_text("username of BasicAuth", username)
        refuse_no_text("password of BasicAuth", password)
        if not username or ":" in username:
            raise ConfigurationError("username of BasicAuth must not be empty or hold a colon; choose another")
        if len(password) < SHORTEST_PASSWORD:
            raise ConfigurationError(
                f"password of BasicAuth has {len(password)} characters and can be guessed; use at least "
                f"{SHORTEST_PASSWORD}, from the environment and not from the source"
            )
        self._username = username
        self._expected = _digest(f"{username}:{password}".encode())
        self._guesses = Guesses(monotonic)

    def __call__(self, request: Request) -> str | Response | None:
        scheme, _, given = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "basic":
            return None
        try:
            credentials = base64.b64decode(given.strip(), validate=True)
        except (binascii.Error, ValueError):
            return None
        # The digests have one length, so the comparison's time does not depend on the password's length.
        right = hmac.compare_digest(_digest(credentials), self._expected)
        address = place_of(None if request.client is None else request.client.host)
        wait = math.ceil(self._guesses.heard(address, token_of(request), right=right))
        if wait > 0:
            why = f"429: too many wrong passwords came from your address; try again in {wait} s\n"
            return PlainTextResponse(why, 429, {"retry-after": str(wait)})
        return self._username if right else None


class Access:
    """The decisions of one console. ``token`` returns an unguessable text of 43 characters that are safe in a URL."""

    def __init__(self, auth: Auth, allow_changes: AllowChanges, token: Callable[[], str]) -> None:
        # Without a type checker, users write None, True or a password here.
        if not callable(auth):
            raise ConfigurationError(
                f"auth of a Console is {type(auth).__name__}, not callable; pass a function of the request that "
                "returns a user or None, or BasicAuth(username, password): the page is never open to everyone"
            )
        if not callable(allow_changes) and not isinstance(allow_changes, bool):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise ConfigurationError(
                f"allow_changes of a Console is {allow_changes!r}; pass True, False or a function of the request"
            )
        refuse_uncallable(auth, 1, "(request)", "auth of a Console")
        if callable(allow_changes):
            refuse_uncallable(allow_changes, 1, "(request)", "allow_changes of a Console")
        self._auth = auth
        self._allow_changes = allow_changes
        self.new_token = token

    async def refusal(self, request: Request) -> Response | None:
        """The response instead of the page; ``None``, with the user in the request's state, if the user may see it."""
        try:
            user = refuse_awaitable(await called(self._auth, (request,)))
        except HTTPException as error:
            # The app's own dependencies refuse so. The response leaves the exception's text out: a stranger reads it.
            return PlainTextResponse(f"{error.status_code}\n", error.status_code, error.headers)
        if isinstance(user, Response):
            return user
        if user:
            request.state.ringback_user = user if isinstance(user, str) else None
            return None
        challenge = getattr(self._auth, "challenge", None)
        return PlainTextResponse(
            "401: the operations page is only for those it knows\n",
            401,
            {} if challenge is None else {"www-authenticate": challenge},
        )

    async def may_change(self, request: Request) -> bool:
        if isinstance(self._allow_changes, bool):
            return self._allow_changes
        return bool(refuse_awaitable(await called(self._allow_changes, (request,))))


def token_of(request: Request) -> str | None:
    """The token of the browser's cookie, for its forms, which every process accepts; ``None`` if there is none that a
    console can have given.
    """
    given = request.cookies.get(COOKIE, "")
    return given if _TOKEN.fullmatch(given) else None


def give_token(response: Response, token: str, *, secure: bool) -> None:
    """Set the token as a session cookie. The cookie holds for every path: a proxy may have removed a prefix."""
    response.set_cookie(COOKIE, token, path="/", secure=secure, httponly=True, samesite="strict")


def fault(request: Request, token: str | None, given: str) -> str | None:
    """Why the console must refuse a form that changes something; ``None`` if the form comes from this page."""
    if not _same_origin(request):
        return "the form does not come from this page; open the page over https and send it from there"
    if token is None or not hmac.compare_digest(token.encode(), given.encode("utf-8", "surrogatepass")):
        return "the form is out of date; allow this page its cookie, load the page again and repeat"
    return None


def _same_origin(request: Request) -> bool:
    """Whether the browser says so, in headers that no page can set. Without these headers, it is not.

    https://www.w3.org/TR/fetch-metadata/#sec-fetch-site-header
    """
    site = request.headers.get("sec-fetch-site")
    if site is not None:
        return site == "same-origin"
    try:
        origin = urlsplit(request.headers.get("origin", "")).netloc
    except ValueError:
        return False
    return bool(origin) and origin == request.headers.get("host")


def _digest(text: bytes) -> bytes:
    return hashlib.sha256(text).digest()


_TOKEN = re.compile(r"[A-Za-z0-9_-]{43}")
