"""What the pages' server answers when it does not do what was asked: one clear sentence as JSON."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from starlette.requests import Request
from starlette.responses import JSONResponse

Body = TypeVar("Body", bound=BaseModel)


class Refusal(Exception):
    """Raised wherever something is refused; answered as {"error": {"code", "message"}}."""

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        headers: Mapping[str, str] | None = None,
        **more: Any,
    ):
        super().__init__(message)
        self.status, self.code, self.headers, self.more = status, code, headers, more

    def response(self) -> JSONResponse:
        error = {"code": self.code, "message": str(self), **self.more}
        return JSONResponse({"error": error}, self.status, self.headers)


def starting() -> Refusal:
    """Answer while the main loop has not finished its first round, or stands still."""
    message = "the daemon does not look at its cameras yet, or no longer; try again"
    return Refusal(503, "starting", message, {"Retry-After": "1"})


async def read_body(request: Request, model: type[Body]) -> Body:
    """Return the request's JSON. Raises Refusal, which repeats nothing that was sent."""
    try:
        return model.model_validate_json(await request.body())
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        where = ".".join(str(part)[:40] for part in first["loc"][:6])
        raise Refusal(400, "bad_request", f"{where or 'body'}: {first['msg']}") from None
