"""Redaction over drawn texts: no spelling of what is private survives, and what stands around it stays."""

from __future__ import annotations

import base64
import json
import re
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from private_texts import (
    BARE_KEY,
    KEY,
    MODES,
    NAMED,
    PRIVATE,
    PUBLIC,
    after,
    before,
    digits,
    e164,
    guids,
    hashed,
    raw_ids,
)
from ringback import use_redaction
from ringback.privacy.redaction import LONGEST, redact

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(autouse=True)
def _as_at_first() -> Iterator[None]:
    """The default mode, before and after: the mode is the whole process's."""
    use_redaction("mask")
    yield
    use_redaction("mask")


numbers_of_any_form = st.builds(
    lambda lead, groups, join: lead + join.join(groups),
    st.sampled_from(["+", "+49 ", "+49 (0)", "(+49) ", "0", "0 ", "(0171) ", "(555) ", "00", "", "+(49) "]),
    st.lists(st.from_regex("[1-9][0-9]{1,4}", fullmatch=True, alphabet="0123456789"), min_size=2, max_size=5),
    st.sampled_from(["", " ", "-", ".", "/", "\u00a0", " - "]),
)


@given(
    st.sampled_from(["tel:", "TEL:", "tel: ", "tel://"]), numbers_of_any_form, st.sampled_from(["", ", next", "'", ";"])
)
def test_no_digit_of_a_number_behind_tel_survives(scheme, number, right):
    """However the number is written: what names it a number hides no less than nothing would."""
    assert redact(f"call {scheme}{number}{right}") == f"call [sip]{right}"


@given(st.sampled_from([text for text, _ in (*PRIVATE, *NAMED)]), st.integers(-700, 100), st.sampled_from(" \n"))
def test_the_end_of_a_long_text_cuts_nothing_private_in_two(private, place, blank):
    """A long text is kept up to a blank, and what is kept reads as in the text that is redacted whole."""
    left = (f"a{blank}" * LONGEST)[: (LONGEST + place) // 2 * 2]
    text = left + private + " and so on" * 500
    kept, _, length = redact(text).rpartition("[... of ")
    assert length == f"{len(text)} characters]"
    assert len(kept) > LONGEST - 700 - len(private)
    assert (left + redact(f" {private}" + " and so on" * 80)[1:]).startswith(kept)


@given(st.sampled_from(["sip:+49", "sips:+1", "sip:0171", "sip:+44 (0)20"]), numbers_of_any_form)
def test_no_digit_of_an_international_number_behind_sip_survives(scheme, number):
    """A dialled number in place of a user."""
    number = re.sub(r"[^0-9 ]", "", number)
    assert redact(f"<{scheme} {number}@example.com>") == "<[sip]>"


header_values = st.lists(st.from_regex("[a-z][a-zA-Z0-9=+/ .-]{2,20}[a-z0-9]", fullmatch=True), min_size=1, max_size=3)


@given(
    st.sampled_from(["Authorization", "x-api-key", "x-functions-key", "Set-Cookie", "aeg-sas-key", "password"]),
    header_values,
    st.sampled_from([list, tuple]),
    st.sampled_from(
        [repr, json.dumps, lambda value: json.dumps(value, indent=2), lambda value: json.dumps(str(value))]
    ),
    st.booleans(),
)
def test_no_value_of_a_list_survives(name, values, held, write, as_bytes):
    """Many clients keep each header's values in a list; what follows the list stays."""
    values = [f"a={value}" for value in values]
    given = {name: held(values), "x": "y"}
    text = repr({name.encode(): held(each.encode() for each in values), b"x": b"y"}) if as_bytes else write(given)
    hidden = redact(text)
    assert [value for value in values if value in hidden] == []
    assert re.search(r"""[xX]\\?["']: b?\\?["']y\\?["']""", hidden)


@given(
    st.binary(min_size=64, max_size=64), st.sampled_from(["{}", "'{}'", "key: {}", "k={}", "credential({})", "<{}>"])
)
def test_64_bytes_in_base64_survive_nowhere(held, frame):
    """Keys of Azure, without a name. Their text ends in two signs of equality."""
    key = base64.b64encode(held).decode()
    assert key[:86] not in redact(frame.format(key))


@given(
    st.from_regex("[a-z]{1,5}[\"'\\[\\] <>#?a-z{};,]{0,9}[a-z]{1,5}", fullmatch=True),
    st.sampled_from(["h", "h.co", "[::1]"]),
)
def test_no_password_of_a_url_survives(password, host):
    """Whatever signs it has that a URL may not have; a slash and "@" end it."""
    assert redact(f"to postgres://user:{password}@{host}/db, then") == f"to postgres://[secret]@{host}/db, then"


@given(before, e164, after)
def test_an_e164_number_survives_nowhere(left, number, right):
    """Between spaces, quotes and brackets, after a colon, at either end: the number goes, the rest stays."""
    assert redact(left + number + right) == f"{left}[phone]{right}"


@given(before, raw_ids, after)
def test_a_raw_id_survives_nowhere(left, raw_id, right):
    """Wherever a raw id stands, all of it goes, and the rest stays."""
    assert redact(left + raw_id + right) == f"{left}[id]{right}"


@given(before, guids | st.from_regex("[0-9]{8}(-[0-9]{4}){3}-[0-9]{12}", fullmatch=True, alphabet="0123456789-"), after)
def test_a_guid_on_its_own_always_survives(left, guid, right):
    """An id to join on stays whatever its digits, unless a private prefix makes it part of a raw id."""
    assert redact(left + guid + right) == left + guid + right


def spelled(signs: str) -> st.SearchStrategy[tuple[str, ...]]:
    """One way to write each of these signs, which a text then keeps to."""
    ways = [
        lambda sign: sign,
        lambda sign: f"\\u{ord(sign):04x}",
        lambda sign: f"\\u{ord(sign):04X}",
        lambda sign: f"\\\\u{ord(sign):04X}",
        lambda sign: f"\\x{ord(sign):02x}",
        lambda sign: f"%{ord(sign):02X}",
        lambda sign: f"%25{ord(sign):02x}",
        lambda sign: f"%2525{ord(sign):02X}",
        lambda sign: f"&#{ord(sign)};",
        lambda sign: f"&#x{ord(sign):X};",
        lambda sign: f"&amp;#{ord(sign)};",
        lambda sign: "\u3000" if sign == " " else chr(ord(sign) + 0xFEE0),
    ]
    return st.sampled_from([str.maketrans({sign: way(sign) for sign in signs}) for way in ways])


national = st.builds(
    "0{}{}{}".format,
    st.from_regex("[1-9][0-9]{1,3}", fullmatch=True),
    st.sampled_from(" -/."),
    st.text("0123456789", min_size=6, max_size=8),
)
plus = st.sampled_from(["+", "00", "0011", "+00"])
joins = st.sampled_from(["", " ", "-", "/", ".", "\u00a0", "\u2011", "%20"])
grouped = st.builds(
    lambda country, area, rest: (country, area, rest),
    st.sampled_from(["49", "44", "1", "372"]),
    st.from_regex("[1-9][0-9]{1,3}", fullmatch=True),
    st.text("0123456789", min_size=5, max_size=7),
)


@given(before, e164 | national, spelled("+ /-."), after)
def test_a_number_survives_in_no_spelling(left, number, spelling, right):
    """However its signs are escaped."""
    assert redact(left + number.translate(spelling) + right) == f"{left}[phone]{right}"


@given(before, raw_ids, spelled("+:_"), after)
def test_a_raw_id_survives_in_no_spelling(left, raw_id, spelling, right):
    """However its signs are escaped."""
    assert redact(left + raw_id.translate(spelling) + right) == f"{left}[id]{right}"


emails = st.builds(
    "{}@{}.{}".format,
    st.from_regex("[a-z][a-z0-9]{0,8}([.+_-][a-z0-9]{1,8})?", fullmatch=True),
    st.from_regex("[a-z]{1,9}(-[a-z]{1,4})?", fullmatch=True),
    st.sampled_from(["com", "co.uk", "invalid"]),
)


@given(before.filter(lambda text: not re.search(r"[\w.+/:-]$", text)), emails, spelled("@.+"), after)
def test_an_address_survives_in_no_spelling(left, address, spelling, right):
    """However its signs are escaped; what stands right before it may be a part of it."""
    hidden = redact(left + address.translate(spelling) + right)
    assert hidden.startswith(f"{left}[email]")
    assert address not in hidden


keys = st.binary(min_size=6, max_size=40).map(lambda held: base64.b64encode(held).decode())
secret_names = st.sampled_from(
    [
        "accesskey=",
        "AccountKey=",
        "SharedAccessKey=",
        "api-key: ",
        "x-functions-key: ",
        "password=",
        "client_secret=",
        "Authorization: Basic ",
        "Authorization: SharedKey ",
        '"accessKey": "',
        "?code=",
        "&sig=",
        "'authorization': 'Basic ",
        "(b'api-key', b'",
        "AZURE_CLIENT_SECRET='",
    ]
)


@given(before, secret_names, keys, spelled("+/="), st.sampled_from(["", " ", '"', "';x=1", "\n", ") "]))
def test_a_key_survives_in_no_spelling(left, name, key, spelling, right):
    """Whatever names it."""
    written = key.translate(spelling)
    assert written not in redact(left + name + written + right)
    assert key.rstrip("=") not in redact(left + name + written + right)


@given(grouped, plus, joins, spelled("+"))
def test_a_number_s_hash_is_the_same_however_it_is_written(parts, plus, join, spelling):
    """As long as the country is known: by +, 00 or 0011, escaped or not, with a trunk's zero in brackets or without."""
    use_redaction("hash", KEY)
    country, area, rest = parts
    expected = f"[phone:{hashed(country + area + rest)}]"
    for text in (f"{plus}{country}{join}{area}{join}{rest}", f"{plus}{country} (0){area} {rest}"):
        assert redact(text.translate(spelling)) == expected


pieces = st.lists(
    st.sampled_from([text for text, _ in PRIVATE] + PUBLIC)
    | st.sampled_from([text for text, _ in NAMED])
    | st.sampled_from([*"+-.:()[]/_ 48", "28:", "8:acs:", "sip:", "eyJ", "Bearer ", "%2B", "555", "0100", "-eyJ"])
    | st.sampled_from(["\\u002B", "%252B", "&plus;", "@", "%40", "//", "password=", "Authorization", ": ", "Basic "])
    | st.sampled_from(["0171", "0049", "011", "token=", "'", "phone:", "2025-02-11", "\\n", '\\"', "&amp;", "cookie"])
    | st.sampled_from([*"?&=\\\"',", "?key=", "&token=", "incomingCallContext", "[phone:", "1234567890]", "[id:0a"])
    | st.sampled_from(["sip:[secret]@", "tel:[", "tel:", "[", "(", "KeyCredential(", "pwd={", "['", "-----", "o'", "h"])
    | st.sampled_from(["BEGIN PRIVATE KEY-----", "--password ", "key1=", BARE_KEY, "@h.co", "git@", " \n  ", "none"])
    | st.text(max_size=3)
    | digits,
    max_size=8,
).map("".join)


@pytest.mark.parametrize(("mode", "key"), MODES)
@given(pieces)
def test_redacting_twice_changes_nothing_more(mode, key, text):
    """What was replaced is never replaced again, and nothing new appears by replacing."""
    use_redaction(mode, key)
    once = redact(text)
    assert redact(once) == once
