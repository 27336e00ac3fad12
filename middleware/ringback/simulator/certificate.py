"""A certificate for this machine, and the authority that signed it: made anew for each simulator."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, NamedTuple

from ringback.exceptions import needs_extra

if TYPE_CHECKING:
    from pathlib import Path


class Certificate(NamedTuple):
    """Files in PEM: what clients are to trust, and what the server shows and keeps."""

    ca_file: Path
    certificate: Path
    key: Path


def make(folder: Path, now: datetime | None = None) -> Certificate:
    """Write an authority's certificate and, signed by it, one for 127.0.0.1 and localhost, valid for a week.

    The authority's key is thrown away. Raises :class:`MissingExtra` without ``trustme``.
    """
    with needs_extra("tls", "simulator"):
        import trustme

    begin = (now or datetime.now(UTC)) - timedelta(hours=1)
    authority = trustme.CA(organization_name="Ringback simulator")
    server = authority.issue_cert("127.0.0.1", "localhost", not_before=begin, not_after=begin + timedelta(days=7))
    files = Certificate(folder / "ca.pem", folder / "server.pem", folder / "server.key")
    authority.cert_pem.write_to_path(str(files.ca_file))
    server.cert_chain_pems[0].write_to_path(str(files.certificate))
    files.key.touch(mode=0o600)
    server.private_key_pem.write_to_path(str(files.key))
    return files
