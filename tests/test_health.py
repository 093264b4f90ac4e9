"""How the daemon is, where a figure cannot be had."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from types import SimpleNamespace

from pages import site_of
from test_messages import conforms

from edge.board import Board, Notice
from edge.config import Config
from edge.decide import Rule
from edge.health import SETTLED_S, Health
from edge.plan import Plan
from edge.planogram import Planogram
from edge.publisher import Delivery
from edge.store import Backlog
from edge.types import Moment
from edge.web.health import health_json

NOON = Moment(datetime(2026, 11, 24, 12, tzinfo=UTC), 1000.0)


def test_a_state_folder_that_is_gone_costs_the_free_room_only(tmp_path):
    health, delivery = Health(NOON), Delivery(None, None, Backlog(0, None, 0))
    told = conforms(health.report(delivery, {}, tmp_path / "gone", NOON), "health")
    assert told["disk_free_bytes"] is None
    assert told["memory_bytes"] > 1e6
    told = conforms(health.report(delivery, {}, tmp_path, NOON), "health")
    assert told["disk_free_bytes"] > 0


def test_the_page_is_told_of_a_state_folder_that_is_gone_too(tmp_path):
    config = Config(site_of(tmp_path / "gone"), Planogram(version=1, cameras={}))
    model = SimpleNamespace(info=SimpleNamespace(name="m", classes=("empty", "stocked")))
    notice = Notice(Plan(config, model, Rule(), ()), SimpleNamespace(health=b""), NOON)
    told = health_json(Board(), notice, NOON.at)
    assert told["disk"] == {"free_bytes": None, "enough": False}
    assert told["memory_bytes"] > 1e6


def test_the_first_report_waits_a_while_for_cameras_that_are_being_opened():
    health = Health(NOON)
    assert not health.is_due(NOON, settled=False)
    assert health.is_due(NOON, settled=True)
    assert health.is_due(replace(NOON, clock_s=NOON.clock_s + SETTLED_S), settled=False)
