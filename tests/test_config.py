"""What an operator reads when a file is wrong: each mistake gets one message and exit code 78."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from conftest import REPOSITORY, require_data
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from edge import doctor, yamlfile
from edge.config import load, load_planogram, load_site
from edge.errors import ConfigError
from edge.redact import redact
from edge.sinks import OPENERS
from edge.sinks.stdout import StdoutSink
from edge.types import Slot
from edge.yamlfile import parse_yaml

PASSWORD = "hunter2-s3cret"
SITE = """\
version: 1
node: store-0042
cameras:
  - id: aisle-1
    url: rtsp://viewer:Pomelo-77@192.0.2.10/stream1
    every_s: 5
"""
DEMOS = ('"demo:?seed=1"', '"demo:?seed=2"')
SLOT = "{id: a, name: Tea, quad: [[0.1, 0.1], [0.3, 0.1], [0.3, 0.4], [0.1, 0.4]]}"
PLANOGRAM = f"""\
version: 1
cameras:
  aisle-1:
    slots:
      - {SLOT}
"""


@pytest.fixture(autouse=True)
def _empty_surroundings(monkeypatch):
    for name in ("STATE_DIRECTORY", "CREDENTIALS_DIRECTORY", "AISLE1_PASSWORD"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    """The current folder, so that messages begin with the bare file name."""
    monkeypatch.chdir(tmp_path)
    return Path()


def write(name: str, text: str | bytes) -> Path:
    path = Path(name)
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def problems(site: str | bytes, planogram: str | bytes | None = None) -> list[str]:
    """Load a site (and its planogram) that must not be accepted; return what is said."""
    if planogram is not None:
        write("planogram.yaml", planogram)
        site = site if isinstance(site, bytes) else site + "planogram: planogram.yaml\n"
    with pytest.raises(ConfigError) as caught:
        load(write("site.yaml", site))
    assert caught.value.exit_code == 78
    assert str(caught.value).splitlines() == list(caught.value.problems)
    assert PASSWORD not in str(caught.value)
    assert redact(str(caught.value)) == str(caught.value)  # as `edge` prints it
    return list(caught.value.problems)


def problem(site: str | bytes, planogram: str | bytes | None = None) -> str:
    found = problems(site, planogram)
    assert len(found) == 1, found
    return found[0]


# What is right.


def test_the_sample_files_are_valid(monkeypatch):
    monkeypatch.setenv("AISLE1_PASSWORD", "p@ss/w rd")
    config = load(REPOSITORY / "configs/site.yaml")
    site = config.site
    assert site.node == "store-0042"
    assert [(c.id, c.url, c.every_s) for c in site.cameras] == [
        ("aisle-1", "rtsp://viewer:p%40ss%2Fw%20rd@192.0.2.10/stream1", 5.0),
        ("fridge", "usb:0", 5.0),
    ]
    assert site.bundle is None
    assert site.state == REPOSITORY / "configs/state"
    assert site.decision.confirm_s == 30
    assert site.decision.empty_above is None, "a bundle's own thresholds are not overruled"
    assert site.mqtt.embedded
    assert site.web.listen_address == ("127.0.0.1", 8080)
    assert [slot.slot_id for slot in config.planogram.slots_of("aisle-1")] == [
        "a1-01",
        "a1-02",
        "a1-03",
    ]
    assert config.planogram.slots_of("fridge") == ()


def test_what_is_not_written_has_its_default(folder):
    config = load(write("site.yaml", SITE))
    assert config.site.state == Path.cwd() / "state"
    assert config.site.mqtt.url == "embedded"
    assert config.site.mqtt.listen_address == ("127.0.0.1", 1883)
    assert config.site.decision.empty_above is None  # the bundle decides
    assert config.planogram.slots == ()


def test_a_slot_comes_out_as_it_was_written(folder):
    slot = SLOT.replace("name:", 'sku: "0123", priority: 2, name:')
    planogram = load_planogram(write("planogram.yaml", PLANOGRAM.replace(SLOT, slot)))
    quad = ((0.1, 0.1), (0.3, 0.1), (0.3, 0.4), (0.1, 0.4))
    assert planogram.slots == (Slot("a", "aisle-1", quad, "Tea", sku="0123", priority=2),)


@pytest.mark.parametrize("name", ["bottles", "aisle", "thai-shelf"])
def test_the_planograms_of_real_recordings_are_valid(name):
    path = require_data(f"sequences/{name}/planogram.yaml")
    assert len(load_planogram(path).slots) >= 3


def test_a_camera_may_hang_upside_down(folder):
    turned = SLOT.replace(
        "[[0.1, 0.1], [0.3, 0.1], [0.3, 0.4], [0.1, 0.4]]",
        "[[0.3, 0.4], [0.1, 0.4], [0.1, 0.1], [0.3, 0.1]]",
    )
    assert load_planogram(write("planogram.yaml", PLANOGRAM.replace(SLOT, turned))).slots


def test_systemd_says_where_the_state_goes(folder, monkeypatch):
    monkeypatch.setenv("STATE_DIRECTORY", "/var/lib/shelf-edge:/var/lib/second")
    assert load_site(write("site.yaml", SITE)).state == Path("/var/lib/shelf-edge")
    written = load_site(write("site.yaml", SITE + "state: here/\n"))
    assert written.state == Path.cwd() / "here"


def test_paths_are_relative_to_the_file_they_stand_in(folder):
    Path("sub").mkdir()
    for name in ("model.onnx", "mqtt.password"):
        write(f"sub/{name}", "Quince-12\n")
    write("sub/planogram.yaml", PLANOGRAM.replace("aisle-1", "film"))
    site = (
        "version: 1\nnode: a\nplanogram: planogram.yaml\nmodel: model.onnx\n"
        "cameras: [{id: film, url: 'file:film.mp4'}, {id: pictures, url: 'folder:/srv/p'}]\n"
        "mqtt: {url: 'mqtt://broker', username: u, password_file: mqtt.password}\n"
    )
    config = load(write("sub/site.yaml", site))
    here = Path.cwd() / "sub"
    assert [c.url for c in config.site.cameras] == [f"file:{here}/film.mp4", "folder:/srv/p"]
    assert config.site.bundle == here / "model.onnx"
    assert config.site.mqtt.password_file == here / "mqtt.password"
    assert len(config.planogram.slots) == 1


def test_a_password_may_come_as_a_systemd_credential(folder, monkeypatch):
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(Path.cwd()))
    write("AISLE1_PASSWORD", "Sorb:3\n")
    site = load_site(write("site.yaml", SITE.replace(":Pomelo-77@", ":${AISLE1_PASSWORD}@")))
    assert site.cameras[0].url == "rtsp://viewer:Sorb%3A3@192.0.2.10/stream1"


def test_a_password_file_may_lie_where_systemd_puts_credentials(folder, monkeypatch):
    site = SITE + (
        "mqtt: {url: 'mqtt://h', username: u,"
        " password_file: '${CREDENTIALS_DIRECTORY}/mqtt.password'}\n"
    )
    assert "${…} in it names no environment variable that is set" in problem(site)
    Path("secrets").mkdir()
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(Path.cwd() / "secrets"))
    assert "mqtt.password_file: there is no such file" in problem(site)
    written = write("secrets/mqtt.password", "Quince-12\n")
    found = load_site(write("site.yaml", site)).mqtt.password_file
    assert found is not None
    assert found.samefile(written)


def test_no_text_form_of_the_site_shows_the_login(folder):
    site = load_site(write("site.yaml", SITE.replace(":Pomelo-77@", f":{PASSWORD}@")))
    assert PASSWORD not in repr(site)
    assert PASSWORD not in str(site)


def test_a_password_is_hidden_in_all_output_once_it_was_read(folder, monkeypatch):
    monkeypatch.setenv("AISLE1_PASSWORD", "Mirabelle/9")
    write("mqtt.password", "Physalis-4\n")
    site = SITE.replace(":Pomelo-77@", ":${AISLE1_PASSWORD}@")
    site += "  - {id: b, url: 'http://u:Damson-55@h/s'}\n"
    load_site(
        write(
            "site.yaml", site + "mqtt: {url: 'mqtt://h', username: u, password_file: mqtt.password}"
        )
    )
    said = "FFmpeg: Mirabelle/9, Mirabelle%2F9, Physalis-4 and Damson-55 were refused"
    assert redact(said) == "FFmpeg: ***, ***, *** and *** were refused"


def test_the_digest_follows_every_setting_but_the_passwords(folder):
    digest = load_site(write("site.yaml", SITE)).digest()
    other_password = SITE.replace(":Pomelo-77@", ":Tangerine-8@")
    assert load_site(write("site.yaml", other_password)).digest() == digest
    assert load_site(write("site.yaml", SITE.replace(": 5", ": 6"))).digest() != digest
    assert load_site(write("site.yaml", SITE.replace("/stream1", "/2"))).digest() != digest
    demo = [SITE.replace("rtsp://viewer:Pomelo-77@192.0.2.10/stream1", url) for url in DEMOS]
    assert len({load_site(write("site.yaml", text)).digest() for text in demo}) == 2


def test_the_size_of_the_reference_picture_is_known(folder):
    cv2.imwrite("aisle-1.jpg", np.zeros((90, 160, 3), np.uint8))
    text = PLANOGRAM.replace("    slots:", "    reference: aisle-1.jpg\n    slots:")
    planogram = load_planogram(write("planogram.yaml", text))
    assert planogram.reference_size("aisle-1") == (160, 90)
    assert planogram.reference_size("other") is None
    Path("aisle-1.jpg").unlink()  # the pages ask again and again
    assert planogram.reference_size("aisle-1") == (160, 90)


def test_a_forwarding_broker_with_users_may_be_reached_from_outside(folder):
    write("phone.password", "Kumquat-3\n")
    mqtt = "mqtt: {listen: '0.0.0.0:1884', users: {phone: phone.password}}\n"
    site = load_site(write("site.yaml", SITE + mqtt))
    assert site.mqtt.listen_address == ("0.0.0.0", 1884)
    assert site.mqtt.passwords() == {"phone": "Kumquat-3"}


# Files that are no configuration at all.


def test_no_file(folder):
    with pytest.raises(ConfigError) as caught:
        load(Path("site.yaml"))
    assert caught.value.exit_code == 78
    assert str(caught.value).startswith("site.yaml: no such file; write one")
    assert "edge demo" in str(caught.value)


def test_a_folder_instead_of_a_file(folder):
    Path("site.yaml").mkdir()
    with pytest.raises(ConfigError, match=r"^site\.yaml: cannot be read: Is a directory$"):
        load(Path("site.yaml"))


@pytest.mark.parametrize("text", ["", "# only a comment\n", "---\n", "null\n"])
def test_an_empty_file(folder, text):
    assert problem(text).startswith("site.yaml: is empty; write one")


def test_a_list_instead_of_keys(folder):
    assert problem("# cameras\n- rtsp://x\n") == "site.yaml:2: must be lines of `key: value`"


def test_yaml_that_does_not_parse(folder):
    said = problem(SITE + "web: {listen: x\n")
    assert said.startswith("site.yaml:8: is no valid YAML: expected ',' or '}'")
    assert said.endswith("a brace or a comma is missing")


def test_wrong_indentation(folder):
    said = problem(SITE.replace("    every_s: 5", "   every_s: 5"))
    assert said.startswith("site.yaml:6: is no valid YAML: ")
    assert "check the indentation" in said


def test_a_tab(folder):
    assert problem(SITE.replace("    every_s", "\tevery_s")) == (
        "site.yaml:6: a tab; YAML wants spaces"
    )


def test_a_name_to_fill_in_needs_quotes_inside_braces(folder):
    text = SITE + "  - {id: b, url: rtsp://u:${PW}@h/s}\n"
    assert problem(text) == (
        "site.yaml:7: is no valid YAML: inside { } a value with ${NAME} needs quotes"
    )


def test_another_encoding(folder):
    text = SITE.encode() + "# Kühlregal\n".encode("latin-1")
    assert problem(text) == "site.yaml:7: is not UTF-8 text; save it as UTF-8"


def test_a_control_character(folder):
    assert problem(SITE + "# \x07\n").startswith("site.yaml:7: holds a character")


def test_two_documents_in_one_file(folder):
    assert problem(SITE + "---\nversion: 1\n") == (
        "site.yaml:7: a second document (---) begins; one is enough"
    )


@pytest.mark.parametrize(
    ("value", "said"),
    [("&x", "& or *"), (f"*{PASSWORD}", "& or *"), (f"!{PASSWORD} x", "begins with !")],
)
def test_anchors_and_tags_are_refused_without_being_quoted(folder, value, said):
    text = SITE.replace("store-0042", value) + ("web: *x\n" if value == "&x" else "")
    assert any(said in line for line in problems(text))


def test_a_bomb_of_aliases_ends_at_once(folder):
    bomb = "a0: &a0 [x, x]\n"
    bomb += "".join(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, 40))
    assert any("anchors and aliases" in line for line in problems(SITE + bomb))


def test_endless_nesting(folder):
    assert problem("a: " + "[" * 5_000) == "site.yaml: is nested too deeply"


# Keys and values.


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("every_s", "every", "site.yaml:6: cameras[0].every: unknown key; did you mean every_s?"),
        ("node:", "nod:", "site.yaml:2: nod: unknown key; did you mean node?"),
        ("url:", "adress:", "unknown key; known here: blackout, every_s, id, url"),
        ("every_s: 5", "every_s: fast", "[0].every_s: must be a number, not text"),
        ("every_s: 5", "every_s: true", "[0].every_s: must be a number, not True"),
        ("every_s: 5", "every_s: 0", "[0].every_s: 0 must be at least 0.1"),
        ("every_s: 5", "every_s: -2.5", "[0].every_s: -2.5 must be at least 0.1"),
        ("every_s: 5", "every_s: 1e-9", "must be at least 0.1"),
        ("every_s: 5", "every_s: .nan", "[0].every_s: must be a finite number"),
        ("every_s: 5", "every_s: 1.0e+9", "must be at most 3600"),
        ("every_s: 5", "every_s:", "every_s: is empty; it must be a number, or remove the key"),
        ("every_s: 5", "every_s: [5]", "every_s: must be a number, not a list"),
        ("store-0042", "0042", 'site.yaml:2: node: must be text; put it in quotes: "0042"'),
        ("store-0042", "no", 'site.yaml:2: node: must be text; put it in quotes: "no"'),
        ("store-0042", "Store 42", "node: must be small letters, digits, - and _"),
        ("store-0042", "Store 42", "did you mean store-42?"),
        ("store-0042", "-a", "begin with a letter or digit; did you mean a?"),
        ("aisle-1", "aisle/1", "site.yaml:4: cameras[0].id: must be small letters"),
        ("aisle-1", "+", "site.yaml:4: cameras[0].id: must be small letters"),
        ("version: 1", "version: 0", "site.yaml:1: version: must be 1"),
        ("version: 1", 'version: "1"', "site.yaml:1: version: must be 1"),
        ("node: store-0042\n", "", "site.yaml:1: node: is missing"),
        ("version: 1\n", "", "site.yaml:1: version: is missing"),
    ],
)
def test_a_wrong_key_or_value_says_where_and_what(folder, old, new, said):
    assert any(said in line for line in problems(SITE.replace(old, new)))


def test_a_typo_is_one_problem_not_two(folder):
    assert problem(SITE.replace("url:", "ulr:")).endswith("unknown key; did you mean url?")


def test_a_newer_file_is_judged_by_nothing_but_its_version(folder):
    assert problem(SITE.replace("version: 1", "version: 2") + "new_thing: 1\n") == (
        "site.yaml:1: version: 2 was written for a newer shelf-edge; this one reads 1: update it"
    )


def test_a_key_that_stands_twice(folder):
    assert problem(SITE + "node: other\n") == (
        "site.yaml:7: node: stands here twice, first on line 2; remove one"
    )
    inside = SITE.replace("    every_s: 5", "    every_s: 5\n    every_s: 6")
    assert problem(inside).startswith("site.yaml:7: cameras[0].every_s: stands here twice")


@pytest.mark.parametrize("key", ["hours", "privacy", "pictures", "log", "metrics", "updates"])
def test_keys_of_a_later_version_are_refused(folder, key):
    assert problem(SITE + f"{key}: {{}}\n") == (
        f"site.yaml:7: {key}: is reserved for a later version of shelf-edge; remove it"
    )


@pytest.mark.parametrize(
    ("cameras", "said"),
    [
        ("cameras: []", "cameras: needs at least one camera"),
        ("cameras:", "cameras: is empty; it must be a list, or remove the key"),
        ("cameras: {id: a}", "cameras: must be a list, not a mapping"),
        ("cameras: rtsp://u:" + PASSWORD + "@h", "cameras: must be a list, not text"),
        ("cameras: [usb]", "cameras[0]: must be lines of `key: value`, not text"),
        ("cameras: [{id: a}]", "cameras[0].url: is missing"),
    ],
)
def test_cameras_must_be_a_list_of_cameras(folder, cameras, said):
    assert problem(f"version: 1\nnode: a\n{cameras}\n") == f"site.yaml:3: {said}"


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("demo:?sed=1", "demo: has no option 'sed'; did you mean 'seed'?"),
        ("demo:?slots=x", "demo: slots=x: must be a whole number"),
        ("usb:", "which camera? write usb:0 or usb:/dev/video0"),
        ("usb:nonsense", "which camera? write usb:0 or usb:/dev/video0"),
        ("usb:0?size=large", "only a size may follow; write usb:0?size=1280x720"),
        ("usb:0?siz=1x1", "only a size may follow; write usb:0?size=1280x720"),
    ],
)
def test_what_a_cameras_url_says_wrongly_is_told_with_its_line(folder, url, said):
    found = problem(f"version: 1\nnode: a\ncameras:\n  - {{id: a, url: '{url}'}}\n")
    assert found.startswith(f"site.yaml:4: cameras[0].url: {said}")


def test_variables_are_filled_in_in_every_path(folder, monkeypatch):
    monkeypatch.setenv("SHOP", str(Path("shop").absolute()))
    Path("shop").mkdir()
    write("shop/planogram.yaml", PLANOGRAM)
    site = SITE + 'planogram: "${SHOP}/planogram.yaml"\nstate: "${SHOP}/state"\n'
    config = load(write("site.yaml", site))
    assert config.site.state == Path("shop/state").absolute()
    assert config.planogram.slots
    assert "~ is not understood here" in problem(site.replace("${SHOP}/st", "~/st"))
    assert "~ is not understood here" in problem(site.replace("${SHOP}/planogram", "~/planogram"))


def test_two_cameras_of_the_same_id(folder):
    text = SITE + "  - {id: aisle-1, url: 'usb:0'}\n"
    assert problem(text) == (
        "site.yaml:7: cameras[1].id: the same id stands on line 4; ids are unique"
    )


def test_several_mistakes_are_told_at_once_with_those_of_the_planogram(folder):
    site = SITE.replace("rtsp", "rstp").replace("every_s", "every") + "hours: 9-18\n"
    planogram = PLANOGRAM.replace("aisle-1", "aisl-1").replace("0.4]]", "1.4]]")
    assert problems(site, planogram) == [
        "site.yaml:5: cameras[0].url: unknown scheme rstp:; did you mean rtsp?",
        "site.yaml:6: cameras[0].every: unknown key; did you mean every_s?",
        "site.yaml:7: hours: is reserved for a later version of shelf-edge; remove it",
        "planogram.yaml:3: cameras.aisl-1: site.yaml has no such camera; did you mean aisle-1?",
        "planogram.yaml:5: cameras.aisl-1.slots[0].quad: point 4 (0.1, 1.4) is outside the "
        "picture (0 to 1)",
    ]


# Addresses.


@pytest.mark.parametrize(
    ("url", "said"),
    [
        (f"rstp://u:{PASSWORD}@h/s", "unknown scheme rstp:; did you mean rtsp?"),
        (f"gopher://u:{PASSWORD}@h/s", "unknown scheme gopher:; known here: demo, file, "),
        (f"{PASSWORD}@192.0.2.1:554", "must begin with the kind of camera: demo:, file:, "),
        ("192.0.2.1/stream", "must begin with the kind of camera: "),
        (f"rtsp://u:{PASSWORD}@/s", "has no usable host or port; write it like rtsp://host/path"),
        (f"http://u:{PASSWORD}@h:99999/s", "has no usable host or port"),
        (f"rtsp://u:{PASSWORD}@[h/s", "has no usable host or port"),
        (f"rtsp://u:{PASSWORD}@h/a b", "has no usable host or port"),
        (f"rtsp://u:{PASSWORD}${{NOPE}}@h/s", "${NOPE} not set: put it into the environment"),
        (f"rtsp://u:{PASSWORD}${{}}@h/s", "${} not set"),
        ("rtsp://${A}:${B}@h/s", "${A} and ${B} not set"),
    ],
)
def test_a_camera_address_that_cannot_be_is_not_repeated(folder, url, said):
    text = SITE.replace("rtsp://viewer:Pomelo-77@192.0.2.10/stream1", f'"{url}"')
    assert problem(text).startswith(f"site.yaml:5: cameras[0].url: {said}")


def test_an_empty_password_is_as_good_as_none(folder, monkeypatch):
    monkeypatch.setenv("AISLE1_PASSWORD", "")
    assert "${AISLE1_PASSWORD} not set" in problem(
        SITE.replace(":Pomelo-77@", ":${AISLE1_PASSWORD}@")
    )


def test_a_credential_is_looked_up_by_name_only(folder, monkeypatch):
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(Path.cwd()))
    write("elsewhere", "x")
    assert "not set" in problem(SITE.replace(":Pomelo-77@", ":${../elsewhere}@"))


@pytest.mark.parametrize("url", ["filelog:/var/log/stock.log", "hook://shop.example/stock?x=1"])
def test_a_sink_of_ones_own_says_itself_what_its_url_means(folder, monkeypatch, url):
    for scheme in ("filelog", "hook"):
        monkeypatch.setitem(OPENERS, scheme, StdoutSink)
    site = load_site(write("site.yaml", f"{SITE}\nmqtt: {{url: '{url}'}}\n"))
    assert site.mqtt.url == url
    found = doctor._broker(site)
    assert found.ok is None
    assert found.says == f"{url.partition(':')[0]}: is no broker; the daemon tries it"


@pytest.mark.parametrize(
    ("mqtt", "said"),
    [
        ("url: mqt://h", "mqtt.url: unknown scheme mqt; did you mean mqtt?"),
        (
            "url: 'embedded:'",
            "mqtt.url: must be the word embedded alone; its address stands",
        ),
        ("url: stdout", 'mqtt.url: must be written as "stdout:"'),
        ("url: mqtt", 'mqtt.url: must be written as "mqtt://host:1883"'),
        ("url: embeded", "mqtt.url: unknown scheme embeded; did you mean embedded?"),
        (f"url: 'mqtt://u:{PASSWORD}@h'", "mqtt.url: holds a login; write username and"),
        ("url: 'mqtt://'", "mqtt.url: has no usable host or port; write it like mqtt://host:1883"),
        ("url: 'mqtts://h:x'", "mqtt.url: has no usable host or port; write it like mqtts://host"),
        ("url: 'mqtt://h/topic'", "mqtt.url: must end with the port: mqtt://host:port"),
        ("url: 'mqtt://h', listen: '127.0.0.1:1'", "mqtt.listen: is for url: embedded only"),
        ("url: 'mqtt://h', ca: here", "mqtt.ca: is for mqtts: only"),
        ("url: 'mqtts://h', cert: here", "mqtt.cert: cert and key are needed together"),
        ("url: 'mqtts://h', key: here", "mqtt.key: cert and key are needed together"),
        ("url: 'mqtts://h', ca: here", "mqtt.ca: is no PEM file of certificates"),
        (
            "url: 'mqtts://h', cert: here, key: here",
            "mqtt.cert: cert and key must be a pair of PEM",
        ),
        ("url: 'mqtts://h', ca: nowhere", "mqtt.ca: there is no such file"),
        ("url: 'mqtt://h', password_file: here", "mqtt.password_file: needs a username"),
        (f"url: 'mqtt://h', password_file: {PASSWORD}", "password_file: there is no such file"),
        ("url: 'mqtt://h', username: u, password_file: empty", "password_file: is an empty file"),
        ("url: 'mqtt://h', username: u, password_file: .", "cannot be read: Is a directory"),
        (f"url: 'mqtt://h', password: {PASSWORD}", "mqtt.password: unknown key; did you mean pass"),
        (f"users: {{bob: {PASSWORD}}}", "mqtt.users.bob: there is no such file"),
        ("users: {bob: 1234}", "mqtt.users.bob: must be a path"),
        ("users: {shelf-edge: here}", "mqtt.users: shelf-edge is the daemon's own name"),
        ("username: u", "mqtt.username: has no meaning with url: embedded; remove it"),
        ("listen: '0.0.0.0:1883'", "mqtt.listen: is reachable from outside, which needs `users`"),
        ("listen: '192.0.2.1:1883'", "mqtt.listen: is reachable from outside"),
        ("listen: 'shop.example:1883'", "mqtt.listen: is reachable from outside"),
        ("listen: '127.0.0.1'", "mqtt.listen: must be an address and a port, such as"),
        ("listen: '127.0.0.1:70000'", "mqtt.listen: must be an address and a port, such as"),
        ("listen: 1883", 'mqtt.listen: must be text; put it in quotes: "1883"'),
    ],
)
def test_a_broker_that_cannot_be(folder, mqtt, said):
    write("here", "Quince-12")
    write("empty", "")
    assert said in problem(SITE + f"mqtt: {{{mqtt}}}\n")


@pytest.mark.parametrize("listen", ["127.0.0.1:0", "[::1]:1883", "localhost:1883", "127.9.9.9:1"])
def test_this_machine_alone_needs_no_users(folder, listen):
    assert load_site(write("site.yaml", SITE + f"mqtt: {{listen: '{listen}'}}\n"))


def test_a_page_that_cannot_listen(folder):
    assert problem(SITE + "web: {listen: nowhere}\n").startswith("site.yaml:7: web.listen: must be")


# Decision.


@pytest.mark.parametrize(
    ("decision", "said"),
    [
        ("empty_above: 0.3, stocked_below: 0.4", "empty_above: 0.3 must be above stocked_below"),
        ("empty_above: 0.4, stocked_below: 0.4", "empty_above: 0.4 must be above stocked_below"),
        ("empty_above: 1.2", "empty_above: 1.2 must be below 1"),
        ("stocked_below: -0.1", "stocked_below: -0.1 must be above 0"),
        ("misplaced_below: 0", "misplaced_below: 0 must be above 0"),
        ("misplaced_below: 1.0", "misplaced_below: 1.0 must be below 1"),
        ("misplaced: 0.1", "misplaced: unknown key; did you mean misplaced_below?"),
        ("confirm_s: -1", "confirm_s: -1 must be at least 0"),
        ("unknown_after_s: 0", "unknown_after_s: 0 must be above 0"),
        ("confirm: 3", "confirm: unknown key; did you mean confirm_s?"),
    ],
)
def test_a_decision_that_cannot_be(folder, decision, said):
    assert problem(SITE + f"decision: {{{decision}}}\n").startswith(f"site.yaml:7: decision.{said}")


# Files that site.yaml names.


def test_a_model_that_is_not_there(folder):
    assert problem(SITE + "model: mine.onnx\n").startswith("site.yaml:7: model: there is no such")


def test_a_planogram_that_is_not_there(folder):
    assert problem(SITE + "planogram: nowhere.yaml\n") == (
        "site.yaml:7: planogram: there is no such file; draw one with `edge calibrate`"
    )


def test_a_planogram_that_does_not_parse(folder):
    assert problem(SITE, "version: 1\ncameras: [\n").startswith("planogram.yaml:3: is no valid")


def test_an_empty_planogram(folder):
    assert problem(SITE, "") == "planogram.yaml: is empty; draw one with `edge calibrate`"


def test_slots_of_a_camera_that_the_site_lacks(folder):
    assert problem(SITE, PLANOGRAM.replace("aisle-1", "aisle-2")) == (
        "planogram.yaml:3: cameras.aisle-2: site.yaml has no such camera; did you mean aisle-1?"
    )


def test_a_reference_picture_that_is_not_there(folder):
    text = PLANOGRAM.replace("    slots:", "    reference: nowhere.jpg\n    slots:")
    assert problem(SITE, text).startswith(
        "planogram.yaml:4: cameras.aisle-1.reference: there is no such file"
    )


@pytest.mark.parametrize("picture", [b"", b"no picture"])
def test_a_reference_picture_that_is_none(folder, picture):
    write("x.jpg", picture)
    text = PLANOGRAM.replace("    slots:", "    reference: x.jpg\n    slots:")
    assert problem(SITE, text) == (
        "planogram.yaml:4: cameras.aisle-1.reference: is no picture that can be read"
    )


# Slots.


@pytest.mark.parametrize(
    ("quad", "said"),
    [
        ("[[0, 0], [1, 0], [1, 1]]", "needs 4 points (top left, top right, bottom right"),
        ("[[0, 0], [1, 0], [1, 1.01], [0, 1]]", "point 3 (1, 1.01) is outside the picture"),
        ("[[-0.1, 0], [1, 0], [1, 1], [0, 1]]", "point 1 (-0.1, 0) is outside the picture"),
        ("[[9, 9], [640, 9], [640, 480], [9, 480]]", "divide pixels by the picture's width"),
        ("[[0, 0], [1, 1], [1, 0], [0, 1]]", "is twisted: two of its edges cross"),
        ("[[0, 0], [1, 0], [0, 1], [1, 1]]", "is twisted: two of its edges cross"),
        ("[[0.5, 0.5], [0.5, 0.5], [0.5, 0.5], [0.5, 0.5]]", "has no area"),
        ("[[0, 0], [0.4, 0], [1, 0], [0.2, 0]]", "has no area"),
        ("[[0, 0], [0.001, 0], [0.001, 0.001], [0, 0.001]]", "has no area"),
        ("[[1, 0], [0, 0], [0, 1], [1, 1]]", "is mirrored: its points run anticlockwise"),
        ("[[0, 0], [1, 0], [0.2, 0.2], [0, 1]]", "is not convex"),
        ("[[0, 0], [1, 0], [0.5, 0.5], [0, 1]]", "is not convex"),
        ("[[0, 0], [1, 0], [1, x], [0, 1]]", "[2][1]: must be a number, not text"),
        ("[[0, 0], [1, 0], [1], [0, 1]]", "[2][1]: is missing"),
        ("[[0, 0], [1, .inf], [1, 1], [0, 1]]", "[1][1]: must be a finite number"),
        ("here", "must be a list, not text"),
    ],
)
def test_a_quad_that_cannot_be(folder, quad, said):
    said_where = "planogram.yaml:5: cameras.aisle-1.slots[0].quad"
    line = problem(SITE, PLANOGRAM.replace(SLOT, f"{{id: a, name: Tea, quad: {quad}}}"))
    assert line.startswith(said_where)
    assert said in line


def test_a_name_in_a_yaml_block_is_one_line(folder):
    block = SLOT.replace("Tea", r'"Green\ntea\n"')
    (slot,) = load_planogram(write("planogram.yaml", PLANOGRAM.replace(SLOT, block))).slots
    assert slot.name == "Green tea"


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("name: Tea", "nme: Tea", "slots[0].nme: unknown key; did you mean name?"),
        ("name: Tea", 'name: ""', "slots[0].name: must not be empty"),
        ("name: Tea", r'name: "\n"', "slots[0].name: must not be empty"),
        ("name: Tea", r'name: "Tea \e[2J"', "slots[0].name: holds control characters"),
        ("name: Tea", r'name: "Tea\0"', "slots[0].name: holds control characters"),
        ("id: a", "id: A1", "slots[0].id: must be small letters"),
        (
            "name: Tea",
            "name: Tea, sku: 0123",
            'slots[0].sku: must be text; put it in quotes: "0123',
        ),
        ("name: Tea", "name: Tea, priority: 0", "slots[0].priority: 0 must be at least 1"),
        ("name: Tea", "name: Tea, priority: 1.5", "slots[0].priority: must be a whole number"),
        ("  aisle-1", "  Aisle 1", "cameras.Aisle 1: must be small letters"),
    ],
)
def test_a_slot_that_cannot_be(folder, old, new, said):
    assert any(said in line for line in problems(SITE, PLANOGRAM.replace(old, new)))


def test_two_slots_of_the_same_id_in_the_node(folder):
    site = SITE + "  - {id: fridge, url: 'usb:0'}\n"
    planogram = PLANOGRAM + f"  fridge:\n    slots:\n      - {SLOT}\n"
    assert problem(site, planogram) == (
        "planogram.yaml:8: cameras.fridge.slots[0].id: the same id stands on line 5; ids are unique"
    )


# Anything at all.

PIECES = [*SITE.split("\n"), *PLANOGRAM.split("\n"), "mqtt:", "  url: embedded", "  users: {a: b}"]
TEXTS = st.one_of(
    st.text(max_size=200),
    st.lists(st.sampled_from(PIECES) | st.text("ab:-[]{}&*!'\"%#,.019 \t\\$~", max_size=12)).map(
        "\n".join
    ),
)


@given(site=TEXTS, planogram=TEXTS)
@example(site='"\\ud800": 1\nnode: "\\0"\nmodel: "\\0"', planogram="cameras: {? [a] : b}")
@example(site="cameras: [{id: 0x_, url: 'file:\0'}]", planogram="a: 2024-13-45\n=: !!int x")
@settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
def test_any_text_is_a_valid_configuration_or_told_what_is_wrong(tmp_path, site, planogram):
    shutil.rmtree(tmp_path)
    tmp_path.mkdir()
    site_path, planogram_path = tmp_path / "site.yaml", tmp_path / "planogram.yaml"
    site_path.write_bytes((site + "\nplanogram: planogram.yaml\n").encode("utf-8", "replace"))
    planogram_path.write_bytes(planogram.encode("utf-8", "replace"))
    for load_one, path in ((load, site_path), (load_planogram, planogram_path)):
        for line in _told(load_one, path):
            line.encode()  # can be printed
            assert line.isprintable()
            assert line.startswith(str(tmp_path))


ODDS = st.text('ab1:-[]{}&*!?|>%@`"#,. \n\\\t', min_size=1, max_size=3)


@given(text=TEXTS, planogram=st.just(PLANOGRAM + SITE), at=st.integers(0, 200), odd=ODDS)
@settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
def test_what_is_read_quickly_is_read_as_pyyaml_reads_it(monkeypatch, text, planogram, at, odd):
    for one in (text, planogram[:at] + odd + planogram[at:]):
        quick = parse_yaml(Path("a.yaml"), one.encode("utf-8", "replace"), "")
        with monkeypatch.context() as patch:
            patch.setattr(yamlfile, "READ_OTHERWISE", re.compile(""))  # nothing is read quickly
            assert parse_yaml(Path("a.yaml"), one.encode("utf-8", "replace"), "") == quick


@pytest.mark.parametrize("text", ["[" * 200_000, "- " * 200_000, "{a: " * 200_000])
def test_a_file_that_is_nested_endlessly_is_refused(text):
    (told,) = parse_yaml(Path("a.yaml"), text.encode(), "").problems
    assert told.message == "is nested too deeply"


def test_what_is_written_by_the_page_is_read_quickly():
    assert issubclass(yamlfile.QuickLoader, yamlfile.Composer)
    assert not yamlfile.READ_OTHERWISE.search(PLANOGRAM + 'name: "콜라 1.5 L (12%) 50 % & Co."')


def test_without_libyaml_files_are_read_all_the_same():
    code = (
        "import yaml; yaml.__with_libyaml__ = False\n"
        "from pathlib import Path; from edge import yamlfile\n"
        "assert yamlfile.QuickLoader is yamlfile.Loader\n"
        "assert yamlfile.parse_yaml(Path('a'), b'a: 1e-3', '').data == {'a': 0.001}\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=REPOSITORY)


def _told(load_one: Callable[[Path], object], path: Path) -> tuple[str, ...]:
    try:
        load_one(path)
    except ConfigError as error:
        return error.problems or ("nothing was said",)
    return ()
