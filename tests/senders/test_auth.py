"""Who may call: the shared secret in the URL, several checks as one, and what the setting accepts."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ringback import ConfigurationError, Head, Refusal, SharedSecret
from ringback.senders.auth import Check, allows_handshake, checks_of, verdict_of

FIRST = "first-secret-of-this-app"
SECOND = "second-secret-of-this-app"
ODD = "p+ss/w&rd=50% für ümme"
MISSING = Refusal("secret_missing")
WRONG = Refusal("secret_wrong")


def head(query: str = "", path: str = "/api/callbacks", *headers: tuple[str, str]) -> Head:
    return Head("POST", path, query, headers)


# The head of a request


def test_every_value_of_a_header_is_found_in_order() -> None:
    """A repeated header is for the check to judge."""
    given = Head("POST", "/", "", (("authorization", "a"), ("host", "app"), ("authorization", "b")))
    assert given.values("authorization") == ["a", "b"]
    assert given.values("cookie") == []


# What a check may say


def test_a_refusal_is_a_401_unless_it_says_otherwise() -> None:
    """No sender repeats a 401, and it need not say when to come again."""
    refused = Refusal("token_missing")
    assert (refused.reason, refused.status, refused.retry_after) == ("token_missing", 401, None)


@pytest.mark.parametrize("status", [200, 204, 400, 403, 500])
def test_a_refusal_with_another_status_is_refused(status: int) -> None:
    """A check of the app's own can neither let a sender through by its refusal nor tell it more."""
    with pytest.raises(ConfigurationError) as refused:
        Refusal("custom", status)
    assert str(refused.value) == f"a refusal cannot have status {status}; use 401, or 503 if it will pass"


def test_a_status_may_have_a_name() -> None:
    """``http`` has both."""
    assert Refusal("custom", HTTPStatus.SERVICE_UNAVAILABLE) == Refusal("custom", 503)


SECONDS = "give whole seconds, at most a day's 86400"


@pytest.mark.parametrize(
    ("values", "text"),
    [
        pytest.param({"reason": None}, "a refusal's reason None is no text; give a word for the log", id="no reason"),
        pytest.param({"reason": []}, "a refusal's reason [] is no text; give a word for the log", id="a list"),
        pytest.param(
            {"status": "401"},
            "a refusal cannot have status '401'; use 401, or 503 if it will pass",
            id="status as text",
        ),
        pytest.param(
            {"status": 401.0}, "a refusal cannot have status 401.0; use 401, or 503 if it will pass", id="a fraction"
        ),
        pytest.param(
            {"retry_after": "1\r\nx: y"},
            rf"a refusal's retry_after '1\r\nx: y' is no time; {SECONDS}",
            id="a header more",
        ),
        pytest.param({"retry_after": 1.5}, f"a refusal's retry_after 1.5 is no time; {SECONDS}", id="half a second"),
        pytest.param({"retry_after": -1}, f"a refusal's retry_after -1 is no time; {SECONDS}", id="before now"),
        pytest.param({"retry_after": 86_401}, f"a refusal's retry_after 86401 is no time; {SECONDS}", id="days"),
        pytest.param({"retry_after": True}, f"a refusal's retry_after True is no time; {SECONDS}", id="yes"),
    ],
)
async def test_a_refusal_that_no_answer_can_carry_is_a_failure_of_the_check(values: dict[str, Any], text: str) -> None:
    """The sender gets 503, and no answer with a broken head or a 500."""
    failures: list[str] = []

    async def check(head: Head) -> Refusal:
        return Refusal(**{"reason": "custom"} | values)

    refused = await verdict_of([check], head(), lambda _, error: failures.append(str(error)))
    assert (refused, failures) == (Refusal("check_failed", 503), [text])


# The shared secret


@pytest.mark.parametrize(
    ("query", "refusal"),
    [
        pytest.param(f"secret={FIRST}", None, id="right"),
        pytest.param(f"secret={SECOND}", None, id="right, the other of a rotation"),
        pytest.param(f"a=1&secret={FIRST}&b=2", None, id="among others"),
        pytest.param("secret=" + "".join(f"%{byte:02x}" for byte in FIRST.encode()), None, id="percent-encoded"),
        pytest.param(f"%73ecret={FIRST}", None, id="percent-encoded name"),
        pytest.param("secret=third-secret-of-this-app", WRONG, id="wrong"),
        pytest.param(f"secret={FIRST[:-1]}", WRONG, id="too short"),
        pytest.param(f"secret={FIRST}x", WRONG, id="too long"),
        pytest.param(f"secret={FIRST.upper()}", WRONG, id="other case"),
        pytest.param(f"secret=%20{FIRST}", WRONG, id="space before"),
        pytest.param(f"secret={quote(FIRST)}%00", WRONG, id="null byte behind"),
        pytest.param(f"secret=%25{FIRST}", WRONG, id="encoded twice"),
        pytest.param("secret=%ff%fe", WRONG, id="not UTF-8"),
        pytest.param("secret=\udcff", WRONG, id="half a surrogate pair"),
        pytest.param("", MISSING, id="no query"),
        pytest.param("secret", MISSING, id="name alone"),
        pytest.param("secret=", MISSING, id="empty"),
        pytest.param(f"Secret={FIRST}", MISSING, id="name in another case"),
        pytest.param(f"other={FIRST}", MISSING, id="another parameter"),
        pytest.param(f"secret={FIRST}&secret={FIRST}", MISSING, id="right twice"),
        pytest.param(f"secret=guess&secret={FIRST}", MISSING, id="a guess and the right one"),
        pytest.param(f"secret={FIRST};x=1", WRONG, id="semicolon"),
        pytest.param("&".join([f"secret={FIRST}", *["a=1"] * 99]), None, id="a hundred parameters"),
        pytest.param("&".join([f"secret={FIRST}", *["a=1"] * 100]), MISSING, id="more than a hundred parameters"),
    ],
)
async def test_a_secret_in_the_query_lets_through(query: str, refusal: Refusal | None) -> None:
    """Exactly one parameter, with exactly one of the secrets; whatever the query is, it is no exception."""
    assert await SharedSecret(FIRST, SECOND)(head(query)) == refusal


@pytest.mark.parametrize(
    ("path", "refusal"),
    [
        pytest.param(f"/api/callbacks/{FIRST}", None, id="right"),
        pytest.param(f"/{SECOND}", None, id="right, alone"),
        pytest.param("/api/callbacks/third-secret-of-this-app", WRONG, id="wrong"),
        pytest.param(f"/api/{FIRST}/callbacks", WRONG, id="in the middle"),
        pytest.param(f"/api/callbacks/x{FIRST}", WRONG, id="as a suffix"),
        pytest.param(f"/api/callbacks/{FIRST}/", MISSING, id="slash behind"),
        pytest.param("/", MISSING, id="no part"),
    ],
)
async def test_a_secret_in_the_path_is_its_last_part(path: str, refusal: Refusal | None) -> None:
    """The query does not count then."""
    assert await SharedSecret(FIRST, SECOND, parameter=None)(head(f"secret={FIRST}", path)) == refusal


async def test_a_secret_in_the_path_is_compared_as_the_server_decoded_it() -> None:
    """A scope's path is decoded already: what looks encoded in it is meant literally."""
    check = SharedSecret("a-100%41-secret-of-ours", parameter=None)
    assert await check(head(path="/cb/a-100%41-secret-of-ours")) is None
    assert await check(head(path="/cb/a-100A-secret-of-ours")) == WRONG
    assert await SharedSecret(FIRST, parameter=None)(head(path="/cb/" + FIRST.replace("f", "%66", 1))) == WRONG


@pytest.mark.parametrize("encode", [quote, quote_plus, lambda text: quote(text, safe="/")], ids=["%20", "+", "slash"])
async def test_a_secret_of_any_characters_is_understood_in_the_query(encode: Any) -> None:
    """Spaces, signs and letters beyond ASCII, in each of the usual encodings."""
    assert await SharedSecret(ODD)(head(f"secret={encode(ODD)}")) is None


async def test_the_parameter_has_the_name_of_the_apps_choice() -> None:
    """Then no other counts."""
    check = SharedSecret(FIRST, parameter="code")
    assert await check(head(f"code={FIRST}")) is None
    assert await check(head(f"secret={FIRST}")) == MISSING


@pytest.mark.parametrize(
    ("secrets", "message"),
    [
        pytest.param((), "SharedSecret has no secret; pass one, or two while one replaces the other", id="none"),
        pytest.param(
            ("x" * 15,),
            "a shared secret of 15 characters can be guessed; use at least 16, such as secrets.token_urlsafe(32)",
            id="short",
        ),
        pytest.param(
            (f"{FIRST}\n",),
            "a shared secret has white space at an end, as what is read from a file has; strip it",
            id="line feed",
        ),
        pytest.param(
            (FIRST, ""),
            "a shared secret of 0 characters can be guessed; use at least 16, such as secrets.token_urlsafe(32)",
            id="second is empty",
        ),
    ],
)
def test_a_secret_that_protects_nothing_is_refused_at_start(secrets: tuple[str, ...], message: str) -> None:
    """The message says how long it was, never what it was."""
    with pytest.raises(ConfigurationError) as refused:
        SharedSecret(*secrets)
    assert str(refused.value) == message


async def test_a_secret_of_sixteen_characters_is_long_enough() -> None:
    """The limit is the shortest that passes."""
    assert await SharedSecret("x" * 16)(head(f"secret={'x' * 16}")) is None


# What is hidden


@pytest.mark.parametrize(
    "spelling",
    [
        pytest.param(ODD, id="as it is"),
        pytest.param(quote(ODD, safe=""), id="quoted"),
        pytest.param(quote(ODD), id="quoted but for slashes"),
        pytest.param(quote_plus(ODD), id="as in a form"),
        pytest.param(quote_plus(ODD).lower(), id="lower-case hexadecimals"),
        pytest.param("".join(f"%{byte:02X}" for byte in ODD.encode()), id="every byte encoded"),
        pytest.param("".join(f"%{byte:02x}" for byte in ODD.encode()), id="every byte encoded in lower case"),
        pytest.param(ODD.encode().decode("latin-1"), id="bytes of a scope"),
    ],
)
def test_a_secret_is_hidden_in_every_spelling(spelling: str) -> None:
    """Whatever a sender or a proxy makes of the URL, wherever and however often."""
    assert SharedSecret(ODD).hide(f"/a/{spelling}?x={spelling}&y=1") == "/a/[secret]?x=[secret]&y=1"


def test_all_secrets_are_hidden_whole() -> None:
    """One that begins with another leaves no rest."""
    longer = FIRST + "-renewed"
    for check in (SharedSecret(FIRST, longer), SharedSecret(longer, FIRST)):
        assert check.hide(f"a={longer}&b={FIRST}&c=FIRST") == "a=[secret]&b=[secret]&c=FIRST"


def test_a_text_without_a_secret_stays_as_it_is() -> None:
    """A secret's signs are no pattern, and its case counts."""
    check = SharedSecret("x.*x.*x.*x.*x.*x")
    assert check.hide("secret=x.1x.2x.3x.4x.5x&X.*X.*X.*X.*X.*X") == "secret=x.1x.2x.3x.4x.5x&X.*X.*X.*X.*X.*X"


SPELLERS = (
    lambda character: character,
    lambda character: quote(character, safe=""),
    lambda character: "".join(f"%{byte:02x}" for byte in character.encode()),
    lambda character: "".join(f"%{byte:02X}" for byte in character.encode()),
)


@given(
    secret=st.text(st.characters(exclude_categories=["Cs"]), min_size=16, max_size=24).filter(
        lambda text: text == text.strip()
    ),
    ways=st.lists(st.integers(1, 3), min_size=24, max_size=24),
)
@example(secret="a secret of 100%", ways=[1] * 24)
async def test_whatever_spelling_is_accepted_is_hidden(secret: str, ways: list[int]) -> None:
    """However each of its characters is encoded: what lets through does not stay in the URL."""
    check = SharedSecret(secret)
    spelling = "".join(SPELLERS[way](character) for way, character in zip(ways, secret, strict=False))
    assert await check(head(f"secret={spelling}")) is None
    assert check.hide(f"secret={spelling}") == "secret=[secret]"
    assert check.hide(f"/cb/{secret}") == "/cb/[secret]"


# Several checks


class Fixed:
    """A check that always says the same, and counts how often it was asked."""

    def __init__(self, refusal: Refusal | None) -> None:
        self.refusal = refusal
        self.asked = 0

    async def __call__(self, _: Head) -> Refusal | None:
        self.asked += 1
        return self.refusal


class Shaking(Fixed):
    """A check that lets handshakes of one query through."""

    def __init__(self, allowed: str) -> None:
        super().__init__(Refusal("token_missing"))
        self.allowed = allowed

    def allows_handshake(self, head: Head) -> bool:
        return head.query == self.allowed


def nobody_fails(name: str, error: Exception) -> None:
    raise AssertionError(name) from error


A, B = Refusal("a"), Refusal("b")
NO_TOKEN, NO_SUBSCRIPTION = Refusal("token_missing"), Refusal("subscription_unknown")
LATER = Refusal("later", 503, 5)
MUCH_LATER = Refusal("much_later", 503, 50)


@pytest.mark.parametrize(
    ("said", "refusal", "asked"),
    [
        pytest.param([None, A], None, [1, 0], id="the first lets through"),
        pytest.param([A, None], None, [1, 1], id="the last lets through"),
        pytest.param([LATER, None], None, [1, 1], id="a fault of the first matters not"),
        pytest.param([A, B], A, [1, 1], id="what the first said"),
        pytest.param([NO_SUBSCRIPTION, B], B, [1, 1], id="not what the one said that it did not concern"),
        pytest.param([NO_TOKEN, NO_SUBSCRIPTION], NO_TOKEN, [1, 1], id="the first, if it concerned none"),
        pytest.param([LATER, A], LATER, [1, 1], id="503 before 401"),
        pytest.param([A, LATER, B], LATER, [1, 1, 1], id="503 between"),
        pytest.param([LATER, MUCH_LATER], LATER, [1, 1], id="the first 503"),
    ],
)
async def test_one_of_several_checks_is_enough(
    said: list[Refusal | None], refusal: Refusal | None, asked: list[int]
) -> None:
    """They are asked in order until one lets through; a fault that will pass outweighs a refusal."""
    checks = [Fixed(each) for each in said]
    assert await verdict_of(checks, head(), nobody_fails) == refusal
    assert [check.asked for check in checks] == asked


@pytest.mark.parametrize(
    ("checks", "allowed"),
    [
        pytest.param([Fixed(A)], False, id="knows no handshake"),
        pytest.param([SharedSecret(FIRST)], False, id="shared secret"),
        pytest.param([Shaking("yes")], True, id="allows it"),
        pytest.param([Shaking("no")], False, id="does not allow it"),
        pytest.param([Fixed(A), Shaking("yes")], True, id="one of several allows it"),
        pytest.param([Shaking("no"), Fixed(A)], False, id="none of several allows it"),
    ],
)
def test_a_handshake_is_allowed_by_a_check_that_knows_them(checks: list[Check], allowed: bool) -> None:
    """Only a check of Event Grid does, and it may look at the head."""
    assert allows_handshake(checks, head("yes"), nobody_fails) is allowed


# The setting


async def function(head: Head) -> Refusal | None:
    return A


def test_one_check_needs_no_list() -> None:
    """A function, an object that can be called, or a list of one."""
    check = Fixed(A)
    assert checks_of(function) == (function,)
    assert checks_of(check) == (check,)
    assert checks_of([check]) == (check,)


@pytest.mark.parametrize("collection", [list, tuple, set])
async def test_several_checks_are_any_of_them(collection: Any) -> None:
    """Any collection of checks will do."""
    one, two = Fixed(A), Fixed(None)
    checks = checks_of(collection([one, two]))
    assert set(checks) == {one, two}
    assert await verdict_of(checks, head(), nobody_fails) is None


class Odd:
    def __repr__(self) -> str:
        return "<odd>"


class Group(Fixed):
    """A check that has members, too."""

    def __len__(self) -> int:
        return 0

    def __iter__(self) -> Any:
        raise NotImplementedError

    def __contains__(self, _: object) -> bool:
        raise NotImplementedError


def test_a_check_that_is_also_a_collection_is_a_check() -> None:
    """What can be called is asked, not taken apart."""
    group: Any = Group(A)
    assert checks_of(group) == (group,)


NO_CHECK = "auth {} is no check; pass CallbackTokenVerifier(audience=...), or auth=None to accept every sender"
NO_NAME = "auth names no check; pass a verifier, or auth=None to accept every sender"


@pytest.mark.parametrize(
    ("auth", "message"),
    [
        pytest.param([], NO_NAME, id="empty list"),
        pytest.param("", NO_NAME, id="empty text"),
        pytest.param(Odd(), NO_CHECK.format("<odd>"), id="object"),
        pytest.param([function, Odd()], NO_CHECK.format("<odd>"), id="object among checks"),
        pytest.param([function, None], NO_CHECK.format("None"), id="None among checks"),
        pytest.param(True, NO_CHECK.format("True"), id="boolean"),
        pytest.param(SharedSecret, NO_CHECK.format(repr(SharedSecret)), id="class"),
    ],
)
def test_what_is_no_check_is_refused_at_start(auth: Any, message: str) -> None:
    """Not on the first call of the night."""
    with pytest.raises(ConfigurationError) as refused:
        checks_of(auth)
    assert str(refused.value) == message


def test_a_secret_that_was_passed_as_the_check_is_not_repeated() -> None:
    """A text is a likely mistake; the message must not bring it into a log."""
    with pytest.raises(ConfigurationError) as refused:
        checks_of(FIRST)  # type: ignore[arg-type]
    assert FIRST not in str(refused.value)
