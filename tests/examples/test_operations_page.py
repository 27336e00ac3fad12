"""The example of the operations page, without a browser: a day of calls, the page over it, one more call."""

from __future__ import annotations

import asyncio
import re
import sqlite3
from contextlib import closing
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from ringback.testing import Call, call_event

pytest.importorskip("jinja2")

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

NOW = datetime(2026, 3, 5, 9, tzinfo=UTC).timestamp()


@pytest.mark.untraced
async def test_the_day_is_the_same_in_every_run(example: Callable[[str], Any], tmp_path: Path) -> None:
    """Whatever the time of day: the same calls, dead letters, redials and waiting hooks."""
    day = example("operations_page.day")
    found: list[list[tuple[Any, ...]]] = []
    for name, now in (("one.db", NOW), ("two.db", NOW + 40_000)):
        await day.fill(tmp_path / name, now, calls=1_500)
        with closing(sqlite3.connect(tmp_path / name)) as connection:
            found.append(
                connection.execute(
                    "SELECT key, kind, state, code, subcode, cause, duplicates, round(created_at - ?) FROM items "
                    "ORDER BY id",
                    (now,),
                ).fetchall()
            )
    assert found[0] == found[1]
    counts = [sum(row[1:3] == kind for row in found[0]) for kind in (("redial", "ready"), ("outcome", "dead"))]
    assert counts == [14, 3]
    assert sum(row[5] is not None for row in found[0]) == 1_500


@pytest.mark.untraced
async def test_the_page_shows_the_day_and_what_comes(
    example: Callable[[str], Any], serving: Callable[[Any], Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only to who knows the password; a new call is told to the team and counted."""
    app = example("operations_page.app")
    file, password = tmp_path / "ringback.db", "correct horse battery staple"
    await example("operations_page.day").fill(file, datetime.now(UTC).timestamp(), calls=400)
    call = Call(operation_context="customer-new")
    event = call_event("CallDisconnected", 200, 560000, call=call)
    async with serving(app.create_app(file, password=password, settle=0.01)) as address, httpx.AsyncClient() as client:
        assert (await client.get(f"{address}/ringback/")).status_code == 401
        assert (await client.post(f"{address}/api/callbacks", json=[event])).status_code == 204
        # The hook is the app's own, and tells nobody else.
        while f"call:{call.call_connection_id}" not in {key.partition("/")[0] for key in app.told}:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        ended: list[str] = []
        while ended != ["401"]:
            # The page counts whole seconds, and reads the store every two seconds at most.
            page = await client.get(f"{address}/ringback/", auth=("on-call", password))
            assert page.status_code == 200
            ended = re.findall(r'data-figure="ended.range"[^>]*>(\d+)<', page.text)
            assert ended in (["400"], ["401"])
            await asyncio.sleep(0.1)
    assert 'data-status="ok"' in page.text
