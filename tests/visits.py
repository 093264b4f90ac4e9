"""Visits of the staff page of a shop (shop.py) with devices of any kind."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from browser import Browser, watch_browser
from pages import serve_pages
from playwright.sync_api import Page
from shop import Shop

VIEWS = ("todo", "shelves", "history", "health")

Visit = Callable[..., Page]
"""visit(shop, path, **options of the device) opens the page of a shop; it is live then."""


@contextlib.contextmanager
def visits(chromium: Any, folder: Path) -> Iterator[Visit]:
    """Give a Visit; at the end nothing may have gone wrong on any of them."""
    with contextlib.ExitStack() as stack:
        browsers: dict[int, Browser] = {}

        def visit(shop: Shop, path: str = "/", expected: str = "", **options: Any) -> Page:
            if id(shop) not in browsers:
                address = stack.enter_context(serve_pages(folder, shop.routes()))
                watched = watch_browser(chromium, address, expected)
                browsers[id(shop)] = stack.enter_context(watched)
            page = browsers[id(shop)].open(path, **options)
            page.wait_for_selector(".live[data-kind=live]")
            return page

        yield visit


def settled(page: Page, view: str) -> None:
    """Wait until what the view loads by itself is there."""
    wanted = {"history": ".figures", "health": ".vitals", "shelves": ".slot", "todo": ".card"}
    page.wait_for_selector(f"#{view} {wanted[view]}")
