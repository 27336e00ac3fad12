"""Which dead letters and redials a person means."""

from __future__ import annotations

import pytest

from ringback import classify
from ringback.work.history import Waiting
from ringback.work.items import DeadLetter, Kind, Progress, State
from ringback.work.selection import EVERYTHING, Selection, reason_of
from ringback_catalog import Cause

BUSY = classify("CallDisconnected", 486, 560486)
LETTER = DeadLetter("call:1", Kind.OUTCOME, BUSY, 3, "no", 100.0, Progress(failed={"close": "no"}), "again", "bob")
REDIAL = Waiting("redial:call:1", Kind.REDIAL, State.READY, 100.0, 0, BUSY, "bob", "again", 2)

BOTH = {
    "everything": (EVERYTHING, True),
    "cause": (Selection(cause=Cause.BUSY), True),
    "another cause": (Selection(cause=Cause.NO_ANSWER), False),
    "code": (Selection(code=486), True),
    "another subcode": (Selection(code=486, subcode=0), False),
    "contact": (Selection(contacts=frozenset({"bob", "eve"})), True),
    "another contact": (Selection(contacts=frozenset({"eve"})), False),
    "function": (Selection(hook="again"), True),
    "another function": (Selection(hook="never"), False),
    "one of two": (Selection(code=486, hook="never"), False),
}


@pytest.mark.parametrize(("chosen", "fits"), BOTH.values(), ids=BOTH)
def test_all_that_is_given_must_fit(chosen: Selection, fits: bool) -> None:
    """A letter and a redial alike."""
    assert chosen.has_letter(LETTER) is chosen.has_redial(REDIAL) is fits


def test_a_letter_is_chosen_by_its_hook_and_its_time() -> None:
    """Only a hook that was given up; the time itself is in."""
    assert Selection(hook="close", since=100.0).has_letter(LETTER)
    assert not Selection(since=100.1).has_letter(LETTER)
    assert Selection(until=100.0).has_letter(LETTER)
    assert not Selection(until=99.9).has_letter(LETTER)


def test_a_letter_is_chosen_by_its_group() -> None:
    """By the name that the group has in every process."""
    name = reason_of(LETTER).name
    assert name == "2c3d96cd72c38b1b"
    assert Selection(group=name).has_letter(LETTER)
    assert not Selection(group="0" * 16).has_letter(LETTER)


@pytest.mark.parametrize(
    ("chosen", "words"),
    [
        (EVERYTHING, "all"),
        (Selection(cause=Cause.BUSY, code=486, subcode=560486), "cause busy, code 486, subcode 560486"),
        (Selection(hook="close", since=0.0), "hook close, since 1970-01-01T00:00:00Z"),
        (Selection(contacts=frozenset({"bob", "eve"})), "one contact"),
        (Selection(group="ab", until=60.0), "group ab, until 1970-01-01T00:01:00Z"),
    ],
)
def test_what_is_chosen_is_said_without_the_contact(chosen: Selection, words: str) -> None:
    """For the log."""
    assert chosen.words() == words


def test_a_redial_is_chosen_by_when_it_is_due() -> None:
    """The time itself is in."""
    assert Selection(due=100.0).has_redial(REDIAL)
    assert not Selection(due=99.9).has_redial(REDIAL)


def test_what_cannot_be_read_has_neither_cause_nor_code() -> None:
    """It is chosen where neither is asked for."""
    broken = Waiting("redial:call:1", Kind.REDIAL, State.READY, 100.0, 0, None)
    assert EVERYTHING.has_redial(broken)
    assert not Selection(code=486).has_redial(broken)
    assert not Selection(cause=Cause.UNKNOWN).has_redial(broken)
