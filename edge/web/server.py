"""The server of the pages: uvicorn on a thread of its own, which gives way to all others."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import os
import socket
import threading
from collections.abc import Coroutine, Iterator, Sequence
from concurrent.futures import Future
from typing import Any

import h11
import uvicorn
from anyio import to_thread
from starlette.routing import BaseRoute
from uvicorn.protocols.http.h11_impl import H11Protocol

from edge.address import family_of
from edge.errors import UnavailableError
from edge.niceness import give_way
from edge.site import Site
from edge.web.app import create_app
from edge.web.guard import Guard
from edge.web.reach import address_of

log = logging.getLogger(__name__)

NICENESS = 10
WORKERS = 4
"""Threads for what would hold up the event loop: JPEGs, files, the PIN."""
MOST_CONNECTIONS = 400
"""The daemon may hold 1024 files open, and its cameras must always find some of them."""
REQUEST_HEAD_S = 10.0
"""How long a request's first lines may take to arrive."""
KEEP_ALIVE_S = 15
LINGER_S = 2.0
GRACE_S = 3
START_S = 10.0

FULL = (
    b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 5\r\nContent-Length: 0\r\n"
    b"Connection: close\r\n\r\n"
)


@contextlib.contextmanager
def open_web(site: Site, routes: Sequence[BaseRoute]) -> Iterator[Pages]:
    """Serve the pages and the routes inside the `with` block.

    Port 0 in web.listen takes a free one. Raises UnavailableError where the port is in use.
    """
    pages = Pages(routes)
    try:
        pages.start(site)
        yield pages
    finally:
        pages.stop()


class Pages:
    """The event loop's thread, and the server that runs in it; a change of site replaces only this.

    start(), follow() and stop() are called by the thread that made it.
    """

    def __init__(self, routes: Sequence[BaseRoute]):
        self._routes = routes
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="pages", daemon=True)
        self._running: _Running | None = None
        self.address = ""
        """http://127.0.0.1:8080/, as one would type it."""

    def start(self, site: Site) -> None:
        """Raises UnavailableError."""
        listener = listen(site)
        self._thread.start()
        self._begin(site, listener)

    def follow(self, site: Site) -> None:
        """Serve as this site says, if that is anything new; open pages connect again.

        What is impossible is logged, and everything stays as it was.
        """
        before = self._running
        assert before is not None
        if before.settings == settings_of(site):
            return
        try:
            self._begin(site, self._next_listener(before, site))
        except (UnavailableError, OSError) as error:
            log.error("the pages stay as they were: %s", error)
            return
        self._submit(before.end())
        log.info("the pages are served at %s", self.address)

    def stop(self) -> None:
        if self._thread.ident is None:
            self._loop.close()
            return
        if self._running is not None:
            try:
                self._submit(self._running.end()).result(GRACE_S + 2.0)
            except TimeoutError:
                log.warning("the pages did not end within %.0f s", GRACE_S + 2.0)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(2.0)

    def _next_listener(self, before: _Running, site: Site) -> _Listener:
        """Return what site.web.listen asks for. Raises UnavailableError; then nothing has changed.

        The same address is handed on, so that nobody who connects during the change is turned
        away. The same port at another address is free only after the present server has left it.
        """
        had, wanted = before.listener.getsockname()[:2], site.web.listen_address
        if site.web.listen == before.site.web.listen or had == wanted:
            return before.listener.again()
        if had[1] != wanted[1]:
            return listen(site)
        self._submit(before.leave_port()).result(START_S)
        try:
            return listen(site)
        except UnavailableError:
            self._begin(before.site, listen(before.site))
            raise

    def _submit(self, work: Coroutine[Any, Any, None]) -> Future[None]:
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    def _begin(self, site: Site, listener: _Listener) -> None:
        running = _Running(site, create_app(site, self._routes), listener)
        self._submit(running.begin()).result(START_S)
        self._running = running
        self.address = address_of(site, listener.getsockname()[1])

    def _run(self) -> None:
        give_way(NICENESS)
        asyncio.set_event_loop(self._loop)
        self._loop.run_forever()
        self._loop.run_until_complete(self._loop.shutdown_asyncgens())
        self._loop.close()


def settings_of(site: Site) -> tuple[object, ...]:
    """Return everything that the pages' server depends on. Raises OSError."""
    tls = site.web.tls
    stamps = [file.stat().st_mtime_ns for file in (tls.cert, tls.key)] if tls else []
    return site.web, site.node, site.state, stamps


class _Running:
    """One uvicorn, from its start to its end."""

    def __init__(self, site: Site, guard: Guard, listener: _Listener):
        self.site, self.settings, self.listener = site, settings_of(site), listener
        self._guard = guard
        config = uvicorn.Config(
            guard,
            http=_Connection,
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            timeout_keep_alive=KEEP_ALIVE_S,
            timeout_graceful_shutdown=GRACE_S,
        )
        # Otherwise each stray byte is a line in the log; what fails here is logged by the guard.
        logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)
        config.load()
        config.ssl = site.web.tls.context() if site.web.tls else None
        self._server = uvicorn.Server(config)
        self._task: asyncio.Task[None] | None = None

    async def begin(self) -> None:
        to_thread.current_default_thread_limiter().total_tokens = WORKERS
        self._task = asyncio.create_task(self._server.serve(sockets=[self.listener]))
        while not (self._server.started or self._task.done()):
            await asyncio.sleep(0.01)
        if self._task.done():
            await self._task  # which raises what went wrong

    async def leave_port(self) -> None:
        """Take no more connections; those that are open go on."""
        for one in self._server.servers:
            one.close()

    async def end(self) -> None:
        """Accept nothing more, end the streams, and wait a little for the rest."""
        self._server.should_exit = True
        self._guard.end_streams()
        if self._task is not None:
            await self._task


class _Connection(H11Protocol):
    """A connection that is closed when it stays idle for long."""

    _timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._set_idle_timeout(REQUEST_HEAD_S)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self.cycle is not None and not self.cycle.response_complete:
            self._set_idle_timeout(None)

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self.conn.their_state is h11.SEND_BODY:
            # The rest of what was refused still arrives. Closing now would destroy the answer; the
            # rest is thrown away for a moment, in which the other side can read why.
            self._set_idle_timeout(LINGER_S)
        elif self.cycle.response_complete:  # otherwise the next request is waiting already
            self._set_idle_timeout(KEEP_ALIVE_S + REQUEST_HEAD_S)

    def connection_lost(self, exc: Exception | None) -> None:
        self._set_idle_timeout(None)
        super().connection_lost(exc)

    def _set_idle_timeout(self, for_s: float | None) -> None:
        """Close the connection after so long without a request; None: one is being served."""
        if self._timer is not None:
            self._timer.cancel()
        self._timer = None if for_s is None else self.loop.call_later(for_s, self.transport.abort)


class _Listener(socket.socket):
    """Takes MOST_CONNECTIONS at once and no more, those in a TLS handshake included."""

    def __init__(self, found: socket.socket):
        super().__init__(found.family, found.type, found.proto, found.detach())
        self._taken: list[socket.socket] = []

    def again(self) -> _Listener:
        """Return a second one on the same port: nobody is turned away during a change."""
        return _Listener(socket.socket(fileno=os.dup(self.fileno())))

    def accept(self) -> tuple[socket.socket, Any]:
        while True:
            connection, address = super().accept()
            self._taken = [one for one in self._taken if one.fileno() >= 0]
            if len(self._taken) < MOST_CONNECTIONS:
                self._taken.append(connection)
                return connection, address
            with connection, contextlib.suppress(OSError):
                connection.setblocking(False)
                connection.send(FULL)


def listen(site: Site) -> _Listener:
    """Take the pages' port. Raises UnavailableError."""
    host, port = site.web.listen_address
    both = host == "::" and socket.has_dualstack_ipv6()
    try:
        return _Listener(
            socket.create_server(
                (host, port), family=family_of(host), dualstack_ipv6=both, backlog=512
            )
        )
    except OSError as error:
        in_use = error.errno == errno.EADDRINUSE
        why = "the port is in use; set web.listen to another one" if in_use else error.strerror
        message = f"the pages cannot be served on {site.web.listen}: {why or error}"
        raise UnavailableError(message) from error
