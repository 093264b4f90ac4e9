"""amqtt's broker, mended where one client could harm the others or fill the memory.

amqtt 0.12 ends the session of a client id before it asks who comes, lets the first of two
connections of one name go on, keeps whom it refused or lost, keeps what a client does not read, and
tells who comes what others asked for. Here who comes logs in first; there is one connection a name;
each hears what it asked for; and who asks too much, or is gone without a word, is cut off and
forgotten.
"""

from __future__ import annotations

import asyncio
import logging
import math
import socket
from collections.abc import Iterator
from typing import Any

from amqtt import broker as amqtt
from amqtt.adapters import ReaderAdapter, StreamReaderAdapter, StreamWriterAdapter, WriterAdapter
from amqtt.errors import MQTTError
from amqtt.mqtt.packet import MQTTPacket
from amqtt.mqtt.protocol.broker_handler import BrokerProtocolHandler
from amqtt.session import Session
from amqtt.utils import gen_client_id

log = logging.getLogger(__name__)

MAX_CLIENTS = 200
LOGIN_TIMEOUT_S = 10.0
SHUTDOWN_S = 2.0
MAX_PACKET_BYTES = 1024 * 1024  # four times the largest message of the daemon
MAX_UNREAD_BYTES = 16 * 1024 * 1024  # that wait for one client …
PACKET_BYTES = 1024  # … each with what asyncio keeps beside it
_ALIVE = {
    "TCP_KEEPIDLE": 60,
    "TCP_KEEPINTVL": 10,
    "TCP_KEEPCNT": 6,
    "TCP_USER_TIMEOUT": 120_000,  # ms
}
"""After two minutes without any sign from its machine a client counts as gone."""
_LISTENER = "default"  # amqtt wants one of this name


class Broker(amqtt.Broker):  # type: ignore[misc]
    """serve() takes one connection and returns when it has ended."""

    def __init__(self, plugins: dict[str, dict[str, object]], loop: asyncio.AbstractEventLoop):
        config = {"listeners": {_LISTENER: {"type": "external"}}, "plugins": plugins}
        super().__init__(config, loop=loop)
        self._subscriptions = _Subscriptions()
        self._serving: set[asyncio.Task[None]] = set()  # one a client
        self._named: dict[str, _Handler] = {}  # of each client id, the one that was let in last

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if len(self._serving) >= MAX_CLIENTS:
            log.info("the embedded broker has %d clients; another is refused", MAX_CLIENTS)
            writer.transport.abort()
            return
        task = asyncio.current_task()
        assert task is not None
        self._serving.add(task)
        try:
            _watch_over(writer.get_extra_info("socket"))
            await self._client_connected(_LISTENER, _Reader(reader), _Writer(writer))
        except Exception as error:  # amqtt meets bytes from anybody; one client must not matter
            log.info("a client of the embedded broker failed: %r", error)
        finally:
            self._serving.discard(task)
            writer.close()

    async def shutdown(self) -> None:
        """End all connections, and wait SHUTDOWN_S at most until nothing of them is left."""
        await super().shutdown()
        if self._serving:
            await asyncio.wait(self._serving, timeout=SHUTDOWN_S)

    async def _initialize_client_session(
        self, reader: ReaderAdapter, writer: WriterAdapter, remote_address: str, remote_port: int
    ) -> tuple[_Handler, Session]:
        """Let in who may come; only then does the client of that name make way."""
        async with asyncio.timeout(LOGIN_TIMEOUT_S):
            handler, session = await _Handler.init_from_connect(
                reader, writer, self.plugins_manager
            )
            if not await self._authenticate(session, self.listeners_config[_LISTENER]):
                handler.attach(session, reader, writer)
                await handler.mqtt_connack_authorize(False)
                raise MQTTError(f"a login from {remote_address} was refused")
            session.client_id = session.client_id or gen_client_id()
            session.keep_alive = math.ceil(1.5 * session.keep_alive)  # [MQTT-3.1.2-24]
            handler.connection = writer
            await self._take_over(session.client_id, handler)
        return handler, session

    async def _take_over(self, name: str, handler: _Handler) -> None:
        """Be the only client of that name, once the one before is gone [MQTT-3.1.4-2].

        amqtt finds sessions and subscriptions by name: what ends must not take along what begins.
        """
        before, self._named[name] = self._named.get(name), handler
        try:
            if before is not None:
                before.cut_off()
                await before.over.wait()
            if self._named[name] is not handler:
                raise MQTTError(f"another {name} came at the same moment")
        except BaseException:
            self._leave(name, handler)
            raise

    def _leave(self, name: str, handler: _Handler) -> None:
        if self._named.get(name) is handler:
            del self._named[name]
        handler.over.set()

    async def _handle_client_session(
        self,
        reader: ReaderAdapter,
        writer: WriterAdapter,
        client_session: Session,
        handler: _Handler,
        server: amqtt.Server,
        listener_name: str,
    ) -> None:
        try:
            await super()._handle_client_session(
                reader, writer, client_session, handler, server, listener_name
            )
        finally:  # nothing is kept for who is away
            handler.cut_off()
            if self._get_handler(client_session) is handler:
                await self._cleanup_session(client_session.client_id)
            self._leave(client_session.client_id, handler)

    async def _publish_retained_messages_for_subscription(
        self, subscription: tuple[str, int], session: Session
    ) -> None:
        """Tell what is retained to who asked for it.

        amqtt also tells every newcomer what all others asked for, before it reads a word of his:
        one that says something and goes, as mosquitto_pub does, is gone by then and unheard.
        """
        if any(who is session for who, _ in self._subscriptions.get(subscription[0], ())):
            await super()._publish_retained_messages_for_subscription(subscription, session)


class _Handler(BrokerProtocolHandler):  # type: ignore[misc]
    """One client's packets; MQTT leaves it to the server how long it waits for them."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.connection: _Writer | None = None
        self.over = asyncio.Event()
        """Nothing of this client is left."""
        self._unread_bytes = 0

    def cut_off(self) -> None:
        """End the connection without waiting for what the client has still to read."""
        if self.connection is not None:
            self.connection.abort()

    def handle_read_timeout(self) -> None:
        self.cut_off()

    async def _send_packet(self, packet: MQTTPacket) -> None:
        waiting = PACKET_BYTES + len(getattr(packet, "data", None) or b"")
        self._unread_bytes += waiting
        if self._unread_bytes > MAX_UNREAD_BYTES:
            self.cut_off()
        try:
            await super()._send_packet(packet)
        finally:
            self._unread_bytes -= waiting


class _Reader(StreamReaderAdapter):  # type: ignore[misc]
    """Follows what is read, to know of each packet how long it will be before it is."""

    _left = 0  # bytes of the packet whose header was read
    _header = b""

    async def read(self, n: int = -1) -> bytes:
        data: bytes = await super().read(n)
        if self._left:
            self._left = max(0, self._left - len(data))
        elif data:
            self._follow(data)
        return data

    def _follow(self, data: bytes) -> None:
        """Take in bytes of a header: a kind, then 7 bits of the length each, the last below 128."""
        self._header += data
        if len(self._header) == 1 or self._header[-1] >= 128:
            return
        self._left = sum((byte & 127) << 7 * k for k, byte in enumerate(self._header[1:]))
        self._header = b""
        if self._left > MAX_PACKET_BYTES:
            raise ValueError(f"a packet of {self._left} bytes; {MAX_PACKET_BYTES} are allowed")


class _Writer(StreamWriterAdapter):  # type: ignore[misc]
    def abort(self) -> None:
        self._writer.transport.abort()


class _Subscriptions(dict[str, list[tuple[Session, int]]]):
    """Walked through as they were: amqtt waits on the way, and meanwhile others come and go.

    Else the message that was on its way reaches nobody further, and is gone.
    """

    def __iter__(self) -> Iterator[str]:
        return iter(list(super().keys()))

    def items(self) -> list[tuple[str, list[tuple[Session, int]]]]:  # type: ignore[override]
        return [(topic, list(who)) for topic, who in super().items()]


def _watch_over(connection: socket.socket) -> None:
    """Have the kernel notice a client that is gone, also one that set no keep-alive of MQTT's."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in _ALIVE.items():
        if (option := getattr(socket, name, None)) is not None:  # some are Linux' own
            connection.setsockopt(socket.IPPROTO_TCP, option, value)
