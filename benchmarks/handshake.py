"""What a TLS handshake costs a server, beside what a delivery costs: TLS 1.3, a certificate of RSA with 2048 bits."""

from __future__ import annotations

import ssl
import statistics
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat


def microseconds(rounds: int) -> float:
    """The median of so many handshakes: CPU of the server's side alone."""
    server = _context()
    client = ssl.create_default_context()
    client.check_hostname, client.verify_mode = False, ssl.CERT_NONE
    return round(statistics.median(_shaken(server, client) for _ in range(rounds)) * 1e6, 1)


def _context() -> ssl.SSLContext:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    name, now = x509.Name([]), datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now)
        .not_valid_after(now + timedelta(days=1))
        .sign(key, SHA256())
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with tempfile.TemporaryDirectory() as place:
        file = Path(place, "pem")
        file.write_bytes(
            key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
            + certificate.public_bytes(Encoding.PEM)
        )
        context.load_cert_chain(file)
    return context


def _shaken(server: ssl.SSLContext, client: ssl.SSLContext) -> float:
    """CPU seconds of the server for one handshake."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    one = server.wrap_bio(to_server, to_client, server_side=True)
    other = client.wrap_bio(to_client, to_server, server_hostname="app.example.com")
    spent, ended = 0.0, False
    while not ended:
        _went_on(other)
        start = time.thread_time()
        ended = _went_on(one)
        spent += time.thread_time() - start
    return spent


def _went_on(side: ssl.SSLObject) -> bool:
    """Whether this side of the handshake has ended."""
    try:
        side.do_handshake()
    except ssl.SSLWantReadError:
        return False
    return True
