"""``ringback catalog``: exports the whole catalog, as one text or as a folder of pages."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ringback.cli import _site
from ringback.cli._export import FORMATS
from ringback.cli._outcomes import catalog_of
from ringback.exceptions import ConfigurationError

if TYPE_CHECKING:
    import argparse


def add(command: argparse.ArgumentParser) -> None:
    """The options of ``ringback catalog``."""
    command.add_argument(
        "--format", choices=list(dict.fromkeys([*FORMATS, *_site.FORMATS])), default="json", help="default: json"
    )
    command.add_argument("--output", metavar="FILE", type=Path, help="write to FILE, not to standard output")
    command.add_argument(
        "--out", metavar="DIR", type=Path, help="write a page for each entry and cause: html, markdown (extra console)"
    )
    command.add_argument("--overrides", metavar="FILE", help="apply a TOML file of your own verdicts first")


def catalog(arguments: argparse.Namespace) -> int:
    if arguments.out is not None or arguments.format not in FORMATS:
        return _pages(arguments)
    text = FORMATS[arguments.format](catalog_of(arguments.overrides).entries)
    if arguments.output is None:
        print(text)
        return 0
    try:
        arguments.output.write_text(f"{text}\n", "utf-8", newline="\n")
    except OSError as error:
        raise ConfigurationError(
            f"output '{arguments.output}' cannot be written ({error.strerror}); name a file in an existing folder"
        ) from error
    return 0


def _pages(arguments: argparse.Namespace) -> int:
    if arguments.out is None or arguments.output is not None or arguments.format not in _site.FORMATS:
        raise ConfigurationError(
            "--out goes with --format html or markdown, html only with --out, and --output with neither; write for "
            "example: ringback catalog --format html --out site"
        )
    count = _site.write(catalog_of(arguments.overrides).entries, arguments.format, arguments.out)
    print(f"{count} files in {arguments.out}")
    return 0
