"""The package page is README.md, whose links are absolute, and the wheel holds what it should."""

from __future__ import annotations

import email
import subprocess
import sys
import zipfile
from email.policy import default
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from markdown_it import MarkdownIt

if TYPE_CHECKING:
    from email.message import EmailMessage

ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.skipif(not (ROOT / "CHANGELOG.md").exists(), reason="the tests of a wheel have no sources")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Made of the checkout, with the tools of this environment: no network."""
    pytest.importorskip("hatchling")
    folder = tmp_path_factory.mktemp("dist")
    ran(["hatchling", "build", "--target", "wheel", "--directory", str(folder)])
    return next(folder.glob("*.whl"))


@pytest.fixture(scope="module")
def metadata(wheel: Path) -> EmailMessage:
    with zipfile.ZipFile(wheel) as archive:
        name = next(each for each in archive.namelist() if each.endswith(".dist-info/METADATA"))
        return email.message_from_bytes(archive.read(name), policy=default)


def ran(words: list[str]) -> str:
    done = subprocess.run([sys.executable, "-B", "-m", *words], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def links(markdown: str) -> list[str]:
    """The targets of all links and pictures, in their order."""
    blocks = MarkdownIt("commonmark").enable("table").parse(markdown)
    inline = [child for block in blocks for child in block.children or ()]
    return [str(each.attrs[name]) for each in inline for name in ("href", "src") if name in each.attrs]


def test_the_page_is_the_readme(metadata: EmailMessage) -> None:
    """Word for word, and no link of it depends on where it is read; tests/test_docs.py follows each to its file."""
    page = str(metadata.get_payload())
    assert page == (ROOT / "README.md").read_text("utf-8")
    assert [each for each in links(page) if not each.startswith("https://")] == []


def test_the_readme_is_two_screens() -> None:
    """Of text, code and pictures; the list for those who work on Ringback stands after them."""
    first = (ROOT / "README.md").read_text("utf-8").partition("## To understand it")[0]
    assert len(first.splitlines()) <= 110


def test_the_project_has_its_addresses(metadata: EmailMessage) -> None:
    """Where a reader of the page goes on."""
    assert sorted(str(each) for each in metadata.get_all("Project-URL", ())) == [
        "Changelog, https://github.com/ringback/ringback/blob/main/CHANGELOG.md",
        "Documentation, https://ringback.github.io/ringback/",
        "Issues, https://github.com/ringback/ringback/issues",
        "Source, https://github.com/ringback/ringback",
    ]


def test_the_page_can_be_rendered(wheel: Path) -> None:
    """As the index renders it."""
    pytest.importorskip("twine")
    assert "PASSED" in ran(["twine", "check", "--strict", str(wheel)])


def test_the_wheel_holds_what_it_should(wheel: Path) -> None:
    """Three names at the top level, and nothing that does not belong there."""
    pytest.importorskip("check_wheel_contents")
    assert ran(["check_wheel_contents", str(wheel)]).endswith(": OK\n")


def test_nothing_is_missing_that_an_index_shows() -> None:
    """But an address for letters: the project has issues and private reports, and no mailbox."""
    pytest.importorskip("pyroma")
    said = subprocess.run([sys.executable, "-B", "-m", "pyroma", "."], cwd=ROOT, capture_output=True, text=True)
    complaints = [line for line in said.stdout.splitlines() if line.startswith(("Your ", "The ", "You "))]
    assert complaints == ["Your package does not have author-email data."]
