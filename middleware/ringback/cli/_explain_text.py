"""The text that ``ringback explain`` prints for one outcome."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from ringback.cli._screen import bold, cut, many, pair, wants_style, wrapped
from ringback.core.glossary import ACTIONS, MATCHED, OWNERS, REFINED
from ringback.privacy.redaction import redact
from ringback_catalog import PREFIX, Catalog, Match, RetryAction, source_lines

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from ringback.core.outcome import Outcome
    from ringback_catalog import Entry


MOST = 20
"""Lines of a page in a terminal of 80 columns or more, for any code and subcode."""

_DISPENSABLE = ("read as", "carrier", "event")
"""Facts that a page leaves out, the first one first, where the advice is long. The reader has typed these facts."""


def page(outcome: Outcome, catalog: Catalog, width: int, *, whole: bool = False) -> Iterator[str]:
    """The lines of the page, none wider than ``width`` but for the link.

    Every page has the verdict, the facts, the steps to take and the link. The sources have a line each, as many as
    :data:`MOST` lines allow. A ``whole`` page has all sources in full, and the note on where documents disagree.
    """
    verdict = f"{outcome.disposition} ({outcome.retry_class})"
    parts = [pair(outcome.code, outcome.subcode), outcome.cause, verdict]
    headline = ["  ".join(parts)] if len("  ".join(parts)) <= width else parts
    style = "1;32" if outcome.retryable else "1"
    steps = [
        line
        for number, step in enumerate(outcome.advice, start=1)
        for line in wrapped(step, width, f"  {number}. ", " " * 5)
    ]
    head = [_styled(line, style) for line in headline] + wrapped(outcome.summary, width)
    known = list(_facts(outcome, catalog))
    to_do = [_styled("What to do", "1"), *steps]
    # In one line of any length: a person cannot open a link that is broken over two lines.
    link = [outcome.documentation]
    sources = source_lines(outcome.verdict.entry.sources)
    if whole:
        documents = _documents(outcome, sources, width)
        yield from _apart([head, _aligned(known, width), to_do, *documents, link])
        return
    room = MOST - len(head) - len(to_do) - len(link)
    for name in _DISPENSABLE:
        if len(_aligned(known, width)) > room:
            known = [fact for fact in known if fact[0] != name]
    block = _aligned(known, width)
    rest = list(_in_short(sources, room - len(block), width, more=outcome.verdict.entry.note is not None))
    yield from _apart([part for part in (head, block, to_do, rest, link) if part], MOST)


def _aligned(known: Iterable[tuple[str, str]], width: int) -> list[str]:
    return [line for name, text in known for line in wrapped(redact(text), width, f"  {name:<12}", " " * 14)]


def _documents(outcome: Outcome, sources: Iterable[str], width: int) -> Iterator[list[str]]:
    """The note on where the documents disagree, and the documents."""
    note = outcome.verdict.entry.note
    if note is not None:
        yield [_styled("Where the documents disagree", "1"), *wrapped(note, width, "  ", "  ")]
    lines = [line for source in sources for line in wrapped(source, width, "  - ", "    ")]
    yield [_styled("Sources", "1"), *lines]


def _in_short(sources: Sequence[str], room: int, width: int, *, more: bool) -> Iterator[str]:
    """The sources, at most ``room`` lines. Where sources or the note are missing, the last line says so."""
    # The words in brackets after a page's name leave their columns to the page's tables.
    lines = [cut(f"  source      {re.sub(r' [(][^)]*[)]:', ':', source)}", width) for source in sources]
    if len(lines) <= room and not more and not any(line.endswith("...") for line in lines):
        yield from lines
        return
    kept = lines[: max(0, room - 1)]
    yield from kept
    if room > 0:
        left = len(sources) - len(kept)
        missing = [many(left, "more source")] if left else []
        missing += ["where documents disagree"] if more else []
        yield cut(f"  --sources   {', '.join(missing) or 'the sources in full'}", width)


def _apart(blocks: Sequence[Sequence[str]], most: int | None = None) -> Iterator[str]:
    """The lines of the blocks. A blank line parts two blocks as long as ``most`` lines have room for blank lines."""
    blanks = len(blocks) if most is None else most - sum(map(len, blocks))
    for number, block in enumerate(blocks):
        if 0 < number <= blanks:
            yield ""
        yield from block


def _facts(outcome: Outcome, catalog: Catalog) -> Iterator[tuple[str, str]]:
    scope = "the end of a call" if outcome.ends_call else "an operation within a call"
    yield "call again", _again(outcome)
    yield "event", f"{outcome.event_name}, {scope}" if outcome.event_name else f"any: read as {scope}"
    details = {"SIP": outcome.sip, "Q.850": outcome.q850}
    reported = ", ".join(f"{name} {detail.code}" for name, detail in details.items() if detail is not None)
    if reported:
        yield "carrier", reported
    if outcome.status_details is not None:
        yield "status", outcome.status_details
    yield "category", f"{outcome.category} ({outcome.category_basis}), confidence {outcome.confidence}"
    yield "owner", f"{outcome.owner}: {OWNERS[outcome.owner]}"
    # The entry of the key itself, before a carrier's detail refined the answer.
    found = catalog.look_up(outcome.event_type or None, outcome.code, outcome.subcode)
    yield "matched by", f"{outcome.match}: {_matched(outcome, found.entry)}"
    if outcome.refined_by is not None:
        yield "refined by", f"{outcome.refined_by}: {REFINED[outcome.refined_by]}"
    if outcome.unheard is not None:
        yield "not heard", f"{outcome.unheard}: your override has the last word, unless it says refine = true"
    yield "row", _row(outcome.verdict.entry)
    read_as = _read_as(outcome, found.entry)
    if read_as:
        yield "read as", read_as


def _again(outcome: Outcome) -> str:
    """The retry action, with the least time to wait before it."""
    if not outcome.retryable:
        return f"no (retry_action {outcome.retry_action})"
    if outcome.retry_after is None:
        return f"{outcome.retry_action}: {ACTIONS[outcome.retry_action]}"
    decides = " (a person decides)" if outcome.retry_action is RetryAction.CALL_BACK else ""
    least, comma, growth = str(outcome.retry_after).partition(",")
    return f"{outcome.retry_action}{decides} in {least} or more{comma}{growth}"


def _row(entry: Entry) -> str:
    """The row that answered: the key of the catalog's row, or the override that changed or added the row."""
    if not entry.overrides:
        return str(entry.key)
    # Who says when to call again has judged the whole result. Of any other override, the details leave what it states.
    states = f", which states {', '.join(entry.stated)}" if entry.stated and not entry.is_last_word else ""
    return f"override {entry.overrides[-1]}{states}"


def _matched(outcome: Outcome, found: Entry) -> str:
    if found.key.pattern is not None:
        return f"the family {found.key.pattern} of the subcode"
    if found.key.codes is not None:
        return f"only the range {found.key.codes} of the code; neither code nor subcode is listed"
    unlisted = outcome.match is Match.CODE and outcome.subcode is not None
    return MATCHED[outcome.match] + ("; the subcode is not listed" if unlisted else "")


def _read_as(outcome: Outcome, found: Entry) -> str:
    """The key in the catalog's spelling if the reader gave an alias, else an empty text."""
    given = outcome.event_type.strip()
    short = given[len(PREFIX) :] if given.lower().startswith(PREFIX.lower()) else given
    renamed = outcome.event_name if short.lower() != outcome.event_name.lower() else ""
    key = found.key
    # Code 0 is an alias of 200, which matters only where the catalog looks at the subcode as well.
    paired = key.code is not None and key.subcode is not None
    respelled = paired and (key.code, key.subcode) != (outcome.code, outcome.subcode)
    return " ".join(filter(None, [renamed, pair(key.code, key.subcode) if respelled else ""]))


def _styled(text: str, style: str) -> str:
    return bold(text, styled=wants_style(), style=style)
