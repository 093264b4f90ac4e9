"""How often a PIN may be tried: few times an address, and few times in all."""

from __future__ import annotations

import ipaddress
import math
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

FREE_TRIES, MINUTE_S = 5, 60.0
FIRST_WAIT_S, LAST_WAIT_S = 30.0, 900.0
ALL_TRIES, HOUR_S = 30, 3600.0
"""30 wrong ones an hour from everywhere: a PIN of six digits lasts for years."""
FORGIVEN_S = 3600.0


@dataclass(slots=True)
class _Record:
    """What one address did: its tries of the last minute, and the waits it has earned."""

    tries: deque[float] = field(default_factory=deque)
    waits: int = 0
    until_s: float = -math.inf


class Limiter:
    """Counts a try before it is judged, so that many at once are many. Takes it back if right."""

    def __init__(self, clock: Callable[[], float] = time.monotonic):
        self._clock = clock
        self._all: deque[float] = deque()
        self._records: dict[str, _Record] = {}

    def wait_s(self, address: str) -> int:
        """Count one try and return 0, or return how many seconds there is to wait before one."""
        now_s = self._clock()
        self._forget(now_s)
        who = network_of(address)
        if len(self._all) >= ALL_TRIES:
            return math.ceil(self._all[0] + HOUR_S - now_s) or 1
        record = self._records.setdefault(who, _Record())
        if record.until_s > now_s:
            return math.ceil(record.until_s - now_s)
        self._all.append(now_s)
        record.tries.append(now_s)
        if len(record.tries) >= FREE_TRIES or record.waits:
            record.until_s = now_s + min(FIRST_WAIT_S * 2.0**record.waits, LAST_WAIT_S)
            record.waits += 1
        return 0

    def was_right(self, address: str) -> None:
        """Take the counted try back; the address has shown who it is."""
        self._records.pop(network_of(address), None)
        if self._all:
            self._all.pop()

    def _forget(self, now_s: float) -> None:
        """Drop what is over. What is kept is bounded by the tries that are let through in all."""
        while self._all and self._all[0] <= now_s - HOUR_S:
            self._all.popleft()
        for who, record in list(self._records.items()):
            while record.tries and record.tries[0] <= now_s - MINUTE_S:
                record.tries.popleft()
            if not record.tries and record.until_s + FORGIVEN_S <= now_s:
                del self._records[who]


def network_of(address: str) -> str:
    """Return what one person may hold many addresses of: an IPv4 address, 64 bits of an IPv6."""
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(found, ipaddress.IPv6Address):
        if found.ipv4_mapped is not None:
            return str(found.ipv4_mapped)
        return str(ipaddress.ip_network((found, 64), strict=False))
    return str(found)
