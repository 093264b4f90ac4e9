"""A tap on the staff page while the main loop is busy. The test plays the main loop."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from queue import SimpleQueue

import httpx
import pytest
from pages import serve_pages
from staff import HEADERS

from edge import messages
from edge.board import Board
from edge.payloads import AckRequest
from edge.types import Asked
from edge.web import staff
from edge.web.staff import StaffRequests

ASKED = AckRequest(slot="a1", by="staff")
DONE = messages.response(ASKED)
NOT_WRITTEN = messages.response(ASKED, {"code": "not_written"}, "try again")


class Pages:
    """Taps on real pages; what was tapped lies in asked until somebody answers it."""

    def __init__(self, address: str, asked: SimpleQueue[Asked], pool: ThreadPoolExecutor):
        self.asked = asked
        self._url, self._pool = f"{address}api/act", pool

    def tap(self, action_id: str = "the-same") -> httpx.Response:
        body = {"action_id": action_id, "verb": "ack", "slot": "a1", "incident_id": "i"}
        return httpx.post(self._url, json=body, headers=HEADERS, timeout=20)

    def begin_tap(self) -> Future[httpx.Response]:
        return self._pool.submit(self.tap)


@pytest.fixture
def pages(tmp_path: Path) -> Iterator[Pages]:
    asked: SimpleQueue[Asked] = SimpleQueue()
    routes = staff.routes(StaffRequests(Board(), asked.put))
    with serve_pages(tmp_path, routes) as address, ThreadPoolExecutor() as pool:
        yield Pages(address, asked, pool)


def code(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["error"]["code"]


def test_what_was_not_answered_in_time_is_asked_once_and_sent_again_gets_that_answer(
    pages, monkeypatch
):
    monkeypatch.setattr(staff, "ANSWER_S", 0.2)
    assert code(pages.tap()) == (503, "busy")
    assert code(pages.tap()) == (503, "busy")
    monkeypatch.setattr(staff, "ANSWER_S", 20)
    waiting = pages.begin_tap()
    pages.asked.get(timeout=20).reply(DONE)
    assert waiting.result().status_code == 200
    assert pages.tap().status_code == 200
    assert pages.asked.empty()


def test_an_answer_that_came_between_two_tries_is_kept_for_the_second(pages, monkeypatch):
    monkeypatch.setattr(staff, "ANSWER_S", 0.2)
    assert code(pages.tap()) == (503, "busy")
    pages.asked.get(timeout=20).reply(DONE)
    assert pages.tap().status_code == 200
    assert pages.asked.empty()


def test_what_could_not_be_written_is_asked_anew(pages):
    for response, status in ((NOT_WRITTEN, 503), (DONE, 200)):
        waiting = pages.begin_tap()
        pages.asked.get(timeout=20).reply(response)
        assert waiting.result().status_code == status
    assert pages.tap().status_code == 200
    assert pages.asked.empty()


def test_where_too_many_acts_wait_another_is_refused_and_none_forgotten(pages, monkeypatch):
    monkeypatch.setattr(staff, "ANSWER_S", 0.2)
    monkeypatch.setattr(staff, "MAX_ANSWERS", 2)
    for action_id in ("act-0001", "act-0002", "act-0003", "act-0001"):
        assert code(pages.tap(action_id)) == (503, "busy")
    assert pages.asked.qsize() == 2
    pages.asked.get(timeout=20).reply(DONE)
    assert code(pages.tap("act-0003")) == (503, "busy")
    assert pages.asked.qsize() == 2


def test_an_answer_after_the_pages_have_ended_harms_nobody(tmp_path, monkeypatch):
    monkeypatch.setattr(staff, "ANSWER_S", 0.2)
    asked: SimpleQueue[Asked] = SimpleQueue()
    with (
        serve_pages(tmp_path, staff.routes(StaffRequests(Board(), asked.put))) as address,
        ThreadPoolExecutor() as pool,
    ):
        assert code(Pages(address, asked, pool).tap()) == (503, "busy")
    asked.get(timeout=20).reply(DONE)
