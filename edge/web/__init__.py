"""The pages for people: what to refill, drawing the slots, how it went, whether it is well."""

from edge.web.server import open_web

__all__ = ["open_web"]
