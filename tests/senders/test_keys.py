"""Signing keys: who causes a fetch and when, what serves meanwhile, and which keys count."""

from __future__ import annotations

import asyncio
import base64
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from hypothesis import given
from hypothesis import strategies as st
from jwt.algorithms import ECAlgorithm, RSAAlgorithm

from ringback.senders import rs256
from ringback.senders.keys import (
    COOLDOWN,
    GRACE,
    LARGEST,
    LIFETIME,
    MAX_KEYS,
    PAUSE,
    KeySet,
    KeysUnavailable,
    http_fetch,
    is_trustworthy,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

URL = "https://keys.example.org/keys"
NEVER_ANSWERED = f"the keys of {URL} cannot be fetched"


@pytest.fixture(scope="module")
def private() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


@pytest.fixture(scope="module")
def jwk(private: rsa.RSAPrivateKey) -> dict[str, Any]:
    """A public key as an issuer publishes it, without an id."""
    return {**RSAAlgorithm.to_jwk(private.public_key(), as_dict=True), "use": "sig"}


class Issuer:
    """A key set, a clock and a log in one: publishes ``kids``, fails with ``error``, answers when ``opened``."""

    def __init__(self, jwk: dict[str, Any], *kids: str) -> None:
        self.jwk = jwk
        self.kids = list(kids)
        self.now = 1000.0
        self.fetches = 0
        self.error: Exception | None = None
        self.opened = asyncio.Event()
        self.opened.set()
        self.told: list[tuple[Any, ...]] = []

    def keys(self, **settings: float) -> KeySet:
        return KeySet(URL, self.fetch, self, clock=lambda: self.now, **settings)

    async def fetch(self) -> Any:
        self.fetches += 1
        await self.opened.wait()
        if self.error is not None:
            raise self.error
        return {"keys": [{**self.jwk, "kid": kid} for kid in self.kids]}

    def keys_fetched(self, url: str, count: int) -> None:
        self.told.append(("fetched", url, count))

    def keys_unreachable(self, url: str, error: Exception, cached: int) -> None:
        self.told.append(("unreachable", url, error, cached))


@pytest.fixture
def issuer(jwk: dict[str, Any]) -> Issuer:
    return Issuer(jwk, "a")


async def settled() -> None:
    """Let what runs in the background come to rest."""
    for _ in range(5):
        await asyncio.sleep(0)


async def unavailable(keys: KeySet, kid: str) -> tuple[str, int]:
    with pytest.raises(KeysUnavailable) as caught:
        await keys.find(kid)
    return str(caught.value), caught.value.retry_after


async def test_a_key_is_found_by_its_id(issuer: Issuer, private: rsa.RSAPrivateKey) -> None:
    """What is found is the public key itself, and the fetch is told of."""
    found = await issuer.keys().find("a")
    assert found.public_numbers() == private.public_key().public_numbers()
    assert issuer.told == [("fetched", URL, 1)]


async def test_nothing_is_fetched_before_a_key_is_needed(issuer: Issuer) -> None:
    """An app starts without its key server."""
    issuer.keys()
    await settled()
    assert issuer.fetches == 0


async def test_all_who_wait_share_one_fetch(issuer: Issuer) -> None:
    """Single flight: a hundred callers, known ids and unknown, one fetch."""
    issuer.opened.clear()
    keys = issuer.keys()
    waiting = [asyncio.ensure_future(keys.find("a" if number % 2 else "x")) for number in range(100)]
    await settled()
    assert [each.done() for each in waiting] == [False] * 100
    issuer.opened.set()
    found = await asyncio.gather(*waiting)
    assert [each is not None for each in found] == [bool(number % 2) for number in range(100)]
    assert issuer.fetches == 1


async def test_keys_at_hand_cause_no_fetch(issuer: Issuer) -> None:
    """As long as they are young, whatever the number of requests."""
    keys = issuer.keys()
    for _ in range(3):
        assert await keys.find("a") is not None
        issuer.now += LIFETIME / 3 - 1
    await settled()
    assert issuer.fetches == 1


async def test_unknown_ids_cause_one_fetch_in_a_cooldown(issuer: Issuer) -> None:
    """Whatever senders make up, the key server is asked once in a cool-down."""
    keys = issuer.keys()
    await keys.find("a")
    counts = []
    for step in (0, 1, COOLDOWN - 2, 1, 0):
        issuer.now += step
        assert [await keys.find(f"made up {number}") for number in range(3)] == [None] * 3
        counts.append(issuer.fetches)
    assert counts == [2, 2, 2, 3, 3]


async def test_the_first_fetch_leaves_the_cooldown_whole(issuer: Issuer) -> None:
    """A rotation right after the first request is noticed at once."""
    keys = issuer.keys()
    assert await keys.find("b") is None
    issuer.kids = ["a", "b"]
    assert await keys.find("b") is not None
    assert issuer.fetches == 2


async def test_a_cooldown_can_be_chosen(issuer: Issuer) -> None:
    """``cooldown`` is in seconds of the clock."""
    keys = issuer.keys(cooldown=10)
    for step in (0, 0, 9, 1):
        issuer.now += step
        await keys.find("x")
    assert issuer.fetches == 3


async def test_aged_keys_are_renewed_in_the_background(issuer: Issuer) -> None:
    """The old keys answer at once while one fetch is under way."""
    keys = issuer.keys()
    before = await keys.find("a")
    issuer.now += LIFETIME
    issuer.opened.clear()
    assert [await keys.find("a") for _ in range(3)] == [before] * 3
    await settled()
    assert issuer.fetches == 2
    issuer.kids = ["a", "b"]
    issuer.opened.set()
    await settled()
    assert await keys.find("b") is not None
    assert issuer.fetches == 2
    assert issuer.told == [("fetched", URL, 1), ("fetched", URL, 2)]


async def test_an_unknown_id_joins_the_renewal_that_is_under_way(issuer: Issuer) -> None:
    """It waits for that fetch instead of causing another, even in a cool-down."""
    keys = issuer.keys(lifetime=30)
    await keys.find("a")
    await keys.find("b")
    issuer.now += 30
    issuer.opened.clear()
    await keys.find("a")
    waiting = asyncio.ensure_future(keys.find("b"))
    await settled()
    issuer.kids = ["b"]
    issuer.opened.set()
    assert await waiting is not None
    assert issuer.fetches == 3


async def test_keys_at_hand_serve_while_renewals_fail(issuer: Issuer) -> None:
    """For as long as it takes, with a pause between the attempts."""
    keys = issuer.keys()
    before = await keys.find("a")
    issuer.now += LIFETIME
    issuer.error = OSError("nobody there")
    counts = []
    for step in (0, PAUSE - 1, 1, 1, 10 * LIFETIME):
        issuer.now += step
        assert await keys.find("a") is before
        await settled()
        counts.append(issuer.fetches)
    assert counts == [2, 2, 3, 3, 4]
    assert issuer.told == [("fetched", URL, 1)] + [("unreachable", URL, issuer.error, 1)] * 3


async def test_a_key_server_that_comes_back_is_used_again(issuer: Issuer) -> None:
    """After the pause; then the keys are young, and unknown ids unknown."""
    keys = issuer.keys()
    issuer.error = OSError("nobody there")
    await unavailable(keys, "a")
    issuer.error = None
    issuer.now += PAUSE
    assert await keys.find("a") is not None
    assert await keys.find("x") is None
    assert issuer.fetches == 3


async def test_without_keys_the_answer_is_to_come_back(issuer: Issuer) -> None:
    """No key and no key server is no verdict on the token, and one attempt serves all in the pause."""
    issuer.error = OSError("nobody there")
    keys = issuer.keys()
    counts = []
    for step in (0, 1, PAUSE - 2, 1, 0):
        issuer.now += step
        assert await unavailable(keys, "a") == (NEVER_ANSWERED, 5)
        counts.append(issuer.fetches)
    assert counts == [1, 1, 1, 2, 2]
    assert issuer.told == [("unreachable", URL, issuer.error, 0)] * 2


async def test_an_unknown_id_is_no_verdict_while_the_key_server_is_away(issuer: Issuer) -> None:
    """It may be the key of a rotation: the cached keys cannot tell."""
    keys = issuer.keys()
    await keys.find("a")
    issuer.error = OSError("nobody there")
    assert await unavailable(keys, "b") == (NEVER_ANSWERED, 5)
    assert await unavailable(keys, "b") == (NEVER_ANSWERED, 5)
    assert issuer.fetches == 2
    assert await keys.find("a") is not None


async def test_all_who_wait_share_a_failure(issuer: Issuer) -> None:
    """One attempt fails for everybody; nobody begins the next."""
    issuer.opened.clear()
    issuer.error = OSError("nobody there")
    keys = issuer.keys()
    waiting = [asyncio.ensure_future(unavailable(keys, "a")) for _ in range(20)]
    await settled()
    issuer.opened.set()
    assert await asyncio.gather(*waiting) == [(NEVER_ANSWERED, 5)] * 20
    assert issuer.fetches == 1


async def test_a_key_that_is_no_longer_published_serves_for_a_while(issuer: Issuer) -> None:
    """What it signed is still under way; after the grace it is unknown."""
    keys = issuer.keys()
    before = await keys.find("a")
    issuer.kids = ["b"]
    after = await keys.find("b")
    issuer.now += GRACE - 1
    issuer.kids = ["c"]
    assert await keys.find("c") is not None
    assert await keys.find("a") is before
    assert await keys.find("b") is after
    issuer.now += 1
    assert await keys.find("a") is None
    assert await keys.find("b") is after


async def test_a_key_under_a_known_id_is_replaced_at_once(issuer: Issuer) -> None:
    """The grace is for ids that vanished, never for an older key of the same id."""
    keys = issuer.keys(lifetime=30)
    before = await keys.find("a")
    other = rsa.generate_private_key(public_exponent=65537, key_size=2048).public_key()
    issuer.jwk = RSAAlgorithm.to_jwk(other, as_dict=True)
    issuer.now += 30
    assert await keys.find("a") is before
    await settled()
    assert (await keys.find("a")).public_numbers() == other.public_numbers()


async def test_a_waiter_that_leaves_takes_nothing_with_it(issuer: Issuer) -> None:
    """The fetch goes on for the others; a sender that hangs up cannot stop it."""
    issuer.opened.clear()
    keys = issuer.keys()
    leaving, staying = (asyncio.ensure_future(keys.find("a")) for _ in range(2))
    await settled()
    leaving.cancel()
    await settled()
    issuer.opened.set()
    assert await staying is not None
    assert leaving.cancelled()
    assert issuer.fetches == 1


async def test_the_last_waiter_may_leave(issuer: Issuer) -> None:
    """The keys are there for the next."""
    issuer.opened.clear()
    keys = issuer.keys()
    leaving = asyncio.ensure_future(keys.find("a"))
    await settled()
    leaving.cancel()
    await settled()
    issuer.opened.set()
    await settled()
    assert await keys.find("a") is not None
    assert issuer.fetches == 1


def test_keys_serve_one_loop_after_another(jwk: dict[str, Any]) -> None:
    """What one loop fetched, the next finds."""
    issuer = Issuer(jwk, "a")
    keys = issuer.keys()
    assert [asyncio.run(keys.find("a")) is not None for _ in range(3)] == [True] * 3
    assert issuer.fetches == 1


def test_a_loop_that_ended_in_its_fetch_holds_nobody_up(jwk: dict[str, Any]) -> None:
    """The fetch ended with its loop; the next loop begins another."""

    async def leave() -> None:
        issuer.opened.clear()
        pending.add(asyncio.ensure_future(keys.find("a")))
        await settled()

    async def stay() -> bool:
        issuer.opened = asyncio.Event()
        issuer.opened.set()
        return await keys.find("a") is not None

    issuer, pending = Issuer(jwk, "a"), set[asyncio.Future[Any]]()
    keys = issuer.keys()
    asyncio.run(leave())
    assert asyncio.run(stay())
    assert issuer.fetches == 2


def test_loops_side_by_side_have_a_fetch_each(jwk: dict[str, Any]) -> None:
    """A fetch belongs to its loop, and one that ends leaves the other's alone."""
    issuer = Issuer(jwk, "a")
    first, second = asyncio.new_event_loop(), asyncio.new_event_loop()
    gates = {loop: asyncio.Event() for loop in (first, second)}
    counts = dict.fromkeys((first, second), 0)

    async def fetch() -> Any:
        loop = asyncio.get_running_loop()
        counts[loop] += 1
        await gates[loop].wait()
        return await issuer.fetch()

    keys = KeySet(URL, fetch, issuer, clock=lambda: issuer.now)
    waiting = {loop: loop.create_task(keys.find("a")) for loop in (first, second)}
    for loop in (first, second):
        loop.run_until_complete(settled())
    gates[first].set()
    assert first.run_until_complete(waiting[first]) is not None
    another = second.create_task(keys.find("unknown"))
    second.run_until_complete(settled())
    assert list(counts.values()) == [1, 1]
    gates[second].set()
    assert second.run_until_complete(waiting[second]) is not None
    assert second.run_until_complete(another) is None
    first.close()
    second.close()


async def kept(issuer: Issuer, key_set: Any) -> list[str]:
    """Which of the ids k0, k1 ... are found in this key set."""

    async def fetch() -> Any:
        return key_set

    keys = KeySet(URL, fetch, issuer, clock=lambda: issuer.now)
    return [kid for number in range(MAX_KEYS + 3) if await keys.find(kid := f"k{number}") is not None]


def elliptic() -> dict[str, Any]:
    return ECAlgorithm.to_jwk(ec.generate_private_key(ec.SECP256R1()).public_key(), as_dict=True)


def weak() -> dict[str, Any]:
    key = rsa.generate_private_key(public_exponent=65537, key_size=1024)
    return RSAAlgorithm.to_jwk(key.public_key(), as_dict=True)


@pytest.mark.parametrize(
    "wrong",
    [
        pytest.param(lambda jwk, private: elliptic(), id="elliptic curve"),
        pytest.param(lambda jwk, private: {"kty": "oct", "k": "c2VjcmV0", "alg": "HS256"}, id="secret"),
        pytest.param(lambda jwk, private: {**jwk, "use": "enc"}, id="for encryption"),
        pytest.param(lambda jwk, private: {**jwk, "alg": "RS512"}, id="for another algorithm"),
        pytest.param(lambda jwk, private: {**jwk, "kid": 7}, id="id is a number"),
        pytest.param(lambda jwk, private: {**jwk, "kid": None}, id="id is null"),
        pytest.param(lambda jwk, private: RSAAlgorithm.to_jwk(private, as_dict=True), id="private key"),
        pytest.param(lambda jwk, private: weak(), id="1024 bits"),
        pytest.param(lambda jwk, private: {**jwk, "n": "!"}, id="modulus is no base64"),
        pytest.param(lambda jwk, private: {**jwk, "n": 5}, id="modulus is a number"),
        pytest.param(lambda jwk, private: {**jwk, "n": ""}, id="modulus is empty"),
        pytest.param(lambda jwk, private: {**jwk, "e": "AA"}, id="exponent is nought"),
        pytest.param(lambda jwk, private: {"kty": "RSA"}, id="no numbers"),
        pytest.param(lambda jwk, private: {}, id="empty"),
        pytest.param(lambda jwk, private: None, id="null"),
        pytest.param(lambda jwk, private: "k0", id="text"),
        pytest.param(lambda jwk, private: [], id="list"),
    ],
)
async def test_what_is_no_rsa_signing_key_is_passed_over(
    issuer: Issuer,
    jwk: dict[str, Any],
    private: rsa.RSAPrivateKey,
    wrong: Callable[[dict[str, Any], rsa.RSAPrivateKey], Any],
) -> None:
    """One odd entry never hides the others; alone it is a failure, and no key set without keys."""
    entry = wrong(jwk, private)
    entry = {"kid": "k0", **entry} if isinstance(entry, dict) else entry
    assert await kept(issuer, {"keys": [entry, {**jwk, "kid": "k1"}]}) == ["k1"]
    issuer.told.clear()
    with pytest.raises(KeysUnavailable):
        await kept(issuer, {"keys": [entry]})
    (fact, url, error, cached) = issuer.told[0]
    assert (fact, url, cached) == ("unreachable", URL, 0)
    assert repr(error) == repr(ValueError("the key set holds no RSA signing key"))


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
members = st.fixed_dictionaries(
    {"kty": st.just("RSA"), "kid": st.just("k0")},
    optional={"n": json_values, "e": json_values, "use": json_values, "alg": json_values},
)


def base64url(number: int) -> str:
    return base64.urlsafe_b64encode(number.to_bytes(number.bit_length() // 8 + 1, "big")).rstrip(b"=").decode()


def malformed(jwk: dict[str, Any]) -> st.SearchStrategy[dict[str, Any]]:
    """A signing key by its looks, with numbers that make no RSA key, or parts that are no numbers."""
    numbers = st.integers(0, 2**70) | st.sampled_from([0, 1, 2, 3, 2**2048, 2**2047 + 1, 2**20000 + 1])
    part = numbers.map(base64url) | json_values | st.sampled_from(["!", "====", "\u00e9", "A" * 5])
    return st.fixed_dictionaries(
        {"kty": st.just("RSA"), "kid": st.sampled_from(["bad", ""]), "n": part | st.just(jwk["n"]), "e": part},
        optional={"alg": st.sampled_from(["RS256", "", None]), "x5c": json_values, "key_ops": json_values},
    )


@given(data=st.data())
def test_no_malformed_key_costs_the_good_one(jwk: dict[str, Any], data: st.DataObject) -> None:
    """However many there are, before or behind it, and whatever they make cryptography raise."""
    entry = malformed(jwk) | members | json_values
    entries = [*data.draw(st.lists(entry, max_size=4)), {**jwk, "kid": "good"}, *data.draw(st.lists(entry, max_size=4))]

    async def fetch() -> Any:
        return {"keys": entries}

    async def find() -> Any:
        return await KeySet(URL, fetch, Issuer({}), clock=lambda: 0.0).find("good")

    assert asyncio.run(find()).key_size == 2048


class Odd(Exception):
    """An error that nobody has heard of."""


@pytest.mark.parametrize("error", [Odd(), ValueError(), TypeError(), RecursionError(), MemoryError()], ids=repr)
async def test_whatever_a_key_raises_the_good_ones_serve(
    issuer: Issuer, jwk: dict[str, Any], error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    """cryptography's own errors are not the only ones."""
    theirs = rs256.public_key

    def raising(entry: dict[str, Any]) -> Any:
        if entry["kid"] == "k0":
            raise error
        return theirs(entry)

    monkeypatch.setattr(rs256, "public_key", raising)
    assert await kept(issuer, {"keys": [{**jwk, "kid": "k0"}, {**jwk, "kid": "k1"}]}) == ["k1"]


async def test_a_good_key_behind_many_bad_ones_is_kept(issuer: Issuer, jwk: dict[str, Any]) -> None:
    """The limit is on the keys that are kept, not on the entries that are looked at."""
    bad = [{**jwk, "n": "AQ", "kid": f"k{number}"} for number in range(MAX_KEYS + 1)]
    assert await kept(issuer, {"keys": [*bad, {**jwk, "kid": "k7"}]}) == ["k7"]


@pytest.mark.parametrize("more", [{}, {"use": "sig"}, {"alg": "RS256"}, {"x5c": ["?"], "x5t": "?"}], ids=repr)
async def test_a_signing_key_may_say_little_or_much(issuer: Issuer, jwk: dict[str, Any], more: dict[str, Any]) -> None:
    """``use`` and ``alg`` are optional (RFC 7517); certificates are not looked at."""
    bare = {name: jwk[name] for name in ("kty", "n", "e")}
    assert await kept(issuer, {"keys": [{**bare, "kid": "k0", **more}]}) == ["k0"]


async def test_no_more_keys_are_kept_than_an_issuer_may_have(issuer: Issuer, jwk: dict[str, Any]) -> None:
    """A key set of any length takes bounded memory."""
    entries = [{**jwk, "kid": f"k{number}"} for number in range(MAX_KEYS + 2)]
    assert await kept(issuer, {"keys": entries}) == [f"k{number}" for number in range(MAX_KEYS)]


@given(key_set=json_values | st.fixed_dictionaries({"keys": json_values | st.lists(members, max_size=3)}))
def test_no_key_set_does_harm(key_set: Any) -> None:
    """Any JSON gives keys, or counts as a failed fetch."""

    async def fetch() -> Any:
        return key_set

    async def find() -> Any:
        return await KeySet(URL, fetch, Issuer({}), clock=lambda: 0.0).find("k0")

    with pytest.raises(KeysUnavailable, match=r"cannot be fetched$"):
        asyncio.run(find())


@pytest.mark.parametrize(
    ("url", "trusted"),
    [
        ("https://keys.example.org/keys", True),
        ("HTTPS://keys.example.org/keys", True),
        ("http://127.0.0.1:8000/keys", True),
        ("http://localhost/keys", True),
        ("http://[::1]:8000/keys", True),
        ("http://keys.example.org/keys", False),
        ("http://localhost.example.org/keys", False),
        ("http://127.0.0.1.example.org/keys", False),
        ("http://localhost@example.org/keys", False),
        ("http://127.0.0.1:80@example.org/keys", False),
        ("https:///keys", False),
        ("http://[::1/keys", False),
        ("ftp://localhost/keys", False),
        ("file:///keys", False),
        ("keys.example.org", False),
        ("", False),
    ],
)
def test_keys_come_over_https_or_from_this_machine(url: str, trusted: bool) -> None:
    """The host itself is looked at, not how the address begins."""
    assert is_trustworthy(url) is trusted


class Web:
    """A key server in a thread: each path's answer is a status and a body, or a function of the connection."""

    def __init__(self) -> None:
        self.answers: dict[str, Any] = {}
        self.asked: list[str] = []
        self.released = threading.Event()
        web = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                web.asked.append(self.path)
                status, headers, body = web.answers[self.path]
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.end_headers()
                if body is None:
                    self.wfile.write(b"{")
                    web.released.wait(5)
                else:
                    self.wfile.write(body)

            def log_message(self, *_: object) -> None: ...

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})

    def __enter__(self) -> Web:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.released.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def says(self, path: str, body: Any, status: int = 200, **headers: str) -> str:
        content = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        self.answers[path] = (status, headers, content)
        return self.url + path

    async def fetched(self, path: str, *, configuration: bool = False, timeout: float = 5.0) -> Any:
        return await http_fetch(self.url + path, configuration=configuration, timeout=timeout)()


@pytest.fixture
def web() -> Iterator[Web]:
    with Web() as running:
        yield running


async def failure(web: Web, path: str, **how: Any) -> tuple[str, str]:
    with pytest.raises((ValueError, TimeoutError, httpx.HTTPError)) as caught:
        await web.fetched(path, **how)
    return type(caught.value).__name__, str(caught.value).partition("\n")[0]


async def test_a_key_set_is_fetched_over_http(web: Web) -> None:
    """The decoded JSON, as it is."""
    web.says("/keys", {"keys": [{"kid": "a"}], "more": [1.5, None]})
    assert await web.fetched("/keys") == {"keys": [{"kid": "a"}], "more": [1.5, None]}
    assert web.asked == ["/keys"]


async def test_a_value_that_is_none_costs_its_own_key_alone(web: Web, issuer: Issuer, jwk: dict[str, Any]) -> None:
    """Half a character, and a number that no machine has, stand in JSON that other readers accept."""
    good = json.dumps({**jwk, "kid": "k7"}).encode()
    web.says("/keys", b'{"keys": [{"kty": "RSA", "kid": "k0", "n": "\\ud800", "e": 1e999}, %b]}' % good)
    assert await kept(issuer, await web.fetched("/keys")) == ["k7"]


async def test_an_openid_configuration_names_the_key_set(web: Web) -> None:
    """Two documents, one fetch."""
    web.says("/openid", {"issuer": "x", "jwks_uri": web.url + "/keys"})
    web.says("/keys", {"keys": []})
    assert await web.fetched("/openid", configuration=True) == {"keys": []}
    assert web.asked == ["/openid", "/keys"]


async def test_an_openid_configuration_cannot_lead_to_plain_http(web: Web) -> None:
    """Keys from the open network can be anybody's, whoever names them."""
    web.says("/openid", {"jwks_uri": "http://keys.example.org/keys"})
    rule = "the key set 'http://keys.example.org/keys' is not https; keys fetched over http can be anybody's"
    assert await failure(web, "/openid", configuration=True) == ("ValueError", rule)


@pytest.mark.parametrize("document", [{}, [], {"jwks_uri": 5}, "text", None], ids=repr)
async def test_an_openid_configuration_without_a_key_set_is_a_failure(web: Web, document: Any) -> None:
    """Whatever JSON is there instead; nothing else is asked for."""
    web.says("/openid", json.dumps(document).encode())
    with pytest.raises((KeyError, TypeError, AttributeError, ValueError)):
        await web.fetched("/openid", configuration=True)
    assert web.asked == ["/openid"]


@pytest.mark.parametrize("status", [204, 304, 404, 500, 503])
async def test_no_other_status_gives_keys(web: Web, status: int) -> None:
    """An error page is no key set, even one that is."""
    web.says("/keys", b"" if status in (204, 304) else {"keys": []}, status)
    name, _ = await failure(web, "/keys")
    assert name == ("JSONDecodeError" if status == 204 else "HTTPStatusError")


async def test_a_redirect_is_not_followed(web: Web) -> None:
    """Where the keys are is a setting, not the server's choice."""
    web.says("/keys", b"", 302, location="/elsewhere")
    web.says("/elsewhere", {"keys": []})
    name, text = await failure(web, "/keys")
    assert (name, text) == ("HTTPStatusError", f"Redirect response '302 Found' for url '{web.url}/keys'")
    assert web.asked == ["/keys"]


async def test_a_document_may_have_so_many_bytes(web: Web) -> None:
    """One more is too many."""
    web.says("/keys", b"[]".ljust(LARGEST))
    assert await web.fetched("/keys") == []
    web.says("/keys", b"[]".ljust(LARGEST + 1))
    assert await failure(web, "/keys") == ("ValueError", f"the document has more than {LARGEST} bytes")


@pytest.mark.parametrize("body", [b"", b"<html>", b"{", b'"\xff"', b"[" * 5000], ids=repr)
async def test_what_is_no_json_is_a_failure(web: Web, body: bytes) -> None:
    """An exception the key set isolates, never a value."""
    web.says("/keys", body)
    with pytest.raises((ValueError, RecursionError)):
        await web.fetched("/keys")


async def test_a_server_that_dawdles_is_given_up(web: Web) -> None:
    """The time is for the whole answer, also of a server that has begun it."""
    web.says("/keys", None)
    assert await failure(web, "/keys", timeout=0.2) == ("TimeoutError", "no complete answer within 0.2 seconds")


async def test_nobody_there_is_a_failure_that_passes(web: Web, issuer: Issuer) -> None:
    """A refused connection is told of, and the caller is to come back."""
    with Web() as gone:
        url = gone.url
    keys = KeySet(url, http_fetch(url, configuration=False, timeout=5), issuer, clock=lambda: issuer.now)
    with pytest.raises(KeysUnavailable) as caught:
        await keys.find("a")
    assert (str(caught.value), caught.value.retry_after) == (f"the keys of {url} cannot be fetched", 5)
    assert [(each[0], each[1], type(each[2]).__name__, each[3]) for each in issuer.told] == [
        ("unreachable", url, "ConnectError", 0)
    ]
