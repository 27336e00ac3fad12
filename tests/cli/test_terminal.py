"""What the command does with its streams: style, letters that a terminal lacks, a full disk, a reader who leaves."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from contextlib import redirect_stdout
from typing import TYPE_CHECKING

import pytest

from ringback.cli import main

if TYPE_CHECKING:
    from pathlib import Path

OVERRIDES = """
[[entry]]
code = 486
subcode = 560486
retry = "now"
summary = "Besetzt: der Müller spricht."
"""


@pytest.fixture
def overrides(tmp_path: Path) -> Path:
    file = tmp_path / "ours.toml"
    file.write_text(OVERRIDES, "utf-8")
    return file


class Terminal(io.TextIOWrapper):
    """A stream that says it is a terminal, and can only show ASCII."""

    def __init__(self) -> None:
        self.shown = io.BytesIO()
        super().__init__(self.shown, "ascii", newline="\n")

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("no_color", "term", "headline"),
    [
        ("", "xterm", "\x1b[1;32m486/560486  busy  retryable (now)\x1b[0m"),
        ("1", "xterm", "486/560486  busy  retryable (now)"),
        ("", "dumb", "486/560486  busy  retryable (now)"),
    ],
    ids=["styled", "NO_COLOR", "dumb"],
)
def test_only_a_terminal_gets_style_and_it_never_gets_what_it_cannot_show(
    monkeypatch: pytest.MonkeyPatch, overrides: Path, no_color: str, term: str, headline: str
) -> None:
    """Style needs a terminal that knows it and no NO_COLOR; a letter that the terminal lacks is escaped, not fatal."""
    monkeypatch.setenv("NO_COLOR", no_color)
    monkeypatch.setenv("TERM", term)
    terminal = Terminal()
    with redirect_stdout(terminal):
        assert main(["explain", "486", "560486", "--overrides", str(overrides)]) == 0
    lines = terminal.shown.getvalue().decode("ascii").splitlines()
    assert lines[:2] == [headline, "Besetzt: der M\\xfcller spricht."]


def test_a_terminal_verdict_is_bold_without_colour(monkeypatch: pytest.MonkeyPatch) -> None:
    """Green is for calls worth another try alone."""
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    terminal = Terminal()
    with redirect_stdout(terminal):
        assert main(["explain", "603", "0"]) == 0
    headline = terminal.shown.getvalue().decode("ascii").splitlines()[0]
    assert headline == "\x1b[1m603/0  declined  terminal (never)\x1b[0m"


def test_an_output_of_text_alone_needs_no_encoding() -> None:
    """As that of a program that calls ``main`` and keeps what is printed."""
    with redirect_stdout(io.StringIO()) as kept:
        assert main(["catalog", "--format", "csv"]) == 0
    assert kept.getvalue().startswith("events,scope,")


def test_a_full_disk_is_said_in_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    """An output that cannot be written exits with 1 and the reason, not with a traceback."""
    with open("/dev/full", "w") as full, redirect_stdout(full):  # noqa: PTH123 - a device
        assert main(["catalog"]) == 1
    assert capsys.readouterr().err == "ringback: the output cannot be written (No space left on device)\n"


def test_a_file_that_a_command_cannot_look_at_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    """As one in a folder that the user may not enter: the output is not at fault."""
    file = f"/{'x' * 300}.db"
    with open("/dev/null", "w") as null, redirect_stdout(null):  # noqa: PTH123 - a device
        assert main(["dead", "list", "--store", f"sqlite:///{file}"]) == 1
    assert capsys.readouterr().err == f"ringback: '{file}' cannot be read (File name too long)\n"


def test_a_reader_that_leaves_is_no_error() -> None:
    """Standard output closed early, as by head, ends the command in silence."""
    reading, writing = os.pipe()
    os.close(reading)
    with open(writing, "w") as closed, redirect_stdout(closed):  # noqa: PTH123 - a descriptor, not a path
        assert main(["catalog"]) == 0


def test_head_sees_the_first_line_and_nobody_a_traceback() -> None:
    """The same with a real pipe: ringback catalog | head -1."""
    command = [sys.executable, "-m", "ringback", "catalog", "--format", "csv"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline().startswith(b"events,scope,code,subcode,")
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 0


def test_an_interrupt_ends_the_command_without_a_traceback() -> None:
    """Ctrl-C is 130, as from any command of a shell."""

    class Interrupted(io.StringIO):
        def write(self, _: str) -> int:
            raise KeyboardInterrupt

    with redirect_stdout(Interrupted()):
        assert main(["explain", "486"]) == 130
