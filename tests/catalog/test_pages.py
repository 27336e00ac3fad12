"""Where each entry's page is: one address an entry, in any order with overrides, and no address that cannot be one."""

from __future__ import annotations

from typing import Any

import pytest

from ringback_catalog import Catalog, CatalogError, page_paths

BASE = "https://ops.example/catalog/"
DEFAULT = Catalog.default()
OWN: list[dict[str, Any]] = [
    {"code": 486, "subcode": 560486, "summary": "Our word for busy."},
    {"code": 699, "subcode": 12345, "cause": "busy", "retry": "later", "summary": "Our carrier's busy tone."},
    {"events": ["CreateCallFailed"], "code": 486, "subcode": 560486, "retry": "never"},
    {"sip": 603, "phrase": "a b", "cause": "blocked", "retry": "never", "summary": "One phrase."},
    {"sip": 603, "phrase": "a-b", "cause": "blocked", "retry": "never", "summary": "Its near twin."},
]


def test_every_entry_has_its_page() -> None:
    """Its own path below the folder; nothing else of the catalog changes."""
    linked = DEFAULT.with_pages(BASE).entries
    assert [entry.page for entry in linked] == [
        f"{BASE}{path}.html" for path in page_paths(entry.key for entry in linked)
    ]
    assert [entry.documentation for entry in linked] == [entry.page for entry in linked]
    plain = [dict(entry.to_dict()) | {"documentation": None} for entry in DEFAULT.entries]
    assert [dict(entry.to_dict()) | {"documentation": None} for entry in linked] == plain
    assert {entry.page for entry in DEFAULT.entries} == {None}


def test_pages_and_overrides_go_in_any_order() -> None:
    """The same entries, links included; near twins are numbered alike; a later site replaces an earlier one."""
    expected = DEFAULT.with_overrides(OWN).with_pages(BASE)
    orders = [
        DEFAULT.with_pages(BASE).with_overrides(OWN),
        DEFAULT.with_overrides(OWN[:2]).with_pages("http://other.example").with_pages(BASE).with_overrides(OWN[2:]),
        *(DEFAULT.with_overrides(OWN[:cut]).with_pages(BASE).with_overrides(OWN[cut:]) for cut in range(1, len(OWN))),
    ]
    # Sources name the block's number in its own call, so what is compared is the link.
    links = [(entry.key, entry.summary, entry.page) for entry in expected.entries]
    for catalog in orders:
        assert [(entry.key, entry.summary, entry.page) for entry in catalog.entries] == links
    pages = {str(entry.key): entry.page for entry in expected.entries}
    assert pages["code 699, subcode 12345"] == f"{BASE}entries/699-12345.html"
    assert pages["event CreateCallFailed, code 486, subcode 560486"] == (
        f"{BASE}entries/createcallfailed-486-560486.html"
    )
    assert pages["sip 603, phrase a-b"] == f"{BASE}entries/sip-603-a-b_2.html"


@pytest.mark.parametrize(
    ("question", "page"),
    [
        ({"event": None, "code": 0, "subcode": 5000}, "calldisconnected-200-5000"),
        ({"event": None, "code": 486, "subcode": 560486}, "486-560486"),
        ({"event": None, "code": None, "subcode": None}, "unreported"),
        ({"event": None, "code": 486, "subcode": 540486}, "486-540486"),
        ({"event": None, "code": 500, "subcode": 560486}, "sip-486"),
        ({"event": None, "code": 500, "subcode": 540486}, "sip-486"),
        ({"event": None, "code": 999, "subcode": 1, "q850": 17}, "q850-17"),
        ({"event": "CreateCallFailed", "code": 200, "subcode": 5000}, None),
        ({"event": "AddParticipantSucceeded", "code": 404, "subcode": 1}, "operation-200-0"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_verdict_leads_to_the_entry_that_answered(question: dict[str, Any], page: str | None) -> None:
    """Also where it was decoded, refined, or outranked by the event's name."""
    verdict = DEFAULT.with_pages(BASE).look_up(**question)
    pages = {entry.page for entry in DEFAULT.with_pages(BASE).entries}
    assert verdict.entry.page in pages
    assert verdict.entry.documentation == verdict.entry.page
    if page is not None:
        assert verdict.entry.page == f"{BASE}entries/{page}.html"


@pytest.mark.parametrize(
    ("base", "suffix", "page"),
    [
        ("https://ops.example/catalog", ".html", "https://ops.example/catalog/entries/486-560486.html"),
        ("http://127.0.0.1:8000", "", "http://127.0.0.1:8000/entries/486-560486"),
        ("https://ops.example//", "/", "https://ops.example/entries/486-560486/"),
        ("https://git.example/ops/wiki/", ".md", "https://git.example/ops/wiki/entries/486-560486.md"),
    ],
)
def test_an_address_is_put_together(base: str, suffix: str, page: str) -> None:
    """One sign between the folder and the page, and the suffix that the site's server wants."""
    assert DEFAULT.with_pages(base, suffix=suffix).look_up(None, 486, 560486).entry.documentation == page


@pytest.mark.parametrize(
    ("base", "shown"),
    [
        ("", ""),
        ("ops.example/catalog/", "ops.example/catalog/"),
        ("javascript:alert(1)", "javascript:alert(1)"),
        ("https:///catalog/", "https:///catalog/"),
        ("https://[::1/catalog/", "https://[::1/catalog/"),
        ("https://ops.example/my catalog/", "https://ops.example/my catalog/"),
        ("https://ops.example/käse/", "https://ops.example/käse/"),
        ('https://ops.example/"/', 'https://ops.example/"/'),
        ("https://me:secret@ops.example/", "https://...ops.example/"),
        ("https://ops.example/?key=secret", "https://ops.example/..."),
        ("https://ops.example/#secret", "https://ops.example/..."),
    ],
)
def test_an_address_that_leads_nowhere_is_refused(base: str, shown: str) -> None:
    """When the catalog is made, with the remedy, and without a secret that was written into it."""
    with pytest.raises(CatalogError) as raised:
        DEFAULT.with_pages(base)
    assert str(raised.value) == (
        f"pages at {shown!r} cannot be linked to: an address is http:// or https:// and a host, in ASCII, without "
        "a login, a query or a fragment; write for example https://ops.example/catalog/"
    )


def test_a_suffix_is_one_of_four() -> None:
    """A slip there would break every link."""
    with pytest.raises(CatalogError) as raised:
        DEFAULT.with_pages(BASE, suffix="html")
    assert str(raised.value) == (
        "suffix 'html' is none of ('.html', '.md', '/', ''); write what the addresses of your pages end in"
    )


@pytest.mark.parametrize("base", [None, 7, ["https://ops.example/"]])
def test_an_address_that_is_no_text_is_refused(base: Any) -> None:
    """Such as that of an environment variable that is not set."""
    with pytest.raises(CatalogError) as raised:
        DEFAULT.with_pages(base)
    assert str(raised.value) == (
        f"pages at {base!r} cannot be linked to: an address is text; see that the environment variable is set"
    )
