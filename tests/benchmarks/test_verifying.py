"""What verifying a token costs, in turns with OpenSSL alone."""

from __future__ import annotations

import verifying


def test_every_candidate_has_a_row() -> None:
    """Microseconds, and the ratio to OpenSSL's verification of the same tokens."""
    rows = verifying.section(1)
    assert rows[verifying.OPENSSL]["ratio"] == 1.0
    assert min(figure for row in rows.values() for figure in row.values()) > 0
    assert [name for name in rows if "joserfc" not in name] == [
        verifying.OPENSSL,
        "PyJWT, header and token",
        "Ringback, a new token",
        "Ringback, a known token",
    ]
