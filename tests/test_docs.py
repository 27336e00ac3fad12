"""The documentation: what a page tells its reader to paste works, and its diagrams name whom they have declared."""

from __future__ import annotations

import argparse
import contextlib
import gzip
import json
import os
import pkgutil
import re
import shlex
import shutil
import socket
import subprocess
import sys
import textwrap
import time
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest

from ringback import classify
from ringback.cli import _parser, main

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

ROOT = Path(__file__).parents[1]
PAGES = sorted(
    str(page.relative_to(ROOT))
    for page in (ROOT / "README.md", *(ROOT / "docs").rglob("*.md"), *(ROOT / "examples").rglob("README.md"))
)
EXAMPLES = sorted(each.parent.name for each in (ROOT / "examples").glob("*/__main__.py"))

SITE = "https://ringback.github.io/ringback/"
FILES = r"https://(?:github\.com/ringback/ringback/(?:blob|tree)|raw\.githubusercontent\.com/ringback/ringback)/main/"

# Not run, by how a command or a block of Python begins, and why. What such a command says to `ringback` is parsed.
NOT_RUN = {
    "ringback calls ": "needs a store with calls; tests/cli/test_calls.py has one",
    ". .venv": "the environment of the tests stands for the reader's",
    "python -m venv": "the environment of the tests stands for the reader's",
    "az ": "needs an Azure subscription",
    "devtunnel ": "needs an account of Microsoft's",
    "kubectl ": "needs a cluster",
    "pbpaste ": "is the clipboard of macOS",
    "tail -f": "never ends",
    "uvicorn --factory examples.inbound_ivr": "needs an Azure subscription; tests/examples run the app",
    "uvicorn --factory examples.outbound_reminders": "needs an Azure subscription; tests/examples run the app",
    "ringback whatif ": "needs a log and verdicts of the reader's own; tests/cli/test_whatif.py has both",
    "ringback doctor --url https:": "needs a deployment; tests/cli/test_doctor.py has one",
    "git clone ": "needs a network",
    "python3 -m venv ": "the environment of the tests stands for the reader's",
    "python main.py": "is Microsoft's, who changes it; the page says which one it was tried with",
    "make ": "takes minutes; that the target exists is tested here",
    "pip install": "needs a network; that the extra exists is tested here",
    "import holidays": "needs the package; tests/hooks/test_recipes.py has a stand-in",
    "import logging\nimport sys\n\nfrom azure.monitor": "sends to Azure; tests/logs/test_recipes.py has an endpoint",
}
# What a reader's machine has, by the name of the variable that the page tells to export, where the page cannot know it.
VALUES = {
    "ACS_RESOURCE_ID": "1f0e5c1a-0000-4000-8000-00000000000a",
    "ACS_CONNECTION_STRING": "endpoint=https://ringback.example.com/;accesskey=bm9ib2R5",
    "ENTRA_TENANT_ID": "1f0e5c1a-0000-4000-8000-00000000000b",
    "ENTRA_APP_ID": "1f0e5c1a-0000-4000-8000-00000000000c",
}
# These run until they are ended; a text that they print, or None for a server, says that they are up.
UNENDING = {
    "uvicorn ": None,
    "python -m examples.": None,
    "ringback simulate": "simulated, at",
    "ringback record": "forwards to",
    "ringback worker": "works on",
}
# Exit code 1, and why it is the right one here.
SAYS_NO = {
    "ringback doctor": "nobody is kept from posting, and it is http",
    "ringback trigger": "nobody listens, unless the page has an app",
    "ringback dead show": "there is no such dead letter",
    "ringback dead replay": "there is no such dead letter",
    "ringback dead discard": "there is no such dead letter",
    "ringback redials show": "nobody was called",
    "ringback redials run-now": "no redial waits",
    "ringback redials ended": "no redial is in progress",
    "ringback redials cancel": "no redial waits",
}

# Names of OpenTelemetry's spans and events, no commands.
SPANS = {"delivery", "event", "hook", "redial"}

RUN = """\
import runpy, sys
from starlette.applications import Starlette
sys.path.insert(0, "")
for block in sys.argv[1:]:
    for each in runpy.run_path(block).values():
        if isinstance(each, Starlette):
            each.build_middleware_stack()  # what is wrong with a middleware's settings is raised here
"""
TEST = "-m pytest -q -p no:cacheprovider -p no:hypothesispytest -o asyncio_mode=auto".split()
SERVE = """\
import pathlib, sys
name, port = sys.argv[1:]
sys.path.insert(0, "")
source = pathlib.Path("examples", name, "__main__.py").read_text("utf-8").replace("8000", port)
exec(compile(source, name, "exec"), {"__name__": "__main__", "__package__": f"examples.{name}"})
"""


class Block(NamedTuple):
    language: str
    text: str


def blocks(page: str) -> list[Block]:
    """The fenced blocks of a page in their order, also those within a list."""
    text = (ROOT / page).read_text("utf-8")
    found = re.findall(r"^( *)```(\w+)\n(.*?)^\1```$", text, re.MULTILINE | re.DOTALL)
    return [Block(language, textwrap.dedent(block)) for _, language, block in found]


def commands(block: Block) -> Iterator[str]:
    """What a reader types: in a console all that follows a dollar sign, in a script every line; comments go."""
    lines = iter(block.text.splitlines())
    for line in lines:
        if block.language == "console" and not line.startswith("$ "):
            continue
        command = line.removeprefix("$ ")
        while is_open(command):
            command = command.removesuffix("\\") + "\n" * (not command.endswith("\\")) + next(lines)
        if command.strip() and not command.startswith("#"):
            yield command


def is_open(command: str) -> bool:
    """Whether the shell would go on reading."""
    try:
        shlex.split(command, comments=True)
    except ValueError:
        return True
    return command.endswith("\\")


def begins(text: str, table: dict[str, str] | dict[str, None]) -> str | None:
    return next((start for start in table if text.startswith(start)), None)


class Reader:
    """Somebody with an environment that has everything, in a folder of their own, who reads a page from the top."""

    def __init__(self, page: str, folder: Path) -> None:
        self.page = page
        self.folder = folder
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        self.environment = {"PATH": path, "HOME": str(folder), "LANG": "C.UTF-8"}
        self.ports: dict[str, str] = {}
        self.pasted: list[str] = []
        self.to_run: list[str] = []
        self.running = contextlib.ExitStack()

    def pastes(self, block: Block) -> None:
        if begins(block.text, NOT_RUN):
            return
        named = re.match(r"# (\w+\.py)\n", block.text)
        file = self.folder / (named[1] if named else f"pasted_{len(self.pasted)}.py")
        file.write_text(block.text, "utf-8")
        self.pasted.append(file.name)
        self.to_run.append(file.name)

    def saves(self, block: Block) -> None:
        if named := re.match(r"# (\w+\.toml)\n", block.text):
            (self.folder / named[1]).write_text(block.text, "utf-8")

    def runs(self) -> None:
        """What was pasted and has not run yet, in its order; nothing of it leaves a file."""
        before = set(self.folder.iterdir())
        tests = [name for name in self.to_run if name.startswith("test_")]
        for how, names in ((["-c", RUN], [name for name in self.to_run if name not in tests]), (TEST, tests)):
            if names:
                self.ran([sys.executable, "-B", *how, *names], " ".join(names))
        assert set(self.folder.iterdir()) == before
        self.to_run.clear()

    def proofreads(self) -> None:
        """Not even a name within a function is unknown, and nothing is imported for nothing."""
        if self.pasted:
            lint = [sys.executable, "-m", "ruff", "check", "--isolated", "--select=F", "--no-cache"]
            self.ran([*lint, *self.pasted], self.page)

    def types(self, command: str) -> None:
        for port in re.findall(r":(8\d\d\d)\b|--port (8\d\d\d)", command):
            given = "".join(port)
            command = command.replace(given, self.ports.setdefault(given, str(free_port())))
        if command.startswith("export "):
            self.exports(command)
        elif begins(command, NOT_RUN):
            self.only_reads(command)
        elif begins(command, UNENDING):
            self.starts(command)
        elif shutil.which(shlex.split(command, comments=True)[0], path=self.environment["PATH"]) is not None:
            started = begins(command, SAYS_NO)
            code = self.ran(["sh", "-c", command], command, allowed=(0, 1) if started else (0,))
            assert code in (0, 1)

    def exports(self, command: str) -> None:
        names = re.findall(r"(\w+)=", command.removeprefix("export"))
        for name in names:
            if name not in VALUES:
                told = subprocess.run(
                    ["sh", "-c", f'{command}\nprintf %s "${name}"'],
                    env=self.environment,
                    cwd=self.folder,
                    capture_output=True,
                    text=True,
                    check=True,
                )
                self.environment[name] = told.stdout
            else:
                self.environment[name] = VALUES[name]

    def only_reads(self, command: str) -> None:
        for target in re.findall(r"\bmake ([a-z-]+)", command):
            makefile = ROOT / "Makefile"
            # The tests of a wheel have none.
            assert not makefile.exists() or f"\n{target}:" in makefile.read_text("utf-8")
        for extras in re.findall(r"(?:ringback|\.)\[([\w,-]+)\]", command):
            known = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["optional-dependencies"]
            assert set(extras.split(",")) <= set(known)
        for part in command.split("|"):
            if part.strip().startswith("ringback "):
                _parser().parse_args(shlex.split(part, comments=True)[1:])

    def starts(self, command: str) -> None:
        up = UNENDING[begins(command, UNENDING) or ""]
        words = shlex.split(command, comments=True)
        where, port = self.folder, ""
        log = open(self.folder / (words[words.index(">") + 1] if ">" in words else "terminal.txt"), "w+")  # noqa: SIM115, PTH123
        self.running.callback(log.close)
        words = words[: min([words.index(each) for each in (">", "&") if each in words], default=len(words))]
        if words[0] == "python":
            port = self.ports.setdefault("8000", str(free_port()))
            words, where = [sys.executable, "-B", "-c", SERVE, words[2].rpartition(".")[2], port], ROOT
        elif words[0] == "uvicorn":
            port = words[words.index("--port") + 1]
            where = ROOT if "--factory" in words else where
        elif words[1] == "simulate":
            words += ["--port", "0"]
        process = self.running.enter_context(
            ended(subprocess.Popen(words, env=self.environment, cwd=where, stdout=log, stderr=log))
        )
        for _ in range(9000):
            assert process.poll() is None, f"{command}\n{Path(log.name).read_text('utf-8')}"
            if up in Path(log.name).read_text("utf-8") if up else answers(int(port)):
                return
            time.sleep(0.01)
        raise AssertionError(f"{command} is not up\n{Path(log.name).read_text('utf-8')}")

    def ran(self, words: list[str], shown: str, allowed: tuple[int, ...] = (0,)) -> int:
        done = subprocess.run(words, env=self.environment, cwd=self.folder, capture_output=True, text=True, timeout=120)
        assert done.returncode in allowed, f"{self.page}: {done.returncode}\n{shown}\n{done.stdout}\n{done.stderr}"
        assert "Traceback" not in done.stderr
        return done.returncode


@contextlib.contextmanager
def ended(process: subprocess.Popen[bytes]) -> Generator[subprocess.Popen[bytes]]:
    try:
        yield process
    finally:
        process.terminate()
        process.wait(60)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        port: int = sock.getsockname()[1]
        return port


def answers(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port)).close()
    except ConnectionRefusedError:
        return False
    return True


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """What commands read and no page makes: a log."""
    head = {"timestamp": "2026-01-15T08:20:33Z", "level": "info", "event": "call.outcome"}
    outcomes = [classify("CallDisconnected", 486, 560486), classify("CallDisconnected", 499, 99999)]
    log = "".join(f"{json.dumps(head | each.to_dict())}\n" for each in outcomes)
    (tmp_path / "app.log").write_text(log)
    (tmp_path / "app.log.1.gz").write_bytes(gzip.compress(log.encode()))
    return tmp_path


@pytest.mark.documentation
@pytest.mark.parametrize("page", PAGES)
def test_a_page_works_as_written(page: str, folder: Path) -> None:
    """From top to bottom: the blocks of Python before the next command in one process, each with no names but its own;
    each command in a shell.

    A block whose first line names a file is saved under that name, so a later one may import it. The environment has
    what the page tells to export, and nothing else.
    """
    pytest.importorskip("procrastinate")
    reader = Reader(page, folder)
    with reader.running:
        for block in blocks(page):
            if block.language == "python":
                reader.pastes(block)
            elif block.language == "toml":
                reader.saves(block)
            elif block.language in ("console", "sh"):
                for command in commands(block):
                    reader.runs()
                    reader.types(command)
        reader.runs()
        reader.proofreads()


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_without_its_packages_says_what_to_install(name: str) -> None:
    """No traceback: a line with the command."""
    code = f"import runpy, sys; sys.modules['uvicorn'] = None; runpy.run_module('examples.{name}', run_name='__main__')"
    ran = subprocess.run([sys.executable, "-B", "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert ran.returncode == 1
    assert ran.stderr.startswith("this example needs the extra demo (")
    assert ran.stderr.endswith("); pip install 'ringback[demo]'\n")


def test_every_example_that_is_named_exists() -> None:
    """In pages, in docstrings; and each has a page that starts it."""
    files = [ROOT / "README.md", *(ROOT / "docs").rglob("*.md"), *(ROOT / "examples").rglob("*.*")]
    text = "\n".join(file.read_text("utf-8") for file in files if file.suffix in (".md", ".py"))
    assert set(re.findall(r"python -m examples\.(\w+)", text)) == set(EXAMPLES)
    # Its own page starts it, as test_a_page_works_as_written does with the page.
    own = {name: list(map(str, blocks(f"examples/{name}/README.md"))) for name in EXAMPLES}
    assert [name for name, written in own.items() if f"$ python -m examples.{name}" not in "".join(written)] == []
    modules = set(re.findall(r"uvicorn --factory examples\.([\w.]+):create_app", text))
    assert [each for each in modules if not (ROOT / "examples" / f"{each.replace('.', '/')}.py").is_file()] == []


def parsers(parser: argparse.ArgumentParser) -> Iterator[argparse.ArgumentParser]:
    yield parser
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for each in action.choices.values():
                yield from parsers(each)


def test_the_examples_of_the_command_line_are_read() -> None:
    """Each epilog's."""
    found = [
        example for each in parsers(_parser()) for example in re.split("examples?: |; ", each.epilog or "") if example
    ]
    assert len(found) > 5
    for example in found:
        _parser().parse_args(shlex.split(example)[1:])


@pytest.mark.parametrize("page", PAGES)
def test_a_command_within_a_text_exists(page: str) -> None:
    """What stands between backticks and begins with `ringback`, as far as the name of the command."""
    text = re.sub(r"```.*?```", "", (ROOT / page).read_text("utf-8"), flags=re.DOTALL)
    for name in set(re.findall(r"`ringback ([a-z]+)", text)) - SPANS:
        assert main([name, "--help"]) == 0, name


@pytest.mark.parametrize("page", PAGES)
def test_a_link_leads_somewhere(page: str) -> None:
    """To a file of the checkout, and to a heading that it has; an address of the project's own is such a link, too."""
    if not (ROOT / "CHANGELOG.md").exists():
        pytest.skip("the tests of a wheel have only a part of the checkout")
    for target in re.findall(r"\]\(([^)\s]+)\)", (ROOT / page).read_text("utf-8")):
        place, _, heading = in_the_checkout(target).partition("#")
        if not place.startswith("http"):
            file = (ROOT / page).parent / place if place else ROOT / page
            assert file.exists(), target
            assert not heading or heading in headings(file), target


def in_the_checkout(target: str) -> str:
    """The link with the path of a file in place of its address on the site or on GitHub; any other link as it is."""
    address, mark, heading = target.partition("#")
    if found := re.fullmatch(rf"{SITE}(.*?)(?:\.html)?", address):
        return f"{ROOT}/docs/{found[1] or 'index'}.md{mark}{heading}"
    return f"{ROOT}/{found[1]}{mark}{heading}" if (found := re.fullmatch(f"{FILES}(.+)", address)) else target


@pytest.mark.parametrize(
    ("target", "led"),
    [
        ("https://ringback.github.io/ringback/", f"{ROOT}/docs/index.md"),
        ("https://ringback.github.io/ringback/howto/verify.html#a", f"{ROOT}/docs/howto/verify.md#a"),
        ("https://github.com/ringback/ringback/tree/main/examples", f"{ROOT}/examples"),
        ("https://raw.githubusercontent.com/ringback/ringback/main/docs/a.png", f"{ROOT}/docs/a.png"),
        ("https://github.com/ringback/ringback/issues", "https://github.com/ringback/ringback/issues"),
        ("../logs.md#keys", "../logs.md#keys"),
    ],
)
def test_an_address_of_the_project_is_a_file(target: str, led: str) -> None:
    assert in_the_checkout(target) == led


@pytest.mark.parametrize("page", PAGES)
def test_a_proof_exists(page: str) -> None:
    """A test that a page names is in the file that it names; a file of the checkout that it names is there."""
    text = (ROOT / page).read_text("utf-8")
    for file, names in re.findall(r"(test_\w+\.py): ((?:`test_\w+`(?:, )?)+)", text):
        source = "".join(each.read_text("utf-8") for each in (ROOT / "tests").rglob(file))
        assert [name for name in re.findall(r"test_\w+", names) if f"def {name}(" not in source] == []
    for place in re.findall(r"\b((?:tests|examples|docs|benchmarks)/[\w./-]*\w)", text):
        assert (ROOT / place).exists() or place.startswith("examples.")


def test_a_full_name_in_a_docstring_exists() -> None:
    """The documentation site shows the public ones alone, so nobody notices when another name moves."""
    sources = [file.read_text("utf-8") for file in (ROOT / "middleware").rglob("*.py")]
    names = {name for text in sources for name in re.findall(r":[a-z]+:`~?(ringback(?:_catalog)?\.[\w.]+)`", text)}
    assert names
    for name in names:
        pkgutil.resolve_name(name)


def headings(file: Path) -> set[str]:
    found = re.findall(r"^#+ (.*)$", file.read_text("utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", each.lower()).replace(" ", "-") for each in found}


def test_diagrams_name_whom_they_declare() -> None:
    """Every message and note is between declared participants, or GitHub would draw another one."""
    found = [block.text for block in blocks("docs/durability.md") if block.language == "mermaid"]
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
