"""What people ask, answered: by MQTT and by the pages alike."""

from __future__ import annotations

import json
from datetime import timedelta
from types import SimpleNamespace

import numpy as np
import pytest
from test_ledger import NOON, at, events, see, take_up

from edge.board import Shot
from edge.desk import Desk
from edge.errors import ConfigError, StoreError
from edge.store import Store
from edge.types import Moment, State
from trainer.data import read_data

LATER = at(100)


@pytest.fixture
def store(tmp_path):
    opened = Store(tmp_path)
    yield opened
    opened.close()


@pytest.fixture
def ledger(store):
    taken_up = take_up(store)
    for seconds in (0, 5, 10):
        see(taken_up, seconds, 0.9)
    events(store)
    return taken_up


class Crops:
    """A board that shows the same crop of every slot."""

    def crop(self, slot_id, which):
        return Shot(NOON, 1, np.full((20, 10, 3), 9, np.uint8))


def desk(ledger, tmp_path, read=lambda: None, classes=("empty", "stocked")) -> Desk:
    plan = SimpleNamespace(
        slots=tuple(ledger._slots.values()),
        config=SimpleNamespace(site=SimpleNamespace(state=tmp_path)),
        classifier=SimpleNamespace(info=SimpleNamespace(classes=classes)),
    )
    return Desk(ledger, plan, Crops(), read)


def ask(one: Desk, verb: str, now: Moment = LATER, **fields) -> dict:
    return json.loads(one.answer(verb, json.dumps(fields).encode(), now))


def test_a_snooze_of_no_minutes_ends_one_at_once(ledger, store, tmp_path):
    asked = desk(ledger, tmp_path)
    assert ask(asked, "snooze", slot="a1", minutes=15)["status"] == "ok"
    assert ledger.states["a1"].snooze_until == LATER.at + timedelta(minutes=15)
    assert ask(asked, "snooze", slot="a1", minutes=0)["status"] == "ok"
    assert ledger.states["a1"].snooze_until is None
    assert [event["data"]["reason"] for event in events(store)] == ["snooze", "snooze_ended"]


def test_who_acts_on_an_incident_that_is_over_does_not_hit_the_next_one(ledger, tmp_path):
    asked = desk(ledger, tmp_path)
    answer = ask(asked, "ack", slot="a1", by="Kim", incident_id="another")
    assert (answer["status"], answer["data"]) == ("error", {"code": "already_closed"})
    assert ledger.states["a1"].ack is None
    number = ledger.states["a1"].incident_id
    assert ask(asked, "ack", slot="a1", by="Kim", incident_id=number)["status"] == "ok"
    assert ask(asked, "release", slot="a1", incident_id=number)["status"] == "ok"
    assert ledger.states["a1"].ack is None


def test_a_slot_that_is_not_there_is_gone(ledger, tmp_path):
    answer = ask(desk(ledger, tmp_path), "ack", slot="z9", by="Kim")
    assert answer["data"] == {"code": "gone"}


def test_what_cannot_be_written_is_not_done_and_can_be_tried_again(ledger, tmp_path, monkeypatch):
    def full(*arguments):
        raise StoreError("state.db: disk is full")

    asked = desk(ledger, tmp_path)
    with monkeypatch.context() as patched:
        patched.setattr(ledger._store, "record", full)
        answer = ask(asked, "not_empty", slot="a1", by="Kim")
    assert answer["data"] == {"code": "not_written"}
    assert ledger.states["a1"].state is State.EMPTY
    assert not (tmp_path / "training").exists()
    assert ask(asked, "not_empty", slot="a1", by="Kim")["status"] == "ok"


@pytest.mark.parametrize(
    ("classes", "label"),
    [
        (("empty", "stocked"), "stocked"),
        (("empty", "880"), "880"),
        (("Cola", "empty", "tea"), "Cola"),  # a slot's product is known by its name, too
        (("empty", "tea"), "other"),
    ],
)
def test_a_wrong_alarm_is_kept_under_the_label_that_the_model_knows(
    ledger, tmp_path, classes, label
):
    asked = desk(ledger, tmp_path, classes=classes)
    assert ask(asked, "not_empty", slot="a1", by="Kim")["status"] == "ok"
    assert [one.label for one in read_data(str(tmp_path / "training"))] == [label]
    number = ledger.states["a1"].denial.incident_id
    wrong = ask(asked, "undo_not_empty", slot="a1", incident_id="another")
    assert wrong["data"] == {"code": "already_closed"}
    assert ask(asked, "undo_not_empty", slot="a1", incident_id=number)["status"] == "ok"
    assert list(tmp_path.glob("training/*/*.jpg")) == []
    assert ledger.states["a1"].state is State.EMPTY


def test_a_disk_that_takes_no_picture_does_not_keep_the_alarm_open(ledger, tmp_path, caplog):
    (tmp_path / "training").touch()
    assert ask(desk(ledger, tmp_path), "not_empty", slot="a1", by="Kim")["status"] == "ok"
    assert ledger.states["a1"].incident_id is None
    assert "no picture kept for training" in caplog.text


def test_a_reload_that_is_wrong_says_why_and_pictures_are_not_sent(ledger, tmp_path):
    def wrong():
        raise ConfigError(["site.yaml:3: no"])

    asked = desk(ledger, tmp_path, wrong)
    assert ask(asked, "reload")["error"] == "site.yaml:3: no"
    assert asked.reloaded is None
    assert "they are off" in ask(asked, "snapshot", slot="a1")["error"]


def test_who_says_again_to_be_on_the_way_says_nothing_new(ledger, store, tmp_path):
    asked = desk(ledger, tmp_path)
    for name in ("Kim", "Kim", "Lee", "Kim"):
        assert ask(asked, "ack", slot="a1", by=name)["status"] == "ok"
    assert [event["data"]["ack"]["by"] for event in events(store)] == ["Kim", "Lee", "Kim"]
