"""The embedded MQTT broker: amqtt on a thread of its own, for trial and for small shops.

It serves retained messages to whoever comes, and keeps nothing for subscribers that are absent.
"""

from __future__ import annotations

import asyncio
import errno
import hmac
import logging
import secrets
import socket
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field

from amqtt.contexts import Action
from amqtt.plugins.base import BaseAuthPlugin, BaseTopicPlugin
from amqtt.session import Session

from edge.address import family_of, in_url, is_loopback, reached_at
from edge.amqtt_broker import Broker
from edge.errors import ConfigError, UnavailableError
from edge.sinks.sink import Destination
from edge.site import DAEMON_USER

log = logging.getLogger(__name__)

START_TIMEOUT_S = 10.0
STOP_TIMEOUT_S = 8.0


class EmbeddedBroker:
    """One broker on one address; start it before the publisher, stop it after."""

    def __init__(
        self,
        node: str,
        host: str = "127.0.0.1",
        port: int = 1883,
        users: Mapping[str, str] | None = None,
    ) -> None:
        """users: name → password; without any, everybody may listen, and host must be loopback.

        Raises ConfigError for an address that would be open to the network without users.
        """
        if not users and not is_loopback(host):
            raise ConfigError(
                [f"the embedded broker on {host} needs users; only 127.0.0.1 may do without"]
            )
        if users and DAEMON_USER in users:
            raise ConfigError(
                [f"the embedded broker keeps the user name {DAEMON_USER!r} for itself"]
            )
        self._node, self._host, self._port = node, host, port
        self._secret = secrets.token_urlsafe(32)
        self._users = dict(users or {})
        self._running: _Running | None = None

    def start(self) -> tuple[str, int]:
        """Listen, and return the address; port 0 asks for any free one.

        Raises UnavailableError where the port is in use or may not be taken.
        """
        try:
            address = self._host, self._port
            listener = socket.create_server(address, family=family_of(self._host))
        except OSError as error:
            raise UnavailableError(self._cannot_listen(error)) from error
        self._port = int(listener.getsockname()[1])
        rules = {"node": self._node, "secret": self._secret, "users": self._users}
        self._running = _Running(listener, rules)
        return self._host, self._port

    def destination(self) -> Destination:
        """Return how the daemon's own sink reaches this broker."""
        url = f"mqtt://{in_url(reached_at(self._host))}:{self._port}"
        return Destination(url, self._node, DAEMON_USER, self._secret)

    def stop(self) -> None:
        if self._running is not None:
            self._running.stop()
            self._running = None

    def _cannot_listen(self, error: OSError) -> str:
        where = f"{self._host}:{self._port}"
        if error.errno == errno.EADDRINUSE:
            return (
                f"the embedded broker cannot listen on {where}: the port is in use; "
                "set mqtt.listen to another one, or mqtt.url to the broker that has it"
            )
        return f"the embedded broker cannot listen on {where}: {error.strerror or error}"


class _Running:
    """amqtt and its event loop, on a thread, for as long as the broker runs."""

    def __init__(self, listener: socket.socket, rules: Mapping[str, object]) -> None:
        # What clients do wrong is theirs to know; amqtt tells each step of it as a warning.
        logging.getLogger("amqtt").setLevel(logging.CRITICAL)
        logging.getLogger("transitions").setLevel(logging.WARNING)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="broker", daemon=True)
        self._thread.start()
        begun = asyncio.run_coroutine_threadsafe(self._begin(listener, rules), self._loop)
        begun.result(START_TIMEOUT_S)

    def stop(self) -> None:
        ended = asyncio.run_coroutine_threadsafe(self._end(), self._loop)
        try:
            ended.result(STOP_TIMEOUT_S)
        except TimeoutError:
            log.warning("the embedded broker did not end within %.0f s", STOP_TIMEOUT_S)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(STOP_TIMEOUT_S)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_forever()
        self._loop.close()

    async def _begin(self, listener: socket.socket, rules: Mapping[str, object]) -> None:
        rule = f"{__name__}.{OnlyTheDaemonSpeaks.__name__}"
        self._broker = Broker({rule: dict(rules)}, self._loop)
        await self._broker.start()
        self._server = await asyncio.start_server(self._broker.serve, sock=listener)

    async def _end(self) -> None:
        self._server.close()
        await self._broker.shutdown()


class OnlyTheDaemonSpeaks(BaseAuthPlugin, BaseTopicPlugin):  # type: ignore[misc]
    """Everybody may listen; below stock/<node>/ others may only make requests."""

    @dataclass
    class Config:
        node: str
        secret: str = field(repr=False)
        users: dict[str, str] = field(repr=False)

    config: Config

    async def authenticate(self, *, session: Session) -> bool | None:
        if self._is_daemon(session):
            return True
        session.is_anonymous = True  # amqtt's word for: keep nothing while it is away
        if session.username == DAEMON_USER or (self.config.users and not self._knows(session)):
            return False
        # A will is published without asking topic_filtering.
        return not session.will_flag or self._is_free(session.will_topic or "")

    async def topic_filtering(
        self,
        *,
        session: Session | None = None,
        topic: str | None = None,
        action: Action | None = None,
    ) -> bool | None:
        if action is not Action.PUBLISH or self._is_free(topic or ""):
            return True
        return session is not None and self._is_daemon(session)

    def _is_free(self, topic: str) -> bool:
        root = f"stock/{self.config.node}/"
        return not topic.startswith(root) or topic.startswith(f"{root}request/")

    def _is_daemon(self, session: Session) -> bool:
        # The password too, each time: a session takes over what a later login merely claims.
        return session.username == DAEMON_USER and _same(session.password, self.config.secret)

    def _knows(self, session: Session) -> bool:
        expected = self.config.users.get(session.username or "")
        return expected is not None and _same(session.password, expected)


def _same(claimed: str | None, expected: str) -> bool:
    return hmac.compare_digest((claimed or "").encode(), expected.encode())
