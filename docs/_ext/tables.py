"""What the code knows, as parts of a page: the settings, the commands, the entries of the catalog.

A page that repeats them by hand would have to be renewed with each change. In a page of Markdown, which all of them are.
"""

from __future__ import annotations

import argparse
import re
from dataclasses import fields
from typing import TYPE_CHECKING

from sphinx.pycode import ModuleAnalyzer
from sphinx.util.docutils import SphinxDirective

from ringback import settings
from ringback.cli import _parser
from ringback.receiving.engine import Settings
from ringback_catalog import Catalog

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import ClassVar

    from docutils import nodes
    from sphinx.application import Sphinx

    from ringback_catalog._model import Key

DEFAULTS = {"DoorSettings": settings.Door, "EngineSettings": Settings}
KINDS = {
    "pair": "A code and a subcode",
    "pattern": "Families of subcodes",
    "subcode": "Generic subcodes, whatever the code",
    "code": "A code alone",
    "range": "A range of codes",
    "sip": "A carrier's SIP status",
    "q850": "A carrier's Q.850 cause",
    "special": "When no key answers",
}


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
    """Every entry of the catalog, in a table for each kind of key."""

    def run(self) -> list[nodes.Node]:
        return self.parse_text_to_nodes("\n".join(self._entries()), allow_section_headings=True)

    def _entries(self) -> Iterator[str]:
        entries = Catalog.default().entries
        for kind, heading in KINDS.items():
            yield from (
                f"## {heading}",
                "",
                "| Key | Cause | Again | Who acts | What happened |",
                "|---|---|---|---|---|",
            )
            for entry in entries:
                if entry.key.kind == kind:
                    row = (named(entry.key), f"`{entry.cause}`", f"`{entry.retry}`", entry.owner, entry.summary)
                    yield f"| {' | '.join(row)} |"
            yield ""


def named(key: Key) -> str:
    """The key as a reader searches it: ``486/560486``, and the events that it is for."""
    if key.kind != "pair":
        return f"`{key}`"
    return ", ".join((f"`{key.code}/{key.subcode}`", *sorted(key.events or ())))


def in_markdown(text: str) -> str:
    """A docstring's reStructuredText as Markdown."""
    return re.sub(r":\w+:`~?([\w.]+)`", r"`\1`", text).replace("``", "`").replace("|", "\\|")


def setup(app: Sphinx) -> dict[str, bool]:
    app.add_directive("settings", SettingsTable)
    app.add_directive("commands", Commands)
    app.add_directive("entries", Entries)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
