"""What a person, a script or a test may ask of a running simulator: ``POST /simulator/ring`` lets a call come in.

The simulator listens on 127.0.0.1 alone, but a browser of this machine reaches it for any page. A page must not ring:
a browser names the page's origin, and sends JSON to another site only after that site has said yes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from ringback.exceptions import ConfigurationError
from ringback.simulator.calls import Arrival, party
from ringback.simulator.posting import web_address
from ringback.simulator.subscription import HandshakeFailed
from ringback.simulator.wire import Refused, Reply
from ringback.testing.grid import Schema  # noqa: TC001 - msgspec reads the annotations

if TYPE_CHECKING:
    from ringback.simulator.arrivals import Arrivals
    from ringback.simulator.wire import Request

RING = "/simulator/ring"
_HERE = ("127.0.0.1", "localhost")


class _Ring(msgspec.Struct, forbid_unknown_fields=True, rename="camel"):
    url: str | None = None
    from_: str | None = msgspec.field(default=None, name="from")
    to: str | None = None
    display_name: str | None = None
    scenario: str | None = None
    schema: Schema | None = None


class Control:
    """Answers the requests of this machine. ``usual`` stands in for what a request leaves out."""

    def __init__(self, arrivals: Arrivals, usual: Arrival | None) -> None:
        self._arrivals = arrivals
        self._usual = usual

    async def ring(self, request: Request) -> Reply:
        """Let a call come in. 200 if the endpoint took the event, else an error that says what is wrong."""
        try:
            arrival = _arrival(request, self._usual)
            await self._arrivals.subscribed(arrival.to, arrival.schema)
            incoming = await self._arrivals.ring(arrival)
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


def _arrival(request: Request, usual: Arrival | None) -> Arrival:
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
    start = usual or Arrival(to="")
    return Arrival(
        to=web_address("url", given.url if given.url is not None else start.to),
        caller=party(given.from_ if given.from_ is not None else start.caller, "from"),
        callee=party(given.to if given.to is not None else start.callee, "to"),
        display_name=given.display_name if given.display_name is not None else start.display_name,
        scenario=given.scenario if given.scenario is not None else start.scenario,
        schema=given.schema or start.schema,
    )
