"""The documentation: its Python runs, and its diagrams name whom they have declared."""

from __future__ import annotations

import ast
import re
import textwrap
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from starlette.applications import Starlette

import ringback

ROOT = Path(__file__).parents[1]
PAGES = ["README.md", "docs/durability.md"]


def blocks(page: str, language: str) -> list[str]:
    """The fenced blocks of a language, also those within a list."""
    text = (ROOT / page).read_text("utf-8")
    found = re.findall(rf"^( *)```{language}\n(.*?)^\1```$", text, re.MULTILINE | re.DOTALL)
    return [textwrap.dedent(block) for _, block in found]


@pytest.mark.parametrize("page", PAGES)
def test_the_python_of_a_page_runs(page: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Top to bottom in one namespace, with what a reader's app has: an app, and names of ours already imported."""
    pytest.importorskip("procrastinate")
    monkeypatch.setenv("ACS_RESOURCE_ID", "1f0e5c1a-0000-4000-8000-000000000001")
    monkeypatch.setenv("CONSOLE_PASSWORD", "a long one of the tests")
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {name: getattr(ringback, name) for name in ringback.__all__}
    names |= {"app": Starlette(), "Mapping": Mapping, "os": __import__("os"), "db": SimpleNamespace()}
    found = blocks(page, "python")
    assert found
    for block in found:
        exec(compile(ast.parse(block, page), page, "exec"), names)
    names["app"].build_middleware_stack()
    assert any(True for _ in names["router"].registrations)
    assert list(tmp_path.iterdir()) == []


def test_diagrams_name_whom_they_declare() -> None:
    """Every message and note is between declared participants, or GitHub would draw another one."""
    found = blocks("docs/durability.md", "mermaid")
    assert len(found) == 9
    for diagram in found:
        head, *lines = diagram.splitlines()
        assert head == "sequenceDiagram"
        declared = {match[1] for line in lines if (match := re.match(r" +participant (\w+) as \S", line))}
        named: set[str] = set()
        for line in (line.strip() for line in lines if not line.strip().startswith("participant")):
            message = re.fullmatch(r"(\w+)(?:-->>|->>|--x|-x)(\w+): [^;#]+", line)
            note = re.fullmatch(r"Note over (\w+)(?:,(\w+))?: [^;#]+", line)
            if message or note:
                named |= {each for each in (message or note).groups() if each}  # type: ignore[union-attr]
            else:
                assert re.fullmatch(r"loop .+|end", line), line
        assert named == declared
