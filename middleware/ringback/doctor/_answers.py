"""What came: a connection, an answer, or why there is none."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP response. Names of headers are in lower case; ``at`` is in seconds since 1970."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    seconds: float
    at: float

    @property
    def accepted(self) -> bool:
        return 200 <= self.status < 300

    @property
    def refused(self) -> bool:
        return 400 <= self.status < 500

    @property
    def is_page(self) -> bool:
        return self.headers.get("content-type", "").lower().startswith("text/html")


class Lost(StrEnum):
    """Why there is no answer; each is the name of a fault."""

    NAME = "name_unknown"
    UNREACHABLE = "unreachable"
    TIMEOUT = "no_answer"
    CERTIFICATE = "certificate_invalid"
    TLS = "tls_failed"
    CLOSED = "connection_closed"


@dataclass(frozen=True, slots=True)
class Failure:
    """No answer. ``detail`` is the system's own word for it; ``seconds`` how long it took."""

    lost: Lost
    detail: str
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Connected:
    """A connection that was made. ``addresses`` are those of the name; ``expires`` is in seconds since 1970."""

    addresses: tuple[str, ...]
    at: float
    expires: float | None = None


Seen = Answer | Failure
