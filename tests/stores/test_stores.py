"""Which store a URL means."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from crew import item
from ringback import OutcomeRouter
from ringback.exceptions import ConfigurationError, StoreFull
from ringback.stores import MemoryStore, open_store
from ringback.stores.sqlite import SQLiteStore


def test_none_means_in_memory() -> None:
    """No store given is one, too."""
    store = open_store(None)
    assert isinstance(store, MemoryStore)
    assert not store.durable


async def test_memory_takes_settings_as_a_url_does() -> None:
    """By name, with the remedies of the other stores."""
    store = open_store("memory?max_backlog=1&capacity=5")
    assert isinstance(store, MemoryStore)
    await store.put([item("a")])
    with pytest.raises(StoreFull, match=r"at most 1 may"):
        await store.put([item("b")])


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("memory?lease=9", "store 'memory': 'lease' is no setting; there are capacity, max_backlog"),
        ("memory?max_backlog=1&max_backlog=2", "store 'memory': 'max_backlog' is set twice; leave one of the two out"),
        ("memory?max_backlog=many", "store 'memory': max_backlog 'many' is no number"),
        ("memory?max_backlog=0", "store: max_backlog 0 is no positive number"),
        ("memory?capacity=-1", "store: capacity -1 is no positive number"),
    ],
)
def test_a_setting_of_memory_that_cannot_work_is_refused(url: str, why: str) -> None:
    """When the app is made, as those of every store."""
    with pytest.raises(ConfigurationError) as caught:
        OutcomeRouter(store=url)
    assert str(caught.value) == why


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


@pytest.mark.parametrize("url", ["sqlite:////absent/x.db\n", " sqlite:////absent/x.db ", "sqlite:////absent/x.db\r\n"])
def test_white_space_around_a_url_is_none_of_it(url: str) -> None:
    """A secret that is mounted as a file ends with a line feed, which PostgreSQL would take into the name."""
    store = open_store(url)
    assert isinstance(store, SQLiteStore)
    assert store.path == Path("/absent/x.db")
    assert isinstance(open_store("memory\n"), MemoryStore)


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
    monkeypatch.setitem(sys.modules, "ringback.stores.postgres.store", None)
    with pytest.raises(
        ConfigurationError, match=r"needs the extra postgres .*pip install 'ringback\[postgres\]'"
    ) as caught:
        open_store("postgresql://me:hush@host/x")
    assert "hush" not in str(caught.value)
