"""The MQTT sink against a real mosquitto."""

from __future__ import annotations

import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from queue import Queue

import paho.mqtt.client as paho
import pytest
from conftest import require_program
from cutter import Cutter
from mosquitto import Mosquitto, Subscriber, free_port, retained, wait_for

from edge.errors import SinkError, UsageError
from edge.redact import redact
from edge.sinks import Destination, Sink, open_sink
from edge.sinks.sink import Message

Requests = Queue[tuple[str, bytes]]


@pytest.fixture
def connect() -> Iterator[Callable[..., Sink]]:
    """Open sinks of node n that are closed after the test."""
    opened: list[Sink] = []

    def connect(
        port: int,
        *,
        scheme: str = "mqtt",
        on_request: Callable[[str, bytes], None] = lambda verb, payload: None,
        on_lost: Callable[[], None] = lambda: None,
        **login: object,
    ) -> Sink:
        sink = open_sink(Destination(f"{scheme}://127.0.0.1:{port}", "n", **login))
        opened.append(sink)
        sink.open(on_request, on_lost)
        return sink

    yield connect
    for sink in opened:
        sink.drop()


def test_what_is_sent_arrives_in_order_and_is_retained_only_where_asked(broker, connect):
    with Subscriber(broker.port) as listener:
        sink = connect(broker.port)
        sink.send([Message("slot/a1/state", b"1", retain=True), Message("event", b"2")])
        sink.send([Message("event", str(number).encode()) for number in range(500)])
        wait_for(lambda: len(listener.heard()) == 502)
        assert [(m.topic, m.payload) for m in listener.heard()[:2]] == [
            ("stock/n/slot/a1/state", b"1"),
            ("stock/n/event", b"2"),
        ]
        assert listener.payloads("stock/n/event")[1:] == [str(k).encode() for k in range(500)]
    assert retained(broker.port) == {"stock/n/slot/a1/state": b"1"}


def test_an_empty_retained_payload_removes_a_topic(broker, connect):
    sink = connect(broker.port)
    sink.send([Message("slot/a1/state", b"1", retain=True)])
    sink.send([Message("slot/a1/state", b"", retain=True)])
    assert retained(broker.port) == {}


def test_a_daemon_that_vanishes_is_declared_offline_by_its_will(broker, connect):
    with Subscriber(broker.port) as listener:
        sink = connect(broker.port)
        sink.send([Message("status", b"online", retain=True)])
        sink.drop()
        wait_for(lambda: listener.payloads("stock/n/status") == [b"online", b"offline"])
    assert retained(broker.port) == {"stock/n/status": b"offline"}


def test_a_daemon_that_says_goodbye_leaves_no_will(broker, connect):
    with Subscriber(broker.port) as listener:
        sink = connect(broker.port)
        sink.send([Message("status", b"online", retain=True)])
        sink.close()
        listener.say("stock/end")
        wait_for(lambda: listener.heard("stock/end"))
        assert listener.payloads("stock/n/status") == [b"online"]


def test_requests_are_heard_but_not_those_for_others_and_not_what_we_say(broker, connect):
    heard: Requests = Queue()
    sink = connect(broker.port, on_request=lambda *request: heard.put(request))
    with Subscriber(broker.port) as asker:
        asker.say("stock/other/request/ping", b"no")
        asker.say("stock/n/request/ack", b"{}")
        sink.send([Message("response/ack", b"{}"), Message("event", b"{}")])
        assert heard.get(timeout=5) == ("ack", b"{}")
        asker.say("stock/n/request/ping", b"")
        assert heard.get(timeout=5) == ("ping", b"")
        assert heard.empty()


def test_a_request_whose_answer_no_topic_could_hold_is_ignored(broker, connect, caplog):
    heard: Requests = Queue()
    sink = connect(broker.port, on_request=lambda *request: heard.put(request))
    with Subscriber(broker.port) as asker:
        asker.say("stock/n/request/" + "a" * (65535 - len("stock/n/request/")), b"{}")
        asker.say("stock/n/request/ping", b"")
        verb, _ = heard.get(timeout=5)
    assert verb == "ping"
    assert "a request with a name of 65519 letters is ignored" in caplog.text
    sink.send([Message(f"response/{verb}", b"{}")])


def test_retained_requests_are_ignored_at_each_connection(broker, connect, caplog):
    heard: Requests = Queue()
    with Subscriber(broker.port) as asker:
        asker.say("stock/n/request/snooze", b"old", retain=True)
        for _ in range(2):
            sink = connect(broker.port, on_request=lambda *request: heard.put(request))
            asker.say("stock/n/request/ping", b"new")
            assert heard.get(timeout=5) == ("ping", b"new")
            sink.close()
    assert heard.empty()
    assert "stock/n/request/snooze: a retained request is ignored" in caplog.text


def test_a_broken_line_is_noticed_at_once_and_nothing_more_is_accepted(broker, connect):
    lost = threading.Event()
    with Cutter(broker.port) as line:
        sink = connect(line.port, on_lost=lost.set)
        line.cut()
        assert lost.wait(5)
        assert sink.lost
        with pytest.raises(SinkError, match=rf"MQTT broker 127\.0\.0\.1:{line.port}: "):
            sink.send([Message("event", b"1")])


def test_a_second_daemon_of_the_same_name_is_suspected(broker, connect):
    first = connect(broker.port)
    connect(broker.port)
    why = wait_for(lambda: first.lost)
    assert why.endswith("soon after the login; is there another client named shelf-edge-n?")


def test_what_was_on_its_way_when_the_line_broke_is_not_sent_again_by_itself(
    broker, connect, monkeypatch
):
    given, publish = threading.Event(), paho.Client.publish

    def noted(*arguments, **options):
        info = publish(*arguments, **options)
        given.set()
        return info

    with Subscriber(broker.port) as listener, Cutter(broker.port) as line:
        sink = connect(line.port)
        line.silence()
        monkeypatch.setattr(paho.Client, "publish", noted)
        cut = threading.Thread(
            target=lambda: given.wait(30) and line.holds.wait(30) and line.cut()
        )  # the sink waits for the answer then
        cut.start()
        with pytest.raises(SinkError, match="connection lost"):
            sink.send([Message("event", b"lost")])
        cut.join()
        line.resume()
        sink.open(lambda verb, payload: None, lambda: None)
        sink.send([Message("event", b"later")])
        wait_for(lambda: listener.payloads("stock/n/event"))
        time.sleep(0.2)
        assert listener.payloads("stock/n/event") == [b"later"]


def test_a_broker_that_does_not_acknowledge_is_given_up(broker, connect, monkeypatch):
    monkeypatch.setattr("edge.sinks.mqtt.ACK_TIMEOUT_S", 0.5)
    with Cutter(broker.port) as line:
        sink = connect(line.port)
        line.silence()
        with pytest.raises(SinkError, match="no acknowledgement within"):
            sink.send([Message("event", b"1")])


def test_too_large_a_payload_is_refused_for_good(broker, connect):
    sink = connect(broker.port)
    with pytest.raises(SinkError, match="event: 300000 bytes are more than") as raised:
        sink.send([Message("event", b"x" * 300_000)])
    assert raised.value.permanent


def test_no_broker_is_explained(connect):
    port = free_port()
    with pytest.raises(SinkError, match=rf"MQTT broker 127\.0\.0\.1:{port}: Connection refused"):
        connect(port)


def test_an_unknown_scheme_is_answered_with_those_there_are():
    with pytest.raises(UsageError, match=r"unknown scheme 'mqqt'; use one of mqtt, mqtts, stdout"):
        open_sink(Destination("mqqt://x", "n"))


def test_a_wrong_password_is_told_without_it_and_may_be_corrected_in_its_file(tmp_path, connect):
    password = tmp_path / "password"
    with Mosquitto(tmp_path, users={"store": "r1ght & long"}) as broker:
        password.write_text("wr0ng\n")
        with pytest.raises(SinkError, match="login refused: Not authorized") as raised:
            connect(broker.port, username="store", password_file=password)
        assert "wr0ng" not in str(raised.value)
        assert not raised.value.permanent
        password.write_text("r1ght & long\n")
        sink = connect(broker.port, username="store", password_file=password)
        assert sink.lost is None


def test_a_password_changed_while_the_daemon_runs_is_hidden_from_then_on(tmp_path, broker, connect):
    password = tmp_path / "password"
    for word in ("Loquat-31", "Kumquat-62"):
        password.write_text(f"{word}\n")
        assert redact(f"refused: {word}") == f"refused: {word}"
        connect(broker.port, username="store", password_file=password)
        assert redact(f"refused: {word}") == "refused: ***"


def test_a_password_file_that_was_emptied_is_named(tmp_path, broker, connect):
    password = tmp_path / "password"
    password.write_text("\n")
    with pytest.raises(SinkError, match=f"password_file is an empty file; .*: {password}"):
        connect(broker.port, username="store", password_file=password)


def test_a_password_file_that_is_missing_is_named(tmp_path, broker, connect):
    with pytest.raises(SinkError, match=f"No such file or directory: {tmp_path}/nothing"):
        connect(broker.port, username="store", password_file=tmp_path / "nothing")


def test_a_destination_does_not_show_its_password():
    assert "s3cret" not in repr(Destination("mqtt://h", "n", "store", "s3cret"))


class Certificates:
    """A certificate authority with a certificate for 127.0.0.1 and one for a client."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._openssl = require_program("openssl")
        self.ca = folder / "ca.pem"
        self._call(
            *("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"),
            *("-days", "2", "-subj", "/CN=test authority"),
            *("-keyout", "ca.key", "-out", "ca.pem"),
        )
        self.server = self._issue("server")
        self.client = self._issue("client")

    def _issue(self, name: str) -> tuple[Path, Path]:
        self._call(
            *("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"),
            *("-subj", f"/CN={name}", "-keyout", f"{name}.key", "-out", f"{name}.csr"),
        )
        (self._folder / "names").write_text("subjectAltName=IP:127.0.0.1")
        self._call(
            *("x509", "-req", "-in", f"{name}.csr", "-CA", "ca.pem", "-CAkey", "ca.key"),
            *("-CAcreateserial", "-days", "2", "-extfile", "names", "-out", f"{name}.pem"),
        )
        return self._folder / f"{name}.pem", self._folder / f"{name}.key"

    def _call(self, *arguments: str) -> None:
        command = [self._openssl, *arguments]
        subprocess.run(command, cwd=self._folder, check=True, capture_output=True)


def test_tls_with_a_password_works_and_an_unknown_authority_is_not_trusted(tmp_path, connect):
    made = Certificates(tmp_path)
    password = tmp_path / "password"
    password.write_text("secret\n")
    login = {"scheme": "mqtts", "username": "store", "password_file": password}
    with Mosquitto(tmp_path, users={"store": "secret"}, tls=(made.ca, *made.server)) as broker:
        sink = connect(broker.port, ca=made.ca, **login)
        sink.send([Message("event", b"1")])
        with pytest.raises(SinkError, match="certificate is not trusted: self-signed"):
            connect(broker.port, **login)


def test_a_broker_may_ask_for_our_certificate(tmp_path, connect):
    made = Certificates(tmp_path)
    options = "require_certificate true"
    with Mosquitto(tmp_path, tls=(made.ca, *made.server), options=options) as broker:
        cert, key = made.client
        sink = connect(broker.port, scheme="mqtts", ca=made.ca, cert=cert, key=key)
        sink.send([Message("event", b"1")])
        with pytest.raises(SinkError, match=f"MQTT broker 127.0.0.1:{broker.port}: "):
            connect(broker.port, scheme="mqtts", ca=made.ca)


def test_tls_to_a_port_that_does_not_speak_it_is_explained(broker, connect, tmp_path):
    made = Certificates(tmp_path)
    with pytest.raises(SinkError, match=f"MQTT broker 127.0.0.1:{broker.port}: "):
        connect(broker.port, scheme="mqtts", ca=made.ca)


def test_stdout_prints_a_line_a_message(connect, capsys):
    sink = open_sink(Destination("stdout:", "n"))
    sink.open(lambda verb, payload: None, lambda: None)
    sink.send([Message("event", '{"name":"우유"}'.encode()), Message("slot/a/image", b"\xff\xd8")])
    assert (
        capsys.readouterr().out == 'stock/n/event {"name":"우유"}\nstock/n/slot/a/image (2 bytes)\n'
    )
