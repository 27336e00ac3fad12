"""Which dead letters and which redials a person means. Pure."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from msgspec import Struct

from ringback.work.letter_groups import reason_of
from ringback_catalog import Cause  # noqa: TC001 - msgspec reads the annotations

if TYPE_CHECKING:
    from ringback.work.history import Waiting
    from ringback.work.items import DeadLetter


class Selection(Struct, frozen=True, kw_only=True):
    """Whatever meets every condition that is given; everything, if none is.

    ``hook`` names a hook that was given up, or the redial function. ``contacts`` are the contact's names as stores have
    them. ``since`` and ``until``: dead letters that died in this time, both ends included. ``due``: redials that are
    due then or earlier. All three are seconds since the epoch. ``group`` is the name of the reason that
    a group of dead letters shares.
    """

    cause: Cause | None = None
    code: int | None = None
    subcode: int | None = None
    hook: str | None = None
    contacts: frozenset[str] | None = None
    since: float | None = None
    until: float | None = None
    due: float | None = None
    group: str | None = None

    def _fits(self, chosen: DeadLetter | Waiting) -> bool:
        wanted = ((self.cause, "cause"), (self.code, "code"), (self.subcode, "subcode"))
        is_about = all(value is None or getattr(chosen.outcome, name, None) == value for value, name in wanted)
        return is_about and (self.contacts is None or chosen.contact in self.contacts)

    def has_letter(self, letter: DeadLetter) -> bool:
        hooks = (*letter.progress.failed, letter.target)
        return (
            self._fits(letter)
            and (self.hook is None or self.hook in hooks)
            and (self.since is None or letter.died_at >= self.since)
            and (self.until is None or letter.died_at <= self.until)
            and (self.group is None or reason_of(letter).name == self.group)
        )

    def has_redial(self, redial: Waiting) -> bool:
        return (
            self._fits(redial)
            and (self.hook is None or self.hook == redial.target)
            and (self.due is None or redial.due_at <= self.due)
        )

    def words(self) -> str:
        """What is chosen, in words for the log, without the contacts: ``cause busy, hook jobs.close``."""
        given = [(name, getattr(self, name)) for name in ("cause", "code", "subcode", "hook", "group")]
        words = [f"{name} {value}" for name, value in given if value is not None]
        times = [(name, getattr(self, name)) for name in ("since", "until", "due")]
        words += [
            f"{name} {datetime.fromtimestamp(at, UTC):%Y-%m-%dT%H:%M:%SZ}" for name, at in times if at is not None
        ]
        return ", ".join(words + ["one contact"] * (self.contacts is not None)) or "all"


EVERYTHING = Selection()
