"""A page of the catalog as HTML: readable without JavaScript, styles or a network."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

from ringback.cli._site_pages import TITLE

if TYPE_CHECKING:
    from ringback.cli._site_pages import Line, Link, Page, Section

SUFFIX = ".html"

STYLE = """\
:root { color-scheme: light dark; --text: #1c2024; --dim: #5a6169; --ground: #ffffff; --panel: #f3f5f7; \
--edge: #8a929b; --link: #0b57a4; }
@media (prefers-color-scheme: dark) {
  :root { --text: #e8eaed; --dim: #a9b1ba; --ground: #15181b; --panel: #20252a; --edge: #79828c; --link: #8ab8f0; }
}
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1rem; max-width: 50rem; background: var(--ground); color: var(--text); \
font: 1rem/1.55 system-ui, sans-serif; overflow-wrap: anywhere; }
a { color: var(--link); }
a:focus-visible, input:focus-visible { outline: 3px solid var(--link); outline-offset: 2px; }
.skip { position: absolute; left: -99rem; }
.skip:focus { position: static; }
h1 { font-size: 1.7rem; line-height: 1.2; margin: 1rem 0 .5rem; }
h2 { font-size: 1.2rem; margin: 2rem 0 .5rem; }
.lead { font-size: 1.15rem; }
.trail { display: flex; flex-wrap: wrap; gap: .25rem 1rem; list-style: none; padding: 0; margin: 0; }
.trail li + li::before { content: "\\203a" / ""; margin-right: 1rem; color: var(--dim); }
dl { background: var(--panel); border-left: 4px solid var(--edge); padding: .75rem 1rem; margin: 1rem 0; \
display: grid; grid-template-columns: max-content 1fr; gap: .35rem 1rem; }
dt { color: var(--dim); }
dd { margin: 0; }
section li { margin: .35rem 0; }
input { width: 100%; padding: .6rem; font: inherit; color: inherit; background: var(--panel); \
border: 1px solid var(--edge); border-radius: .3rem; }
footer { margin-top: 3rem; color: var(--dim); font-size: .875rem; }
@media (max-width: 30rem) { dl { grid-template-columns: 1fr; gap: 0; } dd { margin-bottom: .5rem; } }
"""

SCRIPT = """\
"use strict";
(() => {
  const form = document.getElementById("search");
  const box = document.getElementById("query");
  const told = document.getElementById("found");
  const sections = [...document.querySelectorAll("section")];
  const items = sections.flatMap((section) => [...section.querySelectorAll("li")]
    .map((item) => ({ item, text: ((section.dataset.cause || "") + " " + item.textContent).toLowerCase() })));
  const show = () => {
    const words = box.value.toLowerCase().split(/\\s+/).filter(Boolean);
    for (const { item, text } of items) item.hidden = !words.every((word) => text.includes(word));
    for (const section of sections) section.hidden = !section.querySelector("li:not([hidden])");
    const found = document.querySelectorAll("section[data-cause] li:not([hidden])").length;
    const counted = found ? found + (found === 1 ? " entry" : " entries") : "No entry has all of these words.";
    told.textContent = words.length ? counted : "";
  };
  form.addEventListener("submit", (event) => event.preventDefault());
  box.addEventListener("input", show);
  form.hidden = false;
  show();
})();
"""

FILES = {"style.css": STYLE, "search.js": SCRIPT}
"""What the pages load, by its path below the folder."""

_SEARCH = """\
<form id="search" role="search" hidden>
<label for="query">Search by code, event or words</label>
<input id="query" type="search" autocomplete="off" spellcheck="false">
<p id="found" role="status"></p>
</form>
"""


def render(page: Page, version: str) -> str:
    """The whole document. Every text is escaped; only http and https addresses become links."""
    up = "../" * page.path.count("/")
    title = page.title if page.title == TITLE else f"{page.title} - {TITLE}"
    script = f'<script src="{up}search.js" defer></script>\n' if page.searched else ""
    trail = "".join(f"<li>{_link(link, up)}</li>" for link in page.above)
    nav = f'<nav aria-label="You are here"><ul class="trail">{trail}</ul></nav>\n' if trail else ""
    facts = "".join(f"<dt>{escape(name)}</dt><dd>{_line(line, up)}</dd>\n" for name, line in page.facts)
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n"
        f'<meta name="description" content="{escape(page.lead)}">\n'
        # Without an icon of its own a browser asks the server for one.
        '<link rel="icon" href="data:,">\n'
        f'<link rel="stylesheet" href="{up}style.css">\n{script}</head>\n<body>\n'
        f'<header>\n<a class="skip" href="#main">Skip to the text</a>\n{nav}</header>\n'
        f'<main id="main">\n<h1>{escape(page.title)}</h1>\n<p class="lead">{escape(page.lead)}</p>\n'
        + (f"<dl>\n{facts}</dl>\n" if facts else "")
        + (_SEARCH if page.searched else "")
        + "".join(_section(section, up) for section in page.sections)
        + f"</main>\n<footer><p>Ringback {escape(version)}</p></footer>\n</body>\n</html>\n"
    )


def _section(section: Section, up: str) -> str:
    title, cause = escape(section.title), ""
    if section.link is not None:
        title, cause = _link(section.link, up), f' data-cause="{title}"'
    text = f"<p>{escape(section.text)}</p>\n" if section.text else ""
    items = "".join(f"<li>{_line(line, up)}</li>\n" for line in section.lines)
    kind = "ol" if section.ordered else "ul"
    listed = f"<{kind}>\n{items}</{kind}>\n" if items else ""
    key = escape(section.key)
    heading = f'<h2 id="{key}">{title}</h2>'
    return f'<section aria-labelledby="{key}"{cause}>\n{heading}\n{text}{listed}</section>\n'


def _line(line: Line, up: str) -> str:
    return ": ".join(filter(None, ["" if line.link is None else _link(line.link, up), escape(line.text)]))


def _link(link: Link, up: str) -> str:
    if link.page is not None:
        target = f"{up}{link.page}{SUFFIX}"
    elif link.url is not None and link.url.startswith(("https://", "http://")):
        target = link.url
    else:
        return escape(link.text)
    return f'<a href="{escape(target)}">{escape(link.text)}</a>'
