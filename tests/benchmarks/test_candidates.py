"""What is compared does the work that its row says."""

from __future__ import annotations

import asyncio
import io
import json
import math
from typing import TYPE_CHECKING, Any

import apps
import inprocess
import loglines
import pytest
import served
import soak
import structlog
import traffic

import ringback

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(autouse=True)
def sink(monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    """What is logged, instead of the null device."""
    written = io.StringIO()
    monkeypatch.setattr(loglines, "SINK", written)
    monkeypatch.setattr(loglines, "BYTES", _Bytes(written))
    return written


class _Bytes(io.BytesIO):
    """Writes as text what it is given as bytes."""

    def __init__(self, written: io.StringIO) -> None:
        super().__init__()
        self._written = written

    def write(self, given: Any) -> int:
        return self._written.write(bytes(given).decode())


async def logged(candidate: apps.Candidate, content: bytes, sink: io.StringIO, folder: Path) -> list[dict[str, Any]]:
    """The lines of one request, without their times."""
    with loglines.configuration(candidate.log):
        async with inprocess.running(candidate, folder) as (app, _):
            sink.truncate(0)
            sink.seek(0)
            authorization = candidate.token and candidate.token()
            assert await traffic.handle(app, content, authorization) == 200
            lines = [json.loads(line) for line in sink.getvalue().splitlines()]
    for line in lines:
        del line["timestamp"]
    return lines


@pytest.mark.parametrize(
    "name",
    [
        name
        for name, each in apps.CANDIDATES.items()
        if name.startswith(("ringback", "sample style, same"))
        and each.log not in (loglines.off, loglines.plain_logging)
    ],
)
async def test_all_log_the_same_lines(name: str, sink: io.StringIO, tmp_path: Path) -> None:
    """The samples' style "with the same work" has every key and every value that Ringback's line has."""
    content = traffic.body(2)
    reference = await logged(apps.CANDIDATES["ringback"], content, sink, tmp_path)
    lines = await logged(apps.CANDIDATES[name], content, sink, tmp_path)
    # Nobody announces the start of an app whose hooks are never called: that is said once, and counted nowhere.
    lines = [line for line in lines if line["event"] != "lifespan.missing"]
    assert lines == reference
    assert len(reference) == 2


@pytest.mark.parametrize(("name", "count"), [("sample style, as published", 2), ("sample style, through logging", 1)])
async def test_the_samples_log_what_they_log(name: str, count: int, sink: io.StringIO, tmp_path: Path) -> None:
    """Two lines of text for the end of a call, or one with its ids."""
    content = traffic.body(1)
    (event,) = ringback.parse_delivery(content).events
    told = await logged(served.ACKNOWLEDGED[name], content, sink, tmp_path)
    assert [line["level"] for line in told] == ["info"] * count
    assert str(event.data.call_connection_id) in str(told[0])


@pytest.mark.parametrize("setup", loglines.SETUPS)
async def test_the_sides_write_what_they_say_in_every_set_up(setup: str, sink: io.StringIO, tmp_path: Path) -> None:
    """Two lines of the samples to one of the others; in JSON the two others have the same keys."""
    content, written = traffic.body(1), dict[str, list[str]]()
    for side in apps.SIDES:
        candidate = apps.SIDE_BY_SIDE[f"{side}; {setup}"]
        with loglines.configuration(candidate.log):
            async with inprocess.running(candidate, tmp_path) as (app, _):
                await traffic.handle(app, content)
                written[side] = [line for line in sink.getvalue().splitlines() if "lifespan.missing" not in line]
                sink.truncate(0)
                sink.seek(0)
    assert {side: len(lines) for side, lines in written.items()} == {"ringback": 1, "samples": 2, "same work": 1}
    if setup != "plain logging":
        ours, theirs = (json.loads(written[side][0]) for side in ("ringback", "same work"))
        assert ours.keys() == theirs.keys()


@pytest.mark.parametrize("name", ["public app, a comparison a type", "public app, without CloudEvent"])
async def test_the_public_apps_say_which_call_has_ended(name: str, sink: io.StringIO, tmp_path: Path) -> None:
    """Whatever else they write."""
    content = traffic.body(1)
    (event,) = ringback.parse_delivery(content).events
    told = await logged(apps.CANDIDATES[name], content, sink, tmp_path)
    assert str(event.data.call_connection_id) in str(told[-1])


async def test_what_logs_nothing_writes_nothing(sink: io.StringIO, tmp_path: Path) -> None:
    """Not even at start-up, which comes before."""
    assert await logged(apps.CANDIDATES["ringback, log off"], traffic.body(2), sink, tmp_path) == []


def test_an_event_is_as_long_as_recorded_ones() -> None:
    """About 979 bytes; and Ringback finds everything in it that there is to be found."""
    assert math.isclose(len(traffic.event(1)), 979, abs_tol=10)
    (event,) = ringback.parse_delivery(traffic.body(1)).events
    outcome = ringback.classify_event(event)
    assert outcome is not None
    line = outcome.to_dict()
    assert {name for name, value in line.items() if value is None} <= {"refined_by", "sip", "q850"}


def test_no_two_events_are_of_one_call() -> None:
    """Or the second would be a duplicate, which costs less."""
    events = [each for size in (1, 3) for each in ringback.parse_delivery(traffic.body(size)).events]
    for ids in zip(*((e.id, e.data.call_connection_id, e.data.correlation_id) for e in events), strict=True):
        assert len(set(ids)) == len(events)


def left_in(folder: Path) -> list[Path]:
    return list(folder.iterdir())


@pytest.mark.parametrize("name", ["ringback, hooks called", "ringback, durable hooks (SQLite)"])
async def test_a_round_has_two_figures(name: str, tmp_path: Path) -> None:
    """Whatever they are; and structlog is left as it was found."""
    taken = await inprocess.one_round(apps.CANDIDATES[name], 100, tmp_path, bare_first=True)
    assert min(taken) > 0
    assert not structlog.is_configured()
    assert left_in(tmp_path) == []
    assert len(asyncio.all_tasks()) == 1


async def test_hooks_called_are_called_before_the_end(tmp_path: Path) -> None:
    """The row measures what its name says: each call's hook."""
    called: list[str] = []
    router = ringback.OutcomeRouter(settle=3600.0, drain=60.0)
    router.on_retryable(lambda outcome: called.append(outcome.outcome_id))
    app = apps.starlette(apps.bare)
    app.add_middleware(ringback.CallOutcomeMiddleware, router=router, path=traffic.PATH, auth=None)
    async with inprocess.running(apps.Candidate(lambda: app, to_the_end=True), tmp_path) as (running, life):
        assert life is not None
        await traffic.handle(running, traffic.body(3))
        assert called == []
        await life.end()
    assert len(called) == 3


async def test_an_app_that_does_not_start_is_an_error(tmp_path: Path) -> None:
    """Its figures would be those of a refusal."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "lifespan.startup.failed", "message": "no disk"})

    with pytest.raises(RuntimeError, match="no disk"):
        async with inprocess.running(apps.Candidate(lambda: app, to_the_end=True), tmp_path):
            pass


def test_growth_is_from_the_end_of_the_warm_up_to_the_peak() -> None:
    """What is taken in the first fifth is no leak."""
    samples = [soak.Sample(number, size, 1.0) for number, size in enumerate([10.0, 40.0, 40.5, 42.0, 41.0] * 2)]
    assert soak.growth(samples) == 2.0
    with pytest.raises(ValueError, match="at least 5"):
        soak.growth(samples[:4])


async def test_a_soak_calls_a_hook_for_every_event() -> None:
    """And looks at the memory on its way."""
    samples: list[soak.Sample] = []
    with loglines.configuration(loglines.off):
        calls = await soak.soak(2000, samples.append)
    assert calls >= 2000
    assert [sample.events for sample in samples] == sorted({sample.events for sample in samples})
