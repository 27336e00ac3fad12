"""A change of dead letters knows the letters that it took, while a person may take it back."""

from __future__ import annotations

from ringback.work.items import Before, Progress
from ringback.work.letters import Act, LetterChange, Standing, standing, taken_back

PROGRESS = Progress(done=("a",), failed={"b": "no"}, tries={"b": 3}, first_sent=9.0, generation=2)


def test_a_change_with_a_name_can_be_told() -> None:
    """By its name alone; one without a name is final."""
    change = LetterChange(Act.REPLAY, 9.0, "one")
    before = change.before(3, "b: no", 5.0, PROGRESS)
    assert before == Before("one", 3, "b: no", 5.0, PROGRESS)
    waits = PROGRESS.for_replay(before)
    assert waits == Progress(done=("a",), first_sent=9.0, generation=2, replayed=True, before=before)
    assert change.made(waits) is before
    assert LetterChange(Act.REPLAY, 9.0, "other").made(waits) is None
    assert change.made(PROGRESS) is None
    assert change.made(None) is None
    assert LetterChange(Act.DISCARD, 9.0).before(3, "b: no", 5.0, PROGRESS) is None


def test_a_worker_that_begins_forgets_what_was_before() -> None:
    """From then on nobody takes the change back."""
    before = Before("one", 3, "b: no", 5.0, PROGRESS)
    assert PROGRESS.for_replay(before).without_change() == PROGRESS.for_replay()
    assert PROGRESS.without_change() is PROGRESS


def test_a_letter_that_was_taken_back_keeps_the_name_alone() -> None:
    """It is as it was; whoever takes the same change back again is told of it, and the next change forgets it."""
    first, second = LetterChange(Act.REPLAY, 9.0, "one"), LetterChange(Act.DISCARD, 9.0, "two")
    before = first.before(3, "b: no", 5.0, PROGRESS)
    assert before is not None
    back = taken_back(before)
    assert back.without_change() == PROGRESS
    assert first.made(back) == Before("one", 3, "b: no", 5.0, Progress())
    assert second.before(3, "b: no", 5.0, back) == Before("two", 3, "b: no", 5.0, PROGRESS)


def test_the_standing_says_when_the_first_letter_takes_effect() -> None:
    """A form that was sent twice may have made two times of one change."""
    assert standing([9.0, 8.0, 9.5], 2) == Standing(3, 2, 8.0)
    assert standing([], 0) == Standing(0, 0, None)
    assert LetterChange(Act.REPLAY, 100.0, "one").span() == (40.0, 160.0)
