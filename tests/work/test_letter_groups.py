"""Dead letters with equal reasons are one group, whatever each call has of its own."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ringback import classify
from ringback.work.items import DeadLetter, Kind, Progress
from ringback.work.selection import HELP, LONGEST, LetterGroup, Reason, grouped, help_for, normalized, reason_of
from ringback_catalog import Cause

BUSY = classify("CallDisconnected", 486, 560486)
GUID = "1f0e5c1a-0000-4000-8000-000000000001"


def letter(
    number: int,
    reason: str = "no",
    *,
    failed: dict[str, str] | None = None,
    target: str | None = None,
    readable: bool = True,
) -> DeadLetter:
    outcome = BUSY if readable else None
    progress = Progress(failed=failed or {})
    return DeadLetter(f"call:{number}", Kind.OUTCOME, outcome, 3, reason, float(number), progress, target)


@pytest.mark.parametrize(
    ("reason", "text"),
    [
        ("", ""),
        ("ValueError: no line", "ValueError: no line"),
        ("two\n  lines", "two lines"),
        ("ValueError: no line for order 12345 or 7", "ValueError: no line for order <number> or <number>"),
        ("took 30.5 s, then 1,024 ms", "took <number> s, then <number> ms"),
        ("Server error '503 Service Unavailable'", "Server error '503 Service Unavailable'"),
        ("Client error '429 Too Many Requests'", "Client error '429 Too Many Requests'"),
        ("HTTP 429, status code: 503, errno 111, SIP 486", "HTTP 429, status code: 503, errno 111, SIP 486"),
        ("the CRM answered 500 for order 17", "the CRM answered 500 for order <number>"),
        ("replied with 404, answered 12 times", "replied with 404, answered <number> times"),
        (
            "[Errno 111] Connect call failed ('192.0.2.7', 9000)",
            "[Errno 111] Connect call failed ('<address>', <number>)",
        ),
        ("for url 'https://crm.example/calls/17?a=b'", "for url '<url>'"),
        (f"no row {GUID.upper()}", "no row <id>"),
        ("KeyError: '9f86d081884c7d65'", "KeyError: '<id>'"),
        ("key order_2024abcdefghijk", "key <id>"),
        ("<Lock object at 0x7f00aa>", "<Lock object at <id>>"),
        ("at 2026-01-01T10:00:00.5Z and 2026-01-02", "at <time> and <time>"),
        ("no mail to ada@crm.example", "no mail to [email]"),
        ("to +1 555 555 0100", "to [phone]"),
        ("the worker died again, in attempt 3", "the worker died again, in attempt <number>"),
        ("a defaced facade", "a defaced facade"),
        ("x" * 400, "x" * LONGEST),
    ],
)
def test_what_a_call_has_of_its_own_does_not_count(reason: str, text: str) -> None:
    """Ids, addresses, times and numbers do; a status says why, and stays. What is private is redacted first."""
    assert normalized(reason) == text


@given(st.text(max_size=80))
def test_a_normal_reason_is_its_own_normal_form(reason: str) -> None:
    """Any text has one, in one line; a number never tells two reasons apart."""
    text = normalized(reason)
    assert text == normalized(reason + " ")
    assert "\n" not in text
    assert normalized(f"{reason} order 1 of 20") == normalized(f"{reason} order 33 of 4")


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        (letter(1, "crm: no", failed={"crm": "no 17"}), Reason("no <number>", ("crm",), Cause.BUSY)),
        (
            letter(1, "crm: no; mail: down", failed={"mail": "down", "crm": "no"}),
            Reason("down; no", ("crm", "mail"), Cause.BUSY),
        ),
        (letter(1, failed={"mail": "no", "crm": "no"}), Reason("no", ("crm", "mail"), Cause.BUSY)),
        (letter(1, "again: no line", target="again"), Reason("no line", ("again",), Cause.BUSY)),
        (letter(1, "no line", target="again"), Reason("no line", ("again",), Cause.BUSY)),
        (letter(1, "cannot be read", readable=False), Reason("cannot be read", (), None)),
    ],
)
def test_a_reason_has_its_hooks_and_its_cause(given: DeadLetter, reason: Reason) -> None:
    """Those that failed, else the redial function."""
    assert reason_of(given) == reason


def test_groups_have_their_number_and_their_times() -> None:
    """The largest first, of equal ones the newest; the example is the newest letter."""
    letters = [letter(1, "no 1"), letter(4, "no 4"), letter(2, "down"), letter(3, "up"), letter(0, "no 7")]
    assert grouped(letters) == (
        LetterGroup(Reason("no <number>", (), Cause.BUSY), 3, 0.0, 4.0, letters[1]),
        LetterGroup(Reason("up", (), Cause.BUSY), 1, 3.0, 3.0, letters[3]),
        LetterGroup(Reason("down", (), Cause.BUSY), 1, 2.0, 2.0, letters[2]),
    )
    assert grouped([]) == ()


@given(st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from("12"), st.booleans()), max_size=20))
def test_each_letter_is_in_one_group(kinds: list[tuple[str, str, bool]]) -> None:
    """And the name of a group is that of its reason alone."""
    letters = [
        letter(number, f"{word} {digit}", readable=readable) for number, (word, digit, readable) in enumerate(kinds)
    ]
    groups = grouped(letters)
    assert sum(group.count for group in groups) == len(letters)
    assert len({group.reason.name for group in groups}) == len(groups) == len({(k[0], k[2]) for k in kinds})


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("no hook of this name is registered in this worker", 0),
        ("no redial call_again is registered in this worker", 0),
        ("RuntimeError: the worker died while this hook ran, in attempt <number>", 1),
        ("a stored outcome cannot be read (x)", 2),
        ("an earlier attempt may have placed the call, too long ago to repeat it", 3),
        ("TimeoutError: ", 4),
        ("ConnectError: refused", 5),
        ("Server error '503 Service Unavailable'", 5),
        ("HTTP 429", 6),
        ("HTTP 403", 7),
        ("KeyError: 'x'", 8),
        ("GiveUp: no", 9),
        ("Retry: the hook asked to be called again", 10),
        ("RuntimeError: no", 11),
        ("", 11),
    ],
)
def test_there_is_always_something_that_would_help(text: str, number: int) -> None:
    """The first advice that fits the words."""
    assert help_for(Reason(text, (), None)) == HELP[number][1]
