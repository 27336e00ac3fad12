"""What a scenario may say: what happens to a call, what its callee does, and what cannot work."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ringback.exceptions import ConfigurationError
from ringback.settings import nearest
from ringback.testing.events import BUILDERS

if TYPE_CHECKING:
    from ringback.testing.wire import Detail


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One event, ``after`` so many seconds and ``lag`` further ones. The simulator posts ``copies`` of the event.

    ``after`` is time that a person takes, which the simulator's ``speed`` divides; ``lag`` is the service's own time.
    With ``quiet`` the event comes when the call has been quiet for ``after`` seconds: nothing plays or is recognized,
    nobody is invited, the app asks for nothing and answers no callback. Without a code the event carries its type's
    usual result. ``fields`` are further keys of the event's data, in snake case. ``sip`` may hold the carrier's own
    words: ``(603, "Network Blocked")``. ``closes`` names what is open in the call and ends with this event, see
    ``ringback.simulator.turns.Open``. ``leg`` is the ``callConnectionId`` of an event that does not
    name the call's own: a recording has one of its own. ``context`` replaces the operation context of the request.
    """

    event: str
    after: float = 0.0
    lag: float = 0.0
    quiet: bool = False
    code: int | None = None
    subcode: int | None = None
    message: str | None = None
    sip: Detail | None = None
    q850: int | None = None
    fields: Mapping[str, Any] = field(default_factory=dict[str, Any])
    copies: int = 1
    closes: str | None = None
    leg: str | None = None
    context: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """The service's error reply to a request; ``retry_after`` is in seconds."""

    status: int
    code: str = ""
    message: str = ""
    retry_after: int | None = None


@dataclass(frozen=True, slots=True)
class Callee:
    """What the callee does at one recognition: keys, a choice, words. ``None`` where the scenario does not say.

    ``pause`` is the seconds before the callee reacts.
    """

    tones: str | None = None
    choice: str | None = None
    speech: str | None = None
    pause: float = 1.0


Replies = str | tuple[str, ...]
"""What the callee does at each recognition: of several, each recognition takes the next, the last all further ones."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """What happens to one call, and what its callee does.

    ``answer`` refuses the request, and no event follows. ``attempts`` limits how often the simulator posts a
    callback until the endpoint answers 2xx. With ``early`` the simulator posts every callback before it answers the
    request. ``shuffled`` draws the order of the steps. ``version`` replaces the ``data.version`` of the events.
    ``bare`` leaves every result out, as old API versions do.

    ``tones`` are the keys that the callee presses when asked, ``choice`` the label, phrase or key of the choice,
    ``speech`` the words; an empty text is silence. Without them the callee presses as many keys as are asked for,
    takes the first choice and says "Yes, please." ``pause`` is the seconds before the callee reacts. ``media`` is
    the seconds that each prompt and each recognition takes, instead of the time that a person takes for it.
    ``results`` replace the event that ends an operation: of several for one operation, each takes the next.
    ``words`` are the sentences that a transcription of the call gives.
    Raises :class:`~ringback.exceptions.ConfigurationError` for what cannot work.
    """

    name: str
    about: str = ""
    number: str | None = None
    steps: tuple[Step, ...] = ()
    results: tuple[Step, ...] = ()
    answer: Answer | None = None
    attempts: int = 1
    early: bool = False
    shuffled: bool = False
    bare: bool = False
    tones: Replies | None = None
    choice: Replies | None = None
    speech: Replies | None = None
    pause: float = 1.0
    media: float | None = None
    version: str | None = None
    words: tuple[str, ...] = ("Hello.", "Yes, that is me.")

    def __post_init__(self) -> None:
        # TOML knows nan, which is neither below 0 nor a number of seconds.
        seconds = (self.pause, 0.0 if self.media is None else self.media)
        if self.attempts < 1 or not all(0 <= each < math.inf for each in seconds):
            raise ConfigurationError(
                f"scenario {self.name!r} needs attempts of 1 or more, and pause and media of 0 seconds or more"
            )
        for tones in (self.tones,) if isinstance(self.tones, str) else self.tones or ():
            if re.fullmatch("[0-9A-Da-d#*]*", tones) is None:
                raise ConfigurationError(
                    f"scenario {self.name!r} has tones {tones!r}; a tone is one of 0 to 9, a to d, # and *"
                )
        if self.answer is not None and not 400 <= self.answer.status <= 599:
            raise ConfigurationError(
                f"scenario {self.name!r} has answer status {self.answer.status}; only errors can be scripted"
            )
        for step in (*self.steps, *self.results):
            _refuse_impossible(self.name, step)

    def callee(self, index: int) -> Callee:
        """What the callee does at the recognition of this index, from 0."""
        return Callee(_at(self.tones, index), _at(self.choice, index), _at(self.speech, index), self.pause)

    def result(self, operation: str, index: int) -> Step | None:
        """The event that ends the operation of this index, from 0: of the ``index``-th Play, for example."""
        steps = [step for step in self.results if step.event.startswith(operation)]
        return steps[min(index, len(steps) - 1)] if steps else None

    @property
    def failure(self) -> Step | None:
        """The step that says why the call reached nobody; ``None`` if the call reaches somebody or still rings."""
        if any(step.event == "CallConnected" for step in self.steps):
            return None
        return self.steps[0] if self.steps else None


def _at(replies: Replies | None, index: int) -> str | None:
    if isinstance(replies, tuple):
        return replies[min(index, len(replies) - 1)] if replies else None
    return replies


def _refuse_impossible(name: str, step: Step) -> None:
    builder = BUILDERS.get(step.event)
    if builder is None:
        hint = nearest(step.event, BUILDERS)
        raise ConfigurationError(
            f"scenario {name!r} has event {step.event!r}, which Call Automation does not send{hint}"
        )
    if step.after < 0 or step.lag < 0 or step.copies < 1:
        raise ConfigurationError(f"scenario {name!r} has a step with after or lag below 0, or copies below 1")
    unknown = sorted(step.fields.keys() - builder.extra.keys())
    if unknown:
        has = ", ".join(sorted(builder.extra)) or "no further fields"
        raise ConfigurationError(f"scenario {name!r} has field {unknown[0]!r} in {step.event}, which has {has}")


Choice = str | Scenario | Sequence["str | Scenario"]
"""A scenario or its name. Of a list, each call takes the next, and the last serves all further calls."""
