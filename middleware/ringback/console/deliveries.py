"""The part of the page Now that says what has arrived: the alarms, the last delivery, and what was not accepted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from msgspec import Struct

from ringback.console.alarms import Alarm, alarms, status_of
from ringback.console.arrivals import DAY, arrivals, by_answer
from ringback.console.remedies import remedy_for
from ringback.console.view import Moment, moment, shown
from ringback.work.deliveries import ACCEPTED, HOUR

if TYPE_CHECKING:
    from ringback.console.arrivals import Arrivals
    from ringback.console.desk import Desk


class AlarmRow(Struct, frozen=True):
    """An alarm, with its time as the page shows it."""

    alarm: Alarm
    since: Moment | None


class ReasonRow(Struct, frozen=True):
    """What was not accepted: how often within the last hour, how often within a day, and the likely cause."""

    result: str
    reason: str
    hour: int
    day: int
    why: str


class DeliveriesView(Struct, frozen=True):
    """``age`` and ``accepted_age`` are in seconds. ``status`` is ``problem``, ``warning`` or ``ok``."""

    status: str
    alarms: tuple[AlarmRow, ...]
    last: Moment | None
    age: float | None
    accepted: Moment | None
    accepted_age: float | None
    hour: int
    day: int
    reasons: tuple[ReasonRow, ...]
    counted: bool


async def deliveries(desk: Desk) -> dict[str, Any]:
    """The view, redacted. Raises the stores' :class:`~ringback.exceptions.StoreError`."""

    async def read() -> dict[str, Any]:
        return shown(view_of(await arrivals(desk.stores(), desk.clock(), desk.unwritten())))

    return await desk.reader.shared.get("deliveries", read)


def view_of(arrived: Arrivals) -> DeliveriesView:
    """The view of what has arrived. A day is the last hour with the 23 hours before."""
    found, last = alarms(arrived), arrived.last
    hour = by_answer(arrived.lately)
    day = by_answer((*arrived.lately, *(each for each in arrived.before if each.at >= arrived.since + HOUR - DAY)))
    return DeliveriesView(
        status=status_of(found),
        alarms=tuple(map(_row, found)),
        last=None if last.any is None else moment(last.any),
        age=None if last.any is None else arrived.at - last.any,
        accepted=None if last.accepted is None else moment(last.accepted),
        accepted_age=None if last.accepted is None else arrived.at - last.accepted,
        hour=hour[ACCEPTED],
        day=day[ACCEPTED],
        reasons=tuple(
            ReasonRow(*answer, hour[answer], count, remedy_for(answer)[0])
            for answer, count in sorted(day.items(), key=lambda item: (-hour[item[0]], -item[1], item[0]))
            if answer != ACCEPTED
        ),
        counted=last.first is not None,
    )


def _row(alarm: Alarm) -> AlarmRow:
    return AlarmRow(alarm, None if alarm.since is None else moment(alarm.since))
