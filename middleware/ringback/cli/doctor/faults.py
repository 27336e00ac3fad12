"""The faults that a deployment can have, with their remedies, and a finding of ``ringback doctor``."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

FAULTS: Mapping[str, tuple[str, str]] = {
    "not_https": (
        "Microsoft calls https alone, and on http a token can be read and replayed.",
        "Serve the app over https: switch TLS on in your ingress, gateway or web app, and give that URL.",
    ),
    "name_unknown": (
        "No caller can find the app.",
        "Check the spelling of the host and create its DNS record (A, AAAA or CNAME).",
    ),
    "unreachable": (
        "No caller gets as far as the app.",
        "Start the app, open the port in the firewall, and check that the URL has the right port.",
    ),
    "no_answer": (
        "Event Grid gives up after 30 s, and the event is late or lost.",
        "Look for a firewall that drops packets, or a route that works before it answers; leave work to hooks.",
    ),
    "certificate_invalid": (
        "Microsoft does not call a server whose certificate it cannot verify.",
        "Install a certificate of a public authority for this host, with its whole chain, and renew it in time.",
    ),
    "certificate_expiring": (
        "After that no callback comes any more.",
        "Renew the certificate now, and see why that did not happen by itself.",
    ),
    "tls_failed": (
        "Without TLS 1.2 or newer no callback comes.",
        "Check that this port speaks https, not http, and that TLS 1.2 or 1.3 is switched on.",
    ),
    "connection_closed": (
        "A sender cannot tell whether the event came, and may not send it again.",
        "Look in the logs of the app and of what stands in front of it for a crash or an idle time-out.",
    ),
    "address_private": (
        "Microsoft calls from the internet, where such an address leads nowhere.",
        "Give the host a public address, or put a public gateway or a dev tunnel in front.",
    ),
    "redirect": (
        "A redirect is not followed, or loses the body on the way: the event never comes.",
        "Use the final URL as the callback URL, with its scheme and its slash at the end.",
    ),
    "login_page": (
        "Microsoft cannot log in: something in front asks for a user, and the events end there.",
        "Exclude the callback path from the login (App Service: Authentication > excluded paths) and pass auth= "
        "to Ringback.",
    ),
    "forbidden": (
        "Ringback never answers 403, so something else does; Event Grid does not try again after a 403.",
        "Allow POST to the callback path in the firewall, gateway or access restrictions; check that the app is not "
        "stopped.",
    ),
    "no_upstream": (
        "The proxy is there, but the app behind it is not.",
        "Start the app, and check the proxy's upstream address and its health probe.",
    ),
    "no_route": (
        "Events sent to this URL are lost.",
        "Give the URL that create_call and answer_call get, and check the route, the mount and the proxy's prefix.",
    ),
    "no_post": (
        "Every event is a POST.",
        "Register the route for POST, and allow it in what stands in front of the app.",
    ),
    "anyone_can_post": (
        "Anyone who knows the URL can report calls that never were. Expected only if its path holds a shared secret.",
        "Pass auth=CallbackTokenVerifier(audience=<immutable resource id>) to CallOutcomeMiddleware; "
        "see https://ringback.github.io/ringback/security.html.",
    ),
    "forgery_accepted": (
        "Whoever sends any token at all can report calls that never were.",
        "Verify the signature: pass auth=CallbackTokenVerifier(audience=<immutable resource id>).",
    ),
    "spelling_accepted": (
        "The gate before the route is narrower than the route: whoever spells the URL so can report calls that never "
        "were.",
        "Find what verifies the path in one spelling alone (a proxy's rule, a middleware before Ringback) and let "
        "Ringback verify: auth= of CallOutcomeMiddleware on this path, or the decorator on the route itself.",
    ),
    "keys_unreachable": (
        "Without Microsoft's keys no token can be checked: real events get 503 as well.",
        "Allow the app https to acscallautomation.communication.azure.com; see keys.unreachable in its log.",
    ),
    "refused_otherwise": (
        "Ringback refuses a sender with 401; another answer comes from something else, which may refuse Microsoft too.",
        "See who answers (the app's log has no callback.rejected then), and let POST through to Ringback.",
    ),
    "signed_refused": (
        "The app does not trust this key, or the token names another resource; Microsoft's tokens may fare the same.",
        "See the reason in callback.rejected; give the app's verifier this key's set and --audience its audience.",
    ),
    "handshake_ignored": (
        "Event Grid delivers nothing to a URL that has not answered its validation with the code.",
        "Put CallOutcomeMiddleware, or the callback decorator, on this very path, and let POST through.",
    ),
    "consent_ignored": (
        "Event Grid delivers no CloudEvents to a URL that has not allowed it.",
        "Let OPTIONS through to Ringback: put CORS and method filters behind it or exclude the callback path.",
    ),
    "nonsense_accepted": (
        "What is accepted unread is lost without a word: Ringback does not stand before this path.",
        "Put CallOutcomeMiddleware, or the callback decorator, on this very path.",
    ),
    "no_limit": (
        "Large bodies tie the app up; no event is larger than 1 MB.",
        "Leave max_body at its default of 1 MiB, or limit the body in the proxy.",
    ),
    "large_cut_off": (
        "The body is refused, but the sender never reads the 413 and may send it again.",
        "Have the proxy answer 413 and read on, or leave the limit to Ringback.",
    ),
    "server_error": (
        "A sender takes it for a passing fault and comes again; and it is an exception that strangers can cause.",
        "Find the traceback in the app's log, and answer what is not understood with 4xx, not with an exception.",
    ),
    "unavailable": (
        "The app asks senders to come again, and Call Automation may not.",
        "See the app's log (store.unavailable), and check that its store can be reached and has room.",
    ),
    "odd_answer": (
        "Senders count only 2xx as accepted, and 4xx and 5xx as refused.",
        "See what stands in front of the app, or what the route returns.",
    ),
    "too_slow": (
        "Event Grid gives up after 30 s and sends the event again.",
        "Answer first and work afterwards, in hooks; keep one instance warm (Always On, minimum replicas 1).",
    ),
    "clock_skewed": (
        "A token is valid for five minutes: with a wrong clock good ones are refused.",
        "Synchronise the clocks (NTP), that of this machine too; a proxy's Date may stand for the app's.",
    ),
    "clock_unknown": (
        "A wrong clock refuses good tokens, and here nothing tells.",
        "Compare `date -u` on the server with that of another machine.",
    ),
}
"""Every fault by its name: why the fault matters, and what to do."""


class Severity(StrEnum):
    OK = "ok"
    WARNING = "warning"
    PROBLEM = "problem"


@dataclass(frozen=True, slots=True)
class Finding:
    """One fact about the deployment. ``fault`` is a stable name of :data:`FAULTS`, empty for a fact that is fine."""

    check: str
    severity: Severity
    fault: str
    what: str
    why: str = ""
    remedy: str = ""


def finding(check: str, what: str, fault: str = "", severity: Severity = Severity.PROBLEM) -> Finding:
    """A finding for a fact that is fine, or for a fault with its texts from :data:`FAULTS`."""
    return Finding(check, severity, fault, what, *FAULTS[fault]) if fault else Finding(check, Severity.OK, "", what)
