"""What a person does with the work of a store, from code: each change is made, and logged with who made it."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, TypeVar

import pytest
from msgspec.structs import replace
from structlog.testing import capture_logs

from ringback import OutcomeRouter, RedialPolicy, classify_event
from ringback.core.events import Event, EventData, Result
from ringback.exceptions import StoreUnavailable
from ringback.hooks import operators
from ringback.hooks.dispatcher import Dispatcher
from ringback.hooks.operators import Operator, programme_of
from ringback.logs import LogObserver
from ringback.stores import MemoryStore
from ringback.work.contact import Contact, Step
from ringback.work.contact_call import CallRecord, CallState
from ringback.work.items import Claim, Item, Kind, Settlement, State
from ringback.work.letters import Act, LetterChange
from ringback.work.programme import GivenUp, Share
from ringback.work.selection import Selection
from ringback_catalog import Cause

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ringback.core.outcome import Outcome
    from ringback.work.contact import Change

T = TypeVar("T")

SECRET = "a secret of this test"
KEY = "redial:call:leg-{}"


def told(leg: str, event: str, code: int, subcode: int) -> Outcome:
    data = EventData(call_connection_id=leg, result_information=Result(code, subcode))
    found = classify_event(Event(f"Microsoft.Communication.{event}", f"{event}-{leg}", data=data))
    assert found is not None
    return found


def busy(leg: str) -> Outcome:
    return told(leg, "CallDisconnected", 486, 560486)


async def planned(store: MemoryStore, number: int, contact: str, due_at: float, target: str = "call_again") -> None:
    key = KEY.format(number)
    item = Item(key, Kind.REDIAL, due_at, busy(f"leg-{number}"), target=target, number=2)
    await store.change(contact, lambda known: Step(known.redial(key, CallState.PLANNED, due_at), None, put=item))


async def died(store: MemoryStore, *legs: str) -> None:
    await store.put([Item(f"call:{leg}", Kind.OUTCOME, 0.0, busy(leg)) for leg in legs])
    left = asyncio.Semaphore(0)

    async def work(_: Claim) -> Settlement:
        left.release()
        return Settlement(State.DEAD, reason="no")

    running = asyncio.create_task(store.run(work, 1))
    async with asyncio.timeout(20):
        for _ in legs:
            await left.acquire()
    await store.stop(10)
    await running


async def test_redials_are_chosen_and_placed_now() -> None:
    """A limit holds for what is chosen; a redial that waits is due from then on, and its contact's state says so."""
    store = MemoryStore(clock=lambda: 100.0)
    for number in (1, 2, 3):
        await planned(store, number, f"contact-{number % 2}", 1000.0 + number)
    operator = Operator(store, by="ada", clock=lambda: 100.0)
    found = await operator.waiting(Selection(contacts=operator.names("contact-1")), limit=1)
    assert [redial.key for redial in found] == [KEY.format(1)]
    assert [redial.key for redial in await operator.waiting(limit=2)] == [KEY.format(1), KEY.format(2)]
    with capture_logs() as lines:
        assert await operator.run_now(KEY.format(3)) is None
        assert await operator.run_now("redial:unknown") == "no redial has that key"
    assert lines == [{"event": "redial.hastened", "log_level": "info", "key": KEY.format(3), "by": "ada"}]
    assert [redial.due_at for redial in await operator.waiting(limit=1)] == [100.0]
    assert [call.at for call in (await operator.known("contact-1")).calls] == [1001.0, 100.0]
    assert await operator.known("nobody") == Contact()


async def test_what_does_not_wait_is_refused_by_the_state_of_its_contact() -> None:
    """A request that may have placed the call is the worker's."""
    store = MemoryStore(clock=lambda: 100.0)
    await planned(store, 1, "bob", 1000.0)
    await store.change("bob", lambda known: Step(known.redial(KEY.format(1), CallState.UNKNOWN, 100.0), None))
    assert str(await Operator(store).run_now(KEY.format(1))).startswith("an earlier request may have placed the call")


async def placed(store: MemoryStore, number: int, contact: str, state: CallState, at: float) -> None:
    await store.change(contact, lambda known: Step(known.redial(KEY.format(number), state, at), None))


async def test_a_call_whose_end_nobody_reported_gives_its_place_back() -> None:
    """What holds a place is listed, the first to give it back first. The change is logged, and made once."""
    store = MemoryStore(clock=lambda: 1000.0)
    for number, state, at in (
        (1, CallState.PLACED, 900.0),
        (2, CallState.UNKNOWN, 800.0),
        (3, CallState.PLACED, 300.0),
        (4, CallState.PLANNED, 2000.0),
        (5, CallState.PLACING, 1000.0),
    ):
        await placed(store, number, f"contact-{number}", state, at)
    operator = Operator(store, by="ada", clock=lambda: 1000.0)
    found = await operator.in_progress()
    assert [(each.call.key, each.contact, each.until) for each in found] == [
        (KEY.format(2), "contact-2", 1400.0),
        (KEY.format(1), "contact-1", 1500.0),
    ]
    with capture_logs() as lines:
        assert [await operator.ended(KEY.format(number)) for number in (1, 1, 3, 4, 5)] == [True, *[False] * 4]
    assert lines == [{"event": "redial.ended", "log_level": "info", "key": KEY.format(1), "by": "ada"}]
    assert [each.contact for each in await operator.in_progress()] == ["contact-2"]
    assert (await store.stats()).redials_in_progress == 1
    (call,) = (await operator.known("contact-1")).calls
    assert (call.state, call.at, call.ended_at) == (CallState.ENDED, 900.0, 1000.0)


async def test_a_redacted_key_is_enough_if_one_redial_has_it() -> None:
    """A person has the keys that commands print."""
    store = MemoryStore(clock=lambda: 100.0)
    for number in ("+15550100", "+15550101"):
        key = KEY.format(number)
        await store.change(number, lambda known, key=key: Step(known.redial(key, CallState.PLACED, 90.0), None))
    operator = Operator(store, clock=lambda: 100.0)
    assert not await operator.ended("redial:call:leg-[phone]")
    assert await operator.ended(KEY.format("+15550100"))
    assert await operator.ended("redial:call:leg-[phone]")


class Overtaken(MemoryStore):
    """A store to which an event comes between the question and the change."""

    async def change(self, contact: str, step: Change[T]) -> T | None:
        await super().change(contact, lambda known: Step(ended(known), None))
        return await super().change(contact, step)


def ended(known: Contact) -> Contact:
    return replace(known, calls=tuple(replace(call, state=CallState.ENDED) for call in known.calls))


async def test_an_end_that_is_reported_meanwhile_stands() -> None:
    store = Overtaken(clock=lambda: 100.0)
    await MemoryStore.change(store, "bob", lambda known: Step(known.redial(KEY, CallState.PLACED, 90.0), None))
    with capture_logs() as lines:
        assert not await Operator(store, clock=lambda: 100.0).ended(KEY)
    assert lines == []


async def test_contacts_that_are_hashed_are_found_by_the_redials_of_their_router() -> None:
    """To cancel takes the app's key; that nothing was canceled is not logged."""
    router = OutcomeRouter()
    router.redial(contact=lambda _: "bob", hash_contacts=SECRET)(lambda: None)
    store = MemoryStore(clock=lambda: 100.0)
    await planned(store, 1, router.redials[0].stored("bob"), 1000.0)
    operator = Operator(store, by="ada", redials=router.redials, clock=lambda: 100.0)
    with capture_logs() as lines:
        assert (await Operator(store).cancel("bob"), await operator.cancel("bob")) == (0, 1)
    assert lines == [{"event": "redials.canceled", "log_level": "info", "count": 1, "by": "ada"}]


async def test_dead_letters_are_chosen_and_changed() -> None:
    """Only what there is is logged."""
    store = MemoryStore()
    await died(store, "a", "b", "+15550100")
    operator = Operator(store, by="ada")
    assert [letter.key for letter in await operator.dead(limit=1)] == ["call:+15550100"]
    assert [letter.key for letter in await operator.dead(Selection(cause=Cause.BUSY), limit=2)] == [
        "call:+15550100",
        "call:b",
    ]
    with capture_logs() as lines:
        assert [await operator.replay(key) for key in ("call:a", "call:a", "call:[phone]")] == [True, False, True]
        assert await operator.discard("call:b")
    assert [(line["event"], line["key"], line["by"]) for line in lines] == [
        ("dead_letter.replayed", "call:a", "ada"),
        ("dead_letter.replayed", "call:[phone]", "ada"),
        ("dead_letter.discarded", "call:b", "ada"),
    ]


async def test_many_dead_letters_are_changed_with_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """In parts, each told; and taken back, which is another line. Nothing is said of nothing."""
    monkeypatch.setattr(operators, "AT_ONCE", 2)
    store = MemoryStore()
    await died(store, *"abcde")
    operator = Operator(store, by="ada")
    parts: list[Sequence[str]] = []
    keys = [letter.key for letter in reversed(await operator.dead())]
    change = LetterChange(Act.REPLAY, time.time() + 600, "change-1")
    with capture_logs() as lines:
        assert await operator.change_dead(change, [*keys, "call:none"], "cause busy", parts.append) == 5
        assert await operator.change_dead(change, keys, "cause busy") == 0
        assert [await operator.take_back(change) for _ in range(2)] == [5, 0]
        assert await operator.change_dead(LetterChange(Act.DISCARD, 0.0), keys[:1], "all") == 1
    assert parts == [keys[:2], keys[2:4], keys[4:]]
    common = {"by": "ada", "log_level": "info"}
    assert lines == [
        {"event": "dead_letters.replayed", "count": 5, "chosen": "cause busy", "change": "change-1"} | common,
        {"event": "dead_letters.taken_back", "count": 5, "change": "change-1"} | common,
        {"event": "dead_letters.discarded", "count": 1, "chosen": "all", "change": None} | common,
    ]


async def test_a_change_that_a_store_breaks_off_is_in_the_log_as_far_as_it_came(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What was changed was changed, and can be taken back."""
    monkeypatch.setattr(operators, "AT_ONCE", 2)

    class Failing(MemoryStore):
        async def change_letters(self, keys: Sequence[str], change: LetterChange) -> Sequence[str]:
            if "call:c" in keys:
                raise StoreUnavailable("the disk is full")
            return await super().change_letters(keys, change)

    store = Failing()
    await died(store, *"abcd")
    operator, change = Operator(store), LetterChange(Act.DISCARD, time.time() + 600, "change-1")
    with capture_logs() as lines, pytest.raises(StoreUnavailable):
        await operator.change_dead(change, [f"call:{leg}" for leg in "abcd"], "all")
    assert [(line["event"], line["count"]) for line in lines] == [("dead_letters.discarded", 2)]
    assert await operator.take_back(change) == 2


async def test_a_programme_is_read_page_by_page(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every contact once, whatever the pages; those of several stores together."""
    monkeypatch.setattr(operators, "_PAGE", 2)
    stores = [MemoryStore(clock=lambda: 100.0) for _ in range(2)]
    for number in range(4):
        record = CallRecord(f"leg:{number}", 90.0 + number)
        await stores[0].change(f"contact-{number}", lambda _, record=record: Step(Contact((record,)), None))
    await stores[1].change("bob", lambda _: Step(Contact((CallRecord("leg:9", 99.0),)), None))
    assert (await Operator(stores[0]).report(92.0)).contacts == 2
    assert (await programme_of(stores, 0.0)).attempts == (Share("1", 5, 0, 0),)


async def test_a_redial_that_is_made_due_is_placed_and_what_it_reaches_is_reported() -> None:
    """The busy call is attempt 1, and the redial after it, which would have waited for minutes, reaches the contact."""
    store, router, placed = MemoryStore(), OutcomeRouter(), asyncio.Event()

    @router.redial(contact=lambda _: "bob", policy=RedialPolicy(hours=None))
    async def call_again() -> str:
        placed.set()
        return "leg-2"

    dispatcher, operator = Dispatcher(router, LogObserver(), store=store, settle=0.0), Operator(store)
    await dispatcher.accept([busy("leg-1")])
    async with asyncio.timeout(20):
        while not (waiting := await operator.waiting()):  # noqa: ASYNC110 - the worker tells nobody
            await asyncio.sleep(0.01)
        assert not placed.is_set()
        assert await operator.run_now(waiting[0].key) is None
        await placed.wait()
    await dispatcher.accept([told("leg-2", "CallConnected", 200, 0)])
    await dispatcher.drain(10)
    found = await operator.report()
    assert (found.contacts, found.reached, found.attempts) == (1, 1, (Share("1", 1, 0, 0), Share("2", 1, 1, 0)))
    assert found.causes == (Share("busy", 1, 1, 0),)


async def test_a_redial_outside_of_its_hours_is_put_off_again() -> None:
    """Whoever made it due: it then waits for the beginning of the hours."""
    store, router, placed, now = MemoryStore(), OutcomeRouter(), list[str](), time.time()
    soon = datetime.fromtimestamp(now, UTC) + timedelta(hours=6)
    hours = (f"{soon:%H}:00", f"{soon + timedelta(hours=1):%H}:00")

    @router.redial(contact=lambda _: "bob", policy=RedialPolicy(hours=hours))
    def call_again() -> None:
        placed.append("call")

    dispatcher, operator = Dispatcher(router, LogObserver(), store=store, settle=0.0), Operator(store)
    await dispatcher.accept([busy("leg-1")])
    async with asyncio.timeout(20):
        while not (waiting := await operator.waiting()):  # noqa: ASYNC110 - the worker tells nobody
            await asyncio.sleep(0.01)
        assert await operator.run_now(waiting[0].key) is None
        while not (again := [each for each in await operator.waiting() if each.attempts and each.due_at > now + 3600]):  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    await dispatcher.drain(10)
    assert (len(again), placed) == (1, [])


@pytest.mark.parametrize(
    ("limit", "settings"),
    [
        ("max_attempts", {"max_attempts": 1}),
        ("may_call", {"may_call": lambda contact, at: "on the list of those who must not be called"}),
    ],
)
async def test_a_limit_that_gives_up_is_noted_for_the_report(limit: str, settings: Any) -> None:
    """When the redial is planned, with the cause of the call; the app's own no has one name, whatever its reason."""
    store, placed, router = MemoryStore(), list[str](), OutcomeRouter()
    policy = RedialPolicy(hours=None, **settings)
    router.redial(contact=lambda _: "bob", policy=policy)(lambda: placed.append("call"))
    dispatcher = Dispatcher(router, LogObserver(), store=store, settle=0.0)
    await dispatcher.accept([busy("leg-1")])
    await dispatcher.drain(10)
    assert (await Operator(store).report()).given_up == (GivenUp(limit, "busy", 1),)
    assert placed == []


@pytest.mark.parametrize(
    ("limit", "settings"),
    [("may_call", {"may_call": lambda contact, at: False}), ("max_attempts", {"max_attempts": 2})],
)
async def test_a_limit_that_gives_up_when_a_redial_is_due_is_noted_too(limit: str, settings: Any) -> None:
    """The app has said no since the plan, or other calls have used the attempts up."""
    store, placed, router, now = MemoryStore(), list[str](), OutcomeRouter(), time.time()
    policy = RedialPolicy(hours=None, **settings)

    @router.redial(contact=lambda outcome: "bob" if outcome.call_connection_id == "leg-1" else None, policy=policy)
    def call_again() -> None:
        placed.append("call")

    await planned(store, 1, "bob", now, router.redials[0].name)
    calls = [CallRecord(f"leg:{leg}", now - 9, ended_at=now - 9, leg=leg, cause="busy") for leg in ("leg-1", "other")]
    await store.change("bob", lambda known: Step(Contact((*calls, *known.calls)), None))
    dispatcher = Dispatcher(router, LogObserver(), store=store, settle=0.0)
    # The first delivery starts the worker.
    await dispatcher.accept([busy("leg-2")])
    async with asyncio.timeout(20):
        while not (found := (await Operator(store).report()).given_up):  # noqa: ASYNC110 - the worker tells nobody
            await asyncio.sleep(0.01)
    await dispatcher.drain(10)
    assert found == (GivenUp(limit, "busy", 1),)
    assert placed == []
