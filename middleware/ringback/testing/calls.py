"""One call: the ids that its events share, and the sources of the ids and times of its events."""

from __future__ import annotations

import base64
import json
import uuid
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from random import Random
from typing import TYPE_CHECKING

from ringback.exceptions import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable

VERSION = "2025-06-15"
"""The newest API version with recorded deliveries."""

CALLEE = "+15555550100"
CALLER = "+15555550101"
"""Telephone numbers reserved for fiction, which reach nobody."""


def _guid() -> str:
    return str(uuid.uuid4())


def _guid_of(random: Random) -> str:
    return str(uuid.UUID(int=random.getrandbits(128), version=4))


def _server_call_id(guid: str) -> str:
    # The service writes such an address, too. Apps must not parse the id.
    return _base64(f"https://calls.example.com/conv/{guid}?i=10-60-0-1&e=638000000000000000")


def _base64(text: str) -> str:
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """What the events of one leg of a call have in common.

    ``callee`` and ``caller`` are telephone numbers or raw ids (``8:acs:...``). ``operation_context`` is the argument of
    ``create_call`` or ``answer_call``. ``ids`` gives the next event's id, by default a random one; ``clock`` gives the
    next event's time in UTC, by default the present time.
    """

    call_connection_id: str = field(default_factory=_guid)
    server_call_id: str = field(default_factory=lambda: _server_call_id(_guid()))
    correlation_id: str = field(default_factory=_guid)
    operation_context: str | None = None
    callee: str = CALLEE
    caller: str = CALLER
    version: str = VERSION
    ids: Callable[[], str] = field(default=_guid, compare=False, repr=False)
    clock: Callable[[], datetime] = field(default=lambda: datetime.now(UTC), compare=False, repr=False)

    @classmethod
    def seeded(cls, seed: int | str, **fields: str | None) -> Call:
        """A call whose ids, event ids and event times are the same in every run. The events are a second apart.

        ``fields`` are texts of this class. Raises :class:`ConfigurationError` for a name that is none of them.
        """
        unknown = sorted(fields.keys() - _TEXTS)
        if unknown:
            raise ConfigurationError(f"a call has no field {unknown[0]!r}; give any of {', '.join(sorted(_TEXTS))}")
        random = Random(f"ringback:{seed}")
        ids = partial(_guid_of, random)
        made: dict[str, str | None] = {
            "call_connection_id": ids(),
            "server_call_id": _server_call_id(ids()),
            "correlation_id": ids(),
        }
        return cls(**{**made, **fields}, ids=ids, clock=_Ticking())  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]

    def leg(self) -> Call:
        """Another leg of the same call: with a call connection id of its own, and the other ids of this leg."""
        return replace(self, call_connection_id=self.ids())

    @property
    def recording_id(self) -> str:
        """The id of this call's recording: base64 of a JSON object, as the service writes it."""
        return _base64(json.dumps({"PlatformEndpointId": self.call_connection_id}))


class _Ticking:
    """A clock that goes on by a second at every reading."""

    def __init__(self) -> None:
        self._next = datetime(2026, 3, 5, 9, 0, 0, 123456, UTC)

    def __call__(self) -> datetime:
        now = self._next
        self._next += timedelta(seconds=1)
        return now


_TEXTS = frozenset("call_connection_id server_call_id correlation_id operation_context callee caller version".split())
