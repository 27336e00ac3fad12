"""Whether an app speaks ASGI, asked before the first request."""

from __future__ import annotations

import inspect

from ringback.exceptions import ConfigurationError
from ringback.hooks.signatures import handler_name


def refuse_no_asgi(app: object) -> None:
    """Raise :class:`ConfigurationError` for what cannot be called as ``(scope, receive, send)``.

    A WSGI app is called as ``(environ, start_response)``: behind an ASGI door every request would be answered 500.
    """
    try:
        inspect.signature(app).bind(None, None, None)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    except TypeError:
        raise ConfigurationError(
            f"app {handler_name(app)} is no ASGI app: it cannot be called as (scope, receive, send); a WSGI app, such "
            "as Flask's, goes through a bridge: a2wsgi.WSGIMiddleware(app); or decorate its route: ringback.adapters"
        ) from None
    except ValueError:
        # Some builtins have no signature. They are accepted.
        return
