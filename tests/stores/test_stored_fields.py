"""Nothing of an outcome is lost on its way through a store: a law over every field of it, and every store."""

from __future__ import annotations

import dataclasses
from enum import Enum
from types import NoneType, UnionType
from typing import TYPE_CHECKING, Annotated, Any, Union, get_args, get_origin, get_type_hints

import pytest
from msgspec import Struct
from msgspec.structs import fields

from crew import worked
from ringback.core.events import Event, parse_delivery
from ringback.core.outcome import Outcome, classify, classify_event
from ringback.exceptions import NoRawBytes
from ringback.testing import call_disconnected, delivery
from ringback.work.items import Item, Kind
from ringback.work.latch import Offer
from ringback_catalog import Entry

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ringback.work.delivery_store import DeliveryStore

TYPES = {1: "Microsoft.Communication.CallDisconnected", 2: "Microsoft.Communication.CreateCallFailed"}
LEG = "1f0e5c1a-0000-4000-8000-000000000001"
ONE_OF_TWO = "an event of the one kind has no details of the other"
NOT_STORED = {
    "event._origin": "the raw bytes are the request's",
    "event.data.media_streaming_update.transcription_status_details": ONE_OF_TWO,
    "event.data.transcription_update.media_streaming_status_details": ONE_OF_TWO,
    "sibling": "what a merge makes, and a merge is what is tested here",
}
"""What a record has no place for, and why."""


def made(kind: Any, path: str, side: int) -> Any:
    """A value of this type, that no other path and no other side has."""
    if path in NOT_STORED:
        return None
    if path == "event.type":
        return TYPES[side]
    if path == "event.data.call_connection_id":
        return LEG
    if get_origin(kind) is Annotated:
        return made(get_args(kind)[0], path, side)
    if get_origin(kind) in (Union, UnionType):
        return made(next(each for each in get_args(kind) if each is not NoneType), path, side)
    if issubclass(kind, Struct):
        return kind(**{each.name: made(each.type, f"{path}.{each.name}".lstrip("."), side) for each in fields(kind)})
    if kind is Entry:
        return classify(TYPES[side], *{1: (486, 560486), 2: (487, 10004)}[side]).verdict.entry
    if dataclasses.is_dataclass(kind):
        hints = get_type_hints(kind)
        return kind(
            **{each.name: made(hints[each.name], f"{path}.{each.name}", side) for each in dataclasses.fields(kind)}
        )
    if issubclass(kind, Enum):
        return list(kind)[-side]
    if kind is bool:
        return True
    if kind is int:
        return sum(path.encode()) * side
    assert kind is str, f"{path}: say how a {kind} is made"
    return f"{path} {side}"


def leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Every field of a value, and of its fields."""
    if isinstance(value, Struct) or (dataclasses.is_dataclass(value) and not isinstance(value, Entry)):
        names = [each.name for each in (fields(value) if isinstance(value, Struct) else dataclasses.fields(value))]
        for name in names:
            yield from leaves(getattr(value, name), f"{path}.{name}".lstrip("."))
    else:
        yield path, value


ONE, OTHER = (made(Outcome, "", side) for side in (1, 2))


def item(outcome: Outcome) -> Item:
    return Item(outcome.outcome_id, Kind.OUTCOME, 0.0, outcome)


def test_every_field_has_a_value() -> None:
    """The premise: a field that is added has a value here, or stands in the table of those that are not stored."""
    empty = {path for path, value in leaves(ONE) if value is None}
    assert empty == NOT_STORED.keys()
    same = {path for (path, one), (_, other) in zip(leaves(ONE), leaves(OTHER), strict=True) if one == other}
    assert same == {*NOT_STORED, "event.data.call_connection_id", "attempts_exhausted"}


@pytest.mark.parametrize("outcome", [ONE, OTHER], ids=["one", "other"])
async def test_what_is_put_is_claimed(store: DeliveryStore, outcome: Outcome) -> None:
    """Every field of it."""
    await store.put([item(outcome)])
    (claim,) = await worked(store, 1)
    assert claim.item.outcome == outcome


@pytest.mark.parametrize("puts", [(ONE, OTHER), (OTHER, ONE)], ids=["as_they_came", "reversed"])
@pytest.mark.parametrize("together", [True, False])
async def test_what_is_put_twice_is_claimed_as_merged(
    store: DeliveryStore, puts: tuple[Outcome, Outcome], together: bool
) -> None:
    """Every field of what :meth:`Outcome.merged_with` makes of the two, whichever comes first."""
    items = [item(each) for each in puts]
    offers = await store.put(items) if together else [(await store.put([each]))[0] for each in items]
    assert list(offers) == [Offer.OPENED, Offer.MERGED]
    (claim,) = await worked(store, 1)
    merged = puts[0].merged_with(puts[1])
    assert merged == OTHER.merged_with(ONE)
    assert dict(leaves(claim.item.outcome)) == dict(leaves(merged))
    assert isinstance(merged.sibling, Event)


async def test_the_bytes_of_a_body_wait_in_memory_alone(store: DeliveryStore) -> None:
    """A store on a disk keeps no body, and whoever asks its outcomes for the bytes is told so."""
    (event,) = parse_delivery(delivery(call_disconnected(486, 560486))).events
    outcome = classify_event(event)
    assert outcome is not None
    await store.put([item(outcome)])
    (claim,) = await worked(store, 1)
    if store.durable:
        with pytest.raises(NoRawBytes):
            _ = claim.item.outcome.event.raw
    else:
        assert claim.item.outcome.event.raw == event.raw != b""
