"""What a person or an app asks of the calls in a store: the record of one call, and lists of calls."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from msgspec import Struct
from msgspec.structs import replace

from ringback.core.delivery import BIGGEST
from ringback.exceptions import ConfigurationError
from ringback.hooks.planning import names_of
from ringback.work.call_detail import CallDetailRecord, Leg  # noqa: TC001 - msgspec reads the annotations
from ringback.work.call_fold import folded
from ringback.work.history import CallFilter, Found
from ringback.work.keys import END
from ringback_catalog import Cause, Disposition, Owner, ResultCategory, event_name

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

    from ringback.core.literals import CategoryName, CauseName, DispositionName, OwnerName
    from ringback.hooks.registration import RedialRegistration
    from ringback.work.delivery_store import DeliveryStore

W = TypeVar("W", bound=StrEnum)

PAGE = 50
"""Calls of one page by default."""

MOST = 1000
"""Calls of one page at most."""


class CallPage(Struct, frozen=True):
    """One page of calls that ended, the newest first, and how many calls there are on all pages. Each leg is a call."""

    calls: tuple[Leg, ...]
    total: int
    offset: int = 0

    def to_dict(self) -> dict[str, Any]:
        """The page as JSON-ready values, redacted."""
        return {"total": self.total, "offset": self.offset, "calls": [leg.to_dict() for leg in self.calls]}


@dataclass(frozen=True, slots=True)
class CallRecords:
    """The records of the calls in one store. ``redials`` are those of a router that hashes its contacts.

    ``before`` is awaited before each question: it has the store keep what the process has heard last. A store in memory
    remembers the calls of an app without hooks from the first question on. Every method raises as the store does.
    """

    store: DeliveryStore
    redials: Iterable[RedialRegistration] = ()
    before: Callable[[], Awaitable[object]] | None = None

    async def record(self, name: str) -> CallDetailRecord | None:
        """The record of the call with this id; ``None`` if the store knows none.

        ``name`` is the call connection id of any leg, the correlation id, the operation context that the app set, a
        server call id, the id of an event, or an ``outcome_id``. Of several calls with one operation context the record
        is that of the call whose event came last. An event's id and a server call id have no index, so that a large
        store searches for long. A GUID may be in capitals or in braces.
        """
        await self._begin()
        for each in _names(name):
            found = await self.store.call(each)
            if found is not None:
                return folded(found)
        return None

    async def list(
        self,
        *,
        cause: Cause | CauseName | None = None,
        code: int | Literal["none"] | None = None,
        subcode: int | Literal["none"] | None = None,
        event: str | None = None,
        disposition: Disposition | DispositionName | None = None,
        category: ResultCategory | CategoryName | None = None,
        owner: Owner | OwnerName | None = None,
        since: float | datetime | None = None,
        until: float | datetime | None = None,
        contact: str | None = None,
        search: str | None = None,
        intended: bool | None = None,
        recognized: bool | None = None,
        limit: int = PAGE,
        offset: int = 0,
        oldest_first: bool = False,
    ) -> CallPage:
        """A page of the calls that ended and meet every condition that is given, the newest first, or the oldest.

        ``since`` and ``until`` are about the time when the store got the end: seconds since the epoch, or a datetime
        with a time zone; ``until`` is not in. ``contact`` is the key that the app's contact function returns.
        ``search`` is any id, as for :meth:`record`. ``code`` and ``subcode`` may be ``"none"``, for calls without one.
        ``intended``: whether the calls ended as intended, whatever their disposition. ``recognized``: whether the
        catalog has an entry for their result. At most ``limit`` calls, after the first ``offset`` of them: pass
        ``until`` as well, so that calls that end meanwhile move no page. Raises :class:`ConfigurationError` for a value
        that no call can have.
        """
        if not 1 <= limit <= MOST:
            raise ConfigurationError(f"limit {limit!r} is no page; give a number of calls from 1 to {MOST}")
        if offset < 0:
            raise ConfigurationError(f"offset {offset!r} is no place in a list; give 0 or more")
        chosen = CallFilter(
            cause=_word("cause", Cause, cause),
            code=_number("code", code),
            subcode=_number("subcode", subcode),
            event=None if event is None else event_name(event),
            disposition=_word("disposition", Disposition, disposition),
            category=_word("category", ResultCategory, category),
            owner=_word("owner", Owner, owner),
            since=_second("since", since),
            until=_second("until", until),
            contacts=None if contact is None else names_of(self.redials, contact),
            intended=intended,
            recognized=recognized,
        )
        await self._begin()
        found = Found((), 0)
        for each in (None,) if search is None else _names(search):
            asked = replace(chosen, name=each)
            found = await self.store.history.calls(asked, limit, offset, oldest_first=oldest_first)
            if found.total:
                break
        records = [record for each in found.calls if (record := folded(each)) is not None]
        return CallPage(tuple(leg for record in records for leg in record.legs), found.total, offset)

    async def _begin(self) -> None:
        # The first access has a store in memory remember the calls that no hook waits for.
        _ = self.store.history
        if self.before is not None:
            await self.before()


def _word(name: str, kind: type[W], given: W | str | None) -> W | None:
    """The member of the enumeration. Raises :class:`ConfigurationError` for a word that is none."""
    try:
        return None if given is None else kind(given)
    except ValueError:
        words = ", ".join(sorted(word.value for word in kind))
        raise ConfigurationError(f"{name} {given!r} is none; there are {words}") from None


def _number(name: str, given: int | Literal["none"] | None) -> int | Literal["none"] | None:
    if isinstance(given, int) and abs(given) > BIGGEST:
        raise ConfigurationError(f"{name} {given!r} is none that an event can carry; there are none beyond {BIGGEST}")
    return given


def _second(name: str, given: float | datetime | None) -> float | None:
    if isinstance(given, datetime):
        if given.tzinfo is None:
            raise ConfigurationError(f"{name} {given!r} has no time zone; pass datetime.now(UTC) or the like")
        return given.timestamp()
    return given


def _names(text: str) -> list[str]:
    """The spellings in which a store may have a typed id: as it is, and a GUID without braces, and in small letters."""
    # No store can keep half a surrogate pair, nor NUL.
    typed = text.strip().encode("utf-8", "replace").decode().replace("\0", "\ufffd")
    guid = _GUID.fullmatch(typed)
    names = (typed,) if guid is None else (typed, bare := guid["kind"] + guid["id"], bare.lower())
    return list(dict.fromkeys(names))


_GUID = re.compile(
    rf"(?P<kind>(?:{END})?)\{{?\s*(?P<id>[0-9a-fA-F]{{8}}(?:-[0-9a-fA-F]{{4}}){{3}}-[0-9a-fA-F]{{12}})\s*\}}?"
)
"""A GUID as a person may have it, perhaps in the key of an end."""
