"""Verification of bearer tokens: Call Automation's callback token, and Event Grid's token of Microsoft Entra ID.

The verifiers accept RS256 alone, and only keys of the issuer's key set: a token names a key by its id and never
brings a key. A verifier imports PyJWT and httpx when the app makes the verifier, not with this module.
"""

from __future__ import annotations

import re
from importlib import import_module
from typing import TYPE_CHECKING, Any, cast

from ringback import logs
from ringback.exceptions import ConfigurationError
from ringback.senders.auth import Head, Refusal
from ringback.senders.identities import (
    application_id,
    application_or_uri,
    resource_id,
    several,
    subscription_name,
    tenant_id,
)
from ringback.senders.keys import COOLDOWN, LIFETIME, KeySet, KeysUnavailable, http_fetch, is_trustworthy
from ringback.settings import refuse_negative

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

CALL_AUTOMATION = "https://acscallautomation.communication.azure.com"
"""The issuer of callback tokens in the public cloud."""

EVENT_GRID_APPS = ("4962773b-9cdb-44cf-a8bf-237846a00ab7", "54316b56-3481-47f9-8f30-0300f5542a7b")
"""Event Grid's application ids in the public and in the US Government cloud."""

LEEWAY = 120.0
"""Seconds by which the clocks of Microsoft and of this machine may differ."""

LONGEST = 16 * 1024
"""Characters of the longest token; Microsoft's tokens have one to two thousand."""


class CallbackTokenVerifier:
    """Checks the token that Microsoft sends with each Call Automation callback.

    ``audience`` is the immutable resource id of your Communication Services resource, a GUID, or several ids while you
    move. The public cloud is the default; elsewhere give ``issuer`` and one of ``openid_configuration`` and
    ``jwks_uri``. ``leeway``, ``lifetime``, ``cooldown`` and ``timeout``, the limit of one fetch of keys, are in
    seconds. Raises :class:`ConfigurationError` for settings that cannot work. Source:
    https://learn.microsoft.com/azure/communication-services/how-tos/call-automation/secure-webhook-endpoint
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
        audiences = [resource_id(single) for single in several("audience", audience)]
        self._rules = _Rules(audiences, issuer, leeway)
        published = openid_configuration if jwks_uri is None else jwks_uri
        self._keys = _keys(published, jwks_uri is None, lifetime, cooldown, timeout)

    async def __call__(self, head: Head) -> Refusal | None:
        claims = await _claims(head, self._rules, self._keys)
        return claims if isinstance(claims, Refusal) else None


class EventGridTokenVerifier:
    """Checks the Microsoft Entra ID token of an Event Grid subscription with secured delivery.

    ``tenant`` is the tenant's id, ``audience`` the application id or application URI that the subscription names. The
    verifier accepts tokens of versions 1 and 2, whose ``appid`` or ``azp`` must be in ``applications``. With
    ``subscriptions`` it accepts only deliveries and validation handshakes of these subscription names. Raises
    :class:`ConfigurationError` for settings that cannot work. Source:
    https://learn.microsoft.com/azure/event-grid/secure-webhook-delivery
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
        tenant = tenant_id(tenant, issuer is not None)
        issuers = (f"https://sts.windows.net/{tenant}/", f"https://login.microsoftonline.com/{tenant}/v2.0")
        audiences = [application_or_uri(single) for single in several("audience", audience)]
        self._rules = _Rules(audiences, issuers if issuer is None else issuer, leeway)
        self._applications = frozenset(application_id(single) for single in several("applications", applications))
        self._subscriptions: frozenset[str] | None = None
        if subscriptions is not None:
            names = several("subscriptions", subscriptions)
            self._subscriptions = frozenset(subscription_name(name).lower() for name in names)
        published = f"https://login.microsoftonline.com/{tenant}/discovery/v2.0/keys"
        self._keys = _keys(published if jwks_uri is None else jwks_uri, False, lifetime, cooldown, timeout)

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
        """Event Grid validates a subscription before it sends tokens. With ``subscriptions`` only their names may."""
        return self._knows_subscription(head)

    def _knows_subscription(self, head: Head) -> bool:
        if self._subscriptions is None:
            return True
        named = head.values("aeg-subscription-name")
        # Event Grid sends the name in capitals, whatever the portal shows.
        return len(named) == 1 and named[0].lower() in self._subscriptions


class _Rules:
    """The claims that every token must have."""

    def __init__(self, audiences: list[str], issuer: str | Collection[str], leeway: float) -> None:
        # At start-up: imports take a tenth of a second, for which the first callback would block the loop.
        for name in ("jwt", "cryptography", "httpx"):
            try:
                import_module(name)
            except ImportError as error:
                raise ConfigurationError(f"verifying tokens needs {name}; pip install 'ringback[verify]'") from error
        self.audiences = audiences
        self.issuers = several("issuer", issuer)
        if isinstance(leeway, bool) or not isinstance(cast("object", leeway), int | float) or not 0 <= leeway <= 600:
            raise ConfigurationError(f"leeway {leeway!r} is out of range; give 0 to 600 seconds")
        self.leeway = leeway


async def _claims(head: Head, rules: _Rules, keys: KeySet) -> Mapping[str, Any] | Refusal:
    """The claims of a request's bearer token, after the checks of signature and times; or why there are none."""
    given = head.values("authorization")
    if len(given) != 1:
        return Refusal("token_repeated" if given else "token_missing")
    # White space around a header's value is not part of the value (RFC 9110, section 5.5). Spaces, and no tab, follow
    # the scheme (section 11.4). `_key_id` refuses anything but the token behind them.
    scheme, _, token = given[0].strip(" \t").partition(" ")
    token = token.lstrip(" ")
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
    """The id of the key that the token names. Nobody has verified the header, so no other member of it counts."""
    import jwt

    # PyJWT accepts padding, and so a second spelling of the same signature; RFC 7515, section 2, has none.
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
    # PyJWT accepts digits in a text, and times beyond the calendar.
    for time in (claims[name] for name in ("exp", "nbf", "iat") if name in claims):
        if not isinstance(time, int | float) or not 0 <= time < _YEAR_10000:
            return Refusal("time_invalid")
    return claims


_COMPACT = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+")
_YEAR_10000 = 253_402_300_800

# The reasons in the log by the names of PyJWT's errors.
_REASONS = {
    "ExpiredSignatureError": "token_expired",
    "ImmatureSignatureError": "token_not_yet_valid",
    "InvalidAudienceError": "audience_wrong",
    "InvalidIssuerError": "issuer_wrong",
    "InvalidSignatureError": "signature_wrong",
    "MissingRequiredClaimError": "claim_missing",
}


def _keys(url: object, configuration: bool, lifetime: float, cooldown: float, timeout: float) -> KeySet:
    for name, seconds in (("lifetime", lifetime), ("cooldown", cooldown), ("timeout", timeout)):
        refuse_negative(name, seconds)
    if not timeout:
        raise ConfigurationError(f"timeout {timeout!r} lets no key be fetched; give seconds")
    if not isinstance(url, str) or not is_trustworthy(url):
        raise ConfigurationError(f"key server {url!r} is not https; keys fetched over http can be anybody's")
    fetch = http_fetch(url, configuration=configuration, timeout=timeout)
    return KeySet(url, fetch, logs.LogObserver(), lifetime=lifetime, cooldown=cooldown)
