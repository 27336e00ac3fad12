"""Redaction: what is private never survives, what an engineer needs always does."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ringback.redaction import redact

SIZE = 200_000

property_of = settings(deadline=None, max_examples=300, derandomize=True, database=None)

ACS_USER = "acs:1f0e5c1a-0000-4000-8000-000000000001_00000014-0000-4000-8000-000000000002"
JWT = "eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJtYWRlLXVwIn0.c2lnbmF0dXJl-_A"

# (what is private, the kind that stands in its place)
PRIVATE = [
    ("+15550100199", "phone"),
    ("+1 555 010 0199", "phone"),
    ("+1 (555) 010-0199", "phone"),
    ("+1-555-010-0199", "phone"),
    ("+1.555.010.0199", "phone"),
    ("+1/555/010/0199", "phone"),
    ("+1\u00a0555\u2011010\u20130199", "phone"),
    ("%2B15550100199", "phone"),
    ("%2b15550100199", "phone"),
    ("+4915550100", "phone"),
    ("15550100199", "phone"),
    ("0015550100199", "phone"),
    ("555010019", "phone"),
    ("555-010-0199", "phone"),
    ("555.010.0199", "phone"),
    ("555 010 0199", "phone"),
    ("(555) 010-0199", "phone"),
    ("(555)010-0199", "phone"),
    ("4:+15550100199", "id"),
    ("4:15550100199", "id"),
    ("8:" + ACS_USER, "id"),
    ("8:gcch-" + ACS_USER, "id"),
    ("8:dod-" + ACS_USER, "id"),
    ("8:ACS:made-up", "id"),
    ("8:orgid:1f0e5c1a-0000-4000-8000-000000000001", "id"),
    ("8:live:.cid.0123456789abcdef", "id"),
    ("8:teamsvisitor:0123456789abcdef", "id"),
    ("28:1f0e5c1a-0000-4000-8000-000000000001", "id"),
    ("28:orgid:1f0e5c1a-0000-4000-8000-000000000001", "id"),
    ("28:gcch:1f0e5c1a-0000-4000-8000-000000000001", "id"),
    ("sip:alice@example.com", "sip"),
    ("sip:+15550100199@sbc.example.com:5061", "sip"),
    ("SIPS:alice@example.com", "sip"),
    ("tel:+15550100199", "sip"),
    ("Tel:555-010-0199", "sip"),
    ("Bearer abc.def-ghi", "token"),
    ("bearer\tabc123", "token"),
    ("Bearer c2VjcmV0Lg+/~==", "token"),
    ("Bearer " + "abcdefghijklmnopqrstuvwxyz", "token"),
    ("Bearer " + JWT, "token"),
    (JWT, "token"),
    ("eyJhbGciOiJub25lIn0.e30.", "token"),
    ("eyJh-bGci.key.iv.text.tag", "token"),
]

PUBLIC = [
    "",
    "Decline. DiagCode: 603#0.@",
    "The conversation has ended. DiagCode: 0#560000.@",
    "560486",
    "487/560487",
    "404#8522",
    "1f0e5c1a-0000-4000-8000-00000000000a",
    "1F0E5C1A-0000-4000-8000-00000000000A",
    "12345678-1234-1234-1234-123456789012",
    "call:12345678-1234-1234-1234-123456789012",
    "event:1f0e5c1a-0000-4000-8000-000000000001",
    "2025-02-11T10:20:30.0629553+00:00",
    "2025-02-11T10:20:30.0629553Z",
    "2025-02-11 10:20:30",
    "08:58:50",
    "2024-09-01-preview",
    "1.6.0",
    "10.0.0.1",
    "192.168.100.200:50610",
    "255.255.255.255",
    "2001:db8:4:1234::8",
    "34.617284599999995",
    "[phone] [id] [sip] [token]",
    "a sip: of water, hotel:5, the bearer",
    "code 5550100, not a number",
    "Q.850 cause 17, SIP 486 Busy Here",
    "order-1001",
    "Bearer capability not authorized",
    "no bearer.",
    "the bearer: capability",
    "+00:00",
    "+1",
    "aHR0cHM6Ly9jYWxscy5leGFtcGxlLmNvbS9jb252L3Jvb20tMDAwMT9pPTAmZT0x",
    "eyJhbGciOiJSUzI1NiJ9",
    "eyJhbGci.eyJpc3Mi",
    "4:anonymous",
    "retry 4: 12345",
]

# What may stand around a private thing, and must stay.
FRAMES = [
    "{}",
    "addParticipants failed for participant {} Underlying reason: Request Timeout. DiagCode: 408#10057.@",
    "called {}, no answer",
    '{{"rawId":"{}"}}',
    "'{}'",
    "<{}>",
    "[{}]",
    "({})",
    "participant:{}",
    "rawId: {}",
    "callerId={}",
    "to\t{}\nfrom",
]


@pytest.mark.parametrize(("text", "kind"), PRIVATE)
def test_a_private_thing_is_replaced_by_its_kind(text, kind):
    """Phone numbers, raw ids, SIP URIs and tokens become their kind in brackets, nothing else."""
    assert redact(text) == f"[{kind}]"


@pytest.mark.parametrize("frame", FRAMES)
@pytest.mark.parametrize(("text", "kind"), PRIVATE)
def test_a_private_thing_in_a_sentence_is_replaced_alone(frame, text, kind):
    """The words around a private thing stay as they are."""
    assert redact(frame.format(text)) == frame.format(f"[{kind}]")


@pytest.mark.parametrize("frame", FRAMES)
@pytest.mark.parametrize("text", PUBLIC)
def test_what_is_needed_to_find_a_call_stays(frame, text):
    """Codes, ids to join on, times, versions and addresses are not private."""
    assert redact(frame.format(text)) == frame.format(text)


def test_everything_private_in_one_text_is_replaced():
    """One pass replaces every private thing, in its place."""
    assert redact(", ".join(text for text, _ in PRIVATE)) == ", ".join(f"[{kind}]" for _, kind in PRIVATE)


def test_a_number_after_a_sentence_s_full_stop_is_replaced():
    """A point before a number makes it a fraction only after a digit."""
    assert redact("No answer.15550100199") == "No answer.[phone]"
    assert redact("took 0.15550100199 s") == "took 0.15550100199 s"


def test_only_the_last_of_chained_starts_begins_a_token():
    """A token's head ends where another could begin, so that hostile text costs no more than any other."""
    assert redact("eyJa-eyJb.c.d eyJa1eyJb.c.d") == "eyJa-[token] eyJa1[token]"


digits = st.text("0123456789", min_size=6, max_size=14)
e164 = st.builds(lambda first, rest: f"+{first}{rest}", st.sampled_from("123456789"), digits)
guids = st.uuids(version=4).map(str)
raw_ids = st.one_of(
    e164.map(lambda number: "4:" + number),
    digits.map(lambda number: "4:" + number),
    st.builds("8:{}:{}_{}".format, st.sampled_from(["acs", "spool", "dod-acs", "gcch-acs"]), guids, guids),
    guids.map(lambda guid: "8:orgid:" + guid),
    guids.map(lambda guid: "28:" + guid),
)
words = st.text(st.characters(exclude_categories=["Nd", "Cs"]), max_size=12)
before = words.map(lambda text: text + " ") | st.sampled_from(
    ["", " ", '"', "'", "(", "[", "{", "<", ":", "=", ",", ";", "/", ".", "\n", "participant:", "rawId=", "x: ", "1 "]
)
after = words.map(lambda text: " " + text) | st.sampled_from(
    ["", " ", '"', "'", ")", "]", "}", ">", ":", ",", ";", "/", ".", "\n", "?", "!", " x"]
)


@property_of
@given(before, e164, after)
def test_an_e164_number_survives_nowhere(left, number, right):
    """Between spaces, quotes and brackets, after a colon, at either end: the number goes, the rest stays."""
    assert redact(left + number + right) == f"{left}[phone]{right}"


@property_of
@given(before, raw_ids, after)
def test_a_raw_id_survives_nowhere(left, raw_id, right):
    """Wherever a raw id stands, all of it goes, and the rest stays."""
    assert redact(left + raw_id + right) == f"{left}[id]{right}"


@property_of
@given(before, guids | st.from_regex("[0-9]{8}(-[0-9]{4}){3}-[0-9]{12}", fullmatch=True, alphabet="0123456789-"), after)
def test_a_guid_on_its_own_always_survives(left, guid, right):
    """An id to join on stays whatever its digits, unless a private prefix makes it part of a raw id."""
    assert redact(left + guid + right) == left + guid + right


pieces = st.lists(
    st.sampled_from([text for text, _ in PRIVATE] + PUBLIC)
    | st.sampled_from([*"+-.:()[]/_ 48", "28:", "8:acs:", "sip:", "eyJ", "Bearer ", "%2B", "555", "0100", "-eyJ"])
    | st.text(max_size=3)
    | digits,
    max_size=8,
).map("".join)


@settings(property_of, max_examples=1500)
@given(pieces)
def test_redacting_twice_changes_nothing_more(text):
    """What was replaced is never replaced again, and nothing new appears by replacing."""
    once = redact(text)
    assert redact(once) == once


HOSTILE = [
    "1",
    "+",
    "-",
    "+1",
    "+1-",
    "1-",
    "1 ",
    "(1",
    "555-010-",
    "(555)",
    "eyJ",
    "eyJ-",
    "1eyJ",
    "eyJa.1eyJ",
    "eyJa.",
    "eyJa.-",
    "-eyJa",
    "Bearer ",
    "Bearer",
    "Bearer a",
    "0.",
    "1.1 ",
    "sip:",
    "sip: ",
    "8:",
    "8:a-",
    "8:a:",
    "-8:a",
    "28:a",
    "28:-",
    "4:+",
    "4:1",
    "a-",
    "1f0e5c1a-",
    "1f0e5c1a-0000-4000-8000-",
    "%2B",
    "%2B1-",
    " ",
]


@pytest.mark.parametrize("unit", HOSTILE)
def test_hostile_text_ends(unit):
    """Long runs of what might begin a private thing take no more than linear time: this test ends."""
    for size in (100, SIZE):
        text = (unit * size)[:size]
        for attack in (text, "+1" + text, "eyJa." + text + "!", "Bearer" + text, "8:" + text):
            redact(attack)
