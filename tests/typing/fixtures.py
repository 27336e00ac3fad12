"""What a typed test knows of the fixtures. Never run: mypy and pyright read it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, assert_type

from ringback.testing import CallEvents

if TYPE_CHECKING:
    from ringback.testing import CallbackClient
    from ringback.testing.posting import ASGIApp


async def typed(app: ASGIApp, ringback_client: type[CallbackClient], call_events: CallEvents) -> None:
    assert_type(call_events.call_disconnected(486, 560486, sip=486), dict[str, Any])
    assert_type(call_events.rejected_call(), tuple[dict[str, Any], dict[str, Any]])
    assert_type(call_events.leg(), CallEvents)
    client = ringback_client(app, path="/cb")
    await client.deliver(call_events.incoming_call(), *call_events.failed_call(486, 560486))
    ringback_client(app, pth="/cb")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
