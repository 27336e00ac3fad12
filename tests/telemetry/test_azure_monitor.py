"""docs/telemetry.md's recipe for Azure Monitor, with Microsoft's own distribution, which sends to a local endpoint.

A process of its own runs the recipe: it instruments whatever it finds, for good. Skipped where there is no
azure-monitor-opentelemetry, unless RINGBACK_REQUIRE_AZURE_MONITOR is set.
"""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

HAS_IT = importlib.util.find_spec("azure.monitor") is not None
pytestmark = [
    pytest.mark.documentation,
    pytest.mark.skipif(
        not HAS_IT and not os.environ.get("RINGBACK_REQUIRE_AZURE_MONITOR"), reason="needs azure-monitor-opentelemetry"
    ),
]

PAGE = (Path(__file__).parents[2] / "docs" / "telemetry.md").read_text(encoding="utf-8")
LEG = "1f0e5c1a-0000-4000-8000-000000000001"
CLASSIFIED = {
    "event": "CallDisconnected",
    "cause": "busy",
    "category": "Success",
    "disposition": "retryable",
    "match": "pair",
}
SETTLED = {"cause": "busy", "category": "Success", "disposition": "retryable", "retry_action": "place_call"}
OUTCOME = {"outcome_id": f"call:{LEG}", **CLASSIFIED, "retry_action": "place_call"}
CLOUD_EVENT = {
    "cloudevents.event_id": "1f0e5c1a-0000-4000-8000-000000000003",
    "cloudevents.event_source": f"calling/callConnections/{LEG}",
    "cloudevents.event_type": "Microsoft.Communication.CallDisconnected",
}

# The page's recipes are pasted in. Two events of one call; one of them comes again.
APP = """
import asyncio, json

import httpx
from starlette.responses import Response

{recipe}

{wiring}


@router.on_retryable
async def call_again(outcome):
    raise ValueError("no line to +1 555 0100")


async def callbacks(request):
    return Response()


app.add_route("/api/callbacks", callbacks, methods=["POST"])


def event(name):
    return {{
        "id": "1f0e5c1a-0000-4000-8000-000000000003",
        "source": "calling/callConnections/{leg}",
        "type": "Microsoft.Communication." + name,
        "specversion": "1.0",
        "data": {{
            "callConnectionId": "{leg}",
            "operationContext": "+1 555 0100",
            "resultInformation": {{"code": 486, "subCode": 560486, "message": "to +1 555 0100"}},
        }},
    }}


async def main():
    async with app.router.lifespan_context(app):
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client:
            for name in ("CallDisconnected", "CreateCallFailed", "CallDisconnected"):
                answer = await client.post("/api/callbacks", content=json.dumps([event(name)]))
                assert answer.status_code == 200, answer.text
                await asyncio.sleep(1.5)


asyncio.run(main())
{last}
from opentelemetry import metrics, trace

trace.get_tracer_provider().shutdown()
metrics.get_meter_provider().shutdown()
"""


def block(containing: str) -> str:
    (found,) = [each for each in re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL) if containing in each]
    return str(found)


def properties(envelope: dict[str, Any]) -> dict[str, str]:
    return {name: text for name, text in envelope["properties"].items() if not name.startswith("_MS.")}


def ran(folder: Path, recipe: str, azure_monitor: Any, last: str = "") -> str:
    """The recipe above the app, in a process of its own: what it printed."""
    app = APP.format(recipe=recipe, wiring=block("telemetry = Telemetry()"), leg=LEG, last=last)
    (folder / "app.py").write_text(app, encoding="utf-8")
    finished = subprocess.run(
        [sys.executable, "app.py"],
        cwd=folder,
        env=os.environ | azure_monitor.environment | {"TMPDIR": str(folder)},
        check=False,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert finished.returncode == 0, finished.stderr
    return finished.stdout


def test_the_recipe_of_the_page_sends_metrics_and_spans(azure_monitor: Any, tmp_path: Path) -> None:
    """Each envelope whole, as the queries of the page read it; and no number in any byte."""
    ran(tmp_path, block("configure_azure_monitor()"), azure_monitor)

    counted: dict[str, list[tuple[dict[str, str], float]]] = {}
    for envelope in azure_monitor.envelopes("MetricData"):
        (metric,) = envelope["metrics"]
        if metric["name"].startswith("ringback.") and metric["value"]:
            counted.setdefault(metric["name"], []).append((properties(envelope), metric["value"]))
    assert counted["ringback.calls"] == [(SETTLED, 1)]
    assert sum(value for _, value in counted["ringback.outcomes"]) == 3
    assert (CLASSIFIED, 2) in counted["ringback.outcomes"]
    assert counted["ringback.deliveries"] == [({"result": "accepted"}, 3)]

    requests = [each for each in azure_monitor.envelopes("RequestData") if each["name"] == "ringback delivery"]
    assert [(properties(each), each["success"]) for each in requests] == [({"result": "accepted"}, True)] * 3
    hooks = [each for each in azure_monitor.envelopes("RemoteDependencyData") if each["name"] == "ringback hook"]
    assert [(properties(each), each["success"]) for each in hooks] == [
        (CLOUD_EVENT | OUTCOME | {"hook": "__main__.call_again", "attempt": "1", "result": "error"}, False)
    ]
    told = [each for each in azure_monitor.envelopes("MessageData") if each["message"] == "ringback event"]
    assert properties(told[0]) == CLOUD_EVENT | {"cloudevents.event_spec_version": "1.0"} | OUTCOME
    # The join of the page: a span event names its delivery.
    assert [each["tags"]["ai.operation.parentId"] for each in told] == [each["id"] for each in requests]
    lines = {properties(each)["event"]: properties(each) for each in azure_monitor.envelopes("MessageData")}
    # What the queries of the page read is there: each column, in what the query asks for.
    kinds = {
        '"ringback.calls"': SETTLED,
        "union requests, dependencies": properties(hooks[0]) | properties(requests[0]),
        '"ringback event"': properties(told[0]),
        "// How calls ended. One": lines["call.outcome"],
        "// What somebody": lines["call.outcome"],
        "// Hooks that fail": lines["hook.failed"],
        "// One call": lines["call.outcome"] | lines["hook.failed"],
        "let traces": lines["call.outcome"],
        # A call that nobody answered has no duration.
        "// Answered rate": lines["call.ended"] | {"duration_seconds": ""},
    }
    queries = re.findall(r"```kusto\n(.*?)```", PAGE, re.DOTALL)
    assert len(queries) == len(kinds)
    for query in queries:
        (there,) = [told for words, told in kinds.items() if words in query]
        assert set(re.findall(r"customDimensions\.(\w+)", query)) - set(there) == set(), query
    together = "\n".join(queries)
    spans = {"ringback delivery", "ringback event", "ringback hook", "ringback redial"}
    assert set(re.findall(r'"(ringback [a-z]+)"', together)) == spans
    assert set(re.findall(r'"(ringback\.[a-z]+)"', together)) == {"ringback.calls"}
    assert set(re.findall(r'customDimensions\.event == "([\w.]+)"', together)) <= set(lines)
    sent = b"".join(azure_monitor.bodies)
    assert not [leak for leak in (b"555 0100", b"5550100") if leak in sent]


def test_metrics_go_to_prometheus_as_well(azure_monitor: Any, tmp_path: Path) -> None:
    """One provider has both readers, as the page says."""
    (call,) = re.findall(r"`(configure_azure_monitor\(metric_readers=.*?\))`", PAGE)
    recipe = "from opentelemetry.exporter.prometheus import PrometheusMetricReader\n" + block(
        "configure_azure_monitor()"
    )
    scraped = "import prometheus_client\nprint(prometheus_client.generate_latest().decode())\n"
    printed = ran(tmp_path, recipe.replace("configure_azure_monitor()", call), azure_monitor, scraped)
    assert re.findall(r'^ringback_calls_total\{.*cause="busy".*\} (.*)$', printed, re.MULTILINE) == ["1.0"]
    metrics = [metric for each in azure_monitor.envelopes("MetricData") for metric in each["metrics"]]
    assert [each["value"] for each in metrics if each["name"] == "ringback.calls"] == [1]
