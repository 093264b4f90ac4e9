"""What an outlet depends on: a change of that opens it anew at a reload."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from edge.errors import StoreError, UnavailableError
from edge.outlet import patiently, serves
from edge.site import Site


def site_with(folder: Path, mqtt: dict[str, object]) -> Site:
    written = {
        "version": 1,
        "node": "shop",
        "cameras": ({"id": "aisle", "url": "demo:"},),
        "state": str(folder),
        "mqtt": mqtt,
    }
    return Site.model_validate(written, context={"folder": folder})


@pytest.fixture
def password(tmp_path) -> Path:
    path = tmp_path / "password"
    path.write_text("bef0re\n")
    return path


@pytest.mark.parametrize(
    ("mqtt", "changes"),
    [
        ({"users": {"till": "password"}}, True),
        (  # read anew at each connection
            {"url": "mqtt://192.0.2.1", "username": "till", "password_file": "password"},
            False,
        ),
    ],
)
def test_a_changed_password_of_the_embedded_broker_is_another_outlet(
    tmp_path, password, mqtt, changes
):
    ours = serves(site_with(tmp_path, mqtt))
    assert serves(site_with(tmp_path, mqtt)) == ours
    password.write_text("aft3r\n")
    assert (serves(site_with(tmp_path, mqtt)) != ours) == changes


def test_a_password_that_vanished_since_the_check_is_explained(tmp_path, password):
    site = site_with(tmp_path, {"users": {"till": "password"}})
    password.unlink()
    with pytest.raises(UnavailableError, match=r"mqtt\.users: a password cannot be read: No such"):
        serves(site)


def test_trouble_with_the_state_file_is_said_once_and_tried_again(monkeypatch, caplog):
    monkeypatch.setattr("edge.outlet.RETRY_S", 0.001)
    troubles = iter(["disk is full"] * 3 + ["read-only"] * 3)

    def attempt() -> str:
        for trouble in troubles:
            raise StoreError(trouble)
        return "done"

    assert patiently(attempt, threading.Event()) == "done"
    assert [record.message.partition(";")[0] for record in caplog.records] == [
        "disk is full",
        "read-only",
    ]


def test_who_is_told_to_stop_waits_for_no_disk():
    stop = threading.Event()
    stop.set()

    def attempt() -> None:
        raise StoreError("disk is full")

    with pytest.raises(StoreError, match="disk is full"):
        patiently(attempt, stop)
