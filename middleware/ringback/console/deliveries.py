"""The part of the page Now that says what has arrived: the alarms, the last delivery, and what was not accepted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ringback.console.alarms import alarms, status_of
from ringback.console.arrivals import DAY, arrivals, by_answer
from ringback.console.remedies import remedy_for
from ringback.console.view import shown
from ringback.work.deliveries import ACCEPTED, HOUR

if TYPE_CHECKING:
    from ringback.console.arrivals import Arrivals
    from ringback.console.desk import Desk


async def deliveries(desk: Desk) -> dict[str, Any]:
    """The view, redacted. Raises the stores' :class:`~ringback.exceptions.StoreError`."""

    async def read() -> dict[str, Any]:
        return shown(view_of(await arrivals(desk.stores(), desk.clock(), desk.unwritten())))

    return await desk.reader.shared.get("deliveries", read)


def view_of(arrived: Arrivals) -> dict[str, Any]:
    """The view of what has arrived. A day is the last hour with the 23 hours before. ``reasons`` has what was not
    accepted, with the likely cause.
    """
    found = alarms(arrived)
    hour = by_answer(arrived.lately)
    day = by_answer((*arrived.lately, *(each for each in arrived.before if each.at >= arrived.since + HOUR - DAY)))
    return {
        "at": arrived.at,
        "status": status_of(found),
        "alarms": found,
        "last": arrived.last,
        "hour": hour[ACCEPTED],
        "day": day[ACCEPTED],
        "reasons": [
            {"result": answer[0], "reason": answer[1], "hour": hour[answer], "day": count, "why": remedy_for(answer)[0]}
            for answer, count in sorted(day.items(), key=lambda item: (-hour[item[0]], -item[1], item[0]))
            if answer != ACCEPTED
        ],
    }
