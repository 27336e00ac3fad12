"""What the attempts at an item came to is told by hook."""

from __future__ import annotations

from typing import Any

import pytest

from ringback.work.hook_runs import EXHAUSTED, TOLD_WITHOUT_CONTACT, hook_runs, returned_in, tries_in
from ringback.work.items import Progress


@pytest.mark.parametrize(
    ("progress", "expected"),
    [
        (Progress(), ()),
        (Progress(done=("a", "r (contact)", EXHAUSTED, TOLD_WITHOUT_CONTACT)), (("a", "returned", 1, None, None),)),
        (Progress(failed={"a": "no"}, tries={"a": 2}), (("a", "given_up", 3, "no", None),)),
        (Progress(wait={"a": 9.0}, tries={"a": 1}), (("a", "waiting", 1, None, 9.0),)),
        (Progress(failed={"r (contact)": "no"}), (("r (contact)", "given_up", 1, "no", None),)),
    ],
)
def test_what_became_of_hooks(progress: Progress, expected: tuple[tuple[Any, ...], ...]) -> None:
    """With attempts; a plan of a redial is no hook, but a contact function that was given up is told."""
    runs = tuple((run.hook, run.result.value, run.attempts, run.reason, run.retry_at) for run in hook_runs(progress))
    assert runs == expected


def test_the_hooks_that_returned_are_named_without_the_marks() -> None:
    """An operator reads the names."""
    progress = Progress(done=("a", "r (contact)", EXHAUSTED, TOLD_WITHOUT_CONTACT, "b"), failed={"c": "no"})
    assert returned_in(progress) == ("a", "b")


@pytest.mark.parametrize(
    ("progress", "tries"),
    [
        (Progress(), 0),
        (Progress(done=("r (contact)", EXHAUSTED)), 0),
        (Progress(done=("a", "b"), tries={"b": 1}), 2),
        (Progress(done=("a",), failed={"b": "no"}, tries={"b": 4}, wait={"c": 9.0}), 5),
        (Progress(wait={"a": 9.0}, tries={"a": 1}), 1),
        (Progress(trying="a", tries={"a": 2}), 2),
        (Progress(first_sent=1.0, tries={"placing": 3}), 3),
    ],
)
def test_the_tries_of_an_item_are_those_of_the_function_that_was_called_most_often(
    progress: Progress, tries: int
) -> None:
    """An attempt that returned and one that was given up counts, and so does one that killed its worker."""
    assert tries_in(progress) == tries
