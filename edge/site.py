"""site.yaml: what the operator writes. One class a section; each option has its default here."""

from __future__ import annotations

import hashlib
import json
import os
import re
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, ValidationInfo, model_validator

from edge.address import (
    Address,
    broker_url,
    camera_url,
    is_loopback,
    parse_address,
)
from edge.cameras import Opener
from edge.cameras.blackout import blacked_out
from edge.payloads import Name
from edge.planogram import Corners
from edge.redact import read_secret, without_login
from edge.section import (
    ExistingFile,
    RelativePath,
    SecretFile,
    Section,
    beside,
    existing,
    problems_of,
)

NO_PAIR = "cert and key must be a pair of PEM files, the key without a password"
DAEMON_USER = "shelf-edge"  # the daemon's own login at the embedded broker
RESERVED = ("hours", "privacy", "pictures", "log", "metrics", "updates")
"""Keys of site.yaml that a later version will give a meaning."""


def _model(model: str, info: ValidationInfo) -> str:
    if model == "default":
        return model
    return str(existing(Path(model), info))


def _camera_url(url: str, info: ValidationInfo) -> str:
    return camera_url(url, beside(Path(), info))


def _some(cameras: tuple[CameraConfig, ...]) -> tuple[CameraConfig, ...]:
    # Not min_length: it would count the valid ones only, and so accuse a list of wrong ones.
    if not cameras:
        raise ValueError("needs at least one camera")
    return cameras


def _address(text: str) -> str:
    parse_address(text)
    return text


def _host_name(name: str) -> str:
    if not re.fullmatch(r"[a-z0-9_-]+(\.[a-z0-9_-]+)*", name.lower()):
        raise ValueError("must be a host's name alone, such as shop.example: no https:, no port")
    return name.lower()


ListenAddress = Annotated[str, AfterValidator(_address)]
"""host:port"""


class CameraConfig(Section):
    id: Name
    """A word of an MQTT topic."""
    # No repr: it may hold a password.
    url: Annotated[str, AfterValidator(_camera_url)] = Field(repr=False)
    """The scheme picks the kind; ${NAME} is an environment variable or a systemd credential."""
    every_s: float = Field(default=5.0, ge=0.1, le=3600)
    """Seconds from one look to the next; the main loop goes round each 0.1 s."""
    blackout: tuple[Corners, ...] = ()
    """Quads, as fractions of the picture, that are painted black before anything sees it."""

    @property
    def opener(self) -> Opener:
        """What opens this camera; nobody opens it in another way."""
        return blacked_out(self.blackout)


class Decision(Section):
    """How a score becomes a statement. What is not written here the model's bundle decides."""

    empty_above: float | None = Field(default=None, gt=0, lt=1)
    """p_empty from here up speaks for empty."""
    stocked_below: float | None = Field(default=None, gt=0, lt=1)
    """p_empty from here down speaks for stocked; in between it says nothing."""
    misplaced_below: float | None = Field(default=None, gt=0, lt=1)
    """p(own product | not empty) under which another product stands in the slot."""
    confirm_s: float | None = Field(default=None, ge=0)
    """Seconds that the evidence must last."""
    unknown_after_s: float | None = Field(default=None, gt=0)
    """Seconds without a clear look after which a slot is unknown."""

    @model_validator(mode="after")
    def _thresholds_leave_room(self) -> Self:
        if self.empty_above is None or self.stocked_below is None:
            return self
        if self.empty_above <= self.stocked_below:
            message = f"{self.empty_above} must be above stocked_below ({self.stocked_below})"
            raise problems_of(("empty_above", message))
        return self


class Mqtt(Section):
    """Where events go: the broker inside the daemon, or one that is there already."""

    url: Annotated[str, AfterValidator(broker_url)] = "embedded"
    """embedded, mqtt://host:1883 or mqtts://host:8883."""
    listen: ListenAddress = "127.0.0.1:1883"
    """Where the embedded broker listens."""
    users: dict[str, SecretFile] = Field(default_factory=dict)
    """Who may connect to the embedded broker: name and the file that holds the password."""
    ca: ExistingFile | None = None
    """PEM of the authority that signed the broker's certificate; else the system's count."""
    cert: ExistingFile | None = None
    key: ExistingFile | None = None
    username: str | None = Field(default=None, min_length=1)
    password_file: SecretFile | None = None

    @property
    def embedded(self) -> bool:
        return self.url == "embedded"

    @property
    def listen_address(self) -> Address:
        return parse_address(self.listen)

    def passwords(self) -> dict[str, str]:
        """Return the embedded broker's users, name → password, as their files say now."""
        return {name: read_secret(path) for name, path in self.users.items()}

    @model_validator(mode="after")
    def _keys_fit_together(self) -> Self:
        found = [*(self._embedded_problems() if self.embedded else self._remote_problems())]
        if found:
            raise problems_of(*found)
        return self

    def _embedded_problems(self) -> Iterator[tuple[str, str]]:
        for key in ("ca", "cert", "key", "username", "password_file"):
            if key in self.model_fields_set:
                yield key, "has no meaning with url: embedded; remove it"
        if DAEMON_USER in self.users:
            yield "users", f"{DAEMON_USER} is the daemon's own name; choose another"
        if not self.users and not is_loopback(self.listen_address[0]):
            yield "listen", "is reachable from outside, which needs `users`"

    def _remote_problems(self) -> Iterator[tuple[str, str]]:
        for key in ("listen", "users"):
            if key in self.model_fields_set:
                yield key, "is for url: embedded only; remove it"
        if self.password_file is not None and self.username is None:
            yield "password_file", "needs a username beside it"
        if self.url.startswith("mqtts:"):
            yield from self._tls_problems()
        else:
            for key in ("ca", "cert", "key"):
                if key in self.model_fields_set:
                    yield key, "is for mqtts: only; write the url with mqtts://"

    def _tls_problems(self) -> Iterator[tuple[str, str]]:
        context = ssl.create_default_context()
        if self.ca is not None:
            try:
                context.load_verify_locations(self.ca)
            except OSError:  # ssl.SSLError is one
                yield "ca", "is no PEM file of certificates"
        if self.cert is not None and self.key is not None:
            try:
                context.load_cert_chain(self.cert, self.key, password="")  # else it would ask
            except OSError:
                yield "cert", NO_PAIR
        elif self.cert is not None or self.key is not None:
            yield "cert" if self.key is None else "key", "cert and key are needed together"


class Tls(Section):
    """The certificate that the pages are served with, as PEM files."""

    cert: ExistingFile
    key: ExistingFile

    @model_validator(mode="after")
    def _are_a_pair(self) -> Self:
        try:
            self.context()
        except OSError:  # ssl.SSLError is one
            raise problems_of(("cert", NO_PAIR)) from None
        return self

    def context(self) -> ssl.SSLContext:
        """Return the certificate ready to be shown. Raises OSError where it cannot be used."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.cert, self.key, password="")  # else it would ask
        return context


class Web(Section):
    """The pages: what to refill, and drawing the slots."""

    listen: ListenAddress = "127.0.0.1:8080"
    """Beyond this PC (0.0.0.0:8080) only with a PIN, which `edge pin` sets."""
    pin_file: RelativePath | None = None
    """Where the PIN's fingerprint is kept; else `pin` in the state folder."""
    tls: Tls | None = None
    names: tuple[Annotated[str, AfterValidator(_host_name)], ...] = ()
    """What else this PC is called in browsers, beside its addresses and its own name."""
    pictures: bool = True
    """Whether the staff page shows whole pictures; without, it draws the planogram."""

    @property
    def listen_address(self) -> Address:
        return parse_address(self.listen)

    @property
    def is_local(self) -> bool:
        """Whether nobody but this PC can reach the pages."""
        return is_loopback(self.listen_address[0])


class Site(Section):
    """What the operator of a shelf-edge node writes."""

    version: Literal[1]
    node: Name
    """The store's name; part of every MQTT topic."""
    cameras: Annotated[
        tuple[CameraConfig, ...], Field(json_schema_extra={"minItems": 1}), AfterValidator(_some)
    ]
    planogram: RelativePath | None = None
    """Where the slots are; a camera without slots is only watched. demo: brings its own."""
    model: Annotated[str, AfterValidator(_model)] = "default"
    """The bundle that ships (default), or the path of another."""
    state: RelativePath = Field(
        default_factory=lambda: Path(os.environ.get("STATE_DIRECTORY", "state").split(":")[0]),
        validate_default=True,
    )
    """Folder of the state file; else $STATE_DIRECTORY, else state/ beside this file."""
    decision: Decision = Decision()
    mqtt: Mqtt = Mqtt()
    web: Web = Web()

    @property
    def bundle(self) -> Path | None:
        """The model bundle's path; None for the one that ships."""
        return None if self.model == "default" else Path(self.model)

    @property
    def pin_file(self) -> Path:
        return self.web.pin_file or self.state / "pin"

    def camera(self, camera_id: str) -> CameraConfig | None:
        """Return the camera with this id, if there is one."""
        return next((camera for camera in self.cameras if camera.id == camera_id), None)

    def digest(self) -> str:
        """Return a fingerprint of all that is configured but passwords, 16 hexadecimal digits."""
        shown = self.model_dump(mode="json")
        for camera in shown["cameras"]:
            camera["url"] = without_login(camera["url"])
        text = json.dumps(shown, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]
