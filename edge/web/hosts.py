"""Under which names the pages may be asked for, and from which pages they may be changed.

A browser can be made to take any foreign name for this PC (DNS rebinding), so a request must name
an address or a name that is known to be ours. An address cannot be rebound: any will do.
"""

from __future__ import annotations

import ipaddress
import re
import socket
from collections.abc import Iterable
from urllib.parse import urlsplit

from starlette.requests import HTTPConnection

from edge.site import Site
from edge.web.refusal import Refusal


class Hosts:
    def __init__(self, names: Iterable[str], tls: bool):
        self._names = {name.lower() for name in names}
        self._schemes = ("https",) if tls else ("http", "https")  # https: a proxy before us

    @classmethod
    def of(cls, site: Site) -> Hosts:
        own = socket.gethostname().lower()
        first = own.partition(".")[0]
        host = site.web.listen_address[0]
        names = {"localhost", own, first, f"{first}.local", host, *site.web.names}
        return cls(names, site.web.tls is not None)

    def check_name(self, connection: HTTPConnection) -> None:
        """Raises Refusal for a request to somebody else."""
        given = connection.headers.getlist("host")
        host = _host_of(given[0]) if len(given) == 1 else None
        if host is None or not (host in self._names or _is_address(host)):
            message = "this name is not ours; use the PC's address, or add the name to web.names"
            raise Refusal(421, "wrong_host", message)

    def check_origin(self, connection: HTTPConnection) -> None:
        """Raises Refusal for a request that another web site had a browser send."""
        host = connection.headers["host"].lower()
        for origin in connection.headers.getlist("origin"):
            scheme, _, rest = origin.lower().partition("://")
            if scheme not in self._schemes or rest != host:
                raise Refusal(403, "wrong_origin", "this comes from another web site")


def _host_of(header: str) -> str | None:
    """Return the name in a Host header, in small letters and without a port; None if it is none."""
    if not re.fullmatch(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(:[0-9]{1,5})?", header):
        return None
    return (urlsplit(f"//{header}").hostname or "").removesuffix(".")


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
