"""Who guesses passwords is slowed down, and the right person is not locked out."""

from __future__ import annotations

import base64
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ringback.console import BasicAuth
from ringback.console.guessing import FORGOTTEN, FREE, LONGEST, MANY, MOST, Guesses, place_of

HERE, THERE, BROWSER = "192.0.2.1", "192.0.2.2", "b" * 43


class Seconds:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def seconds() -> Seconds:
    return Seconds()


@pytest.fixture
def guesses(seconds: Seconds) -> Guesses:
    return Guesses(seconds)


def wrong(guesses: Guesses, times: int, address: str = HERE, browser: str | None = None) -> list[float]:
    return [guesses.heard(address, browser, right=False) for _ in range(times)]


def test_the_wait_doubles_up_to_a_minute(guesses: Guesses, seconds: Seconds) -> None:
    """A few wrong passwords are mistakes; each further one costs twice as long."""
    assert wrong(guesses, FREE) == [0.0] * FREE
    waits: list[float] = []
    for _ in range(9):
        waits.append(guesses.heard(HERE, None, right=False))
        seconds.now += waits[-1]
        assert guesses.heard(HERE, None, right=False) == 0.0
    assert waits == [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0, 60.0]


def test_the_right_password_waits_as_well_and_then_counts(guesses: Guesses, seconds: Seconds) -> None:
    """Whoever guesses must not see by the answer that a guess was right; asking again makes no wait longer."""
    wrong(guesses, FREE)
    assert [guesses.heard(HERE, None, right=right) for right in (True, False, True)] == [1.0] * 3
    seconds.now += 1.0
    assert guesses.heard(HERE, None, right=True) == 0.0


def test_wrong_passwords_are_forgotten(guesses: Guesses, seconds: Seconds) -> None:
    """After a quiet quarter of an hour an address begins anew."""
    wrong(guesses, FREE)
    seconds.now += FORGOTTEN + 1
    assert wrong(guesses, FREE) == [0.0] * FREE


def test_another_address_does_not_wait(guesses: Guesses) -> None:
    """However many wrong passwords came from elsewhere: one who knows the user name locks nobody out."""
    for number in range(MANY * 4):
        wrong(guesses, FREE + 1, f"198.51.100.{number}")
    assert guesses.heard(THERE, None, right=True) == 0.0


def test_many_addresses_have_one_guess_each(guesses: Guesses, seconds: Seconds) -> None:
    """Many who guess together for one user are one who guesses: then each address has one, and waits a minute."""
    for number in range(MANY):
        assert wrong(guesses, 1, f"198.51.100.{number}") == [0.0]
    assert wrong(guesses, 2, THERE) == [0.0, LONGEST]
    seconds.now += LONGEST
    assert wrong(guesses, 1, THERE) == [0.0]
    seconds.now += 10 * FORGOTTEN
    assert wrong(guesses, FREE, THERE) == [0.0] * FREE


def test_a_browser_that_was_let_in_does_not_wait_for_others(guesses: Guesses) -> None:
    """Behind a proxy that passes on no addresses all have one; and a wrong password of its own makes it a stranger."""
    assert guesses.heard(HERE, BROWSER, right=True) == 0.0
    wrong(guesses, FREE)
    assert guesses.heard(HERE, BROWSER, right=True) == 0.0
    assert guesses.heard(HERE, "c" * 43, right=True) == 1.0
    assert wrong(guesses, 1, browser=BROWSER) == [0.0]
    assert guesses.heard(HERE, BROWSER, right=True) == 2.0


def test_memory_is_bounded(guesses: Guesses) -> None:
    """Of more addresses and browsers than that, the last are remembered."""
    for number in range(MOST + 10):
        guesses.heard(f"address {number}", f"browser {number}", right=False)
        guesses.heard(f"address {number + MOST}", f"browser {number}", right=True)
    assert (len(guesses._wrong), len(guesses._let_in)) == (MOST, MOST)
    assert guesses.heard(f"address {MOST + 9}", None, right=True) == LONGEST


def test_guesses_side_by_side_are_counted_one_by_one(guesses: Guesses) -> None:
    """Many at once are not each the first."""
    with ThreadPoolExecutor(16) as threads:
        waits = list(threads.map(lambda _: guesses.heard(HERE, None, right=False), range(200)))
    assert waits.count(0.0) == FREE


@given(steps=st.lists(st.tuples(st.sampled_from([HERE, THERE]), st.booleans(), st.floats(0.0, 100.0)), max_size=60))
def test_nobody_waits_longer_than_a_minute(steps: list[tuple[str, bool, float]]) -> None:
    """Whatever came before."""
    seconds = Seconds()
    guesses = Guesses(seconds)
    for address, right, pause in steps:
        assert 0.0 <= guesses.heard(address, None, right=right) <= LONGEST
        seconds.now += pause
    seconds.now += LONGEST
    assert guesses.heard(HERE, None, right=True) == 0.0


@pytest.mark.parametrize(
    ("host", "place"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::9", "2001:db8:1:2::/64"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("testclient", "testclient"),
        ("", ""),
        (None, ""),
    ],
)
def test_one_sender_is_one_address(host: str | None, place: str) -> None:
    """Of IPv6 a sender has a whole network."""
    assert place_of(host) == place


def basic(password: str) -> dict[str, str]:
    return {"authorization": "Basic " + base64.b64encode(f"ops:{password}".encode()).decode()}


async def test_the_page_says_how_long_to_wait(memory: Any, seconds: Seconds) -> None:
    """429 with Retry-After, no question for another password, and the headers of every answer."""
    app = memory.console(auth=BasicAuth("ops", "correct horse", monotonic=seconds))
    transport = httpx.ASGITransport(app, client=(HERE, 123))
    async with httpx.AsyncClient(transport=transport, base_url="https://ops.example") as client:
        statuses = [(await client.get("/", headers=basic("wrong horse 12"))).status_code for _ in range(FREE + 1)]
        refused = await client.get("/", headers=basic("correct horse"))
        unasked = await client.get("/")
        seconds.now += 1.0
        let_in = await client.get("/", headers=basic("correct horse"))
    assert statuses == [401] * FREE + [429]
    assert (refused.status_code, refused.headers["retry-after"]) == (429, "1")
    assert refused.text == "429: too many wrong passwords came from your address; try again in 1 s\n"
    assert "www-authenticate" not in refused.headers
    assert refused.headers["x-frame-options"] == "DENY"
    assert (unasked.status_code, let_in.status_code) == (401, 200)


async def test_without_a_client_address_all_have_one(memory: Any, seconds: Seconds) -> None:
    """A socket of the machine has none."""
    app = memory.console(auth=BasicAuth("ops", "correct horse", monotonic=seconds))
    transport = httpx.ASGITransport(app, client=None)  # type: ignore[arg-type]
    async with httpx.AsyncClient(transport=transport, base_url="https://ops.example") as client:
        statuses = [(await client.get("/", headers=basic("wrong horse 12"))).status_code for _ in range(FREE + 1)]
    assert statuses == [401] * FREE + [429]
