"""The catalog's data tested as data: order, sources, coverage of every documented key, text of our own."""

import csv
import hashlib
import re
from pathlib import Path

import pytest

from ringback_catalog import (
    CALL_EVENTS,
    OPERATION_EVENTS,
    Catalog,
    CategoryBasis,
    Cause,
    Match,
    ResultCategory,
    RetryClass,
    Verdict,
    event_name,
)
from ringback_catalog._check import check
from ringback_catalog._load import load_files, load_sources

HERE = Path(__file__).parent
FILES = load_files()
ENTRIES = [entry for entries in FILES.values() for entry in entries]
SEED_SENTENCES = frozenset((HERE / "seed_sentences.txt").read_text("ascii").split())


def rows_of(name: str) -> list[dict[str, str]]:
    with (HERE / name).open(newline="", encoding="utf-8") as lines:
        return list(csv.DictReader(lines))


def number(text: str) -> int | None:
    return int(text) if text else None


def described(row: dict[str, str]) -> str:
    return "-".join(filter(None, (row["event"], row["code"], row["subcode"])))


def sentences(text: str) -> list[str]:
    """The sentences of four words and more, each as lower-case words joined by one space."""
    parts = re.split(r"[.!?|\n]|<br\s*/?>", text, flags=re.IGNORECASE)
    words = [re.findall(r"[a-z0-9']+", part.lower()) for part in parts]
    return [" ".join(each) for each in words if len(each) >= 4]


def prefixes(text: str) -> list[str]:
    """What seed_sentences.txt keeps of each sentence: the tables themselves are not ours to copy."""
    return [hashlib.sha256(sentence.encode()).hexdigest()[:16] for sentence in sentences(text)]


def test_the_catalog_breaks_no_rule() -> None:
    """Sorted, unique, unambiguous, every cause used, every table cited, every summary short."""
    assert [str(finding) for finding in check(FILES, load_sources())] == []


def test_every_row_cites_known_documents() -> None:
    """A row rests on at least one table of sources.toml, and links to a public page."""
    known = set(load_sources().values())
    assert [str(entry.key) for entry in ENTRIES if not entry.sources or not known.issuperset(entry.sources)] == []
    assert [entry.key for entry in ENTRIES if not entry.documentation.startswith("https://")] == []


def test_every_document_says_when_it_was_read() -> None:
    """A source without document, table or date cannot be checked by a reviewer."""
    assert [
        source.id for source in load_sources().values() if not (source.document and source.table and source.date)
    ] == []


def test_event_names_are_spelt_as_the_service_sends_them() -> None:
    """A row for a misspelt event would never answer."""
    events = {event for entry in ENTRIES for event in entry.key.events}
    assert events <= CALL_EVENTS | OPERATION_EVENTS
    assert {event_name(event) for event in events} == events


def looked_up(row: dict[str, str]) -> Verdict:
    return Catalog.default().look_up(row["event"] or None, int(row["code"]), number(row["subcode"]))


def test_every_documented_key_reaches_its_own_entry() -> None:
    """A key with event and subcode is exact, one without event a pair, one without subcode a code."""
    astray = []
    for row in rows_of("keys.csv"):
        code, subcode, event = int(row["code"]), number(row["subcode"]), row["event"]
        rung = Match.CODE if subcode is None else Match.EXACT if event else Match.PAIR
        verdict = looked_up(row)
        key = verdict.entry.key
        found = (verdict.match, verdict.refined_by, key.code, key.subcode)
        if found != (rung, None, code or 200, subcode) or (event and event not in key.events):
            astray.append((described(row), found, key.events))
    assert astray == []


def test_every_documented_category_is_kept() -> None:
    """Where Microsoft prints a category for a key, the entry repeats it and says so."""
    rows = [row for row in rows_of("keys.csv") if row["category_from_docs"]]
    found = [(described(row), looked_up(row).entry.category, looked_up(row).entry.basis) for row in rows]
    assert found == [(described(row), row["category_from_docs"], CategoryBasis.DOCUMENTED) for row in rows]


def test_every_direct_routing_pair_has_its_entry() -> None:
    """All 49 pairs of the direct-routing pages answer as pairs."""
    pairs = [(int(row["code"]), int(row["subcode"])) for row in rows_of("direct_routing.csv")]
    found = {pair: Catalog.default().look_up(None, *pair).match for pair in pairs}
    assert found == dict.fromkeys(pairs, Match.PAIR)
    assert len(found) == 49


def test_every_generic_subcode_answers_without_a_code() -> None:
    """All 118 generic subcodes answer by themselves, but for 0, which without a code reports nothing."""
    subcodes = [int(row["subcode"]) for row in rows_of("subcodes.csv")]
    found = {subcode: Catalog.default().look_up(None, None, subcode).match for subcode in subcodes}
    assert found == dict.fromkeys(subcodes, Match.GENERIC_SUBCODE) | {0: Match.NONE}
    assert len(found) == 118


def test_every_final_sip_status_has_its_entry() -> None:
    """Every final status of the SIP registry has a row, and nothing else does."""
    assert {entry.key.sip for entry in ENTRIES if entry.key.sip is not None} == {
        int(row["code"]) for row in rows_of("sip.csv")
    }


def test_every_q850_cause_has_its_entry() -> None:
    """Every cause of Q.850 has a row, and nothing else does."""
    assert {entry.key.q850 for entry in ENTRIES if entry.key.q850 is not None} == {
        int(row["cause"]) for row in rows_of("q850.csv")
    }


def test_a_failure_event_is_never_an_intended_ending() -> None:
    """CreateCallFailed and its like never have retry 'none', whatever the code; not in a row, not in an answer."""
    catalog = Catalog.default()
    failures = sorted(name for name in CALL_EVENTS | OPERATION_EVENTS if name.endswith("Failed"))
    answers = {
        (event, code, subcode): catalog.look_up(event, code, subcode).entry.retry
        for event in failures
        for code, subcode in {(entry.key.code, entry.key.subcode) for entry in ENTRIES}
    }
    assert [
        str(entry.key)
        for entry in ENTRIES
        if entry.retry is RetryClass.NONE and not set(failures).isdisjoint(entry.key.events)
    ] == []
    assert [key for key, retry in answers.items() if retry is RetryClass.NONE] == []


def test_a_refusal_is_never_retried() -> None:
    """A person who declined is not called again, on any row."""
    declined = [entry for entry in ENTRIES if entry.cause is Cause.DECLINED]
    assert declined
    assert {entry.retry for entry in declined} == {RetryClass.NEVER}


def test_a_range_rests_on_low_confidence() -> None:
    """A code that nobody lists is known by its hundred only; below 500 that is no reason to call again."""
    ranges = {str(entry.key.codes): entry for entry in ENTRIES if entry.key.codes is not None}
    assert {span: (entry.retry, entry.confidence) for span, entry in ranges.items()} == {
        "200-299": ("none", "low"),
        "300-399": ("after_fix", "low"),
        "400-499": ("after_fix", "low"),
        "500-599": ("later", "low"),
        "600-699": ("never", "low"),
    }


@pytest.mark.parametrize("special", ["contradicted", "unknown", "unreported"])
def test_knowing_nothing_is_no_success(special: str) -> None:
    """The answers of last resort are terminal, of category Unknown, and the app's to look at."""
    rows = [entry for entry in ENTRIES if entry.key.special == special]
    assert {(entry.category, entry.disposition) for entry in rows} == {(ResultCategory.UNKNOWN, "terminal")}


def test_no_sentence_is_shared_with_the_tables() -> None:
    """Summary, advice and note of every entry are our own words."""
    shared = [
        (str(entry.key), sentence)
        for entry in ENTRIES
        for text in (entry.summary, *entry.advice, entry.note or "")
        for sentence, prefix in zip(sentences(text), prefixes(text), strict=True)
        if prefix in SEED_SENTENCES
    ]
    assert shared == []


@pytest.mark.parametrize(
    "planted",
    [
        "Call ended successfully by local participant.",
        "CALL ended  successfully - by local participant",
        "Hang up first. Call ended successfully by local participant! Then rest.",
        "Look here:<br/>call ended successfully by local participant<BR>and there",
        "one\nCall ended successfully by local participant | two",
    ],
)
def test_a_planted_sentence_is_caught(planted: str) -> None:
    """Neither case, spacing, punctuation nor neighbours hide a sentence of the tables."""
    assert not SEED_SENTENCES.isdisjoint(prefixes(planted))


def test_sentences_are_normalised() -> None:
    """Lower-case words joined by one space; fewer than four words are no sentence of anybody's."""
    assert sentences("Don't call  AGAIN today. Not now! A,b;c d<br>e f g h?i j k l|m n\no p q r") == [
        "don't call again today",
        "a b c d",
        "e f g h",
        "i j k l",
        "o p q r",
    ]
