"""What docs/redial.md tells a dialling team to paste does what the page says."""

from __future__ import annotations

import re
import sqlite3
import sys
from contextlib import closing
from datetime import date, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from ringback import RedialPolicy
from ringback.work.hours import hours_of

if TYPE_CHECKING:
    from collections.abc import Callable

    import pytest

PAGE = (Path(__file__).parents[2] / "docs" / "redial.md").read_text("utf-8")
BERLIN = ZoneInfo("Europe/Berlin")


def recipe(defines: str) -> dict[str, Any]:
    """The names that the block of the page with this definition makes."""
    (source,) = [block for block in re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL) if defines in block]
    names: dict[str, Any] = {"__name__": "recipe"}
    exec(source, names)
    return names


def may_call(names: dict[str, Any]) -> Callable[[str, datetime], Any]:
    function: Any = names["policy"].may_call
    return function  # type: ignore[no-any-return]


def test_nobody_is_called_on_a_holiday(monkeypatch: pytest.MonkeyPatch) -> None:
    """The call may come on the next day from nine; that day is asked about as well."""
    asked: list[tuple[str, str]] = []

    def country_holidays(country: str, subdiv: str) -> dict[date, str]:
        asked.append((country, subdiv))
        return {date(2026, 12, 25): "Christmas Day", date(2026, 12, 26): "Second Day of Christmas"}

    monkeypatch.setitem(sys.modules, "holidays", SimpleNamespace(country_holidays=country_holidays))
    ask = may_call(recipe("not_on_holidays"))
    assert asked == [("DE", "BE")]
    assert ask("customer-1", datetime(2026, 12, 24, 12, tzinfo=BERLIN)) is True
    for day in (25, 26):
        later = ask("customer-1", datetime(2026, 12, day, 12, tzinfo=BERLIN))
        assert later == datetime(2026, 12, day + 1, 9, tzinfo=BERLIN)


def test_nobody_on_the_table_is_called(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    ask, noon = may_call(recipe("not_on_the_list")), datetime(2026, 12, 24, 12, tzinfo=BERLIN)
    assert ask("customer-1", noon) is True
    with closing(sqlite3.connect("contacts.db")) as database, database:
        database.execute("INSERT INTO do_not_call VALUES ('customer-1')")
    assert (ask("customer-1", noon), ask("customer-2", noon)) == ("on the do-not-call list", True)


def test_the_policy_of_the_page_is_what_it_looks_like() -> None:
    policy = recipe("async def call_again")["policy"]
    assert policy.opened == hours_of({"mon-fri": ("09:00", "20:00"), "sat": ("10:00", "14:00")})
    assert policy.limits == (("max_per_day", 2, 86_400.0), ("caps", 8, 30 * 86_400.0))


def test_every_setting_for_a_usual_rule_is_taken() -> None:
    """The table's settings make policies."""
    table = PAGE.partition("## Settings for usual rules")[2].partition("\n## ")[0]
    settings = [found for found in re.findall(r"\| `(\w+=.*?)` \|", table) if "..." not in found]
    assert len(settings) == 6
    for setting in settings:
        policy = eval(
            f"RedialPolicy({setting})", {"RedialPolicy": RedialPolicy, "timedelta": __import__("datetime").timedelta}
        )
        assert policy != RedialPolicy()
