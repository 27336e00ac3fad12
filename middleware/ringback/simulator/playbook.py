"""The scenarios of a TOML file, and which scenario a call follows: that of its number, else the default."""

from __future__ import annotations

import re
import tomllib
from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from ringback.exceptions import ConfigurationError
from ringback.privacy.redaction import redact
from ringback.settings import nearest
from ringback.simulator.built_in_scenarios import SCENARIOS
from ringback.simulator.recordings.replay import played_calls
from ringback.simulator.scenarios import Answer, Choice, Scenario, Step

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


Several = str | tuple[str, ...]


class _StepRow(msgspec.Struct, forbid_unknown_fields=True):
    event: str
    after: float = 0.0
    lag: float = 0.0
    quiet: bool = False
    code: int | None = None
    subcode: int | None = None
    message: str | None = None
    sip: int | None = None
    q850: int | None = None
    fields: dict[str, Any] = {}
    copies: int = 1


class _AnswerRow(msgspec.Struct, forbid_unknown_fields=True):
    status: int
    code: str = ""
    message: str = ""
    retry_after: int | None = None


class _ScenarioRow(msgspec.Struct, forbid_unknown_fields=True):
    like: str | None = None
    about: str | None = None
    number: str | None = None
    steps: list[_StepRow] | None = None
    results: list[_StepRow] | None = None
    answer: _AnswerRow | None = None
    attempts: int | None = None
    early: bool | None = None
    shuffled: bool | None = None
    bare: bool | None = None
    tones: Several | None = None
    choice: Several | None = None
    speech: Several | None = None
    pause: float | None = None
    media: float | None = None
    version: str | None = None
    words: list[str] | None = None
    recording: str | None = None
    call: str | None = None


class _Rows(msgspec.Struct, forbid_unknown_fields=True):
    """The whole file. :func:`_read` reads each scenario by itself, since msgspec would not name the one at fault."""

    default: Several | None = None
    numbers: dict[str, Several] = {}
    scenarios: dict[str, dict[str, Any]] = {}


class Playbook:
    """The scenario of a call: that of the number called, else the default.

    ``numbers`` come first, then the file's numbers, then the numbers of the built-in scenarios. Raises
    :class:`ConfigurationError` for a name that no scenario has.
    """

    def __init__(
        self, default: Choice | None = None, numbers: Mapping[str, Choice] | None = None, file: str | Path | None = None
    ) -> None:
        of_file, scenarios = (_Rows(), {}) if file is None else _read(Path(file))
        self.known: dict[str, Scenario] = {**SCENARIOS, **scenarios}
        self._numbers: dict[str, list[Scenario]] = {
            scenario.number: [scenario] for scenario in self.known.values() if scenario.number is not None
        }
        for number, choice in {**of_file.numbers, **(numbers or {})}.items():
            self._numbers[number] = self._chosen(choice)
        if default is None:
            default = "answered" if of_file.default is None else of_file.default
        self._default = self._chosen(default)

    def next_for(self, number: str | None) -> Scenario:
        """The scenario of the next call to this number: of a list, each call takes the next."""
        return _next(self._numbers.get(number or "", self._default))

    def next_from(self, number: str | None) -> Scenario:
        """The scenario of the next call from this number; ``answered`` unless the number has a scenario."""
        return _next(self._numbers.get(number or "", [self.known["answered"]]))

    def named(self, choice: str | Scenario) -> Scenario:
        if isinstance(choice, Scenario):
            return choice
        if choice not in self.known:
            hint = nearest(choice, self.known) or f"; there are {', '.join(self.known)}"
            raise ConfigurationError(f"scenario {choice!r} is unknown{hint}")
        return self.known[choice]

    def _chosen(self, choice: Choice) -> list[Scenario]:
        several = [choice] if isinstance(choice, str | Scenario) else list(choice)
        if not several:
            raise ConfigurationError("a list of scenarios is empty; name one at least")
        return [self.named(choice) for choice in several]


def _next(scenarios: list[Scenario]) -> Scenario:
    return scenarios[0] if len(scenarios) == 1 else scenarios.pop(0)


def listed(scenarios: Iterable[Scenario]) -> list[str]:
    """One line for a scenario: its name, its number, what happens."""
    rows = [(scenario.name, scenario.number or "-", scenario.about) for scenario in scenarios]
    wide = max(len(name) for name, _, _ in rows)
    return [f"{name:<{wide}}  {number:<12}  {about}" for name, number, about in rows]


def _read(path: Path) -> tuple[_Rows, dict[str, Scenario]]:
    """The file's rows and its scenarios. Raises :class:`ConfigurationError`, which names the file and the key."""
    try:
        rows = msgspec.convert(tomllib.loads(path.read_text("utf-8-sig")), _Rows)
        for number in rows.numbers:
            if re.fullmatch(r"\+[0-9]{3,15}", number) is None:
                said = f"numbers has {redact(number)!r}, which is no number with a plus sign"
                raise ValueError(f"{said}; write a plus sign and 3 to 15 digits")
        scenarios: dict[str, Scenario] = {}
        for name, table in rows.scenarios.items():
            scenarios[name] = _scenario(name, _row(name, table), {**SCENARIOS, **scenarios}, path.parent)
    except OSError as error:
        raise ConfigurationError(f"scenarios '{path}' cannot be read ({error.strerror})") from error
    except (ValueError, msgspec.ValidationError) as error:
        raise ConfigurationError(f"scenarios '{path}': {error}") from error
    return rows, scenarios


def _row(name: str, table: Mapping[str, Any]) -> _ScenarioRow:
    try:
        return msgspec.convert(table, _ScenarioRow)
    except msgspec.ValidationError as error:
        unknown = table.keys() - set(_ScenarioRow.__struct_fields__)
        known = f"; it may have {', '.join(_ScenarioRow.__struct_fields__)}" if unknown else ""
        raise ValueError(f"scenario {name!r}: {error}{known}") from error


def _scenario(name: str, row: _ScenarioRow, known: Mapping[str, Scenario], folder: Path) -> Scenario:
    if row.like is not None and row.like not in known:
        raise ValueError(f"scenario {name!r} is like {row.like!r}, which does not stand before it")
    # Two scenarios cannot share a number, so ``like`` copies none.
    start = replace(known[row.like], name=name, number=None) if row.like else Scenario(name=name)
    if row.recording is not None:
        start = _recorded(start, folder / row.recording, row.call)
    elif row.call is not None:
        raise ValueError(f"scenario {name!r} names the call {row.call!r} of no recording; add recording = 'FILE'")
    changes: dict[str, Any] = {key: value for key in _KEYS if (value := getattr(row, key)) is not None}
    for key in ("steps", "results"):
        if key in changes:
            changes[key] = tuple(Step(**msgspec.structs.asdict(each)) for each in changes[key])
    if row.answer is not None:
        changes["answer"] = Answer(**msgspec.structs.asdict(row.answer))
    return replace(start, **changes)


def _recorded(start: Scenario, path: Path, only: str | None) -> Scenario:
    calls = played_calls(path, only)
    if len(calls) > 1:
        names = ", ".join(each.name for each in calls)
        raise ValueError(f"scenario {start.name!r} is one call, and '{path}' has {names}; add call = {calls[0].name!r}")
    (call,) = calls
    return replace(
        call, name=start.name, number=start.number, tones=start.tones, choice=start.choice, speech=start.speech
    )


_KEYS = [each.name for each in fields(Scenario) if each.name != "name"]
