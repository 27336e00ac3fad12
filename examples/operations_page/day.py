"""A made-up day of an outbound team in a store, the same in every run: good hours, a carrier's fault, loose ends.

Every event is one that the service sends, and every item stands as the dispatcher would have left it. Only the
clock is ours, so that a day takes seconds.
"""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from datetime import UTC, datetime
from random import Random
from typing import TYPE_CHECKING, Any
from uuid import UUID

from ringback import Outcome, classify_event, parse_delivery
from ringback.stores.sqlite import SQLiteStore
from ringback.testing import Call, call_event
from ringback.work.contact import Change, Step
from ringback.work.contact_call import CallState
from ringback.work.deliveries import Counted
from ringback.work.items import Item, Kind, Progress, Settlement, State
from ringback.work.told import Told

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

CALLS = 5_400
SPAN = 23.5 * 3600
STEP = 300
"""Seconds of the day, less than a whole one so that it stays in view for half an hour; and of one batch of it."""

FAULT = 1.75 * 3600
"""Seconds for which a carrier has failed when the day ends."""

HOURS = (16, 17, 15, 10, 14, 16, 17, 16, 14, 11, 9, 7, 5, 4, 3, 2, 1, 1, 2, 4, 9, 14, 16, 17)
"""How many calls there are in each hour of the day, in proportion: it ends in the late morning, whatever the time."""

# How a call ends: event, code, subcode, sip, q850, how often in a good hour, how often while the carrier fails.
ENDS: tuple[tuple[str, int | None, int, int | None, int | None, int, int], ...] = (
    ("CallDisconnected", 200, 560000, None, None, 620, 150),
    ("CallDisconnected", 200, 7000, None, None, 90, 20),
    ("CallDisconnected", 200, 540000, None, None, 60, 20),
    ("CreateCallFailed", 486, 560486, 486, 17, 90, 40),
    ("CreateCallFailed", 480, 560480, 480, 18, 60, 40),
    ("CreateCallFailed", 408, 560408, 408, None, 14, 20),
    ("CreateCallFailed", 603, 560603, 603, 21, 20, 10),
    ("CreateCallFailed", 404, 560404, 404, 1, 14, 8),
    ("CreateCallFailed", 403, 510403, None, None, 6, 3),
    ("AnswerFailed", 487, 10004, None, None, 8, 3),
    ("CreateCallFailed", 500, 560503, 503, 41, 3, 160),
    ("CreateCallFailed", 503, 560503, 503, 38, 2, 520),
    ("CallDisconnected", None, 0, None, None, 4, 2),
    ("CallDisconnected", 488, 977001, None, None, 5, 3),
    ("CreateCallFailed", 455, 977002, None, None, 3, 1),
)


@dataclass
class Hands:
    """A clock that stands where it is put."""

    at: float

    def __call__(self) -> float:
        return self.at


async def fill(path: Path, now: float, calls: int = CALLS) -> None:
    """Put a day of ``calls`` that ends ``now``, in seconds since the epoch, into a new store at ``path``."""
    hands, random = Hands(now - SPAN), Random(5_400)
    store = SQLiteStore(path, clock=hands)
    await store.open()
    number = 0
    for at, count in _batches(now, calls):
        hands.at = at
        ended = [_ending(random, number + each, at, now) for each in range(count)]
        number += count
        outcomes = [outcome for told in ended for outcome in told]
        await store.note([_connected(random, told[-1], at) for told in ended if told[-1].code == 200])
        await store.put([Item(each.outcome_id, Kind.OUTCOME, at, each) for each in outcomes])
        await store.count_deliveries(_answered(at, len(outcomes)))
        await _work(store, random, [told[-1] for told in ended], at, now)
    hands.at = now
    await store.count_deliveries(_answered(now, 1))
    await store.close()


def _batches(now: float, calls: int) -> Iterator[tuple[float, int]]:
    """The times of the day from the first on, and how many of the ``calls`` end there."""
    times = [now - SPAN + step * STEP for step in range(int(SPAN // STEP))]
    weights = [HOURS[step * STEP // 3600] for step in range(len(times))]
    done, so_far = 0, 0
    for at, weight in zip(times, weights, strict=True):
        so_far += weight
        upto = calls * so_far // sum(weights)
        yield at, upto - done
        done = upto


def _answered(at: float, accepted: int) -> list[Counted]:
    """How the deliveries of this time were answered: a stranger tries the URL now and then."""
    minute = int(at // 60) * 60
    found = [Counted(minute, "accepted", "", accepted, at)] if accepted else []
    return [*found, Counted(minute, "malformed", "not_json", 1, at)] if minute // 60 % 60 < STEP // 60 else found


def _ending(random: Random, number: int, at: float, now: float) -> list[Outcome]:
    """The outcomes that one call's end is reported by: a failed create twice, and some by a second delivery too."""
    usual = [row[6] if at >= now - FAULT else row[5] for row in ENDS]
    name, code, subcode, sip, q850, *_ = random.choices(ENDS, usual)[0]
    call = Call.seeded(number, operation_context=f"customer-{number % 1900}")
    names = ["CallDisconnected", name] if name == "CreateCallFailed" else [name]
    time = datetime.fromtimestamp(at, UTC)
    told = [
        _outcome(
            call_event(
                each, code, subcode, sip=sip, q850=q850, call=call, time=time, operation_context=call.operation_context
            )
        )
        for each in names
    ]
    return told + told[-1:] * (random.random() < 0.04)


def _connected(random: Random, end: Outcome, at: float) -> Told:
    """What was told when the call that ended ``at`` a time was answered, half a minute to eight minutes before."""
    answered = at - random.randint(300, 4800) / 10
    return Told(
        "CallConnected",
        answered,
        answered,
        str(UUID(int=random.getrandbits(128), version=4)),
        end.call_connection_id,
        end.correlation_id,
        context=end.operation_context,
    )


def _outcome(event: dict[str, Any]) -> Outcome:
    (received,) = parse_delivery(json.dumps([event]).encode()).events
    outcome = classify_event(received)
    assert outcome is not None
    return outcome


async def _work(store: SQLiteStore, random: Random, outcomes: list[Outcome], at: float, now: float) -> None:
    """What a worker would have made of a batch: most is done, some failed, the last of the day still waits."""
    while claims := (await store.worker.claim(1000, Kind.OUTCOME))[0]:
        settled: list[Settlement] = []
        for _ in claims:
            luck = random.random()
            if luck < 0.002:
                settled.append(Settlement(State.DEAD, Progress(failed={HOOK: REASON}), reason=f"{HOOK}: {REASON}"))
            elif at > now - 1800 and luck < 0.15:
                settled.append(Settlement(State.READY, Progress(tries={HOOK: 2}), due_at=now + 3600 + luck * 1000))
            else:
                settled.append(Settlement(State.DONE, Progress(done=(HOOK,))))
        await asyncio.gather(*(store.worker.settle(*pair) for pair in zip(claims, settled, strict=True)))
    if at > now - 1800:
        for outcome in outcomes:
            if outcome.retryable and outcome.operation_context is not None and random.random() < 0.3:
                due_at = now + 3600 + random.random() * 7200
                item = Item(f"redial:{outcome.outcome_id}", Kind.REDIAL, due_at, outcome, target=REDIAL, number=2)
                await store.change(outcome.operation_context, _planning(item))


def _planning(item: Item) -> Change[None]:
    return lambda known: Step(known.redial(item.key, CallState.PLANNED, item.due_at), None, put=item)


HOOK = "examples.operations_page.app.tell_the_team"
REASON = "ConnectionError: the ticket system did not answer"
REDIAL = "examples.operations_page.app.call_again"
