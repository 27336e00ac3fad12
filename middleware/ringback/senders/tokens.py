"""Verification of bearer tokens: Call Automation's callback token, and Event Grid's token of Microsoft Entra ID.

The verifiers accept RS256 alone, and only keys of the issuer's key set: a token names a key by its id and never
brings a key. A verifier imports cryptography and httpx when the app makes the verifier, not with this module.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, cast

from ringback import logs
from ringback.exceptions import ConfigurationError
from ringback.privacy.redaction import redact_repr
from ringback.senders.auth import Head, Refusal
from ringback.senders.bearer import BearerCheck
from ringback.senders.identities import (
    application_id,
    application_or_uri,
    resource_id,
    several,
    subscription_name,
    tenant_id,
)
from ringback.senders.jwt import Rules
from ringback.senders.keys import COOLDOWN, LIFETIME, KeySet, http_fetch, is_trustworthy
from ringback.settings import refuse_negative

if TYPE_CHECKING:
    from collections.abc import Collection

CALL_AUTOMATION = "https://acscallautomation.communication.azure.com"
"""The issuer of callback tokens in the public cloud."""

EVENT_GRID_APPS = ("4962773b-9cdb-44cf-a8bf-237846a00ab7", "54316b56-3481-47f9-8f30-0300f5542a7b")
"""Event Grid's application ids in the public and in the US Government cloud."""

LEEWAY = 120.0
"""Seconds by which the clocks of Microsoft and of this machine may differ."""


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
        self._check = BearerCheck(_rules(audiences, issuer, leeway))
        published = openid_configuration if jwks_uri is None else jwks_uri
        self._keys = _keys(published, jwks_uri is None, lifetime, cooldown, timeout)

    async def __call__(self, head: Head) -> Refusal | None:
        return await self._check.refusal(head, self._keys)


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
        known = frozenset(application_id(single) for single in several("applications", applications))
        self._check = BearerCheck(_rules(audiences, issuers if issuer is None else issuer, leeway, known))
        self._subscriptions: frozenset[str] | None = None
        if subscriptions is not None:
            names = several("subscriptions", subscriptions)
            self._subscriptions = frozenset(subscription_name(name).lower() for name in names)
        published = f"https://login.microsoftonline.com/{tenant}/discovery/v2.0/keys"
        self._keys = _keys(published if jwks_uri is None else jwks_uri, False, lifetime, cooldown, timeout)

    async def __call__(self, head: Head) -> Refusal | None:
        if not self._knows_subscription(head):
            return Refusal("subscription_unknown")
        return await self._check.refusal(head, self._keys)

    def allows_handshake(self, head: Head) -> bool:
        """Event Grid validates a subscription before it sends tokens. With ``subscriptions`` only their names may."""
        return self._knows_subscription(head)

    def _knows_subscription(self, head: Head) -> bool:
        if self._subscriptions is None:
            return True
        named = head.values("aeg-subscription-name")
        # Event Grid sends the name in capitals, whatever the portal shows.
        return len(named) == 1 and named[0].lower() in self._subscriptions


def _rules(
    audiences: list[str], issuer: str | Collection[str], leeway: float, applications: frozenset[str] | None = None
) -> Rules:
    # At start-up: imports take a tenth of a second, for which the first callback would block the loop.
    for name in ("cryptography", "httpx"):
        try:
            import_module(name)
        except ImportError as error:
            raise ConfigurationError(f"verifying tokens needs {name}; pip install 'ringback[verify]'") from error
    import_module("ringback.senders.rs256")
    issuers = several("issuer", issuer)
    if isinstance(leeway, bool) or not isinstance(cast("object", leeway), int | float) or not 0 <= leeway <= 600:
        raise ConfigurationError(f"leeway {leeway!r} is out of range; give 0 to 600 seconds")
    return Rules(frozenset(audiences), frozenset(issuers), leeway, applications)


def _keys(url: object, configuration: bool, lifetime: float, cooldown: float, timeout: float) -> KeySet:
    for name, seconds in (("lifetime", lifetime), ("cooldown", cooldown), ("timeout", timeout)):
        refuse_negative(name, seconds)
    if not timeout:
        raise ConfigurationError(f"timeout {timeout!r} lets no key be fetched; give seconds")
    if not isinstance(url, str) or not is_trustworthy(url):
        raise ConfigurationError(f"key server {redact_repr(url)} is not https; keys fetched over http can be anybody's")
    fetch = http_fetch(url, configuration=configuration, timeout=timeout)
    return KeySet(url, fetch, logs.LogObserver(), lifetime=lifetime, cooldown=cooldown)
