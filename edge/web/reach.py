"""Where the pages of a site are, and whether they are there."""

from __future__ import annotations

import http.client
import json
import socket
import ssl

from edge.address import in_url, reached_at
from edge.site import Site

ANSWER_S = 3.0
EVERY_ADDRESS = ("0.0.0.0", "::")


def address_of(site: Site, port: int) -> str:
    """Return where a browser finds the pages: with the name that the certificate is for, if any."""
    host = site.web.listen_address[0]
    if site.web.tls and site.web.names:
        host = site.web.names[0]
    elif host in EVERY_ADDRESS:
        host = _own_address()
    scheme = "https" if site.web.tls else "http"
    return f"{scheme}://{in_url(host)}:{port}/"


def _own_address() -> str:
    """Return this PC's address in its network; nothing is sent to find it."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
        except OSError:  # no network
            return "127.0.0.1"
        return str(probe.getsockname()[0])


def answers(site: Site) -> bool:
    """Say whether this site's daemon serves pages where the site says."""
    host, port = site.web.listen_address
    host = reached_at(host)
    if site.web.tls:
        trusting = ssl.create_default_context()
        trusting.check_hostname, trusting.verify_mode = False, ssl.CERT_NONE  # nothing is told
        asked: http.client.HTTPConnection = http.client.HTTPSConnection(
            host, port, timeout=ANSWER_S, context=trusting
        )
    else:
        asked = http.client.HTTPConnection(host, port, timeout=ANSWER_S)
    try:
        asked.request("GET", "/api/session")
        return bool(json.loads(asked.getresponse().read(4096))["node"] == site.node)
    except (OSError, http.client.HTTPException, ValueError, LookupError, TypeError):
        return False  # nobody is there, or somebody else
    finally:
        asked.close()
