"""Who gets in, who may change something, and which forms are the page's own."""

from __future__ import annotations

import asyncio
import base64
import re
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse
from starlette.routing import Mount

from ringback import OutcomeRouter
from ringback.console import BasicAuth, Console
from ringback.console.access import COOKIE, Access
from ringback.exceptions import ConfigurationError
from ringback.stores import MemoryStore

HEADERS = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "x-robots-tag": "noindex",
}


def basic(text: str) -> dict[str, str]:
    return {"authorization": "Basic " + base64.b64encode(text.encode()).decode()}


@pytest.mark.parametrize("auth", [None, True, "hunter2", {"ops": "secret"}])
def test_a_page_open_to_everyone_is_refused(auth: Any) -> None:
    """There is no way to leave the door open by mistake."""
    with pytest.raises(ConfigurationError, match="the page is never open to everyone"):
        Console(store=MemoryStore(), auth=auth)


def test_auth_cannot_be_left_out() -> None:
    """It has no default."""
    with pytest.raises(TypeError, match="auth"):
        Console(store=MemoryStore())  # type: ignore[call-arg]


@pytest.mark.parametrize("settings", [{}, {"store": MemoryStore(), "router": OutcomeRouter()}])
def test_a_page_is_of_a_router_or_of_a_store(settings: dict[str, Any]) -> None:
    """Neither and both are refused."""
    with pytest.raises(ConfigurationError, match="pass router=, or store="):
        Console(auth=lambda _: "me", **settings)


def test_allow_changes_is_a_bool_or_a_function() -> None:
    """The text "no" would be true."""
    with pytest.raises(ConfigurationError, match="allow_changes of a Console is 'no'"):
        Console(store=MemoryStore(), auth=lambda _: "me", allow_changes="no")  # type: ignore[arg-type]


async def both(one: Any, two: Any) -> str:
    return ""


def yields(request: Any) -> Any:
    yield "me"


@pytest.mark.parametrize(
    ("function", "rule"), [(both, r"cannot be called as \(request\)"), (yields, "yields; register a function")]
)
@pytest.mark.parametrize("setting", ["auth", "allow_changes"])
def test_a_function_that_cannot_be_asked_is_refused(setting: str, function: Any, rule: str) -> None:
    """At start-up; a generator is true for everybody."""
    with pytest.raises(ConfigurationError, match=f"^{setting} of a Console .*{rule}"):
        Console(store=MemoryStore(), **{"auth": lambda _: "me", setting: function})


@pytest.mark.parametrize("error", [StopIteration(), SystemExit(3), KeyboardInterrupt(), GeneratorExit()], ids=repr)
@pytest.mark.parametrize("sync", [True, False], ids=["sync", "async"])
async def test_a_question_that_fails_shows_nothing_and_ends_nothing(memory, browser, error, sync) -> None:
    """Whatever it raises is a fault of the app's function, for the server to answer with 500."""

    def raises(request: Any) -> str:
        raise error

    async def raises_async(request: Any) -> str:
        raise error

    async with browser(memory.console(auth=raises if sync else raises_async)) as client:
        with pytest.raises(RuntimeError, match="raised"):
            await client.get("/")


@pytest.mark.parametrize("setting", ["auth", "allow_changes"])
async def test_an_answer_that_must_still_be_awaited_is_no_yes(setting: str) -> None:
    """A task is true whatever it will return."""
    tasks: list[asyncio.Task[None]] = []

    async def asks(request: Any) -> Any:
        tasks.append(asyncio.ensure_future(asyncio.sleep(0)))
        return tasks[0]

    access = Access(**{"auth": lambda _: "me", "allow_changes": True, "token": str} | {setting: asks})
    with pytest.raises(TypeError, match="awaitable"):
        await (access.refusal if setting == "auth" else access.may_change)(Request({"type": "http"}))
    await tasks[0]


@pytest.mark.parametrize(
    ("username", "password", "rule"),
    [
        ("", "long enough 1234", "must not be empty"),
        ("a:b", "long enough 1234", "hold a colon"),
        ("ops", "", "has 0 characters"),
        ("ops", "short-pw-11", "has 11 characters"),
    ],
)
def test_a_weak_password_is_refused(username: str, password: str, rule: str) -> None:
    """And not repeated."""
    with pytest.raises(ConfigurationError, match=rule) as caught:
        BasicAuth(username, password)
    assert not password or password not in str(caught.value)


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 401),
        (basic("ops:correct horse"), 200),
        ({"authorization": "BASIC  " + base64.b64encode(b"ops:correct horse").decode()}, 200),
        (basic("ops:correct horsf"), 401),
        (basic("opt:correct horse"), 401),
        (basic("ops"), 401),
        ({"authorization": "Basic not base64!"}, 401),
        ({"authorization": "Basic é"}, 401),
        ({"authorization": "Bearer b3BzOmNvcnJlY3QgaG9yc2U="}, 401),
    ],
)
async def test_basic_auth_asks_for_the_password(memory, browser, headers, status) -> None:
    """Anything but the very pair gets the question again."""
    async with browser(memory.console(auth=BasicAuth("ops", "correct horse"))) as client:
        response = await client.get("/", headers={name: text.encode() for name, text in headers.items()})
    assert response.status_code == status
    challenge = None if status == 200 else 'Basic realm="Ringback", charset="UTF-8"'
    assert response.headers.get("www-authenticate") == challenge


async def coming(request: Any) -> str:
    return request.headers.get("x-user", "")


class Object:
    async def __call__(self, request: Any) -> bool:
        return "x-user" in request.headers


@pytest.mark.parametrize("auth", [lambda request: request.headers.get("x-user"), coming, Object(), lambda r: coming(r)])
@pytest.mark.parametrize(
    "path", "/ /calls /calls.csv /calls/x /work /catalog /work/change /static/console.css /nothing".split()
)
async def test_nobody_sees_anything_before_auth_has_said_yes(memory, browser, auth, path) -> None:
    """Not even which addresses there are."""
    async with browser(memory.console(auth=auth)) as client:
        refused = await client.get(path)
        let_in = await client.get(path, headers={"x-user": "me"})
    assert (refused.status_code, refused.text) == (401, "401: the operations page is only for those it knows\n")
    assert "www-authenticate" not in refused.headers
    assert let_in.status_code == {"/work/change": 405, "/nothing": 404, "/calls/x": 404}.get(path, 200)


async def test_auth_may_send_to_a_login(memory, browser) -> None:
    """A response is no user: it is sent in place of the page."""
    async with browser(memory.console(auth=lambda _: RedirectResponse("/login", 303))) as client:
        response = await client.get("/")
    assert (response.status_code, response.headers["location"]) == (303, "/login")


async def test_auth_may_say_no_as_its_framework_does(memory, browser) -> None:
    """Its text is for the app's log, not for a stranger."""

    def auth(request: Any) -> None:
        raise HTTPException(403, "user 17 lacks the role", {"x-hint": "role"})

    async with browser(memory.console(auth=auth)) as client:
        response = await client.get("/")
    assert (response.status_code, response.text, response.headers["x-hint"]) == (403, "403\n", "role")


@pytest.mark.parametrize(
    "path", "/ /calls /calls.csv /work /catalog /work/change /static/console.js /static/none.js /nothing".split()
)
@pytest.mark.parametrize("user", ["me", None])
@pytest.mark.parametrize("mounted", [True, False])
async def test_every_answer_keeps_the_page_to_itself(memory, browser, path, user, mounted) -> None:
    """Whatever its status, and also where another app would write the error page."""
    console = memory.console(auth=lambda _: user)
    app = Starlette(routes=[Mount("/ringback", console)]) if mounted else console
    async with browser(app) as client:
        response = await client.get(("/ringback" if mounted else "") + path)
    assert {name: response.headers[name] for name in HEADERS} == HEADERS
    kept = user and path == "/static/console.js"
    assert response.headers["cache-control"] == ("no-cache" if kept else "no-store")


async def test_nothing_on_the_page_runs_or_styles_inline(memory, browser) -> None:
    """So that the policy of the page need not allow it; and nothing is loaded from elsewhere."""
    async with browser(memory.console(allow_changes=True)) as client:
        text = "".join([(await client.get(path)).text for path in ("/", "/calls", "/work", "/catalog")])
    assert re.findall(r"<script(?! src=| type=\"application/json\")|<style|\sstyle=|\son\w+=|javascript:", text) == []
    assert all(each.startswith("static/") for each in re.findall(r'(?:src|<link[^>]*href)="([^"]*)"', text))


@pytest.mark.parametrize(("method", "path", "status"), [
    ("PUT", "/", 405), ("POST", "/", 405), ("PUT", "/calls", 405), ("GET", "/work/change", 405),
    ("POST", "/static/console.js", 405),
    ("GET", "/static/../app.py", 404), ("GET", "/static/VENDORED.md", 404), ("GET", "/index.html", 404),
])  # fmt: skip
async def test_what_is_not_there_is_not_there(memory, browser, method, path, status) -> None:
    """404 and 405, and no file but the page's own."""
    async with browser(memory.console()) as client:
        response = await client.request(method, path)
    assert response.status_code == status


async def test_a_mistyped_address_leads_back(memory, browser) -> None:
    """To each page, from however deep, and says what is wrong."""
    async with browser(memory.console()) as client:
        response = await client.get("/work/letter/")
    links = re.findall(r'<a href="([^"]*)">(\w+)</a>', response.text)
    assert links == [
        (f"../../{to}", name)
        for to, name in (("./", "Now"), ("calls", "Calls"), ("work", "Work"), ("catalog", "Catalog"))
    ]
    assert (response.status_code, "There is no such page." in response.text) == (404, True)


async def test_a_file_is_asked_for_once(memory, browser) -> None:
    """Its address changes with its content; asked for by name alone, it is compared."""
    async with browser(memory.console()) as client:
        page = (await client.get("/")).text
        address = re.search(r'src="(static/console\.js\?v=\w+)"', page)[1]
        first = await client.get("/" + address, headers={"accept-encoding": "gzip"})
        plain = await client.get("/" + address, headers={"accept-encoding": "identity"})
        again = await client.get("/" + address, headers={"if-none-match": first.headers["etag"]})
    assert first.headers["cache-control"] == "private, max-age=31536000, immutable"
    assert first.headers["content-encoding"] == "gzip"
    assert first.headers["content-type"] == "text/javascript; charset=utf-8"
    assert "content-encoding" not in plain.headers
    assert first.content == plain.content
    assert (again.status_code, again.content) == (304, b"")


async def test_the_cookie_is_for_the_page_alone(memory, browser) -> None:
    """No script reads it, and no other site sends it; a browser gets one once."""
    async with browser(memory.console(token=lambda: "t" * 43)) as client:
        first, second = await client.get("/"), await client.get("/")
    assert first.headers["set-cookie"] == f"{COOKIE}={'t' * 43}; HttpOnly; Path=/; SameSite=strict; Secure"
    assert "set-cookie" not in second.headers
