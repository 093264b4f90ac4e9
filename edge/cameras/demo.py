"""`demo:` a rendered store: a shelf, shoppers, a clerk, and the truth of what happened.

`demo:?seed=7&minutes=30` is a shop that closes after half an hour. What a URL may say is in
DemoOptions; the same URL always is the same store.
"""

from __future__ import annotations

import difflib
import math
import time
from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

from edge.errors import SourceEndedError, UsageError
from edge.types import Image, Slot

if TYPE_CHECKING:
    from edge.rendered.scene import Scene

REPLAY_MINUTES = 30.0
"""How long a recording is whose URL does not say it."""


@dataclass(frozen=True, slots=True)
class DemoOptions:
    """What a demo: URL may say.

    minutes: the store closes after so long (a live one without it never does).
    pace: how soon visits follow one another. 1: nobody comes near a slot that was just emptied
        or refilled for a minute, so 30 minutes hold some 50 changes; 6: for ten seconds.
    shelves, slots: boards, and slots on each. width: of the picture, in pixels; 16:9.
    """

    seed: int = 7
    minutes: float | None = None
    pace: float = 1.0
    shelves: int = 2
    slots: int = 12
    width: int = 1280

    @property
    def size(self) -> tuple[int, int]:
        return self.width, self.width * 9 // 16

    @property
    def ends_s(self) -> float:
        return math.inf if self.minutes is None else self.minutes * 60


_LIMITS: dict[str, tuple[float, float]] = {
    "seed": (0, 2**63 - 1),
    "minutes": (0.01, 60 * 24 * 7),
    "pace": (0.1, 20),
    "shelves": (1, 4),
    "slots": (6, 24),
    "width": (320, 3840),
}


def parse_demo_url(url: str) -> DemoOptions:
    """Return the options in a demo: URL. Raises UsageError that names the wrong one."""
    known = {field.name: int for field in fields(DemoOptions)} | {"minutes": float, "pace": float}
    found: dict[str, Any] = {}
    path, _, query = url.partition(":")[2].removeprefix("//").partition("?")
    if path:
        raise UsageError(f"demo:{path}: write it as demo:?seed=7&minutes=30")
    for name, text in parse_qsl(query, keep_blank_values=True):
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"it knows {', '.join(known)}"
            raise UsageError(f"demo: has no option {name!r}; {hint}")
        low, high = _LIMITS[name]
        try:
            value = known[name](text)
        except ValueError:
            value = math.nan
        if not low <= value <= high:
            kind = "a whole number" if known[name] is int else "a number"
            raise UsageError(f"demo: {name}={text}: must be {kind} from {low:g} to {high:g}")
        found[name] = value
    return DemoOptions(**found)


def build_scene(options: DemoOptions) -> Scene:
    """Return the world of these options."""
    from edge.rendered.scene import Scene

    return Scene(
        options.seed, options.shelves, options.slots, options.pace, closes_s=options.ends_s
    )


def demo_slots(url: str, camera_id: str) -> tuple[Slot, ...]:
    """Return the slots that the store brings along, as those of this camera."""
    return build_scene(parse_demo_url(url)).slots(camera_id)


def demo_recording(
    url: str, camera_id: str, every_s: float
) -> tuple[Iterator[tuple[float, Image]], tuple[Slot, ...], dict[str, Any]]:
    """Return (t, picture) for each k · every_s until the store closes, its slots and its truth."""
    from edge.rendered.renderer import Renderer

    options = parse_demo_url(url)
    ends_s = options.ends_s if options.minutes else REPLAY_MINUTES * 60
    scene = build_scene(options)

    def frames() -> Iterator[tuple[float, Image]]:
        renderer = Renderer(scene, options.size)
        for number in range(math.ceil(ends_s / every_s)):
            yield number * every_s, renderer.picture(number * every_s)

    truth = scene.truth(ends_s) | {"source": url, "camera": camera_id, "size": list(options.size)}
    return frames(), scene.slots(camera_id), truth


def open_demo(url: str, every_s: float) -> DemoCamera:
    """Return the store as a live camera; its time begins now."""
    return DemoCamera(parse_demo_url(url), every_s)


class DemoCamera:
    """Shows the store on the real clock, one picture each every_s."""

    def __init__(self, options: DemoOptions, every_s: float):
        from edge.rendered.renderer import Renderer

        self._renderer = Renderer(build_scene(options), options.size)
        self._every_s, self._ends_s = every_s, options.ends_s
        self._opened_s = time.monotonic()
        self._due_s = 0.0

    def read(self) -> Image:
        """Return the picture of now. Raises SourceEndedError when the store has closed."""
        wait_s = min(self._due_s, self._ends_s) - self._now_s()
        if wait_s > 0:
            time.sleep(wait_s)
        now_s = self._now_s()
        if now_s >= self._ends_s:
            raise SourceEndedError("the rendered store has closed")
        self._due_s = (now_s // self._every_s + 1) * self._every_s
        return self._renderer.picture(now_s)

    def close(self) -> None:
        """Nothing to give back."""

    def _now_s(self) -> float:
        return time.monotonic() - self._opened_s
