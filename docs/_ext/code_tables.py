"""What the code knows, as parts of a page: the settings, the commands, the entries of the catalog.

A page that repeats these by hand would have to be renewed with each change of the code.
"""

from __future__ import annotations

import argparse
import re
from dataclasses import fields
from typing import TYPE_CHECKING

from docutils import nodes
from sphinx import addnodes
from sphinx.pycode import ModuleAnalyzer
from sphinx.util.docutils import SphinxDirective

from ringback import settings
from ringback.cli import _parser
from ringback.receiving.engine import Settings
from ringback_catalog import Catalog

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import ClassVar

    from sphinx.application import Sphinx

    from ringback_catalog._model import Key

DEFAULTS = {"DoorSettings": settings.Door, "EngineSettings": Settings}


class SettingsTable(SphinxDirective):
    """``DoorSettings`` or ``EngineSettings``: each setting with its default and its docstring."""

    required_arguments: ClassVar[int] = 1

    def run(self) -> list[nodes.Node]:
        return self.parse_text_to_nodes("\n".join(self._rows(self.arguments[0])))

    def _rows(self, table: str) -> Iterator[str]:
        told = ModuleAnalyzer.for_module(settings.__name__).find_attr_docs()
        defaults = {each.name: each.default for each in fields(DEFAULTS[table])}
        yield from ("| Setting | Default | What it does |", "|---|---|---|")
        for name in getattr(settings, table).__annotations__:
            default = "not set" if defaults[name] is settings.UNSET else f"`{defaults[name]!r}`"
            yield f"| `{name}` | {default} | {in_markdown(' '.join(told[(table, name)]))} |"


class Commands(SphinxDirective):
    """Each command with what its ``--help`` prints."""

    def run(self) -> list[nodes.Node]:
        return self.parse_text_to_nodes("\n".join(self._commands(_parser())), allow_section_headings=True)

    def _commands(self, parser: argparse.ArgumentParser) -> Iterator[str]:
        yield from (f"## `{parser.prog}`", "", "```text", parser.format_help().rstrip(), "```", "")
        for action in parser._actions:
            if isinstance(action, argparse._SubParsersAction):
                for command in action.choices.values():
                    yield from self._commands(command)


class Entries(SphinxDirective):
    """The entries of the catalog with one kind of key; the site's search finds a row by its key."""

    required_arguments: ClassVar[int] = 1

    def run(self) -> list[nodes.Node]:
        entries = [entry for entry in Catalog.default().entries if entry.key.kind == self.arguments[0]]
        lines = ["| Key | Cause | Again | Who acts | What happened |", "|---|---|---|---|---|"]
        for entry in entries:
            cells = (named(entry.key), f"`{entry.cause}`", f"`{entry.retry}`", entry.owner, entry.summary)
            lines.append(f"| {' | '.join(cells)} |")
        made = self.parse_text_to_nodes("\n".join(lines))
        rows = list(made[0].findall(nodes.row))[1:]
        for entry, row in zip(entries, rows, strict=True):
            row["ids"] = [f"entry-{self.env.new_serialno('entry')}"]
            found = addnodes.index(entries=[("single", searched(entry.key), row["ids"][0], "main", None)])
            next(row.findall(nodes.entry)).insert(0, found)
        return made


def searched(key: Key) -> str:
    return f"{key.code}/{key.subcode}" if key.kind == "pair" else str(key)


def named(key: Key) -> str:
    """The key as a reader searches it: ``486/560486``, and the events that it is for."""
    if key.kind != "pair":
        return f"`{key}`"
    return ", ".join((f"`{searched(key)}`", *sorted(key.events)))


def in_markdown(text: str) -> str:
    """A docstring's reStructuredText as Markdown."""
    return re.sub(r":\w+:`~?([\w.]+)`", r"`\1`", text).replace("``", "`").replace("|", "\\|")


def setup(app: Sphinx) -> dict[str, bool]:
    app.add_directive("settings", SettingsTable)
    app.add_directive("commands", Commands)
    app.add_directive("entries", Entries)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
