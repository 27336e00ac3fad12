"""Connects to an app's websocket server, over the library ``websockets``."""

from __future__ import annotations

import ssl
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Protocol

from ringback.exceptions import needs_extra
from ringback.simulator.posting import trusting

if TYPE_CHECKING:
    from pathlib import Path

    from websockets.asyncio.client import ClientConnection

PATIENCE = 5.0
"""Seconds in which the app's server has to accept a connection."""

FAREWELL = 1.0
"""Seconds in which the app's server has to answer the closing of a connection."""


class Socket(Protocol):
    """A connection to an app. Each method raises :class:`OSError` once the app has closed the connection."""

    async def send(self, text: str, /) -> None: ...

    async def receive(self) -> str | bytes: ...

    async def close(self) -> None: ...


Dial = Callable[[str, Mapping[str, str]], Awaitable[Socket]]
"""Connects to an address with headers; raises :class:`OSError` if no websocket server accepts there.

Of a server that speaks no TLS the error is :class:`ssl.SSLError`; of one whose certificate is not trusted it is none.
"""


def websocket_dial(ca_file: str | Path | None = None) -> Dial:
    """A function that connects. It trusts ``ca_file`` and the machine's authorities."""

    async def dial(uri: str, headers: Mapping[str, str]) -> Socket:
        with needs_extra("the simulator", "simulator"):
            from websockets.asyncio.client import connect
            from websockets.exceptions import WebSocketException

        try:
            # No proxy: the callbacks go straight to the app as well.
            connection = await connect(
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
        return _Connected(connection)

    return dial


class _Connected:
    def __init__(self, connection: ClientConnection) -> None:
        self._connection = connection

    async def send(self, text: str, /) -> None:
        from websockets.exceptions import ConnectionClosed

        try:
            await self._connection.send(text)
        except ConnectionClosed as error:
            raise ConnectionResetError(str(error)) from error

    async def receive(self) -> str | bytes:
        from websockets.exceptions import ConnectionClosed

        try:
            return await self._connection.recv()
        except ConnectionClosed as error:
            raise ConnectionResetError(str(error)) from error

    async def close(self) -> None:
        await self._connection.close()
