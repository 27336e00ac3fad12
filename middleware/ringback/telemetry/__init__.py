"""Spans and metrics through OpenTelemetry's API: all of Ringback that knows its name. docs/telemetry.md lists them.

Nothing of Ringback imports this package; an app that wants telemetry does. What strangers and people wrote
reaches a span only redacted, and reaches a metric not at all: those have words of closed sets, the names of
your own functions and small numbers.
"""

from __future__ import annotations

from ringback.exceptions import ConfigurationError

try:
    from ringback.telemetry._telemetry import NAME, Telemetry
except ImportError as error:
    raise ConfigurationError(f"telemetry needs the extra otel ({error}); pip install 'ringback[otel]'") from error

__all__ = ["NAME", "Telemetry"]
