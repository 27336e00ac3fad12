"""The hours in which a contact may be called, by day of the week, on the clock of the contact's zone. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, time, timedelta
from typing import TypeAlias, cast

from msgspec import Struct

from ringback.exceptions import ConfigurationError

_WEEK = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
DAYS = tuple(day[:3] for day in _WEEK)
_NUMBERS = {name: number for number, day in enumerate(_WEEK) for name in (day, day[:3])}

Pair: TypeAlias = "tuple[str | time, str | time]"
"""From when until when, such as ``("09:00", "20:00")``. The end does not belong to the pair; ``"24:00"`` is one."""

HoursSetting: TypeAlias = "Pair | Mapping[str, Pair | Sequence[Pair]]"
"""A pair for every day; or pairs by day, such as ``{"mon-fri": ("09:00", "20:00"), "sat": ("10:00", "14:00")}``."""

_MIDNIGHT = 86_400
_REMEDY = 'write a pair such as ("09:00", "20:00"), or pairs by day such as {"mon-fri": ("09:00", "20:00")}'


class Hours(Struct, frozen=True):
    """The open times of the seven days from Monday: pairs of seconds since midnight, in order and apart."""

    days: tuple[tuple[tuple[int, int], ...], ...]

    def closed_until(self, local: datetime) -> datetime | None:
        """The next time on this naive wall clock that is open; ``None`` if ``local`` is open."""
        for ahead in range(8):
            midnight = datetime.combine(local.date() + timedelta(days=ahead), time.min)
            now = (local - midnight).total_seconds()
            for start, end in self.days[midnight.weekday()]:
                if now < end:
                    return midnight + timedelta(seconds=start) if now < start else None
        raise AssertionError("hours without an open time are refused")  # pragma: no cover - see `hours_of`


def hours_of(setting: object) -> Hours:
    """Reads a setting of hours. Raises :class:`ConfigurationError` for days and times that cannot work."""
    if isinstance(setting, Hours):
        return setting
    by_day = cast("Mapping[object, object]", setting) if isinstance(setting, Mapping) else {"mon-sun": setting}
    read = {days: (_days(days), _pairs(pairs)) for days, pairs in by_day.items()}
    _refuse_twice({days: numbers for days, (numbers, _) in read.items()})
    hours = _week([(number, pair) for numbers, pairs in read.values() for number in numbers for pair in pairs])
    if not any(hours.days):
        raise ConfigurationError(f"redial: hours {setting!r} leave no time to call; {_REMEDY}, or None for any hour")
    return hours


def outside(quiet: object) -> Hours:
    """The hours that a pair of quiet hours, such as ``("21:00", "08:00")``, leaves open every day."""
    start, end = _pair(quiet, "quiet_hours")
    if end - start == _MIDNIGHT:
        raise ConfigurationError(f"redial: quiet_hours {quiet!r} leave no time to call; {_REMEDY}")
    return _week([(number, (end % _MIDNIGHT, start)) for number in range(7)])


def _week(pairs: Sequence[tuple[int, tuple[int, int]]]) -> Hours:
    opened: list[list[tuple[int, int]]] = [[] for _ in DAYS]
    for number, (start, end) in pairs:
        if start < end:
            opened[number].append((start, end))
        else:
            # The pair goes over midnight.
            opened[number].append((start, _MIDNIGHT))
            opened[(number + 1) % 7].append((0, end))
    return Hours(tuple(_apart(day) for day in opened))


def _days(named: object) -> Sequence[int]:
    numbers: list[int] = []
    for part in named.lower().replace(" ", "").split(",") if isinstance(named, str) else [""]:
        try:
            first, *last = (_NUMBERS[name] for name in part.split("-", 1))
        except KeyError:
            raise ConfigurationError(
                f'redial: hours name {named!r}, which is no day; write {", ".join(DAYS)}, "mon-fri" or "sat, sun"'
            ) from None
        days = (last[0] - first) % 7 if last else 0
        numbers += [(first + day) % 7 for day in range(days + 1)]
    return numbers


def _refuse_twice(named: Mapping[object, Sequence[int]]) -> None:
    """Nobody knows whether the times of ``wed`` beside ``mon-fri`` are to replace the others or to join them."""
    first: dict[int, object] = {}
    for days, numbers in named.items():
        for number in numbers:
            if first.setdefault(number, days) != days:
                raise ConfigurationError(
                    f"redial: hours name {DAYS[number]} in {first[number]!r} and in {days!r}; name each day in one "
                    'key, such as {"mon-tue, thu-fri": ("09:00", "20:00"), "wed": ("10:00", "11:00")}'
                )


def _pairs(given: object) -> Sequence[tuple[int, int]]:
    pairs = cast("Sequence[object]", given) if isinstance(given, tuple | list) else [given]
    if any(isinstance(part, str | time) for part in pairs):
        pairs = [pairs]
    return [_pair(pair) for pair in pairs]


def _pair(pair: object, setting: str = "hours") -> tuple[int, int]:
    try:
        clocks = cast("Sequence[object]", pair) if isinstance(pair, tuple | list) else ()
        start, end = (_second(clock) for clock in clocks)
    except (TypeError, ValueError):
        raise ConfigurationError(f"redial: {setting} {pair!r} are no pair of times of day; {_REMEDY}") from None
    if start in (end, _MIDNIGHT):
        raise ConfigurationError(f"redial: {setting} {pair!r} have no time between them; {_REMEDY}")
    return start, end


def _second(clock: object) -> int:
    if clock == "24:00":
        return _MIDNIGHT
    told = clock if isinstance(clock, time) else time.fromisoformat(cast("str", clock))
    if told.tzinfo is not None:
        raise ValueError("a time of day with a zone")
    return told.hour * 3600 + told.minute * 60 + told.second


def _apart(pairs: Sequence[tuple[int, int]]) -> tuple[tuple[int, int], ...]:
    """The pairs in order, those that touch or overlap as one, those without a time between left out."""
    merged: list[tuple[int, int]] = []
    for start, end in sorted(pair for pair in pairs if pair[0] < pair[1]):
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((start, end))
    return tuple(merged)
