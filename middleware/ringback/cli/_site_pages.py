"""The pages of the catalog as values, which the template of any format can render."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ringback.cli._site_sample import sample_of
from ringback.core.glossary import ACTIONS, CAUSES, OWNERS, RETRIES
from ringback_catalog import Catalog, Cause, Disposition, RetryClass, page_paths, source_lines

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from ringback.cli._site_sample import Sample
    from ringback_catalog import Entry, Key, Source


@dataclass(frozen=True, slots=True)
class Link:
    """A text that leads to a page of the catalog (its path without a suffix), or to an address on the web."""

    text: str
    page: str | None = None
    url: str | None = None

    @property
    def web(self) -> str | None:
        """The address, if its scheme is http or https. A link of another scheme (``javascript``) leads nowhere."""
        return self.url if self.url is not None and re.fullmatch(r"https?://[^\s<>]+", self.url) else None


@dataclass(frozen=True, slots=True)
class Line:
    """An item of a list: some text, or a link with some text after it."""

    link: Link | None
    text: str = ""


@dataclass(frozen=True, slots=True)
class Section:
    """A heading with a text, lines, or ``code`` to copy. ``ordered`` lines are steps. ``key`` is the anchor."""

    key: str
    title: str
    lines: tuple[Line, ...] = ()
    text: str = ""
    ordered: bool = False
    link: Link | None = None
    code: str = ""


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
MOST_RELATED = 8
HOME = Link(TITLE, "index")


def pages(entries: Sequence[Entry]) -> list[Page]:
    """The first page, then a page for every cause that has an entry, then a page for every entry."""
    paths = dict(zip(entries, page_paths(entry.key for entry in entries), strict=True))
    catalog = Catalog(entries)
    by_cause = {cause: [entry for entry in entries if entry.cause is cause] for cause in Cause}
    found = {cause: same for cause, same in by_cause.items() if same}
    return [
        _first(found, paths),
        *(_of_cause(cause, same, paths) for cause, same in found.items()),
        *(_of_entry(entry, paths, catalog) for entry in entries),
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
    by_retry = {retry: [entry for entry in same if entry.retry is retry] for retry in RetryClass}
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
            for retry, group in by_retry.items()
            if group
        ),
    )


def _of_entry(entry: Entry, paths: Mapping[Entry, str], catalog: Catalog) -> Page:
    related = sorted(
        (other for other in paths if other is not entry and _related(entry.key, other.key)),
        key=lambda other: _distance(entry, other),
    )
    sections = [Section("what-to-do", "What to do", tuple(Line(None, step) for step in entry.advice), ordered=True)]
    if entry.note is not None:
        sections.append(Section("disagreement", "Where the documents disagree", text=entry.note))
    sections.append(Section("sources", "Sources", tuple(_sources(entry))))
    sample = sample_of(entry, catalog)
    if sample is not None:
        sections += _to_try(sample)
    if related:
        sections.append(Section("related", "Related codes", _lines(related[:MOST_RELATED], paths)))
    return Page(
        paths[entry],
        name_of(entry.key),
        entry.summary,
        (HOME, Link(entry.cause, f"causes/{entry.cause}")),
        (
            ("Cause", Line(Link(entry.cause, f"causes/{entry.cause}"), CAUSES[entry.cause])),
            ("Call again?", Line(None, f"{RETRIES[entry.retry]} ({entry.disposition}, {entry.retry})")),
            *_again(entry, sample, catalog),
            ("Who acts", Line(None, f"{entry.owner}: {OWNERS[entry.owner]}")),
            ("Category", Line(None, f"{entry.category} ({entry.basis})")),
            ("Confidence", Line(None, entry.confidence)),
        ),
        tuple(sections),
    )


def _again(entry: Entry, sample: Sample | None, catalog: Catalog) -> Iterator[tuple[str, Line]]:
    """The facts about the retry action, which the row or its sample's event decides, and about the least wait."""
    if entry.disposition is not Disposition.RETRYABLE:
        return
    if sample is not None:
        by = "" if entry.retry_action is not None else f" (after {sample.event})"
        action = sample.verdict(catalog).retry_action
        yield "What again", Line(None, f"{action}: {ACTIONS[action]}{by}")
    if entry.retry_after is not None:
        yield "Wait at least", Line(None, str(entry.retry_after))


def _sources(entry: Entry) -> Iterator[Line]:
    """A line for every page of Microsoft that the entry rests on, with the page's tables."""
    by_page: dict[str, list[Source]] = {}
    for source in entry.sources:
        by_page.setdefault(source.page or source.document, []).append(source)
    for page, same in by_page.items():
        if len(same) == 1:
            yield Line(Link(same[0].document, url=same[0].url), f"{same[0].date}, {same[0].table}")
        else:
            (line,) = source_lines(same)
            yield Line(Link(page, url=same[0].url), line.removeprefix(f"{page}: "))


def _to_try(sample: Sample) -> Iterator[Section]:
    yield Section(
        "sample", "A sample event", text="The body of a delivery that gets this answer.", code=sample.delivery()
    )
    command = sample.command()
    if command is not None:
        text = "Post such an event to your app; put the address of your own callback route in."
        yield Section("reproduce", "Reproduce it", text=text, code=command)


def _distance(entry: Entry, other: Entry) -> tuple[bool, bool, bool]:
    """The order of related entries: the same cause comes first, then the same event, then the same pair."""
    key, far = entry.key, other.key
    same_event = key.events == far.events or not key.events or bool(set(key.events) & set(far.events))
    same_pair = (key.code, key.subcode) == (far.code, far.subcode)
    return entry.cause is not other.cause, not same_event, not same_pair


def _related(key: Key, other: Key) -> bool:
    """Whether two keys have the same subcode or code, or one key's subcode has the other key's SIP status."""
    if key.subcode is not None and key.subcode == other.subcode:
        return True
    # Everything that ended well has the code 200.
    if key.code is not None and key.code == other.code and key.code != 200:
        return True
    return _within(key, other) or _within(other, key)


def _within(key: Key, other: Key) -> bool:
    # 560486 is the PSTN's subcode for SIP status 486, 540486 that of an incoming call.
    return key.sip is not None and other.subcode in (560_000 + key.sip, 540_000 + key.sip)


def _lines(entries: Iterable[Entry], paths: Mapping[Entry, str]) -> tuple[Line, ...]:
    return tuple(Line(Link(name_of(entry.key), paths[entry]), entry.summary) for entry in entries)
