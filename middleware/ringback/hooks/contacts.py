"""Asks the functions of a redial whom the calls are to reach, in which time zone, and whether they may be called."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from ringback.exceptions import RegistrationError
from ringback.hooks.guarded import refuse_awaitable
from ringback.hooks.invoke import called, decided
from ringback.privacy.redaction import redact
from ringback.stores.turns import TURN, Turns
from ringback.work.contact_call import report_of
from ringback.work.items import NOBODY
from ringback.work.redial import time_zone

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import tzinfo

    from ringback.core.outcome import Outcome
    from ringback.hooks.registration import RedialRegistration


class Asking:
    """Asks whom the outcomes of one delivery concern, so that a store notes the events in the contacts' states at once.

    The sender waits meanwhile, so all the questions of the delivery together may take ``seconds``, or a turn of the
    loop if that is longer. The loop does its other work after each turn. ``clock`` gives seconds.
    """

    def __init__(
        self, redials: Sequence[RedialRegistration], seconds: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._redials, self._clock, self._turns = redials, clock, Turns(clock)
        self._until = clock() + max(seconds, TURN)

    async def whom(self, outcome: Outcome) -> tuple[str | None, str | None]:
        """The contact and the target of an outcome's item.

        ``(None, None)`` if a contact function raises, or if the time is over: the worker asks again, and reports the
        error.
        """
        await self._turns.next()
        if report_of(outcome) is None:
            return None, None
        for redial in self._redials:
            left = self._until - self._clock()
            if left <= 0:
                return None, None
            try:
                contact = await contact_of(redial, outcome, left)
            except Exception:
                return None, None
            if contact is not None:
                return contact, redial.name
        return None, NOBODY


async def contact_of(redial: RedialRegistration, outcome: Outcome, timeout: float | None) -> str | None:
    """The contact, hashed if the redial hashes contacts; ``None`` if the redial does not handle the outcome.

    Raises what the app's function raises, and :class:`RegistrationError` if the function gives no text.
    """
    contact = await decided(redial.contact, outcome, timeout=timeout)
    if contact is None or contact == "":
        return None
    if not isinstance(contact, str):
        raise RegistrationError(f"contact of {redial.name} returned a {type(contact).__name__}; return text or None")
    return redial.stored(contact)


async def contact_again(redial: RedialRegistration, outcome: Outcome, stored: str, timeout: float | None) -> str:
    """The contact for the redial function: asked of the app anew if the store has the hash alone.

    Raises as :func:`contact_of`, also if the function names another contact now: the limits were asked for the first.
    """
    if redial.hash_key is None:
        return stored
    contact = await decided(redial.contact, outcome, timeout=timeout)
    if not isinstance(contact, str) or redial.stored(contact) != stored:
        raise RegistrationError(
            f"contact of {redial.name} names another contact than when the call ended; return the same one each time, "
            "and keep hash_contacts as it was while redials wait"
        )
    return contact


async def allowed_from(
    redial: RedialRegistration, contact: str, at: float, zone: tzinfo, timeout: float | None
) -> float | str:
    """From when on the policy's ``may_call`` allows a call that is to be placed at ``at``; or the reason why it does
    not.

    Times in seconds since the epoch. Raises what the app's function raises, and :class:`RegistrationError` for an
    answer of another kind: doubt never rings a person.
    """
    if redial.policy.may_call is None:
        return at
    moment = datetime.fromtimestamp(at, zone)
    # The function may ask a database, so a sync one runs in a thread.
    answer = refuse_awaitable(await called(redial.policy.may_call, (contact, moment), timeout=timeout))
    if isinstance(answer, datetime) and answer.tzinfo is not None:
        return max(at, answer.timestamp())
    if isinstance(answer, bool):
        return at if answer else "may_call of the policy does not allow the call"
    if isinstance(answer, str) and answer:
        return redact(answer)
    raise RegistrationError(
        f"may_call of {redial.name} returned {answer!r:.40}; return True, False, a reason as text, or a datetime with "
        "a time zone"
    )


async def zone_of(redial: RedialRegistration, outcome: Outcome, timeout: float | None) -> tzinfo:
    """The contact's time zone; UTC if nobody told one. Raises what the app's function raises."""
    zone = UTC if redial.time_zone is None else redial.time_zone
    return time_zone(await decided(zone, outcome, timeout=timeout)) if callable(zone) else zone
