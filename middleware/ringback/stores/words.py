"""Words of the catalog in a row of a store. Pure.

A process of a newer release may share the store; a word that only the newer release knows counts as unknown.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from ringback_catalog import Cause, Match, Owner, ResultCategory, RetryClass

if TYPE_CHECKING:
    from collections.abc import Callable
    from enum import StrEnum

E = TypeVar("E", bound="StrEnum")


def _known(kind: type[E], otherwise: E) -> Callable[[str], E]:
    words = {member.value: member for member in kind}
    return lambda word: words.get(word, otherwise)


known_cause = _known(Cause, Cause.UNKNOWN)
known_category = _known(ResultCategory, ResultCategory.UNKNOWN)
known_retry = _known(RetryClass, RetryClass.AFTER_FIX)
known_match = _known(Match, Match.NONE)
known_owner = _known(Owner, Owner.NOBODY)
