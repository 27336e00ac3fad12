"""The words of the telemetry: nothing private, one name for a thing, and the pages that name them."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.semconv._incubating.attributes import messaging_attributes
from opentelemetry.semconv.schemas import Schemas

from accepting import received_of
from ringback import (
    ConfigurationError,
)
from ringback.core.events import Event
from ringback.stores import MemoryStore, Stats
from ringback.telemetry._attributes import (
    CLASSIFIED_BY,
    KNOWN,
    SETTLED_BY,
    clean,
    of_event,
    of_outcome,
    settled_words,
    words,
)
from ringback.telemetry._telemetry import _EVENT_GRID, SCHEMA
from ringback.work.call_detail import EndedLeg
from ringback.work.deliveries import RESULTS
from ringback_catalog import Cause, Disposition, Match, ResultCategory
from sights import OTHER, PROCESSED, Sight, delivery, event


@pytest.fixture
def sight() -> Sight:
    return Sight()


def sets(words: Any) -> frozenset[str]:
    return frozenset(each.value for each in words)


ALLOWED = {
    "event": KNOWN | {"other"},
    "cause": sets(Cause),
    "category": sets(ResultCategory),
    "disposition": sets(Disposition),
    "match": sets(Match),
}
PRIVATE = (
    "+15550100123",
    "4:+15550100123",
    "8:acs:1f0e5c1a-0000-4000-8000-00000000000a_00000000-1111-2222-3333-444444444444",
    "sip:anna@example.test",
    "Bearer abc123.def456",
    "https://example.test/cb?secret=hush-hush-hush",
)
LEAKS = ("5550100123", "8:acs:", "anna@", "abc123", "hush")
texts = st.one_of(
    st.sampled_from(PRIVATE),
    st.builds(
        lambda before, told: f"{before} {told}",
        st.sampled_from(["", "to", "x" * 245]),
        st.sampled_from(PRIVATE),
    ),
)


@given(
    name=st.one_of(st.sampled_from(sorted(ALLOWED["event"])), texts),
    text=texts,
    code=st.integers(0, 700),
    subcode=st.integers(0, 9999),
)
def test_nothing_private_reaches_an_attribute(name: str, text: str, code: int, subcode: int) -> None:
    """Whatever a sender writes, metrics have closed sets, and spans have it redacted."""
    sight = Sight()
    told = event(name, code, subcode) | {"id": text, "source": text, "specversion": text, "subject": text}
    told["traceparent"] = OTHER
    told["data"] |= {"callConnectionId": text, "correlationId": text, "operationContext": text}
    told["data"]["resultInformation"]["message"] = text
    body = delivery(told)
    received = received_of(body)
    gauge = sight.telemetry.delivery([(b"authorization", b"Bearer abc123.def456")])
    gauge.received(received, body)
    gauge.end()
    queue = sight.telemetry.over(MemoryStore())
    for outcome in received.outcomes:
        for attempt in (queue.hook, queue.redial):
            with pytest.raises(ValueError, match=r"^"), attempt(outcome, f"jobs.\ud800 {text}", 1):
                raise ValueError(text)
    spans = sight.exporter.get_finished_spans()
    everything = [span.to_json() for span in spans]
    assert not [leak for leak in LEAKS for each in everything if leak in each]
    metrics = sight.metrics()
    for attributes, _ in metrics.get("ringback.outcomes", []):
        assert attributes.keys() == ALLOWED.keys()
        assert all(value in ALLOWED[key] for key, value in attributes.items())
    assert not [leak for leak in LEAKS if leak in repr(metrics)]


GUIDS = st.uuids().map(str)


@given(
    leg=st.one_of(GUIDS, texts, st.from_regex(r"[0-9A-Za-z_:=+.-]{0,30}", fullmatch=True), st.text(max_size=300)),
    kind=st.one_of(st.sampled_from(sorted(KNOWN)), texts),
)
def test_what_is_told_without_a_look_would_have_stood_it(leg: str, kind: str) -> None:
    """The short ways around the redaction lead where the redaction leads."""
    told = Event(id=leg, source=f"calling/callConnections/{leg}", type=f"Microsoft.Communication.{kind}")
    attributes = of_event(told, leg)
    assert attributes == {
        "cloudevents.event_id": clean(leg),
        "cloudevents.event_source": clean(re.sub(r"(?s)(?<=//)[^/?#]*@|[?#].*", "", told.source or "")),
        "cloudevents.event_spec_version": clean(leg),
        "cloudevents.event_type": clean(told.type),
    }
    assert all(len(str(text).encode()) <= 4 * 256 for text in attributes.values())


def test_deliveries_are_counted_from_zero(sight: Sight) -> None:
    """The first refusal is a step up from what was there, which a rate can see."""
    found = sight.reader.get_metrics_data()
    assert found is not None
    (metric,) = found.resource_metrics[0].scope_metrics[0].metrics
    told = {dict(point.attributes or {})["result"]: point.value for point in metric.data.data_points}  # type: ignore[union-attr]
    assert told == dict.fromkeys(RESULTS, 0)
    words = page("telemetry.md").partition("**`result` of a delivery:**")[2].partition("- **")[0]
    assert set(re.findall(r"`(\w+)`", words)) == set(RESULTS)


def test_an_unknown_event_is_counted_as_other(sight: Sight) -> None:
    """A name that the service or a stranger invents makes no series of its own."""
    received = received_of(delivery(event("Invented")))
    assert dict(zip(CLASSIFIED_BY, words(received.outcomes[0]), strict=True))["event"] == "other"


def page(name: str) -> str:
    return (Path(__file__).parents[2] / "docs" / name).read_text(encoding="utf-8")


def test_the_queries_ask_for_keys_that_the_lines_have() -> None:
    """A query of the recipe names events and keys as docs/logs.md documents them."""
    queries = "\n".join(re.findall(r"```kusto\n(.*?)```", page("telemetry.md"), re.DOTALL))
    documented = {"event"} | set(re.findall(r"^\| `(\w+)` \|", page("logs.md"), re.MULTILINE))
    asked = set(re.findall(r"customDimensions\.(\w+)", queries))
    assert {each for each in asked - documented if f"`{each}`" not in page("telemetry.md")} == set()
    events = set(re.findall(r'customDimensions\.event == "([\w.]+)"', queries))
    assert events == {"call.ended", "call.outcome", "hook.failed"}
    assert {f"### `{each}`" in page("logs.md") for each in events} == {True}


def test_the_page_names_every_metric(sight: Sight) -> None:
    """What is documented is what is recorded, with its unit and its attributes."""
    listed = re.findall(r"^\| `(ringback\.[\w.]+)` \| \w+, `([^`]+)` \| (.*?) ?\|$", page("telemetry.md"), re.MULTILINE)
    told = {name: (unit, set(re.findall(r"`(\w+)`", attributes))) for name, unit, attributes in listed}
    sight.telemetry.metrics.deliveries.add(("accepted",))
    received = received_of(delivery())
    sight.telemetry.metrics.outcomes.add(words(received.outcomes[0]))
    answered = EndedLeg(None, "leg", None, 1.0, 61.0, True, None, 60.0, False, 1, 1, None)
    sight.telemetry.metrics.count_call(received.outcomes[0], answered)
    sight.telemetry.metrics.durations.record(1.0, {"hook": "jobs.call_again", "result": "ok"})
    sight.telemetry.metrics.count_redial("placed", 2)
    queue = sight.telemetry.metrics.queue(MemoryStore())
    queue._answer = (0.0, Stats())
    found = sight.reader.get_metrics_data()
    assert found is not None
    recorded = {
        each.name: (each.unit, {key for point in each.data.data_points for key in point.attributes or ()})
        for each in found.resource_metrics[0].scope_metrics[0].metrics
    }
    assert recorded == told


def test_a_thing_has_one_name_in_metrics_and_spans(sight: Sight) -> None:
    """What is counted by is what a span says, under the same name and with the same word; other names are standard."""
    received = received_of(delivery())
    outcome = received.outcomes[0]
    told = of_outcome(outcome)
    counted = dict(zip(CLASSIFIED_BY, words(outcome), strict=True)) | dict(
        zip(SETTLED_BY, settled_words(outcome), strict=True)
    )
    assert told == counted | {"outcome_id": outcome.outcome_id}
    # The lowest versions of OpenTelemetry know older schemas alone.
    known = {each.value for each in Schemas}
    assert SCHEMA in known or len(known) < 20
    assert {*PROCESSED, "messaging.batch.message_count"} == {
        messaging_attributes.MESSAGING_SYSTEM,
        messaging_attributes.MESSAGING_OPERATION_NAME,
        messaging_attributes.MESSAGING_OPERATION_TYPE,
        messaging_attributes.MESSAGING_BATCH_MESSAGE_COUNT,
    }
    assert {
        "messaging.system": messaging_attributes.MessagingSystemValues.EVENTGRID.value,
        "messaging.operation.name": "process",
        "messaging.operation.type": messaging_attributes.MessagingOperationTypeValues.PROCESS.value,
    } == _EVENT_GRID


def python(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.strip()


def test_switched_off_opentelemetry_is_not_imported() -> None:
    """Neither by the package nor by an app that does not ask for it."""
    code = (
        "import sys, ringback, ringback.web.middleware, ringback.web.handler, ringback.web.endpoint\n"
        "ringback.CallOutcomeMiddleware(print, router=ringback.OutcomeRouter(), path='/', auth=None)\n"
        "print([name for name in sys.modules if name.startswith('opentelemetry') or name == 'ringback.telemetry'])"
    )
    assert python(code) == "[]"


def test_without_the_extra_the_remedy_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Asking for telemetry without its package says what to install."""
    monkeypatch.setitem(sys.modules, "opentelemetry", None)
    for name in [each for each in sys.modules if each.startswith("ringback.telemetry")]:
        monkeypatch.delitem(sys.modules, name)
    with pytest.raises(ConfigurationError, match=r"pip install 'ringback\[otel\]'"):
        __import__("ringback.telemetry")
