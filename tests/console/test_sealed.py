"""A private text in an address is readable to the browser that it was made for, and to nobody else."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ringback.console.sealed import MARK, addressed, is_public, seal, unseal

OWN, OTHER = "o" * 43, "x" * 43


@given(st.text())
def test_what_is_sealed_is_read_again(text: str) -> None:
    """Any text, by its own token alone; and it always has the same stand-in."""
    sealed = seal(text, OWN)
    assert sealed.startswith(MARK)
    assert unseal(sealed, OWN) == text
    assert unseal(sealed, OTHER) is None
    assert unseal(sealed, None) is None
    assert sealed == seal(text, OWN) != seal(text, OTHER)


@given(st.text(min_size=6))
def test_nothing_of_the_text_is_in_its_stand_in(text: str) -> None:
    assert text not in seal(text, OWN)


@given(st.binary(max_size=60), st.integers(0, 200))
def test_a_stand_in_that_was_changed_is_none(content: bytes, at: int) -> None:
    """One letter of it, wherever."""
    sealed = seal(content.hex(), OWN)
    place = 1 + at % (len(sealed) - 2)
    changed = sealed[:place] + ("A" if sealed[place] != "A" else "B") + sealed[place + 1 :]
    assert unseal(changed, OWN) is None


@pytest.mark.parametrize("given_", ["~", "~é", "~AAAA", "~" + "A" * 30, "~=", "~%"])
def test_what_is_no_stand_in_is_none(given_: str) -> None:
    """Whatever somebody writes into an address."""
    assert unseal(given_, OWN) is None
    assert unseal(given_, None) is None


@pytest.mark.parametrize(
    ("text", "public"),
    [
        ("1f0e5c1a-0000-4000-8000-000000000001", True),
        ("1F0E5C1A-0000-4000-8000-000000000001", True),
        ("call:1f0e5c1a-0000-4000-8000-000000000001", False),
        ("customer-7", False),
        ("+15550100", False),
        ("8:acs:1f0e5c1a-0000-4000-8000-000000000001_0000", False),
        ("", False),
    ],
)
def test_only_the_id_of_a_call_stands_in_an_address(text: str, public: bool) -> None:
    """As the log prints it."""
    assert is_public(text) is public
    assert (addressed(text, OWN) == text) is public
    assert unseal(addressed(text, OWN), OWN) == text
