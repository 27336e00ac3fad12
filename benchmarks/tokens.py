"""Verifying a token: Ringback's verifier against the floor, OpenSSL's own verification of the same token, in turns."""

from __future__ import annotations

import asyncio
import gc
import statistics
import time
from typing import TYPE_CHECKING, Any

import signing
from pairs import spread
from traffic import PATH

from ringback import Head

if TYPE_CHECKING:
    from collections.abc import Callable

COUNT = 100
"""Tokens of one turn, each another one."""


async def measured(rounds: int) -> dict[str, Any]:
    """The ratio to the floor, and microseconds of both."""
    verifier = signing.verifier()
    ours: list[float] = []
    least: list[float] = []
    for number in range(rounds + 1):
        headers = [signing.authorization().decode() for _ in range(COUNT)]
        heads = [Head("POST", PATH, "", (("authorization", header),)) for header in headers]
        floors = [signing.floor(header.removeprefix("Bearer ")) for header in headers]
        gc.collect()
        start = time.thread_time()
        for head in heads:
            denied = await verifier(head)
        middle = time.thread_time()
        for verify in floors:
            verify()
        end = time.thread_time()
        assert denied is None
        if number:  # the first round fetches the key
            ours.append((middle - start) / COUNT * 1e6)
            least.append((end - middle) / COUNT * 1e6)
    return {
        "ratio": spread([one / floor for one, floor in zip(ours, least, strict=True)])._asdict(),
        "ringback_us": statistics.median(ours),
        "openssl_us": statistics.median(least),
    }


def section(*, quick: bool, say: Callable[[str], object]) -> dict[str, Any]:
    say("tokens: RS256")
    return asyncio.run(measured(2 if quick else 31))
