"""The route finds the outcomes of its delivery, in whatever a framework calls a request."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from starlette.requests import Request

import ringback
from ringback import call_outcomes, classify
from ringback.web.state import give_outcomes

OUTCOME = classify("CallDisconnected", 486, 560486)


@pytest.mark.parametrize("state", [{}, {"state": None}, {"state": {"app": "of the app"}}])
def test_what_is_given_is_found(state: dict[str, Any]) -> None:
    """In the scope, in a request of Starlette, and in any other object that has the scope; what the app keeps stays."""
    scope = {"type": "http", **state}
    kept = dict(scope.get("state") or {})
    give_outcomes(scope, (OUTCOME,))
    request = Request(scope)
    found = [call_outcomes(each) for each in (scope, request, SimpleNamespace(scope=scope))]
    assert (found, request.state.call_outcomes) == ([(OUTCOME,)] * 3, (OUTCOME,))
    assert scope["state"] == kept | {"call_outcomes": (OUTCOME,)}


@pytest.mark.parametrize("scope", [{}, {"state": None}, {"state": {}}])
def test_a_request_that_is_no_delivery_has_none(scope: dict[str, Any]) -> None:
    """The empty tuple, for a route that loops over it."""
    assert call_outcomes(scope) == ()


def test_the_version_is_the_distribution_s() -> None:
    """``ringback.__version__``, and no other name that is not there."""
    from importlib.metadata import version

    assert ringback.__version__ == version("ringback")
    with pytest.raises(AttributeError, match="module 'ringback' has no attribute 'versoin'"):
        _ = ringback.versoin
