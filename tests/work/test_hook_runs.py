"""What the attempts at an item came to is told by hook."""

from __future__ import annotations

from typing import Any

import pytest

from ringback.work.hook_runs import EXHAUSTED, TOLD_WITHOUT_CONTACT, hook_runs
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
