"""A store whose password is asked for at each connection, so that a token that expires can be the password."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest

from ringback.exceptions import ConfigurationError, StoreUnavailable

pytest.importorskip("procrastinate")

import psycopg
from psycopg import AsyncConnection
from psycopg.conninfo import conninfo_to_dict

from crew import item
from ringback.cli import main
from ringback.stores.postgres import PostgresStore
from ringback.stores.postgres.login import Login
from server import PASSWORD

TERMINATE = """
    SELECT pg_terminate_backend(pid) FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid()
"""
CONNINFO = "host=db.example.com user=app dbname=calls"


class Tokens:
    """A password of which each call says who asks; ``next_fails`` counts the calls to come that fail."""

    def __init__(self) -> None:
        self.asked_in: list[str] = []
        self.next_fails = 0

    def __call__(self) -> str:
        self.asked_in.append(threading.current_thread().name)
        if self.next_fails:
            self.next_fails -= 1
            raise LookupError("no token today: eyJhbGciOi")
        return PASSWORD


@pytest.fixture
def url(postgres_url: str) -> str:
    """The URL of an empty database, without the password."""
    return postgres_url.replace(f":{PASSWORD}@", "@")


async def test_each_connection_asks_for_the_password(url: str) -> None:
    """In a thread of its own each time, never in the event loop's."""
    tokens = Tokens()
    store = PostgresStore(url, password=tokens)
    await store.open()
    try:
        assert (await store.stats()).ready == 0
    finally:
        await store.close()
    assert len(tokens.asked_in) >= 3
    assert set(tokens.asked_in) == {"ringback-password"}


async def test_a_password_that_cannot_be_had_is_a_store_that_is_away(url: str) -> None:
    """The error names the class alone; the next attempt asks again."""
    tokens = Tokens()
    tokens.next_fails = 1
    store = PostgresStore(url, password=tokens)
    with pytest.raises(StoreUnavailable, match=r"^the store's password function raised LookupError$"):
        await store.open()
    try:
        assert (await store.stats()).ready == 0
    finally:
        await store.close()


async def test_a_password_that_cannot_be_had_later_is_the_reason_that_is_given(url: str, postgres_url: str) -> None:
    """The pool says alone for how long it has waited."""
    tokens = Tokens()
    store = PostgresStore(url, password=tokens, timeout=1.0)
    await store.open()
    try:
        tokens.next_fails = 1000
        async with await AsyncConnection.connect(postgres_url, autocommit=True) as admin:
            await admin.execute(TERMINATE)
        with pytest.raises(StoreUnavailable, match=r"within 1 seconds; the store's password function raised LookupE"):
            await store.put([item("a")])
    finally:
        await store.close()


async def test_a_worker_whose_loop_stands_still_asks_for_it_too(url: str) -> None:
    """Its thread has a connection of its own. A password that cannot be had is left to the next time."""
    tokens = Tokens()
    store = PostgresStore(url, password=tokens)
    await store.open()
    try:
        for tokens.next_fails in (1000, 0):
            tokens.asked_in.clear()
            await asyncio.to_thread(store._databases.beat_alone, 7)
            assert set(tokens.asked_in) - {"ringback-password"} != set()
    finally:
        await store.close()


@pytest.mark.parametrize("password", ["", None, b"bytes"])
def test_what_is_no_password_is_said(password: Any) -> None:
    with pytest.raises(StoreUnavailable, match="returned no text; it has to return the password"):
        Login(CONNINFO, lambda: password).conninfo()


def test_a_password_may_have_any_letters() -> None:
    """Quotes and spaces among them."""
    password = "it's a \\ 'token' = 7"
    assert conninfo_to_dict(Login(CONNINFO, lambda: password).conninfo())["password"] == password


def test_two_passwords_are_refused() -> None:
    with pytest.raises(ConfigurationError, match=r"and the URL has a password, too; leave one of them out$"):
        PostgresStore("postgresql://app:secret@db.example.com/calls", password=lambda: "another")


def test_a_text_is_no_function() -> None:
    """A password that stays the same belongs into the URL."""
    with pytest.raises(ConfigurationError, match=r"password is a str; pass a function .* into the URL"):
        PostgresStore("postgresql://app@db.example.com/calls", password="secret")  # type: ignore[arg-type]


class Held:
    """A password function that waits until it is let go."""

    def __init__(self) -> None:
        self.gate = threading.Event()

    def __call__(self) -> str:
        self.gate.wait(30)
        return "late"

    async def given_up(self) -> None:
        """Asks for the password, and gives up before it comes."""
        asking = asyncio.ensure_future(Login(CONNINFO, self).asked())
        await asyncio.sleep(0)
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking

    def end(self) -> None:
        [thread] = [each for each in threading.enumerate() if each.name == "ringback-password"]
        assert thread.daemon
        self.gate.set()
        thread.join(30)
        assert not thread.is_alive()


async def test_what_comes_late_is_dropped() -> None:
    """Nobody waits for a function that hangs, and the loop goes on when the function returns after all."""
    held = Held()
    await held.given_up()
    await asyncio.to_thread(held.end)
    await asyncio.sleep(0)


def test_a_loop_that_has_ended_is_told_nothing() -> None:
    """The thread ends without a word, and the end of the app waits for none."""
    held = Held()
    asyncio.run(held.given_up())
    held.end()


def test_a_look_makes_no_store(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A command that names the wrong database says so; it leaves no tables there, and does not answer "no calls"."""
    whole = url.replace("@", f":{PASSWORD}@")
    assert main(["calls", "list", "--store", whole]) == 1
    assert capsys.readouterr() == (
        "",
        "ringback calls list: there is no store in this database; name the database that the app uses, and the "
        "search_path if the app has one\n",
    )
    with psycopg.connect(whole) as connection:
        assert connection.execute("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'").fetchall() == [(0,)]
