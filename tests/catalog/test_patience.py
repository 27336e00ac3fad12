"""How long to wait: a row's words and its number say the same."""

import re

import pytest

from ringback_catalog import Disposition, Entry, RetryAfter
from ringback_catalog._load import load_entries

SECONDS = {"second": 1, "minute": 60, "hour": 3600}
# What a reader takes from the words, always the least of a span: "ten to fifteen minutes" is ten.
COUNTS = {
    "a": 1,
    "an": 1,
    "one": 1,
    "two": 2,
    "three": 3,
    "a few": 3,
    "five": 5,
    "some": 5,
    "several": 5,
    "ten": 10,
    "fifteen": 15,
    "twenty": 20,
    "thirty": 30,
}
WHOLE = {"half a minute": 30, "a quarter of an hour": 900, "half an hour": 1800, "tomorrow": 86400}
# "a second or two" is a wait, "a second call" is not one.
WAIT = re.compile(
    rf"(?:\b(?:in|after|about|say|wait|or|once)|[,;]) (?:(?P<whole>{'|'.join(WHOLE)})"
    rf"|(?P<count>{'|'.join(sorted(COUNTS, key=len, reverse=True))}) (?:(?:to|or) \w+ )?"
    r"(?P<unit>seconds?(?= or\b|s\b|\b(?! \w))|seconds|minutes?|hours?)(?: or two)?\b)|call again (?P<day>tomorrow)",
    re.IGNORECASE,
)
AGAIN = re.compile(r"\b(?:again|back|repeat|wait|slow)\b", re.IGNORECASE)
GROWS = re.compile(r"\b(?:double|widen|wider|growing|longer (?:and longer )?(?:pauses|gaps)|longer gaps)\b")

ENTRIES = load_entries()


def advised(entry: Entry) -> RetryAfter | None:
    """The wait that the first step to name one advises."""
    for step in entry.advice:
        found = WAIT.search(step)
        if found is None or not AGAIN.search(step):
            continue
        whole = found["whole"] or found["day"]
        if whole:
            seconds = WHOLE[whole.lower()]
        else:
            seconds = COUNTS[found["count"].lower()] * SECONDS[found["unit"].lower().removesuffix("s")]
        return RetryAfter(seconds, 2.0 if GROWS.search(step) else 1.0)
    return None


def test_the_advice_and_the_number_agree() -> None:
    """Who reads the advice and who obeys the number wait equally long; no number without words, no words without."""
    retryable = [entry for entry in ENTRIES if entry.disposition is Disposition.RETRYABLE]
    assert [(entry.key, entry.retry_after) for entry in retryable if entry.retry_after != advised(entry)] == []


def test_most_waits_are_said() -> None:
    """The rows that name five minutes and more are not few: a redial after half a minute contradicts them."""
    long = [entry for entry in ENTRIES if entry.retry_after is not None and entry.retry_after.seconds >= 300]
    assert len(long) >= 31


@pytest.mark.parametrize(
    ("step", "wait"),
    [
        ("Call again in about ten minutes.", RetryAfter(600)),
        ("Call again in ten to fifteen minutes, with growing pauses.", RetryAfter(600, 2.0)),
        ("Call again in half an hour or so.", RetryAfter(1800)),
        ("Call again in an hour or two.", RetryAfter(3600)),
        ("Play the prompt again after a second or two.", RetryAfter(1)),
        ("Call again tomorrow; repairs take time.", RetryAfter(86400)),
        ("After a second miss, repeat it.", None),
        ("Open a case when it lasts longer than an hour.", None),
        ("Call again at another time of day.", None),
    ],
)
def test_how_words_are_read(step: str, wait: RetryAfter | None) -> None:
    """The reading itself, so that a row is not tested by chance."""
    assert advised(type("Row", (), {"advice": (step,)})) == wait  # type: ignore[arg-type]
