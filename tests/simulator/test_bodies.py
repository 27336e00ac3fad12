"""The bodies that the simulator posts, key for key beside recorded deliveries."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from azure.communication.callautomation import CommunicationUserIdentifier, FileSource, RecognizeInputType
from azure.communication.callautomation.aio import CallAutomationClient

from newer_client import newer
from ringback.simulator import SCENARIOS, Simulator, Step

PAYLOADS = Path(__file__).parents[1] / "payloads"
FAILED = {"failed_play_source_index": 0}
CALLER, CALLEE = (
    f"8:acs:4c2b5e1f-0000-4000-8000-000000000001_5d3a4f10-0000-4000-8000-{number:012}" for number in (25, 26)
)


def shape(value: Any) -> Any:
    """The keys of a value, all the way down; lists keep their length."""
    if isinstance(value, dict):
        return {key: shape(each) for key, each in value.items()}
    return [shape(each) for each in value] if isinstance(value, list) else type(value).__name__


def recorded(name: str) -> Any:
    content = json.loads((PAYLOADS / f"{name}.json").read_text("utf-8"))
    return content if isinstance(content, list) else [content]


async def posted(scenario: Any, remove: bool = False) -> dict[str, Any]:
    bodies: dict[str, Any] = {}

    async def keep(uri: str, body: bytes, headers: Any) -> int:
        [event] = content = json.loads(body)
        bodies[(event.get("type") or event["eventType"]).rpartition(".")[2]] = content
        return 200

    async with Simulator(scenario, post=keep) as acs, CallAutomationClient(acs.url, acs.credential) as client:
        target = CommunicationUserIdentifier(CALLEE)
        placed = await client.create_call(target, "https://app.example.com/cb", operation_context="order-1")
        await acs.idle()
        if remove:
            connection = client.get_call_connection(placed.call_connection_id)
            await connection.remove_participant(target, operation_context="remove")
            await acs.idle()
        await acs.incoming("https://app.example.com/grid", caller=CALLER, callee=CALLEE)
    return bodies


@pytest.mark.parametrize(
    ("scenario", "event", "name"),
    [
        ("declined", "CallDisconnected", "calldisconnected-603-0"),
        ("declined", "CreateCallFailed", "createcallfailed-603-0"),
        ("declined", "IncomingCall", "eg-incomingcall"),
        ("connected", "RemoveParticipantSucceeded", "removeparticipantsucceeded-200-0"),
    ],
)
async def test_a_body_has_the_keys_of_the_recorded_one(scenario: str, event: str, name: str) -> None:
    """No key more, none less, at any depth."""
    bodies = await posted(scenario, remove=scenario == "connected")
    assert shape(bodies[event]) == shape(recorded(name))


@pytest.mark.parametrize(
    ("event", "name"),
    [
        pytest.param("PlayStarted", "playstarted-200-0", marks=newer),
        ("PlayFailed", "playfailed-400-8535"),
        ("RecognizeFailed", "recognizefailed-400-8510"),
    ],
)
async def test_media_events_have_the_keys_of_the_recorded_ones(event: str, name: str) -> None:
    """With the context of their own operation, and the words of the recorded message."""
    [expected] = recorded(name)
    results = (Step(event="PlayCompleted"), Step(event="PlayFailed", code=400, subcode=8535, fields=FAILED))
    bodies: dict[str, Any] = {}

    async def keep(uri: str, body: bytes, headers: Any) -> int:
        [each] = json.loads(body)
        bodies[each["type"].rpartition(".")[2]] = each
        return 200

    scenario = replace(SCENARIOS["connected"], name="mine", speech="", results=results)
    async with Simulator(scenario, post=keep) as acs, CallAutomationClient(acs.url, acs.credential) as client:
        target = CommunicationUserIdentifier(CALLEE)
        placed = await client.create_call(target, "https://app.example.com/cb")
        await acs.idle()
        connection = client.get_call_connection(placed.call_connection_id or "")
        source = FileSource("https://app.example.com/hello.wav")
        for _ in range(2):
            await connection.play_media(source, operation_context="greeting")
        await connection.start_recognizing_media(RecognizeInputType.SPEECH, target, operation_context="menu")
        await acs.idle()
    assert shape(bodies[event]) == shape(expected)
    for key in ("operationContext", "resultInformation"):
        assert bodies[event]["data"][key] == expected["data"][key]


async def test_an_old_version_reports_no_result() -> None:
    """The context is the app's own; all else is as it was recorded."""
    bodies = await posted("old_api")
    expected = shape(recorded("calldisconnected-no-result-2024-04-15"))
    expected[0]["data"]["operationContext"] = "str"
    assert shape(bodies["CallDisconnected"]) == expected
    assert bodies["CallDisconnected"][0]["data"]["version"] == "2024-04-15"


async def test_the_end_by_telephone_reads_as_it_was_recorded() -> None:
    """Wire code 200 for the tables' 0, which the message keeps."""
    [event] = (await posted(replace(SCENARIOS["answered"], name="mine")))["CallDisconnected"]
    [data] = recorded("calldisconnected-200-560000-data-only")
    assert shape(event["data"]) == shape(data)
    assert event["data"]["resultInformation"] == data["resultInformation"]
