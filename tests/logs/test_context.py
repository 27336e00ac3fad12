"""The ids of a call in the lines that are written while its request, or a hook, runs."""

from __future__ import annotations

import logging

import pytest
from structlog.contextvars import bind_contextvars, get_contextvars

from logged import BRIEF, BUSY, CALL, LEG, Kept, attach, busy_event, tell
from records import lines_in
from ringback import Event, logs

pytestmark = pytest.mark.usefixtures("nothing_configured")

BOUND = {"call_connection_id": LEG, "server_call_id": "c2VydmVyLWNhbGw", "correlation_id": CALL}


@pytest.mark.parametrize(
    ("events", "bound"),
    [
        pytest.param([], {}, id="none"),
        pytest.param([busy_event()], BOUND, id="one"),
        pytest.param([busy_event(), busy_event(operation_context=None)], BOUND, id="same-ids"),
        pytest.param([busy_event(), busy_event(server_call_id=None)], BOUND, id="one-lacks-an-id"),
        pytest.param(
            [busy_event(), busy_event(call_connection_id="1f0e5c1a-0000-4000-8000-000000000002")],
            {"server_call_id": "c2VydmVyLWNhbGw", "correlation_id": CALL},
            id="two-legs",
        ),
        pytest.param(
            [busy_event(), busy_event(call_connection_id="c-2", server_call_id="s-2", correlation_id="k-2")],
            {},
            id="two-calls",
        ),
        pytest.param([Event(type="Microsoft.Communication.IncomingCall")], {}, id="no-ids"),
        pytest.param(
            [busy_event(call_connection_id="+14255550100", server_call_id=None, correlation_id=None)],
            {"call_connection_id": "[phone]"},
            id="redacted",
        ),
    ],
)
def test_the_ids_that_events_agree_on_are_bound(events: list[Event], bound: dict[str, str]) -> None:
    """The app's own lines carry them too; an id that differs within a delivery would mislead."""
    with logs.bound_ids(events):
        assert get_contextvars() == bound
    assert get_contextvars() == {}


def test_ids_are_unbound_whatever_happens() -> None:
    """An exception of the route must not leave its ids to the next request, nor lose those bound before."""
    bind_contextvars(call_connection_id="before", tenant="contoso")
    with pytest.raises(ValueError, match="no line"), logs.bound_ids([busy_event()]):
        raise ValueError("no line")
    assert get_contextvars() == {"call_connection_id": "before", "tenant": "contoso"}


def test_a_hooks_own_lines_carry_the_ids_of_its_outcome() -> None:
    """Also where the request held several calls."""
    with logs.bound_ids([busy_event(), busy_event(call_connection_id="c-2")]):
        with logs.bound_ids([BUSY.event]):
            assert get_contextvars() == BOUND
        assert get_contextvars() == {"server_call_id": "c2VydmVyLWNhbGw", "correlation_id": CALL}


def test_the_context_filter_gives_every_record_the_ids() -> None:
    """Plain logging knows no context of its own; ``-`` stands where there is none."""
    kept = Kept("%(call_connection_id)s %(server_call_id)s %(correlation_id)s %(message)s")
    kept.addFilter(logs.ContextFilter())
    attach(kept)
    app = logging.getLogger(f"{logs.LOGGER}.app")
    app.info("outside")
    with logs.bound_ids([busy_event(server_call_id=None)]):
        app.info("inside")
    assert kept.lines == ["- - - outside", f"{LEG} - {CALL} inside"]


def test_an_outcomes_own_ids_are_not_those_of_the_context() -> None:
    """A filter adds the context's to records that have none."""
    kept = Kept("%(call_connection_id)s %(server_call_id)s")
    kept.addFilter(logs.ContextFilter())
    attach(kept)
    tell(BUSY)
    assert kept.lines == [f"{LEG} -"]


def test_lines_about_hooks_have_the_ids_in_their_records() -> None:
    """The id of an operation's outcome does not name its call. The text says nothing twice."""
    attach(kept := Kept())
    with logs.bound_ids([busy_event(server_call_id=None)]):
        logs.LogObserver().lease_lost(BUSY)
    logs.LogObserver().lease_lost(BUSY)
    line = {"event": "hook.lease_lost", **BRIEF}
    assert lines_in(kept.records) == [line | {"call_connection_id": LEG, "correlation_id": CALL}, line]
    assert kept.lines[0] == kept.lines[1]
