"""Which dead letters and which redials a person means: by conditions, or by the reason that a group of letters shares.

Two reasons are equal if they differ only in what each call has of its own: ids, addresses, times, numbers. Pure.
"""

from __future__ import annotations

import hashlib
import re
from datetime import UTC, datetime
from functools import lru_cache
from typing import TYPE_CHECKING

from msgspec import Struct

from ringback.privacy.redaction import redact
from ringback_catalog import Cause  # noqa: TC001 - msgspec reads the annotations

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

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


_PARTS = (
    # What stays: a status says why, however many digits it has.
    ("", r"(?:https?(?:/[0-9.]+)?|status(?:[ _]code)?|code|errno|error|sip|q\.?850)[\s:=#(\[]*[0-9]{1,6}\b"),
    ("", r"(?:answered|replied|responded)(?: with)?[\s:=(\[]*[45][0-9]{2}\b"),
    ("", r"['\"(][1-5][0-9]{2}\b(?= [a-z])"),
    ("", r"\[(?:phone|id|token|sip|email|redacted)[^\]]*\]"),
    # What goes, the longer before what it holds.
    ("<url>", r"\b[a-z][a-z0-9+.-]*://[^\s'\"<>)\]]+"),
    ("<id>", r"\b[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b"),
    ("<time>", r"\b[0-9]{4}-[0-9]{2}-[0-9]{2}(?:[t ][0-9:.,]+(?:z|[+-][0-9:]+)?)?"),
    ("<address>", r"\b(?:[0-9]{1,3}\.){3}[0-9]{1,3}(?::[0-9]+)?\b"),
    ("<id>", r"\b0x[0-9a-f]+\b|\b(?=[0-9a-f]*[0-9])(?=[0-9a-f]*[a-f])[0-9a-f]{8,}\b"),
    ("<id>", r"\b(?=\w*[0-9])(?=\w*[a-z])[\w-]{16,}\b"),
    ("<number>", r"\b[0-9]+(?:[.,][0-9]+)+\b"),
    ("<number>", r"[0-9]+"),
)
"""What stands in place of a part of a reason, or nothing where the part stays; and the pattern of the part. The first
pattern that fits a place takes it.
"""

_FINDER = re.compile("|".join(f"({part})" for _, part in _PARTS), re.IGNORECASE | re.ASCII)

LONGEST = 300
"""Characters of a reason that are compared: two exceptions that begin alike for so long are one fault."""


class Reason(Struct, frozen=True):
    """Why letters of a group were given up: ``text`` without what differs, the ``hooks`` that failed or the redial
    function, and the ``cause`` of the calls; ``None`` if the store cannot read the outcome.
    """

    text: str
    hooks: tuple[str, ...]
    cause: Cause | None

    @property
    def name(self) -> str:
        """The name of the group in the addresses of pages, the same in every process."""
        parts = "\n".join((self.text, *self.hooks, "" if self.cause is None else self.cause.value))
        return hashlib.sha256(parts.encode("utf-8", "surrogatepass")).hexdigest()[:16]


class LetterGroup(Struct, frozen=True):
    """``count`` dead letters, of which the first died at ``first_at`` and the ``example`` last, at ``last_at``."""

    reason: Reason
    count: int
    first_at: float
    last_at: float
    example: DeadLetter


def normalized(reason: str) -> str:
    """The reason, redacted, without what one call has and another has not, in one line."""
    return _normalized(" ".join(reason.split())[:LONGEST])


@lru_cache(maxsize=10_000)
def _normalized(reason: str) -> str:
    # First of all redacted: what stands for a part of a number hides that it is one.
    return _FINDER.sub(_stand_in, redact(reason))


def _stand_in(found: re.Match[str]) -> str:
    return _PARTS[(found.lastindex or 0) - 1][0] or found[0]


def reason_of(letter: DeadLetter) -> Reason:
    failed: Mapping[str, str] = letter.progress.failed
    hooks = tuple(sorted(failed)) or (() if letter.target is None else (letter.target,))
    texts = sorted(set(map(normalized, failed.values()))) or [normalized(_without(letter.reason, hooks))]
    return Reason("; ".join(texts), hooks, None if letter.outcome is None else letter.outcome.cause)


def grouped(letters: Iterable[DeadLetter]) -> tuple[LetterGroup, ...]:
    """The groups of these letters, the largest first."""
    found: dict[Reason, list[DeadLetter]] = {}
    for letter in letters:
        found.setdefault(reason_of(letter), []).append(letter)
    return tuple(
        sorted(map(_group, found.items()), key=lambda group: (-group.count, -group.last_at, group.reason.name))
    )


def _group(found: tuple[Reason, list[DeadLetter]]) -> LetterGroup:
    reason, letters = found
    newest = max(letters, key=lambda letter: letter.died_at)
    return LetterGroup(reason, len(letters), min(letter.died_at for letter in letters), newest.died_at, newest)


def _without(reason: str, hooks: tuple[str, ...]) -> str:
    """The reason without the name of the redial function, which the group has beside it."""
    return next((reason.removeprefix(f"{hook}: ") for hook in hooks if reason.startswith(f"{hook}: ")), reason)


HELP = (
    (r"no (?:hook of this name|redial .*) is registered", "Deploy a worker that has this function again, then replay."),
    (
        r"the worker died",
        "Find out what ends the worker while this function runs (memory, a crash), mend that, then replay.",
    ),
    (
        r"cannot be read|newer release",
        "Upgrade the workers to the newest release, then replay. If the letter is damaged, discard it.",
    ),
    (r"may have placed the call", "See whether the person was called. If not, call by hand; then discard."),
    (r"timeout|timed out|too long", "See why what the function waits for is slow. Replay when that answers in time."),
    (
        r"connect|unreachable|refused|reset|name or service|network|ssl|502|503|504|unavailable",
        "What the function calls did not answer. Replay when that works again.",
    ),
    (r"429|throttl|too many", "What the function calls wants fewer requests. Replay later, in parts."),
    (
        r"401|403|unauthor|forbidden|credential|permission",
        "Give the function access again (key, role, expiry), then replay.",
    ),
    (
        r"typeerror|keyerror|attributeerror|indexerror|nameerror|valueerror|assertionerror|importerror|notimplemented",
        "Mend the function and deploy it, then replay: it raised on what it was given.",
    ),
    (
        r"\bgiveup:",
        "The function gave up by itself. If it was right, discard; if not, mend what it names, then replay.",
    ),
    (
        r"\bretry:",
        "The function asked to be called again (Retry), and its attempts are used up. Replay when what it waits for is "
        "there; HookPolicy(attempts=...) allows more.",
    ),
    ("", "Read the log line hook.failed of the example, mend what it names, then replay."),
)
"""What would help against reasons with these words; the first that fits. The last fits all."""


def help_for(reason: Reason) -> str:
    """What a person can do about the letters of a group."""
    text = reason.text.casefold()
    return next(advice for words, advice in HELP if re.search(words, text) is not None)
