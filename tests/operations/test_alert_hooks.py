"""The hooks of docs/operations/alert-hooks.md, as the page has them, tell a channel and a mailbox once in an hour,
and a queue and an event hub each time."""

from __future__ import annotations

import email
import importlib
import json
import re
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from ringback import Retry, classify, classify_event, parse_delivery

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator
    from types import ModuleType

PAGE = (Path(__file__).parents[2] / "docs" / "operations" / "alert-hooks.md").read_text("utf-8")
WRONG = classify("CreateCallFailed", 400, 8523)
BUSY = {
    "id": "1f0e5c1a-0000-4000-8000-000000000001",
    "type": "Microsoft.Communication.CallDisconnected",
    "data": {
        "callConnectionId": "leg-1",
        "correlationId": "correlation-1",
        "resultInformation": {"code": 486, "subCode": 560486, "message": "Busy"},
    },
}


@pytest.fixture
def pasted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], ModuleType]]:
    """Saves the page's files, and imports one of them anew."""
    names = re.findall(r"```python\n# (\w+)\.py\n(.*?)```", PAGE, re.DOTALL)
    for name, text in names:
        (tmp_path / f"{name}.py").write_text(text, "utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    yield importlib.import_module
    for name, _ in names:
        sys.modules.pop(name, None)


class Channel:
    """A local endpoint that takes what a workflow of Teams takes, and answers as it is told."""

    def __init__(self) -> None:
        self.cards: list[dict[str, Any]] = []
        self.statuses: list[int] = []

        class Handler(BaseHTTPRequestHandler):
            def do_POST(handler) -> None:  # noqa: N805 - http.server's name; `self` is the channel here
                self.cards.append(json.loads(handler.rfile.read(int(handler.headers["Content-Length"]))))
                handler.send_response(self.statuses.pop(0) if self.statuses else 202)
                handler.end_headers()

            def log_message(self, *_: object) -> None: ...

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/workflow"


@pytest.fixture
def channel() -> Iterator[Channel]:
    channel = Channel()
    thread = threading.Thread(target=channel.server.serve_forever)
    thread.start()
    yield channel
    channel.server.shutdown()
    thread.join()
    channel.server.server_close()


def test_what_was_said_is_known_for_an_hour(pasted: Callable[[str], ModuleType]) -> None:
    now = 0.0
    told = pasted("told").Told(lambda: now)
    assert "fault" not in told
    told.add("fault")
    now = 3599.0
    assert "fault" in told
    assert "another" not in told
    now = 3600.0
    assert "fault" not in told


async def test_a_channel_gets_one_card_for_one_fault(
    pasted: Callable[[str], ModuleType], channel: Channel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With who must act, why, and what to do; a channel that takes no more is asked again later."""
    monkeypatch.setenv("TEAMS_WEBHOOK_URL", channel.url)
    teams = pasted("teams")
    channel.statuses = [429]
    with pytest.raises(Retry) as raised:
        await teams.tell_the_channel(WRONG)
    assert raised.value.after == 60
    await teams.tell_the_channel(WRONG)
    await teams.tell_the_channel(WRONG)
    first, card = channel.cards
    assert first == card
    [attachment] = card["attachments"]
    assert (card["type"], attachment["contentType"]) == ("message", "application/vnd.microsoft.card.adaptive")
    title, facts, *advice = attachment["content"]["body"]
    assert title["text"] == WRONG.summary
    assert {each["title"]: each["value"] for each in facts["facts"]} == {
        "Who": WRONG.owner.value,
        "Why": WRONG.cause.value,
        "Code": f"{WRONG.code} / {WRONG.subcode}",
    }
    assert [each["text"] for each in advice] == [f"- {each}" for each in WRONG.advice]


async def test_a_channel_that_fails_fails_the_hook(
    pasted: Callable[[str], ModuleType], channel: Channel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that the hook is tried again, and the next attempt tells it."""
    httpx = pytest.importorskip("httpx")
    monkeypatch.setenv("TEAMS_WEBHOOK_URL", channel.url)
    teams = pasted("teams")
    channel.statuses = [500]
    with pytest.raises(httpx.HTTPStatusError):
        await teams.tell_the_channel(WRONG)
    await teams.tell_the_channel(WRONG)
    assert len(channel.cards) == 2


def test_a_mailbox_gets_one_mail_for_one_fault(
    pasted: Callable[[str], ModuleType], monkeypatch: pytest.MonkeyPatch, free_port: Callable[[], int]
) -> None:
    """By a server of SMTP."""
    controllers = pytest.importorskip("aiosmtpd.controller")
    mails = []

    class Mailbox:
        async def handle_DATA(self, _: object, __: object, envelope: Any) -> str:  # noqa: N802 - aiosmtpd's
            mails.append(envelope)
            return "250 taken"

    port = free_port()
    controller = controllers.Controller(Mailbox(), hostname="127.0.0.1", port=port)
    controller.start()
    try:
        for name, value in (("HOST", "127.0.0.1"), ("PORT", str(port))):
            monkeypatch.setenv(f"SMTP_{name}", value)
        monkeypatch.setenv("MAIL_FROM", "calls@example.com")
        monkeypatch.setenv("MAIL_TO", "operators@example.com")
        mail = pasted("mail_by_smtp")
        mail.tell_by_mail(WRONG)
        mail.tell_by_mail(WRONG)
    finally:
        controller.stop()
    [envelope] = mails
    assert (envelope.mail_from, envelope.rcpt_tos) == ("calls@example.com", ["operators@example.com"])
    message = email.message_from_bytes(envelope.content)
    assert message["Subject"] == f"Calls end as {WRONG.cause}: {WRONG.owner} must act"
    assert str(message.get_payload()).split("\r\n")[0] == WRONG.summary


@pytest.fixture
async def namespace(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Any]:
    """A queue and an event hub, both named calls, for the real clients."""
    pytest.importorskip("azure.servicebus")
    pytest.importorskip("azure.eventhub")
    import amqp_namespace

    async with amqp_namespace.namespace() as found:
        for name, value in (("CONNECTION_STRING", found.url), ("QUEUE", "calls"), ("NAME", "calls")):
            monkeypatch.setenv(f"SERVICE_BUS_{name}", value)
            monkeypatch.setenv(f"EVENT_HUB_{name}", value)
        yield found


async def test_a_queue_gets_the_outcome(pasted: Callable[[str], ModuleType], namespace: Any) -> None:
    """Under an id by which the queue knows a second message of the same outcome."""
    await pasted("to_service_bus").tell_the_queue(WRONG)
    [(to, message)] = namespace.sent
    [body] = message.data
    assert (to, json.loads(body)) == ("calls", WRONG.to_dict())
    told = message.properties
    assert (told.message_id, told.subject, told.content_type) == (
        WRONG.outcome_id.encode(),
        WRONG.cause.value.encode(),
        b"application/json",
    )


async def test_an_event_hub_gets_the_outcome(pasted: Callable[[str], ModuleType], namespace: Any) -> None:
    """With a key that keeps the events of one call in one partition."""
    hub = pasted("to_event_hubs")
    [outcome] = [classify_event(each) for each in parse_delivery(json.dumps([BUSY])).events]
    await hub.tell_the_hub(outcome)
    [(to, message)] = namespace.sent
    [body] = message.data
    assert (to, json.loads(body)) == ("calls", outcome.to_dict())
    assert message.message_annotations == {b"x-opt-partition-key": b"correlation-1"}
    assert message.properties.message_id == outcome.outcome_id.encode()


@pytest.mark.parametrize(("module", "hook"), [("to_service_bus", "tell_the_queue"), ("to_event_hubs", "tell_the_hub")])
async def test_a_namespace_that_is_away_fails_the_hook(
    module: str,
    hook: str,
    pasted: Callable[[str], ModuleType],
    namespace: Any,
    monkeypatch: pytest.MonkeyPatch,
    free_port: Callable[[], int],
) -> None:
    """So that the hook is tried again."""
    for name in ("SERVICE_BUS", "EVENT_HUB"):
        away = re.sub(r":\d+;", f":{free_port()};", namespace.url)
        monkeypatch.setenv(f"{name}_CONNECTION_STRING", away)
    from azure.eventhub.exceptions import EventHubError
    from azure.servicebus.exceptions import ServiceBusError

    with pytest.raises((EventHubError, ServiceBusError)):
        await getattr(pasted(module), hook)(WRONG)
    assert namespace.sent == []
