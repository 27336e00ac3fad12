"""Tests that need more of Microsoft's client than the oldest release that Ringback works with."""

from __future__ import annotations

from importlib.metadata import version

import pytest

newer = pytest.mark.skipif(
    tuple(map(int, version("azure-communication-callautomation").split(".")[:2])) < (1, 4),
    reason="azure-communication-callautomation before 1.4 has no method for it, or asks for no event of it",
)
