"""The upgrade notes say of each changed verdict what this release answers, and which schema its stores have."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from ringback import classify
from ringback.stores.sqlite import schema as sqlite

PAGE = (Path(__file__).parents[2] / "docs" / "upgrading.md").read_text("utf-8")
ROWS = re.findall(
    r"^\| (\d+)/(\d+)(?:, Q\.850 (\d+))? \| `(\w+)` `(\w+)` \| `(\w+)` `(\w+)` \| [^|]+ \|$", PAGE, re.MULTILINE
)


@pytest.mark.parametrize(("code", "subcode", "q850", "cause_before", "retry_before", "cause", "retry"), ROWS)
def test_a_changed_verdict_is_what_the_catalog_says(
    code: str, subcode: str, q850: str, cause_before: str, retry_before: str, cause: str, retry: str
) -> None:
    """And it is another one than before."""
    found = classify("CallDisconnected", code, subcode, q850=int(q850) if q850 else None)
    assert (found.cause.value, found.retry_class.value) == (cause, retry) != (cause_before, retry_before)


def test_the_table_of_verdicts_is_read() -> None:
    assert len(ROWS) == 9


def test_what_asks_for_an_operation_never_dials() -> None:
    """The results that the page names."""
    named = re.findall(
        r"(\d+)/(\d+)", PAGE.partition("| Why |")[2].partition("and their like")[0].rpartition("\n\n")[2]
    )
    assert len(named) == 3
    assert {classify("CallDisconnected", *pair).retry_action.value for pair in named} == {"repeat_operation"}


def test_the_schemas_are_those_of_the_stores() -> None:
    postgres = pytest.importorskip("ringback.stores.postgres.schema", exc_type=ImportError)
    schemas = (sqlite.VERSION, postgres.VERSION)
    assert f"| schema of 0.2.0 | {schemas[0]} | {schemas[1]} |" in PAGE
