"""Posts the events of one scenario, or one call that comes in, to any endpoint, without a client."""

from __future__ import annotations

import asyncio
import os
from random import Random
from typing import TYPE_CHECKING

from ringback.exceptions import ConfigurationError, needs_extra
from ringback.simulator.arrivals import Arrivals
from ringback.simulator.calls import CALLEE
from ringback.simulator.courier import Courier
from ringback.simulator.outside import FAST, Outside, ignored
from ringback.simulator.playbook import Playbook
from ringback.simulator.posting import http_ask, http_post, web_address
from ringback.simulator.switchboard import Switchboard
from ringback.testing.signing import AUDIENCE, Issuer

if TYPE_CHECKING:
    from pathlib import Path

    from ringback.simulator.calls import Arrival, Incoming
    from ringback.simulator.courier import Callback
    from ringback.simulator.outside import Say
    from ringback.simulator.posting import Post
    from ringback.simulator.scenarios import Scenario


async def trigger(
    scenario: str | Scenario,
    to: str,
    *,
    scenarios: str | Path | None = None,
    issuer: Issuer | None = None,
    delay: float | None = None,
    seed: int | None = None,
    post: Post | None = None,
    say: Say | None = None,
) -> list[Callback]:
    """Post the events of a scenario to the address ``to``, and return every POST with its result.

    ``delay`` seconds before an event replace the scenario's own delays; ``scenarios`` is a TOML file of further
    scenarios; ``issuer`` signs the callbacks, ``None`` leaves them unsigned. Raises :class:`ConfigurationError` for
    an unknown scenario, for a scenario without events, and for an address that is no http(s) URL.
    """
    playbook = Playbook(file=scenarios)
    chosen, uri = playbook.named(scenario), web_address("to", to)
    if not chosen.steps:
        raise ConfigurationError(f"scenario {chosen.name!r} has no events to post; name another one")
    switchboard = Switchboard(playbook, _outside(seed, issuer, say, delay))
    courier = Courier(switchboard, post or http_post())
    await courier.begin(switchboard.place(chosen, chosen.number or CALLEE, uri))
    return courier.callbacks


async def incoming(
    arrival: Arrival, *, issuer: Issuer | None = None, seed: int | None = None, say: Say | None = None
) -> Incoming:
    """Make Event Grid's handshake with an endpoint, post one IncomingCall, and return the call; nobody can answer it.

    Raises :class:`HandshakeFailed`.
    """
    switchboard = Switchboard(Playbook(), _outside(seed, issuer, say))
    arrivals = Arrivals(switchboard, Courier(switchboard, http_post()), http_ask())
    await arrivals.subscribe(arrival.to, arrival.schema)
    return await arrivals.ring(arrival)


def _outside(seed: int | None, issuer: Issuer | None, say: Say | None, delay: float | None = None) -> Outside:
    async def wait(seconds: float) -> None:
        await asyncio.sleep(seconds if delay is None else delay)

    return Outside(sleep=wait, random=Random(seed), speed=FAST, issuer=issuer, say=say or ignored)


def issuer_of(path: Path, audience: str | None = None) -> Issuer:
    """The issuer with the private key of a PEM file. Without a file, writes a new key that only the owner may read.

    Raises :class:`ConfigurationError` for a file that holds no such key.
    """
    with needs_extra("signing", "testing"):
        from cryptography.hazmat.primitives import serialization
        from cryptography.hazmat.primitives.asymmetric import rsa

    try:
        if not path.exists():
            made = rsa.generate_private_key(public_exponent=65537, key_size=2048)
            pem = made.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
            with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
                file.write(pem)
        pem = path.read_bytes()
        key = serialization.load_pem_private_key(pem, password=None)
    except OSError as error:
        raise ConfigurationError(f"issuer '{path}' cannot be used ({error.strerror})") from error
    except (ValueError, TypeError) as error:
        raise ConfigurationError(f"issuer '{path}' holds no private key in PEM; name a new file to make one") from error
    if not isinstance(key, rsa.RSAPrivateKey):
        raise ConfigurationError(f"issuer '{path}' holds a key that is not RSA; name a new file to make one")
    return Issuer(key=pem, audience=audience or AUDIENCE)
