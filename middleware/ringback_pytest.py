"""Pytest fixtures for tests of an app behind Ringback.

Every run of pytest loads this module, so it imports pytest alone. The fixtures are no part of ``ringback.testing``,
which would import all of Ringback into every run.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ringback.testing import CallbackClient, CallEvents, SyncCallbackClient


@pytest.fixture
def call_events() -> CallEvents:
    """Builders for the events of one new call, with ids that no store has seen.

    ``call_events.seeded(42)`` gives builders with the same ids and times in every run, for a test that compares them. A
    store that outlives the run knows such a call already.
    """
    from ringback.testing import CallEvents

    return CallEvents()


@pytest.fixture
def ringback_client() -> type[CallbackClient]:
    """``ringback_client(app, path=...)`` returns a client of an ASGI app, for async tests."""
    from ringback.testing import CallbackClient

    return CallbackClient


@pytest.fixture
def ringback_client_sync() -> Iterator[Callable[..., SyncCallbackClient]]:
    """``ringback_client_sync(app, path=...)`` returns a client for sync tests, closed when the test ends."""
    from contextlib import ExitStack

    from ringback.testing import SyncCallbackClient

    with ExitStack() as opened:

        def client(*args: object, **settings: object) -> SyncCallbackClient:
            made = SyncCallbackClient(*args, **settings)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
            opened.callback(made.close)
            return made

        yield client
