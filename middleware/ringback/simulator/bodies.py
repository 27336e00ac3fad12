"""The events of a script, in the service's format."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ringback.testing import grid
from ringback.testing.events import BUILDERS, old_api

if TYPE_CHECKING:
    from ringback.simulator.calls import Incoming
    from ringback.simulator.scenarios import Step
    from ringback.simulator.switchboard import Switchboard
    from ringback.simulator.turns import Script
    from ringback.testing.builder import CloudEvent


def event_of(script: Script, step: Step, switchboard: Switchboard) -> CloudEvent:
    """One event of a call, with the ids that the service's reply gave the client."""
    call, builder = script.call, BUILDERS[step.event]
    known = switchboard.ids(
        call_connection_id=call.call_connection_id if step.leg is None else step.leg,
        server_call_id=call.server_call_id,
        correlation_id=call.correlation_id,
        operation_context=call.operation_context,
        version=call.version,
    )
    fields: dict[str, Any] = dict(step.fields)
    # The message of a failed invitation names the person who was invited.
    invited = call.invitations.get(fields.get("invitation_id", ""))
    for who in (fields.get("participant"), invited, *call.targets[:1]):
        if who is not None:
            known = replace(known, callee=who["rawId"])
            break
    if step.event == "ParticipantsUpdated":
        call.sequence_number += 1
        fields = {"participants": call.present(), "sequence_number": call.sequence_number} | fields
    context = script.context if builder.context == "action" else None
    event = builder(
        step.code,
        step.subcode,
        message=step.message,
        sip=step.sip,
        q850=step.q850,
        call=known,
        operation_context=context if step.context is None else step.context,
        **fields,
    )
    return old_api(event, version=call.version) if call.scenario.bare else event


def incoming_event(incoming: Incoming, switchboard: Switchboard) -> CloudEvent:
    """The IncomingCall event of a call, in the schema of its endpoint."""
    known = switchboard.ids(
        server_call_id=incoming.server_call_id,
        correlation_id=incoming.correlation_id,
        caller=incoming.caller["rawId"],
        callee=incoming.callee["rawId"],
    )
    return grid.incoming_call(
        call=known,
        caller_display_name=incoming.arrival.display_name,
        incoming_call_context=incoming.context,
        schema=incoming.arrival.schema,
    )
