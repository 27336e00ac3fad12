"""Counts the lines of a log in one pass and in bounded memory. Pure.

A log's texts are not to be trusted: the tally redacts texts, strips control characters, cuts long texts, and keeps a
bounded number of different texts.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, cast

from msgspec import Struct

from ringback.cli.reading.line import (
    LATEST,
    OUTCOME,
    REMEMBERED,
    Line,
    Reason,
    Reasons,
    Seen,
    Unread,
    Why,
)
from ringback.cli.stats.timeline import Columns, Timeline
from ringback.privacy.redaction import redact
from ringback.privacy.written import visible

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from ringback.cli.reading.frames import Found

MOST_PAIRS = 10_000
MOST_NAMES = 1_000
OTHERS = "(others)"
"""The name of all pairs and names beyond the number that the tally keeps."""

_STEPS = ("scheduled", "placed", "exhausted", "canceled", "unknown")
_LONGEST = 200

Row = tuple[str, str, str]
"""Scope, cause and disposition."""


class Lines(Struct, frozen=True):
    """Numbers of lines, or of an export's rows, without blank lines. The five other numbers add up to ``read``."""

    read: int
    counted: int
    others: int
    """JSON objects that the tally does not count."""
    no_json: int
    """Text that is neither JSON nor a line of Ringback, and JSON that is cut or broken."""
    unreadable: int
    """Lines of Ringback by their name, whose keys are not as documented."""
    out_of_range: int
    """Lines before ``since`` or from ``until`` on, and with either of these bounds the lines without a time."""


class CauseCount(Struct, frozen=True):
    """Outcomes of one scope, cause and disposition. ``share`` is of the scope, 0 to 1; ``series`` is over time."""

    scope: str
    cause: str
    disposition: str
    count: int
    share: float
    series: list[int]


class PairCount(Struct, frozen=True):
    """Outcomes of one code, subcode, scope, cause and disposition; ``share`` is of all outcomes, 0 to 1."""

    code: int | None
    subcode: int | None
    scope: str
    cause: str
    disposition: str
    count: int
    share: float
    summary: str


class Summary(Struct, frozen=True):
    """All counts. Times are ISO 8601 in UTC; ``bucket_seconds`` is the width of a series' column."""

    lines: Lines
    not_read: list[Reason]
    """The reasons for ``no_json`` and ``unreadable``, the most frequent first."""
    first: str | None
    last: str | None
    outcomes: int
    repeated: int
    """Lines whose outcome an earlier line had."""
    bucket_seconds: int
    buckets_from: str | None
    causes: list[CauseCount]
    pairs: list[PairCount]
    different_pairs: int
    deliveries_rejected: dict[str, int]
    """By HTTP status."""
    callbacks_rejected: dict[str, int]
    """By reason, with the suppressed refusals, which had no line of their own."""
    hooks_failed: dict[str, int]
    """By hook."""
    hooks_given_up: int
    """Failures after which the hook is not called again."""
    redials: dict[str, int]


_OTHERS: Row = (OTHERS, OTHERS, OTHERS)


class _Pair(Struct):
    row: Row
    summary: str
    count: int = 0


class Tally:
    """Counts lines from ``since`` on and before ``until``, both in seconds since 1970."""

    def __init__(self, *, since: float | None = None, until: float | None = None, remembered: int = REMEMBERED) -> None:
        self._bounds = None if since is None and until is None else (since or 0.0, LATEST if until is None else until)
        self.held = 0
        """Lines of outcomes until now, with the lines that are repeated or out of the range of time."""
        self._ours = self._others = self._out_of_range = 0
        self._reasons = Reasons()
        self._first, self._last = LATEST, -1.0
        self._seen = Seen(remembered)
        self._repeated = 0
        self._names: dict[tuple[str | None, ...], tuple[str, ...]] = {}
        self._others_of: dict[Row, _Pair] = {}
        self._timeline = Timeline[Row]()
        self._pairs: dict[tuple[int | None, int | None, str | None, str | None, str | None], _Pair] = {}
        self._deliveries: dict[str, int] = {}
        self._callbacks: dict[str, int] = {}
        self._hooks: dict[str, int] = {}
        self._given_up = 0
        self._redials: dict[str, int] = dict.fromkeys(_STEPS, 0)
        self._counted: Mapping[str, Callable[[Line, float | None], None]] = {
            OUTCOME: self._outcome,
            "delivery.rejected": self._delivery,
            "callback.rejected": self._callback,
            "hook.failed": self._hook,
        } | {f"redial.{step}": self._redial for step in _STEPS}

    def count(self, found: Iterable[Found], name: str) -> None:
        """Count what the reader found in the file ``name``. Never raises."""
        bounds = self._bounds
        for line in found:
            if isinstance(line, Unread):
                self._reasons.add(line, name)
            elif not isinstance(line, Line) or (counted := self._counted.get(line.event or "")) is None:
                self._others += 1
            else:
                self.held += line.event == OUTCOME
                second = line.second
                if bounds is not None and (second is None or not bounds[0] <= second < bounds[1]):
                    self._out_of_range += 1
                    continue
                self._ours += 1
                if second is not None and second < self._first:
                    self._first = second
                if second is not None and second > self._last:
                    self._last = second
                counted(line, second)

    def summary(self, columns: int = 48, top: int = 10) -> Summary:
        """The counts until now, with series of at most ``columns`` numbers and the ``top`` pairs."""
        drawn = self._timeline.columns(columns)
        rows: dict[Row, int] = {}
        for pair in (*self._pairs.values(), *self._others_of.values()):
            rows[pair.row] = rows.get(pair.row, 0) + pair.count
        total = sum(rows.values())
        pairs = [(code, subcode, pair) for (code, subcode, *_), pair in self._pairs.items()]
        rest = sum(pair.count for pair in self._others_of.values())
        if rest:
            pairs.append((None, None, _Pair(_OTHERS, "-", rest)))
        pairs.sort(key=lambda row: (-row[2].count, str((row[0], row[1], row[2].row))))
        no_json = self._reasons.count(Why.NO_LINE, Why.BROKEN)
        unreadable = self._reasons.count() - no_json
        read = self._ours + self._others + no_json + unreadable + self._out_of_range
        timed = self._last >= 0
        return Summary(
            lines=Lines(read, self._ours, self._others, no_json, unreadable, self._out_of_range),
            not_read=self._reasons.ranked,
            first=_iso(self._first) if timed else None,
            last=_iso(self._last) if timed else None,
            outcomes=total,
            repeated=self._repeated,
            bucket_seconds=drawn.seconds,
            buckets_from=_iso(drawn.start) if drawn.counts else None,
            causes=_causes(rows, drawn),
            pairs=[
                PairCount(code, subcode, *pair.row, pair.count, _share(pair.count, total), pair.summary)
                for code, subcode, pair in pairs[:top]
            ],
            different_pairs=len(pairs),
            deliveries_rejected=_ranked(self._deliveries),
            callbacks_rejected=_ranked(self._callbacks),
            hooks_failed=_ranked(self._hooks),
            hooks_given_up=self._given_up,
            redials=dict(self._redials),
        )

    def _outcome(self, line: Line, second: float | None) -> None:
        ending = line.ending
        if ending is not None and self._seen.again(ending):
            self._repeated += 1
            return
        # Nearly every line has a known pair, which costs one look-up.
        pair = self._pairs.get((line.code, line.subcode, line.scope, line.cause, line.disposition))
        if pair is None:
            pair = self._paired(line)
        pair.count += 1
        if second is not None:
            self._timeline.add(pair.row, second)

    def _paired(self, line: Line) -> _Pair:
        """A new pair, or the pair for all further pairs of its row if :data:`MOST_PAIRS` pairs are kept."""
        words = (line.scope, line.cause, line.disposition)
        row = cast("Row", self._shown(*words))
        # Cut, since a text may have any length: the pair of a longer text is looked up here for every line.
        scope, cause, disposition = (None if word is None else word[:_LONGEST] for word in words)
        key = (line.code, line.subcode, scope, cause, disposition)
        if key not in self._pairs and len(self._pairs) >= MOST_PAIRS:
            return self._others_of.setdefault(row, _Pair(row, ""))
        return self._pairs.setdefault(key, _Pair(row, _clean(line.summary)))

    def _delivery(self, line: Line, _: float | None) -> None:
        self._add(self._deliveries, None if line.status is None else str(line.status))

    def _callback(self, line: Line, _: float | None) -> None:
        self._add(self._callbacks, line.reason, 1 + max(0, line.suppressed))

    def _hook(self, line: Line, _: float | None) -> None:
        self._add(self._hooks, line.hook)
        self._given_up += line.retry_in_seconds is None

    def _redial(self, line: Line, _: float | None) -> None:
        self._redials[str(line.event).removeprefix("redial.")] += 1

    def _add(self, counts: dict[str, int], name: str | None, number: int = 1) -> None:
        (known,) = self._shown(name)
        counts[known] = counts.get(known, 0) + number

    def _shown(self, *texts: str | None) -> tuple[str, ...]:
        """The texts as the page may show them; :data:`OTHERS` for all texts beyond :data:`MOST_NAMES`."""
        known = self._names.get(texts)
        if known is None:
            if len(self._names) >= MOST_NAMES:
                return (OTHERS,) * len(texts)
            cut = tuple(None if text is None else text[:_LONGEST] for text in texts)
            known = self._names[cut] = tuple(map(_clean, cut))
        return known


def _causes(rows: Mapping[Row, int], drawn: Columns[Row]) -> list[CauseCount]:
    totals: dict[str, int] = {}
    for (scope, _, _), number in rows.items():
        totals[scope] = totals.get(scope, 0) + number
    ranked = sorted(rows.items(), key=lambda item: (item[0][0], -item[1], item[0]))
    return [
        CauseCount(*row, number, _share(number, totals[row[0]]), drawn.counts.get(row, [])) for row, number in ranked
    ]


def _iso(second: float) -> str:
    return datetime.fromtimestamp(second, UTC).isoformat(timespec="milliseconds" if second % 1 else "seconds")


def _clean(text: str | None) -> str:
    """The text on one line, with nothing private and nothing that a terminal would obey."""
    return visible(redact(text or "-")[:_LONGEST])


def _share(part: int, whole: int) -> float:
    return round(part / whole, 4)


def _ranked(counts: dict[str, int]) -> dict[str, int]:
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))
