"""Ready-made overrides load, whatever the numbers."""

from __future__ import annotations

import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ringback.console.entries import stanza
from ringback_catalog import Catalog, Cause, Owner, RetryClass

NUMBER = st.none() | st.integers(-(2**31), 2**31 - 1) | st.integers(0, 999)


@given(
    NUMBER, NUMBER, st.sampled_from(Cause), st.none() | st.sampled_from(RetryClass), st.none() | st.sampled_from(Owner)
)
def test_whatever_is_offered_loads(code, subcode, cause, retry, owner):
    """Or nothing is offered."""
    block = stanza(code, subcode, cause, retry, owner)
    if block is not None:
        Catalog.default().with_overrides(tomllib.loads(block))


def test_it_repeats_what_the_catalog_assumes():
    """So that pasting it changes nothing."""
    row = tomllib.loads(stanza(486, 999999, "busy", "later", "callee"))["entry"][0]
    assert row == {
        "code": 486,
        "subcode": 999999,
        "cause": "busy",
        "retry": "later",
        "owner": "callee",
        "summary": "Say in one line what happened.",
        "advice": ["Say what to do about it."],
        "refine": True,
    }


def test_an_impossible_verdict_becomes_the_neutral_one():
    """A row that ends as intended cannot be a fault."""
    row = tomllib.loads(stanza(799, 1, "busy", "none", "app"))["entry"][0]
    assert (row["cause"], row["retry"], row["owner"]) == ("unknown", "after_fix", "app")


@pytest.mark.parametrize("pair", [(None, None)])
def test_no_numbers_no_row(pair):
    """There is nothing to override by."""
    assert stanza(*pair) is None
