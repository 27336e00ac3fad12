"""A token issuer for tests: it signs as Microsoft does, and its verifier needs no network.

PyJWT, cryptography and httpx come with ``ringback[testing]`` and are imported when a key is made.
"""

from __future__ import annotations

import json
import threading
import time
from contextlib import contextmanager
from functools import cached_property, lru_cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

from ringback.exceptions import needs_extra
from ringback.senders.keys import KeySet
from ringback.senders.tokens import CALL_AUTOMATION, EVENT_GRID_APPS, CallbackTokenVerifier, EventGridTokenVerifier

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Mapping

AUDIENCE = "5ac0ffee-0000-4000-8000-000000000001"
"""The immutable id of a Communication Services resource that does not exist."""

GRID_AUDIENCE = "api://ringback-tests"
"""The application that an Event Grid subscription asks tokens for."""

TENANT = "7e4a4715-0000-4000-8000-000000000001"

LIFETIME = 300.0
"""Seconds that Microsoft's callback tokens are valid for."""


class Issuer:
    """One RSA key, the key set that publishes the key, and tokens like those of Call Automation and Event Grid.

    ``clock`` gives seconds since 1970, which verifiers compare with the machine's. Making a key takes some tenths of a
    second, so a test run should share one issuer. ``key`` is a private key in PEM, for the same key in every run.
    Source: https://learn.microsoft.com/azure/communication-services/how-tos/call-automation/secure-webhook-endpoint
    """

    def __init__(
        self,
        *,
        audience: str = AUDIENCE,
        issuer: str = CALL_AUTOMATION,
        tenant: str = TENANT,
        grid_audience: str = GRID_AUDIENCE,
        kid: str = "ringback-tests",
        key: bytes | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.audience = audience
        self.issuer = issuer
        self.tenant = tenant
        self.grid_audience = grid_audience
        self.kid = kid
        self._pem = key
        self._clock = clock

    @cached_property
    def _key(self) -> Any:
        with needs_extra("signing", "testing"):
            from cryptography.hazmat.primitives import serialization
            from cryptography.hazmat.primitives.asymmetric import rsa

        if self._pem is not None:
            return serialization.load_pem_private_key(self._pem, password=None)
        return rsa.generate_private_key(public_exponent=65537, key_size=2048)

    @cached_property
    def key_set(self) -> dict[str, Any]:
        """The public key as a JSON Web Key Set (RFC 7517)."""
        with needs_extra("signing", "testing"):
            from jwt.algorithms import RSAAlgorithm

        public: dict[str, Any] = RSAAlgorithm.to_jwk(self._key.public_key(), as_dict=True)
        entry = {"kty": public["kty"], "n": public["n"], "e": public["e"]}
        return {"keys": [{**entry, "kid": self.kid, "use": "sig", "alg": "RS256"}]}

    def token(self, **claims: Any) -> str:
        """A callback token that is valid for five minutes. ``claims`` replace the token's; ``None`` removes a claim."""
        now = int(self._clock())
        own = {"iss": self.issuer, "aud": self.audience, "iat": now, "nbf": now, "exp": now + int(LIFETIME)}
        return self._signed(own | claims)

    def expired(self, **claims: Any) -> str:
        """A token that was valid until an hour ago, which no leeway accepts."""
        then = int(self._clock()) - 3600
        return self.token(**{"iat": then - int(LIFETIME), "nbf": then - int(LIFETIME), "exp": then} | claims)

    def wrong_audience(self, **claims: Any) -> str:
        """A token for another Communication Services resource."""
        return self.token(**{"aud": "0ddba115-0000-4000-8000-000000000000"} | claims)

    def wrong_issuer(self, **claims: Any) -> str:
        """A token of another issuer, signed with this issuer's key."""
        return self.token(**{"iss": "https://issuer.example.com"} | claims)

    def forged(self, **claims: Any) -> str:
        """A token with this issuer's key id and a wrong signature."""
        head, payload, signature = self.token(**claims).split(".")
        # One character in the middle changes, because the last character has bits that decoders ignore.
        at = len(signature) // 2
        other = "B" if signature[at] == "A" else "A"
        return f"{head}.{payload}.{signature[:at]}{other}{signature[at + 1 :]}"

    def grid_token(self, **claims: Any) -> str:
        """A token of Event Grid with Microsoft Entra ID, version 2.0, valid for an hour."""
        now = int(self._clock())
        own = {
            "iss": f"https://login.microsoftonline.com/{self.tenant}/v2.0",
            "aud": self.grid_audience,
            "azp": EVENT_GRID_APPS[0],
            "tid": self.tenant,
            "ver": "2.0",
            "roles": ["AzureEventGridSecureWebhookSubscriber"],
            "iat": now,
            "nbf": now,
            "exp": now + 3600,
        }
        return self._signed(own | claims)

    def headers(self, **claims: Any) -> dict[str, str]:
        """The headers of Microsoft's callback: the content type, and a new token in ``authorization``."""
        return {"content-type": "application/json", "authorization": f"Bearer {self.token(**claims)}"}

    def verifier(self, **settings: Any) -> CallbackTokenVerifier:
        """A verifier of this issuer's callback tokens. The verifier has the keys already and makes no request.

        ``settings`` are those of :class:`CallbackTokenVerifier`.
        """
        settings = {"audience": self.audience, "issuer": self.issuer} | settings
        verifier = CallbackTokenVerifier(**settings)
        verifier._keys = self._published()  # pyright: ignore[reportPrivateUsage]
        return verifier

    def grid_verifier(self, **settings: Any) -> EventGridTokenVerifier:
        """See :meth:`verifier`, for Event Grid's tokens; ``settings`` are those of :class:`EventGridTokenVerifier`."""
        settings = {"tenant": self.tenant, "audience": self.grid_audience} | settings
        verifier = EventGridTokenVerifier(**settings)
        verifier._keys = self._published()  # pyright: ignore[reportPrivateUsage]
        return verifier

    @contextmanager
    def serve(self, port: int = 0) -> Generator[str]:
        """Serve the key set over HTTP on this machine, in a thread. Gives the key set's URL, for ``jwks_uri``.

        The server has the OpenID configuration as well, in ``/calling/.well-known/acsopenidconfiguration``.
        """
        documents: dict[str, Any] = {}
        server = ThreadingHTTPServer(("127.0.0.1", port), _handler_of(documents))
        url = f"http://127.0.0.1:{server.server_port}"
        documents |= {
            "/calling/keys": self.key_set,
            "/calling/.well-known/acsopenidconfiguration": {
                "issuer": self.issuer,
                "jwks_uri": f"{url}/calling/keys",
                "id_token_signing_alg_values_supported": ["RS256"],
            },
        }
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), name="ringback-keys", daemon=True)
        thread.start()
        try:
            yield f"{url}/calling/keys"
        finally:
            server.shutdown()
            thread.join()
            server.server_close()

    def _published(self) -> KeySet:
        async def fetch() -> Any:
            return self.key_set

        return KeySet("an issuer of ringback.testing", fetch, _Unobserved())

    def _signed(self, claims: Mapping[str, Any]) -> str:
        with needs_extra("signing", "testing"):
            import jwt

        kept = {name: value for name, value in claims.items() if value is not None}
        return jwt.encode(kept, self._key, algorithm="RS256", headers={"kid": self.kid})


class _Unobserved:
    """Logs nothing, because the keys of a test come from no network."""

    def keys_fetched(self, url: str, count: int) -> None: ...

    def keys_unreachable(self, url: str, error: Exception, cached: int) -> None: ...


def _handler_of(documents: Mapping[str, Any]) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            document = documents.get(self.path)
            body = json.dumps({"error": "not found"} if document is None else document).encode()
            self.send_response(404 if document is None else 200)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - its name in the base class
            """Write nothing: the server's lines would stand in the test's output."""

    return Handler


@lru_cache(maxsize=1)
def default_issuer() -> Issuer:
    """The issuer of :func:`sign`. The first call makes the issuer, and every call gives the same one."""
    return Issuer()


def sign(_body: bytes | None = None, /, *, audience: str | None = None, issuer: Issuer | None = None) -> dict[str, str]:
    """The headers of a signed delivery, which the verifier of ``issuer`` accepts, by default of :func:`default_issuer`.

    ``audience`` is by default the issuer's. The body changes nothing, because Microsoft's token names the sender and
    does not sign the body. The argument makes a test read like a delivery.
    """
    by = issuer or default_issuer()
    return by.headers() if audience is None else by.headers(aud=audience)
