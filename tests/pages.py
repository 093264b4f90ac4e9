"""The pages' server in this process, for tests and for a look with one's own eyes.

    with serve_pages(tmp_path, routes) as url: ...        # url: http://127.0.0.1:12345/

`python tests/pages.py` serves the pages alone until Ctrl-C.
"""

from __future__ import annotations

import contextlib
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from starlette.routing import BaseRoute

from edge.site import Site
from edge.web import open_web


def site_of(folder: Path, **web: object) -> Site:
    """Return a site whose state lies in the folder and whose pages take a free port."""
    return Site.model_validate(
        {
            "version": 1,
            "node": "shop",
            "cameras": ({"id": "aisle", "url": "demo:"},),
            "state": str(folder),
            "web": {"listen": "127.0.0.1:0", **web},
        }
    )


@contextlib.contextmanager
def serve_pages(folder: Path, routes: Sequence[BaseRoute] = (), **web: object) -> Iterator[str]:
    """Serve the pages and the routes; give the address, which ends with a slash."""
    with open_web(site_of(folder, **web), routes) as pages:
        yield pages.address


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as state, serve_pages(Path(state)) as address:
        print(address, flush=True)
        with contextlib.suppress(KeyboardInterrupt):
            while True:
                time.sleep(1)
