"""docs/telemetry.md's recipe for Prometheus, with a real one: uvicorn serves, Prometheus scrapes, its API is asked.

Skipped where there is no `prometheus` or no exporter, unless RINGBACK_REQUIRE_PROMETHEUS is set.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import quote

import httpx
import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

HAS_ALL = shutil.which("prometheus") is not None and all(
    importlib.util.find_spec(name) for name in ("opentelemetry.exporter", "prometheus_client")
)
pytestmark = pytest.mark.skipif(
    not HAS_ALL and not os.environ.get("RINGBACK_REQUIRE_PROMETHEUS"),
    reason="needs prometheus and opentelemetry-exporter-prometheus",
)

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "telemetry.md").read_text(encoding="utf-8")

# The quickstart's route and hooks, and what else a metric tells of. The recipe is pasted in.
APP = """
import sys

sys.path.insert(0, {root!r})

from starlette.applications import Starlette
from starlette.routing import Route

from examples.quickstart import callbacks, router
from ringback import CallOutcomeMiddleware, GiveUp, OutcomeRouter, RedialPolicy, Refusal
from ringback.telemetry import Telemetry


@router.on(cause="busy")
async def broken(outcome):
    raise GiveUp("+1 555 0100")


POLICY = RedialPolicy(delays={{"no_answer": 0.0}}, hours=None, jitter=0.0)


@router.redial(policy=POLICY, contact=lambda outcome: outcome.call_connection_id)
async def dial(outcome):
    return "leg-2"


async def known(head):
    return None if head.values("x-sender") == ["known"] else Refusal("token_missing")


{recipe}

app.routes.append(Route("/api/callbacks/{{context_id}}", callbacks, methods=["POST"]))
outer = OutcomeRouter(settle=0.0, store="sqlite:///ringback.db?poll=0.1", telemetry=Telemetry())
outer.include(router)
app.add_middleware(
    CallOutcomeMiddleware,
    router=outer,
    path="/api/callbacks/{{context_id}}",
    auth=known,
    max_body=5000,
)
"""
SCRAPE = """
global: {{scrape_interval: 300ms, scrape_timeout: 300ms}}
scrape_configs:
  - job_name: app
    {recipe}
    static_configs: [{{targets: ["127.0.0.1:{port}"]}}]
"""


def blocks(language: str) -> list[str]:
    section = PAGE.partition("## Prometheus\n")[2].partition("\n## ")[0]
    return re.findall(rf"```{language}\n(.*?)```", section, re.DOTALL)


@contextlib.contextmanager
def running(folder: Path, name: str, *command: str) -> Iterator[None]:
    with (folder / f"{name}.log").open("w", encoding="utf-8") as log:
        process = subprocess.Popen(command, cwd=folder, stdout=log, stderr=subprocess.STDOUT)
        try:
            yield
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(10)


def event(number: int, name: str, code: int, subcode: int) -> dict[str, Any]:
    leg = f"1f0e5c1a-0000-4000-8000-{number:012}"
    return {
        "id": f"1f0e5c1a-0000-4000-8001-{number:012}",
        "source": f"calling/callConnections/{leg}",
        "type": f"Microsoft.Communication.{name}",
        "specversion": "1.0",
        "data": {
            "callConnectionId": leg,
            "correlationId": leg,
            "resultInformation": {"code": code, "subCode": subcode, "message": "to +1 555 0100"},
        },
    }


BUSY, HUNG_UP, NO_ANSWER, BROKEN = (486, 560486), (200, 0), (480, 560480), (500, 0)
SENT = {BUSY: 5, HUNG_UP: 3, NO_ANSWER: 2, BROKEN: 1}


def send(url: str) -> None:
    number = 0
    headers = {"x-sender": "known"}
    with httpx.Client(base_url=url, headers=headers) as client:
        path = "/api/callbacks/1"
        for codes, count in SENT.items():
            for _ in range(count):
                number += 1
                body = [event(number, "CallDisconnected", *codes)]
                if codes[0] == 200:
                    # Without a result, as older versions send it, so that it is no outcome.
                    begun = event(number, "CallConnected", *codes)
                    del begun["data"]["resultInformation"]
                    body.insert(0, begun)
                assert client.post(path, json=body).status_code == 200
        assert client.post(path, json=[event(90, "Invented", 500, 0)]).status_code == 200
        assert [client.post(path, content=b"{").status_code for _ in range(2)] == [400, 400]
        assert client.post(path, content=b" " * 6000).status_code == 413
        assert client.post(path, content=b"[]", headers={"x-sender": "stranger"}).status_code == 401
        consent = {"webhook-request-origin": "eventgrid.azure.net"}
        assert client.options(path, headers=consent).status_code == 200


class Prometheus:
    def __init__(self, client: httpx.Client) -> None:
        self._client = client

    def ask(self, query: str) -> list[dict[str, Any]]:
        """What an instant query finds. An error of the query fails the test with what Prometheus says."""
        answer = self._client.get(f"/api/v1/query?query={quote(query)}").json()
        assert answer["status"] == "success", answer
        found: list[dict[str, Any]] = answer["data"]["result"]
        return found

    def values(self, name: str) -> dict[tuple[tuple[str, str], ...], float]:
        """A metric's series by their labels, without those of the scrape and of the scope."""
        return {
            tuple(
                (key, text)
                for key, text in sorted(each["metric"].items())
                if key not in ("__name__", "instance", "job") and not key.startswith("otel_scope")
            ): float(each["value"][1])
            for each in self.ask(name)
        }

    def kinds(self) -> dict[str, str]:
        """The kind of every metric of ours."""
        told = self._client.get("/api/v1/metadata").json()["data"]
        return {name: each[0]["type"] for name, each in told.items() if name.startswith("ringback")}

    def ready(self) -> bool:
        with contextlib.suppress(httpx.TransportError):
            return self._client.get("/-/ready").status_code == 200
        return False


def until(found: Any, seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        with contextlib.suppress(httpx.TransportError):
            if found():
                return True
        time.sleep(0.1)
    return False


def labels(**told: str) -> tuple[tuple[str, str], ...]:
    return tuple(sorted(told.items()))


def outcome(event: str, cause: str, category: str, disposition: str, match: str) -> tuple[tuple[str, str], ...]:
    return labels(event=event, cause=cause, category=category, disposition=disposition, match=match)


def settled(cause: str, category: str, disposition: str, retry_action: str) -> tuple[tuple[str, str], ...]:
    return labels(cause=cause, category=category, disposition=disposition, retry_action=retry_action)


# Each metric as Prometheus names it, with all that it shows of what was sent.
EXPECTED = {
    "ringback_deliveries_total": {
        labels(result="accepted"): 12,
        labels(result="malformed"): 2,
        labels(result="refused"): 1,
        labels(result="unavailable"): 0,
        labels(result="handshake"): 1,
        labels(result="too_large"): 1,
        labels(result="interrupted"): 0,
    },
    "ringback_outcomes_total": {
        outcome("CallDisconnected", "busy", "Success", "retryable", "pair"): 5,
        outcome("CallDisconnected", "hung_up", "Success", "terminal", "exact"): 3,
        outcome("CallDisconnected", "no_answer", "ExpectedError", "retryable", "pair"): 2,
        outcome("CallDisconnected", "service_error", "UnexpectedServerError", "retryable", "code"): 1,
        outcome("other", "service_error", "UnexpectedServerError", "retryable", "code"): 1,
    },
    # Without "Invented", which is an outcome and no end of a call.
    "ringback_calls_total": {
        settled("busy", "Success", "retryable", "place_call"): 5,
        settled("hung_up", "Success", "terminal", "none"): 3,
        settled("no_answer", "ExpectedError", "retryable", "place_call"): 2,
        settled("service_error", "UnexpectedServerError", "retryable", "place_call"): 1,
    },
    "ringback_call_duration_seconds_count": {labels(cause="hung_up"): 3},
    "ringback_hook_duration_seconds_count": {
        labels(hook="examples.quickstart.call_again", result="ok"): 8,
        labels(hook="examples.quickstart.close", result="ok"): 3,
        labels(hook="app.broken", result="gave_up"): 5,
        labels(hook="app.dial", result="ok"): 2,
    },
    "ringback_redials_total": {
        labels(action="scheduled", attempt="2"): 8,
        labels(action="placed", attempt="2"): 2,
    },
    # The redials of the busy ones and of the broken one wait for minutes; the hooks of the busy ones gave up. Redials
    # hear of the three that were connected.
    "ringback_queue_items": {
        labels(state="ready"): 6,
        labels(state="running"): 0,
        labels(state="done"): 11,
        labels(state="dead"): 5,
        labels(state="canceled"): 0,
    },
    "ringback_queue_oldest_due_seconds": {(): 0},
    "ringback_redials_waiting": {(): 6},
    "ringback_redials_in_progress": {(): 2},
    "ringback_redials_paused_seconds": {(): 0},
}


class Scraped(NamedTuple):
    prometheus: Prometheus
    folder: Path


@pytest.fixture(scope="module")
def scraped(tmp_path_factory: pytest.TempPathFactory, free_port: Callable[[], int]) -> Iterator[Scraped]:
    folder = tmp_path_factory.mktemp("prometheus")
    (recipe,) = blocks("python")
    (folder / "app.py").write_text(APP.format(root=str(ROOT), recipe=recipe), encoding="utf-8")
    port, asked = free_port(), free_port()
    (path,) = blocks("yaml")
    (folder / "prometheus.yml").write_text(SCRAPE.format(port=port, recipe=path.strip()), encoding="utf-8")
    serve = (sys.executable, "-m", "uvicorn", "app:app", "--port", str(port), "--log-level", "warning")
    watch = (
        str(shutil.which("prometheus")),
        "--config.file=prometheus.yml",
        "--storage.tsdb.path=tsdb",
        f"--web.listen-address=127.0.0.1:{asked}",
    )
    url = f"http://127.0.0.1:{port}"
    with (
        running(folder, "app", *serve),
        running(folder, "prometheus", *watch),
        httpx.Client(base_url=f"http://127.0.0.1:{asked}") as client,
    ):
        prometheus = Prometheus(client)
        assert until(lambda: httpx.get(f"{url}/metrics").status_code < 400, 60), (folder / "app.log").read_text()
        assert until(prometheus.ready, 60), (folder / "prometheus.log").read_text()
        # Before the first delivery, as in life.
        assert until(lambda: prometheus.values("ringback_deliveries_total"), 60), (
            folder / "prometheus.log"
        ).read_text()
        send(url)
        until(lambda: all(prometheus.values(name) == numbers for name, numbers in EXPECTED.items()), 60)
        yield Scraped(prometheus, folder)


@pytest.mark.parametrize("name", EXPECTED)
def test_a_metric_arrives_with_all_that_was_sent(scraped: Scraped, name: str) -> None:
    """Name, labels and numbers, as Prometheus shows them."""
    assert scraped.prometheus.values(name) == EXPECTED[name]


def test_every_metric_is_documented_by_its_name_and_kind(scraped: Scraped) -> None:
    """The page says what Prometheus calls each, and nothing else of ours is there."""
    # Since OpenMetrics the suffix of a counter is its series', and not part of its name.
    documented = re.findall(r"^\| `(ringback_\w+?)(?:_total)?` \| (\w+) \|", PAGE, re.MULTILINE)
    assert scraped.prometheus.kinds() == dict(documented)
    assert {name.removesuffix("_count") for name in EXPECTED} == set(
        re.findall(r"^\| `(ringback_\w+)`", PAGE, re.MULTILINE)
    )


def test_the_gauges_say_what_is_in_the_store(scraped: Scraped) -> None:
    """Asked behind its back, until nothing was done between the last scrape and the question."""

    def states() -> tuple[dict[Any, float], dict[Any, float]]:
        with contextlib.closing(sqlite3.connect(scraped.folder / "ringback.db")) as store:
            counted = store.execute("SELECT lower(state), count(*) FROM items GROUP BY state").fetchall()
        shown = scraped.prometheus.values("ringback_queue_items")
        return {labels(state=state): float(count) for state, count in counted}, {k: v for k, v in shown.items() if v}

    def agree() -> bool:
        kept, shown = states()
        return kept == shown

    until(agree, 60)
    kept, shown = states()
    assert kept == shown


SELDOM = {"app.broken"}
FOUND = (
    {"busy", "hung_up", "no_answer", "service_error"},
    {"place_call"},
    {None},
    {None},
    {None},
    {"malformed", "refused", "too_large"},
    {"examples.quickstart.call_again", "examples.quickstart.close", "app.broken", "app.dial"},
    # Each hook failed for the first time: a rate sees it only if a scrape came between, as the page says.
    SELDOM,
    {"app.broken"},
    set(),
    {None},
)


def test_every_query_of_the_recipe_finds_what_it_is_for(scraped: Scraped) -> None:
    """In their order, by the label that they sum by. No number: a rate depends on when it was scraped."""
    (block,) = blocks("promql")
    queries = [line for line in block.splitlines() if line and not line.startswith("#")]
    found = [scraped.prometheus.ask(query) for query in queries]
    told = [{next(iter(each["metric"].values()), None) for each in answer} for answer in found]
    assert [
        SELDOM if expected is SELDOM and not each else each for each, expected in zip(told, FOUND, strict=True)
    ] == [*FOUND]
