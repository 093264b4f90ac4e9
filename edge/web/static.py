"""What the pages are made of: read once at the start, found by name in a table, never on the disk.

Each page is told which scripts it will import, so that a browser fetches them all at once.
"""

from __future__ import annotations

import gzip
import hashlib
import posixpath
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib import resources
from importlib.resources.abc import Traversable

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from edge.web.refusal import Refusal

KINDS = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/manifest+json",
    ".svg": "image/svg+xml",
    ".png": "image/png",
}
PAGE_FILES = {"/": "index.html", "/login": "login.html", "/calibrate": "calibrate.html"}
SMALL = 512  # bytes that are not worth packing

_IMPORT = re.compile(r'^(?:import|export)\b[^"\';]*?["\'](\.{1,2}/[^"\']+)["\']', re.MULTILINE)
_SCRIPT = re.compile(r'<script[^>]+type="module"[^>]+src="/static/([^"]+)"')


@dataclass(frozen=True, slots=True)
class StaticFile:
    data: bytes
    kind: str
    packed: bytes | None
    """The same with gzip, where that is smaller."""
    etag: str

    @classmethod
    def of(cls, name: str, data: bytes) -> StaticFile:
        packed = gzip.compress(data, mtime=0) if len(data) > SMALL else b""
        return cls(
            data=data,
            kind=KINDS[posixpath.splitext(name)[1]],
            packed=packed if 0 < len(packed) < len(data) else None,
            etag=f'"{hashlib.sha256(data).hexdigest()[:20]}"',
        )

    def response(self, request: Request) -> Response:
        headers = {"ETag": self.etag, "Cache-Control": "no-cache", "Vary": "Accept-Encoding"}
        if self.etag in request.headers.get("if-none-match", ""):
            return Response(status_code=304, headers=headers)
        if self.packed is not None and "gzip" in request.headers.get("accept-encoding", ""):
            headers["Content-Encoding"] = "gzip"
            return Response(self.packed, headers=headers, media_type=self.kind)
        return Response(self.data, headers=headers, media_type=self.kind)


def routes() -> list[Route]:
    """Return the pages and all that belongs to them."""
    files = {name: StaticFile.of(name, data) for name, data in read_files().items()}

    async def static(request: Request) -> Response:
        return _file(files, request.path_params["name"]).response(request)

    async def page(request: Request) -> Response:
        return _file(files, PAGE_FILES[request.scope["path"]]).response(request)

    return [*(Route(path, page) for path in PAGE_FILES), Route("/static/{name:path}", static)]


def read_files() -> dict[str, bytes]:
    """Return name → content of everything that is served, the pages with their preloads."""
    files = dict(_walk(resources.files("edge.web") / "static", ""))
    for name in set(PAGE_FILES.values()) & set(files):
        files[name] = _with_preloads(files[name], files)
    return files


def _walk(folder: Traversable, before: str) -> Iterator[tuple[str, bytes]]:
    for entry in folder.iterdir():
        if entry.is_dir():
            yield from _walk(entry, f"{before}{entry.name}/")
        elif posixpath.splitext(entry.name)[1] in KINDS:
            yield before + entry.name, entry.read_bytes()


def _with_preloads(page: bytes, files: Mapping[str, bytes]) -> bytes:
    text = page.decode()
    scripts = [name for first in _SCRIPT.findall(text) for name in imports_of(first, files)]
    links = "".join(
        f'<link rel="modulepreload" href="/static/{name}">\n' for name in dict.fromkeys(scripts)
    )
    return text.replace("</head>", f"{links}</head>", 1).encode()


def imports_of(script: str, files: Mapping[str, bytes]) -> list[str]:
    """Return the names of all scripts that a script imports, itself and theirs included."""
    found: list[str] = []
    waiting = [script]
    while waiting:
        name = waiting.pop(0)
        if name in found or name not in files:
            continue
        found.append(name)
        folder = posixpath.dirname(name)
        for path in _IMPORT.findall(files[name].decode()):
            waiting.append(posixpath.normpath(posixpath.join(folder, path)))
    return found


def _file(files: Mapping[str, StaticFile], name: str) -> StaticFile:
    if name not in files:
        raise Refusal(404, "not_found", "there is no such page or file")
    return files[name]
