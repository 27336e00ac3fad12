"""Answers a call, asks for words, says them again; ``ringback simulate --tls --ring URL`` stands for Azure.

URL is http://127.0.0.1:8080/api/incomingCall. In the shell with the lines that it prints, and with its connection
string as ACS_CONNECTION_STRING: uvicorn --factory examples.inbound_speech:create_app --port 8080
"""

import os
from typing import Any

from azure.communication import callautomation as acs
from fastapi import FastAPI

from ringback import CallOutcomeMiddleware, Outcome, OutcomeRouter


def says(text: str) -> acs.TextSource:
    return acs.TextSource(text=text, voice_name="en-US-AvaNeural")


def create_app() -> FastAPI:
    client = acs.CallAutomationClient.from_connection_string(os.environ["ACS_CONNECTION_STRING"])
    callbacks = os.environ.get("CALLBACK_URI_HOST", "http://127.0.0.1:8080") + "/api/callbacks"
    app, router = FastAPI(), OutcomeRouter()

    @app.post("/api/incomingCall", status_code=204)
    def incoming(events: list[dict[str, Any]]) -> None:  # the middleware answers Event Grid's handshake
        for event in events:
            client.answer_call(event["data"]["incomingCallContext"], callbacks)

    @app.post("/api/callbacks", status_code=204)
    def called(events: list[dict[str, Any]]) -> None:
        for data, name in ((event["data"], event["type"].rpartition(".")[2]) for event in events):
            connection = client.get_call_connection(data["callConnectionId"])
            if name == "ParticipantsUpdated":  # whoever called
                caller = acs.PhoneNumberIdentifier(data["participants"][0]["identifier"]["phoneNumber"]["value"])
                connection.start_recognizing_media("speech", caller, play_prompt=says("How can we help you?"))
            elif name == "RecognizeCompleted":
                said = data["speechResult"]["speech"]
                print("said:", len(said.split()), "words", flush=True)
                connection.play_media(says(f"You said: {said} Good-bye."))
            elif name in ("PlayCompleted", "PlayFailed", "RecognizeFailed"):
                connection.hang_up(is_for_everyone=True)

    @router.on_retryable
    @router.on_terminal
    def ended(outcome: Outcome) -> None:
        print(outcome.disposition, outcome.cause, flush=True)

    app.add_middleware(CallOutcomeMiddleware, router=router, path="/api/{sender}")
    return app
