"""Connects to an app's websocket server with the library ``websockets``."""

from __future__ import annotations

import ssl
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING

from ringback.exceptions import needs_extra
from ringback.simulator.posting import trusting

if TYPE_CHECKING:
    from pathlib import Path

    from websockets.asyncio.client import ClientConnection

PATIENCE = 5.0
"""Seconds in which the app's server has to accept a connection."""

FAREWELL = 1.0
"""Seconds in which the app's server has to answer the closing of a connection."""


Dial = Callable[[str, Mapping[str, str]], Awaitable["ClientConnection"]]
"""Connects to an address with headers; raises :class:`OSError` if no websocket server accepts there.

Of a server that speaks no TLS the error is :class:`ssl.SSLError`; of one whose certificate is not trusted it is none.
"""


def websocket_dial(ca_file: str | Path | None = None) -> Dial:
    """A function that connects. It trusts ``ca_file`` and the machine's authorities."""

    async def dial(uri: str, headers: Mapping[str, str]) -> ClientConnection:
        with needs_extra("the simulator", "simulator"):
            from websockets.asyncio.client import connect
            from websockets.exceptions import WebSocketException

        try:
            # No proxy: the callbacks go straight to the app as well.
            return await connect(
                uri,
                additional_headers=headers,
                ssl=trusting(ca_file) if uri.startswith("wss:") else None,
                proxy=None,
                open_timeout=PATIENCE,
                close_timeout=FAREWELL,
            )
        except ssl.SSLCertVerificationError as error:
            raise OSError(f"the certificate is not trusted ({error.verify_message})") from error
        except ssl.SSLError as error:
            raise ssl.SSLError(ssl.SSL_ERROR_SSL, f"TLS failed ({error.reason}); serve TLS there") from error
        except (WebSocketException, ValueError) as error:
            raise OSError(str(error) or type(error).__name__) from error

    return dial
