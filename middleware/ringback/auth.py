"""Who may call: what a check sees, what it may say, and the shared secret in the callback URL.

A check looks at a request's head before its body is read. It gives a :class:`Refusal`, or ``None``
to let the request through.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Awaitable, Callable, Collection
from typing import TYPE_CHECKING, Protocol, cast, runtime_checkable
from urllib.parse import parse_qsl

from msgspec import Struct

from ringback.exceptions import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Sequence


class Head(Struct, frozen=True):
    """What is known of a request before its body: ``headers`` as pairs, names in lower case."""

    method: str
    path: str
    query: str
    headers: tuple[tuple[str, str], ...]

    def values(self, name: str) -> list[str]:
        """Every value of a header, in order."""
        return [value for each, value in self.headers if each == name]


class Refusal(Struct, frozen=True):
    """Why a request may not go on. ``reason`` is a slug for the log; the sender is not told it.

    ``status`` is 401, or 503 where the fault is ours and will pass: no sender repeats a 401.
    """

    reason: str
    status: int = 401
    retry_after: int | None = None

    def __post_init__(self) -> None:
        if self.status not in (401, 503):
            raise ConfigurationError(f"a refusal cannot have status {self.status!r}; use 401, or 503 if it will pass")


Check = Callable[[Head], Awaitable[Refusal | None]]
"""A check of the sender; several in a list mean that one of them must let the request through."""


class SharedSecret:
    """A secret in the callback URL: the query parameter ``parameter``, or the path's last part if that is ``None``.

    The weaker choice, since URLs end up in logs of proxies and of the sender; prefer
    :class:`~ringback.tokens.CallbackTokenVerifier`. Give two secrets while one replaces the other.
    Secrets are compared in constant time. Raises :class:`ConfigurationError` for a short one.
    """

    def __init__(self, *secrets: str, parameter: str | None = "secret") -> None:
        if not secrets:
            raise ConfigurationError("SharedSecret has no secret; pass one, or two while one replaces the other")
        for secret in secrets:
            if len(secret) < _SHORTEST:
                raise ConfigurationError(
                    f"a shared secret of {len(secret)} characters can be guessed; use at least {_SHORTEST}, "
                    "such as secrets.token_urlsafe(32)"
                )
        self._secrets = [secret.encode() for secret in secrets]
        # The longest first: one secret may begin with another.
        self._spellings = re.compile("|".join(_spelled(each) for each in sorted(secrets, key=len, reverse=True)))
        self._parameter = parameter

    async def __call__(self, head: Head) -> Refusal | None:
        given = self._given(head)
        if given is None:
            return Refusal("secret_missing")
        offered = given.encode("utf-8", "surrogatepass")
        # Every one is compared, so that the time does not tell which of them it was.
        matches = [hmac.compare_digest(offered, secret) for secret in self._secrets]
        return None if any(matches) else Refusal("secret_wrong")

    def hide(self, text: str) -> str:
        """The text without the secrets, however they are spelled in a URL: for the server's own log."""
        return self._spellings.sub(_HIDDEN, text)

    def _given(self, head: Head) -> str | None:
        if self._parameter is None:
            return head.path.rpartition("/")[2] or None
        try:
            fields = parse_qsl(head.query, max_num_fields=_MOST_FIELDS)
        except ValueError:
            return None
        found = [value for name, value in fields if name == self._parameter]
        return found[0] if len(found) == 1 else None


@runtime_checkable
class Handshaker(Protocol):
    """A check that lets validation handshakes of Event Grid through without a token."""

    def allows_handshake(self, head: Head) -> bool: ...


def allows_handshake(check: Check, head: Head) -> bool:
    """Whether a request this check refused may still be answered if it is nothing but a handshake.

    The answer echoes what the sender sent and reaches neither the route nor a hook.
    """
    return isinstance(check, Handshaker) and check.allows_handshake(head)


class AnyOf:
    """Lets a request through if one of several checks does: callbacks and Event Grid on one path.

    Refused by all, it is refused with 503 if that is what any said; else for what the first said
    that found something of its own to refuse, not merely nothing that concerned it.
    """

    def __init__(self, checks: Sequence[Check]) -> None:
        self.checks = tuple(checks)

    async def __call__(self, head: Head) -> Refusal | None:
        refusals: list[Refusal] = []
        for check in self.checks:
            refusal = await check(head)
            if refusal is None:
                return None
            refusals.append(refusal)
        passing = [each for each in refusals if each.status == 503]
        telling = [each for each in refusals if each.reason not in _NOT_CONCERNED]
        return (passing or telling or refusals)[0]

    def allows_handshake(self, head: Head) -> bool:
        return any(allows_handshake(check, head) for check in self.checks)


def checks_of(check: Check | None) -> tuple[Check, ...]:
    """The single checks that a check is made of."""
    if check is None:
        return ()
    return tuple(each for part in check.checks for each in checks_of(part)) if isinstance(check, AnyOf) else (check,)


def one_check(auth: Check | Collection[Check]) -> Check:
    """The ``auth`` setting as one check. Raises :class:`ConfigurationError` if it is none."""
    several = isinstance(auth, Collection) and not callable(cast("object", auth))
    checks = list(cast("Collection[Check]", auth)) if several else [cast("Check", auth)]
    if not checks:
        raise ConfigurationError("auth names no check; pass a verifier, or auth=None to accept every sender")
    for check in checks:
        # A class can be called, too, but gives no answer to await.
        if not callable(check) or isinstance(check, type):
            raise ConfigurationError(
                f"auth {check!r} is no check; pass CallbackTokenVerifier(audience=...), "
                "or auth=None to accept every sender"
            )
    return checks[0] if len(checks) == 1 else AnyOf(checks)


def _spelled(secret: str) -> str:
    """A pattern for the secret in a URL, where a sender may percent-encode any character (RFC 3986, section 2.1)."""
    pattern = ""
    for character in secret:
        # Byte by byte: a scope's query is bytes, read as Latin-1. Encoded first, as a percent sign begins its own code.
        octets = "".join(f"(?:%(?i:{byte:02x})|{re.escape(chr(byte))})" for byte in character.encode())
        plus = r"|\+" if character == " " else ""
        pattern += f"(?:{octets}|{re.escape(character)}{plus})"
    return pattern


# Said by a check that the request was, most likely, not meant for.
_NOT_CONCERNED = frozenset({"secret_missing", "subscription_unknown", "token_missing"})

_SHORTEST = 16
_MOST_FIELDS = 100
_HIDDEN = "[secret]"
