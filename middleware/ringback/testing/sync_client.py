"""The client for tests that are no coroutines."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Self, TypeVar

from ringback.exceptions import ConfigurationError
from ringback.testing.client import PATIENCE, CallbackClient

if TYPE_CHECKING:
    from collections.abc import Coroutine
    from types import TracebackType

    from ringback.testing.client import Content
    from ringback.testing.posting import ASGIApp, Headers, Reply
    from ringback.testing.signing import Issuer
    from ringback.web.endpoint import OutcomeRouter

T = TypeVar("T")


class SyncCallbackClient:
    """:class:`CallbackClient` for tests that are no coroutines: the client runs the app in an event loop of its own.

    The loop runs only during the client's methods. ``with client:`` runs the app's start-up and shutdown;
    :meth:`close` ends the loop, also without such a block. In an async test, whose loop runs already, every method but
    :meth:`close` raises :class:`ConfigurationError`.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        path: str = "/api/callbacks",
        issuer: Issuer | None = None,
        headers: Headers | None = None,
        router: OutcomeRouter | None = None,
    ) -> None:
        self._client = CallbackClient(app, path=path, issuer=issuer, headers=headers, router=router)
        # A runner with a loop factory does not set the thread's event loop.
        self._runner = asyncio.Runner(loop_factory=asyncio.new_event_loop)

    def deliver(self, *events: Content, path: str | None = None, headers: Headers | None = None) -> Reply:
        """See :meth:`CallbackClient.deliver`."""
        return self._run(self._client.deliver(*events, path=path, headers=headers))

    def request(self, method: str, path: str | None = None, body: bytes = b"", headers: Headers | None = None) -> Reply:
        """See :meth:`CallbackClient.request`."""
        return self._run(self._client.request(method, path, body, headers))

    def hooks(self, timeout: float = PATIENCE) -> None:
        """See :meth:`CallbackClient.hooks`."""
        self._run(self._client.hooks(timeout))

    def close(self) -> None:
        """End the loop and the tasks that wait in the loop."""
        self._runner.close()

    def __enter__(self) -> Self:
        try:
            self._run(self._client.__aenter__())
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            self._run(self._client.__aexit__(kind, error, traceback))
        finally:
            self.close()

    def _run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        with suppress(RuntimeError):
            asyncio.get_running_loop()
            # Python warns of a coroutine that nobody awaits.
            coroutine.close()
            raise ConfigurationError(
                "ringback_client_sync is for tests that are no coroutines, and this test runs in an event loop; "
                "take ringback_client, the fixture of CallbackClient, and await its methods"
            )
        return self._runner.run(coroutine)
