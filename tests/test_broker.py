"""The embedded broker, met by a real MQTT client."""

from __future__ import annotations

import contextlib
import json
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import paho.mqtt.client as paho
import pytest
from conftest import require_program
from mosquitto import Subscriber, retained, wait_for
from paho.mqtt.enums import CallbackAPIVersion

from edge import amqtt_broker, messages
from edge.broker import EmbeddedBroker
from edge.errors import ConfigError, SinkError, UnavailableError
from edge.publisher import Publisher
from edge.sinks import open_sink
from edge.sinks.sink import Message
from edge.site import DAEMON_USER
from edge.store import Store


@pytest.fixture
def broker() -> Iterator[EmbeddedBroker]:
    made = EmbeddedBroker("n", port=0)
    yield made
    made.stop()


@pytest.fixture
def port(broker: EmbeddedBroker) -> int:
    host, port = broker.start()
    assert host == "127.0.0.1"
    return port


def nothing(*_: Any) -> None: ...


def login(port: int, username: str | None, password: str | None, will: str | None = None) -> str:
    """Connect and return the broker's answer."""
    answer: list[str] = []
    client = paho.Client(CallbackAPIVersion.VERSION2, reconnect_on_failure=False)
    if username is not None:
        client.username_pw_set(username, password)
    if will is not None:
        client.will_set(will, b"planted", qos=1, retain=True)
    client.on_connect = lambda client, userdata, flags, code, properties: answer.append(str(code))
    client.connect("127.0.0.1", port)
    client.loop_start()
    wait_for(lambda: answer)
    sock = client.socket()
    if sock is not None:
        with contextlib.suppress(OSError):
            sock.shutdown(socket.SHUT_RDWR)  # so that a will is due
    client.loop_stop()
    return answer[0]


def test_a_newcomer_is_told_what_is_retained_and_then_what_changes(broker, port):
    sink = open_sink(broker.destination())
    sink.open(nothing, nothing)
    sink.send([Message("slot/a1/state", b"1", retain=True), Message("event", b"old")])
    with Subscriber(port) as listener:
        wait_for(lambda: listener.payloads("stock/n/slot/a1/state") == [b"1"])
        assert listener.heard()[0].retained
        sink.send([Message("event", b"new")])
        wait_for(lambda: listener.payloads("stock/n/event") == [b"new"])
    sink.close()


def test_who_says_something_and_goes_is_heard_and_hears_nothing_that_others_asked_for(broker, port):
    """As mosquitto_pub does, while somebody watches everything."""
    sink = open_sink(broker.destination())
    requests: list[bytes] = []
    sink.open(lambda verb, payload: requests.append(payload), nothing)
    sink.send([Message(f"slot/a{number}/state", b"1", retain=True) for number in range(40)])
    pub = require_program("mosquitto_pub")
    with Subscriber(port):
        for number in range(5):
            words = ["-p", str(port), "-t", "stock/n/request/ack", "-m", str(number)]
            subprocess.run([pub, *words], check=True, timeout=20)
        wait_for(lambda: requests == [b"%d" % number for number in range(5)])
        with Subscriber(port, "phone", "stock/n/event") as phone:
            sink.send([Message("event", b"new")])
            wait_for(lambda: phone.heard())
            assert [message.topic for message in phone.heard()] == ["stock/n/event"]
    sink.close()


def test_nobody_misses_a_message_because_others_come_and_go(broker, port, caplog):
    sink = open_sink(broker.destination())
    sink.open(nothing, nothing)
    over = threading.Event()

    def come_and_go(name: str) -> None:
        number = 0
        while not over.is_set():
            number += 1
            with Subscriber(port, f"{name}{number}", f"stock/{name}/{number}/#"):
                pass

    with contextlib.ExitStack() as stack:
        listeners = [stack.enter_context(Subscriber(port, name)) for name in "vwxyz"]
        visitors = [threading.Thread(target=come_and_go, args=(name,)) for name in "abcd"]
        for visitor in visitors:
            visitor.start()
        try:
            for number in range(200):
                sink.send([Message("event", b"%d" % number)])
        finally:
            over.set()
            for visitor in visitors:
                visitor.join()
        for listener in listeners:
            wait_for(lambda one=listener: len(one.payloads("stock/n/event")) >= 200)
            assert sorted(map(int, listener.payloads("stock/n/event"))) == list(range(200))
    sink.close()
    assert "never retrieved" not in caplog.text


def test_it_keeps_nothing_for_who_is_away(broker, port):
    sink = open_sink(broker.destination())
    sink.open(nothing, nothing)
    with Subscriber(port, name="regular"):
        pass
    served = broker._running._broker
    wait_for(lambda: "regular" not in served.sessions)  # it looks for who left once a second
    sink.send([Message("event", b"while away")])
    with Subscriber(port, name="regular") as back:
        sink.send([Message("event", b"again there")])
        wait_for(lambda: back.payloads("stock/n/event"))
        time.sleep(0.2)
        assert back.payloads("stock/n/event") == [b"again there"]
    sink.close()


@pytest.mark.parametrize(
    "topic", ["stock/n/slot/a1/state", "stock/n/event", "stock/n/status", "stock/n/response/ping"]
)
def test_nobody_else_may_speak_for_the_node(broker, port, topic):
    sink = open_sink(broker.destination())
    sink.open(nothing, nothing)
    sink.send([Message("slot/a1/state", b"true", retain=True)])
    with Subscriber(port) as stranger:
        stranger.say(topic, b"forged", retain=True)
        stranger.say("stock/other/event", b"free")
        wait_for(lambda: stranger.payloads("stock/other/event"))
        assert stranger.payloads(topic) in ([], [b"true"])
    assert retained(port) == {"stock/n/slot/a1/state": b"true"}
    sink.close()


def test_a_request_is_answered_while_a_forged_state_is_not_passed_on(tmp_path: Path, broker, port):
    with contextlib.closing(Store(tmp_path)) as store, Subscriber(port) as stranger:

        def answer(verb: str, payload: bytes) -> None:
            publisher.answer(verb, messages.response(messages.parse_request(verb, payload)))

        publisher = Publisher(store, open_sink(broker.destination()), answer)
        publisher.start()
        wait_for(lambda: stranger.payloads("stock/n/status") == [b"online"])
        stranger.say("stock/n/slot/x/state", b"{}", retain=True)
        stranger.say("stock/n/request/ping", b'{"transaction":1}')
        (pong,) = wait_for(lambda: stranger.payloads("stock/n/response/ping"))
        assert json.loads(pong)["transaction"] == 1
        assert not stranger.payloads("stock/n/slot/x/state")
        publisher.stop()
        wait_for(lambda: stranger.payloads("stock/n/status") == [b"online", b"offline"])


def test_a_will_cannot_be_used_to_speak_for_the_node(broker, port):
    assert login(port, None, None, will="stock/n/slot/a1/state") == "Not authorized"
    assert login(port, None, None, will="stock/other/status") == "Success"
    wait_for(lambda: retained(port) == {"stock/other/status": b"planted"})


def test_the_daemons_own_name_needs_its_secret(broker, port):
    assert login(port, DAEMON_USER, "guess") == "Not authorized"
    other = EmbeddedBroker("n", port=0)
    assert other.destination().password != broker.destination().password
    with Subscriber(port) as stranger:
        stranger.say("stock/n/event", b"forged")
        stranger.say("stock/end")
        wait_for(lambda: stranger.heard("stock/end"))
        assert not stranger.heard("stock/n/event")


def test_the_daemons_will_tells_that_it_vanished(broker, port):
    with Subscriber(port) as listener:
        sink = open_sink(broker.destination())
        sink.open(nothing, nothing)
        sink.send([Message("status", b"online", retain=True)])
        sink.drop()
        wait_for(lambda: listener.payloads("stock/n/status") == [b"online", b"offline"])


def test_with_users_only_they_and_the_daemon_get_in():
    broker = EmbeddedBroker("n", port=0, users={"till": "pass"})
    _, port = broker.start()
    try:
        assert login(port, None, None) == "Not authorized"
        assert login(port, "till", "wrong") == "Not authorized"
        assert login(port, "till", "pass") == "Success"
        sink = open_sink(broker.destination())
        sink.open(nothing, nothing)
        sink.close()
    finally:
        broker.stop()


def test_an_address_open_to_the_network_needs_users():
    with pytest.raises(ConfigError, match=r"the embedded broker on 0\.0\.0\.0 needs users"):
        EmbeddedBroker("n", "0.0.0.0")
    EmbeddedBroker("n", "0.0.0.0", users={"till": "pass"})


def test_the_daemons_user_name_cannot_be_given_away():
    with pytest.raises(ConfigError, match="keeps the user name 'shelf-edge' for itself"):
        EmbeddedBroker("n", users={DAEMON_USER: "x"})


def test_a_port_in_use_is_named(port):
    with pytest.raises(
        UnavailableError, match=rf"127\.0\.0\.1:{port}: the port is in use"
    ) as raised:
        EmbeddedBroker("n", port=port).start()
    assert raised.value.exit_code == 69


def test_an_address_this_machine_does_not_have_is_explained():
    with pytest.raises(UnavailableError, match=r"192\.0\.2\.1:1883: Cannot assign requested"):
        EmbeddedBroker("n", "192.0.2.1", users={"a": "b"}).start()


def test_it_ends_and_its_port_is_free_again():
    broker = EmbeddedBroker("n", port=0)
    _, port = broker.start()
    sink = open_sink(broker.destination())
    lost = threading.Event()
    sink.open(nothing, lost.set)
    begun = time.monotonic()
    broker.stop()
    assert time.monotonic() - begun < 5
    assert lost.wait(5)
    with pytest.raises(SinkError):
        sink.send([Message("event", b"1")])
    sink.drop()
    again = EmbeddedBroker("n", port=port)
    again.start()
    again.stop()


@pytest.mark.parametrize(
    "rubbish", [b"GET / HTTP/1.1\r\n\r\n", b"\x10", b"\x10\xff\xff\xff\xff", b""]
)
def test_what_is_no_mqtt_does_not_disturb_it(broker, port, rubbish):
    with socket.create_connection(("127.0.0.1", port)) as scanner:
        scanner.sendall(rubbish)
    with Subscriber(port) as listener:
        listener.say("stock/x", b"1")
        wait_for(lambda: listener.payloads("stock/x") == [b"1"])


def knock(port: int, name: str, *, keep_alive_s: int = 60, will: str = "") -> socket.socket:
    """Log in by hand, as a client that then says nothing, and return once it is let in."""
    flags = 0x02 | (0x04 if will else 0)
    fields = [name, *([will, "vanished"] if will else [])]
    payload = b"".join(len(field).to_bytes(2, "big") + field.encode() for field in fields)
    header = b"\x00\x04MQTT\x04" + bytes([flags]) + keep_alive_s.to_bytes(2, "big")
    client = socket.create_connection(("127.0.0.1", port), 10)
    client.sendall(bytes([0x10, len(header + payload)]) + header + payload)
    assert client.recv(4) == b"\x20\x02\x00\x00"
    return client


def is_closed(client: socket.socket, within_s: float = 10.0) -> bool:
    client.settimeout(within_s)
    with contextlib.suppress(ConnectionResetError):
        while client.recv(65536):
            pass
    return True


def test_who_may_not_come_in_takes_nothing_from_the_client_of_that_name():
    broker = EmbeddedBroker("n", port=0, users={"till": "pass"})
    _, port = broker.start()
    sink = open_sink(broker.destination())
    sink.open(nothing, nothing)
    heard: list[bytes] = []
    client = paho.Client(CallbackAPIVersion.VERSION2, client_id="regular")
    client.username_pw_set("till", "pass")
    client.on_message = lambda client, userdata, message: heard.append(message.payload)
    subscribed = threading.Event()
    client.on_subscribe = lambda *_: subscribed.set()
    client.on_connect = lambda *_: client.subscribe("stock/#", qos=1)
    ended = threading.Event()
    client.on_disconnect = lambda *_: ended.set()
    client.connect("127.0.0.1", port)
    client.loop_start()
    try:
        assert subscribed.wait(10)
        for clean in (True, False):
            stranger = paho.Client(
                CallbackAPIVersion.VERSION2,
                client_id="regular",
                clean_session=clean,
                reconnect_on_failure=False,
            )
            answers: list[str] = []
            stranger.on_connect = lambda *args, to=answers: to.append(str(args[3]))
            stranger.username_pw_set("till", "guess")
            stranger.connect("127.0.0.1", port)
            stranger.loop_start()
            wait_for(lambda to=answers: to)
            stranger.loop_stop()
            assert answers[0] == "Not authorized"
        sink.send([Message("event", b"told")])
        wait_for(lambda: heard == [b"told"])
        assert not ended.is_set()
    finally:
        client.disconnect()
        client.loop_stop()
        sink.close()
        broker.stop()


def test_a_second_client_of_a_name_ends_the_first(port):
    with knock(port, "till") as first, knock(port, "till") as second:
        assert is_closed(first)
        second.sendall(b"\xc0\x00")
        assert second.recv(2) == b"\xd0\x00"


def hear(client: socket.socket, wanted: bytes) -> None:
    """Read until that was said."""
    heard = b""
    while wanted not in heard:
        more = client.recv(1024)
        assert more, f"it is over after {heard!r}"
        heard += more


def has_ended(client: socket.socket) -> bool:
    client.setblocking(False)
    try:
        while client.recv(64):
            pass
    except BlockingIOError:
        return False
    except ConnectionResetError:
        pass
    return True


def test_two_clients_of_a_name_that_come_at_the_same_moment_are_one(broker, port):
    for _ in range(20):
        both = [socket.create_connection(("127.0.0.1", port), 10) for _ in range(2)]
        with both[0], both[1]:
            for client in both:
                client.sendall(b"\x10\x10\0\4MQTT\4\2\0\x3c\0\4till")
            ended = wait_for(lambda both=both: [one for one in both if has_ended(one)])
            (left,) = [one for one in both if one not in ended]
            left.settimeout(10)
            left.sendall(b"\xc0\0")
            hear(left, b"\xd0\0")
        wait_for(lambda: not broker._running._broker.sessions)


def test_who_takes_a_name_over_keeps_what_it_subscribes_to(broker, port):
    sink = open_sink(broker.destination())
    sink.open(nothing, nothing)
    connect = b"\x10\x10\0\4MQTT\4\2\0\x3c\0\4till"
    subscribe = b"\x82\x0c\0\1\0\7stock/#\0"
    with contextlib.ExitStack() as stack:
        for number in range(20):
            client = stack.enter_context(socket.create_connection(("127.0.0.1", port), 10))
            client.sendall(connect + subscribe)  # while the one before is still being forgotten
            hear(client, b"\x90\3\0\1\0")
            sink.send([Message("event", b"told %d." % number)])
            hear(client, b"told %d." % number)
    sink.close()


def test_a_client_that_falls_silent_is_gone_and_its_will_is_told(port):
    with (
        Subscriber(port) as listener,
        knock(port, "till", keep_alive_s=1, will="stock/till") as silent,
    ):
        assert is_closed(silent)
        wait_for(lambda: listener.payloads("stock/till") == [b"vanished"])


def test_who_does_not_log_in_is_cut_off(monkeypatch, port):
    monkeypatch.setattr(amqtt_broker, "LOGIN_TIMEOUT_S", 0.2)
    with socket.create_connection(("127.0.0.1", port)) as scanner:
        assert is_closed(scanner)


def test_a_packet_that_would_fill_the_memory_is_not_read(port):
    """Length 2 MiB and the first of it: a SUBSCRIBE of amqtt's is read filter by filter."""
    for packet in (b"\x30\x80\x80\x80\x01", b"\x82\x80\x80\x80\x01\0\1" + b"\0\1x\0" * 9):
        with knock(port, "till") as client:
            client.sendall(packet)
            assert is_closed(client)


def test_a_large_packet_is_read_and_the_next_one_too(port):
    topic = b"stock/x"
    with Subscriber(port) as listener, knock(port, "till") as client:
        for size in (1, 127 - 9, 128 - 9, 20_000, 200_000):
            body = len(topic).to_bytes(2, "big") + topic + b"x" * size
            length, rest = b"", len(body)
            while True:
                length += bytes([rest % 128 + (128 if rest >= 128 else 0)])
                rest //= 128
                if not rest:
                    break
            client.sendall(b"\x30" + length + body)
        wait_for(lambda: len(listener.payloads("stock/x")) == 5)
        assert len(listener.payloads("stock/x")[-1]) == 200_000


def test_so_many_clients_and_no_more(monkeypatch, port):
    monkeypatch.setattr(amqtt_broker, "MAX_CLIENTS", 2)
    with knock(port, "a"):
        with knock(port, "b"), socket.create_connection(("127.0.0.1", port)) as third:
            assert is_closed(third)

        def is_let_in() -> bool:
            with contextlib.suppress(OSError, AssertionError), knock(port, "c"):
                return True
            return False

        wait_for(is_let_in)


def test_who_does_not_read_is_cut_off_and_the_others_hear_all(monkeypatch, broker, port):
    monkeypatch.setattr(amqtt_broker, "MAX_UNREAD_BYTES", 4 * 1024 * 1024)
    sink = open_sink(broker.destination())
    sink.open(nothing, nothing)
    with Subscriber(port) as listener, knock(port, "deaf") as deaf:
        topic = b"stock/#"
        deaf.sendall(
            bytes([0x82, len(topic) + 5]) + b"\0\1\0" + bytes([len(topic)]) + topic + b"\0"
        )
        assert deaf.recv(5)[0] == 0x90
        for number in range(80):
            sink.send([Message("event", b"%3d" % number + b"x" * 200_000)])
        assert is_closed(deaf)
        wait_for(lambda: len(listener.payloads("stock/n/event")) == 80)
    sink.close()


def test_nobody_is_remembered_who_was_refused_or_is_gone(broker, port):
    assert login(port, DAEMON_USER, "guess") == "Not authorized"
    with Subscriber(port, name="regular"), knock(port, "silent"):
        sessions = broker._running._broker.sessions
        assert set(sessions) == {"regular", "silent"}
    wait_for(lambda: not sessions)
    assert not broker._running._broker.subscriptions
