"""The certificate of a simulator, and the authority behind it: a new one, or one that a user's simulators share.

The shared authority is made once and kept in a folder, so that apps trust it by environment.

A program that reads ``SSL_CERT_FILE`` or ``REQUESTS_CA_BUNDLE`` trusts that file in place of the machine's authorities,
and a company may have named a file of its own. So the file has all of them.
"""

from __future__ import annotations

import os
import re
import ssl
import tempfile
from datetime import UTC, datetime, timedelta
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from ringback.exceptions import ConfigurationError, needs_extra

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    import trustme

RENEWAL = timedelta(days=30)
"""How long before its end an authority is replaced."""


class Authority(NamedTuple):
    """An authority with its certificate alone, and with the machine's authorities, in files in PEM."""

    ca: trustme.CA
    ca_file: Path
    bundle: Path

    @property
    def environment(self) -> dict[str, Path]:
        """The variables by which an app trusts the authority, and all that it trusted before.

        Sources: https://docs.openssl.org/master/man7/openssl-env,
        https://requests.readthedocs.io/en/latest/user/advanced/#ssl-cert-verification,
        https://nodejs.org/api/cli.html#node_extra_ca_certsfile
        """
        # OpenSSL (Python's ssl, aiohttp and httpx), requests (the blocking Azure client), and Node.
        return dict.fromkeys(("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "NODE_EXTRA_CA_CERTS"), self.bundle)


class Certificate(NamedTuple):
    """Files in PEM: what clients are to trust, and what the server shows and keeps."""

    ca_file: Path
    certificate: Path
    key: Path


def certificate_in(folder: Path, now: datetime | None = None, kept: Authority | None = None) -> Certificate:
    """Write a certificate for 127.0.0.1 and localhost: signed by ``kept`` and valid for a year, else for a week.

    Without ``kept`` the authority's certificate goes to the folder, and its key is thrown away. Raises
    :class:`MissingExtra` without ``trustme``.
    """
    with needs_extra("tls", "simulator"):
        import trustme

    begin = (now or datetime.now(UTC)) - timedelta(hours=1)
    authority = kept.ca if kept else trustme.CA(organization_name="Ringback simulator")
    end = begin + timedelta(days=365 if kept else 7)
    server = authority.issue_cert("127.0.0.1", "localhost", not_before=begin, not_after=end)
    files = Certificate(kept.ca_file if kept else folder / "ca.pem", folder / "server.pem", folder / "server.key")
    if not kept:
        authority.cert_pem.write_to_path(str(files.ca_file))
    server.cert_chain_pems[0].write_to_path(str(files.certificate))
    files.key.touch(mode=0o600)
    server.private_key_pem.write_to_path(str(files.key))
    return files


def cache_folder(environ: Mapping[str, str], platform: str, home: Path) -> Path:
    """Ringback's folder among the user's caches. ``platform`` is ``sys.platform``.

    Sources: https://specifications.freedesktop.org/basedir-spec/latest,
    https://developer.apple.com/library/archive/documentation/FileManagement/Conceptual/FileSystemProgrammingGuide,
    https://learn.microsoft.com/windows/win32/shell/knownfolderid
    """
    if platform == "win32":
        return Path(environ.get("LOCALAPPDATA") or home / "AppData" / "Local") / "ringback" / "Cache"
    if platform == "darwin":
        return home / "Library" / "Caches" / "ringback"
    named = Path(environ.get("XDG_CACHE_HOME", ""))
    # A relative path is to be ignored.
    return (named if named.is_absolute() else home / ".cache") / "ringback"


def kept(folder: Path, environ: Mapping[str, str], now: datetime | None = None) -> Authority:
    """The authority of the folder; a new one where there is none that still serves. Its key is for the owner alone.

    ``environ`` may name what the user trusts besides the machine's authorities. Raises :class:`ConfigurationError` for
    a folder that cannot be used, and :class:`MissingExtra` without ``trustme``.
    """
    with needs_extra("tls", "simulator"):
        import trustme
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        key_file = folder / "authority.key"
        ca = _read(key_file, now or datetime.now(UTC))
        if ca is None:
            is_first = not key_file.exists()
            made = trustme.CA(organization_name="Ringback simulator")
            _write(key_file, made.private_key_pem.bytes() + made.cert_pem.bytes(), is_first=is_first)
            # Another simulator may have been first.
            ca = _read(key_file, now or datetime.now(UTC)) or made
        found = Authority(ca, folder / "authority.pem", folder / "trusted.pem")
        ours = ca.cert_pem.bytes().decode()
        _write(found.ca_file, ours.encode())
        # A dictionary keeps each certificate once, in order.
        _write(found.bundle, "".join(dict.fromkeys([ours, *_trusted(environ)])).encode())
    except OSError as error:
        raise ConfigurationError(
            f"the authority cannot be kept in '{folder}' ({error.strerror}); set XDG_CACHE_HOME to a folder of yours"
        ) from error
    return found


def _read(file: Path, now: datetime) -> trustme.CA | None:
    """The authority in a file; ``None`` if it ends soon, or the file is missing or broken, or others may read it."""
    import trustme
    from cryptography import x509
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        mode, pem = file.stat().st_mode, file.read_bytes()
        certificate = x509.load_pem_x509_certificate(pem)
        key = load_pem_private_key(pem, password=None)
    except (FileNotFoundError, ValueError):
        return None
    # Windows knows no such mode, and keeps the folder for the user.
    is_open = os.name != "nt" and mode & 0o077
    if is_open or key.public_key() != certificate.public_key() or certificate.not_valid_after_utc - now < RENEWAL:
        return None
    return trustme.CA.from_pem(pem, pem)


def _write(file: Path, content: bytes, *, is_first: bool = False) -> None:
    """Write the whole file at once, for the owner alone. With ``is_first`` the file of whoever was first stays."""
    handle, name = tempfile.mkstemp(dir=file.parent)
    with os.fdopen(handle, "wb") as opened:
        opened.write(content)
    if not is_first:
        Path(name).replace(file)
        return
    try:
        file.hardlink_to(name)
    except FileExistsError:
        pass
    finally:
        Path(name).unlink()


def _trusted(environ: Mapping[str, str]) -> Iterable[str]:
    """The certificates that programs of this machine trust: those that the user names, OpenSSL's and certifi's."""
    names = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "NODE_EXTRA_CA_CERTS")
    named = [environ.get(name, "") for name in names]
    files = [Path(name) for name in (*named, ssl.get_default_verify_paths().openssl_cafile) if name]
    if find_spec("certifi") is not None:
        import certifi

        files.append(Path(certifi.where()))
    texts = (file.read_text("utf-8", "replace") for file in files if file.is_file())
    return (f"{found}\n" for text in texts for found in _CERTIFICATE.findall(text))


_CERTIFICATE = re.compile(r"-----BEGIN CERTIFICATE-----\r?\n[^-]+-----END CERTIFICATE-----")
