"""Overrides: a row changes what it names and nothing else, and a wrong row is refused at start-up."""

from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ringback_catalog import Catalog, CatalogError, Entry, Key, Overrides, Owner, RetryClass, Source, Verdict
from ringback_catalog._model import VERDICT

DEFAULT = Catalog.default()
BUSY = DEFAULT.look_up(None, 486, 560486).entry


class Question(NamedTuple):
    """What is asked of a catalog."""

    event: str | None = None
    code: int | None = None
    subcode: int | None = None
    sip: int | None = None
    message: str | None = None
    q850: int | None = None

    def of(self, catalog: Catalog) -> Verdict:
        return catalog.look_up(
            self.event, self.code, self.subcode, sip=self.sip, sip_message=self.message, q850=self.q850
        )


def questions_for(key: Key) -> list[Question]:
    """Questions that bring a key's row up, or its neighbours."""
    if key.events:
        return [Question(event, key.code, key.subcode) for event in (*key.events, None, "CallConnected")]
    if key.codes is not None:
        return [Question(code=key.codes.low + 98), Question(code=key.codes.low + 98, subcode=1)]
    if key.pattern is not None:
        return [Question(subcode=int(key.pattern.replace("x", "7")))]
    if key.sip is not None:
        return [Question(code=999, sip=key.sip, message=key.phrase), Question(subcode=560_000 + key.sip)]
    if key.q850 is not None:
        return [Question(code=999, q850=key.q850)]
    if key.special is not None:
        return [Question(), Question(code=999), Question("CreateCallFailed", 200, 5999)]
    return [Question(event, key.code, key.subcode) for event in (None, "CallConnected", "SomethingNew")]


QUESTIONS = sorted({each for entry in DEFAULT.entries for each in questions_for(entry.key)}, key=repr)
ANSWERS = {question: question.of(DEFAULT) for question in QUESTIONS}


def row_of(key: Key) -> dict[str, Any]:
    """The key as a block writes it."""
    written = {
        "events": list(key.events) or None,
        "scope": key.scope,
        "code": str(key.codes) if key.codes is not None else key.code,
        "subcode": key.pattern if key.pattern is not None else key.subcode,
        "sip": key.sip,
        "phrase": key.phrase,
        "q850": key.q850,
        "special": key.special,
    }
    return {name: value for name, value in written.items() if value is not None}


def names(key: Key, question: Question, answer: Key) -> bool:
    """Whether an override of ``key`` speaks of the row that answered: itself, or an event's row of the same."""
    if key.events:
        return answer == key and question.event in key.events
    if key.special is not None:
        return answer.special == key.special
    if key.kind in ("pair", "code") and key.scope is None:
        return answer.scope is None and (answer.kind, answer.code, answer.subcode) == (key.kind, key.code, key.subcode)
    return answer == key


def source(where: str) -> Source:
    return Source(
        id="override",
        document="override",
        table=where,
        date="local",
        url=(
            "https://learn.microsoft.com/azure/communication-services/resources/troubleshooting/"
            "voice-video-calling/troubleshooting-codes"
        ),
    )


def stated(*fields: str) -> tuple[str, ...]:
    """In the order of an entry."""
    return tuple(name for name in VERDICT if name in fields)


@given(
    # As often a row of a kind that there are few of.
    st.sampled_from(DEFAULT.entries) | st.sampled_from([each for each in DEFAULT.entries if each.key.kind != "pair"]),
    st.fixed_dictionaries(
        {},
        optional={
            "summary": st.just("Ours."),
            "advice": st.just(["Do this.", "Then that."]),
            "owner": st.sampled_from(Owner),
            "note": st.just("We know better."),
        },
    ),
)
def test_an_override_changes_only_what_it_says(entry: Entry, changes: dict[str, Any]) -> None:
    """For every key of the catalog: fields not named and keys not named answer as before."""
    changed = DEFAULT.with_overrides([row_of(entry.key) | changes])
    ours = source(f"overrides: entry 1 ({entry.key})")
    fields: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value for name, value in changes.items()
    }
    for question, before in ANSWERS.items():
        expected = before
        # A detail refines what the row of the key leaves open.
        row = question._replace(sip=None, message=None, q850=None).of(DEFAULT).entry
        if names(entry.key, question, before.entry.key) or names(entry.key, question, row.key):
            sources = (*before.entry.sources, ours)
            expected = replace(before, entry=replace(before.entry, sources=sources, stated=stated(*changes), **fields))
        assert question.of(changed) == expected, question


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("cause", "no_answer"),
        ("category", "ExpectedError"),
        ("basis", "inferred"),
        ("retry", "after_fix"),
        ("confidence", "low"),
        ("retry_action", "call_back"),
    ],
)
def test_a_verdicts_field_can_be_changed_alone(field: str, value: object) -> None:
    """Cause, category and retry class are independent: one changes without the others."""
    changed = DEFAULT.with_overrides([{"code": 486, "subcode": 560486, field: value}])
    ours = source("overrides: entry 1 (code 486, subcode 560486)")
    # Microsoft documents its own category alone.
    also = ("category", "basis") if field in ("category", "basis") else ()
    expected: dict[str, Any] = {field: value, "sources": (*BUSY.sources, ours), "stated": stated(field, *also)}
    if field == "retry":
        expected["retry_after"] = None
    assert changed.look_up(None, 486, 560486).entry == replace(BUSY, **expected)


def test_the_original_is_untouched() -> None:
    """A catalog is immutable: overrides give a new one."""
    changed = DEFAULT.with_overrides({"entry": [{"code": 486, "subcode": 560486, "retry": "never"}]})
    assert DEFAULT.look_up(None, 486, 560486).entry is BUSY
    assert changed.look_up(None, 486, 560486).entry.retry == "never"


def test_a_changed_row_lists_the_override_last() -> None:
    """What Microsoft says stays among the sources; the page of the first stays the documentation."""
    changed = DEFAULT.with_overrides([{"code": 486, "subcode": 560486, "retry": "never"}])
    entry = changed.look_up(None, 486, 560486).entry
    assert entry == replace(
        BUSY,
        retry=RetryClass.NEVER,
        retry_after=None,
        sources=(*BUSY.sources, source("overrides: entry 1 (code 486, subcode 560486)")),
        stated=("retry",),
    )
    assert str(entry.sources[-1]) == "override (local), overrides: entry 1 (code 486, subcode 560486)"
    assert entry.documentation == BUSY.documentation


@pytest.mark.parametrize("as_text", [True, False], ids=["str", "path"])
def test_a_file_and_a_dict_say_the_same(tmp_path: Path, as_text: bool) -> None:
    """A TOML file is read as the blocks it holds; its name stands in the source."""
    path = tmp_path / "my.toml"
    path.write_text('[[entry]]\ncode = 486\nsubcode = 560486\nsummary = "Téléphone occupé."\n', encoding="utf-8")
    changed = DEFAULT.with_overrides(str(path) if as_text else path)
    assert changed.look_up(None, 486, 560486).entry == replace(
        BUSY,
        summary="Téléphone occupé.",
        sources=(*BUSY.sources, source(f"{path}: entry 1 (code 486, subcode 560486)")),
        stated=("summary",),
    )


@pytest.mark.parametrize("empty", [{}, {"entry": []}, [], ()], ids=repr)
def test_no_rows_change_nothing(empty: Overrides) -> None:
    """An empty file is a good file."""
    assert DEFAULT.with_overrides(empty).entries == DEFAULT.entries


def test_without_events_every_event_changes() -> None:
    """A row without events changes the pair and the exact rows of every event too."""
    changed = DEFAULT.with_overrides([{"code": 487, "subcode": 10004, "owner": "carrier"}])
    before = {event: DEFAULT.look_up(event, 487, 10004) for event in ("AnswerFailed", "CallDisconnected", None)}
    after = {event: changed.look_up(event, 487, 10004) for event in before}
    assert {event: (verdict.match, verdict.entry.owner) for event, verdict in after.items()} == {
        event: (verdict.match, "carrier") for event, verdict in before.items()
    }
    assert before["AnswerFailed"].match == "exact"
    assert after["AnswerFailed"].entry.summary == before["AnswerFailed"].entry.summary


def test_with_events_only_those_change() -> None:
    """One of two events of a row can be told apart; the other, and the pair, answer as before."""
    changed = DEFAULT.with_overrides(
        [{"events": ["AnswerFailed"], "code": 404, "subcode": 8522, "summary": "Too late."}]
    )
    answer = changed.look_up("AnswerFailed", 404, 8522)
    assert (answer.match, answer.entry.summary) == ("exact", "Too late.")
    assert answer.entry.key == Key(events=("AnswerFailed",), code=404, subcode=8522)
    for event in ("CreateCallFailed", "CallDisconnected", None):
        assert changed.look_up(event, 404, 8522) == DEFAULT.look_up(event, 404, 8522)


def test_an_event_without_a_row_starts_from_the_pair() -> None:
    """Fields not named come from the answer that the event had before."""
    changed = DEFAULT.with_overrides(
        [{"events": "AddParticipantFailed", "code": 486, "subcode": 560486, "retry": "now"}]
    )
    answer = changed.look_up("AddParticipantFailed", 486, 560486)
    assert (answer.match, answer.entry.retry, answer.entry.summary) == ("exact", "now", BUSY.summary)
    assert changed.look_up("CreateCallFailed", 486, 560486) == DEFAULT.look_up("CreateCallFailed", 486, 560486)


@pytest.mark.parametrize(
    ("key", "subcode"),
    [({"code": 200}, 99_999), ({"code": 200, "subcode": 0}, 0), ({"code": 404}, 99_999)],
    ids=["code-of-a-scope", "pair-of-a-scope", "code"],
)
def test_an_event_without_a_row_starts_from_its_scope(key: dict[str, int], subcode: int) -> None:
    """The end of an operation is no end of a call: the row of the scope goes before the row of any event."""
    before = DEFAULT.look_up("PlayCompleted", key["code"], subcode)
    changed = DEFAULT.with_overrides([{"events": ["PlayCompleted"], "owner": "callee"} | key])
    after = changed.look_up("PlayCompleted", key["code"], subcode).entry
    assert (after.cause, after.summary, after.owner) == (before.entry.cause, before.entry.summary, "callee")


def test_a_failure_with_the_code_of_a_success_starts_from_what_answered_it() -> None:
    """The name of the event outranks the code, in an override as well."""
    row = {"events": ["PlayFailed"], "code": 200, "subcode": 0, "owner": "callee"}
    before = DEFAULT.look_up("PlayFailed", 200, 0).entry
    after = DEFAULT.with_overrides([row]).look_up("PlayFailed", 200, 0).entry
    assert (str(before.key), after.owner) == ("special contradicted", "callee")
    assert (after.cause, after.summary) == (before.cause, before.summary)


def test_a_scope_is_a_key_of_its_own() -> None:
    """A row by scope changes the operations; a row without one leaves them alone."""
    by_scope = DEFAULT.with_overrides([{"scope": "operation", "code": 200, "subcode": 0, "summary": "Went well."}])
    general = DEFAULT.with_overrides([{"code": 200, "subcode": 0, "summary": "Over."}])
    seen = {
        name: tuple(catalog.look_up(event, 200, 0).entry.summary for event in ("CallConnected", "CallDisconnected"))
        for name, catalog in (("default", DEFAULT), ("scope", by_scope), ("general", general))
    }
    assert seen["scope"] == ("Went well.", seen["default"][1])
    assert seen["general"] == (seen["default"][0], "Over.")


@pytest.mark.parametrize("reverse", [False, True], ids=["general-first", "event-first"])
def test_an_events_row_goes_over_a_row_without(reverse: bool) -> None:
    """Which block stands first does not matter: the more specific one wins."""
    rows: list[dict[str, Any]] = [
        {"code": 487, "subcode": 10004, "retry": "now"},
        {"events": ["AnswerFailed"], "code": 487, "subcode": 10004, "retry": "never"},
    ]
    changed = DEFAULT.with_overrides(rows[::-1] if reverse else rows)
    retries = [changed.look_up(event, 487, 10004).entry.retry for event in ("AnswerFailed", "CallDisconnected")]
    assert retries == ["never", "now"]


def test_overrides_stack() -> None:
    """A second set of overrides builds on the first, and both stand among the sources."""
    twice = DEFAULT.with_overrides([{"code": 486, "subcode": 560486, "retry": "now"}]).with_overrides(
        [{"code": 486, "subcode": 560486, "owner": "app"}]
    )
    entry = twice.look_up(None, 486, 560486).entry
    assert (entry.retry, entry.owner) == ("now", "app")
    assert [each.id for each in entry.sources[-2:]] == ["override", "override"]


@pytest.mark.parametrize(
    ("row", "question", "match"),
    [
        ({"code": 486, "subcode": 7}, Question("CreateCallFailed", 486, 7), "pair"),
        ({"code": 486, "subcode": 7, "events": ["A"]}, Question("Microsoft.Communication.A", 486, 7), "exact"),
        ({"code": 486, "subcode": 7, "scope": "operation"}, Question("PlayFailed", 486, 7), "pair"),
        ({"code": 700}, Question(code=700, subcode=70007), "code"),
        ({"code": 700, "events": ["A"]}, Question("A", 700, 70007), "code"),
        ({"code": "700-799"}, Question(code=750), "range"),
        ({"code": "451-452"}, Question(code=452), "range"),
        ({"subcode": "777xxx"}, Question(code=700, subcode=777123), "sip_subcode"),
        ({"subcode": "5499xx"}, Question(code=700, subcode=549912), "sip_subcode"),
        ({"subcode": 7999}, Question(code=700, subcode=7999), "generic_subcode"),
        ({"sip": 499}, Question(code=700, sip=499), "none"),
        ({"sip": 486, "phrase": "Out To LUNCH"}, Question(code=700, sip=486, message="Out to lunch"), "none"),
        ({"q850": 126}, Question(code=700, q850=126), "none"),
    ],
    ids=str,
)
def test_a_key_the_catalog_lacks_adds_an_entry(row: dict[str, Any], question: Question, match: str) -> None:
    """Cause, retry and summary suffice; the rest is filled in honestly, and what stood there answers no more."""
    changed = DEFAULT.with_overrides([row | {"cause": "busy", "retry": "now", "summary": "Ours."}])
    verdict = question.of(changed)
    entry = verdict.entry
    assert verdict.match == match
    assert entry == Entry(
        key=entry.key,
        cause="busy",  # type: ignore[arg-type]
        category="Unknown",  # type: ignore[arg-type]
        basis="inferred",  # type: ignore[arg-type]
        retry="now",  # type: ignore[arg-type]
        owner="app",  # type: ignore[arg-type]
        # A row by its code alone does not know the subcode.
        confidence="low" if match == "code" else "high",  # type: ignore[arg-type]
        summary="Ours.",
        advice=("Follow your own team's note on this code.",),
        sources=(source(f"overrides: entry 1 ({entry.key})"),),
        stated=("cause", "retry", "summary"),
    )
    assert len(changed.entries) == len(DEFAULT.entries) + 1


@pytest.mark.parametrize(
    ("row", "question"),
    [
        ({"code": 0, "subcode": 560000}, Question(None, 200, 560000)),
        ({"code": 497, "subcode": 560487}, Question(None, 487, 560487)),
        ({"code": 486, "subcode": 60486}, Question(None, 486, 560486)),
        ({"code": "486", "subcode": 560486}, Question(None, 486, 560486)),
        (
            {"code": 487, "subcode": 10004, "events": ["Microsoft.Communication.AnswerCallFailed"]},
            Question("AnswerFailed", 487, 10004),
        ),
        ({"code": 487, "subcode": 10004, "events": ["answerfailed"]}, Question("AnswerFailed", 487, 10004)),
    ],
    ids=str,
)
def test_a_key_may_be_written_in_any_spelling(row: dict[str, Any], question: Question) -> None:
    """An override's key is normalised as a look-up's is."""
    changed = DEFAULT.with_overrides([row | {"summary": "Ours."}])
    before, after = question.of(DEFAULT), question.of(changed)
    assert (after.match, after.entry.summary) == (before.match, "Ours.")
    assert after.entry.cause == before.entry.cause


WHERE = "overrides: entry 1 (code 486, subcode 560486)"
NEEDS = "; the catalog has no such key, so the row adds an entry, which needs cause, retry and summary"


def test_an_outcomes_own_names_are_read_too() -> None:
    """What the JSON of an outcome calls retry_class and event_type may be pasted into a block."""
    pasted = {"event_type": "Microsoft.Communication.AnswerFailed", "code": 487, "subcode": 10004, "retry_class": "now"}
    written = {"events": ["AnswerFailed"], "code": 487, "subcode": 10004, "retry": "now"}
    question = Question("AnswerFailed", 487, 10004)
    answers = [question.of(DEFAULT.with_overrides([row])).entry for row in (pasted, written)]
    assert answers[0] == answers[1]
    assert answers[0].retry is RetryClass.NOW


def test_one_block_needs_no_list() -> None:
    """A single block as a dict is enough for a single verdict."""
    changed = DEFAULT.with_overrides({"code": 486, "subcode": 560486, "retry": "now"})
    assert Question(code=486, subcode=560486).of(changed).entry.retry is RetryClass.NOW


def test_a_field_named_twice_is_refused() -> None:
    """One field under two names leaves open which of them is meant."""
    with pytest.raises(CatalogError) as refused:
        DEFAULT.with_overrides([{"code": 486, "retry": "now", "retry_class": "later"}])
    assert str(refused.value) == "overrides: entry 1: 'retry' stands twice, also as 'retry_class'; keep one"


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (
            {"summary": "Ours."},
            "overrides: entry 1: the key must be one of code and/or subcode, sip, q850 or special; found none",
        ),
        (
            {"code": 486, "subcode": "x"},
            "overrides: entry 1: subcode 'x' is neither a number such as 560486 "
            "(no quotes) nor a pattern such as '549xxx'",
        ),
        ({"code": 486, "subcode": 560486, "retri": "now"}, f"{WHERE}: unknown field 'retri'; did you mean 'retry'?"),
        ({"code": 486, "subcode": 560486, "retry": "nwo"}, f"{WHERE}: retry 'nwo' is unknown; did you mean 'now'?"),
        (
            {"code": 486, "subcode": 560486, "sources": ["mine"]},
            f"{WHERE}: sources cannot be overridden; the override itself becomes a source",
        ),
        (
            {"code": 486, "subcode": 560486, "retry": "none"},
            f"{WHERE}: retry 'none' means ended as intended; this cause needs now, later, after_fix or never",
        ),
        (
            {"code": 486, "subcode": 560486, "category": "Unknown"},
            f"{WHERE}: category Unknown cannot be documented; write basis 'inferred'",
        ),
        (
            {"code": 603, "subcode": 0, "retry": "later"},
            "overrides: entry 1 (code 603, subcode 0): a person's refusal is never retried; write retry 'never'",
        ),
        (
            {"code": 486, "subcode": 560486, "with_codes": ["404"]},
            f"{WHERE}: with_codes goes only with a subcode alone",
        ),
        (
            {"special": "unknown", "category": "Success", "cause": "ended", "retry": "none"},
            "overrides: entry 1 (special unknown): knowing nothing never means success; "
            "write another retry class and category",
        ),
        (
            {"events": ["CreateCallFailed"], "code": 487, "subcode": 0, "retry": "none"},
            "overrides: entry 1 (event CreateCallFailed, code 487, subcode 0): what failed did not end as intended; "
            "write now, later, after_fix or never",
        ),
        (
            {"code": 700, "subcode": 1, "cause": "busy"},
            f"overrides: entry 1 (code 700, subcode 1): retry, summary missing{NEEDS}",
        ),
        (
            {"code": 700, "subcode": 1, "cause": "busy", "retry": "none", "summary": "Ours."},
            "overrides: entry 1 (code 700, subcode 1): retry 'none' means ended as intended; "
            "this cause needs now, later, after_fix or never",
        ),
    ],
    ids=lambda value: str(value) if isinstance(value, dict) else "",
)
def test_a_wrong_row_is_refused(row: dict[str, Any], message: str) -> None:
    """The message names the place, the key, the value and rule, and the remedy."""
    with pytest.raises(CatalogError) as refused:
        DEFAULT.with_overrides([row])
    assert str(refused.value) == message


@pytest.mark.parametrize(
    ("first", "second", "named"),
    [
        ({"code": 486, "subcode": 1}, {"code": 486, "subcode": 1}, "code 486, subcode 1"),
        ({"code": 0, "subcode": 0}, {"code": 200, "subcode": 0}, "code 200, subcode 0"),
        (
            {"code": 486, "events": ["A", "B"]},
            {"code": 486, "events": ["Microsoft.Communication.B"]},
            "event B, code 486",
        ),
    ],
    ids=["same", "alias", "overlapping-events"],
)
def test_a_key_that_stands_twice_is_refused(first: dict[str, Any], second: dict[str, Any], named: str) -> None:
    """Which of two blocks is meant, nobody can say; other spellings of a key are that key."""
    new = {"cause": "busy", "retry": "now", "summary": "Ours."}
    with pytest.raises(CatalogError) as refused:
        DEFAULT.with_overrides([first | new, second | new])
    assert str(refused.value) == f"overrides: entry 2 ({named}): this key stands twice; keep one block"


def test_one_event_named_twice_is_refused() -> None:
    """Two spellings of one event in one block are a slip."""
    with pytest.raises(CatalogError) as refused:
        DEFAULT.with_overrides([{"code": 487, "subcode": 0, "events": ["AnswerFailed", "AnswerCallFailed"]}])
    assert str(refused.value) == (
        "overrides: entry 1 (event AnswerFailed, code 487, subcode 0): this key stands twice; keep one block"
    )


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (
            {"entries": []},
            "overrides: unknown table 'entries'; write each row as a block [[entry]]",
        ),
        ({"entry": {"code": 1}}, "overrides: rows must be blocks [[entry]], each a table of key and fields"),
        ({"entry": [1]}, "overrides: rows must be blocks [[entry]], each a table of key and fields"),
        (None, "overrides: rows must be blocks [[entry]], each a table of key and fields"),
    ],
    ids=["unknown-table", "one-table", "no-table", "nothing"],
)
def test_rows_in_another_shape_are_refused(overrides: Any, message: str) -> None:
    """Blocks, or nothing."""
    with pytest.raises(CatalogError) as refused:
        DEFAULT.with_overrides(overrides)
    assert str(refused.value) == message


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    """The message names the path, the reason and the remedy."""
    path = tmp_path / "none.toml"
    with pytest.raises(CatalogError) as refused:
        DEFAULT.with_overrides(path)
    assert str(refused.value) == f"{path}: cannot be read (No such file or directory); name an existing TOML file"


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"[[entry]\n", "is not TOML: Expected ']]' at the end of an array declaration (at line 1, column 8)"),
        (b"\xff", "is not UTF-8 (byte 0: invalid start byte); save it as UTF-8"),
    ],
    ids=["syntax", "encoding"],
)
def test_a_file_that_is_no_toml_is_refused(tmp_path: Path, content: bytes, reason: str) -> None:
    """The message names the path and where the file goes wrong."""
    path = tmp_path / "my.toml"
    path.write_bytes(content)
    with pytest.raises(CatalogError) as refused:
        DEFAULT.with_overrides(path)
    assert str(refused.value) == f"{path}: {reason}"


def test_a_wrong_row_of_a_file_is_named_by_its_path(tmp_path: Path) -> None:
    """The file, the block's number and its key lead the message, also behind the mark with which Windows begins."""
    path = tmp_path / "my.toml"
    path.write_text("[[entry]]\ncode = 486\n\n[[entry]]\ncode = 487\nowner = 'nobdy'\n", "utf-8-sig")
    with pytest.raises(CatalogError) as refused:
        DEFAULT.with_overrides(path)
    assert str(refused.value) == f"{path}: entry 2 (code 487): owner 'nobdy' is unknown; did you mean 'nobody'?"


def test_a_pair_that_only_one_event_has_can_be_changed_for_all() -> None:
    """Also for the events that a generic subcode answered; the row's own event keeps its other fields."""
    row = {"code": 400, "subcode": 8500, "retry": "never"}
    changed = DEFAULT.with_overrides(row)
    answers = {
        event: changed.look_up(event, 400, 8500) for event in ("AnswerFailed", "PlayFailed", "CallDisconnected", None)
    }
    assert {event: (each.match, each.entry.retry, each.retry_action) for event, each in answers.items()} == {
        "AnswerFailed": ("exact", "never", "none"),
        "PlayFailed": ("pair", "never", "none"),
        "CallDisconnected": ("pair", "never", "none"),
        None: ("pair", "never", "none"),
    }
    assert DEFAULT.look_up("PlayFailed", 400, 8500).match == "generic_subcode"


def test_a_pair_can_be_changed_for_another_event_than_its_own() -> None:
    """Then it rests on the row of the event that has it."""
    changed = DEFAULT.with_overrides({"events": "ConnectFailed", "code": 430, "subcode": 10315, "owner": "admin"})
    own, other = (changed.look_up(event, 430, 10315).entry for event in ("AnswerFailed", "ConnectFailed"))
    assert (own.owner, other.owner, other.summary, other.key.events) == (
        "callee",
        "admin",
        own.summary,
        ("ConnectFailed",),
    )


@pytest.mark.parametrize(
    ("row", "owners"),
    [
        ({"special": "contradicted", "owner": "azure"}, ("azure", "azure", "azure")),
        ({"special": "contradicted", "events": ["CreateCallFailed"], "owner": "azure"}, ("azure", "app", "app")),
        ({"special": "contradicted", "events": ["HoldFailed"], "owner": "azure"}, ("app", "app", "azure")),
    ],
)
def test_the_answers_without_a_key_can_be_changed_by_event(row: dict[str, Any], owners: tuple[str, ...]) -> None:
    """Without events for all of them, with events for those alone."""
    changed = DEFAULT.with_overrides(row)
    events = ("CreateCallFailed", "AnswerFailed", "HoldFailed")
    assert tuple(changed.look_up(event, 200, 560000).entry.owner for event in events) == owners


def test_a_mixture_can_be_declared() -> None:
    """A user's carrier may use one key for several causes: then its details count."""
    assert DEFAULT.look_up(None, 484, 560484, q850=17).entry.cause == "invalid_number"
    changed = DEFAULT.with_overrides({"code": 484, "subcode": 560484, "mixture": ["invalid_number", "busy"]})
    assert changed.look_up(None, 484, 560484, q850=17).entry.cause == "busy"
