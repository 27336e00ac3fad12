"""Answers a call and sends back what it hears for a second; ``ringback simulate --tls --ring URL`` stands for Azure.

URL is http://127.0.0.1:8080/api/incomingCall. In the shell with the lines that it prints, and with its connection
string as ACS_CONNECTION_STRING: uvicorn --factory examples.streaming:create_app --port 8080
"""

import asyncio
import os
from typing import Any

from azure.communication import callautomation as acs
from fastapi import FastAPI, WebSocket

from ringback import CallOutcomeMiddleware, Outcome, OutcomeRouter


def create_app() -> FastAPI:
    client = acs.CallAutomationClient.from_connection_string(os.environ["ACS_CONNECTION_STRING"])
    host = os.environ.get("CALLBACK_URI_HOST", "http://127.0.0.1:8080")
    options: dict[str, Any] = {"start_media_streaming": True, "enable_bidirectional": True}
    audio = acs.MediaStreamingOptions(
        transport_url=host.replace("http", "ws", 1) + "/ws",
        transport_type="websocket",
        content_type="audio",
        audio_channel_type="mixed",
        **options,
    )
    app, router = FastAPI(), OutcomeRouter()

    @app.post("/api/incomingCall", status_code=204)
    def incoming(events: list[dict[str, Any]]) -> None:  # the middleware answers Event Grid's handshake
        for event in events:
            client.answer_call(event["data"]["incomingCallContext"], f"{host}/api/callbacks", media_streaming=audio)

    @app.post("/api/callbacks", status_code=204)
    def called() -> None: ...

    @app.websocket("/ws")
    async def talk(websocket: WebSocket) -> None:
        await websocket.accept()
        heard, connection = 0, client.get_call_connection(websocket.headers["x-ms-call-connection-id"])
        async for frame in websocket.iter_json():
            if frame["kind"] == "AudioData":
                heard += 1
                await websocket.send_json({"kind": "AudioData", "audioData": {"data": frame["audioData"]["data"]}})
            if heard == 50:
                print("sent back a second of audio", flush=True)
                await asyncio.to_thread(connection.hang_up, is_for_everyone=True)

    @router.on_retryable
    @router.on_terminal
    def ended(outcome: Outcome) -> None:
        print(outcome.disposition, outcome.cause, flush=True)

    app.add_middleware(CallOutcomeMiddleware, router=router, path="/api/{sender}")
    return app
