"""What every test starts with."""

from collections.abc import Iterator

import pytest
import structlog

from ringback import logs


@pytest.fixture(autouse=True)
def _fresh_budget(monkeypatch: pytest.MonkeyPatch) -> None:
    """Refusals and faults of other tests count against the same budget of log lines."""
    monkeypatch.setattr(logs, "_refusals", logs.Budget(lines=1000, seconds=10.0))
    monkeypatch.setattr(logs, "_store_faults", logs.Budget(lines=1000, seconds=10.0))


@pytest.fixture(autouse=True)
def _fresh_structlog() -> Iterator[None]:
    """What one test configures or captures is no other's business."""
    yield
    structlog.reset_defaults()
