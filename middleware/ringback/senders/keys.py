"""The signing keys of a token issuer: one fetch for all waiting requests, a cache, renewal in the background.

The functions import httpx and cryptography when they need them, not with this module.
"""

from __future__ import annotations

import asyncio
import json
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Protocol, cast
from urllib.parse import urlsplit

from ringback.exceptions import RingbackError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    import httpx

    Fetch = Callable[[], Awaitable[Any]]
    """Gives a JSON Web Key Set (RFC 7517) as decoded JSON, or raises any exception."""

LIFETIME = 12 * 3600.0
"""Seconds after which the key set fetches its keys anew in the background; the old keys serve meanwhile."""

COOLDOWN = 60.0
"""Seconds after a fetch for an unknown key id in which further unknown ids cause no fetch."""

PAUSE = 5.0
"""Seconds between two attempts while the key server does not answer."""

GRACE = 600.0
"""Seconds for which a key serves after the issuer withdrew it: requests that it signed are still under way."""

LARGEST = 256 * 1024
"""Bytes of the largest key set or OpenID configuration; Microsoft's have about ten thousand."""

MAX_KEYS = 100
"""The most keys of one issuer that the key set keeps. Microsoft publishes fewer than ten."""

SHORTEST = 2048
"""Bits of an RSA key below which RS256 must not be used (RFC 7518, section 3.3)."""


class KeysUnavailable(RingbackError):
    """The key set has no key, and the key server does not answer. ``retry_after`` is in seconds."""

    def __init__(self, message: str, retry_after: int) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class KeyObserver(Protocol):
    """The key set calls this with the result of each fetch; :class:`ringback.logs.LogObserver` implements it."""

    def keys_fetched(self, url: str, count: int) -> None: ...

    def keys_unreachable(self, url: str, error: Exception, cached: int) -> None: ...


class KeySet:
    """The public keys of one issuer by key id.

    An unknown key id causes one fetch for all waiting requests; for ``cooldown`` seconds after the fetch no other
    unknown id causes one. A fetch in the background renews keys older than ``lifetime`` seconds. While the key server
    does not answer, the cached keys serve. A key that the issuer withdrew serves for :data:`GRACE` seconds. ``clock``
    gives seconds.
    """

    def __init__(
        self,
        url: str,
        fetch: Fetch,
        observer: KeyObserver,
        *,
        lifetime: float = LIFETIME,
        cooldown: float = COOLDOWN,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._url = url
        self._fetch = fetch
        self._observer = observer
        self._lifetime = lifetime
        self._cooldown = cooldown
        self._clock = clock
        self._keys: dict[str, Any] = {}
        self._former: dict[str, tuple[Any, float]] = {}
        self._fetched_at: float | None = None
        self._failed_at: float | None = None
        self._asked_at: float | None = None
        self._running: asyncio.Task[None] | None = None

    async def find(self, kid: str) -> Any | None:
        """The public key with this id; ``None`` if the issuer has no such key.

        Raises :class:`KeysUnavailable` if the key server does not answer, so that nobody knows.
        """
        key = self.at_hand(kid)
        if key is not None:
            return key
        if self._running is not None or self._may_ask():
            await asyncio.shield(self._start())
            key = self._known(kid)
        if key is None and self._failed_at is not None:
            raise KeysUnavailable(f"the keys of {self._url} cannot be fetched", round(PAUSE))
        return key

    def at_hand(self, kid: str) -> Any | None:
        """The public key with this id, if no fetch is needed for it; aged keys are renewed in the background.

        Each renewal makes new keys: that a key is the same object says that it has been published all the while.
        """
        key = self._known(kid)
        if key is not None:
            aged = self._fetched_at is None or self._clock() - self._fetched_at >= self._lifetime
            if aged and not self._pausing():
                self._start()
        return key

    def _known(self, kid: str) -> Any | None:
        key = self._keys.get(kid)
        if key is None and kid in self._former:
            former, until = self._former[kid]
            key = former if self._clock() < until else None
        return key

    def _pausing(self) -> bool:
        return self._failed_at is not None and self._clock() - self._failed_at < PAUSE

    def _may_ask(self) -> bool:
        """Whether an unknown key id may cause a fetch now. A yes starts the cooldown."""
        now = self._clock()
        if self._failed_at is not None:
            return not self._pausing()
        if self._asked_at is not None and now - self._asked_at < self._cooldown:
            return False
        # The first fetch starts no cooldown: a rotation soon after it may still cause the next fetch.
        self._asked_at = None if self._fetched_at is None else now
        return True

    def _start(self) -> asyncio.Task[None]:
        """The fetch that runs in this event loop, or a new fetch."""
        loop = asyncio.get_running_loop()
        if self._running is None or self._running.get_loop() is not loop:
            self._running = loop.create_task(self._renew())
        return self._running

    async def _renew(self) -> None:
        try:
            keys = _public_keys(await self._fetch())
        except Exception as error:
            self._failed_at = self._clock()
            self._observer.keys_unreachable(self._url, error, len(self._keys))
        else:
            now = self._clock()
            still = {kid: former for kid, former in self._former.items() if now < former[1]}
            self._former = still | {kid: (key, now + GRACE) for kid, key in self._keys.items() if kid not in keys}
            self._keys = keys
            self._fetched_at = now
            self._failed_at = None
            self._observer.keys_fetched(self._url, len(keys))
        finally:
            # Another event loop may have started a fetch of its own meanwhile.
            if self._running is asyncio.current_task():
                self._running = None


def _public_keys(key_set: Any) -> dict[str, Any]:
    """The RSA signing keys of a JSON Web Key Set (RFC 7517) by key id, without its other members."""
    from ringback.senders.rs256 import public_key

    keys: dict[str, Any] = {}
    for entry in key_set["keys"]:
        if len(keys) < MAX_KEYS and _is_signing_key(entry):
            # Malformed keys, however many and however malformed, must not cost the good keys behind them.
            with suppress(Exception):
                key = public_key(entry)
                if key.key_size >= SHORTEST:
                    keys[entry["kid"]] = key
    if not keys:
        raise ValueError("the key set holds no RSA signing key")
    return keys


def _is_signing_key(given: Any) -> bool:
    if not isinstance(given, dict):
        return False
    entry = cast("dict[str, Any]", given)
    return (
        entry.get("kty") == "RSA"
        and entry.get("use", "sig") == "sig"
        and entry.get("alg", "RS256") == "RS256"
        and isinstance(entry.get("kid"), str)
        # With a published private key anybody can sign.
        and "d" not in entry
    )


def is_trustworthy(url: str) -> bool:
    """Whether nobody between can forge the answer of this address: https, or this machine."""
    try:
        parts = urlsplit(url)
        host = parts.hostname
    except ValueError:
        return False
    return bool(host) and (parts.scheme == "https" or (parts.scheme == "http" and host in _THIS_MACHINE))


_THIS_MACHINE = ("127.0.0.1", "localhost", "::1")


def http_fetch(url: str, *, configuration: bool, timeout: float) -> Fetch:
    """A function that fetches a key set over HTTP.

    ``url`` is the address of the key set, or with ``configuration`` that of the OpenID configuration that names it
    (https://openid.net/specs/openid-connect-discovery-1_0.html#ProviderMetadata). ``timeout`` is in seconds, for all
    requests together: a server that sends a byte now and then must not hold callers up.
    """

    async def fetch() -> Any:
        try:
            # In a thread: reading the machine's certificates would block the loop for some hundredths of a second.
            async with asyncio.timeout(timeout), await asyncio.to_thread(_client) as client:
                where = (await _document(client, url))["jwks_uri"] if configuration else url
                if not is_trustworthy(where):
                    raise ValueError(f"the key set {where!r} is not https; keys fetched over http can be anybody's")
                return await _document(client, where)
        except TimeoutError:
            raise TimeoutError(f"no complete answer within {timeout:g} seconds") from None

    return fetch


def _client() -> httpx.AsyncClient:
    import httpx

    return httpx.AsyncClient(timeout=None, follow_redirects=False)


async def _document(client: httpx.AsyncClient, url: str) -> Any:
    """The decoded JSON document at an address, of at most ``LARGEST`` bytes."""
    content = b""
    async with client.stream("GET", url) as answer:
        answer.raise_for_status()
        async for chunk in answer.aiter_bytes():
            content += chunk
            if len(content) > LARGEST:
                raise ValueError(f"the document has more than {LARGEST} bytes")
    # msgspec would refuse the document for a number out of range, or for half a character, in one of its keys.
    return json.loads(content)
