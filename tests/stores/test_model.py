"""Any order of deliveries, attempts, replays and changes that are taken back against a simple model of a store."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from crew import Clock, item, worked
from ringback.stores import MemoryStore
from ringback.stores.sqlite import SQLiteStore
from ringback.work.delivery_store import DeliveryStore
from ringback.work.items import Claim, Settlement, State
from ringback.work.latch import Offer
from ringback.work.letters import Act, LetterChange

pytestmark = pytest.mark.untraced

OPENED, MERGED, DUPLICATE = Offer.OPENED, Offer.MERGED, Offer.DUPLICATE
DAY = 86_400.0

Make = Callable[[], DeliveryStore]


STEPS = st.lists(
    st.one_of(
        st.tuples(
            st.just("put"),
            st.lists(
                st.tuples(st.sampled_from("abc"), st.sampled_from(["CallDisconnected", "CreateCallFailed"])), max_size=4
            ),
        ),
        st.tuples(st.just("work"), st.sampled_from([State.DONE, State.DEAD, State.READY])),
        st.tuples(st.just("replay"), st.sampled_from("abc")),
        st.tuples(st.just("discard"), st.sampled_from("abc")),
        st.tuples(st.just("undone"), st.sampled_from(Act)),
    ),
    max_size=12,
)


REPORT = ("a", "CallDisconnected")


class Model:
    """What is to be expected: state, attempts and the names of the events, by leg."""

    def __init__(self) -> None:
        self.legs: dict[str, list[Any]] = {}

    def put(self, leg: str, name: str) -> Offer:
        if leg not in self.legs:
            self.legs[leg] = [State.READY, 0, {name}]
            return OPENED
        state, attempts, names, *_ = self.legs[leg]
        if state is State.READY and attempts == 0 and not self.replayed(leg) and name not in names:
            names.add(name)
            return MERGED
        return DUPLICATE

    def replayed(self, leg: str) -> bool:
        return len(self.legs[leg]) > 3

    def work(self, state: State) -> list[tuple[str, int]]:
        """Each item that is ready is worked on once."""
        worked = []
        for leg, row in sorted(self.legs.items()):
            if row[0] is State.READY:
                row[0], row[1] = state, row[1] + 1
                worked.append((f"call:{leg}", row[1]))
        return worked

    def replay(self, leg: str) -> bool:
        if leg not in self.legs or self.legs[leg][0] is not State.DEAD:
            return False
        self.legs[leg] = [State.READY, 0, {"CallDisconnected", "CreateCallFailed"}, "replayed"]
        return True

    def discard(self, leg: str) -> bool:
        if leg not in self.legs or self.legs[leg][0] is not State.DEAD:
            return False
        self.legs[leg][0] = State.CANCELED
        return True

    def stats(self) -> dict[str, int]:
        states = [row[0] for row in self.legs.values()]
        return {state.value: states.count(state) for state in State}


async def follows(store: DeliveryStore, clock: Clock, steps: list[tuple[str, Any]]) -> None:
    model = Model()
    for step, argument in steps:
        if step == "put":
            items = [item(leg, name) for leg, name in argument]
            assert list(await store.put(items)) == [model.put(leg, name) for leg, name in argument]
        elif step == "work":
            expected = model.work(argument)

            async def work(_: Claim, state: State = argument) -> Settlement:
                return Settlement(state, due_at=clock() + 60)

            claims = await worked(store, len(expected), work)
            assert sorted((claim.item.key, claim.attempt) for claim in claims) == expected
            clock.ahead += 120
        elif step == "undone":
            letters = await store.dead()
            change = LetterChange(argument, clock() + 600, "change")
            keys = [f"call:{leg}" for leg in "abc"]
            assert sorted(await store.change_letters(keys, change)) == sorted(letter.key for letter in letters)
            assert await store.take_back(change) == len(letters)
            assert list(await store.dead()) == list(letters)
        else:
            asked = await getattr(store, step)(f"call:{argument}")
            assert asked == getattr(model, step)(argument)
        stats = await store.stats()
        assert {state.value: getattr(stats, state.value) for state in State} == model.stats()


@pytest.mark.parametrize("kind", ["memory", "sqlite"])
@given(steps=STEPS)
@example(steps=[("put", [REPORT]), ("work", State.DEAD), ("replay", "a"), ("put", [REPORT])])
@example(steps=[("put", [REPORT]), ("work", State.DEAD), ("replay", "a"), ("put", [("a", "CreateCallFailed")])])
def test_any_sequence_follows_the_model(kind: str, tmp_path_factory: pytest.TempPathFactory, steps: Any) -> None:
    """Any order of deliveries, attempts, replays: what a simple model says."""

    async def check() -> None:
        clock = Clock()
        store: DeliveryStore = MemoryStore(clock=clock)
        if kind == "sqlite":
            path = tmp_path_factory.mktemp("model") / "x.db"
            store = SQLiteStore(path, poll=0.05, lease=5.0, min_free=0, clock=clock)
        await follows(store, clock, steps)
        await store.close()

    asyncio.run(check())
