"""The container's app runs by the command of its Dockerfile, and what the templates say of it is true."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

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


@pytest.fixture
def port(tmp_path: Path, free_port: Callable[[], int]) -> Iterator[int]:
    """Where the app answers: in a folder that has what the image has, with the variables of the template."""
    for name in re.findall(r"^COPY (\S+\.py) \.$", DOCKERFILE, re.MULTILINE):
        (tmp_path / name).write_bytes((HERE / name).read_bytes())
    port = free_port()
    environment = {
        "PATH": os.environ["PATH"],
        "RINGBACK_STORE": "sqlite:///ringback.db",
        "ACS_RESOURCE_ID": "1f0e5c1a-0000-4000-8000-00000000000a",
        "INCOMING_SECRET": SECRET,
    }
    with (tmp_path / "log.txt").open("w+") as log:
        process = subprocess.Popen(on(port, told("CMD")), cwd=tmp_path, env=environment, stdout=log, stderr=log)
        try:
            for _ in range(3000):
                assert process.poll() is None, (tmp_path / "log.txt").read_text()
                try:
                    httpx.get(f"http://127.0.0.1:{port}/livez")
                except httpx.ConnectError:
                    time.sleep(0.02)
                else:
                    break
            yield port
        finally:
            process.terminate()
            process.wait(30)


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


def test_the_brackets_of_the_template_are_closed() -> None:
    """No compiler of Bicep is on the machine of the tests."""
    code = re.sub(r"//.*|'[^']*'", "", BICEP)
    assert [code.count(each) for each in "{[("] == [code.count(each) for each in "}])"]
