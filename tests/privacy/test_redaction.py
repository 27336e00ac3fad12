"""Redaction: what is private never survives, what an engineer needs always does."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from private_texts import JWT, KEY, NAMED, PRIVATE, PUBLIC, hashed
from ringback import Catalog, ConfigurationError, use_redaction
from ringback.privacy import redaction
from ringback.privacy.redaction import LONGEST, redact

if TYPE_CHECKING:
    from collections.abc import Iterator

# What is quadratic takes seconds instead of milliseconds by then, and what is exponential does not end.
SIZE = 5_000


@pytest.fixture(autouse=True)
def _as_at_first() -> Iterator[None]:
    """The default mode, before and after: the mode is the whole process's."""
    use_redaction("mask")
    yield
    use_redaction("mask")


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


def framed(text: str) -> list[str]:
    return [frame.format(text) for frame in FRAMES]


def test_a_private_thing_is_replaced_by_its_kind_and_the_words_around_it_stay() -> None:
    """Phone numbers, raw ids, SIP URIs and tokens become their kind in brackets, nothing else."""
    wrong = [(text, each) for text, kind in PRIVATE if (each := redact(text)) != f"[{kind}]"]
    assert wrong == []
    wrong = [(text, framed(text)) for text, kind in PRIVATE if [*map(redact, framed(text))] != framed(f"[{kind}]")]
    assert wrong == []


def test_a_value_private_by_its_name_is_replaced_and_its_name_stays() -> None:
    """Call contexts and secrets in URLs look like anything: what they are called tells what they are."""
    wrong = [(text, left) for text, left in NAMED if [*map(redact, framed(text))] != framed(left)]
    assert wrong == []


def test_what_is_needed_to_find_a_call_stays() -> None:
    """Codes, ids to join on, times, versions and addresses are not private."""
    wrong = [(text, each) for text in PUBLIC for each in framed(text) if redact(each) != each]
    assert wrong == []


def test_no_word_of_the_catalog_is_taken_for_private() -> None:
    """The operations page redacts all that it shows, and the catalog names prefixes, ports and numbers of codes."""
    texts = [text for entry in Catalog.default().entries for text in (entry.summary, *entry.advice, entry.note or "")]
    assert [text for text in texts if redact(text) != text] == []


def test_everything_private_in_one_text_is_replaced(monkeypatch):
    """One pass replaces every private thing, in its place."""
    monkeypatch.setattr(redaction, "LONGEST", 10_000)
    assert redact(", ".join(text for text, _ in PRIVATE)) == ", ".join(f"[{kind}]" for _, kind in PRIVATE)


def test_a_number_after_a_sentence_s_full_stop_is_replaced():
    """A point before a number makes it a fraction only after a digit."""
    assert redact("No answer.15550100199") == "No answer.[phone]"
    assert redact("took 0.15550100199 s") == "took 0.15550100199 s"


def test_only_the_last_of_chained_starts_begins_a_token():
    """A token's head ends where another could begin, so that hostile text costs no more than any other."""
    assert redact("eyJa-eyJb.c.d eyJa1eyJb.c.d") == "eyJa-[token] eyJa1[token]"


@pytest.mark.parametrize(
    ("text", "kind", "normalised"),
    [
        ("+15550100", "phone", "15550100"),
        ("+1 555 0100", "phone", "15550100"),
        ("+1_555_0100", "phone", "15550100"),
        ("+1\u00b7555\u00b70100", "phone", "15550100"),
        ("%2B1-555-0100", "phone", "15550100"),
        ("&#43;1-555-0100", "phone", "15550100"),
        ("0015550100", "phone", "15550100"),
        ("0049 30 5555 0100", "phone", "493055550100"),
        ("011 49 30 5555 0100", "phone", "493055550100"),
        ("%252B49 (0)30 5555 0100", "phone", "493055550100"),
        ("\\u002B49-30-5555-0100", "phone", "493055550100"),
        ("4:\\u002B493055550100", "id", "493055550100"),
        ("011 5550 0100", "phone", "01155500100"),
        ("0171 5550100", "phone", "01715550100"),
        ("1-555-010-0199", "phone", "15550100199"),
        ("Alice%40Example.com", "email", "alice@example.com"),
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


@pytest.mark.parametrize(("mode", "key", "shown"), [(None, None, "+15550100"), ("mask", None, "[phone]")])
def test_of_a_long_text_the_beginning_is_kept(mode, key, shown):
    """In every mode, also where nothing is private: a sender's text fills neither the log nor the time of others."""
    use_redaction(mode, key)
    whole, long = "+15550100 " + "is busy " * ((LONGEST - 10) // 8), "+15550100 " + "is busy " * LONGEST
    assert redact(whole) == whole.replace("+15550100", shown)
    assert redact(long).startswith(f"{shown} is busy is busy")
    assert redact(long).endswith(f"[... of {len(long)} characters]")
    assert len(redact(long)) < LONGEST + 40


def test_the_end_of_a_long_text_s_beginning_cuts_no_number_in_two():
    """What is kept ends before the number that it cannot hold whole."""
    left = "a " * 765
    text = left + "+1 555 010 0100" + " and so on" * 500
    assert redact(text) == f"{left}[... of {len(text)} characters]"


def test_of_a_long_word_nothing_is_kept():
    """Nobody can say whether the end of the beginning is within something private."""
    assert redact("a" * 5000) == "[... of 5000 characters]"


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
        (KEY.decode(), None, "redaction is unknown; use 'mask', 'hash' or None"),
    ],
)
def test_a_setting_that_cannot_work_is_said_at_once_and_changes_nothing(mode, key, message):
    """The message names the remedy, not the key, and the mode stays what it was."""
    with pytest.raises(ConfigurationError, match=re.escape(message)):
        use_redaction(mode, key)
    assert redact("+15550100") == "[phone]"


HOSTILE = [
    "1",
    "+",
    "-",
    "+1",
    "+1-",
    "+1_",
    "=2B1",
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
    *(
        "\\",
        "\\u",
        "\\u002B",
        "%",
        "%25",
        "%252B",
        "&amp;",
        "&#",
        "&#0",
        "\uff0b",
        "\u0661",
        "@",
        "a@",
        "a.@",
        "a@b.",
        "a@b.c",
    ),
    *(
        "//",
        "//a",
        "a:",
        "a:b@",
        "password",
        "password=",
        "password:'",
        "'",
        '"',
        "=",
        "x-ms-a",
        "cookie: a=",
        "Basic ",
        "s",
    ),
    *(
        "Authorization: ",
        "Digest ",
        "0",
        "00",
        "011",
        "0171 ",
        "(0)",
        "(+1)",
        "+ ",
        "+1+",
        "phone:",
        "2025-02-11",
        "10:20:30",
    ),
    *(
        "BEGIN PRIVATE KEY-----",
        "--password ",
        "--a-",
        "-----a",
        "key=A",
        "key1=",
        "KeyCredential(",
        "KeyCredential( a=",
    ),
    *(
        "password=['a', '",
        "password:\n a",
        "pwd={",
        "pwd={a}}b",
        "//u:a ",
        "a'b'",
        "a@b.c'",
        "git@a",
        "tel:",
        "tel:+1 ",
    ),
    *(
        "tel:(",
        "sip:[",
        "0a-1b-",
        "0 1",
        "0171\t",
        "(11) ",
        "600 ",
        "98765 ",
        "49 171 ",
        "612 34 ",
        "A" * 86 + "==",
        "A",
    ),
]


@pytest.mark.parametrize("unit", HOSTILE)
@pytest.mark.untraced
def test_hostile_text_ends(unit, monkeypatch):
    """Long runs of what might begin a private thing take no more than linear time: this test ends."""
    monkeypatch.setattr(redaction, "LONGEST", 2 * SIZE)
    for size in (100, SIZE):
        text = (unit * size)[:size]
        named = ("?key=" + text, "incomingCallContext" + text)
        for attack in (text, "+1" + text, "eyJa." + text + "!", "Bearer" + text, "8:" + text, *named):
            redact(attack)
