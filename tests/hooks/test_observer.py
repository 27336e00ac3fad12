"""Whoever the dispatcher reports to has a method for each fact, by the name in the Protocol."""

from __future__ import annotations

from ringback.hooks.observer import Observer
from ringback.logs import LogObserver


def facts(protocol: type) -> set[str]:
    return {name for name in vars(protocol) if not name.startswith("_")}


def test_the_log_has_a_method_for_each_fact() -> None:
    """A checker of types sees the parameters; this sees that no name is the Protocol's alone."""
    assert facts(Observer) - set(dir(LogObserver)) == set()
