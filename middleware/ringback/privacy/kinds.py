"""The kinds of private text, and what the redaction writes in its place."""

from __future__ import annotations

KINDS = ("phone", "id", "sip", "token", "context", "secret", "email")
"""The kinds of private text. The redaction writes the kind in brackets."""
KEPT = frozenset({"guid", "time", "fraction", "address"})
"""The kinds of text that the search steps over."""
HASHED = "hashed"
"""The kind of a hash that an earlier redaction wrote."""

STAND_IN = rf"\[(?:{'|'.join(KINDS)})(?::[0-9a-f]{{10}})?\]"
