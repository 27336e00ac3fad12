"""What a type checker knows of names that modules import at their first use. Never run: mypy and pyright read it."""

from __future__ import annotations

from typing import TYPE_CHECKING, assert_type

import ringback
from ringback import DeliveryStore, open_store
from ringback.testing import Simulator

if TYPE_CHECKING:
    from ringback import Operator, PastCall


async def of_the_list_of_few_apps(operator: Operator, past: PastCall) -> None:
    assert_type(operator.store, DeliveryStore)
    assert_type(open_store("memory"), DeliveryStore)
    assert_type(past.is_redial, bool)
    assert_type(ringback.__version__, str)
    with Simulator() as azure:
        assert_type(azure, Simulator)


# A misspelt name is no name.

ringback.OutcomeRuter()  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType]
ringback.testing.call_disconected()  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType]
