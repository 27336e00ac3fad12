"""Which calls a person asks a store for. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from msgspec import Struct

from ringback_catalog import Cause, Disposition, Owner, ResultCategory, RetryClass

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ringback.work.call_detail import Traces


class CallFilter(Struct, frozen=True, kw_only=True):
    """The calls that ended and meet every condition that is given; all of them, if none is.

    ``event`` is a short name. ``since`` and ``until`` bound the time when the store got the end, in seconds since the
    epoch: from ``since`` on, and before ``until``. ``contacts`` are the contact's names as stores have them. ``name``
    is any id of the call, see :meth:`~ringback.work.items.DeliveryStore.call`. ``disposition`` is that of the verdict,
    whatever a redial policy makes of it.
    """

    cause: Cause | None = None
    code: int | None = None
    subcode: int | None = None
    event: str | None = None
    disposition: Disposition | None = None
    category: ResultCategory | None = None
    owner: Owner | None = None
    since: float | None = None
    until: float | None = None
    contacts: frozenset[str] | None = None
    name: str | None = None

    def columns(self) -> Iterator[tuple[str, Sequence[str | int]]]:
        """The columns of an item of which the values are limited, each with the values that are allowed."""
        wanted = (
            ("cause", self.cause and self.cause.value),
            ("code", self.code),
            ("subcode", self.subcode),
            ("event", self.event),
            ("category", self.category and self.category.value),
            ("acts", self.owner and self.owner.value),
        )
        yield from ((name, (value,)) for name, value in wanted if value is not None)
        if self.disposition is not None:
            yield "retry", [each.value for each in RetryClass if each.disposition is self.disposition]
        if self.contacts is not None:
            yield "contact", sorted(self.contacts)


class Found(NamedTuple):
    """One page of the calls that were asked for, the newest first, and how many there are on all pages."""

    calls: Sequence[Traces]
    total: int
