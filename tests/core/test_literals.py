"""The words that a type checker knows are those of the catalog's enumerations."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, get_args

import pytest

from ringback import Cause, Disposition, Owner, ResultCategory, RetryAction, RetryClass, Scope
from ringback.core import literals
from ringback_catalog import Match

if TYPE_CHECKING:
    from enum import StrEnum


@pytest.mark.parametrize(
    ("words", "kind"),
    [
        (literals.CategoryName, ResultCategory),
        (literals.CauseName, Cause),
        (literals.DispositionName, Disposition),
        (literals.MatchName, Match),
        (literals.OwnerName, Owner),
        (literals.RetryActionName, RetryAction),
        (literals.RetryClassName, RetryClass),
        (literals.ScopeName, Scope),
    ],
)
def test_words_and_members_are_the_same(words: Any, kind: type[StrEnum]) -> None:
    """In their order: who adds a member adds its word."""
    assert get_args(words) == tuple(each.value for each in kind)
