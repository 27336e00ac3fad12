"""An address chooses calls by words, numbers and times, and says what is wrong with anything else."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ringback.console.filters import LONGEST, NAMES, address, chosen, pinned, stamp
from ringback.console.sealed import seal, unseal

NOW = 1_767_268_800.0
"""2026-01-01 12:00 UTC."""


def read(query: str) -> Any:
    return chosen(
        parse_qsl(query, keep_blank_values=True),
        NOW,
        lambda text: None if text == "~foreign" else text.removeprefix("~"),
    )


@pytest.mark.parametrize(
    ("query", "values"),
    [
        ("", {}),
        ("cause=busy", {"cause": "busy"}),
        ("cause=&code=", {}),
        ("code=486", {"code": 486}),
        ("code=486/560486", {"code": 486, "subcode": 560486}),
        ("code=none&subcode=0", {"code": "none", "subcode": 0}),
        ("subcode=-1", {"subcode": -1}),
        ("intended=no&recognized=yes", {"intended": False, "recognized": True}),
        ("event=CreateCallFailed&owner=carrier", {"event": "CreateCallFailed", "owner": "carrier"}),
        ("since=2h&until=30min", {"since": NOW - 7200, "until": NOW - 1800}),
        ("since=2025-12-31", {"since": NOW - 36 * 3600}),
        ("since=2026-01-01T13:00:00%2B02:00", {"since": NOW - 3600}),
        ("since=2026-01-01 11:00", {"since": NOW - 3600}),
        ("since=999999d", {"since": 0.0}),
        ("search= 1f0e ", {"search": "1f0e"}),
        ("contact=customer-1", {"contact": "customer-1"}),
    ],
)
def test_what_is_understood(query: str, values: dict[str, Any]) -> None:
    """As a list of calls takes it; a field of a form that was left empty chooses nothing."""
    found = read(query)
    assert (found.values, found.faults, found.page, found.oldest_first) == (values, (), 1, False)


@pytest.mark.parametrize(
    ("query", "fault"),
    [
        ("cuase=busy", f"'cuase' is no filter; there are {', '.join(NAMES)}"),
        ("disposition=maybe", "disposition 'maybe' is none; there are retryable, terminal"),
        ("intended=1", "intended '1' is none; there are yes, no"),
        ("order=random", "order 'random' is none; there are newest, oldest"),
        ("code=4 86", "code '4 86' is no number of a result; write for example 486, 486/560486 or none"),
        ("code=486/", "subcode '' is no number of a result; write for example 486, 486/560486 or none"),
        ("subcode=486/1", "subcode '486/1' is no number of a result; write for example 486, 486/560486 or none"),
        ("code=9999999999", "code '[phone]' is no number of a result; write for example 486, 486/560486 or none"),
        (
            "since=yesterday",
            "since 'yesterday' is no time; write for example 2026-01-15 09:30, which is in UTC, or 2h, or 3d",
        ),
        (
            "until=9999-12-31T23:59:59-12:00",
            "until '9999-12-31T23:59:59-12:00' is no time; "
            "write for example 2026-01-15 09:30, which is in UTC, or 2h, or 3d",
        ),
        ("page=0", "page '0' is none; give a number from 1 to 10000"),
        ("page=10001", "page '10001' is none; give a number from 1 to 10000"),
        ("cause=busy&cause=media", "cause is given twice; give it once"),
        ("code=1/2&subcode=3", "subcode is given twice; give it once"),
        ("since=1h&until=2h", "since is later than until; there is no time between them"),
        (
            "contact=~foreign",
            "contact is a stand-in that only the browser it was made for can use; type the contact again",
        ),
        ("event=" + "x" * 301, "event has 301 characters; give 300 at most"),
        ("cause=" + "x" * 301, "cause has 301 characters; give 300 at most"),
        ("search=~" + "x" * 301, "search has 301 characters; give 300 at most"),
        ("code=~foreign", "code is a stand-in that only the browser it was made for can use; type the code again"),
    ],
)
def test_what_is_wrong_is_said(query: str, fault: str) -> None:
    """The value, the rule, the remedy."""
    assert read(query).faults == (fault,)


def test_the_longest_value_fits_whatever_stands_for_it() -> None:
    """The limit is of what somebody typed: its stand-in may be several times as long."""
    longest = "\N{TELEPHONE SIGN}" * LONGEST
    sealed = seal(longest, "token")
    assert len(sealed) > 1000
    found = chosen([("search", sealed), ("event", "x" * LONGEST)], NOW, lambda text: unseal(text, "token"))
    assert (found.values, found.faults) == ({"search": longest, "event": "x" * LONGEST}, ())


def test_the_last_second_is_pinned_once() -> None:
    """For the pages of a list, its links and its files; an ``until`` of the address stays."""
    assert pinned(read("cause=busy"), NOW + 0.7) == {"cause": "busy", "until": NOW}
    assert pinned(read("until=1h"), NOW + 0.7) == {"until": NOW - 3600}


def test_every_fault_is_said_at_once() -> None:
    """So that a form is put right once; and nothing private is repeated."""
    faults = read("code=%2B15550100&cause=x&page=z&1%205550100=y").faults
    assert len(faults) == 4
    assert "15550100" not in "".join(faults)


@given(st.lists(st.tuples(st.sampled_from(NAMES) | st.text(max_size=5), st.text(max_size=20))))
def test_any_address_is_read(parameters: list[tuple[str, str]]) -> None:
    """Into values or faults."""
    found = chosen(parameters, NOW, lambda text: text)
    assert found.faults or found.values.keys() <= set(NAMES)


@given(
    st.fixed_dictionaries(
        {},
        optional={
            "cause": st.sampled_from(["busy", "unknown"]),
            "code": st.integers(-(2**31) + 1, 2**31 - 1) | st.just("none"),
            "subcode": st.integers(0, 999_999) | st.just("none"),
            "event": st.sampled_from(["CallDisconnected", "A&b=c ?"]),
            "intended": st.booleans(),
            "recognized": st.booleans(),
            "since": st.integers(0, int(NOW)).map(float),
            "until": st.integers(int(NOW), int(NOW) + 10**6).map(float),
            "search": st.text(st.characters(categories=["L", "N"]), min_size=1, max_size=9),
        },
    )
)
def test_an_address_says_what_it_was_made_of(conditions: dict[str, Any]) -> None:
    """What a page writes into a link, the list reads from it."""
    link = urlsplit(address(conditions))
    assert link.path == "calls"
    found = chosen(parse_qsl(link.query), NOW, lambda text: text)
    assert (found.values, found.faults) == (conditions, ())


def test_a_time_is_written_in_utc() -> None:
    """To the second."""
    assert stamp(NOW) == "2026-01-01T12:00:00Z"
    assert address({"since": NOW, "cause": None, "page": 2}) == "calls?since=2026-01-01T12:00:00Z&page=2"
    assert address({}) == "calls"
