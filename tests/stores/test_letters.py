"""One change of many dead letters, and the ten seconds in which a person may take the change back: in every store."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

import pytest
from msgspec.structs import replace

from crew import CONTACT, DONE, Clock, cancel, dies, item, known, plan, redial, until, whole, worked
from ringback.exceptions import StoreError
from ringback.work.contact_call import CallState
from ringback.work.items import Claim, DeadLetter, Kind, Progress, Settlement, State, Stats
from ringback.work.latch import Offer
from ringback.work.letters import Act, LetterChange, Standing

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from ringback.work.delivery_store import DeliveryStore

UNDO = 600.0
"""Seconds: more than a busy machine takes for a test."""
PROGRESS = Progress(done=("a",), failed={"b": "no"}, tries={"b": 3}, first_sent=9.0, generation=2)
KEYS = [f"call:leg-{number}" for number in range(4)]


def change(clock: Clock, act: Act, name: str | None = "change-1") -> LetterChange:
    return LetterChange(act, clock() + UNDO, name)


async def died(store: DeliveryStore, clock: Clock, count: int = 4) -> Sequence[DeadLetter]:
    """This many dead letters, each a second after the one before, and the first has three attempts."""
    for number in range(count):
        await store.put([item(f"leg-{number}")])

        async def work(claim: Claim, number: int = number) -> Settlement:
            if number == 0 and claim.attempt < 3:
                return Settlement(State.READY)
            return Settlement(State.DEAD, PROGRESS, reason=f"b: no {number}")

        await worked(store, 3 if number == 0 else 1, work)
        clock.ahead += 1
    letters = await store.dead()
    assert [(letter.attempts, letter.reason) for letter in letters[-2:]] == [(1, "b: no 1"), (3, "b: no 0")]
    return letters


async def nothing_due(store: DeliveryStore) -> None:
    """A worker finds nothing to do."""
    running = asyncio.create_task(store.run(_refuses, 4))
    # A worker has looked when it has done this item, which was put last.
    await store.put([item("leg-last")])
    await until(lambda: _done(store))
    await store.stop(5.0)
    await running


async def _done(store: DeliveryStore) -> bool:
    return (await store.stats()).done == 1


async def _refuses(claim: Claim) -> Settlement:
    assert claim.item.key == "call:leg-last"
    return DONE


async def test_a_replay_waits_until_it_is_due(store: DeliveryStore, clock: Clock) -> None:
    """No worker begins before; then each letter is worked on once, with all its attempts."""
    await died(store, clock)
    replay = change(clock, Act.REPLAY)
    assert sorted(await store.change_letters([*KEYS, "call:unknown"], replay)) == KEYS
    assert list(await store.change_letters(KEYS, replay)) == []
    assert list(await store.dead()) == []
    await nothing_due(store)
    await store.take_back(replay)
    soon = LetterChange(Act.REPLAY, clock() + 0.2, "change-2")
    await store.change_letters(KEYS, soon)
    claims = await worked(store, 4)
    assert sorted((claim.item.key, claim.attempt) for claim in claims) == [(key, 1) for key in KEYS]
    expected = Progress(done=("a",), first_sent=9.0, generation=2, replayed=True)
    assert [claim.progress for claim in claims] == [expected] * 4
    assert await store.take_back(soon) == 0
    assert await store.stats() == Stats(done=5)


@pytest.mark.parametrize("act", Act)
async def test_what_is_taken_back_is_as_it_was(store: DeliveryStore, clock: Clock, act: Act) -> None:
    """Letters, order and counts; and whoever changed them may change them again."""
    before = await died(store, clock)
    made = change(clock, act)
    for key in KEYS:
        # In several transactions, as many letters are.
        await store.change_letters([key], made)
    counts = Stats(ready=4) if act is Act.REPLAY else Stats(canceled=4)
    assert replace(await store.stats(), oldest_due=0.0) == counts
    assert await store.take_back(made) == 4
    assert await store.take_back(made) == 0
    assert list(await store.dead()) == list(before)
    assert await store.stats() == Stats(dead=4)
    clock.ahead += UNDO
    await nothing_due(store)
    assert await store.replay(KEYS[0])
    (claim,) = await worked(store, 1)
    assert claim.item.key == KEYS[0]


@pytest.mark.parametrize("act", Act)
async def test_a_change_that_is_carried_out_twice_is_one(store: DeliveryStore, clock: Clock, act: Act) -> None:
    """Its form was sent twice: the store says what there is of it, and one undo takes all of it back."""
    before = await died(store, clock)
    first = change(clock, act)
    second = replace(first, due_at=first.due_at + 3)
    assert await store.standing(first) == Standing()
    await store.change_letters(KEYS[:3], first)
    assert sorted(await store.change_letters(KEYS, second)) == KEYS[3:]
    for made in (first, second):
        assert await store.standing(made) == Standing(4, 0, first.due_at)
    assert await store.standing(replace(first, name="other")) == Standing()
    assert await store.take_back(second) == 4
    for made in (first, second):
        assert await store.standing(made) == Standing(0, 4)
    assert list(await store.dead()) == list(before)
    await store.change_letters(KEYS[:1], replace(first, name="other"))
    assert await store.standing(first) == Standing(0, 3)
    assert await store.standing(replace(first, name="other")) == Standing(1, 0, first.due_at)


@pytest.mark.parametrize("act", Act)
async def test_a_change_is_found_by_whatever_name(store: DeliveryStore, clock: Clock, act: Act) -> None:
    """Also by one that a person has thought of."""
    await died(store, clock)
    made = change(clock, act, 'after "the outage" of 12\\1, ü')
    await store.change_letters(KEYS, made)
    assert (await store.standing(made)).waiting == await store.take_back(made) == 4


@pytest.mark.parametrize("act", Act)
async def test_any_process_takes_it_back(
    make: Callable[[], DeliveryStore], engine: str, clock: Clock, act: Act
) -> None:
    """Whichever worker of the app gets the request; and what one did before it died is in the store."""
    one = make()
    await one.open()
    before = await died(one, clock)
    made = change(clock, act)
    await one.change_letters(KEYS, made)
    other = one if engine == "memory" else make()
    if other is not one:
        await one.close()
    assert await other.standing(made) == Standing(4, 0, made.due_at)
    assert await other.take_back(LetterChange(made.act, made.due_at, made.name)) == 4
    assert list(await other.dead()) == list(before)


async def test_a_letter_that_has_begun_stays(store: DeliveryStore, clock: Clock) -> None:
    """Also if it failed since, or waits for another attempt."""
    before = await died(store, clock)
    replay = LetterChange(Act.REPLAY, clock(), "change-1")
    await store.change_letters(KEYS[:2], replay)

    async def work(claim: Claim) -> Settlement:
        again = claim.item.key == KEYS[0]
        return Settlement(State.READY, due_at=clock() + 600) if again else Settlement(State.DEAD, reason="again")

    await worked(store, 2, work)
    await store.change_letters(KEYS[2:], replay)
    assert await store.standing(replay) == Standing(2, 0, replay.due_at)
    assert await store.take_back(replay) == 2
    assert await store.standing(replay) == Standing(0, 2)
    assert [letter.key for letter in await store.dead()] == [KEYS[1], KEYS[3], KEYS[2]]
    assert list(await store.dead())[1:] == list(before[:2])


async def test_a_discard_is_final_when_it_is_due(store: DeliveryStore, clock: Clock) -> None:
    """The store then forgets the letter, but for its key."""
    await died(store, clock)
    discard = change(clock, Act.DISCARD)
    assert sorted(await store.change_letters(KEYS, discard)) == KEYS
    assert list(await store.put([item("leg-0")])) == [Offer.DUPLICATE]
    clock.ahead += UNDO
    assert await store.standing(discard) == Standing()
    assert await store.take_back(discard) == 0
    # A page of another store's letters has no time to wait: the purge is the worker's.
    assert await store.purge() == (4 if store.durable else 0)
    assert list(await store.dead()) == []
    assert await store.purge() == 0
    assert list(await store.put([item("leg-0")])) == [Offer.DUPLICATE]
    assert await store.stats() == Stats(canceled=4)


async def test_a_purge_leaves_what_may_be_taken_back(store: DeliveryStore, clock: Clock) -> None:
    """However soon the purge comes."""
    before = await died(store, clock)
    discard = change(clock, Act.DISCARD)
    await store.change_letters(KEYS, discard)
    assert await store.purge() == 0
    assert await store.take_back(discard) == 4
    assert list(await store.dead()) == list(before)


@pytest.mark.parametrize("act", Act)
async def test_another_change_of_the_same_moment_is_another(store: DeliveryStore, clock: Clock, act: Act) -> None:
    """Two people may ask within one tick of the clock."""
    await died(store, clock)
    one, other = (LetterChange(act, clock() + UNDO, name) for name in ("one", "other"))
    other = replace(other, due_at=one.due_at)
    await store.change_letters(KEYS[:1], one)
    await store.change_letters(KEYS[1:], other)
    assert await store.take_back(one) == 1
    assert [letter.key for letter in await store.dead()] == KEYS[:1]


async def test_a_change_without_a_name_is_final(store: DeliveryStore, clock: Clock) -> None:
    """As :meth:`replay` and :meth:`discard` are."""
    await died(store, clock)
    for act in Act:
        keys = KEYS[:2] if act is Act.REPLAY else KEYS[2:]
        made = LetterChange(act, clock() + UNDO)
        assert sorted(await store.change_letters(keys, made)) == keys
        assert await store.take_back(made) == 0
    assert replace(await store.stats(), oldest_due=0.0) == Stats(ready=2, canceled=2)


async def test_a_redial_waits_again_and_then_no_more(store: DeliveryStore, clock: Clock) -> None:
    """In the state of its contact, of which a person may cancel it meanwhile."""
    for leg, contact in (("leg-0", CONTACT), ("leg-1", "bob")):
        await plan(store, leg, clock(), contact)

    async def work(_: Claim) -> Settlement:
        return Settlement(State.DEAD, reason="no", call=CallState.CANCELED)

    await worked(store, 2, work)
    keys = [redial(leg).key for leg in ("leg-0", "leg-1")]
    before, was = await store.dead(), await known(store)
    replay = change(clock, Act.REPLAY)
    await store.change_letters(keys, replay)
    (call,) = (await known(store)).calls
    assert (call.state, call.at) == (CallState.PLANNED, replay.due_at)
    assert [each.due_at for each in await store.history.waiting(Kind.REDIAL, 9)] == [replay.due_at] * 2
    assert await store.take_back(replay) == 2
    (call,) = (await known(store)).calls
    assert replace(call, at=0.0) == replace(was.calls[0], at=0.0)
    assert list(await store.dead()) == list(before)


async def test_a_redial_that_a_person_canceled_meanwhile_stays_canceled(store: DeliveryStore, clock: Clock) -> None:
    """Undo takes the replay back, not what others did since."""
    await plan(store, "leg-0", clock())
    await worked(store, 1, dies())
    replay = change(clock, Act.REPLAY)
    key = redial("leg-0").key
    await store.change_letters([key], replay)
    await cancel(store)
    canceled = (await store.stats()).canceled
    assert await store.take_back(replay) == (0 if canceled else 1)


@pytest.mark.parametrize("act", Act)
async def test_the_record_of_the_call_follows(store: DeliveryStore, clock: Clock, act: Act) -> None:
    """The state of the letter's item, there and in the history, is the letter's; what is replayed has no reason."""
    _ = store.history
    await died(store, clock, 2)
    made = change(clock, act)
    await store.change_letters(KEYS[:1], made)
    state = State.READY if act is Act.REPLAY else State.CANCELED
    for expected in (state, State.DEAD):
        (at,) = [each.state for each in await store.history.latest(9) if each.key == KEYS[0]]
        traces = await store.call("leg-0")
        assert traces is not None
        assert (at, [each.state for each in traces.items]) == (expected, [expected])
        if expected is not State.CANCELED:
            assert [each.reason for each in traces.items] == ["b: no 0" if expected is State.DEAD else None]
        await store.take_back(made)


async def test_a_redelivery_makes_no_replayed_letter_due(store: DeliveryStore, clock: Clock) -> None:
    """A door hastens the operations of each delivery, but a replay waits for as long as it may be taken back."""
    await died(store, clock, 2)
    replay = change(clock, Act.REPLAY)
    await store.change_letters(KEYS[:1], replay)
    await store.hasten(KEYS[:1])
    assert [each.due_at for each in await store.history.waiting(Kind.OUTCOME, 9)] == [replay.due_at]


async def test_a_replayed_end_of_a_whole_call_stays_when_a_leg_tells_its_own_end(
    store: DeliveryStore, clock: Clock
) -> None:
    """A person has asked for these hooks. Only an end that nobody has worked on gives way to the leg's."""
    await store.put([whole("c")])
    await worked(store, 1, dies(progress=PROGRESS))
    replay = change(clock, Act.REPLAY)
    await store.change_letters(["call:c"], replay)
    await store.put([item("leg", call="c")])
    waiting = await store.history.waiting(Kind.OUTCOME, 9)
    assert {each.key: each.due_at for each in waiting} == {"call:leg": 0.0, "call:c": replay.due_at}


@pytest.mark.untraced
async def test_many_are_changed_and_taken_back_at_once(store: DeliveryStore, clock: Clock) -> None:
    """Also those of as many contacts."""
    count = 500
    await store.put([replace(item(f"leg-{number}"), contact=f"contact {number}") for number in range(count)])
    await worked(store, count, dies(), concurrency=32)
    before = await store.dead(count)
    keys = [letter.key for letter in before]
    for act in Act:
        made = change(clock, act)
        assert sorted(await store.change_letters(keys, made)) == sorted(keys)
        assert await store.take_back(made) == count
        assert list(await store.dead(count)) == list(before)


@pytest.mark.parametrize("engine", ["sqlite", "postgres"], indirect=True)
async def test_a_letter_whose_progress_cannot_be_read_is_only_given_up_for_good(
    store: DeliveryStore, engine: str, clock: Clock, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    """Otherwise the hooks that are done would be called again. The others of the change are changed."""
    await died(store, clock)

    torn = '["change-1"'

    def damage(key: str) -> None:
        if engine == "sqlite":
            with closing(sqlite3.connect(tmp_path / "ringback.db", isolation_level=None)) as connection:
                connection.execute(f"UPDATE items SET progress = CAST('{torn}' AS BLOB) WHERE key = '{key}'")
        else:
            statement = f"UPDATE ringback_items SET progress = '{torn}'::bytea WHERE key = '{key}'"
            request.getfixturevalue("postgres").execute(statement, request.getfixturevalue("lent_url"))

    damage(KEYS[0])
    for act in Act:
        made = change(clock, act)
        assert sorted(await store.change_letters(KEYS, made)) == KEYS[1:]
        assert await store.take_back(made) == 3
    assert not await store.replay(KEYS[0])
    assert await store.discard(KEYS[0])
    made = change(clock, Act.REPLAY)
    assert sorted(await store.change_letters(KEYS, made)) == KEYS[1:]
    damage(KEYS[1])
    assert await store.standing(made) == Standing(2, 0, made.due_at)
    assert await store.take_back(made) == 2
    damage(KEYS[2])
    assert await store.standing(made) == Standing(0, 1)


@pytest.mark.parametrize("engine", ["sqlite", "postgres"], indirect=True)
async def test_a_letter_that_died_at_no_time_is_told(
    store: DeliveryStore, engine: str, clock: Clock, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    """Only a hand can have written that."""
    await died(store, clock)
    if engine == "sqlite":
        with closing(sqlite3.connect(tmp_path / "ringback.db", isolation_level=None)) as connection:
            connection.execute("UPDATE items SET finished_at = NULL")
    else:
        statement = "UPDATE ringback_items SET finished_at = NULL"
        request.getfixturevalue("postgres").execute(statement, request.getfixturevalue("lent_url"))
    with pytest.raises(StoreError, match="has the finished_at None, which is no time; it is damaged"):
        await store.dead(10)
