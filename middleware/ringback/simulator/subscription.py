"""Event Grid's handshake with an endpoint, in both schemas: the request, and what is wrong with the answer. Pure.

https://learn.microsoft.com/azure/event-grid/end-point-validation-event-grid-events-schema
https://learn.microsoft.com/azure/event-grid/end-point-validation-cloud-events-schema
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ringback.exceptions import ConfigurationError, RingbackError
from ringback.simulator.posting import shown
from ringback.testing.deliveries import delivery
from ringback.testing.grid import grid_headers, subscription_validation, webhook_validation

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ringback.simulator.posting import Answered
    from ringback.testing.grid import Schema

SCHEMAS: tuple[Schema, ...] = ("eventgrid", "cloudevents")
ORIGIN = "eventgrid.azure.net"


class HandshakeFailed(RingbackError):
    """An endpoint did not pass Event Grid's handshake. ``reachable`` says whether anybody answered at all."""

    def __init__(self, uri: str, reason: str, *, reachable: bool = True) -> None:
        super().__init__(f"Event Grid's handshake with {shown(uri)} failed: {reason}")
        self.reachable = reachable


@dataclass(frozen=True, slots=True)
class Handshake:
    """The request that asks an endpoint whether it wants the events. ``code`` is empty for CloudEvents."""

    name: str
    method: str
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(default=b"", repr=False)
    code: str = ""

    def fault(self, answer: Answered) -> str | None:
        """What is wrong with the answer and what mends it; ``None`` if Event Grid would begin to deliver."""
        if answer.status in _REMEDIES:
            return f"{answer.status}; {_REMEDIES[answer.status].format(method=self.method)}"
        if answer.status >= 500:
            return f"{answer.status}; the app failed, and its log says why"
        return self._unvalidated(answer) if self.code else self._not_granted(answer)

    def _unvalidated(self, answer: Answered) -> str | None:
        if answer.status != 200:
            return f"{answer.status}; Event Grid takes 200 alone as the answer to its validation"
        try:
            content: Any = json.loads(answer.body)
            valid = content["validationResponse"] == self.code
        except (ValueError, RecursionError, KeyError, TypeError):
            valid = False
        fault = 'the answer has no code; answer {"validationResponse": ...} with the event\'s data.validationCode'
        return None if valid else fault

    def _not_granted(self, answer: Answered) -> str | None:
        granted = answer.headers.get("webhook-allowed-origin", "")
        if granted.strip().lower() in ("*", ORIGIN):
            return None
        has = "another WebHook-Allowed-Origin" if granted else "no WebHook-Allowed-Origin"
        return f"the answer to OPTIONS has {has}; answer with the header WebHook-Allowed-Origin: {ORIGIN}"


def handshake(schema: str, code: str) -> Handshake:
    """The request before the first delivery. ``code`` is the one that the app is to send back.

    Raises :class:`ConfigurationError` for an unknown schema.
    """
    if schema == "cloudevents":
        return Handshake("the handshake of CloudEvents", "OPTIONS", webhook_validation(ORIGIN))
    if schema != "eventgrid":
        raise ConfigurationError(f"schema {schema!r} is unknown; use one of {', '.join(SCHEMAS)}")
    event = subscription_validation(code)
    return Handshake("SubscriptionValidation", "POST", grid_headers(event), delivery([event]), code)


_TOKEN = "let the validation through before the app asks for a token"
_MOVED = "the address leads elsewhere, and Event Grid follows no redirect; name the last address"
_REMEDIES = {
    **dict.fromkeys((301, 302, 303, 307, 308), _MOVED),
    **dict.fromkeys((401, 403), _TOKEN),
    404: "the app has no route there; check the path of the address",
    405: "the app's route takes no {method}; let it take {method}, too",
}
