"""Puts that share a transaction are what they are one after the other."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from functools import cache
from itertools import chain
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crew import item, whole
from ringback.core.events import Event, EventData, Result
from ringback.core.outcome import classify_event
from ringback.stores.sqlite import rows, schema
from ringback.work.items import Item, Kind
from ringback.work.latch import Offer

legs = st.sampled_from(["a", "b", "c", None])
reports = st.builds(
    lambda name, leg, call, code, context: Event(
        type=f"Microsoft.Communication.{name}",
        id=f"event-{name}-{leg}-{call}",
        data=EventData(
            call_connection_id=leg,
            correlation_id=call,
            operation_context=context,
            result_information=None if code is None else Result(code, 0),
        ),
    ),
    st.sampled_from(["CallDisconnected", "CallDisconnected", "CreateCallFailed", "CallEnded", "PlayFailed"]),
    legs,
    st.sampled_from(["x", "y", None]),
    st.sampled_from([None, 200, 486]),
    st.sampled_from([None, "order"]),
)


Puts = Sequence[Sequence[Item]]


@cache
def empty() -> bytes:
    """A file with the schema and no rows: to make the schema anew is most of what an example would cost."""
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        for statement in chain.from_iterable(schema.MIGRATIONS):
            connection.execute(statement)
        return connection.serialize()


def kept_by(earlier: Puts, puts: Puts, *, together: bool) -> tuple[list[list[Offer]], list[tuple[Any, ...]]]:
    """What a file that has the earlier items says to these puts, one after the other or all at once, and then has."""
    connection = sqlite3.connect(":memory:", isolation_level=None)
    connection.row_factory = sqlite3.Row
    connection.deserialize(empty())

    def put(several: Puts) -> list[list[Offer]]:
        return rows.put(connection, [[rows.row_of(each, 9.0) for each in items] for items in several])

    for each in earlier:
        put([each])
    offers = put(puts) if together else [[put([[each]])[0][0] for each in items] for items in puts]
    found = connection.execute("SELECT * FROM items ORDER BY key").fetchall()
    connection.close()
    return offers, [tuple(row)[1:] for row in found]


@given(
    st.lists(reports, max_size=3),
    st.lists(st.lists(reports, min_size=1, max_size=4), min_size=1, max_size=8)
    | st.lists(reports.map(lambda one: [one]), min_size=1),
)
def test_puts_that_share_a_transaction_are_what_they_are_one_after_the_other(
    before: list[Event], events: list[list[Event]]
) -> None:
    """New, merged, repeated, yielding: the same answers and the same rows, whoever else puts at the same time."""
    earlier, *puts = [
        [Item(each.outcome_id, Kind.OUTCOME, 1.0, each) for each in map(classify_event, put) if each is not None]
        for put in (before, *events)
    ]
    singly = [[each] for each in earlier]
    assert kept_by(singly, puts, together=True) == kept_by(singly, puts, together=False)


def test_a_call_whose_key_is_a_hash_yields_as_any_other() -> None:
    """The key of a whole call's end is a hash where the id is long."""
    call = "c" * 300
    legs = [[item(f"leg-{number}", call=call)] for number in range(3)]
    one_by_one = kept_by([[whole(call)]], legs, together=False)
    assert kept_by([[whole(call)]], legs, together=True) == one_by_one
    states = [row[2] for row in one_by_one[1]]
    assert sorted(states) == ["canceled", "ready", "ready", "ready"]


def test_a_leg_without_an_id_and_its_call_are_what_they_are_one_after_the_other() -> None:
    """The leg has the key of the whole call's end, with which it merges before another leg comes."""
    nameless = item(None, call="call-1")
    puts = [[nameless], [item("leg-1", call="call-1")]]
    offers, kept = kept_by([[whole("call-1")]], puts, together=True)
    assert offers == [[Offer.MERGED], [Offer.OPENED]]
    assert (offers, kept) == kept_by([[whole("call-1")]], puts, together=False)


@pytest.mark.parametrize("count", [2, 3, 32, 33, 65])
def test_many_rows_take_few_statements(count: int) -> None:
    """One for each 32, with whatever number of rows; none has more parameters than an old SQLite takes."""
    many = [[item(f"leg-{number}")] for number in range(count)]
    offers, kept = kept_by([], many, together=True)
    assert offers == [[Offer.OPENED]] * count
    assert len(kept) == count
    assert kept_by([], many, together=False) == (offers, kept)
    assert max(statement.count("?") for statement in rows._INSERTS.values()) == 32 * 23 <= 999


def test_of_many_rows_each_is_told_what_it_is() -> None:
    """Also where some were there before, in the first 32 and in those that follow."""
    many = [[item(f"leg-{number}")] for number in range(50)]
    offers, kept = kept_by([many[number] for number in (0, 31, 32, 49)], many, together=True)
    assert [number for number, (offer,) in enumerate(offers) if offer is Offer.DUPLICATE] == [0, 31, 32, 49]
    assert [offer for (offer,) in offers].count(Offer.OPENED) == 46
    assert len(kept) == 50
