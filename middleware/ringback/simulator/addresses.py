"""Which addresses of an app the simulator calls back."""

from __future__ import annotations

from urllib.parse import urlsplit

HERE = ("127.0.0.1", "::1", "localhost")


def address_fault(uri: object, scheme: str, allow_plain: bool | None) -> str | None:
    """Why the simulator does not call this address, or ``None``. ``scheme`` is http or ws, without TLS.

    ``allow_plain`` allows or forbids addresses without TLS; ``None`` allows those of this machine. The service calls
    none of them: "Call Automation doesn't support HTTP endpoints".
    """
    try:
        parts = urlsplit(uri if isinstance(uri, str) else "")
        host = None if parts.port == 0 else parts.hostname
    except ValueError:
        host, parts = None, urlsplit("")
    if not host or parts.scheme not in (scheme, f"{scheme}s"):
        return "is missing, or no absolute URL"
    plain = parts.scheme == scheme
    return f"is not {scheme}s" if plain and not (allow_plain or (allow_plain is None and host in HERE)) else None


def without_tls(uri: str, allow_plain: bool | None) -> str | None:
    """The address without TLS of a wss address of this machine; ``None`` of others, and where that is forbidden."""
    plain = uri.replace("wss:", "ws:", 1)
    here = plain != uri and allow_plain is not False and address_fault(plain, "ws", None) is None
    return plain if here else None
