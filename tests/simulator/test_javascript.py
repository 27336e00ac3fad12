"""The JavaScript client of Microsoft places and answers calls, and its parser reads the events.

The package is installed once, into the cache folder of the user. Without node, npm or a registry the test is skipped.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from ringback.simulator import SCENARIOS, Simulator

PACKAGE = "@azure/communication-call-automation@1.6.0"


@pytest.fixture(scope="module")
def modules() -> Path:
    """The folder of the client and of what it needs."""
    npm = shutil.which("npm")
    if npm is None or shutil.which("node") is None:
        pytest.skip("node and npm are not on this machine")
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folder = cache / "ringback-tests" / PACKAGE.rpartition("/")[2]
    # npm writes this file when everything else is there.
    if not (folder / "node_modules" / ".package-lock.json").exists():
        command = [npm, "install", "--prefix", str(folder), "--no-audit", "--no-fund", "--ignore-scripts", PACKAGE]
        try:
            folder.mkdir(parents=True, exist_ok=True)
            subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
        except (OSError, subprocess.SubprocessError) as error:
            pytest.skip(f"npm does not install {PACKAGE}: {error}")
    return folder / "node_modules"


async def test_the_javascript_client_creates_answers_and_parses(modules: Path) -> None:
    """By a connection string and the variable that ``ringback simulate --tls`` prints."""
    async with Simulator(SCENARIOS["connected"], tls=True, latency=(0, 0), seed=7) as acs:
        process = await asyncio.create_subprocess_exec(
            "node",
            str(Path(__file__).with_name("client.cjs")),
            acs.connection_string,
            env={"PATH": os.environ["PATH"], "NODE_PATH": str(modules), "NODE_EXTRA_CA_CERTS": str(acs.ca_file)},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        try:
            assert process.stdout is not None
            origin = (await process.stdout.readline()).decode().strip()
            incoming = await acs.incoming(f"{origin}/grid", scenario=SCENARIOS["connected"])
            told, failure = await asyncio.wait_for(process.communicate(), 60)
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
    assert (incoming.status, process.returncode, failure) == (200, 0, b"")
    lines = [line.split() for line in told.decode().splitlines()]
    assert [line[1:] for line in lines if line[0] == "placed"] == [
        ["CallConnected"],
        ["ParticipantsUpdated"],
        ["RecognizeCompleted", "Confirm"],
        ["CallDisconnected"],
    ]
    assert [line[1:] for line in lines if line[0] == "answered"] == [
        ["CallConnected"],
        ["ParticipantsUpdated"],
        ["PlayStarted"],
        ["PlayCompleted"],
        ["CallDisconnected"],
    ]
