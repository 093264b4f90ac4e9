"""The way out: every answer, whatever made it, carries the headers that make browsers strict."""

from __future__ import annotations

from starlette.datastructures import MutableHeaders
from starlette.types import Message, Send

POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' blob:",
        "connect-src 'self'",
        "manifest-src 'self'",
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
        "require-trusted-types-for 'script'",
    )
)
# Neither COOP nor HSTS: without TLS browsers complain about them, and with a self-signed
# certificate HSTS would lock people out.
STRICT = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
}


class Answer:
    """A `send` that adds the headers. An answer that says nothing about caching is not cached."""

    def __init__(self, send: Send):
        self._send = send
        self.begun = False
        self.ended = False

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.begun = True
            headers = MutableHeaders(scope=message)
            headers.update(STRICT)
            headers.setdefault("Cache-Control", "no-store")
        elif message["type"] == "http.response.body":
            self.ended = not message.get("more_body", False)
        await self._send(message)

    async def end(self) -> None:
        """Close an answer that has begun, so that its reader gets a complete one."""
        if self.begun and not self.ended:
            await self({"type": "http.response.body", "body": b"", "more_body": False})
