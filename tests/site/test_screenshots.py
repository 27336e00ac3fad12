"""The pictures of the documentation show the pages as they are."""

from __future__ import annotations

import json

import pytest

import page_code

IMAGES = page_code.ROOT / "docs" / "images"

pytestmark = pytest.mark.skipif(not page_code.PACKAGE.exists(), reason="the tests of a wheel have no sources")


def test_no_picture_is_older_than_its_page() -> None:
    """Where this fails, `make screenshots` takes them anew; look at them before you commit them."""
    taken = json.loads((IMAGES / "taken.json").read_text("utf-8"))
    assert taken == {page: page_code.fingerprint(page) for page in page_code.CODE}


def test_every_picture_is_of_a_known_page() -> None:
    """Its name begins with the page."""
    assert {file.stem.partition("-")[0] for file in IMAGES.glob("*.png")} == set(page_code.CODE)
