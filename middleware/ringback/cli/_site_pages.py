"""What the pages of the catalog say: entries to pages as values, for any format to write."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING

from ringback.cli._page import OWNERS
from ringback_catalog import Cause, Disposition, RetryClass, page_paths

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from ringback_catalog import Entry, Key

CAUSES = {
    Cause.ENDED: "The call ended as calls do.",
    Cause.HUNG_UP: "A participant hung up.",
    Cause.REMOVED: "A participant was taken out of the call on purpose.",
    Cause.TRANSFERRED: "The call went on elsewhere.",
    Cause.CANCELED: "The caller withdrew the call, or the app its operation.",
    Cause.ANSWERED_ELSEWHERE: "Another device or endpoint took the call.",
    Cause.SUCCEEDED: "An operation within a call did what it should.",
    Cause.BUSY: "The callee was on another call.",
    Cause.NO_ANSWER: "It rang, and nobody answered.",
    Cause.DECLINED: "A person refused the call.",
    Cause.UNREACHABLE: "The callee, or a device of theirs, could not be reached.",
    Cause.INVALID_NUMBER: "The number cannot be dialed as it is.",
    Cause.NOT_FOUND: "What was asked for does not exist, or does not exist any more.",
    Cause.BLOCKED: "Somebody on the way blocks such calls.",
    Cause.UNAUTHENTICATED: "The service does not know who asks: a token or a key is missing, old or wrong.",
    Cause.FORBIDDEN: "The service knows who asks, and does not allow it.",
    Cause.MISCONFIGURED: "A resource, a number or a Session Border Controller is not set up for it.",
    Cause.BAD_REQUEST: "The request itself is wrong.",
    Cause.UNSUPPORTED: "The service or the other side cannot do this.",
    Cause.CONFLICT: "Two requests were in each other's way, or the call was in another state.",
    Cause.THROTTLED: "There were too many requests at once.",
    Cause.LIMIT_REACHED: "A limit on calls, participants or time was reached.",
    Cause.CLIENT_NETWORK: "The participant's own network failed.",
    Cause.MEDIA: "Sound or picture could not be set up, kept up or played.",
    Cause.TIMEOUT: "Something took longer than it may.",
    Cause.SERVICE_ERROR: "The service failed on its own side.",
    Cause.CARRIER_ERROR: "The telephone network failed.",
    Cause.UNREPORTED: "The event carried no result at all.",
    Cause.UNKNOWN: "No source says what this means.",
}
"""Each cause in a sentence."""

RETRIES = {
    RetryClass.NONE: "no: it ended as intended",
    RetryClass.NOW: "yes, at once",
    RetryClass.LATER: "yes, after some time",
    RetryClass.AFTER_FIX: "not before something is put right",
    RetryClass.NEVER: "no, never",
}


@dataclass(frozen=True, slots=True)
class Link:
    """A text that leads to a page of ours, by its path without a suffix, or to an address on the web."""

    text: str
    page: str | None = None
    url: str | None = None


@dataclass(frozen=True, slots=True)
class Line:
    """An item of a list: some text, or a link with some text after it."""

    link: Link | None
    text: str = ""


@dataclass(frozen=True, slots=True)
class Section:
    """A heading with what stands below it. ``ordered`` items are steps. ``key`` is the heading's anchor."""

    key: str
    title: str
    lines: tuple[Line, ...] = ()
    text: str = ""
    ordered: bool = False
    link: Link | None = None


@dataclass(frozen=True, slots=True)
class Page:
    """One page: its path below the folder without a suffix, its title, one sentence, facts by name, sections.

    ``above`` leads from the first page to this one. ``searched`` pages get a search box for their lines.
    """

    path: str
    title: str
    lead: str
    above: tuple[Link, ...] = ()
    facts: tuple[tuple[str, Line], ...] = ()
    sections: tuple[Section, ...] = ()
    searched: bool = False


TITLE = "The Ringback catalog"
HOME = Link(TITLE, "index")


def pages(entries: Sequence[Entry]) -> list[Page]:
    """The first page, one for each cause that has an entry, one for each entry; in this order."""
    paths = dict(zip(entries, page_paths(entry.key for entry in entries), strict=True))
    by_cause = {cause: [entry for entry in entries if entry.cause is cause] for cause in Cause}
    found = {cause: same for cause, same in by_cause.items() if same}
    return [
        _first(found, paths),
        *(_of_cause(cause, same, paths) for cause, same in found.items()),
        *(_of_entry(entry, paths) for entry in entries),
    ]


def name_of(key: Key) -> str:
    """The key as a heading: ``486/560486``, ``CreateCallFailed 403/510403``, ``SIP 486``."""
    name = {
        "pair": f"{key.code}/{key.subcode}",
        "code": f"Code {key.code}",
        "range": f"Codes {key.codes}",
        "subcode": f"Subcode {key.subcode}",
        "pattern": f"Subcodes {key.pattern}",
        "sip": f"SIP {key.sip}" + (f" “{key.phrase}”" if key.phrase else ""),
        "q850": f"Q.850 {key.q850}",
        "special": f"Result {key.special}",
    }[key.kind]
    return " ".join(filter(None, [" or ".join(key.events), "operation" if key.scope else "", name]))


def _first(causes: Mapping[Cause, Sequence[Entry]], paths: Mapping[Entry, str]) -> Page:
    overview = [
        Line(Link(cause, f"causes/{cause}"), f"{CAUSES[cause]} ({len(same)})") for cause, same in causes.items()
    ]
    return Page(
        "index",
        TITLE,
        "Why a call of Azure Communication Services ended, and whether to call again: "
        f"{sum(map(len, causes.values()))} reviewed entries by cause.",
        sections=(
            Section("causes", "Causes", tuple(overview)),
            *(
                Section(
                    f"cause-{cause}", cause, _lines(same, paths), CAUSES[cause], link=Link(cause, f"causes/{cause}")
                )
                for cause, same in causes.items()
            ),
        ),
        searched=True,
    )


def _of_cause(cause: Cause, same: Sequence[Entry], paths: Mapping[Entry, str]) -> Page:
    retryable = sum(entry.disposition is Disposition.RETRYABLE for entry in same)
    owners = [owner for owner in OWNERS if any(entry.owner is owner for entry in same)]
    return Page(
        f"causes/{cause}",
        cause,
        CAUSES[cause],
        (HOME,),
        (
            ("Entries", Line(None, str(len(same)))),
            ("Worth another call", Line(None, f"{retryable} of {len(same)}")),
            ("Who acts", Line(None, ", ".join(owners))),
        ),
        tuple(
            Section(retry, f"Call again? {RETRIES[retry].capitalize()}", _lines(group, paths))
            for retry, group in _grouped(same)
        ),
    )


def _grouped(same: Sequence[Entry]) -> list[tuple[RetryClass, list[Entry]]]:
    order = list(RetryClass)
    ordered = sorted(same, key=lambda entry: order.index(entry.retry))
    return [(retry, list(group)) for retry, group in groupby(ordered, lambda entry: entry.retry)]


def _of_entry(entry: Entry, paths: Mapping[Entry, str]) -> Page:
    related = [other for other in paths if other is not entry and _related(entry.key, other.key)]
    sections = [
        Section("what-to-do", "What to do", tuple(Line(None, step) for step in entry.advice), ordered=True),
        Section(
            "sources",
            "Sources",
            tuple(
                Line(Link(source.document, url=source.url), f"{source.date}, {source.table}")
                for source in entry.sources
            ),
        ),
    ]
    if entry.note is not None:
        sections.insert(1, Section("disagreement", "Where the documents disagree", text=entry.note))
    if related:
        sections.append(Section("related", "Related codes", _lines(related, paths)))
    return Page(
        paths[entry],
        name_of(entry.key),
        entry.summary,
        (HOME, Link(entry.cause, f"causes/{entry.cause}")),
        (
            ("Cause", Line(Link(entry.cause, f"causes/{entry.cause}"), CAUSES[entry.cause])),
            ("Call again?", Line(None, f"{RETRIES[entry.retry]} ({entry.disposition}, {entry.retry})")),
            ("Who acts", Line(None, f"{entry.owner}: {OWNERS[entry.owner]}")),
            ("Category", Line(None, f"{entry.category} ({entry.basis})")),
            ("Confidence", Line(None, entry.confidence)),
        ),
        tuple(sections),
    )


def _related(key: Key, other: Key) -> bool:
    """Whether a reader of one wants the other: the same subcode, the same code, or the SIP status in the subcode."""
    if key.subcode is not None and key.subcode == other.subcode:
        return True
    # 200 is the code of everything that ended well.
    if key.code is not None and key.code == other.code and key.code != 200:
        return True
    return _within(key, other) or _within(other, key)


def _within(key: Key, other: Key) -> bool:
    # 560486 is the PSTN's subcode for SIP status 486, 540486 that of an incoming call.
    return key.sip is not None and other.subcode in (560_000 + key.sip, 540_000 + key.sip)


def _lines(entries: Iterable[Entry], paths: Mapping[Entry, str]) -> tuple[Line, ...]:
    return tuple(Line(Link(name_of(entry.key), paths[entry]), entry.summary) for entry in entries)
