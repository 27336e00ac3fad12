"""A log counted: what the lines of a JSON log add up to, in one pass and in bounded memory. Pure.

Most lines of a log are not ours. Two searches for bytes tell which may be; only those are decoded, and only
the keys that are counted. What a log says is not to be trusted: texts are redacted, stripped of control
characters and cut, and the number of different ones is bounded.
"""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, cast

from msgspec import DecodeError, Struct
from msgspec.json import Decoder

from ringback.events import Number  # noqa: TC001 - msgspec reads annotations
from ringback.redaction import redact
from ringback.timeline import Columns, Timeline

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

REMEMBERED = 65_536
"""Endings that are surely known again when their line is repeated; up to twice as many are held."""

MOST_PAIRS = 10_000
MOST_NAMES = 1_000
OTHERS = "(others)"
"""What is counted beyond the number of different pairs and names that are kept."""

_STEPS = ("scheduled", "placed", "exhausted", "canceled", "unknown")
_LONGEST = 200
_LATEST = datetime(9999, 1, 1, tzinfo=UTC).timestamp()

Row = tuple[str, str, str]
"""Scope, cause and disposition."""


class Line(Struct, gc=False, rename={"at_timestamp": "@timestamp"}):
    """The keys of a line that are counted, under the names that structlog and logging set-ups give them."""

    event: str | None = None
    msg: str | None = None
    message: str | None = None
    timestamp: str | float | None = None
    time: str | float | None = None
    ts: str | float | None = None
    at_timestamp: str | float | None = None
    occurred_at: str | None = None
    outcome_id: str | None = None
    scope: str | None = None
    code: Number | None = None
    subcode: Number | None = None
    cause: str | None = None
    disposition: str | None = None
    summary: str | None = None
    status: Number | None = None
    reason: str | None = None
    suppressed: Number = 0
    hook: str | None = None
    retry_in_seconds: float | None = None


class Lines(Struct, frozen=True):
    """What became of the lines, blank ones apart: the five others add up to ``read``."""

    read: int
    counted: int
    others: int
    """JSON objects that say nothing that is counted here."""
    no_json: int
    unreadable: int
    """Ours by their name, but with values of another type than the documented one."""
    out_of_range: int
    """Not between ``since`` and ``until``, or without a time when one of them is given."""


class CauseCount(Struct, frozen=True):
    """Endings of one cause and disposition. ``share`` is of their scope, 0 to 1; ``series`` is over time."""

    scope: str
    cause: str
    disposition: str
    count: int
    share: float
    series: list[int]


class PairCount(Struct, frozen=True):
    """Endings with one code and subcode that had one cause; ``share`` is of all outcomes, 0 to 1."""

    code: int | None
    subcode: int | None
    scope: str
    cause: str
    disposition: str
    count: int
    share: float
    summary: str


class Summary(Struct, frozen=True):
    """All that was counted. Times are ISO 8601 in UTC; ``bucket_seconds`` is the width of a column of a series."""

    lines: Lines
    first: str | None
    last: str | None
    outcomes: int
    repeated: int
    """Lines of outcomes that had been counted before."""
    bucket_seconds: int
    buckets_from: str | None
    causes: list[CauseCount]
    pairs: list[PairCount]
    different_pairs: int
    deliveries_rejected: dict[str, int]
    """By HTTP status."""
    callbacks_rejected: dict[str, int]
    """By reason, with those that had no line of their own."""
    hooks_failed: dict[str, int]
    """By hook."""
    hooks_given_up: int
    """Failures after which the hook is not called again."""
    redials: dict[str, int]


class _Pair(Struct):
    summary: str
    count: int = 0


class Tally:
    """Counts lines. ``since`` and ``until`` are seconds since 1970: from the first on, and before the second."""

    def __init__(self, *, since: float | None = None, until: float | None = None, remembered: int = REMEMBERED) -> None:
        self._bounds = None if since is None and until is None else (since or 0.0, _LATEST if until is None else until)
        self._ours = self._others = self._no_json = self._unreadable = self._out_of_range = 0
        self._first, self._last = _LATEST, -1.0
        self._seen = _Seen(remembered)
        self._repeated = 0
        self._names: dict[tuple[str | None, ...], tuple[str, ...]] = {}
        self._rows: dict[Row, int] = {}
        self._timeline = Timeline[Row]()
        self._pairs: dict[tuple[int | None, int | None, Row], _Pair] = {}
        self._deliveries: dict[str, int] = {}
        self._callbacks: dict[str, int] = {}
        self._hooks: dict[str, int] = {}
        self._given_up = 0
        self._redials: dict[str, int] = dict.fromkeys(_STEPS, 0)
        self._counted: dict[str, Callable[[Line, float | None], None]] = {
            "call.outcome": self._outcome,
            "delivery.rejected": self._delivery,
            "callback.rejected": self._callback,
            "hook.failed": self._hook,
        } | {f"redial.{step}": self._redial(step) for step in self._redials}

    def count(self, lines: Iterable[bytes]) -> None:
        """Count these lines, without their ends. Never raises, whatever they are."""
        others = 0
        for line in lines:
            # Every line of an outcome, a hook or a redial has the one, every refusal the other.
            if b'outcome_id"' in line or b'rejected"' in line:
                self._look_at(line)
            elif line and line[0] == 123 and line[-1] == 125:
                others += 1
            else:
                self._judge(line.strip())
        self._others += others

    def summary(self, columns: int = 48, top: int = 10) -> Summary:
        """What was counted until now, with series of at most ``columns`` numbers and the ``top`` pairs."""
        drawn = self._timeline.columns(columns)
        total = sum(self._rows.values())
        pairs = sorted(self._pairs.items(), key=lambda each: (-each[1].count, str(each[0])))
        read = self._ours + self._others + self._no_json + self._unreadable + self._out_of_range
        timed = self._last >= 0
        return Summary(
            lines=Lines(read, self._ours, self._others, self._no_json, self._unreadable, self._out_of_range),
            first=_iso(self._first) if timed else None,
            last=_iso(self._last) if timed else None,
            outcomes=total,
            repeated=self._repeated,
            bucket_seconds=drawn.seconds,
            buckets_from=_iso(drawn.start) if drawn.counts else None,
            causes=self._causes(drawn),
            pairs=[
                PairCount(code, subcode, *row, pair.count, _share(pair.count, total), pair.summary)
                for (code, subcode, row), pair in pairs[:top]
            ],
            different_pairs=len(pairs),
            deliveries_rejected=_ranked(self._deliveries),
            callbacks_rejected=_ranked(self._callbacks),
            hooks_failed=_ranked(self._hooks),
            hooks_given_up=self._given_up,
            redials=dict(self._redials),
        )

    def _causes(self, drawn: Columns[Row]) -> list[CauseCount]:
        totals: dict[str, int] = {}
        for (scope, _, _), number in self._rows.items():
            totals[scope] = totals.get(scope, 0) + number
        ranked = sorted(self._rows.items(), key=lambda each: (each[0][0], -each[1], each[0]))
        return [
            CauseCount(*row, number, _share(number, totals[row[0]]), drawn.counts.get(row, []))
            for row, number in ranked
        ]

    def _judge(self, line: bytes) -> None:
        if line:
            if line[0] == 123 and line[-1] == 125:
                self._others += 1
            else:
                self._no_json += 1

    def _look_at(self, line: bytes) -> None:
        try:
            said = _decode(line)
        except _FAULTS:
            found = self._second_look(line)
            if found is None:
                return
            said = found
        counted = self._counted.get(said.event or said.msg or said.message or "")
        if counted is None:
            self._others += 1
            return
        second = _second_of(said)
        if self._bounds is not None and (second is None or not self._bounds[0] <= second < self._bounds[1]):
            self._out_of_range += 1
            return
        self._ours += 1
        if second is not None:
            if second < self._first:
                self._first = second
            if second > self._last:
                self._last = second
        counted(said, second)

    def _second_look(self, line: bytes) -> Line | None:
        """The line without the words that Docker Compose or syslog put before it; if it is none, it is counted."""
        line = line[max(0, line.find(b"{")) :]
        with suppress(*_FAULTS):
            return _decode(line)
        content: Any = None
        with suppress(*_FAULTS):
            content = _decode_any(line)
        if not isinstance(content, dict):
            self._no_json += 1
        elif cast("dict[str, object]", content).get("event") in list(self._counted):
            self._unreadable += 1
        else:
            self._others += 1
        return None

    def _outcome(self, said: Line, second: float | None) -> None:
        if said.outcome_id is not None and self._seen.again(said.outcome_id):
            self._repeated += 1
            return
        row = cast("Row", self._named(said.scope, said.cause, said.disposition))
        self._rows[row] = self._rows.get(row, 0) + 1
        if second is not None:
            self._timeline.add(row, second)
        key = (said.code, said.subcode, row)
        pair = self._pairs.get(key)
        if pair is None:
            if len(self._pairs) >= MOST_PAIRS:
                key = (None, None, (OTHERS, OTHERS, OTHERS))
            pair = self._pairs.setdefault(key, _Pair(_clean(said.summary)))
        pair.count += 1

    def _delivery(self, said: Line, _: float | None) -> None:
        self._add(self._deliveries, None if said.status is None else str(said.status))

    def _callback(self, said: Line, _: float | None) -> None:
        self._add(self._callbacks, said.reason, 1 + max(0, said.suppressed))

    def _hook(self, said: Line, _: float | None) -> None:
        self._add(self._hooks, said.hook)
        self._given_up += said.retry_in_seconds is None

    def _redial(self, step: str) -> Callable[[Line, float | None], None]:
        def counted(_: Line, __: float | None) -> None:
            self._redials[step] += 1

        return counted

    def _add(self, counts: dict[str, int], name: str | None, number: int = 1) -> None:
        (known,) = self._named(name)
        counts[known] = counts.get(known, 0) + number

    def _named(self, *texts: str | None) -> tuple[str, ...]:
        """The texts as they may be shown; the same for all beyond the number that is kept."""
        known = self._names.get(texts)
        if known is None:
            if len(self._names) >= MOST_NAMES:
                return (OTHERS,) * len(texts)
            cut = tuple(None if each is None else each[:_LONGEST] for each in texts)
            known = self._names[cut] = tuple(map(_clean, cut))
        return known


class _Seen:
    """Ids that came lately. In two halves, so that the older one is forgotten at once and at no cost."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._young: set[str] = set()
        self._old: set[str] = set()

    def again(self, name: str) -> bool:
        """Whether it came before; it is remembered from now on."""
        name = name[:_LONGEST]
        if name in self._young:
            return True
        known = name in self._old
        self._young.add(name)
        if len(self._young) >= self._most:
            self._old, self._young = self._young, set()
        return known


def second_of(text: str) -> float | None:
    """An ISO 8601 time as seconds since 1970; without an offset it is read as UTC. ``None`` if it is no such time."""
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        return None
    second = (time.replace(tzinfo=UTC) if time.tzinfo is None else time).timestamp()
    return second if 0 <= second < _LATEST else None


def _second_of(said: Line) -> float | None:
    stamp = said.timestamp
    if stamp is None:
        stamps = (said.time, said.ts, said.at_timestamp, said.occurred_at)
        stamp = next((each for each in stamps if each is not None), None)
    if isinstance(stamp, str):
        return second_of(stamp)
    if stamp is None:
        return None
    # Who counts the time in milliseconds is far in the future otherwise.
    second = stamp / 1000 if stamp > 1e11 else float(stamp)
    return second if 0 <= second < _LATEST else None


def _iso(second: float) -> str:
    return datetime.fromtimestamp(second, UTC).isoformat(timespec="milliseconds" if second % 1 else "seconds")


def _clean(text: str | None) -> str:
    """On one line, with nothing private and nothing that a terminal would obey."""
    shown = redact(text or "-")[:_LONGEST]
    return shown if shown.isprintable() else "".join(each if each.isprintable() else "?" for each in shown)


def _share(part: int, whole: int) -> float:
    return round(part / whole, 4)


def _ranked(counts: dict[str, int]) -> dict[str, int]:
    return dict(sorted(counts.items(), key=lambda each: (-each[1], each[0])))


_FAULTS = (DecodeError, UnicodeDecodeError, RecursionError)
_decode = Decoder(Line).decode
_decode_any = Decoder().decode
