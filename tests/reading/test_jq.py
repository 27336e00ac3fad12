"""The jq commands of the documentation match the lines that are written."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import structlog

from ringback import logs, parse_delivery
from ringback.core.outcome import classify_event
from ringback.receiving.intake import Received

DOCS = Path(__file__).parents[2] / "docs"
WHOLE = "1f0e5c1a-0000-4000-8000-00000000000c"
RESULTS = ((1, 486, 560486), (1, 486, 560486), (2, 486, 560486), (3, 403, 510403))


def event(leg: int, code: int, subcode: int, number: int) -> dict[str, object]:
    return {
        "id": f"1f0e5c1a-0000-4000-8000-00000000010{number}",
        "source": "calling",
        "type": "Microsoft.Communication.CallDisconnected",
        "specversion": "1.0",
        "data": {
            "callConnectionId": f"1f0e5c1a-0000-4000-8000-00000000000{leg}",
            "correlationId": WHOLE,
            "resultInformation": {"code": code, "subCode": subcode, "message": ""},
        },
    }


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """What Ringback writes of four events: one of them came twice."""
    events = [event(*result, number) for number, result in enumerate(RESULTS)]
    delivery = parse_delivery(json.dumps(events).encode(), {})
    outcomes = [outcome for each in delivery.events if (outcome := classify_event(each)) is not None]
    file = tmp_path / "app.log"
    with file.open("w", encoding="utf-8") as out:
        structlog.configure(
            processors=[structlog.processors.TimeStamper(fmt="iso"), structlog.processors.JSONRenderer()],
            logger_factory=structlog.WriteLoggerFactory(out),
        )
        list(logs.received(Received(delivery, tuple(outcomes))))
    return file


def commands() -> list[str]:
    text = (DOCS / "logs.md").read_text("utf-8") + (DOCS / "stats.md").read_text("utf-8")
    return re.findall(r"^jq .*?app\.log", text, re.MULTILINE | re.DOTALL)


@pytest.mark.skipif(shutil.which("jq") is None, reason="jq is not installed")
def test_the_documented_filters(log: Path) -> None:
    """Each finds what its comment says, and a call that came twice is one."""
    found = [
        subprocess.run(["sh", "-c", each], cwd=log.parent, capture_output=True, text=True, check=True).stdout
        for each in commands()
    ]
    by_cause, to_do, one_call, unknown = found
    assert json.loads(by_cause) == {"busy": 2, "blocked": 1}
    assert [line.split("\t")[:2] for line in to_do.splitlines()] == [["admin", "blocked"]]
    assert [json.loads(line)[1:] for line in one_call.splitlines()] == [
        ["call.outcome", cause] for cause in ("busy", "busy", "busy", "blocked")
    ]
    assert unknown == ""
