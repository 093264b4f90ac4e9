"""Which crops are worth a look: unchanged → keep, somebody there → blocked, settled and new → look.

Everything is judged on thumbnails of a few hundred pixels, one a slot, that show the slot and a
margin around it. Two questions are asked of each:

- Does something move, in the slot or just around it? It differs from the picture before.
- Does somebody stand still in front? The margin differs from how it looked for a long time.
  A product that is taken changes its slot; a person also hides the rail, the tag and the gap
  beside it. Neighbouring slots do not count as margin, they change for reasons of their own.

Light is taken out first: a gain for the slot's own surroundings. Waiting until nobody is in front
is what the field's patents do as well (WO2018204836: detect motion, its end, wait, then look).
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from enum import Enum

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.geometry import around, contains, side_lengths, to_pixels
from edge.types import Frame, Image, Score, Slot

Pixels = NDArray[np.float32]
Mask = NDArray[np.bool_]

THUMB_PX = 32
MARGIN = 0.35  # of the slot's sides, shown around it
DIFFERENT = 20.0  # of 255: a thumbnail pixel that differs by more has changed
MOVING_SHARE = 0.04  # of the slot or of its margin
HIDDEN_SHARE = 0.22  # of the margin's own pixels: more than a new price tag, less than a person
HIDDEN_SHARE_OF_NEIGHBOURS = 0.6  # where the margin is nothing but other slots
LEAST_OWN_MARGIN = 0.12  # share of the margin that must be no other slot
NEW_SHARE = 0.03  # of the slot, against the last look
GAIN_LIMITS = (0.72, 1.4)  # a shadow or a lamp; a dark coat is more than that
ADAPT = 0.1  # of a clear picture goes into what the margin is remembered as
REFRESH_S = 120.0  # an unchanged slot is looked at again after so long
ADOPT_S = (60.0, 900.0)  # a margin that stays changed so long is the new normal


class Verdict(Enum):
    BLOCKED = "blocked"
    UNCHANGED = "unchanged"
    LOOK = "look"


@dataclass
class _Memory:
    """What a gate remembers of its n slots."""

    previous: Pixels  # (n, T, T, 3): the last picture
    looked: Pixels  # the picture at the last look
    margin: Pixels  # how the surroundings look when nobody is there
    looked_s: NDArray[np.float64]  # clock_s of the last look
    clear_s: NDArray[np.float64]  # seconds for which `margin` has been seen
    changed_s: NDArray[np.float64]  # clock_s since when the margin is still but different


class Gate:
    """Sorts the slots of one camera, frame by frame."""

    def __init__(self, slots: Sequence[Slot]):
        self._slots = tuple(slots)
        self._thumbs: _Thumbnailer | None = None
        self._memory: _Memory | None = None
        self._clock_s = 0.0
        self._scores: dict[str, Score] = {}

    def sort(self, frame: Frame, eager: Collection[str] = ()) -> list[tuple[Slot, Verdict]]:
        """Return what is to be done with each slot of the frame.

        Args:
            frame: the next picture of this camera; it must be newer than the last one.
            eager: ids of slots of which each clear picture is wanted, because something is
                about to be decided.
        """
        thumbs = self._thumbnails(frame.image)
        if self._memory is None:
            self._memory = _first_memory(thumbs, frame.clock_s)
            self._clock_s = frame.clock_s
            return [(slot, Verdict.LOOK) for slot in self._slots]

        moving = self._moving(thumbs)
        hidden = self._hidden(thumbs, moving, frame.clock_s)
        clear = ~(moving | hidden)
        wanted = clear & (self._is_new(thumbs, frame.clock_s) | self._is_in(eager))
        self._remember(thumbs, clear, wanted, frame.clock_s)
        return [
            (slot, _verdict(c, w)) for slot, c, w in zip(self._slots, clear, wanted, strict=True)
        ]

    def keep(self, slot_id: str, score: Score) -> None:
        """Remember the score of a look for the frames in which the slot stays as it is."""
        self._scores[slot_id] = score

    def kept(self, slot_id: str) -> Score:
        """Return the score of the slot's last look. KeyError: it was never looked at."""
        return self._scores[slot_id]

    def _thumbnails(self, image: Image) -> Pixels:
        height, width = image.shape[:2]
        if self._thumbs is None or self._thumbs.picture_size != (width, height):
            self._thumbs = _Thumbnailer(self._slots, width, height)
            self._memory = None
        return self._thumbs(image)

    def _moving(self, thumbs: Pixels) -> Mask:
        assert self._memory is not None and self._thumbs is not None
        changed = _changed(thumbs, self._memory.previous, self._thumbs.outside)
        inside = _share(changed, self._thumbs.inside)
        outside = _share(changed, self._thumbs.outside)
        return (inside >= MOVING_SHARE) | (outside >= MOVING_SHARE)

    def _hidden(self, thumbs: Pixels, moving: Mask, clock_s: float) -> Mask:
        """Return where the surroundings differ from what they were for long."""
        assert self._memory is not None and self._thumbs is not None
        memory = self._memory
        changed = _changed(thumbs, memory.margin, self._thumbs.margin)
        hidden = _share(changed, self._thumbs.margin) >= self._thumbs.hidden_share

        settled = hidden & ~moving
        memory.changed_s = np.where(settled, np.fmin(memory.changed_s, clock_s), np.inf)
        patience_s = np.clip(memory.clear_s, *ADOPT_S)
        adopted = settled & (clock_s - memory.changed_s >= patience_s)
        memory.margin[adopted] = thumbs[adopted]
        memory.clear_s[adopted] = 0.0
        memory.changed_s[adopted] = np.inf
        return hidden & ~adopted

    def _is_new(self, thumbs: Pixels, clock_s: float) -> Mask:
        assert self._memory is not None and self._thumbs is not None
        changed = _changed(thumbs, self._memory.looked, self._thumbs.margin)
        differs = _share(changed, self._thumbs.inside) >= NEW_SHARE
        old = clock_s - self._memory.looked_s >= REFRESH_S
        return np.asarray(differs | old)

    def _is_in(self, slot_ids: Collection[str]) -> Mask:
        return np.array([slot.slot_id in slot_ids for slot in self._slots], bool)

    def _remember(self, thumbs: Pixels, clear: Mask, wanted: Mask, clock_s: float) -> None:
        assert self._memory is not None
        memory = self._memory
        memory.margin[clear] += ADAPT * (thumbs[clear] - memory.margin[clear])
        memory.clear_s[clear] += clock_s - self._clock_s
        memory.looked[wanted] = thumbs[wanted]
        memory.looked_s[wanted] = clock_s
        memory.previous = thumbs
        self._clock_s = clock_s


class _Thumbnailer:
    """Cuts all slots' thumbnails out of a picture in two calls, and knows what they show."""

    def __init__(self, slots: Sequence[Slot], width: int, height: int):
        self.picture_size = (width, height)
        scale = _scale(slots, width, height)
        self._small = (max(1, round(width * scale)), max(1, round(height * scale)))
        grids = [around(slot.quad, MARGIN, THUMB_PX, *self._small) for slot in slots]
        points = np.concatenate(grids) if grids else np.zeros((0, THUMB_PX, 2))
        self._maps = np.asarray(points[..., 0], np.float32), np.asarray(points[..., 1], np.float32)

        fractions = (points.reshape(len(slots), THUMB_PX, THUMB_PX, 2) + 0.5) / self._small
        in_picture = np.all((fractions >= 0) & (fractions <= 1), axis=-1)
        self.inside = _inside_mask(len(slots)) & in_picture
        self.outside = ~_inside_mask(len(slots)) & in_picture
        own = self.outside.copy()
        for index, slot in enumerate(slots):
            for other in slots:
                if other is not slot:
                    own[index] &= ~contains(other.quad, fractions[index])
        has_own = own.sum((1, 2)) >= LEAST_OWN_MARGIN * self.outside.sum((1, 2))
        self.margin = np.where(has_own[:, None, None], own, self.outside)
        self.hidden_share = np.where(has_own, HIDDEN_SHARE, HIDDEN_SHARE_OF_NEIGHBOURS)

    def __call__(self, image: Image) -> Pixels:
        """Return (n, T, T, 3) float32."""
        small = cv2.resize(image, self._small, interpolation=cv2.INTER_AREA)
        strip = cv2.remap(small, *self._maps, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        return np.asarray(strip, np.float32).reshape(-1, THUMB_PX, THUMB_PX, 3)


def _scale(slots: Sequence[Slot], width: int, height: int) -> float:
    """Return the reduction at which the median slot's thumbnail has about the picture's pixels.

    Thumbnails taken from a much larger picture would jump with every shake of the camera.
    """
    sides = [np.mean(side_lengths(to_pixels(slot.quad, width, height))) for slot in slots]
    wide = float(np.median(sides)) * (1 + 2 * MARGIN) if sides else THUMB_PX
    return min(1.0, 1.3 * THUMB_PX / wide)


def _inside_mask(count: int) -> Mask:
    steps = (np.arange(THUMB_PX) + 0.5) / THUMB_PX * (1 + 2 * MARGIN) - MARGIN
    within = (steps >= 0) & (steps <= 1)
    return np.broadcast_to(within[:, None] & within[None, :], (count, THUMB_PX, THUMB_PX))


def _first_memory(thumbs: Pixels, clock_s: float) -> _Memory:
    count = len(thumbs)
    return _Memory(
        previous=thumbs,
        looked=thumbs.copy(),
        margin=thumbs.copy(),
        looked_s=np.full(count, clock_s),
        clear_s=np.zeros(count),
        changed_s=np.full(count, np.inf),
    )


def _changed(now: Pixels, before: Pixels, lit_by: Mask) -> Mask:
    """Return which pixels (n, T, T) differ once the light is made equal.

    The gain is the median ratio over the pixels of lit_by, so that it holds while less than half
    of them are hidden; it is limited, because what darkens a place by more is no change of light.
    """
    level_now, level_before = now.mean(-1), before.mean(-1)
    ratio = np.where(lit_by, (level_now + 4) / (level_before + 4), np.nan)
    with np.errstate(invalid="ignore"):
        gain = np.nanmedian(ratio.reshape(len(now), -1), axis=1) if len(now) else np.ones(0)
    gain = np.clip(np.nan_to_num(gain, nan=1.0), *GAIN_LIMITS).astype(np.float32)
    # Compared at the brighter of the two: a dark picture must not hide a difference.
    gain = gain[:, None, None, None]
    difference = np.abs(now - before * gain) / np.minimum(1.0, gain)
    return np.asarray(difference.max(-1) > DIFFERENT)


def _share(changed: Mask, where: Mask) -> NDArray[np.float64]:
    """Return the share of the pixels in `where` that changed, (n,); 0 where there are none."""
    return np.asarray((changed & where).sum((1, 2)) / np.maximum(1, where.sum((1, 2))))


def _verdict(clear: bool, wanted: bool) -> Verdict:
    if not clear:
        return Verdict.BLOCKED
    return Verdict.LOOK if wanted else Verdict.UNCHANGED
