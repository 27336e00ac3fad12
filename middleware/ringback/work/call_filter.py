"""Which calls a person asks a store for. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple

from msgspec import Struct

from ringback_catalog import Cause, Disposition, Match, Owner, ResultCategory, RetryClass

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ringback.work.call_detail import Traces


class CallFilter(Struct, frozen=True, kw_only=True):
    """The calls that ended and meet every condition that is given; all of them, if none is.

    ``event`` is a short name. ``since`` and ``until`` bound the time when the store got the end, in seconds since the
    epoch: from ``since`` on, and before ``until``. ``contacts`` are the contact's names as stores have them. ``name``
    is any id of the call, see :meth:`~ringback.work.delivery_store.DeliveryStore.call`. ``disposition`` is that of the
    verdict, whatever a redial policy makes of it. A ``code`` or ``subcode`` of ``"none"`` chooses the calls that came
    without one. ``intended``: whether the call ended as intended, which is retry class ``none``. ``recognized``: see
    :func:`recognized`.
    """

    cause: Cause | None = None
    code: int | Literal["none"] | None = None
    subcode: int | Literal["none"] | None = None
    event: str | None = None
    disposition: Disposition | None = None
    category: ResultCategory | None = None
    owner: Owner | None = None
    since: float | None = None
    until: float | None = None
    contacts: frozenset[str] | None = None
    name: str | None = None
    intended: bool | None = None
    recognized: bool | None = None

    def columns(self) -> Iterator[tuple[str, Sequence[str | int | None]]]:
        """The columns of an item of which the values are limited, each with the values that are allowed."""
        wanted = (
            ("cause", self.cause and self.cause.value),
            ("event", self.event),
            ("category", self.category and self.category.value),
            ("acts", self.owner and self.owner.value),
        )
        yield from ((name, (value,)) for name, value in wanted if value is not None)
        for name, number in (("code", self.code), ("subcode", self.subcode)):
            if number is not None:
                yield name, (None if number == "none" else number,)
        if self.disposition is not None or self.intended is not None:
            yield "retry", [each.value for each in RetryClass if self._may_end(each)]
        if self.contacts is not None:
            yield "contact", sorted(self.contacts)

    def _may_end(self, retry: RetryClass) -> bool:
        return self.disposition in (None, retry.disposition) and self.intended in (None, retry is RetryClass.NONE)


def recognized(code: int | None, subcode: int | None, match: Match | None) -> bool:
    """Whether the catalog has an entry for the result, as :attr:`ringback.core.outcome.Outcome.recognized` says."""
    if match is Match.CODE:
        return subcode in (None, 0)
    return match not in (Match.RANGE, Match.NONE) or (code is None and subcode is None)


class Found(NamedTuple):
    """One page of the calls that were asked for, the newest first, and how many there are on all pages."""

    calls: Sequence[Traces]
    total: int
