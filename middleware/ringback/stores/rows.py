"""An item as a row of an SQL store, and what a row becomes when another event of its call or a settlement comes. Pure.

A store inserts :func:`stored_row`. Where another row has the key already, the store writes into that row what
:func:`merged` or :func:`superseded` gives.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from msgspec import Struct

from ringback.core.outcome import LEVEL, Outcome, informs_more, level_of
from ringback.stores.record import dump, dump_progress, dump_sibling
from ringback.stores.stored_told import dump_end, merged_told
from ringback.stores.verdicts import StoredVerdict, stored_verdict
from ringback.work.contact_call import Report, report_of
from ringback.work.items import Claim, Item, Kind, Settlement, State, whom
from ringback.work.keys import short
from ringback.work.latch import merges
from ringback.work.told import number

if TYPE_CHECKING:
    from collections.abc import Mapping


COUNTED = ("cause", "category", "retry", "match", "acts", "code", "subcode")
"""The columns by which a history counts and finds calls. ``acts`` is the owner, who must act."""


COLUMNS: tuple[str, ...] = tuple(
    "key kind due_at ends_call event call contact target number rank payload sibling created_at "
    "cause category retry match acts code subcode told context".split()
)
"""The columns that a put writes."""


class Row(Struct, frozen=True, gc=False):
    """An item as an SQL store writes it. ``event`` is the event's short name, ``ended`` the key of Event Grid's
    CallEnded of the whole call. Only the end of a call has values in the columns from ``cause`` to ``subcode``, by
    which a history counts calls, and in ``told`` and ``context``, which say what its events told, for the record of the
    call. All these columns outlive the payload. ``verdict`` is ``None`` if the payload has the verdict. ``report`` is
    what the event says of the ``contact``, if the contact is known. Times are seconds since the epoch, UTC.
    """

    key: str
    kind: str
    due_at: float
    ends_call: bool
    event: str
    call: str | None
    contact: str | None
    target: str | None
    number: int
    rank: int
    payload: bytes
    sibling: bytes | None
    created_at: float
    cause: str | None
    category: str | None
    retry: str | None
    match: str | None
    acts: str | None
    code: int | None
    subcode: int | None
    told: bytes | None
    context: str | None
    ended: str | None
    verdict: StoredVerdict | None
    report: Report | None


def stored_row(item: Item, contact: str | None, now: float, *, apart: bool = False) -> Row:
    """The item as a row, with the ``contact`` as the store can keep it, and the verdict ``apart`` or in the payload."""
    outcome = item.outcome
    ends_call = item.kind is Kind.OUTCOME and outcome.ends_call
    call, key = outcome.correlation_id, short(item.key)
    verdict = stored_verdict(outcome.verdict)
    return Row(
        key=key,
        kind=item.kind.value,
        due_at=item.due_at,
        ends_call=ends_call,
        event=short(outcome.event_name),
        call=short(call),
        contact=contact,
        target=item.target,
        number=item.number,
        rank=outcome.informs(),
        payload=dump(outcome, apart=apart),
        sibling=dump_sibling(outcome),
        created_at=now,
        **(_counts(outcome, verdict) if ends_call else _UNCOUNTED),
        told=dump_end(outcome, now, key) if ends_call else None,
        context=short(outcome.operation_context) if ends_call else None,
        ended=None if call is None else short(f"call:{call}"),
        verdict=verdict if apart else None,
        report=None if contact is None or item.kind is not Kind.OUTCOME else report_of(outcome),
    )


def _counts(outcome: Outcome, verdict: StoredVerdict) -> dict[str, Any]:
    words = verdict.cause, verdict.category, verdict.retry, verdict.match, outcome.owner.value
    return dict(zip(COUNTED, (*words, number(outcome.code), number(outcome.subcode)), strict=True))


def merged(kept: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Any] | None:
    """The columns of the row ``kept`` that change when ``new``, the row of another event of the call, settles with it.

    As in :meth:`~ringback.core.outcome.Outcome.merged_with`, the row gets the more informative outcome, and the other
    row's event as the sibling, and the contact of whichever row has one. ``None`` if a worker has ever claimed
    ``kept``, or if ``new`` changes nothing, see :func:`~ringback.work.latch.merges`.
    """
    # A dead letter that somebody replays has a progress; its attempts count from 1 again.
    is_new = kept["attempts"] == 0 and kept["progress"] is None
    settles = kept["state"] == State.READY and is_new and _end_a_call(kept, new)
    ranked = kept["event"], _rank(kept), new["event"], _rank(new)
    if not (settles and merges(*ranked, has_sibling=kept["sibling"] is not None)):
        return None
    best, rest = (new, kept) if informs_more(_rank(new), _rank(kept)) else (kept, new)
    contact, target = whom((kept["contact"], kept["target"]), (new["contact"], new["target"]))
    return {
        **{name: best[name] for name in _OF_OUTCOME if name in kept},
        "contact": contact,
        "target": target,
        "sibling": best["sibling"] or rest["payload"],
        "told": merged_told(best, rest),
        "context": new["context"] if kept["context"] is None else kept["context"],
        "call": new["call"] if kept["call"] is None else kept["call"],
    }


def superseded(kept: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Any] | None:
    """The columns of the row ``kept`` that change when ``new`` is the first row with a reason for the same end.

    The store inserts ``new`` under another key, and the history counts ``new`` in place of ``kept``. ``None`` if
    ``new`` says no more than ``kept``.
    """
    if _end_a_call(kept, new) and _level(new) > _level(kept):
        return {"rank": new["rank"], **_UNCOUNTED}
    return None


def settled(claim: Claim, settlement: Settlement, owner: str, now: float) -> dict[str, Any]:
    """The values of the statement that settles a claim. ``due_at`` is ``None`` if the item keeps its time."""
    again = settlement.state is State.READY
    return {
        "key": claim.item.key,
        "owner": owner,
        "attempt": claim.attempt,
        "state": settlement.state.value,
        "returned": settlement.state is State.DONE,
        "progress": dump_progress(settlement.progress),
        "reason": settlement.reason,
        "due_at": settlement.due_at if again else None,
        "finished_at": None if again else now,
        "now": now,
    }


def _end_a_call(kept: Mapping[str, Any], new: Mapping[str, Any]) -> bool:
    return bool(kept["ends_call"] and new["ends_call"])


def _level(row: Mapping[str, Any]) -> int:
    """The level of the row's outcome, see :attr:`~ringback.core.outcome.Outcome.level`."""
    return level_of(_rank(row))


def _rank(row: Mapping[str, Any]) -> int:
    """The rank of the row's outcome, see :meth:`~ringback.core.outcome.Outcome.informs`."""
    rank: int = row["rank"]
    # 0.1.0 counted 2 for a result. No outcome has these ranks today: without a result there is no carrier's detail.
    return rank - 2 + LEVEL if rank in (2, 3) else rank


_UNCOUNTED: dict[str, Any] = dict.fromkeys(COUNTED)
_OF_ITEM = frozenset(
    "key kind due_at ends_call call contact target number sibling created_at told context ended report".split()
)
_OF_OUTCOME = [name for name in Row.__struct_fields__ if name not in _OF_ITEM]
"""The columns that a row has from its outcome, in the order of :class:`Row`."""
