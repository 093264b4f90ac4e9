"""How it went, as the staff page and a spreadsheet read it."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

from anyio import CapacityLimiter, to_thread
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from edge import past
from edge.board import Board, Notice
from edge.errors import StoreError
from edge.figures import (
    Past,
    Report,
    Share,
    SlotFigures,
    first_hour,
    make_report,
    with_counted,
    wrongly_alarmed_s,
)
from edge.history import EPOCH, hour_of
from edge.payloads import rounded
from edge.types import State
from edge.web.refusal import Refusal, starting
from edge.web.shown import Json, places_of

DAYS = (1, 7, 30)
FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""What a cell begins with that a spreadsheet computes instead of showing it."""
LIKE_A_NUMBER = re.compile(r"0\d+|\d{12,}|\d{1,4}([-/.:]\d{1,4}){1,2}|\d+e\d+", re.IGNORECASE)
"""What a spreadsheet takes for a number or a date: a barcode loses its digits, 1-02 is February."""
COLUMNS = (
    "slot",
    "name",
    "sku",
    "camera",
    "row",
    "column",
    "availability",
    "not_visible",
    "incidents",
    "median_refill_min",
    "empty_min",
)


def routes(board: Board) -> list[Route]:
    requests = _Requests(board)
    return [
        Route("/api/report", requests.report, methods=["GET"]),
        Route("/api/report.csv", requests.table, methods=["GET"]),
    ]


class _Requests:
    def __init__(self, board: Board):
        self._board = board
        self._reading = CapacityLimiter(1)  # one reads at a time: thirty days take a while

    async def report(self, request: Request) -> Response:
        _, report, _ = await self._read(request)
        return JSONResponse(report_json(report))

    async def table(self, request: Request) -> Response:
        notice, report, now = await self._read(request)
        day, days = now.astimezone().date(), len(report.days)
        name = f"{notice.plan.config.site.node}-{day}-{days}d.csv"
        headers = {"Content-Disposition": f'attachment; filename="{name}"'}
        # With the mark at its beginning spreadsheets read it as UTF-8.
        text = as_csv(report.slots).encode("utf-8-sig")
        return Response(text, media_type="text/csv", headers=headers)

    async def _read(self, request: Request) -> tuple[Notice, Report, datetime]:
        notice, days = self._asked(request)
        now = datetime.now(UTC)
        report = await to_thread.run_sync(read_report, notice, days, now, limiter=self._reading)
        return notice, report, now

    def _asked(self, request: Request) -> tuple[Notice, int]:
        text = request.query_params.get("days", "7")
        if text not in map(str, DAYS):
            raise Refusal(400, "bad_request", "days is one of 1, 7, 30")
        notice = self._board.notice
        if notice is None:
            raise starting()
        return notice, int(text)


def read_report(notice: Notice, days: int, now: datetime) -> Report:
    """Read the past and return its figures. Raises Refusal where it cannot be read now."""
    today = hour_of(now) // 24
    first = first_hour(today, days)
    since = (EPOCH + timedelta(hours=first)).astimezone(UTC)  # midnight in the shop
    try:
        with notice.ledger.store.looking_back() as db:
            incidents = past.incidents(db, since)
            found = Past(
                days,
                today,
                past.by_day(db, first),
                past.by_hour_of_day(db, first),
                incidents,
                past.of_hours(db, wrongly_alarmed_s(incidents)),
            )
    except StoreError as error:
        raise Refusal(503, "no_history", "the state file cannot be read now") from error
    found = with_counted(found, notice.ledger.counted)
    return make_report(notice.plan.slots, notice.states, places_of(notice.plan), found)


def report_json(report: Report) -> Json:
    return {
        **_share(report.share),
        "median_refill_min": rounded(report.median_refill_min, 1),
        "days": [{"date": day.isoformat(), **_share(share)} for day, share in report.days],
        "slots": [_slot(one) for one in report.slots],
        "shelves": [
            {"camera": camera, "row": row, **_share(share)} for camera, row, share in report.shelves
        ],
        "hours": {
            "slots": list(report.empty_by_hour),
            "hours": list(range(24)),
            "empty_share": [
                [rounded(share) for share in shares] for shares in report.empty_by_hour.values()
            ],
        },
        "stock": [
            {
                "sku": one.sku,
                "name": one.name,
                "slots": one.slots,
                **{state.value: one.counts[state] for state in State},
            }
            for one in report.stock
        ],
    }


def as_csv(slots: Iterable[SlotFigures]) -> str:
    """Return one line a slot. Names, ids and barcodes are shown as they are: no formula, no number,
    no date."""
    text = io.StringIO()
    lines = csv.writer(text, lineterminator="\r\n")
    lines.writerow(COLUMNS)
    for one in slots:
        place = (one.place.row, one.place.column) if one.place else ("", "")
        share = one.share
        lines.writerow(
            [
                _plain(one.slot.slot_id),
                _plain(one.slot.name),
                _plain(one.slot.sku or ""),
                _plain(one.slot.camera_id),
                *place,
                rounded(share.availability),
                rounded(share.not_visible),
                one.incidents,
                rounded(one.median_refill_min, 1),
                rounded(one.empty_min, 1),
            ]
        )
    return text.getvalue()


def _plain(cell: str) -> str:
    if LIKE_A_NUMBER.fullmatch(cell):
        return f'="{cell}"'  # a text in quotes: nothing in it is computed
    return f"'{cell}" if cell.startswith(FORMULA) else cell


def _slot(one: SlotFigures) -> Json:
    return {
        "id": one.slot.slot_id,
        "name": one.slot.name,
        "sku": one.slot.sku,
        "camera": one.slot.camera_id,
        **_share(one.share),
        "incidents": one.incidents,
        "median_refill_min": rounded(one.median_refill_min, 1),
        "empty_min": rounded(one.empty_min, 1),
    }


def _share(share: Share) -> Json:
    return {
        "availability": rounded(share.availability),
        "not_visible": rounded(share.not_visible),
    }
