"""The operations that begin a call (create, answer, connect) or turn one away (reject, redirect)."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from ringback.simulator.calls import Direction, identifier, number_of
from ringback.simulator.turns import Turn
from ringback.simulator.wire import Refused, Reply, scripted

if TYPE_CHECKING:
    from ringback.simulator.switchboard import Switchboard
    from ringback.simulator.turns import Asked


def create(switchboard: Switchboard, asked: Asked) -> Turn:
    given = asked.content.get("targets")
    if not isinstance(given, list) or not given:
        raise Refused(400, "8523", "targets is missing; name at least one.")
    targets = [identifier(target, "targets") for target in cast("list[object]", given)]
    number = next((found for target in targets if (found := number_of(target)) is not None), None)
    if number is not None and not asked.content.get("sourceCallerIdNumber"):
        raise Refused(400, "8523", "sourceCallerIdNumber is required to call a phone number.")
    uri = switchboard.callback_uri(asked)
    scenario = switchboard.playbook.next_for(number)
    if scenario.answer is not None:
        raise scripted(scenario.answer)
    call = switchboard.begin(Direction.OUTBOUND, scenario, uri, targets, asked)
    return Turn(Reply(201, call.to_wire()), switchboard.script_of(call))


def answer(switchboard: Switchboard, asked: Asked) -> Turn:
    incoming = switchboard.ringing(asked)
    uri = switchboard.callback_uri(asked)
    if incoming.scenario.answer is not None:
        raise scripted(incoming.scenario.answer)
    call = switchboard.begin(Direction.INBOUND, incoming.scenario, uri, [incoming.callee], asked)
    call.server_call_id, call.correlation_id = incoming.server_call_id, incoming.correlation_id
    call.source = incoming.caller
    incoming.state, incoming.call = "answered", call
    return Turn(Reply(200, call.to_wire()), switchboard.script_of(call))


def connect(switchboard: Switchboard, asked: Asked) -> Turn:
    """Join a call. The participants are those of the call of this server call id, if it is one of the simulator's."""
    if not isinstance(asked.content.get("callLocator"), dict):
        raise Refused(400, "8523", "callLocator is missing.")
    uri = switchboard.callback_uri(asked)
    wanted = asked.content["callLocator"].get("serverCallId")
    there = [call for call in switchboard.calls if call.server_call_id == wanted and not call.ended]
    people = {raw_id: who.identifier for call in there for raw_id, who in call.participants.items()}
    call = switchboard.begin(Direction.JOINED, switchboard.playbook.next_for(None), uri, list(people.values()), asked)
    call.server_call_id = wanted if isinstance(wanted, str) else call.server_call_id
    return Turn(Reply(200, call.to_wire()), switchboard.script_of(call))


def reject(switchboard: Switchboard, asked: Asked) -> Turn:
    incoming = switchboard.ringing(asked)
    incoming.state, incoming.reason = "rejected", asked.content.get("callRejectReason") or "none"
    # The service posts nothing to the app that rejects.
    return Turn(Reply(204))


def redirect(switchboard: Switchboard, asked: Asked) -> Turn:
    incoming = switchboard.ringing(asked)
    target = identifier(asked.content.get("target"), "target")
    return Turn(Reply(204), rings=switchboard.redirected(incoming, target))
