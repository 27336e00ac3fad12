"""The short way round redaction: what is taken for open has nothing private in it."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from private_texts import KEY, NAMED, PRIVATE
from ringback import use_redaction
from ringback.privacy import redaction
from ringback.privacy.kinds import KEPT
from ringback.privacy.private import group_of, private_text
from ringback.privacy.redaction import _OPEN, LONGEST, is_open, open_ids, redact, redact_place
from ringback.privacy.written import meant

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(autouse=True)
def _as_at_first() -> Iterator[None]:
    """The default mode, before and after: the mode is the whole process's."""
    use_redaction("mask")
    yield
    use_redaction("mask")


def test_nothing_private_is_open() -> None:
    """The short way round the pattern is not for it."""
    texts = [text for text, _ in PRIVATE + NAMED]
    tried = [frame.format(text) for text in texts for frame in ("{}", "call:{}", "event:{}", "{}=", "x{}", "{}_")]
    assert [each for each in tried if is_open(each) and not stays(each)] == []


# Pieces of everything that is private, and of everything that is open, to be put together.
PIECES = [
    *"+(%?&[]=:.-_/@ \n'\"\\,;",
    *("\\u002B", "%2B", "%252B", "&plus;", "@", "a@b.co", "%40", "//", "password=", "=", "accesskey", ": ", "Basic "),
    *("0171", "0049", "011", "Authorization", "token", "'", "phone:", "\uff0b", "2025-02-11", "\\n", '\\"', "&amp;"),
    *("call:", "event:", "4:", "8:", "28:", "8:acs:", "sip:", "sips:", "tel:", "Bearer ", "eyJ", "eyJa.b.c", "SIP:"),
    *("incomingCallContext", "incoming_call_context=", "?sig=", "&code=", "secret", "token", "[phone:", "0123456789"),
    *(
        "1f0e5c1a",
        "-0000",
        "-4000",
        "-8000",
        "-000000000001",
        "12345678",
        "123456789",
        "555",
        "0100",
        "a",
        "Z",
        "==",
        "=",
    ),
    *("1f0e5c1a-0000-4000-8000-000000000001", "12345678-1234-1234-1234-123456789012", "\u0661\u0662", "\ud800"),
]
adversarial = st.lists(st.sampled_from(PIECES), max_size=6).map("".join)
guids_of_any_case = st.from_regex("[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}", fullmatch=True)
named = st.sampled_from(["", "call:", "event:", "calling/callConnections/"])
open_texts = st.from_regex(_OPEN.pattern, fullmatch=True) | st.builds(
    lambda before, guid: before + guid, named, guids_of_any_case
)


def stays(text):
    """Whether all that the pattern finds in a text is of the kinds that are kept."""
    return {group_of(found)[0] for found in private_text().finditer(meant(text)[0])} <= KEPT


@given(open_texts | adversarial, st.sampled_from(["mask", "hash", None]))
def test_what_is_open_has_nothing_private_in_it(text, mode):
    """What goes the short way would have come out of the long way as it is, whatever the mode."""
    use_redaction(mode, KEY if mode == "hash" else None)
    if is_open(text):
        assert stays(text)
        assert redact(text) == text == redaction._current.redacted(text)
        assert text.isascii()
        assert json.dumps(text) == f'"{text}"'


GUIDS = (
    "1f0e5c1a-0000-4000-8000-0000000000e1",
    "1F0E5C1A-0000-4000-8000-000000000001",
    "5b0c1c55-0000-4000-8000-000000000002",
)


@pytest.mark.parametrize(
    "server", [None, "", "aHR0cHM6Ly9hcGkuZXhhbXBsZS5pbnZhbGlk", "aHR0cHM6L/hcGku", "YWI=", "YQ=="]
)
def test_ids_as_the_service_makes_them_are_open(server):
    """GUIDs in any case, and a URL in base64, which may end in the middle of a group and have a slash for its "?"."""
    assert open_ids(*GUIDS, server)


@pytest.mark.parametrize(
    "server",
    ["15550100199", "15550100199=", "a/15550100199/b", "+15550100199", "a+15550100199", "a b", "\u0661", "\ud800"],
)
def test_a_server_call_id_that_is_no_word_is_looked_at(server):
    """What may be a number, or is no text of the service."""
    assert not open_ids(*GUIDS, server)


def test_a_long_server_call_id_is_not_open():
    """A sender may make it a megabyte, and each line of the app's in that request would have it."""
    assert open_ids(*GUIDS, "a" * LONGEST)
    assert not open_ids(*GUIDS, "a" * (LONGEST + 1))


near_guids = st.sampled_from([*GUIDS, *GUIDS, *GUIDS, "+1555010-0199-4000-8000-000000000001", None]) | adversarial


@given(near_guids | guids_of_any_case, st.sampled_from(["calling/callConnections/", "calling/", ""]))
def test_a_place_that_goes_the_short_way_is_as_redacted(leg, before):
    """The source of nearly every event is its leg; what looks like it and is none is redacted, and loses its query."""
    place = f"{before}{leg}"
    stripped = re.sub(r"(?<=//)[^/?#]*@|[?#].*", "", place, flags=re.DOTALL)
    assert redact_place(place) == redaction._current.redacted(stripped)


servers = st.none() | adversarial | st.from_regex("[A-Za-z0-9_/]*={0,2}", fullmatch=True)


@given(st.tuples(near_guids, near_guids, near_guids), servers, st.sampled_from(["mask", "hash", None]))
def test_ids_that_are_open_have_nothing_private_in_them(ids, server, mode):
    """What is written as it came would have come out of redaction and escaping as it is."""
    use_redaction(mode, KEY if mode == "hash" else None)
    if open_ids(*ids, server):
        for text in (*ids, *([] if server is None else [server])):
            assert redaction._current.redacted(text) == text
            assert json.dumps(text) == f'"{text}"'


@given(
    adversarial | open_texts | st.text(max_size=9) | st.sampled_from([text for text, _ in PRIVATE + NAMED]), st.data()
)
def test_what_names_a_call_changes_nothing_behind_it(text, data):
    """The log puts an outcome's id together from the leg's, redacted by itself."""
    mode = data.draw(st.sampled_from(["mask", "hash"]))
    use_redaction(mode, KEY if mode == "hash" else None)
    assert redact(f"call:{text}") == f"call:{redact(text)}"
