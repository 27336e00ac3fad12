"""The rules over all files: each broken on purpose, each named with file, key and remedy."""

import pytest

from ringback_catalog import Cause, Entry, Source
from ringback_catalog._check import Finding, check
from ringback_catalog._load import Row, entry_of

SOURCES = {
    "doc#table": Source("doc#table", "A document", "a table", "2024", "https://example.com/"),
    "doc#other": Source("doc#other", "A document", "another table", "2024", "https://example.com/"),
}
VERDICT: Row = {
    "cause": "busy",
    "category": "Success",
    "basis": "inferred",
    "retry": "later",
    "owner": "callee",
    "confidence": "high",
    "summary": "Busy.",
    "advice": ["Call again."],
    "sources": ["doc#table"],
}


def entry(**row: object) -> Entry:
    return entry_of(VERDICT | row, SOURCES, "test")


def found(files: dict[str, list[Entry]]) -> list[str]:
    """The findings in these files, but for the causes that so few rows do not use."""
    return [str(each) for each in check(files, ["doc#table"]) if not each.key.startswith("cause ")]


def test_a_finding_reads_file_key_rule() -> None:
    """One line: where, which, what."""
    assert str(Finding("a.toml", "code 1", "move it")) == "a.toml: code 1: move it"


def test_good_files_have_no_finding() -> None:
    """Sorted, unique rows pass; so does an event's row beside one without events."""
    rows = [
        entry(code=400),
        entry(code=400, subcode=1),
        entry(code=400, subcode=1, scope="operation"),
        entry(code=400, subcode=1, events=["AnswerFailed"]),
        entry(code=400, subcode=1, events=["ConnectFailed", "CreateCallFailed"]),
        entry(code=400, subcode=2, events=["AnswerFailed"], summary="x" * 100),
        entry(code=400, events=["PlayFailed"], subcode=3, retry="later"),
    ]
    assert found({"a.toml": sorted(rows, key=lambda row: row.key.order), "b.toml": [entry(code=1)]}) == []


@pytest.mark.parametrize(
    ("files", "findings"),
    [
        pytest.param(
            {"a.toml": [entry(code=404), entry(code=400), entry(code=500)]},
            ["a.toml: code 400: stands after code 404; move it up"],
            id="out-of-order",
        ),
        pytest.param(
            {"a.toml": [entry(code=404)], "b.toml": [entry(code=404)]},
            ["b.toml: code 404: stands twice, first in a.toml; keep one"],
            id="twice-in-two-files",
        ),
        pytest.param(
            {"a.toml": [entry(code=404), entry(code=404)]},
            ["a.toml: code 404: stands twice, first in a.toml; keep one"],
            id="twice-in-one-file",
        ),
        pytest.param(
            {
                "a.toml": [
                    entry(code=404, subcode=1),
                    entry(code=404, subcode=1, events=["AnswerFailed", "ConnectFailed"]),
                    entry(code=404, subcode=1, events=["ConnectFailed"]),
                ]
            },
            ["a.toml: event ConnectFailed, code 404, subcode 1: stands twice, first in a.toml; keep one"],
            id="twice-for-one-event",
        ),
        pytest.param(
            {
                "a.toml": [entry(code=404, subcode=1, events=["AnswerFailed"])],
                "b.toml": [entry(code=404, subcode=1, events=["ConnectFailed"])],
            },
            [
                "b.toml: event ConnectFailed, code 404, subcode 1: competes with event AnswerFailed, code 404, "
                "subcode 1 for other events; add a row without events"
            ],
            id="ambiguous-pair",
        ),
        pytest.param(
            {"a.toml": [entry(code=404, subcode=1, events=["PlayFailed"], cause="ended", retry="none")]},
            [
                "a.toml: event PlayFailed, code 404, subcode 1: what failed did not end as intended; "
                "write another retry than 'none'"
            ],
            id="intended-failure",
        ),
        pytest.param(
            {"a.toml": [entry(code=404, summary="x" * 101)]},
            ["a.toml: code 404: summary has 101 characters; at most 100"],
            id="long-summary",
        ),
        pytest.param(
            {"a.toml": [entry(code=404, sources=["doc#other"])]},
            ["sources.toml: doc#table: no entry cites it; remove it or cite it"],
            id="uncited",
        ),
    ],
)
def test_a_broken_rule_is_found_once(files: dict[str, list[Entry]], findings: list[str]) -> None:
    """Each finding names the file, the row and the remedy."""
    assert found(files) == findings


def test_every_unused_cause_is_found() -> None:
    """A cause without an entry is a word that nobody will ever read."""
    findings = check({"a.toml": [entry(code=486)]}, ["doc#table"])
    assert findings == [
        Finding("entries", f"cause {cause}", "no entry has it; remove it or add the entry that needs it")
        for cause in Cause
        if cause is not Cause.BUSY
    ]
