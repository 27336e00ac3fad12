"""Bearer tokens: the callback token of Call Automation, and Event Grid's with Microsoft Entra ID.

RS256 alone, and a key from the issuer's own key set: a token says which key, never what key.
PyJWT and httpx are imported when a verifier is made, not with this module.
"""

from __future__ import annotations

import re
from importlib import import_module
from typing import TYPE_CHECKING, Any

from ringback import logs
from ringback.auth import Head, Refusal
from ringback.exceptions import ConfigurationError
from ringback.keys import COOLDOWN, LIFETIME, KeySet, KeysUnavailable, http_fetch, is_trustworthy

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

CALL_AUTOMATION = "https://acscallautomation.communication.azure.com"
"""The issuer of callback tokens in the public cloud."""

EVENT_GRID_APPS = ("4962773b-9cdb-44cf-a8bf-237846a00ab7", "54316b56-3481-47f9-8f30-0300f5542a7b")
"""Event Grid's application ids in the public and in the US Government cloud."""

LEEWAY = 120.0
"""Seconds by which the clocks of Microsoft and of this machine may differ."""

LONGEST = 16 * 1024
"""Characters of a token; Microsoft's have one to two thousand."""


class CallbackTokenVerifier:
    """Checks the token that Microsoft sends with each Call Automation callback.

    ``audience`` is the immutable resource id of your Communication Services resource, a GUID, or
    several while you move. The public cloud is the default; elsewhere give ``issuer`` and one of
    ``openid_configuration`` and ``jwks_uri``. ``leeway`` is in seconds, ``timeout`` the seconds
    that a fetch of keys may take. Raises :class:`ConfigurationError` for settings that cannot work.
    """

    def __init__(
        self,
        *,
        audience: str | Collection[str],
        issuer: str | Collection[str] = CALL_AUTOMATION,
        openid_configuration: str | None = None,
        jwks_uri: str | None = None,
        leeway: float = LEEWAY,
        lifetime: float = LIFETIME,
        cooldown: float = COOLDOWN,
        timeout: float = 5.0,
    ) -> None:
        if openid_configuration is not None and jwks_uri is not None:
            raise ConfigurationError("openid_configuration and jwks_uri name the same keys; give one of them")
        if openid_configuration is None and jwks_uri is None:
            openid_configuration = f"{CALL_AUTOMATION}/calling/.well-known/acsopenidconfiguration"
        self._rules = _Rules(audience, issuer, leeway)
        url = _web_address(jwks_uri or openid_configuration or "")
        fetch = http_fetch(url, configuration=jwks_uri is None, timeout=timeout)
        self._keys = KeySet(url, fetch, logs.KeyLog(), lifetime=lifetime, cooldown=cooldown)

    async def __call__(self, head: Head) -> Refusal | None:
        claims = await _claims(head, self._rules, self._keys)
        return claims if isinstance(claims, Refusal) else None


class EventGridTokenVerifier:
    """Checks the Microsoft Entra ID token of an Event Grid subscription with secured delivery.

    ``tenant`` is the tenant's id, ``audience`` the application id or its URI set on the
    subscription. Tokens of both versions are accepted; their ``appid`` or ``azp`` must be Event
    Grid's. With ``subscriptions`` only deliveries of these subscription names are let through,
    validation handshakes among them. Raises :class:`ConfigurationError`.
    """

    def __init__(
        self,
        *,
        tenant: str,
        audience: str | Collection[str],
        subscriptions: Collection[str] | None = None,
        applications: Collection[str] = EVENT_GRID_APPS,
        issuer: str | Collection[str] | None = None,
        jwks_uri: str | None = None,
        leeway: float = LEEWAY,
        lifetime: float = LIFETIME,
        cooldown: float = COOLDOWN,
        timeout: float = 5.0,
    ) -> None:
        if not tenant or "/" in tenant:
            raise ConfigurationError(f"tenant {tenant!r} is no tenant id; give the directory (tenant) id, a GUID")
        issuers = (f"https://sts.windows.net/{tenant}/", f"https://login.microsoftonline.com/{tenant}/v2.0")
        self._rules = _Rules(audience, issuers if issuer is None else issuer, leeway)
        self._applications = frozenset(_several("applications", applications))
        names = None if subscriptions is None else _several("subscriptions", subscriptions)
        self._subscriptions = None if names is None else frozenset(name.lower() for name in names)
        published = f"https://login.microsoftonline.com/{tenant}/discovery/v2.0/keys"
        url = _web_address(published if jwks_uri is None else jwks_uri)
        fetch = http_fetch(url, configuration=False, timeout=timeout)
        self._keys = KeySet(url, fetch, logs.KeyLog(), lifetime=lifetime, cooldown=cooldown)

    async def __call__(self, head: Head) -> Refusal | None:
        if not self._knows_subscription(head):
            return Refusal("subscription_unknown")
        claims = await _claims(head, self._rules, self._keys)
        if isinstance(claims, Refusal):
            return claims
        application = claims.get("azp") or claims.get("appid")
        known = isinstance(application, str) and application in self._applications
        return None if known else Refusal("application_unknown")

    def allows_handshake(self, head: Head) -> bool:
        """Event Grid may validate a subscription before it sends tokens for it; only known ones, if they are listed."""
        return self._knows_subscription(head)

    def _knows_subscription(self, head: Head) -> bool:
        if self._subscriptions is None:
            return True
        named = head.values("aeg-subscription-name")
        # Event Grid sends the name in capitals, whatever the portal shows.
        return len(named) == 1 and named[0].lower() in self._subscriptions


class _Rules:
    """What every token must claim."""

    def __init__(self, audience: str | Collection[str], issuer: str | Collection[str], leeway: float) -> None:
        # At start-up: an import of a tenth of a second must not hold up the loop with the first callback.
        for name in ("jwt", "cryptography", "httpx"):
            try:
                import_module(name)
            except ImportError as error:
                raise ConfigurationError(f"verifying tokens needs {name}; pip install 'ringback[verify]'") from error
        self.audiences = _several("audience", audience)
        self.issuers = _several("issuer", issuer)
        if not 0 <= leeway <= 600:
            raise ConfigurationError(f"leeway {leeway!r} is out of range; give 0 to 600 seconds")
        self.leeway = leeway


async def _claims(head: Head, rules: _Rules, keys: KeySet) -> Mapping[str, Any] | Refusal:
    """The claims of the one bearer token of a request, signature and time checked."""
    given = head.values("authorization")
    if len(given) != 1:
        return Refusal("token_repeated" if given else "token_missing")
    scheme, _, token = given[0].partition(" ")
    if scheme.lower() != "bearer":
        return Refusal("scheme_unknown")
    if len(token) > LONGEST:
        return Refusal("token_too_long")
    kid = _key_id(token)
    if isinstance(kid, Refusal):
        return kid
    try:
        key = await keys.find(kid)
    except KeysUnavailable as error:
        return Refusal("keys_unavailable", 503, error.retry_after)
    return Refusal("key_unknown") if key is None else _verified(token, key, rules)


def _key_id(token: str) -> str | Refusal:
    """The id of the key a token says it is signed with. Nothing else of its header is believed."""
    import jwt

    # The library takes padding, and with it a second spelling of the same signature (RFC 7515, section 2).
    if not _COMPACT.fullmatch(token):
        return Refusal("token_malformed")
    try:
        header = jwt.get_unverified_header(token)
    except (jwt.PyJWTError, ValueError, RecursionError):
        return Refusal("token_malformed")
    if header.get("alg") != "RS256":
        return Refusal("algorithm_refused")
    if "crit" in header or "b64" in header:
        return Refusal("extension_refused")
    kid = header.get("kid")
    return kid if isinstance(kid, str) and 0 < len(kid) <= 256 else Refusal("key_id_missing")


def _verified(token: str, key: Any, rules: _Rules) -> Mapping[str, Any] | Refusal:
    import jwt

    try:
        claims = jwt.decode(
            token,
            key,
            algorithms=["RS256"],
            audience=rules.audiences,
            issuer=rules.issuers,
            leeway=rules.leeway,
            options={"require": ["exp", "iss", "aud"]},
        )
    except (jwt.PyJWTError, ValueError, TypeError, OverflowError, RecursionError) as error:
        return Refusal(_REASONS.get(type(error).__name__, "token_invalid"))
    # The library takes digits in a text, and times that no calendar has.
    timely = all(_is_time(claims[name]) for name in ("exp", "nbf", "iat") if name in claims)
    return claims if timely else Refusal("time_invalid")


def _is_time(value: Any) -> bool:
    return isinstance(value, int | float) and 0 <= value < _YEAR_10000


_COMPACT = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+")
_YEAR_10000 = 253_402_300_800

# What the library found, as the log says it.
_REASONS = {
    "ExpiredSignatureError": "token_expired",
    "ImmatureSignatureError": "token_not_yet_valid",
    "InvalidAudienceError": "audience_wrong",
    "InvalidIssuerError": "issuer_wrong",
    "InvalidSignatureError": "signature_wrong",
    "MissingRequiredClaimError": "claim_missing",
}


def _several(name: str, value: str | Collection[str]) -> list[str]:
    # `None` is what an environment variable gives that is not set.
    values = [value] if isinstance(value, str) else list(value or ())
    if not values or not all(isinstance(each, str) and each for each in values):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise ConfigurationError(f"{name} {value!r} names nothing; give a text, or several")
    return values


def _web_address(url: str) -> str:
    if not is_trustworthy(url):
        raise ConfigurationError(f"key server {url!r} is not https; keys fetched over http can be anybody's")
    return url
