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
def call_events(request: pytest.FixtureRequest) -> CallEvents:
    """Builders for the events of one call. The ids and times are the same in every run of this test."""
    from ringback.testing import Call, CallEvents

    return CallEvents(Call.seeded(request.node.nodeid))


@pytest.fixture
def ringback_client() -> Callable[..., CallbackClient]:
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
