"""What operators load works where it can be tried, and every metric, label, key and word in it is one of Ringback's."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from ringback import Cause, Disposition, ResultCategory, RetryAction, RetryClass
from ringback.core.fields import ROWS
from ringback.telemetry._attributes import SETTLED_BY

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
FILES = ROOT / "docs" / "operations"
TELEMETRY = (ROOT / "docs" / "telemetry.md").read_text("utf-8")
LOGS = (ROOT / "docs" / "logs.md").read_text("utf-8")
CODE = "".join(each.read_text("utf-8") for each in sorted((ROOT / "middleware" / "ringback").rglob("*.py")))
METRICS = ROOT / "middleware" / "ringback" / "telemetry" / "_metrics.py"
needs_promtool = pytest.mark.skipif(
    shutil.which("promtool") is None and not os.environ.get("RINGBACK_REQUIRE_PROMETHEUS"), reason="needs promtool"
)


def loaded(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((FILES / name).read_text("utf-8"))
    return found


def promql() -> list[str]:
    """Every expression of the rules and of the dashboard."""
    rules = pytest.importorskip("ruamel.yaml").YAML(typ="safe").load(FILES / "alerts.yaml")
    panels = loaded("grafana-dashboard.json")["panels"]
    return [each["expr"] for group in rules["groups"] for each in group["rules"]] + [
        each["expr"] for panel in panels for each in panel["targets"]
    ]


def kql() -> list[str]:
    """Every query of the workbook about rows, and of the alerts."""
    items = loaded("azure-monitor-workbook.json")["items"]
    alerts = loaded("azure-monitor-alerts.json")["variables"]["alerts"]
    return [each["content"]["query"] for each in items if each["type"] == 3] + [each["query"] for each in alerts]


def metrics() -> dict[str, set[str]]:
    """The attributes of each metric by its name. The page says them, and tests/telemetry hold the page to the code."""
    rows = re.findall(r"^\| `(ringback\.[\w.]+)` \| [^|]+\|(.*)\|$", TELEMETRY, re.MULTILINE)
    return {name: set(re.findall(r"`(\w+)`", attributes)) for name, attributes in rows}


def series() -> dict[str, set[str]]:
    """The labels of each series by its name in Prometheus."""
    names = re.findall(r"^\| `(ringback_\w+)` \|", TELEMETRY, re.MULTILINE)
    labels = {name.replace(".", "_"): attributes for name, attributes in metrics().items()}
    found: dict[str, set[str]] = {}
    for name in names:
        plain = re.sub("_(total|seconds)$", "", name)
        for suffix in ("_bucket", "_count", "_sum") if "duration" in name else ("",):
            found[name + suffix] = labels[plain] | ({"le"} if suffix == "_bucket" else set())
    return found


def words() -> dict[str, set[str]]:
    """What a metric's attribute may say; the words of results and states as docs/telemetry.md lists them."""
    lists = TELEMETRY.partition("## Metrics")[2].partition("## Spans")[0]
    told = set(re.findall(r"`(\w+)`", lists))
    return {
        "cause": {each.value for each in Cause},
        "category": {each.value for each in ResultCategory},
        "disposition": {each.value for each in Disposition},
        "retry_action": {each.value for each in RetryAction},
        "retry_class": {each.value for each in RetryClass},
        "result": told,
        "state": told,
        "action": told,
    }


def compared(expression: str) -> Iterator[tuple[str, str]]:
    """Each label or key that an expression compares with words, and the words."""
    for name, text in re.findall(r'(\w+)\)? ?(?:=~|!=|==|=|!~) ?"([^"]*)"', expression):
        yield from ((name, word) for word in text.split("|"))


def test_every_series_and_label_of_prometheus_exists() -> None:
    known = series()
    assert len(known) == 15
    for expression in promql():
        for name, given in re.findall(r"\b(ringback_\w+)(?:\{([^}]*)\})?", expression):
            assert set(re.findall(r"(\w+)(?:=|!)", given)) <= known[name], expression
        labels = {each for group in re.findall(r"by \(([^)]*)\)", expression) for each in group.split(", ")}
        assert labels <= set().union(*known.values()), expression


def test_every_metric_key_and_event_of_azure_monitor_exists() -> None:
    """A key is an attribute of the metric that is asked for, or one of the log lines."""
    lines = {row.name for row in ROWS} | set(re.findall(r"^\| `(\w+)` \|", LOGS, re.MULTILINE)) | {"event"}
    for query in kql():
        asked = re.findall(r'name == "([^"]+)"', query)
        keys = set(re.findall(r"customDimensions\.(\w+)", query))
        assert query.startswith(("customMetrics", "traces"))
        assert (len(asked) == 1) == query.startswith("customMetrics"), query
        assert keys <= (metrics()[asked[0]] if asked else lines), query
        for event in re.findall(r'"([a-z_]+\.[a-z_]+)"', query):
            assert event in asked or f'"{event}"' in CODE, event


def test_every_word_that_is_compared_exists() -> None:
    found = [pair for each in promql() + kql() for pair in compared(each)]
    assert len(found) > 30
    known = words()
    assert [(name, word) for name, word in found if word not in known.get(name, {word})] == []
    assert {"cause", "category", "result", "state"} <= {name for name, _ in found}


def test_the_names_of_the_metrics_are_those_of_the_code() -> None:
    """The table that the tests above rest on."""
    in_code = set(re.findall(r'"(ringback\.[\w.]+)"', METRICS.read_text("utf-8")))
    assert set(metrics()) == in_code
    assert metrics()["ringback.calls"] == set(SETTLED_BY)


@needs_promtool
def test_the_alert_rules_do_what_their_tests_say() -> None:
    tests = ["alerts.test.yaml", "alerts.week.test.yaml"]
    ran = subprocess.run(["promtool", "test", "rules", *tests], cwd=FILES, capture_output=True, text=True, timeout=120)
    assert ran.returncode == 0, ran.stdout + ran.stderr


def test_every_alert_rule_is_tested_and_stands_on_the_page() -> None:
    """With what it says, and on the day on which nobody is woken."""
    read = pytest.importorskip("ruamel.yaml").YAML(typ="safe").load
    rules = {each["alert"] for group in read(FILES / "alerts.yaml")["groups"] for each in group["rules"]}
    quiet, *loud = read(FILES / "alerts.test.yaml")["tests"] + read(FILES / "alerts.week.test.yaml")["tests"]
    assert {each["alertname"] for each in quiet["alert_rule_test"]} == rules
    assert {each["alertname"] for test in loud for each in test["alert_rule_test"] if "exp_alerts" in each} == rules
    page = (FILES / "index.md").read_text("utf-8")
    assert set(re.findall(r"^\| (Ringback\w+) \|", page, re.MULTILINE)) == rules


@needs_promtool
def test_prometheus_reads_the_queries_of_the_dashboard(tmp_path: Path) -> None:
    rules = [
        {"record": f"each:{number}", "expr": each.replace("$__rate_interval", "5m")}
        for number, each in enumerate(promql())
    ]
    (tmp_path / "all.yaml").write_text(json.dumps({"groups": [{"name": "all", "rules": rules}]}), "utf-8")
    ran = subprocess.run(
        ["promtool", "check", "rules", tmp_path / "all.yaml"], capture_output=True, text=True, timeout=60
    )
    assert ran.returncode == 0, ran.stderr


def lost(given: object, kept: object, place: str = "") -> Iterator[str]:
    """Where one JSON value has what another lacks."""
    if isinstance(given, dict) and isinstance(kept, dict):
        for name, value in given.items():
            yield from lost(value, kept.get(name), f"{place}/{name}")
    elif isinstance(given, list) and isinstance(kept, list) and len(given) == len(kept):
        for number, (value, other) in enumerate(zip(given, kept, strict=True)):
            yield from lost(value, other, f"{place}/{number}")
    elif given != kept:
        yield place


def test_grafana_knows_every_key_of_the_dashboard() -> None:
    """Read into Grafana's own types and written again, nothing is lost: a key that a type lacks would be."""
    pytest.importorskip("grafana_foundation_sdk")
    from grafana_foundation_sdk.cog import plugins
    from grafana_foundation_sdk.cog.encoder import JSONEncoder
    from grafana_foundation_sdk.models.dashboard import Dashboard

    plugins.register_default_plugins()
    given = loaded("grafana-dashboard.json")
    written = json.loads(json.dumps(Dashboard.from_json(given), cls=JSONEncoder))
    assert list(lost(given, written)) == []
    assert list(lost(given | {"titel": "x"}, written)) == ["/titel"]


def test_no_panel_of_the_dashboard_lies_upon_another() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in loaded("grafana-dashboard.json")["panels"]:
        x, y, w, h = (panel["gridPos"][each] for each in "xywh")
        cells = {(column, row) for column in range(x, x + w) for row in range(y, y + h)}
        assert x + w <= 24
        assert not taken & cells
        taken |= cells


def test_the_template_of_the_alerts_uses_each_field_of_its_rows() -> None:
    template = loaded("azure-monitor-alerts.json")
    alerts = template["variables"]["alerts"]
    used = set(re.findall(r"\[copyIndex\(\)\]\.(\w+)", json.dumps(template["resources"])))
    assert [set(each) for each in alerts] == [used] * len(alerts)
    assert len({each["name"] for each in alerts}) == len(alerts)
    parameters = set(re.findall(r"parameters\('(\w+)'\)", json.dumps(template["resources"])))
    assert parameters == set(template["parameters"])
