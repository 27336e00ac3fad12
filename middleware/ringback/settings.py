"""The settings by name, and the rules for their values. An error names the value, the rule and the remedy. Pure.

A setting stands in one of the two tables here, and in the class with the setting's default: :class:`Door`, or
:class:`ringback.receiving.engine.Settings`. A door is one way in: the middleware on its paths, one decorated endpoint,
or one handler. Behind all doors of a router stands the engine (:mod:`ringback.receiving.engine`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from difflib import get_close_matches
from enum import Enum
from typing import TYPE_CHECKING, Any, Final, Literal, TypedDict, TypeGuard

from ringback.exceptions import ConfigurationError
from ringback_catalog import Catalog

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from ringback.hooks.observer import Gauge
    from ringback.senders.auth import Check
    from ringback.stores import DeliveryStore
    from ringback.work.pace import Pace
    from ringback.work.policy import HookPolicy

OnStoreFailure = Literal["refuse", "inline"]

MAX_BODY = 1024 * 1024
"""Bytes of one delivery. Event Grid sends at most 1 MB; Call Automation about 1 kB."""

MAX_EVENTS = 5000
"""Events of one delivery: the most Event Grid puts into one batch."""

MAX_HEADERS = 100
"""The most header fields of one request. Microsoft and the proxies before an app send a few dozen."""

BODY_TIMEOUT = 10.0
"""Seconds that a sender may take for the body. Event Grid waits 30 seconds for an answer.

Source: https://learn.microsoft.com/azure/event-grid/delivery-and-retry
"""


class Unset(Enum):
    """The ``auth`` of an app that leaves ``auth`` out: the gate accepts every sender, and start-up logs a warning."""

    UNSET = "unset"


UNSET: Final = Unset.UNSET


class EngineSettings(TypedDict, total=False):
    """What a router takes by name for its engine; ``ringback.receiving.engine.Settings`` has the defaults."""

    store: str | DeliveryStore | None
    """Where outcomes wait for their hooks: ``"sqlite:///ringback.db"``, ``"postgresql://..."``, a store, or
    ``"memory"``, also as ``"memory?max_backlog=1000"``. The default is memory with a log line about what a crash would
    lose, and about other processes."""
    catalog: Catalog | None
    """The catalog that classifies results; by default ``Catalog.default()``."""
    settle: float
    """Seconds that the end of a call waits for its sibling event, and an operation at most for the response's end."""
    hooks: HookPolicy | None
    """How often and for how long a worker tries the hooks."""
    worker: bool
    """Whether this process calls hooks; ``False`` leaves the hooks to ``ringback worker``."""
    on_store_failure: OnStoreFailure
    """``"refuse"`` answers 503 while the store cannot be used, ``"inline"`` keeps outcomes in memory instead."""
    drain: float
    """Seconds that hooks may still run when the app stops."""
    telemetry: Gauge | None
    """A :class:`ringback.telemetry.Telemetry`; ``None`` measures nothing."""
    pace: Pace | None
    """How fast redials are placed, over all contacts and all processes that share the store, in memory in each process;
    ``None`` sets no limit."""


class DoorSettings(TypedDict, total=False):
    """What every door takes by name; ``Door`` has the defaults."""

    auth: Check | Collection[Check] | None
    """Who may send: a verifier, or several verifiers of which one must agree. ``None`` accepts every sender. A door
    without ``auth`` accepts every sender with a warning."""
    max_body: int
    """The most bytes of a request's body."""
    max_events: int
    """The most events of one delivery."""
    max_depth: int | None
    """The most nested levels of JSON; ``None`` sets no limit beside the parser's."""
    max_headers: int
    """The most header fields of one request."""
    body_timeout: float
    """Seconds that a sender may take for the body; 0 for any time."""


ENGINE = tuple(EngineSettings.__annotations__)
"""The names of the engine's settings, which no door takes."""

DOOR = tuple(DoorSettings.__annotations__)
"""The names of a door's settings, which no engine takes."""


@dataclass(frozen=True, slots=True)
class Door:
    """The settings of one door, checked. The names are those of :class:`DoorSettings`.

    The door travels whole to the place where outcomes are made: an outcome carries each setting that has the name of
    a field of :class:`~ringback.core.outcome.Outcome`.
    """

    auth: Check | Collection[Check] | Unset | None = UNSET
    max_body: int = MAX_BODY
    max_events: int = MAX_EVENTS
    max_depth: int | None = None
    max_headers: int = MAX_HEADERS
    body_timeout: float = BODY_TIMEOUT

    def __post_init__(self) -> None:
        for name in ("max_body", "max_events", "max_headers"):
            refuse_nothing(name, getattr(self, name))
        if self.max_depth is not None:
            refuse_nothing("max_depth", self.max_depth)
        refuse_negative("body_timeout", self.body_timeout)

    @classmethod
    def of(cls, given: Mapping[str, Any]) -> Door:
        """A door with these settings by name.

        Raises :class:`ConfigurationError` for a name that no door has, and for a value that cannot work.
        """
        refuse_misplaced(given, DOOR)
        return cls(**given)


def refuse_misplaced(given: Iterable[str], own: Collection[str]) -> None:
    """Raise :class:`ConfigurationError` for a name outside ``own``, with the setting's place or a similar name."""
    for name in given:
        if name in own:
            continue
        if name in ENGINE:
            raise ConfigurationError(
                f"{name} is a setting of the engine, which all doors of a router share; "
                f"pass it to the router: OutcomeRouter({name}=...)"
            )
        if name == "path":
            raise ConfigurationError(
                "path is a setting of CallOutcomeMiddleware alone; an endpoint and a handler serve their own route"
            )
        if name in DOOR:
            raise ConfigurationError(
                f"{name} is a setting of a door; pass it to CallOutcomeMiddleware, CallbackHandler or "
                f"router.callback({name}=...)"
            )
        near = get_close_matches(name, (*own, *ENGINE), 1)
        meant = f"; did you mean {near[0]}?" if near else f"; there are {', '.join(own)}"
        raise ConfigurationError(f"there is no setting {name!r}{meant}")


def nearest(word: object, known: Iterable[str]) -> str:
    """The end of a message about a word that is none of the known ones: the closest of them; empty if none is close."""
    close = get_close_matches(str(word), known, n=1)
    return f"; did you mean {close[0]!r}?" if close else ""


def refuse_late(name: str, own: Collection[str], maker: str) -> None:
    """Raise :class:`ConfigurationError` for a setting that is assigned to what ``maker`` has made from its settings."""
    if name in own:
        raise ConfigurationError(f"{name} cannot be set later; pass it at once: {maker}({name}=...)")
    if name in ENGINE or name in DOOR:
        refuse_misplaced((name,), own)


def refuse_negative(name: str, seconds: object) -> None:
    """Raise :class:`ConfigurationError` for what is no number of seconds from 0 on."""
    if not is_number(seconds) or not math.isfinite(seconds):
        raise ConfigurationError(f"{name} {seconds!r} is no time; give seconds, 0 for none")
    if seconds < 0:
        raise ConfigurationError(f"{name} {seconds!r} is negative; give seconds, 0 for none")


def refuse_nothing(name: str, count: object) -> None:
    """Raise :class:`ConfigurationError` for a limit that is no whole number, or that accepts nothing."""
    if isinstance(count, bool) or not isinstance(count, int):
        raise ConfigurationError(f"{name} {count!r} is no whole number; give a positive one")
    if count < 1:
        raise ConfigurationError(f"{name} {count!r} accepts nothing; give a positive number")


def refuse_no_flag(name: str, flag: object) -> None:
    """Raise :class:`ConfigurationError` for what is no bool: Python takes the text ``"false"`` for true."""
    if not isinstance(flag, bool):
        raise ConfigurationError(f"{name} {flag!r} is neither True nor False; write one of them")


def refuse_no_catalog(catalog: object) -> None:
    """Raise :class:`ConfigurationError` for what is neither a catalog nor ``None``."""
    if not isinstance(catalog, Catalog | None):
        raise ConfigurationError(f"catalog {catalog!r} is no Catalog; pass Catalog.default().with_overrides(...)")


def refuse_no_text(name: str, value: object) -> None:
    """Raise :class:`ConfigurationError` for what is no text, as an environment variable that is not set gives it.

    The message does not repeat the value: bytes may be a secret, too.
    """
    if not isinstance(value, str):
        told = "None" if value is None else type(value).__name__
        raise ConfigurationError(f"{name} is no text but {told}; see that the environment variable is set")


def refuse_for_store(name: str, number: object, *, zero: bool = False) -> None:
    """Raise :class:`ConfigurationError` for a store's setting that is no positive number; ``zero`` also allows 0."""
    if not is_number(number) or not math.isfinite(number) or number < 0 or not (number or zero):
        raise ConfigurationError(f"store: {name} {number!r} is no positive number")


def refuse_short_lease(lease: float, poll: float) -> None:
    """Raise :class:`ConfigurationError` for a store's lease that a worker could lose between two looks."""
    if not lease > 3 * poll:
        raise ConfigurationError(f"store: lease {lease!r} is too short for poll {poll!r}; make it several times longer")


def is_number(value: object) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool)
