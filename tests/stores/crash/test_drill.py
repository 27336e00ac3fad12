"""The drill counts what it says it counts, and works: a short one, on SQLite."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

import drill

if TYPE_CHECKING:
    from collections.abc import Sequence

pytestmark = pytest.mark.untraced

A, B = 1, 2
GOOD, HANGS, DIES = "call:good-1", "call:hangs-2", "call:dies-3"


@pytest.mark.parametrize(
    ("facts", "found"),
    [
        ([(A, "begin", GOOD), (A, "end", GOOD)], {"returned": {GOOD}}),
        ([(A, "begin", GOOD), (A, "end", GOOD), (B, "begin", GOOD)], {"returned": {GOOD}, "twice": {GOOD}}),
        ([(A, "begin", GOOD), (A, "killed", "-"), (B, "begin", GOOD)], {"twice_after_a_death": {GOOD}}),
        ([(A, "begin", GOOD), (B, "begin", GOOD), (A, "killed", "-")], {"twice": {GOOD}}),
        ([(A, "begin", GOOD), (B, "killed", "-"), (A, "begin", GOOD)], {"twice": {GOOD}}),
        ([(A, "begin", HANGS), (B, "begin", HANGS)], {}),
        ([(A, "begin", GOOD), (A, "begin", DIES), (A, "ended", "-")], {}),
        ([(A, "begin", GOOD), (A, "ended", "-"), (B, "ended", "-")], {"ended": {A}}),
    ],
)
def test_what_the_journal_says(facts: Sequence[tuple[int, str, str]], found: dict[str, set[object]]) -> None:
    """A second run of a hook that returns needs the death of the earlier run's process between the two."""
    begun = {key for _, fact, key in facts if fact == "begin"}
    nothing: dict[str, set[object]] = {name: set() for name in drill.Runs._fields}
    assert drill.runs((0.0, *fact) for fact in facts)._asdict() == {**nothing, "begun": begun, **found}


def test_a_short_drill(capsys: pytest.CaptureFixture[str]) -> None:
    """It says its seed first and what it counted last, and passes; ``make drill`` is a longer one."""
    words = ["killed", "renamed", "log", "set"]
    faults = [argument for word in words for argument in ("--fault", word)]
    assert drill.main(["--minutes", "0.15", "--seed", "7", "--engine", "sqlite", *faults]) == 0
    first, *_, last = capsys.readouterr().out.splitlines()
    assert first == "seed 7"
    assert re.sub(
        r"(?<=acknowledged )\d+|(?<=begun )\d+|(?<=returned )\d+|(?<=died )\d+|(?<=between )\d+", "N", last
    ) == (
        "acknowledged N, begun N, returned N, dead letters 0, innocents among them 0, processes that died N, "
        "processes that ended by themselves 0, ran twice with a death in between N, ran twice without a death 0, lost 0"
    )
