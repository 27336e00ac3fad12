"""How connections log in: with the password of the URL, or with one that a function of the app gives each of them."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from threading import Thread
from typing import TYPE_CHECKING

from psycopg.conninfo import conninfo_to_dict, make_conninfo

from ringback.exceptions import ConfigurationError, StoreUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable


class Login:
    """Connection strings for one connection each. Raises :class:`ConfigurationError` for a password in two places."""

    def __init__(self, conninfo: str, password: Callable[[], str] | None) -> None:
        if password is not None and not callable(password):
            raise ConfigurationError(
                f"store: password is a {type(password).__name__}; pass a function that returns the password of a new "
                "connection, or write a password that stays the same into the URL"
            )
        if password is not None and "password" in conninfo_to_dict(conninfo):
            raise ConfigurationError("store: password is given, and the URL has a password, too; leave one of them out")
        self._conninfo = conninfo
        # Whatever an app has written.
        self._password: Callable[[], object] | None = password

    def conninfo(self) -> str:
        """For the next connection. Waits for the app's function; raises :class:`StoreUnavailable` if that fails."""
        if self._password is None:
            return self._conninfo
        try:
            password = self._password()
        except Exception as error:
            # The text of an error about a token may hold a part of the token.
            raise StoreUnavailable(f"the store's password function raised {type(error).__name__}") from error
        if not isinstance(password, str) or not password:
            raise StoreUnavailable("the store's password function returned no text; it has to return the password")
        return make_conninfo(self._conninfo, password=password)

    async def asked(self) -> str:
        """As :meth:`conninfo`, for an event loop: a thread waits for the function, which may ask a server for a token.

        A thread of its own, because a function that hangs may keep neither the app's executor nor the app's end.
        """
        if self._password is None:
            return self._conninfo
        loop = asyncio.get_running_loop()
        told: asyncio.Future[str] = loop.create_future()

        def run() -> None:
            try:
                found = self.conninfo()
            except StoreUnavailable as error:
                tell(told.set_exception, error)
            else:
                tell(told.set_result, found)

        def tell(set_: Callable[..., None], value: object) -> None:
            # The loop may have ended meanwhile.
            with suppress(RuntimeError):
                loop.call_soon_threadsafe(lambda: None if told.done() else set_(value))

        Thread(target=run, name="ringback-password", daemon=True).start()
        return await told
