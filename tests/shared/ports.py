"""Ports of 127.0.0.1 for servers that insist on a number."""

from __future__ import annotations

import random
import socket
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


def free_ports(worker: int = 0, workers: int = 1) -> Callable[[], int]:
    """What gives a free port, and never gives it again. Each of several workers has ports of its own.

    The system gives such a port to nobody who asks it for any port, or who connects: it stays free until the server
    starts, and while a server is killed and started again.
    """
    ports = list(range(10_000 + worker, 32_000, workers))
    # Another run of the tests on this machine shall not try the same ones in the same order.
    random.SystemRandom().shuffle(ports)

    def free_port() -> int:
        while True:
            port = ports.pop()
            with socket.socket() as tried:
                try:
                    tried.bind(("127.0.0.1", port))
                except OSError:
                    continue
            return port

    return free_port
