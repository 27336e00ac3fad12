"""The telemetry of hooks and redials, of what an observer is told, and of the store."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry import trace
from opentelemetry.context import get_current
from opentelemetry.trace import SpanKind, StatusCode

from accepting import received_of
from ringback import (
    GiveUp,
    Outcome,
    OutcomeRouter,
    RedialPolicy,
    Retry,
    StoreUnavailable,
)
from ringback.hooks.dispatcher import Dispatcher
from ringback.logs import LogObserver
from ringback.stores import MemoryStore, Stats
from ringback.stores.sqlite import SQLiteStore
from ringback.telemetry._metrics import SHOWN_FOR
from ringback.telemetry._traces import Origins
from ringback_catalog import Cause
from sights import CALL, LEG, OUTCOME, STORED, Sight, ask, behind, delivery, event, settled

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.fixture
def sight() -> Sight:
    return Sight()


async def raising(error: BaseException | None) -> None:
    if error is not None:
        raise error


@pytest.mark.parametrize(
    ("error", "result", "blamed"),
    [
        (None, "ok", None),
        (Retry("+1 555 0100"), "retry", None),
        (GiveUp("+1 555 0100"), "gave_up", None),
        (TimeoutError("+1 555 0100"), "timeout", "TimeoutError"),
        (ValueError("+1 555 0100"), "error", "ValueError"),
        (asyncio.CancelledError(), "canceled", None),
    ],
    ids=["ok", "retry", "gave up", "timeout", "error", "canceled"],
)
async def test_an_attempt_at_a_hook_is_a_span_and_a_duration(
    sight: Sight, error: BaseException | None, result: str, blamed: str | None
) -> None:
    """The whole span and the whole data point for every way out; what is raised goes on."""
    received = received_of(delivery())
    store = MemoryStore()
    queue = sight.telemetry.over(store)
    caught: BaseException | None = None
    try:
        with queue.hook(received.outcomes[0], "jobs.call_again", 2):
            sight.now += 1.5
            await raising(error)
    except BaseException as raised:
        caught = raised
    assert caught is error
    (span,) = sight.spans("ringback hook")
    told = {"hook": "jobs.call_again", "attempt": 2, "result": result}
    told |= {} if blamed is None else {"error.type": blamed}
    assert dict(span.attributes) == STORED | OUTCOME | told
    assert (span.parent, span.links, span.events, span.kind) == (None, (), (), SpanKind.INTERNAL)
    assert (span.status.status_code, span.status.description) == (
        StatusCode.UNSET if blamed is None else StatusCode.ERROR,
        None,
    )
    assert sight.metrics()["ringback.hook.duration"] == [({"hook": "jobs.call_again", "result": result}, (1, 1.5))]


async def test_in_memory_a_hook_belongs_to_the_deliverys_trace(sight: Sight) -> None:
    """Its span is a child of the delivery's, and current while the hook runs."""
    router = OutcomeRouter()
    inside: list[int] = []

    @router.on_retryable
    def call_again(outcome: Outcome) -> None:
        inside.append(trace.get_current_span().get_span_context().span_id)

    await ask(behind(sight, router=router), content=delivery())
    await settled(lambda: sight.spans("ringback hook"))
    (span,) = sight.spans("ringback hook")
    assert (span.parent.span_id, [span.context.span_id]) == (sight.delivery.context.span_id, inside)
    assert span.context.trace_id == sight.delivery.context.trace_id


async def test_from_a_store_a_hook_is_a_trace_of_its_own_with_a_link(sight: Sight, tmp_path: Path) -> None:
    """A store keeps no trace; a delivery that this process received is linked."""
    router = OutcomeRouter()
    called: list[Outcome] = []
    router.on_retryable(called.append)
    app = behind(sight, router=router, store=SQLiteStore(tmp_path / "ringback.db"))
    await ask(app, content=delivery())
    await settled(lambda: sight.spans("ringback hook"))
    await router.drain(5)
    (span,) = sight.spans("ringback hook")
    assert (span.parent, [link.context for link in span.links]) == (None, [sight.delivery.context])


async def test_the_first_delivery_of_an_ending_is_remembered_and_not_for_ever(sight: Sight) -> None:
    """A sibling's span does not replace it; the oldest are forgotten; no span leaves no trace."""
    sight.telemetry.origins = Origins(1)
    spans = []
    outcomes = []
    for leg in (LEG, LEG, CALL):
        body = delivery(event(data={"callConnectionId": leg}))
        received = received_of(body)
        gauge = sight.telemetry.delivery([])
        gauge.received(received, body)
        gauge.end()
        gauge.end()
        outcomes.append(received.outcomes[0])
        spans.append((sight.telemetry.origins.of(outcomes[0]), sight.spans("ringback delivery")[-1].context))
    assert [each[0] for each in spans] == [spans[0][1], spans[0][1], None]
    assert sight.telemetry.origins.of(outcomes[2]) == spans[2][1]
    assert sight.metrics()["ringback.deliveries"] == [({"result": "accepted"}, 3)]


async def test_without_spans_no_trace_is_remembered(sight: Sight) -> None:
    """With metrics alone a route finds the context that was there."""
    sight.telemetry.tracer = trace.NoOpTracer()
    received = received_of(delivery())
    gauge = sight.telemetry.delivery([])
    before = get_current()
    with gauge.inside():
        assert get_current() is before
        gauge.received(received, delivery())
    gauge.end()
    assert sight.telemetry.origins.of(received.outcomes[0]) is None
    assert sight.metrics()["ringback.deliveries"] == [({"result": "accepted"}, 1)]


async def test_a_redial_is_a_span_and_counted(sight: Sight) -> None:
    """Scheduled, then placed: one of each, with the number of the call to the contact."""
    router = OutcomeRouter()

    policy = RedialPolicy(hours=None, delays={Cause.BUSY: 0.0}, jitter=0.0)

    @router.redial(policy=policy, contact=lambda _: "contact-1")
    async def call(outcome: Outcome) -> str:
        return "leg-2"

    await ask(behind(sight, router=router, store="memory"), content=delivery())
    await settled(lambda: sight.spans("ringback redial"))
    (span,) = sight.spans("ringback redial")
    assert (span.parent, [link.context for link in span.links]) == (None, [sight.delivery.context])
    await settled(lambda: len(sight.metrics()["ringback.redials"]) == 2)
    assert sight.metrics()["ringback.redials"] == [
        ({"action": "scheduled", "attempt": 2}, 1),
        ({"action": "placed", "attempt": 2}, 1),
    ]


class Heard:
    """Stands for an observer: keeps what it was told."""

    def __init__(self) -> None:
        self.told: list[tuple[Any, ...]] = []

    def __getattr__(self, name: str) -> Callable[..., None]:
        return lambda *told: self.told.append((name, *told))


async def test_the_observer_is_told_all_that_is_counted(sight: Sight) -> None:
    """Counting takes nothing away; the number of the call is capped, and left out where there is none."""
    received = received_of(delivery())
    outcome = received.outcomes[0]
    heard = Heard()
    observer = sight.telemetry.over(MemoryStore()).observing(heard)  # type: ignore[arg-type]
    said = [
        ("redial_scheduled", outcome, 12.0, 11),
        ("redial_scheduled", outcome, 12.0, 10),
        ("redial_exhausted", outcome, "max_attempts"),
        ("redial_canceled", outcome),
        ("redial_placed", outcome, 2, "leg-2"),
        ("redial_unknown", outcome, 3, "why"),
        ("store_bypassed", 4),
    ]
    for name, *told in said:
        getattr(observer, name)(*told)
    assert heard.told == said
    assert sight.metrics()["ringback.redials"] == [
        ({"action": "scheduled", "attempt": 10}, 2),
        ({"action": "exhausted"}, 1),
        ({"action": "canceled"}, 1),
        ({"action": "placed", "attempt": 2}, 1),
        ({"action": "unknown", "attempt": 3}, 1),
    ]


class Counted(MemoryStore):
    """A store whose statistics the test sets."""

    def __init__(self, told: Stats | Exception, held: asyncio.Event | None = None) -> None:
        super().__init__()
        self.told = told
        self.held = held
        self.asked = 0

    async def stats(self) -> Stats:
        self.asked += 1
        if self.held is not None:
            await self.held.wait()
        if isinstance(self.told, Exception):
            raise self.told
        return self.told


async def test_gauges_show_what_the_store_said_last(sight: Sight) -> None:
    """Collecting asks and does not wait: the answer is there for the next. Two stores are added up, and
    the longest time counts."""
    lanes = Stats(1, 2, 3, 4, 5, 6, 7.0, 8, 9.0), Stats(10, redials=1, oldest_due=2.0, redials_in_progress=1)
    stores = [Counted(stats) for stats in lanes]
    queues = [sight.telemetry.metrics.queue(store) for store in stores]
    assert sight.metrics() == {}
    for queue in queues:
        queue.awake()
    assert sight.metrics() == {}
    await settled(lambda: all(queue.stats() for queue in queues))
    items = {"ready": 11, "running": 2, "done": 3, "dead": 4, "canceled": 5}
    assert sight.metrics() == {
        "ringback.queue.items": [({"state": state}, number) for state, number in items.items()],
        "ringback.queue.oldest_due": [({}, 7.0)],
        "ringback.redials.waiting": [({}, 7)],
        "ringback.redials.in_progress": [({}, 9)],
        "ringback.redials.paused": [({}, 9.0)],
    }


async def test_gauges_show_nothing_that_is_old(sight: Sight) -> None:
    """A store that no longer answers has no numbers, and is asked one question at a time."""
    held = asyncio.Event()
    held.set()
    store = Counted(Stats(ready=1), held)
    queue = sight.telemetry.metrics.queue(store)
    queue.awake()
    await settled(queue.stats)
    await settled(lambda: queue._asked is not None and queue._asked.done())
    held.clear()
    asked = store.asked
    sight.now = SHOWN_FOR
    assert queue.stats() == Stats(ready=1)
    sight.now += 0.1
    assert queue.stats() is None
    await asyncio.sleep(0.02)
    assert (queue.stats(), store.asked) == (None, asked + 1)
    queue.asleep()
    await asyncio.sleep(0.02)
    assert queue.stats() is None


async def test_a_store_that_is_away_has_no_numbers(sight: Sight) -> None:
    """Its fault is reported by those who need it, not here."""
    store = Counted(StoreUnavailable("away"))
    queue = sight.telemetry.metrics.queue(store)
    queue.awake()
    queue.stats()
    await settled(lambda: store.asked)
    assert queue.stats() is None
    queue.asleep()


async def test_a_loop_that_closes_in_this_moment_is_nobody_to_ask(sight: Sight) -> None:
    """The question is dropped."""

    class Closing:
        def is_running(self) -> bool:
            return True

        def call_soon_threadsafe(self, *_: Any, **__: Any) -> None:
            raise RuntimeError("Event loop is closed")

    queue = sight.telemetry.metrics.queue(MemoryStore())
    queue._loop = Closing()  # type: ignore[assignment]
    assert queue.stats() is None
    queue.asleep()


async def test_a_store_that_closes_in_this_moment_is_not_asked(sight: Sight, monkeypatch: pytest.MonkeyPatch) -> None:
    """The question would open the store again, and nobody would close it."""
    store = Counted(Stats())
    queue = sight.telemetry.metrics.queue(store)
    queue.awake()
    hand_in = asyncio.run_coroutine_threadsafe

    def late(asking: Any, loop: asyncio.AbstractEventLoop) -> Any:
        queue.asleep()
        return hand_in(asking, loop)

    monkeypatch.setattr(asyncio, "run_coroutine_threadsafe", late)
    assert queue.stats() is None
    await settled(lambda: queue._asked is not None and queue._asked.done())
    assert store.asked == 0


async def test_a_dispatcher_says_when_its_store_may_be_asked(sight: Sight, tmp_path: Path) -> None:
    """From the start until it drains; afterwards the store stays closed."""
    dispatcher = Dispatcher(
        OutcomeRouter(),
        LogObserver(),
        store=SQLiteStore(tmp_path / "ringback.db"),
        on_store_failure="inline",
        telemetry=sight.telemetry,
    )
    await dispatcher.start()
    await settled(lambda: "ringback.queue.items" in sight.metrics())
    await dispatcher.drain(5)
    assert sight.metrics() == {}
