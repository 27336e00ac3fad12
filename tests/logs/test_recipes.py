"""The recipes for log lines of docs/logs.md and docs/telemetry.md, pasted as they are, with the packages they name.

Each runs in a process of its own, for what it sets up is for good: alone, and page after page. Skipped where a package
is missing, unless RINGBACK_REQUIRE_RECIPES is set.
"""

from __future__ import annotations

import http.server
import importlib.util
import json
import os
import re
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from logged import wire
from ringback import parse_delivery
from ringback.core.fields import Line
from ringback.core.outcome import classify_event

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

DOCS = Path(__file__).parents[2] / "docs"
EVENT = wire(operationContext="+1 555 0100")
OUTCOME = classify_event(parse_delivery(json.dumps([EVENT]).encode(), {}).events[0])
assert OUTCOME is not None
KEYS = {"event": "call.outcome", **Line()(OUTCOME)}
"""What every recipe brings of the outcome, by its own name, at the top."""

# An app that has no telemetry, unless the recipe has one; a hook of it fails.
APP = """
from starlette.applications import Starlette
from starlette.responses import Response

from ringback import CallOutcomeMiddleware, OutcomeRouter

if "router" not in globals():
    app, router = Starlette(), OutcomeRouter()
    app.add_middleware(CallOutcomeMiddleware, router=router, path="/api/callbacks", auth=None)


async def callbacks(request):
    return Response()


@router.on_retryable
def call_again(outcome):
    raise ValueError("no line to +1 555 0100")


app.add_route("/api/callbacks", callbacks, methods=["POST"])
"""
DELIVERY = """
from starlette.testclient import TestClient

with TestClient(app) as client:
    answer = client.post("/api/callbacks", json=[EVENT])
    assert answer.status_code == 200, answer.text
"""


pytestmark = pytest.mark.documentation


def needs(*modules: str) -> pytest.MarkDecorator:
    def missing(module: str) -> bool:
        try:
            return importlib.util.find_spec(module) is None
        except ModuleNotFoundError:
            return True

    absent = [each for each in modules if missing(each)]
    return pytest.mark.skipif(
        bool(absent) and not os.environ.get("RINGBACK_REQUIRE_RECIPES"), reason=f"needs {', '.join(absent)}"
    )


NEEDS_JSON = needs("pythonjsonlogger.json")
NEEDS_OTLP = needs("opentelemetry.exporter.otlp.proto.http", "opentelemetry.instrumentation.logging.handler")
NEEDS_AZURE = needs("azure.monitor.opentelemetry", "opentelemetry.exporter.prometheus")


def blocks(page: str, language: str = "python") -> list[str]:
    """Those of the set-ups: what the page says after its heading on redaction is about something else."""
    text = (DOCS / page).read_text(encoding="utf-8").partition("\n## Redaction\n")[0]
    return re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)


def block(page: str, containing: str, language: str = "python") -> str:
    (found,) = [each for each in blocks(page, language) if containing in each]
    return found


def whole(*pages: str) -> list[str]:
    """Every block of these pages, as a reader pastes them into one app, who has that app after the first of them."""
    found: list[str] = []
    for each in (each for page in pages for each in blocks(page)):
        known = any(re.search(r"^app\b.*= Starlette", before, re.MULTILINE) for before in found)
        found.append(re.sub(r"^app = Starlette\(\).*$", "", each, flags=re.MULTILINE) if known else each)
    return found


def ran(folder: Path, recipes: Iterable[str], **environment: str) -> str:
    """Paste the recipes above an app, deliver an event to it, and read what its process printed on standard output."""
    told = ["import sys", *recipes, APP, f"EVENT = {EVENT!r}", DELIVERY]
    (folder / "app.py").write_text("\n".join(told), encoding="utf-8")
    finished = subprocess.run(
        [sys.executable, "app.py"],
        cwd=folder,
        env=os.environ | {"TMPDIR": str(folder)} | environment,
        check=False,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert finished.returncode == 0, finished.stderr
    assert "555 0100" not in finished.stdout
    return finished.stdout


def line_of(printed: str, event: str = "call.outcome") -> dict[str, Any]:
    """The line of this event, of output that has nothing but lines of JSON."""
    (found,) = [line for line in map(json.loads, printed.splitlines()) if line.get("event") == event]
    return dict(found)


def outcome_keys(line: dict[str, Any], *about: str) -> dict[str, Any]:
    """The line without what the formatter tells of the record, which it has."""
    return {name: value for name, value in line.items() if name not in about or line[name] is None}


@NEEDS_JSON
def test_json_has_every_key_at_the_top(tmp_path: Path) -> None:
    """python-json-logger nests nothing, and the line of text is beside the keys."""
    line = line_of(ran(tmp_path, [block("logs.md", "JsonFormatter")]))
    assert outcome_keys(line, "levelname", "message", "timestamp") == KEYS
    assert line["message"].startswith("call.outcome event_type=")
    assert line["levelname"] == "INFO"


@NEEDS_JSON
@pytest.mark.parametrize("disable", [False, True], ids=["existing loggers stay", "existing loggers are disabled"])
@pytest.mark.parametrize("imported", ["before", "after"])
def test_uvicorn_writes_the_lines_as_its_log_config_says(
    tmp_path: Path, free_port: Callable[[], int], disable: bool, imported: str
) -> None:
    """Whether the app is imported before uvicorn configures logging, or by uvicorn, whose own lines are JSON, too."""
    config = json.loads(block("logs.md", "disable_existing_loggers", "json")) | {"disable_existing_loggers": disable}
    (tmp_path / "logging.json").write_text(json.dumps(config), encoding="utf-8")
    (tmp_path / "app.py").write_text(APP, encoding="utf-8")
    port = free_port()
    command = [sys.executable, "-m", "uvicorn", "app:app", "--port", str(port), "--log-config", "logging.json"]
    if imported == "before":
        served = f"import app, uvicorn; uvicorn.run(app.app, port={port}, log_config='logging.json')"
        command = [sys.executable, "-c", served]
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as server:
        try:
            answer = posted(f"http://127.0.0.1:{port}/api/callbacks", server)
        finally:
            server.terminate()
            printed, complaints = server.communicate(timeout=60)
    assert answer.status_code == 200, complaints
    line = line_of(printed)
    assert outcome_keys(line, "levelname", "message", "timestamp") == KEYS
    assert line_of(printed, "hook.failed")["hook"] == "app.call_again"
    said = [each["message"] for each in map(json.loads, printed.splitlines())]
    assert [each for each in said if '"POST /api/callbacks HTTP/1.1" 200' in each]


def posted(url: str, server: subprocess.Popen[str]) -> httpx.Response:
    """The answer to the delivery, once the server listens."""
    while True:
        try:
            return httpx.post(url, json=[EVENT], timeout=60)
        except httpx.ConnectError:
            assert server.poll() is None, server.communicate()
            time.sleep(0.05)


class Collector:
    """A collector of OpenTelemetry: takes what is posted, and keeps the log records."""

    def __init__(self) -> None:
        self.bodies: list[bytes] = []
        taken = self.bodies

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                if self.path == "/v1/logs":
                    taken.append(body)
                self.send_response(200)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None: ...

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.environment = {"OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{self.server.server_port}"}

    def records(self) -> list[tuple[str, str, str, dict[str, Any]]]:
        """Of each record its logger's name, its severity, its body and its attributes."""
        from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest

        return [
            (
                scope.scope.name,
                record.severity_text,
                record.body.string_value,
                {each.key: _value(each.value) for each in record.attributes},
            )
            for body in self.bodies
            for resource in ExportLogsServiceRequest.FromString(body).resource_logs
            for scope in resource.scope_logs
            for record in scope.log_records
        ]


def _value(told: Any) -> Any:
    """A value that is none of the kinds is null, as a line about a hook may have it."""
    kind = told.WhichOneof("value")
    value = None if kind is None else getattr(told, kind)
    return [_value(each) for each in value.values] if kind == "array_value" else value


@pytest.fixture
def collector() -> Iterator[Collector]:
    collector = Collector()
    thread = threading.Thread(target=collector.server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield collector
    finally:
        collector.server.shutdown()
        thread.join()
        collector.server.server_close()


@NEEDS_OTLP
def test_opentelemetry_gets_an_attribute_for_each_key(tmp_path: Path, collector: Collector) -> None:
    """With its own type, as a collector receives it; standard output has the line of text."""
    printed = ran(tmp_path, [block("telemetry.md", "OTLPLogExporter")], **collector.environment)
    (told,) = [each for each in collector.records() if each[3].get("event") == "call.outcome"]
    name, severity, body, attributes = told
    assert (name, severity, attributes) == ("ringback", "INFO", KEYS)
    assert body.startswith("call.outcome event_type=")
    assert [body in line for line in printed.splitlines()].count(True) == 1


AZURE = "configure_azure_monitor()"


def named() -> str:
    """The recipe with the sentence for an app that sends the lines of one logger."""
    page = (DOCS / "telemetry.md").read_text(encoding="utf-8")
    (call,) = re.findall(r"`(configure_azure_monitor\(logger_name=.*?\))`", page)
    (handler,) = re.findall(r"`(logging\.getLogger\(\"ringback\"\)\.addHandler\(.*?\))`", page)
    return f"{block('telemetry.md', AZURE).replace(AZURE, call)}\n{handler}\n"


HANDED_ON = "def handed_on"
SETS_UP = "import ringback.logs\nringback.logs.configure()"
PASTED: dict[str, Callable[[], list[str]]] = {
    "the recipe": lambda: [block("telemetry.md", AZURE)],
    "the recipe, one logger's lines": lambda: [named()],
    "the recipe, telemetry": lambda: [block("telemetry.md", AZURE), block("telemetry.md", "telemetry = Telemetry()")],
    "structlog, the recipe": lambda: [SETS_UP, block("telemetry.md", HANDED_ON), block("telemetry.md", AZURE)],
    "the recipe, structlog": lambda: [SETS_UP, block("telemetry.md", AZURE), block("telemetry.md", HANDED_ON)],
    "the page": lambda: whole("telemetry.md"),
    "both pages": lambda: whole("logs.md", "telemetry.md"),
    "both pages, turned": lambda: whole("telemetry.md", "logs.md"),
}


@NEEDS_AZURE
@NEEDS_OTLP
@NEEDS_JSON
@pytest.mark.parametrize("pasted", PASTED.values(), ids=list(PASTED))
def test_azure_monitor_gets_a_property_for_each_key(
    tmp_path: Path, azure_monitor: Any, collector: Collector, pasted: Callable[[], list[str]]
) -> None:
    """Of the busy line, whose level is info, whatever else the pages had the reader paste; it is printed as well."""
    recipes = pasted()
    printed = ran(tmp_path, recipes, **azure_monitor.environment, **collector.environment)
    told = {each["properties"].get("event"): each for each in azure_monitor.envelopes("MessageData")}
    outcome = told["call.outcome"]
    # The service takes texts alone.
    # Where the pages had the reader add it, `ContextFilter` says that the event had no such id.
    assert outcome["properties"].pop("server_call_id", "-") == "-"
    assert outcome["properties"] == {
        "logger_name": "ringback",
        **{name: str(tuple(value) if isinstance(value, list) else value) for name, value in KEYS.items()},
    }
    assert outcome["severityLevel"] == 1
    assert outcome["message"].split(" ")[0] == "call.outcome"
    failed = told["hook.failed"]["properties"]
    assert failed["hook"] == "__main__.call_again"
    assert "None" not in failed.values()
    assert "call.outcome" in printed
    if block("telemetry.md", "OTLPLogExporter") in recipes:
        records = [each[3] for each in collector.records() if each[3].get("event") == "call.outcome"]
        assert [{name: record[name] for name in KEYS} for record in records] == [KEYS]
    assert not [leak for leak in (b"555 0100", b"5550100") if leak in b"".join(azure_monitor.bodies)]
