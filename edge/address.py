"""Addresses as the operator writes them. No message here quotes one: it may hold a password."""

from __future__ import annotations

import ipaddress
import os
import pkgutil
import re
import socket
import urllib.parse
from pathlib import Path

from edge.cameras import KINDS as CAMERA_KINDS
from edge.errors import UsageError
from edge.redact import read_secret, register_secret, register_url
from edge.section import nearest
from edge.sinks import OPENERS as SINK_KINDS
from edge.sinks.mqtt import PORTS

Address = tuple[str, int]
"""(host, port)"""


def parse_address(text: str) -> Address:
    """Return (host, port) of "127.0.0.1:8080" or "[::1]:8080". Raises ValueError."""
    match = re.fullmatch(r"(?:\[([0-9a-fA-F:.]+)\]|([^\s:/@\[\]]+)):(\d{1,5})", text)
    if match is None or int(match[3]) > 65535:
        raise ValueError('must be an address and a port, such as "127.0.0.1:8080"')
    return match[1] or match[2], int(match[3])


def family_of(host: str) -> socket.AddressFamily:
    """Return how a host's addresses are written: IPv6 has colons. A name counts as IPv4."""
    return socket.AF_INET6 if ":" in host else socket.AF_INET


def in_url(host: str) -> str:
    """Return the host as it stands in a URL, before the port's colon."""
    return f"[{host}]" if ":" in host else host


def reached_at(host: str) -> str:
    """Return where this PC finds what listens on the host: what listens everywhere, on itself."""
    return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)


def free_port(host: str, first: int) -> int:
    """Return this port, or the next one that is free; 0, which takes any, where none is."""
    for port in range(first, min(first + 200, 65536)):
        with socket.socket(family_of(host)) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((host, port))
            except OSError:
                continue
            return port
    return 0


def is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def camera_url(url: str, folder: Path) -> str:
    """Return the URL ready to be opened: names filled in, paths seen from site.yaml.

    Its password is hidden in all output from now on. Raises ValueError.
    """
    scheme, colon, rest = url.partition(":")
    if not colon or not re.fullmatch(r"[A-Za-z][A-Za-z0-9+.-]{0,15}", scheme):
        schemes = ", ".join(f"{known}:" for known in sorted(CAMERA_KINDS))
        raise ValueError(f"must begin with the kind of camera: {schemes}")
    if scheme not in CAMERA_KINDS:
        raise ValueError(f"unknown scheme {scheme}:; {nearest(scheme, CAMERA_KINDS)}")
    kind = CAMERA_KINDS[scheme]
    if kind.is_recording:
        return f"{scheme}:{folder / rest.removeprefix('//')}"
    url = fill_in(url)
    register_url(url)
    if kind.is_remote:
        _host(url, f"{scheme}://host/path")
    if kind.parser:
        try:
            pkgutil.resolve_name(kind.parser)(url)
        except UsageError as error:
            raise ValueError(str(error)) from None
    return url


def broker_url(url: str) -> str:
    if url == "embedded":
        return url
    known = ["embedded", *SINK_KINDS]
    scheme, colon, _ = url.partition(":")
    if scheme == "embedded":
        raise ValueError("must be the word embedded alone; its address stands in mqtt.listen")
    if scheme in SINK_KINDS and not colon:
        rest = f"//host:{PORTS[scheme]}" if scheme in PORTS else ""
        raise ValueError(f'must be written as "{scheme}:{rest}"')
    if scheme not in known:
        word = scheme if re.fullmatch(r"[A-Za-z]{1,15}", scheme) else ""
        raise ValueError(f"unknown scheme {word}; {nearest(word, known)}".replace(" ;", ";"))
    url = fill_in(url)
    if scheme not in PORTS:
        return url  # what the rest of it means, the sink itself knows
    parts = _host(url, f"{scheme}://host:{PORTS[scheme]}")
    if parts.username or parts.password:
        raise ValueError("holds a login; write username and password_file instead")
    if parts.path.strip("/") or parts.query or parts.fragment:
        raise ValueError(f"must end with the port: {scheme}://host:port")
    return url


def _host(url: str, example: str) -> urllib.parse.SplitResult:
    """Return the parts of a URL that has a host and no impossible port. Never quotes the URL."""
    try:
        parts = urllib.parse.urlsplit(url)
        usable = bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable or re.search(r"[\s\x00-\x1f]", url):
        raise ValueError(f"has no usable host or port; write it like {example}")
    return parts


def fill_in(url: str) -> str:
    """Return the URL with each ${NAME} replaced, percent-encoded. Raises ValueError."""
    missing: list[str] = []

    def value(match: re.Match[str]) -> str:
        name = match[1]
        found = _secret(name) if re.fullmatch(r"[A-Za-z_][A-Za-z0-9_.-]*", name) else None
        if not found:
            missing.append(f"${{{name}}}")
        register_secret(found or "")
        return urllib.parse.quote(found or "", safe="")

    filled = re.sub(r"\$\{([^}]*)\}", value, url)
    if missing:
        names = " and ".join(dict.fromkeys(missing))
        raise ValueError(f"{names} not set: put it into the environment or a systemd credential")
    return filled


def _secret(name: str) -> str | None:
    """Return an environment variable, else the content of the systemd credential of that name."""
    if os.environ.get(name):
        return os.environ[name]
    folder = os.environ.get("CREDENTIALS_DIRECTORY")
    if not folder:
        return None
    try:
        return read_secret(Path(folder) / name)
    except ValueError:
        return None
