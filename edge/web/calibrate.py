"""The calibration page's requests: what comes in is checked here, the bench does the work."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, TypeVar

from anyio import CapacityLimiter, to_thread
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from edge.drawing.bench import (
    CalibrationBench,
    MovingError,
    NoCameraError,
    NotWritableError,
    NoVersionError,
)
from edge.drawing.goods_list import GoodsList, decode, read_goods
from edge.drawing.stills import JPEG_QUALITY, StillGoneError
from edge.errors import (
    AlignmentError,
    CameraError,
    ChangedError,
    ConfigError,
    EdgeError,
    ModelError,
)
from edge.picture import encode_jpeg, read_picture
from edge.web.calibrate_bodies import (
    ImportBody,
    PictureBody,
    SaveBody,
    ScoreBody,
    SuggestBody,
    TokenBody,
    alignment_json,
    drawn_json,
    goods_json,
    scores_json,
    slot_json,
    still_json,
    suggestion_json,
)
from edge.web.refusal import Refusal, read_body

Handler = Callable[[Request], Awaitable[Response]]
Found = TypeVar("Found")


ANSWERS: tuple[tuple[type[EdgeError], int, str], ...] = (
    (NoCameraError, 404, "no_camera"),
    (StillGoneError, 410, "picture_gone"),
    (MovingError, 423, "moving"),
    (NoVersionError, 404, "no_version"),
    (NotWritableError, 403, "not_writable"),
    (ModelError, 503, "no_model"),
    (EdgeError, 500, "failed"),
)
"""How each error is answered: the first entry that fits counts."""


def routes(bench: CalibrationBench) -> list[Route]:
    requests = _Requests(bench)
    base, camera = "/api/calibrate", "/api/calibrate/{camera}"
    table: tuple[tuple[str, str, Handler], ...] = (
        ("GET", base, requests.overview),
        ("GET", f"{base}/pictures/{{token}}.jpg", requests.picture_file),
        ("POST", f"{base}/import", requests.import_goods),
        ("POST", f"{camera}/picture", requests.picture),
        ("GET", f"{camera}/reference.jpg", requests.reference_file),
        ("GET", f"{camera}/plan", requests.plan),
        ("POST", f"{camera}/score", requests.score),
        ("POST", f"{camera}/suggest", requests.suggest),
        ("POST", f"{camera}/align", requests.align),
        ("PUT", camera, requests.save),
    )
    return [Route(path, _answering(handler), methods=[method]) for method, path, handler in table]


class _Requests:
    """One method per request. The bench never runs in the event loop's own thread."""

    def __init__(self, bench: CalibrationBench):
        self._bench = bench
        # How many run at once: the rest of the two cores is for the cameras.
        self._cameras = CapacityLimiter(2)
        self._model = CapacityLimiter(1)
        self._files = CapacityLimiter(2)

    async def overview(self, request: Request) -> Response:
        bench = self._bench
        counts = await _work(self._files, bench.slot_counts)
        why_not = await _work(self._files, bench.why_not_writable)
        cameras = [{"id": one, "slots": count} for one, count in counts.items()]
        return JSONResponse(
            {
                "cameras": cameras,
                "writable": why_not is None,
                "why_not": why_not,
                "alone": bench.is_alone,
            }
        )

    async def picture(self, request: Request) -> Response:
        body = await read_body(request, PictureBody)
        take = self._bench.take if body.of == "now" else self._bench.take_reference
        return JSONResponse(still_json(await _work(self._cameras, take, _camera(request))))

    async def picture_file(self, request: Request) -> Response:
        still = self._bench.still(request.path_params["token"])
        return _jpeg(await _work(self._files, lambda: still.jpeg))

    async def reference_file(self, request: Request) -> Response:
        path = await _work(self._files, self._bench.reference, _camera(request))
        return _jpeg(
            await _work(self._files, lambda: encode_jpeg(read_picture(path), JPEG_QUALITY))
        )

    async def plan(self, request: Request) -> Response:
        version = request.query_params.get("version")
        camera_id = _camera(request)
        drawn = await _work(self._files, self._bench.drawn, camera_id, version)
        return JSONResponse(await _work(self._files, drawn_json, drawn, camera_id))

    async def score(self, request: Request) -> Response:
        body = await read_body(request, ScoreBody)
        still = self._bench.still(body.token, _camera(request))
        quads = [(slot.key, slot.quad) for slot in body.slots]
        rule = await _work(self._model, self._bench.rule)  # first: without one scores say nothing
        scores = await _work(self._model, self._bench.score, still, quads)
        return JSONResponse(scores_json(scores, self._bench.median_sharpness(still), rule))

    async def suggest(self, request: Request) -> Response:
        body = await read_body(request, SuggestBody)
        still = self._bench.still(body.token, _camera(request))
        asked = still, body.quad, body.rows, body.counts()
        return JSONResponse(suggestion_json(*await _work(self._model, self._bench.suggest, *asked)))

    async def align(self, request: Request) -> Response:
        body, camera_id = await read_body(request, TokenBody), _camera(request)
        still = self._bench.still(body.token, camera_id)
        try:
            found = await _work(self._model, self._bench.align, camera_id, still)
        except AlignmentError as error:
            return JSONResponse({"accepted": False, "reason": error.reason, "message": str(error)})
        return JSONResponse(alignment_json(found))

    async def import_goods(self, request: Request) -> Response:
        body = await read_body(request, ImportBody)

        def read() -> GoodsList:
            return read_goods(decode(body.file) if body.file else body.csv)

        try:
            return JSONResponse(goods_json(await _work(self._files, read)))
        except ValueError as error:
            raise Refusal(400, "no_text", f"the file {error}") from None

    async def save(self, request: Request) -> Response:
        body, camera_id = await read_body(request, SaveBody), _camera(request)
        still = self._bench.still(body.token, camera_id)
        slots = body.slots_of(camera_id)
        loaded = request.headers.get("if-match", "").strip('"')
        try:
            digest, reloaded = await _work(
                self._files, self._bench.save, camera_id, slots, still, loaded
            )
        except ChangedError as error:
            theirs = await _work(self._files, self._bench.drawn, camera_id)
            slots_now = [slot_json(slot) for slot in theirs.slots]
            said = {"code": "changed", "message": str(error)}
            answer = {"error": said, "digest": theirs.digest, "slots": slots_now}
            return JSONResponse(answer, status_code=409)
        return JSONResponse(
            {"digest": digest, "reloaded": reloaded.done, "message": reloaded.message}
        )


def _camera(request: Request) -> str:
    return str(request.path_params["camera"])


async def _work(limiter: CapacityLimiter, function: Callable[..., Found], *arguments: Any) -> Found:
    return await to_thread.run_sync(partial(function, *arguments), limiter=limiter)


def _answering(handler: Handler) -> Handler:
    """Return the handler with each explainable failure answered as JSON."""

    async def answer(request: Request) -> Response:
        try:
            return await handler(request)
        except EdgeError as error:
            raise _refusal(error) from None

    return answer


def _refusal(error: EdgeError) -> Refusal:
    if isinstance(error, CameraError):
        return Refusal(503, error.reason.value, str(error))
    if isinstance(error, ConfigError):
        return Refusal(422, "invalid", str(error), problems=list(error.problems))
    status, code = next((status, code) for kind, status, code in ANSWERS if isinstance(error, kind))
    return Refusal(status, code, str(error))


def _jpeg(data: bytes) -> Response:
    return Response(data, media_type="image/jpeg")
