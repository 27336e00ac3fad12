"""The maintainers' pages: what the recipes and the tables name is there, and the recipe of a log key is enough."""

from __future__ import annotations

import ast
import contextlib
import importlib
import io
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import structlog

import ringback
from ringback import classify, logs
from ringback.core.events import Delivery
from ringback.core.fields import ROWS, Line, Row
from ringback.logs import _sinks
from ringback.receiving.intake import Received

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "middleware" / "ringback"
RECIPES = {
    "Add a catalog row",
    "Add an event type",
    "Add a log key",
    "Add a door's setting that the outcome carries",
    "Add a hook matcher",
    "Add a store",
    "Add a framework",
}
TENANT = Row("tenant", lambda _: "acme", "whose call it was")

pytestmark = pytest.mark.skipif(not (ROOT / ".github").exists(), reason="the tests of a wheel have no such pages")


def contributing() -> str:
    return (ROOT / ".github" / "CONTRIBUTING.md").read_text("utf-8")


def architecture() -> str:
    return (ROOT / "docs" / "architecture.md").read_text("utf-8")


def spans(text: str) -> list[str]:
    """What stands between backticks, and each line of a console block without its comment."""
    blocks = re.findall(r"^```\w+\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    typed = [line[2:].partition("#")[0].strip() for block in blocks for line in block.splitlines() if line[:2] == "$ "]
    return typed + re.findall(r"`([^`\n]+)`", re.sub(r"```.*?```", "", text, flags=re.DOTALL))


def places(text: str) -> list[str]:
    """The files and folders of the checkout that a page names, but for what a command makes."""
    known = {each.name for each in ROOT.iterdir()} - {".venv", "build"}
    return [each for each in spans(text) if " " not in each and each.partition("/")[0] in known]


def test_every_recipe_names_files_that_exist() -> None:
    """The page has the seven recipes, and each of them leads to files of the checkout."""
    recipes = dict(re.findall(r"^### (.*?)\n(.*?)(?=^###? |\Z)", contributing(), re.MULTILINE | re.DOTALL))
    assert recipes.keys() == RECIPES
    for name, text in recipes.items():
        assert len(places(text)) >= 4, name
    for page in (contributing(), architecture()):
        assert [each for each in places(page) if not (ROOT / each).exists()] == []


def test_every_name_of_a_step_stands_in_a_file_of_the_step() -> None:
    """A table, a Protocol, a method, a fixture: whoever opens the files that the step names finds it."""
    steps = re.findall(r"^\d+\. (.*?)(?=^\d+\. |^$)", contributing(), re.MULTILINE | re.DOTALL)
    assert len(steps) > 30
    for step in steps:
        files = [ROOT / each for each in places(step) if (ROOT / each).is_file()]
        texts = [each.read_text("utf-8") for each in files]
        for name in re.findall(r"`([A-Za-z_]+(?:\.[a-z]+)?)`", step):
            wanted = [re.compile(rf"\b{part}\b") for part in name.split(".")]
            is_there = any(all(each.search(text) for each in wanted) for text in texts)
            assert is_there or not texts or (ROOT / name).exists(), (name, step)


def test_every_command_exists() -> None:
    """What a page tells to type is a target of the Makefile, or a file."""
    targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE)
    for page in (contributing(), architecture()):
        named = [each for span in spans(page) for each in re.findall(r"^(?:\w+=\S+ )?make ([a-z-]+)", span)]
        assert named
        assert [each for each in named if each not in targets] == []


def test_every_link_leads_somewhere() -> None:
    """To a file, and to a heading that the file has."""
    for target in re.findall(r"\]\(([^)\s]+)\)", contributing()):
        place, _, heading = target.partition("#")
        text = (ROOT / ".github" / place).read_text("utf-8")
        headings = {each.lower().replace(" ", "-") for each in re.findall(r"^#+ (.*)$", text, re.MULTILINE)}
        assert not heading or heading in headings, target


def test_the_recipe_of_a_log_key_is_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    """A row of the table is in the line that is written, and the line has nothing else that is new."""
    received = Received(Delivery(()), (classify("CallDisconnected", 486, 560486),))

    def written(*added: Row) -> dict[str, object]:
        with contextlib.redirect_stdout(io.StringIO()) as out:
            structlog.reset_defaults()
            logs.configure()
            monkeypatch.setattr(_sinks, "line", Line((*ROWS, *added)))
            list(logs.received(received))
            structlog.reset_defaults()
        line: dict[str, object] = json.loads(out.getvalue())
        del line["timestamp"]
        return line

    assert written(TENANT) == {**written(), "tenant": "acme"}


ADDED = {
    "settings.py": (
        ("    body_timeout: float\n", "    tenant: str | None\n"),
        ("    body_timeout: float = BODY_TIMEOUT\n", "    tenant: str | None = None\n"),
    ),
    "core/outcome.py": (("    source_digest: str | None = None\n", "    tenant: str | None = None\n"),),
    "core/fields.py": (
        ("ROWS = (\n", '    Row("tenant", lambda o: o.tenant, "whose call it was", "private", "text"),\n'),
    ),
}
"""What the recipe of a door's setting adds to the product: by file, a line behind a line."""


def test_the_recipe_of_a_doors_setting_is_enough(tmp_path: Path) -> None:
    """The route, the line, the hook and the dictionary have the value, in memory and in SQLite, where two events of a
    call meet; through the middleware, a decorated endpoint, a handler and an adapter."""
    shutil.copytree(PACKAGE, tmp_path / "ringback", ignore=shutil.ignore_patterns("__pycache__"))
    for name, lines in ADDED.items():
        file = tmp_path / "ringback" / name
        text = file.read_text("utf-8")
        for before, added in lines:
            assert text.count(before) == 1, before
            text = text.replace(before, before + added)
        file.write_text(text, "utf-8")
    shown = subprocess.run(
        [sys.executable, ROOT / "tests" / "shared" / "carried.py", tmp_path],
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    whole = {"route": ["acme", "acme"], "line": ["acme", "acme"], "hook": ["acme"], "dictionary": ["acme"]}
    assert [json.loads(line) for line in shown.stdout.splitlines()] == 8 * [whole]


def modules_of(folder: Path) -> list[str]:
    """A package inside ends in a slash."""
    files = [each.stem for each in folder.glob("*.py") if not each.stem.startswith("__")]
    return sorted(files + [f"{each.parent.name}/" for each in folder.glob("*/__init__.py")])


def test_the_page_of_the_architecture_names_every_room_and_its_modules() -> None:
    """Each room with its question. A row that lists modules lists all of the room."""
    table = re.findall(r"^\| (`\w+/`|the root) \| (.+?) \| (.*)\|$", architecture(), re.MULTILINE)
    rooms = {name.strip("`"): re.findall(r"`(\w+/?)`", listed) for name, _, listed in table}
    root = rooms.pop("the root")
    assert sorted([*root, *rooms]) == modules_of(PACKAGE)
    for name, listed in rooms.items():
        assert not listed or sorted(listed) == modules_of(PACKAGE / name), name


def test_a_room_says_its_question() -> None:
    """In the first line of its ``__init__``, as the page says it."""
    questions = dict(re.findall(r"^\| `(\w+)/` \| (.+?\?)", architecture(), re.MULTILINE))
    said = {
        name: ast.get_docstring(ast.parse((PACKAGE / name / "__init__.py").read_text("utf-8"))) for name in questions
    }
    assert {name: text for name, text in said.items() if questions[name] not in (text or "")} == {}


def test_the_way_of_a_delivery_leads_through_functions_that_exist() -> None:
    """Each row of the table names a function of its module, or a method of a class of it."""
    rows = re.findall(r"^\| \d+ \| `([\w.]+)` \| `([\w.]+)` \|", architecture(), re.MULTILINE)
    assert len(rows) == 24
    for module, name in rows:
        place = PACKAGE / module.replace(".", "/")
        file = place / "__init__.py" if place.is_dir() else place.with_suffix(".py")
        within: ast.AST = ast.parse(file.read_text("utf-8"))
        for part in name.split("."):
            found = [each for each in ast.iter_child_nodes(within) if getattr(each, "name", None) == part]
            assert found, (module, name)
            within = found[0]


def test_the_other_names_are_where_the_page_says() -> None:
    """None of them is among those of the list."""
    table = architecture().partition("| from | names |")[2].partition("\n\n")[0]
    rows = re.findall(r"^\| `([\w.]+)` \| (.+) \|$", table, re.MULTILINE)
    names = [(module, name) for module, listed in rows for name in re.findall(r"`(\w+)`", listed)]
    assert [
        name for place, name in names if getattr(importlib.import_module(place), name) is not getattr(ringback, name)
    ] == []
    assert len(names) == 28
    assert {name for _, name in names} & set(ringback.__all__) == set()
