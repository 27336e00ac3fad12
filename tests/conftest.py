"""What every test starts with."""

import pytest

from ringback import logs


@pytest.fixture(autouse=True)
def _fresh_budget(monkeypatch: pytest.MonkeyPatch) -> None:
    """Refusals and faults of other tests count against the same budget of log lines."""
    monkeypatch.setattr(logs, "_refusals", logs.Budget(lines=1000, seconds=10.0))
    monkeypatch.setattr(logs, "_store_faults", logs.Budget(lines=1000, seconds=10.0))
