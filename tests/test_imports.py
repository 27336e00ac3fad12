"""What importing Ringback costs, and what it offers."""

from __future__ import annotations

import subprocess
import sys

import ringback

OPTIONAL = frozenset(
    "azure fastapi httpx hypothesis jwt opentelemetry pydantic pydantic_core pytest requests sqlalchemy uvicorn".split()
)

PROBE = """
import sys
before = set(sys.modules)
import ringback
loaded = {name.partition(".")[0] for name in set(sys.modules) - before}
print(*sorted(loaded - set(sys.stdlib_module_names)))
"""


# Loaded by those that Ringback depends on: where they are installed, or on older Pythons.
THEIRS = frozenset("better_exceptions colorama idna markdown_it mdurl pygments rich sniffio typing_extensions".split())


def loaded() -> set[str]:
    """Top-level modules, none of the standard library, that a fresh interpreter loads with ringback."""
    finished = subprocess.run([sys.executable, "-c", PROBE], capture_output=True, text=True, check=True)
    return set(finished.stdout.split())


def test_importing_ringback_loads_what_it_depends_on_and_nothing_else() -> None:
    """No SDK, no framework and no optional part; anyio comes with Starlette."""
    names = loaded()
    assert names & OPTIONAL == set()
    assert names - THEIRS == {
        "anyio",
        "msgspec",
        "ringback",
        "ringback_catalog",
        "starlette",
        "structlog",
    }


def test_every_exported_name_exists_and_the_list_is_sorted() -> None:
    """`from ringback import *` gives what the list says."""
    assert [name for name in ringback.__all__ if not hasattr(ringback, name)] == []
    assert ringback.__all__ == sorted(set(ringback.__all__))
