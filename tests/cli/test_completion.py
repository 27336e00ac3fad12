"""`ringback completion` prints a script with which a real shell completes, without starting Python."""

from __future__ import annotations

import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from ringback.cli import SHELLS, main

if TYPE_CHECKING:
    from pathlib import Path

pytest.importorskip("shtab")

ASK = """
source {script}
COMP_WORDS=({words}) COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1))
COMP_LINE="${{COMP_WORDS[*]}}" COMP_POINT=${{#COMP_LINE}}
_shtab_ringback
printf '%s\\n' "${{COMPREPLY[@]}}"
"""


@pytest.mark.parametrize(
    ("words", "completed"),
    [
        (["st"], ["stats", "store"]),
        (["dead", "re"], ["replay"]),
        (["explain", "--so"], ["--sources"]),
        (["catalog", "--format", "ma"], ["markdown"]),
        (["store", "backup", "--f"], ["--force"]),
    ],
    ids=" ".join,
)
def test_bash_completes(
    words: list[str], completed: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A command, one of a group, an option and the words of an option."""
    bash = shutil.which("bash")
    if bash is None:
        pytest.skip("there is no bash")
    assert main(["completion", "bash"]) == 0
    script = tmp_path / "ringback.bash"
    script.write_text(capsys.readouterr().out, "utf-8")
    ask = ASK.format(script=script, words=" ".join(["ringback", *words]))
    # No PATH: what the script completes it knows by itself.
    ran = subprocess.run([bash, "--norc", "-c", ask], env={"PATH": ""}, capture_output=True, text=True, timeout=60)
    assert sorted(each.strip() for each in ran.stdout.splitlines()) == completed, ran.stderr


@pytest.mark.parametrize("shell", SHELLS)
def test_every_shell_has_a_script(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    """That names every command."""
    assert main(["completion", shell]) == 0
    script = capsys.readouterr().out
    assert [name for name in ("explain", "stats", "whatif", "worker", "completion") if name not in script] == []


def test_another_shell_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["completion", "cmd"]) == 2
    assert "argument SHELL: invalid choice: 'cmd'" in capsys.readouterr().err


def test_without_shtab_it_says_what_to_install(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "shtab", None)
    assert main(["completion", "bash"]) == 2
    assert capsys.readouterr().err.endswith("; pip install 'ringback[completion]'\n")


def test_no_other_command_imports_shtab() -> None:
    code = "import sys; from ringback.cli import main; main(['--version']); sys.exit('shtab' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False, capture_output=True).returncode == 0
