"""How does an app test its hooks? With deliveries, tokens, outcomes and a client.

No test framework is needed; pytest has Ringback's fixtures without a further step. Signing needs ``ringback[testing]``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ringback.testing import events, grid
from ringback.testing.bound import CallEvents
from ringback.testing.builder import Builder, CloudEvent, call_event
from ringback.testing.calls import Call
from ringback.testing.capture import capture_outcomes
from ringback.testing.client import CallbackClient, HooksLate, RouterUnknown
from ringback.testing.deliveries import batch, delivery, redelivered
from ringback.testing.events import *  # noqa: F403 - events.__all__ has the builders
from ringback.testing.failures import HooksFailed
from ringback.testing.grid import *  # noqa: F403
from ringback.testing.posting import AppNotStarted, NoAnswer, Reply
from ringback.testing.signing import AUDIENCE, Issuer, default_issuer, sign
from ringback.testing.sync_client import SyncCallbackClient
from ringback.testing.wire import identifier

if TYPE_CHECKING:
    from ringback.simulator import Simulator
else:
    # A type checker that sees this function takes every name for one of the package, a misspelt one too.

    def __getattr__(name: str) -> Any:
        # Imported at its first use, because the simulator is a server and imports the builders of this package.
        if name == "Simulator":
            from ringback.simulator import Simulator

            return Simulator
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


__all__ = [
    "AUDIENCE",
    "AppNotStarted",
    "Builder",
    "Call",
    "CallEvents",
    "CallbackClient",
    "CloudEvent",
    "HooksFailed",
    "HooksLate",
    "Issuer",
    "NoAnswer",
    "Reply",
    "RouterUnknown",
    "Simulator",
    "SyncCallbackClient",
    "batch",
    "call_event",
    "capture_outcomes",
    "default_issuer",
    "delivery",
    "identifier",
    "redelivered",
    "sign",
]
__all__ += events.__all__
__all__ += grid.__all__
