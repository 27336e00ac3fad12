"""Which addresses the simulator calls: those with TLS, those of this machine, and all if the user allows it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ringback.simulator.posting import address_fault, without_tls

NO_URL = "is missing, or no absolute URL"


@pytest.mark.parametrize(
    ("uri", "scheme", "allowed", "fault"),
    [
        ("https://app.example.com/cb", "http", False, None),
        ("http://127.0.0.1:8000/cb", "http", None, None),
        ("http://127.0.0.1:8000/cb", "http", False, "is not https"),
        ("http://app.example.com/cb", "http", None, "is not https"),
        ("http://app.example.com/cb", "http", True, None),
        ("wss://app.example.com/ws", "ws", None, None),
        ("ws://[::1]:8000/ws", "ws", None, None),
        ("ws://app.example.com/ws", "ws", None, "is not wss"),
        ("https://app.example.com/ws", "ws", None, NO_URL),
        ("ws://app.example.com", "http", True, NO_URL),
        ("/cb", "http", True, NO_URL),
        ("http://[::1/cb", "http", True, NO_URL),
        ("http://127.0.0.1:99999/cb", "http", True, NO_URL),
        ("http://127.0.0.1:0/cb", "http", True, NO_URL),
        ("http:///cb", "http", True, NO_URL),
        ("", "http", True, NO_URL),
        (None, "http", True, NO_URL),
        (5, "http", True, NO_URL),
    ],
)
def test_an_address(uri: object, scheme: str, allowed: bool | None, fault: str | None) -> None:
    """What is wrong with the address, in words that follow the name of the option."""
    assert address_fault(uri, scheme, allowed) == fault


@given(st.text() | st.integers() | st.none() | st.lists(st.text()), st.sampled_from(["http", "ws"]), st.booleans())
def test_whatever_an_app_sends_is_an_address_or_has_a_fault(uri: object, scheme: str, allowed: bool) -> None:
    """Nothing raises."""
    assert address_fault(uri, scheme, allowed) in (None, NO_URL, f"is not {scheme}s")


@pytest.mark.parametrize(
    ("uri", "allowed", "plain"),
    [
        ("wss://localhost:8000/wss:", None, "ws://localhost:8000/wss:"),
        ("wss://127.0.0.1:8000/ws", True, "ws://127.0.0.1:8000/ws"),
        ("wss://127.0.0.1:8000/ws", False, None),
        ("wss://app.example.com/ws", None, None),
        ("wss://app.example.com/ws", True, None),
        ("ws://127.0.0.1:8000/ws", None, None),
    ],
)
def test_an_address_of_this_machine_may_do_without_tls(uri: str, allowed: bool | None, plain: str | None) -> None:
    """Of this machine alone, whatever else is allowed."""
    assert without_tls(uri, allowed) == plain
