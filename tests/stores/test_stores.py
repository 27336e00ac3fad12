"""Which store a URL means."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from ringback.exceptions import ConfigurationError
from ringback.stores import MemoryStore, open_store
from ringback.stores.sqlite import SQLiteStore


def test_none_means_in_memory() -> None:
    """No store given is one, too."""
    store = open_store(None)
    assert isinstance(store, MemoryStore)
    assert not store.durable


def test_a_store_is_returned_as_it_is() -> None:
    """Whoever made his own keeps it."""
    store = MemoryStore()
    assert open_store(store) is store


def test_a_url_names_an_engine() -> None:
    """Nothing is opened yet."""
    store = open_store("sqlite:////absent/x.db?lease=9")
    assert isinstance(store, SQLiteStore)
    assert store.path == Path("/absent/x.db")
    assert store.durable


@pytest.mark.parametrize("scheme", ["postgresql", "postgres"])
def test_postgresql_has_two_names(scheme: str) -> None:
    """Both are in use."""
    pytest.importorskip("procrastinate")
    assert type(open_store(f"{scheme}://me:hush@127.0.0.1/x")).__name__ == "PostgresStore"


@pytest.mark.parametrize("url", ["", "ringback.db", "mysql://me:hush@host/x", "sqlite:/x.db", "SQLITE:///x.db", "://"])
def test_any_other_url_is_refused(url: str) -> None:
    """With what there is, and without a password."""
    with pytest.raises(ConfigurationError, match=r"is no URL of a store; write 'sqlite:///ringback\.db'") as caught:
        open_store(url)
    assert "hush" not in str(caught.value)


def test_an_engine_that_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the extra that brings it."""
    monkeypatch.setitem(sys.modules, "ringback.stores.postgres", None)
    with pytest.raises(
        ConfigurationError, match=r"needs the extra postgres .*pip install 'ringback\[postgres\]'"
    ) as caught:
        open_store("postgresql://me:hush@host/x")
    assert "hush" not in str(caught.value)
