"""Which crops are worth a look: unchanged → keep, somebody there → blocked, settled and new → look.

Everything is judged on thumbnails of a thousand pixels, one a slot, that show the slot and a
margin around it. Two questions are asked of each:

- Does something move, in the slot or just around it? It differs from the picture before.
- Does somebody stand still in front? The strip below it differs from how it looked for long.
  Whoever hides a slot stands on the floor, and so hides the rail and the tag below it too; what
  is taken out of a slot, or stacked behind it, shows above and beside the rail, not on it.

Light is taken out first: by the gain of the slot's surroundings from one picture to the next, by
that of the whole picture over a longer time. Waiting until nobody is in front
is what the field's patents do as well (WO2018204836: detect motion, its end, wait, then look).
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from enum import Enum
from typing import NamedTuple

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
HIDING = 32.0  # … and by more than this where light and white balance had long to wander
MOVING_SHARE = 0.04  # of the slot
MOVING_SHARE_AROUND = 0.2  # of its margin: who passes by does not hide the slot
RAIL = 0.04, 0.19  # of the slot's height below it: the strip in which a person is looked for
HIDDEN_RAIL = 0.3  # of that strip: more than a new price tag, less than a person
PATTERNED = 8.0  # of 255: the spread of brightness in a strip with tags, edges or gaps
SAME_PRINT = 0.4  # correlation with what it was; another tag keeps more, a coat none
LEAST_RAIL = 0.5  # of the strip must be no other slot; else the whole margin is taken …
HIDDEN_MARGIN = 0.6  # … of which more must have changed than a neighbour that was emptied
NEW_SHARE = 0.03  # of the slot, against the last look
GAIN_LIMITS = (0.72, 1.4)  # a shadow or a lamp; a dark coat is more than that
ADAPT_S, ADAPT_CHANGED_S = 60.0, 900.0
"""How soon the memory of the surroundings follows: the light, and what has changed, such as a tag.

Who stands at the edge of a slot for a minute must not become part of it."""
REFRESH_S = 120.0  # an unchanged slot is looked at again after so long
ADOPT_TIMES, ADOPT_S = 2.0, 900.0
"""A margin that stays changed for twice as long as the one before was seen is the new normal.

So who stands in front at the start is soon forgotten, and a trolley in front of a shelf that was
seen for long is not taken for the shelf before ADOPT_S."""


class Verdict(Enum):
    BLOCKED = "blocked"
    UNCHANGED = "unchanged"
    LOOK = "look"


class Sight(NamedTuple):
    """What is to be done with a slot. Since since_s nothing has moved in it, if it is clear."""

    slot: Slot
    verdict: Verdict
    since_s: float


class Gate:
    """Sorts the slots of one camera, frame by frame."""

    def __init__(self, slots: Sequence[Slot]):
        self._slots = tuple(slots)
        self._memory: _Memory | None = None
        self._scores: dict[str, Score] = {}

    def sort(self, frame: Frame, eager: Collection[str] = ()) -> list[Sight]:
        """Return what is to be done with each slot of the frame.

        Args:
            frame: the next picture of this camera; it must be newer than the last one.
            eager: ids of slots of which each clear picture is wanted, because something is
                about to be decided.
        """
        clock_s = frame.clock_s
        if not self._slots:
            return []
        if self._memory is None or not self._memory.thumbnails.fit(frame.image):
            self._memory = _Memory(self._slots, frame.image, clock_s)
            return [Sight(slot, Verdict.LOOK, clock_s) for slot in self._slots]

        memory, since_s = self._memory, self._memory.clock_s
        now = memory.thumbnails.cut(frame.image)
        moving = _moving(now, memory)
        clear = ~(moving | _hidden(now, memory, moving, clock_s))
        awaited = np.array([slot.slot_id in eager for slot in self._slots], bool)
        looked_at = clear & (_is_new(now, memory, clock_s) | awaited)
        memory.take(now, clear, looked_at, clock_s)
        return [
            Sight(slot, _verdict(*found), since_s)
            for slot, *found in zip(self._slots, clear, looked_at, strict=True)
        ]

    def keep(self, slot_id: str, score: Score) -> None:
        """Remember the score of a look for the frames in which the slot stays as it is."""
        self._scores[slot_id] = score

    def kept(self, slot_id: str) -> Score:
        """Return the score of the slot's last look. KeyError: it was never looked at."""
        return self._scores[slot_id]


class _Memory:
    """What a gate remembers of its n slots: thumbnails (n, T, T, 3), clocks (n,) in seconds."""

    def __init__(self, slots: Sequence[Slot], image: Image, clock_s: float):
        self.thumbnails = _Thumbnails(slots, image.shape[1], image.shape[0])
        self.clock_s = clock_s
        self.previous = self.thumbnails.cut(image)
        self.looked = self.previous.copy()  # the picture at the last look
        self.looked_s = np.full(len(slots), clock_s)
        self.standing = self.previous.copy()  # the picture when nobody stands in front …
        self.standing_s = np.zeros(len(slots))  # … and for how long it has been seen
        self.changed_s = np.full(len(slots), np.inf)  # since when it is still but different

    def take(self, now: Pixels, clear: Mask, looked_at: Mask, clock_s: float) -> None:
        """Take in a picture; `standing` follows it where it is clear."""
        passed_s = clock_s - self.clock_s
        slow, quick = -np.expm1(-passed_s / np.array([ADAPT_CHANGED_S, ADAPT_S], np.float32))
        changed = _changed(now, self.standing, _light_of_all(now, self.standing))
        rate = np.where(changed, slow, quick)[..., None]
        self.standing[clear] += (rate * (now - self.standing))[clear]
        self.standing_s[clear] += passed_s
        self.looked[looked_at] = now[looked_at]
        self.looked_s[looked_at] = clock_s
        self.previous, self.clock_s = now, clock_s

    def adopt(self, now: Pixels, which: Mask) -> None:
        """Take what is seen for the shelf without anybody in front."""
        self.standing[which] = now[which]
        self.standing_s[which] = 0.0
        self.changed_s[which] = np.inf


def _moving(now: Pixels, memory: _Memory) -> Mask:
    """Return where something differs from the picture before, in the slot or around it."""
    places = memory.thumbnails
    light = _light_of_each(now, memory.previous, places.outside)
    changed = _changed(now, memory.previous, light)
    inside, outside = _share(changed, places.inside), _share(changed, places.outside)
    return (inside >= MOVING_SHARE) | (outside >= MOVING_SHARE_AROUND)


def _hidden(now: Pixels, memory: _Memory, moving: Mask, clock_s: float) -> Mask:
    """Return where what stands below the slot differs from what it was for long."""
    places = memory.thumbnails
    light = _light_of_all(now, memory.standing)
    changed = _changed(now, memory.standing, light, HIDING)
    hidden = _share(changed, places.rail) >= places.hidden_share
    # Where neighbours stand for the rail, their print goes with the products that are taken.
    hidden |= places.has_rail & _lost_print(now, memory.standing, places.rail)

    settled = hidden & ~moving
    memory.changed_s = np.where(settled, np.fmin(memory.changed_s, clock_s), np.inf)
    patience_s = np.minimum(ADOPT_TIMES * memory.standing_s, ADOPT_S)
    adopted = settled & (clock_s - memory.changed_s >= patience_s)
    memory.adopt(now, adopted)
    return hidden & ~adopted


def _lost_print(now: Pixels, standing: Pixels, rail: Mask) -> Mask:
    """Return where the strip was patterned and its pattern is gone: a coat as bright as the rail.

    The measure is the correlation of brightness, which no change of light touches.
    """
    count = np.maximum(1, rail.sum((1, 2)))
    grey, grey_before = (np.where(rail, one.mean(-1), 0) for one in (now, standing))
    flat, flat_before = (
        np.where(rail, one - (one.sum((1, 2)) / count)[:, None, None], 0)
        for one in (grey, grey_before)
    )
    spread, spread_before = (np.sqrt((one**2).sum((1, 2)) / count) for one in (flat, flat_before))
    alike = (flat * flat_before).sum((1, 2)) / count / np.maximum(1, spread * spread_before)
    return np.asarray((spread_before >= PATTERNED) & (alike < SAME_PRINT))


def _is_new(now: Pixels, memory: _Memory, clock_s: float) -> Mask:
    """Return where the slot differs from its last look, or that is long ago."""
    light = _light_of_each(now, memory.looked, memory.thumbnails.outside)
    changed = _changed(now, memory.looked, light)
    differs = _share(changed, memory.thumbnails.inside) >= NEW_SHARE
    return np.asarray(differs | (clock_s - memory.looked_s >= REFRESH_S))


class _Thumbnails:
    """Cuts all slots' thumbnails out of a picture in two calls, and knows what they show."""

    def __init__(self, slots: Sequence[Slot], width: int, height: int):
        self._picture_size = (width, height)
        self._reduce = _reduction(slots, width, height)
        grids = [around(slot.quad, MARGIN, THUMB_PX, width, height) for slot in slots]
        points = np.concatenate(grids)
        small = (points + 0.5) / self._reduce - 0.5
        self._maps = np.asarray(small[..., 0], np.float32), np.asarray(small[..., 1], np.float32)

        points = points.reshape(len(slots), THUMB_PX, THUMB_PX, 2)
        fractions = (points + 0.5) / (width, height)
        in_picture = np.all((fractions >= 0) & (fractions <= 1), axis=-1)
        self.inside = _inside_mask(len(slots)) & in_picture
        self.outside = ~_inside_mask(len(slots)) & in_picture
        rail = _rail_mask(len(slots)) & in_picture
        for index, slot in enumerate(slots):
            for other in slots:
                if other is not slot:
                    rail[index] &= ~contains(other.quad, fractions[index])
        self.has_rail = rail.sum((1, 2)) >= LEAST_RAIL * _rail_mask(1).sum()
        self.rail = np.where(self.has_rail[:, None, None], rail, self.outside)
        self.hidden_share = np.where(self.has_rail, HIDDEN_RAIL, HIDDEN_MARGIN)

    def fit(self, image: Image) -> bool:
        return (image.shape[1], image.shape[0]) == self._picture_size

    def cut(self, image: Image) -> Pixels:
        """Return (n, T, T, 3) float32."""
        height, width = (side // self._reduce for side in image.shape[:2])
        # Whole blocks only: by a whole number OpenCV reduces several times as fast.
        blocks = image[: height * self._reduce, : width * self._reduce]
        small = cv2.resize(blocks, (width, height), interpolation=cv2.INTER_AREA)
        strip = cv2.remap(small, *self._maps, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        return np.asarray(strip, np.float32).reshape(-1, THUMB_PX, THUMB_PX, 3)


def _reduction(slots: Sequence[Slot], width: int, height: int) -> int:
    """Return by how much to reduce the picture, so that the median thumbnail has its pixels.

    Thumbnails taken from a much larger picture would jump with every shake of the camera.
    """
    sides = [np.mean(side_lengths(to_pixels(slot.quad, width, height))) for slot in slots]
    wide_px = float(np.median(sides)) * (1 + 2 * MARGIN)
    return max(1, min(int(wide_px / THUMB_PX), width, height))


def _steps() -> NDArray[np.float64]:
    """Return where a thumbnail's rows and columns lie: 0 to 1 is the slot."""
    return (np.arange(THUMB_PX) + 0.5) / THUMB_PX * (1 + 2 * MARGIN) - MARGIN


def _inside_mask(count: int) -> Mask:
    within = (_steps() >= 0) & (_steps() <= 1)
    return np.broadcast_to(within[:, None] & within[None, :], (count, THUMB_PX, THUMB_PX))


def _rail_mask(count: int) -> Mask:
    across, down = (
        (_steps() >= 0) & (_steps() <= 1),
        (_steps() > 1 + RAIL[0]) & (_steps() <= 1 + RAIL[1]),
    )
    return np.broadcast_to(down[:, None] & across[None, :], (count, THUMB_PX, THUMB_PX)).copy()


def _changed(now: Pixels, before: Pixels, gain: Pixels, different: float = DIFFERENT) -> Mask:
    """Return which pixels (n, T, T) differ once the light is made equal."""
    # Compared at the brighter of the two: a dark picture must not hide a difference.
    limit = different * np.minimum(np.float32(1), gain)
    expected = np.minimum(before * gain, 255)  # a highlight that burns out has not changed
    return np.asarray((np.abs(now - expected) > limit).any(-1))


def _light_of_each(now: Pixels, before: Pixels, around: Mask) -> Pixels:
    """Return the gain (n, 1, 1, 3) of each slot's surroundings, one a colour.

    It is the median ratio, so it holds while less than half of them have changed.
    """
    ratio = (now + 4) / (before + 4)
    unknown = np.ones(3, np.float32)
    gains = [
        np.median(one[mask], axis=0) if mask.any() else unknown
        for one, mask in zip(ratio, around, strict=True)
    ]
    return _limited(np.array(gains, np.float32)[:, None, None, :])


def _light_of_all(now: Pixels, before: Pixels) -> Pixels:
    """Return the gain (1, 1, 1, 3) of the whole picture, one a colour.

    Over a long time a slot's surroundings change too much to tell of the light, but not all
    slots do. Exposure and white balance, which cameras change when somebody steps in, are the
    same for all.
    """
    ratio = (now[:, ::2, ::2] + 4) / (before[:, ::2, ::2] + 4)
    return _limited(np.median(ratio, axis=(0, 1, 2), keepdims=True))


def _limited(gain: Pixels) -> Pixels:
    """What darkens a place by more is no change of light."""
    return np.clip(gain, *GAIN_LIMITS).astype(np.float32)


def _share(changed: Mask, where: Mask) -> NDArray[np.float64]:
    """Return the share of the pixels in `where` that changed, (n,); 0 where there are none."""
    return np.asarray((changed & where).sum((1, 2)) / np.maximum(1, where.sum((1, 2))))


def _verdict(clear: bool, wanted: bool) -> Verdict:
    if not clear:
        return Verdict.BLOCKED
    return Verdict.LOOK if wanted else Verdict.UNCHANGED
