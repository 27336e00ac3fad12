"""The authority of a user's simulators is made once, kept for its owner alone, and trusted by environment alone."""

from __future__ import annotations

import os
import ssl
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import trustme
from cryptography import x509

from ringback.exceptions import ConfigurationError
from ringback.simulator import Simulator
from ringback.simulator.authority import RENEWAL, cache_folder, certificate_in, kept

NOW = datetime(2026, 1, 2, tzinfo=UTC)
END = datetime(3000, 1, 1, tzinfo=UTC)
"""The end of what trustme makes."""


def test_the_same_authority_serves_every_start(tmp_path: Path) -> None:
    """So the lines that an app was started with go on to hold; the folder and the key are for their owner alone."""
    first, second = (kept(tmp_path / "ringback", {}, NOW) for _ in range(2))
    assert first[1:] == second[1:]
    assert first.ca.cert_pem.bytes() == second.ca.cert_pem.bytes() == first.ca_file.read_bytes()
    assert first.ca.private_key_pem.bytes() == second.ca.private_key_pem.bytes()
    assert sorted(each.name for each in first.ca_file.parent.iterdir()) == [
        "authority.key",
        "authority.pem",
        "trusted.pem",
    ]
    modes = [each.stat().st_mode & 0o777 for each in (first.ca_file.parent, first.ca_file.with_suffix(".key"))]
    assert modes == [0o700, 0o600]


def test_an_authority_is_replaced_before_it_ends(tmp_path: Path) -> None:
    """A month before; not earlier."""
    first = kept(tmp_path, {}, NOW)
    assert x509.load_pem_x509_certificate(first.ca_file.read_bytes()).not_valid_after_utc == END
    same = kept(tmp_path, {}, END - RENEWAL)
    assert same.ca.cert_pem.bytes() == first.ca.cert_pem.bytes()
    other = kept(tmp_path, {}, END - RENEWAL + timedelta(seconds=1))
    assert other.ca_file.read_bytes() != first.ca.cert_pem.bytes()


@pytest.mark.parametrize("fault", ["no PEM", "no key", "another key", "readable by others"])
def test_an_authority_that_does_not_serve_is_replaced(tmp_path: Path, fault: str) -> None:
    """It is a cache: what is broken is made anew, and so is a key that somebody may have read."""
    first = kept(tmp_path, {}, NOW)
    file = tmp_path / "authority.key"
    certificate_alone = first.ca.cert_pem.bytes()
    contents = {
        "no PEM": b"a letter",
        "no key": certificate_alone,
        "another key": trustme.CA().private_key_pem.bytes() + certificate_alone,
    }
    if fault in contents:
        file.write_bytes(contents[fault])
    else:
        file.chmod(0o644)
    second = kept(tmp_path, {}, NOW)
    assert second.ca.cert_pem.bytes() != certificate_alone
    assert kept(tmp_path, {}, NOW).ca.cert_pem.bytes() == second.ca.cert_pem.bytes()
    assert file.stat().st_mode & 0o777 == 0o600


def test_who_comes_second_takes_the_authority_of_who_was_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two simulators may start at the same time in an empty folder."""
    original, others = trustme.CA.__init__, []

    def slowly(self: trustme.CA, **given: str) -> None:
        original(self, **given)  # type: ignore[arg-type]
        if not others:
            others.append(None)
            others.append(kept(tmp_path, {}, NOW))

    monkeypatch.setattr(trustme.CA, "__init__", slowly)
    late = kept(tmp_path, {}, NOW)
    assert late.ca.cert_pem.bytes() == others[1].ca.cert_pem.bytes()


def test_a_folder_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    """With what to do."""
    (tmp_path / "ringback").write_text("a file", "utf-8")
    with pytest.raises(ConfigurationError) as refused:
        kept(tmp_path / "ringback", {}, NOW)
    assert str(refused.value) == (
        f"the authority cannot be kept in '{tmp_path / 'ringback'}' (File exists); "
        "set XDG_CACHE_HOME to a folder of yours"
    )


@pytest.mark.parametrize("name", ["REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "NODE_EXTRA_CA_CERTS"])
def test_the_file_of_the_environment_has_all_that_was_trusted_before(tmp_path: Path, name: str) -> None:
    """Programs trust the file in place of the machine's authorities; a company's own stay, also from a start before."""
    company = tmp_path / "company.pem"
    trustme.CA(organization_name="Company").cert_pem.write_to_path(str(company))
    found = kept(tmp_path / "ringback", {name: str(company), "SSL_CERT_FILE": "/missing"}, NOW)
    again = kept(tmp_path / "ringback", {each: str(file) for each, file in found.environment.items()}, NOW)
    assert again.bundle == found.bundle
    for _ in range(2):
        text = again.bundle.read_text("utf-8")
        assert text.startswith(found.ca_file.read_text("utf-8"))
        assert text.count(company.read_text("utf-8").strip()) == 1
        assert text.count(found.ca_file.read_text("utf-8").strip()) == 1
    machine = ssl.create_default_context().cert_store_stats()["x509_ca"]
    assert ssl.create_default_context(cafile=str(again.bundle)).cert_store_stats()["x509_ca"] >= machine


def test_without_certifi_the_machines_authorities_remain(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """requests brings certifi; not every app has requests."""
    monkeypatch.setattr("ringback.simulator.authority.find_spec", lambda _: None)
    paths = ssl.get_default_verify_paths()
    monkeypatch.setattr(ssl, "get_default_verify_paths", lambda: paths._replace(openssl_cafile="/missing"))
    found = kept(tmp_path, {}, NOW)
    assert found.bundle.read_bytes() == found.ca_file.read_bytes()


HOME = Path("/home/somebody")


@pytest.mark.parametrize(
    ("environ", "platform", "folder"),
    [
        ({}, "linux", HOME / ".cache/ringback"),
        ({"XDG_CACHE_HOME": "/caches"}, "linux", Path("/caches/ringback")),
        ({"XDG_CACHE_HOME": "relative"}, "linux", HOME / ".cache/ringback"),
        ({"XDG_CACHE_HOME": "/caches"}, "darwin", HOME / "Library/Caches/ringback"),
        ({"LOCALAPPDATA": "/local"}, "win32", Path("/local/ringback/Cache")),
        ({}, "win32", HOME / "AppData/Local/ringback/Cache"),
    ],
)
def test_the_folder_is_the_platforms(environ: dict[str, str], platform: str, folder: Path) -> None:
    """The folder of caches of the user."""
    assert cache_folder(environ, platform, HOME) == folder


def test_a_certificate_of_a_kept_authority_is_valid_for_a_year(tmp_path: Path) -> None:
    """A simulator may run for long; its authority's key is not in the folder of the certificate."""
    authority = kept(tmp_path / "kept", {}, NOW)
    (tmp_path / "server").mkdir()
    files = certificate_in(tmp_path / "server", NOW, authority)
    made = x509.load_pem_x509_certificate(files.certificate.read_bytes())
    assert made.not_valid_after_utc - made.not_valid_before_utc == timedelta(days=365)
    assert files.ca_file == authority.ca_file
    assert sorted(each.name for each in (tmp_path / "server").iterdir()) == ["server.key", "server.pem"]


APP = """
import asyncio, sys
from azure.communication.callautomation import CallAutomationClient, CommunicationUserIdentifier
from azure.communication.callautomation.aio import CallAutomationClient as AsyncClient

callee, uri = CommunicationUserIdentifier("8:acs:somebody"), "http://127.0.0.1:1/api/callbacks"
print(CallAutomationClient.from_connection_string(sys.argv[1]).create_call(callee, uri).call_connection_state)

async def main():
    async with AsyncClient.from_connection_string(sys.argv[1]) as client:
        print((await client.create_call(callee, uri)).call_connection_state)

asyncio.run(main())
"""


def test_an_app_trusts_the_simulator_by_its_environment_alone(tmp_path: Path) -> None:
    """The real client, blocking and async, from a connection string; nothing in the app changes."""
    authority = kept(tmp_path, {}, datetime.now(UTC))
    environ = {**os.environ, **{name: str(file) for name, file in authority.environment.items()}}
    with Simulator("ringing", tls=True, authority=authority) as acs:
        assert acs.ca_file == authority.ca_file
        command = [sys.executable, "-W", "ignore", "-c", APP, acs.connection_string]
        finished = subprocess.run(command, env=environ, capture_output=True, text=True, check=False)
    assert (finished.stdout, finished.returncode) == ("connecting\nconnecting\n", 0), finished.stderr
