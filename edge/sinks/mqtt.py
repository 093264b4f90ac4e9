"""MQTT 3.1.1 by paho, one fresh client a connection.

paho keeps what it could not send in memory and sends it by itself after a reconnect. Our outbox
does that already, and outlives the process: two queues would send twice and out of order. So a
client lives as long as its connection and is thrown away with all it still holds.
"""

from __future__ import annotations

import contextlib
import logging
import socket
import ssl
import threading
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.reasoncodes import ReasonCode

from edge.errors import SinkError
from edge.redact import read_secret
from edge.sinks.sink import OFFLINE, Destination, Message, OnRequest

log = logging.getLogger(__name__)

PORTS = {"mqtt": 1883, "mqtts": 8883}
"""The schemes of a broker's URL, and the port of each where the URL names none."""
CONNECT_TIMEOUT_S = 10.0
ACK_TIMEOUT_S = 15.0  # without any acknowledgement; a slow line that moves is not cut off
KEEPALIVE_S = 30
SOON_S = 3.0  # two clients of one name take the connection from each other again and again
LONGEST_VERB = 64  # letters of a request's name
MAX_PAYLOAD_BYTES = 256 * 1024  # nothing we send is larger by design; a broker would cut us off


class MqttSink:
    """One broker. The client id is stable, so a second daemon of that name would kick us out."""

    def __init__(self, destination: Destination) -> None:
        url = urlsplit(destination.url)
        self._tls = url.scheme == "mqtts"
        self._host = url.hostname or "localhost"
        self._port = url.port or PORTS[url.scheme]
        self._destination = destination
        self._root = f"stock/{destination.node}"
        self._client_id = f"shelf-edge-{destination.node}"
        self._connection: _Connection | None = None

    @property
    def lost(self) -> str | None:
        connection = self._connection
        if connection is None:
            return f"{self._where}: not connected"
        return f"{self._where}: {connection.lost}" if connection.lost else None

    def open(self, on_request: OnRequest, on_lost: Callable[[], None]) -> None:
        self.drop()
        client = self._client()
        connection = _Connection(client, self._client_id, self._root, on_request, on_lost)
        try:
            client.connect(self._host, self._port, KEEPALIVE_S)
            connection.begin()
        except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
            connection.abandon()
            raise SinkError(f"{self._where}: {_reason(error)}") from error
        except SinkError as error:
            connection.abandon()
            raise SinkError(f"{self._where}: {error}") from error
        self._connection = connection

    def send(self, messages: Sequence[Message]) -> None:
        connection = self._connection
        if connection is None:
            raise SinkError(f"{self._where}: not connected")
        for message in messages:
            if len(message.payload) > MAX_PAYLOAD_BYTES:
                raise SinkError(
                    f"{message.topic}: {len(message.payload)} bytes are more than the "
                    f"{MAX_PAYLOAD_BYTES} that are sent",
                    permanent=True,
                )
        try:
            connection.send(messages)
        except SinkError as error:
            raise SinkError(f"{self._where}: {error}", arrived=error.arrived) from error

    def close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.finish()

    def drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.abandon()

    @property
    def _where(self) -> str:
        return f"MQTT broker {self._host}:{self._port}"

    def _client(self) -> paho.Client:
        client = paho.Client(
            CallbackAPIVersion.VERSION2,
            client_id=self._client_id,
            clean_session=True,  # requests made while we were away are stale
            protocol=MQTTProtocolVersion.MQTTv311,
            reconnect_on_failure=False,
        )
        client.connect_timeout = CONNECT_TIMEOUT_S
        client.will_set(f"{self._root}/status", OFFLINE, qos=1, retain=True)
        try:
            self._log_in(client)
        except (OSError, ValueError) as error:
            raise SinkError(f"{self._where}: {_reason(error)}") from error
        return client

    def _log_in(self, client: paho.Client) -> None:
        destination = self._destination
        password = destination.password
        if destination.password_file is not None:
            password = _password_in(destination.password_file)
        if destination.username is not None:
            client.username_pw_set(destination.username, password)
        if self._tls:
            context = ssl.create_default_context(cafile=destination.ca)
            if destination.cert is not None:
                context.load_cert_chain(destination.cert, destination.key)
            client.tls_set_context(context)


class _Connection:
    """What happens between one CONNECT and its end. paho's thread reports, ours waits."""

    def __init__(
        self,
        client: paho.Client,
        client_id: str,
        root: str,
        on_request: OnRequest,
        on_lost: Callable[[], None],
    ) -> None:
        self.lost: str | None = None
        self._client, self._client_id = client, client_id
        self._begun_s = time.monotonic()
        self._requests = f"{root}/request/"
        self._root, self._on_request, self._on_lost = root, on_request, on_lost
        self._changed = threading.Condition()
        self._connected = self._subscribed = False
        self._acked: set[int] = set()
        client.on_connect = self._hear_connect
        client.on_subscribe = self._hear_subscribe
        client.on_publish = self._hear_ack
        client.on_message = self._hear_message
        client.on_disconnect = self._hear_disconnect

    def begin(self) -> None:
        self._client.loop_start()
        self._await(lambda: self._connected, CONNECT_TIMEOUT_S, "no answer to the login")
        code, _ = self._client.subscribe(f"{self._requests}+", qos=1)
        if code != paho.MQTT_ERR_SUCCESS:
            raise SinkError(paho.error_string(code))
        self._await(lambda: self._subscribed, CONNECT_TIMEOUT_S, "no answer to the subscription")

    def send(self, messages: Sequence[Message]) -> None:
        mids = [self._publish(message) for message in messages]
        for arrived, mid in enumerate(mids):
            acked = partial(self._acked.__contains__, mid)
            try:
                self._await(acked, ACK_TIMEOUT_S, "no acknowledgement")
            except SinkError as error:
                raise SinkError(str(error), arrived=arrived) from error
        self._acked.clear()

    def finish(self) -> None:
        if self.lost is None:
            self._client.disconnect()
        self._client.loop_stop()

    def abandon(self) -> None:
        """Break off without MQTT's DISCONNECT, which would take the will back."""
        connected = self._client.socket()
        if isinstance(connected, socket.socket):
            with contextlib.suppress(OSError):
                connected.shutdown(socket.SHUT_RDWR)
        self._client.loop_stop()

    def _publish(self, message: Message) -> int:
        with self._changed:
            if self.lost is not None:
                raise SinkError(self.lost)
        info = self._client.publish(
            f"{self._root}/{message.topic}", message.payload, message.qos, message.retain
        )
        if info.rc != paho.MQTT_ERR_SUCCESS:
            raise SinkError(paho.error_string(info.rc))
        return info.mid

    def _await(self, there: Callable[[], bool], timeout_s: float, complaint: str) -> None:
        deadline = time.monotonic() + timeout_s
        with self._changed:
            while not there():
                if self.lost is not None:
                    raise SinkError(self.lost)
                if not self._changed.wait(deadline - time.monotonic()):
                    raise SinkError(f"{complaint} within {timeout_s:.0f} s")

    def _hear_connect(
        self, client: paho.Client, userdata: Any, flags: Any, code: ReasonCode, properties: Any
    ) -> None:
        with self._changed:
            if code.is_failure:
                self.lost = f"login refused: {code}"
            else:
                self._connected = True
            self._changed.notify_all()

    def _hear_subscribe(
        self,
        client: paho.Client,
        userdata: Any,
        mid: int,
        codes: list[ReasonCode],
        properties: Any,
    ) -> None:
        # A broker may refuse the topic and keep the connection: then all works but requests.
        if any(code.is_failure for code in codes):
            log.warning("the broker does not let us hear requests on %s+", self._requests)
        with self._changed:
            self._subscribed = True
            self._changed.notify_all()

    def _hear_ack(
        self, client: paho.Client, userdata: Any, mid: int, code: ReasonCode, properties: Any
    ) -> None:
        with self._changed:
            self._acked.add(mid)
            self._changed.notify_all()

    def _hear_message(self, client: paho.Client, userdata: Any, message: paho.MQTTMessage) -> None:
        if not message.topic.startswith(self._requests):
            return
        if message.retain:
            log.warning("%s: a retained request is ignored; it would come again", message.topic)
            return
        verb = message.topic.removeprefix(self._requests)
        if len(verb) > LONGEST_VERB:  # the topic of its answer might be longer than MQTT allows
            log.warning("a request with a name of %d letters is ignored", len(verb))
            return
        self._on_request(verb, bytes(message.payload))

    def _hear_disconnect(
        self, client: paho.Client, userdata: Any, flags: Any, code: ReasonCode, properties: Any
    ) -> None:
        with self._changed:
            self.lost = self.lost or self._why_lost()
            self._changed.notify_all()
        self._on_lost()

    def _why_lost(self) -> str:
        if self._connected and time.monotonic() - self._begun_s < SOON_S:
            name = self._client_id
            return f"connection lost soon after the login; is there another client named {name}?"
        return "connection lost"


def _password_in(file: Path) -> str:
    try:
        return read_secret(file)
    except ValueError as error:
        raise ValueError(f"password_file {error}: {file}") from None


def _reason(error: Exception) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted: {error.verify_message}"
    if isinstance(error, OSError) and error.strerror:
        name = f": {error.filename}" if error.filename else ""
        return f"{error.strerror}{name}"
    return str(error) or type(error).__name__
