"""Whatever a log holds: nothing raises, what is read is whole, nothing private is printed."""

from __future__ import annotations

import io
import json
from itertools import product
from typing import TYPE_CHECKING, Any

import pytest
import structlog
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from ringback import classify
from ringback.cli import main
from ringback.cli.reading.frames import Found, found_in
from ringback.cli.reading.line import Line, Unread
from ringback.core.fields import ROWS
from ringback.logs._text import Text

if TYPE_CHECKING:
    from pathlib import Path

TOLD: dict[str, Any] = {
    "schema": 2,
    "event_type": "Microsoft.Communication.CallDisconnected",
    "scope": "call",
    "code": 486,
    "subcode": 560486,
    "cause": "busy",
    "disposition": "retryable",
    "confidence": "high",
    "call_connection_id": "1f0e5c1a-0000-4000-8000-000000000001",
}
IN_TEXT = [row.name for row in ROWS if "text" in row.marks]
KEYS = ("operation_context", "summary", "hook", "reason", "result_message")
"""Texts of a sender, or of an app."""

TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r"), min_size=1) | st.sampled_from(
    [
        "x cause=declined",
        '" cause=declined',
        "' cause=declined x='",
        "a\ncause=declined",
        "[",
        '{"cause": "declined"}',
        "…",
    ]
)
PIECES = st.sampled_from(
    [
        json.dumps({"event": "call.outcome", **TOLD}).encode(),
        b"call.outcome event_type=x cause=busy disposition=retryable",
        b'{"tables": [{"columns": [{"name": "cause"}], "rows": [["busy"], 1]}, 2]}',
        b'{"resourceLogs": [{"scopeLogs": [{"logRecords": [{"attributes": [{"key": "outcome"}, 1]}]}, 3]}, 4]}',
        b"timestamp,customDimensions\n",
        b'1,"{""event"": ""call.outcome"", ""cause"": ""busy"", ""disposition"": ""terminal""}"',
        b'[{"type": "Microsoft.Communication.CallDisconnected"}]',
        b'{"customDimensions": {"ringback": "{\'outcome\': 1}"}}',
        b"\n",
        b"{\n",
        b"[\n",
        b'"',
        b"\xef\xbb\xbf",
    ]
)


def parts(content: bytes, sizes: list[int]) -> list[bytes]:
    """The content in pieces of these sizes, and the rest."""
    cut: list[bytes] = []
    for size in sizes:
        cut.append(content[:size])
        content = content[size:]
    return [*cut, content]


def shown(found: list[Found]) -> list[object]:
    return [tuple(each) if isinstance(each, Unread) else each for each in found]


@given(st.lists(st.binary() | PIECES).map(b"".join), st.lists(st.integers(0, 99)))
@example(b"\n" * 20_000 + b"{\n\n", [])
@example(b"_,customDimensions\n\x00\n", [19])
@example(b"_,customDimensions\n1,\r2\n3,4\n", [19])
@example(b"_,\rcustomDimensions\n1,2\n", [])
@example(b"_" * 140_000 + b",message\n1,2\n", [])
def test_any_bytes_are_read(content: bytes, sizes: list[int]) -> None:
    """In any pieces they are the same, and none raises."""
    whole = list(found_in([content]))
    assert shown(list(found_in(parts(content, sizes)))) == shown(whole)


_WITHIN = ("customDimensions", "Properties", "attributes", "ringback", "Log_s", "tables", "rows", "key")
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | TEXTS,
    lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from([*Line.__struct_encode_fields__, *_WITHIN]), inner),
)


@given(JSON)
def test_any_json_is_read(content: Any) -> None:
    """A row of any shape, with any values under our own names."""
    for each in ({"event": "call.outcome", "at": content}, {"a": content, "disposition": 1}, [content, "outcome"]):
        for indent in (None, 1):
            assert list(found_in([json.dumps(each, indent=indent).encode()])) is not None


RENDERERS = {
    "logging": lambda fields: f"call.outcome{Text('call.outcome', fields, IN_TEXT)}",
    "console": lambda fields: _rendered(structlog.dev.ConsoleRenderer(colors=False), fields),
    "logfmt": lambda fields: _rendered(structlog.processors.LogfmtRenderer(bool_as_flag=False), fields),
    "key and value": lambda fields: _rendered(structlog.processors.KeyValueRenderer(), fields),
}


def _rendered(renderer: Any, fields: dict[str, Any]) -> str:
    return str(renderer(None, "info", {"level": "info", "event": "call.outcome", **fields}))


@pytest.mark.parametrize("rendered", RENDERERS.values(), ids=RENDERERS)
@given(st.dictionaries(st.sampled_from(KEYS), TEXTS))
@example({"operation_context": "'", "summary": "'"})
@example({"operation_context": "0", "summary": "]", "hook": "["})
def test_no_text_passes_for_a_key(rendered: Any, texts: dict[str, str]) -> None:
    """A value is read whole, or it is absent, or the line is not read: it is never another's."""
    for each in found_in([rendered(TOLD | texts).encode()]):
        if isinstance(each, Line):
            read = {
                key: value
                for key in (*TOLD, *KEYS)
                if key != "confidence" and (value := getattr(each, key)) is not None
            }
            assert read.pop("schema") in (0, 2)
            assert read.items() <= {**TOLD, **texts}.items()
            assert {"cause", "disposition", "scope"} <= read.keys()


NUMBER = "+15550100001"
PRIVATE = [f"Callee 4:{NUMBER}", NUMBER.replace("+", "%2B"), "maria@example.com", "8:acs:1f0e5c1a-0000_0000"]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from(PRIVATE), st.sampled_from(["", "terminal"]), st.booleans())
def test_nothing_private_is_printed(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    said: str,
    cause: str,
    cut: bool,
) -> None:
    """By no command, whatever key has it, also where the line cannot be read."""
    base = classify("Microsoft.Communication.CallDisconnected", 486, 560486).to_dict()
    told = {"event": "call.outcome", **base, **dict.fromkeys(KEYS, said), "message": said, "outcome_id": f"call:{said}"}
    told |= {"cause": cause or said, "call_connection_id": said, "event_id": said, "owner": said}
    lines = [
        json.dumps(told)[: -9 if cut else None],
        json.dumps({"message": "x", "customDimensions": told}),
        json.dumps({"event": "hook.failed", "outcome_id": said, "hook": said}),
        json.dumps({"event": "callback.rejected", "reason": said}),
        f"call.outcome cause={said!r}",
        said,
        f"call.outcome{Text('call.outcome', told, IN_TEXT)}",
    ]
    content = "\n".join(lines).encode()
    log = tmp_path / f"{said.replace(':', '')}.log"
    log.write_bytes(content)
    for command, options in product(("stats", "whatif", "explain"), ([], ["--json"])):
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(content)))
        main([command, *options, *([] if command == "explain" else [str(log)])])
        captured = capsys.readouterr()
        printed = captured.out + captured.err
        assert said not in printed.replace(str(log), "").replace(repr(str(log)), "")
