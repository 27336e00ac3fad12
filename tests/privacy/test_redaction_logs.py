"""Redaction of what is logged: no line that Ringback writes has what is private, wherever an event has it."""

from __future__ import annotations

import io
import json
import logging
import re
from contextlib import redirect_stdout
from typing import TYPE_CHECKING, Any

import pytest
import structlog
from hypothesis import example, given
from hypothesis import strategies as st

from accepting import received_of
from private_texts import KEY, MODES, after, before, guids, hashed
from records import lines_in
from ringback import logs, use_redaction
from ringback.receiving.intake import delivery_of
from ringback.receiving.replies import Reply
from ringback.settings import Door

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from ringback.core.events import Event


@pytest.fixture(autouse=True)
def _as_at_first() -> Iterator[None]:
    """The default mode, before and after: the mode is the whole process's."""
    use_redaction("mask")
    yield
    use_redaction("mask")


DATA_FIELDS = (
    "callConnectionId",
    "serverCallId",
    "correlationId",
    "operationContext",
    "version",
    "incomingCallContext",
)
FIELDS = [
    *((name,) for name in ("id", "source", "subject", "type", "time", "datacontenttype")),
    *(("data", name) for name in DATA_FIELDS),
    *(("data", "resultInformation", name) for name in ("code", "subCode", "message")),
    *(
        ("data", "resultInformation", kind, name)
        for kind in ("sipDetails", "q850Details")
        for name in ("code", "message")
    ),
]

long_numbers = st.from_regex("[1-9][0-9]{7,13}", fullmatch=True, alphabet="0123456789")
secrets_of_calls = st.one_of(
    long_numbers.map("+".__add__),
    long_numbers.map("4:".__add__),
    long_numbers.map("4:+".__add__),
    long_numbers.map("tel:+{}".format),
    long_numbers.map("sip:+{}@sbc.example.com".format),
    st.builds("8:{}:{}_{}".format, st.sampled_from(["acs", "dod-acs", "gcch-acs"]), guids, guids),
    guids.map("8:orgid:".__add__),
    guids.map("28:".__add__),
)


def delivery(placed: dict[tuple[str, ...], str]) -> bytes:
    """A busy call's event with some of its texts replaced."""
    result = {"code": 486, "subCode": 560486, "message": "Busy.", "sipDetails": {}, "q850Details": {}}
    event: dict[str, Any] = {"type": "Microsoft.Communication.CallDisconnected", "data": {"resultInformation": result}}
    for path, text in placed.items():
        inner = event
        for key in path[:-1]:
            inner = inner[key]
        inner[path[-1]] = text
    return json.dumps([event]).encode()


def lines(body: bytes) -> tuple[str, str, list[dict[str, Any]]]:
    """What is written of a delivery: as JSON, as plain text, and as the fields of plain logging's records."""
    refused = delivery_of(body, {}, Door())
    if isinstance(refused, Reply):
        # A number where none may be: what is said of that is a line, too, and an answer.
        assert REFUSED.search(refused.body) is None
        return _written(lambda: logs.LogObserver().answered(refused), [])
    received = received_of(body)
    return _written(lambda: list(logs.received(received)), received.delivery.events)


REFUSED = re.compile(rb"\d{5}|orgid|@")


def _written(write: Callable[[], None], events: Sequence[Event]) -> tuple[str, str, list[dict[str, Any]]]:
    structlog.configure(processors=[structlog.contextvars.merge_contextvars, structlog.processors.JSONRenderer()])
    try:
        with redirect_stdout(io.StringIO()) as shown, logs.bound_ids(events):
            write()
    finally:
        structlog.reset_defaults()
    kept: list[logging.LogRecord] = []
    handler = logging.Handler()
    handler.emit = kept.append  # type: ignore[method-assign]
    handler.addFilter(logs.ContextFilter())
    logger = logging.getLogger(logs.LOGGER)
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        with logs.bound_ids(events):
            write()
    finally:
        logger.removeHandler(handler)
        logger.setLevel(logging.NOTSET)
    ids = " ".join(f"%({name})s" for name in logs.IDS)
    plain = logging.Formatter(f"%(levelname)s {ids} %(message)s")
    return shown.getvalue(), "\n".join(map(plain.format, kept)), lines_in(kept)


@pytest.mark.parametrize(("mode", "key"), MODES)
@given(st.dictionaries(st.sampled_from(FIELDS), before, min_size=1), secrets_of_calls, after)
@example(dict.fromkeys(FIELDS, ""), "+15550100199", "")
def test_no_number_and_no_raw_id_of_a_payload_reaches_the_log(mode, key, places, private, right):
    """Wherever in an event it stands, neither the JSON line nor the plain line nor its record has it."""
    use_redaction(mode, key)
    as_json, plain, records = lines(delivery({path: left + private + right for path, left in places.items()}))
    assert as_json.count("\n") == len(records) == 1
    hidden = private.rpartition(":")[2].removeprefix("+")
    for written in (as_json, plain, json.dumps(records)):
        assert private not in written
        assert hidden not in written


def test_in_hash_mode_a_call_can_be_followed_by_its_number():
    """The same number gives the same hash in every field of a line, and the lines stay whole."""
    use_redaction("hash", KEY)
    placed = {
        ("data", "operationContext"): "4:+15550100199",
        ("data", "resultInformation", "message"): "No answer from +1 555 010 0199.",
    }
    _, _, (record,) = lines(delivery(placed))
    digest = hashed("15550100199")
    assert record["operation_context"] == f"[id:{digest}]"
    assert record["result_message"] == f"No answer from [phone:{digest}]."
