"""A change of dead letters knows the letters that it took, while a person may take it back."""

from __future__ import annotations

from ringback.work.items import Before, Progress
from ringback.work.letters import Act, LetterChange

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
    assert PROGRESS.for_replay(before).begun() == PROGRESS.for_replay()
    assert PROGRESS.begun() is PROGRESS
