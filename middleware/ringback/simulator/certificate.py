"""A certificate for this machine, made anew for each simulator; a new authority signs it, or one that is kept."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, NamedTuple

from ringback.exceptions import needs_extra

if TYPE_CHECKING:
    from pathlib import Path

    from ringback.simulator.authority import Authority


class Certificate(NamedTuple):
    """Files in PEM: what clients are to trust, and what the server shows and keeps."""

    ca_file: Path
    certificate: Path
    key: Path


def make(folder: Path, now: datetime | None = None, kept: Authority | None = None) -> Certificate:
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
