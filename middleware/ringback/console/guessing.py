"""The slow-down after wrong passwords, in one process.

Nobody is locked out: from an address that has not guessed wrong, a password is always checked, whatever others do, and
the longest wait of any address is a minute. A browser that was let in before need not wait for what others do behind
its address, such as that of a proxy which passes on no addresses.
"""

from __future__ import annotations

import ipaddress
from collections import OrderedDict
from typing import TYPE_CHECKING, TypeVar

from msgspec import Struct

from ringback.forks import lock

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")

FREE = 5
"""Wrong passwords from one address before it must wait."""
LONGEST = 60.0
"""Seconds that an address waits at most. The wait doubles with each wrong password."""
FORGOTTEN = 900.0
"""Seconds without a wrong password after which those of an address are forgotten."""
MANY = 50
"""Wrong passwords from all addresses together after which each address has one, and then waits the longest time."""
LEAK = 6.0
"""Seconds after which one of these is forgotten."""
MOST = 10_000
"""Addresses, and browsers that were let in, that are remembered; of more, those that came last."""


class _Wrong(Struct):
    count: int
    at: float


class Guesses:
    """Counts wrong passwords. ``monotonic`` gives seconds. Threads may use it side by side."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._lock = lock()
        self._wrong: OrderedDict[str, _Wrong] = OrderedDict()
        self._let_in: OrderedDict[str, None] = OrderedDict()
        self._all, self._all_at = 0.0, monotonic()

    def heard(self, address: str, browser: str | None, *, right: bool) -> float:
        """A password came from this address, and with this browser's cookie. Gives 0 if the password counts.

        Else seconds until one counts: whoever sent this one must not learn whether it was right.
        """
        with self._lock:
            now = self._monotonic()
            wait = 0.0 if browser in self._let_in else self._wait(address, now)
            if wait > 0:
                return wait
            if right:
                if browser is not None:
                    _remember(self._let_in, browser, None)
                return 0.0
            self._let_in.pop(browser or "", None)
            known = self._wrong.get(address)
            count = 0 if known is None or now - known.at > FORGOTTEN else known.count
            _remember(self._wrong, address, _Wrong(count + 1, now))
            self._all, self._all_at = self._together(now) + 1, now
            return 0.0

    def _wait(self, address: str, now: float) -> float:
        known = self._wrong.get(address)
        if known is None:
            return 0.0
        tight = self._together(now) >= MANY
        over = known.count - (1 if tight else FREE)
        pause = 0.0 if over < 0 else LONGEST if tight else min(LONGEST, 2.0 ** min(over, 9))
        return known.at + pause - now

    def _together(self, now: float) -> float:
        """Wrong passwords from all addresses, less those that are forgotten."""
        return max(0.0, self._all - (now - self._all_at) / LEAK)


def _remember(of: OrderedDict[str, T], name: str, value: T) -> None:
    of.pop(name, None)
    of[name] = value
    if len(of) > MOST:
        of.popitem(last=False)


def place_of(host: str | None) -> str:
    """What counts as one address: of IPv6 the network, because one sender has all addresses of it."""
    try:
        address = ipaddress.ip_address(host or "")
    except ValueError:
        return host or ""
    if isinstance(address, ipaddress.IPv4Address):
        return str(address)
    return str(address.ipv4_mapped or ipaddress.ip_network((int(address), 64), strict=False))
