"""The identities in a verifier's settings: ids of resources, applications and tenants, checked at start-up. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import cast

from ringback.exceptions import ConfigurationError
from ringback.privacy.private import GUID
from ringback.privacy.redaction import redact, redact_repr


def several(name: str, value: object) -> list[str]:
    """The texts of a setting that takes one text or several. Raises :class:`ConfigurationError` for no text."""
    # An environment variable that is not set gives `None`.
    given = cast("Iterable[object]", value) if isinstance(value, Iterable) else ()
    values = [value] if isinstance(value, str) else list(given)
    texts = [text for text in values if isinstance(text, str) and text]
    if not texts or len(texts) < len(values):
        raise ConfigurationError(f"{name} {redact(f'{value!r}')} names nothing; give a text, or several")
    return texts


def resource_id(audience: str) -> str:
    """An immutable resource id in lower case. Raises :class:`ConfigurationError` for another property of a resource."""
    if GUID.fullmatch(audience):
        # A GUID is the same in capitals (RFC 9562, section 4), but the verifier compares letter by letter.
        return audience.lower()
    lower, shown = audience.lower(), redact_repr(audience)
    if _is_secret(audience):
        given = _CONNECTION_STRING
    elif lower.lstrip("/").startswith("subscriptions/"):
        given = f"{shown} is the ARM path of a resource"
    elif "://" in lower or lower.endswith(".communication.azure.com"):
        given = f"{shown} is the endpoint of a resource"
    else:
        given = f"{shown} is no GUID"
    raise ConfigurationError(
        f"audience: {given}; give the immutable resource id, a GUID: az communication show --name <resource> "
        "--resource-group <group> --query immutableResourceId --output tsv"
    )


def application_or_uri(audience: str) -> str:
    """An audience of a subscription: an application's id in lower case, or its URI. Raises otherwise."""
    if GUID.fullmatch(audience):
        return audience.lower()
    if _URI.fullmatch(audience):
        return audience
    shown = _CONNECTION_STRING if _is_secret(audience) else redact_repr(audience)
    raise ConfigurationError(
        f"audience: {shown} is neither an application id, a GUID, nor its URI, such as 'api://<application id>'; "
        "give what the event subscription has"
    )


def _is_secret(given: str) -> bool:
    # A connection string holds a key, so no error may repeat it.
    return "key=" in given.lower()


def application_id(application: str) -> str:
    if GUID.fullmatch(application):
        return application.lower()
    raise ConfigurationError(
        f"applications: {redact_repr(application)} is no application id; "
        "give that of Event Grid's service principal, a GUID"
    )


def subscription_name(name: str) -> str:
    if "/" not in name:
        return name
    raise ConfigurationError(
        f"subscriptions: {name!r} is no name of an event subscription; "
        f"give its last part, {name.rstrip('/').rpartition('/')[2]!r}"
    )


def tenant_id(tenant: object, issuer_given: bool) -> str:
    """A tenant's id in lower case; also a domain, which serves for the key server's URL where the app gives the issuer.

    Raises :class:`ConfigurationError` for what is neither, and for a domain where ``issuer_given`` is false.
    """
    if isinstance(tenant, str) and GUID.fullmatch(tenant):
        return tenant.lower()
    if not isinstance(tenant, str) or not _DOMAIN.fullmatch(tenant):
        raise ConfigurationError(
            f"tenant {redact_repr(tenant)} is no tenant id; give the directory (tenant) id, a GUID"
        )
    if not issuer_given:
        raise ConfigurationError(
            f"tenant {tenant!r} is a domain, and the issuer of tokens has the tenant's id; "
            "give the directory (tenant) id, a GUID"
        )
    return tenant


_CONNECTION_STRING = "a connection string"
# A scheme and more behind the colon, without white space (RFC 3986, section 3): api://..., https://..., urn:...
_URI = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:[^\s]+")
_DOMAIN = re.compile(r"(?:[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?\.)+[A-Za-z]{2,}")
