"""A local namespace of Service Bus and Event Hubs: takes any token, knows every queue, and keeps what is sent to it.

It answers the real clients frame by frame, with the codec of their own package. No broker of Debian knows the node
``$cbs``, to which the clients bring their tokens first, and Microsoft's emulators are containers.
https://learn.microsoft.com/azure/service-bus-messaging/service-bus-amqp-protocol-guide
"""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

from azure.eventhub._pyamqp import performatives as frames
from azure.eventhub._pyamqp._decode import decode_frame, decode_payload
from azure.eventhub._pyamqp._encode import encode_frame, encode_payload
from azure.eventhub._pyamqp.endpoints import Source, Target
from azure.eventhub._pyamqp.message import Message, Properties
from azure.eventhub._pyamqp.outcomes import Accepted

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable

SASL, WINDOW = b"\x01", 2048
HUB = {b"name": b"calls", b"created_at": 0, b"partition_count": 1, b"partition_ids": [b"0"]}
ANSWERS: dict[int, Callable[[int, list[Any]], Any]] = {
    frames.OpenFrame._code: lambda *_: frames.OpenFrame("namespace", None, 65536, 255, 60000, *[None] * 5),
    frames.BeginFrame._code: lambda channel, _: frames.BeginFrame(channel, 0, WINDOW, WINDOW, 255, None, None, None),
    frames.DetachFrame._code: lambda _, fields: frames.DetachFrame(fields[0], True, None),
    frames.EndFrame._code: lambda *_: frames.EndFrame(None),
    frames.CloseFrame._code: lambda *_: frames.CloseFrame(None),
}
"""What is said of each frame that needs no thought, by its code, for its channel and its fields."""


class Sent(NamedTuple):
    """A message that arrived, and the path of the entity that it was sent to."""

    to: str
    message: Message


class Namespace:
    """What arrives, in its order. ``url`` is the connection string, for a client without TLS."""

    def __init__(self) -> None:
        self.sent: list[Sent] = []
        self.url = ""
        self.serving: set[asyncio.Task[None] | None] = set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.serving.add(asyncio.current_task())
        peer = Peer(self, writer)
        try:
            while header := await reader.readexactly(8):
                if header[:4] == b"AMQP":
                    peer.greet(header)
                    continue
                body = await reader.readexactly(int.from_bytes(header[:4], "big") - 8)
                if body:
                    peer.answer(int.from_bytes(header[6:8], "big"), *decode_frame(memoryview(body)))
        except (asyncio.IncompleteReadError, asyncio.CancelledError, ConnectionError):
            pass
        finally:
            writer.close()


class Peer:
    """One client's connection."""

    def __init__(self, namespace: Namespace, writer: asyncio.StreamWriter) -> None:
        self.namespace, self.writer = namespace, writer
        # By channel and handle: where the client sends to. By channel and node: where the node's answers go.
        self.targets: dict[tuple[int, int], str] = {}
        self.answers: dict[tuple[int, str], int] = {}
        self.number = 0

    def greet(self, header: bytes) -> None:
        self.writer.write(header)
        if header[4:5] == b"\x03":
            self.send(0, frames.SASLMechanism([b"ANONYMOUS", b"MSSBCBS"]), SASL)

    def send(self, channel: int, frame: Any, kind: bytes = b"\x00") -> None:
        header, data = encode_frame(frame, kind)
        self.writer.write(header + channel.to_bytes(2, "big") + bytes(data or b""))

    def answer(self, channel: int, code: int, fields: list[Any]) -> None:
        if code == frames.AttachFrame._code:
            self.attach(channel, fields)
        elif code == frames.TransferFrame._code:
            self.take(channel, fields)
        elif code == frames.SASLInit._code:
            self.send(0, frames.SASLOutcome(0, None), SASL)
        elif code in ANSWERS:
            self.send(channel, ANSWERS[code](channel, fields))

    def attach(self, channel: int, fields: list[Any]) -> None:
        name, handle, receives = fields[:3]
        source, target = Source(*fields[5]), Target(*fields[6])
        unsettled = (None, False, 0, 2**20, None, None, None)
        self.send(channel, frames.AttachFrame(name, handle, not receives, 2, 0, source, target, *unsettled))
        if receives:
            self.answers[channel, source.address.decode()] = handle
        else:
            self.targets[channel, handle] = target.address.decode()
            self.send(channel, frames.FlowFrame(0, WINDOW, 0, WINDOW, handle, 0, 100, None, False, False, None))

    def take(self, channel: int, fields: list[Any]) -> None:
        to, message = self.targets[channel, fields[0]], decode_payload(fields[-1])
        accepted = frames.DispositionFrame(True, fields[1], fields[1], True, Accepted(), False)
        self.send(channel, accepted)
        if to.startswith("$"):
            self.reply(channel, to, message)
        else:
            self.namespace.sent.append(Sent(to.rpartition("/")[2], message))

    def reply(self, channel: int, node: str, request: Message) -> None:
        about = Properties(correlation_id=request.properties.message_id)
        payload = bytearray()
        told = {b"status-code": 200, b"status-description": b"OK"}
        encode_payload(payload, Message(properties=about, application_properties=told, value=HUB))
        self.number += 1
        number, rest = self.number, (None, None, False, False, False, payload)
        delivery = (self.answers[channel, node], number, number.to_bytes(4, "big"), 0, True, False)
        self.send(channel, frames.TransferFrame(*delivery, *rest))


@asynccontextmanager
async def namespace() -> AsyncGenerator[Namespace]:
    """A namespace on a free port of this machine."""
    made = Namespace()
    server = await asyncio.start_server(made.serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    made.url = (
        f"Endpoint=sb://127.0.0.1:{port};SharedAccessKeyName=app;SharedAccessKey=bm9ib2R5;UseDevelopmentEmulator=true;"
    )
    try:
        yield made
    finally:
        server.close()
        tasks = [task for task in made.serving if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks)
