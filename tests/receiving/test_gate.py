"""The gate before the body: the count of headers, who is asked, what is hidden, and which handshakes are read."""

from __future__ import annotations

from typing import Any

import pytest

from ringback import Head, Refusal, SharedSecret
from ringback.receiving.gate import Gate, head_of
from ringback.receiving.replies import Reply
from ringback.settings import UNSET

SECRET = "a-shared-secret-of-this-app"
PROBLEM = ("content-type", "application/problem+json")
UNAUTHORIZED = Reply(
    401,
    b'{"type":"about:blank","title":"Unauthorized","status":401}',
    (PROBLEM, ("www-authenticate", "Bearer")),
    "token_missing",
    sender_refused=True,
)


def scope(headers: Any = (), method: str = "POST", **more: Any) -> dict[str, Any]:
    return {"type": "http", "method": method, "path": "/cb", "headers": list(headers), **more}


class Asked:
    """A check that notes what it is shown and always says the same."""

    def __init__(self, refusal: Refusal | None = None) -> None:
        self.refusal = refusal
        self.heads: list[Head] = []

    async def __call__(self, head: Head) -> Refusal | None:
        self.heads.append(head)
        return self.refusal


class EventGrid(Asked):
    """A check that lets handshakes of the subscription `calls` be answered."""

    def allows_handshake(self, head: Head) -> bool:
        return head.values("aeg-subscription-name") == ["calls"]


# What a check is shown


def test_a_head_is_all_of_a_request_but_its_body() -> None:
    """Names in lower case, values as they are, in order; bytes read as Latin-1."""
    given = scope([(b"X-A", b"One"), (b"x-a", b"\xff")], query_string=b"a=%41&b=\xfc", path="/cb/\u00fc")
    assert head_of(given) == Head("POST", "/cb/\u00fc", "a=%41&b=\u00fc", (("x-a", "One"), ("x-a", "\u00ff")))


def test_a_request_need_not_have_a_query() -> None:
    """The key is optional in ASGI."""
    assert head_of(scope()) == Head("POST", "/cb", "", ())


# Who may come in


async def test_a_check_is_asked_once_and_lets_through() -> None:
    """With the head of the request."""
    check = Asked()
    assert await Gate(check, 10).denied(scope([(b"Host", b"app")], query_string=b"q=1")) is None
    assert check.heads == [Head("POST", "/cb", "q=1", (("host", "app"),))]


async def test_a_refused_request_gets_a_401_without_a_reason() -> None:
    """The scheme is named, the reason is for the log."""
    assert await Gate(Asked(Refusal("token_missing")), 10).denied(scope()) == UNAUTHORIZED


async def test_a_fault_that_will_pass_gets_a_503_with_the_time_to_come_again() -> None:
    """A 401 would not be sent again."""
    assert await Gate(Asked(Refusal("keys_unavailable", 503, 5)), 10).denied(scope()) == Reply(
        503,
        b'{"type":"about:blank","title":"Service unavailable","status":503}',
        (PROBLEM, ("retry-after", "5")),
        "keys_unavailable",
        sender_refused=True,
    )


async def test_one_of_several_checks_is_enough() -> None:
    """Asked in order; the one that lets through is the last."""
    checks = [Asked(Refusal("a")), Asked(), Asked()]
    assert await Gate(checks, 10).denied(scope()) is None
    assert [len(check.heads) for check in checks] == [1, 1, 0]


async def test_a_function_can_be_a_check() -> None:
    """Any async function of the head will do."""

    async def from_inside(head: Head) -> Refusal | None:
        return None if head.values("x-from") == ["inside"] else Refusal("token_missing")

    gate = Gate(from_inside, 10)
    assert await gate.denied(scope([(b"x-from", b"inside")])) is None
    assert await gate.denied(scope([(b"x-from", b"outside")])) == UNAUTHORIZED


@pytest.mark.parametrize(("auth", "unverified"), [(None, False), (UNSET, True)], ids=["None", "left out"])
async def test_without_a_check_every_sender_may_come_in(auth: Any, unverified: bool) -> None:
    """Whoever did not say so is warned, and only they."""
    gate = Gate(auth, 10)
    assert gate.unverified is unverified
    assert await gate.denied(scope()) is None
    assert gate.may_handshake(scope(method="OPTIONS")) is False
    assert gate.hides is False


def test_with_a_check_nobody_is_warned() -> None:
    """The senders are verified."""
    assert Gate(Asked(), 10).unverified is False


# How many headers


TOO_MANY = Reply(
    431,
    b'{"type":"about:blank","title":"Too many header fields","status":431,'
    b'"detail":"more than 3 header fields are not accepted"}',
    (PROBLEM,),
    "more than 3 header fields are not accepted",
    reason="headers",
)


@pytest.mark.parametrize("check", [None, Asked()], ids=["no check", "check"])
async def test_too_many_header_fields_are_refused(check: Asked | None) -> None:
    """The check is not even asked."""
    gate = Gate(check, 3)
    assert await gate.denied(scope([(b"a", b"1")] * 4)) == TOO_MANY
    if check is not None:
        assert check.heads == []


async def test_as_many_header_fields_as_the_limit_are_accepted() -> None:
    """The limit is the largest count that passes."""
    check = Asked()
    assert await Gate(check, 3).denied(scope([(b"a", b"1")] * 3)) is None
    assert len(check.heads) == 1


# Handshakes of a refused sender

ANNOUNCED = (b"aeg-event-type", b"SubscriptionValidation")
KNOWN = (b"aeg-subscription-name", b"calls")
REFUSED = Refusal("token_missing")


@pytest.mark.parametrize(
    ("check", "given", "may"),
    [
        pytest.param(EventGrid(REFUSED), scope([ANNOUNCED, KNOWN]), True, id="announced"),
        pytest.param(
            EventGrid(REFUSED), scope([(b"Aeg-Event-Type", b"SUBSCRIPTIONVALIDATION"), KNOWN]), True, id="any case"
        ),
        pytest.param(EventGrid(REFUSED), scope([KNOWN], "OPTIONS"), True, id="OPTIONS"),
        pytest.param([Asked(REFUSED), EventGrid(REFUSED)], scope([ANNOUNCED, KNOWN]), True, id="one of several"),
        pytest.param(EventGrid(REFUSED), scope([KNOWN]), False, id="not announced"),
        pytest.param(
            EventGrid(REFUSED), scope([(b"aeg-event-type", b"Notification"), KNOWN]), False, id="notification"
        ),
        pytest.param(EventGrid(REFUSED), scope([ANNOUNCED, ANNOUNCED, KNOWN]), False, id="announced twice"),
        pytest.param(EventGrid(REFUSED), scope([ANNOUNCED]), False, id="unknown subscription"),
        pytest.param(EventGrid(REFUSED), scope([], "OPTIONS"), False, id="OPTIONS of an unknown subscription"),
        pytest.param(Asked(REFUSED), scope([ANNOUNCED, KNOWN]), False, id="check that knows no handshake"),
        pytest.param(Asked(REFUSED), scope([KNOWN], "OPTIONS"), False, id="OPTIONS and such a check"),
        pytest.param(SharedSecret(SECRET), scope([ANNOUNCED, KNOWN]), False, id="shared secret"),
        pytest.param(
            EventGrid(REFUSED), scope([ANNOUNCED, KNOWN, *[(b"a", b"1")] * 9]), False, id="too many header fields"
        ),
    ],
)
def test_a_refused_request_may_be_a_handshake_if_it_says_so_and_the_check_allows_it(
    check: Any, given: dict[str, Any], may: bool
) -> None:
    """Anything else is refused unread."""
    assert Gate(check, 10).may_handshake(given) is may


# What is hidden


@pytest.mark.parametrize(
    ("auth", "hides"),
    [
        pytest.param(Asked(), False, id="another check"),
        pytest.param(SharedSecret(SECRET), True, id="shared secret"),
        pytest.param([Asked(), SharedSecret(SECRET)], True, id="among others"),
    ],
)
def test_a_gate_hides_shared_secrets(auth: Any, hides: bool) -> None:
    """And has nothing to hide without one."""
    given = scope(path=f"/cb/{SECRET}", raw_path=f"/cb/{SECRET}".encode(), query_string=f"a={SECRET}&b=\xfc".encode())
    before = dict(given)
    gate = Gate(auth, 10)
    gate.hide(given)
    hidden = {"path": "/cb/[secret]", "raw_path": b"/cb/[secret]", "query_string": "a=[secret]&b=\xfc".encode()}
    assert gate.hides is hides
    assert given == (before | hidden if hides else before)


def test_what_a_scope_lacks_is_not_added() -> None:
    """Both keys are optional in ASGI, and raw_path may be None."""
    for given in (scope(), scope(raw_path=None), scope(query_string=b"")):
        before = dict(given)
        Gate(SharedSecret(SECRET), 10).hide(given)
        assert given == before
