"""What an app asks of the calls in its store: one record, and lists."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accepting import received_of
from private_texts import PRIVATE
from ringback import Cause, ConfigurationError, OutcomeRouter
from ringback.core.events import parse_delivery
from ringback.hooks.call_records import CallPage, CallRecords
from ringback.stores import MemoryStore
from ringback.testing import Call, call_connected, call_disconnected, delivery

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ringback.work.history import CallFilter, Found

LEG = "1f0e5c1a-0000-4000-8000-000000000001"
CALLED = Call(call_connection_id=LEG)


class Asked(MemoryStore):
    """A store that says what its history is asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[tuple[CallFilter, int, int, bool]] = []

    @property
    def history(self) -> Any:
        store, real = self, super().history

        class History:
            async def calls(self, chosen: CallFilter, limit: int, offset: int, *, oldest_first: bool) -> Found:
                store.asked.append((chosen, limit, offset, oldest_first))
                return await real.calls(chosen, limit, offset, oldest_first=oldest_first)

        return History()


async def delivered(router: OutcomeRouter, *events: dict[str, Any]) -> None:
    """What a door does with a delivery."""
    received = received_of(delivery(*events))
    await router.engine.accept(received.outcomes)
    await router.engine.dispatcher.notebook.note(received.delivery.events, received.outcomes)


async def test_a_router_tells_of_its_calls() -> None:
    """From the first question on, for an app without hooks and without a store."""
    router = OutcomeRouter(settle=0)
    assert await router.calls.record(LEG) is None
    assert await router.calls.list() == CallPage((), 0)
    await delivered(router, call_connected(call=CALLED), call_disconnected(486, 560486, call=CALLED))
    record = await router.calls.record(f" {LEG} ")
    assert record is not None
    page = await router.calls.list(cause="busy")
    assert page == CallPage(record.legs, 1)
    assert page.to_dict() == {"total": 1, "offset": 0, "calls": [record.legs[0].to_dict()]}
    assert json.loads(json.dumps(record.to_dict()))["legs"][0]["ending"]["cause"] == "busy"
    await router.drain()


@pytest.mark.parametrize(
    "typed", [LEG.upper(), f"{{{LEG.upper()}}}", f" {{ {LEG} }} ", f"call:{LEG.upper()}", f"call:{{{LEG}}}"]
)
async def test_a_guid_is_found_as_other_tools_write_it(typed: str) -> None:
    """In capitals, in braces, with blanks around: by its record and in a list."""
    router = OutcomeRouter(settle=0)
    await router.calls.list()
    await delivered(router, call_disconnected(486, 560486, call=CALLED))
    record = await router.calls.record(typed)
    assert record is not None
    assert record.legs[0].call_connection_id == LEG
    assert await router.calls.list(search=typed) == CallPage(record.legs, 1)
    await router.drain()


async def test_an_id_is_looked_for_as_it_was_typed_first() -> None:
    """An app may have a GUID in capitals of its own, and an id that is no GUID is never changed."""
    mine, server = "AAAAAAAA-0000-4000-8000-000000000001", "aHR0cHM6Ly9jb252LmV4YW1wbGU"
    router = OutcomeRouter(settle=0)
    await router.calls.list()
    other = Call(call_connection_id=mine.lower())
    called = Call(call_connection_id=LEG, server_call_id=server, operation_context=mine)
    await delivered(router, call_disconnected(486, 560486, call=called), call_disconnected(486, 560486, call=other))

    async def found(text: str) -> list[str | None]:
        record = await router.calls.record(text)
        legs = [] if record is None else [record.legs[0].call_connection_id]
        assert [leg.call_connection_id for leg in (await router.calls.list(search=text)).calls] == legs
        return legs

    assert await found(mine) == [LEG]
    assert await found(f"{{{mine}}}") == [LEG]
    assert await found(mine.lower()) == [mine.lower()]
    assert await found(server) == [LEG]
    assert await found(server.lower()) == []
    await router.drain()


async def test_what_waits_to_be_written_is_written_before_a_question(tmp_path: Any) -> None:
    """So that a process knows what it has heard itself."""
    router = OutcomeRouter(store=f"sqlite:///{tmp_path}/ringback.db", worker=False)
    await delivered(router, call_connected(call=CALLED))
    record = await router.calls.record(LEG)
    assert record is not None
    assert record.legs[0].answered is True
    await router.drain()


async def test_what_is_asked_for_is_what_the_store_is_asked_for() -> None:
    """Words may be texts, times datetimes, an event may have any of its names, and a contact has the store's names."""
    store = Asked()
    records = CallRecords(store)
    at = datetime(2026, 1, 15, tzinfo=UTC)
    await records.list(
        cause="busy",
        code=486,
        subcode=560486,
        event="Microsoft.Communication.AnswerCallFailed",
        disposition="retryable",
        category="Success",
        owner="callee",
        since=at,
        until=at.timestamp() + 1,
        contact="bob",
        search="id\0",
        limit=7,
        offset=14,
        oldest_first=True,
    )
    ((chosen, *place),) = store.asked
    assert place == [7, 14, True]
    assert dict(chosen.columns()) == {
        "cause": ("busy",),
        "code": (486,),
        "subcode": (560486,),
        "event": ("AnswerFailed",),
        "category": ("Success",),
        "acts": ("callee",),
        "retry": ["now", "later"],
        "contact": ["bob"],
    }
    assert (chosen.since, chosen.until, chosen.name) == (at.timestamp(), at.timestamp() + 1, "id\ufffd")
    assert chosen.cause is Cause.BUSY


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"cause": "bussy"}, "cause 'bussy' is none; there are answered_elsewhere, bad_request, "),
        ({"owner": "me"}, "owner 'me' is none; there are admin, app, azure, callee, carrier, nobody"),
        ({"code": 2**31}, "code 2147483648 is none that an event can carry; there are none beyond 2147483647"),
        ({"limit": 0}, "limit 0 is no page; give a number of calls from 1 to 1000"),
        ({"limit": 1001}, "limit 1001 is no page; give a number of calls from 1 to 1000"),
        ({"offset": -1}, "offset -1 is no place in a list; give 0 or more"),
        ({"since": datetime(2026, 1, 1)}, "since datetime.datetime(2026, 1, 1, 0, 0) has no time zone; "),
    ],
)
async def test_what_no_call_can_have_is_refused(given: dict[str, Any], message: str) -> None:
    """With the value, the rule and the remedy."""
    with pytest.raises(ConfigurationError, match=re.escape(message)):
        await CallRecords(MemoryStore()).list(**given)


@given(st.lists(st.sampled_from([text for text, _ in PRIVATE]), min_size=5, max_size=5))
async def test_no_private_text_is_exported(texts: Sequence[str]) -> None:
    """Wherever a sender hides one, neither a record nor a page of a list shows it as JSON."""
    leg, call, context, message, event_id = texts
    wire = {
        "id": event_id,
        "type": "Microsoft.Communication.CallDisconnected",
        "data": {
            "callConnectionId": leg,
            "correlationId": call,
            "operationContext": context,
            "resultInformation": {"code": 486, "subCode": 560486, "message": message},
        },
    }
    router = OutcomeRouter(settle=3600)
    assert (await router.calls.list()).total == 0
    await delivered(router, wire)
    record, page = await router.calls.record(leg), await router.calls.list()
    assert record is not None
    exported = json.dumps([record.to_dict(), page.to_dict(), repr(record), repr(page)], ensure_ascii=False)
    assert not [text for text in texts if text in exported]
    assert parse_delivery(json.dumps(wire)).events
    await router.drain(0)
