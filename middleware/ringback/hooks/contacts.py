"""Asks the functions of a redial whom the calls are to reach, and in which time zone."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ringback.exceptions import RegistrationError
from ringback.hooks.invoke import decided
from ringback.work.redial import time_zone

if TYPE_CHECKING:
    from datetime import tzinfo

    from ringback.core.outcome import Outcome
    from ringback.hooks.registration import RedialRegistration


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


async def zone_of(redial: RedialRegistration, outcome: Outcome, timeout: float | None) -> tzinfo:
    """The contact's time zone. Raises what the app's function raises."""
    zone = redial.time_zone
    return time_zone(await decided(zone, outcome, timeout=timeout)) if callable(zone) else zone
