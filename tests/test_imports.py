"""What importing Ringback costs, and what it offers."""

from __future__ import annotations

import subprocess
import sys

import pytest

import ringback

OPTIONAL = frozenset(
    "azure cryptography fastapi httpx hypothesis jwt opentelemetry pydantic pydantic_core pytest requests sqlalchemy "
    "uvicorn".split()
)

PROBE = """
import sys
before = set(sys.modules)
{statement}
loaded = {{name.partition(".")[0] for name in set(sys.modules) - before}}
print(*sorted(loaded - set(sys.stdlib_module_names)))
"""


# Loaded by those that Ringback depends on: where they are installed, or on older Pythons.
THEIRS = frozenset("better_exceptions colorama idna markdown_it mdurl pygments rich sniffio typing_extensions".split())


def loaded(statement: str) -> set[str]:
    """Top-level modules, none of the standard library, that a fresh interpreter loads with this statement."""
    probe = PROBE.format(statement=statement)
    finished = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True)
    return set(finished.stdout.split())


def test_importing_ringback_loads_what_it_depends_on_and_nothing_else() -> None:
    """No SDK, no framework and no optional part; anyio comes with Starlette."""
    names = loaded("import ringback")
    assert names & OPTIONAL == set()
    assert names - THEIRS == {
        "anyio",
        "msgspec",
        "ringback",
        "ringback_catalog",
        "starlette",
        "structlog",
    }


MIDDLEWARE = "ringback.CallOutcomeMiddleware(None, router=ringback.OutcomeRouter(), path='/cb', auth={})"


@pytest.mark.parametrize(
    "statement",
    [
        pytest.param(MIDDLEWARE.format("None"), id="no check"),
        pytest.param(MIDDLEWARE.format("ringback.SharedSecret('a-shared-secret-of-this-app')"), id="shared secret"),
    ],
)
def test_what_verifies_tokens_is_not_loaded_without_a_verifier(statement: str) -> None:
    """An app that does without pays nothing."""
    assert loaded(f"import ringback; {statement}") & OPTIONAL == set()


def test_a_verifier_loads_what_it_needs_at_start_up() -> None:
    """Not with the first callback, which the loop would have to wait for."""
    assert loaded("import ringback; ringback.CallbackTokenVerifier(audience='a')") & OPTIONAL >= {"httpx", "jwt"}


def test_every_exported_name_exists_and_the_list_is_sorted() -> None:
    """`from ringback import *` gives what the list says."""
    assert [name for name in ringback.__all__ if not hasattr(ringback, name)] == []
    assert ringback.__all__ == sorted(set(ringback.__all__))
