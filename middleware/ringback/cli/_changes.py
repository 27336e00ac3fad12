"""Compares old outcomes with other verdicts or another redial policy, and counts the changes. Pure.

Memory does not grow with the number of outcomes: outcomes with the same result and the same change are one row.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from msgspec import Struct, structs

from ringback.cli._outcomes import events_in
from ringback.cli.reading.line import REMEMBERED, Line, Reasons, Seen, Unread
from ringback.core.outcome import classify_event
from ringback.exceptions import ConfigurationError
from ringback.privacy.redaction import redact_if_told
from ringback.privacy.written import visible
from ringback.work.redial import Planned, decide
from ringback_catalog import Catalog, Cause, Disposition, RetryAction, RetryClass, action_after, event_name

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ringback.cli.reading.frames import Found
    from ringback.core.outcome import Outcome
    from ringback.work.redial_policy import RedialPolicy

_RETRYABLE = [retry for retry in RetryClass if retry.disposition is Disposition.RETRYABLE]

MOST = 10_000
"""Rows that are kept. Changes that belong to further rows are only counted."""

EXAMPLES = 5
"""Outcome ids that a row keeps."""


class Judgement(Struct, frozen=True):
    """A verdict, and the seconds from the end of the call to its redial; ``None`` for no redial."""

    cause: str
    category: str
    retry_class: str
    retry_action: str
    owner: str
    redial_in: float | None


class Result(Struct, frozen=True):
    """A reported result. Outcomes with the same result have the same verdict."""

    event: str
    code: int | None
    subcode: int | None
    sip: int | None
    q850: int | None


class Change(Struct):
    """The outcomes with one result and one change of the judgement."""

    result: Result
    before: Judgement
    after: Judgement
    count: int = 0
    examples: list[str] = []


class Redialing(Struct, frozen=True):
    """The redial policy, and whether the app calls back people who had called."""

    policy: RedialPolicy
    call_back: bool = False

    def seconds(self, cause: str, retry_class: str, action: str, wait: float) -> float | None:
        """Seconds from a contact's first call to its redial, within the hours, without jitter and caps."""
        actions = (RetryAction.PLACE_CALL, RetryAction.CALL_BACK) if self.call_back else (RetryAction.PLACE_CALL,)
        if action not in actions or retry_class not in list(RetryClass):
            return None
        known = Cause(cause) if cause in list(Cause) else Cause.UNKNOWN
        plain = replace(self.policy, hours=None, max_per_day=None, caps=())
        plan = decide(plain, known, RetryClass(retry_class), [0.0], now=0.0, random=lambda: 0.0)
        return max(plan.at, wait) if isinstance(plan, Planned) else None


class Changes:
    """Compares the old judgement of outcomes with the judgement by ``catalog`` and ``after``."""

    def __init__(self, catalog: Catalog, before: Redialing, after: Redialing, *, remembered: int = REMEMBERED) -> None:
        self._catalog, self._before, self._after = catalog, before, after
        self._seen = Seen(remembered)
        self._rows: dict[tuple[Result, Judgement, Judgement], Change] = {}
        self.lines = self.outcomes = self.repeated = self.verdicts = self.redials = self.others = 0
        self.held = self.undetailed = 0
        """Outcomes until now, and the lines of text among the outcomes. The catalog cannot judge lines of text anew."""
        self.reasons = Reasons()

    def count(self, found: Iterable[Found], name: str) -> None:
        """Count the outcomes in the lines and deliveries that the reader found in the file ``name``. Never raises."""
        for value in found:
            self.lines += 1
            before = self.held
            if not isinstance(value, bytes) or b"Microsoft.Communication." in value:
                self._add_all(value)
            if isinstance(value, Unread) and self.held == before:
                self.reasons.add(value, name)

    def _add_all(self, value: Found) -> None:
        try:
            events = events_in(value)
        except ConfigurationError:
            # The text of a result whose code is no possible number.
            return
        for event, line in events:
            outcome = classify_event(event, Catalog.default()) if event.type else None
            if outcome is None:
                continue
            self.held += 1
            if line is not None and line.schema == 0:
                self.undetailed += 1
            else:
                self.add(outcome, line)

    def add(self, outcome: Outcome, line: Line | None = None) -> None:
        """Count one outcome. The old judgement is the line's, or the outcome's own without a line."""
        event = outcome.event
        has_id = event.id is not None or outcome.outcome_id.startswith("call:")
        if has_id and self._seen.again(outcome.outcome_id):
            self.repeated += 1
            return
        self.outcomes += 1
        other = classify_event(event, self._catalog)
        assert other is not None
        if line is not None and line.retry_class in _RETRYABLE and line.disposition == Disposition.TERMINAL:
            # The redial policy had allowed no further call.
            outcome, other = outcome.exhausted(), other.exhausted()
        before = _judged(outcome, self._before) if line is None else _judged_in(line, outcome, self._before)
        after = _judged(other, self._after)
        verdict = structs.replace(before, redial_in=after.redial_in) != after
        redial = before.redial_in != after.redial_in
        self.verdicts += verdict
        self.redials += redial
        if verdict or redial:
            self._add_change(outcome, before, after)

    def _add_change(self, outcome: Outcome, before: Judgement, after: Judgement) -> None:
        sip, q850 = outcome.sip, outcome.q850
        result = Result(
            redact_if_told(outcome.event_name) or "",
            outcome.code,
            outcome.subcode,
            None if sip is None else sip.code,
            None if q850 is None else q850.code,
        )
        row = self._rows.get((result, before, after))
        if row is None:
            if len(self._rows) >= MOST:
                self.others += 1
                return
            row = self._rows[result, before, after] = Change(result, before, after)
        row.count += 1
        if len(row.examples) < EXAMPLES:
            row.examples.append(redact_if_told(outcome.outcome_id) or "")

    def add_stored(self, outcome: Outcome) -> None:
        """Count one outcome of a store. An old record may have no retry action."""
        today = classify_event(outcome.event, Catalog.default())
        assert today is not None
        action = None if outcome.retryable and outcome.retry_action is RetryAction.NONE else outcome.retry_action
        wait = outcome.retry_after
        self.add(
            today,
            Line(
                event_type=outcome.event_type,
                subcode=outcome.subcode,
                cause=outcome.cause,
                category=outcome.category,
                disposition=outcome.disposition,
                retry_class=outcome.retry_class,
                retry_action=action,
                retry_after=None if wait is None else wait.to_dict(),
                owner=outcome.owner,
            ),
        )

    @property
    def rows(self) -> list[Change]:
        """The changes, the most frequent first."""
        return sorted(self._rows.values(), key=lambda row: (-row.count, str(row.result)))


def _judged(outcome: Outcome, redialing: Redialing) -> Judgement:
    cause, retry_class, action = outcome.cause.value, outcome.retry_class.value, outcome.retry_action.value
    wait = 0.0 if outcome.retry_after is None else outcome.retry_after.seconds
    seconds = redialing.seconds(cause, retry_class, action, wait)
    return Judgement(cause, outcome.category.value, retry_class, action, outcome.owner.value, seconds)


def _judged_in(line: Line, outcome: Outcome, redialing: Redialing) -> Judgement:
    """The judgement in a line. A word that the line leaves out is as today, or follows from the line's other words."""
    today = _judged(outcome, redialing)
    words: dict[str, Any] = {
        name: value
        for name in ("cause", "category", "retry_class", "retry_action", "owner")
        if (value := getattr(line, name)) is not None
    }
    if all(getattr(today, name) == value for name, value in words.items()):
        # The wait is as today as well; a line may leave the wait out.
        return today
    cause, retry_class = words.get("cause", today.cause), words.get("retry_class", today.retry_class)
    action = words.get("retry_action")
    if action is None:
        retryable = retry_class in _RETRYABLE
        action = action_after(event_name(outcome.event_type), line.subcode) if retryable else RetryAction.NONE
    wait = line.retry_after_seconds or (line.retry_after or {}).get("seconds", 0.0)
    return Judgement(
        _short(cause),
        _short(words.get("category", today.category)),
        _short(retry_class),
        _short(action),
        _short(words.get("owner", today.owner)),
        redialing.seconds(cause, retry_class, action, wait),
    )


def _short(word: str) -> str:
    # A log is not to be trusted. No word of Ringback is longer, or has a character that a terminal would obey.
    return visible((redact_if_told(word) or "")[:40])
