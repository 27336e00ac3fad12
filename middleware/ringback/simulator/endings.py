"""What is open in a call (a prompt, an invitation, a stream), and the events that end it before the call ends.

An operation registers an open thing with :meth:`Switchboard.opens`, under a name that is unique in the call:

    switchboard.opens(call, asked, name, Step(event="PlayCanceled", code=400, subcode=8508))

That step, with the operation's own context and callback URI, is what the courier posts if the call ends first. Any step
of any script of the call closes the thing with ``Step(..., closes=name)``, at the moment at which the courier posts
the step. Nothing else is to be done: when the call ends (by its scenario, by hang_up, by a transfer), the courier stops
the call's other scripts, posts the event of each thing that is still open, and then the event that ends the call.

``release`` of an open thing is called once, in the simulator's loop, when the thing closes in either way: it may close
a socket. ``attended`` says that the callee stays on the line for it: a callee who hangs up when the call has gone
quiet (``Step.quiet``) waits for a prompt, and not for a stream.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ringback.simulator.turns import Script

if TYPE_CHECKING:
    from collections.abc import Callable

    from ringback.simulator.calls import Call
    from ringback.simulator.scenarios import Step


@dataclass(frozen=True, slots=True)
class Open:
    """What is open: the ``step`` that ends it if nothing else does, and where and with which context to post it."""

    step: Step
    uri: str = field(repr=False)
    context: str | None = field(default=None, repr=False)
    release: Callable[[], object] = field(default=lambda: None, repr=False)
    attended: bool = True


def closing(call: Call, prefix: str = "") -> tuple[Script, ...]:
    """Close what is open under names that begin with ``prefix``, the oldest first: one script of one event for each.

    What waits in the call's queue under such a name does not begin any more.
    """
    key = f"{call.call_connection_id}/{prefix}"
    call.queue = [script for script in call.queue if not script.key.startswith(key)]
    return tuple(
        Script(f"{call.call_connection_id}/{name}", call, (found.step,), found.uri, found.context)
        for name in [name for name in call.open if name.startswith(prefix)]
        if (found := call.close(name)) is not None
    )
