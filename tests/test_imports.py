"""What importing Ringback costs, and what it offers."""

from __future__ import annotations

import ast
import importlib
import subprocess
import sys
from pathlib import Path

import pytest

import ringback

OPTIONAL = frozenset(
    "aiohttp azure cryptography django fastapi flask granian httpx hypothesis jinja2 jwt litestar markupsafe "
    "opentelemetry procrastinate psycopg psycopg_pool pydantic pydantic_core pytest quart requests sqlalchemy "
    "uvicorn websockets".split()
)

GUID = "1f0e5c1a-0000-4000-8000-000000000001"

ENGINES = frozenset({"sqlite3", "procrastinate", "psycopg", "psycopg_pool"})

PROBE = """
import sys
before = set(sys.modules)
{statement}
loaded = {{name.partition(".")[0] for name in set(sys.modules) - before}}
# The one module of the standard library that is not in its list: its name is the platform's.
loaded = {{name for name in loaded if not name.startswith("_sysconfigdata")}}
print(*sorted(loaded - set(sys.stdlib_module_names){further}))
"""


# Loaded by those that Ringback depends on: where they are installed, or on older Pythons. Rich, which
# structlog loads where it finds it, looks for attr; structlog itself looks for greenlet, which Playwright brings.
THEIRS = frozenset(
    "attr better_exceptions colorama greenlet idna markdown_it mdurl multipart pygments rich sniffio "
    "typing_extensions".split()
)


def loaded(statement: str, watched: frozenset[str] = frozenset()) -> set[str]:
    """Top-level modules a fresh interpreter loads with this statement, of the standard library only ``watched``."""
    probe = PROBE.format(statement=statement, further=f" | {set(watched)} & loaded" if watched else "")
    finished = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True)
    return set(finished.stdout.split())


def test_importing_ringback_loads_what_it_depends_on_and_nothing_else() -> None:
    """No SDK, no framework, no engine of a store and no optional part; anyio comes with Starlette."""
    names = loaded("import ringback", ENGINES)
    assert names & OPTIONAL == set()
    assert names - THEIRS == {
        "anyio",
        "msgspec",
        "ringback",
        "ringback_catalog",
        "starlette",
        "structlog",
    }


def test_importing_ringback_loads_of_itself_only_what_every_app_needs() -> None:
    """No adapter, no store with an engine, no command, no telemetry, no simulator: they come when they are used."""
    probe = "import ringback, sys; print(*(name for name in sys.modules if name.startswith('ringback.')))"
    finished = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True)
    own = {name.removeprefix("ringback.") for name in finished.stdout.split()}
    assert {"web.middleware", "core.outcome", "stores.memory.store"} <= own
    later = "adapters cli simulator stores.postgres stores.sqlite telemetry testing".split()
    assert [name for name in sorted(own) if name.startswith(tuple(later))] == []


COMPILED = "from ringback.privacy.private import private_text; print(private_text.cache_info().currsize)"


@pytest.mark.parametrize(
    ("statement", "compiled"),
    [
        pytest.param("ringback.OutcomeRouter()", "0", id="imported"),
        pytest.param("ringback.CallbackHandler(router=ringback.OutcomeRouter(), auth=None)", "1", id="a door is made"),
    ],
)
def test_the_patterns_of_redaction_are_compiled_at_the_start_of_an_app(statement: str, compiled: str) -> None:
    """Not by an import, which would take half as long again, and not by the first request."""
    code = f"import ringback; {statement}; {COMPILED}"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.split() == [compiled]


MIDDLEWARE = "ringback.CallOutcomeMiddleware(print, router=ringback.OutcomeRouter(), path='/cb', auth={})"


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
    names = loaded(f"import ringback; ringback.CallbackTokenVerifier(audience={GUID!r})")
    assert names & OPTIONAL == {"cryptography", "httpx"}


@pytest.mark.parametrize(
    ("store", "engines"),
    [
        pytest.param("None", set(), id="memory"),
        pytest.param("'sqlite:///ringback.db'", {"sqlite3"}, id="sqlite"),
    ],
)
def test_only_the_engine_that_is_asked_for_is_loaded(store: str, engines: set[str]) -> None:
    """Nothing is opened by that, either."""
    middleware = f"ringback.CallOutcomeMiddleware(print, router=ringback.OutcomeRouter(store={store}), path='/cb')"
    assert loaded(f"import ringback; {middleware}", ENGINES) & ENGINES == engines


def test_every_exported_name_exists_and_the_list_is_sorted() -> None:
    """`from ringback import *` gives what the list says."""
    assert [name for name in ringback.__all__ if not hasattr(ringback, name)] == []
    assert ringback.__all__ == sorted(set(ringback.__all__))


PROMISED = set(
    "CallOutcomeMiddleware CallbackHandler OutcomeRouter Outcome call_outcomes classify parse_delivery Catalog Cause "
    "Disposition Owner ResultCategory RetryAction RetryClass CallbackTokenVerifier EventGridTokenVerifier SharedSecret "
    "HookPolicy RedialPolicy".split()
)


def test_the_list_of_names_stays_short() -> None:
    """At most 40, among them those that every app may rely on."""
    assert len(ringback.__all__) <= 40
    assert set(ringback.__all__) >= PROMISED


def test_type_checkers_read_the_names_that_are_imported_at_their_first_use() -> None:
    """The imports for type checkers and the table for the program have the same names of the same modules."""
    of_checkers = {
        (statement.module, alias.name)
        for block in ast.parse(Path(ringback.__file__).read_text("utf-8")).body
        if isinstance(block, ast.If)
        for statement in block.body
        if isinstance(statement, ast.ImportFrom)
        for alias in statement.names
    }
    assert of_checkers == {(module, name) for module, names in ringback._ELSEWHERE.items() for name in names.split()}


@pytest.mark.parametrize("module", ["ringback", "ringback.testing"])
def test_a_name_that_does_not_exist_is_an_error_that_says_so(module: str) -> None:
    """A module that imports names at their first use is as strict as any other."""
    with pytest.raises(AttributeError, match=f"^module '{module}' has no attribute 'OutcomeRuter'$"):
        _ = importlib.import_module(module).OutcomeRuter
