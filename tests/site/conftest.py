"""The site that the tests look at."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

import built_site

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Path:
    """Needs the extra ``docs``."""
    for module in ("furo", "myst_parser", "sphinx", "sphinx_copybutton"):
        pytest.importorskip(module)
    own = tmp_path_factory.getbasetemp()
    return built_site.built(own if worker_id == "master" else own.parent)
