"""One behaviour, whatever framework and server: the rows of docs/frameworks.md, over sockets."""

from __future__ import annotations

import base64
import itertools
import json
import re
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

Case = tuple[str, str, str]
SECRET = "a-shared-secret-of-this-app"
SETTLE = 0.05
"""Seconds that an app of the suite waits for the second report of a call, see apps/rig.py."""
PAGE = Path(__file__).parents[2] / "docs" / "frameworks.md"
_numbers = itertools.count(1)


@pytest.fixture
def leg() -> str:
    """A call that no other test knows."""
    return f"1f0e5c1a-0000-4000-8000-{next(_numbers):012}"


def event(leg: str, name: str = "CallDisconnected", subcode: int = 560486) -> dict[str, Any]:
    return {
        "id": "1f0e5c1a-0000-4000-8000-0000000000ff",
        "source": f"calling/callConnections/{leg}",
        "type": f"Microsoft.Communication.{name}",
        "data": {
            "version": "2025-06-15",
            "operationContext": "Zoë's order",
            "resultInformation": {"code": 486, "subCode": subcode, "message": "Busy Here"},
            "callConnectionId": leg,
            "serverCallId": "server-1",
            "correlationId": f"call of {leg}",
        },
        "time": "2026-01-02T03:04:05.0629553+00:00",
        "specversion": "1.0",
        "datacontenttype": "application/json",
    }


def delivery(*events: dict[str, Any]) -> bytes:
    """With bytes that nobody would write twice in the same way."""
    return b" \r\n" + json.dumps(events, ensure_ascii=False, indent=3).encode() + b"\t"


def rows() -> dict[Case, dict[str, str]]:
    """The table of the page, by framework, way and server."""
    lines = [line for line in PAGE.read_text("utf-8").splitlines() if line.startswith("|")]
    head, _, *body = [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]
    told: dict[Case, dict[str, str]] = {}
    for cells in body:
        row = dict(zip(head, cells, strict=True))
        for server in row["server"].split(" · "):
            told[row["framework"], row["way"], server] = row
    return told


@pytest.fixture
def row(case: Case) -> dict[str, str]:
    return rows()[case]


def test_the_page_has_a_row_for_every_app_of_the_suite_and_no_other(cases: set[Case]) -> None:
    """What is claimed is tested, and the other way round."""
    assert set(rows()) == cases


def test_the_route_gets_the_same_bytes_with_the_outcomes_and_its_answer_is_unchanged(running: Any, leg: str) -> None:
    """Nobody in between adds, drops or rewrites anything."""
    body = delivery(event(leg))
    status, headers, answer = running.ask(f"/open/{leg}", body, content_type="application/json", x_tag=leg)
    assert (status, answer) == (202, b'{"answered":  "by the route"}')
    assert (headers["content-type"].partition(";")[0], headers["x-route"]) == ("application/x-of-the-route", "yes")
    assert running.entries(route=f"/open/{leg}") == [
        {
            "route": f"/open/{leg}",
            "method": "POST",
            "body": base64.b64encode(body).decode(),
            "tag": leg,
            "type": "application/json",
            "causes": ["busy"],
        }
    ]


def test_the_hook_is_called_once_for_the_pair_and_not_again_for_a_redelivery(running: Any, leg: str) -> None:
    """A call that could not be created is reported twice, and anything may come again."""
    # The second comes while the first waits for it; where the machine was too slow for that, another call's pair.
    for _ in range(1000):
        leg += "a"
        pair = [delivery(event(leg)), delivery(event(leg, "CreateCallFailed"))]
        began = time.monotonic()
        assert [running.ask(f"/open/{leg}", body)[0] for body in pair] == [202, 202]
        if time.monotonic() - began < SETTLE:
            break
    else:
        pytest.fail("no pair was sent in time")
    assert [running.ask(f"/open/{leg}", body)[0] for body in pair] == [202, 202]
    running.wait_for(hook="open", leg=leg)
    assert running.ask(f"/open/{leg}", pair[0])[0] == 202
    # One that is due later: when its hook has been called, ours would have been, too.
    other = f"{leg}-next"
    running.ask(f"/open/{leg}", delivery(event(other)))
    running.wait_for(hook="open", leg=other)
    assert running.entries(hook="open", leg=leg) == [{"hook": "open", "leg": leg, "event": "CreateCallFailed"}]
    assert [each["causes"] for each in running.entries(route=f"/open/{leg}")] == [["busy"]] * 6


def test_a_sync_hook_is_called_too(running: Any, leg: str) -> None:
    """In a thread, of whatever loop there is."""
    running.ask(f"/open/{leg}", delivery(event(leg, subcode=560603)))
    running.wait_for(hook="open", leg=leg)


def test_a_route_that_raises_gives_500_and_the_hook_is_called(running: Any, leg: str) -> None:
    """Why the call ended does not depend on the route."""
    assert running.ask(f"/open/raises-{leg}", delivery(event(leg)))[0] == 500
    running.wait_for(hook="open", leg=leg)


def test_the_hook_does_not_wait_for_the_route(running: Any, leg: str) -> None:
    """The route answers once the hook was called: a slow route, a stream and a task of the app's delay nothing."""
    assert running.ask(f"/open/waits-{leg}", delivery(event(leg)))[0] == 202
    assert running.entries(hook="open", leg=leg) == [{"hook": "open", "leg": leg, "event": "CallDisconnected"}]


def test_the_hook_does_not_wait_for_the_sender(running: Any, leg: str) -> None:
    """Whoever has left before the answer has told all the same why the call ended."""
    with running.sent(f"/open/waits-{leg}", delivery(event(leg))):
        running.wait_for(route=f"/open/waits-{leg}")
    running.wait_for(hook="open", leg=leg)


@pytest.mark.parametrize(
    ("body", "status"),
    [
        pytest.param(b"no json", 400, id="malformed"),
        pytest.param(b'["no event"]', 400, id="no event"),
        pytest.param(b" " * 20_001, 413, id="too large"),
    ],
)
def test_what_is_no_delivery_is_answered_without_the_route(running: Any, leg: str, body: bytes, status: int) -> None:
    """As problem details of RFC 9457, with what was wrong."""
    got, headers, answer = running.ask(f"/open/{leg}", body, content_type="application/json")
    assert (got, headers["content-type"].partition(";")[0]) == (status, "application/problem+json")
    problem = json.loads(answer)
    assert problem["status"] == status
    assert problem["detail"]
    assert running.entries(route=f"/open/{leg}") == []


def test_event_grids_handshake_is_answered(running: Any, leg: str) -> None:
    """The code comes back, and the route is not called."""
    validation = {
        "id": "1f0e5c1a-0000-4000-8000-0000000000fe",
        "topic": "/subscriptions/1",
        "subject": "",
        "eventType": "Microsoft.EventGrid.SubscriptionValidationEvent",
        "eventTime": "2026-01-02T03:04:05Z",
        "dataVersion": "2",
        "metadataVersion": "1",
        "data": {"validationCode": "1f0e5c1a-0000-4000-8000-0000000000fd"},
    }
    body = json.dumps([validation]).encode()
    status, headers, answer = running.ask(f"/open/{leg}", body, aeg_event_type="SubscriptionValidation")
    assert (status, headers["content-type"].partition(";")[0]) == (200, "application/json")
    assert json.loads(answer) == {"validationResponse": "1f0e5c1a-0000-4000-8000-0000000000fd"}
    assert running.entries(route=f"/open/{leg}") == []


def test_cloudevents_handshake_is_answered(running: Any, leg: str) -> None:
    """OPTIONS reaches Ringback even if the route was registered for POST alone."""
    origin = "eventgrid.azure.net"
    status, headers, _ = running.ask(f"/open/{leg}", method="OPTIONS", webhook_request_origin=origin)
    assert (status, headers["webhook-allowed-origin"], headers["webhook-allowed-rate"]) == (200, origin, "*")
    assert running.entries(route=f"/open/{leg}") == []


def test_any_other_options_request_is_the_apps(running: Any, leg: str) -> None:
    """It is answered by the route, or by the framework."""
    status, headers, _ = running.ask(f"/open/{leg}", method="OPTIONS")
    called = bool(running.entries(route=f"/open/{leg}", method="OPTIONS"))
    assert status == (202 if called else 200)
    assert called or "POST" in headers["allow"]


def test_other_methods_are_the_routes(running: Any, leg: str) -> None:
    """A page for people may be at the same address; it has no outcomes."""
    assert running.ask(f"/open/{leg}", method="GET")[0] == 202
    (entry,) = running.entries(route=f"/open/{leg}")
    assert (entry["method"], entry["causes"]) == ("GET", None)


def test_other_paths_are_untouched(running: Any, leg: str) -> None:
    """Whatever is sent there."""
    status, _, answer = running.ask(f"/elsewhere/{leg}", b"no json", content_type="application/json")
    assert (status, answer) == (202, b'{"answered":  "by the route"}')
    (entry,) = running.entries(route=f"/elsewhere/{leg}")
    assert (base64.b64decode(entry["body"]), entry["causes"]) == (b"no json", None)


def test_who_does_not_know_the_secret_is_refused(running: Any, leg: str) -> None:
    """With 401, whatever the body is, and with the secret the same body is let through."""
    for body in (delivery(event(leg)), b"no json"):
        status, headers, _ = running.ask(f"/signed/{leg}?secret=not-the-secret-of-it", body)
        assert (status, headers["www-authenticate"]) == (401, "Bearer")
        assert headers["content-type"].partition(";")[0] == "application/problem+json"
    assert running.entries(route=f"/signed/{leg}") == []
    assert running.ask(f"/signed/{leg}?secret={SECRET}", delivery(event(leg)))[0] == 202
    running.wait_for(hook="signed", leg=leg)


def test_while_the_store_is_down_the_sender_is_asked_to_come_again(running: Any, leg: str) -> None:
    """The route is not called: what it did it would do again."""
    status, headers, _ = running.ask(f"/down/{leg}", delivery(event(leg)))
    assert (status, headers["retry-after"]) == (503, "5")
    assert running.entries(route=f"/down/{leg}") == []


def test_what_waits_is_drained_at_shutdown_where_somebody_tells(
    case: Case, row: dict[str, str], serve: Callable[..., Iterator[Any]], leg: str
) -> None:
    """The row says whether. Where nobody tells, what waits in memory is called if Python exits as ever, else lost."""
    with serve(case) as running:  # type: ignore[attr-defined]
        assert running.ask(f"/late/{leg}", delivery(event(leg)))[0] == 202
        assert running.ask(f"/late/{leg}", delivery(event(f"{leg}-2", subcode=560603)))[0] == 202
        assert running.entries(hook="late") == []
    called = {each["leg"] for each in running.entries(hook="late")}
    both = {leg, f"{leg}-2"}
    assert called == both if row["drained"].startswith("yes") else called in (both, set())
