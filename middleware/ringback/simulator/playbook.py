"""Which scenario a call follows: that of its number, else the default; of a list, each call takes the next."""

from __future__ import annotations

from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING

from ringback.exceptions import ConfigurationError
from ringback.simulator.built_in_scenarios import SCENARIOS
from ringback.simulator.scenario_file import Rows, read
from ringback.simulator.scenarios import Choice, Scenario

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


class Playbook:
    """The scenario of a call: that of the number called, else the default.

    ``numbers`` come first, then the file's numbers, then the numbers of the built-in scenarios. Raises
    :class:`ConfigurationError` for a name that no scenario has.
    """

    def __init__(
        self,
        default: Choice | None = None,
        numbers: Mapping[str, Choice] | None = None,
        file: str | Path | None = None,
    ) -> None:
        of_file, scenarios = (Rows(), {}) if file is None else read(Path(file), SCENARIOS)
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
        """The scenario of the next call to this number."""
        return _next(self._numbers.get(number or "", self._default))

    def next_from(self, number: str | None) -> Scenario:
        """The scenario of the next call from this number; ``answered`` unless the number has a scenario."""
        return _next(self._numbers.get(number or "", [self.known["answered"]]))

    def named(self, choice: str | Scenario) -> Scenario:
        if isinstance(choice, Scenario):
            return choice
        if choice not in self.known:
            close = get_close_matches(choice, self.known, n=1)
            hint = f"did you mean {close[0]!r}?" if close else f"there are {', '.join(self.known)}"
            raise ConfigurationError(f"scenario {choice!r} is unknown; {hint}")
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
