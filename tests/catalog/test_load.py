"""TOML to entries: what a good block becomes, and what every bad one is told."""

import pytest

from ringback_catalog import CatalogError, Codes, Entry, Key, Scope, Source
from ringback_catalog._load import Row, entry_of, key_of, load_entries, load_files, load_sources
from ringback_catalog._toml import package_files

SOURCE = Source("doc#table", "A document", "a table", "2024", "https://example.com/")
ROW: Row = {
    "code": 486,
    "subcode": 560486,
    "cause": "busy",
    "category": "Success",
    "basis": "documented",
    "retry": "later",
    "owner": "callee",
    "confidence": "high",
    "summary": "The person called was on another call.",
    "advice": ["Call again in about ten minutes."],
    "sources": ["doc#table"],
}
WHERE = "my.toml: entry 1 (code 486, subcode 560486)"
FIELDS = (
    "advice, basis, category, cause, code, confidence, events, mixture, note, owner, phrase, q850, retry, "
    "retry_action, retry_after, scope, sip, sources, special, specific, subcode, summary, with_codes"
)


def load(row: Row) -> Entry:
    return entry_of(row, {"doc#table": SOURCE}, "my.toml: entry 1")


def test_a_block_becomes_an_entry() -> None:
    """Every field arrives converted; what is left out has its default."""
    assert load(ROW) == Entry(
        key=Key(code=486, subcode=560486),
        cause="busy",  # type: ignore[arg-type]
        category="Success",  # type: ignore[arg-type]
        basis="documented",  # type: ignore[arg-type]
        retry="later",  # type: ignore[arg-type]
        owner="callee",  # type: ignore[arg-type]
        confidence="high",  # type: ignore[arg-type]
        summary="The person called was on another call.",
        advice=("Call again in about ten minutes.",),
        sources=(SOURCE,),
        note=None,
        mixture=(),
        specific=True,
        with_codes=(),
    )


def test_the_rare_fields_are_read() -> None:
    """A mixture, a note, the codes of a generic subcode, a Q.850 cause that says nothing."""
    no_key = {name: value for name, value in ROW.items() if name not in ("code", "subcode")}
    noted = load(ROW | {"note": "They disagree.", "mixture": ["busy", "declined"]})
    generic = load(no_key | {"subcode": 8522, "with_codes": ["404", "500-599"]})
    vague = load(no_key | {"q850": 31, "specific": False})
    assert (noted.note, noted.mixture) == ("They disagree.", ("busy", "declined"))
    assert generic.with_codes == (Codes(404, 404), Codes(500, 599))
    assert vague.specific is False


@pytest.mark.parametrize(
    ("row", "key"),
    [
        ({"code": 0, "subcode": 0}, Key(code=200, subcode=0)),
        ({"code": "486"}, Key(code=486)),
        ({"code": "0"}, Key(code=200)),
        ({"code": "400-499"}, Key(codes=Codes(400, 499))),
        ({"subcode": "549xxx"}, Key(pattern="549xxx")),
        ({"subcode": 8522}, Key(subcode=8522)),
        ({"code": 404, "events": "AnswerFailed"}, Key(events=("AnswerFailed",), code=404)),
        (
            {"code": 404, "subcode": 1, "events": ["Microsoft.Communication.AnswerFailed", "PlayFailed"]},
            Key(events=("AnswerFailed", "PlayFailed"), code=404, subcode=1),
        ),
        ({"code": 200, "scope": "operation"}, Key(scope=Scope.OPERATION, code=200)),
        ({"sip": 603, "phrase": " Network Blocked"}, Key(sip=603, phrase="network blocked")),
        ({"q850": 0}, Key(q850=0)),
        ({"special": "unknown"}, Key(special="unknown")),
    ],
    ids=str,
)
def test_a_key_is_read_in_every_spelling(row: Row, key: Key) -> None:
    """0 is 200, a code in quotes is a code, a range and a pattern are texts, one event needs no list."""
    assert key_of(row, "my.toml: entry 1") == key


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({}, "the key must be one of code and/or subcode, sip, q850 or special; found none"),
        (
            {"code": 486, "sip": 486},
            "the key must be one of code and/or subcode, sip, q850 or special; found code 486, sip 486",
        ),
        ({"code": True}, "code: True is not a whole number; write it without quotes, such as 486"),
        ({"code": 4.5}, "code: 4.5 is not a whole number; write it without quotes, such as 486"),
        ({"code": "4xx"}, "code: '4xx' is not a code or a range such as '400-499'"),
        ({"code": "499-400"}, "code: '499-400' runs backwards; write '400-499'"),
        ({"subcode": [1]}, "subcode: [1] is not a whole number; write it without quotes, such as 486"),
        (
            {"subcode": "560486"},
            "subcode '560486' is neither a number such as 560486 (no quotes) nor a pattern such as '549xxx'",
        ),
        (
            {"subcode": "x"},
            "subcode 'x' is neither a number such as 560486 (no quotes) nor a pattern such as '549xxx'",
        ),
        ({"sip": "486"}, "sip: '486' is not a whole number; write it without quotes, such as 486"),
        ({"q850": "17"}, "q850: '17' is not a whole number; write it without quotes, such as 486"),
        ({"special": "unknwon"}, "special 'unknwon' is not one of contradicted, unknown, unreported"),
        (
            {"special": "serviceShutdwn"},
            "special 'serviceShutdwn' is not one of contradicted, unknown, unreported, nor a word of status details; "
            "did you mean 'serviceShutdown'?",
        ),
        ({"special": ["unknown"]}, "special ['unknown'] is not one of contradicted, unknown, unreported"),
        ({"code": 200, "scope": "calls"}, "scope 'calls' is unknown; did you mean 'call'?"),
        ({"code": 200, "events": [1]}, "events: [1] is not a list of texts such as ['one', 'two']"),
        ({"code": 200, "events": 1}, "events: 1 is not a list of texts such as ['one', 'two']"),
        ({"code": 200, "events": [""]}, "events [''] is not a list of event names such as ['CreateCallFailed']"),
        ({"code": 200, "events": ""}, "events '' is not a list of event names such as ['CreateCallFailed']"),
        ({"sip": 603, "phrase": 1}, "phrase: 1 is not text; write it in quotes"),
        (
            {"sip": 603, "phrase": " "},
            "phrase: ' ' is empty; name words of the SIP message, or leave phrase out",
        ),
    ],
    ids=str,
)
def test_a_value_that_is_no_key_is_refused(row: Row, message: str) -> None:
    """The message names the place, the value, the rule and what to write."""
    with pytest.raises(CatalogError) as refused:
        key_of(row, "my.toml: entry 1")
    assert str(refused.value) == f"my.toml: entry 1: {message}"


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (
            {"sip": 486, "events": ["A"]},
            "(event A, sip 486): events go only with code, or code and subcode, or special",
        ),
        (
            {"subcode": 1, "events": ["A"]},
            "(event A, subcode 1): events go only with code, or code and subcode, or special",
        ),
        ({"q850": 17, "scope": "call"}, "(scope call, q850 17): scope goes only with code, or code and subcode"),
        (
            {"code": 486, "scope": "call", "events": ["A"]},
            "(event A, scope call, code 486): events already say the scope; keep one of the two",
        ),
        ({"code": 486, "phrase": "busy"}, "(code 486, phrase busy): phrase goes only with sip"),
        (
            {"code": "400-499", "subcode": 1},
            "(code 400-499, subcode 1): a range of codes takes no subcode; write one code, or leave the subcode out",
        ),
        (
            {"code": "400-499", "subcode": "549xxx"},
            "(code 400-499, subcode 549xxx): a range of codes takes no subcode; "
            "write one code, or leave the subcode out",
        ),
        (
            {"code": 486, "subcode": "549xxx"},
            "(code 486, subcode 549xxx): a pattern goes with any code; leave the code out",
        ),
    ],
    ids=str,
)
def test_a_key_that_no_look_up_could_read_is_refused(row: Row, message: str) -> None:
    """Part of a key that would be ignored is a mistake, not a wish."""
    with pytest.raises(CatalogError) as refused:
        key_of(row, "my.toml: entry 1")
    assert str(refused.value) == f"my.toml: entry 1 {message}"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"summry": "Busy."}, ": unknown field 'summry'; did you mean 'summary'?"),
        ({"zzz": 1}, f": unknown field 'zzz'; known are {FIELDS}"),
        ({"cause": "bussy"}, ": cause 'bussy' is unknown; did you mean 'busy'?"),
        ({"cause": []}, ": cause [] is unknown; known are " + "{}"),
        ({"owner": "xyz"}, ": owner 'xyz' is unknown; known are admin, app, azure, callee, carrier, nobody"),
        ({"category": "Sucess"}, ": category 'Sucess' is unknown; did you mean 'Success'?"),
        ({"basis": "document"}, ": basis 'document' is unknown; did you mean 'documented'?"),
        ({"retry": "latter"}, ": retry 'latter' is unknown; did you mean 'later'?"),
        ({"confidence": 1}, ": confidence 1 is unknown; known are high, low, medium"),
        ({"summary": 1}, ": summary: 1 is not text; write it in quotes"),
        ({"advice": "One."}, ": advice: 'One.' is not a list of texts such as ['one', 'two']"),
        ({"advice": [1]}, ": advice: [1] is not a list of texts such as ['one', 'two']"),
        ({"sources": "doc#table"}, ": sources: 'doc#table' is not a list of texts such as ['one', 'two']"),
        (
            {"sources": ["doc#tabel"]},
            ": sources 'doc#tabel' is not in sources.toml; did you mean 'doc#table'?",
        ),
        ({"note": 1}, ": note: 1 is not text; write it in quotes"),
        ({"mixture": "yes"}, ": mixture: 'yes' is not a list of texts such as ['one', 'two']"),
        ({"mixture": True}, ": mixture: True names no cause; list the causes that arrive under this key"),
        ({"mixture": ["bussy"]}, ": mixture 'bussy' is unknown; did you mean 'busy'?"),
        ({"specific": 0}, ": specific: 0 is neither true nor false; write one of them, without quotes"),
        ({"with_codes": [404]}, ": with_codes: [404] is not a list of texts such as ['one', 'two']"),
        ({"with_codes": ["4xx"]}, ": with_codes: '4xx' is not a code or a range such as '400-499'"),
        ({"retry": "none"}, ": retry 'none' means ended as intended; this cause needs now, later, after_fix or never"),
        ({"summary": ""}, ": summary must be one line of text"),
    ],
    ids=str,
)
def test_a_wrong_field_is_refused(changes: Row, message: str) -> None:
    """The message names file, entry, key, value and rule, and the remedy or the nearest word."""
    causes = (
        "answered_elsewhere, bad_request, blocked, busy, canceled, carrier_error, client_network, conflict, "
        "declined, ended, forbidden, hung_up, invalid_number, limit_reached, media, misconfigured, no_answer, "
        "not_found, removed, service_error, succeeded, throttled, timeout, transferred, unauthenticated, "
        "unknown, unreachable, unreported, unsupported"
    )
    with pytest.raises(CatalogError) as refused:
        load(ROW | changes)
    assert str(refused.value) == WHERE + message.replace("{}", causes)


def test_missing_fields_are_named_together() -> None:
    """One error tells everything that a new entry still needs."""
    with pytest.raises(CatalogError) as refused:
        load({name: value for name, value in ROW.items() if name not in ("owner", "advice")})
    assert str(refused.value) == (
        f"{WHERE}: owner, advice missing; a new entry needs cause, category, basis, retry, owner, confidence, "
        "summary, advice, sources"
    )


def test_the_package_loads_in_the_order_of_its_files() -> None:
    """The entries are those of the files, file by file and block by block."""
    files = load_files()
    assert list(files) == sorted(files)
    folder = package_files() / "entries"
    blocks = {name: (folder / name).read_text("utf-8").splitlines().count("[[entry]]") for name in files}
    assert {name: len(entries) for name, entries in files.items()} == blocks
    assert load_entries() == tuple(entry for entries in files.values() for entry in entries)


def test_a_source_is_known_by_document_and_table() -> None:
    """An entry cites ``document#table``; the text names document, date and table."""
    source = load_sources()["call-automation-2024-07#codes"]
    assert str(source) == (
        "Troubleshooting call end response codes for Call Automation SDK (2024-07-22), Call Automation error codes"
    )
