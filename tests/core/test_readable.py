"""What redaction leaves: ids, times and codes, drawn by the thousand as the service and apps make them."""

from __future__ import annotations

import base64
import json
import random
import uuid
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ringback import Catalog
from ringback.privacy.redaction import redact

if TYPE_CHECKING:
    from collections.abc import Callable

MANY = 10_000
PAYLOADS = sorted((Path(__file__).parents[1] / "payloads").glob("*.json"))


def guid(draw: random.Random) -> str:
    return str(uuid.UUID(int=draw.getrandbits(128), version=4))


def moment(draw: random.Random) -> datetime:
    return datetime.fromtimestamp(draw.uniform(1.6e9, 2.0e9), UTC)


def server_call_id(draw: random.Random) -> str:
    url = f"https://api.flightproxy.example.com/api/v2/cp/conv-{draw.randrange(99):02}/conv/{guid(draw)}?i={draw.randrange(99)}&e={draw.getrandbits(64)}"
    return base64.b64encode(url.encode()).decode().rstrip("=")


def mac(draw: random.Random) -> str:
    while (address := draw.randbytes(6).hex("-").upper()).replace("-", "").isdigit():
        pass
    return address


CATALOG = Catalog.default()
SUBCODES = sorted({each.key.subcode for each in CATALOG.entries if each.key.subcode})
STATUSES = [100, 180, 181, 182, 183, 200, 202, 302, 380, *range(400, 424), 480, 481, 482, 483, 484, 485, 486, 487, 488]
STATUSES += [491, 493, 500, 501, 502, 503, 504, 505, 513, 580, 600, 603, 604, 606]

# What is drawn, and how many of 10,000 are taken for something private. docs/logs.md has these figures.
DRAWN: dict[str, tuple[Callable[[random.Random], str], int]] = {
    "GUID": (guid, 0),
    "GUID in capitals": (lambda draw: guid(draw).upper(), 0),
    "GUID without dashes": (lambda draw: guid(draw).replace("-", ""), 0),
    "SHA-256": (lambda draw: draw.randbytes(32).hex(), 0),
    "trace and span": (lambda draw: f"00-{draw.randbytes(16).hex()}-{draw.randbytes(8).hex()}-01", 0),
    "server call id": (server_call_id, 0),
    "random bytes in base64": (lambda draw: base64.b64encode(draw.randbytes(32)).decode(), 0),
    "outcome id": (lambda draw: f"call:{guid(draw)}", 0),
    "ISO time": (lambda draw: moment(draw).isoformat(), 0),
    "ISO time of the service": (lambda draw: moment(draw).strftime("%Y-%m-%dT%H:%M:%S.%f") + "3+00:00", 0),
    "time of a log": (lambda draw: moment(draw).strftime("%Y-%m-%d %H:%M:%S,%f")[:-3], 0),
    "time of 14 digits": (lambda draw: moment(draw).strftime("%Y%m%d%H%M%S"), 0),
    "date as Europe writes it": (lambda draw: moment(draw).strftime("%d.%m.%Y %H:%M"), 0),
    "epoch with a fraction": (lambda draw: f"{moment(draw).timestamp():.6f}", 0),
    "epoch in seconds": (lambda draw: str(int(moment(draw).timestamp())), 10_000),
    "epoch in milliseconds": (lambda draw: str(int(moment(draw).timestamp() * 1000)), 10_000),
    "code and subcode": (lambda draw: f"{draw.randrange(200, 700)}/{draw.randrange(560_000, 561_000)}", 0),
    "diagnostic code": (lambda draw: f"DiagCode: {draw.randrange(700)}#{draw.randrange(600_000)}.@", 0),
    "codes in a row": (
        lambda draw: f"{draw.randrange(200, 700)} {draw.randrange(560_000, 561_000)} Q.850 {draw.randrange(128)}",
        0,
    ),
    "three statuses": (lambda draw: " ".join(str(draw.choice(STATUSES)) for _ in range(3)), 0),
    "three subcodes": (lambda draw: " ".join(str(draw.choice(SUBCODES)) for _ in range(3)), 0),
    "cause, status and subcode": (
        lambda draw: f"{draw.randrange(1, 128)} {draw.choice(STATUSES)} {draw.choice(SUBCODES)}",
        0,
    ),
    "four causes of Q.850": (lambda draw: " ".join(str(draw.randrange(1, 128)) for _ in range(4)), 0),
    "two years": (lambda draw: f"{moment(draw).year} {moment(draw).year}", 0),
    "range of ports": (lambda draw: f"{draw.randrange(1024, 65536)}-{draw.randrange(1024, 65536)}", 0),
    "bytes in hexadecimal": (lambda draw: draw.randbytes(8).hex(" "), 37),
    "address of a network card": (mac, 0),
    "SHA-512 in base64": (lambda draw: base64.b64encode(draw.randbytes(64)).decode(), MANY),
    "three numbers of three digits": (
        lambda draw: " ".join(str(draw.randrange(100, 1000)) for _ in range(3)),
        4453,
    ),
    "two numbers of five digits": (lambda draw: f"{draw.randrange(10**4, 10**5)} {draw.randrange(10**4, 10**5)}", 4293),
    "status and bytes of an access log": (
        lambda draw: f'"GET / HTTP/1.1" {draw.choice(STATUSES)} {draw.randrange(10**8)}',
        0,
    ),
    "version": (lambda draw: ".".join(str(draw.randrange(40)) for _ in range(draw.choice((3, 4)))), 0),
    "address and port": (
        lambda draw: ".".join(str(draw.randrange(256)) for _ in range(4)) + f":{draw.randrange(65536)}",
        0,
    ),
    "IPv6 address": (lambda draw: ":".join(f"{draw.randrange(65536):x}" for _ in range(8)), 0),
    "duration": (lambda draw: repr(draw.expovariate(0.1)), 0),
    "order of up to 8 digits": (lambda draw: f"order-{draw.randrange(10**8)}", 0),
    "order of a year": (lambda draw: f"ORD-{moment(draw).year}-{draw.randrange(10**6):06}", 0),
    "order of 9 to 15 digits": (lambda draw: f"order-{draw.randrange(10**8, 10**15)}", 10_000),
}


@pytest.mark.parametrize("kind", DRAWN)
@pytest.mark.untraced
def test_as_many_ids_are_taken_for_private_text_as_the_documentation_says(kind):
    """None of what has a form of its own; whoever numbers by nine digits or more has numbers like a phone's."""
    make, expected = DRAWN[kind]
    draw = random.Random(kind)
    # Of what is never or always taken far fewer say so.
    drawn = [make(draw) for _ in range(MANY // 5 if expected in (0, MANY) else MANY)]
    taken = [text for text in drawn if redact(text) != text or redact(f"id {text}, next") != f"id {text}, next"]
    assert (len(taken), taken[:5] if not expected else []) == (len(drawn) if expected == MANY else expected, [])


def strings(value: object) -> list[str]:
    if isinstance(value, dict):
        return [text for each in value.values() for text in strings(each)]
    if isinstance(value, list):
        return [text for each in value for text in strings(each)]
    return [value] if isinstance(value, str) else []


@pytest.mark.parametrize("path", PAYLOADS, ids=lambda path: path.stem)
def test_in_recorded_deliveries_nothing_is_hidden_but_what_names_a_person(path):
    """What is hidden of a payload are raw ids, numbers and contexts: nothing national, no date and no code."""
    for text in strings(json.loads(path.read_text("utf-8"))):
        hidden = redact(text)
        if hidden != text:
            assert any(sign in text for sign in ("+", "4:", "8:", "28:", "eyJ", "sip:")), (text, hidden)
