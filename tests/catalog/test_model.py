"""What one row can be, and which rows cannot be."""

from dataclasses import FrozenInstanceError, replace

import pytest

from ringback_catalog import (
    CatalogError,
    CategoryBasis,
    Cause,
    Codes,
    Confidence,
    Disposition,
    Entry,
    Key,
    Owner,
    ResultCategory,
    RetryClass,
    Scope,
    Source,
)

SOURCE = Source(
    id="doc#table", document="A document", table="a table", date="2024-07-22", url="https://example.com/doc"
)
BUSY = Entry(
    key=Key(code=486, subcode=560486),
    cause=Cause.BUSY,
    category=ResultCategory.SUCCESS,
    basis=CategoryBasis.DOCUMENTED,
    retry=RetryClass.LATER,
    owner=Owner.CALLEE,
    confidence=Confidence.HIGH,
    summary="The person called was on another call.",
    advice=("Call again in about ten minutes.",),
    sources=(SOURCE,),
)


@pytest.mark.parametrize(
    ("retry", "disposition"),
    [
        (RetryClass.NONE, Disposition.TERMINAL),
        (RetryClass.NOW, Disposition.RETRYABLE),
        (RetryClass.LATER, Disposition.RETRYABLE),
        (RetryClass.AFTER_FIX, Disposition.TERMINAL),
        (RetryClass.NEVER, Disposition.TERMINAL),
    ],
)
def test_the_retry_class_decides_the_disposition(retry: RetryClass, disposition: Disposition) -> None:
    """Only now and later are retryable."""
    assert retry.disposition is disposition
    assert replace(BUSY, cause=Cause.ENDED, retry=retry).disposition is disposition


@pytest.mark.parametrize(
    ("key", "kind", "text"),
    [
        (Key(code=486, subcode=560486), "pair", "code 486, subcode 560486"),
        (Key(events=("A", "B"), code=486, subcode=0), "pair", "event A/B, code 486, subcode 0"),
        (
            Key(scope=Scope.OPERATION, code=200, subcode=0),
            "pair",
            "scope operation, code 200, subcode 0",
        ),
        (Key(code=486), "code", "code 486"),
        (Key(subcode=8522), "subcode", "subcode 8522"),
        (Key(pattern="549xxx"), "pattern", "subcode 549xxx"),
        (Key(codes=Codes(400, 499)), "range", "code 400-499"),
        (Key(sip=603, phrase="network blocked"), "sip", "sip 603, phrase network blocked"),
        (Key(q850=17), "q850", "q850 17"),
        (Key(q850=0), "q850", "q850 0"),
        (Key(special="unknown"), "special", "special unknown"),
    ],
    ids=str,
)
def test_a_key_has_one_kind_and_says_what_it_is(key: Key, kind: str, text: str) -> None:
    """The kind follows from the fields that are set; the text names those and no others."""
    assert (key.kind, str(key)) == (kind, text)


def test_keys_stand_in_the_order_a_reader_expects() -> None:
    """By code, then subcode, any event before a scope and named events; ranges, carriers, specials last."""
    in_order = [
        Key(pattern="549xxx", subcode=None),
        Key(code=400),
        Key(code=400, subcode=0),
        Key(events=("AnswerFailed",), code=400, subcode=0),
        Key(events=("CreateCallFailed",), code=400, subcode=0),
        Key(scope=Scope.OPERATION, code=400, subcode=0),
        Key(code=400, subcode=8523),
        Key(code=404),
        Key(codes=Codes(200, 299)),
        Key(codes=Codes(400, 499)),
        Key(q850=1),
        Key(q850=17),
        Key(sip=486),
        Key(sip=603),
        Key(special="unknown"),
    ]
    shuffled = in_order[::-1]
    assert sorted(shuffled, key=lambda key: key.order) == in_order


@pytest.mark.parametrize(
    ("codes", "inside", "outside", "text"),
    [
        (Codes(400, 499), (400, 450, 499), (399, 500, -1), "400-499"),
        (Codes(404, 404), (404,), (403, 405), "404"),
    ],
    ids=str,
)
def test_a_range_includes_both_ends(codes: Codes, inside: tuple[int, ...], outside: tuple[int, ...], text: str) -> None:
    """A range is inclusive; of one code it reads as that code."""
    assert [code in codes for code in inside] == [True] * len(inside)
    assert [code in codes for code in outside] == [False] * len(outside)
    assert str(codes) == text


@pytest.mark.parametrize(
    ("changes", "rule"),
    [
        (
            {"retry": RetryClass.NONE},
            "retry 'none' means ended as intended; this cause needs now, later, after_fix or never",
        ),
        ({"cause": Cause.DECLINED}, "a person's refusal is never retried; write retry 'never'"),
        (
            {"category": ResultCategory.UNKNOWN},
            "category Unknown cannot be documented; write basis 'inferred'",
        ),
        (
            {"category": ResultCategory.UNEXPECTED_SERVER_ERROR, "cause": Cause.ENDED, "retry": RetryClass.NONE},
            "a server error is no intended ending; write another retry class",
        ),
        ({"summary": "  "}, "summary must be one line of text"),
        ({"summary": "One.\nTwo."}, "summary must be one line of text"),
        ({"advice": ()}, "advice needs at least one step, none empty"),
        ({"advice": ("Call again.", " ")}, "advice needs at least one step, none empty"),
        ({"sources": ()}, "sources must name at least one table"),
        ({"with_codes": (Codes(400, 499),)}, "with_codes goes only with a subcode alone"),
        ({"specific": False}, "specific goes only with q850"),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, dict) else "",
)
def test_an_impossible_row_is_refused_by_name(changes: dict[str, object], rule: str) -> None:
    """A row that contradicts itself cannot be made; the error says which, why, and what to write."""
    with pytest.raises(CatalogError) as refused:
        replace(BUSY, **changes)  # type: ignore[arg-type]
    assert str(refused.value) == f"code 486, subcode 560486: {rule}"


@pytest.mark.parametrize(
    "changes",
    [{"retry": RetryClass.NONE, "cause": Cause.ENDED}, {"category": ResultCategory.SUCCESS}],
    ids=["retry-none", "category-success"],
)
def test_knowing_nothing_cannot_be_made_a_success(changes: dict[str, object]) -> None:
    """Unknown never means success."""
    unknown = replace(
        BUSY,
        key=Key(special="unknown"),
        cause=Cause.UNKNOWN,
        category=ResultCategory.UNKNOWN,
        basis=CategoryBasis.INFERRED,
    )
    with pytest.raises(CatalogError) as refused:
        replace(unknown, **changes)  # type: ignore[arg-type]
    assert str(refused.value) == (
        "special unknown: knowing nothing never means success; write another retry class and category"
    )


def test_fields_that_belong_to_a_kind_are_accepted_there() -> None:
    """A generic subcode may be limited to codes; a Q.850 cause may say nothing."""
    assert replace(BUSY, key=Key(subcode=8522), with_codes=(Codes(404, 404),)).with_codes == (Codes(404, 404),)
    assert replace(BUSY, key=Key(q850=31), specific=False).specific is False


def test_an_entry_is_frozen() -> None:
    """One entry answers many calls; nobody may change it for the next."""
    with pytest.raises(FrozenInstanceError):
        BUSY.summary = "Changed."  # type: ignore[misc]


def test_an_entry_as_the_export_writes_it() -> None:
    """Plain values in reading order; the documentation is the page of the first source."""
    entry = replace(BUSY, key=Key(events=("CreateCallFailed",), code=486, subcode=560486), note="They disagree.")
    assert entry.to_dict() == {
        "events": ["CreateCallFailed"],
        "scope": None,
        "code": 486,
        "subcode": 560486,
        "sip": None,
        "phrase": None,
        "q850": None,
        "special": None,
        "cause": "busy",
        "category": "Success",
        "category_basis": "documented",
        "disposition": "retryable",
        "retry_class": "later",
        "retry_action": None,
        "retry_after": None,
        "owner": "callee",
        "confidence": "high",
        "mixture": [],
        "summary": "The person called was on another call.",
        "advice": ["Call again in about ten minutes."],
        "sources": ["A document (2024-07-22), a table"],
        "documentation": "https://example.com/doc",
        "note": "They disagree.",
    }


@pytest.mark.parametrize(
    ("key", "written"),
    [
        (Key(codes=Codes(400, 499)), {"code": "400-499", "subcode": None}),
        (Key(pattern="549xxx"), {"code": None, "subcode": "549xxx"}),
    ],
    ids=str,
)
def test_families_are_exported_as_they_are_written(key: Key, written: dict[str, object]) -> None:
    """A range and a pattern read in the export as in the TOML."""
    exported = replace(BUSY, key=key).to_dict()
    assert {name: exported[name] for name in ("code", "subcode")} == written
