"""A NullHandler, which any library may add to any logger, takes no line: the next one that writes gets it."""

from __future__ import annotations

import json
import logging

import pytest

from ringback.logs import LogObserver


@pytest.mark.parametrize("name", ["", "ringback"])
def test_a_line_goes_to_standard_output_instead(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """As where nothing is configured."""
    # Without the handlers of pytest, which it adds for each test.
    monkeypatch.setattr(logging.getLogger(), "handlers", [])
    monkeypatch.setattr(logging.getLogger(name), "handlers", [logging.NullHandler()])
    LogObserver().keys_fetched("https://keys.example", 2)
    line = json.loads(capsys.readouterr().out)
    assert (line["event"], line["count"]) == ("keys.fetched", 2)
