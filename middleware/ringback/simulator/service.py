"""The REST interface of Call Automation, as the real client speaks it: a request in, a turn out.

No socket and no loop: a turn is the reply, the scripts of events that begin, and those that end.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, ClassVar, cast
from urllib.parse import unquote, urlsplit

from ringback.simulator.access import fault_of
from ringback.simulator.calls import (
    Call,
    Direction,
    Identifier,
    Incoming,
    Participant,
    State,
    identifier,
    number_of,
    of_raw_id,
)
from ringback.simulator.repeats import Repeats
from ringback.simulator.scenarios import TRANSFERRED, Answer, Scenario, Step
from ringback.simulator.wire import Refused, Reply, Request, scripted
from ringback.testing.calls import VERSION

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from random import Random

    from ringback.simulator.scenarios import Playbook


_STREAMS = {
    "startMediaStreaming": "MediaStreamingStarted",
    "stopMediaStreaming": "MediaStreamingStopped",
    "startTranscription": "TranscriptionStarted",
    "stopTranscription": "TranscriptionStopped",
    "updateTranscription": "TranscriptionUpdated",
}

_CALLS = "/calling/callConnections"
_ONE = rf"{_CALLS}/(?P<call_id>[^/:]+)"


@dataclass(frozen=True, slots=True)
class Script:
    """Events that follow one request: ``key`` names it, so that it can be stopped; ``uri`` gets the callbacks."""

    key: str
    call: Call = field(repr=False)
    steps: tuple[Step, ...]
    uri: str = field(repr=False)
    context: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Turn:
    """What one request leads to; ``stopped`` are the beginnings of keys."""

    reply: Reply
    scripts: tuple[Script, ...] = ()
    stopped: str | None = None


class Service:
    """All calls of one simulator. ``allow_http`` is ``None`` for callbacks to this machine only."""

    def __init__(
        self,
        playbook: Playbook,
        *,
        key: str,
        clock: Callable[[], float],
        random: Random,
        allow_http: bool | None = None,
    ) -> None:
        self._playbook = playbook
        self._key = key
        self._random = random
        self._allow_http = allow_http
        self._repeats = Repeats(clock)
        self._faults: list[Refused] = []
        self.calls: list[Call] = []
        self.incoming: list[Incoming] = []

    def fail_next(self, answer: Answer, times: int = 1) -> None:
        """Answer the next requests with this error, whatever they ask for."""
        self._faults += [scripted(answer)] * times

    def ring(self, caller: str, callee: str, scenario: str | Scenario | None) -> Incoming:
        """A call that comes in; the app may answer, reject or redirect it."""
        calling, called = of_raw_id(caller), of_raw_id(callee)
        chosen = self._playbook.next_from(number_of(calling)) if scenario is None else self._playbook.named(scenario)
        found = Incoming(f"incoming-{self.new_id()}", self._server_call_id(), self.new_id(), calling, called, chosen)
        self.incoming.append(found)
        return found

    def place(self, scenario: Scenario, callee: str, uri: str) -> Script:
        """A call that nobody asked for: its events, for an endpoint to be tried with."""
        call = self._begun(Direction.OUTBOUND, scenario, uri, [of_raw_id(callee)], {}, VERSION)
        return self._script_of(call)[0]

    def new_id(self) -> str:
        """A GUID; the same ones in the same order for the same seed."""
        digits = f"{self._random.getrandbits(128):032x}"
        return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-8{digits[17:20]}-{digits[20:]}"

    def handle(self, request: Request) -> Turn:
        """Answer one request; an error is a turn, too."""
        try:
            return self._turn(request)
        except Refused as refused:
            return Turn(refused.reply)

    def _turn(self, request: Request) -> Turn:
        fault = fault_of(request, self._key)
        if fault is not None:
            raise Refused(401, "Unauthorized", fault)
        if request.version is None:
            raise Refused(400, "MissingApiVersionParameter", "The api-version query parameter is required.")
        if self._faults:
            raise self._faults.pop(0)
        before = self._repeats.recall(request)
        if before is not None:
            return Turn(before)
        turn = self._routed(request)
        return replace(turn, reply=self._repeats.remember(request, turn.reply))

    def _routed(self, request: Request) -> Turn:
        for method, pattern, act in self._ROUTES:
            found = pattern.fullmatch(request.path)
            if found is not None and method == request.method:
                named = {name: unquote(value) for name, value in found.groupdict().items()}
                return act(self, _content(request), request.version or "", **named)
        raise Refused(404, "NotFound", "The simulator has no such operation.")

    # Beginnings

    def _create(self, content: Mapping[str, Any], version: str) -> Turn:
        given = content.get("targets")
        if not isinstance(given, list) or not given:
            raise Refused(400, "8523", "targets is missing; name at least one.")
        targets = [identifier(each, "targets") for each in cast("list[object]", given)]
        number = next((found for each in targets if (found := number_of(each)) is not None), None)
        if number is not None and not content.get("sourceCallerIdNumber"):
            raise Refused(400, "8523", "sourceCallerIdNumber is required to call a phone number.")
        uri = self._callback_uri(content)
        scenario = self._playbook.next_for(number)
        if scenario.answer is not None:
            raise scripted(scenario.answer)
        call = self._begun(Direction.OUTBOUND, scenario, uri, targets, content, version)
        return Turn(Reply(201, call.to_wire()), self._script_of(call))

    def _answer(self, content: Mapping[str, Any], version: str) -> Turn:
        incoming = self._ringing(content)
        uri = self._callback_uri(content)
        if incoming.scenario.answer is not None:
            raise scripted(incoming.scenario.answer)
        call = self._begun(Direction.INBOUND, incoming.scenario, uri, [incoming.callee], content, version)
        call.server_call_id, call.correlation_id = incoming.server_call_id, incoming.correlation_id
        call.source = incoming.caller
        incoming.state, incoming.call = "answered", call
        return Turn(Reply(200, call.to_wire()), self._script_of(call))

    def _connect(self, content: Mapping[str, Any], version: str) -> Turn:
        if not isinstance(content.get("callLocator"), dict):
            raise Refused(400, "8523", "callLocator is missing.")
        uri = self._callback_uri(content)
        call = self._begun(Direction.JOINED, self._playbook.next_for(None), uri, [], content, version)
        other = content["callLocator"].get("serverCallId")
        call.server_call_id = other if isinstance(other, str) else call.server_call_id
        return Turn(Reply(200, call.to_wire()), self._script_of(call))

    def _reject(self, content: Mapping[str, Any], _: str) -> Turn:
        incoming = self._ringing(content)
        incoming.state, incoming.reason = "rejected", content.get("callRejectReason") or "none"
        # The service posts nothing to the app that rejects.
        return Turn(Reply(204))

    def _redirect(self, content: Mapping[str, Any], _: str) -> Turn:
        incoming = self._ringing(content)
        incoming.redirected_to = identifier(content.get("target"), "target")
        incoming.state = "redirected"
        return Turn(Reply(204))

    def _ringing(self, content: Mapping[str, Any]) -> Incoming:
        context = content.get("incomingCallContext")
        found = next((each for each in self.incoming if each.context == context), None)
        if found is None:
            raise Refused(400, "8523", "incomingCallContext is not one of a call that came in.")
        if found.state != "ringing":
            raise Refused(404, "8522", f"The call no longer rings: it was {found.state}.")
        return found

    def _begun(
        self,
        direction: Direction,
        scenario: Scenario,
        uri: str,
        targets: list[Identifier],
        content: Mapping[str, Any],
        version: str,
    ) -> Call:
        call = Call(
            call_connection_id=self.new_id(),
            server_call_id=self._server_call_id(),
            correlation_id=self.new_id(),
            direction=direction,
            scenario=scenario,
            callback_uri=uri,
            targets=targets,
            version=scenario.version or version,
            operation_context=content.get("operationContext"),
            source=content.get("source"),
            source_caller_id_number=content.get("sourceCallerIdNumber"),
        )
        self.calls.append(call)
        return call

    def _server_call_id(self) -> str:
        return f"c2ltdWxhdGVk{self._random.getrandbits(96):024x}"

    def _script_of(self, call: Call) -> tuple[Script, ...]:
        steps = [_turned(step, call.direction) for step in call.scenario.steps]
        if call.scenario.shuffled:
            self._random.shuffle(steps)
        # One key a call: hanging up stops whatever else was to happen.
        return (Script(call.call_connection_id, call, tuple(steps), call.callback_uri),) if steps else ()

    def _callback_uri(self, content: Mapping[str, Any], name: str = "callbackUri") -> str:
        uri = content.get(name)
        try:
            parts = urlsplit(uri if isinstance(uri, str) else "")
            host = parts.hostname
        except ValueError:
            host, parts = None, urlsplit("")
        if not isinstance(uri, str) or not host or parts.scheme not in ("http", "https"):
            raise Refused(400, "8523", f"{name} is missing, or no absolute URL.")
        here = self._allow_http is None and host in ("127.0.0.1", "::1", "localhost")
        if parts.scheme == "http" and not (here or self._allow_http):
            raise Refused(400, "8523", f"{name} is not https.")
        return uri

    # One call

    def _found(self, call_id: str) -> Call:
        call = next((each for each in self.calls if each.call_connection_id == call_id), None)
        if call is None or call.ended:
            raise Refused(404, "8522", "Call not found.")
        return call

    def _established(self, call_id: str) -> Call:
        call = self._found(call_id)
        if call.state is State.CONNECTING:
            raise Refused(400, "8501", "Action is not supported: the call is not established.")
        return call

    def _member(self, call: Call, given: Identifier) -> Participant:
        found = call.participants.get(given["rawId"])
        if found is None:
            raise Refused(404, "8522", "Participant not found.")
        return found

    def _properties(self, _: Mapping[str, Any], __: str, call_id: str) -> Turn:
        return Turn(Reply(200, self._found(call_id).to_wire()))

    def _hang_up(self, _: Mapping[str, Any], __: str, call_id: str) -> Turn:
        return self._ended(call_id, 200, 5001)

    def _terminate(self, _: Mapping[str, Any], __: str, call_id: str) -> Turn:
        return self._ended(call_id, 200, 7000)

    def _ended(self, call_id: str, code: int, subcode: int) -> Turn:
        call = self._found(call_id)
        if call.state is State.CONNECTING:
            code, subcode = 487, 0
        call.state = State.DISCONNECTING
        step = Step(event="CallDisconnected", code=code, subcode=subcode)
        script = Script(f"{call_id}/end", call, (step,), call.callback_uri)
        return Turn(Reply(204), (script,), stopped=call_id)

    def _transfer(self, content: Mapping[str, Any], _: str, call_id: str) -> Turn:
        call = self._established(call_id)
        target = identifier(content.get("targetParticipant"), "targetParticipant")
        failure = self._playbook.next_for(number_of(target)).failure
        if failure is not None:
            return self._operation(call, content, 202, replace(failure, event="CallTransferFailed", after=0.0))
        transferee = next((each.identifier for each in call.participants.values()), None)
        accepted = Step(event="CallTransferAccepted", fields={"transfer_target": target, "transferee": transferee})
        turn = self._operation(call, content, 202, accepted, *TRANSFERRED)
        return replace(turn, stopped=call_id)

    # Participants

    def _participants(self, _: Mapping[str, Any], __: str, call_id: str) -> Turn:
        call = self._found(call_id)
        return Turn(Reply(200, {"value": call.present()}))

    def _participant(self, _: Mapping[str, Any], __: str, call_id: str, raw_id: str) -> Turn:
        return Turn(Reply(200, self._member(self._found(call_id), of_raw_id(raw_id)).to_wire()))

    def _add(self, content: Mapping[str, Any], _: str, call_id: str) -> Turn:
        call = self._established(call_id)
        added = identifier(content.get("participantToAdd"), "participantToAdd")
        scenario = self._playbook.next_for(number_of(added))
        invitation = self.new_id()
        call.invitations[invitation] = added
        steps: tuple[Step, ...] = ()
        if scenario.steps:
            first = scenario.failure or Step(event="")
            event = "AddParticipantSucceeded" if scenario.failure is None else "AddParticipantFailed"
            steps = (replace(first, event=event, fields={"participant": added}, copies=1),)
        turn = self._operation(call, content, 202, *steps, key=invitation)
        told = {"participant": Participant(added).to_wire(), "invitationId": invitation}
        return replace(turn, reply=Reply(202, told | turn.reply.content))

    def _cancel_add(self, content: Mapping[str, Any], _: str, call_id: str) -> Turn:
        call = self._established(call_id)
        invitation = content.get("invitationId")
        if not isinstance(invitation, str) or call.invitations.pop(invitation, None) is None:
            raise Refused(404, "8522", "Invitation not found.")
        step = Step(event="CancelAddParticipantSucceeded", fields={"invitation_id": invitation})
        turn = self._operation(call, content, 202, step)
        told = {"invitationId": invitation} | turn.reply.content
        return replace(turn, reply=Reply(202, told), stopped=f"{call_id}/{invitation}")

    def _remove(self, content: Mapping[str, Any], _: str, call_id: str) -> Turn:
        call = self._established(call_id)
        removed = self._member(call, identifier(content.get("participantToRemove"), "participantToRemove"))
        step = Step(event="RemoveParticipantSucceeded", fields={"participant": removed.identifier})
        return self._operation(call, content, 202, step)

    def _mute(self, content: Mapping[str, Any], _: str, call_id: str) -> Turn:
        call = self._established(call_id)
        for each in content.get("targetParticipants") or [None]:
            self._member(call, identifier(each, "targetParticipants")).muted = True
        return self._operation(call, content, 200)

    def _move(self, content: Mapping[str, Any], _: str, call_id: str) -> Turn:
        call = self._established(call_id)
        other = self._established(str(content.get("fromCall")))
        steps: list[Step] = []
        for each in content.get("targetParticipants") or [None]:
            moved = self._member(other, identifier(each, "targetParticipants"))
            del other.participants[moved.identifier["rawId"]]
            fields = {"participant": moved.identifier, "from_call": other.call_connection_id}
            steps.append(Step(event="MoveParticipantSucceeded", fields=fields))
        turn = self._operation(call, content, 202, *steps)
        return replace(turn, reply=Reply(202, {"fromCall": other.call_connection_id} | turn.reply.content))

    def _hold(self, content: Mapping[str, Any], _: str, call_id: str, action: str) -> Turn:
        call = self._established(call_id)
        held = self._member(call, identifier(content.get("targetParticipant"), "targetParticipant"))
        held.on_hold = action == "hold"
        return self._operation(call, content, 200)

    # Media

    def _play(self, content: Mapping[str, Any], _: str, call_id: str) -> Turn:
        call = self._established(call_id)
        if not content.get("playSources"):
            raise Refused(400, "8523", "playSources is missing.")
        return self._medium(call, content, "Play", Step(event="PlayCompleted"))

    def _recognize(self, content: Mapping[str, Any], _: str, call_id: str) -> Turn:
        call = self._established(call_id)
        step = Step(event="RecognizeFailed")
        if call.scenario.tones:
            tones = [_TONES[each] for each in call.scenario.tones if each in _TONES]
            fields = {"recognition_type": "dtmf", "dtmf_result": {"tones": tones}}
            step = Step(event="RecognizeCompleted", fields=fields)
        return self._medium(call, content, "Recognize", step)

    def _medium(self, call: Call, content: Mapping[str, Any], what: str, step: Step) -> Turn:
        key = f"media-{self.new_id()}"
        call.media[f"{call.call_connection_id}/{key}"] = what
        done = replace(step, after=call.scenario.media)
        turn = self._operation(call, content, 202, done, key=key)
        return replace(turn, reply=Reply(202))

    def _cancel_media(self, content: Mapping[str, Any], _: str, call_id: str) -> Turn:
        call = self._established(call_id)
        steps = [Step(event=f"{what}Canceled") for what in call.media.values()]
        call.media.clear()
        turn = self._operation(call, content, 202, *steps)
        return replace(turn, reply=Reply(202), stopped=f"{call_id}/media-")

    def _tones(self, content: Mapping[str, Any], _: str, call_id: str) -> Turn:
        call = self._established(call_id)
        if not content.get("tones"):
            raise Refused(400, "8523", "tones is missing.")
        return self._operation(call, content, 202, Step(event="SendDtmfTonesCompleted"))

    def _listen(self, content: Mapping[str, Any], _: str, call_id: str, action: str) -> Turn:
        call = self._established(call_id)
        steps = [
            Step(
                event="ContinuousDtmfRecognitionToneReceived",
                fields={"tone": _TONES[tone], "sequence_id": index},
            )
            for index, tone in enumerate(call.scenario.tones, 1)
            if tone in _TONES
        ]
        if action == "stop":
            steps = [Step(event="ContinuousDtmfRecognitionStopped")]
        turn = self._operation(call, content, 200, *steps)
        return replace(turn, reply=Reply(200))

    def _stream(self, content: Mapping[str, Any], _: str, call_id: str, action: str) -> Turn:
        call = self._established(call_id)
        turn = self._operation(call, content, 202, Step(event=_STREAMS[action]))
        return replace(turn, reply=Reply(202))

    def _operation(
        self, call: Call, content: Mapping[str, Any], status: int, *steps: Step, key: str | None = None
    ) -> Turn:
        context = content.get("operationContext")
        uri = call.callback_uri
        if content.get("operationCallbackUri"):
            uri = self._callback_uri(content, "operationCallbackUri")
        told = {} if context is None else {"operationContext": context}
        name = f"{call.call_connection_id}/{key or self.new_id()}"
        scripts = (Script(name, call, steps, uri, context),) if steps else ()
        return Turn(Reply(status, told), scripts)

    # What the client may ask for, in the order in which it is looked up.
    _ROUTES: ClassVar[tuple[tuple[str, re.Pattern[str], Callable[..., Turn]], ...]] = tuple(
        (method, re.compile(path), act)
        for method, path, act in (
            ("POST", _CALLS, _create),
            ("POST", f"{_CALLS}:answer", _answer),
            ("POST", f"{_CALLS}:reject", _reject),
            ("POST", f"{_CALLS}:redirect", _redirect),
            ("POST", f"{_CALLS}:connect", _connect),
            ("GET", _ONE, _properties),
            ("DELETE", _ONE, _hang_up),
            ("POST", f"{_ONE}:terminate", _terminate),
            ("POST", f"{_ONE}:transferToParticipant", _transfer),
            ("GET", f"{_ONE}/participants", _participants),
            ("GET", f"{_ONE}/participants/(?P<raw_id>[^/]+)", _participant),
            ("POST", f"{_ONE}/participants:add", _add),
            ("POST", f"{_ONE}/participants:cancelAddParticipant", _cancel_add),
            ("POST", f"{_ONE}/participants:remove", _remove),
            ("POST", f"{_ONE}/participants:mute", _mute),
            ("POST", f"{_ONE}/participants:moveHere", _move),
            ("POST", f"{_ONE}:(?P<action>hold|unhold)", _hold),
            ("POST", f"{_ONE}:play", _play),
            ("POST", f"{_ONE}:recognize", _recognize),
            ("POST", f"{_ONE}:cancelAllMediaOperations", _cancel_media),
            ("POST", f"{_ONE}:sendDtmfTones", _tones),
            ("POST", f"{_ONE}:(?P<action>start|stop)ContinuousDtmfRecognition", _listen),
            ("POST", rf"{_ONE}:(?P<action>{'|'.join(_STREAMS)})", _stream),
        )
    )


def happened(script: Script, step: Step) -> None:
    """What an event that is about to be posted has changed in its call."""
    call, event = script.call, step.event
    if event == "CallConnected":
        call.state = State.CONNECTED
        present = call.targets if call.direction is Direction.OUTBOUND else [call.source]
        call.participants = {each["rawId"]: Participant(each) for each in present if each is not None}
    elif event in ("CallDisconnected", "CreateCallFailed", "AnswerFailed", "ConnectFailed"):
        call.state = State.DISCONNECTED
    elif event == "CallTransferAccepted":
        call.state = State.TRANSFER_ACCEPTED
    elif event in ("AddParticipantSucceeded", "AddParticipantFailed"):
        added = call.invitations.pop(script.key.rpartition("/")[2])
        if event == "AddParticipantSucceeded":
            call.participants[added["rawId"]] = Participant(added)
    elif event == "MoveParticipantSucceeded":
        call.participants[step.fields["participant"]["rawId"]] = Participant(step.fields["participant"])
    elif event == "RemoveParticipantSucceeded":
        call.participants.pop(step.fields["participant"]["rawId"], None)
    call.media.pop(script.key, None)


def _turned(step: Step, direction: Direction) -> Step:
    """The step of a scenario for an outbound call, as it is for a call that comes in or is joined."""
    if direction is Direction.OUTBOUND:
        return step
    event = step.event
    if event == "CreateCallFailed":
        event = "AnswerFailed" if direction is Direction.INBOUND else "ConnectFailed"
    subcode = step.subcode
    if subcode is not None and subcode // 1000 == _OUTBOUND_PSTN:
        subcode += (_INBOUND_PSTN - _OUTBOUND_PSTN) * 1000
    return replace(step, event=event, subcode=subcode)


_OUTBOUND_PSTN, _INBOUND_PSTN = 560, 540


def _content(request: Request) -> Mapping[str, Any]:
    if not request.body:
        return {}
    try:
        content = json.loads(request.body)
    except ValueError:
        content = None
    if not isinstance(content, dict):
        raise Refused(400, "8523", "The body is no JSON object.")
    return cast("dict[str, Any]", content)


_TONES = dict(
    zip(
        "0123456789abcd#*",
        "zero one two three four five six seven eight nine a b c d pound asterisk".split(),
        strict=True,
    )
)
