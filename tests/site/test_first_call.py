"""The README and the page for beginners, by their text alone: the simulated call reaches the hook, with their words."""

from __future__ import annotations

import re
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from live_server import listening

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.documentation

README = Path(__file__).parents[2] / "README.md"
PAGE = README.parent / "docs" / "start" / "simulator.md"


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
    save(page, tmp_path)
    calls = re.findall(r"^\$ python (call\.py .*)$", page, re.MULTILINE)
    shown = re.findall(r"```text\n((?:call again|close):.*)\n```", page)
    assert len(calls) == len(shown) == 2
    with served(tmp_path, port) as server:
        for call, words in zip(calls, shown, strict=True):
            subprocess.run([sys.executable, "-B", *call.split()], cwd=tmp_path, check=True, capture_output=True)
            assert lines_until(server, words).endswith(f"{words}\n")


def test_the_readme_leads_to_a_hook(tmp_path: Path, port: int) -> None:
    """Its second command, in a second terminal, has the first terminal print what the text says."""
    page = README.read_text("utf-8").replace("8080", str(port))
    save(page, tmp_path)
    [command] = re.findall(r"^\$ ringback (trigger .*)$", page, re.MULTILINE)
    [words] = re.findall(r"the first terminal says `(.*?)`", page)
    with served(tmp_path, port) as server:
        subprocess.run([sys.executable, "-B", "-m", "ringback", *command.split()], cwd=tmp_path, check=True)
        assert lines_until(server, words).endswith(f"{words}\n")


def save(page: str, folder: Path) -> None:
    """The files that the page names."""
    for file, text in re.findall(r"```python\n# (\w+\.py)\n(.*?)```", page, re.DOTALL):
        (folder / file).write_text(text, "utf-8")


@contextmanager
def served(folder: Path, port: int) -> Iterator[subprocess.Popen[str]]:
    """The app of the page, as in the first terminal."""
    serve = [sys.executable, "-B", "-u", "-m", "uvicorn", "app:app", "--port", str(port)]
    with subprocess.Popen(serve, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as server:
        try:
            lines_until(server, "Uvicorn running")
            yield server
        finally:
            server.terminate()
