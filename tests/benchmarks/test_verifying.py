"""What verifying a token costs, in turns with OpenSSL alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

import verifying

if TYPE_CHECKING:
    import pytest


def test_every_candidate_has_a_row(capsys: pytest.CaptureFixture[str]) -> None:
    """Microseconds, and the ratio to OpenSSL's verification of the same tokens."""
    verifying.main(1)
    first, *others = capsys.readouterr().out.splitlines()
    assert first.startswith(verifying.OPENSSL)
    assert first.endswith(" us   1.000")
    assert [line[:23] for line in others if "joserfc" not in line] == [
        "PyJWT, header and token",
        "Ringback, a new token  ",
        "Ringback, a known token",
    ]
