"""What verifying one token costs: Ringback's verifier, new token and known, beside libraries and OpenSSL alone.

    python benchmarks/verifying.py [rounds]         joserfc has a row where it is installed

Microseconds of CPU a token, and the median ratio to OpenSSL's verification of the same signatures in the same round.
"""

from __future__ import annotations

import asyncio
import json
import statistics
import sys
import time
import uuid
from base64 import urlsafe_b64decode
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import jwt
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA256
from pairs import compared

from ringback import Head
from ringback.testing import Issuer

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ringback import CallbackTokenVerifier

TOKENS = 200
OPENSSL = "OpenSSL alone"


def candidates(issuer: Issuer) -> Mapping[str, Callable[[], float]]:
    """By name, what takes one turn and gives CPU seconds a token."""
    tokens = [issuer.token(jti=str(uuid.uuid4()), exp=2**32 - 1) for _ in range(TOKENS)]
    entry = issuer.key_set["keys"][0]
    key: Any = jwt.PyJWK(entry, algorithm="RS256").key
    parts = [token.rpartition(".") for token in tokens]
    signed = [(start.encode(), urlsafe_b64decode(signature + "==")) for start, _, signature in parts]
    padding, digest = PKCS1v15(), SHA256()

    def openssl() -> None:
        for start, signature in signed:
            key.verify(signature, start, padding, digest)

    def pyjwt() -> None:
        for token in tokens:
            jwt.get_unverified_header(token)
            jwt.decode(token, key, ["RS256"], audience=[issuer.audience], issuer=[issuer.issuer], leeway=120)

    found = {OPENSSL: lambda: spent(openssl), "PyJWT, header and token": lambda: spent(pyjwt)}
    if find_spec("joserfc"):
        joserfc = _joserfc(tokens, entry, issuer)
        found["joserfc, in one pass"] = lambda: spent(joserfc)
    heads = [head(token) for token in tokens]
    return found | {
        "Ringback, a new token": lambda: verified(issuer.verifier(), heads, [head(issuer.token())]),
        "Ringback, a known token": lambda: verified(issuer.verifier(), heads, heads),
    }


def _joserfc(tokens: list[str], entry: dict[str, Any], issuer: Issuer) -> Callable[[], None]:
    from joserfc import jwk, jws
    from joserfc.jwt import JWTClaimsRegistry

    key, registry = jwk.import_key(entry), jws.JWSRegistry(algorithms=["RS256"])
    claims = JWTClaimsRegistry(
        leeway=120,
        iss={"essential": True, "value": issuer.issuer},
        aud={"essential": True, "value": issuer.audience},
        exp={"essential": True},
    )

    def verify() -> None:
        for token in tokens:
            read = jws.extract_compact(token.encode(), registry=registry)
            assert read.headers()["kid"]
            assert jws.validate_compact(read, key, registry=registry)
            claims.validate(json.loads(read.payload or b""))

    return verify


def head(token: str) -> Head:
    """The head of a callback, with the header fields that Microsoft sends."""
    fields = {"host": "app.example.com", "content-type": "application/json", "content-length": "979"}
    return Head("POST", "/api/callbacks", "", (*fields.items(), ("authorization", f"Bearer {token}")))


def spent(work: Callable[[], object]) -> float:
    start = time.thread_time()
    work()
    return (time.thread_time() - start) / TOKENS


def verified(verifier: CallbackTokenVerifier, heads: list[Head], before: list[Head]) -> float:
    """CPU seconds a token, after the verifier has its keys and has seen the heads ``before``."""

    async def verify(some: list[Head]) -> None:
        for each in some:
            assert await verifier(each) is None

    with asyncio.Runner() as runner:
        runner.run(verify(before))
        return spent(lambda: runner.run(verify(heads)))


def section(rounds: int) -> dict[str, dict[str, float]]:
    """By name, microseconds of CPU a token, and the ratio to OpenSSL alone."""
    turns = candidates(Issuer())
    taken: dict[str, list[float]] = {name: [] for name in turns}
    for _ in range(rounds):
        for name, turn in turns.items():
            taken[name].append(turn())
    return {
        name: {
            "us": round(statistics.median(figures) * 1e6, 1),
            "ratio": compared(figures, taken[OPENSSL])["median"],
        }
        for name, figures in taken.items()
    }


if __name__ == "__main__":
    for name, each in section(int(sys.argv[1]) if sys.argv[1:] else 41).items():
        print(f"{name:28}{each['us']:8.1f} us{each['ratio']:8.3f}")
