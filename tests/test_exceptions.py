"""What a part says whose packages are not installed."""

from __future__ import annotations

import importlib
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from ringback.exceptions import ConfigurationError, MissingExtra, needs_extra
from ringback.simulator import Simulator
from ringback.simulator.trigger import issuer_of
from ringback.testing import Issuer

ROOT = Path(__file__).parents[1]


def test_a_missing_package_is_named_with_its_extra() -> None:
    """Whoever catches one of the two usual errors catches it; an import within an import is told once."""
    text = r"the thing needs the extra otel \(No module named 'no_such_package'\); pip install 'ringback\[otel\]'"
    for kind in (ConfigurationError, ImportError):
        with pytest.raises(kind, match=text) as caught, needs_extra("another", "all"), needs_extra("the thing", "otel"):
            importlib.import_module("no_such_package")
        assert type(caught.value) is MissingExtra


def test_what_is_no_import_passes() -> None:
    """A block without a fault, and a fault that is another."""
    with needs_extra("the thing", "otel"):
        pass
    with pytest.raises(KeyError), needs_extra("the thing", "otel"):
        raise KeyError


@pytest.mark.parametrize(
    ("module", "package", "extra"),
    [
        ("ringback.adapters.aiohttp", "aiohttp", "aiohttp"),
        ("ringback.adapters.flask", "flask", "flask"),
        ("ringback.adapters.quart", "quart", "quart"),
        ("ringback.adapters.django", "asgiref.sync", "django"),
        ("ringback.adapters.azure_functions", "azure.functions", "azure-functions"),
        ("ringback.telemetry", "opentelemetry", "otel"),
    ],
)
def test_a_module_of_an_extra_names_it(module: str, package: str, extra: str) -> None:
    """A fresh interpreter that lacks the package says at the import what to install."""
    code = f"import sys; sys.modules[{package!r}] = None; import {module}"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    last = ran.stderr.splitlines()[-1]
    assert re.match(r"ringback\.exceptions\.MissingExtra: .* needs the extra .*", last)
    assert last.endswith(f"; pip install 'ringback[{extra}]'")


def test_signing_names_its_extra(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """PyJWT and cryptography come with one extra; a simulator brings them with its own."""
    for package in ("jwt", "jwt.algorithms"):
        monkeypatch.setitem(sys.modules, package, None)
    issuer = Issuer()
    for signing in (lambda: issuer.key_set, issuer.token):
        with pytest.raises(
            MissingExtra, match=r"^signing needs the extra testing .*pip install 'ringback\[testing\]'$"
        ):
            signing()
    with pytest.raises(MissingExtra, match=r"^the simulator needs the extra simulator .*'ringback\[simulator\]'$"):
        Simulator().__enter__()
    for package in ("cryptography.hazmat.primitives", "cryptography.hazmat.primitives.asymmetric"):
        monkeypatch.setitem(sys.modules, package, None)
    for making in (lambda: Issuer().key_set, lambda: issuer_of(tmp_path / "dev.pem")):
        with pytest.raises(
            MissingExtra, match=r"^signing needs the extra testing .*pip install 'ringback\[testing\]'$"
        ):
            making()


def test_every_extra_that_is_named_exists() -> None:
    """In messages, documentation, examples: what `pip install 'ringback[...]'` says, the distribution has."""
    extras = set(tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["optional-dependencies"])
    package = Path(sys.modules["ringback"].__file__ or "").parent
    files = [*package.rglob("*.py"), ROOT / "README.md", *(ROOT / "docs").glob("*.md"), *(ROOT / "examples").rglob("*")]
    text = "\n".join(file.read_text("utf-8") for file in files if file.suffix in {".py", ".md"})
    named = {each for found in re.findall(r"(?:ringback|['\s]\.)\[([a-z, -]+)\]", text) for each in found.split(",")}
    assert named <= extras
    assert {"console", "demo", "verify"} <= named
