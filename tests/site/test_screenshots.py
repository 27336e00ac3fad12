"""The pictures of the documentation show the pages as they are."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

import page_code

if TYPE_CHECKING:
    from pathlib import Path

IMAGES = page_code.ROOT / "docs" / "images"

pytestmark = pytest.mark.skipif(not page_code.PACKAGE.exists(), reason="the tests of a wheel have no sources")


def test_no_picture_is_older_than_its_page() -> None:
    """Where this fails, `make screenshots` takes them anew; look at them before you commit them."""
    taken = json.loads((IMAGES / "taken.json").read_text("utf-8"))
    assert taken == {page: page_code.fingerprint(page) for page in page_code.CODE}


def test_every_picture_is_of_a_known_page() -> None:
    """Its name begins with the page."""
    assert {file.stem.partition("-")[0] for file in IMAGES.glob("*.png")} == set(page_code.CODE)


def test_a_picture_is_older_than_any_change_of_its_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a template, a style, a script, or of the code that fills them; what Python compiles is no code."""
    places = ("templates/page.html", "static/page.css", "static/page.js", "view.py")
    for place in places:
        file = tmp_path / place
        file.parent.mkdir(exist_ok=True)
        file.write_text("as it was")
    monkeypatch.setattr(page_code, "CODE", {"console": (tmp_path,)})
    before = {page_code.fingerprint("console")}
    (tmp_path / "view.pyc").write_text("compiled")
    assert {page_code.fingerprint("console")} == before
    for place in places:
        (tmp_path / place).write_text("changed")
        assert page_code.fingerprint("console") not in before
        before.add(page_code.fingerprint("console"))


def test_the_code_of_a_page_is_all_that_it_shows() -> None:
    """The templates, and the modules that give them their values."""
    shown = {page: {file.name for file in page_code.files(*places)} for page, places in page_code.CODE.items()}
    assert shown["console"] >= {"now.html", "console.css", "console.js", "view.py", "charts.py", "headline.py"}
    assert shown["catalog"] >= {"_site.py", "_site_pages.py", "_site_sample.py", "_explain_text.py"}
