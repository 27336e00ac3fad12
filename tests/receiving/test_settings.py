"""Settings that cannot work are refused when a door, a router or a verifier is made: value, rule, remedy."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from starlette.applications import Starlette

from ringback import (
    CallbackHandler,
    CallbackTokenVerifier,
    CallOutcomeMiddleware,
    ConfigurationError,
    EventGridTokenVerifier,
    OutcomeRouter,
    SharedSecret,
)
from ringback.console import BasicAuth, Console
from ringback.privacy.redaction import redact
from ringback.stores.postgres import PostgresStore
from ringback.stores.sqlite import SQLiteStore

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

GUID = "1f0e5c1a-0000-4000-8000-000000000001"
ARM = "/subscriptions/1f0e5c1a/resourceGroups/g/providers/Microsoft.Communication/CommunicationServices/contoso"
RESOURCE_ID = (
    "; give the immutable resource id, a GUID: az communication show --name <resource> "
    "--resource-group <group> --query immutableResourceId --output tsv"
)


def middleware(**settings: Any) -> object:
    return CallOutcomeMiddleware(Starlette(), **{"router": OutcomeRouter(), "path": "/c", "auth": None} | settings)


def handler(**settings: Any) -> object:
    return CallbackHandler(OutcomeRouter(), **{"auth": None} | settings)


def decorator(**settings: Any) -> object:
    def endpoint() -> None: ...

    return OutcomeRouter().callback(**{"auth": None} | settings)(endpoint)


def router(**settings: Any) -> object:
    return OutcomeRouter(**settings)


def check_that_yields(head: object) -> Generator[None]:
    yield


async def check_without_head() -> None: ...


NO_TIMES = [math.nan, math.inf, "5", None, True]
ENGINE: list[tuple[str, object, str]] = [
    ("catalog", "my.toml", "catalog 'my.toml' is no Catalog; pass Catalog.default().with_overrides(...)"),
    ("catalog", {}, "catalog {} is no Catalog; pass Catalog.default().with_overrides(...)"),
    *(("settle", value, f"settle {value!r} is no time; give seconds, 0 for none") for value in NO_TIMES),
    *(("drain", value, f"drain {value!r} is no time; give seconds, 0 for none") for value in NO_TIMES),
    ("settle", -0.5, "settle -0.5 is negative; give seconds, 0 for none"),
    ("hooks", {"attempts": 3}, "hooks {'attempts': 3} is no HookPolicy; pass HookPolicy(...), or leave it out"),
    ("worker", "false", "worker 'false' is neither True nor False; write one of them"),
    ("worker", 0, "worker 0 is neither True nor False; write one of them"),
    ("worker", False, "worker=False needs a store that another process can work on; pass store="),
    ("on_store_failure", "ignore", "on_store_failure 'ignore' is unknown; use 'refuse' or 'inline'"),
    ("on_store_failure", None, "on_store_failure None is unknown; use 'refuse' or 'inline'"),
    ("telemetry", True, "telemetry True is no Telemetry; pass Telemetry(), or leave it out"),
    ("store", Path("ringback.db"), "store 'ringback.db' is a path; write its URL, 'sqlite:///ringback.db'"),
    ("store", Path("/x/y.db"), "store '/x/y.db' is a path; write its URL, 'sqlite:////x/y.db'"),
    (
        "store",
        {"url": "x"},
        "store of type dict is no store; write a URL such as 'sqlite:///ringback.db', or pass a store",
    ),
    (
        "store",
        SQLiteStore,
        "store of type type is no store; write a URL such as 'sqlite:///ringback.db', or pass a store",
    ),
    (
        "store",
        "postgresql://me:hush@host/db?lease=5",
        "the store's URL has a parameter 'lease', which PostgreSQL does not know; settings of the store are "
        "arguments: PostgresStore('postgresql://...', lease=...)",
    ),
]
DOOR: list[tuple[str, object, str]] = [
    *(
        (name, value, f"{name} {value!r} is no whole number; give a positive one")
        for name in ("max_body", "max_events", "max_headers")
        for value in (math.nan, 1.5, "5", None, True)
    ),
    *((name, 0, f"{name} 0 accepts nothing; give a positive number") for name in ("max_body", "max_depth")),
    *(("body_timeout", value, f"body_timeout {value!r} is no time; give seconds, 0 for none") for value in NO_TIMES),
    ("max_depth", "8", "max_depth '8' is no whole number; give a positive one"),
    (
        "auth",
        "sesame-of-the-sender",
        "auth of type str is no check; pass CallbackTokenVerifier(audience=...), or auth=None to accept every sender",
    ),
    (
        "auth",
        CallbackTokenVerifier,
        "auth <class 'ringback.senders.tokens.CallbackTokenVerifier'> is no check; "
        "pass CallbackTokenVerifier(audience=...), or auth=None to accept every sender",
    ),
    ("auth", [], "auth names no check; pass a verifier, or auth=None to accept every sender"),
    (
        "auth",
        check_that_yields,
        "auth tests.receiving.test_settings.check_that_yields yields; register a function that returns",
    ),
    (
        "auth",
        check_without_head,
        "auth tests.receiving.test_settings.check_without_head() -> 'None' cannot be called as (head); "
        "change its parameters",
    ),
]
MADE: list[tuple[Callable[..., object], list[tuple[str, object, str]]]] = [
    *((door, DOOR) for door in (middleware, handler, decorator)),
    (router, ENGINE),
]


def _named(made: Callable[..., object], name: str, value: object) -> str:
    # Without the address of a function or an object, which is another in each process of the tests.
    return re.sub(" at 0x[0-9a-f]+", "", f"{made.__name__}-{name}-{value!r}")[:70]


ROWS = [
    pytest.param(made, {name: value}, said, id=_named(made, name, value))
    for made, rows in MADE
    for name, value, said in rows
]


def verifier(**settings: Any) -> object:
    return CallbackTokenVerifier(**{"audience": GUID} | settings)


def grid(**settings: Any) -> object:
    return EventGridTokenVerifier(**{"tenant": GUID, "audience": GUID} | settings)


def secret(**settings: Any) -> object:
    return SharedSecret(settings.pop("secret", "sesame-of-the-sender"), **settings)


def sqlite(**settings: Any) -> object:
    return SQLiteStore(**{"path": "x.db"} | settings)


def postgres(**settings: Any) -> object:
    return PostgresStore(**{"url": "postgresql://127.0.0.1/x"} | settings)


def password(**settings: Any) -> object:
    return BasicAuth(**{"username": "ops", "password": "sesame-of-the-operators"} | settings)


def console(**settings: Any) -> object:
    return Console(**{"router": OutcomeRouter(), "auth": lambda request: None} | settings)


UNSET = "see that the environment variable is set"
OTHERS: list[tuple[Callable[..., object], str, object, str]] = [
    (verifier, "audience", ARM, f"audience: {ARM!r} is the ARM path of a resource{RESOURCE_ID}"),
    (verifier, "audience", [GUID, ARM], f"audience: {ARM!r} is the ARM path of a resource{RESOURCE_ID}"),
    (verifier, "audience", "contoso", f"audience: 'contoso' is no GUID{RESOURCE_ID}"),
    (verifier, "audience", f"{{{GUID}}}", f"audience: '{{{GUID}}}' is no GUID{RESOURCE_ID}"),
    (verifier, "audience", f"{GUID}\n", f"audience: '{GUID}\\n' is no GUID{RESOURCE_ID}"),
    (
        verifier,
        "audience",
        "https://contoso.communication.azure.com/",
        f"audience: 'https://contoso.communication.azure.com/' is the endpoint of a resource{RESOURCE_ID}",
    ),
    (
        verifier,
        "audience",
        "endpoint=https://contoso.communication.azure.com/;accesskey=c2VzYW1l",
        f"audience: a connection string{RESOURCE_ID}",
    ),
    (verifier, "audience", None, "audience None names nothing; give a text, or several"),
    (verifier, "audience", "", "audience '' names nothing; give a text, or several"),
    (verifier, "audience", 5, "audience 5 names nothing; give a text, or several"),
    (verifier, "audience", [None], "audience [None] names nothing; give a text, or several"),
    (verifier, "issuer", [], "issuer [] names nothing; give a text, or several"),
    (verifier, "leeway", math.nan, "leeway nan is out of range; give 0 to 600 seconds"),
    (verifier, "leeway", "60", "leeway '60' is out of range; give 0 to 600 seconds"),
    (verifier, "leeway", True, "leeway True is out of range; give 0 to 600 seconds"),
    (verifier, "lifetime", math.nan, "lifetime nan is no time; give seconds, 0 for none"),
    (verifier, "cooldown", -1, "cooldown -1 is negative; give seconds, 0 for none"),
    (verifier, "timeout", 0, "timeout 0 lets no key be fetched; give seconds"),
    (verifier, "timeout", "5", "timeout '5' is no time; give seconds, 0 for none"),
    (verifier, "jwks_uri", 5, "key server 5 is not https; keys fetched over http can be anybody's"),
    (
        grid,
        "audience",
        ARM,
        f"audience: {ARM!r} is neither an application id, a GUID, nor its URI, such as 'api://<application id>'; "
        "give what the event subscription has",
    ),
    (
        grid,
        "audience",
        "endpoint=https://x;accesskey=c2VzYW1l",
        "audience: a connection string is neither an application id, a GUID, nor its URI, such as "
        "'api://<application id>'; give what the event subscription has",
    ),
    (grid, "tenant", "", "tenant '' is no tenant id; give the directory (tenant) id, a GUID"),
    (grid, "tenant", None, "tenant None is no tenant id; give the directory (tenant) id, a GUID"),
    (grid, "tenant", "common", "tenant 'common' is no tenant id; give the directory (tenant) id, a GUID"),
    (grid, "tenant", f"{GUID}/", f"tenant '{GUID}/' is no tenant id; give the directory (tenant) id, a GUID"),
    (
        grid,
        "tenant",
        "contoso.onmicrosoft.com",
        "tenant 'contoso.onmicrosoft.com' is a domain, and the issuer of tokens has the tenant's id; "
        "give the directory (tenant) id, a GUID",
    ),
    (
        grid,
        "subscriptions",
        [f"{ARM}/eventSubscriptions/incoming-calls"],
        f"subscriptions: '{ARM}/eventSubscriptions/incoming-calls' is no name of an event subscription; "
        "give its last part, 'incoming-calls'",
    ),
    (grid, "subscriptions", [], "subscriptions [] names nothing; give a text, or several"),
    (
        grid,
        "applications",
        ["Microsoft.EventGrid"],
        "applications: 'Microsoft.EventGrid' is no application id; give that of Event Grid's service principal, a GUID",
    ),
    (secret, "secret", None, f"a shared secret is no text but None; {UNSET}"),
    (secret, "secret", b"sesame-of-the-sender", f"a shared secret is no text but bytes; {UNSET}"),
    (
        secret,
        "parameter",
        "",
        "parameter '' is no name of a query parameter; give one, such as 'secret', "
        "or None for the last part of the path",
    ),
    (password, "username", None, f"username of BasicAuth is no text but None; {UNSET}"),
    (password, "password", None, f"password of BasicAuth is no text but None; {UNSET}"),
    (password, "password", b"sesame-of-the-operators", f"password of BasicAuth is no text but bytes; {UNSET}"),
    (console, "router", "app:router", "router 'app:router' is no OutcomeRouter; pass router=OutcomeRouter()"),
    (console, "catalog", {}, "catalog {} is no Catalog; pass Catalog.default().with_overrides(...)"),
    (sqlite, "path", None, f"store: path is no text but None; {UNSET}"),
    (postgres, "url", None, f"the store's URL is no text but None; {UNSET}"),
    *(
        (store, name, value, f"store: {name} {value!r} is no positive number")
        for store in (sqlite, postgres)
        for name in ("lease", "poll", "timeout", "max_backlog", "keep", "remember")
        for value in (math.nan, math.inf, -1, "5", None, True)
    ),
    *((store, "lease", 0, "store: lease 0 is no positive number") for store in (sqlite, postgres)),
    (sqlite, "network", "no", "store: network 'no' is neither True nor False; write one of them"),
    (postgres, "listen", 1, "store: listen 1 is neither True nor False; write one of them"),
]
ROWS += [pytest.param(made, {name: value}, said, id=_named(made, name, value)) for made, name, value, said in OTHERS]


@pytest.mark.parametrize(("made", "settings", "said"), ROWS)
def test_a_setting_that_cannot_work_is_refused(
    made: Callable[..., object], settings: dict[str, Any], said: str
) -> None:
    """At once, and the whole text: what was given, what may be, what to do."""
    with pytest.raises(ConfigurationError) as refused:
        made(**settings)
    assert str(refused.value) == said


def test_a_secret_of_the_path_has_no_slash() -> None:
    """The last part of a path is what follows its last slash."""
    with pytest.raises(ConfigurationError) as refused:
        SharedSecret("sesame/of/the/sender", parameter=None)
    assert str(refused.value) == (
        "a shared secret with a '/' is never the last part of a path; use secrets.token_urlsafe(32)"
    )
    SharedSecret("sesame/of/the/sender")


@pytest.mark.parametrize(
    ("made", "settings"),
    [
        (verifier, {"audience": GUID.upper()}),
        (verifier, {"audience": (GUID, GUID)}),
        (verifier, {"lifetime": 0, "cooldown": 0}),
        (grid, {"audience": ["api://app", "https://contoso.example/app", "urn:app", GUID.upper()]}),
        (grid, {"tenant": GUID.upper()}),
        (grid, {"tenant": "contoso.onmicrosoft.com", "issuer": f"https://sts.windows.net/{GUID}/"}),
        (middleware, {"body_timeout": 0, "max_depth": None}),
        (router, {"settle": 0, "drain": 0, "store": "memory"}),
        (sqlite, {"min_free": 0, "keep": 0, "remember": 0, "network": True}),
        (postgres, {"keep": 0, "listen": False}),
    ],
)
def test_settings_that_work_are_accepted(made: Callable[..., object], settings: dict[str, Any]) -> None:
    """What is unusual is not refused."""
    made(**settings)


@pytest.mark.parametrize(
    "given",
    [
        "endpoint=https://x.communication.azure.com/;accesskey=hushhush==",
        "https://app.example/api/callbacks?token=hushhush",
        "http://me:hushhush@host/x",
        "eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJodXNoaHVzaCJ9.aHVzaGh1c2g",
        "/{id}/{id}/eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJodXNoaHVzaCJ9.aHVzaGh1c2g",
        "/{id:none}/eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJodXNoaHVzaCJ9.aHVzaGh1c2g",
        "/{/eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJodXNoaHVzaCJ9.aHVzaGh1c2g",
    ],
)
@pytest.mark.parametrize(
    ("make", "setting"),
    [
        (verifier, "audience"),
        (verifier, "jwks_uri"),
        (grid, "tenant"),
        (grid, "applications"),
        (middleware, "path"),
    ],
)
def test_a_secret_in_the_place_of_another_setting_is_not_repeated(
    make: Callable[..., object], setting: str, given: str
) -> None:
    """Settings come from the environment, where two are easily mixed up, and what a start raises ends in a log."""
    if setting == "jwks_uri":
        given = given.replace("https://app", "http://app")
    with pytest.raises(ConfigurationError) as refused:
        make(**{setting: given})
    assert [each for each in ("hushhush", "eyJ") if each in str(refused.value)] == []


UNREADABLE = (
    "the store's URL cannot be read; write 'postgresql://<user>:<password>@host:5432/database', with %40 for '@' and "
    "%2F for '/' in the password, as urllib.parse.quote(password, safe='') does"
)
NO_PORT = "the store's URL has a port that is no number from 1 to 65535; write %2F for a '/' of the password"
URLS = {
    "postgresql://me:hush@host/db?passwrod=hush": "the store's URL has a parameter 'passwrod', which PostgreSQL does "
    "not know; leave it out, or see PostgreSQL's connection parameters, such as sslmode and connect_timeout",
    "postgresql://me:hush@host/db?min_free=5": "the store's URL has a parameter 'min_free', which PostgreSQL does "
    "not know; leave it out, or see PostgreSQL's connection parameters, such as sslmode and connect_timeout",
    "postgresql://me:hush@host/db?connect_timeout=soon": "the store's URL has connect_timeout 'soon', "
    "which is no whole number; give one",
    "postgresql://me:hush@host:port/db": NO_PORT,
    "postgresql://me:hush@host:0/db": NO_PORT,
    "postgresql://me:hush@one:5432,two:65536/db": NO_PORT,
    "postgresql://me:hu/sh": NO_PORT,
    "postgresql://me:hush@host/db?sslmode=yes": "the store's URL has sslmode 'yes'; "
    "give one of disable, allow, prefer, require, verify-ca, verify-full",
    **dict.fromkeys(
        (
            "postgresql://me:hu@sh@host/db",
            "postgresql://m@e:hush@host/db",
            "postgresql://me:hu/sh@host/db",
            "postgresql://me:1/sh@host",
            "postgresql://me:1/sh@host/db?sslmode=require",
            "postgresql://me:hu sh?secret@host/db",
            "postgresql://me:hush@[host/db",
            "postgresql://me:hu%ZZ@host/db",
        ),
        UNREADABLE,
    ),
    "sqlite:///x.db?pool_size=4": "store 'x.db': 'pool_size' is no setting; there are lease, poll, timeout, "
    "max_backlog, min_free, keep, remember, network",
    "sqlite:///x.db?lease=9&lease=8": "store 'x.db': 'lease' is set twice; leave one of the two out",
    "sqlite:///x.db?network=2": "store 'x.db': network '2' is no number",
    "sqlite:///~/x.db": "store '~/x.db': nobody expands '~' in a URL; write 'sqlite:////' and the whole path",
}


@pytest.mark.parametrize(("url", "said"), URLS.items())
def test_a_url_that_cannot_work_is_refused_without_its_password(url: str, said: str) -> None:
    """When the app is made, not with its first delivery."""
    with pytest.raises(ConfigurationError) as refused:
        OutcomeRouter(store=url)
    assert str(refused.value) == said
    # The worker redacts what the app raises at its start, and so must leave the remedy.
    assert redact(said) == said


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://host/db?sslmode=require&connect_timeout=5&application_name=x",
        "postgresql://host/db?connect_timeout=",
        "postgresql://one:5432,two:5433/db?target_session_attrs=any",
        "postgresql://one,two/db?target_session_attrs=any",
        "postgresql://one:5432,two/db",
        "postgresql://me:hu%40sh@%40socket/db%40home",
        "postgresql:///db?host=/var/run/postgresql&port=5433&ssl=true",
        "sqlite:////var/lib/app/ringback.db?lease=30&network=1",
    ],
)
def test_a_url_that_works_is_accepted(url: str) -> None:
    """PostgreSQL's own parameters are its own business, where it knows them."""
    OutcomeRouter(store=url)
