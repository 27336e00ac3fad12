"""The page Catalog offers overrides that load, and says of a result what the catalog knows."""

from __future__ import annotations

import html
import re
import tomllib
from typing import Any

import pytest

from ringback.console.rows import entry_address
from ringback_catalog import Catalog, Match

BUSY = (486, 560486)


async def test_unrecognized_pairs_come_with_an_override_that_loads(calls, outcome, browser, parsed):
    """As they are on the page, as TOML: the pair is then known, and judged as it was before."""
    # By a range, by nothing, by its code alone: as the look-up has it.
    # Redaction would take the last number for that of a telephone.
    odd = [(499, 123456), (799, 1), (486, 999999), (499, 1_555_010_012)]
    for number, pair in enumerate(odd):
        await calls.put(outcome(number, *pair), calls.clock.now - number)
    # A code that was sent without a subcode is as much as there is to know; nothing was sent with an older version.
    await calls.put(outcome(8, None, None))
    await calls.put(outcome(9, 486, None))
    matches = {Catalog.default().look_up("CallDisconnected", *pair).match for pair in odd}
    assert matches == {Match.RANGE, Match.NONE, Match.CODE}
    async with browser(calls.console()) as client:
        text = (await client.get("/catalog")).text
    blocks = [
        found.replace("&#34;", '"') for found in re.findall(r"<pre[^>]*><code>(.*?)</code>", text, flags=re.DOTALL)
    ]
    found = [tuple(tomllib.loads(block)["entry"][0][name] for name in ("code", "subcode")) for block in blocks]
    assert sorted(found) == sorted(odd)
    assert parsed(text).figures["unrecognized.range"] == "4"
    assert [row[0] for row in parsed(text).tables["known"][1:]] == ["486/– CallDisconnected", "– CallDisconnected"]  # noqa: RUF001
    for block, pair in zip(blocks, found, strict=True):
        before = Catalog.default().look_up("CallDisconnected", *pair).entry
        after = Catalog.default().with_overrides(tomllib.loads(block)).look_up("CallDisconnected", *pair)
        assert after.match is Match.PAIR
        assert (after.entry.retry, after.entry.owner) == (before.retry, before.owner)


async def test_an_entry_says_what_the_catalog_knows(memory, outcome, browser, parsed):
    """Summary, every step, sources, and the calls of a week that ended so."""
    for number in range(3):
        await memory.put(outcome(number, *BUSY), memory.clock.now - number * 86_400)
    async with browser(memory.console()) as client:
        text = (await client.get("/catalog/entry?code=486/560486&event=CallDisconnected")).text
        plain = (await client.get("/catalog/entry?code=486&subcode=560486")).text
    entry = Catalog.default().look_up("CallDisconnected", *BUSY).entry
    for said in (entry.summary, *entry.advice, *(source.document for source in entry.sources)):
        assert html.escape(said).replace("&#x27;", "&#39;") in text
    assert "callee: the person or device called" in text
    assert "<h1>486/560486 CallDisconnected</h1>" in text
    assert "<h1>486/560486</h1>" in plain
    assert parsed(text).figures["entry.week"] == parsed(plain).figures["entry.week"] == "3"
    assert "an override to begin with" not in text


@pytest.mark.parametrize("path", ["code=499&subcode=123456", "code=799", "event=Risen&code=1", "code=none", ""])
async def test_whatever_it_is_asked_it_answers(memory, browser, path):
    """With an override to begin with, if an override can have the numbers."""
    async with browser(memory.console()) as client:
        response = await client.get(f"/catalog/entry?{path}")
    assert response.status_code == 200
    assert ("an override to begin with" in response.text) == ("499" in path or "799" in path or "Risen" in path)


@pytest.mark.parametrize(
    ("path", "why"),
    [
        ("code=a", "code &#39;a&#39; is no number of a result"),
        ("cod=1", "&#39;cod&#39; is no part of this address; there are code, event, subcode"),
        ("code=99999999999", "is no number of a result"),
        ("code=1&code=2", "code is given twice"),
    ],
)
async def test_what_no_result_has_is_refused(memory, browser, path, why):
    """With what it must be."""
    async with browser(memory.console()) as client:
        response = await client.get(f"/catalog/entry?{path}")
    assert response.status_code == 400
    assert why in response.text


async def test_an_override_speaks_for_itself(memory, browser):
    """Where the verdict comes from, and no link that is none."""
    own: dict[str, Any] = {
        "entry": [
            {
                "code": 486, "subcode": 560486, "cause": "busy", "retry": "never", "owner": "app",
                "summary": "We dial once.", "advice": ["Close the order."], "documentation": "javascript:alert(1)",
            }
        ]
    }  # fmt: skip
    try:
        catalog = Catalog.default().with_overrides(own)
    except Exception:
        own["entry"][0].pop("documentation")
        catalog = Catalog.default().with_overrides(own)
    async with browser(memory.console(catalog=catalog)) as client:
        text = (await client.get("/catalog/entry?code=486&subcode=560486")).text
    assert "We dial once." in text
    assert "override " in text
    assert "javascript:" not in text


def test_what_would_name_something_private_has_no_address():
    """A sender may call an event whatever it likes."""
    assert entry_address("+1 555 0100", 486, 0) is None
