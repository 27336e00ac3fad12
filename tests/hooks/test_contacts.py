"""Whom a redial is to reach, and in which zone: what its functions may return, sync and async."""

from __future__ import annotations

import asyncio
import threading
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import pytest

from attempting import BUSY, NOW, PLAY_FAILED, Bench, done, named
from dispatching import Bench as DispatcherBench
from dispatching import told
from ringback import ConfigurationError, HookPolicy, Outcome, RedialPolicy, RegistrationError
from ringback.hooks.contacts import Asking, allowed_from, contact_again, contact_of, zone_of
from ringback.hooks.router import HandlerRouter
from ringback.stores.turns import TURN
from ringback.work.items import Progress, Settlement, State
from ticking import others

if TYPE_CHECKING:
    from collections.abc import Callable

    from ringback.hooks.registration import RedialRegistration

HERE = __name__


def place(outcome: Outcome) -> None: ...


def redial_of(**settings: Any) -> RedialRegistration:
    router = HandlerRouter()
    router.redial(**{"contact": lambda outcome: "customer-1"} | settings)(place)
    return router.redials[0]


def sync(answer: object) -> Callable[[Outcome], object]:
    return lambda outcome: answer


def coroutine(answer: object) -> Callable[[Outcome], object]:
    """A sync function around an async one."""

    async def later() -> object:
        return answer

    return lambda outcome: later()


def asynchronous(answer: object) -> Callable[[Outcome], object]:
    async def function(outcome: Outcome) -> object:
        return answer

    return function


SHAPES = pytest.mark.parametrize("shape", [sync, coroutine, asynchronous])


@SHAPES
@pytest.mark.parametrize(
    ("returned", "key", "stored"),
    [
        pytest.param("customer-1", None, "customer-1", id="as-it-is"),
        pytest.param(
            "+1 555 0100",
            b"sixteen-bytes-ok",
            "741fa6b619e83d0f8239efac8bfeddfc71df02f2dd435cc426edce8ec889a2a6",
            id="hashed",
        ),
        pytest.param(None, b"sixteen-bytes-ok", None, id="none"),
        pytest.param("", b"sixteen-bytes-ok", None, id="empty"),
    ],
)
async def test_a_contact_is_kept_as_it_is_or_hashed(
    returned: str | None, key: bytes | None, stored: str | None, shape: Callable[..., Any]
) -> None:
    """With HMAC-SHA-256 in hex, whatever shape the function has; whoever cancels redials names the contact itself."""
    redial = redial_of(contact=shape(returned), hash_contacts=key)
    assert await contact_of(redial, BUSY, None) == stored
    if stored is not None:
        assert redial.stored(str(returned)) == stored


async def test_any_text_can_be_hashed() -> None:
    """A lone surrogate does not raise."""
    redial = redial_of(contact=lambda outcome: "\ud800", hash_contacts=b"sixteen-bytes-ok")
    assert len(str(await contact_of(redial, BUSY, None))) == 64


async def test_a_contact_that_is_no_text_is_refused() -> None:
    """Two objects of one customer would be two contacts."""
    with pytest.raises(RegistrationError) as raised:
        await contact_of(redial_of(contact=lambda outcome: 15550100), BUSY, None)
    assert str(raised.value) == f"contact of {HERE}.place returned a int; return text or None"


@SHAPES
@pytest.mark.parametrize(
    ("given", "zone"), [("Asia/Tokyo", ZoneInfo("Asia/Tokyo")), (UTC, UTC)], ids=["name", "tzinfo"]
)
async def test_a_time_zone_is_that_of_all_contacts_or_of_each(given: Any, zone: Any, shape: Callable[..., Any]) -> None:
    """A function is asked for every outcome, whatever shape the function has."""
    assert await zone_of(redial_of(time_zone=given), BUSY, None) == zone
    assert await zone_of(redial_of(time_zone=shape(given)), BUSY, None) == zone


async def test_a_time_zone_that_a_function_makes_up_is_refused() -> None:
    """When it is asked for: nobody can know before."""
    with pytest.raises(ConfigurationError):
        await zone_of(redial_of(time_zone=lambda outcome: "Mars/Olympus"), BUSY, None)


async def test_a_time_zone_is_asked_only_for_a_contact() -> None:
    """The app may know no zone where it knows no contact; then the next redial is asked."""
    bench, asked = Bench(), list[str]()

    def answers(name: str, answer: str | None) -> Callable[[Outcome], str | None]:
        return lambda outcome: (asked.append(name), answer)[1]

    def zones(name: str) -> Callable[[Outcome], str]:
        return lambda outcome: (asked.append(name), {"second": "Asia/Tokyo"}[name.partition(" ")[0]])[1]

    for name, contact in (("first", None), ("empty", ""), ("second", "customer-1"), ("third", "customer-1")):
        bench.router.redial(
            contact=answers(name, contact), time_zone=zones(f"{name} zone"), policy=RedialPolicy(hours=None, jitter=0)
        )(named(lambda: None, name))
    assert await bench.attempt() == done("app.second (contact)")
    assert asked == ["first", "empty", "second", "second zone"]
    assert [entry[0] for entry in bench.happened()] == ["change", "redial_scheduled"]


@pytest.mark.parametrize("which", ["contact", "time_zone"])
@pytest.mark.parametrize(
    "error", [StopIteration(), StopAsyncIteration(), SystemExit(), KeyboardInterrupt(), GeneratorExit()], ids=repr
)
async def test_whatever_a_function_of_a_redial_raises_is_its_failure(which: str, error: BaseException) -> None:
    """Tried again and dead in the end, as a hook; never the end of the worker."""
    bench = Bench(HookPolicy(attempts=1, timeout=None))

    def raises(outcome: Outcome) -> str:
        raise error

    settings: dict[str, Any] = {"contact": lambda outcome: "customer-1"} | {which: raises}
    bench.router.redial(**settings)(named(lambda: None, "call_again"))
    name, reason = "app.call_again (contact)", f"RuntimeError: the function raised {type(error).__name__}"
    progress = Progress(done=("told_without_contact",), failed={name: reason})
    assert await bench.attempt() == Settlement(State.DEAD, progress, reason=f"{name}: {reason}")


async def test_a_redial_function_gets_the_contact_and_not_its_hash() -> None:
    """The app is asked anew, and must name the same contact: the limits were asked for that one."""
    names = ["customer-1", "customer-2", None]
    redial = redial_of(contact=lambda outcome: names.pop(0), hash_contacts="sixteen-bytes-ok")
    stored = redial.stored("customer-1")
    assert await contact_again(redial, BUSY, stored, None) == "customer-1"
    for _ in range(2):
        with pytest.raises(RegistrationError, match="and keep hash_contacts as it was while redials wait"):
            await contact_again(redial, BUSY, stored, None)
    assert await contact_again(redial_of(), BUSY, "customer-3", None) == "customer-3"


class Slow:
    """A clock, and contact functions each of which takes as long as the test says; ``asked`` has who was asked."""

    def __init__(self, seconds: float, **answers: str | None) -> None:
        self.now, self.asked = 0.0, list[str]()
        self.router = HandlerRouter()
        for name, answer in answers.items():
            self.router.redial(contact=self.takes(seconds, name, answer))(named(lambda: None, name))

    def __call__(self) -> float:
        return self.now

    def takes(self, seconds: float, name: str, answer: str | None) -> Callable[[Outcome], str | None]:
        def contact(outcome: Outcome) -> str | None:
            self.asked.append(name)
            self.now += seconds
            return answer

        return contact

    def asking(self, seconds: float) -> Asking:
        return Asking(self.router.redials, seconds, self)


@pytest.mark.parametrize(
    ("each", "settle", "asked", "known"),
    [
        pytest.param(
            0.25, 1.0, ["first", "second"] * 2, [("customer-1", "app.second")] * 2 + [(None, None)], id="some"
        ),
        pytest.param(0.6, 1.0, ["first", "second"], [("customer-1", "app.second")] + [(None, None)] * 2, id="one"),
        pytest.param(2.0, 1.0, ["first"], [(None, None)] * 3, id="none"),
        pytest.param(0.0, 0.0, ["first", "second"] * 3, [("customer-1", "app.second")] * 3, id="quick-without-settle"),
        pytest.param(TURN, 0.0, ["first"], [(None, None)] * 3, id="slow-without-settle"),
    ],
)
async def test_all_questions_of_a_delivery_share_the_settle_time(
    each: float, settle: float, asked: list[str], known: list[tuple[str | None, str | None]]
) -> None:
    """The sender waits for them. Whom they leave out the worker asks about; without a settle time quick ones answer."""
    slow = Slow(each, first=None, second="customer-1")
    asking = slow.asking(settle)
    assert [await asking.whom(BUSY) for _ in range(3)] == known
    assert slow.asked == asked


async def test_nobody_is_asked_about_what_says_nothing_of_a_contact() -> None:
    """An operation neither answers nor ends a call. A function that raises leaves the outcome to the worker."""
    slow = Slow(0, first=None)
    slow.router.redial(contact=lambda outcome: {}[outcome.cause])(named(lambda: None, "second"))
    slow.router.redial(contact=slow.takes(0, "third", "customer-1"))(named(lambda: None, "third"))
    assert await slow.asking(1.0).whom(PLAY_FAILED) == (None, None)
    assert slow.asked == []
    assert await slow.asking(1.0).whom(BUSY) == (None, None)
    assert slow.asked == ["first"]


async def test_a_function_that_waits_gets_what_the_others_have_left() -> None:
    """Then it is cancelled, and the redials after it are not asked."""
    slow, cancelled = Slow(0.25, first=None), list[float]()

    async def hangs(outcome: Outcome) -> str:
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.append(slow.now)
        return "customer-1"

    slow.router.redial(contact=hangs)(named(lambda: None, "second"))
    slow.router.redial(contact=slow.takes(0, "third", "customer-1"))(named(lambda: None, "third"))
    # The loop's own clock passes the little that is left.
    assert await slow.asking(0.26).whom(BUSY) == (None, None)
    assert (slow.asked, cancelled) == (["first"], [0.25])


async def test_a_delivery_of_slow_questions_is_put_all_the_same() -> None:
    """The worker asks about those events that nobody was asked about when they came."""
    bench, answer = DispatcherBench(settle=0.05), asyncio.Event()

    async def contact(outcome: Outcome) -> str:
        bench.calls.append(outcome.call_connection_id)
        await answer.wait()
        return "customer-1"

    bench.router.redial(contact=contact)(named(lambda: None, "call_again"))
    bench.router.on_retryable(bench.hook("hook"))
    ends = [told(leg=f"leg-{number}") for number in range(3)]
    await bench.dispatcher.accept(ends)
    assert (bench.calls, (await bench.store.stats()).ready) == (["leg-0"], 3)
    answer.set()
    await bench.dispatcher.drain(5)
    assert bench.calls[1:4] == ["leg-0", "leg-1", "leg-2"]
    assert [call[1] for call in bench.calls[4:]] == ends


async def test_the_loop_works_meanwhile() -> None:
    """A delivery of many events takes turns while contacts are asked, too."""
    slow, passed = Slow(TURN, call_again="customer-1"), others()
    asking = slow.asking(1.0)
    for _ in range(10):
        await asking.whom(BUSY)
    assert len(passed) >= 9


def may_call(shape: Callable[[object], Callable[[Outcome], object]], answer: object) -> Any:
    """The answer in a function of the contact and the time."""
    function = shape(answer)
    if shape is asynchronous:

        async def asked(contact: str, at: datetime) -> object:
            return await function(BUSY)  # type: ignore[misc]

        return asked
    return lambda contact, at: function(BUSY)


LATER = datetime.fromtimestamp(NOW + 3600, UTC)


@SHAPES
@pytest.mark.parametrize(
    ("answer", "allowed"),
    [
        pytest.param(True, NOW, id="yes"),
        pytest.param(False, "may_call of the policy does not allow the call", id="no"),
        pytest.param("on the list of +1 555 0100", "on the list of [phone]", id="reason"),
        pytest.param(LATER, NOW + 3600, id="later"),
        pytest.param(LATER.astimezone(ZoneInfo("Asia/Tokyo")), NOW + 3600, id="later-elsewhere"),
        pytest.param(datetime.fromtimestamp(NOW - 3600, UTC), NOW, id="earlier"),
    ],
)
async def test_the_app_says_whether_and_from_when_a_call_is_allowed(
    answer: object, allowed: object, shape: Callable[..., Any]
) -> None:
    """Sync or async. A reason is for the log, so nothing in it names the contact."""
    redial = redial_of(policy=RedialPolicy(may_call=may_call(shape, answer)))
    assert await allowed_from(redial, "customer-1", NOW, UTC, None) == allowed


async def test_without_a_word_of_the_app_every_call_is_allowed() -> None:
    assert await allowed_from(redial_of(), "customer-1", NOW, UTC, None) == NOW


@SHAPES
@pytest.mark.parametrize(
    ("answer", "told"),
    [(None, "None"), ("", "''"), (1, "1"), (datetime(2026, 6, 15), "datetime.datetime(2026, 6, 15, 0, 0)")],
    ids=["none", "empty", "number", "naive"],
)
async def test_any_other_answer_is_refused(answer: object, told: str, shape: Callable[..., Any]) -> None:
    """A function that forgets to return, or a time of nobody knows which zone, must not have people called."""
    redial = redial_of(policy=RedialPolicy(may_call=may_call(shape, answer)))
    with pytest.raises(RegistrationError) as raised:
        await allowed_from(redial, "customer-1", NOW, UTC, None)
    assert str(raised.value) == (
        f"may_call of {HERE}.place returned {told}; return True, False, a reason as text, or a datetime with a time "
        "zone"
    )


async def test_a_function_that_asks_a_database_does_not_hold_the_loop() -> None:
    """A sync one runs in a thread."""
    ran: list[threading.Thread] = []

    def asked(contact: str, at: datetime) -> bool:
        ran.append(threading.current_thread())
        return True

    await allowed_from(redial_of(policy=RedialPolicy(may_call=asked)), "customer-1", NOW, UTC, None)
    assert ran != [threading.current_thread()]
