"""What stands before lines, or around them, hides none: banners, brackets, another formatter's fields."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ringback.cli.reading.frames import found_in
from ringback.cli.reading.line import Line

TEXT = (
    "2026-01-15 09:30:00,123 INFO call.outcome event_type=Microsoft.Communication.CallDisconnected scope=call code=486 "
    "subcode=560486 cause=busy disposition=retryable call_connection_id=leg-{}"
)
JSON = {"event": "call.outcome", "schema": 2, "scope": "call", "cause": "busy", "disposition": "retryable"}
ROWS = [json.dumps(JSON | {"call_connection_id": f"leg-{number}"}) for number in (1, 2)]
TEXTS = [TEXT.format(number) for number in (1, 2)]


def legs(*lines: str) -> list[str | None]:
    return [each.call_connection_id for each in found_in(["\n".join(lines).encode()]) if isinstance(each, Line)]


@pytest.mark.parametrize(
    "banner",
    [
        "[2026-01-15 09:30:00 +0000] [7] [INFO] Starting gunicorn",
        "[notice] starting",
        "{calls} starting",
        "[1] starting",
        "time,event,message",
        "timestamp;message",
    ],
)
@pytest.mark.parametrize("lines", [TEXTS, ROWS], ids=["text", "JSON"])
def test_a_banner_hides_no_line(banner: str, lines: list[str]) -> None:
    """Only JSON that breaks off at the end of its line goes on below; only a row below names is CSV."""
    assert legs(banner, *lines) == ["leg-1", "leg-2"]


@pytest.mark.parametrize(
    "before", ["[pod/calls/app] ", "[INFO] ", "[2026-01-15 09:30:00] INFO ", "{calls} ", "app-1  | "]
)
@pytest.mark.parametrize("lines", [TEXTS, ROWS], ids=["text", "JSON"])
def test_words_before_each_line_hide_none(before: str, lines: list[str]) -> None:
    """As ``kubectl logs --prefix``, Compose and logging's formats in brackets have them."""
    assert legs(*(before + line for line in lines)) == ["leg-1", "leg-2"]


def test_a_line_of_text_within_loguru_s_json_is_read() -> None:
    """``logger.add(..., serialize=True)`` behind an ``InterceptHandler``: the text stands twice, and counts once."""
    lines = [json.dumps({"text": f"{text}\n", "record": {"message": text, "extra": {}}}) for text in TEXTS]
    assert legs(*lines) == ["leg-1", "leg-2"]


def test_json_over_several_lines_is_still_one_value() -> None:
    """As ``jq`` writes it, whatever its first line breaks off after."""
    for indented in (json.dumps([json.loads(row) for row in ROWS], indent=1), "\n".join(map(pretty, ROWS))):
        assert legs(indented) == ["leg-1", "leg-2"]
    assert legs('{"a": 1, "rows": [', f"{ROWS[0]},", f"{ROWS[1]}]" + "}") == []


def pretty(row: str) -> str:
    return json.dumps(json.loads(row), indent=2)


def test_a_row_whose_message_is_the_name_has_its_keys_within() -> None:
    """As the recipe for structlog sends it to Azure; with nothing within, the row is the line."""
    within = {"event": "callback.rejected", "status": "401", "reason": "token_missing", "suppressed": "25"}
    rows: list[dict[str, Any]] = [
        {"timestamp": "2026-01-15T09:30:00Z", "message": "callback.rejected", "customDimensions": within},
        {"timestamp": "2026-01-15T09:30:00Z", "message": "callback.rejected", "customDimensions": json.dumps(within)},
        {"timestamp": "2026-01-15T09:30:00Z", "message": "callback.rejected", "customDimensions": {}, **within},
    ]
    found = [each for each in found_in([json.dumps(rows).encode()]) if isinstance(each, Line)]
    assert [(each.event, each.status, each.reason, each.suppressed) for each in found] == [
        ("callback.rejected", 401, "token_missing", 25)
    ] * 3


def test_fields_before_the_name_hide_no_line() -> None:
    """OpenTelemetry's own format of logging begins with some."""
    line = "2026-01-15 09:30:00,123 ERROR [app] [trace_id=0 span_id=0 resource.service.name= trace_sampled=False] - "
    (found,) = found_in([f"{line}hook.failed hook=app.call_again error=KeyError outcome_id=call:leg-1".encode()])
    assert isinstance(found, Line)
    assert (found.event, found.hook, found.timestamp) == ("hook.failed", "app.call_again", "2026-01-15 09:30:00,123")


def test_the_time_of_a_json_logger_is_read() -> None:
    """Under logging's own name for it."""
    (found,) = found_in([json.dumps(JSON | {"asctime": "2026-01-15 09:30:00,123"}).encode()])
    assert isinstance(found, Line)
    assert found.asctime == "2026-01-15 09:30:00,123"
