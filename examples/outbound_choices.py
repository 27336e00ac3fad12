"""Calls somebody, offers choices, then asks for keys; ``ringback simulate --tls`` stands for Azure.

In the shell with the lines that it prints, and with its connection string as ACS_CONNECTION_STRING:
uvicorn --factory examples.outbound_choices:create_app --port 8080, then curl -X POST 127.0.0.1:8080/call
"""

import os
from typing import Any

from azure.communication import callautomation as acs
from fastapi import FastAPI

from ringback import CallOutcomeMiddleware, Outcome, OutcomeRouter

CALLER, CALLEE = acs.PhoneNumberIdentifier("+15550100100"), acs.PhoneNumberIdentifier("+15550100200")
CHOICES = [acs.RecognitionChoice(label=each, phrases=[each]) for each in ("Confirm", "Cancel")]


def says(text: str) -> acs.TextSource:
    return acs.TextSource(text=text, voice_name="en-US-AvaNeural")


def create_app() -> FastAPI:
    client = acs.CallAutomationClient.from_connection_string(os.environ["ACS_CONNECTION_STRING"])
    callbacks = os.environ.get("CALLBACK_URI_HOST", "http://127.0.0.1:8080") + "/api/callbacks"
    app, router = FastAPI(), OutcomeRouter()

    @app.post("/call", status_code=202)
    def call() -> None:
        client.create_call(CALLEE, callbacks, source_caller_id_number=CALLER)

    @app.post("/api/callbacks", status_code=204)
    def called(events: list[dict[str, Any]]) -> None:
        for data, name in ((event["data"], event["type"].rpartition(".")[2]) for event in events):
            connection = client.get_call_connection(data["callConnectionId"])
            if name == "CallConnected":
                ask = says("Your appointment is tomorrow. Say confirm or cancel.")
                connection.start_recognizing_media("choices", CALLEE, choices=CHOICES, play_prompt=ask)
            elif name == "RecognizeCompleted" and data["recognitionType"] == "choices":
                print("chosen:", data["choiceResult"]["label"], flush=True)
                ask = says("And the four digits of your code, please.")
                connection.start_recognizing_media("dtmf", CALLEE, dtmf_max_tones_to_collect=4, play_prompt=ask)
            elif name in ("RecognizeCompleted", "RecognizeFailed"):
                print("keys:", len(data.get("dtmfResult", {}).get("tones", [])), flush=True)
                connection.play_media(says("Thank you. Good-bye."))
            elif name in ("PlayCompleted", "PlayFailed"):
                connection.hang_up(is_for_everyone=True)

    @router.on_retryable
    @router.on_terminal
    def ended(outcome: Outcome) -> None:
        print(outcome.disposition, outcome.cause, flush=True)

    app.add_middleware(CallOutcomeMiddleware, router=router, path="/api/callbacks")
    return app
