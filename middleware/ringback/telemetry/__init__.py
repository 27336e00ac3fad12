"""How do outcomes reach OpenTelemetry? As spans and metrics through its API; docs/telemetry.md lists them.

No other package of Ringback imports this package or OpenTelemetry; an app that wants telemetry does. A span shows
a sender's text only redacted. A metric shows none: its attributes are words of closed sets, the names of the app's
own functions and small numbers.
"""

from __future__ import annotations

from ringback.exceptions import needs_extra

with needs_extra("telemetry", "otel"):
    from ringback.telemetry._telemetry import NAME, Telemetry

__all__ = ["NAME", "Telemetry"]
