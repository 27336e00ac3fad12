"""Runs the streams of calls: opens the app's websocket, sends frames at their pace, and hears what comes back."""

from __future__ import annotations

import asyncio
import ssl
from typing import TYPE_CHECKING

from ringback.core.times import DAY
from ringback.simulator.frames import audio_data, audio_metadata, dtmf_data, transcription_data, transcription_metadata
from ringback.simulator.posting import address_fault, shown, without_tls
from ringback.simulator.scenarios import Step
from ringback.simulator.streaming import BAD_URL, LOST, RUNNING, STREAMING, UNREACHABLE, failed
from ringback.simulator.tone import PIECE, piece, silence
from ringback.simulator.turns import Open, Script

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from websockets.asyncio.client import ClientConnection

    from ringback.simulator.calls import Call
    from ringback.simulator.outside import Outside
    from ringback.simulator.streaming import Subscription
    from ringback.simulator.websocket import Dial

TOKEN_LIFETIME = DAY
"""Seconds that the token of a connection is valid for.

https://learn.microsoft.com/azure/communication-services/how-tos/call-automation/secure-webhook-endpoint
"""

WORD = 0.3
"""Seconds that a person takes for a word."""

_BETWEEN_TONES = 25
"""Pieces of audio between two pressed keys: half a second."""


class Streams:
    """The websockets of all streams. ``begin`` begins a script of its own. Audio has the pace of its samples."""

    def __init__(self, dial: Dial, outside: Outside, *, begin: Callable[[Script], object]) -> None:
        self._dial = dial
        self._outside = outside
        self._begin = begin

    async def prepare(self, script: Script, step: Step) -> Step:
        """Open the stream whose start the courier is about to report. Gives the event to report: a failure perhaps."""
        kind = step.event.removesuffix("Started")
        subscription = script.call.subscriptions.get(kind)
        if kind == step.event or subscription is None or subscription.url is None:
            return step
        if address_fault(subscription.url, "ws", self._outside.allow_http) is not None:
            return failed(kind, BAD_URL)
        try:
            socket = await self._connected(subscription.url, self._headers(script.call))
        except OSError as error:
            self._outside.say(
                f"-> {kind} to {shown(subscription.url)}: {error.strerror or error or type(error).__name__}"
            )
            return failed(kind, UNREACHABLE[kind])
        if subscription.state == "active":
            # Another start was faster.
            await socket.close()
            return failed(kind, RUNNING)
        self._outside.say(f"-> {kind} to {shown(subscription.url)}: open")
        await self._opened(script, subscription, socket)
        return step

    async def _connected(self, url: str, headers: Mapping[str, str]) -> ClientConnection:
        try:
            return await self._dial(url, headers)
        except ssl.SSLError:
            # An app that makes wss:// of the name of its own host, and is tried without the tunnel that has the TLS.
            plain = without_tls(url, self._outside.allow_http)
            if plain is None:
                raise
            self._outside.say(f"-> {shown(url)} speaks no TLS: trying {shown(plain)}")
            return await self._dial(plain, headers)

    def _headers(self, call: Call) -> dict[str, str]:
        ids = {"x-ms-call-connection-id": call.call_connection_id, "x-ms-call-correlation-id": call.correlation_id}
        issuer = self._outside.issuer
        if issuer is None:
            return ids
        return {**ids, "Authorization": f"Bearer {issuer.token(**self._outside.validity(TOKEN_LIFETIME))}"}

    async def _opened(self, script: Script, subscription: Subscription, socket: ClientConnection) -> None:
        kind, subscription.state, subscription.stopping = subscription.kind, "active", False
        task = asyncio.create_task(self._run(script, subscription, socket))
        # A task that is canceled before it has begun would not close the socket.
        await asyncio.sleep(0)

        def release() -> None:
            subscription.state = "inactive"
            task.cancel()

        if script.call.ended:
            # The call has ended while the app's server took its time.
            release()
            return
        stopped = Step(event=f"{kind}Stopped")
        script.call.open[kind] = Open(stopped, script.uri, script.context, release, attended=False)

    async def _run(self, script: Script, subscription: Subscription, socket: ClientConnection) -> None:
        from websockets.exceptions import ConnectionClosed

        kind, call = subscription.kind, script.call
        try:
            async with asyncio.TaskGroup() as both:
                both.create_task(self._hear(call, subscription, socket))
                both.create_task(self._send(call, subscription, socket))
        except* ConnectionClosed:
            # The app has closed the connection; the stream's own end cancels this task.
            key = f"{call.call_connection_id}/{kind}-lost"
            self._begin(Script(key, call, (failed(kind, LOST[kind], closes=kind),), script.uri, script.context))
        finally:
            await socket.close()
            heard = f", {call.heard.frames} of audio heard" if subscription.options.get("enableBidirectional") else ""
            frames = f"{subscription.sent} frames sent{heard}"
            self._outside.say(f"-> {kind} to {shown(subscription.url or '')}: closed, {frames}")

    async def _hear(self, call: Call, subscription: Subscription, socket: ClientConnection) -> None:
        while True:
            call.heard.take(await socket.recv(), played=subscription.options.get("enableBidirectional") is True)
            # Somebody who hangs up when the call has gone quiet still hears the app.
            call.stirred += 1

    async def _send(self, call: Call, subscription: Subscription, socket: ClientConnection) -> None:
        if subscription.kind == STREAMING:
            frames = audio(call, subscription, self._outside.clock)
        else:
            frames = words(call, subscription, WORD / self._outside.speed)
        for wait, frame in frames:
            if wait:
                await self._outside.sleep(wait)
            await socket.send(frame)
            subscription.sent += 1


def audio(call: Call, subscription: Subscription, clock: Callable[[], float]) -> Iterator[tuple[float, str]]:
    """The frames of media streaming, without end; before each one the seconds to wait.

    Mixed audio is one tone; unmixed audio is a tone for each participant, and silence for who is muted or on hold.
    """
    rate = subscription.rate
    yield 0.0, audio_metadata(subscription.id, rate, len(piece(rate)))
    tones = call.scenario.tones or ""
    keys = iter([key for key in "".join(tones) if key in "0123456789abcd#*"])
    number = 0
    while True:
        number += 1
        wait = PIECE
        for participant, pcm, silent in _voices(call, subscription):
            yield wait, audio_data(pcm, clock(), participant, silent=silent)
            wait = 0.0
        if subscription.options.get("enableDtmfTones") is True and number % _BETWEEN_TONES == 0:
            yield from ((0.0, dtmf_data(key)) for key in [next(keys, None)] if key is not None)


def _voices(call: Call, subscription: Subscription) -> list[tuple[str | None, bytes, bool]]:
    rate = subscription.rate
    if subscription.options.get("audioChannelType") == "mixed" or not call.participants:
        return [(None, piece(rate), False)]
    return [
        (raw_id, silence(rate), True) if who.muted or who.on_hold else (raw_id, piece(rate, speaker), False)
        for speaker, (raw_id, who) in enumerate(call.participants.items())
    ]


def words(call: Call, subscription: Subscription, pace: float) -> Iterator[tuple[float, str]]:
    """The frames of a transcription: the first participant says the scenario's words, ``pace`` seconds each."""
    yield (
        0.0,
        transcription_metadata(
            subscription.id, subscription.locale or "", call.call_connection_id, call.correlation_id, subscription.model
        ),
    )
    speaker = next(iter(call.participants), None)
    intermediate = subscription.options.get("enableIntermediateResults") is True
    began = 0.0
    for said in filter(None, map(str.split, call.scenario.words)):
        for known in range(1 if intermediate else len(said), len(said) + 1):
            wait = pace if intermediate else pace * len(said)
            final = known == len(said)
            yield wait, transcription_data(said[:known], began, pace, speaker, final=final)
        began += pace * len(said)
