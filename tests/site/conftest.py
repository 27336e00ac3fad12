"""The site that the tests look at."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

import built_site

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="session")
def site(folder_of_the_run: Path) -> Path:
    """Needs the extra ``docs``."""
    for module in ("furo", "myst_parser", "sphinx", "sphinx_copybutton"):
        pytest.importorskip(module)
    return built_site.built(folder_of_the_run)
