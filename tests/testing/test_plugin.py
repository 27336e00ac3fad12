"""The pytest plugin: what it costs runs that have no use for it, and its fixtures."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import entry_points

import pytest

from ringback.testing import Call, CallEvents, call_connected

PROBE = """
import sys, pytest
before = set(sys.modules)
import ringback_pytest
print(*sorted({name.partition(".")[0] for name in set(sys.modules) - before}))
"""


def test_the_entry_point_imports_nothing_but_itself() -> None:
    """Every run of pytest in an environment with Ringback loads it, whatever it tests."""
    (point,) = entry_points(group="pytest11", name="ringback")
    assert point.value == "ringback_pytest"
    found = subprocess.run([sys.executable, "-c", PROBE], capture_output=True, text=True, check=True)
    assert found.stdout.split() == ["ringback_pytest"]


@pytest.mark.parametrize("run", [1, 2])
def test_call_events_are_of_a_call_that_no_store_has_seen(call_events: CallEvents, run: int) -> None:
    """A store on a disk remembers the run before, and would take the same ids for a redelivery."""
    assert call_events.call.call_connection_id not in SEEN
    SEEN.append(call_events.call.call_connection_id)


SEEN: list[str] = []


def test_call_events_are_the_same_in_every_run_on_demand(call_events: CallEvents) -> None:
    """For tests that compare ids or times."""
    seeded, again = call_events.seeded(42, operation_context="order-42"), Call.seeded(42, operation_context="order-42")
    assert seeded.call == again
    assert seeded.call_connected() == call_connected(call=again)


def test_sync_clients_are_closed(ringback_client_sync) -> None:
    """Each has a loop of its own, which a warning would complain of."""

    async def app(scope, receive, send) -> None:
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    first, second = ringback_client_sync(app, path="/a"), ringback_client_sync(app)
    assert (first.request("GET").status, second.request("GET").status) == (204, 204)


async def test_async_clients_are_the_class_itself(ringback_client) -> None:
    """The fixture saves an import."""
    from ringback.testing import CallbackClient

    assert isinstance(ringback_client(print), CallbackClient)
