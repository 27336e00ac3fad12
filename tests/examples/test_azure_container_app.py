"""The container's app runs by the command of its Dockerfile, and what the templates say of it is true."""

from __future__ import annotations

import contextlib
import json
import os
import re
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from server import PASSWORD, Server, binaries

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = pytest.mark.untraced

HERE = Path(__file__).parents[2] / "examples" / "azure_container_app"
DOCKERFILE = (HERE / "Dockerfile").read_text("utf-8")
BICEP = (HERE / "infra" / "main.bicep").read_text("utf-8")
HEALTH = json.loads(re.findall(r"HEALTHCHECK .*\\\n +CMD (\[.*\])", DOCKERFILE)[0])
SECRET = "a-secret-of-the-test"
EVENT = {
    "id": "1f0e5c1a-0000-4000-8000-000000000001",
    "source": "/subscriptions/1f0e5c1a-0000-4000-8000-000000000002/calls",
    "specversion": "1.0",
    "type": "Microsoft.Communication.IncomingCall",
    "data": {},
}


def told(word: str) -> list[str]:
    """The last command of this kind that the Dockerfile has."""
    command: list[str] = json.loads(re.findall(rf"^ *{word} (\[.*\])$", DOCKERFILE, re.MULTILINE)[-1])
    return command


def on(port: int, command: list[str]) -> list[str]:
    """The command with another port, and with the Python of the tests."""
    words = [re.sub(r"\b8000\b", str(port), each) for each in command]
    return [sys.executable, *words[1:]] if words[0] == "python" else [sys.executable, "-m", *words]


@contextlib.contextmanager
def started(folder: Path, port: int, **variables: str) -> Iterator[None]:
    """The app, in a folder that has what the image has, with the variables of the template."""
    for name in re.findall(r"^COPY (\S+\.py) \.$", DOCKERFILE, re.MULTILINE):
        (folder / name).write_bytes((HERE / name).read_bytes())
    environment = {
        "PATH": os.environ["PATH"],
        "ACS_RESOURCE_ID": "1f0e5c1a-0000-4000-8000-00000000000a",
        "INCOMING_SECRET": SECRET,
        **variables,
    }
    with (folder / "log.txt").open("w+") as log:
        process = subprocess.Popen(on(port, told("CMD")), cwd=folder, env=environment, stdout=log, stderr=log)
        try:
            for _ in range(3000):
                assert process.poll() is None, (folder / "log.txt").read_text()
                try:
                    httpx.get(f"http://127.0.0.1:{port}/livez")
                except httpx.ConnectError:
                    time.sleep(0.02)
                else:
                    break
            yield
        finally:
            process.terminate()
            process.wait(30)


@pytest.fixture
def port(tmp_path: Path, free_port: Callable[[], int]) -> Iterator[int]:
    """Where the app answers, with a store in a file."""
    port = free_port()
    with started(tmp_path, port, RINGBACK_STORE="sqlite:///ringback.db"):
        yield port


def test_the_app_runs_by_its_own_command(port: int) -> None:
    """It answers the probes and Event Grid's handshake, refuses a stranger, and takes a delivery."""
    with httpx.Client(base_url=f"http://127.0.0.1:{port}") as client:
        assert client.get("/livez").text == "alive"
        assert client.post("/api/callbacks/7", json=[EVENT]).status_code == 401
        assert client.post("/api/incoming?secret=another-secret-of-16", json=[EVENT]).status_code == 401
        consent = client.options(
            f"/api/incoming?secret={SECRET}", headers={"WebHook-Request-Origin": "eventgrid.azure.net"}
        )
        assert consent.headers["WebHook-Allowed-Origin"] == "eventgrid.azure.net"
        before = client.get("/healthz")
        assert client.post(f"/api/incoming?secret={SECRET}", json=[EVENT]).status_code == 200
        after = client.get("/healthz").json()
    assert before.status_code == 200
    well = {
        "ok": True,
        "store_reachable": True,
        "store_fault": None,
        "worker_running": True,
        "oldest_due": 0.0,
        "dead": 0,
    }
    others = {"handshake": 1, "refused": 2}
    assert before.json() == {**well, "last_delivery": None, "deliveries": others}
    assert after.pop("last_delivery") >= 0
    assert after == {**well, "deliveries": {**others, "accepted": 1}}
    assert subprocess.run(on(port, HEALTH), check=False).returncode == 0


def test_the_health_check_fails_where_nobody_answers(free_port: Callable[[], int]) -> None:
    assert subprocess.run(on(free_port(), HEALTH), check=False, capture_output=True).returncode == 1


def test_the_process_of_the_image_is_not_root() -> None:
    last = DOCKERFILE.rpartition("FROM ")[2]
    assert re.findall(r"^USER (\S+)", last, re.MULTILINE) == ["10001"]
    assert re.findall(r"^FROM (\S+)", DOCKERFILE, re.MULTILINE) == ["python:3.13-slim"] * 2


def test_the_template_gives_the_app_what_it_reads() -> None:
    """Every variable, at the app's port, with probes that the app answers."""
    source = (HERE / "app.py").read_text("utf-8")
    assert set(re.findall(r'os\.environ\["(\w+)"\]', source)) <= set(re.findall(r"\{ name: '([A-Z_]+)'", BICEP))
    assert set(re.findall(r"path: '(/\w+)'", BICEP)) == {"/healthz", "/livez"}
    assert all(f'Route("{path}"' in source for path in ("/healthz", "/livez"))
    ports = re.findall(r"(?:targetPort|port): (\d+)", BICEP) + re.findall(r"^EXPOSE (\d+)", DOCKERFILE, re.MULTILINE)
    assert set(ports) == {"8000"} <= set(told("CMD"))


def test_every_parameter_without_a_default_is_given() -> None:
    parameters = re.findall(r"^param (\w+) \w+(.*)$", BICEP, re.MULTILINE)
    given = json.loads((HERE / "infra" / "main.parameters.json").read_text("utf-8"))["parameters"]
    assert {name for name, default in parameters if not default} <= given.keys() <= {name for name, _ in parameters}


class Tokens:
    """The endpoint at which Container Apps gives tokens of a managed identity; the token is the password of the tests.

    https://learn.microsoft.com/azure/container-apps/managed-identity
    """

    def __init__(self) -> None:
        self.asked: list[dict[str, list[str]]] = []

        class Handler(BaseHTTPRequestHandler):
            def do_GET(handler) -> None:  # noqa: N805 - http.server's name; `self` is the endpoint here
                self.asked.append(parse_qs(urlsplit(handler.path).query))
                known = handler.headers["X-IDENTITY-HEADER"] == SECRET
                token = {"access_token": PASSWORD, "expires_on": str(int(time.time()) + 3600), "token_type": "Bearer"}
                handler.send_response(200 if known else 401)
                handler.send_header("Content-Type", "application/json")
                handler.end_headers()
                handler.wfile.write(json.dumps(token if known else {}).encode())

            def log_message(self, *_: object) -> None: ...

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/msi/token"


@pytest.fixture
def tokens() -> Iterator[Tokens]:
    made = Tokens()
    thread = threading.Thread(target=made.server.serve_forever)
    thread.start()
    yield made
    made.server.shutdown()
    thread.join()
    made.server.server_close()


@pytest.fixture
def database(free_port: Callable[[], int], folder_of_the_run: Path) -> Iterator[str]:
    """The URL of an empty database, without the password that its server wants."""
    found = binaries()
    if found is None:
        assert not os.environ.get("RINGBACK_REQUIRE_POSTGRES")
        pytest.skip("no PostgreSQL is installed")
    server = Server(found, free_port(), folder_of_the_run)
    server.start()
    yield server.fresh().replace(f":{PASSWORD}@", "@")
    server.remove()


def test_the_app_logs_in_with_a_token_of_its_identity(
    tmp_path: Path, free_port: Callable[[], int], database: str, tokens: Tokens
) -> None:
    """By Microsoft's client, to a PostgreSQL that takes nobody without the password."""
    port, client_id = free_port(), "1f0e5c1a-0000-4000-8000-00000000000c"
    variables = {
        "RINGBACK_STORE": database,
        "AZURE_CLIENT_ID": client_id,
        "IDENTITY_ENDPOINT": tokens.url,
        "IDENTITY_HEADER": SECRET,
    }
    with started(tmp_path, port, **variables):
        assert httpx.get(f"http://127.0.0.1:{port}/healthz", timeout=30).json()["ok"]
    asked = {
        "api-version": ["2019-08-01"],
        "resource": ["https://ossrdbms-aad.database.windows.net"],
        "client_id": [client_id],
    }
    assert asked in tokens.asked


@pytest.mark.parametrize("file", sorted(each.name for each in (HERE / "infra").glob("*.bicep")))
def test_every_name_of_a_template_is_declared_and_used(file: str) -> None:
    """As a parser of Bicep reads it, which the compiler is not: types and versions of resources nobody has checked."""
    tree = parsed(file)
    assert not tree.has_error
    names = [each for each in walked(tree) if each.type == "identifier"]
    declared = {each.text.decode(): each.parent.type for each in names if is_declared(each)}
    used = {each.text.decode() for each in names if not is_declared(each) and not is_a_key(each)}
    assert used - declared.keys() == set()
    wanted = {name for name, kind in declared.items() if kind in ("parameter_declaration", "variable_declaration")}
    assert wanted - used == set()


def test_a_module_is_given_its_parameters() -> None:
    """Each of them, and no other."""
    modules = re.findall(r"^module \w+ '([\w-]+\.bicep)' = \{.*?params: \{([^}]*)\}", BICEP, re.MULTILINE | re.DOTALL)
    assert [file for file, _ in modules] == ["database-owner.bicep"]
    for file, given in modules:
        wanted = re.findall(r"^param (\w+) ", (HERE / "infra" / file).read_text("utf-8"), re.MULTILINE)
        assert re.findall(r"(\w+):", given) == wanted


def test_no_secret_of_a_database_is_left() -> None:
    """Password logins are off; the one secret is Event Grid's."""
    assert "passwordAuth: 'Disabled'" in BICEP
    assert re.findall(r"^@secure\(\)\n(?:@.*\n)*param (\w+)", BICEP, re.MULTILINE) == ["incomingSecret"]


def parsed(file: str) -> Any:
    tree_sitter, grammar = pytest.importorskip("tree_sitter"), pytest.importorskip("tree_sitter_bicep")
    parser = tree_sitter.Parser(tree_sitter.Language(grammar.language()))
    return parser.parse((HERE / "infra" / file).read_bytes()).root_node


def walked(node: Any) -> Iterator[Any]:
    yield node
    for each in node.children:
        yield from walked(each)


def is_declared(name: Any) -> bool:
    return name.parent.type.endswith("_declaration") and name.parent.children[1] == name


def is_a_key(name: Any) -> bool:
    """Of an object, of a member or of a nested resource, or a function of Bicep's own."""
    place = name.parent.children.index(name)
    return (name.parent.type, place) in {("object_property", 0), ("call_expression", 0), ("resource_expression", 2)}
