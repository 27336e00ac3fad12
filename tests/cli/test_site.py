"""The catalog as a folder of pages, in HTML and Markdown, and the schema of its export."""

from __future__ import annotations

import io
import json
import os
import re
import shlex
import sys
from functools import partial
from html.parser import HTMLParser
from http.server import BaseHTTPRequestHandler, SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING, Any

import httpx
import pytest
import structlog
from markupsafe import escape
from structlog.processors import JSONRenderer

from ringback import Catalog, Cause, classify, logs
from ringback.cli import main
from ringback.cli._site import files, template
from ringback.cli._site_pages import (
    CAUSES,
    HOME,
    MOST_RELATED,
    RETRIES,
    Line,
    Link,
    Page,
    Section,
    _distance,  # pyright: ignore[reportPrivateUsage]
    name_of,
    pages,
)
from ringback.cli._site_sample import ENDPOINT, Sample, sample_of
from ringback.core.events import Delivery, parse_delivery
from ringback.core.outcome import classify_event
from ringback.receiving.intake import Received
from ringback.stores.record import dump, load
from ringback_catalog import (
    CategoryBasis,
    Codes,
    Confidence,
    Disposition,
    Key,
    Owner,
    ResultCategory,
    RetryClass,
    Scope,
    page_paths,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ringback_catalog import Entry

ENTRIES = Catalog.default().entries
OVERRIDES = """
[[entry]]
code = 486
subcode = 560486
summary = "Our <word> for busy."

[[entry]]
code = 699
subcode = 12345
cause = "busy"
retry = "later"
summary = "Our carrier's busy tone."

[[entry]]
sip = 603
phrase = "a b"
cause = "blocked"
retry = "never"
summary = "One phrase."

[[entry]]
sip = 603
phrase = "a-b"
cause = "blocked"
retry = "never"
summary = "Its near twin."
"""
SCHEMA: dict[str, Any] = json.loads((Path(__file__).parents[2] / "docs/catalog.schema.json").read_text("utf-8"))

EVIL = '<script>alert("x")</script> & [a](b) _c_ `d`'


@pytest.fixture(scope="module")
def site() -> dict[str, str]:
    """Every HTML file of the catalog that comes with the package."""
    return files(ENTRIES, "html")


@pytest.fixture(scope="module")
def markdown() -> dict[str, str]:
    """Every Markdown file of the same catalog."""
    return files(ENTRIES, "markdown")


@pytest.fixture(scope="module")
def every_page() -> list[Page]:
    """Its pages, before a template has written them."""
    return pages(ENTRIES)


class _Outline(HTMLParser):
    """What is checked of a document: its tags in order, ids, targets, headings."""

    VOID = ("meta", "link", "input")

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.ids: list[str] = []
        self.attributes: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.tags.append(tag)
        self.attributes.append((tag, given))
        if given.get("id"):
            self.ids.append(str(given["id"]))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def outline(text: str) -> _Outline:
    found = _Outline()
    found.feed(text)
    found.close()
    assert found.open == []
    return found


def as_html(page: Page, version: str) -> str:
    return template("html").render(page=page, version=version)


def as_markdown(page: Page, version: str) -> str:
    return template("markdown").render(page=page, version=version)


# addresses


@pytest.mark.parametrize(
    ("key", "path", "name"),
    [
        (Key(code=486, subcode=560486), "486-560486", "486/560486"),
        (
            Key(events=("AnswerFailed", "CreateCallFailed"), code=404, subcode=8522),
            "answerfailed-createcallfailed-404-8522",
            "AnswerFailed or CreateCallFailed 404/8522",
        ),
        (Key(scope=Scope.OPERATION, code=200, subcode=0), "operation-200-0", "operation 200/0"),
        (Key(scope=Scope.OPERATION, code=200), "operation-code-200", "operation Code 200"),
        (Key(code=404), "code-404", "Code 404"),
        (Key(codes=Codes(400, 499)), "codes-400-499", "Codes 400-499"),
        (Key(subcode=8522), "subcode-8522", "Subcode 8522"),
        (Key(pattern="5x0998"), "subcode-5x0998", "Subcodes 5x0998"),
        (Key(sip=486), "sip-486", "SIP 486"),
        (Key(sip=603, phrase="network blocked"), "sip-603-network-blocked", "SIP 603 “network blocked”"),
        (Key(q850=17), "q850-17", "Q.850 17"),
        (Key(special="unknown"), "unknown", "Result unknown"),
        (Key(events=("../../Été/%2e",), code=1, subcode=2), "t-2e-1-2", "../../Été/%2e 1/2"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_an_address_comes_from_the_key(key: Key, path: str, name: str) -> None:
    """Of any kind, in letters that any file system and any address takes; nothing leads out of the folder."""
    assert page_paths([key]) == [f"entries/{path}"]
    assert name_of(key) == name


def test_addresses_are_apart() -> None:
    """No two entries share a page, whatever the case of the letters; near twins are numbered."""
    found = page_paths(entry.key for entry in ENTRIES)
    assert len(set(found)) == len(ENTRIES)
    assert all(re.fullmatch("entries/[a-z0-9-]{1,100}", path) for path in found)
    twins = [Key(sip=603, phrase="a b"), Key(sip=603, phrase="a-b"), Key(sip=603, phrase="a.b")]
    assert page_paths(twins) == ["entries/sip-603-a-b", "entries/sip-603-a-b_2", "entries/sip-603-a-b_3"]


def test_an_address_is_short() -> None:
    """A file's name has its limits."""
    assert page_paths([Key(sip=603, phrase="a" * 900)]) == ["entries/" + "sip-603-".ljust(100, "a")]


# pages


def test_words_exist_for_every_cause_and_retry_class() -> None:
    """A new one needs its sentence."""
    assert list(CAUSES) == list(Cause)
    assert list(RETRIES) == list(RetryClass)


@pytest.mark.untraced
def test_there_is_a_page_for_everything(every_page: list[Page]) -> None:
    """The first page, the causes in their order, the entries in theirs."""
    causes = [cause for cause in Cause if any(entry.cause is cause for entry in ENTRIES)]
    assert [page.path for page in every_page] == [
        "index",
        *(f"causes/{cause}" for cause in causes),
        *page_paths(entry.key for entry in ENTRIES),
    ]


def test_an_entrys_page_says_everything(every_page: list[Page]) -> None:
    """What happened, who acts, what to do, where documents disagree, the sources, how to try it, related codes."""
    (entry,) = [entry for entry in ENTRIES if str(entry.key) == "code 486, subcode 560486"]
    (page,) = [page for page in every_page if page.path == "entries/486-560486"]
    assert entry.note is not None
    *sections, sample, related = page.sections[:-2], page.sections[-2], page.sections[-1]
    (told, *_) = sections
    calling, sdk = told[2].lines
    assert page == Page(
        "entries/486-560486",
        "486/560486",
        entry.summary,
        (HOME, Link("busy", "causes/busy")),
        (
            ("Cause", Line(Link("busy", "causes/busy"), "The callee was on another call.")),
            ("Call again?", Line(None, "yes, after some time (retryable, later)")),
            ("What again", Line(None, "place_call: dial again (after CallDisconnected)")),
            ("Wait at least", Line(None, "10 minutes, then 2 times as long each time")),
            ("Who acts", Line(None, "callee: the person or device called")),
            ("Category", Line(None, "Success (documented)")),
            ("Confidence", Line(None, "high")),
        ),
        (
            Section("what-to-do", "What to do", tuple(Line(None, step) for step in entry.advice), ordered=True),
            Section("disagreement", "Where the documents disagree", text=entry.note),
            Section("sources", "Sources", (calling, sdk)),
            Section(
                "sample",
                "A sample event",
                text="The body of a delivery that gets this answer.",
                code=Sample("CallDisconnected", 486, 560486).delivery(),
            ),
            Section(
                "reproduce",
                "Reproduce it",
                text="Post such an event to your app; put the address of your own callback route in.",
                code=f"ringback trigger 486/560486 --event CallDisconnected --to {ENDPOINT}",
            ),
            related,
        ),
    )
    assert sample.key == "reproduce"
    assert calling.link is not None
    assert calling.link.url == entry.sources[0].url
    assert calling.text.startswith("Calling End call codes and subcodes (2025-07-14, 2024-10-15, 2024-07-22); ")
    assert sdk == Line(Link(entry.sources[-1].document, url=entry.sources[-1].url), "2026, end-reason table")
    # The same cause first.
    assert [line.link.text for line in related.lines if line.link is not None] == [
        "Code 486",
        "486/10321",
        "486/540486",
        "SIP 486",
    ]


def test_related_codes_are_near(every_page: list[Page]) -> None:
    """Eight at most: the same cause and event first, then the same cause, then the others; never the page itself."""
    by_path = dict(zip(page_paths(entry.key for entry in ENTRIES), ENTRIES, strict=True))
    seen: set[int] = set()
    for page in every_page:
        related = [section for section in page.sections if section.key == "related"]
        others = [by_path[str(line.link.page)] for section in related for line in section.lines if line.link]
        seen.add(len(others))
        if page.path in by_path:
            entry = by_path[page.path]
            assert entry not in others
            assert others == sorted(others, key=lambda other: _distance(entry, other))
    assert max(seen) == MOST_RELATED
    assert 0 in seen


def answered_by(sample: Sample) -> Key:
    """The key of the row that answers the sample's own event, read as a delivery."""
    (event,) = parse_delivery(sample.delivery()).events
    outcome = classify_event(event)
    assert outcome is not None
    return outcome.verdict.entry.key


# Special keys that are no word of the service for why a stream failed.
ANSWERS = ("unreported", "unknown", "contradicted")


def test_every_sample_gets_the_answer_of_its_page() -> None:
    """Read as a delivery is; without a sample are only rows that answer nothing by themselves."""
    samples = {entry: sample_of(entry, Catalog.default()) for entry in ENTRIES}
    assert [entry.key for entry, sample in samples.items() if sample and answered_by(sample) != entry.key] == []
    silent = {str(entry.key) for entry, sample in samples.items() if sample is None}
    assert silent == {f"subcode {each}" for each in (0, 7000, 9001, 9002, 9998, 9999)} | {
        f"q850 {each}" for each in (0, 16, 31, 127)
    } | {str(entry.key) for entry in ENTRIES if entry.key.special and entry.key.special not in ANSWERS}
    assert [str(entry.key) for entry, sample in samples.items() if sample and sample.command() is None] == [
        "event CallEnded, special unreported"
    ]


@pytest.fixture
def endpoint() -> Iterator[tuple[str, list[bytes]]]:
    """The address of an endpoint that takes everything, and the bodies that it took."""
    bodies: list[bytes] = []

    class Taking(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            bodies.append(self.rfile.read(int(self.headers["content-length"])))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Taking) as server:
        thread = Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/api/callbacks", bodies
        server.shutdown()
        thread.join()


KINDS = {entry.key.kind: entry for entry in reversed(ENTRIES) if sample_of(entry, Catalog.default()) is not None}
PHRASED = next(entry for entry in ENTRIES if entry.key.phrase)
OLD = next(entry for entry in ENTRIES if str(entry.key) == "special unreported")
OPERATION = next(entry for entry in ENTRIES if entry.key.events == ("PlayFailed",))


@pytest.mark.parametrize("entry", [*KINDS.values(), PHRASED, OLD, OPERATION], ids=lambda entry: str(entry.key))
def test_the_command_of_a_page_posts_what_gets_its_answer(
    entry: Entry, endpoint: tuple[str, list[bytes]], capsys: pytest.CaptureFixture[str]
) -> None:
    """Run as it is copied, but for the address."""
    sample = sample_of(entry, Catalog.default())
    assert sample is not None
    command = sample.command()
    assert command is not None
    url, bodies = endpoint
    assert main([*shlex.split(command.replace(ENDPOINT, url))[1:], "--delay", "0"]) == 0
    assert capsys.readouterr().err == ""
    ((event,),) = (parse_delivery(body).events for body in bodies)
    outcome = classify_event(event)
    assert outcome is not None
    assert outcome.verdict.entry.key == entry.key


def test_an_entry_that_never_answers_has_no_sample(every_page: list[Page]) -> None:
    """As one that stands behind others in somebody's overrides; nor does its page say what is made again."""
    behind = next(entry for entry in ENTRIES if str(entry.key) == "subcode 9999")
    (page,) = [page for page in every_page if page.path == "entries/subcode-9999"]
    assert sample_of(behind, Catalog.default()) is None
    assert {"sample", "reproduce"}.isdisjoint(section.key for section in page.sections)


def test_a_causes_page_groups_its_entries(every_page: list[Page]) -> None:
    """By whether to call again; every entry of the cause once."""
    (page,) = [page for page in every_page if page.path == "causes/busy"]
    busy = [entry for entry in ENTRIES if entry.cause is Cause.BUSY]
    assert page.lead == "The callee was on another call."
    assert page.facts[0] == ("Entries", Line(None, str(len(busy))))
    assert sorted(line.link.text for section in page.sections for line in section.lines if line.link) == sorted(
        name_of(entry.key) for entry in busy
    )
    assert [section.key for section in page.sections] == [
        retry for retry in RetryClass if any(entry.retry is retry for entry in busy)
    ]


# html


@pytest.mark.untraced
def test_every_link_leads_somewhere(site: dict[str, str]) -> None:
    """Pages, styles and scripts are in the folder; the web is only linked to, never loaded from."""
    for path, text in site.items():
        if not path.endswith(".html"):
            continue
        for tag, attributes in outline(text).attributes:
            target = attributes.get("href") or attributes.get("src") or ""
            if not target or target.startswith("#") or target == "data:,":
                continue
            if target.startswith("https://"):
                assert tag == "a"
            else:
                assert os.path.normpath(Path(path).parent / target).replace(os.sep, "/") in site


def test_documents_are_well_formed(site: dict[str, str]) -> None:
    """Landmarks, one first heading before all others, ids once, each label's and section's target there."""
    for path, text in site.items():
        if not path.endswith(".html"):
            continue
        found = outline(text)
        assert [found.tags.count(tag) for tag in ("header", "main", "footer", "h1")] == [1, 1, 1, 1]
        assert found.tags.count("nav") == (path != "index.html")
        scripts = [given["src"] for tag, given in found.attributes if tag == "script"]
        assert scripts == (["search.js"] if path == "index.html" else ["../copy.js"] if "<pre" in text else [])
        assert found.tags.index("h1") < found.tags.index("h2")
        assert len(set(found.ids)) == len(found.ids)
        wanted = {given[name] for _, given in found.attributes for name in ("for", "aria-labelledby") if name in given}
        assert wanted <= set(found.ids)


def test_the_first_page_lists_every_entry(site: dict[str, str]) -> None:
    """All of it is in the document: the script only hides."""
    links = [given.get("href") for _, given in outline(site["index.html"]).attributes]
    entries = [link for link in links if link and link.startswith("entries/")]
    assert len(set(entries)) == len(entries) == len(ENTRIES)
    assert '<form id="search" role="search" hidden>' in site["index.html"]


def test_styles_fit_the_dark_and_the_phone(site: dict[str, str]) -> None:
    """By media queries alone; nothing is loaded from elsewhere."""
    assert "prefers-color-scheme: dark" in site["style.css"]
    assert "max-width: 30rem" in site["style.css"]
    assert not re.search(r"url\(|@import|https?:", site["style.css"] + site["search.js"])


def evil_page(url: str) -> Page:
    line = Line(Link(EVIL, url=url), EVIL)
    return Page("entries/x", EVIL, EVIL, (Link(EVIL, "index"),), ((EVIL, line),), (Section("a", EVIL, (line,), EVIL),))


def test_what_is_to_be_copied_stands_as_it_is() -> None:
    """Escaped in HTML, and within a fence that it cannot close in Markdown."""
    page = Page("entries/x", "T", "L", sections=(Section("a", "A", code=f"{EVIL}\n````"),))
    html = as_html(page, "1")
    assert f"<pre><code>{escape(EVIL)}\n````</code></pre>" in html
    assert '<script src="../copy.js" defer></script>' in html
    assert f"`````\n{EVIL}\n````\n`````" in as_markdown(page, "1")


def test_html_is_escaped() -> None:
    """No text becomes a tag; a target that is no web address becomes no link."""
    page = as_html(evil_page("javascript:alert(1)"), EVIL)
    assert "script" not in outline(page).tags
    assert [given["href"] for tag, given in outline(page).attributes if tag == "a"] == ["#main", "../index.html"]
    quoted = as_html(evil_page('https://a.example/"onclick="x'), "")
    assert [given for tag, given in outline(quoted).attributes if tag == "a"][-1] == {
        "href": 'https://a.example/"onclick="x'
    }


# markdown


def test_markdown_is_escaped() -> None:
    """No text becomes a mark; a target that is no web address becomes no link."""
    plain = r'\<script\>alert("x")\</script\> &amp; \[a\](b) \_c\_ \`d\`'
    assert as_markdown(evil_page("javascript:alert(1)"), "1") == (
        f"[{plain}](../index.md)\n\n# {plain}\n\n{plain}\n\n- **{plain}**: {plain}: {plain}\n\n"
        f"## {plain}\n\n{plain}\n\n"
        f"- {plain}: {plain}\n\nRingback 1\n"
    )
    assert f"[{plain}](https://a.example)" in as_markdown(evil_page("https://a.example"), "1")
    assert "](https" not in as_markdown(evil_page("https://a.example/) x"), "1")
    assert f"[{plain}](https://a.example/%28b%29)" in as_markdown(evil_page("https://a.example/(b)"), "1")


@pytest.mark.parametrize(
    ("text", "written"),
    [("1. a", r"1\. a"), ("- a", r"\- a"), ("+ a", r"\+ a"), ("a - b\n1", "a - b 1"), ("2 a", "2 a")],
)
def test_a_text_begins_no_list(text: str, written: str) -> None:
    """Nor another line."""
    assert as_markdown(Page("index", "T", text), "1") == f"# T\n\n{written}\n\nRingback 1\n"


@pytest.mark.untraced
def test_markdown_has_the_same_page_paths(site: dict[str, str], markdown: dict[str, str]) -> None:
    """Every page of the one is in the other, and its links lead somewhere."""
    assert {path.removesuffix(".md") for path in markdown} == {
        path.removesuffix(".html") for path in site if path.endswith(".html")
    }
    for path, text in markdown.items():
        for target in re.findall(r"\]\(((?!https)[^)]+)\)", text):
            assert os.path.normpath(Path(path).parent / target).replace(os.sep, "/") in markdown


# command


@pytest.mark.parametrize("kind", ["html", "markdown"])
@pytest.mark.untraced
def test_the_folder_is_the_same_twice(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], site: dict[str, str], markdown: dict[str, str], kind: str
) -> None:
    """Byte for byte, and a second run over the first changes nothing; what else is there stays."""
    folder = tmp_path / "one" / "deep"

    def written() -> dict[str, bytes]:
        assert main(["catalog", "--format", kind, "--out", str(folder)]) == 0
        return {each.relative_to(folder).as_posix(): each.read_bytes() for each in folder.rglob("*") if each.is_file()}

    expected = {path: text.encode() for path, text in (site if kind == "html" else markdown).items()}
    assert written() == expected
    (folder / "own.txt").write_text("mine", "utf-8")
    assert written() == {**expected, "own.txt": b"mine"}
    assert capsys.readouterr().out.splitlines()[0] == f"{len(expected)} files in {folder}"


def test_pages_know_overrides(tmp_path: Path) -> None:
    """A changed entry shows the change, and where it comes from, at the same address."""
    overrides = tmp_path / "my.toml"
    overrides.write_text('[[entry]]\ncode = 486\nsubcode = 560486\nsummary = "Besetzt: <Müller>."\n', "utf-8")
    command = ["catalog", "--format", "html", "--out", str(tmp_path / "site"), "--overrides", str(overrides)]
    assert main(command) == 0
    page = (tmp_path / "site/entries/486-560486.html").read_text("utf-8")
    assert '<p class="lead">Besetzt: &lt;Müller&gt;.</p>' in page
    assert "my.toml" in page


@pytest.mark.parametrize(
    "arguments",
    [
        "--format html",
        "--format json --out x",
        "--format csv --out x",
        "--format html --out x --output y",
        "--format html --output y",
    ],
)
def test_a_wrong_mixture_of_options_is_2(capsys: pytest.CaptureFixture[str], arguments: str) -> None:
    """Pages need a folder, a text needs none."""
    assert main(["catalog", *arguments.split()]) == 2
    assert capsys.readouterr() == (
        "",
        "ringback catalog: --out goes with --format html or markdown, html only with --out, and --output with neither; "
        "write for example: ringback catalog --format html --out site\n",
    )


def test_a_folder_that_cannot_be_written_is_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One line names it and the remedy."""
    place = tmp_path / "file"
    place.write_text("", "utf-8")
    assert main(["catalog", "--format", "html", "--out", str(place)]) == 2
    assert capsys.readouterr().err == (
        f"ringback catalog: folder '{place}' cannot be written (File exists); name a new or an empty folder\n"
    )


@pytest.mark.parametrize("kind", ["html", "markdown"])
def test_pages_without_jinja2_are_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    """One line names the extra, and nothing is written."""
    monkeypatch.setitem(sys.modules, "jinja2", None)
    assert main(["catalog", "--format", kind, "--out", str(tmp_path / "site")]) == 2
    message = capsys.readouterr().err
    assert message.startswith("ringback catalog: a folder of pages needs the extra console (")
    assert message.endswith("); pip install 'ringback[console]'\n")
    assert list(tmp_path.iterdir()) == []


# schema


def violations(value: object, schema: dict[str, Any], place: str = "$") -> list[str]:
    """Where a value breaks the schema; a keyword that is not known here is an error, not a pass."""
    kinds: dict[str, Any] = {"object": dict, "array": list, "string": str, "integer": int, "null": type(None)}
    kinds["number"] = (int, float)
    found: list[str] = []
    for keyword, rule in schema.items():
        match keyword:
            case "$schema" | "$id" | "title" | "description":
                continue
            case "type":
                allowed = [rule] if isinstance(rule, str) else rule
                broken = not any(isinstance(value, kinds[kind]) for kind in allowed) or isinstance(value, bool)
            case "enum":
                broken = value not in rule
            case "pattern":
                broken = isinstance(value, str) and re.search(rule, value) is None
            case "minimum":
                broken = isinstance(value, int | float) and value < rule
            case "minItems":
                broken = isinstance(value, list) and len(value) < rule
            case "required":
                broken = isinstance(value, dict) and not set(rule) <= set(value)
            case "additionalProperties":
                assert rule is False
                broken = isinstance(value, dict) and not set(value) <= set(schema["properties"])
            case "properties":
                broken = False
                if isinstance(value, dict):
                    for name in rule.keys() & value.keys():
                        found += violations(value[name], rule[name], f"{place}.{name}")
            case "items":
                broken = False
                if isinstance(value, list):
                    for number, item in enumerate(value):
                        found += violations(item, rule, f"{place}[{number}]")
            case _:
                raise AssertionError(keyword)
        if broken:
            found.append(f"{place}: {keyword}")
    return found


@pytest.fixture
def export(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    assert main(["catalog", "--format", "json"]) == 0
    exported: dict[str, Any] = json.loads(capsys.readouterr().out)
    return exported


def test_the_export_fits_its_schema(export: dict[str, Any]) -> None:
    """Every entry, and every key is described and required, in the order of the export."""
    assert violations(export, SCHEMA) == []
    entry = SCHEMA["properties"]["entries"]["items"]
    assert list(export["entries"][0]) == list(entry["properties"]) == entry["required"]
    assert list(export) == list(SCHEMA["properties"]) == SCHEMA["required"]


@pytest.mark.parametrize(
    ("change", "found"),
    [
        ({"cause": "bored"}, ["$.entries[0].cause: enum"]),
        ({"code": True}, ["$.entries[0].code: type"]),
        ({"code": "4xx-5"}, ["$.entries[0].code: pattern"]),
        ({"advice": []}, ["$.entries[0].advice: minItems"]),
        ({"more": 1}, ["$.entries[0]: additionalProperties"]),
    ],
    ids=str,
)
def test_the_schema_refuses(export: dict[str, Any], change: dict[str, object], found: list[str]) -> None:
    """What is not in it."""
    export["entries"] = [export["entries"][0] | change]
    assert violations(export, SCHEMA) == found


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("scope", [*Scope, None]),
        ("cause", Cause),
        ("category", ResultCategory),
        ("category_basis", CategoryBasis),
        ("disposition", Disposition),
        ("retry_class", RetryClass),
        ("owner", Owner),
        ("confidence", Confidence),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_the_schema_knows_every_word(name: str, words: Any) -> None:
    """A closed set in the code is the same closed set in the schema."""
    assert SCHEMA["properties"]["entries"]["items"]["properties"][name]["enum"] == list(words)


# the links of outcomes


@pytest.fixture
def published(tmp_path: Path) -> Iterator[str]:
    """The address of the pages, written by the command with somebody's overrides and served over HTTP."""
    (tmp_path / "my.toml").write_text(OVERRIDES, "utf-8")
    folder = tmp_path / "site"
    assert main(["catalog", "--format", "html", "--out", str(folder), "--overrides", str(tmp_path / "my.toml")]) == 0

    class Quiet(SimpleHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        # Headers and text as one segment: a second one would wait for the first to be acknowledged.
        wbufsize = 2**16

        def log_message(self, *_: object) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder))) as server:
        server.daemon_threads = True
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.mark.untraced
def test_every_link_opens_the_entrys_page(published: str, tmp_path: Path) -> None:
    """What `documentation` says of each entry is an address where the written site answers with that entry."""
    catalog = Catalog.default().with_pages(published).with_overrides(tmp_path / "my.toml")
    assert len(catalog.entries) == len(ENTRIES) + 3
    with httpx.Client() as client:
        for entry in catalog.entries:
            answer = client.get(entry.documentation)
            assert answer.status_code == 200
            assert f'<h1>{escape(name_of(entry.key))}</h1>\n<p class="lead">{escape(entry.summary)}</p>' in answer.text


def test_an_outcome_says_its_link_everywhere(capsys: pytest.CaptureFixture[str]) -> None:
    """The same address as an attribute, as a dict, in the log line in any form, from a store and from explain."""
    base = "https://ops.example/catalog/"
    page = f"{base}entries/486-560486.html"
    outcome = classify("CallDisconnected", 486, 560486, catalog=Catalog.default().with_pages(base))
    assert (outcome.documentation, outcome.to_dict()["documentation"]) == (page, page)
    stored = load(dump(outcome))
    assert (stored.documentation, stored.verdict) == (page, outcome.verdict)
    sink = io.StringIO()
    structlog.configure([JSONRenderer()], logger_factory=structlog.PrintLoggerFactory(sink))
    list(logs.received(Received(Delivery(()), (outcome,))))
    structlog.reset_defaults()
    assert [json.loads(line)["documentation"] for line in sink.getvalue().splitlines()] == [page]
    assert main(["explain", "486", "560486", "--pages", base]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == page
    assert main(["explain", "486", "560486", "--json", "--pages", base]) == 0
    assert json.loads(capsys.readouterr().out)["documentation"] == page


def test_an_outcome_stored_without_a_page_keeps_microsofts() -> None:
    """As earlier releases stored it: the field is absent, not null."""
    outcome = classify("CallDisconnected", 486, 560486)
    assert "page" not in json.loads(dump(outcome))["verdict"]
    assert load(dump(outcome)).documentation == outcome.verdict.entry.sources[0].url


def test_explain_refuses_pages_that_lead_nowhere(capsys: pytest.CaptureFixture[str]) -> None:
    """One line on the error output, as for overrides."""
    assert main(["explain", "486", "--pages", "ops"]) == 2
    assert capsys.readouterr().err.startswith("ringback explain: pages at 'ops' cannot be linked to: ")
