"""What a person, a script or a test may ask of a running simulator: ``POST /simulator/ring`` lets a call come in.

The simulator listens on 127.0.0.1 alone, but a browser of this machine reaches it for any page. A page must not ring:
a browser names the page's origin, and sends JSON to another site only after that site has said yes.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import msgspec

from ringback.exceptions import ConfigurationError
from ringback.simulator.arrivals import HandshakeFailed
from ringback.simulator.calls import party
from ringback.simulator.posting import web_address
from ringback.simulator.wire import Refused, Reply
from ringback.testing.grid import Schema  # noqa: TC001 - msgspec reads the annotations

if TYPE_CHECKING:
    from ringback.simulator.arrivals import Arrivals
    from ringback.simulator.calls import Arrival
    from ringback.simulator.wire import Request

RING = "/simulator/ring"
_HERE = ("127.0.0.1", "localhost")


class _Ring(msgspec.Struct, forbid_unknown_fields=True):
    """The fields of an :class:`Arrival`, by the names that a request has for them."""

    to: str | None = msgspec.field(default=None, name="url")
    caller: str | None = msgspec.field(default=None, name="from")
    callee: str | None = msgspec.field(default=None, name="to")
    display_name: str | None = msgspec.field(default=None, name="displayName")
    scenario: str | None = None
    schema: Schema | None = None


async def ring(request: Request, arrivals: Arrivals, usual: Arrival) -> Reply:
    """Let a call come in. 200 if the endpoint took the event, else an error that says what is wrong.

    ``usual`` stands in for what the request leaves out.
    """
    try:
        arrival = _arrival(request, usual)
        await arrivals.subscribed(arrival.to, arrival.schema)
        incoming = await arrivals.ring(arrival)
    except Refused as refused:
        return refused.reply
    except ConfigurationError as error:
        return Refused(400, "InvalidRequest", str(error)).reply
    except HandshakeFailed as error:
        return Refused(502, "HandshakeFailed", str(error)).reply
    if not incoming.accepted:
        status = "no answer" if incoming.status is None else str(incoming.status)
        return Refused(502, "NotAccepted", f"The endpoint did not take the IncomingCall event: {status}.").reply
    ids = {"serverCallId": incoming.server_call_id, "correlationId": incoming.correlation_id}
    return Reply(200, {"status": incoming.status} | ids)


def _arrival(request: Request, usual: Arrival) -> Arrival:
    """The call that a request asks for. Raises :class:`Refused` and :class:`ConfigurationError`."""
    if request.method != "POST":
        raise Refused(405, "MethodNotAllowed", f"{RING} takes POST alone.")
    host = request.header("host").partition(":")[0].lower()
    if request.header("origin") or host not in _HERE:
        raise Refused(403, "Forbidden", "A web page may not ring; send the request from this machine, to 127.0.0.1.")
    if request.header("content-type").partition(";")[0].strip().lower() != "application/json":
        raise Refused(415, "UnsupportedMediaType", "Send JSON, with the header Content-Type: application/json.")
    try:
        given = msgspec.json.decode(request.body or b"{}", type=_Ring)
    except (msgspec.DecodeError, RecursionError) as error:
        raise Refused(400, "InvalidRequest", f"The body is wrong: {error}.") from error
    said = {name: value for name, value in msgspec.structs.asdict(given).items() if value is not None}
    arrival = replace(usual, **said)
    web_address("url", arrival.to)
    party(arrival.caller, "from")
    party(arrival.callee, "to")
    return arrival
