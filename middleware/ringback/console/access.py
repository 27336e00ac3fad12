"""Who may see the page, who may change something, and whether a form is the page's own."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import inspect
import re
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.responses import PlainTextResponse, Response

from ringback.callables import is_async
from ringback.exceptions import ConfigurationError

if TYPE_CHECKING:
    from starlette.requests import Request

Auth = Callable[["Request"], Any] | Callable[["Request"], Awaitable[Any]]
"""Gets the request and returns the user, or something falsy for 401, or a response to send in place of the page,
such as a redirect to a login. A sync one runs in a worker thread."""

AllowChanges = bool | Callable[["Request"], bool] | Callable[["Request"], Awaitable[bool]]

SHORTEST_PASSWORD = 12

COOKIE = "ringback_console"


class BasicAuth:
    """HTTP Basic authentication with one user, for a page that is reached over https.

    Raises :class:`ConfigurationError` for a user name that is empty or holds a colon, and for a password of
    fewer than 12 characters.
    """

    challenge = 'Basic realm="Ringback", charset="UTF-8"'
    """Sent as ``WWW-Authenticate`` with a 401, as of any ``auth`` that has this attribute."""

    def __init__(self, username: str, password: str) -> None:
        if not username or ":" in username:
            raise ConfigurationError("username of BasicAuth must not be empty or hold a colon; choose another")
        if len(password) < SHORTEST_PASSWORD:
            raise ConfigurationError(
                f"password of BasicAuth has {len(password)} characters and can be guessed; use at least "
                f"{SHORTEST_PASSWORD}, from the environment and not from the source"
            )
        self._username = username
        self._expected = _digest(f"{username}:{password}".encode())

    def __call__(self, request: Request) -> str | None:
        scheme, _, given = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "basic":
            return None
        try:
            credentials = base64.b64decode(given.strip(), validate=True)
        except (binascii.Error, ValueError):
            return None
        # Of the digests: their length says nothing about the password's.
        return self._username if hmac.compare_digest(_digest(credentials), self._expected) else None


class Access:
    """The decisions of one console. ``token`` makes a text that cannot be guessed, 43 characters safe in a URL."""

    def __init__(self, auth: Auth, allow_changes: AllowChanges, token: Callable[[], str]) -> None:
        # Whoever has no type checker and no documentation at hand writes None, True or a password here.
        if not callable(auth):
            raise ConfigurationError(
                f"auth of a Console is {type(auth).__name__}, not callable; pass a function of the request that "
                "returns a user or None, or BasicAuth(username, password): the page is never open to everyone"
            )
        if not callable(allow_changes) and not isinstance(allow_changes, bool):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise ConfigurationError(
                f"allow_changes of a Console is {allow_changes!r}; pass True, False or a function of the request"
            )
        self._auth = auth
        self._allow_changes = allow_changes
        self._token = token

    async def refusal(self, request: Request) -> Response | None:
        """The response to send in place of the page; ``None`` if the user may see it, who is noted in the request."""
        try:
            user = await _asked(self._auth, request)
        except HTTPException as error:
            # As an app's own dependencies say no. Not its text: who is told is a stranger.
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
        return bool(await _asked(self._allow_changes, request))

    def token(self, request: Request) -> str | None:
        """What the browser has been given for its forms. Any process knows it again: it is in the browser's cookie."""
        given = request.cookies.get(COOKIE, "")
        return given if _TOKEN.fullmatch(given) else None

    def new_token(self) -> str:
        return self._token()


def give_token(response: Response, token: str, *, secure: bool) -> None:
    """Let the browser keep the token for as long as it runs. For every path: a proxy may have taken off a prefix."""
    response.set_cookie(COOKIE, token, path="/", secure=secure, httponly=True, samesite="strict")


def fault(request: Request, token: str | None, given: str) -> str | None:
    """What is wrong with a form that changes something; ``None`` if this page has sent it."""
    if not _same_origin(request):
        return "the form does not come from this page; open the page over https and send it from there"
    if token is None or not hmac.compare_digest(token.encode(), given.encode("utf-8", "surrogatepass")):
        return "the form is out of date; allow this page its cookie, load the page again and repeat"
    return None


def handle(key: str, token: str) -> str:
    """Stands for a key that must not be on the page. Only who has the token can tell which."""
    return "~" + hmac.digest(token.encode(), key.encode("utf-8", "surrogatepass"), "sha256").hex()


def _same_origin(request: Request) -> bool:
    """As the browser says, which no page can make it say. One that says nothing is no browser to trust."""
    site = request.headers.get("sec-fetch-site")
    if site is not None:
        return site == "same-origin"
    try:
        origin = urlsplit(request.headers.get("origin", "")).netloc
    except ValueError:
        return False
    return bool(origin) and origin == request.headers.get("host")


async def _asked(question: Callable[[Request], Any], request: Request) -> Any:
    if is_async(question):
        return await question(request)
    answer = await run_in_threadpool(question, request)
    # A lambda or a partial around an async function.
    return await answer if inspect.isawaitable(answer) else answer


def _digest(text: bytes) -> bytes:
    return hashlib.sha256(text).digest()


_TOKEN = re.compile(r"[A-Za-z0-9_-]{43}")
