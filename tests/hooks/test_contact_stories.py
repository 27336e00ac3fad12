"""Whom an app rings, and whom not, told as stories of calls: in memory and on SQLite, by the public API alone."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from ringback import GiveUp, Outcome, OutcomeRouter, RedialPolicy
from ringback.testing import call_disconnected
from storytelling import AT_ONCE, LATER, App, Placed, World

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Tell = Callable[..., World]

RUNG = {
    "busy": ["busy a"],
    "busy-both-reports": ["busy create a", "busy a"],
    "a-fault-of-the-service": ["lost a"],
    "a-conversation-was-lost": ["connected a", "lost a"],
    "two-lost-conversations": ["connected a", "lost a", "connected b", "lost b"],
    "two-busy-calls": ["busy a", "busy b"],
    "they-called-and-nobody-answered": ["busy a", "missed b"],
    "another-call-could-not-be-connected-to": ["no room b", "busy a"],
    "an-operation-failed": ["busy a", "play failed b"],
    "the-whole-call-ended": ["busy a", "whole call ended a"],
    "a-fault-of-ours-before": ["forbidden b", "busy a"],
    "the-app-canceled-a-call-before": ["canceled b", "busy a"],
    "nobody-knew-why-a-call-before-ended": ["unreported b", "busy a"],
}


@pytest.mark.untraced
@pytest.mark.parametrize("steps", RUNG.values(), ids=RUNG)
async def test_a_contact_is_rung_once(world: Tell, steps: list[str]) -> None:
    """Nothing stands in the way; two calls of one contact ask for one redial at a time."""
    app = App()
    here = world(app)
    await here.tell(*steps, "work")
    assert (app.dialled, app.each_leg_is_told_once()) == (["ann"], True)
    assert await here.planned() == []


REFUSING = {
    "reached": ["connected b"],
    "reached-without-a-result": ["old connected b"],
    "reached-and-over": ["connected b", "hung up b"],
    "over-without-connected": ["hung up b"],
    "declined": ["declined b"],
    "declined-both-reports": ["declined create b", "declined b"],
    "answered-then-declined": ["connected b", "declined b"],
    "blocked": ["blocked b"],
    "no-such-number": ["no such number b"],
    "they-called-while-we-talked": ["connected b", "missed c"],
    "added-somebody-to-the-call": ["connected b", "added b"],
    "could-not-add-somebody": ["connected b", "add busy b"],
    "somebody-else-declined-to-join": ["connected b", "add declined b", "updated b"],
    "play-failed-in-the-call": ["connected b", "play failed b"],
    "a-reason-that-comes-again": ["declined b", "declined b", "busy b"],
}
STOPPED = {
    "the-app-canceled-the-call": ["canceled b"],
    "a-fault-of-ours": ["forbidden b"],
    "nobody-knows-why": ["unreported b"],
    "the-app-cancels": ["cancel"],
}
BEFORE = REFUSING | {"the-app-cancels": ["cancel"]}


@pytest.mark.untraced
@pytest.mark.parametrize("policy", [AT_ONCE, LATER], ids=["at-once", "later"])
@pytest.mark.parametrize("others", (REFUSING | STOPPED).values(), ids=REFUSING | STOPPED)
async def test_who_was_reached_or_refuses_is_not_rung(world: Tell, others: list[str], policy: RedialPolicy) -> None:
    """Whatever comes between the busy end of a call and its redial."""
    app = App(policy)
    here = world(app)
    await here.tell("busy a", *others, "work")
    assert (app.dialled, await here.planned(), app.each_leg_is_told_once()) == ([], [], True)


@pytest.mark.untraced
@pytest.mark.parametrize("others", BEFORE.values(), ids=BEFORE)
@pytest.mark.parametrize("worked", [[], ["work"]], ids=["before-hooks", "after-hooks"])
async def test_what_was_known_before_stands_in_the_way_as_well(
    world: Tell, others: list[str], worked: list[str]
) -> None:
    """Nobody promises an order of events: the busy end comes last. A cancel is for calls that are under way, too."""
    app = App()
    here = world(app)
    await here.tell(*others, *worked, "busy a", "work")
    assert (app.dialled, await here.planned(), app.each_leg_is_told_once()) == ([], [], True)


@pytest.mark.untraced
@pytest.mark.parametrize("others", (REFUSING | STOPPED).values(), ids=REFUSING | STOPPED)
async def test_a_redial_that_waits_is_not_placed_any_more(world: Tell, others: list[str]) -> None:
    """It was planned before the other call was heard of."""
    app = App(LATER)
    here = world(app)
    await here.tell("busy a", "work")
    assert await here.planned() == ["ann"]
    await here.tell(*others, "work")
    assert (app.dialled, await here.planned(), app.each_leg_is_told_once()) == ([], [], True)


@pytest.mark.untraced
@pytest.mark.parametrize("others", (REFUSING | STOPPED).values(), ids=REFUSING | STOPPED)
async def test_a_dead_redial_that_is_replayed_asks_again(world: Tell, others: list[str]) -> None:
    """Placing asks what is known by then, whatever a person at a dead letter wants; the replay is done with that."""
    app = App()
    app.line.answers = [GiveUp("the line is closed")]
    here = world(app)
    await here.tell("busy a", "work", *others, "work", "replay", "work")
    assert (app.dialled, await here.planned(), list(await here.dead())) == (["ann"], [], [])


async def test_a_dead_redial_that_is_replayed_is_placed(world: Tell) -> None:
    """If nothing speaks against it, in a request of its own, for the first one has placed no call."""
    app = App()
    app.line.answers = [GiveUp("the line is closed")]
    here = world(app)
    await here.tell("busy a", "work", "replay", "work")
    assert app.dialled == ["ann", "ann"]
    assert len({dial.request for dial in app.line.dials}) == 2


@pytest.mark.parametrize("others", [["declined b"], ["cancel"], ["connected b"]], ids=" ".join)
async def test_a_call_that_was_perhaps_placed_is_not_repeated_then(world: Tell, others: list[str]) -> None:
    """The same request might ring a second time, if the service has lost it."""
    app = App()
    app.line.answers = [RuntimeError("no answer")] * 3
    here = world(app)
    await here.tell("busy a", "work", *others, "work", "replay", "work")
    assert (app.dialled, list(await here.dead())) == (["ann"] * 3, [])


@pytest.mark.parametrize(
    ("steps", "prevented"),
    [
        (["busy a", "cancel"], [1]),
        (["busy a", "busy b", "cancel"], [2]),
        (["busy a", "busy a", "busy create a", "cancel"], [1]),
        (["busy a", "cancel", "cancel"], [1, 0]),
        (["cancel", "busy a", "work", "cancel"], [0, 0]),
        (["busy a", "work", "cancel"], [1]),
        (["busy a", "work", "busy b", "cancel"], [2]),
        (["busy a", "work", "connected b", "work", "cancel"], [0]),
        (["hung up a", "cancel"], [0]),
    ],
    ids=lambda value: "-".join(map(str, value)),
)
@pytest.mark.parametrize("hashed", [{}, {"hash_contacts": "sixteen-bytes-ok"}], ids=["plain", "hashed"])
async def test_whoever_cancels_hears_what_that_prevents(
    world: Tell, steps: list[str], prevented: list[int], hashed: dict[str, Any]
) -> None:
    """Redials that wait, and ends of calls that nobody has decided about; and nobody is rung then."""
    app = App(LATER, **hashed)
    here = world(app)
    assert await here.tell(*steps) == prevented
    await here.work()
    assert (app.dialled, await here.planned()) == ([], [])


async def test_contacts_are_apart(world: Tell) -> None:
    """Who is reached is no obstacle for somebody else, in one delivery as well."""
    app = App()
    here = world(app)
    await here.tell("busy a", "declined b", "busy c", contacts={"a": "ann", "b": "bob", "c": "bob"})
    await here.tell("busy d", "work", contacts={"d": "cid"})
    assert sorted(app.dialled) == ["ann", "cid"]


async def test_a_call_that_is_under_way_stands_in_the_way(world: Tell) -> None:
    """Also a redial of which no event has come; its own end asks for the next one, up to the cap."""
    app = App()
    here = world(app)
    await here.tell("busy a", "work", "busy b", "work")
    assert app.dialled == ["ann"]
    await here.tell("busy redial-1", "work")
    # Three calls are made: a, b and the redial.
    assert (app.dialled, app.told[-1]) == (["ann"], ("over", "redial-1"))


@pytest.mark.parametrize("answer", ["hung up", "declined"])
async def test_the_redials_own_end_is_the_last_word(world: Tell, answer: str) -> None:
    """Whoever was reached or has refused by it is not rung for calls that failed before or after."""
    app = App()
    here = world(app)
    await here.tell("busy a", "work", f"{answer} redial-1", "busy b", "work", "busy c", "work")
    assert app.dialled == ["ann"]


async def test_no_more_calls_than_the_policy_says(world: Tell) -> None:
    """Each redial asks for the next one; the last end is terminal for the hooks."""
    app = App()
    here = world(app)
    await here.tell("busy a", "work", "busy redial-1", "work", "busy redial-2", "work")
    assert [dial.attempt for dial in app.line.dials] == [2, 3]
    assert app.told == [("again", "a"), ("again", "redial-1"), ("over", "redial-2")]


@pytest.mark.parametrize("tells", ["by what it returns", "by the operation context"])
@pytest.mark.parametrize("first", ["busy m", "busy r"])
async def test_somebody_elses_call_is_not_booked_as_the_redial(world: Tell, tells: str, first: str) -> None:
    """The redial function tells which call it has placed, so calls of a person count beside it: three are three."""
    second = {"busy m": "busy r", "busy r": "busy m"}[first]
    app = App(contact=lambda outcome: outcome.operation_context and "ann")
    here = world(app)
    app.line.answers = [Placed("r" if tells == "by what it returns" else None)]
    await here.tell("busy a", "work")
    if tells == "by the operation context":
        here.call("r", app.line.contexts[-1])
    await here.tell(first, second, "work")
    assert app.dialled == ["ann"]
    assert sorted(app.told) == [("again", "a"), ("over", "m"), ("over", "r")]


@pytest.mark.parametrize(
    "others", [["declined create b"], ["busy a", "work", "declined create redial-1"]], ids=" ".join
)
async def test_a_refusal_without_an_operation_context_is_known_by_its_call(world: Tell, others: list[str]) -> None:
    """CreateCallFailed lacks the context, so an app that looks its contacts up by their calls hears more."""
    people = dict.fromkeys(("a", "b", "c", "redial-1"), "ann")
    app = App(contact=lambda outcome: people.get(outcome.call_connection_id or ""))
    here = world(app)
    await here.tell(*others, "work", "busy c", "work")
    assert app.dialled == ["ann"] * others.count("busy a")


async def test_operations_say_nothing_of_a_contact(world: Tell) -> None:
    """Nobody can tell whom they are about. A hook that knows cancels the redials, which are not placed then."""
    app, cancels = App(), list[int]()

    def register(router: OutcomeRouter) -> None:
        app(router)

        @router.on(event="AddParticipantFailed", cause="declined", name="refused")
        async def refused(outcome: Outcome) -> None:
            cancels.append(await router.cancel_redials("ann"))

    here = world(register)
    await here.tell("added b", "busy a", "work")
    assert app.dialled == ["ann"]
    await here.tell("add declined b", "work", "busy c", "busy redial-1", "work")
    assert (app.dialled, cancels) == (["ann"], [0])


async def test_a_rest_of_no_time_lets_the_next_call_be_made(world: Tell) -> None:
    """The policy says for how long an answer and a refusal stand in the way of calls that end later."""
    app = App(
        RedialPolicy(
            delays=AT_ONCE.delays, jitter=0, max_per_day=None, hours=None, rest_after_answer=0, rest_after_refusal=0
        )
    )
    here = world(app)
    await here.tell("connected b", "hung up b", "busy a", "work")
    assert app.dialled == ["ann"]
    await here.tell("hung up redial-1", "declined c", "busy d", "work")
    assert app.dialled == ["ann"]


@pytest.mark.parametrize("meanwhile", [["connected b", "hung up b"], ["canceled b"]], ids=["reached", "canceled"])
async def test_an_end_that_is_told_late_was_before_what_came_meanwhile(world: Tell, meanwhile: list[str]) -> None:
    """After an outage an event may come hours after the call that it is about."""
    app = App(replace(AT_ONCE, rest_after_answer=0))
    here = world(app)
    await here.tell(*meanwhile)
    await here.hears(call_disconnected(486, 560486, call=here.call("a"), time=datetime.now(UTC) - timedelta(hours=2)))
    await here.tell("work")
    assert (app.dialled, await here.planned(), app.told[-1]) == ([], [], ("again", "a"))


@pytest.mark.parametrize("included", [False, True])
async def test_a_process_that_has_had_no_delivery_cancels(tmp_path: Path, included: bool) -> None:
    """Such as a page for those who want no calls, just after its start, or in a process of its own."""
    app = App(LATER)
    here = World(tmp_path, app)
    await here.tell("busy a", "work")
    router = asking = OutcomeRouter(store=f"sqlite:///{tmp_path}/ringback.db")
    if included:
        router.include(asking := OutcomeRouter())
    app(asking)
    assert await asking.cancel_redials("ann") == 1
    assert await here.planned() == []
    await router.drain()
    await here.close()
