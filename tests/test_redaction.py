"""Redaction: what is private never survives, what an engineer needs always does."""

from __future__ import annotations

import hmac
import io
import json
import logging
import re
from contextlib import redirect_stdout
from typing import TYPE_CHECKING, Any

import pytest
import structlog
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ringback import Catalog, ConfigurationError, logs, redaction, use_redaction
from ringback.intake import Intake, Received
from ringback.redaction import _OPEN, _PRIVATE, is_open, open_ids, redact, redact_place

if TYPE_CHECKING:
    from collections.abc import Iterator

SIZE = 200_000

property_of = settings(deadline=None, max_examples=300, derandomize=True, database=None)

ACS_USER = "acs:1f0e5c1a-0000-4000-8000-000000000001_00000014-0000-4000-8000-000000000002"
JWT = "eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJtYWRlLXVwIn0.c2lnbmF0dXJl-_A"

KEY = b"a made-up key of the tests"
MODES = [pytest.param("mask", None, id="mask"), pytest.param("hash", KEY, id="hash")]


@pytest.fixture(autouse=True)
def _as_at_first() -> Iterator[None]:
    """The default mode, before and after: the mode is the whole process's."""
    use_redaction("mask")
    yield
    use_redaction("mask")


def hashed(normalised: str, key: bytes = KEY) -> str:
    return hmac.new(key, normalised.encode(), "sha256").hexdigest()[:10]


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

# (text with a value that only its name tells to be private, the text without it)
NAMED = [
    ("incomingCallContext=made-up.Context_1==", "incomingCallContext=[context]"),
    ("incomingCallContext: made-up.Context_1==", "incomingCallContext: [context]"),
    ('"incomingCallContext":"made-up/Context+1"', '"incomingCallContext":"[context]"'),
    ('"incomingCallContext" : "made-up"', '"incomingCallContext" : "[context]"'),
    ("'incomingCallContext': 'made-up'", "'incomingCallContext': '[context]'"),
    (r"\"incomingCallContext\":\"made\/up\u002B1\"", r"\"incomingCallContext\":\"[context]\""),
    ("INCOMINGCALLCONTEXT=" + JWT, "INCOMINGCALLCONTEXT=[context]"),
    ("incoming_call_context='made-up'", "incoming_call_context='[context]'"),
    ("incomingCallContext=+15550100199", "incomingCallContext=[context]"),
    ("/api?secret=made-up", "/api?secret=[secret]"),
    ("/api?x=1&token=made-up&y=2", "/api?x=1&token=[secret]&y=2"),
    ("?sig=made%2Bup%3D#part", "?sig=[secret]#part"),
    ("?code=made.up/+==", "?code=[secret]"),
    ("?key=a,b;c)d'e", "?key=[secret]"),
    ("?access_token=" + JWT, "?access_token=[secret]"),
    ("?Secret=made-up&CODE=4:+15550100199", "?Secret=[secret]&CODE=[secret]"),
    ("https://example.com/api?code=1. Next", "https://example.com/api?code=[secret]. Next"),
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
    "[context] [secret]",
    "incomingCallContext",
    "the incomingCallContext is missing",
    '"incomingCallContext":""',
    "?key= &token=",
    "?monkey=3&keyed=4",
    "code=486 key: 3",
    "?subCode=560486",
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
@pytest.mark.parametrize(("text", "left"), NAMED)
def test_a_value_private_by_its_name_is_replaced_and_its_name_stays(frame, text, left):
    """Call contexts and secrets in URLs look like anything: what they are called tells what they are."""
    assert redact(frame.format(text)) == frame.format(left)


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


@pytest.mark.parametrize("text", [text for text, _ in PRIVATE] + [text for text, _ in NAMED])
@pytest.mark.parametrize("frame", ["{}", "call:{}", "event:{}", "{}=", "x{}", "{}_"])
def test_nothing_private_is_open(frame, text):
    """The short way round the pattern is not for it."""
    assert not is_open(frame.format(text)) or _PRIVATE.sub("", frame.format(text)) == frame.format(text)


# Pieces of everything that is private, and of everything that is open, to be put together.
PIECES = [
    *"+(%?&[]=:.-_/@ \n'\"\\,;",
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
open_texts = st.from_regex(_OPEN.pattern.replace("++", "+"), fullmatch=True) | st.builds(
    lambda before, guid: before + guid, named, guids_of_any_case
)


def stays(text):
    """Whether all that the pattern finds in a text is of the kinds that are kept."""
    return {found.lastgroup for found in _PRIVATE.finditer(text)} <= {"guid", "fraction"}


@settings(property_of, max_examples=400)
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


near_guids = st.sampled_from([*GUIDS, *GUIDS, *GUIDS, "+1555010-0199-4000-8000-000000000001", None]) | adversarial


@settings(property_of, max_examples=300)
@given(near_guids | guids_of_any_case, st.sampled_from(["calling/callConnections/", "calling/", ""]))
def test_a_place_that_goes_the_short_way_is_as_redacted(leg, before):
    """The source of nearly every event is its leg; what looks like it and is none is redacted, and loses its query."""
    place = f"{before}{leg}"
    stripped = re.sub(r"(?<=//)[^/?#]*@|[?#].*", "", place, flags=re.DOTALL)
    assert redact_place(place) == redaction._current.redacted(stripped)


servers = st.none() | adversarial | st.from_regex("[A-Za-z0-9_/]*={0,2}", fullmatch=True)


@settings(property_of, max_examples=600)
@given(st.tuples(near_guids, near_guids, near_guids), servers, st.sampled_from(["mask", "hash", None]))
def test_ids_that_are_open_have_nothing_private_in_them(ids, server, mode):
    """What is written as it came would have come out of redaction and escaping as it is."""
    use_redaction(mode, KEY if mode == "hash" else None)
    if open_ids(*ids, server):
        for text in (*ids, *([] if server is None else [server])):
            assert redaction._current.redacted(text) == text
            assert json.dumps(text) == f'"{text}"'


@settings(property_of, max_examples=400)
@given(
    adversarial | open_texts | st.text(max_size=9) | st.sampled_from([text for text, _ in PRIVATE + NAMED]), st.data()
)
def test_what_names_a_call_changes_nothing_behind_it(text, data):
    """The log puts an outcome's id together from the leg's, redacted by itself."""
    mode = data.draw(st.sampled_from(["mask", "hash"]))
    use_redaction(mode, KEY if mode == "hash" else None)
    assert redact(f"call:{text}") == f"call:{redact(text)}"


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
    | st.sampled_from([text for text, _ in NAMED])
    | st.sampled_from([*"+-.:()[]/_ 48", "28:", "8:acs:", "sip:", "eyJ", "Bearer ", "%2B", "555", "0100", "-eyJ"])
    | st.sampled_from([*"?&=\\\"',", "?key=", "&token=", "incomingCallContext", "[phone:", "1234567890]", "[id:0a"])
    | st.text(max_size=3)
    | digits,
    max_size=8,
).map("".join)


@pytest.mark.parametrize(("mode", "key"), MODES)
@settings(property_of, max_examples=400)
@given(pieces)
def test_redacting_twice_changes_nothing_more(mode, key, text):
    """What was replaced is never replaced again, and nothing new appears by replacing."""
    use_redaction(mode, key)
    once = redact(text)
    assert redact(once) == once


@pytest.mark.parametrize(
    ("text", "kind", "normalised"),
    [
        ("+15550100", "phone", "15550100"),
        ("+1 555 0100", "phone", "15550100"),
        ("%2B1-555-0100", "phone", "15550100"),
        ("0015550100", "phone", "15550100"),
        ("+\u0661 555 0100", "phone", "15550100"),
        ("000000000", "phone", "0000000"),
        ("(555) 010-0199", "phone", "5550100199"),
        ("4:+15550100", "id", "15550100"),
        ("4:15550100", "id", "15550100"),
        ("TEL:+1-555-0100", "sip", "15550100"),
        ("tel:alice", "sip", "tel:alice"),
        ("SIP:Alice@example.com", "sip", "sip:alice@example.com"),
        ("8:ACS:Made-Up", "id", "8:acs:made-up"),
        ("Bearer " + JWT, "token", JWT),
        (JWT, "token", JWT),
    ],
)
def test_a_hash_is_the_same_however_a_thing_is_written(text, kind, normalised):
    """Lines can be joined by the hash; the key decides which."""
    use_redaction("hash", KEY)
    assert redact(f"<{text}>") == f"<[{kind}:{hashed(normalised)}]>"


@pytest.mark.parametrize("name", ["incomingCallContext=", "?key="])
def test_a_value_known_by_its_name_is_hashed_as_it_is(name):
    """Letters' case means something in a secret."""
    use_redaction("hash", KEY)
    kind = "context" if "Context" in name else "secret"
    assert redact(name + "Made-Up") == f"{name}[{kind}:{hashed('Made-Up')}]"


def test_half_a_surrogate_pair_can_be_hashed():
    """Python decodes JSON and paths to what UTF-8 cannot write."""
    use_redaction("hash", KEY)
    assert re.fullmatch(r"\[sip:[0-9a-f]{10}\]", redact("sip:\ud800"))


def test_a_key_as_text_is_its_utf_8_bytes():
    """A key from the environment gives the same hashes as its bytes."""
    use_redaction("hash", KEY)
    one = redact("+15550100")
    use_redaction("hash", KEY.decode())
    assert redact("+15550100") == one
    use_redaction("hash", KEY + b"!")
    assert redact("+15550100") == f"[phone:{hashed('15550100', KEY + b'!')}]" != one


def test_what_is_no_private_text_stays_in_hash_mode_too():
    """GUIDs, fractions and hashes are stepped over, hashes of nothing but digits among them."""
    use_redaction("hash", KEY)
    text = "1f0e5c1a-0000-4000-8000-000000000001 took 0.15550100199 s [phone:1234567890] [secret:00000000aa]"
    assert redact(text) == text


def test_a_number_that_is_written_like_a_hash_does_not_survive_the_mask():
    """Nobody hashes in mask mode: ten digits in brackets are a number."""
    assert redact("[phone:5550100199] [id:0a1b2c3d4e]") == "[phone] [id]"


def test_no_redaction_is_possible_if_said_so():
    """None leaves every text as it is."""
    use_redaction(None)
    assert [redact(text) for text, _ in PRIVATE] == [text for text, _ in PRIVATE]


@pytest.mark.parametrize("text", ["call +15550100199", "call +15550100199" + " and so on" * 100], ids=["short", "long"])
def test_a_change_of_mode_holds_for_texts_seen_before(text):
    """What is remembered of one mode is not said in the next."""
    assert redact(text) == text.replace("+15550100199", "[phone]")
    use_redaction("hash", KEY)
    assert redact(text) == text.replace("+15550100199", f"[phone:{hashed('15550100199')}]")
    use_redaction(None)
    assert redact(text) == text
    use_redaction("mask")
    assert redact(text) == text.replace("+15550100199", "[phone]")


@pytest.mark.parametrize(
    ("mode", "key", "message"),
    [
        ("hash", None, "redaction 'hash' needs a key, bytes or text; pass key=secrets.token_bytes(32)"),
        ("hash", 5, "redaction 'hash' needs a key, bytes or text; pass key=secrets.token_bytes(32)"),
        ("hash", b"x" * 15, "a redaction key of 15 bytes can be guessed; use at least 16, such as "),
        ("hash", "", "a redaction key of 0 bytes can be guessed; use at least 16, such as "),
        ("mask", KEY, "redaction 'mask' takes no key; pass mode 'hash', or leave the key out"),
        (None, KEY, "redaction None takes no key; pass mode 'hash', or leave the key out"),
        ("sha", None, "redaction 'sha' is unknown; use 'mask', 'hash' or None"),
    ],
)
def test_a_setting_that_cannot_work_is_said_at_once_and_changes_nothing(mode, key, message):
    """The message names the remedy, not the key, and the mode stays what it was."""
    with pytest.raises(ConfigurationError, match=re.escape(message)):
        use_redaction(mode, key)
    assert redact("+15550100") == "[phone]"


DATA_FIELDS = (
    "callConnectionId",
    "serverCallId",
    "correlationId",
    "operationContext",
    "version",
    "incomingCallContext",
)
FIELDS = [
    *((name,) for name in ("id", "source", "subject", "type", "time", "datacontenttype")),
    *(("data", name) for name in DATA_FIELDS),
    *(("data", "resultInformation", name) for name in ("code", "subCode", "message")),
    *(
        ("data", "resultInformation", kind, name)
        for kind in ("sipDetails", "q850Details")
        for name in ("code", "message")
    ),
]

long_numbers = st.from_regex("[1-9][0-9]{7,13}", fullmatch=True, alphabet="0123456789")
secrets_of_calls = st.one_of(
    long_numbers.map("+".__add__),
    long_numbers.map("4:".__add__),
    long_numbers.map("4:+".__add__),
    long_numbers.map("tel:+{}".format),
    long_numbers.map("sip:+{}@sbc.example.com".format),
    st.builds("8:{}:{}_{}".format, st.sampled_from(["acs", "dod-acs", "gcch-acs"]), guids, guids),
    guids.map("8:orgid:".__add__),
    guids.map("28:".__add__),
)


def delivery(placed: dict[tuple[str, ...], str]) -> bytes:
    """A busy call's event with some of its texts replaced."""
    result = {"code": 486, "subCode": 560486, "message": "Busy.", "sipDetails": {}, "q850Details": {}}
    event: dict[str, Any] = {"type": "Microsoft.Communication.CallDisconnected", "data": {"resultInformation": result}}
    for path, text in placed.items():
        inner = event
        for key in path[:-1]:
            inner = inner[key]
        inner[path[-1]] = text
    return json.dumps([event]).encode()


def lines(body: bytes) -> tuple[str, str, list[dict[str, Any]]]:
    """What is written of a delivery: as JSON, as plain text, and as the fields of plain logging's records."""
    received = Intake(Catalog.default()).receive({}, body)
    assert isinstance(received, Received)
    structlog.configure(processors=[structlog.contextvars.merge_contextvars, structlog.processors.JSONRenderer()])
    try:
        with redirect_stdout(io.StringIO()) as shown, logs.bound_ids(received.delivery.events):
            logs.received(received, logs.rendered(received))
    finally:
        structlog.reset_defaults()
    kept: list[logging.LogRecord] = []
    handler = logging.Handler()
    handler.emit = kept.append  # type: ignore[method-assign]
    handler.addFilter(logs.ContextFilter())
    logger = logging.getLogger(logs.LOGGER)
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        with logs.bound_ids(received.delivery.events):
            logs.received(received, logs.rendered(received))
    finally:
        logger.removeHandler(handler)
        logger.setLevel(logging.NOTSET)
    ids = " ".join(f"%({name})s" for name in logs.IDS)
    plain = logging.Formatter(f"%(levelname)s {ids} %(message)s")
    return shown.getvalue(), "\n".join(map(plain.format, kept)), [vars(each)["ringback"] for each in kept]


@pytest.mark.parametrize(("mode", "key"), MODES)
@settings(property_of, max_examples=120)
@given(st.dictionaries(st.sampled_from(FIELDS), before, min_size=1), secrets_of_calls, after)
@example(dict.fromkeys(FIELDS, ""), "+15550100199", "")
def test_no_number_and_no_raw_id_of_a_payload_reaches_the_log(mode, key, places, private, right):
    """Wherever in an event it stands, neither the JSON line nor the plain line nor its record has it."""
    use_redaction(mode, key)
    as_json, plain, records = lines(delivery({path: left + private + right for path, left in places.items()}))
    assert as_json.count("\n") == len(records) == 1
    hidden = private.rpartition(":")[2].removeprefix("+")
    for written in (as_json, plain, json.dumps(records)):
        assert private not in written
        assert hidden not in written


def test_in_hash_mode_a_call_can_be_followed_by_its_number():
    """The same number gives the same hash in every field of a line, and the lines stay whole."""
    use_redaction("hash", KEY)
    placed = {
        ("data", "operationContext"): "4:+15550100199",
        ("data", "resultInformation", "message"): "No answer from +1 555 010 0199.",
    }
    _, _, (record,) = lines(delivery(placed))
    digest = hashed("15550100199")
    assert record["operation_context"] == f"[id:{digest}]"
    assert record["message"] == f"No answer from [phone:{digest}]."


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
    "?",
    "?key=",
    "?key=,",
    "?key=\\",
    "?key=\\u",
    "&token",
    "incomingCallContext",
    "incomingCallContext=",
    "incomingCallContext: ",
    "incomingCallContext\\",
    "incomingCallContext=,",
    "[phone:",
    "[phone:1",
    ",",
]


@pytest.mark.parametrize("unit", HOSTILE)
def test_hostile_text_ends(unit):
    """Long runs of what might begin a private thing take no more than linear time: this test ends."""
    for size in (100, SIZE):
        text = (unit * size)[:size]
        named = ("?key=" + text, "incomingCallContext" + text)
        for attack in (text, "+1" + text, "eyJa." + text + "!", "Bearer" + text, "8:" + text, *named):
            redact(attack)
