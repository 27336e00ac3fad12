"""Words and figures that several rows share: names of the SDK, one judgement for one status, links, sources."""

from __future__ import annotations

import inspect
import re
from collections import defaultdict
from pathlib import Path

import azure.communication.callautomation as sdk
import azure.communication.callautomation.aio as sdk_aio
import pytest

from ringback_catalog import Entry, Source, source_lines
from ringback_catalog._load import load_entries, load_sources

ENTRIES = load_entries()
SOURCES = load_sources()

# Lower-case words with an underscore that are no name of the SDK, and what they are.
OTHER_NAMES = {
    "pcm_s16le": "a codec of ffmpeg",
    "s_client": "a command of openssl",
    "with_overrides": "Catalog.with_overrides",
    "after_fix": "a retry class",
    "no_answer": "a cause",
}
# Names of other SDKs, and of requests as the REST interface and other languages spell them.
FOREIGN = re.compile(
    r"\b(?:(?:Add|Remove|Mute|Cancel|Create|Answer|Reject|Redirect|Transfer|Connect)(?:Call|Participant|Group)\w*"
    r"|HangUp\w*|CancelAllMedia\w*|StartRecording|CallAgent|[a-z]+(?:Timeout|Recording|Participants?|Endpoint|Options))\b"
)
EVENT = re.compile(r".+(?:Failed|Succeeded|Accepted|Updated|Connected)")


def texts(entry: Entry) -> tuple[str, ...]:
    return entry.summary, *entry.advice, entry.note or ""


newest = pytest.mark.skipif(
    not hasattr(sdk.CallConnectionClient, "move_participants"),
    reason="the advice names methods of azure-communication-callautomation 1.5 and newer; install the newest release",
)


def words_of_the_sdk() -> frozenset[str]:
    """Every name in the handwritten modules of the installed SDK: clients, parameters, models, fields."""
    folder = Path(inspect.getfile(sdk)).parent
    modules = [file for file in folder.rglob("*.py") if "_generated" not in file.parts]
    return frozenset(word for file in modules for word in re.findall(r"\w+", file.read_text("utf-8")))


@newest
def test_every_name_in_the_advice_is_one_of_the_sdk() -> None:
    """Who follows the advice types the name; a name of another SDK leads nowhere."""
    known = words_of_the_sdk() | OTHER_NAMES.keys()
    wrong = {
        name: str(entry.key)
        for entry in ENTRIES
        for text in texts(entry)
        for name in re.findall(r"\b[a-z]+(?:_[a-z0-9]+)+\b", text)
        if name not in known
    }
    assert wrong == {}


@newest
def test_every_method_in_the_advice_is_one_of_both_clients() -> None:
    """The app may be written for the blocking client or for that of asyncio."""
    clients = [
        (sdk.CallAutomationClient, sdk_aio.CallAutomationClient),
        (sdk.CallConnectionClient, sdk_aio.CallConnectionClient),
    ]
    methods = {name for blocking, _ in clients for name in dir(blocking) if not name.startswith("_")}
    named = {name for entry in ENTRIES for text in texts(entry) for name in re.findall(r"\b[a-z_]+\b", text)} & {
        name for name in methods if "_" in name
    }
    assert {"create_call", "answer_call", "play_media", "hang_up"} <= named
    for name in sorted(named):
        assert [hasattr(blocking, name) == hasattr(aio, name) for blocking, aio in clients] == [True, True], name


def test_no_name_is_that_of_another_sdk() -> None:
    """Neither JavaScript's camelCase nor the request names of the REST interface."""
    wrong = {
        (str(entry.key), name)
        for entry in ENTRIES
        for text in texts(entry)
        for name in FOREIGN.findall(text)
        if not EVENT.fullmatch(name)
    }
    assert wrong == set()


def test_a_status_is_judged_alike_in_every_file() -> None:
    """As a SIP status, as a code where the code means the same, and as the pair with the decoded subcode."""
    same_as_sip = {484, 486, 488, 600, 603, 604, 606, 607, 608}
    judged: dict[int | None, dict[tuple[object, ...], list[str]]] = defaultdict(dict)
    for entry in ENTRIES:
        key = entry.key
        status = key.sip if key.phrase is None else None
        if key.kind == "code" and not key.events and key.scope is None and key.code in same_as_sip:
            status = key.code
        if key.kind == "pair" and key.code is not None and key.subcode == 560_000 + key.code:
            status = key.code
        if status is not None:
            verdict = entry.cause, entry.category, entry.retry, entry.owner
            judged[status].setdefault(verdict, []).append(str(key))
    assert {status: found for status, found in judged.items() if len(found) > 1} == {}


def test_a_mixture_names_its_own_cause_and_is_not_sure() -> None:
    """The row answers with the likeliest of the causes; that it is this one is never certain."""
    mixtures = [entry for entry in ENTRIES if entry.mixture]
    assert len(mixtures) > 10
    assert [str(each.key) for each in mixtures if each.cause not in each.mixture] == []
    assert [str(each.key) for each in mixtures if each.confidence == "high"] == []


PIVOTED = "https://learn.microsoft.com/azure/communication-services/resources/troubleshooting/voice-video-calling/"


def test_a_link_leads_to_the_table_itself() -> None:
    """Microsoft's page has pivots, an RFC has sections: the address names them."""
    pages = [source for source in SOURCES.values() if source.url.startswith(PIVOTED)]
    assert {source.url.partition("?")[2] for source in pages} == {
        "pivots=automation",
        "pivots=callend",
        "pivots=calling",
        "pivots=pstn",
    }
    rfcs = [source for source in SOURCES.values() if "rfc-editor.org" in source.url]
    assert [source.id for source in rfcs if "#section-" not in source.url] == []


@pytest.mark.parametrize("code", [(403, 5221), (403, 5222), (403, 5223), (403, 10151), (412, 10073)])
def test_what_no_table_has_links_to_its_report(code: tuple[int, int]) -> None:
    """A row that rests on somebody's report shows the report."""
    (entry,) = [entry for entry in ENTRIES if (entry.key.code, entry.key.subcode) == code]
    assert re.fullmatch(r"https://github\.com/[^/]+/[^/]+/issues/[0-9]+", entry.documentation)


def test_one_page_is_one_line() -> None:
    """However many editions and tables of it a row cites; the line names each table and each date."""
    page = {"document": "Doc", "url": "https://example.com/", "page": "The page"}
    one = Source(id="a#1", table="first", date="2024", **page)
    two = Source(id="b#1", table="first", date="2025", **page)
    three = Source(id="b#2", table="second", date="2025", **page)
    other = Source(id="c#1", document="Another", table="t", date="2023", url="https://example.org/")
    assert source_lines([one, other, two, three]) == (
        "The page: first (2024, 2025); second (2025)",
        "Another (2023), t",
    )
    assert source_lines([one]) == ("Doc (2024), first",)


def test_no_row_has_more_source_lines_than_a_screen_holds() -> None:
    """Six links of one page looked like six documents."""
    most = max(ENTRIES, key=lambda entry: len(source_lines(entry.sources)))
    assert len(source_lines(most.sources)) <= 5, str(most.key)
