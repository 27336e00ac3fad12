"""The calls of one simulator, from ringing to ended, and their scripts."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ringback.simulator.calls import Call, Direction, Incoming, State, number_of, of_raw_id, party
from ringback.simulator.posting import address_fault
from ringback.simulator.streaming import begun, subscriptions
from ringback.simulator.turns import Asked, Open, Script, Turn
from ringback.simulator.wire import Refused, object_of
from ringback.testing.calls import VERSION
from ringback.testing.calls import Call as Ids

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ringback.simulator.calls import Arrival, Identifier
    from ringback.simulator.outside import Outside
    from ringback.simulator.playbook import Playbook
    from ringback.simulator.recording import Recording
    from ringback.simulator.scenarios import Scenario, Step


class Switchboard:
    """The calls of one simulator; ``calls`` and ``incoming`` are in the order in which they came."""

    def __init__(self, playbook: Playbook, outside: Outside) -> None:
        self.playbook = playbook
        self.outside = outside
        self.calls: list[Call] = []
        self.incoming: list[Incoming] = []
        self.recordings: list[Recording] = []
        self.identities: set[str] = set()

    def ring(self, arrival: Arrival) -> Incoming:
        """Begin a call that the app may answer, reject or redirect. Raises :class:`ConfigurationError`."""
        caller = of_raw_id(party(arrival.caller, "the caller"))
        callee = of_raw_id(party(arrival.callee, "the person called"))
        chosen = self.playbook.next_from(number_of(caller))
        if arrival.scenario is not None:
            chosen = self.playbook.named(arrival.scenario)
        return self._rings(
            Incoming(self._context(), self._server_call_id(), self.new_id(), caller, callee, chosen, arrival)
        )

    def redirected(self, incoming: Incoming, target: Identifier) -> Incoming | None:
        """The call as it rings for the target of a redirection; ``None`` if the target is none of this resource.

        A phone number may be one of the resource or not; the simulator takes it for somebody else's.
        Source: https://learn.microsoft.com/azure/communication-services/how-tos/call-automation/actions-for-call-control
        """
        incoming.state, incoming.redirected_to = "redirected", target
        # An app that redirects to the same user whatever comes in would be told of the call for ever.
        if target["kind"] != "communicationUser" or target["rawId"] == incoming.callee["rawId"]:
            return None
        return self._rings(
            replace(incoming, context=self._context(), callee=target, state="ringing", redirected_to=None, status=None)
        )

    def _rings(self, incoming: Incoming) -> Incoming:
        self.incoming.append(incoming)
        return incoming

    def _context(self) -> str:
        return f"incoming-{self.new_id()}"

    def place(self, scenario: Scenario, callee: str, uri: str) -> Script:
        """Begin a call without a request of a client, and return the script of the scenario's events."""
        call = self.begin(Direction.OUTBOUND, scenario, uri, [of_raw_id(callee)], Asked({}, VERSION))
        return self.script_of(call)[0]

    def new_id(self) -> str:
        """A GUID. The same seed gives the same GUIDs in the same order."""
        digits = f"{self.outside.random.getrandbits(128):032x}"
        return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-8{digits[17:20]}-{digits[20:]}"

    def ids(self, **known: Any) -> Ids:
        """The known ids of a call for a builder, with this simulator as the source of the others, and of times."""
        return Ids(**known, ids=self.new_id, clock=self.outside.now)

    def _server_call_id(self) -> str:
        return f"c2ltdWxhdGVk{self.outside.random.getrandbits(96):024x}"

    def begin(
        self, direction: Direction, scenario: Scenario, uri: str, targets: list[Identifier], asked: Asked
    ) -> Call:
        """Begin a call for a client's request. The client may name the call in later requests."""
        call = Call(
            call_connection_id=self.new_id(),
            server_call_id=self._server_call_id(),
            correlation_id=self.new_id(),
            direction=direction,
            scenario=scenario,
            callback_uri=uri,
            targets=targets,
            version=scenario.version or asked.version,
            operation_context=asked.content.get("operationContext"),
            source=asked.content.get("source"),
            source_caller_id_number=asked.content.get("sourceCallerIdNumber"),
            subscriptions=subscriptions(asked, self.new_id),
            cognitive=bool(object_of(asked.content.get("callIntelligenceOptions")).get("cognitiveServicesEndpoint")),
        )
        self.calls.append(call)
        return call

    def script_of(self, call: Call) -> tuple[Script, ...]:
        """The script of the call's scenario, or an empty tuple."""
        steps = [_turned(step, call.direction) for step in call.scenario.steps]
        if call.scenario.shuffled:
            self.outside.random.shuffle(steps)
        steps = begun(call, steps)
        # The key of the call's other scripts begins with this key, so that hanging up stops all of them.
        return (Script(call.call_connection_id, call, tuple(steps), call.callback_uri),) if steps else ()

    def operation(
        self, call: Call, asked: Asked, *steps: Step, key: str | None = None, content: Mapping[str, Any] | None = None
    ) -> Turn:
        """A turn on a call: a reply with the operation's context, and ``steps`` for the address that it names."""
        script = self.script(call, asked, steps, key)
        context = {} if script.context is None else {"operationContext": script.context}
        return Turn({**(content or {}), **context}, (script,) if steps else ())

    def script(self, call: Call, asked: Asked, steps: Sequence[Step], key: str | None = None) -> Script:
        """The script of ``steps`` for the address and with the context that the operation names."""
        uri, context = self.told(call, asked)
        return Script(f"{call.call_connection_id}/{key or self.new_id()}", call, tuple(steps), uri, context)

    def opens(self, call: Call, asked: Asked, name: str, step: Step, *, attended: bool = True) -> None:
        """Register what the operation opens; see :class:`Open`."""
        uri, context = self.told(call, asked)
        call.open[name] = Open(step, uri, context, attended=attended)

    def told(self, call: Call, asked: Asked) -> tuple[str, str | None]:
        """The address and the operation context of an operation's events."""
        uri = call.callback_uri
        if asked.content.get("operationCallbackUri"):
            uri = self.callback_uri(asked, "operationCallbackUri")
        return uri, asked.content.get("operationContext")

    def ringing(self, asked: Asked) -> Incoming:
        """The call that a request answers, rejects or redirects. Raises :class:`Refused`."""
        context = asked.content.get("incomingCallContext")
        found = next((incoming for incoming in self.incoming if incoming.context == context), None)
        if found is None:
            raise Refused(400, "8523", "incomingCallContext is not one of a call that came in.")
        if found.state != "ringing":
            raise Refused(404, "8522", f"The call no longer rings: it was {found.state}.")
        return found

    def found(self, call_id: str) -> Call:
        """The call of this id. Raises :class:`Refused` if there is none or it has ended."""
        call = next((call for call in self.calls if call.call_connection_id == call_id), None)
        if call is None or call.ended:
            raise Refused(404, "8522", "Call not found.")
        return call

    def established(self, call_id: str) -> Call:
        """The call of this id. Raises :class:`Refused` if there is none, or it is connecting or has ended."""
        call = self.found(call_id)
        if call.state is State.CONNECTING:
            raise Refused(400, "8501", "Action is not supported: the call is not established.")
        call.stirred += 1
        return call

    def callback_uri(self, asked: Asked, name: str = "callbackUri") -> str:
        """The callback URL in a request. Raises :class:`Refused` if callbacks must not go there."""
        uri = asked.content.get(name)
        fault = address_fault(uri, "http", self.outside.allow_http)
        if fault is not None:
            raise Refused(400, "8523", f"{name} {fault}.")
        return str(uri)


def _turned(step: Step, direction: Direction) -> Step:
    """The step of an outbound call's scenario, changed for an inbound or joined call."""
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
