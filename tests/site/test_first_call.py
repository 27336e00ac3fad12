"""The page for beginners, by its text alone: the simulated call reaches the hook, with the words of the page."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from live_server import listening

PAGE = Path(__file__).parents[2] / "docs" / "start" / "simulator.md"


def lines_until(server: subprocess.Popen[str], wanted: str) -> str:
    """What the server prints, up to the line that is wanted; all of it if the server ends before."""
    assert server.stdout is not None
    printed = []
    for line in server.stdout:
        printed.append(line)
        if wanted in line:
            break
    return "".join(printed)


@pytest.fixture
def port() -> int:
    with listening() as free:
        found: int = free.getsockname()[1]
        return found


def test_the_page_leads_to_a_hook(tmp_path: Path, port: int) -> None:
    """Each command that places a call is followed on the page by what the app prints."""
    page = PAGE.read_text("utf-8").replace("8080", str(port))
    for file, text in re.findall(r"```python\n# (\w+\.py)\n(.*?)```", page, re.DOTALL):
        (tmp_path / file).write_text(text, "utf-8")
    calls = re.findall(r"^\$ python (call\.py .*)$", page, re.MULTILINE)
    shown = re.findall(r"```text\n((?:call again|close):.*)\n```", page)
    assert len(calls) == len(shown) == 2
    serve = [sys.executable, "-B", "-u", "-m", "uvicorn", "app:app", "--port", str(port)]
    with subprocess.Popen(serve, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as server:
        try:
            lines_until(server, "Uvicorn running")
            for call, words in zip(calls, shown, strict=True):
                subprocess.run([sys.executable, "-B", *call.split()], cwd=tmp_path, check=True, capture_output=True)
                assert lines_until(server, words).endswith(f"{words}\n")
        finally:
            server.terminate()
