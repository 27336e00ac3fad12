"""Why deliveries are answered so, by result and reason: the likely cause, and what to do. A table, no I/O."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ringback.work.deliveries import Answer

_CLOCK = (
    "the clock of this machine is wrong, or what comes is old",
    "Synchronise the clock (NTP); compare date -u here with that of another machine.",
)
_CLOUD = (
    "the verifier has the keys or the issuer of another cloud or tenant",
    "Give the verifier the issuer and the keys of your cloud (issuer=, openid_configuration=).",
)
_FORGED = (
    "somebody who is not Microsoft tries tokens, or something on the way changes the header",
    "See in the app's log who sends (callback.rejected), and whether a proxy writes Authorization.",
)
_HEADER = (
    "a gateway takes the Authorization header off or writes its own, or the sender is not Microsoft",
    "Take the callback path out of the gateway's own sign-in, and have it pass Authorization on.",
)
_SECRET = (
    "the callback URL was built without the shared secret, or with another one",
    "Build the URL with the secret that SharedSecret has; while it changes, give SharedSecret both.",
)
_BODY = (
    "a proxy changes the body, the URL is in use for something else, or a stranger posts to it",
    "See the reason in the app's log (delivery.rejected), and what stands between Microsoft and the app.",
)
_SLOW = (
    "the network or a gateway breaks off, or holds bodies back",
    "See the time-outs of the gateway and of the server; body_timeout of the door is the app's own.",
)
_LIMIT = (
    "the limits of the door are lower than what comes, or a stranger sends large requests",
    "No event is larger than 1 MB: leave max_body, max_events and max_headers at their defaults.",
)
_TRACE = ("the app's own check says so", "See the reason in the app's log (callback.rejected).")

REMEDIES: Mapping[Answer, tuple[str, str]] = {
    ("refused", "audience_wrong"): (
        "the tokens are for another resource than the one that the verifier names",
        "Give CallbackTokenVerifier(audience=...) the immutable resource id of the resource that places the calls: "
        "az communication show --query immutableResourceId.",
    ),
    ("refused", "claim_missing"): _FORGED,
    ("refused", "issuer_wrong"): _CLOUD,
    ("refused", "key_unknown"): _CLOUD,
    ("refused", "application_unknown"): (
        "the token is of another application than Event Grid's",
        "Give EventGridTokenVerifier(applications=...) the application that the subscription delivers as.",
    ),
    ("refused", "subscription_unknown"): (
        "the event subscription has a name that the verifier does not know",
        "Add the name of the event subscription to subscriptions=.",
    ),
    ("refused", "secret_missing"): _SECRET,
    ("refused", "secret_wrong"): _SECRET,
    ("refused", "scheme_unknown"): _HEADER,
    ("refused", "token_missing"): _HEADER,
    ("refused", "token_repeated"): _HEADER,
    ("refused", "time_invalid"): _CLOCK,
    ("refused", "token_expired"): _CLOCK,
    ("refused", "token_not_yet_valid"): _CLOCK,
    ("refused", "other"): _TRACE,
    ("unavailable", "store"): (
        "the store cannot be used or is full, so nothing is acknowledged that is not kept",
        "See store.unavailable in the app's log: the database, the disk, and whether workers run.",
    ),
    ("unavailable", "keys_unavailable"): (
        "the app cannot fetch the keys of Microsoft's tokens",
        "Allow the app https to acscallautomation.communication.azure.com and login.microsoftonline.com.",
    ),
    ("unavailable", "check_failed"): (
        "a check of the app's own raises",
        "See the exception in the app's log (check.failed).",
    ),
    ("unavailable", "other"): _TRACE,
    ("too_large", "body"): _LIMIT,
    ("too_large", "events"): _LIMIT,
    ("too_large", "headers"): _LIMIT,
    ("interrupted", "sender_left"): _SLOW,
    ("interrupted", "too_slow"): _SLOW,
}

_BY_RESULT = {"refused": _FORGED, "malformed": _BODY, "too_large": _LIMIT, "unavailable": _TRACE, "interrupted": _SLOW}
"""For every reason that :data:`REMEDIES` does not have."""


def remedy_for(answer: Answer) -> tuple[str, str]:
    """The likely cause of these answers, and what to do. For any answer but an accepted delivery and a handshake."""
    return REMEDIES.get(answer) or _BY_RESULT[answer[0]]
